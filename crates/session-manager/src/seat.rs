//! A session's place in the table: its ports, its priority, and the spill that keeps order when its mailbox is full.
//!
//! Overflow is a state of the session, not of one message: from the first refusal on, everything goes to the spill,
//! until the session has emptied its mailbox and then the spill. So what one sender sends arrives in order, always.
//!
//! Invariant: while `spilling`, nothing enters the mailbox; a sender that had reserved a place before it saw the flag
//! is counted in the mailbox's depth, so depth 0 means that all which was sent before the flag has been handled.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI16, Ordering::SeqCst},
    },
};

use parking_lot::Mutex;
use rjabberd_actors::Port;
use rjabberd_xmpp::{FullJid, Stanza};

use crate::{Control, Deliver, Parcel};

/// No available presence.
const UNAVAILABLE: i16 = i16::MIN;

/// A session's place in the table.
pub struct Seat {
    jid: FullJid,
    generation: u64,
    deliver: Port<Deliver>,
    control: Port<Control>,
    priority: AtomicI16,
    presence: Mutex<Option<Box<Stanza>>>,
    spilling: AtomicBool,
    spill: Mutex<Spill>,
    spill_bytes_max: usize,
}

#[derive(Default)]
struct Spill {
    queue: VecDeque<Arc<Parcel>>,
    bytes: usize,
    /// The session was told that there is something.
    told: bool,
    /// Nothing more is taken: it was full, or the session has ended.
    closed: bool,
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Seat({}, generation {})", self.jid, self.generation)
    }
}

impl Seat {
    pub(crate) fn new(
        jid: FullJid,
        generation: u64,
        deliver: Port<Deliver>,
        control: Port<Control>,
        spill_bytes_max: usize,
    ) -> Seat {
        let priority = AtomicI16::new(UNAVAILABLE);
        Seat {
            jid,
            generation,
            deliver,
            control,
            priority,
            presence: Mutex::default(),
            spilling: AtomicBool::new(false),
            spill: Mutex::default(),
            spill_bytes_max,
        }
    }

    /// Who sits here.
    pub fn jid(&self) -> &FullJid {
        &self.jid
    }

    /// Which of all sessions this is.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The priority of its available presence; `None` while it has sent none.
    pub fn priority(&self) -> Option<i8> {
        let priority = self.priority.load(SeqCst);
        i8::try_from(priority).ok()
    }

    /// The available presence that the session sent last.
    pub fn presence(&self) -> Option<Stanza> {
        self.presence.lock().as_deref().cloned()
    }

    /// Sets what [`Seat::priority`] and [`Seat::presence`] say; to be called by the session alone.
    pub fn set_presence(&self, presence: Option<(i8, Stanza)>) {
        let (priority, presence) = match presence {
            Some((priority, stanza)) => (i16::from(priority), Some(Box::new(stanza))),
            None => (UNAVAILABLE, None),
        };
        *self.presence.lock() = presence;
        self.priority.store(priority, SeqCst);
    }

    /// Sends control.
    pub fn control(&self, control: Control) {
        if self.control.send(control).is_err() {
            log::debug!(target: "seat:control", "{self:?} is gone, {control:?} not needed");
        }
    }

    /// Messages in the session's mailbox, or about to be put there.
    pub fn depth(&self) -> usize {
        self.deliver.mailbox().depth()
    }

    /// Whether everything goes to the spill now.
    pub fn is_spilling(&self) -> bool {
        self.spilling.load(SeqCst)
    }

    /// Gives the session a parcel, by its mailbox or by its spill; false where it takes nothing any more.
    pub fn deliver(&self, parcel: &Arc<Parcel>) -> bool {
        if let Some(place) = self.deliver.reserve(parcel.bytes()) {
            if !self.spilling.load(SeqCst) {
                return place.send(Deliver(parcel.clone())).is_ok();
            }
            place.withdraw();
        }
        self.spill(parcel)
    }

    fn spill(&self, parcel: &Arc<Parcel>) -> bool {
        let mut spill = self.spill.lock();
        if spill.closed {
            return false;
        }
        self.spilling.store(true, SeqCst);
        if !spill.queue.is_empty() && spill.bytes + parcel.bytes() > self.spill_bytes_max {
            spill.closed = true;
            drop(spill);
            self.control(Control::Overflowed);
            return false;
        }
        spill.bytes += parcel.bytes();
        spill.queue.push_back(parcel.clone());
        let tell = !std::mem::replace(&mut spill.told, true);
        drop(spill);
        if tell {
            self.control(Control::SpillReady);
        }
        true
    }

    /// From now on everything goes to the spill, until [`Seat::drain`].
    pub fn hold(&self) {
        self.spilling.store(true, SeqCst);
    }

    /// The session has seen [`Control::SpillReady`]; it will be told again of what comes after.
    pub fn heard(&self) {
        self.spill.lock().told = false;
    }

    /// Takes from the spill, in order, up to about `bytes_max`. Call it only while [`Seat::depth`] is 0. When the spill
    /// is empty, the mailbox is open again; the flag says whether it is.
    pub fn drain(&self, bytes_max: usize) -> (VecDeque<Arc<Parcel>>, bool) {
        let mut spill = self.spill.lock();
        let mut taken = VecDeque::new();
        let mut bytes = 0;
        while bytes < bytes_max {
            let Some(parcel) = spill.queue.pop_front() else { break };
            bytes += parcel.bytes();
            spill.bytes -= parcel.bytes();
            taken.push_back(parcel);
        }
        let open = spill.queue.is_empty();
        if open && !spill.closed {
            self.spilling.store(false, SeqCst);
        }
        (taken, open)
    }

    /// Takes nothing more; gives what the spill holds. To be called when the row is out of the table.
    pub fn close(&self) -> VecDeque<Arc<Parcel>> {
        let mut spill = self.spill.lock();
        spill.closed = true;
        self.spilling.store(true, SeqCst);
        spill.bytes = 0;
        std::mem::take(&mut spill.queue)
    }

    /// Puts what an earlier session left before everything else; before the seat is in the table.
    pub(crate) fn preload(&self, queue: VecDeque<Arc<Parcel>>) {
        if queue.is_empty() {
            return;
        }
        let mut spill = self.spill.lock();
        spill.bytes = queue.iter().map(|parcel| parcel.bytes()).sum();
        spill.queue = queue;
        spill.told = true;
        self.spilling.store(true, SeqCst);
        drop(spill);
        self.control(Control::SpillReady);
    }
}

#[cfg(test)]
mod tests;
