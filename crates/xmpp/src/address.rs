//! Addresses (RFC 7622 in its stringprep form of RFC 6122): the jid crate's types, and a domain normalised once.
//!
//! Every address from the network comes through [`parse`]. The jid crate keeps a trailing dot and does not unify
//! A-labels and U-labels, so that one host would have several addresses; and it prepares a part only once.
//!
//! Invariant: an address that was made here is equal to the parse of its own text. So no two accounts share one text
//! (`ᴮigbird` would become `Bigbird` and, read back from a store, `bigbird`: such an address is refused).

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
pub use jid::{BareJid, FullJid, Jid};
use jid::{DomainPart, NodePart, ResourcePart};

/// Longest part of an address in bytes (RFC 6120, 2.1; RFC 7622, 3.1).
const PART_BYTES_MAX: usize = 1023;

/// Longest address in bytes: three parts, `@` and `/`.
const ADDRESS_BYTES_MAX: usize = 3 * PART_BYTES_MAX + 2;

/// ASCII that no host name has. The underscore is left in: container networks name their hosts with it.
const DENIED: AsciiDenyList = AsciiDenyList::new(true, "!\"#$%&'()*+,/:;<=>?@[\\]^`{|}~");

/// Why a text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address")]
pub struct BadAddress;

/// Parses an address from the network: `to`, `from`, `jid`. The domain comes out normalised.
pub fn parse(text: &str) -> Result<Jid, BadAddress> {
    if text.len() > ADDRESS_BYTES_MAX {
        return Err(BadAddress);
    }
    let domain_end = text.find('/').unwrap_or(text.len());
    let domain_start = text[..domain_end].find('@').map_or(0, |at| at + 1);
    let domain = &text[domain_start..domain_end];
    let text = if is_normal(domain) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned([&text[..domain_start], &normalise_domain(domain)?, &text[domain_end..]].concat())
    };
    let address = Jid::new(&text).map_err(|_| BadAddress)?;
    // What is ASCII is prepared to ASCII in lower case, which prepares to itself.
    if !text.is_ascii() && Jid::new(address.as_str()).ok().as_ref() != Some(&address) {
        return Err(BadAddress);
    }
    Ok(address)
}

/// Normalises a domain: case, trailing dot, A-labels to U-labels; an IP literal stays. The result parses as a domain.
///
/// A domain whose U-labels stringprep would change (`straße` to `strasse`, which is another host) stays in A-labels.
pub fn normalise_domain(text: &str) -> Result<String, BadAddress> {
    if text.len() > PART_BYTES_MAX {
        return Err(BadAddress);
    }
    if text.parse::<Ipv4Addr>().is_ok() {
        return Ok(text.to_owned());
    }
    if let Some(literal) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let literal: Ipv6Addr = literal.parse().map_err(|_| BadAddress)?;
        return Ok(format!("[{literal}]"));
    }
    let uts46 = Uts46::new();
    let ascii = uts46
        .to_ascii(text.as_bytes(), DENIED, Hyphens::Check, DnsLength::VerifyAllowRootDot)
        .map_err(|_| BadAddress)?;
    let ascii = ascii.strip_suffix('.').unwrap_or(&ascii);
    let (unicode, valid) = uts46.to_unicode(ascii.as_bytes(), DENIED, Hyphens::Check);
    valid.map_err(|_| BadAddress)?;
    let kept = |domain: &str| DomainPart::new(domain).is_ok_and(|prepared| prepared.as_str() == domain);
    [&*unicode, ascii].into_iter().find(|domain| kept(domain)).map(str::to_owned).ok_or(BadAddress)
}

/// Makes the account address of a user name as SASL gives it (not escaped, to be prepared) on a normalised domain.
pub fn account(localpart: &str, domain: &str) -> Result<BareJid, BadAddress> {
    if localpart.len() > PART_BYTES_MAX {
        return Err(BadAddress);
    }
    let node = NodePart::new(localpart).map_err(|_| BadAddress)?;
    if !NodePart::new(&node).is_ok_and(|again| again == node) {
        return Err(BadAddress);
    }
    let domain = DomainPart::new(domain).map_err(|_| BadAddress)?;
    Ok(BareJid::from_parts(Some(&node), &domain))
}

/// Prepares a resource.
pub fn full(account: &BareJid, resource: &str) -> Result<FullJid, BadAddress> {
    if resource.len() > PART_BYTES_MAX {
        return Err(BadAddress);
    }
    let resource = ResourcePart::new(resource).map_err(|_| BadAddress)?;
    if !ResourcePart::new(&resource).is_ok_and(|again| again == resource) {
        return Err(BadAddress);
    }
    Ok(account.with_resource(&resource))
}

/// Whether a domain is in normal form beyond doubt, which spares nearly every address the way through IDNA.
fn is_normal(domain: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_');
    domain.bytes().all(plain) && !domain.ends_with('.') && !domain.contains("xn--")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(parse(text).ok().map(Jid::into_inner).as_deref(), expected, "{text:?}");
    }

    #[test]
    fn the_parts_of_an_address_are_found() {
        check("romeo@example.net/orchard", Some("romeo@example.net/orchard"));
        check("romeo@example.net", Some("romeo@example.net"));
        check("example.net", Some("example.net"));
        check("example.net/a@b/c", Some("example.net/a@b/c"));
        check("a@example.net/b@c/d", Some("a@example.net/b@c/d"));
        let address = parse("Romeo@Example.NET./Orchard").unwrap();
        assert_eq!(address.node().unwrap().as_str(), "romeo");
        assert_eq!(address.domain().as_str(), "example.net");
        assert_eq!(address.resource().unwrap().as_str(), "Orchard");
    }

    #[test]
    fn a_text_with_an_empty_or_forbidden_part_is_no_address() {
        for text in [
            "",
            "@",
            "/",
            "@example.net",
            "romeo@",
            "romeo@/a",
            "example.net/",
            "a@b@c",
            "a b@c",
            "a@b c",
            ".",
        ] {
            check(text, None);
        }
        for text in
            ["a\"b@c", "a&b@c", "a'b@c", "a:b@c", "a<b@c", "a>b@c", "a@b\"c", "a@b&c", "a@b:5222", "a\0@b"]
        {
            check(text, None);
        }
        for text in ["-a.example", "a-.example", "a..example", ".example", "xn--a.example", "a@[::1", "a@[x]"]
        {
            check(text, None);
        }
    }

    #[test]
    fn a_domain_is_in_lower_case_without_trailing_dot() {
        check("Example.NET", Some("example.net"));
        check("example.net.", Some("example.net"));
        check("romeo@EXAMPLE.net./a", Some("romeo@example.net/a"));
        check("romeo@example.net./a", Some("romeo@example.net/a"));
        check("example.net..", None);
    }

    #[test]
    fn a_labels_and_u_labels_are_one_domain() {
        for text in [
            "xn--bcher-kva.example",
            "bücher.example",
            "BÜCHER.example.",
            "XN--BCHER-KVA.example",
            "bücher。example",
        ] {
            check(text, Some("bücher.example"));
        }
    }

    #[test]
    fn a_domain_that_stringprep_would_make_another_stays_in_a_labels() {
        check("straße.example", Some("xn--strae-oqa.example"));
        check("xn--strae-oqa.example", Some("xn--strae-oqa.example"));
        check("strasse.example", Some("strasse.example"));
    }

    #[test]
    fn an_ip_literal_stays() {
        check("romeo@127.0.0.1", Some("romeo@127.0.0.1"));
        check("romeo@[::1]/a", Some("romeo@[::1]/a"));
        check("[2001:DB8:0::1]", Some("[2001:db8::1]"));
    }

    #[test]
    fn a_part_of_over_1023_bytes_is_refused() {
        let (longest, longer) = ("a".repeat(1023), "a".repeat(1024));
        check(&format!("{longest}@b/{longest}"), Some(&format!("{longest}@b/{longest}")));
        check(&format!("{longer}@b"), None);
        check(&format!("b/{longer}"), None);
        check(&format!("a@b/{}", "c".repeat(10_000)), None);
        let account_of = |name: &str| account(name, "b").ok().map(BareJid::into_inner);
        assert_eq!(account_of(&longest), Some(format!("{longest}@b")));
        assert_eq!(account_of(&longer), None);
        let base = account("a", "b").unwrap();
        assert!(full(&base, &longest).is_ok());
        assert_eq!(full(&base, &longer), Err(BadAddress));
    }

    #[test]
    fn a_text_that_only_preparation_would_shorten_is_refused_before_it() {
        let hyphens = "\u{ad}".repeat(2_000);
        check(&format!("a@b/c{hyphens}"), None);
        assert_eq!(normalise_domain(&format!("b{hyphens}")), Err(BadAddress));
        assert_eq!(account(&format!("a{hyphens}"), "b"), Err(BadAddress));
        assert_eq!(full(&account("a", "b").unwrap(), &format!("c{hyphens}")), Err(BadAddress));
    }

    #[test]
    fn an_account_is_prepared_and_refuses_what_would_be_another_part() {
        assert_eq!(account("RoMeo", "example.net").unwrap().as_str(), "romeo@example.net");
        assert_eq!(account("JÜRGEN", "example.net").unwrap().as_str(), "jürgen@example.net");
        for name in
            ["", "a@b", "a/b", "a b", "a\"b", "a&b", "a'b", "a:b", "<a>", "a\u{0}b", "\u{ad}", "a＠b", "℀"]
        {
            assert_eq!(account(name, "example.net"), Err(BadAddress), "{name:?}");
        }
    }

    #[test]
    fn a_name_that_is_prepared_to_another_when_read_back_is_refused() {
        assert_eq!(account("ᴮigbird", "example.net"), Err(BadAddress));
        check("ᴮigbird@example.net", None);
        check("bigbird@example.net", Some("bigbird@example.net"));
    }

    #[test]
    fn a_resource_keeps_its_case_and_may_hold_separators() {
        let base = account("romeo", "example.net").unwrap();
        assert_eq!(full(&base, "Or@ch/ard").unwrap().as_str(), "romeo@example.net/Or@ch/ard");
        for resource in ["", "a\u{7}b", "\u{ad}"] {
            assert_eq!(full(&base, resource), Err(BadAddress), "{resource:?}");
        }
    }

    proptest! {
        #[test]
        fn an_address_is_the_parse_of_its_own_text(text in "\\PC{0,40}") {
            if let Ok(address) = parse(&text) {
                prop_assert_eq!(parse(address.as_str()), Ok(address));
            }
        }

        #[test]
        fn a_domain_is_normalised_to_itself(text in "(xn--)?[a-zA-Zäßσς0-9.。_-]{0,20}") {
            if let Ok(domain) = normalise_domain(&text) {
                prop_assert_eq!(normalise_domain(&domain), Ok(domain.clone()));
                prop_assert_eq!(parse(&domain).map(Jid::into_inner), Ok(domain));
            }
        }

        #[test]
        fn an_account_is_the_parse_of_its_own_text(name in "\\PC{0,20}") {
            if let Ok(address) = account(&name, "example.net") {
                prop_assert_eq!(parse(address.as_str()), Ok(Jid::from(address)));
            }
        }
    }
}
