//! What all receivers count.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rjabberd_actors::{BLOCKS, Block, PerThread};
use rjabberd_xml::XmlError;

/// Counters of all receivers of the process.
pub static COUNTERS: Counters = Counters {
    bytes: PerThread::new([const { Block(AtomicU64::new(0)) }; BLOCKS]),
    keepalives: AtomicU64::new(0),
    refused: [const { AtomicU64::new(0) }; XmlError::REASONS.len()],
    pauses: AtomicU64::new(0),
    paused_ms: AtomicU64::new(0),
};

/// Counters of all receivers.
#[derive(Debug)]
pub struct Counters {
    bytes: PerThread<AtomicU64>,
    keepalives: AtomicU64,
    /// One for each of [`XmlError::REASONS`].
    refused: [AtomicU64; XmlError::REASONS.len()],
    pauses: AtomicU64,
    paused_ms: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountersSnapshot {
    /// Bytes of plaintext read.
    pub bytes: u64,
    /// Times white space came between elements.
    pub keepalives: u64,
    /// Streams whose XML was refused.
    pub refused: u64,
    /// The same by reason: names of [`XmlError::REASONS`].
    pub refused_by: [(&'static str, u64); XmlError::REASONS.len()],
    /// Times a shaper made a client wait.
    pub pauses: u64,
    /// How long they waited together.
    pub paused_ms: u64,
}

impl Counters {
    pub(crate) fn read(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn keepalive(&self) {
        self.keepalives.fetch_add(1, Relaxed);
    }

    pub(crate) fn refused(&self, error: &XmlError) {
        let reasons = XmlError::REASONS.iter().zip(&self.refused);
        for (_, counter) in reasons.filter(|(reason, _)| **reason == error.reason()) {
            counter.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn paused(&self, ms: u64) {
        self.pauses.fetch_add(1, Relaxed);
        self.paused_ms.fetch_add(ms, Relaxed);
    }

    /// All counters, each read once.
    pub fn snapshot(&self) -> CountersSnapshot {
        let refused: [u64; XmlError::REASONS.len()] =
            std::array::from_fn(|index| self.refused[index].load(Relaxed));
        CountersSnapshot {
            bytes: self.bytes.sum(|bytes| bytes.load(Relaxed)),
            keepalives: self.keepalives.load(Relaxed),
            refused: refused.iter().sum(),
            refused_by: std::array::from_fn(|index| (XmlError::REASONS[index], refused[index])),
            pauses: self.pauses.load(Relaxed),
            paused_ms: self.paused_ms.load(Relaxed),
        }
    }
}
