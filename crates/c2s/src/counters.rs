//! What all client streams count: how they closed, who logged in how, what could not be written.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;
use rjabberd_actors::LineQuota;

/// Lines a second about the end of streams without a session.
const STRANGERS_LOGGED_MAX: u32 = 50;

/// Counters of all client streams of a server. Labels come from our own enumerations, never from a peer.
#[derive(Debug)]
pub struct Counters {
    closed: Mutex<BTreeMap<String, u64>>,
    sasl: Mutex<BTreeMap<String, u64>>,
    stalled: AtomicU64,
    managed: AtomicU64,
    hibernated: AtomicU64,
    resumed: AtomicU64,
    window_passed: AtomicU64,
    held: AtomicU64,
    /// Of log lines on streams that ended without a session.
    pub(crate) strangers: LineQuota,
}

/// What stream management came to (XEP-0198).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ManagementSnapshot {
    /// Streams that count their stanzas.
    pub managed: u64,
    /// Connections that were lost and left a session behind to be resumed.
    pub hibernated: u64,
    /// Sessions that were.
    pub resumed: u64,
    /// Sessions that could not be resumed any more, because more waited for their acknowledgement than is kept.
    pub window_passed: u64,
}

impl Default for Counters {
    fn default() -> Counters {
        Counters {
            closed: Mutex::default(),
            sasl: Mutex::default(),
            stalled: AtomicU64::default(),
            managed: AtomicU64::default(),
            hibernated: AtomicU64::default(),
            resumed: AtomicU64::default(),
            window_passed: AtomicU64::default(),
            held: AtomicU64::default(),
            strangers: LineQuota::new(STRANGERS_LOGGED_MAX),
        }
    }
}

impl Counters {
    pub(crate) fn closed(&self, reason: &str) {
        count(&self.closed, reason);
    }

    pub(crate) fn sasl(&self, mechanism: &str, result: &str) {
        count(&self.sasl, &format!("{mechanism} {result}"));
    }

    pub(crate) fn stalled(&self) {
        self.stalled.fetch_add(1, Relaxed);
    }

    pub(crate) fn managed(&self) {
        self.managed.fetch_add(1, Relaxed);
    }

    pub(crate) fn hibernated(&self) {
        self.hibernated.fetch_add(1, Relaxed);
    }

    pub(crate) fn resumed(&self) {
        self.resumed.fetch_add(1, Relaxed);
    }

    pub(crate) fn window_passed(&self) {
        self.window_passed.fetch_add(1, Relaxed);
    }

    /// What stream management came to.
    pub fn management(&self) -> ManagementSnapshot {
        ManagementSnapshot {
            managed: self.managed.load(Relaxed),
            hibernated: self.hibernated.load(Relaxed),
            resumed: self.resumed.load(Relaxed),
            window_passed: self.window_passed.load(Relaxed),
        }
    }

    pub(crate) fn held(&self) {
        self.held.fetch_add(1, Relaxed);
    }

    /// Streams that ended, by reason.
    pub fn closed_by_reason(&self) -> BTreeMap<String, u64> {
        self.closed.lock().clone()
    }

    /// Attempts to log in, by mechanism and result.
    pub fn sasl_by_result(&self) -> BTreeMap<String, u64> {
        self.sasl.lock().clone()
    }

    /// (connections lost because nothing could be written, times a full outbox made a session take no more).
    pub fn slow_readers(&self) -> (u64, u64) {
        (self.stalled.load(Relaxed), self.held.load(Relaxed))
    }
}

fn count(counts: &Mutex<BTreeMap<String, u64>>, label: &str) {
    let mut counts = counts.lock();
    match counts.get_mut(label) {
        Some(counter) => *counter += 1,
        None => {
            counts.insert(label.to_owned(), 1);
        }
    }
}
