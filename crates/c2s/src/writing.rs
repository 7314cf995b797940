//! The c2s' one never-ending future: polled after each drain of the mailbox, it writes what was collected, once.

use std::{
    pin::Pin,
    task::{Context as TaskContext, Poll},
};

use actix::{ActorFuture, Context};
use rjabberd_c2s_proto::{Input, LostReason};
use rjabberd_receiver::messages::{Credit, Order};

use crate::{C2s, Phase, messages::Tick};

/// Bytes written in one turn before the neighbours run.
const WRITTEN_PER_TURN_MAX: usize = 256 * 1024;

pub(crate) struct Writing;

impl ActorFuture<C2s> for Writing {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        c2s: &mut C2s,
        context: &mut Context<C2s>,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        c2s.budget.renew();
        if !c2s.writer.as_ref().is_some_and(|waker| waker.will_wake(task.waker())) {
            c2s.writer = Some(task.waker().clone());
        }
        c2s.contain(context, |c2s, context| c2s.flush(context, task));
        Poll::Pending
    }
}

impl C2s {
    fn flush(&mut self, context: &mut Context<Self>, task: &mut TaskContext<'_>) {
        let mut written = 0;
        loop {
            if matches!(self.phase, Phase::Gone | Phase::Hibernated) {
                return;
            }
            // TLS may hold records of bytes that have left the outbox.
            let all_taken = self.outbox.is_empty();
            let flushed = if all_taken {
                self.transport.poll_flush(task).map_ok(|()| 0)
            } else {
                self.transport.poll_write(task, self.outbox.bytes())
            };
            match flushed {
                Poll::Pending => return self.watch_stall(),
                Poll::Ready(Err(error)) => {
                    log::debug!(target: "c2s:write", "{} {error}", self.alive);
                    return self.lose(LostReason::Broken, context);
                }
                Poll::Ready(Ok(_)) if all_taken => return self.flushed(context),
                Poll::Ready(Ok(bytes)) => {
                    let noted = self.outbox.advance(bytes);
                    written += bytes;
                    self.noted(noted, context);
                    self.take_more(context);
                    self.drain_spill(context);
                }
            }
            if written >= WRITTEN_PER_TURN_MAX {
                task.waker().wake_by_ref();
                return;
            }
        }
    }

    /// Everything is written.
    fn flushed(&mut self, context: &mut Context<Self>) {
        self.timers.stall = None;
        if let Phase::Closing(_) = self.phase {
            self.phase = Phase::Gone;
            self.timers.close_flush = None;
            self.credit(Credit { order: Order::Close, elements_max: 1 });
            self.stop_when_done(context);
        } else {
            self.await_acknowledgement();
            self.give_credit();
        }
    }

    fn watch_stall(&mut self) {
        if self.timers.stall.is_none() {
            let timer = self.arm(self.shared.times.write_stall, Tick::Stall);
            self.timers.stall = Some((timer, self.outbox.written()));
        }
    }

    /// Nothing was written since the timer was armed: the connection is lost.
    pub(crate) fn check_stall(&mut self, context: &mut Context<Self>) {
        let Some((_, mark)) = self.timers.stall.take() else { return };
        if self.outbox.is_empty() {
            return;
        }
        if mark == self.outbox.written() {
            self.shared.counters.stalled();
            self.lose(LostReason::WriteStalled, context);
        } else {
            self.watch_stall();
        }
    }

    fn lose(&mut self, reason: LostReason, context: &mut Context<Self>) {
        if let Phase::Closing(_) = self.phase {
            self.phase = Phase::Gone;
            self.credit(Credit { order: Order::Close, elements_max: 1 });
        }
        self.feed(Input::ConnectionLost(reason), context);
        self.stop_when_done(context);
    }
}
