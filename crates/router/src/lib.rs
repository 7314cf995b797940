//! The path of a stanza, as functions that run in the sender: no actor, no mailbox.
//!
//! [`Router::route`] is the whole way, from top to bottom (RFC 6120, 10; RFC 6121, 8). It reads the session table and
//! gives stanzas to seats; what concerns the server or an account itself goes to `im`. It never waits.
//! Knows no sockets, no c2s.

mod blocked;
pub mod counters;
mod delivery;
mod message;
mod undelivered;

use std::{collections::HashMap, sync::Arc};

use futures_util::{FutureExt, future::BoxFuture};
use rjabberd_im::{Answer, Im, Sender, Services, Subscribing};
use rjabberd_session_manager::{Seat, SessionTable};
use rjabberd_xmpp::roster::Act;
use rjabberd_xmpp::{Condition, FullJid, IqType, Jid, PresenceType, Stanza, StanzaError, StanzaKind};

pub use counters::{Counters, CountersSnapshot};
pub use rjabberd_im::offline::is_kept;
pub use rjabberd_im::{Committed, Long, Pull, Pulled, Response, Shown};

/// What became of a stanza, for its sender.
pub enum Routed {
    /// It is on its way, or dropped as the RFC says.
    Done,
    /// The answer to it, to be written to the sender at once.
    Reply(Response),
    /// The answer, or that there is none, comes later; until then the sender's next stanzas wait (RFC 6120, 10.1).
    Later(BoxFuture<'static, Option<Response>>),
    /// It is on its way into the store. No answer comes here, but no later request of the sender's is to be answered
    /// before this resolves: an iq result promises that all before it is committed. What is not committed then must not
    /// be acknowledged either.
    Committing(BoxFuture<'static, Committed>),
}

impl Routed {
    /// The error that answers `stanza`, where one may be answered.
    fn refuse(stanza: &Stanza, condition: Condition) -> Routed {
        Routed::error(stanza, &StanzaError::new(condition))
    }

    /// The same, with more to say.
    fn error(stanza: &Stanza, error: &StanzaError) -> Routed {
        stanza.error(error).map_or(Routed::Done, Routed::reply)
    }

    fn reply(stanza: Stanza) -> Routed {
        Routed::Reply(Response::Stanza(stanza))
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
    pub fn route(&self, mut stanza: Stanza) -> Routed {
        self.inner.counters.routed(stanza.kind);
        if sender(&stanza).is_none() {
            return Routed::Done;
        }
        self.inner.im.take_forged(&mut stanza);
        if let Some(end) = self.blocked(&stanza) {
            return end;
        }
        let Some(to) = &stanza.to else {
            return self.without_addressee(stanza);
        };
        let Some(services) = self.inner.hosts.get(to.domain().as_str()) else {
            return self.other_domain(stanza);
        };
        if to.node().is_none() {
            return self.to_server(&stanza, to, services);
        }
        match (stanza.kind, to.is_full()) {
            (StanzaKind::Iq(kind), false) => match kind {
                IqType::Get | IqType::Set => answer(services, &stanza),
                // RFC 6121, 8.5.2.1.3 is about requests; an answer to an account that asked nothing is for nobody.
                IqType::Result | IqType::Error => Routed::Done,
            },
            // RFC 6121, 8.5.2.1.2 and 8.5.3.1: the server's own affair (4.3).
            (StanzaKind::Presence(PresenceType::Probe), _) => {
                Routed::Later(self.inner.im.probe(stanza).map(|()| None).boxed())
            }
            (StanzaKind::Presence(kind), _) if let Some(act) = Act::of(kind) => {
                self.subscription(stanza, act)
            }
            (StanzaKind::Message(_), _) => self.message(stanza),
            (_, true) => self.to_full(stanza),
            (_, false) => {
                let account = to.to_bare();
                self.to_bare(&self.parcel(stanza), &account)
            }
        }
    }

    /// RFC 6120, 10.3: a stanza without `to` is the account's own affair.
    fn without_addressee(&self, stanza: Stanza) -> Routed {
        let Some(sender) = sender(&stanza) else { return Routed::Done };
        match stanza.kind {
            StanzaKind::Message(_) => self.message(stanza),
            StanzaKind::Iq(IqType::Get | IqType::Set) => match self.inner.hosts.get(sender.domain().as_str())
            {
                Some(services) => answer(services, &stanza),
                None => Routed::refuse(&stanza, Condition::ServiceUnavailable),
            },
            StanzaKind::Iq(IqType::Result | IqType::Error) => self.answered(&stanza),
            // The session's own.
            StanzaKind::Presence(_) => Routed::Done,
        }
    }

    /// RFC 6120, 10.5.1 and 10.5.2: the server itself, or something at it that has no account.
    fn to_server(&self, stanza: &Stanza, to: &Jid, services: &Services) -> Routed {
        match stanza.kind {
            StanzaKind::Iq(IqType::Get | IqType::Set) if !to.is_full() => answer(services, stanza),
            StanzaKind::Iq(IqType::Result | IqType::Error) if !to.is_full() => self.answered(stanza),
            StanzaKind::Presence(_) => Routed::Done,
            StanzaKind::Message(_) | StanzaKind::Iq(_) => {
                Routed::refuse(stanza, Condition::ServiceUnavailable)
            }
        }
    }

    /// A result or an error that answers a question of the server's own; nothing comes of any other.
    fn answered(&self, stanza: &Stanza) -> Routed {
        if self.inner.im.questions.answered(stanza) {
            return Routed::Done;
        }
        match self.inner.im.answered(stanza) {
            Some(done) => Routed::Later(done.map(|()| None).boxed()),
            None => Routed::Done,
        }
    }

    /// RFC 6121, 3.1.2 and 3.1.3: what concerns a subscription goes from account to account, not between resources.
    fn subscription(&self, mut stanza: Stanza, act: Act) -> Routed {
        let Some(sender) = sender(&stanza).cloned() else { return Routed::Done };
        stanza.from = Some(sender.to_bare().into());
        stanza.to = stanza.to.map(|to| to.into_bare().into());
        match self.inner.im.subscribe(&stanza, &sender, act) {
            Subscribing::Nothing => Routed::Done,
            Subscribing::Committing(done) => Routed::Committing(done),
            Subscribing::Granting(done) => Routed::Later(done.map(|()| None).boxed()),
            Subscribing::Refused(error) => {
                stanza.from = Some(sender.into());
                Routed::error(&stanza, &error)
            }
        }
    }

    /// RFC 6120, 10.4: no federation yet, so nobody is reached there.
    fn other_domain(&self, stanza: Stanza) -> Routed {
        match stanza.kind {
            // A contact there may be in a roster that was brought along: it can be given up.
            StanzaKind::Presence(kind) if let Some(act) = Act::of(kind) => self.subscription(stanza, act),
            StanzaKind::Presence(_) => Routed::Done,
            StanzaKind::Message(_) | StanzaKind::Iq(_) => {
                Routed::refuse(&stanza, Condition::RemoteServerNotFound)
            }
        }
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
        Answer::Later(reply) => Routed::Later(reply.map(Some).boxed()),
        Answer::Nothing => Routed::Done,
    }
}

/// What a session's own presence sets in motion.
impl Router {
    /// The session of `seat` became available, changed, or became unavailable (RFC 6121, 4). `from` is stamped.
    pub fn presence(&self, seat: &Arc<Seat>, mut stanza: Stanza, priority: Option<i8>) -> Shown {
        self.inner.counters.routed(stanza.kind);
        self.inner.im.take_forged(&mut stanza);
        self.inner.im.presence(seat, stanza, priority)
    }

    /// The session ended while its contacts think that it is available.
    pub fn presence_lost(&self, seat: &Seat) {
        self.inner.im.presence_lost(seat);
    }

    /// What the server does for its users.
    pub fn im(&self) -> &'static Im {
        self.inner.im
    }

    fn give(&self, jid: &FullJid, stanza: Stanza) {
        let parcel = self.parcel(stanza);
        self.inner.table.deliver_to(jid, &parcel);
        parcel.delivered();
    }
}
