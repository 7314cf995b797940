//! Blocking Command (XEP-0191): who has blocked whom, in memory, so that a sender asks no store.

use std::sync::Arc;

use dashmap::DashMap;
use rjabberd_xmpp::{BareJid, Jid};

/// The block lists of all accounts that have one.
#[derive(Default)]
pub struct Blocklists {
    lists: DashMap<BareJid, Arc<[Jid]>>,
}

impl Blocklists {
    /// Whether `account` has blocked `other`.
    pub fn blocks(&self, account: &BareJid, other: &Jid) -> bool {
        !self.lists.is_empty()
            && self.lists.get(account).is_some_and(|list| list.iter().any(|blocked| matches(blocked, other)))
    }

    /// The account is gone.
    pub(crate) fn forget(&self, account: &BareJid) {
        self.lists.remove(account);
    }

    /// Whether one of two accounts has blocked the other.
    pub fn between(&self, one: &BareJid, other: &BareJid) -> bool {
        !self.lists.is_empty()
            && (self.blocks(one, &other.clone().into()) || self.blocks(other, &one.clone().into()))
    }
}

/// XEP-0191, 3: a blocked address stands for itself and for all that it contains.
fn matches(blocked: &Jid, other: &Jid) -> bool {
    blocked == other || (blocked.is_bare() && blocked.node().is_some() && other.to_bare() == *blocked)
}
