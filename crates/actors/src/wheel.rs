//! Deadlines: one timing wheel per arbiter, driven by one task, so that neither a flooded actor nor a thousand idle
//! ones hold timers of their own. Resolution 100 ms; a deadline never fires early.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use tokio::time::Instant;

use crate::guarded;

/// Resolution.
const TICK: Duration = Duration::from_millis(100);
/// Slots of the wheel: 25.6 s a turn; what is due later stays in its slot for more turns.
const SLOTS: usize = 256;

struct Entry {
    id: u64,
    due: u64,
    fire: Box<dyn FnOnce()>,
}

struct Wheel {
    origin: Instant,
    now: u64,
    slots: Vec<Vec<Entry>>,
    armed: usize,
    next_id: u64,
}

impl Wheel {
    fn new() -> Wheel {
        Wheel {
            origin: Instant::now(),
            now: 0,
            slots: std::iter::repeat_with(Vec::new).take(SLOTS).collect(),
            armed: 0,
            next_id: 0,
        }
    }

    fn tick_of(&self, at: Instant) -> u64 {
        (at.saturating_duration_since(self.origin).as_millis() / TICK.as_millis()) as u64
    }

    /// Takes out what is due up to `now`.
    fn advance(&mut self, now: u64) -> Vec<Box<dyn FnOnce()>> {
        let mut due = Vec::new();
        let from = self.now + 1;
        // After a long stall one turn over all slots finds everything.
        let from = from.max((now + 1).saturating_sub(SLOTS as u64));
        for tick in from..=now {
            let slot = &mut self.slots[tick as usize % SLOTS];
            let mut index = 0;
            while index < slot.len() {
                if slot[index].due <= now {
                    due.push(slot.swap_remove(index).fire);
                } else {
                    index += 1;
                }
            }
        }
        self.armed -= due.len();
        self.now = now.max(self.now);
        due
    }
}

thread_local! {
    static WHEEL: RefCell<Option<Wheel>> = const { RefCell::new(None) };
    static TURNING: Cell<bool> = const { Cell::new(false) };
}

/// A deadline that was armed; dropped, it is taken back.
#[derive(Debug)]
pub struct Timer {
    id: u64,
    slot: usize,
    // Belongs to this thread's wheel.
    _local: std::marker::PhantomData<Rc<()>>,
}

impl Drop for Timer {
    fn drop(&mut self) {
        // At the end of a thread the wheel may be gone before its timers.
        let taken = WHEEL.try_with(|wheel| {
            let mut wheel = wheel.try_borrow_mut().ok()?;
            let wheel = wheel.as_mut()?;
            let slot = &mut wheel.slots[self.slot];
            let index = slot.iter().position(|entry| entry.id == self.id)?;
            let entry = slot.swap_remove(index);
            wheel.armed -= 1;
            Some(entry)
        });
        drop(taken);
    }
}

/// Arms a deadline on this thread's wheel: `fire` runs after that long, unless the timer is dropped before. It must be
/// short: a send to a port.
pub fn arm(after: Duration, fire: impl FnOnce() + 'static) -> Timer {
    let (id, slot) = WHEEL.with(|wheel| {
        let mut wheel = wheel.borrow_mut();
        let wheel = wheel.get_or_insert_with(Wheel::new);
        if wheel.armed == 0 {
            wheel.now = wheel.tick_of(Instant::now());
        }
        // Rounded up, and one more for the part of a tick that has passed.
        let due = wheel.tick_of(Instant::now() + after) + 1;
        let due = due.max(wheel.now + 1);
        let (id, slot) = (wheel.next_id, due as usize % SLOTS);
        wheel.next_id += 1;
        wheel.armed += 1;
        wheel.slots[slot].push(Entry { id, due, fire: Box::new(fire) });
        (id, slot)
    });
    if !TURNING.replace(true) {
        actix_rt::spawn(turn());
    }
    Timer { id, slot, _local: std::marker::PhantomData }
}

/// Held by whoever turns the wheel; dropped with it, also when its event loop ends: what is armed then fires never, and
/// the next `arm` begins anew.
struct Turning;

impl Drop for Turning {
    fn drop(&mut self) {
        // At the end of a thread there is no next.
        let _gone = TURNING.try_with(|turning| turning.set(false));
        let never = WHEEL.try_with(|wheel| {
            let mut wheel = wheel.try_borrow_mut().ok()?;
            let wheel = wheel.as_mut()?;
            wheel.armed = 0;
            Some(wheel.slots.iter_mut().map(std::mem::take).collect::<Vec<_>>())
        });
        drop(never);
    }
}

/// Turns the wheel for as long as anything is armed.
async fn turn() {
    let _turning = Turning;
    let mut clock = tokio::time::interval(TICK);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let due = WHEEL.with(|wheel| {
            let mut wheel = wheel.borrow_mut();
            let wheel = wheel.as_mut()?;
            let due = wheel.advance(wheel.tick_of(Instant::now()));
            if wheel.armed == 0 && due.is_empty() { None } else { Some(due) }
        });
        let Some(due) = due else { return };
        for fire in due {
            // The others of this arbiter are not to pay for one.
            if guarded(fire).is_err() {
                log::error!(target: "wheel:turn", "a deadline panicked");
            }
        }
    }
}
