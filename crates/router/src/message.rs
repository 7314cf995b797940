//! A message on its first way: what is archived of it and which ids it carries, and who gets a copy of it.
//!
//! It does not come here again: what a session gives back is marked already. Where nothing is archived and nobody wants
//! copies, this costs two questions.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use rjabberd_im::{Archived, Committed, carbons, stable_ids};
use rjabberd_session_manager::Seat;
use rjabberd_xmpp::{BareJid, Jid, MessageType, Stanza, StanzaKind};

use crate::delivery::most_available;
use crate::{Routed, Router};

/// Who of an account gets a message itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hearers {
    /// The session that it is addressed to.
    Named,
    /// Those that want messages most.
    Chosen,
    /// Nobody: the account refuses it, or it is dropped.
    Nobody,
}

/// How long a sender waits for the archive of what he has said.
const ARCHIVING_MAX: Duration = Duration::from_millis(250);

impl Router {
    /// Archives a message of a session for an account of ours, or for its own; copies it, and delivers it.
    pub(crate) fn message(&self, message: Stanza) -> Routed {
        let im = self.inner.im;
        let is_copied = im.carbons.in_use() && carbons::is_copied(&message);
        if !is_copied && !im.archives_something() {
            return self.deliver(message);
        }
        let Some(account) = addressee(&message) else { return Routed::Done };
        let hearers = self.hearers(&message);
        let archived = im.archive(&message, &account, hearers == Hearers::Nobody);
        let received = archived.as_ref().and_then(|archived| archived.received);
        let marked = received.map(|id| stable_ids::with_id(&message, &account, id));
        if is_copied {
            let to_addressee = marked.as_ref().unwrap_or(&message);
            self.copy(&message, to_addressee, archived.as_ref(), &account, hearers);
        }
        let routed = self.deliver(marked.unwrap_or(message));
        match archived {
            Some(Archived { committing, .. }) => both(committing, routed),
            None => routed,
        }
    }

    /// XEP-0280, 8: what goes no further was sent all the same, and so is what is told of it.
    pub(crate) fn copy_unheard(&self, message: &Stanza) {
        let im = self.inner.im;
        if im.carbons.in_use() && carbons::is_copied(message) {
            im.copy_sent(message, |_, _| false);
        }
    }

    /// RFC 6121, 8.5.
    fn deliver(&self, message: Stanza) -> Routed {
        if message.to.as_ref().is_some_and(Jid::is_full) {
            return self.to_full(message);
        }
        match addressee(&message) {
            Some(account) => self.to_bare(&self.parcel(message), &account),
            None => Routed::Done,
        }
    }

    /// Who will get a message; RFC 6121, 8.5.2 and 8.5.3 in short.
    fn hearers(&self, message: &Stanza) -> Hearers {
        let named = message.to.as_ref().and_then(|to| to.try_as_full().ok());
        if named.is_some_and(|to| self.inner.table.is_bound(to)) {
            return Hearers::Named;
        }
        match message.kind {
            StanzaKind::Message(MessageType::Chat) => Hearers::Chosen,
            StanzaKind::Message(MessageType::Normal | MessageType::Headline) if named.is_none() => {
                Hearers::Chosen
            }
            _ => Hearers::Nobody,
        }
    }

    /// Copies for the other sessions of both sides. Of what somebody says to himself, each session gets one.
    fn copy(
        &self,
        message: &Stanza,
        to_addressee: &Stanza,
        archived: Option<&Archived>,
        account: &BareJid,
        hearers: Hearers,
    ) {
        let im = self.inner.im;
        let to = message.to.as_ref();
        let got = |seats: &[Arc<Seat>], seat: &Seat| match hearers {
            Hearers::Named => to.is_some_and(|to| *to == *seat.jid()),
            Hearers::Chosen => most_available(seats, seat),
            Hearers::Nobody => false,
        };
        let Some(sender) = message.from.as_ref().map(|from| from.to_bare()) else { return };
        let is_own = sender == *account;
        // XEP-0313, 3.5: each side's copy has the id of its own archive.
        let sent = archived.and_then(|archived| archived.sent);
        let own = sent.map(|id| stable_ids::with_id(message, &sender, id));
        im.copy_sent(own.as_ref().unwrap_or(message), |seats, seat| is_own && got(seats, seat));
        if !is_own && hearers != Hearers::Nobody {
            im.copy_received(to_addressee, account, got);
        }
    }
}

/// Whose message it is: of a message without addressee, the sender's (RFC 6120, 10.3.1).
fn addressee(message: &Stanza) -> Option<BareJid> {
    message.to.as_ref().or(message.from.as_ref()).map(Jid::to_bare)
}

/// For somebody who has it already, the archive is waited for no longer than that: a sender who is faster than the disk is
/// slowed, and one whose disk stands still goes on. What is safe then is told by stream management, not by this.
async fn within_a_moment(archived: BoxFuture<'static, Committed>) -> Committed {
    tokio::time::timeout(ARCHIVING_MAX, archived).await.unwrap_or(Committed::No)
}

/// What was routed, and promised when it is archived too.
fn both(archived: BoxFuture<'static, Committed>, routed: Routed) -> Routed {
    match routed {
        Routed::Done => Routed::Committing(within_a_moment(archived).boxed()),
        Routed::Committing(kept) => Routed::Committing(
            future::join(archived, kept).map(|(archived, kept)| archived.and(kept)).boxed(),
        ),
        answered @ (Routed::Reply(_) | Routed::Later(_)) => answered,
    }
}
