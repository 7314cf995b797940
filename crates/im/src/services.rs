//! Hands a request to the feature that answers its namespace, and makes the answering stanza.
//!
//! It takes what is addressed to a host of ours, to an account (the server answers on its behalf, RFC 6121, 8.5.2.1.3)
//! or to nobody (the sender's own account, RFC 6120, 10.3.3); a full address is the router's. To add a feature: write
//! its file, and one line in [`Services::new`].

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rjabberd_storage::StoreError;
use rjabberd_xml::{Context, Element, read_element};
use rjabberd_xmpp::{BareJid, Condition, FullJid, IqType, Jid, Stanza, StanzaError, StanzaKind, ns};

use crate::Im;
use crate::archive::Mam;
use crate::blocking::Blocking;
use crate::carbons;
use crate::contact::ContactAddresses;
use crate::disco::{DiscoInfo, DiscoItems};
use crate::last::Last;
pub use crate::long::{Long, Response};
use crate::pep::service::{PubSub, PubSubOwner};
use crate::ping::Ping;
use crate::private::Private;
use crate::push;
use crate::registration::{Accounts, Registration};
use crate::roster::Roster;
use crate::time::Time;
use crate::vcard::VCard;
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
    /// The account that asks is made for its session and ends with it (XEP-0175): the store does not know it.
    pub(crate) from_guest: bool,
    /// The virtual host that is asked.
    pub(crate) host: &'a str,
    /// Whom the sender wrote to.
    pub(crate) to: Option<&'a Jid>,
}

impl Question<'_> {
    /// The session that asks. There is one for all but registration.
    pub(crate) fn session(&self) -> Result<&FullJid, StanzaError> {
        match self.sender {
            Sender::Session(session) => Ok(session),
            Sender::Stream { .. } => Err(StanzaError::new(Condition::NotAuthorized)),
        }
    }

    /// The account that is asked: the sender's own where none was named.
    pub(crate) fn account(&self) -> Result<BareJid, StanzaError> {
        match (self.target, self.to) {
            (Target::OtherAccount, Some(to)) => Ok(to.to_bare()),
            _ => Ok(self.session()?.to_bare()),
        }
    }

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

impl Reply {
    pub(crate) fn result(payload: Element) -> Reply {
        Reply::Now(Ok(Some(payload)))
    }

    pub(crate) fn error(condition: Condition) -> Reply {
        Reply::Now(Err(StanzaError::new(condition)))
    }

    pub(crate) fn refusal(condition: Condition, text: &'static str) -> Reply {
        Reply::Now(Err(StanzaError::new(condition).with_text(text)))
    }

    pub(crate) fn later(verdict: impl Future<Output = Verdict> + Send + 'static) -> Reply {
        Reply::Later(verdict.boxed())
    }
}

impl From<StanzaError> for Reply {
    fn from(error: StanzaError) -> Reply {
        Reply::Now(Err(error))
    }
}

/// What the sender is told of an operation that the store did not do.
pub(crate) fn store_error(error: StoreError) -> StanzaError {
    match error {
        StoreError::Conflict => StanzaError::new(Condition::Conflict),
        StoreError::NotFound => StanzaError::new(Condition::ItemNotFound),
        // A rule of this service, which waiting does not change: so no `resource-constraint` (RFC 6120, 8.3.3.12).
        StoreError::Full => StanzaError::new(Condition::PolicyViolation)
            .with_text("it would be more than an account may keep"),
        StoreError::Invalid(_) => StanzaError::new(Condition::BadRequest),
        // RFC 6120, 8.3.3.18.
        StoreError::Unavailable(_) | StoreError::Deadline | StoreError::Corrupt(_) | StoreError::Io(_) => {
            log::warn!(target: "im:store", "A request is answered with an error: {error}");
            StanzaError::new(Condition::ResourceConstraint).with_text("the store is not available, try again")
        }
    }
}

/// An element as the store keeps it.
pub(crate) fn written(element: &Element) -> String {
    String::from_utf8_lossy(&element.to_bytes()).into_owned()
}

/// An element that [`written`] wrote.
pub(crate) fn read_stored(text: String) -> Result<Element, StanzaError> {
    let read = read_element(&Context::canonical(), Bytes::from(text));
    read.and_then(|fragment| fragment.to_element()).map_err(|error| {
        log::error!(target: "im:store", "The store holds what is no element: {error}");
        StanzaError::new(Condition::InternalServerError)
    })
}

/// Something that the server answers itself.
pub(crate) trait Feature: Send + Sync {
    /// The namespace of its payloads.
    fn namespace(&self) -> &'static str;

    /// For whom it answers.
    fn serves(&self, target: Target) -> bool;

    /// Its names in service discovery, where that target is asked; usually its namespace wherever it answers.
    fn announces(&self, target: Target) -> Vec<&'static str> {
        if self.serves(target) { vec![self.namespace()] } else { Vec::new() }
    }

    /// Whether guests (XEP-0175) may ask for it, or set something: they have nothing that outlives their session.
    fn serves_guests(&self, set: bool) -> bool {
        !set
    }

    /// Answers. A payload of its namespace that it does not know is `feature-not-implemented` (RFC 6120, 8.3.3.3).
    fn answer(&self, question: &Question<'_>) -> Reply;
}

/// All that the server answers itself.
pub struct Services {
    im: &'static Im,
    features: Vec<Box<dyn Feature>>,
    caps: Element,
}

impl Services {
    /// Wires the features. Without `accounts` there is no in-band registration.
    pub fn new(im: &'static Im, accounts: Option<Arc<dyn Accounts>>) -> Services {
        Services::with_contact(im, accounts, &ContactAddresses::default())
    }

    /// The same, with the addresses of those who run the host (XEP-0157).
    pub fn with_contact(
        im: &'static Im,
        accounts: Option<Arc<dyn Accounts>>,
        contact: &ContactAddresses,
    ) -> Services {
        let mut features: Vec<Box<dyn Feature>> = vec![
            Box::new(DiscoItems::new(im)),
            Box::new(Ping),
            Box::new(Time::new(im.clock.clone())),
            Box::new(Version),
            Box::new(Private::new(im)),
            Box::new(VCard::new(im)),
            Box::new(Last::new(im)),
            Box::new(Blocking::new(im)),
            Box::new(carbons::Enabling::new(im)),
            Box::new(push::Enabling::new(im)),
            Box::new(PubSub(im)),
            Box::new(PubSubOwner(im)),
        ];
        if im.limits.archive.enabled {
            features.push(Box::new(Mam::new(im)));
        }
        features.push(Box::new(Roster(im)));
        features.extend(accounts.map(|accounts| Box::new(Registration::new(accounts)) as Box<dyn Feature>));
        // Last, because it names all the others.
        let info = DiscoInfo::new(im, &features, contact);
        let caps = info.caps().clone();
        features.push(Box::new(info));
        Services { im, features, caps }
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
        let from_guest = self.is_guest(sender);
        if from_guest && !feature.serves_guests(set) {
            return Reply::refusal(Condition::NotAllowed, "Guests cannot do this.");
        }
        let to = request.to.as_ref();
        feature.answer(&Question { set, payload: &payload, target, sender, from_guest, host, to })
    }

    fn is_guest(&self, sender: Sender<'_>) -> bool {
        match sender {
            Sender::Stream { .. } => false,
            Sender::Session(session) => self.im.outlet.table().is_guest(&session.to_bare()),
        }
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
