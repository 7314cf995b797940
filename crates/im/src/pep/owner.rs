//! What owners do with a node (XEP-0060, 8): make it, configure it, empty it, take it away, and say who is what to it.

use rjabberd_storage::{PepAffiliation, PepDeed, PepExpect, StoreError};
use rjabberd_xml::Element;
use rjabberd_xmpp::{BareJid, Condition, Jid, StanzaError, address, ns};

use super::access::is_owner;
use super::config::{NodeConfig, submitted};
use super::events::{Audience, about};
use super::publish::{Basis, Plan, node_name, too_busy};
use super::refusals::{bad_request, unsupported};
use super::{NAME_BYTES_MAX, TRIED_MAX, Visit, random_id};
use crate::Im;
use crate::services::{Verdict, store_error};

/// What an owner asks for, taken apart.
pub(crate) enum Order {
    /// The form of the config, or what it is by default.
    ShowConfig(Option<String>),
    /// The form as it was submitted.
    Configure(String, Element),
    /// Where the node is from now on is told to those who had it (XEP-0060, 8.4.1).
    Delete(String, Option<Element>),
    Purge(String),
    ShowAffiliations(String),
    Affiliate(String, Vec<(BareJid, Option<PepAffiliation>)>),
    ShowSubscriptions(String),
    Subscribe(String, Vec<(Jid, bool)>),
    /// A form that was cancelled.
    Nothing,
}

impl Order {
    /// `<pubsub/>` of the owner's namespace.
    pub(crate) fn read(pubsub: &Element, set: bool) -> Result<Order, StanzaError> {
        let mut children = pubsub.children();
        let (Some(child), None) = (children.next(), children.next()) else { return Err(bad_request()) };
        if child.namespace() != ns::PUBSUB_OWNER {
            return Err(bad_request());
        }
        match (child.name(), set) {
            ("default", false) => Ok(Order::ShowConfig(None)),
            ("configure", false) => Ok(Order::ShowConfig(Some(node_name(child)?))),
            ("configure", true) => {
                let node = node_name(child)?;
                match submitted(child, ns::PUBSUB_NODE_CONFIG)? {
                    Some(form) => Ok(Order::Configure(node, form.clone())),
                    None => Ok(Order::Nothing),
                }
            }
            ("delete", true) => {
                Ok(Order::Delete(node_name(child)?, child.child("redirect", ns::PUBSUB_OWNER).cloned()))
            }
            ("purge", true) => Ok(Order::Purge(node_name(child)?)),
            ("affiliations", false) => Ok(Order::ShowAffiliations(node_name(child)?)),
            ("affiliations", true) => Ok(Order::Affiliate(node_name(child)?, affiliations(child)?)),
            ("subscriptions", false) => Ok(Order::ShowSubscriptions(node_name(child)?)),
            ("subscriptions", true) => Ok(Order::Subscribe(node_name(child)?, subscriptions(child)?)),
            ("default" | "delete" | "purge", _) => Err(bad_request()),
            _ => Err(StanzaError::new(Condition::FeatureNotImplemented)),
        }
    }
}

/// XEP-0060, 8.9.2.
fn affiliations(element: &Element) -> Result<Vec<(BareJid, Option<PepAffiliation>)>, StanzaError> {
    let mut entities = Vec::new();
    for child in element.children().filter(|child| child.is("affiliation", ns::PUBSUB_OWNER)) {
        let jid = entity(child)?.to_bare();
        let name = child.attribute("affiliation").ok_or_else(bad_request)?;
        let affiliation = match name {
            "none" => None,
            name => match PepAffiliation::from_name(name) {
                Some(affiliation) => Some(affiliation),
                None if name == "publish-only" => return Err(unsupported("publish-only-affiliation")),
                None => return Err(bad_request()),
            },
        };
        entities.push((jid, affiliation));
    }
    Ok(entities)
}

/// XEP-0060, 8.8.2.
fn subscriptions(element: &Element) -> Result<Vec<(Jid, bool)>, StanzaError> {
    let mut entities = Vec::new();
    for child in element.children().filter(|child| child.is("subscription", ns::PUBSUB_OWNER)) {
        let is_there = match child.attribute("subscription") {
            Some("subscribed") => true,
            Some("none") => false,
            _ => return Err(StanzaError::new(Condition::NotAcceptable)),
        };
        entities.push((entity(child)?, is_there));
    }
    Ok(entities)
}

fn entity(element: &Element) -> Result<Jid, StanzaError> {
    let jid = element.attribute("jid").ok_or_else(bad_request)?;
    let jid = address::parse(jid).map_err(|_| StanzaError::new(Condition::JidMalformed))?;
    if jid.as_str().len() > NAME_BYTES_MAX {
        return Err(StanzaError::new(Condition::JidMalformed));
    }
    Ok(jid)
}

fn owned(child: Element) -> Option<Element> {
    Some(Element::new("pubsub", ns::PUBSUB_OWNER).with_child(child))
}

fn of_node(name: &str, node: &str) -> Element {
    Element::new(name, ns::PUBSUB_OWNER).with_attribute("node", node)
}

impl Im {
    /// Makes a node of one's own (XEP-0060, 8.1).
    pub(crate) async fn create_node(
        &'static self,
        account: BareJid,
        node: Option<String>,
        configure: Option<Element>,
    ) -> Verdict {
        let (name, is_instant) = match node {
            Some(node) => (node, false),
            None => (random_id()?, true),
        };
        let mut config = NodeConfig::default_of(&name);
        // XEP-0060, 8.1.3; a form that is not there is the default.
        if let Some(configure) = configure.filter(|configure| configure.children().next().is_some())
            && let Some(form) = submitted(&configure, ns::PUBSUB_NODE_CONFIG)?
        {
            config.submit(form, &self.limits.pep)?;
        }
        self.unify_bookmarks(&account, &name).await?;
        let basis = Basis::new(&name, config);
        let mut plan = Plan::new();
        plan.does(&name, PepExpect::Absent, PepDeed::Create(basis.config.stored()));
        match self.carry_out_plan(&account, plan).await {
            Ok(()) if is_instant => {
                let create = Element::new("create", ns::PUBSUB).with_attribute("node", &name);
                Ok(Some(Element::new("pubsub", ns::PUBSUB).with_child(create)))
            }
            Ok(()) => Ok(None),
            Err(StoreError::Full) => Err(self.full(&account, true).await),
            Err(error) => Err(store_error(error)),
        }
    }

    /// Does what an owner asks for.
    pub(crate) async fn obey(&'static self, account: BareJid, asker: BareJid, order: Order) -> Verdict {
        let node = match &order {
            Order::Nothing => return Ok(None),
            Order::ShowConfig(None) => {
                let default = NodeConfig::default_of("").form("form", ns::PUBSUB_NODE_CONFIG);
                return Ok(owned(Element::new("default", ns::PUBSUB_OWNER).with_child(default)));
            }
            Order::ShowConfig(Some(node))
            | Order::Configure(node, _)
            | Order::Delete(node, _)
            | Order::Purge(node)
            | Order::ShowAffiliations(node)
            | Order::Affiliate(node, _)
            | Order::ShowSubscriptions(node)
            | Order::Subscribe(node, _) => node.clone(),
        };
        if account == asker {
            self.unify_bookmarks(&account, &node).await?;
        }
        for _ in 0..TRIED_MAX {
            let visit = self.visit(&account, &asker, &node).await?;
            if !is_owner(&visit.relation, &visit.node, &asker) {
                return Err(visit.relation.forbidden());
            }
            match self.obey_once(&account, visit, &order).await? {
                Done::Answered(answer) => return Ok(answer),
                Done::Tried(Ok(())) => return Ok(None),
                Done::Tried(Err(StoreError::Conflict)) => {}
                Done::Tried(Err(error)) => return Err(store_error(error)),
            }
        }
        Err(too_busy())
    }

    async fn obey_once(
        &'static self,
        account: &BareJid,
        visit: Visit,
        order: &Order,
    ) -> Result<Done, StanzaError> {
        match order {
            Order::ShowConfig(_) => {
                let form = visit.config.form("form", ns::PUBSUB_NODE_CONFIG);
                Ok(Done::Answered(owned(of_node("configure", &visit.node.name).with_child(form))))
            }
            Order::ShowAffiliations(_) => Ok(Done::Answered(owned(affiliation_list(account, &visit)))),
            Order::ShowSubscriptions(_) => Ok(Done::Answered(owned(subscription_list(&visit)))),
            Order::Configure(_, form) => self.configure(account, visit, form).await,
            Order::Purge(_) => self.purge(account, visit).await,
            Order::Delete(_, redirect) => self.delete(account, visit, redirect.clone()).await,
            Order::Affiliate(_, entities) => {
                if entities.iter().any(|(jid, _)| jid == account) {
                    // XEP-0060, 8.9.2.2: a node without an owner would be nobody's.
                    return Err(StanzaError::new(Condition::NotAcceptable));
                }
                Ok(self.change_entities(account, &visit, PepDeed::Affiliate(entities.clone())).await)
            }
            Order::Subscribe(_, entities) => {
                Ok(self.change_entities(account, &visit, PepDeed::Subscribe(entities.clone())).await)
            }
            Order::Nothing => Ok(Done::Answered(None)),
        }
    }

    async fn change_entities(&'static self, account: &BareJid, visit: &Visit, deed: PepDeed) -> Done {
        let mut plan = Plan::new();
        plan.does(&visit.node.name, PepExpect::Node(visit.node.stamp), deed);
        Done::Tried(self.carry_out_plan(account, plan).await)
    }

    /// XEP-0060, 8.2.5.
    async fn configure(
        &'static self,
        account: &BareJid,
        visit: Visit,
        form: &Element,
    ) -> Result<Done, StanzaError> {
        let settings = &self.limits.pep;
        let Visit { node, mut config, .. } = visit;
        config.submit(form, settings)?;
        let mut plan = Plan::new();
        let deed = PepDeed::Configure(config.stored(), config.items_max(settings));
        plan.does(&node.name, PepExpect::Node(node.stamp), deed);
        if config.notify_config {
            let profile = self.profile(account).await?;
            let audience = Audience { im: self, account: account.clone(), node, config, profile };
            plan.tells(move |_| {
                let event = about(&audience.node.name, "configuration");
                let form = audience.config.form("result", ns::PUBSUB_NODE_CONFIG);
                let with_form = audience.config.deliver_payloads;
                audience.hears(if with_form { event.with_child(form) } else { event });
            });
        }
        Ok(Done::Tried(self.carry_out_plan(account, plan).await))
    }

    /// XEP-0060, 8.5.
    async fn purge(&'static self, account: &BareJid, visit: Visit) -> Result<Done, StanzaError> {
        if !visit.config.persist_items {
            return Err(unsupported("persistent-items"));
        }
        let profile = self.profile(account).await?;
        let mut plan = Plan::new();
        self.plan_bookmarks_emptied(&mut plan, account, &profile, &visit).await?;
        let Visit { node, config, .. } = visit;
        plan.does(&node.name, PepExpect::Node(node.stamp), PepDeed::Purge);
        if config.notify_retract {
            let audience = Audience { im: self, account: account.clone(), node, config, profile };
            plan.tells(move |_| audience.hears(about(&audience.node.name, "purge")));
        }
        Ok(Done::Tried(self.carry_out_plan(account, plan).await))
    }

    /// XEP-0060, 8.4.
    async fn delete(
        &'static self,
        account: &BareJid,
        visit: Visit,
        redirect: Option<Element>,
    ) -> Result<Done, StanzaError> {
        let profile = self.profile(account).await?;
        let mut plan = Plan::new();
        self.plan_bookmarks_emptied(&mut plan, account, &profile, &visit).await?;
        let Visit { node, config, .. } = visit;
        let name = node.name.clone();
        plan.does(&name, PepExpect::Node(node.stamp), PepDeed::Delete);
        if config.notify_delete {
            let uri = redirect.and_then(|redirect| redirect.attribute("uri").map(str::to_owned));
            let audience = Audience { im: self, account: account.clone(), node, config, profile };
            plan.tells(move |_| {
                let mut event = about(&audience.node.name, "delete");
                if let Some(uri) = &uri {
                    event.push(Element::new("redirect", ns::PUBSUB_EVENT).with_attribute("uri", uri));
                }
                audience.hears(event);
            });
        }
        let done = self.carry_out_plan(account, plan).await;
        if done.is_ok() {
            self.bookmarks_deleted(account, &name).await?;
        }
        Ok(Done::Tried(done))
    }
}

/// What came of one try.
enum Done {
    Answered(Option<Element>),
    Tried(Result<(), StoreError>),
}

fn affiliation_list(account: &BareJid, visit: &Visit) -> Element {
    let affiliation = |jid: &str, name: &str| {
        Element::new("affiliation", ns::PUBSUB_OWNER)
            .with_attribute("jid", jid)
            .with_attribute("affiliation", name)
    };
    let list = of_node("affiliations", &visit.node.name);
    let list = list.with_child(affiliation(account.as_str(), PepAffiliation::Owner.name()));
    let others = visit.node.affiliations.iter();
    others.map(|(jid, is)| affiliation(jid.as_str(), is.name())).fold(list, Element::with_child)
}

fn subscription_list(visit: &Visit) -> Element {
    let subscription = |jid: &Jid| {
        Element::new("subscription", ns::PUBSUB_OWNER)
            .with_attribute("jid", jid.as_str())
            .with_attribute("subscription", "subscribed")
    };
    let list = of_node("subscriptions", &visit.node.name);
    visit.node.subscriptions.iter().map(subscription).fold(list, Element::with_child)
}

/// XEP-0060, 8.1.1: another's account is no place for nodes of one's own, whether it exists or not.
pub(crate) fn not_here() -> StanzaError {
    StanzaError::new(Condition::Forbidden)
}
