//! A stand-in for an actor in tests: takes the messages of one type and keeps them for inspection.

use std::sync::Arc;

use actix::{Actor, Context, Handler};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{Alive, Kind, Letter, Mail, Mailbox, Port};

static PROBE: Kind = Kind::new("probe");

struct Catcher<M: Letter> {
    caught: Arc<Caught<M>>,
    _alive: Alive,
}

struct Caught<M> {
    messages: Mutex<Vec<M>>,
    arrived: Notify,
}

impl<M: Letter + Unpin> Actor for Catcher<M> {
    type Context = Context<Self>;
}

impl<M: Letter + Unpin> Handler<Mail<M>> for Catcher<M> {
    type Result = ();

    fn handle(&mut self, mail: Mail<M>, _: &mut Context<Self>) {
        let (message, _handling) = mail.open();
        self.caught.messages.lock().push(message);
        self.caught.arrived.notify_one();
    }
}

/// What arrived at a probe's port.
pub struct Probe<M: Letter> {
    caught: Arc<Caught<M>>,
}

impl<M: Letter + Unpin> Probe<M> {
    /// Starts a probe on this arbiter, with a mailbox of that many messages.
    pub fn start(depth_max: usize) -> (Port<M>, Probe<M>) {
        let caught = Arc::new(Caught { messages: Mutex::new(Vec::new()), arrived: Notify::new() });
        let catcher = Catcher { caught: caught.clone(), _alive: Alive::new(&PROBE) };
        let port = Port::new(catcher.start(), Mailbox::new(&PROBE, depth_max, usize::MAX / 2));
        (port, Probe { caught })
    }

    /// Takes what has arrived so far.
    pub fn take(&self) -> Vec<M> {
        std::mem::take(&mut *self.caught.messages.lock())
    }

    /// Waits for the next message.
    pub async fn next(&self) -> M {
        loop {
            {
                let mut messages = self.caught.messages.lock();
                if !messages.is_empty() {
                    return messages.remove(0);
                }
            }
            self.caught.arrived.notified().await;
        }
    }
}
