//! A bound session (RFC 6120, 8 and 10): what the client may send is checked, stamped and handed on, in order.
//!
//! It routes nothing itself and answers only what concerns the stream: `<session/>`, a second bind, the answers to our
//! pings. Invariant: no stanza leaves with a `from` that is not this session's full JID (RFC 6120, 8.1.2.1);
//! shortening it where a subscription is between accounts is left to the router, which must know the session first.

use std::sync::Arc;

use rjabberd_xml::Fragment;
use rjabberd_xmpp::{
    BareJid, Condition, FullJid, IqType, Jid, Malformed, Stanza, StanzaError, StanzaKind, StreamCondition,
    management::Version, ns,
};

use crate::{
    Action, Answer, Deadline, Session, Settings, State,
    binding::is_request_for,
    closing::{Leaving, Voice},
    liveness::Liveness,
    management::Terms,
    presence::presence,
    speech,
};

/// A client with a resource.
pub struct Established {
    settings: Arc<Settings>,
    pub(crate) account: BareJid,
    pub(crate) session: Session,
    lang: Option<String>,
    liveness: Liveness,
    /// What stream management may be granted.
    pub(crate) terms: Terms,
}

impl Established {
    pub(crate) fn new(
        settings: Arc<Settings>,
        account: BareJid,
        jid: FullJid,
        lang: Option<String>,
        terms: Terms,
    ) -> Established {
        let session = Session { jid, priority: None, directed: Vec::new(), management: None };
        Established { settings, account, session, lang, liveness: Liveness::NEW, terms }
    }

    /// A session that was another stream's before.
    pub(crate) fn resumed(
        settings: Arc<Settings>,
        account: BareJid,
        session: Session,
        lang: Option<String>,
        terms: Terms,
    ) -> Established {
        Established { settings, account, session, lang, liveness: Liveness::NEW, terms }
    }

    pub(crate) fn element(mut self: Box<Self>, fragment: Fragment, out: &mut Vec<Action>) -> State {
        self.liveness.heard(out);
        match (fragment.name(), fragment.namespace()) {
            // RFC 6120, 5.4.2.2.
            ("starttls", ns::TLS) => return Leaving::from(*self).starttls_refused(out),
            // RFC 4422, 3.8; RFC 6120, 4.9.3.12.
            (_, ns::SASL | ns::SASL2) => {
                return Leaving::from(*self).refuse(StreamCondition::NotAuthorized, out);
            }
            (_, ns::CLIENT) => (),
            (name @ ("active" | "inactive"), ns::CLIENT_STATE) => {
                out.push(Action::ClientActive(name == "active"));
                return State::Established(self);
            }
            (_, namespace) if let Some(version) = Version::of(namespace) => {
                return self.manage(version, &fragment, out);
            }
            _ => return Leaving::from(*self).refuse(StreamCondition::UnsupportedStanzaType, out),
        }
        match Stanza::from_fragment(fragment, self.lang.as_deref()) {
            None => Leaving::from(*self).refuse(StreamCondition::UnsupportedStanzaType, out),
            Some(stanza) => {
                // Also one that is refused: the client counts it too.
                if self.session.management.is_some() {
                    out.push(Action::Received);
                }
                match stanza {
                    Ok(stanza) => self.stanza(stanza, out),
                    Err(malformed) => self.malformed(*malformed, out),
                }
            }
        }
    }

    fn stanza(mut self: Box<Self>, mut stanza: Stanza, out: &mut Vec<Action>) -> State {
        if !self.is_own(stanza.from.as_ref()) {
            return Leaving::from(*self).refuse(StreamCondition::InvalidFrom, out);
        }
        stanza.from = Some(self.session.jid.clone().into());
        if self.liveness.takes(&stanza, self.account.domain().as_str()) {
            return State::Established(self);
        }
        match stanza.kind {
            StanzaKind::Presence(kind) => {
                presence(&mut self.session, self.settings.directed_presence_max, kind, stanza, out);
            }
            StanzaKind::Iq(IqType::Set)
                if self.is_served_here(stanza.to.as_ref()) && is_request_for(&stanza, ns::SESSION) =>
            {
                // RFC 3921, 3: the session is there already. It is begun by a set; a get asks for nothing we have.
                speech::stanza(&stanza.result(None), out);
            }
            StanzaKind::Iq(_)
                if self.is_served_here(stanza.to.as_ref()) && is_request_for(&stanza, ns::BIND) =>
            {
                // RFC 6120, 7.6.2.2: one resource for a stream.
                speech::stanza_error(&stanza, &StanzaError::new(Condition::NotAllowed), out);
            }
            StanzaKind::Iq(_) | StanzaKind::Message(_) => out.push(Action::Route(stanza)),
        }
        State::Established(self)
    }

    fn malformed(self: Box<Self>, malformed: Malformed, out: &mut Vec<Action>) -> State {
        let Malformed { mut stanza, error, invalid_from } = malformed;
        if invalid_from || !self.is_own(stanza.from.as_ref()) {
            return Leaving::from(*self).refuse(StreamCondition::InvalidFrom, out);
        }
        stanza.from = Some(self.session.jid.clone().into());
        speech::stanza_error(&stanza, &error, out);
        State::Established(self)
    }

    fn is_own(&self, from: Option<&Jid>) -> bool {
        from.is_none_or(|from| self.session.jid == *from || self.account == *from)
    }

    /// Whether an addressee is this server, this account or this very session.
    fn is_served_here(&self, to: Option<&Jid>) -> bool {
        self.is_own(to) || to.is_some_and(|to| is_server(to, self.account.domain().as_str()))
    }

    fn server(&self) -> Jid {
        Jid::from(BareJid::from(self.account.domain()))
    }

    /// The answer to a request of the client that was waited for.
    pub(crate) fn answered(self: Box<Self>, answer: Answer, out: &mut Vec<Action>) -> State {
        match answer {
            Answer::Reply(Some(reply)) => speech::stanza(&reply, out),
            // The reply goes another way, or the shell has told the client that there is none.
            Answer::Reply(None) | Answer::Unavailable(_) => (),
            _ => return Leaving::from(*self).out_of_turn(out),
        }
        State::Established(self)
    }

    /// Nothing came for long.
    pub(crate) fn idle(&mut self, out: &mut Vec<Action>) {
        let server = self.server();
        self.liveness.ping(server, &self.session.jid, out);
    }

    /// Nothing came since the ping: the connection is dead (RFC 6120, 4.6.1).
    pub(crate) fn is_unanswered(&self) -> bool {
        self.liveness.is_silent()
    }

    /// The same while an element of the client waits: what it sent since, the answer perhaps, has not been looked at.
    pub(crate) fn unheard(&self, out: &mut Vec<Action>) {
        if self.liveness.is_silent() {
            out.push(Action::SetDeadline(Deadline::PingAnswer));
        }
    }
}

/// Whether an address is that of the server itself.
pub(crate) fn is_server(address: &Jid, domain: &str) -> bool {
    address.node().is_none() && address.is_bare() && address.domain().as_str() == domain
}

impl From<Established> for Leaving {
    fn from(state: Established) -> Leaving {
        Leaving { voice: Voice::Open, session: Some(state.session) }
    }
}
