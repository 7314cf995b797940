//! Looks into a start tag's bytes for what xml-rs does not tell: which namespaces the tag itself declares.
//!
//! Invariant of the input: xml-rs has accepted the tag and no `<` stands in its attribute values.

use crate::scan::is_space;

/// The prefixes that a start tag (`<…>` or `<…/>`) declares, in order and with repetitions; the empty string is the
/// default namespace.
pub(crate) fn declared_prefixes(tag: &str) -> Vec<&str> {
    if memchr::memmem::find(tag.as_bytes(), b"xmlns").is_none() {
        return Vec::new();
    }
    attribute_names(tag)
        .filter_map(|name| match name.strip_prefix("xmlns") {
            Some("") => Some(""),
            Some(rest) => rest.strip_prefix(':'),
            None => None,
        })
        .collect()
}

/// The names of a start tag's attributes as they are written.
fn attribute_names(tag: &str) -> impl Iterator<Item = &str> {
    let bytes = tag.as_bytes();
    let mut at = bytes.iter().position(|&byte| is_space(byte)).unwrap_or(bytes.len());
    std::iter::from_fn(move || {
        let start = at + bytes.get(at..)?.iter().position(|&byte| !is_space(byte))?;
        let end = start + bytes[start..].iter().position(|&byte| byte == b'=' || is_space(byte))?;
        let open = end + memchr::memchr2(b'"', b'\'', &bytes[end..])?;
        let close = open + 1 + memchr::memchr(bytes[open], &bytes[open + 1..])?;
        at = close + 1;
        tag.get(start..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_declarations_are_found_and_repetitions_stay() {
        assert_eq!(declared_prefixes("<a>"), [""; 0]);
        assert_eq!(declared_prefixes("<xmlns/>"), [""; 0]);
        assert_eq!(declared_prefixes("<a b='xmlns=\"x\"' xmlnsx='1' c:xmlns='2'/>"), [""; 0]);
        assert_eq!(
            declared_prefixes("<a xmlns = 'x'\n\txmlns:p=\"y>\" q = '=' xmlns='z' xmlns:ö='w' />"),
            ["", "p", "", "ö"]
        );
    }
}
