//! The threads that answer questions, each on a connection of its own that cannot write.
//!
//! A question sees every change that was answered before it was asked: the writer answers after its commit, and each
//! question reads the newest committed state.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::held::Held;
use super::queue::{Job, Queue, Ran};
use crate::error::StoreError;
use crate::metrics::StoreMetrics;

pub(crate) struct Reader {
    pub(crate) queue: Arc<Queue>,
    pub(crate) metrics: Arc<StoreMetrics>,
    pub(crate) held: Held,
    /// How long a question may take.
    pub(crate) run_max: Duration,
}

impl Reader {
    /// Works until the queue is closed and empty.
    pub(crate) fn run(&mut self) {
        // One at a time, so that the other readers find the rest.
        while let Some(taken) = self.queue.take(1, &self.metrics.reads) {
            for job in taken {
                let begun = Instant::now();
                self.answer(job, begun);
                self.metrics.reads.busy(begun.elapsed());
            }
        }
    }

    fn answer(&mut self, mut job: Box<dyn Job>, now: Instant) {
        if now >= job.deadline() {
            self.metrics.reads.expired();
            return job.settle(Err(StoreError::Deadline));
        }
        if job.is_abandoned() {
            return;
        }
        let connection = match self.held.get(&self.metrics) {
            Ok(connection) => connection,
            Err(error) => {
                self.metrics.reads.ran(true);
                return job.settle(Err(error));
            }
        };
        connection.answer_before(now + self.run_max);
        let ran = job.run(connection);
        if matches!(ran, Ran::Panicked) {
            self.metrics.panicked();
        }
        if ran.is_failure() && !connection.outlives_a_fault() {
            self.held.discard();
        }
        self.metrics.reads.ran(ran.is_failure());
        job.settle(Ok(()));
    }
}
