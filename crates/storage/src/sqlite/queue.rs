//! The bounded queue between the callers and a store's threads, and the operations in it.
//!
//! Pushing never waits: a full queue refuses. An operation carries its deadline, and one whose turn comes too late is
//! answered without having run. Every operation that was pushed is answered once: if it is dropped on the way, the
//! drop is the answer.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::error::StoreError;
use crate::metrics::QueueMetrics;
use crate::store::Answer;

impl Ran {
    /// Whether the store is to blame for what the operation answers.
    pub(super) fn is_failure(&self) -> bool {
        matches!(self, Ran::Fault(_) | Ran::Panicked)
    }
}

/// An operation on its way: first run, then settled.
pub(super) trait Job: Send {
    /// How much of the queue it takes.
    fn weight(&self) -> usize;
    /// When it must no longer be run.
    fn deadline(&self) -> Instant;
    /// Whether nobody waits for the answer.
    fn is_abandoned(&self) -> bool;
    /// Runs it, and keeps the result until it is settled.
    fn run(&mut self, connection: &Connection) -> Ran;
    /// Answers: with the result that was kept, or with the error that made it void.
    fn settle(self: Box<Self>, outcome: Result<(), StoreError>);
}

/// What became of running an operation.
#[derive(Clone, Debug)]
pub(super) enum Ran {
    /// It has a result.
    Done,
    /// It cannot be done; the database is well (no such account).
    Refused,
    /// It failed by a fault of the database or the disk.
    Fault(StoreError),
    /// It panicked.
    Panicked,
}

struct Operation<T, F> {
    weight: usize,
    deadline: Instant,
    work: Option<F>,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Operation<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send,
{
    fn weight(&self) -> usize {
        self.weight
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(&mut self, connection: &Connection) -> Ran {
        let Some(work) = self.work.take() else { return Ran::Refused };
        // The connection outlives a panic: rusqlite resets its statements while unwinding, and the caller rolls back.
        let Ok(result) = catch_unwind(AssertUnwindSafe(|| work(connection))) else {
            self.result = Some(Err(StoreError::Unavailable("the operation panicked")));
            return Ran::Panicked;
        };
        let ran = match &result {
            Ok(_) => Ran::Done,
            Err(error) if error.is_fault() => Ran::Fault(error.clone()),
            Err(_) => Ran::Refused,
        };
        self.result = Some(result);
        ran
    }

    fn settle(self: Box<Self>, outcome: Result<(), StoreError>) {
        let answer = match outcome {
            Ok(()) => self.result.unwrap_or(Err(StoreError::Unavailable("the operation was not run"))),
            Err(error) => Err(error),
        };
        // Nobody may be waiting any more, which is no fault of ours.
        let _ = self.reply.send(answer);
    }
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Box<dyn Job>>,
    weight: usize,
    is_refusing: bool,
    is_ending: bool,
}

/// A bounded queue of operations for one or several threads.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    ready: Condvar,
    weight_max: usize,
}

impl Queue {
    pub(super) fn new(weight_max: usize) -> Arc<Queue> {
        Arc::new(Queue { waiting: Mutex::default(), ready: Condvar::new(), weight_max })
    }

    /// Queues an operation. One that is heavier than the whole queue gets in when nothing else waits.
    pub(super) fn ask<T, F>(
        &self,
        metrics: &QueueMetrics,
        weight: usize,
        deadline: Instant,
        work: F,
    ) -> Answer<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Operation { weight, deadline, work: Some(work), result: None, reply });
        if let Err(error) = self.push(job, metrics) {
            return Box::pin(std::future::ready(Err(error)));
        }
        Box::pin(async move {
            answer.await.unwrap_or(Err(StoreError::Unavailable("the operation was dropped unanswered")))
        })
    }

    pub(super) fn push(&self, job: Box<dyn Job>, metrics: &QueueMetrics) -> Result<(), StoreError> {
        let mut waiting = self.waiting.lock();
        if waiting.is_refusing {
            return Err(StoreError::Unavailable("it is closed"));
        }
        let weight = waiting.weight.saturating_add(job.weight());
        if weight > self.weight_max && !waiting.jobs.is_empty() {
            metrics.refused();
            return Err(StoreError::Unavailable("its queue is full"));
        }
        waiting.weight = weight;
        waiting.jobs.push_back(job);
        metrics.depth(weight);
        drop(waiting);
        self.ready.notify_one();
        Ok(())
    }

    /// Waits for operations and takes what is there: one, and more up to `weight_max`. `None` when the queue is closed
    /// and empty.
    pub(super) fn take(&self, weight_max: usize, metrics: &QueueMetrics) -> Option<VecDeque<Box<dyn Job>>> {
        let mut waiting = self.waiting.lock();
        while waiting.jobs.is_empty() {
            if waiting.is_ending {
                return None;
            }
            self.ready.wait(&mut waiting);
        }
        let mut taken = VecDeque::new();
        let mut weight: usize = 0;
        while let Some(job) = waiting.jobs.pop_front() {
            if !taken.is_empty() && weight.saturating_add(job.weight()) > weight_max {
                waiting.jobs.push_front(job);
                break;
            }
            weight = weight.saturating_add(job.weight());
            taken.push_back(job);
        }
        waiting.weight -= weight;
        metrics.depth(waiting.weight);
        Some(taken)
    }

    /// Refuses what is asked from now on.
    pub(super) fn close_to_callers(&self) {
        self.waiting.lock().is_refusing = true;
    }

    /// Refuses what is asked from now on, and lets the threads end when what is queued is done.
    pub(super) fn close(&self) {
        let mut waiting = self.waiting.lock();
        waiting.is_refusing = true;
        waiting.is_ending = true;
        drop(waiting);
        self.ready.notify_all();
    }
}
