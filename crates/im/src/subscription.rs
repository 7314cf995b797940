//! Presence subscriptions (RFC 6121, 3 and appendix A): a subscription stanza changes the rosters of both accounts, and
//! what follows is carried out in the order in which the store committed it.
//!
//! The state machine is `rjabberd_xmpp::roster`, the transaction is the store's. Invariant: what sessions know of their
//! account ([`rjabberd_xmpp::roster::Circle`]) changes here only, and before anybody is told.

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rjabberd_session_manager::{Seat, Wish};
use rjabberd_storage::{RosterEvent, StoreError, SubscriptionChange};
use rjabberd_xmpp::roster::{Act, Circle, RosterItem};
use rjabberd_xmpp::{BareJid, Condition, FullJid, Stanza, StanzaError, StanzaKind};

use crate::roster::push_of;
use crate::services::store_error;
use crate::{Committed, Im};

/// What a subscription stanza comes to at once.
pub enum Subscribing {
    /// The sender is told this.
    Refused(StanzaError),
    /// The rosters are being changed; resolves when that is committed, or has failed and the sender was told so.
    Committing(BoxFuture<'static, Committed>),
    /// The same, and whoever may see the sender from now on is told more than his presence: that takes reading, and the
    /// sender's next stanzas wait.
    Granting(BoxFuture<'static, ()>),
    /// Nothing.
    Nothing,
}

impl Im {
    /// A session of `sender` sends a subscription stanza, between bare addresses.
    pub fn subscribe(&'static self, stanza: &Stanza, sender: &FullJid, act: Act) -> Subscribing {
        let Some(contact) = stanza.to.as_ref().map(|to| to.to_bare()) else { return Subscribing::Nothing };
        let account = sender.to_bare();
        if contact == account {
            // One sees oneself without asking (RFC 6121, 4.2.2).
            return Subscribing::Nothing;
        }
        if self.outlet.table().is_guest(&account) {
            // XEP-0175, 3: it would have to be cancelled when he goes.
            let error = StanzaError::new(Condition::NotAllowed);
            return Subscribing::Refused(error.with_text("Guests have no contacts."));
        }
        let is_here = self.hosts.contains(contact.domain().as_str());
        if act == Act::Subscribe && !is_here {
            return Subscribing::Refused(StanzaError::new(Condition::RemoteServerNotFound));
        }
        let written = Bytes::from(stanza.written());
        let change = SubscriptionChange { account, contact, is_here, act, stanza: written };
        let (mut refused, sender) = (stanza.envelope(), sender.clone());
        refused.from = Some(sender.clone().into());
        let follow = Box::new(move |result: &Result<Vec<RosterEvent>, StoreError>| match result {
            Ok(events) => self.carry_out(events),
            Err(error) => {
                if let Some(error) = refused.error(&store_error(error.clone())) {
                    self.outlet.give(&sender, error);
                }
            }
        });
        let answer = self.store.change_subscription(change, self.limits.roster_items_max, follow);
        if act != Act::Subscribed {
            return Subscribing::Committing(answer.map(|answer| Committed::of(&answer)).boxed());
        }
        let introduced = async move {
            for event in answer.await.into_iter().flatten() {
                if let RosterEvent::Granted { of, to } = event {
                    self.introduce(of, to).await;
                }
            }
        };
        Subscribing::Granting(introduced.boxed())
    }

    /// Carries out what a change of rosters comes to. Called in the order of the commits, one at a time.
    pub fn carry_out(&self, events: &[RosterEvent]) {
        // First what sessions know: one that is about to become available must not miss what the others are told now.
        for event in events {
            match event {
                RosterEvent::Changed { account, item, .. } => self.change_contact(account, item),
                RosterEvent::Removed { account, item, .. } => {
                    self.change_contact(account, &RosterItem::new(item.jid.clone()));
                }
                RosterEvent::Deliver { .. } | RosterEvent::Granted { .. } | RosterEvent::Revoked { .. } => {}
            }
        }
        for event in events {
            match event {
                RosterEvent::Changed { account, item, version } => {
                    if item.listed {
                        let push = push_of(item.to_element(), *version);
                        self.outlet.push(account, &push, |seat| seat.wishes(Wish::Roster));
                    }
                }
                RosterEvent::Removed { account, item, version } => {
                    if item.listed {
                        let push = push_of(crate::roster::removed(&item.jid), *version);
                        self.outlet.push(account, &push, |seat| seat.wishes(Wish::Roster));
                    }
                }
                RosterEvent::Deliver { act, from, to, stanza } => {
                    self.deliver_subscription(*act, from, to, stanza.as_ref());
                }
                RosterEvent::Granted { of, to } => self.granted(of, to),
                RosterEvent::Revoked { of, to } => self.revoked(of, to),
            }
        }
    }

    fn change_contact(&self, account: &BareJid, item: &RosterItem) {
        self.change_circles(account, |circle| Circle {
            contacts: circle.contacts.with(&item.jid, item.state),
            avatar: circle.avatar,
        });
    }

    /// RFC 6121, 3.1.3: requests to the available resources; 3.1.6, 3.2.3, 3.3.3: the others to the interested ones.
    fn deliver_subscription(&self, act: Act, from: &BareJid, to: &BareJid, stanza: Option<&Bytes>) {
        if self.blocklists.blocks(to, &from.clone().into()) {
            return;
        }
        let made = || {
            let written = stanza.and_then(|stanza| Stanza::from_written(stanza.clone()));
            written.unwrap_or_else(|| {
                let mut presence = Stanza::new(StanzaKind::Presence(act.presence_type()), &[]);
                (presence.from, presence.to) = (Some(from.clone().into()), Some(to.clone().into()));
                presence
            })
        };
        let chosen = |seat: &Seat| match act {
            Act::Subscribe => seat.priority().is_some(),
            Act::Subscribed | Act::Unsubscribe | Act::Unsubscribed => seat.wishes(Wish::Roster),
        };
        self.outlet.give_where(to, chosen, made);
    }
}
