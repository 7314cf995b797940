//! The stream header, typed, and the rules of RFC 6120, 4.7 and 4.8 that need no state.
//!
//! Whether `to` is a host of ours, and whether `from` fits the account, is for the stream's state machine.

use bytes::BytesMut;
use rjabberd_xml::writer::write_attribute;
use rjabberd_xml::{Attribute, Header};

use crate::{Jid, StreamCondition, StreamError, address, ns};

/// Longest language tag that is kept (RFC 5646, 4.4.1).
pub const LANG_BYTES_MAX: usize = 35;

/// A client's stream header, checked as far as it can be without knowing the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamHeader {
    /// `to` as an address, domain normalised; `None` where it was absent. It has neither localpart nor resource.
    pub to: Option<Jid>,
    /// `from`, if the client said who it is.
    pub from: Option<Jid>,
    /// `xml:lang`; of over 35 bytes it is dropped.
    pub lang: Option<String>,
    /// `version` as (major, minor), the major being 1: what is absent means (0, 9) and is refused.
    pub version: (u32, u32),
}

impl StreamHeader {
    /// Checks name, namespaces, prefix, version and addresses: `invalid-namespace`, `bad-namespace-prefix`,
    /// `bad-format`, `unsupported-version`, `improper-addressing`, `invalid-from`.
    pub fn from_xml(header: &Header) -> Result<StreamHeader, StreamError> {
        check_names(header)?;
        let version = attribute(&header.attributes, "", "version").map_or(Some((0, 9)), parse_version);
        let Some(version @ (1, _)) = version else {
            return Err(StreamCondition::UnsupportedVersion.into());
        };
        let to = match attribute(&header.attributes, "", "to").map(address::parse) {
            None => None,
            Some(Ok(to)) if to.node().is_none() && to.is_bare() => Some(to),
            Some(_) => return Err(StreamCondition::ImproperAddressing.into()),
        };
        let from = attribute(&header.attributes, "", "from").map(address::parse).transpose();
        let lang = attribute(&header.attributes, ns::XML, "lang");
        Ok(StreamHeader {
            to,
            from: from.map_err(|_| StreamError::new(StreamCondition::InvalidFrom))?,
            lang: lang.filter(|lang| (1..=LANG_BYTES_MAX).contains(&lang.len())).map(str::to_owned),
            version,
        })
    }
}

/// RFC 6120, 4.8: `<stream:stream/>` with the content namespace as default or not declared at all, or `<stream/>` with
/// the stream namespace as default ("prefix-free canonicalization"), where each stanza declares its own.
fn check_names(header: &Header) -> Result<(), StreamError> {
    if header.namespace != ns::STREAM {
        return Err(StreamCondition::InvalidNamespace.into());
    }
    if header.name != "stream" {
        return Err(StreamError::new(StreamCondition::BadFormat).with_text("the root element is not stream"));
    }
    match (header.prefix.as_str(), header.context.default_namespace()) {
        ("", _) | ("stream", "" | ns::CLIENT) => Ok(()),
        ("stream", _) => Err(StreamCondition::InvalidNamespace.into()),
        _ => Err(StreamCondition::BadNamespacePrefix.into()),
    }
}

/// RFC 6120, 4.7.5: two integers, leading zeros ignored.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let number = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        // A number that does not fit is higher than any that we know.
        plain.then(|| digits.parse().unwrap_or(u32::MAX))
    };
    let (major, minor) = text.split_once('.')?;
    Some((number(major)?, number(minor)?))
}

fn attribute<'a>(attributes: &'a [Attribute], namespace: &str, name: &str) -> Option<&'a str> {
    attributes
        .iter()
        .find(|attribute| attribute.namespace == namespace && attribute.name == name)
        .map(|attribute| attribute.value.as_str())
}

/// Writes our own header: XML declaration, `from`, `to` (the client's `from`, bare or full as sent), `id`, `version`
/// 1.0, `xml:lang`; canonical namespaces.
pub fn write_server_header(from: &str, to: Option<&Jid>, id: &str, lang: &str, out: &mut BytesMut) {
    out.extend_from_slice(b"<?xml version='1.0'?><stream:stream");
    write_attribute("xmlns", ns::CLIENT, out);
    write_attribute("xmlns:stream", ns::STREAM, out);
    write_attribute("from", from, out);
    if let Some(to) = to {
        write_attribute("to", to.as_str(), out);
    }
    write_attribute("id", id, out);
    write_attribute("version", "1.0", out);
    write_attribute("xml:lang", lang, out);
    out.extend_from_slice(b">");
}
