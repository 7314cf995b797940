//! Delivery to the sessions of an account (RFC 6121, 8.5.2 and 8.5.3): who gets a stanza, and what it comes to if
//! nobody does.

use std::sync::Arc;

use rjabberd_session_manager::{Parcel, Seat};
use rjabberd_xmpp::{BareJid, Condition, IqType, Jid, MessageType, Stanza, StanzaError, StanzaKind};

use crate::{Routed, Router};

impl Router {
    pub(crate) fn parcel(&self, stanza: Stanza) -> Arc<Parcel> {
        Parcel::new(stanza, self.inner)
    }

    /// RFC 6121, 8.5.3: a full JID.
    pub(crate) fn to_full(&self, stanza: Stanza) -> Routed {
        self.parcel_to_full(&self.parcel(stanza))
    }

    pub(crate) fn parcel_to_full(&self, parcel: &Arc<Parcel>) -> Routed {
        let to = parcel.stanza().to.as_ref().and_then(|to| to.try_as_full().ok());
        if to.is_some_and(|to| self.inner.table.deliver_to(to, parcel)) {
            self.inner.counters.delivered();
            return Routed::Done;
        }
        // 8.5.3.2: no such resource.
        let stanza = take_back(parcel);
        match stanza.kind {
            StanzaKind::Message(MessageType::Chat) => match stanza.to.as_ref().map(Jid::to_bare) {
                Some(account) => self.to_bare(stanza, &account),
                None => Routed::Done,
            },
            StanzaKind::Message(MessageType::Normal | MessageType::Groupchat)
            | StanzaKind::Iq(IqType::Get | IqType::Set) => {
                self.bounce(&stanza, Condition::ServiceUnavailable)
            }
            StanzaKind::Message(MessageType::Headline | MessageType::Error)
            | StanzaKind::Presence(_)
            | StanzaKind::Iq(IqType::Result | IqType::Error) => {
                self.inner.counters.dropped();
                Routed::Done
            }
        }
    }

    /// RFC 6121, 8.5.2: a bare JID; requests for the account itself do not come here.
    pub(crate) fn to_bare(&self, stanza: Stanza, account: &BareJid) -> Routed {
        match stanza.kind {
            StanzaKind::Message(MessageType::Normal | MessageType::Chat) => {
                self.to_chosen(stanza, account, most_available)
            }
            // 8.5.2.1.1: to all that want messages; not an error where there is none.
            StanzaKind::Message(MessageType::Headline) => self.to_any(stanza, account, wants_messages),
            StanzaKind::Message(MessageType::Groupchat) => {
                self.bounce(&stanza, Condition::ServiceUnavailable)
            }
            // 8.5.2.1.2: to all available resources.
            StanzaKind::Presence(_) => self.to_any(stanza, account, |_, seat| seat.priority().is_some()),
            StanzaKind::Message(MessageType::Error) | StanzaKind::Iq(_) => {
                self.inner.counters.dropped();
                Routed::Done
            }
        }
    }

    /// To whoever is there; nobody's loss where nobody is.
    fn to_any(&self, stanza: Stanza, account: &BareJid, chosen: fn(&[Arc<Seat>], &Seat) -> bool) -> Routed {
        let parcel = self.parcel(stanza);
        match self.inner.table.deliver_where(account, &parcel, chosen) {
            0 => self.inner.counters.dropped(),
            _ => self.inner.counters.delivered(),
        }
        parcel.delivered();
        Routed::Done
    }

    fn to_chosen(
        &self,
        stanza: Stanza,
        account: &BareJid,
        chosen: fn(&[Arc<Seat>], &Seat) -> bool,
    ) -> Routed {
        let parcel = self.parcel(stanza);
        if self.inner.table.deliver_where(account, &parcel, chosen) > 0 {
            self.inner.counters.delivered();
            return Routed::Done;
        }
        // 8.5.1, 8.5.2.2: no such user and nobody there are not told apart.
        self.bounce(&take_back(&parcel), Condition::ServiceUnavailable)
    }

    /// The error to the sender. That of a message goes by the sender's own mailbox, as one does that comes from a session
    /// which took the message and gave it back: so a sender's errors are in the order of its messages.
    fn bounce(&self, stanza: &Stanza, condition: Condition) -> Routed {
        self.bounce_with(stanza, &StanzaError::new(condition))
    }

    pub(crate) fn bounce_with(&self, stanza: &Stanza, error: &StanzaError) -> Routed {
        let Some(error) = stanza.error(error) else {
            self.inner.counters.dropped();
            return Routed::Done;
        };
        self.inner.counters.bounced();
        match error.to.as_ref().map(|to| to.try_as_full()) {
            Some(Ok(sender)) if matches!(error.kind, StanzaKind::Message(_)) => {
                self.give(&sender.clone(), error);
                Routed::Done
            }
            _ => Routed::Reply(error),
        }
    }
}

/// Nobody took it: the stanza again, and no second way back for it.
fn take_back(parcel: &Arc<Parcel>) -> Stanza {
    parcel.delivered();
    parcel.stanza().clone()
}

/// RFC 6121, 8.5.2.1.1: the "most available" resources: those that share the highest priority, if it is not negative.
fn most_available(seats: &[Arc<Seat>], seat: &Seat) -> bool {
    let highest = seats.iter().filter_map(|seat| seat.priority()).max();
    wants_messages(seats, seat) && seat.priority() == highest
}

fn wants_messages(_: &[Arc<Seat>], seat: &Seat) -> bool {
    seat.priority().is_some_and(|priority| priority >= 0)
}
