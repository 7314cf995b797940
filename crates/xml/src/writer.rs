//! Writes text, attributes and tags so that any XML parser takes them.

use bytes::BytesMut;

/// Writes character data, escaped; characters that XML 1.0 does not allow become U+FFFD.
pub fn write_text(_text: &str, _out: &mut BytesMut) {
    todo!()
}

/// Writes ` name="value"` with a leading space, the value escaped (also tab, CR and LF, so that they survive).
pub fn write_attribute(_name: &str, _value: &str, _out: &mut BytesMut) {
    todo!()
}
