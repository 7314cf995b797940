//! Counters of a store: what it did, how long it was busy, how full its queues are. They are only added to; whoever
//! shows them takes a [`StoreSnapshot`].

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Counters of one queue and the threads behind it.
#[derive(Debug, Default)]
pub struct QueueMetrics {
    operations: AtomicU64,
    failures: AtomicU64,
    expired: AtomicU64,
    refused: AtomicU64,
    depth: AtomicU64,
    depth_max: AtomicU64,
    busy_ns: AtomicU64,
}

/// [`QueueMetrics`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueSnapshot {
    /// Operations that were run, whatever came of them.
    pub operations: u64,
    /// Operations that failed by a fault of the store (not: no such account).
    pub failures: u64,
    /// Operations whose deadline passed before their turn.
    pub expired: u64,
    /// Operations that found the queue full.
    pub refused: u64,
    /// What waits now; each account of an import counts as one.
    pub depth: u64,
    /// The most that ever waited.
    pub depth_max: u64,
    /// Time spent working, in microseconds, summed over the threads.
    pub busy_us: u64,
}

impl QueueMetrics {
    pub(crate) fn ran(&self, failed: bool) {
        self.operations.fetch_add(1, Relaxed);
        self.failures.fetch_add(u64::from(failed), Relaxed);
    }

    pub(crate) fn expired(&self) {
        self.expired.fetch_add(1, Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn depth(&self, depth: usize) {
        self.depth.store(depth as u64, Relaxed);
        self.depth_max.fetch_max(depth as u64, Relaxed);
    }

    pub(crate) fn busy(&self, time: Duration) {
        self.busy_ns.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// The counters now.
    pub fn snapshot(&self) -> QueueSnapshot {
        QueueSnapshot {
            operations: self.operations.load(Relaxed),
            failures: self.failures.load(Relaxed),
            expired: self.expired.load(Relaxed),
            refused: self.refused.load(Relaxed),
            depth: self.depth.load(Relaxed),
            depth_max: self.depth_max.load(Relaxed),
            busy_us: self.busy_ns.load(Relaxed) / 1_000,
        }
    }
}

/// Counters of a store.
#[derive(Debug, Default)]
pub struct StoreMetrics {
    /// Of the questions.
    pub reads: QueueMetrics,
    /// Of the changes.
    pub writes: QueueMetrics,
    commits: AtomicU64,
    commits_failed: AtomicU64,
    group_sum: AtomicU64,
    group_max: AtomicU64,
    panics: AtomicU64,
    reopened: AtomicU64,
}

/// [`StoreMetrics`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreSnapshot {
    /// Of the questions.
    pub reads: QueueSnapshot,
    /// Of the changes.
    pub writes: QueueSnapshot,
    /// Transactions that were committed, each with one sync to the disk.
    pub commits: u64,
    /// Transactions that failed as a whole.
    pub commits_failed: u64,
    /// Operations in the committed transactions together.
    pub group_sum: u64,
    /// Operations in the biggest of them.
    pub group_max: u64,
    /// Operations that panicked, or whose followers did.
    pub panics: u64,
    /// Connections that were opened anew after a fault.
    pub reopened: u64,
}

impl StoreMetrics {
    pub(crate) fn committed(&self, operations: usize) {
        self.commits.fetch_add(1, Relaxed);
        self.group_sum.fetch_add(operations as u64, Relaxed);
        self.group_max.fetch_max(operations as u64, Relaxed);
    }

    pub(crate) fn commit_failed(&self) {
        self.commits_failed.fetch_add(1, Relaxed);
    }

    pub(crate) fn panicked(&self) {
        self.panics.fetch_add(1, Relaxed);
    }

    pub(crate) fn reopened(&self) {
        self.reopened.fetch_add(1, Relaxed);
    }

    /// The counters now.
    pub fn snapshot(&self) -> StoreSnapshot {
        StoreSnapshot {
            reads: self.reads.snapshot(),
            writes: self.writes.snapshot(),
            commits: self.commits.load(Relaxed),
            commits_failed: self.commits_failed.load(Relaxed),
            group_sum: self.group_sum.load(Relaxed),
            group_max: self.group_max.load(Relaxed),
            panics: self.panics.load(Relaxed),
            reopened: self.reopened.load(Relaxed),
        }
    }
}
