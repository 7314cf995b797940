//! What was routed, by kind, and what became of it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rjabberd_actors::PerThread;
use rjabberd_xmpp::StanzaKind;

/// Counters of the router.
#[derive(Debug, Default)]
pub struct Counters(PerThread<Counts>);

/// What one thread has counted.
#[derive(Debug, Default)]
struct Counts {
    messages: AtomicU64,
    presences: AtomicU64,
    iqs: AtomicU64,
    delivered: AtomicU64,
    bounced: AtomicU64,
    dropped: AtomicU64,
    came_back: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CountersSnapshot {
    /// Messages that clients sent.
    pub messages: u64,
    /// Presences that clients sent.
    pub presences: u64,
    /// Iqs that clients sent.
    pub iqs: u64,
    /// Stanzas that a session took.
    pub delivered: u64,
    /// Stanzas answered by an error.
    pub bounced: u64,
    /// Stanzas dropped as the RFC says.
    pub dropped: u64,
    /// Stanzas that a session had taken and gave back.
    pub came_back: u64,
}

impl Counters {
    pub(crate) fn routed(&self, kind: StanzaKind) {
        let counter = match kind {
            StanzaKind::Message(_) => &self.0.messages,
            StanzaKind::Presence(_) => &self.0.presences,
            StanzaKind::Iq(_) => &self.0.iqs,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(crate) fn delivered(&self) {
        self.0.delivered.fetch_add(1, Relaxed);
    }

    pub(crate) fn bounced(&self) {
        self.0.bounced.fetch_add(1, Relaxed);
    }

    pub(crate) fn dropped(&self) {
        self.0.dropped.fetch_add(1, Relaxed);
    }

    pub(crate) fn came_back(&self) {
        self.0.came_back.fetch_add(1, Relaxed);
    }

    /// All counters, each read once.
    pub fn snapshot(&self) -> CountersSnapshot {
        let sum = |counter: fn(&Counts) -> &AtomicU64| self.0.sum(|counts| counter(counts).load(Relaxed));
        CountersSnapshot {
            messages: sum(|counts| &counts.messages),
            presences: sum(|counts| &counts.presences),
            iqs: sum(|counts| &counts.iqs),
            delivered: sum(|counts| &counts.delivered),
            bounced: sum(|counts| &counts.bounced),
            dropped: sum(|counts| &counts.dropped),
            came_back: sum(|counts| &counts.came_back),
        }
    }
}
