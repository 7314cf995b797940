//! The stream header, typed, and the rules of RFC 6120, 4.7 and 4.8 that need no state.

use bytes::BytesMut;
use rjabberd_xml::Header;

use crate::{Jid, StreamError};

/// A client's stream header, checked as far as it can be without knowing the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamHeader {
    /// `to` as an address, domain normalised; `None` where it was absent.
    pub to: Option<Jid>,
    /// `from`, if the client said who it is.
    pub from: Option<Jid>,
    /// `xml:lang`; of over 35 bytes it is dropped.
    pub lang: Option<String>,
    /// `version` as (major, minor); absent means (0, 9).
    pub version: (u32, u32),
}

impl StreamHeader {
    /// Checks name, namespaces, prefix, version and addresses: `invalid-namespace`, `bad-namespace-prefix`,
    /// `bad-format`/`invalid-xml`, `unsupported-version`, `improper-addressing`, `invalid-from`.
    /// The error comes with what is known of the header, for the answering header (RFC 6120, 4.9.1.2).
    pub fn from_xml(_header: &Header) -> Result<StreamHeader, StreamError> {
        todo!()
    }
}

/// Writes our own header: XML declaration, `from`, `to` (the client's `from`, bare or full as sent), `id`, `version`
/// 1.0, `xml:lang`; canonical namespaces.
pub fn write_server_header(_from: &str, _to: Option<&Jid>, _id: &str, _lang: &str, _out: &mut BytesMut) {
    todo!()
}
