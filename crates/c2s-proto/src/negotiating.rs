//! Stream headers, features and STARTTLS: what comes before somebody logs in (RFC 6120, 4.3, 4.7 and 5).
//!
//! The virtual host of the first header holds for the whole connection: a restart that asks for another one ends the
//! stream (CVE-2018-10847). All else that was said before TLS is forgotten (RFC 6120, 5.4.3.3), all that was said before
//! authentication but for the account itself.

use std::sync::Arc;

use bytes::BytesMut;
use rjabberd_xml::{Element, Fragment, Header};
use rjabberd_xmpp::{
    BareJid, Condition, IqType, Stanza, StanzaError, StanzaKind, StreamCondition, StreamError, StreamHeader,
    address::{normalise_domain, parse},
    management::ResumptionId,
    ns,
    sasl::{SaslFailure, SecureChannel},
};

use crate::{
    Action, Ask, CloseReason, Deadline, Fresh, HostSettings, Order, Settings, State, TlsPolicy,
    authenticating::{Attempt, Profile},
    binding::AwaitingBind,
    closing::{Leaving, Voice},
    features,
    offers::Progress,
    registering::Registering,
    speech,
};

/// Accounts that one stream may try to register: one for each person who sits there, and some names are taken.
const REGISTRATIONS_MAX: u32 = 3;

/// What lasts from accept until a resource is bound.
pub(crate) struct Negotiation {
    pub(crate) settings: Arc<Settings>,
    /// TLS below the stream, once it is up.
    pub(crate) channel: Option<Box<SecureChannel>>,
    /// For a header that is owed when the stream must end before the client's header came.
    spare: Fresh,
    /// `<failure/>`s of SASL so far.
    pub(crate) failures: u32,
    /// Logins that were no failures, as the client had seen other features (XEP-0509).
    pub(crate) mismatches: u32,
    /// Accounts that the client tried to register so far.
    registrations: u32,
    asked: u32,
}

impl Negotiation {
    /// A number for a question.
    pub(crate) fn next_ask(&mut self) -> Ask {
        self.asked = self.asked.wrapping_add(1);
        Ask(self.asked)
    }

    /// The settings of a host that [`Opened`] holds.
    pub(crate) fn host(&self, host: &str) -> &HostSettings {
        self.settings.hosts.get(host).expect("only a virtual host of ours is ever pinned")
    }
}

/// What the client's header said.
pub(crate) struct Opened {
    /// The virtual host: one of ours.
    pub(crate) host: String,
    /// `xml:lang`.
    pub(crate) lang: Option<String>,
    /// Who the client says it is.
    pub(crate) from: Option<BareJid>,
    /// The identifier of the stream.
    pub(crate) id: String,
    /// By what its session may be resumed.
    pub(crate) resumption: ResumptionId,
}

impl Opened {
    /// Takes a header; `pinned` is the host of the headers before it.
    fn from_header(
        header: &Header,
        settings: &Settings,
        pinned: Option<&str>,
        fresh: &Fresh,
    ) -> Result<Opened, StreamError> {
        let header = StreamHeader::from_xml(header)?;
        let host = match (&header.to, pinned) {
            (Some(to), _) => to.domain().as_str(),
            (None, Some(pinned)) => pinned,
            // RFC 6120, 4.7.2: there must be a `to`; where there is but one answer, we know it.
            (None, None) if settings.hosts.len() == 1 => &settings.default_host,
            (None, None) => return Err(StreamError::new(StreamCondition::ImproperAddressing)),
        };
        if !settings.hosts.contains_key(host) || pinned.is_some_and(|pinned| pinned != host) {
            return Err(StreamError::new(StreamCondition::HostUnknown));
        }
        Ok(Opened {
            host: host.to_owned(),
            lang: header.lang,
            from: header.from.map(|from| from.into_bare()),
            id: fresh.stream_id.clone(),
            resumption: fresh.resumption,
        })
    }

    /// Writes our header and these features.
    fn answer(&self, features: &[u8], out: &mut Vec<Action>) {
        let mut bytes = BytesMut::new();
        speech::header(&self.host, self.from.as_ref(), &self.id, &mut bytes);
        bytes.extend_from_slice(features);
        out.push(Action::Write(bytes.freeze()));
    }
}

/// How to say that a header was refused: from the host that it asked for, if that is ours, to whom it named.
fn refusal(header: &Header, settings: &Settings, fresh: Fresh) -> Leaving {
    let attribute = |name: &str| {
        let found = header.attributes.iter().find(|found| found.namespace.is_empty() && found.name == name);
        found.map(|found| found.value.as_str())
    };
    let host =
        attribute("to").and_then(|to| normalise_domain(to).ok()).filter(|to| settings.hosts.contains_key(to));
    let to = attribute("from").and_then(|from| parse(from).ok()).map(|from| from.into_bare());
    let host = host.unwrap_or_else(|| settings.default_host.clone());
    Leaving { voice: Voice::HeaderOwed { host, to, id: fresh.stream_id }, session: None }
}

/// The stream has not begun: it was just accepted, or TLS is up.
pub struct AwaitingHeader {
    negotiation: Negotiation,
    /// The host of the header before TLS; `None` before the first header.
    pinned: Option<String>,
}

impl AwaitingHeader {
    pub(crate) fn accepted(settings: Arc<Settings>, spare: Fresh) -> AwaitingHeader {
        let negotiation = Negotiation {
            settings,
            channel: None,
            spare,
            failures: 0,
            mismatches: 0,
            registrations: 0,
            asked: 0,
        };
        AwaitingHeader { negotiation, pinned: None }
    }

    /// Whether no header has come at all.
    pub(crate) fn is_first(&self) -> bool {
        self.pinned.is_none()
    }

    /// TLS from the first byte is up.
    pub(crate) fn tls_started(
        mut self: Box<Self>,
        channel: Box<SecureChannel>,
        out: &mut Vec<Action>,
    ) -> State {
        if self.negotiation.settings.tls != TlsPolicy::Direct || self.negotiation.channel.is_some() {
            return Leaving::from(*self).out_of_turn(out);
        }
        self.negotiation.channel = Some(channel);
        State::AwaitingHeader(self)
    }

    pub(crate) fn header(self, header: &Header, fresh: Fresh, out: &mut Vec<Action>) -> State {
        if self.is_first() {
            out.push(Action::ClearDeadline(Deadline::Header));
        }
        let negotiation = self.negotiation;
        if negotiation.settings.tls == TlsPolicy::Direct && negotiation.channel.is_none() {
            return Leaving::from(AwaitingHeader { negotiation, pinned: self.pinned }).out_of_turn(out);
        }
        let opened = match Opened::from_header(header, &negotiation.settings, self.pinned.as_deref(), &fresh)
        {
            Ok(opened) => opened,
            Err(error) => return refusal(header, &negotiation.settings, fresh).stream_error(error, out),
        };
        opened.answer(&features::offer(&negotiation, &opened.host).features, out);
        State::AwaitingFeature(Box::new(AwaitingFeature { negotiation, opened }))
    }
}

impl From<AwaitingHeader> for Leaving {
    fn from(state: AwaitingHeader) -> Leaving {
        let host = state.pinned.unwrap_or_else(|| state.negotiation.settings.default_host.clone());
        Leaving {
            voice: Voice::HeaderOwed { host, to: None, id: state.negotiation.spare.stream_id },
            session: None,
        }
    }
}

/// The features are sent; nobody has logged in.
pub struct AwaitingFeature {
    pub(crate) negotiation: Negotiation,
    pub(crate) opened: Opened,
}

impl AwaitingFeature {
    pub(crate) fn element(self, fragment: Fragment, out: &mut Vec<Action>) -> State {
        match (fragment.name(), fragment.namespace()) {
            ("starttls", ns::TLS) => self.starttls(out),
            ("auth", ns::SASL) => Attempt::begin(self, &fragment, out),
            ("authenticate", ns::SASL2) => Attempt::begin_extensible(self, &fragment, out),
            // XEP-0388: as with the profile of RFC 6120.
            ("abort", ns::SASL2) => Attempt::fail(self, Profile::Extensible, SaslFailure::Aborted, out),
            ("response", ns::SASL2) => {
                Attempt::fail(self, Profile::Extensible, SaslFailure::MalformedRequest, out)
            }
            // RFC 6120, 6.4.4: whatever was to be aborted, the answer is the same.
            ("abort", ns::SASL) => Attempt::fail(self, Profile::Core, SaslFailure::Aborted, out),
            // RFC 6120, 6.5.8: a response to no challenge.
            ("response", ns::SASL) => Attempt::fail(self, Profile::Core, SaslFailure::MalformedRequest, out),
            (_, ns::CLIENT) => self.stanza(fragment, out),
            // RFC 6120, 4.9.3.24.
            _ => Leaving::from(self).refuse(StreamCondition::UnsupportedStanzaType, out),
        }
    }

    fn starttls(self, out: &mut Vec<Action>) -> State {
        if !features::starttls_offered(&self.negotiation) {
            return Leaving::from(self).starttls_refused(out);
        }
        speech::element(&Element::new("proceed", ns::TLS), out);
        out.push(Action::Order(Order::StartTls(self.negotiation.settings.limits_before)));
        State::StartingTls(Box::new(StartingTls { negotiation: self.negotiation, host: self.opened.host }))
    }

    /// A stanza before authentication ends the stream (RFC 6120, 4.9.3.12), but for what XEP-0077 allows.
    fn stanza(mut self, fragment: Fragment, out: &mut Vec<Action>) -> State {
        let stanza = match Stanza::from_fragment(fragment, self.opened.lang.as_deref()) {
            None => return Leaving::from(self).refuse(StreamCondition::UnsupportedStanzaType, out),
            Some(Err(_)) => return Leaving::from(self).refuse(StreamCondition::NotAuthorized, out),
            Some(Ok(stanza)) => stanza,
        };
        if !self.may_register(&stanza) {
            return Leaving::from(self).refuse(StreamCondition::NotAuthorized, out);
        }
        if stanza.kind == StanzaKind::Iq(IqType::Set) {
            if self.negotiation.registrations >= REGISTRATIONS_MAX {
                // XEP-0077, 3.1: too many in succession.
                let error = StanzaError::new(Condition::NotAcceptable).with_text("Too many registrations.");
                speech::stanza_error(&stanza, &error, out);
                return State::AwaitingFeature(Box::new(self));
            }
            self.negotiation.registrations += 1;
        }
        let ask = self.negotiation.next_ask();
        let state = Registering::new(self, ask, &stanza);
        out.push(Action::AskRegistration(ask, state.host().to_owned(), stanza));
        State::Registering(Box::new(state))
    }

    fn may_register(&self, stanza: &Stanza) -> bool {
        let here = stanza.to.as_ref().is_none_or(|to| to.as_str() == self.opened.host);
        let registers = stanza.children().first().is_some_and(|child| child.namespace() == ns::REGISTER);
        here && registers
            && matches!(stanza.kind, StanzaKind::Iq(_))
            && stanza.is_request()
            && features::registration_offered(&self.negotiation, self.negotiation.host(&self.opened.host))
    }
}

impl From<AwaitingFeature> for Leaving {
    fn from(_: AwaitingFeature) -> Leaving {
        Leaving { voice: Voice::Open, session: None }
    }
}

/// `<proceed/>` is sent: not another byte in plain, in either direction.
pub struct StartingTls {
    negotiation: Negotiation,
    host: String,
}

impl StartingTls {
    pub(crate) fn started(self, channel: Box<SecureChannel>) -> State {
        let negotiation = Negotiation { channel: Some(channel), ..self.negotiation };
        State::AwaitingHeader(Box::new(AwaitingHeader { negotiation, pinned: Some(self.host) }))
    }

    /// Bytes behind `<starttls/>` belong to nobody: whoever slipped them in would speak on the secure stream. No stream
    /// error goes out, as the client takes what follows `<proceed/>` for TLS (RFC 6120, 5.4.2.3).
    pub(crate) fn bytes_behind(self, out: &mut Vec<Action>) -> State {
        Leaving::from(self).close(CloseReason::StartTlsFailed, out)
    }
}

impl From<StartingTls> for Leaving {
    fn from(_: StartingTls) -> Leaving {
        Leaving { voice: Voice::Mute, session: None }
    }
}

/// Somebody has logged in; a new stream follows (RFC 6120, 6.4.6).
pub struct AwaitingRestart {
    pub(crate) negotiation: Negotiation,
    pub(crate) account: BareJid,
    /// The account is made for this session.
    pub(crate) guest: bool,
}

impl AwaitingRestart {
    pub(crate) fn header(self, header: &Header, fresh: Fresh, out: &mut Vec<Action>) -> State {
        let AwaitingRestart { negotiation, account, guest } = self;
        let host = account.domain().as_str();
        let opened = match Opened::from_header(header, &negotiation.settings, Some(host), &fresh) {
            // RFC 6120, 4.9.3.9: who has logged in is no longer a matter of opinion.
            Ok(Opened { from: Some(from), .. }) if from != account => {
                Err(StreamCondition::InvalidFrom.into())
            }
            other => other,
        };
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => return refusal(header, &negotiation.settings, fresh).stream_error(error, out),
        };
        opened.answer(&features::authenticated(&negotiation, &opened.host, Progress::Authenticated), out);
        State::AwaitingBind(Box::new(AwaitingBind::new(negotiation, account, guest, opened)))
    }
}

impl From<AwaitingRestart> for Leaving {
    fn from(state: AwaitingRestart) -> Leaving {
        let host = state.account.domain().as_str().to_owned();
        Leaving {
            voice: Voice::HeaderOwed { host, to: None, id: state.negotiation.spare.stream_id },
            session: None,
        }
    }
}
