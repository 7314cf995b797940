//! Resource binding (RFC 6120, 7): the last step before the session.
//!
//! Who gets which resource is decided by the session table; here a request is checked, asked, and answered.

use std::sync::Arc;

use rjabberd_xml::{Element, Fragment};
use rjabberd_xmpp::{
    BareJid, Condition, ErrorType, FullJid, IqType, Jid, Stanza, StanzaError, StanzaKind, StreamCondition,
    StreamError, address,
    management::{ResumptionId, Version, Word},
    ns,
};

use crate::{
    Action, Answer, Ask, ClaimRefused, Deadline, Resource, Settings, State,
    closing::{Leaving, Voice},
    established::Established,
    management::{self, Terms},
    negotiating::{Negotiation, Opened},
    resuming::{ResumeRequest, Resuming},
    speech,
};

/// Retries after a refused resource (RFC 6120, 7.7.3: at least 5, at most 10).
const RETRIES_MAX: u32 = 5;

/// Logged in, without a resource.
pub struct AwaitingBind {
    negotiation: Negotiation,
    pub(crate) account: BareJid,
    /// The account is made for this session.
    guest: bool,
    lang: Option<String>,
    /// By what a session of this stream may be resumed.
    resumption: ResumptionId,
    refused: u32,
}

impl AwaitingBind {
    pub(crate) fn new(
        negotiation: Negotiation,
        account: BareJid,
        guest: bool,
        opened: Opened,
    ) -> AwaitingBind {
        let Opened { lang, resumption, .. } = opened;
        AwaitingBind { negotiation, account, guest, lang, resumption, refused: 0 }
    }

    pub(crate) fn next_ask(&mut self) -> Ask {
        self.negotiation.next_ask()
    }

    pub(crate) fn into_parts(self) -> (Arc<Settings>, BareJid, Option<String>) {
        (self.negotiation.settings, self.account, self.lang)
    }

    pub(crate) fn element(self, fragment: Fragment, out: &mut Vec<Action>) -> State {
        match (fragment.name(), fragment.namespace()) {
            ("starttls", ns::TLS) => return Leaving::from(self).starttls_refused(out),
            // RFC 4422, 3.8: one success per stream; RFC 6120, 4.9.3.12: an action of negotiation that may not be.
            (_, ns::SASL | ns::SASL2) => {
                return Leaving::from(self).refuse(StreamCondition::NotAuthorized, out);
            }
            (_, ns::CLIENT) => (),
            (_, namespace) if let Some(version) = Version::of(namespace) => {
                return self.manage(version, &fragment, out);
            }
            _ => return Leaving::from(self).refuse(StreamCondition::UnsupportedStanzaType, out),
        }
        match Stanza::from_fragment(fragment, self.lang.as_deref()) {
            None => Leaving::from(self).refuse(StreamCondition::UnsupportedStanzaType, out),
            Some(Ok(stanza)) => self.stanza(stanza, out),
            Some(Err(malformed)) if malformed.invalid_from => {
                Leaving::from(self).refuse(StreamCondition::InvalidFrom, out)
            }
            Some(Err(malformed)) if is_request_for(&malformed.stanza, ns::BIND) => {
                self.refuse(&malformed.stanza, &malformed.error, out)
            }
            Some(Err(_)) => Leaving::from(self).refuse(StreamCondition::NotAuthorized, out),
        }
    }

    /// XEP-0198, 3: a stream is managed when it has a resource, and not before; an earlier session is resumed instead of
    /// binding one.
    fn manage(self, version: Version, word: &Fragment, out: &mut Vec<Action>) -> State {
        match Word::read(word) {
            Some(Word::Resume { id, h }) => Resuming::begin(self, ResumeRequest { version, id, h }, out),
            Some(_) => {
                management::refuse(version, Condition::UnexpectedRequest, out);
                State::AwaitingBind(Box::new(self))
            }
            None if word.name() == "resume" => self.cannot_resume(version, Condition::BadRequest, None, out),
            None => Leaving::from(self).refuse(StreamCondition::UnsupportedStanzaType, out),
        }
    }

    /// XEP-0198, 5: the client may bind a resource instead.
    pub(crate) fn cannot_resume(
        self,
        version: Version,
        condition: Condition,
        h: Option<u32>,
        out: &mut Vec<Action>,
    ) -> State {
        speech::element(&version.failed(condition, h), out);
        self.try_again(out)
    }

    fn stanza(self, stanza: Stanza, out: &mut Vec<Action>) -> State {
        if stanza.from.as_ref().is_some_and(|from| self.account != *from) {
            return Leaving::from(self).refuse(StreamCondition::InvalidFrom, out);
        }
        let here = stanza.to.as_ref().is_none_or(|to| self.serves(to));
        if here && is_request_for(&stanza, ns::BIND) {
            return self.bind(stanza, out);
        }
        if here && is_request_for(&stanza, ns::REGISTER) {
            // It is offered, but to a session: RFC 6120, 7.1 leaves requests to the server before that to our choice.
            speech::stanza_error(&stanza, &StanzaError::new(Condition::NotAllowed), out);
            return State::AwaitingBind(Box::new(self));
        }
        // RFC 6120, 7.1.
        Leaving::from(self).refuse(StreamCondition::NotAuthorized, out)
    }

    /// Whether an addressee is this server or this account.
    fn serves(&self, to: &Jid) -> bool {
        self.account == *to || to.as_str() == self.account.domain().as_str()
    }

    fn bind(mut self, request: Stanza, out: &mut Vec<Action>) -> State {
        match wanted_resource(&request, &self.account) {
            Ok(resource) => {
                let ask = self.negotiation.next_ask();
                out.push(Action::Claim(ask, self.account.clone(), resource, self.guest));
                State::Claiming(Box::new(Claiming { bind: self, ask, request }))
            }
            Err(BadBind) => self.refuse(&request, &StanzaError::new(Condition::BadRequest), out),
        }
    }

    /// Says that no resource was given; the client may try again, but not for ever (RFC 6120, 7.7.3).
    fn refuse(self, request: &Stanza, error: &StanzaError, out: &mut Vec<Action>) -> State {
        speech::stanza_error(request, error, out);
        self.try_again(out)
    }

    fn try_again(mut self, out: &mut Vec<Action>) -> State {
        self.refused += 1;
        if self.refused > RETRIES_MAX {
            let error =
                StreamError::new(StreamCondition::PolicyViolation).with_text("Too many refused resources");
            return Leaving::from(self).stream_error(error, out);
        }
        State::AwaitingBind(Box::new(self))
    }
}

impl From<AwaitingBind> for Leaving {
    fn from(_: AwaitingBind) -> Leaving {
        Leaving { voice: Voice::Open, session: None }
    }
}

/// Whether a stanza is an iq request whose payload is of this namespace.
pub(crate) fn is_request_for(stanza: &Stanza, namespace: &str) -> bool {
    matches!(stanza.kind, StanzaKind::Iq(IqType::Get | IqType::Set))
        && stanza.children().first().is_some_and(|child| child.namespace() == namespace)
}

/// A bind request that cannot be followed.
struct BadBind;

/// The resource that a request wants, prepared. An empty one is none at all
/// (RFC 6120, 7.7.2.1).
fn wanted_resource(request: &Stanza, account: &BareJid) -> Result<Resource, BadBind> {
    let payload = request.payload().filter(|payload| payload.is("bind", ns::BIND)).ok_or(BadBind)?;
    if request.kind != StanzaKind::Iq(IqType::Set) {
        return Err(BadBind);
    }
    let mut resources = payload.children().filter(|child| child.is("resource", ns::BIND));
    let resource = resources.next();
    // RFC 6120, A.7: at most one, of text alone.
    if resources.next().is_some() || resource.is_some_and(|resource| resource.children().next().is_some()) {
        return Err(BadBind);
    }
    let resource = resource.map(Element::text).filter(|resource| !resource.is_empty());
    let prepared =
        resource.map(|resource| address::full(account, &resource)).transpose().map_err(|_| BadBind)?;
    Ok(match prepared {
        Some(full) => Resource::Named(full.resource().as_str().to_owned()),
        None => Resource::Made { prefix: String::new() },
    })
}

/// The session table is asked for a resource.
pub struct Claiming {
    pub(crate) bind: AwaitingBind,
    pub(crate) ask: Ask,
    request: Stanza,
}

impl Claiming {
    pub(crate) fn answered(self, answer: Answer, out: &mut Vec<Action>) -> State {
        let refused = match answer {
            Answer::Claimed(Ok(jid)) => return self.bound(jid, out),
            Answer::Claimed(Err(refused)) => refused,
            Answer::Unavailable(_) => ClaimRefused::Unavailable,
            _ => return Leaving::from(self).out_of_turn(out),
        };
        let error = match refused {
            ClaimRefused::AccountGone => return Leaving::from(self).account_gone(out),
            // RFC 6120, 7.7.2.2 has `modify` where 8.3.3.2 has `cancel`: another resource may be tried.
            ClaimRefused::Conflict => {
                StanzaError { error_type: ErrorType::Modify, ..StanzaError::new(Condition::Conflict) }
            }
            // RFC 6120, 7.6.2.1 and 8.3.3.18: too many, or busy; both are to be tried again later.
            ClaimRefused::TooManySessions => StanzaError::new(Condition::ResourceConstraint),
            ClaimRefused::Unavailable => {
                StanzaError::new(Condition::ResourceConstraint).with_text("The server is busy, try again")
            }
        };
        self.bind.refuse(&self.request, &error, out)
    }

    fn bound(self, jid: FullJid, out: &mut Vec<Action>) -> State {
        let address = Element::new("jid", ns::BIND).with_text(jid.as_str());
        speech::stanza(&self.request.result(Some(Element::new("bind", ns::BIND).with_child(address))), out);
        out.push(Action::ClearDeadline(Deadline::Negotiation));
        out.push(Action::SetDeadline(Deadline::Idle));
        let terms = Terms::new(&self.bind.negotiation.settings, self.bind.resumption, self.bind.guest);
        let (settings, account, lang) = self.bind.into_parts();
        State::Established(Box::new(Established::new(settings, account, jid, lang, terms)))
    }
}

impl From<Claiming> for Leaving {
    fn from(_: Claiming) -> Leaving {
        Leaving { voice: Voice::Open, session: None }
    }
}
