//! The path of a stanza, as functions that run in the sender: no actor, no mailbox.
//!
//! [`Router::route`] is the whole way, from top to bottom (RFC 6120, 10; RFC 6121, 8). It reads the session table and
//! gives stanzas to seats; what concerns the server or an account itself goes to `im`. It never waits.
//! Knows no sockets, no c2s.

mod blocked;
pub mod counters;
mod delivery;
mod undelivered;

use std::{collections::HashMap, sync::Arc};

use futures_util::future::BoxFuture;
use rjabberd_im::{Answer, Im, Sender, Services};
use rjabberd_session_manager::{Seat, SessionTable};
use rjabberd_xmpp::{
    BareJid, Condition, FullJid, IqType, Jid, PresenceType, Stanza, StanzaError, StanzaKind,
};

pub use counters::{Counters, CountersSnapshot};

/// What became of a stanza, for its sender.
pub enum Routed {
    /// It is on its way, or dropped as the RFC says.
    Done,
    /// The answer to it, to be written to the sender at once.
    Reply(Stanza),
    /// The answer comes later; until then the sender's next stanzas wait (RFC 6120, 10.1).
    Later(BoxFuture<'static, Stanza>),
}

impl Routed {
    /// The error that answers `stanza`, where one may be answered.
    fn refuse(stanza: &Stanza, condition: Condition) -> Routed {
        stanza.error(&StanzaError::new(condition)).map_or(Routed::Done, Routed::Reply)
    }
}

/// Routes stanzas between the sessions of this node and to the server itself. It lives as long as the process, because
/// every stanza on its way names it ([`rjabberd_session_manager::Undelivered`]).
#[derive(Clone)]
pub struct Router {
    inner: &'static Inner,
}

struct Inner {
    /// The virtual hosts, and what each answers itself.
    hosts: HashMap<String, Services>,
    table: Arc<SessionTable>,
    /// What the server does for its users.
    im: &'static Im,
    counters: Counters,
}

impl Router {
    /// A router for these virtual hosts, to be made once.
    pub fn new(hosts: HashMap<String, Services>, im: &'static Im) -> Router {
        let table = im.outlet().table().clone();
        Router { inner: Box::leak(Box::new(Inner { hosts, table, im, counters: Counters::default() })) }
    }

    /// What was routed and what became of it.
    pub fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// Answers a request of a stream that has not authenticated: in-band registration, or nothing.
    pub fn answer_stranger(&self, host: &str, request: &Stanza) -> Routed {
        match self.inner.hosts.get(host) {
            Some(services) => settle(services.answer(request, Sender::Stream { host })),
            None => Routed::refuse(request, Condition::ServiceUnavailable),
        }
    }

    /// The whole way of a stanza. `from` is stamped: the sender's full JID.
    pub fn route(&self, stanza: Stanza) -> Routed {
        self.inner.counters.routed(stanza.kind);
        if let Some(end) = self.blocked(&stanza) {
            return end;
        }
        let stanza = between_accounts(stanza);
        let Some(to) = &stanza.to else {
            return self.without_addressee(stanza);
        };
        let Some(services) = self.inner.hosts.get(to.domain().as_str()) else {
            return other_domain(&stanza);
        };
        if to.node().is_none() {
            return server(&stanza, to, services);
        }
        match (stanza.kind, to.is_full()) {
            (StanzaKind::Iq(kind), false) => match kind {
                IqType::Get | IqType::Set => answer(services, &stanza),
                // RFC 6121, 8.5.2.1.3 is about requests; an answer to an account that asked nothing is for nobody.
                IqType::Result | IqType::Error => Routed::Done,
            },
            // RFC 6121, 8.5.2.1.2 and 8.5.3.1: the server's own affair (4.3), and it knows no subscriptions yet.
            (StanzaKind::Presence(PresenceType::Probe), _) => Routed::Done,
            (_, true) => self.to_full(stanza),
            (_, false) => {
                let account = to.to_bare();
                self.to_bare(stanza, &account)
            }
        }
    }

    /// RFC 6120, 10.3: a stanza without `to` is the account's own affair.
    fn without_addressee(&self, stanza: Stanza) -> Routed {
        let Some(sender) = sender(&stanza) else { return Routed::Done };
        match stanza.kind {
            StanzaKind::Message(_) => {
                let account = sender.to_bare();
                self.to_bare(stanza, &account)
            }
            StanzaKind::Iq(IqType::Get | IqType::Set) => match self.inner.hosts.get(sender.domain().as_str())
            {
                Some(services) => answer(services, &stanza),
                None => Routed::refuse(&stanza, Condition::ServiceUnavailable),
            },
            // A result without addressee answers the server's own questions; a presence is the session's.
            StanzaKind::Iq(_) | StanzaKind::Presence(_) => Routed::Done,
        }
    }
}

/// RFC 6121, 3.1.2 and 3.1.3: what concerns a subscription goes from account to account, not between resources.
fn between_accounts(mut stanza: Stanza) -> Stanza {
    use PresenceType::{Subscribe, Subscribed, Unsubscribe, Unsubscribed};
    if let StanzaKind::Presence(Subscribe | Subscribed | Unsubscribe | Unsubscribed) = stanza.kind {
        stanza.from = stanza.from.map(|from| from.into_bare().into());
        stanza.to = stanza.to.map(|to| to.into_bare().into());
    }
    stanza
}

/// RFC 6120, 10.4: no federation yet, so nobody is reached there.
fn other_domain(stanza: &Stanza) -> Routed {
    match stanza.kind {
        StanzaKind::Presence(PresenceType::Subscribe) | StanzaKind::Message(_) | StanzaKind::Iq(_) => {
            Routed::refuse(stanza, Condition::RemoteServerNotFound)
        }
        StanzaKind::Presence(_) => Routed::Done,
    }
}

/// RFC 6120, 10.5.1 and 10.5.2: the server itself, or something at it that has no account.
fn server(stanza: &Stanza, to: &Jid, services: &Services) -> Routed {
    match stanza.kind {
        StanzaKind::Iq(IqType::Get | IqType::Set) if !to.is_full() => answer(services, stanza),
        StanzaKind::Presence(_) => Routed::Done,
        StanzaKind::Message(_) | StanzaKind::Iq(_) => Routed::refuse(stanza, Condition::ServiceUnavailable),
    }
}

/// The session that sent a stanza; there is one for each that is routed, but not for an account's own (RFC 6121, 3).
fn sender(stanza: &Stanza) -> Option<&FullJid> {
    stanza.from.as_ref()?.try_as_full().ok()
}

/// What the server answers to a request of a session.
fn answer(services: &Services, request: &Stanza) -> Routed {
    sender(request).map_or(Routed::Done, |sender| settle(services.answer(request, Sender::Session(sender))))
}

fn settle(answer: Answer) -> Routed {
    match answer {
        Answer::Now(reply) => Routed::Reply(reply),
        Answer::Later(reply) => Routed::Later(reply),
        Answer::Nothing => Routed::Done,
    }
}

/// What a session's presence without addressee sets in motion (RFC 6121, 4.2.2, 4.4.2, 4.5.2): all available resources
/// of the account learn it, and a newly available one learns of the others.
impl Router {
    /// The session of `seat` became available, changed, or became unavailable. `from` is stamped.
    pub fn presence(&self, seat: &Seat, stanza: Stanza, priority: Option<i8>) {
        let account = seat.jid().to_bare();
        let first = seat.priority().is_none() && priority.is_some();
        let unavailable_before = seat.priority().is_none() && priority.is_none();
        seat.set_presence(priority.map(|priority| (priority, stanza.clone())));
        if unavailable_before {
            return;
        }
        self.inner.counters.routed(stanza.kind);
        let jid = seat.jid();
        self.broadcast(&account, stanza, |other| {
            other.priority().is_some() || (other.jid() == jid && priority.is_none())
        });
        if first {
            for other in self.inner.table.seats(&account) {
                if other.jid() != jid
                    && let Some(mut presence) = other.presence()
                {
                    presence.to = Some(jid.clone().into());
                    self.give(jid, presence);
                }
            }
        }
    }

    /// The session of `jid` ended while it was available.
    pub fn presence_lost(&self, jid: &FullJid) {
        let mut stanza = Stanza::new(StanzaKind::Presence(PresenceType::Unavailable), &[]);
        stanza.from = Some(jid.clone().into());
        self.broadcast(&jid.to_bare(), stanza, |other| other.priority().is_some() && other.jid() != jid);
    }

    fn broadcast(&self, account: &BareJid, mut stanza: Stanza, chosen: impl Fn(&Seat) -> bool) {
        stanza.to = Some(account.clone().into());
        let parcel = self.parcel(stanza);
        self.inner.table.deliver_where(account, &parcel, |_, seat| chosen(seat));
        // Presence that nobody took is nobody's loss.
        parcel.delivered();
    }

    fn give(&self, jid: &FullJid, stanza: Stanza) {
        let parcel = self.parcel(stanza);
        self.inner.table.deliver_to(jid, &parcel);
        parcel.delivered();
    }
}
