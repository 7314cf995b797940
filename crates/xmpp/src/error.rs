//! Stanza errors (RFC 6120, 8.3) and stream errors (RFC 6120, 4.9): the values and their XML.
//!
//! Which error answers what is decided where the rule is; here only the parser's refusals become stream errors.

use std::borrow::Cow;

use bytes::BytesMut;
use rjabberd_xml::{Element, Limit, XmlError};

use crate::ns;

/// `type` of a stanza error (RFC 6120, 8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorType {
    /// Retry after giving credentials.
    Auth,
    /// Do not retry.
    Cancel,
    /// The condition was only a warning.
    Continue,
    /// Retry after changing what was sent.
    Modify,
    /// Retry after waiting.
    Wait,
}

impl ErrorType {
    /// The RFC's name.
    pub fn name(self) -> &'static str {
        match self {
            ErrorType::Auth => "auth",
            ErrorType::Cancel => "cancel",
            ErrorType::Continue => "continue",
            ErrorType::Modify => "modify",
            ErrorType::Wait => "wait",
        }
    }

    /// The type of that name.
    pub fn from_name(name: &str) -> Option<ErrorType> {
        [ErrorType::Auth, ErrorType::Cancel, ErrorType::Continue, ErrorType::Modify, ErrorType::Wait]
            .into_iter()
            .find(|error_type| error_type.name() == name)
    }
}

/// Defined conditions of a stanza error (RFC 6120, 8.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the RFC's names, one to one")]
pub enum Condition {
    BadRequest,
    Conflict,
    FeatureNotImplemented,
    Forbidden,
    Gone,
    InternalServerError,
    ItemNotFound,
    JidMalformed,
    NotAcceptable,
    NotAllowed,
    NotAuthorized,
    PolicyViolation,
    RecipientUnavailable,
    Redirect,
    RegistrationRequired,
    RemoteServerNotFound,
    RemoteServerTimeout,
    ResourceConstraint,
    ServiceUnavailable,
    SubscriptionRequired,
    UndefinedCondition,
    UnexpectedRequest,
}

impl Condition {
    /// All of them, in the RFC's order.
    pub const ALL: [Condition; 22] = [
        Condition::BadRequest,
        Condition::Conflict,
        Condition::FeatureNotImplemented,
        Condition::Forbidden,
        Condition::Gone,
        Condition::InternalServerError,
        Condition::ItemNotFound,
        Condition::JidMalformed,
        Condition::NotAcceptable,
        Condition::NotAllowed,
        Condition::NotAuthorized,
        Condition::PolicyViolation,
        Condition::RecipientUnavailable,
        Condition::Redirect,
        Condition::RegistrationRequired,
        Condition::RemoteServerNotFound,
        Condition::RemoteServerTimeout,
        Condition::ResourceConstraint,
        Condition::ServiceUnavailable,
        Condition::SubscriptionRequired,
        Condition::UndefinedCondition,
        Condition::UnexpectedRequest,
    ];

    /// The RFC's name, as element and metric label.
    pub fn name(self) -> &'static str {
        match self {
            Condition::BadRequest => "bad-request",
            Condition::Conflict => "conflict",
            Condition::FeatureNotImplemented => "feature-not-implemented",
            Condition::Forbidden => "forbidden",
            Condition::Gone => "gone",
            Condition::InternalServerError => "internal-server-error",
            Condition::ItemNotFound => "item-not-found",
            Condition::JidMalformed => "jid-malformed",
            Condition::NotAcceptable => "not-acceptable",
            Condition::NotAllowed => "not-allowed",
            Condition::NotAuthorized => "not-authorized",
            Condition::PolicyViolation => "policy-violation",
            Condition::RecipientUnavailable => "recipient-unavailable",
            Condition::Redirect => "redirect",
            Condition::RegistrationRequired => "registration-required",
            Condition::RemoteServerNotFound => "remote-server-not-found",
            Condition::RemoteServerTimeout => "remote-server-timeout",
            Condition::ResourceConstraint => "resource-constraint",
            Condition::ServiceUnavailable => "service-unavailable",
            Condition::SubscriptionRequired => "subscription-required",
            Condition::UndefinedCondition => "undefined-condition",
            Condition::UnexpectedRequest => "unexpected-request",
        }
    }

    /// The condition of that name.
    pub fn from_name(name: &str) -> Option<Condition> {
        Condition::ALL.into_iter().find(|condition| condition.name() == name)
    }

    /// The type that the RFC gives the condition. For `undefined-condition` it gives none; its example says modify.
    pub fn error_type(self) -> ErrorType {
        match self {
            Condition::BadRequest
            | Condition::JidMalformed
            | Condition::NotAcceptable
            | Condition::PolicyViolation
            | Condition::Redirect
            | Condition::UndefinedCondition
            | Condition::UnexpectedRequest => ErrorType::Modify,
            Condition::Conflict
            | Condition::FeatureNotImplemented
            | Condition::Gone
            | Condition::InternalServerError
            | Condition::ItemNotFound
            | Condition::NotAllowed
            | Condition::RemoteServerNotFound
            | Condition::ServiceUnavailable => ErrorType::Cancel,
            Condition::Forbidden
            | Condition::NotAuthorized
            | Condition::RegistrationRequired
            | Condition::SubscriptionRequired => ErrorType::Auth,
            Condition::RecipientUnavailable
            | Condition::RemoteServerTimeout
            | Condition::ResourceConstraint => ErrorType::Wait,
        }
    }
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
    pub application: Option<Box<Element>>,
}

impl StanzaError {
    /// An error with the type that RFC 6120, 8.3.3 gives its condition.
    pub fn new(condition: Condition) -> StanzaError {
        StanzaError { error_type: condition.error_type(), condition, text: None, application: None }
    }

    /// With a text for humans.
    #[must_use]
    pub fn with_text(mut self, text: impl Into<Cow<'static, str>>) -> StanzaError {
        self.text = Some(text.into());
        self
    }

    /// With an application-specific condition.
    #[must_use]
    pub fn with_application(mut self, condition: Element) -> StanzaError {
        self.application = Some(Box::new(condition));
        self
    }

    /// The `<error/>` element, in namespace `jabber:client`.
    pub fn to_element(&self) -> Element {
        let mut error = Element::new("error", ns::CLIENT).with_attribute("type", self.error_type.name());
        push_conditions(&mut error, self.condition.name(), ns::STANZA_ERRORS, &self.text, &self.application);
        error
    }

    /// Reads an `<error/>` element. A condition that we do not know counts as `undefined-condition`
    /// (RFC 6120, 8.3.2); a type that we do not know, as that of the condition.
    pub fn from_element(error: &Element) -> StanzaError {
        let defined = |child: &&Element| child.namespace() == ns::STANZA_ERRORS && child.name() != "text";
        let application = |child: &&Element| child.namespace() != ns::STANZA_ERRORS;
        let condition = error
            .children()
            .find(defined)
            .and_then(|child| Condition::from_name(child.name()))
            .unwrap_or(Condition::UndefinedCondition);
        let error_type = error.attribute("type").and_then(ErrorType::from_name);
        StanzaError {
            error_type: error_type.unwrap_or(condition.error_type()),
            condition,
            text: error.child("text", ns::STANZA_ERRORS).map(|text| Cow::Owned(text.text())),
            application: error.children().find(application).map(|child| Box::new(child.clone())),
        }
    }
}

/// Defined conditions of a stream error (RFC 6120, 4.9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the RFC's names, one to one")]
pub enum StreamCondition {
    BadFormat,
    BadNamespacePrefix,
    Conflict,
    ConnectionTimeout,
    HostGone,
    HostUnknown,
    ImproperAddressing,
    InternalServerError,
    InvalidFrom,
    InvalidNamespace,
    InvalidXml,
    NotAuthorized,
    NotWellFormed,
    PolicyViolation,
    RemoteConnectionFailed,
    Reset,
    ResourceConstraint,
    RestrictedXml,
    SeeOtherHost,
    SystemShutdown,
    UndefinedCondition,
    UnsupportedEncoding,
    UnsupportedFeature,
    UnsupportedStanzaType,
    UnsupportedVersion,
}

impl StreamCondition {
    /// The RFC's name, as element and metric label.
    pub fn name(self) -> &'static str {
        match self {
            StreamCondition::BadFormat => "bad-format",
            StreamCondition::BadNamespacePrefix => "bad-namespace-prefix",
            StreamCondition::Conflict => "conflict",
            StreamCondition::ConnectionTimeout => "connection-timeout",
            StreamCondition::HostGone => "host-gone",
            StreamCondition::HostUnknown => "host-unknown",
            StreamCondition::ImproperAddressing => "improper-addressing",
            StreamCondition::InternalServerError => "internal-server-error",
            StreamCondition::InvalidFrom => "invalid-from",
            StreamCondition::InvalidNamespace => "invalid-namespace",
            StreamCondition::InvalidXml => "invalid-xml",
            StreamCondition::NotAuthorized => "not-authorized",
            StreamCondition::NotWellFormed => "not-well-formed",
            StreamCondition::PolicyViolation => "policy-violation",
            StreamCondition::RemoteConnectionFailed => "remote-connection-failed",
            StreamCondition::Reset => "reset",
            StreamCondition::ResourceConstraint => "resource-constraint",
            StreamCondition::RestrictedXml => "restricted-xml",
            StreamCondition::SeeOtherHost => "see-other-host",
            StreamCondition::SystemShutdown => "system-shutdown",
            StreamCondition::UndefinedCondition => "undefined-condition",
            StreamCondition::UnsupportedEncoding => "unsupported-encoding",
            StreamCondition::UnsupportedFeature => "unsupported-feature",
            StreamCondition::UnsupportedStanzaType => "unsupported-stanza-type",
            StreamCondition::UnsupportedVersion => "unsupported-version",
        }
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
    pub application: Option<Box<Element>>,
}

impl StreamError {
    /// A stream error without text.
    pub fn new(condition: StreamCondition) -> StreamError {
        StreamError { condition, text: None, application: None }
    }

    /// With a text for humans.
    #[must_use]
    pub fn with_text(mut self, text: impl Into<Cow<'static, str>>) -> StreamError {
        self.text = Some(text.into());
        self
    }

    /// With an application-specific condition.
    #[must_use]
    pub fn with_application(mut self, condition: Element) -> StreamError {
        self.application = Some(Box::new(condition));
        self
    }

    /// Writes `<stream:error>…</stream:error>`; the stream header must have declared `stream`.
    pub fn write(&self, out: &mut BytesMut) {
        let mut error = Element::new("error", ns::STREAM);
        push_conditions(&mut error, self.condition.name(), ns::STREAM_ERRORS, &self.text, &self.application);
        error.write(ns::CLIENT, out);
    }
}

impl From<StreamCondition> for StreamError {
    fn from(condition: StreamCondition) -> StreamError {
        StreamError::new(condition)
    }
}

impl From<&XmlError> for StreamError {
    fn from(refused: &XmlError) -> StreamError {
        match refused {
            XmlError::Restricted(what) => StreamError::new(StreamCondition::RestrictedXml).with_text(*what),
            // RFC 6120, 4.9.3.22: bytes that break the rules of UTF-8 are an unsupported encoding, no bad format.
            XmlError::NotUtf8(what) => {
                StreamError::new(StreamCondition::UnsupportedEncoding).with_text(*what)
            }
            XmlError::UnsupportedEncoding => StreamError::new(StreamCondition::UnsupportedEncoding),
            XmlError::NotWellFormed(what) => {
                StreamError::new(StreamCondition::NotWellFormed).with_text(*what)
            }
            XmlError::LimitPassed(limit) => limit_passed(*limit),
        }
    }
}

fn limit_passed(limit: Limit) -> StreamError {
    let error = StreamError::new(StreamCondition::PolicyViolation);
    match limit {
        Limit::HeaderBytes => error.with_text("the stream header is too long"),
        // XEP-0205, 2: the one limit that has a condition of its own.
        Limit::ElementBytes => error
            .with_text("the element is too long")
            .with_application(Element::new("stanza-too-big", ns::ERRORS)),
        Limit::Elements => error.with_text("too many elements in one"),
        Limit::Depth => error.with_text("elements are nested too deep"),
        Limit::Attributes => error.with_text("too many attributes"),
        Limit::Namespaces => error.with_text("too many namespace declarations"),
    }
}

/// What both kinds of error hold: the defined condition, the text, the application-specific condition, in this order.
fn push_conditions(
    error: &mut Element,
    condition: &str,
    namespace: &str,
    text: &Option<Cow<'static, str>>,
    application: &Option<Box<Element>>,
) {
    error.push(Element::new(condition, namespace));
    if let Some(text) = text {
        error.push(Element::new("text", namespace).with_lang("en").with_text(&**text));
    }
    if let Some(application) = application {
        error.push((**application).clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6120, 8.3.3: name and type of each condition, in the order of the RFC.
    const CONDITIONS: [(&str, &str); 22] = [
        ("bad-request", "modify"),
        ("conflict", "cancel"),
        ("feature-not-implemented", "cancel"),
        ("forbidden", "auth"),
        ("gone", "cancel"),
        ("internal-server-error", "cancel"),
        ("item-not-found", "cancel"),
        ("jid-malformed", "modify"),
        ("not-acceptable", "modify"),
        ("not-allowed", "cancel"),
        ("not-authorized", "auth"),
        ("policy-violation", "modify"),
        ("recipient-unavailable", "wait"),
        ("redirect", "modify"),
        ("registration-required", "auth"),
        ("remote-server-not-found", "cancel"),
        ("remote-server-timeout", "wait"),
        ("resource-constraint", "wait"),
        ("service-unavailable", "cancel"),
        ("subscription-required", "auth"),
        ("undefined-condition", "modify"),
        ("unexpected-request", "modify"),
    ];

    fn text_of(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn each_stanza_error_has_the_name_and_type_of_the_rfc() {
        assert_eq!(
            Condition::ALL.map(|condition| (condition.name(), condition.error_type().name())),
            CONDITIONS
        );
        for condition in Condition::ALL {
            assert_eq!(Condition::from_name(condition.name()), Some(condition));
            assert_eq!(StanzaError::new(condition).error_type, condition.error_type());
        }
        assert_eq!(Condition::from_name("text"), None);
    }

    #[test]
    fn a_stanza_error_is_written_as_the_rfc_shows_it() {
        let error = StanzaError::new(Condition::BadRequest).with_text("a < b");
        assert_eq!(
            text_of(&error.with_application(Element::new("x", "urn:x")).to_element().to_bytes()),
            "<error type=\"modify\"><bad-request xmlns=\"urn:ietf:params:xml:ns:xmpp-stanzas\"/>\
             <text xmlns=\"urn:ietf:params:xml:ns:xmpp-stanzas\" xml:lang=\"en\">a &lt; b</text>\
             <x xmlns=\"urn:x\"/></error>"
        );
        assert_eq!(
            text_of(&StanzaError::new(Condition::Gone).to_element().to_bytes()),
            "<error type=\"cancel\"><gone xmlns=\"urn:ietf:params:xml:ns:xmpp-stanzas\"/></error>"
        );
    }

    #[test]
    fn a_stanza_error_is_read_as_it_was_written() {
        for condition in Condition::ALL {
            let error = StanzaError { error_type: ErrorType::Continue, ..StanzaError::new(condition) };
            assert_eq!(StanzaError::from_element(&error.to_element()), error);
            let error = error.with_text("why").with_application(Element::new("x", "urn:x"));
            assert_eq!(StanzaError::from_element(&error.to_element()), error);
        }
    }

    #[test]
    fn an_unknown_condition_counts_as_undefined() {
        let strange = Element::new("error", ns::CLIENT)
            .with_attribute("type", "strange")
            .with_child(Element::new("strange", ns::STANZA_ERRORS));
        assert_eq!(StanzaError::from_element(&strange), StanzaError::new(Condition::UndefinedCondition));
        let empty = Element::new("error", ns::CLIENT);
        assert_eq!(StanzaError::from_element(&empty), StanzaError::new(Condition::UndefinedCondition));
    }

    #[track_caller]
    fn check_stream_error(error: &StreamError, expected: &str) {
        let mut out = BytesMut::new();
        error.write(&mut out);
        assert_eq!(text_of(&out), expected);
    }

    #[test]
    fn a_stream_error_is_written_as_the_rfc_shows_it() {
        check_stream_error(
            &StreamError::new(StreamCondition::HostUnknown),
            "<stream:error><host-unknown xmlns=\"urn:ietf:params:xml:ns:xmpp-streams\"/></stream:error>",
        );
        check_stream_error(
            &StreamError::from(&XmlError::LimitPassed(Limit::ElementBytes)),
            "<stream:error><policy-violation xmlns=\"urn:ietf:params:xml:ns:xmpp-streams\"/>\
             <text xmlns=\"urn:ietf:params:xml:ns:xmpp-streams\" xml:lang=\"en\">the element is too long</text>\
             <stanza-too-big xmlns=\"urn:xmpp:errors\"/></stream:error>",
        );
    }

    #[test]
    fn each_stream_error_has_the_name_of_the_rfc() {
        use StreamCondition::*;
        for (condition, name) in [
            (BadFormat, "bad-format"),
            (BadNamespacePrefix, "bad-namespace-prefix"),
            (Conflict, "conflict"),
            (ConnectionTimeout, "connection-timeout"),
            (HostGone, "host-gone"),
            (HostUnknown, "host-unknown"),
            (ImproperAddressing, "improper-addressing"),
            (InternalServerError, "internal-server-error"),
            (InvalidFrom, "invalid-from"),
            (InvalidNamespace, "invalid-namespace"),
            (InvalidXml, "invalid-xml"),
            (NotAuthorized, "not-authorized"),
            (NotWellFormed, "not-well-formed"),
            (PolicyViolation, "policy-violation"),
            (RemoteConnectionFailed, "remote-connection-failed"),
            (Reset, "reset"),
            (ResourceConstraint, "resource-constraint"),
            (RestrictedXml, "restricted-xml"),
            (SeeOtherHost, "see-other-host"),
            (SystemShutdown, "system-shutdown"),
            (UndefinedCondition, "undefined-condition"),
            (UnsupportedEncoding, "unsupported-encoding"),
            (UnsupportedFeature, "unsupported-feature"),
            (UnsupportedStanzaType, "unsupported-stanza-type"),
            (UnsupportedVersion, "unsupported-version"),
        ] {
            assert_eq!(condition.name(), name);
        }
    }

    #[test]
    fn each_refusal_of_the_parser_has_its_stream_error() {
        use StreamCondition::*;
        for (refused, condition) in [
            (XmlError::Restricted("comment"), RestrictedXml),
            (XmlError::NotUtf8("not UTF-8"), UnsupportedEncoding),
            (XmlError::UnsupportedEncoding, UnsupportedEncoding),
            (XmlError::NotWellFormed("tag"), NotWellFormed),
        ] {
            assert_eq!(StreamError::from(&refused).condition, condition);
        }
        for limit in [
            Limit::HeaderBytes,
            Limit::ElementBytes,
            Limit::Elements,
            Limit::Depth,
            Limit::Attributes,
            Limit::Namespaces,
        ] {
            let error = StreamError::from(&XmlError::LimitPassed(limit));
            assert_eq!(error.condition, PolicyViolation);
            assert!(error.text.is_some());
            assert_eq!(error.application.is_some(), limit == Limit::ElementBytes);
        }
    }
}
