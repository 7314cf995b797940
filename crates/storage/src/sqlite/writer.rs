//! The one thread that changes the database: it takes what waits in its queue, does it in one transaction with a
//! savepoint for each operation, commits with one sync to the disk, and only then answers.
//!
//! Invariant: no operation is answered as done before the commit that holds it has returned; and after a transaction
//! was lost, none that ran in it is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use rusqlite::Connection;

use super::connection::Held;
use super::queue::{Job, Queue, Ran};
use crate::error::StoreError;
use crate::metrics::StoreMetrics;

pub(super) struct Writer {
    pub(super) queue: Arc<Queue>,
    pub(super) metrics: Arc<StoreMetrics>,
    pub(super) held: Held,
    pub(super) group_max: usize,
}

/// Why operations that ran are void.
struct Lost(StoreError);

impl Writer {
    /// Works until the queue is closed and empty.
    pub(super) fn run(&mut self) {
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
        let begun = self.held.get(&self.metrics).and_then(|connection| {
            connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
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
        let mut is_suspect = false;
        while let Some(mut job) = waiting.pop_front() {
            let result = in_savepoint(connection, job.as_mut());
            ran.push((job, result.as_ref().map_or(true, Ran::is_failure)));
            match result? {
                Ran::Done | Ran::Refused => {}
                Ran::Fault(_) => is_suspect = true,
                Ran::Panicked => self.metrics.panicked(),
            }
        }
        connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])).map_err(lost)?;
        if is_suspect {
            self.held.discard();
        }
        Ok(())
    }
}

/// Runs one operation so that it leaves nothing behind if it fails.
fn in_savepoint(connection: &Connection, job: &mut dyn Job) -> Result<Ran, Lost> {
    let execute = |sql| connection.prepare_cached(sql)?.execute([]).map(|_| ());
    execute("SAVEPOINT operation").map_err(lost)?;
    let ran = job.run(connection);
    if !matches!(ran, Ran::Done) {
        // A full disk and some other faults roll back the whole transaction by themselves.
        if connection.is_autocommit() {
            return Err(Lost(match ran {
                Ran::Fault(error) => error,
                _ => StoreError::Unavailable("the transaction was lost"),
            }));
        }
        execute("ROLLBACK TO operation").map_err(lost)?;
    }
    execute("RELEASE operation").map_err(lost)?;
    Ok(ran)
}

fn lost(error: rusqlite::Error) -> Lost {
    Lost(error.into())
}
