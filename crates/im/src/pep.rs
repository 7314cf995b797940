//! Personal eventing (XEP-0163): each account is a publish-subscribe service (XEP-0060) of its own.
//!
//! An account's clients publish to its nodes (`publish`), it and others read them (`items`), and who wants a node's
//! events and may have them gets them (`events`): contacts by what their clients announce (`interests`), others by
//! subscribing (`subscribe`). What a node is like stands in its `config`; `access` alone says who may do what.
//! Two kinds of nodes have a second face: avatars (`avatars`) and bookmarks (`bookmarks`).
//!
//! Invariants: who may not see the account's presence is told of a node that is not open to everybody what he is told of
//! an account that does not exist. Events are told in the order of the commits.

pub(crate) mod access;
pub(crate) mod avatars;
pub(crate) mod bookmarks;
pub(crate) mod config;
pub(crate) mod discovery;
pub(crate) mod events;
pub(crate) mod interests;
pub(crate) mod items;
pub(crate) mod owner;
pub(crate) mod publish;
pub(crate) mod refusals;
pub(crate) mod service;
pub(crate) mod subscribe;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rjabberd_storage::{PepLimits, PepNode};
use rjabberd_xmpp::{BareJid, Condition, StanzaError};

use crate::Im;
use crate::services::store_error;
use access::Relation;
use config::NodeConfig;
use interests::KnownCaps;

/// How much an account may have in its nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PepSettings {
    /// Nodes.
    pub nodes_max: usize,
    /// Items of a node.
    pub items_max: usize,
    /// Bytes of an item.
    pub item_bytes_max: usize,
    /// Bytes of all items.
    pub bytes_max: usize,
}

impl Default for PepSettings {
    fn default() -> PepSettings {
        PepSettings { nodes_max: 200, items_max: 1_000, item_bytes_max: 256 << 10, bytes_max: 8 << 20 }
    }
}

/// Affiliations of a node, and as many subscriptions.
const ENTITIES_MAX: usize = 1_000;
/// Bytes of a node's name, and of an item's id: as of a part of an address.
const NAME_BYTES_MAX: usize = 1_023;
/// How often a change is decided anew because another one came between.
const TRIED_MAX: usize = 8;
/// Bytes of the items of one answer; what is more is to be asked for by XEP-0059.
const ANSWER_BYTES_MAX: usize = 1 << 20;

impl PepSettings {
    fn of_store(&self) -> PepLimits {
        PepLimits { nodes_max: self.nodes_max, bytes_max: self.bytes_max, entities_max: ENTITIES_MAX }
    }
}

/// What personal eventing knows between two requests: nothing of any account.
#[derive(Default)]
pub struct Pep {
    pub(crate) caps: KnownCaps,
    published: AtomicU64,
    events: AtomicU64,
    asked: AtomicU64,
    wrong: AtomicU64,
}

/// Counters of personal eventing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PepSnapshot {
    /// Items that were published.
    pub published: u64,
    /// Events that were given to sessions.
    pub events: u64,
    /// Sessions that were asked what they announce.
    pub caps_asked: u64,
    /// Answers whose hash was not theirs.
    pub caps_wrong: u64,
    /// Announcements that are known.
    pub caps_known: usize,
}

impl Pep {
    /// The counters, each read once.
    pub fn snapshot(&self) -> PepSnapshot {
        PepSnapshot {
            published: self.published.load(Relaxed),
            events: self.events.load(Relaxed),
            caps_asked: self.asked.load(Relaxed),
            caps_wrong: self.wrong.load(Relaxed),
            caps_known: self.caps.len(),
        }
    }
}

/// A node, and what the one who asks is to it and to its account.
pub(crate) struct Visit {
    pub(crate) node: PepNode,
    pub(crate) config: NodeConfig,
    pub(crate) relation: Relation,
}

impl Im {
    /// Finds a node for who asks; the error says no more than he may know.
    pub(crate) async fn visit(
        &'static self,
        account: &BareJid,
        asker: &BareJid,
        node: &str,
    ) -> Result<Visit, StanzaError> {
        let relation = self.relation(account, asker).await?;
        match self.store.load_pep_node(account, node).await.map_err(store_error)? {
            Some(node) => Ok(Visit { config: NodeConfig::read(&node)?, node, relation }),
            None => Err(relation.missing()),
        }
    }
}

/// Hexadecimal digits of so many random bytes: an id that nobody can guess.
fn random_id() -> Result<String, StanzaError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        log::error!(target: "im:pep", "No random number: {error}");
        StanzaError::new(Condition::InternalServerError)
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
