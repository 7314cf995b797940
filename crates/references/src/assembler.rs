//! Frames out of what was read, by looking for a few bytes or by our framer.

use rjabberd_xml::{Framer, Limits, Step};

use crate::scan;

/// How the end of a frame is found.
pub(crate) enum Framing {
    /// By [`scan::end`].
    Scan,
    /// By our framer.
    Framer(Framer),
}

impl Framing {
    pub(crate) fn scan() -> Framing {
        Framing::Scan
    }

    pub(crate) fn framer() -> Framing {
        Framing::Framer(Framer::new())
    }

    /// Where the frame at the start of `bytes` ends, of which the first `seen` were given before.
    ///
    /// # Errors
    /// It is no XML that we take.
    fn end(&mut self, bytes: &[u8], seen: usize) -> Result<Option<usize>, BadXml> {
        match self {
            Framing::Scan => Ok(scan::end(bytes)),
            Framing::Framer(framer) => match framer.next(&Limits::AUTHENTICATED, &bytes[seen..]) {
                Ok(Step::Frame { bytes, .. }) => Ok(Some(seen + bytes)),
                Ok(Step::Partial { .. } | Step::Space { .. }) => Ok(None),
                Err(_) => Err(BadXml),
            },
        }
    }
}

/// The peer sent what our framer refuses.
#[derive(Debug)]
pub(crate) struct BadXml;

/// The framing of one connection and the bytes of a frame that is not complete yet.
pub(crate) struct Assembler {
    framing: Framing,
    kept: Vec<u8>,
}

impl Assembler {
    pub(crate) fn new(framing: Framing) -> Assembler {
        Assembler { framing, kept: Vec::new() }
    }

    /// Gives each frame that `read` completes to `each`.
    ///
    /// # Errors
    /// It is no XML that we take.
    pub(crate) fn feed(&mut self, read: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), BadXml> {
        let mut joined = std::mem::take(&mut self.kept);
        let mut seen = joined.len();
        let mut rest = if seen == 0 {
            read
        } else {
            joined.extend_from_slice(read);
            &joined
        };
        loop {
            if seen == 0 {
                rest = rest.trim_ascii_start();
            }
            if rest.is_empty() {
                return Ok(());
            }
            let Some(end) = self.framing.end(rest, seen)? else {
                self.kept = rest.to_vec();
                return Ok(());
            };
            let (frame, behind) = rest.split_at(end);
            // The canned login never fails: what follows the client's proof is a new stream.
            if frame.starts_with(b"<response") && matches!(self.framing, Framing::Framer(_)) {
                self.framing = Framing::framer();
            }
            each(frame);
            (rest, seen) = (behind, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Assembler, Framing};

    #[test]
    fn frames_are_the_same_in_every_split() {
        let frames = [
            "<stream:stream xmlns='jabber:client' to='a'>",
            "<response>x</response>",
            "<?xml version='1.0'?><stream:stream to='a'>",
            "<message to='a'><body>b</body></message>",
            "</stream:stream>",
        ];
        let text = format!("{} {}{}\n{}{}", frames[0], frames[1], frames[2], frames[3], frames[4]);
        for framing in [Framing::scan, Framing::framer] {
            for size in 1..text.len() {
                let (mut assembler, mut found) = (Assembler::new(framing()), Vec::new());
                for chunk in text.as_bytes().chunks(size) {
                    let each = |frame: &[u8]| found.push(String::from_utf8(frame.to_vec()).unwrap());
                    assembler.feed(chunk, each).unwrap();
                }
                assert_eq!(found, frames, "in pieces of {size}");
            }
        }
    }
}
