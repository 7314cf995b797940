//! Publishing to a node, and taking items back (XEP-0060, 7).
//!
//! A change is decided upon what the store says of the node, and committed only if that is still so; otherwise it is
//! decided anew.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::UNIX_EPOCH;

use rjabberd_storage::{PepChange, PepDeed, PepExpect, PepItem, PepNode, PepStamp, Profile, StoreError};
use rjabberd_xml::Element;
use rjabberd_xmpp::{BareJid, Condition, StanzaError, ns};

use super::access::{Relation, affiliation, is_owner, may_publish};
use super::config::{NodeConfig, fields, submitted};
use super::events::{Audience, published, retracted};
use super::refusals::{bad_request, nodeid_required, refusal};
use super::{NAME_BYTES_MAX, TRIED_MAX, Visit, bookmarks, random_id};
use crate::Im;
use crate::services::{Verdict, store_error, written};

/// What is told once a change is committed: for each change, which items went.
pub(crate) type Telling = Box<dyn Fn(&[Vec<String>]) + Send>;

/// Changes that belong together, and what is told of them.
pub(crate) struct Plan {
    pub(crate) changes: Vec<PepChange>,
    pub(crate) tellings: Vec<Telling>,
}

impl Plan {
    pub(crate) fn new() -> Plan {
        Plan { changes: Vec::new(), tellings: Vec::new() }
    }

    pub(crate) fn does(&mut self, node: &str, expects: PepExpect, deed: PepDeed) {
        self.changes.push(PepChange { node: node.to_owned(), expects, deed });
    }

    pub(crate) fn tells(&mut self, telling: impl Fn(&[Vec<String>]) + Send + 'static) {
        self.tellings.push(Box::new(telling));
    }
}

/// A request to publish, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    pub(crate) node: String,
    /// `None` where there is no item.
    pub(crate) item: Option<Draft>,
    pub(crate) options: Vec<(String, Vec<String>)>,
}

/// An item as it is to be published.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    id: String,
    /// Empty where there is none.
    payload: String,
    namespace: String,
}

/// A node as it is, or as it is made.
pub(crate) struct Basis {
    pub(crate) node: PepNode,
    pub(crate) config: NodeConfig,
    pub(crate) is_new: bool,
}

impl Basis {
    /// A node that is there.
    pub(crate) fn there(node: PepNode, config: NodeConfig) -> Basis {
        Basis { node, config, is_new: false }
    }

    /// A node that is to be made.
    pub(crate) fn new(name: &str, config: NodeConfig) -> Basis {
        let node = PepNode {
            name: name.to_owned(),
            config: config.stored(),
            stamp: PepStamp::default(),
            items: 0,
            affiliations: Vec::new(),
            subscriptions: Vec::new(),
        };
        Basis { node, config, is_new: true }
    }
}

impl Publication {
    /// XEP-0060, 7.1.3.
    pub(crate) fn read(
        publish: &Element,
        options: Option<&Element>,
        bytes_max: usize,
    ) -> Result<Publication, StanzaError> {
        let node = node_name(publish)?;
        let mut children = publish.children();
        let item = match (children.next(), children.next()) {
            (None, _) => None,
            (Some(item), None) if item.is("item", ns::PUBSUB) => Some(read_item(item, bytes_max)?),
            (Some(_), None) => return Err(bad_request()),
            // XEP-0060, 7.1.1: one item at a time.
            (Some(_), Some(_)) => return Err(refusal(Condition::BadRequest, "invalid-payload")),
        };
        let options = match options {
            Some(options) => submitted(options, ns::PUBSUB_PUBLISH_OPTIONS)?.map(fields).unwrap_or_default(),
            None => Vec::new(),
        };
        Ok(Publication { node, item, options })
    }
}

/// The name of the node that a request is about.
pub(crate) fn node_name(element: &Element) -> Result<String, StanzaError> {
    let node = element.attribute("node").filter(|node| !node.is_empty()).ok_or_else(nodeid_required)?;
    if node.len() > NAME_BYTES_MAX {
        return Err(StanzaError::new(Condition::NotAcceptable).with_text("the node's name is too long"));
    }
    Ok(node.to_owned())
}

fn read_item(item: &Element, bytes_max: usize) -> Result<Draft, StanzaError> {
    let id = match item.attribute("id").filter(|id| !id.is_empty()) {
        Some(id) if id.len() > NAME_BYTES_MAX => {
            return Err(StanzaError::new(Condition::NotAcceptable).with_text("the item's id is too long"));
        }
        Some(id) => id.to_owned(),
        None => random_id()?,
    };
    let mut payloads = item.children();
    let (payload, namespace) = match (payloads.next(), payloads.next()) {
        (Some(payload), None) => (written(payload), payload.namespace().to_owned()),
        (None, _) => (String::new(), String::new()),
        (Some(_), Some(_)) => return Err(refusal(Condition::BadRequest, "invalid-payload")),
    };
    if id.len() + payload.len() > bytes_max {
        return Err(refusal(Condition::NotAcceptable, "payload-too-big"));
    }
    Ok(Draft { id, payload, namespace })
}

impl Im {
    /// Publishes for a session of `publisher` (XEP-0060, 7.1).
    pub(crate) async fn publish(
        &'static self,
        account: BareJid,
        publisher: BareJid,
        publication: Publication,
    ) -> Verdict {
        if account == publisher {
            self.unify_bookmarks(&account, &publication.node).await?;
        }
        for _ in 0..TRIED_MAX {
            let relation = self.relation(&account, &publisher).await?;
            let basis = self.basis(&account, &publisher, &relation, &publication).await?;
            let item = self.new_item(&basis.config, &publisher, &publication)?;
            let profile = self.profile(&account).await?;
            let mut plan = Plan::new();
            let name = basis.node.name.clone();
            let is_new = basis.is_new;
            if relation.own {
                self.plan_bookmarks(&mut plan, &account, &profile, &basis, &item).await?;
            }
            self.plan_publication(&mut plan, &account, profile, basis, item.clone());
            match self.carry_out_plan(&account, plan).await {
                Ok(()) => {
                    self.pep.published.fetch_add(1, Relaxed);
                    if relation.own && name == ns::AVATAR_METADATA {
                        self.avatar_to_vcard(&account, &item).await;
                    }
                    return Ok(Some(publish_result(&name, &item.id)));
                }
                Err(StoreError::Conflict) => {}
                Err(StoreError::Full) => return Err(self.full(&account, is_new).await),
                Err(error) => return Err(store_error(error)),
            }
        }
        Err(too_busy())
    }

    /// What the account's contacts are.
    pub(crate) async fn profile(&'static self, account: &BareJid) -> Result<Arc<Profile>, StanzaError> {
        Ok(self.store.load_profile(account).await.map_err(store_error)?.unwrap_or_default())
    }

    /// The node to publish to, if it may be.
    async fn basis(
        &'static self,
        account: &BareJid,
        publisher: &BareJid,
        relation: &Relation,
        publication: &Publication,
    ) -> Result<Basis, StanzaError> {
        let settings = &self.limits.pep;
        let found = self.store.load_pep_node(account, &publication.node).await.map_err(store_error)?;
        let Some(node) = found else {
            if !relation.own {
                return Err(relation.missing());
            }
            // XEP-0060, 7.1.4 and 7.1.5.
            let mut config = NodeConfig::default_of(&publication.node);
            config.require(&publication.options, settings)?;
            return Ok(Basis::new(&publication.node, config));
        };
        let config = NodeConfig::read(&node)?;
        may_publish(&config, &node, relation, publisher)?;
        config.meets(&publication.options, settings)?;
        Ok(Basis::there(node, config))
    }

    /// XEP-0060, 7.1.3.6.
    fn new_item(
        &self,
        config: &NodeConfig,
        publisher: &BareJid,
        publication: &Publication,
    ) -> Result<PepItem, StanzaError> {
        let is_event = !config.persist_items && !config.deliver_payloads;
        let (id, payload) = match &publication.item {
            Some(_) if is_event => return Err(refusal(Condition::BadRequest, "item-forbidden")),
            Some(draft) if draft.payload.is_empty() && config.deliver_payloads => {
                return Err(refusal(Condition::BadRequest, "payload-required"));
            }
            // XEP-0060, 7.1.3.5.
            Some(draft) if !config.payload_type.is_empty() && draft.namespace != config.payload_type => {
                return Err(refusal(Condition::BadRequest, "invalid-payload"));
            }
            Some(draft) => (draft.id.clone(), draft.payload.clone()),
            None if is_event => (random_id()?, String::new()),
            None => return Err(refusal(Condition::BadRequest, "item-required")),
        };
        let since = (self.clock)().duration_since(UNIX_EPOCH).unwrap_or_default();
        let published_unix_s = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        Ok(PepItem { id, publisher: publisher.clone(), published_unix_s, payload })
    }

    /// Adds that an item is published to a node, which is made for it if it is new.
    pub(crate) fn plan_publication(
        &'static self,
        plan: &mut Plan,
        account: &BareJid,
        profile: Arc<Profile>,
        basis: Basis,
        item: PepItem,
    ) {
        let Basis { node, config, is_new } = basis;
        let mut expects = PepExpect::Node(node.stamp);
        if is_new {
            plan.does(&node.name, PepExpect::Absent, PepDeed::Create(config.stored()));
            expects = PepExpect::Any;
        }
        let deed = match config.persist_items {
            true => PepDeed::Publish(item.clone(), config.items_max(&self.limits.pep)),
            false => PepDeed::Nothing,
        };
        plan.does(&node.name, expects, deed);
        let audience = Audience { im: self, account: account.clone(), node, config, profile };
        plan.tells(move |_| {
            match published(&audience.account, &audience.node.name, &audience.config, &item) {
                Ok(event) => audience.hears(event),
                Err(error) => log::error!(target: "im:pep", "An item is told to nobody: {error:?}"),
            }
        });
    }

    /// Commits what was planned, and tells of it in the order of the commits.
    pub(crate) async fn carry_out_plan(
        &'static self,
        account: &BareJid,
        plan: Plan,
    ) -> Result<(), StoreError> {
        let tellings = plan.tellings;
        let follow = move |done: &Result<Vec<Vec<String>>, StoreError>| {
            if let Ok(gone) = done {
                tellings.iter().for_each(|tell| tell(gone));
            }
        };
        let limits = self.limits.pep.of_store();
        self.store.change_pep(account, plan.changes, limits, Box::new(follow)).await.map(drop)
    }

    /// What is said where an account has as much as it may have.
    pub(crate) async fn full(&'static self, account: &BareJid, creates: bool) -> StanzaError {
        if creates
            && let Ok(nodes) = self.store.load_pep_nodes(account).await
            && nodes.len() >= self.limits.pep.nodes_max
        {
            return refusal(Condition::NotAllowed, "max-nodes-exceeded");
        }
        store_error(StoreError::Full)
    }

    /// Takes items back (XEP-0060, 7.2).
    pub(crate) async fn retract(
        &'static self,
        account: BareJid,
        asker: BareJid,
        node: String,
        ids: Vec<String>,
        notify: bool,
    ) -> Verdict {
        if account == asker {
            self.unify_bookmarks(&account, &node).await?;
        }
        for _ in 0..TRIED_MAX {
            let visit = self.visit(&account, &asker, &node).await?;
            self.may_retract(&account, &asker, &visit, &ids).await?;
            let profile = self.profile(&account).await?;
            let mut plan = Plan::new();
            if visit.relation.own {
                self.plan_bookmarks_gone(&mut plan, &account, &profile, &visit, &ids).await?;
            }
            let Visit { node, config, .. } = visit;
            plan.does(&node.name, PepExpect::Node(node.stamp), PepDeed::Retract(ids.clone()));
            // XEP-0060, 7.2.2.1.
            if notify || config.notify_retract {
                let audience = Audience { im: self, account: account.clone(), node, config, profile };
                let ids = ids.clone();
                plan.tells(move |_| audience.hears(retracted(&audience.node.name, &ids)));
            }
            match self.carry_out_plan(&account, plan).await {
                Ok(()) => return Ok(None),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(store_error(error)),
            }
        }
        Err(too_busy())
    }

    /// XEP-0060, 7.2.3.1: owners and publishers; others, of what they published themselves.
    async fn may_retract(
        &'static self,
        account: &BareJid,
        asker: &BareJid,
        visit: &Visit,
        ids: &[String],
    ) -> Result<(), StanzaError> {
        let Visit { node, config, relation } = visit;
        let is_publisher = affiliation(node, asker) == Some(rjabberd_storage::PepAffiliation::Publisher);
        if is_owner(relation, node, asker) || is_publisher {
            return Ok(());
        }
        may_publish(config, node, relation, asker)?;
        let pick = rjabberd_storage::PepPick::Ids(ids.to_vec());
        let found = self.store.load_pep_items(account, &node.name, pick, usize::MAX).await;
        let found = found.map_err(store_error)?;
        let is_his = found.is_some_and(|found| found.items.iter().all(|item| item.publisher == *asker));
        if is_his { Ok(()) } else { Err(relation.forbidden()) }
    }

    /// Whether a node is one of those of the bookmarks, which are one (XEP-0402, 6).
    pub(crate) async fn unify_bookmarks(
        &'static self,
        account: &BareJid,
        node: &str,
    ) -> Result<(), StanzaError> {
        match bookmarks::is_about(node) {
            true => self.bring_bookmarks(account).await,
            false => Ok(()),
        }
    }
}

/// Others change the node all the time.
pub(crate) fn too_busy() -> StanzaError {
    StanzaError::new(Condition::ResourceConstraint).with_text("the node is changed all the time, try again")
}

fn publish_result(node: &str, id: &str) -> Element {
    let item = Element::new("item", ns::PUBSUB).with_attribute("id", id);
    let publish = Element::new("publish", ns::PUBSUB).with_attribute("node", node).with_child(item);
    Element::new("pubsub", ns::PUBSUB).with_child(publish)
}
