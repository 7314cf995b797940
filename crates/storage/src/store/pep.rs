//! The operations on the nodes of an account (XEP-0163, XEP-0060): what they are asked for, and what they answer.
//!
//! A node's config is a text of the caller's, and who may do what is for the caller. What a change was decided upon is
//! named by a [`PepStamp`]: where that is not so any more, nothing changes, and the caller decides anew.

use rjabberd_xmpp::Jid;
use rjabberd_xmpp::address::BareJid;

use super::{Answer, Follow, absent, refused};

/// The state of a node, for comparison only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PepStamp {
    /// Which node, of all that there ever were.
    pub node: i64,
    /// Changes of its config, its affiliations and its subscriptions.
    pub changes: i64,
    /// Changes of its items.
    pub items: i64,
}

/// What an entity is to a node (XEP-0060, 4.1); whoever is none of these is not listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the XEP's names, one to one")]
pub enum PepAffiliation {
    Owner,
    Publisher,
    Member,
    Outcast,
}

impl PepAffiliation {
    /// As it stands on the wire.
    pub fn name(self) -> &'static str {
        match self {
            PepAffiliation::Owner => "owner",
            PepAffiliation::Publisher => "publisher",
            PepAffiliation::Member => "member",
            PepAffiliation::Outcast => "outcast",
        }
    }

    /// The affiliation of this name.
    pub fn from_name(name: &str) -> Option<PepAffiliation> {
        use PepAffiliation::{Member, Outcast, Owner, Publisher};
        [Owner, Publisher, Member, Outcast].into_iter().find(|affiliation| affiliation.name() == name)
    }
}

/// A node, without its items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PepNode {
    /// Its name.
    pub name: String,
    /// As the caller wrote it.
    pub config: String,
    /// Its state.
    pub stamp: PepStamp,
    /// How many items it has.
    pub items: usize,
    /// Who is something to it, in the order of the addresses; the account itself is not listed.
    pub affiliations: Vec<(BareJid, PepAffiliation)>,
    /// Who subscribed to it, in the order of the addresses.
    pub subscriptions: Vec<Jid>,
}

/// What was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PepItem {
    /// Its name within the node.
    pub id: String,
    /// Whose session published it.
    pub publisher: BareJid,
    /// When, in seconds since 1970.
    pub published_unix_s: i64,
    /// The element.
    pub payload: String,
}

/// Which items are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PepPick {
    /// These, as far as they are there.
    Ids(Vec<String>),
    /// Up to so many, from the oldest on or from behind this one.
    After(Option<String>, usize),
    /// Up to so many, the newest or those right before this one.
    Before(Option<String>, usize),
}

/// A node and some of its items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PepItems {
    /// The node.
    pub node: PepNode,
    /// The items in the order of their publication, the oldest first.
    pub items: Vec<PepItem>,
    /// Whether nothing was left out of what was asked for, for want of room.
    pub is_whole: bool,
}

/// The newest item of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PepLast {
    /// Whose node.
    pub account: BareJid,
    /// The node.
    pub node: PepNode,
    /// The item.
    pub item: PepItem,
}

/// What must be so, or a change is [`StoreError::Conflict`](crate::StoreError::Conflict).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PepExpect {
    /// There is no such node.
    Absent,
    /// It is the same node, its config, affiliations and subscriptions are as they were.
    Node(PepStamp),
    /// The same, and so are its items.
    State(PepStamp),
    /// There is such a node: [`StoreError::NotFound`](crate::StoreError::NotFound) otherwise.
    Any,
}

/// A change of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PepChange {
    /// Which node.
    pub node: String,
    /// What must be so.
    pub expects: PepExpect,
    /// What is done.
    pub deed: PepDeed,
}

/// What is done to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PepDeed {
    /// It is made, with this config.
    Create(String),
    /// It gets this config; the oldest items beyond so many go.
    Configure(String, usize),
    /// An item is published, in the place of one of the same id; the oldest items beyond so many go.
    Publish(PepItem, usize),
    /// These items go; [`StoreError::NotFound`](crate::StoreError::NotFound) if one of them is not there.
    Retract(Vec<String>),
    /// All items go.
    Purge,
    /// It goes.
    Delete,
    /// Entities become something to it, or nothing.
    Affiliate(Vec<(BareJid, Option<PepAffiliation>)>),
    /// Entities subscribe, or end that.
    Subscribe(Vec<(Jid, bool)>),
    /// Nothing; the change stands for its place in the order.
    Nothing,
}

/// How much an account may have in its nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PepLimits {
    /// Nodes.
    pub nodes_max: usize,
    /// Bytes of the ids and payloads of all items.
    pub bytes_max: usize,
    /// Affiliations of a node, and as many subscriptions.
    pub entities_max: usize,
}

/// The operations.
pub trait PepStore {
    /// All nodes of an account in the order of their names; none also where there is no such account.
    fn load_pep_nodes(&self, account: &BareJid) -> Answer<Vec<PepNode>> {
        let _ = account;
        absent()
    }

    /// One node.
    fn load_pep_node(&self, account: &BareJid, node: &str) -> Answer<Option<PepNode>> {
        let _ = (account, node);
        absent()
    }

    /// Items of a node, as many as are not more than `bytes_max` together but at least one; `None` if there is no such
    /// node. [`StoreError::NotFound`](crate::StoreError::NotFound) where it has no item of the id that is named for
    /// [`PepPick::After`] or [`PepPick::Before`].
    fn load_pep_items(
        &self,
        account: &BareJid,
        node: &str,
        pick: PepPick,
        bytes_max: usize,
    ) -> Answer<Option<PepItems>> {
        let _ = (account, node, pick, bytes_max);
        absent()
    }

    /// The newest item of each of these accounts' nodes that has one of these names and an item. What comes when
    /// `bytes_max` bytes are passed is left out.
    fn load_pep_last(
        &self,
        accounts: Vec<BareJid>,
        nodes: Vec<String>,
        bytes_max: usize,
    ) -> Answer<Vec<PepLast>> {
        let _ = (accounts, nodes, bytes_max);
        absent()
    }

    /// Carries these changes out, all of them or, on an error, none; says for each which items went by it, but for one
    /// that was published anew. [`StoreError::NotFound`](crate::StoreError::NotFound) if there is no such account,
    /// [`StoreError::Full`](crate::StoreError::Full) where it would be more than the account may have,
    /// [`StoreError::Conflict`](crate::StoreError::Conflict) where something is not as expected.
    fn change_pep(
        &self,
        account: &BareJid,
        changes: Vec<PepChange>,
        limits: PepLimits,
        follow: Follow<Vec<Vec<String>>>,
    ) -> Answer<Vec<Vec<String>>> {
        let _ = (account, changes, limits);
        refused(follow)
    }
}
