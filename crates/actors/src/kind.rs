//! Kinds of actors and what is counted of each: alive, started, stopped, panicked, mailbox depth, refusals, times.
//!
//! Counters are process-wide statics, one [`Kind`] per actor type, so that a new actor gets its metrics for nothing.

use std::{
    fmt,
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use parking_lot::Mutex;

use crate::{BLOCKS, Block, PerThread};

/// Every kind that has had an actor, in the order of first appearance.
static KINDS: Mutex<Vec<&'static Kind>> = Mutex::new(Vec::new());

/// One kind of actor, declared as a `static` beside the actor.
#[derive(Debug)]
pub struct Kind {
    name: &'static str,
    started: AtomicU64,
    alive: AtomicI64,
    panicked: AtomicU64,
    messages: PerThread<Messages>,
}

/// What is counted for each message, by the thread that sends or handles it.
#[derive(Debug)]
struct Messages {
    /// Raised by who sends and lowered by who handles: only the sum over all threads is a depth.
    depth: AtomicU64,
    bytes: AtomicU64,
    depth_high: AtomicU64,
    handled: AtomicU64,
    handling_ns: AtomicU64,
    refused: AtomicU64,
    dropped: AtomicU64,
    yields: AtomicU64,
}

impl Messages {
    /// Nothing counted yet.
    const fn new() -> Messages {
        Messages {
            depth: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            depth_high: AtomicU64::new(0),
            handled: AtomicU64::new(0),
            handling_ns: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            yields: AtomicU64::new(0),
        }
    }
}

/// What a kind's counters say at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindSnapshot {
    /// The kind's name, as in logs.
    pub name: &'static str,
    /// Actors started since the process began.
    pub started: u64,
    /// Actors alive now.
    pub alive: i64,
    /// Panics caught in handlers.
    pub panicked: u64,
    /// Messages in all mailboxes of this kind now.
    pub depth: i64,
    /// The most messages that were in one of them at once, control not counted.
    pub depth_high: u64,
    /// Bytes in all mailboxes now.
    pub bytes: i64,
    /// Messages handled.
    pub handled: u64,
    /// Time spent in handlers.
    pub handling: Duration,
    /// Messages refused because a mailbox was full or closed.
    pub refused: u64,
    /// Messages dropped unhandled, because their actor ended.
    pub dropped: u64,
    /// Times an actor gave way to its neighbours with work left.
    pub yields: u64,
}

impl Kind {
    /// A kind of that name.
    pub const fn new(name: &'static str) -> Kind {
        Kind {
            name,
            started: AtomicU64::new(0),
            alive: AtomicI64::new(0),
            panicked: AtomicU64::new(0),
            messages: PerThread::new([const { Block(Messages::new()) }; BLOCKS]),
        }
    }

    /// The kind's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// All counters, each read once.
    pub fn snapshot(&self) -> KindSnapshot {
        let sum =
            |counter: fn(&Messages) -> &AtomicU64| self.messages.sum(|block| counter(block).load(Relaxed));
        KindSnapshot {
            name: self.name,
            started: self.started.load(Relaxed),
            alive: self.alive.load(Relaxed),
            panicked: self.panicked.load(Relaxed),
            depth: sum(|block| &block.depth).cast_signed(),
            depth_high: self.messages.highest(|block| block.depth_high.load(Relaxed)),
            bytes: sum(|block| &block.bytes).cast_signed(),
            handled: sum(|block| &block.handled),
            handling: Duration::from_nanos(sum(|block| &block.handling_ns)),
            refused: sum(|block| &block.refused),
            dropped: sum(|block| &block.dropped),
            yields: sum(|block| &block.yields),
        }
    }

    /// A message is put into a mailbox, which holds `depth` messages with it.
    pub(crate) fn message_in(&self, bytes: usize, depth: usize) {
        let messages = &*self.messages;
        messages.depth.fetch_add(1, Relaxed);
        messages.bytes.fetch_add(bytes as u64, Relaxed);
        if depth as u64 > messages.depth_high.load(Relaxed) {
            messages.depth_high.fetch_max(depth as u64, Relaxed);
        }
    }

    pub(crate) fn message_out(&self, bytes: usize) {
        self.messages.depth.fetch_sub(1, Relaxed);
        self.messages.bytes.fetch_sub(bytes as u64, Relaxed);
    }

    pub(crate) fn message_handled(&self, took: Duration) {
        self.messages.handled.fetch_add(1, Relaxed);
        self.messages.handling_ns.fetch_add(took.as_nanos() as u64, Relaxed);
    }

    pub(crate) fn message_refused(&self) {
        self.messages.refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn message_dropped(&self) {
        self.messages.dropped.fetch_add(1, Relaxed);
    }

    pub(crate) fn yielded(&self) {
        self.messages.yields.fetch_add(1, Relaxed);
    }
}

/// The counters of every kind that has had an actor.
pub fn snapshot() -> Vec<KindSnapshot> {
    KINDS.lock().iter().map(|kind| kind.snapshot()).collect()
}

/// Held by an actor for as long as it lives; its [`Display`](fmt::Display) is the actor's id in logs, `<c2s.42>`.
#[derive(Debug)]
pub struct Alive {
    kind: &'static Kind,
    number: u64,
}

impl Alive {
    /// Counts a new actor of this kind and numbers it.
    pub fn new(kind: &'static Kind) -> Alive {
        let number = kind.started.fetch_add(1, Relaxed) + 1;
        kind.alive.fetch_add(1, Relaxed);
        if number == 1 {
            KINDS.lock().push(kind);
        }
        Alive { kind, number }
    }

    /// The actor's kind.
    pub fn kind(&self) -> &'static Kind {
        self.kind
    }

    /// Counts and logs a panic that was caught in one of the actor's handlers.
    pub fn panicked(&self) {
        self.kind.panicked.fetch_add(1, Relaxed);
        log::error!(target: "actors:guarded", "{self} panicked");
    }

    /// The actor's number among its kind.
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl fmt::Display for Alive {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "<{}.{}>", self.kind.name, self.number)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.kind.alive.fetch_sub(1, Relaxed);
    }
}
