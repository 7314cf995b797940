//! The reading side of one stream: bytes as they come, pieces as they end. A stream that stands between two pieces owns
//! no buffer.

use std::borrow::Cow;

use crate::{
    fault::Fault,
    scanner::{Found, Scanner},
};

/// The largest piece that is waited for.
const PIECE_BYTES_MAX: usize = 16 << 20;

/// What has ended, and its bytes.
pub(crate) type Piece<'a> = (Found, Cow<'a, [u8]>);

#[derive(Debug, Default)]
pub(crate) struct Inbound {
    scanner: Scanner,
    /// The beginning of a piece whose end has not come.
    carry: Vec<u8>,
}

impl Inbound {
    /// Takes the next piece off `bytes`; with none complete, keeps what there is and leaves nothing.
    pub(crate) fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Option<Piece<'a>>, Fault> {
        if let Some((end, found)) = self.scanner.scan(bytes)? {
            let (piece, rest) = bytes.split_at(end);
            *bytes = rest;
            if self.carry.is_empty() {
                return Ok(Some((found, Cow::Borrowed(piece.trim_ascii_start()))));
            }
            let mut whole = std::mem::take(&mut self.carry);
            whole.extend_from_slice(piece);
            return Ok(Some((found, Cow::Owned(whole))));
        }
        let begun = if self.carry.is_empty() { bytes.trim_ascii_start() } else { *bytes };
        self.carry.extend_from_slice(begun);
        *bytes = &[];
        if self.carry.len() > PIECE_BYTES_MAX {
            return Err(Fault::TooBig(PIECE_BYTES_MAX));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_whole_and_nothing_is_kept_between_them() {
        let mut inbound = Inbound::default();
        let mut pieces = Vec::new();
        for mut part in [b"<s>\n<a>".as_slice(), b"x</", b"a> ", b" ", b" <b/><c/>"] {
            while let Some((_, piece)) = inbound.next(&mut part).unwrap() {
                pieces.push(String::from_utf8(piece.into_owned()).unwrap());
            }
        }
        assert_eq!(pieces, ["<s>", "<a>x</a>", "<b/>", "<c/>"]);
        assert_eq!(inbound.carry.capacity(), 0);
    }
}
