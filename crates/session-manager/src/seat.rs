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
        atomic::{AtomicBool, AtomicI16, AtomicU8, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    time::Instant,
};

use parking_lot::{Mutex, MutexGuard};
use rjabberd_actors::Port;
use rjabberd_xmpp::{FullJid, Stanza, management::ResumptionId};

use crate::{Control, Deliver, Parcel, show::Show};

/// No available presence.
const UNAVAILABLE: i16 = i16::MIN;

/// How many times its bound a spill may hold while its session ends, so that the order of what goes back is kept.
const ENDING_FACTOR: usize = 4;

/// What a session may ask to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Wish {
    /// Changes of the roster: it is an interested resource (RFC 6121, 2.2).
    Roster = 1,
    /// Changes of the block list (XEP-0191, 3.2).
    Blocks = 2,
    /// Copies of what the other sessions of the account say and hear (XEP-0280).
    Carbons = 4,
}

/// A session's place in the table.
pub struct Seat {
    jid: FullJid,
    generation: u64,
    deliver: Port<Deliver>,
    control: Port<Control>,
    priority: AtomicI16,
    show: Mutex<Show>,
    /// What the session asked to be told of, by [`Wish`].
    wishes: AtomicU8,
    guest: bool,
    spilling: AtomicBool,
    /// Older messages wait for the session, which is about to take them; until then nothing is taken from the spill.
    awaits_older: AtomicBool,
    ending: AtomicBool,
    leaving: AtomicBool,
    spill: Mutex<Spill>,
    spill_bytes_max: usize,
    resumption: Mutex<Resumption>,
}

/// Whether the session can be resumed (XEP-0198, 5).
#[derive(Clone, Copy, Default)]
struct Resumption {
    id: Option<ResumptionId>,
    /// It has no connection.
    hibernates_since: Option<Instant>,
}

#[derive(Default)]
struct Spill {
    queue: VecDeque<Arc<Parcel>>,
    bytes: usize,
    /// The session was told that there is something.
    told: bool,
    /// It was full, and the session was told to end. Until it does, what comes waits behind the rest.
    overflowed: bool,
    /// Nothing more is taken: the session has ended, or did not in spite of everything.
    closed: bool,
    /// Somebody sends the spill back, parcel by parcel.
    sending_back: bool,
    /// Who waits until nothing is here any more.
    waiting: Vec<Waker>,
}

impl Spill {
    /// Whether nothing is here, and nothing will be.
    fn is_finished(&self) -> bool {
        self.closed && self.queue.is_empty() && !self.sending_back
    }

    /// Who is to be woken now; with no lock held.
    fn finished(&mut self) -> Vec<Waker> {
        if self.is_finished() { std::mem::take(&mut self.waiting) } else { Vec::new() }
    }
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
            show: Mutex::default(),
            wishes: AtomicU8::new(0),
            guest: false,
            spilling: AtomicBool::new(false),
            awaits_older: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            spill: Mutex::default(),
            spill_bytes_max,
            resumption: Mutex::default(),
        }
    }

    /// The same for a guest.
    pub(crate) fn for_guest(self) -> Seat {
        Seat { guest: true, ..self }
    }

    /// Whether the account is made for this session and ends with it (XEP-0175): the store does not know it.
    pub fn is_guest(&self) -> bool {
        self.guest
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

    /// What others see of the session, held for as long as they are told of it: never two at a time.
    pub fn show(&self) -> MutexGuard<'_, Show> {
        self.show.lock()
    }

    /// Sets the presence that is shown and its priority; to be called by the session alone.
    pub fn set_presence(&self, show: &mut Show, presence: Option<(i8, &Stanza)>) {
        show.set(presence.map(|(_, stanza)| stanza));
        self.priority.store(presence.map_or(UNAVAILABLE, |(priority, _)| i16::from(priority)), SeqCst);
    }

    /// The session is about to hand its resource over: it is not available any more, and its contacts are not told.
    pub fn withdraw(&self) {
        self.show.lock().withdraw();
        self.priority.store(UNAVAILABLE, SeqCst);
    }

    /// Takes over what the session before it has shown.
    pub(crate) fn inherit(&self, before: &Seat) {
        // In this order only, and nobody else holds two.
        let mut show = self.show.lock();
        show.inherit(&mut before.show.lock());
    }

    /// The session before it goes on here: to be called before this seat is in the table, so that it is available from
    /// the first moment on.
    pub(crate) fn resume(&self, before: &Seat) {
        self.priority.store(before.priority.load(SeqCst), SeqCst);
        self.wishes.store(before.wishes.load(SeqCst), SeqCst);
        self.awaits_older.store(before.awaits_older(), SeqCst);
        self.resumption.lock().id = before.resumption.lock().id;
    }

    /// What the session before it has shown is shown by this one: to be called when this seat is in the table.
    pub(crate) fn resume_show(&self, before: &Seat) {
        let mut show = self.show.lock();
        show.resume(&mut before.show.lock());
    }

    /// By what the session can be resumed from now on; `None`: not any more.
    pub fn set_resumption(&self, id: Option<ResumptionId>) {
        self.resumption.lock().id = id;
    }

    /// By what the session can be resumed.
    pub fn resumption(&self) -> Option<ResumptionId> {
        self.resumption.lock().id
    }

    /// The session has lost its connection, and waits to be resumed.
    pub fn hibernate(&self) {
        self.resumption.lock().hibernates_since = Some(Instant::now());
    }

    /// Since when the session waits to be resumed.
    pub fn hibernates_since(&self) -> Option<Instant> {
        self.resumption.lock().hibernates_since
    }

    /// The session asked to be told of this from now on.
    pub fn wish(&self, wish: Wish) {
        self.wishes.fetch_or(wish as u8, SeqCst);
    }

    /// The session does not want to be told of this any more.
    pub fn unwish(&self, wish: Wish) {
        self.wishes.fetch_and(!(wish as u8), SeqCst);
    }

    /// Whether the session asked to be told of this.
    pub fn wishes(&self, wish: Wish) -> bool {
        self.wishes.load(SeqCst) & wish as u8 != 0
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
        // What comes back from here must go elsewhere.
        if spill.closed || (parcel.came_back() && self.is_leaving()) {
            return false;
        }
        self.spilling.store(true, SeqCst);
        let bytes = spill.bytes + parcel.bytes();
        let full = !spill.queue.is_empty() && bytes > self.spill_bytes_max;
        let overflows = full && !std::mem::replace(&mut spill.overflowed, true);
        if full && bytes > self.spill_bytes_max.saturating_mul(ENDING_FACTOR) {
            // It was told to end and has not yet.
            spill.closed = true;
            drop(spill);
            if overflows {
                self.control(Control::Overflowed);
            }
            return false;
        }
        spill.bytes = bytes;
        spill.queue.push_back(parcel.clone());
        let tell = !std::mem::replace(&mut spill.told, true);
        drop(spill);
        if overflows {
            self.control(Control::Overflowed);
        }
        if tell {
            self.control(Control::SpillReady);
        }
        true
    }

    /// From now on everything goes to the spill, until [`Seat::drain`].
    pub fn hold(&self) {
        self.spilling.store(true, SeqCst);
    }

    /// Older messages wait elsewhere: from now on everything goes to the spill, and stays there until the session, which
    /// is to be told by [`Control::TakeOffline`], says [`Seat::takes_older`].
    pub fn hold_for_older(&self) {
        // Not while the spill is being found empty, or the mailbox would be opened again.
        let _spill = self.spill.lock();
        self.awaits_older.store(true, SeqCst);
        self.spilling.store(true, SeqCst);
    }

    /// Whether older messages are to be taken before the spill.
    pub fn awaits_older(&self) -> bool {
        self.awaits_older.load(SeqCst)
    }

    /// The session sees to the older messages now.
    pub fn takes_older(&self) {
        self.awaits_older.store(false, SeqCst);
    }

    /// The session ends: everything goes to the spill, so that it comes back behind what the session has taken.
    pub fn end(&self) {
        self.hold();
        self.ending.store(true, SeqCst);
    }

    /// Whether the session ends, and not all that it has taken is back.
    pub fn is_ending(&self) -> bool {
        self.ending.load(SeqCst)
    }

    /// The session has seen [`Control::SpillReady`]; it will be told again of what comes after.
    pub fn heard(&self) {
        self.spill.lock().told = false;
    }

    /// Takes from the spill, in order, up to about `bytes_max`. Call it only while [`Seat::depth`] is 0. When the spill
    /// is empty, the mailbox is open again, unless older messages are to be taken first; the flag says whether the spill is empty.
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
        spill.overflowed &= !open;
        if open && !spill.closed && !self.awaits_older() {
            self.spilling.store(false, SeqCst);
        }
        (taken, open)
    }

    /// The session ends: `leftover` and then the spill go their way back, by [`Seat::send_back`], and so does what
    /// comes from now on. So the errors that one sender gets are in the order of its stanzas, up to the moment in
    /// which the row is gone.
    pub fn leave(&self, mut leftover: VecDeque<Arc<Parcel>>) {
        let mut spill = self.spill.lock();
        leftover.append(&mut spill.queue);
        spill.queue = leftover;
        self.spilling.store(true, SeqCst);
        self.leaving.store(true, SeqCst);
    }

    /// Whether the session ends: whoever delivers must then call [`Seat::send_back`], with no lock held.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(SeqCst)
    }

    /// Sends what the spill of a leaving seat holds on its way back, in order; if another thread is at it already, that
    /// one does it.
    pub fn send_back(&self) {
        if std::mem::replace(&mut self.spill.lock().sending_back, true) {
            return;
        }
        loop {
            let mut spill = self.spill.lock();
            let Some(parcel) = spill.queue.pop_front() else {
                spill.sending_back = false;
                let waiting = spill.finished();
                drop(spill);
                waiting.into_iter().for_each(Waker::wake);
                return;
            };
            spill.bytes = spill.bytes.saturating_sub(parcel.bytes());
            drop(spill);
            drop(parcel);
        }
    }

    /// A leaving seat's row is gone: takes nothing more. What is still here goes back in order, by whoever is at it.
    pub fn finish(&self) {
        self.spill.lock().closed = true;
        self.send_back();
    }

    /// Closes a leaving seat if everything is back; the caller holds the row's lock, so nobody is delivering.
    pub(crate) fn close_if_empty(&self) -> bool {
        let mut spill = self.spill.lock();
        let empty = spill.queue.is_empty() && !spill.sending_back;
        spill.closed |= empty;
        let waiting = spill.finished();
        drop(spill);
        waiting.into_iter().for_each(Waker::wake);
        empty
    }

    /// Ready when the session has ended and all that came to it is on its way elsewhere.
    pub fn poll_finished(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut spill = self.spill.lock();
        if spill.is_finished() {
            return Poll::Ready(());
        }
        if !spill.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            spill.waiting.push(context.waker().clone());
        }
        Poll::Pending
    }

    /// Takes nothing more; gives what the spill holds. To be called when the row is out of the table.
    pub fn close(&self) -> VecDeque<Arc<Parcel>> {
        let mut spill = self.spill.lock();
        spill.closed = true;
        self.spilling.store(true, SeqCst);
        spill.bytes = 0;
        let taken = std::mem::take(&mut spill.queue);
        let waiting = spill.finished();
        drop(spill);
        waiting.into_iter().for_each(Waker::wake);
        taken
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
