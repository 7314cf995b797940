//! What is told of a node, and to whom: the owner's sessions and his contacts', where they announce that they want it
//! (XEP-0163, 4.3), and whoever subscribed (XEP-0060, 7.1.2).
//!
//! An event is a headline to a full address (XEP-0060, 12.5): it is never stored and never comes back. Who may have it
//! is looked up in what the store knew when the change was asked for; what sessions know of their account is newer, and
//! counts where there are any.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rjabberd_session_manager::Seat;
use rjabberd_storage::{PepItem, PepNode, Profile};
use rjabberd_xml::Element;
use rjabberd_xmpp::date::date_time;
use rjabberd_xmpp::roster::Circle;
use rjabberd_xmpp::{BareJid, FullJid, MessageType, Stanza, StanzaError, StanzaKind, ns};

use super::access::{Relation, may_read};
use super::config::NodeConfig;
use crate::Im;
use crate::outlet::fresh;
use crate::services::read_stored;

/// Who is told of a node.
pub(crate) struct Audience {
    pub(crate) im: &'static Im,
    pub(crate) account: BareJid,
    pub(crate) node: PepNode,
    pub(crate) config: NodeConfig,
    pub(crate) profile: Arc<Profile>,
}

impl Audience {
    /// Tells all who may know and want to. Called in the order of the commits.
    pub(crate) fn hears(&self, event: Element) {
        if !self.config.deliver_notifications {
            return;
        }
        let event = message(&self.account, event);
        let circle = self.im.circle_of(&self.account);
        let mut told = HashSet::new();
        self.tell_interested(&self.account, &event, &mut told);
        for item in &self.profile.items {
            let relation = Relation::of_item(item);
            if relation.sees && self.may_have(&item.jid, relation, circle.as_deref()) {
                self.tell_interested(&item.jid, &event, &mut told);
            }
        }
        for jid in &self.node.subscriptions {
            let subscriber = jid.to_bare();
            let relation = match subscriber == self.account {
                true => Relation { own: true, ..Relation::default() },
                false => Relation::of(&self.profile, &subscriber),
            };
            if self.may_have(&subscriber, relation, circle.as_deref()) {
                let wants = |seat: &Seat| match jid.try_as_full() {
                    Ok(full) => seat.jid() == full,
                    Err(_) => seat.priority() >= Some(0),
                };
                self.tell(&subscriber, wants, &event, &mut told);
            }
        }
    }

    /// `circle` is what the account's sessions know by now.
    fn may_have(&self, who: &BareJid, mut relation: Relation, circle: Option<&Circle>) -> bool {
        relation.sees = relation.sees && circle.is_none_or(|circle| circle.contacts.sees(who));
        !self.im.blocklists.between(&self.account, who)
            && may_read(&self.config, &self.node, &relation, who).is_ok()
    }

    fn tell_interested(&self, who: &BareJid, event: &Stanza, told: &mut HashSet<FullJid>) {
        self.tell(who, |seat| is_interested(seat, &self.node.name), event, told);
    }

    fn tell(
        &self,
        who: &BareJid,
        wants: impl Fn(&Seat) -> bool,
        event: &Stanza,
        told: &mut HashSet<FullJid>,
    ) {
        // Not under the row's lock: what a session shows has a lock of its own, which comes before it.
        for seat in self.im.outlet.table().seats(who) {
            if seat.priority().is_some() && wants(&seat) && told.insert(seat.jid().clone()) {
                self.im.give_event(&seat, event);
            }
        }
    }
}

impl Im {
    /// What the sessions of an account know of it, if one of them knows.
    fn circle_of(&self, account: &BareJid) -> Option<Arc<Circle>> {
        self.outlet.table().seats(account).iter().find_map(|seat| seat.show().circle().cloned())
    }

    pub(crate) fn give_event(&self, seat: &Seat, event: &Stanza) {
        if self.outlet.give(seat.jid(), event.addressed(seat.jid().clone())) {
            self.pep.events.fetch_add(1, Relaxed);
        }
    }
}

/// Whether a session announces that it wants this node's events (XEP-0060, 9.2).
pub(crate) fn is_interested(seat: &Seat, node: &str) -> bool {
    seat.show().interests().is_some_and(|interests| interests.nodes.iter().any(|wanted| **wanted == *node))
}

/// The message that carries an event.
pub(crate) fn message(account: &BareJid, event: Element) -> Stanza {
    let event = Element::new("event", ns::PUBSUB_EVENT).with_child(event);
    let mut message = Stanza::new(StanzaKind::Message(MessageType::Headline), &[event]);
    message.from = Some(account.clone().into());
    // XEP-0060, 12.5.
    message.id = Some(format!("event-{}", fresh()));
    message
}

/// The message that carries an item that was published before (XEP-0060, 6.1.7: with its time).
pub(crate) fn last_message(
    account: &BareJid,
    node: &PepNode,
    config: &NodeConfig,
    item: &PepItem,
) -> Result<Stanza, StanzaError> {
    let delay = Element::new("delay", ns::DELAY)
        .with_attribute("from", account.as_str())
        .with_attribute("stamp", date_time(item.published_unix_s));
    Ok(message(account, published(account, &node.name, config, item)?).with_child(&delay))
}

/// The event of an item that was published.
pub(crate) fn published(
    account: &BareJid,
    node: &str,
    config: &NodeConfig,
    item: &PepItem,
) -> Result<Element, StanzaError> {
    let element = item_element(account, ns::PUBSUB_EVENT, item, config.deliver_payloads)?;
    Ok(items(node).with_child(element))
}

/// The event of items that are gone.
pub(crate) fn retracted(node: &str, ids: &[String]) -> Element {
    let retract = |id: &String| Element::new("retract", ns::PUBSUB_EVENT).with_attribute("id", id);
    ids.iter().map(retract).fold(items(node), Element::with_child)
}

/// An event that says only which node it is about.
pub(crate) fn about(node: &str, what: &str) -> Element {
    Element::new(what, ns::PUBSUB_EVENT).with_attribute("node", node)
}

fn items(node: &str) -> Element {
    about(node, "items")
}

/// An item; the publisher is named where it is not the account itself (XEP-0060, 7.1.2.3).
pub(crate) fn item_element(
    account: &BareJid,
    namespace: &str,
    item: &PepItem,
    with_payload: bool,
) -> Result<Element, StanzaError> {
    let mut element = Element::new("item", namespace).with_attribute("id", &item.id);
    if item.publisher != *account {
        element = element.with_attribute("publisher", item.publisher.as_str());
    }
    // An item without payload is an event only (XEP-0060, 4.3).
    if with_payload && !item.payload.is_empty() {
        element.push(read_stored(item.payload.clone())?);
    }
    Ok(element)
}
