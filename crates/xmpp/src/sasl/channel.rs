//! TLS below a stream, as mechanisms see it (RFC 5056): data that names this very connection on both of its sides, and
//! the accounts that the client's certificate speaks for.
//!
//! Nothing here knows a socket or a certificate; whoever runs the handshake fills it in.

use std::{fmt, sync::Arc};

use jid::BareJid;

use super::{Mechanism, ScramHash, encode};

/// A type of channel binding (XEP-0440), weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BindingType {
    /// `tls-server-end-point` (RFC 5929, 4).
    EndPoint,
    /// `tls-exporter` (RFC 9266).
    Exporter,
}

impl BindingType {
    /// The registered name.
    pub fn name(self) -> &'static str {
        match self {
            BindingType::EndPoint => "tls-server-end-point",
            BindingType::Exporter => "tls-exporter",
        }
    }

    /// The type of that name.
    pub fn from_name(name: &str) -> Option<BindingType> {
        [BindingType::EndPoint, BindingType::Exporter].into_iter().find(|binding| binding.name() == name)
    }
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TlsVersion {
    /// RFC 5246.
    V12,
    /// RFC 8446.
    V13,
}

impl TlsVersion {
    /// The number of the version on the wire, in hexadecimal (XEP-0515): `0303`, `0304`.
    pub fn hex(self) -> &'static str {
        match self {
            TlsVersion::V12 => "0303",
            TlsVersion::V13 => "0304",
        }
    }
}

/// TLS below a stream.
#[derive(Clone, PartialEq, Eq)]
pub struct SecureChannel {
    /// Its version.
    pub version: TlsVersion,
    /// 32 bytes of exported keying material (RFC 9266, 2); `None` where they are not unique.
    pub exporter: Option<[u8; 32]>,
    /// The hash of the certificate that we showed (RFC 5929, 4.1); `None` where its kind has none.
    pub end_point: Option<Arc<[u8]>>,
    /// Accounts that the client's certificate names and that an authority of their host vouches for.
    pub accounts: Vec<BareJid>,
}

impl SecureChannel {
    /// The data of a type of binding, if this channel has it.
    pub fn binding(&self, binding: BindingType) -> Option<&[u8]> {
        match binding {
            BindingType::EndPoint => self.end_point.as_deref(),
            BindingType::Exporter => self.exporter.as_ref().map(|bytes| &bytes[..]),
        }
    }

    /// The types that it has data for, strongest first.
    pub fn bindings(&self) -> Vec<BindingType> {
        [BindingType::Exporter, BindingType::EndPoint]
            .into_iter()
            .filter(|binding| self.binding(*binding).is_some())
            .collect()
    }
}

/// Exported keying material is nobody's business.
impl fmt::Debug for SecureChannel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("SecureChannel").field("version", &self.version).finish_non_exhaustive()
    }
}

/// What was offered to a client, by the profile of SASL that it uses: what it says is measured by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offered {
    /// Mechanisms, in the order of the offer.
    pub mechanisms: Vec<Mechanism>,
    /// Types of channel binding (XEP-0440); none are announced where it is empty.
    pub bindings: Vec<BindingType>,
    /// XEP-0474, for each [`ScramHash`] in its order; `None` where it is not to be said.
    protections: Option<[String; 3]>,
}

impl Offered {
    /// An offer.
    pub fn new(mechanisms: Vec<Mechanism>, bindings: Vec<BindingType>) -> Offered {
        let list = downgrade_list(&mechanisms, &bindings);
        let protections = [ScramHash::Sha1, ScramHash::Sha256, ScramHash::Sha512]
            .map(|hash| encode(&hash.digest(list.as_bytes())));
        Offered { mechanisms, bindings, protections: Some(protections) }
    }

    /// The same offer, of which SCRAM says nothing (neither `h` nor `t`; XEP-0474, XEP-0515): for clients that give up at
    /// attributes which they do not know, against RFC 5802, 5.1. Known are strophe.js before 2024 (so Converse.js up to
    /// 10.1.6), PHP's fabiang/sasl before 2025 and Rust's rsasl.
    pub fn without_protection(self) -> Offered {
        Offered { protections: None, ..self }
    }

    /// Whether channel binding was offered at all.
    pub fn binds(&self) -> bool {
        self.mechanisms.iter().any(|mechanism| matches!(mechanism, Mechanism::ScramPlus(_)))
    }

    /// The value of the attribute `h` (XEP-0474): the hash of the offer, in base64; `None` where it is not to be sent.
    pub fn protection(&self, hash: ScramHash) -> Option<&str> {
        self.protections.as_ref().map(|protections| protections[hash as usize].as_str())
    }
}

/// The text that is hashed (XEP-0474): names sorted by octets, U+001E between them, U+001F before the bindings.
fn downgrade_list(mechanisms: &[Mechanism], bindings: &[BindingType]) -> String {
    let mut mechanisms: Vec<&str> = mechanisms.iter().map(|mechanism| mechanism.name()).collect();
    mechanisms.sort_unstable();
    let mut bindings: Vec<&str> = bindings.iter().map(|binding| binding.name()).collect();
    bindings.sort_unstable();
    let mut list = mechanisms.join("\u{1e}");
    if !bindings.is_empty() {
        list.push('\u{1f}');
        list.push_str(&bindings.join("\u{1e}"));
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_the_offer_is_that_of_the_specifications_example() {
        let offered = Offered::new(
            vec![Mechanism::ScramPlus(ScramHash::Sha1), Mechanism::Scram(ScramHash::Sha1)],
            vec![BindingType::EndPoint, BindingType::Exporter],
        );
        assert_eq!(offered.protection(ScramHash::Sha1), Some("G6k/rBLDqgOhRRaCuuatSDFkJ08="));
        assert_eq!(offered.without_protection().protection(ScramHash::Sha1), None);
    }
}
