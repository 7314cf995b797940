//! Byte classes, and the search for the next byte that means something.
//!
//! Works on bytes alone: every byte that matters to framing is ASCII, and no byte of a longer UTF-8 sequence is.

/// White space of XML 1.0, 2.3.
pub(crate) const fn is_space(byte: u8) -> bool {
    CLASSES[byte as usize] & SPACE != 0
}

/// May begin a name as far as one byte can tell; a colon may not, by Namespaces in XML 1.0, 4.
pub(crate) const fn is_name_start(byte: u8) -> bool {
    CLASSES[byte as usize] & NAME_START != 0
}

/// May stand in a name as far as one byte can tell.
pub(crate) const fn is_name(byte: u8) -> bool {
    CLASSES[byte as usize] & NAME != 0
}

/// May stand in a namespace name. These are URI references (RFC 3986, 2). expat refuses a document whose namespace name
/// holds the character by which its user joins names, if that is no URI character: `}` in slixmpp, a space elsewhere.
/// Such a name in a relayed stanza would end its reader's stream. Other alphabets (IRIs) are let through.
pub(crate) const fn is_uri(byte: u8) -> bool {
    CLASSES[byte as usize] & URI != 0
}

const SPACE: u8 = 1;
const NAME_START: u8 = 2;
const NAME: u8 = 4;
const URI: u8 = 8;

/// The classes of each byte: one look instead of a chain of comparisons.
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut at = 0;
    while at < classes.len() {
        let byte = at as u8;
        let starts = byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80;
        if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            classes[at] |= SPACE;
        }
        if starts {
            classes[at] |= NAME_START | NAME;
        }
        if byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b':') {
            classes[at] |= NAME;
        }
        if byte >= 0x80
            || (byte.is_ascii_graphic()
                && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{'..=b'}'))
        {
            classes[at] |= URI;
        }
        at += 1;
    }
    classes
};

/// How many bytes may go on with a name.
pub(crate) fn name_len(bytes: &[u8]) -> usize {
    bytes.iter().position(|&byte| !is_name(byte)).unwrap_or(bytes.len())
}

/// How many bytes of white space come first.
pub(crate) fn space_len(bytes: &[u8]) -> usize {
    bytes.iter().position(|&byte| !is_space(byte)).unwrap_or(bytes.len())
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH_BITS
}

const fn control_bytes(word: u64) -> u64 {
    word.wrapping_sub(ONES * 0x20) & !word & HIGH_BITS
}

/// How many bytes come before the first `stop`, `other_stop` or control character that XML 1.0 forbids.
pub(crate) fn plain_len(bytes: &[u8], stop: u8, other_stop: u8) -> usize {
    let mut at = 0;
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let hits = control_bytes(word)
            | zero_bytes(word ^ (ONES * stop as u64))
            | zero_bytes(word ^ (ONES * other_stop as u64));
        if hits == 0 {
            at += 8;
            continue;
        }
        // A borrow can only mark bytes behind a true hit, so the first mark is always true.
        let hit = (hits.trailing_zeros() / 8) as usize;
        if !is_space(chunk[hit]) {
            return at + hit;
        }
        at += hit + 1;
    }
    let rest = &bytes[at..];
    at + rest.iter().position(|&byte| is_stop(byte, stop, other_stop)).unwrap_or(rest.len())
}

const fn is_stop(byte: u8, stop: u8, other_stop: u8) -> bool {
    byte == stop || byte == other_stop || (byte < 0x20 && !is_space(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_search_finds_what_a_slow_one_finds_at_every_offset() {
        for interesting in 0..=u8::MAX {
            for offset in 0..24 {
                for filler in [b'a', b'\n', 0x80, 0xFF, b';', b'='] {
                    let mut bytes = [filler; 24];
                    bytes[offset] = interesting;
                    let slow = bytes.iter().position(|&byte| is_stop(byte, b'<', b'"')).unwrap_or(24);
                    assert_eq!(plain_len(&bytes, b'<', b'"'), slow, "{interesting:#x} at {offset}");
                }
            }
        }
    }
}
