//! What the config decides about client streams.

use std::collections::HashMap;

use rjabberd_xml::{Element, Limits};
use rjabberd_xmpp::sasl::{FakeSalts, Mechanism};

pub use crate::offers::Offers;

/// Whether TLS is offered and demanded on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsPolicy {
    /// TLS from the first byte: the stream is secure already.
    Direct,
    /// STARTTLS is offered; `required` means that nothing but STARTTLS is taken before it.
    StartTls {
        /// No authentication before TLS.
        required: bool,
    },
    /// No TLS at all.
    None,
}

/// What differs between virtual hosts.
#[derive(Clone)]
pub struct HostSettings {
    /// Mechanisms to offer, strongest first.
    pub mechanisms: Vec<Mechanism>,
    /// PLAIN is offered on a stream without TLS too.
    pub plain_without_tls: bool,
    /// SCRAM tells what was offered (XEP-0474, XEP-0515).
    pub downgrade_protection: bool,
    /// In-band registration is on (XEP-0077).
    pub registration: bool,
    /// Stream features that stand in every feature list (caps, XEP-0115).
    pub features: Vec<Element>,
    /// What was made of all this for the clients so far; it begins empty.
    pub offers: Offers,
    /// Which keys its accounts have, and fake answers for unknown users.
    pub fakes: FakeSalts,
    /// Seconds after which a token of FAST is replaced by a new one when it is used (XEP-0484, 3.5); `None` offers none.
    pub token_rotation_s: Option<i64>,
}

/// What the config decides about client streams; shared by all streams of a listener.
#[derive(Clone)]
pub struct Settings {
    /// Virtual hosts by normalised domain.
    pub hosts: HashMap<String, HostSettings>,
    /// The virtual host for a header without `to`, and the `from` of an error header.
    pub default_host: String,
    /// TLS on this listener.
    pub tls: TlsPolicy,
    /// Limits before authentication, announced by XEP-0478.
    pub limits_before: Limits,
    /// Limits after authentication, announced by XEP-0478.
    pub limits: Limits,
    /// Failed authentications after which the stream ends with `policy-violation`.
    pub sasl_failures_max: u32,
    /// Addressees of directed presence that one session remembers.
    pub directed_presence_max: usize,
    /// Seconds of silence after which a client is pinged, announced by XEP-0478.
    pub idle_s: u32,
    /// Seconds that a session without connection can be resumed (XEP-0198, 5); 0: none can.
    pub resumption_s_max: u32,
}
