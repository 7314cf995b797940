//! Deadlines: one timing wheel per arbiter, driven by one task, so that neither a flooded actor nor a thousand idle
//! ones hold timers of their own. Resolution 100 ms; a deadline never fires early.

mod slots;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use tokio::time::Instant;

use crate::guarded;
use slots::{Fire, Key, SLOTS, Slots};

/// Resolution.
const TICK: Duration = Duration::from_millis(100);

struct Wheel {
    origin: Instant,
    now: u64,
    /// 25.6 s a turn.
    slots: Slots,
}

impl Wheel {
    fn new() -> Wheel {
        Wheel { origin: Instant::now(), now: 0, slots: Slots::new() }
    }

    fn tick_of(&self, at: Instant) -> u64 {
        (at.saturating_duration_since(self.origin).as_millis() / TICK.as_millis()) as u64
    }

    /// Takes out what is due up to `now`.
    fn advance(&mut self, now: u64) -> Vec<Fire> {
        let mut due = Vec::new();
        let from = self.now + 1;
        // After a long stall one turn over all slots finds everything.
        let from = from.max((now + 1).saturating_sub(SLOTS as u64));
        for tick in from..=now {
            self.slots.take_due(tick, now, &mut due);
        }
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
    key: Key,
    // Belongs to this thread's wheel.
    _local: std::marker::PhantomData<Rc<()>>,
}

impl Drop for Timer {
    fn drop(&mut self) {
        // At the end of a thread the wheel may be gone before its timers.
        let taken = WHEEL.try_with(|wheel| {
            let mut wheel = wheel.try_borrow_mut().ok()?;
            let wheel = wheel.as_mut()?;
            wheel.slots.remove(self.key)
        });
        drop(taken);
    }
}

/// Arms a deadline on this thread's wheel: `fire` runs after that long, unless the timer is dropped before. It must be
/// short: a send to a port.
pub fn arm(after: Duration, fire: impl FnOnce() + 'static) -> Timer {
    let key = WHEEL.with(|wheel| {
        let mut wheel = wheel.borrow_mut();
        let wheel = wheel.get_or_insert_with(Wheel::new);
        if wheel.slots.armed() == 0 {
            wheel.now = wheel.tick_of(Instant::now());
        }
        // Rounded up, and one more for the part of a tick that has passed.
        let due = wheel.tick_of(Instant::now() + after) + 1;
        let due = due.max(wheel.now + 1);
        wheel.slots.insert(due, Box::new(fire))
    });
    if !TURNING.replace(true) {
        actix_rt::spawn(turn());
    }
    Timer { key, _local: std::marker::PhantomData }
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
            Some(wheel.slots.take_all())
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
            if wheel.slots.armed() == 0 && due.is_empty() { None } else { Some(due) }
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
