//! The one thread that changes the database: it takes what waits in its queue, does it in one transaction with a
//! savepoint for each operation, commits with one sync to the disk, and only then answers.
//!
//! Invariant: no operation is answered as done before the commit that holds it has returned; and after a transaction
//! was lost, none that ran in it is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cache::Caches;
use super::connection::Connection;
use super::held::Held;
use super::queue::{Job, Queue, Ran};
use crate::error::StoreError;
use crate::metrics::StoreMetrics;

pub(crate) struct Writer {
    pub(crate) queue: Arc<Queue>,
    pub(crate) metrics: Arc<StoreMetrics>,
    pub(crate) caches: Arc<Caches>,
    pub(crate) held: Held,
    pub(crate) group_max: usize,
    /// How long a group may take, where the database can be late.
    pub(crate) run_max: Duration,
}

/// How much longer a group may take for each thing in it: an import is many in one.
const WEIGHT_RUN_MAX: Duration = Duration::from_millis(2);

/// Why operations that ran are void.
struct Lost(StoreError);

impl Writer {
    /// Works until the queue is closed and empty.
    pub(crate) fn run(&mut self) {
        while let Some(group) = self.queue.take(self.group_max, &self.metrics.writes) {
            let begun = Instant::now();
            self.group(group, begun);
            self.metrics.writes.busy(begun.elapsed());
        }
    }

    fn group(&mut self, group: VecDeque<Box<dyn Job>>, now: Instant) {
        let (mut waiting, late): (VecDeque<_>, VecDeque<_>) =
            group.into_iter().partition(|job| now < job.deadline());
        for job in late {
            self.metrics.writes.expired();
            job.settle(Err(StoreError::Deadline));
        }
        // A transaction that was lost half-way takes only those with it that ran; the others get one of their own.
        while !waiting.is_empty() {
            let mut ran = Vec::with_capacity(waiting.len());
            let outcome = self.transaction(&mut waiting, &mut ran);
            match outcome {
                Ok(()) => self.metrics.committed(ran.len()),
                Err(_) => {
                    self.metrics.commit_failed();
                    self.held.discard();
                }
            }
            for (job, failed) in ran {
                self.metrics.writes.ran(failed || outcome.is_err());
                job.settle(outcome.as_ref().copied().map_err(|Lost(error)| error.clone()));
            }
        }
    }

    /// Runs what waits in one transaction; moves what it ran to `ran`, whatever comes of it (at least one), with
    /// whether it failed by a fault.
    fn transaction(
        &mut self,
        waiting: &mut VecDeque<Box<dyn Job>>,
        ran: &mut Vec<(Box<dyn Job>, bool)>,
    ) -> Result<(), Lost> {
        let weight = waiting.iter().map(|job| job.weight()).fold(0, usize::saturating_add);
        let more = WEIGHT_RUN_MAX.saturating_mul(u32::try_from(weight).unwrap_or(u32::MAX));
        let answer_before = Instant::now() + self.run_max + more.min(self.run_max * 10);
        let begun = self.held.get(&self.metrics).and_then(|connection| {
            // Whoever wrote before this connection writes no more.
            self.caches.trust();
            connection.answer_before(answer_before);
            connection.begin()?;
            Ok(connection)
        });
        let connection = match begun {
            Ok(connection) => connection,
            Err(error) => {
                // Nothing ran, but without a transaction nothing will: all of the group is answered.
                ran.extend(waiting.drain(..).map(|job| (job, true)));
                return Err(Lost(error));
            }
        };
        let done = run_all(connection, &self.metrics, waiting, ran);
        if done.is_err() {
            // It may yet be committed, by a server that does not answer.
            self.caches.doubt();
        }
        if done? && !connection.outlives_a_fault() {
            self.held.discard();
        }
        Ok(())
    }
}

/// Runs what waits, and commits. Says whether an operation failed by a fault.
fn run_all(
    connection: &Connection,
    metrics: &StoreMetrics,
    waiting: &mut VecDeque<Box<dyn Job>>,
    ran: &mut Vec<(Box<dyn Job>, bool)>,
) -> Result<bool, Lost> {
    let mut is_suspect = false;
    while let Some(mut job) = waiting.pop_front() {
        let result = in_savepoint(connection, job.as_mut());
        ran.push((job, result.as_ref().map_or(true, Ran::is_failure)));
        match result? {
            Ran::Done | Ran::Refused => {}
            Ran::Fault(_) => is_suspect = true,
            Ran::Panicked => metrics.panicked(),
        }
    }
    connection.commit().map_err(Lost)?;
    Ok(is_suspect)
}

/// Runs one operation so that it leaves nothing behind if it fails.
fn in_savepoint(connection: &Connection, job: &mut dyn Job) -> Result<Ran, Lost> {
    connection.savepoint().map_err(Lost)?;
    let ran = job.run(connection);
    if !matches!(ran, Ran::Done) {
        if connection.has_lost_transaction() {
            return Err(Lost(match ran {
                Ran::Fault(error) => error,
                _ => StoreError::Unavailable("the transaction was lost"),
            }));
        }
        connection.roll_back_to_savepoint().map_err(Lost)?;
    }
    connection.release_savepoint().map_err(Lost)?;
    Ok(ran)
}
