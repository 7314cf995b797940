//! Message Carbons (XEP-0280): copies of what one session of an account says and hears, for its other sessions that
//! asked for them.
//!
//! A copy is nobody's loss: it has no way back, waits nowhere, is archived nowhere, and no error about it reaches the
//! sender of what it copies. Invariant: only here is a copy made, and `from` is the account itself, which no session can
//! write from; so what somebody else wraps in the same way is never taken for one by a client that looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use bytes::BytesMut;
use rjabberd_session_manager::{Seat, Wish};
use rjabberd_xml::writer::write_attribute;
use rjabberd_xmpp::{BareJid, Condition, MessageType, Stanza, StanzaKind, ns};

use crate::Im;
use crate::hints::Hints;
use crate::services::{Feature, Question, Reply, Target};

/// Namespaces of what instant messaging says beside a body (XEP-0280, 6.1): receipts, chat states, markers, and direct
/// invitations.
const IM_PAYLOADS: [&str; 4] =
    ["urn:xmpp:receipts", ns::CHAT_STATES, "urn:xmpp:chat-markers:0", "jabber:x:conference"];

const MUC_USER: &str = "http://jabber.org/protocol/muc#user";

/// Whether anybody wants copies, and how many there were.
#[derive(Default)]
pub struct Carbons {
    /// Some session asked for copies: until then nobody looks for one.
    in_use: AtomicBool,
    sent: AtomicU64,
    received: AtomicU64,
}

/// Which side of a message a copy shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Sent,
    Received,
}

impl Carbons {
    /// Whether any session has ever asked for copies.
    pub fn in_use(&self) -> bool {
        self.in_use.load(Relaxed)
    }

    /// A session wants copies from now on. Also for streams that say so while they bind (XEP-0386).
    pub fn enable(&self, seat: &Seat) {
        self.in_use.store(true, Relaxed);
        seat.wish(Wish::Carbons);
    }

    /// A session wants no copies any more.
    pub fn disable(&self, seat: &Seat) {
        seat.unwish(Wish::Carbons);
    }

    /// Copies of what sessions said, and of what they heard.
    pub fn counts(&self) -> (u64, u64) {
        (self.sent.load(Relaxed), self.received.load(Relaxed))
    }
}

/// Whether a message is to be copied (XEP-0280, 6.1), on its sender's side and on its addressee's.
///
/// An error is what it is about: it is copied if it repeats what makes a message one of instant messaging. What claims
/// to be a copy is never copied itself.
pub fn is_copied(message: &Stanza) -> bool {
    let StanzaKind::Message(kind) = message.kind else { return false };
    let has = |name: &str, namespace: &str| message.child(name, namespace).is_some();
    let is_kept_back = has("private", ns::CARBONS)
        || has("sent", ns::CARBONS)
        || has("received", ns::CARBONS)
        || Hints::of(message).no_copy;
    if is_kept_back {
        return false;
    }
    let of_im = || message.children().iter().any(|child| IM_PAYLOADS.contains(&child.namespace()));
    match kind {
        MessageType::Chat => true,
        MessageType::Normal | MessageType::Error => {
            has("body", ns::CLIENT) || of_im() || is_invitation(message)
        }
        MessageType::Headline => of_im(),
        MessageType::Groupchat => false,
    }
}

/// A mediated invitation to a room (XEP-0045, 7.8.2).
fn is_invitation(message: &Stanza) -> bool {
    let Some(user) = message.child("x", MUC_USER) else { return false };
    message.child_element(user).is_ok_and(|user| user.child("invite", MUC_USER).is_some())
}

/// What a room has already given to each session that is in it: a private message of an occupant.
fn is_from_a_room(message: &Stanza) -> bool {
    message.child("x", MUC_USER).is_some() && !is_invitation(message)
}

impl Im {
    /// Copies a message for the other sessions of its sender, but for those that get it themselves; `message` is as his
    /// archive has it.
    pub fn copy_sent(&self, message: &Stanza, got: impl Fn(&[Arc<Seat>], &Seat) -> bool) {
        let Some(from) = &message.from else { return };
        let chosen = |seats: &[Arc<Seat>], seat: &Seat| *from != *seat.jid() && !got(seats, seat);
        self.copy(message, &from.to_bare(), Side::Sent, chosen);
    }

    /// Copies a message for the sessions of `account` that do not get it themselves.
    pub fn copy_received(
        &self,
        message: &Stanza,
        account: &BareJid,
        got: impl Fn(&[Arc<Seat>], &Seat) -> bool,
    ) {
        if !is_from_a_room(message) {
            self.copy(message, account, Side::Received, |seats, seat| !got(seats, seat));
        }
    }

    fn copy(
        &self,
        message: &Stanza,
        account: &BareJid,
        side: Side,
        chosen: impl Fn(&[Arc<Seat>], &Seat) -> bool,
    ) {
        let wants = |seats: &[Arc<Seat>], seat: &Seat| seat.wishes(Wish::Carbons) && chosen(seats, seat);
        let seats = self.outlet.table().seats_where(account, wants);
        if seats.is_empty() {
            return;
        }
        let copy = wrapped(message, account, side);
        let taken =
            seats.iter().filter(|seat| self.outlet.give(seat.jid(), copy.addressed(seat.jid().clone())));
        let counter = if side == Side::Sent { &self.carbons.sent } else { &self.carbons.received };
        counter.fetch_add(taken.count() as u64, Relaxed);
    }
}

/// XEP-0280, 7 and 8: of the same type, from the account itself.
fn wrapped(message: &Stanza, account: &BareJid, side: Side) -> Stanza {
    let name = if side == Side::Sent { "sent" } else { "received" };
    let mut out = BytesMut::with_capacity(message.size() + 160);
    out.extend_from_slice(b"<");
    out.extend_from_slice(name.as_bytes());
    write_attribute("xmlns", ns::CARBONS, &mut out);
    out.extend_from_slice(b"><forwarded");
    write_attribute("xmlns", ns::FORWARD, &mut out);
    out.extend_from_slice(b">");
    message.write_forwarded(&mut out);
    out.extend_from_slice(b"</forwarded></");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b">");
    let mut copy = Stanza::new(message.kind, &[]).with_written(name, ns::CARBONS, out.freeze());
    copy.from = Some(account.clone().into());
    copy
}

/// Enabling and disabling (XEP-0280, 4 and 5).
pub(crate) struct Enabling {
    im: &'static Im,
}

impl Enabling {
    pub(crate) fn new(im: &'static Im) -> Enabling {
        Enabling { im }
    }
}

impl Feature for Enabling {
    fn namespace(&self) -> &'static str {
        ns::CARBONS
    }

    fn serves(&self, target: Target) -> bool {
        target != Target::OtherAccount
    }

    fn answer(&self, question: &Question<'_>) -> Reply {
        let session = match question.session() {
            Ok(session) => session,
            Err(error) => return error.into(),
        };
        let Some(seat) = self.im.outlet.table().seat(session) else {
            return Reply::error(Condition::NotAllowed);
        };
        match (question.payload.name(), question.set) {
            ("enable", true) => self.im.carbons.enable(&seat),
            ("disable", true) => self.im.carbons.disable(&seat),
            _ => return Reply::error(Condition::FeatureNotImplemented),
        }
        Reply::Now(Ok(None))
    }
}
