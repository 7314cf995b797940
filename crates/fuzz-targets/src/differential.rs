//! The long run: mutated stanzas, judged by the checker, by the reader (xml-rs) and by expat.
//!
//! Every frame goes through checker and reader in one of several namespace contexts. Every frame that the checker
//! accepts goes to expat too, twice: in its stream's context as it came, and its inner bytes in the canonical context,
//! as they are relayed. expat must accept both and take them for what xml-rs' tree says.

use std::fmt;
use std::iter::Sum;

use bytes::Bytes;

use crate::checker::{HEADERS, Verdict, judge, meanings};
use crate::expat::Expat;
use crate::mutation::{Random, mutate};

/// Bytes of one document for expat, about.
const DOCUMENT_BYTES: usize = 128 * 1024;

/// What a run has seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    /// Frames that were judged.
    pub frames: u64,
    /// Frames that the checker accepted, and so did xml-rs and expat, alike.
    pub accepted: u64,
    /// Frames that the checker left to the reader, which accepted them.
    pub left: u64,
    /// Frames that the reader refused; the checker accepted none of them.
    pub refused: u64,
    /// Documents about which expat was asked.
    pub documents: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |of: u64| of as f64 * 100.0 / self.frames.max(1) as f64;
        writeln!(out, "{} frames, no disagreement", self.frames)?;
        writeln!(
            out,
            "  accepted by checker, xml-rs and expat alike: {} ({:.1} %)",
            self.accepted,
            share(self.accepted)
        )?;
        writeln!(
            out,
            "  left to xml-rs, which accepted:              {} ({:.1} %)",
            self.left,
            share(self.left)
        )?;
        writeln!(
            out,
            "  refused by xml-rs, accepted by nobody:       {} ({:.1} %)",
            self.refused,
            share(self.refused)
        )?;
        write!(out, "  documents read by expat:                     {}", self.documents)
    }
}

impl Sum for Summary {
    fn sum<I: Iterator<Item = Summary>>(all: I) -> Summary {
        all.fold(Summary::default(), |sum, one| Summary {
            frames: sum.frames + one.frames,
            accepted: sum.accepted + one.accepted,
            left: sum.left + one.left,
            refused: sum.refused + one.refused,
            documents: sum.documents + one.documents,
        })
    }
}

/// Judges `count` mutations of the seeds; panics at the first disagreement, with the frame. `first` chooses them.
pub fn differential(seeds: &[Vec<u8>], first: u64, count: u64) -> Summary {
    let mut random = Random(first);
    let mut summary = Summary::default();
    let mut referee = Referee { expat: Expat::start(), documents: Default::default(), asked: None, told: 0 };
    for _ in 0..count {
        let frame = Bytes::from(mutate(&mut random, seeds));
        // The canonical context is that of nearly every client.
        let nth = random.below(2 * HEADERS.len()).saturating_sub(HEADERS.len());
        summary.frames += 1;
        match judge(nth, &frame) {
            Verdict::Certain(fragment) => {
                summary.accepted += 1;
                for (nth, bytes, meaning) in meanings(nth, &frame, &fragment) {
                    referee.add(nth, bytes, meaning);
                }
            }
            Verdict::Left => summary.left += 1,
            Verdict::Refused => summary.refused += 1,
        }
    }
    summary.documents = referee.finish();
    summary
}

/// Frames in one stream, with what they mean.
#[derive(Default)]
struct Document {
    bytes: usize,
    frames: Vec<(Vec<u8>, String)>,
}

struct Referee {
    expat: Expat,
    /// One for each header.
    documents: [Document; HEADERS.len()],
    /// What expat is reading.
    asked: Option<(usize, Document)>,
    told: u64,
}

impl Referee {
    fn add(&mut self, nth: usize, frame: Vec<u8>, meaning: String) {
        let document = &mut self.documents[nth];
        document.bytes += frame.len();
        document.frames.push((frame, meaning));
        if document.bytes >= DOCUMENT_BYTES {
            self.ask(nth);
        }
    }

    fn ask(&mut self, nth: usize) {
        let document = std::mem::take(&mut self.documents[nth]);
        self.put(nth, &document.frames);
        self.settle();
        self.asked = Some((nth, document));
    }

    fn put(&mut self, nth: usize, frames: &[(Vec<u8>, String)]) {
        let header = HEADERS[nth];
        let name = header.trim_start_matches('<').split(' ').next().unwrap_or_default();
        let mut stream = header.as_bytes().to_vec();
        let mut meant = String::new();
        for (frame, meaning) in frames {
            stream.extend_from_slice(frame);
            meant.push_str(meaning);
        }
        stream.extend_from_slice(format!("</{name}>").as_bytes());
        self.told += 1;
        self.expat.ask(&stream, meant.as_bytes());
    }

    /// Hears about the document before the last one that was put; if expat disagrees, finds out about which frame.
    fn settle(&mut self) {
        let Some((nth, document)) = self.asked.take() else { return };
        let Some(told) = self.expat.answer() else { return };
        // The one that was put since.
        let _ = self.expat.answer();
        for frame in document.frames {
            self.put(nth, std::slice::from_ref(&frame));
            if let Some(told) = self.expat.answer() {
                panic!("expat, in {}: {told}: {:?}", HEADERS[nth], String::from_utf8_lossy(&frame.0));
            }
        }
        panic!("expat disagrees about a stream, but about no frame of it alone: {told}");
    }

    fn finish(mut self) -> u64 {
        for nth in 0..HEADERS.len() {
            if !self.documents[nth].frames.is_empty() {
                self.ask(nth);
            }
        }
        if let Some((nth, document)) = self.asked.take() {
            // One more question makes the last answer the one before.
            self.put(0, &[]);
            self.asked = Some((nth, document));
            self.settle();
        }
        self.told - 1
    }
}
