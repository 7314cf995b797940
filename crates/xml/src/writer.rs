//! Writes text, attributes and tags so that any XML parser takes them.
//!
//! Knows nothing of namespaces. Names are written as they are given: they are constants or were read.

use bytes::{BufMut, BytesMut};

/// Writes character data, escaped; characters that XML 1.0 does not allow become U+FFFD.
pub fn write_text(text: &str, out: &mut BytesMut) {
    write_escaped(text, out, |byte| match byte {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        // Only `]]>` must not stand in text; escaping each `>` needs no look back.
        b'>' => Some("&gt;"),
        // A bare CR would come out as LF (XML 1.0, 2.11).
        b'\r' => Some("&#13;"),
        _ => None,
    });
}

/// Writes ` name="value"` with a leading space, the value escaped (also tab, CR and LF, so that they survive).
pub fn write_attribute(name: &str, value: &str, out: &mut BytesMut) {
    out.put_u8(b' ');
    out.put_slice(name.as_bytes());
    out.put_slice(b"=\"");
    write_escaped(value, out, |byte| match byte {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'>' => Some("&gt;"),
        b'"' => Some("&quot;"),
        b'\'' => Some("&apos;"),
        b'\t' => Some("&#9;"),
        b'\n' => Some("&#10;"),
        b'\r' => Some("&#13;"),
        _ => None,
    });
    out.put_u8(b'"');
}

fn write_escaped(text: &str, out: &mut BytesMut, escape: impl Fn(u8) -> Option<&'static str>) {
    let bytes = text.as_bytes();
    if is_plain(bytes) {
        return out.put_slice(bytes);
    }
    out.reserve(bytes.len());
    let mut written = 0;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let (instead, length) = match byte {
            // U+FFFE and U+FFFF.
            0xEF if matches!(bytes.get(at + 1..at + 3), Some([0xBF, 0xBE | 0xBF])) => (Some("\u{FFFD}"), 3),
            b'\t' | b'\n' | b'\r' | b' '.. => (escape(byte), 1),
            _ => (Some("\u{FFFD}"), 1),
        };
        if let Some(instead) = instead {
            out.put_slice(&bytes[written..at]);
            out.put_slice(instead.as_bytes());
            written = at + length;
        }
        at += length;
    }
    out.put_slice(&bytes[written..]);
}

/// Whether there is nothing to escape for sure. Without a branch in it, it takes many bytes at a time.
fn is_plain(bytes: &[u8]) -> bool {
    let special =
        |byte: u8| (byte < b' ') | matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\'') | (byte == 0xEF);
    !bytes.iter().fold(false, |found, &byte| found | special(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> String {
        let mut out = BytesMut::new();
        write_text(text, &mut out);
        String::from_utf8(out.to_vec()).expect("UTF-8")
    }

    fn attribute(value: &str) -> String {
        let mut out = BytesMut::new();
        write_attribute("a", value, &mut out);
        String::from_utf8(out.to_vec()).expect("UTF-8")
    }

    #[test]
    fn text_is_escaped_where_a_parser_would_stumble() {
        assert_eq!(text("a<b>&]]>\"'\r\n\t"), "a&lt;b&gt;&amp;]]&gt;\"'&#13;\n\t");
        assert_eq!(text("äöü€😀"), "äöü€😀");
        assert_eq!(text(""), "");
    }

    #[test]
    fn attribute_values_keep_quotes_and_white_space() {
        assert_eq!(attribute("<'\">&\t\r\n "), " a=\"&lt;&apos;&quot;&gt;&amp;&#9;&#13;&#10; \"");
    }

    #[test]
    fn characters_that_xml_forbids_are_replaced() {
        assert_eq!(text("\0a\u{1}b\u{1F}\u{FFFE}c\u{FFFF}"), "\u{FFFD}a\u{FFFD}b\u{FFFD}\u{FFFD}c\u{FFFD}");
        assert_eq!(attribute("\u{B}\u{FFFE}"), " a=\"\u{FFFD}\u{FFFD}\"");
        assert_eq!(text("\u{7F}\u{85}\u{FFFD}\u{FEFF}"), "\u{7F}\u{85}\u{FFFD}\u{FEFF}");
    }
}
