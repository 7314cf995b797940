//! Threads for work that is too heavy for an arbiter (key derivation): a bounded queue in front, refused when full.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
};

use parking_lot::Mutex;

use crate::{Answer, reply};

type Job = Box<dyn FnOnce() + Send>;

/// The queue is full: say so to whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue for heavy work is full")]
pub struct PoolFull;

/// A pool of threads with a bounded queue; the threads end when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Offload {
    queue: SyncSender<Job>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    waiting: AtomicUsize,
    refused: AtomicUsize,
}

impl Offload {
    /// Starts `threads` threads behind a queue of at most `queue_max` jobs.
    pub fn start(threads: usize, queue_max: usize) -> Offload {
        let (queue, jobs) = sync_channel::<Job>(queue_max);
        let jobs = Arc::new(Mutex::new(jobs));
        let counts = Arc::new(Counts::default());
        for number in 0..threads.max(1) {
            let (jobs, counts) = (jobs.clone(), counts.clone());
            let spawned =
                thread::Builder::new().name(format!("offload-{number}")).spawn(move || work(&jobs, &counts));
            if let Err(fault) = spawned {
                log::error!(target: "offload:start", "cannot start a thread for heavy work: {fault}");
            }
        }
        Offload { queue, counts }
    }

    /// Runs `job` on a thread of the pool; its value comes as an answer.
    pub fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Answer<T>, PoolFull> {
        let (reply, answer) = reply();
        self.submit(Box::new(move || {
            // Nobody waits any more: the deadline passed, and the value goes nowhere.
            let _unwanted = reply.send(job());
        }))?;
        Ok(answer)
    }

    /// Queues a job whose end nobody waits for.
    pub fn submit(&self, job: Box<dyn FnOnce() + Send>) -> Result<(), PoolFull> {
        self.counts.waiting.fetch_add(1, Relaxed);
        self.queue.try_send(job).map_err(|refused| {
            self.counts.waiting.fetch_sub(1, Relaxed);
            self.counts.refused.fetch_add(1, Relaxed);
            let (TrySendError::Full(_) | TrySendError::Disconnected(_)) = refused;
            PoolFull
        })
    }

    /// (waiting or running, refused since the start).
    pub fn counts(&self) -> (usize, usize) {
        (self.counts.waiting.load(Relaxed), self.counts.refused.load(Relaxed))
    }
}

fn work(jobs: &Mutex<Receiver<Job>>, counts: &Counts) {
    loop {
        let job = jobs.lock().recv();
        let Ok(job) = job else { return };
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            log::error!(target: "offload:work", "a job panicked; whoever waits for it is told that there is no answer");
        }
        counts.waiting.fetch_sub(1, Relaxed);
    }
}
