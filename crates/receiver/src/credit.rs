//! How a c2s gives its receiver credit: by a message, or, where the receiver has nothing to do yet, by opening a gate.
//!
//! Both actors of a connection live on one arbiter. A receiver that waits for its socket looks at the gate when bytes
//! arrive, so leave to go on reading need not wake it: one turn of an actor less for each batch. An order that changes
//! the stream always goes as a message. Invariant: there is at most one credit at a time, in the gate or on its way.

use std::{cell::Cell, rc::Rc};

use rjabberd_actors::{Port, Refused};

use crate::messages::{Credit, Order};

/// What the two actors of a connection share about credit.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// Elements of the batch that may be read; 0 without credit.
    elements_max: Cell<usize>,
    /// There is something to read, or to parse: the receiver must be woken by a message.
    ready: Cell<bool>,
}

impl Gate {
    /// Takes the credit that was put here, if any.
    pub(crate) fn take(&self) -> Option<usize> {
        Some(self.elements_max.replace(0)).filter(|max| *max > 0)
    }

    /// Says whether the receiver waits for nothing but credit.
    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.set(ready);
    }
}

/// The way to a receiver, for its c2s.
#[derive(Debug)]
pub struct CreditPort {
    port: Port<Credit>,
    gate: Rc<Gate>,
}

impl CreditPort {
    pub(crate) fn new(port: Port<Credit>, gate: Rc<Gate>) -> CreditPort {
        CreditPort { port, gate }
    }

    /// Gives leave to read one batch more.
    ///
    /// # Errors
    /// The receiver is gone.
    pub fn give(&self, credit: Credit) -> Result<(), Refused<Credit>> {
        if credit.order == Order::Continue && !self.gate.ready.get() && self.port.is_open() {
            self.gate.elements_max.set(credit.elements_max.max(1));
            return Ok(());
        }
        // What was in the gate is overtaken: an order to close.
        self.gate.elements_max.set(0);
        self.port.send(credit)
    }

    /// Whether the receiver is there still.
    pub fn is_open(&self) -> bool {
        self.port.is_open()
    }
}
