//! References in text and values (XML 1.0, 4.1): the five predefined entities, and characters that XML allows.

/// Digits of a character reference; more of them are the reader's to judge.
const DIGITS_MAX: usize = 8;

/// Bytes of the reference at the start of `bytes` (its `&`); `None` where it is none, or not surely one.
pub(super) fn len(bytes: &[u8]) -> Option<usize> {
    let window = &bytes[..bytes.len().min("&#x;".len() + DIGITS_MAX)];
    let end = window.iter().position(|&byte| byte == b';')?;
    let is_reference = match window.get(1..end)? {
        b"amp" | b"lt" | b"gt" | b"quot" | b"apos" => true,
        [b'#', b'x', digits @ ..] => is_character(digits, 16),
        [b'#', digits @ ..] => is_character(digits, 10),
        _ => false,
    };
    is_reference.then_some(end + 1)
}

/// Whether the digits name a character of XML 1.0, 2.2.
fn is_character(digits: &[u8], radix: u32) -> bool {
    let value = digits.iter().try_fold(0_u32, |value, &digit| {
        value.checked_mul(radix)?.checked_add(char::from(digit).to_digit(radix)?)
    });
    let allowed = |code| match code {
        0x9 | 0xA | 0xD => true,
        0xFFFE | 0xFFFF => false,
        _ => code >= 0x20 && char::from_u32(code).is_some(),
    };
    !digits.is_empty() && value.is_some_and(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predefined_entities_and_legal_characters_are_references() {
        for (text, length) in [
            ("&lt;b", Some(4)),
            ("&amp;", Some(5)),
            ("&quot;&", Some(6)),
            ("&#9;", Some(4)),
            ("&#x1F600;", Some(9)),
            ("&#x10FFFF;", Some(10)),
            ("&#0065;", Some(7)),
            ("&#xd7Ff;", Some(8)),
        ] {
            assert_eq!(len(text.as_bytes()), length, "{text}");
        }
    }

    #[test]
    fn all_else_is_none() {
        for text in [
            "&",
            "&;",
            "& ",
            "&nbsp;",
            "&LT;",
            "&lt",
            "&ltt;",
            "&#;",
            "&#x;",
            "&#X41;",
            "&#0;",
            "&#8;",
            "&#x1F;",
            "&#xD800;",
            "&#xDFFF;",
            "&#xFFFE;",
            "&#xFFFF;",
            "&#x110000;",
            "&#+65;",
            "&#x+41;",
            "&#a;",
            "&#65 ;",
            "&#4294967361;",
            "&#000000000000065;",
        ] {
            assert_eq!(len(text.as_bytes()), None, "{text}");
        }
    }
}
