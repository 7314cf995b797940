//! Whom to write to about a host (XEP-0157): for all hosts, and of one its own.

use rjabberd_im::ContactAddresses;
use rjabberd_im::contact::ROLES;

use super::values::Values;

/// The addresses of the host whose table is `own`; for a role that it does not name, those for all hosts.
pub(super) fn build(values: &mut Values, own: &[&str]) -> ContactAddresses {
    check(values, own);
    ContactAddresses::new(|role| {
        let found = values.texts(&[own, &["contact", role]].concat());
        let found = found.or_else(|| values.texts(&["contact", role]));
        found.map(|found| found.value).unwrap_or_default()
    })
}

/// Notes what is no URI below a table.
pub(super) fn check(values: &mut Values, table: &[&str]) {
    for role in ROLES {
        let Some(found) = values.texts(&[table, &["contact", role]].concat()) else { continue };
        for text in found.value.iter().filter(|text| !is_uri(text)) {
            values.fault_in(
                &found,
                &format!("{text:?} is no URI: write it as in \"mailto:abuse@example.net\""),
            );
        }
    }
}

/// Whether it is a scheme with something behind it (RFC 3986, 3), without what no URI or IRI holds.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let starts_with_letter = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
    let in_scheme = |letter: char| letter.is_ascii_alphanumeric() || "+-.".contains(letter);
    let in_uri =
        |letter: char| !letter.is_control() && !letter.is_whitespace() && !"<>\"{}|\\^`".contains(letter);
    starts_with_letter && scheme.chars().all(in_scheme) && !rest.is_empty() && rest.chars().all(in_uri)
}

#[cfg(test)]
mod tests {
    use super::is_uri;

    #[test]
    fn a_uri_has_a_scheme_and_something_behind_it() {
        for text in
            ["mailto:a@b.example", "xmpp:a@b.example?message", "https://b.example/ü?x=%20#y", "x-y+1.:z"]
        {
            assert!(is_uri(text), "{text}");
        }
        for text in
            ["", "a@b.example", "mailto:", ":a", "1x:a", "x y:a", "mailto:a b", "mailto:<a@b>", "x:\n"]
        {
            assert!(!is_uri(text), "{text:?}");
        }
    }
}
