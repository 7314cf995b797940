//! Cuts what a server sends into the pieces of a stream, however the bytes were cut on the way.

use std::fmt;

use crate::Node;

/// One piece of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The stream header.
    Header(Node),
    /// A whole element directly under the stream.
    Element(Node),
    /// `</stream:stream>`.
    End,
}

impl fmt::Display for Piece {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Piece::Header(node) => write!(out, "{}", node.to_string().replace("</stream:stream>", "")),
            Piece::Element(node) => write!(out, "{node}"),
            Piece::End => write!(out, "</stream:stream>"),
        }
    }
}

/// Bytes in, pieces out. Knows one stream at a time: a new header may come at any time between elements.
#[derive(Debug, Default)]
pub struct Pieces {
    waiting: Vec<u8>,
}

impl Pieces {
    /// Takes bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// The next whole piece, if there is one; an error if what came cannot be a stream.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, String> {
        let Some((start, end)) = self.bounds()? else { return Ok(None) };
        let text = std::str::from_utf8(&self.waiting[start..end])
            .map_err(|error| format!("{error} in {:?}", self.waiting_text()))?
            .to_owned();
        self.waiting.drain(..end);
        if text.starts_with("</") {
            Ok(Some(Piece::End))
        } else if text.starts_with("<stream:stream") {
            Node::parse_start(&text).map(|node| Some(Piece::Header(node)))
        } else {
            Node::parse(&text).map(|node| Some(Piece::Element(node)))
        }
    }

    /// What has come and is no whole piece yet.
    pub fn waiting_text(&self) -> String {
        String::from_utf8_lossy(&self.waiting).into_owned()
    }

    /// Where the next whole piece begins and ends, past white space and the XML declaration.
    fn bounds(&self) -> Result<Option<(usize, usize)>, String> {
        let bytes = &self.waiting;
        let mut at = 0;
        let start = loop {
            at += bytes[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            if !bytes[at..].starts_with(b"<?") {
                break at;
            }
            match find(&bytes[at..], b"?>") {
                Some(end) => at += end + 2,
                None => return Ok(None),
            }
        };
        let mut depth = 0_i32;
        while at < bytes.len() {
            if bytes[at] != b'<' {
                if depth == 0 {
                    return Err(format!("text between the stanzas: {:?}", self.waiting_text()));
                }
                at += bytes[at..].iter().take_while(|byte| **byte != b'<').count();
                continue;
            }
            if bytes[at..].starts_with(b"<![CDATA[") {
                let Some(end) = find(&bytes[at..], b"]]>") else { return Ok(None) };
                at += end + 3;
                continue;
            }
            let Some(end) = tag_end(&bytes[at..]) else { return Ok(None) };
            let tag = &bytes[at..at + end];
            at += end;
            if tag.starts_with(b"</") {
                depth -= 1;
            } else if tag.starts_with(b"<stream:stream") {
                return Ok(Some((start, at)));
            } else if !tag.ends_with(b"/>") {
                depth += 1;
            }
            if depth <= 0 {
                return Ok(Some((start, at)));
            }
        }
        Ok(None)
    }
}

/// Behind the `>` that ends the tag at the start of `bytes`; quoted values may hold a `>`.
fn tag_end(bytes: &[u8]) -> Option<usize> {
    let mut quote = None;
    for (index, byte) in bytes.iter().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(index + 1),
            (None, b'\'' | b'"') => quote = Some(*byte),
            (Some(open), byte) if open == *byte => quote = None,
            _ => {}
        }
    }
    None
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::{Piece, Pieces};

    const TEXT: &str = "<?xml version='1.0'?><stream:stream id='a>b'><iq a='/>'><![CDATA[</iq>]]>t</iq> <a/></stream:stream>";

    fn read(pieces: &mut Pieces) -> Vec<Piece> {
        std::iter::from_fn(|| pieces.next_piece().unwrap()).collect()
    }

    #[test]
    fn any_cut_gives_the_same_pieces() {
        let mut whole = Pieces::default();
        whole.push(TEXT.as_bytes());
        let whole = read(&mut whole);
        assert_eq!(whole.len(), 4);
        assert!(matches!(&whole[1], Piece::Element(iq) if iq.text == "</iq>t"));
        assert_eq!(whole[3], Piece::End);
        for cut in 0..TEXT.len() {
            let mut pieces = Pieces::default();
            pieces.push(&TEXT.as_bytes()[..cut]);
            let mut read_so_far = read(&mut pieces);
            pieces.push(&TEXT.as_bytes()[cut..]);
            read_so_far.extend(read(&mut pieces));
            assert_eq!(read_so_far, whole, "cut at {cut}");
        }
    }

    #[test]
    fn text_between_stanzas_is_an_error() {
        let mut pieces = Pieces::default();
        pieces.push(b"<a/>oops<b/>");
        assert!(pieces.next_piece().unwrap().is_some());
        assert!(pieces.next_piece().is_err());
    }
}
