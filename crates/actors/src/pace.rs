//! Fairness and containment: how much an actor does before it gives way, and what happens when its code panics.
//!
//! actix drains a mailbox before anything else on its thread, without budget; so an actor counts what it handles and
//! calls [`yield_now`] when its [`Budget`] is spent.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use actix::{Actor, ActorFuture, AsyncContext};

use crate::Alive;

/// Messages that an actor handles before it gives way.
pub const MESSAGES_MAX: u32 = 64;
/// Bytes of output that an actor makes before it gives way.
pub const BYTES_MAX: usize = 64 * 1024;

/// What an actor may still do in this turn.
#[derive(Debug, Default)]
pub struct Budget {
    messages: u32,
    bytes: usize,
}

impl Budget {
    /// Counts one message and the output it made; true when it is time to give way.
    pub fn spend(&mut self, bytes: usize) -> bool {
        self.messages += 1;
        self.bytes += bytes;
        self.messages >= MESSAGES_MAX || self.bytes >= BYTES_MAX
    }

    /// A new turn begins.
    pub fn renew(&mut self) {
        *self = Budget::default();
    }
}

/// Lets the actor's neighbours run before its next message; its own futures (the writer) run first.
pub fn yield_now<A>(alive: &Alive, context: &mut A::Context)
where
    A: Actor,
    A::Context: AsyncContext<A>,
{
    alive.kind().yielded();
    context.wait(Yield { yielded: false });
}

struct Yield {
    yielded: bool,
}

impl<A: Actor> ActorFuture<A> for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut A, _: &mut A::Context, task: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        task.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Runs one step of an actor; a panic in it is an error. The caller tells its [`Alive`], which counts and logs it.
///
/// # Errors
/// The step panicked.
pub fn guarded<T>(step: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(step)).map_err(|_| Panicked)
}

/// A step panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;
