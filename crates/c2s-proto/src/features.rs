//! Stream features (RFC 6120, 4.3.2) and what may be used of them: the only place that knows what is offered when.
//!
//! The order is that of XEP-0170: TLS, in-band registration, SASL, resource binding.

use bytes::Bytes;
use rjabberd_xml::{Element, Limits};
use rjabberd_xmpp::{
    management::Version,
    ns,
    sasl::{self, Mechanism, Offered, SaslFailure, ScramHash},
};

use sha2::{Digest, Sha256};

use crate::{
    HostSettings, TlsPolicy,
    negotiating::Negotiation,
    offers::{self, Offer},
};

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
    offered: &Offered,
    named: Option<Mechanism>,
) -> Result<Mechanism, SaslFailure> {
    if tls_owed(negotiation) {
        return Err(SaslFailure::EncryptionRequired);
    }
    match named.ok_or(SaslFailure::InvalidMechanism)? {
        mechanism if offered.mechanisms.contains(&mechanism) => Ok(mechanism),
        mechanism if negotiation.channel.is_none() && host.mechanisms.contains(&mechanism) => {
            Err(SaslFailure::EncryptionRequired)
        }
        _ => Err(SaslFailure::InvalidMechanism),
    }
}

/// What a stream is offered that is not authenticated.
pub(crate) fn offer<'a>(negotiation: &'a Negotiation, domain: &str) -> &'a Offer {
    let host = negotiation.host(domain);
    host.offers.before(negotiation.channel.as_deref(), domain, || make_offer(negotiation, host, domain))
}

fn make_offer(negotiation: &Negotiation, host: &HostSettings, domain: &str) -> Offer {
    let channel = negotiation.channel.as_deref();
    let bindings = channel.map(|channel| channel.bindings()).unwrap_or_default();
    let usable = if tls_owed(negotiation) {
        Vec::new()
    } else {
        offers::usable(&host.mechanisms, channel, domain, host.plain_without_tls)
    };
    // XEP-0388, 3: only after TLS. What is historic has no place in it.
    let modern: Vec<Mechanism> =
        usable.iter().copied().filter(|mechanism| *mechanism != Mechanism::DigestMd5).collect();
    let signed = |offered: Offered| {
        if host.downgrade_protection { offered } else { offered.without_protection() }
    };
    let modern = if channel.is_some() { modern } else { Vec::new() };
    let mut offer = Offer {
        features: Bytes::new(),
        sasl: signed(Offered::new(usable, bindings.clone())),
        sasl2: signed(Offered::new(modern, bindings)),
        tokens: match channel {
            Some(channel) if host.token_rotation_s.is_some() => offers::usable_tokens(channel),
            _ => Vec::new(),
        },
        config_version: String::new(),
    };
    let mut features = before_authentication(negotiation, host, &offer);
    if !offer.sasl2.mechanisms.is_empty() {
        // XEP-0509, 2.3.1: a hash of all the rest.
        let hash = Sha256::digest(offers::written(&features));
        offer.config_version = sasl::encode(&hash[..12]);
        let version = Element::new("config-version", ns::CONFIG_VERSION)
            .with_attribute("scheme", "opaque")
            .with_attribute("value", offer.config_version.as_str());
        features.push(version);
    }
    offer.features = offers::written(&features);
    offer
}

fn before_authentication(negotiation: &Negotiation, host: &HostSettings, offer: &Offer) -> Element {
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
    if !offer.sasl.mechanisms.is_empty() {
        features.push(mechanism_list("mechanisms", ns::SASL, &offer.sasl.mechanisms));
    }
    if !offer.sasl2.mechanisms.is_empty() {
        features.push(authentication(host, offer));
    }
    // XEP-0440: next to the mechanisms, of whichever profile.
    if offer.sasl.binds() {
        features.push(offers::channel_binding(&offer.sasl.bindings));
    }
    push_common(&mut features, host, limits(&negotiation.settings.limits_before));
    features
}

fn mechanism_list(name: &str, namespace: &str, mechanisms: &[Mechanism]) -> Element {
    let mut list = Element::new(name, namespace);
    for mechanism in mechanisms {
        list.push(Element::new("mechanism", namespace).with_text(mechanism.name()));
    }
    list
}

/// `<authentication/>` (XEP-0388, 2.1) with what may be asked for inside of it.
fn authentication(host: &HostSettings, offer: &Offer) -> Element {
    let managed = Version::Three.namespace();
    let mut within = Element::new("inline", ns::BIND2);
    for feature in [managed, ns::CARBONS, ns::CLIENT_STATE] {
        within.push(Element::new("feature", ns::BIND2).with_attribute("var", feature));
    }
    let bind = Element::new("bind", ns::BIND2).with_child(within);
    let mut inline =
        Element::new("inline", ns::SASL2).with_child(Element::new("sm", managed)).with_child(bind);
    if !offer.tokens.is_empty() {
        let mut fast = Element::new("fast", ns::FAST);
        for token in &offer.tokens {
            fast.push(Element::new("mechanism", ns::FAST).with_text(token.name()));
        }
        inline.push(fast);
    }
    let mut authentication =
        mechanism_list("authentication", ns::SASL2, &offer.sasl2.mechanisms).with_child(inline);
    // XEP-0480, 2.1: the same for everybody, or it would tell who has which keys.
    for hash in &host.fakes.plan().hashes {
        authentication.push(Element::new("upgrade", ns::SASL_UPGRADE).with_text(upgrade_task(*hash)));
    }
    authentication
}

/// The name of the task that brings keys for a hash (XEP-0480, 2.1).
pub(crate) fn upgrade_task(hash: ScramHash) -> String {
    format!("UPGR-{}", hash.mechanism_name())
}

/// The features of a stream that is authenticated (RFC 6120, 7.4): without a resource yet, or bound while it logged in.
pub(crate) fn authenticated(negotiation: &Negotiation, domain: &str, is_bound: bool) -> Bytes {
    let host = negotiation.host(domain);
    let make = || after_authentication(negotiation, host, is_bound);
    if is_bound { host.offers.bound(make) } else { host.offers.unbound(make) }
}

fn after_authentication(negotiation: &Negotiation, host: &HostSettings, is_bound: bool) -> Element {
    let mut features = Element::new("features", ns::STREAM);
    if !is_bound {
        features.push(Element::new("bind", ns::BIND));
        let optional = Element::new("optional", ns::SESSION);
        features.push(Element::new("session", ns::SESSION).with_child(optional));
    }
    for version in [Version::Three, Version::Two] {
        features.push(Element::new("sm", version.namespace()));
    }
    features.push(Element::new("csi", ns::CLIENT_STATE));
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
