//! Delivery to the sessions of an account (RFC 6121, 8.5.2 and 8.5.3): who gets a stanza, and what it comes to if
//! nobody does.

use std::sync::Arc;

use rjabberd_im::{Kept, carbons};
use rjabberd_session_manager::{Parcel, Seat};
use rjabberd_xmpp::{BareJid, Condition, IqType, Jid, MessageType, Stanza, StanzaError, StanzaKind};

use crate::{Routed, Router};

impl Router {
    /// Presence that is not written is nobody's loss, and coming late it would be a lie.
    pub(crate) fn parcel(&self, stanza: Stanza) -> Arc<Parcel> {
        let is_presence = matches!(stanza.kind, StanzaKind::Presence(_));
        let parcel = Parcel::new(stanza, self.inner);
        if is_presence {
            parcel.delivered();
        }
        parcel
    }

    /// RFC 6121, 8.5.3: a full JID.
    pub(crate) fn to_full(&self, stanza: Stanza) -> Routed {
        if let StanzaKind::Message(MessageType::Chat) = stanza.kind
            && let Some(Ok(to)) = stanza.to.as_ref().map(Jid::try_as_full)
            && self.inner.im.is_storing(&stanza, &to.to_bare())
            && self.inner.table.seat(to).is_some_and(|seat| seat.priority() >= Some(0))
        {
            // One before it, for the session before this one, is on its way there.
            let account = to.to_bare();
            return self.keep(&stanza, &account);
        }
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
                Some(account) => self.to_bare(&self.again(parcel, stanza), &account),
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
    pub(crate) fn to_bare(&self, parcel: &Arc<Parcel>, account: &BareJid) -> Routed {
        match parcel.stanza().kind {
            StanzaKind::Message(MessageType::Normal | MessageType::Chat) => self.to_chosen(parcel, account),
            // 8.5.2.1.1: to all that want messages; not an error where there is none.
            StanzaKind::Message(MessageType::Headline) => self.to_any(parcel, account, wants_messages),
            StanzaKind::Message(MessageType::Groupchat) => {
                self.bounce(&take_back(parcel), Condition::ServiceUnavailable)
            }
            // 8.5.2.1.2: to all available resources.
            StanzaKind::Presence(_) => self.to_any(parcel, account, |_, seat| seat.priority().is_some()),
            StanzaKind::Message(MessageType::Error) | StanzaKind::Iq(_) => {
                parcel.delivered();
                self.inner.counters.dropped();
                Routed::Done
            }
        }
    }

    /// The stanza of a parcel that one resource did not take, for the others.
    fn again(&self, parcel: &Parcel, stanza: Stanza) -> Arc<Parcel> {
        if parcel.came_back() { Parcel::again(stanza, self.inner) } else { self.parcel(stanza) }
    }

    /// To whoever is there; nobody's loss where nobody is.
    fn to_any(
        &self,
        parcel: &Arc<Parcel>,
        account: &BareJid,
        chosen: fn(&[Arc<Seat>], &Seat) -> bool,
    ) -> Routed {
        match self.inner.table.deliver_where(account, parcel, chosen) {
            0 => self.inner.counters.dropped(),
            _ => self.inner.counters.delivered(),
        }
        parcel.delivered();
        Routed::Done
    }

    fn to_chosen(&self, parcel: &Arc<Parcel>, account: &BareJid) -> Routed {
        let table = &self.inner.table;
        // A message that waits behind what came before it goes there too: into the store, or behind what a session that
        // ends gives back.
        let is_storing = self.inner.im.is_storing(parcel.stanza(), account);
        if !is_storing && table.deliver_where(account, parcel, most_available) > 0 {
            self.inner.counters.delivered();
            return Routed::Done;
        }
        if !parcel.came_back()
            && let Some(seat) = table.deliver_behind(account, parcel)
        {
            return Routed::Committing(self.inner.im.settled(seat));
        }
        self.keep(&take_back(parcel), account)
    }

    /// RFC 6121, 8.5.2.2.1: nobody is there. For an account that does not exist the store says so, and it is bounced.
    fn keep(&self, message: &Stanza, account: &BareJid) -> Routed {
        match self.inner.im.keep(message, account) {
            Kept::Committing(done) => Routed::Committing(done),
            Kept::Refused(condition) => self.bounce(message, condition),
            Kept::Dropped => {
                self.inner.counters.dropped();
                Routed::Done
            }
        }
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
        self.copy_bounce(stanza, &error);
        match error.to.as_ref().map(|to| to.try_as_full()) {
            Some(Ok(sender)) if matches!(error.kind, StanzaKind::Message(_)) => {
                self.give(&sender.clone(), error);
                Routed::Done
            }
            _ => Routed::reply(error),
        }
    }
}

impl Router {
    /// XEP-0280, 6.1: an error about a message that was copied is copied too, to those who saw the message.
    fn copy_bounce(&self, stanza: &Stanza, error: &Stanza) {
        let im = self.inner.im;
        if im.carbons.in_use()
            && carbons::is_copied(stanza)
            && let Some(sender) = &error.to
        {
            im.copy_received(error, &sender.to_bare(), |_, seat| *sender == *seat.jid());
        }
    }
}

/// Nobody took it: the stanza again, and no second way back for it.
fn take_back(parcel: &Arc<Parcel>) -> Stanza {
    parcel.delivered();
    parcel.stanza().clone()
}

/// RFC 6121, 8.5.2.1.1: the "most available" resources: those that share the highest priority, if it is not negative.
pub(crate) fn most_available(seats: &[Arc<Seat>], seat: &Seat) -> bool {
    let highest = seats.iter().filter_map(|seat| seat.priority()).max();
    wants_messages(seats, seat) && seat.priority() == highest
}

fn wants_messages(_: &[Arc<Seat>], seat: &Seat) -> bool {
    seat.priority().is_some_and(|priority| priority >= 0)
}
