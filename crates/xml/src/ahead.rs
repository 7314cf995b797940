//! Takes a whole stanza from the front of what was read, without framing it first.
//!
//! The checker finds every boundary itself, so for a stanza that arrived whole, which nearly all do, one pass does for
//! two. Where the first end tag of the stanza's name is its own, the checker says so; anything else, a stanza that is cut
//! or holds another of its name, one over a limit or one that the checker is not sure of, is the framer's. Invariant,
//! which `fuzz-targets` holds: what is taken here, a framer with the same limits gives as a frame of the same length.

use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::Finder;

use crate::{Context, Fragment, Limits, checker::check};

/// `<a/>`: a frame of that many bytes for each element that is allowed cannot hold one more.
const ELEMENT_BYTES_MIN: usize = 4;

/// How a stanza begins, and what ends it.
static STANZAS: LazyLock<[(&[u8], Finder<'static>); 3]> = LazyLock::new(|| {
    [
        (b"<message", Finder::new(b"</message>")),
        (b"<presence", Finder::new(b"</presence>")),
        (b"<iq", Finder::new(b"</iq>")),
    ]
});

/// The stanza at the front of `input`, and its length; `None` where the framer must be asked. To be called between
/// frames only.
pub fn take_stanza(context: &Context, limits: &Limits, input: &[u8]) -> Option<(Fragment, usize)> {
    if limits.is_below_the_checkers() {
        return None;
    }
    let (_, end) = STANZAS.iter().find(|(start, _)| input.starts_with(start))?;
    let bytes_max =
        limits.element_bytes_max.min(limits.elements_max.saturating_mul(ELEMENT_BYTES_MIN as u32));
    let window = &input[..input.len().min(bytes_max as usize)];
    let length = end.find(window)? + end.needle().len();
    let fragment = check(context, &Bytes::copy_from_slice(&window[..length]))?;
    Some((fragment, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(limits: &Limits, input: &str) -> Option<(String, usize)> {
        let (fragment, length) = take_stanza(&Context::canonical(), limits, input.as_bytes())?;
        Some((fragment.name().to_owned(), length))
    }

    #[test]
    fn a_whole_stanza_is_taken_and_what_follows_is_left() {
        for (name, stanza) in [
            ("message", "<message to='a@b'><body>hi</body></message>"),
            ("presence", "<presence><show>away</show></presence>"),
            ("iq", "<iq id='1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>"),
        ] {
            let expected = Some((name.to_owned(), stanza.len()));
            for rest in ["", " ", "<message>", "</stream:stream>", "\u{e9}"] {
                assert_eq!(taken(&Limits::AUTHENTICATED, &format!("{stanza}{rest}")), expected, "{rest}");
            }
        }
    }

    #[test]
    fn what_is_not_surely_a_whole_stanza_is_left_to_the_framer() {
        for input in [
            "<message><body>hi</body></messag",
            "<message><forwarded xmlns='urn:x'><message xmlns='jabber:client'></message></forwarded></message>",
            "<message><body></message>",
            "<message/><message></message>",
            "<messages></messages>",
            "<presence/>",
            "<auth></auth>",
            " <iq></iq>",
            "",
        ] {
            assert_eq!(taken(&Limits::AUTHENTICATED, input), None, "{input}");
        }
    }

    #[test]
    fn a_stanza_that_might_be_over_a_limit_is_left_to_the_framer() {
        let limits = Limits { element_bytes_max: 30, ..Limits::AUTHENTICATED };
        assert!(taken(&limits, "<message>12345678901</message>").is_some());
        assert_eq!(taken(&limits, "<message>123456789012</message>"), None);
        let limits = Limits { elements_max: 7, ..Limits::AUTHENTICATED };
        assert!(taken(&limits, "<iq><a/><b/></iq>").is_some());
        assert_eq!(taken(&limits, "<iq><a/><a/><a/><a/><a/></iq>"), None);
    }

    #[test]
    fn limits_that_the_checker_does_not_know_are_the_framers() {
        let stanza = "<message><body>a</body></message>";
        let all = Limits::AUTHENTICATED;
        assert!(taken(&all, stanza).is_some());
        for limits in [
            Limits { depth_max: all.depth_max - 1, ..all },
            Limits { attributes_max: all.attributes_max - 1, ..all },
            Limits { namespaces_max: all.namespaces_max - 1, ..all },
        ] {
            assert_eq!(taken(&limits, stanza), None, "{limits:?}");
        }
    }
}
