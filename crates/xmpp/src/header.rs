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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rjabberd_xml::read_header;

    use super::*;

    /// A header with these names and attributes, as a client would write it.
    fn written(name: &str, namespaces: &str, attributes: &str) -> String {
        format!("<?xml version='1.0'?><{name} {namespaces} {attributes}>")
    }

    const USUAL: &str = "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'";

    fn parsed(text: &str) -> Result<StreamHeader, StreamCondition> {
        let header = read_header(text.as_bytes()).unwrap();
        StreamHeader::from_xml(&header).map_err(|error| error.condition)
    }

    #[track_caller]
    fn check(name: &str, namespaces: &str, attributes: &str, expected: Result<(), StreamCondition>) {
        let text = written(name, namespaces, attributes);
        assert_eq!(parsed(&text).map(|_| ()), expected, "{text}");
    }

    #[test]
    fn the_header_of_the_rfc_is_taken() {
        let attributes =
            "from='Juliet@im.example.com' to='IM.example.com.' version='1.0' xml:lang='en' id='x'";
        assert_eq!(
            parsed(&written("stream:stream", USUAL, attributes)),
            Ok(StreamHeader {
                to: Some(address::parse("im.example.com").unwrap()),
                from: Some(address::parse("juliet@im.example.com").unwrap()),
                lang: Some("en".to_owned()),
                version: (1, 0),
            })
        );
        let bare = StreamHeader { to: None, from: None, lang: None, version: (1, 0) };
        assert_eq!(parsed(&written("stream:stream", USUAL, "version='1.0'")), Ok(bare));
    }

    #[test]
    fn both_styles_of_namespace_declaration_are_taken() {
        let stream = "http://etherx.jabber.org/streams";
        check("stream:stream", USUAL, "version='1.0'", Ok(()));
        check("stream", &format!("xmlns='{stream}'"), "version='1.0'", Ok(()));
        check("stream:stream", &format!("xmlns:stream='{stream}'"), "version='1.0'", Ok(()));
    }

    #[test]
    fn a_wrong_name_namespace_or_prefix_is_refused() {
        use StreamCondition::*;
        let stream = "http://etherx.jabber.org/streams";
        for (name, namespaces, expected) in [
            (
                "stream:stream",
                "xmlns='jabber:client' xmlns:stream='http://wrong.example.org/'".to_owned(),
                InvalidNamespace,
            ),
            ("stream", "xmlns='jabber:client'".to_owned(), InvalidNamespace),
            ("stream", String::new(), InvalidNamespace),
            ("stream:stream", format!("xmlns='jabber:server' xmlns:stream='{stream}'"), InvalidNamespace),
            ("stream:stream", format!("xmlns='{stream}' xmlns:stream='{stream}'"), InvalidNamespace),
            ("stream:stream", format!("xmlns='urn:other' xmlns:stream='{stream}'"), InvalidNamespace),
            ("foobar:stream", format!("xmlns='jabber:client' xmlns:foobar='{stream}'"), BadNamespacePrefix),
            ("stream:streams", USUAL.to_owned(), BadFormat),
            ("features", format!("xmlns='{stream}'"), BadFormat),
        ] {
            check(name, &namespaces, "version='1.0'", Err(expected));
        }
    }

    #[test]
    fn only_version_1_is_spoken() {
        for version in ["1.0", "1.1", "01.00", "1.10", "1.99999999999"] {
            check("stream:stream", USUAL, &format!("version='{version}'"), Ok(()));
        }
        for version in
            ["0.9", "2.0", "11.0", "99999999999.0", "", "1", "1.", ".0", "1.0.0", " 1.0", "+1.0", "one"]
        {
            let attribute = format!("version='{version}'");
            check("stream:stream", USUAL, &attribute, Err(StreamCondition::UnsupportedVersion));
        }
        check("stream:stream", USUAL, "", Err(StreamCondition::UnsupportedVersion));
        let attributes = "version='1.07'";
        assert_eq!(parsed(&written("stream:stream", USUAL, attributes)).unwrap().version, (1, 7));
    }

    #[test]
    fn an_addressee_that_is_no_domain_is_improper() {
        for to in ["romeo@example.net", "example.net/a", "romeo@example.net/a", "", "a b", "@"] {
            let attributes = format!("version='1.0' to='{to}'");
            check("stream:stream", USUAL, &attributes, Err(StreamCondition::ImproperAddressing));
        }
    }

    #[test]
    fn a_sender_that_is_no_address_is_invalid() {
        for from in ["", "@", "a b", "romeo@"] {
            let attributes = format!("version='1.0' from='{from}'");
            check("stream:stream", USUAL, &attributes, Err(StreamCondition::InvalidFrom));
        }
        for from in ["romeo@example.net", "romeo@example.net/a", "example.net"] {
            check("stream:stream", USUAL, &format!("version='1.0' from='{from}'"), Ok(()));
        }
    }

    #[test]
    fn a_language_of_over_35_bytes_is_dropped() {
        let lang_of = |lang: &str| {
            let attributes = format!("version='1.0' xml:lang='{lang}'");
            parsed(&written("stream:stream", USUAL, &attributes)).unwrap().lang
        };
        assert_eq!(lang_of(&"x".repeat(35)), Some("x".repeat(35)));
        assert_eq!(lang_of(&"x".repeat(36)), None);
        assert_eq!(lang_of(""), None);
    }

    #[test]
    fn our_header_declares_the_canonical_namespaces() {
        let mut out = BytesMut::new();
        let to = address::parse("juliet@im.example.com").unwrap();
        write_server_header("im.example.com", Some(&to), "a<b", "en", &mut out);
        assert_eq!(
            std::str::from_utf8(&out).unwrap(),
            "<?xml version='1.0'?><stream:stream xmlns=\"jabber:client\" \
             xmlns:stream=\"http://etherx.jabber.org/streams\" from=\"im.example.com\" to=\"juliet@im.example.com\" \
             id=\"a&lt;b\" version=\"1.0\" xml:lang=\"en\">"
        );
        let header = read_header(&out).unwrap();
        assert_eq!(header.context, rjabberd_xml::Context::canonical());
        assert_eq!((header.name.as_str(), header.namespace.as_str()), ("stream", ns::STREAM));
        out.clear();
        write_server_header("im.example.com", None, "id", "en", &mut out);
        assert!(!std::str::from_utf8(&out).unwrap().contains(" to="));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_attributes_make_the_check_panic(to in "[a-z@/.]{0,8}", from in "\\PC{0,8}", version in "[0-9.]{0,6}") {
            let attribute = |name: &str, value: String| {
                Attribute { namespace: String::new(), name: name.to_owned(), value }
            };
            let mut header = read_header(written("stream:stream", USUAL, "").as_bytes()).unwrap();
            header.attributes =
                vec![attribute("to", to), attribute("from", from), attribute("version", version)];
            if let Ok(header) = StreamHeader::from_xml(&header) {
                prop_assert_eq!(header.version.0, 1);
            }
        }
    }
}
