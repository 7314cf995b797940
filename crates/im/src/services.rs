//! Hands a request to the feature that answers its namespace, and makes the answering stanza.
//!
//! It takes what is addressed to a host of ours, to an account (the server answers on its behalf, RFC 6121, 8.5.2.1.3)
//! or to nobody (the sender's own account, RFC 6120, 10.3.3); a full address is the router's. To add a feature: write
//! its file, and one line in [`Services::new`].

use std::sync::Arc;
use std::time::SystemTime;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rjabberd_storage::StoreError;
use rjabberd_xml::Element;
use rjabberd_xmpp::{Condition, FullJid, IqType, Jid, Stanza, StanzaError, StanzaKind, ns};

use crate::Im;
use crate::disco::{DiscoInfo, DiscoItems};
pub use crate::long::{Long, Response};
use crate::ping::Ping;
use crate::registration::{Accounts, Registration};
use crate::roster::Roster;
use crate::time::Time;
use crate::version::Version;

/// Tells the time of day.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub enum Sender<'a> {
    /// A stream of this virtual host that has not authenticated: it may only register.
    Stream {
        /// The virtual host, normalised.
        host: &'a str,
    },
    /// A session.
    Session(&'a FullJid),
}

/// What a request comes to.
pub enum Answer {
    /// This result or error.
    Now(Response),
    /// A result or error that takes a question to the store, which is on its way already (see [`Accounts`]).
    Later(BoxFuture<'static, Response>),
    /// Nothing: what came was no request, and must not be answered (RFC 6120, 8.2.3).
    Nothing,
}

/// Whom a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The server.
    Server,
    /// The sender's own account.
    OwnAccount,
    /// Another account; whether there is one is not said to everybody.
    OtherAccount,
}

/// A request that is to be answered.
pub(crate) struct Question<'a> {
    /// Whether it is a set.
    pub(crate) set: bool,
    pub(crate) payload: &'a Element,
    pub(crate) target: Target,
    pub(crate) sender: Sender<'a>,
    /// The virtual host that is asked.
    pub(crate) host: &'a str,
}

impl Question<'_> {
    /// Whether it is a get with this element.
    pub(crate) fn gets(&self, name: &str) -> bool {
        !self.set && self.payload.name() == name
    }
}

/// The payload of a result, if it has one, or an error.
pub(crate) type Verdict = Result<Option<Element>, StanzaError>;

/// What a feature says.
pub(crate) enum Reply {
    Now(Verdict),
    Later(BoxFuture<'static, Verdict>),
    /// A payload that may be long.
    Long(BoxFuture<'static, Result<Long, StanzaError>>),
}

/// What a store that cannot do something makes the client hear; how a feature sees it comes before that.
pub(crate) fn store_error(error: &StoreError) -> StanzaError {
    match error {
        StoreError::NotFound => StanzaError::new(Condition::ItemNotFound),
        StoreError::Full => StanzaError::new(Condition::ResourceConstraint)
            .with_text("The account has as much as it may have."),
        StoreError::Conflict | StoreError::Invalid(_) => StanzaError::new(Condition::NotAcceptable),
        // RFC 6120, 8.3.3.18: type wait.
        StoreError::Unavailable(_) | StoreError::Deadline | StoreError::Corrupt(_) | StoreError::Io(_) => {
            StanzaError::new(Condition::ResourceConstraint)
                .with_text("The store is not available, try again later.")
        }
    }
}

impl Reply {
    pub(crate) fn result(payload: Element) -> Reply {
        Reply::Now(Ok(Some(payload)))
    }

    pub(crate) fn error(condition: Condition) -> Reply {
        Reply::Now(Err(StanzaError::new(condition)))
    }
}

/// Something that the server answers itself.
pub(crate) trait Feature: Send + Sync {
    /// The namespace of its payloads, which is also its name in service discovery.
    fn namespace(&self) -> &'static str;

    /// For whom it answers, and is announced.
    fn serves(&self, target: Target) -> bool;

    /// Its names in service discovery.
    fn announces(&self) -> Vec<&'static str> {
        vec![self.namespace()]
    }

    /// Answers. A payload of its namespace that it does not know is `feature-not-implemented` (RFC 6120, 8.3.3.3).
    fn answer(&self, question: &Question<'_>) -> Reply;
}

/// All that the server answers itself.
pub struct Services {
    features: Vec<Box<dyn Feature>>,
    caps: Element,
}

impl Services {
    /// Wires the features. Without `accounts` there is no in-band registration.
    pub fn new(im: &'static Im, accounts: Option<Arc<dyn Accounts>>) -> Services {
        let mut features: Vec<Box<dyn Feature>> = vec![
            Box::new(DiscoItems),
            Box::new(Ping),
            Box::new(Time::new(im.clock.clone())),
            Box::new(Version),
        ];
        features.push(Box::new(Roster(im)));
        features.extend(accounts.map(|accounts| Box::new(Registration::new(accounts)) as Box<dyn Feature>));
        // Last, because it names all the others.
        let info = DiscoInfo::new(&features);
        let caps = info.caps().clone();
        features.push(Box::new(info));
        Services { features, caps }
    }

    /// The element that announces the server's capabilities in the stream features (XEP-0115, 6.3).
    pub fn caps(&self) -> &Element {
        &self.caps
    }

    /// Answers a request. Its `to` is a host of ours, a bare address there, or absent.
    pub fn answer(&self, request: &Stanza, sender: Sender<'_>) -> Answer {
        if !request.is_request() {
            return Answer::Nothing;
        }
        let envelope = Envelope::of(request, sender);
        match self.reply(request, sender) {
            Reply::Now(verdict) => Answer::Now(envelope.seal(verdict)),
            Reply::Later(verdict) => {
                Answer::Later(verdict.map(move |verdict| envelope.seal(verdict)).boxed())
            }
            // What the store has at hand needs no waiting.
            Reply::Long(mut verdict) => match (&mut verdict).now_or_never() {
                Some(verdict) => Answer::Now(envelope.seal_long(verdict)),
                None => Answer::Later(verdict.map(move |verdict| envelope.seal_long(verdict)).boxed()),
            },
        }
    }

    fn reply(&self, request: &Stanza, sender: Sender<'_>) -> Reply {
        // A tree is made only for who understands it.
        let [child] = request.children() else {
            return Reply::error(Condition::BadRequest);
        };
        let namespace = child.namespace();
        let Some((target, host)) = target(request.to.as_ref(), sender) else {
            return Reply::error(Condition::ServiceUnavailable);
        };
        if matches!(sender, Sender::Stream { .. }) && namespace != ns::REGISTER {
            return Reply::error(Condition::NotAuthorized);
        }
        let mut features = self.features.iter();
        // RFC 6120, 8.4: a namespace that is not understood.
        let Some(feature) =
            features.find(|feature| feature.namespace() == namespace && feature.serves(target))
        else {
            return Reply::error(Condition::ServiceUnavailable);
        };
        let Some(payload) = request.payload() else {
            return Reply::error(Condition::BadRequest);
        };
        let set = request.kind == StanzaKind::Iq(IqType::Set);
        feature.answer(&Question { set, payload: &payload, target, sender, host })
    }
}

/// Whom a request is for, and at which host. `None` for an address that nobody here answers for.
fn target<'a>(to: Option<&'a Jid>, sender: Sender<'a>) -> Option<(Target, &'a str)> {
    match (to, sender) {
        (None, Sender::Stream { host }) => Some((Target::Server, host)),
        (None, Sender::Session(session)) => Some((Target::OwnAccount, session.domain().as_str())),
        (Some(to), _) if to.is_full() => None,
        (Some(to), Sender::Stream { host }) => (to.as_str() == host).then_some((Target::Server, host)),
        (Some(to), Sender::Session(session)) => {
            let target = match to.node() {
                None => Target::Server,
                Some(_) if *to == session.to_bare() => Target::OwnAccount,
                Some(_) => Target::OtherAccount,
            };
            Some((target, to.domain().as_str()))
        }
    }
}

/// What an answer needs of its request; not the payload, which may hold a password.
struct Envelope(Stanza);

impl Envelope {
    fn of(request: &Stanza, sender: Sender<'_>) -> Envelope {
        let mut kept = Stanza::new(request.kind, &[]);
        kept.id.clone_from(&request.id);
        kept.to.clone_from(&request.to);
        kept.from = match sender {
            Sender::Stream { .. } => None,
            Sender::Session(session) => Some(session.clone().into()),
        };
        Envelope(kept)
    }

    fn seal(&self, verdict: Verdict) -> Response {
        let Envelope(request) = self;
        Response::Stanza(match verdict {
            Ok(payload) => request.result(payload),
            Err(error) => request.error(&error).unwrap_or_else(|| request.result(None)),
        })
    }

    fn seal_long(&self, verdict: Result<Long, StanzaError>) -> Response {
        match verdict {
            Ok(long) => long.within(&self.0.result(None)),
            Err(error) => self.seal(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests;
