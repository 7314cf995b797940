//! The errors of publish-subscribe (XEP-0060): a condition of RFC 6120 with one of the XEP's own.

use rjabberd_xml::Element;
use rjabberd_xmpp::{Condition, StanzaError, ns};

/// A condition with one of the XEP's.
pub(crate) fn refusal(condition: Condition, application: &str) -> StanzaError {
    StanzaError::new(condition).with_application(Element::new(application, ns::PUBSUB_ERRORS))
}

/// XEP-0060, 6.1.3.12 and elsewhere: something that this service does not do.
pub(crate) fn unsupported(feature: &str) -> StanzaError {
    let unsupported = Element::new("unsupported", ns::PUBSUB_ERRORS).with_attribute("feature", feature);
    StanzaError::new(Condition::FeatureNotImplemented).with_application(unsupported)
}

/// XEP-0060, 7.2.3.3 and elsewhere.
pub(crate) fn nodeid_required() -> StanzaError {
    refusal(Condition::BadRequest, "nodeid-required")
}

pub(crate) fn bad_request() -> StanzaError {
    StanzaError::new(Condition::BadRequest)
}
