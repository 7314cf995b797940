//! Rosters and subscriptions: what an operation does to the rosters of both accounts, and the events that it comes to.
//!
//! Which state follows which is [`rjabberd_xmpp::roster`]'s; the rows are [`roster_items`](super::roster_items)'.
//!
//! Invariant: the two accounts of a subscription have their halves of it in step, because both change in one
//! transaction. So whoever has anything to do with an account stands in that account's own rows; only a pre-approval
//! (RFC 6121, 3.4) has no other side.

use super::connection::Connection;
use bytes::Bytes;
use rjabberd_xmpp::address::BareJid;
use rjabberd_xmpp::roster::{Act, Half, RosterItem, SubscriptionState};

use super::cache::Changes;
use super::roster_items::{self as items, Owner};
use crate::error::StoreError;
use crate::store::{RosterEdit, RosterEvent, RosterVersion, SubscriptionChange};

type Result<T> = std::result::Result<T, StoreError>;

/// Most bytes of all requests that wait for the answer of one account (RFC 6121, 3.1.3, the second warning).
const REQUESTS_BYTES_MAX: usize = 1024 * 1024;

/// Adds an item or changes its name and groups. One that is as it was is pushed all the same (RFC 6121, 2.4.2).
pub(crate) fn set_item(
    connection: &Connection,
    changes: &mut Changes,
    account: &BareJid,
    edit: RosterEdit,
    items_max: usize,
) -> Result<Vec<RosterEvent>> {
    let mut rosters = Rosters::new(connection, changes, items_max);
    let mut owner = items::owner(connection, account)?.ok_or(StoreError::NotFound)?;
    let before = rosters.item(&owner, &edit.jid)?;
    let mut after = before.clone();
    (after.name, after.groups, after.listed) = (edit.name, edit.groups, true);
    if before == after {
        let version = owner.version();
        rosters.events.push(RosterEvent::Changed { account: account.clone(), item: after, version });
    } else {
        rosters.put(&mut owner, before, after, None)?;
    }
    Ok(rosters.events)
}

/// Removes an item and ends both subscriptions (RFC 6121, 2.5.2).
pub(crate) fn remove_item(
    connection: &Connection,
    changes: &mut Changes,
    account: &BareJid,
    contact: &BareJid,
) -> Result<Vec<RosterEvent>> {
    let mut rosters = Rosters::new(connection, changes, usize::MAX);
    let mut owner = items::owner(connection, account)?.ok_or(StoreError::NotFound)?;
    let before = rosters.item(&owner, contact)?;
    if !before.listed {
        return Err(StoreError::NotFound);
    }
    let state = before.state;
    rosters.put(&mut owner, before, RosterItem::new(contact.clone()), None)?;
    rosters.end(account, contact, state)?;
    Ok(rosters.events)
}

/// Carries a subscription stanza out.
pub(crate) fn change_subscription(
    connection: &Connection,
    changes: &mut Changes,
    change: &SubscriptionChange,
    items_max: usize,
) -> Result<Vec<RosterEvent>> {
    let mut rosters = Rosters::new(connection, changes, items_max);
    let mut sender = items::owner(connection, &change.account)?.ok_or(StoreError::NotFound)?;
    let (routed, granted) = rosters.send(&mut sender, &change.contact, change.act)?;
    if routed {
        rosters.route(&mut sender, change)?;
    }
    // Only now: presence follows the approval (RFC 6121, 3.1.6).
    if granted {
        rosters.granted(&change.account, &change.contact);
    }
    Ok(rosters.events)
}

/// Ends all that an account has with others, before it is removed: each contact gets what it would get if the item were
/// removed from the roster, and nobody keeps an approval that the next owner of the address could use.
pub(crate) fn end_all(
    connection: &Connection,
    changes: &mut Changes,
    account: &BareJid,
) -> Result<Vec<RosterEvent>> {
    let mut rosters = Rosters::new(connection, changes, usize::MAX);
    let owner = items::owner(connection, account)?.ok_or(StoreError::NotFound)?;
    for item in items::of(connection, &owner)? {
        rosters.end(account, &item.jid, item.state)?;
    }
    for approver in items::approvers(connection, account)? {
        let mut approver = items::owner(connection, &approver)?.ok_or(StoreError::NotFound)?;
        let before = rosters.item(&approver, account)?;
        let mut after = before.clone();
        after.state.approved = false;
        rosters.put(&mut approver, before, after, None)?;
    }
    Ok(rosters.events)
}

/// An operation on rosters.
struct Rosters<'a> {
    connection: &'a Connection,
    changes: &'a mut Changes,
    items_max: usize,
    events: Vec<RosterEvent>,
}

impl<'a> Rosters<'a> {
    fn new(connection: &'a Connection, changes: &'a mut Changes, items_max: usize) -> Rosters<'a> {
        Rosters { connection, changes, items_max, events: Vec::new() }
    }

    /// The item of a contact, or one of whom nothing is known.
    fn item(&self, owner: &Owner, contact: &BareJid) -> Result<RosterItem> {
        let item = items::find(self.connection, owner, contact)?;
        Ok(item.unwrap_or_else(|| RosterItem::new(contact.clone())))
    }

    /// Makes an item what it is now, with the request that it waits with. Where nothing is left of one that the roster
    /// does not show, nothing is kept.
    fn put(
        &mut self,
        owner: &mut Owner,
        before: RosterItem,
        after: RosterItem,
        request: Option<&Bytes>,
    ) -> Result<()> {
        let is_new = !before.listed && before.state.is_nothing();
        let is_left = after.listed || !after.state.is_nothing();
        self.changes.profile(&owner.account);
        if is_left && (is_new || before.listed != after.listed) {
            self.has_place(owner, after.listed)?;
        }
        if let Some(request) = request {
            self.has_room(owner, request)?;
        }
        if before.listed || after.listed {
            items::count_change(self.connection, owner)?;
        }
        let (account, version) = (owner.account.clone(), owner.version());
        self.events.push(if is_left {
            items::write(self.connection, owner, &after, request)?;
            RosterEvent::Changed { account, item: after, version }
        } else {
            items::delete(self.connection, owner, &before.jid)?;
            RosterEvent::Removed { account, item: before, version }
        });
        Ok(())
    }

    /// Contacts that are listed and those that only ask are counted apart: strangers cannot fill somebody's roster.
    fn has_place(&self, owner: &Owner, listed: bool) -> Result<()> {
        let count = items::count(self.connection, owner, listed)?;
        if count < self.items_max { Ok(()) } else { Err(StoreError::Full) }
    }

    fn has_room(&self, owner: &Owner, request: &Bytes) -> Result<()> {
        let bytes = items::request_bytes(self.connection, owner)?.saturating_add(request.len());
        if bytes <= REQUESTS_BYTES_MAX { Ok(()) } else { Err(StoreError::Full) }
    }

    /// The account sends a subscription stanza (RFC 6121, A.2). Says whether it goes to the contact, and whether the
    /// contact may see the account from now on.
    fn send(&mut self, owner: &mut Owner, contact: &BareJid, act: Act) -> Result<(bool, bool)> {
        let before = self.item(owner, contact)?;
        let (state, outbound) = (before.state, before.state.outbound(act));
        let mut after = before.clone();
        after.state = outbound.state;
        after.listed |= match act {
            Act::Subscribe => true,
            // Also a pre-approval (RFC 6121, 3.4.2, 4).
            Act::Subscribed => after.state != state,
            Act::Unsubscribe | Act::Unsubscribed => false,
        };
        if before != after {
            self.put(owner, before, after, None)?;
        }
        // Before the stanza: the contact must still see the account go (RFC 6121, 3.2.2).
        if state.from == Half::Granted && outbound.state.from != Half::Granted {
            self.revoked(&owner.account, contact);
        }
        let granted = state.from != Half::Granted && outbound.state.from == Half::Granted;
        Ok((outbound.route, granted))
    }

    /// Brings a subscription stanza that is to be routed to the contact, and what is answered on the contact's behalf
    /// back to the sender.
    fn route(&mut self, sender: &mut Owner, change: &SubscriptionChange) -> Result<()> {
        let SubscriptionChange { account, contact, act, stanza, is_here } = change;
        if !is_here {
            self.deliver(*act, account, contact, Some(stanza));
            return Ok(());
        }
        let Some(mut owner) = items::owner(self.connection, contact)? else {
            // The sender must learn that there is nobody (RFC 6121, 3.1.2), and the item must not ask for ever: it would
            // ask whoever gets that address later. So it is refused as the contact would refuse it (A.3.4).
            if *act == Act::Subscribe {
                self.receive(sender, contact, Act::Unsubscribed, None)?;
            }
            return Ok(());
        };
        let (reply, granted) = self.receive(&mut owner, account, *act, Some(stanza))?;
        if let Some(reply) = reply {
            self.receive(sender, contact, reply, None)?;
        }
        if granted {
            self.granted(contact, account);
        }
        Ok(())
    }

    /// A subscription stanza of `from` reaches an account (RFC 6121, A.3): first the stanza, then the push (3.1.6,
    /// 3.2.3, 3.3.3). Gives what is answered on the account's behalf, and whether `from` may see it from now on.
    fn receive(
        &mut self,
        owner: &mut Owner,
        from: &BareJid,
        act: Act,
        stanza: Option<&Bytes>,
    ) -> Result<(Option<Act>, bool)> {
        let before = self.item(owner, from)?;
        let (state, inbound) = (before.state, before.state.inbound(act));
        if inbound.deliver {
            self.deliver(act, from, &owner.account, stanza);
        }
        if state != inbound.state {
            let mut after = before.clone();
            after.state = inbound.state;
            let is_request = state.from != Half::Pending && inbound.state.from == Half::Pending;
            self.put(owner, before, after, stanza.filter(|_| is_request))?;
        }
        if state.from == Half::Granted && inbound.state.from != Half::Granted {
            self.revoked(&owner.account, from);
        }
        let granted = state.from != Half::Granted && inbound.state.from == Half::Granted;
        Ok((inbound.reply, granted))
    }

    /// What the contact sees of the end of both subscriptions, where the account's side is gone already: so what would
    /// be answered to it changes nothing. A request that was not answered is refused.
    fn end(&mut self, account: &BareJid, contact: &BareJid, state: SubscriptionState) -> Result<()> {
        if account == contact {
            return Ok(());
        }
        if state.from == Half::Granted {
            self.revoked(account, contact);
        }
        let mut owner = None;
        if (state.to, state.from) != (Half::None, Half::None) {
            owner = items::owner(self.connection, contact)?;
        }
        for (act, half) in [(Act::Unsubscribe, state.to), (Act::Unsubscribed, state.from)] {
            match &mut owner {
                _ if half == Half::None => {}
                Some(owner) => drop(self.receive(owner, account, act, None)?),
                None => self.deliver(act, account, contact, None),
            }
        }
        Ok(())
    }

    fn deliver(&mut self, act: Act, from: &BareJid, to: &BareJid, stanza: Option<&Bytes>) {
        let (from, to, stanza) = (from.clone(), to.clone(), stanza.cloned());
        self.events.push(RosterEvent::Deliver { act, from, to, stanza });
    }

    fn granted(&mut self, of: &BareJid, to: &BareJid) {
        self.events.push(RosterEvent::Granted { of: of.clone(), to: to.clone() });
    }

    fn revoked(&mut self, of: &BareJid, to: &BareJid) {
        self.events.push(RosterEvent::Revoked { of: of.clone(), to: to.clone() });
    }
}

impl Owner {
    fn version(&self) -> RosterVersion {
        RosterVersion { account: self.id, changes: self.changes }
    }
}
