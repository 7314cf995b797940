//! Who may do what with a node (XEP-0060, 4.1, 4.5), and what he is told who may not.
//!
//! Invariant: whoever may not see the account's presence gets the same answer whether a node, or the account, exists or
//! not; unless the node is open to everybody, or he stands on its list.

use rjabberd_storage::{PepAffiliation, PepNode, Profile};
use rjabberd_xmpp::roster::{Half, RosterItem};
use rjabberd_xmpp::{BareJid, Condition, StanzaError};

use super::config::{AccessModel, NodeConfig, PublishModel};
use super::refusals::refusal;
use crate::Im;
use crate::services::store_error;

/// What somebody is to an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Relation {
    /// It is his own.
    pub(crate) own: bool,
    /// He may see its presence.
    pub(crate) sees: bool,
    /// The groups of its roster that he is in.
    pub(crate) groups: Vec<String>,
}

impl Relation {
    /// What a profile says of somebody else.
    pub(crate) fn of(profile: &Profile, other: &BareJid) -> Relation {
        let item = profile.items.iter().find(|item| item.jid == *other);
        item.map(Relation::of_item).unwrap_or_default()
    }

    /// The same of one who is listed.
    pub(crate) fn of_item(item: &RosterItem) -> Relation {
        match item.state.from {
            Half::Granted => Relation { own: false, sees: true, groups: item.groups.clone() },
            Half::None | Half::Pending => Relation::default(),
        }
    }

    /// Whether he may know what there is and what is not.
    pub(crate) fn knows(&self) -> bool {
        self.own || self.sees
    }

    /// XEP-0060, 6.5.9.8: for who may not see the account's presence, whatever he asked for.
    pub(crate) fn hidden() -> StanzaError {
        refusal(Condition::NotAuthorized, "presence-subscription-required")
    }

    /// There is no such node, or he may not know.
    pub(crate) fn missing(&self) -> StanzaError {
        if self.knows() { StanzaError::new(Condition::ItemNotFound) } else { Relation::hidden() }
    }

    /// He may not do that, or not even know what there is.
    pub(crate) fn forbidden(&self) -> StanzaError {
        if self.knows() { StanzaError::new(Condition::Forbidden) } else { Relation::hidden() }
    }
}

/// What somebody was made to a node.
pub(crate) fn affiliation(node: &PepNode, who: &BareJid) -> Option<PepAffiliation> {
    node.affiliations.iter().find(|(jid, _)| jid == who).map(|(_, affiliation)| *affiliation)
}

/// Whether he may configure it, empty it and take it away.
pub(crate) fn is_owner(relation: &Relation, node: &PepNode, who: &BareJid) -> bool {
    relation.own || affiliation(node, who) == Some(PepAffiliation::Owner)
}

/// Whether he may read its items and have its events (XEP-0060, 6.1.3 and 6.5.9).
pub(crate) fn may_read(
    config: &NodeConfig,
    node: &PepNode,
    relation: &Relation,
    who: &BareJid,
) -> Result<(), StanzaError> {
    if relation.own {
        return Ok(());
    }
    match affiliation(node, who) {
        Some(PepAffiliation::Owner | PepAffiliation::Publisher | PepAffiliation::Member) => return Ok(()),
        Some(PepAffiliation::Outcast) => return Err(relation.forbidden()),
        None => {}
    }
    match config.access {
        AccessModel::Open => Ok(()),
        _ if !relation.sees => Err(Relation::hidden()),
        AccessModel::Presence => Ok(()),
        AccessModel::Roster if relation.groups.iter().any(|group| config.groups.contains(group)) => Ok(()),
        AccessModel::Roster => Err(refusal(Condition::NotAuthorized, "not-in-roster-group")),
        AccessModel::Whitelist => Err(refusal(Condition::NotAllowed, "closed-node")),
    }
}

/// Whether he may publish there (XEP-0060, 7.1.3.1).
pub(crate) fn may_publish(
    config: &NodeConfig,
    node: &PepNode,
    relation: &Relation,
    who: &BareJid,
) -> Result<(), StanzaError> {
    if is_owner(relation, node, who) || affiliation(node, who) == Some(PepAffiliation::Publisher) {
        return Ok(());
    }
    may_read(config, node, relation, who)?;
    match config.publish {
        PublishModel::Open => Ok(()),
        PublishModel::Subscribers if node.subscriptions.iter().any(|jid| jid.to_bare() == *who) => Ok(()),
        PublishModel::Subscribers | PublishModel::Publishers => Err(relation.forbidden()),
    }
}

impl Im {
    /// What somebody is to an account; nothing where there is no such account, or one of the two blocks the other.
    pub(crate) async fn relation(
        &'static self,
        account: &BareJid,
        asker: &BareJid,
    ) -> Result<Relation, StanzaError> {
        if account == asker {
            return Ok(Relation { own: true, ..Relation::default() });
        }
        if self.blocklists.between(account, asker) {
            return Ok(Relation::default());
        }
        let profile = self.store.load_profile(account).await.map_err(store_error)?;
        Ok(profile.map(|profile| Relation::of(&profile, asker)).unwrap_or_default())
    }
}
