//! The bounded queue between the callers and a store's threads, and the operations in it.
//!
//! Pushing never waits: a full queue refuses. An operation carries its deadline, and one whose turn comes too late is
//! answered without having run. Every operation is finished and answered once: also one that was refused, and if it is
//! dropped on the way, the drop is the answer.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::connection::Connection;
use crate::error::StoreError;
use crate::metrics::QueueMetrics;
use crate::store::Answer;

impl Ran {
    /// Whether the store is to blame for what the operation answers.
    pub(crate) fn is_failure(&self) -> bool {
        matches!(self, Ran::Fault(_) | Ran::Panicked)
    }
}

/// An operation on its way: first run, then settled.
pub(crate) trait Job: Send {
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
pub(crate) enum Ran {
    /// It has a result.
    Done,
    /// It cannot be done; the database is well (no such account).
    Refused,
    /// It failed by a fault of the database or the disk.
    Fault(StoreError),
    /// It panicked.
    Panicked,
}

/// What is done with the result of an operation before it is answered; gives the answer.
type Finish<T, A> = Box<dyn FnOnce(Result<T, StoreError>) -> Result<A, StoreError> + Send>;

struct Operation<T, A, F> {
    weight: usize,
    deadline: Instant,
    work: Option<F>,
    result: Option<Result<T, StoreError>>,
    /// Gone when it was answered.
    ending: Option<Ending<T, A>>,
}

struct Ending<T, A> {
    finish: Finish<T, A>,
    reply: oneshot::Sender<Result<A, StoreError>>,
}

impl<T, A, F> Operation<T, A, F> {
    fn answer(&mut self, result: Result<T, StoreError>) {
        if let Some(Ending { finish, reply }) = self.ending.take() {
            // Nobody may be waiting any more, which is no fault of ours.
            let _ = reply.send(finish(result));
        }
    }
}

impl<T, A, F> Drop for Operation<T, A, F> {
    fn drop(&mut self) {
        self.answer(Err(StoreError::Unavailable("the operation was dropped unanswered")));
    }
}

impl<T, A, F> Job for Operation<T, A, F>
where
    T: Send,
    A: Send,
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send,
{
    fn weight(&self) -> usize {
        self.weight
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn is_abandoned(&self) -> bool {
        self.ending.as_ref().is_none_or(|ending| ending.reply.is_closed())
    }

    fn run(&mut self, connection: &Connection) -> Ran {
        let Some(work) = self.work.take() else { return Ran::Refused };
        // The connection outlives a panic: its statements are reset while unwinding, and the caller rolls back.
        let all = || work(connection).and_then(|done| connection.settle().map(|()| done));
        let Ok(result) = catch_unwind(AssertUnwindSafe(all)) else {
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

    fn settle(mut self: Box<Self>, outcome: Result<(), StoreError>) {
        let not_run = || Err(StoreError::Unavailable("the operation was not run"));
        let result = outcome.and_then(|()| self.result.take().unwrap_or_else(not_run));
        self.answer(result);
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
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    ready: Condvar,
    weight_max: usize,
}

impl Queue {
    pub(crate) fn new(weight_max: usize) -> Arc<Queue> {
        Arc::new(Queue { waiting: Mutex::default(), ready: Condvar::new(), weight_max })
    }

    /// Queues an operation, whose result `finish` makes the answer of; it must not panic. One that is heavier than the
    /// whole queue gets in when nothing else waits.
    pub(crate) fn ask<T, A, F, G>(
        &self,
        metrics: &QueueMetrics,
        weight: usize,
        deadline: Instant,
        work: F,
        finish: G,
    ) -> Answer<A>
    where
        T: Send + 'static,
        A: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
        G: FnOnce(Result<T, StoreError>) -> Result<A, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let ending = Ending { finish: Box::new(finish), reply };
        let job = Operation { weight, deadline, work: Some(work), result: None, ending: Some(ending) };
        self.push(Box::new(job), metrics);
        Box::pin(async move {
            answer.await.unwrap_or(Err(StoreError::Unavailable("the operation was dropped unanswered")))
        })
    }

    /// Queues an operation, or settles it with the reason why not.
    pub(crate) fn push(&self, job: Box<dyn Job>, metrics: &QueueMetrics) {
        let mut waiting = self.waiting.lock();
        let weight = waiting.weight.saturating_add(job.weight());
        let refusal = if waiting.is_refusing {
            "it is closed"
        } else if weight > self.weight_max && !waiting.jobs.is_empty() {
            metrics.refused();
            "its queue is full"
        } else {
            waiting.weight = weight;
            waiting.jobs.push_back(job);
            metrics.depth(weight);
            drop(waiting);
            self.ready.notify_one();
            return;
        };
        // Not under the lock: whoever follows the result may ask for something.
        drop(waiting);
        job.settle(Err(StoreError::Unavailable(refusal)));
    }

    /// Waits for operations and takes what is there: one, and more up to `weight_max`. `None` when the queue is closed
    /// and empty.
    pub(crate) fn take(&self, weight_max: usize, metrics: &QueueMetrics) -> Option<VecDeque<Box<dyn Job>>> {
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
    pub(crate) fn close_to_callers(&self) {
        self.waiting.lock().is_refusing = true;
    }

    /// Refuses what is asked from now on, and lets the threads end when what is queued is done.
    pub(crate) fn close(&self) {
        let mut waiting = self.waiting.lock();
        waiting.is_refusing = true;
        waiting.is_ending = true;
        drop(waiting);
        self.ready.notify_all();
    }
}
