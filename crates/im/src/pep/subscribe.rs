//! Subscribing to a node by asking for it (XEP-0060, 6.1, 6.2), and what an entity is to the nodes of an account (5.6,
//! 5.7).
//!
//! One subscription for an address, and no options: so there are no subscription ids.

use rjabberd_storage::{PepDeed, PepExpect, PepNode, PepPick, StoreError};
use rjabberd_xml::Element;
use rjabberd_xmpp::{BareJid, Condition, Jid, StanzaError, address, ns};

use super::access::{affiliation, may_read};
use super::config::SendLast;
use super::events::last_message;
use super::publish::{Plan, too_busy};
use super::refusals::refusal;
use super::{TRIED_MAX, Visit};
use crate::Im;
use crate::services::{Verdict, store_error};

/// XEP-0060, 6.1.3.1: one subscribes oneself.
pub(crate) fn own_jid(element: &Element, asker: &BareJid) -> Result<Jid, StanzaError> {
    let wrong = || refusal(Condition::BadRequest, "invalid-jid");
    let jid = element.attribute("jid").ok_or_else(wrong)?;
    let jid = address::parse(jid).map_err(|_| wrong())?;
    if jid.to_bare() == *asker { Ok(jid) } else { Err(wrong()) }
}

fn subscription(node: &str, jid: &Jid, state: &str) -> Element {
    Element::new("subscription", ns::PUBSUB)
        .with_attribute("node", node)
        .with_attribute("jid", jid.as_str())
        .with_attribute("subscription", state)
}

impl Im {
    pub(crate) async fn subscribe_node(
        &'static self,
        account: BareJid,
        asker: BareJid,
        node: String,
        jid: Jid,
    ) -> Verdict {
        for _ in 0..TRIED_MAX {
            let visit = self.visit(&account, &asker, &node).await?;
            may_read(&visit.config, &visit.node, &visit.relation, &asker)?;
            let expects = PepExpect::Node(visit.node.stamp);
            let mut plan = Plan::new();
            plan.does(&node, expects, PepDeed::Subscribe(vec![(jid.clone(), true)]));
            match self.carry_out_plan(&account, plan).await {
                Ok(()) => {
                    if visit.config.send_last != SendLast::Never {
                        self.send_last_to(&account, &visit, &jid).await?;
                    }
                    let done = subscription(&node, &jid, "subscribed");
                    return Ok(Some(Element::new("pubsub", ns::PUBSUB).with_child(done)));
                }
                Err(StoreError::Conflict) => {}
                Err(StoreError::Full) => {
                    return Err(refusal(Condition::PolicyViolation, "too-many-subscriptions"));
                }
                Err(error) => return Err(store_error(error)),
            }
        }
        Err(too_busy())
    }

    /// XEP-0060, 6.1.7.
    async fn send_last_to(
        &'static self,
        account: &BareJid,
        visit: &Visit,
        jid: &Jid,
    ) -> Result<(), StanzaError> {
        let newest = PepPick::Before(None, 1);
        let found = self.store.load_pep_items(account, &visit.node.name, newest, 0).await;
        let Some(item) = found.map_err(store_error)?.and_then(|found| found.items.into_iter().next()) else {
            return Ok(());
        };
        let message = last_message(account, &visit.node, &visit.config, &item)?;
        for seat in self.outlet.table().seats(&jid.to_bare()) {
            let is_it = jid.try_as_full().map_or(seat.priority() >= Some(0), |full| full == seat.jid());
            if is_it && seat.priority().is_some() {
                self.give_event(&seat, &message);
            }
        }
        Ok(())
    }

    pub(crate) async fn unsubscribe_node(
        &'static self,
        account: BareJid,
        asker: BareJid,
        node: String,
        jid: Jid,
    ) -> Verdict {
        for _ in 0..TRIED_MAX {
            let visit = self.visit(&account, &asker, &node).await?;
            if !visit.node.subscriptions.contains(&jid) {
                // XEP-0060, 6.2.3.2; who may not read it does not learn that it is there.
                may_read(&visit.config, &visit.node, &visit.relation, &asker)?;
                return Err(refusal(Condition::UnexpectedRequest, "not-subscribed"));
            }
            let mut plan = Plan::new();
            let deed = PepDeed::Subscribe(vec![(jid.clone(), false)]);
            plan.does(&node, PepExpect::Node(visit.node.stamp), deed);
            match self.carry_out_plan(&account, plan).await {
                Ok(()) => return Ok(None),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(store_error(error)),
            }
        }
        Err(too_busy())
    }

    /// What an entity subscribed to at an account; nothing also where there is no such account.
    pub(crate) async fn subscriptions_of(
        &'static self,
        account: BareJid,
        asker: BareJid,
        node: Option<String>,
    ) -> Verdict {
        let mut list = Element::new("subscriptions", ns::PUBSUB);
        for found in self.nodes_asked_for(&account, node).await? {
            for jid in found.subscriptions.iter().filter(|jid| jid.to_bare() == asker) {
                list.push(subscription(&found.name, jid, "subscribed"));
            }
        }
        Ok(Some(Element::new("pubsub", ns::PUBSUB).with_child(list)))
    }

    /// What an entity is to the nodes of an account.
    pub(crate) async fn affiliations_of(
        &'static self,
        account: BareJid,
        asker: BareJid,
        node: Option<String>,
    ) -> Verdict {
        let mut list = Element::new("affiliations", ns::PUBSUB);
        for found in self.nodes_asked_for(&account, node).await? {
            let name = match account == asker {
                true => Some("owner"),
                false => affiliation(&found, &asker).map(|affiliation| affiliation.name()),
            };
            if let Some(name) = name {
                let element = Element::new("affiliation", ns::PUBSUB).with_attribute("node", &found.name);
                list.push(element.with_attribute("affiliation", name));
            }
        }
        Ok(Some(Element::new("pubsub", ns::PUBSUB).with_child(list)))
    }

    async fn nodes_asked_for(
        &'static self,
        account: &BareJid,
        node: Option<String>,
    ) -> Result<Vec<PepNode>, StanzaError> {
        match node {
            Some(node) => {
                let found = self.store.load_pep_node(account, &node).await.map_err(store_error)?;
                Ok(found.into_iter().collect())
            }
            None => self.store.load_pep_nodes(account).await.map_err(store_error),
        }
    }
}
