//! What a stream is offered, written once and kept: it depends on the config and on what TLS below can do, so there are
//! few different offers, and every login is shown one of them.
//!
//! Invariant: what stands in the features is what is taken, and what downgrade protection (XEP-0474) and the version of
//! the config (XEP-0509) are computed from.

use std::{fmt, sync::OnceLock};

use bytes::{Bytes, BytesMut};
use rjabberd_xml::Element;
use rjabberd_xmpp::{
    ns,
    sasl::{BindingType, Mechanism, Offered, SecureChannel, TlsVersion, TokenMechanism},
};

/// Kinds of channels that make a difference: see [`kind`].
const KINDS: usize = 32;

/// What a stream is offered before anybody has logged in.
pub(crate) struct Offer {
    /// `<stream:features/>`.
    pub(crate) features: Bytes,
    /// By RFC 6120.
    pub(crate) sasl: Offered,
    /// By XEP-0388.
    pub(crate) sasl2: Offered,
    /// Mechanisms for tokens (XEP-0484).
    pub(crate) tokens: Vec<TokenMechanism>,
    /// The version of all this (XEP-0509); empty where there is no XEP-0388.
    pub(crate) config_version: String,
}

/// The offers of a virtual host on one listener, as far as they were needed. A copy begins anew.
#[derive(Default)]
pub struct Offers {
    before: [OnceLock<Box<Offer>>; KINDS],
    after: [OnceLock<Bytes>; 3],
}

/// What a stream has when it is offered what is for those that are authenticated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// No resource.
    Authenticated,
    /// A resource: it was bound together with the login (XEP-0386).
    Bound,
    /// A resource, and stream management too (XEP-0198, 9.1).
    Managed,
}

impl Offers {
    pub(crate) fn before(
        &self,
        channel: Option<&SecureChannel>,
        host: &str,
        make: impl Fn() -> Offer,
    ) -> &Offer {
        self.before[kind(channel, host)].get_or_init(|| Box::new(make()))
    }

    /// The features of a stream that is authenticated.
    pub(crate) fn after(&self, progress: Progress, make: impl Fn() -> Element) -> Bytes {
        self.after[progress as usize].get_or_init(|| written(&make())).clone()
    }
}

impl Clone for Offers {
    fn clone(&self) -> Offers {
        Offers::default()
    }
}

impl fmt::Debug for Offers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Offers")
    }
}

/// Which of the offers a channel gets: by its version, its bindings, and whether its client's certificate is good here.
fn kind(channel: Option<&SecureChannel>, host: &str) -> usize {
    let Some(channel) = channel else { return 0 };
    1 | usize::from(channel.version == TlsVersion::V13) << 1
        | usize::from(channel.binding(BindingType::Exporter).is_some()) << 2
        | usize::from(channel.binding(BindingType::EndPoint).is_some()) << 3
        | usize::from(vouches(channel, host)) << 4
}

/// Whether a client's certificate names an account of a host.
pub(crate) fn vouches(channel: &SecureChannel, host: &str) -> bool {
    channel.accounts.iter().any(|account| account.domain().as_str() == host)
}

/// The mechanisms that a channel can do, of those that a host has, strongest first.
pub(crate) fn usable(
    configured: &[Mechanism],
    channel: Option<&SecureChannel>,
    host: &str,
    plain_without_tls: bool,
) -> Vec<Mechanism> {
    let binds = channel.is_some_and(|channel| !channel.bindings().is_empty());
    let mut usable = Vec::new();
    for mechanism in configured {
        match mechanism {
            Mechanism::Scram(hash) => {
                if binds {
                    usable.push(Mechanism::ScramPlus(*hash));
                }
                usable.push(*mechanism);
            }
            Mechanism::External if !channel.is_some_and(|channel| vouches(channel, host)) => {}
            Mechanism::Plain if channel.is_none() && !plain_without_tls => {}
            Mechanism::ScramPlus(_) | Mechanism::Token(_) => {}
            _ => usable.push(*mechanism),
        }
    }
    usable.sort_unstable_by(|one, other| other.cmp(one));
    usable
}

/// The mechanisms for tokens that a channel can do, strongest first.
pub(crate) fn usable_tokens(channel: &SecureChannel) -> Vec<TokenMechanism> {
    let can =
        |token: &TokenMechanism| token.binding().is_none_or(|binding| channel.binding(binding).is_some());
    TokenMechanism::ALL.into_iter().filter(can).collect()
}

/// `<sasl-channel-binding/>` (XEP-0440).
pub(crate) fn channel_binding(bindings: &[BindingType]) -> Element {
    let mut list = Element::new("sasl-channel-binding", ns::CHANNEL_BINDING);
    for binding in bindings {
        list.push(
            Element::new("channel-binding", ns::CHANNEL_BINDING).with_attribute("type", binding.name()),
        );
    }
    list
}

pub(crate) fn written(features: &Element) -> Bytes {
    let mut bytes = BytesMut::new();
    features.write(ns::CLIENT, &mut bytes);
    bytes.freeze()
}
