//! Text that is not copied where it need not be: a place in shared bytes that its owner holds, or text of its own.
//!
//! Does not hold the bytes itself: whoever keeps a piece keeps the bytes that it was made for. A piece that is asked
//! with others is some other text or the empty one, never a panic.

use crate::ns;

/// A piece of text, for example a name or an attribute's value.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// It stands in the shared bytes as it is meant.
    At { start: u32, end: u32 },
    /// One of the few that need no memory.
    Known(&'static str),
    /// It does not stand in the shared bytes, or stands there escaped.
    Own(Box<str>),
}

impl Piece {
    /// A piece that needs no bytes.
    pub(crate) fn own(text: impl Into<Box<str>> + AsRef<str>) -> Piece {
        let known = ["", ns::CLIENT, ns::STREAM, ns::XML].into_iter().find(|known| *known == text.as_ref());
        known.map_or_else(|| Piece::Own(text.into()), Piece::Known)
    }

    /// What it says in these bytes.
    pub(crate) fn text<'a>(&'a self, bytes: &'a [u8]) -> &'a str {
        match self {
            // No unsafe code: looking once more at a few bytes costs some nanoseconds.
            Piece::At { .. } => std::str::from_utf8(self.bytes(bytes)).unwrap_or_default(),
            Piece::Known(text) => text,
            Piece::Own(text) => text,
        }
    }

    /// Whether it says this, without looking whether the bytes are text.
    pub(crate) fn is(&self, text: &str, bytes: &[u8]) -> bool {
        self.bytes(bytes) == text.as_bytes()
    }

    fn bytes<'a>(&'a self, bytes: &'a [u8]) -> &'a [u8] {
        match self {
            Piece::At { start, end } => bytes.get(*start as usize..*end as usize).unwrap_or_default(),
            Piece::Known(text) => text.as_bytes(),
            Piece::Own(text) => text.as_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_says_the_same_wherever_it_stands() {
        let bytes = "<größe/>".as_bytes();
        let at = Piece::At { start: 1, end: 8 };
        assert_eq!(at.text(bytes), "größe");
        assert!(at.is("größe", bytes) && Piece::own("größe").is("größe", b""));
        assert!(matches!(Piece::own(String::from("jabber:client")), Piece::Known("jabber:client")));
    }

    #[test]
    fn a_piece_of_other_bytes_is_no_panic() {
        let at = Piece::At { start: 1, end: 8 };
        assert_eq!((at.text(b"short"), at.text(b"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF")), ("", ""));
    }
}
