//! Stream features (RFC 6120, 4.3.2) and what may be used of them: the only place that knows what is offered when.
//!
//! The order is that of XEP-0170: TLS, in-band registration, SASL, resource binding.

use rjabberd_xml::{Element, Limits};
use rjabberd_xmpp::{
    ns,
    sasl::{Mechanism, SaslFailure},
};

use crate::{HostSettings, TlsPolicy, negotiating::Negotiation};

/// Whether STARTTLS may be used now.
pub(crate) fn starttls_offered(negotiation: &Negotiation) -> bool {
    negotiation.channel.is_none() && matches!(negotiation.settings.tls, TlsPolicy::StartTls { .. })
}

/// Whether nothing but STARTTLS may be used now (RFC 6120, 5.3.1).
pub(crate) fn tls_owed(negotiation: &Negotiation) -> bool {
    negotiation.channel.is_none() && negotiation.settings.tls == TlsPolicy::StartTls { required: true }
}

/// Whether an account may be registered before authentication (XEP-0077).
pub(crate) fn registration_offered(negotiation: &Negotiation, host: &HostSettings) -> bool {
    host.registration && !tls_owed(negotiation)
}

/// The mechanism that a client named, if it may be used now (RFC 6120, 6.3.4); `None` is a name that nobody knows.
pub(crate) fn offered_mechanism(
    negotiation: &Negotiation,
    host: &HostSettings,
    named: Option<Mechanism>,
) -> Result<Mechanism, SaslFailure> {
    if tls_owed(negotiation) {
        return Err(SaslFailure::EncryptionRequired);
    }
    let known = named.filter(|mechanism| host.mechanisms.contains(mechanism));
    match (known.ok_or(SaslFailure::InvalidMechanism)?, &negotiation.channel) {
        (Mechanism::Plain, None) if !host.plain_without_tls => Err(SaslFailure::EncryptionRequired),
        (mechanism, _) => Ok(mechanism),
    }
}

/// The features of a stream that is not authenticated.
pub(crate) fn before_authentication(negotiation: &Negotiation, host: &HostSettings) -> Element {
    let mut features = Element::new("features", ns::STREAM);
    if tls_owed(negotiation) {
        let required = Element::new("required", ns::TLS);
        features.push(Element::new("starttls", ns::TLS).with_child(required));
        return features;
    }
    if starttls_offered(negotiation) {
        features.push(Element::new("starttls", ns::TLS));
    }
    if host.registration {
        features.push(Element::new("register", ns::REGISTER_FEATURE));
    }
    let mut mechanisms = Element::new("mechanisms", ns::SASL);
    for mechanism in &host.mechanisms {
        if offered_mechanism(negotiation, host, Some(*mechanism)).is_ok() {
            mechanisms.push(Element::new("mechanism", ns::SASL).with_text(mechanism.name()));
        }
    }
    if mechanisms.children().next().is_some() {
        features.push(mechanisms);
    }
    push_common(&mut features, host, limits(&negotiation.settings.limits_before));
    features
}

/// The features of a stream that is authenticated and has no resource yet (RFC 6120, 7.4).
pub(crate) fn before_binding(negotiation: &Negotiation, host: &HostSettings) -> Element {
    let mut features = Element::new("features", ns::STREAM);
    features.push(Element::new("bind", ns::BIND));
    let optional = Element::new("optional", ns::SESSION);
    features.push(Element::new("session", ns::SESSION).with_child(optional));
    // RFC 6121, 2.6.1 and 3.4: merely informative.
    features.push(Element::new("ver", ns::ROSTER_VERSIONS));
    features.push(Element::new("sub", ns::PRE_APPROVAL));
    if host.registration {
        features.push(Element::new("register", ns::REGISTER_FEATURE));
    }
    let idle =
        Element::new("idle-seconds", ns::STREAM_LIMITS).with_text(negotiation.settings.idle_s.to_string());
    push_common(&mut features, host, limits(&negotiation.settings.limits).with_child(idle));
    features
}

fn push_common(features: &mut Element, host: &HostSettings, limits: Element) {
    for feature in &host.features {
        features.push(feature.clone());
    }
    features.push(limits);
}

/// XEP-0478. Before authentication there is no idle time: the negotiation's deadline is absolute.
fn limits(limits: &Limits) -> Element {
    let bytes = Element::new("max-bytes", ns::STREAM_LIMITS).with_text(limits.element_bytes_max.to_string());
    Element::new("limits", ns::STREAM_LIMITS).with_child(bytes)
}
