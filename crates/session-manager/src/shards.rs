//! The session managers of a server: each owns the rows of its share of the accounts.
//!
//! One on each arbiter, so that a claim is often answered on the thread that asks, and never wakes a thread that does
//! nothing else. Invariant: an account has one session manager for as long as the server runs, so all that concerns its
//! rows still happens in one actor, in order.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use rjabberd_xmpp::{BareJid, FullJid};

use crate::{SessionManagerPorts, table::bare};

/// The ports of all session managers.
#[derive(Clone, Debug)]
pub struct SessionManagers(Arc<Shards>);

#[derive(Debug)]
struct Shards {
    ports: Vec<SessionManagerPorts>,
    // Names are a stranger's choice: nobody can load one session manager with all of his.
    hasher: RandomState,
}

impl SessionManagers {
    /// These session managers, which share one table; at least one.
    ///
    /// # Panics
    /// There is none.
    pub fn new(ports: Vec<SessionManagerPorts>) -> SessionManagers {
        assert!(!ports.is_empty(), "a server has a session manager");
        SessionManagers(Arc::new(Shards { ports, hasher: RandomState::new() }))
    }

    /// The one that owns the rows of an account.
    pub fn of(&self, account: &BareJid) -> &SessionManagerPorts {
        self.of_text(account.as_str())
    }

    /// The one that owns the row of a session.
    pub fn of_session(&self, jid: &FullJid) -> &SessionManagerPorts {
        self.of_text(bare(jid))
    }

    fn of_text(&self, account: &str) -> &SessionManagerPorts {
        let Shards { ports, hasher } = &*self.0;
        &ports[hasher.hash_one(account) as usize % ports.len()]
    }
}

impl From<SessionManagerPorts> for SessionManagers {
    fn from(ports: SessionManagerPorts) -> SessionManagers {
        SessionManagers::new(vec![ports])
    }
}
