//! What the talkers say: chat messages as clients send them, with a number by which loss, doubles and disorder are seen.

use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::element::escape;

/// How long messages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Bodies as people and their clients write them: 80 to 1,000 bytes, most of them short.
    Real,
    /// Bodies of this many bytes.
    Body(usize),
    /// Whole stanzas, as sent, of this many bytes; longer where that is too little for what must be in them.
    Stanza(usize),
}

/// Bodies' lengths: per mille of the messages, from, to.
const REAL_BODIES: [(u32, usize, usize); 4] =
    [(600, 80, 140), (250, 140, 260), (110, 260, 500), (40, 500, 1001)];
/// How many lengths are drawn before they repeat.
const LENGTHS: usize = 4096;
/// The longest body.
const BODY_BYTES_MAX: usize = 200_000;
const WORDS: &str =
    "we could meet at seven by the old harbour if the rain stops and bring the maps with you ";

/// Which message of whom: `t3.17` is number 17 of talker 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Tells the parts of a run apart.
    pub part: u8,
    /// The sender's session.
    pub talker: usize,
    /// Counts from 0 for each talker.
    pub number: u32,
}

impl Label {
    /// Reads an id.
    pub fn parse(id: &str) -> Option<Label> {
        let (part, rest) = id.split_at_checked(1)?;
        let (talker, number) = rest.split_once('.')?;
        Some(Label { part: part.as_bytes()[0], talker: talker.parse().ok()?, number: number.parse().ok()? })
    }
}

/// Writes messages.
#[derive(Debug)]
pub struct Composer {
    size: Size,
    words: String,
    lengths: Vec<usize>,
    next: usize,
}

const TAIL: &str = "</body><active xmlns='http://jabber.org/protocol/chatstates'/>\
                    <request xmlns='urn:xmpp:receipts'/></message>";

impl Composer {
    /// Lengths are drawn the same way in every run.
    pub fn new(size: Size) -> Composer {
        let mut random = StdRng::seed_from_u64(1999);
        let lengths = (0..LENGTHS).map(|_| real_length(&mut random)).collect();
        Composer { size, words: WORDS.repeat(BODY_BYTES_MAX / WORDS.len() + 1), lengths, next: 0 }
    }

    /// Appends a message.
    pub fn write(&mut self, label: Label, to: &str, out: &mut Vec<u8>) {
        use std::io::Write as _;

        let start = out.len();
        out.extend_from_slice(b"<message type='chat' to='");
        escape(to, out);
        let Label { part, talker, number } = label;
        write!(out, "' id='{}{talker}.{number}'><body>", char::from(part))
            .expect("a vector takes everything");
        let body = match self.size {
            Size::Real => {
                self.next = (self.next + 1) % self.lengths.len();
                self.lengths[self.next]
            }
            Size::Body(bytes) => bytes,
            Size::Stanza(bytes) => bytes.saturating_sub(out.len() - start + TAIL.len()),
        };
        out.extend_from_slice(&self.words.as_bytes()[..body.min(BODY_BYTES_MAX)]);
        out.extend_from_slice(TAIL.as_bytes());
    }
}

fn real_length(random: &mut StdRng) -> usize {
    let mut drawn = random.random_range(0..1000);
    for (share, from, to) in REAL_BODIES {
        if drawn < share {
            return random.random_range(from..to);
        }
        drawn -= share;
    }
    REAL_BODIES[0].1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::{Tag, child};

    const LABEL: Label = Label { part: b't', talker: 12, number: 345 };

    fn written(composer: &mut Composer) -> Vec<u8> {
        let mut out = Vec::new();
        composer.write(LABEL, "load13@localhost/load", &mut out);
        out
    }

    #[test]
    fn a_message_has_body_state_request_and_a_label_that_can_be_read() {
        let out = written(&mut Composer::new(Size::Body(7)));
        let tag = Tag::first(&out).unwrap();
        assert_eq!(Label::parse(&tag.attribute("id").unwrap()), Some(LABEL));
        assert!(child(&out, "active").is_some() && child(&out, "request").is_some());
        assert_eq!(crate::element::text(child(&out, "body").unwrap()), "we coul");
        assert_eq!(Label::parse("bind"), None);
        assert_eq!(Label::parse(""), None);
    }

    #[test]
    fn stanzas_are_of_the_size_asked_for() {
        assert_eq!(written(&mut Composer::new(Size::Stanza(245))).len(), 245);
        assert_eq!(written(&mut Composer::new(Size::Stanza(10_000))).len(), 10_000);
    }

    #[test]
    fn real_bodies_lie_between_their_bounds_and_most_are_short() {
        let mut lengths = Composer::new(Size::Real).lengths;
        lengths.sort_unstable();
        assert!(lengths[0] >= 80 && *lengths.last().unwrap() <= 1000);
        assert!((100..160).contains(&lengths[LENGTHS / 2]), "{}", lengths[LENGTHS / 2]);
        assert!(*lengths.last().unwrap() > 900);
    }
}
