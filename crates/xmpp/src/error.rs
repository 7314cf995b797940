//! Stanza errors (RFC 6120, 8.3) and stream errors (RFC 6120, 4.9).

use std::borrow::Cow;

use bytes::BytesMut;
use rjabberd_xml::{Element, XmlError};

/// `type` of a stanza error (RFC 6120, 8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorType { /// Retry after giving credentials.
    Auth, /// Do not retry.
    Cancel, /// The condition was only a warning.
    Continue, /// Retry after changing what was sent.
    Modify, /// Retry after waiting.
    Wait }

/// Defined conditions of a stanza error (RFC 6120, 8.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the RFC's names, one to one")]
pub enum Condition {
    BadRequest, Conflict, FeatureNotImplemented, Forbidden, Gone, InternalServerError, ItemNotFound, JidMalformed,
    NotAcceptable, NotAllowed, NotAuthorized, PolicyViolation, RecipientUnavailable, Redirect, RegistrationRequired,
    RemoteServerNotFound, RemoteServerTimeout, ResourceConstraint, ServiceUnavailable, SubscriptionRequired,
    UndefinedCondition, UnexpectedRequest,
}

/// A stanza error: a value sent to the peer; the stream goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StanzaError {
    /// What the sender may do about it.
    pub error_type: ErrorType,
    /// The defined condition.
    pub condition: Condition,
    /// A text for humans, in English.
    pub text: Option<Cow<'static, str>>,
    /// An application-specific condition.
    pub application: Option<Element>,
}

impl StanzaError {
    /// An error with the type that RFC 6120, 8.3.3 gives its condition.
    pub fn new(_condition: Condition) -> StanzaError {
        todo!()
    }
    /// With a text for humans.
    #[must_use]
    pub fn with_text(self, _text: impl Into<Cow<'static, str>>) -> StanzaError {
        todo!()
    }
    /// The `<error/>` element, in namespace `jabber:client`.
    pub fn to_element(&self) -> Element {
        todo!()
    }
}

/// Defined conditions of a stream error (RFC 6120, 4.9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the RFC's names, one to one")]
pub enum StreamCondition {
    BadFormat, BadNamespacePrefix, Conflict, ConnectionTimeout, HostGone, HostUnknown, ImproperAddressing,
    InternalServerError, InvalidFrom, InvalidNamespace, InvalidXml, NotAuthorized, NotWellFormed, PolicyViolation,
    RemoteConnectionFailed, Reset, ResourceConstraint, RestrictedXml, SeeOtherHost, SystemShutdown,
    UndefinedCondition, UnsupportedEncoding, UnsupportedFeature, UnsupportedStanzaType, UnsupportedVersion,
}

impl StreamCondition {
    /// The RFC's name, as element and metric label.
    pub fn name(self) -> &'static str {
        todo!()
    }
}

/// A stream error: the last thing a stream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamError {
    /// The defined condition.
    pub condition: StreamCondition,
    /// A text for humans, in English.
    pub text: Option<Cow<'static, str>>,
    /// An application-specific condition (`<stanza-too-big xmlns='urn:xmpp:errors'/>`).
    pub application: Option<Element>,
}

impl StreamError {
    /// A stream error without text.
    pub fn new(_condition: StreamCondition) -> StreamError {
        todo!()
    }
    /// With a text for humans.
    #[must_use]
    pub fn with_text(self, _text: impl Into<Cow<'static, str>>) -> StreamError {
        todo!()
    }
    /// Writes `<stream:error>…</stream:error>`; the stream header must have declared `stream`.
    pub fn write(&self, _out: &mut BytesMut) {
        todo!()
    }
}

impl From<&XmlError> for StreamError {
    fn from(_refused: &XmlError) -> StreamError {
        todo!()
    }
}
