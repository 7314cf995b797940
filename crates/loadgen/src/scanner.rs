//! Where the pieces of a stream end: header, top-level elements, close, in any split of the bytes.
//!
//! It counts depth and knows quotes and CDATA, and nothing else: it is right for every well-formed stream and checks
//! none. It keeps a few bytes per stream and never looks at a byte twice.

use memchr::{memchr, memchr3};

/// A piece that is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// `<stream:stream …>`, with whatever stands before it.
    Header,
    /// A whole element right under the stream.
    Element,
    /// `</stream:stream>`.
    Close,
}

/// What XMPP forbids and a depth counter would misread: comments, DTDs, a close too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what came is no XMPP stream")]
pub struct NoStream;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Between tags.
    #[default]
    Text,
    /// After `<`.
    Opened,
    /// In a start tag, outside of quotes; whether the byte before was `/`.
    Start { slash: bool },
    /// In an attribute's value, up to this quote.
    Quoted(u8),
    /// In an end tag.
    End,
    /// In `<?…?>`; whether the byte before was `?`.
    Instruction { question: bool },
    /// In `<![CDATA[`: how many of its bytes were seen.
    Bang(u8),
    /// In CDATA: how many `]` came last, at most two.
    Cdata(u8),
}

/// The state of one stream.
#[derive(Clone, Debug, Default)]
pub struct Scanner {
    state: State,
    depth: u32,
}

const CDATA: &[u8] = b"![CDATA[";

impl Scanner {
    /// Goes on over bytes that follow those it has seen. Stops behind the first piece that ends in them and tells where;
    /// `None` when it took them all.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Option<(usize, Found)>, NoStream> {
        let mut at = 0;
        while at < bytes.len() {
            let (next, found) = self.step(bytes, at)?;
            at = next;
            if let Some(found) = found {
                return Ok(Some((at, found)));
            }
        }
        Ok(None)
    }

    /// Takes at least one byte from `at` on.
    fn step(&mut self, bytes: &[u8], at: usize) -> Result<(usize, Option<Found>), NoStream> {
        let rest = &bytes[at..];
        let (taken, state) = match self.state {
            State::Text => match memchr(b'<', rest) {
                Some(index) => (index + 1, State::Opened),
                None => (rest.len(), State::Text),
            },
            State::Opened => (1, self.opened(rest[0])?),
            State::Start { slash } => match memchr3(b'>', b'"', b'\'', rest) {
                Some(index) if rest[index] == b'>' => {
                    let is_empty = if index == 0 { slash } else { rest[index - 1] == b'/' };
                    self.state = State::Text;
                    return Ok((at + index + 1, self.started(is_empty)));
                }
                Some(index) => (index + 1, State::Quoted(rest[index])),
                None => (rest.len(), State::Start { slash: rest[rest.len() - 1] == b'/' }),
            },
            State::Quoted(quote) => match memchr(quote, rest) {
                Some(index) => (index + 1, State::Start { slash: false }),
                None => (rest.len(), State::Quoted(quote)),
            },
            State::End => match memchr(b'>', rest) {
                Some(index) => {
                    self.state = State::Text;
                    return Ok((at + index + 1, self.ended()?));
                }
                None => (rest.len(), State::End),
            },
            State::Instruction { question } => (
                1,
                match rest[0] {
                    b'>' if question => State::Text,
                    byte => State::Instruction { question: byte == b'?' },
                },
            ),
            State::Bang(seen) => (1, bang(seen, rest[0])?),
            State::Cdata(brackets) => (
                1,
                match rest[0] {
                    b']' => State::Cdata((brackets + 1).min(2)),
                    b'>' if brackets == 2 => State::Text,
                    _ => State::Cdata(0),
                },
            ),
        };
        self.state = state;
        Ok((at + taken, None))
    }

    fn opened(&self, byte: u8) -> Result<State, NoStream> {
        match byte {
            b'/' => Ok(State::End),
            b'?' => Ok(State::Instruction { question: false }),
            b'!' if self.depth > 1 => Ok(State::Bang(1)),
            b'!' | b'>' => Err(NoStream),
            _ => Ok(State::Start { slash: false }),
        }
    }

    /// A start tag has ended.
    fn started(&mut self, is_empty: bool) -> Option<Found> {
        match (self.depth, is_empty) {
            (0, true) => Some(Found::Close),
            (0, false) => {
                self.depth = 1;
                Some(Found::Header)
            }
            (1, true) => Some(Found::Element),
            (_, true) => None,
            (_, false) => {
                self.depth += 1;
                None
            }
        }
    }

    /// An end tag has ended.
    fn ended(&mut self) -> Result<Option<Found>, NoStream> {
        self.depth = self.depth.checked_sub(1).ok_or(NoStream)?;
        Ok(match self.depth {
            0 => Some(Found::Close),
            1 => Some(Found::Element),
            _ => None,
        })
    }
}

fn bang(seen: u8, byte: u8) -> Result<State, NoStream> {
    match usize::from(seen) {
        seen if CDATA[seen] != byte => Err(NoStream),
        seen if seen + 1 == CDATA.len() => Ok(State::Cdata(0)),
        seen => Ok(State::Bang(seen as u8 + 1)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Found, NoStream, Scanner};

    /// The pieces of a stream that comes in these parts.
    fn pieces<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<(Found, String)>, NoStream> {
        let mut scanner = Scanner::default();
        let (mut pieces, mut piece) = (Vec::new(), Vec::new());
        for mut part in parts {
            while let Some((end, found)) = scanner.scan(part)? {
                piece.extend_from_slice(&part[..end]);
                let text = String::from_utf8(std::mem::take(&mut piece)).unwrap();
                pieces.push((found, text.trim_start().to_owned()));
                part = &part[end..];
            }
            piece.extend_from_slice(part);
        }
        Ok(pieces)
    }

    const ELEMENTS: [&str; 8] = [
        "<a/>",
        "<a b='/>' c=\"it's >\" />",
        "<a></a >",
        "<stream:features><bind xmlns='x'/><c><c/></c></stream:features>",
        "<message id='1'><body>a &lt; b ]]&gt; / ' \" &#10;</body></message>",
        "<m><b><![CDATA[</m> <x> ]]] ]>]]></b></m>",
        "<m a = '\"'\n>\u{fc}\u{1f600}<?</m>",
        "<m\ta='1'/>",
    ];

    fn stream(chosen: &[usize]) -> (String, Vec<(Found, String)>) {
        let header = "<?xml version='1.0'?><stream:stream a='>' id=\"/\">";
        let mut text = header.to_owned();
        let mut wanted = vec![(Found::Header, header.to_owned())];
        for index in chosen {
            // An instruction inside an element is no XMPP, so the one element that has it is mended here.
            let element = ELEMENTS[*index].replace("<?", "");
            text.push_str(" \n");
            text.push_str(&element);
            wanted.push((Found::Element, element));
        }
        text.push_str("</stream:stream>");
        wanted.push((Found::Close, "</stream:stream>".to_owned()));
        (text, wanted)
    }

    #[test]
    fn pieces_end_where_they_end_byte_by_byte() {
        let (text, wanted) = stream(&[0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(pieces([text.as_bytes()]).unwrap(), wanted);
        assert_eq!(pieces(text.as_bytes().chunks(1)).unwrap(), wanted);
    }

    #[test]
    fn comments_dtds_and_a_close_too_many_are_refused() {
        for bad in
            ["<!DOCTYPE x>", "<s><!-- -->", "<s><m><!-- --></m>", "<s></s></s>", "<>", "<s><m><![CDAT["]
        {
            assert_eq!(pieces([bad.as_bytes()]), Err(NoStream), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_pieces(
            chosen in prop::collection::vec(0..ELEMENTS.len(), 0..12),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        ) {
            let (text, wanted) = stream(&chosen);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let parts = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]);
            prop_assert_eq!(pieces(parts).unwrap(), wanted);
        }
    }
}
