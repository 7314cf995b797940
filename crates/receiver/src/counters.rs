//! What all receivers count.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rjabberd_actors::{BLOCKS, Block, PerThread};

/// Counters of all receivers of the process.
pub static COUNTERS: Counters = Counters {
    bytes: PerThread::new([const { Block(AtomicU64::new(0)) }; BLOCKS]),
    keepalives: AtomicU64::new(0),
    refused: AtomicU64::new(0),
    pauses: AtomicU64::new(0),
    paused_ms: AtomicU64::new(0),
};

/// Counters of all receivers.
#[derive(Debug)]
pub struct Counters {
    bytes: PerThread<AtomicU64>,
    keepalives: AtomicU64,
    refused: AtomicU64,
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

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn paused(&self, ms: u64) {
        self.pauses.fetch_add(1, Relaxed);
        self.paused_ms.fetch_add(ms, Relaxed);
    }

    /// All counters, each read once.
    pub fn snapshot(&self) -> CountersSnapshot {
        CountersSnapshot {
            bytes: self.bytes.sum(|bytes| bytes.load(Relaxed)),
            keepalives: self.keepalives.load(Relaxed),
            refused: self.refused.load(Relaxed),
            pauses: self.pauses.load(Relaxed),
            paused_ms: self.paused_ms.load(Relaxed),
        }
    }
}
