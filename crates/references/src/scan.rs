//! The cheapest way to find where a stanza ends and whom it is for: by looking for a few bytes.
//!
//! Right only for what the load generator sends: no `>` in attribute values, no element inside one of its own name.

use memchr::{memchr, memchr2, memmem};

/// Where the frame at the start of `bytes` ends: a stream header, a stream's end, or an element; `None` when its end is
/// not there yet.
pub(crate) fn end(bytes: &[u8]) -> Option<usize> {
    if bytes.starts_with(b"<?") {
        let declaration = memmem::find(bytes, b"?>")? + 2;
        return Some(declaration + memchr(b'>', &bytes[declaration..])? + 1);
    }
    let tag = memchr(b'>', bytes)? + 1;
    if bytes.starts_with(b"<stream:stream") || bytes.starts_with(b"</") || bytes[tag - 2] == b'/' {
        return Some(tag);
    }
    if bytes.starts_with(b"<message") {
        // Nearly everything that is read.
        return memmem::find(&bytes[tag..], b"</message>").map(|at| tag + at + b"</message>".len());
    }
    let name = &bytes[1..memchr2(b' ', b'>', bytes)?];
    let closes =
        |at: &usize| bytes[*at + 2..].starts_with(name) && bytes[*at + 2 + name.len()..].starts_with(b">");
    let close = memmem::find_iter(bytes, b"</").find(closes)?;
    Some(close + name.len() + 3)
}

/// The value of an attribute in the start tag at the start of `frame`; `name` is given as ` to=`.
pub(crate) fn attribute<'a>(frame: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let at = memmem::find(frame, name)? + name.len();
    let (&quote, value) = frame[at..].split_first()?;
    Some(&value[..memchr(quote, value)?])
}

/// The text of a frame's first child or of itself: between its first `>` and the next `<`.
pub(crate) fn text(frame: &[u8]) -> Option<&[u8]> {
    let text = &frame[memchr(b'>', frame)? + 1..];
    Some(&text[..memchr(b'<', text)?])
}

#[cfg(test)]
mod tests {
    use super::{attribute, end, text};

    fn check(frame: &str) {
        let followed = format!("{frame}<iq type='get'/>");
        assert_eq!(end(followed.as_bytes()), Some(frame.len()), "{frame}");
        for cut in 1..frame.len() {
            assert_eq!(end(&frame.as_bytes()[..cut]), None, "{frame} cut at {cut}");
        }
    }

    #[test]
    fn every_frame_of_a_conversation_ends_where_it_does() {
        check("<?xml version='1.0'?><stream:stream to='a'>");
        check("<stream:stream to='a'>");
        check("</stream:stream>");
        check("<auth mechanism='SCRAM-SHA-1'>YQ==</auth>");
        check("<iq type='set'><bind><resource>a</resource></bind></iq>");
        check("<presence/>");
        check("<message to='a@b'/>");
        check("<presence><c node='a'/></presence>");
        check("<message to='a@b/c' type='chat'><body>But soft</body></message>");
    }

    #[test]
    fn attributes_and_text_are_found() {
        let frame = b"<message type='chat' to=\"a@b/c\"><body>x</body></message>";
        assert_eq!(attribute(frame, b" to="), Some(&b"a@b/c"[..]));
        assert_eq!(attribute(frame, b" id="), None);
        assert_eq!(text(b"<auth>YQ==</auth>"), Some(&b"YQ=="[..]));
    }
}
