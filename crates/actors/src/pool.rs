//! The arbiters: a fixed pool of threads, each with its own event loop; a connection is born, lives and dies on one.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};
use std::time::{Duration, Instant};

use actix_rt::Arbiter;

/// How often the lag of an arbiter's loop is measured.
const LAG_PERIOD: Duration = Duration::from_secs(1);

/// One arbiter of the pool.
#[derive(Debug)]
pub struct ArbiterHandle {
    arbiter: Arbiter,
    lag: Arc<Lag>,
}

/// How late an arbiter's loop runs, in microseconds.
#[derive(Debug, Default)]
pub struct Lag {
    last_us: AtomicU64,
    high_us: AtomicU64,
}

impl Lag {
    /// (last, highest) lag seen, in microseconds.
    pub fn read(&self) -> (u64, u64) {
        (self.last_us.load(Relaxed), self.high_us.load(Relaxed))
    }
}

impl ArbiterHandle {
    /// Runs `work` on this arbiter; false where the arbiter is gone.
    pub fn spawn(&self, work: impl FnOnce() + Send + 'static) -> bool {
        self.arbiter.spawn_fn(work)
    }

    /// Runs `work` on this arbiter and waits for what it gives, so not to be called on an arbiter; `None` where it is
    /// gone.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (give, take) = std::sync::mpsc::channel();
        // Nobody takes it only where this function panicked.
        self.spawn(move || drop(give.send(work())));
        take.recv().ok()
    }

    /// How late its loop runs.
    pub fn lag(&self) -> (u64, u64) {
        self.lag.read()
    }
}

/// A fixed number of arbiters.
#[derive(Debug)]
pub struct ArbiterPool {
    arbiters: Vec<ArbiterHandle>,
    next: AtomicUsize,
}

impl ArbiterPool {
    /// Starts `count` arbiters; must be called inside an actix system.
    pub fn start(count: usize) -> ArbiterPool {
        let arbiters = (0..count.max(1))
            .map(|_| {
                let arbiter = Arbiter::new();
                let lag = Arc::new(Lag::default());
                arbiter.spawn(watch(lag.clone()));
                ArbiterHandle { arbiter, lag }
            })
            .collect();
        ArbiterPool { arbiters, next: AtomicUsize::new(0) }
    }

    /// The arbiter for the next connection, in turn.
    pub fn next(&self) -> &ArbiterHandle {
        &self.arbiters[self.next.fetch_add(1, Relaxed) % self.arbiters.len()]
    }

    /// All arbiters.
    pub fn arbiters(&self) -> &[ArbiterHandle] {
        &self.arbiters
    }

    /// Stops all arbiters; what runs on them is dropped.
    pub fn stop(&self) {
        for handle in &self.arbiters {
            handle.arbiter.stop();
        }
    }
}

async fn watch(lag: Arc<Lag>) {
    loop {
        let due = Instant::now() + LAG_PERIOD;
        tokio::time::sleep_until(due.into()).await;
        // tokio's clock ticks in milliseconds, so less than that is no lag.
        let late_us = Instant::now().saturating_duration_since(due).as_micros() as u64;
        lag.last_us.store(late_us, Relaxed);
        lag.high_us.fetch_max(late_us, Relaxed);
    }
}
