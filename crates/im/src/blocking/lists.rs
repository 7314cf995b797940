//! Who has blocked whom, in memory, so that a sender asks no store; and what a block makes of a stanza (XEP-0191, 3.3).
//!
//! Invariant: what is here was committed before, and in that order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use dashmap::DashMap;
use rjabberd_xml::Element;
use rjabberd_xmpp::{
    BareJid, Condition, ErrorType, FullJid, IqType, Jid, MessageType, Stanza, StanzaError, StanzaKind, ns,
};

/// The block lists of all accounts that have one.
#[derive(Default)]
pub struct Blocklists {
    /// By bare JID, as text, so that a sender finds a list without making an address of its own; each sorted.
    lists: DashMap<Box<str>, Arc<[Jid]>>,
    /// How many there are: to ask the map would be to lock each of its parts.
    count: AtomicUsize,
}

/// What a block makes of a stanza.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nobody has blocked anybody.
    Pass,
    /// Nobody is told.
    Drop,
    /// The sender is told this.
    Refuse(StanzaError),
}

impl Blocklists {
    /// Whom `account` has blocked, in order.
    pub fn of(&self, account: &BareJid) -> Arc<[Jid]> {
        self.lists.get(account.as_str()).map(|list| list.clone()).unwrap_or_default()
    }

    /// Whether `account` has blocked `other`.
    pub fn blocks(&self, account: &BareJid, other: &Jid) -> bool {
        !self.is_empty() && self.has(account.as_str(), other)
    }

    /// Whether one of two accounts has blocked the other.
    pub fn between(&self, one: &BareJid, other: &BareJid) -> bool {
        !self.is_empty()
            && (self.blocks(one, &other.clone().into()) || self.blocks(other, &one.clone().into()))
    }

    /// Whether what a session shows is hidden from an account: by a block of one of the two.
    pub fn hides(&self, shown: &FullJid, from: &BareJid) -> bool {
        !self.is_empty()
            && (self.has(from.as_str(), &shown.clone().into())
                || self.has(bare(&shown.clone().into()), &from.clone().into()))
    }

    /// What becomes of a stanza whose `from` is stamped.
    ///
    /// Between a user's own resources, and between him and his own server, nothing is blocked, also where he has blocked
    /// his whole domain (XEP-0191, 5, with XEP-0016, 2.1): or he could not unblock it.
    pub fn verdict(&self, stanza: &Stanza) -> Verdict {
        if self.is_empty() {
            return Verdict::Pass;
        }
        let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else { return Verdict::Pass };
        let at_home = from.domain() == to.domain() && (from.node().is_none() || to.node().is_none());
        if at_home || bare(from) == bare(to) {
            return Verdict::Pass;
        }
        if self.has(bare(from), to) {
            return outbound(stanza);
        }
        if self.has(bare(to), from) {
            return inbound(stanza.kind);
        }
        Verdict::Pass
    }

    /// Puts a list in the place of the one that an account had, which is given back.
    pub(crate) fn set(&self, account: &BareJid, mut list: Vec<Jid>) -> Arc<[Jid]> {
        list.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        let old = if list.is_empty() {
            self.lists.remove(account.as_str()).map(|(_, old)| old)
        } else {
            self.count.fetch_add(1, Relaxed);
            self.lists.insert(account.as_str().into(), list.into())
        };
        if old.is_some() {
            self.count.fetch_sub(1, Relaxed);
        }
        old.unwrap_or_default()
    }

    /// Forgets the list of an account that was removed: another may get its address.
    pub fn forget(&self, account: &BareJid) {
        self.set(account, Vec::new());
    }

    fn is_empty(&self) -> bool {
        self.count.load(Relaxed) == 0
    }

    fn has(&self, account: &str, other: &Jid) -> bool {
        self.lists.get(account).is_some_and(|list| matches(&list, other))
    }
}

/// The address without its resource, as text.
fn bare(jid: &Jid) -> &str {
    let text = jid.as_str();
    match jid.resource() {
        Some(resource) => &text[..text.len() - resource.as_str().len() - 1],
        None => text,
    }
}

/// XEP-0191, 6, in that order: the address itself, its account, its domain. (An account or a server without its resource
/// is the address itself.)
fn matches(list: &[Jid], other: &Jid) -> bool {
    let holds = |text: &str| list.binary_search_by(|blocked| blocked.as_str().cmp(text)).is_ok();
    holds(other.as_str()) || holds(bare(other)) || holds(other.domain().as_str())
}

/// Whether a blocked address stands for all of an account.
pub(crate) fn covers(blocked: &Jid, account: &BareJid) -> bool {
    blocked.as_str() == account.as_str() || blocked.as_str() == account.domain().as_str()
}

/// XEP-0191, 3.3: what the blocker himself sends to who is blocked. The type of the error is that of the example.
fn outbound(stanza: &Stanza) -> Verdict {
    if stanza.is_error() || stanza.kind == StanzaKind::Iq(IqType::Result) {
        return Verdict::Drop;
    }
    let mut error = StanzaError::new(Condition::NotAcceptable)
        .with_application(Element::new("blocked", ns::BLOCKING_ERRORS));
    error.error_type = ErrorType::Cancel;
    Verdict::Refuse(error)
}

/// XEP-0191, 3.3: what comes from who is blocked. The blocker seems to be offline.
fn inbound(kind: StanzaKind) -> Verdict {
    match kind {
        StanzaKind::Presence(_)
        | StanzaKind::Message(MessageType::Error)
        | StanzaKind::Iq(IqType::Result | IqType::Error) => Verdict::Drop,
        StanzaKind::Message(_) | StanzaKind::Iq(IqType::Get | IqType::Set) => {
            Verdict::Refuse(StanzaError::new(Condition::ServiceUnavailable))
        }
    }
}

#[cfg(test)]
mod tests;
