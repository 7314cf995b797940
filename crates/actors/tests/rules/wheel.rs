//! Deadlines, by a clock that stands still until nothing else is left to do.

use std::{cell::RefCell, rc::Rc, time::Duration};

use rjabberd_actors::arm;
use tokio::time::{Instant, advance, pause};

/// What fired, and how long after the beginning.
#[derive(Clone)]
struct Fired {
    since: Instant,
    list: Rc<RefCell<Vec<(u64, Duration)>>>,
}

impl Fired {
    fn new() -> Fired {
        pause();
        Fired { since: Instant::now(), list: Rc::default() }
    }

    fn note(&self, number: u64) -> impl FnOnce() + 'static {
        let fired = self.clone();
        move || fired.list.borrow_mut().push((number, fired.since.elapsed()))
    }

    fn numbers(&self) -> Vec<u64> {
        self.list.borrow().iter().map(|(number, _)| *number).collect()
    }
}

/// The clock goes on in small steps, so that everything that is due in between happens.
async fn pass(time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        advance(Duration::from_millis(10)).await;
        tokio::task::yield_now().await;
    }
}

#[actix_rt::test]
async fn a_timer_fires_once_and_never_early() {
    let fired = Fired::new();
    let asked: Vec<u64> = vec![0, 1, 99, 100, 101, 150, 999, 1000, 1234];
    let mut timers = Vec::new();
    for ms in &asked {
        // Not at the same part of a tick each time.
        pass(Duration::from_millis(30)).await;
        let begun_ms = fired.since.elapsed().as_millis() as u64;
        timers.push(arm(Duration::from_millis(*ms), fired.note(begun_ms + ms)));
    }
    pass(Duration::from_secs(60)).await;
    assert_eq!(fired.list.borrow().len(), asked.len());
    for (due_ms, at) in &*fired.list.borrow() {
        let (due, at) = (Duration::from_millis(*due_ms), *at);
        assert!(at >= due, "due after {due:?}, fired after {at:?}");
        assert!(at <= due + Duration::from_millis(220), "due after {due:?}, fired after {at:?}");
    }
}

#[actix_rt::test]
async fn a_timer_that_was_dropped_does_not_fire() {
    let fired = Fired::new();
    let (kept, dropped) =
        (arm(Duration::from_millis(500), fired.note(1)), arm(Duration::from_millis(500), fired.note(2)));
    pass(Duration::from_millis(300)).await;
    drop(dropped);
    pass(Duration::from_secs(2)).await;
    assert_eq!(fired.numbers(), [1]);
    drop(kept);
}

#[actix_rt::test]
async fn a_deadline_of_more_than_a_turn_waits_for_its_turn() {
    let fired = Fired::new();
    // One slot for all three: 25.6 s a turn.
    let turn = Duration::from_millis(25_600);
    let timers =
        [0, 1, 3].map(|turns| arm(Duration::from_millis(500) + turn * turns, fired.note(u64::from(turns))));
    pass(Duration::from_secs(1)).await;
    assert_eq!(fired.numbers(), [0]);
    pass(turn).await;
    assert_eq!(fired.numbers(), [0, 1]);
    pass(turn).await;
    assert_eq!(fired.numbers(), [0, 1]);
    pass(turn).await;
    assert_eq!(fired.numbers(), [0, 1, 3]);
    drop(timers);
}

#[actix_rt::test]
async fn thousands_of_timers_fire_each_once_in_the_order_of_their_ticks() {
    let fired = Fired::new();
    let timers: Vec<_> = (0..5000u64)
        .map(|number| arm(Duration::from_millis(number * 7919 % 40_000), fired.note(number)))
        .collect();
    pass(Duration::from_secs(41)).await;
    let mut numbers = fired.numbers();
    assert!(fired.list.borrow().iter().is_sorted_by_key(|(_, at)| *at));
    numbers.sort_unstable();
    assert_eq!(numbers, (0..5000).collect::<Vec<_>>());
    drop(timers);
}

#[actix_rt::test]
async fn after_a_long_stall_everything_that_is_due_fires() {
    let fired = Fired::new();
    let timers: Vec<_> =
        (0..300).map(|number| arm(Duration::from_millis(number * 100), fired.note(number))).collect();
    let late = arm(Duration::from_secs(200), fired.note(1000));
    // The loop stood still for two turns of the wheel.
    advance(Duration::from_secs(60)).await;
    pass(Duration::from_millis(300)).await;
    assert_eq!(fired.numbers().len(), 300);
    pass(Duration::from_secs(150)).await;
    assert_eq!(fired.numbers().len(), 301);
    drop((timers, late));
}

#[actix_rt::test]
async fn a_wheel_that_stood_still_turns_again() {
    let fired = Fired::new();
    let first = arm(Duration::from_millis(200), fired.note(1));
    pass(Duration::from_secs(100)).await;
    let second = arm(Duration::from_millis(200), fired.note(2));
    pass(Duration::from_millis(450)).await;
    assert_eq!(fired.numbers(), [1, 2]);
    drop((first, second));
}

#[actix_rt::test]
async fn a_timer_may_arm_and_drop_others_when_it_fires() {
    let fired = Fired::new();
    let other = Rc::new(RefCell::new(Some(arm(Duration::from_secs(5), fired.note(1)))));
    let next = Rc::new(RefCell::new(None));
    let (others, nexts, notes) = (other.clone(), next.clone(), fired.clone());
    let timer = arm(Duration::from_secs(1), move || {
        others.borrow_mut().take();
        *nexts.borrow_mut() = Some(arm(Duration::from_secs(1), notes.note(2)));
    });
    pass(Duration::from_secs(10)).await;
    assert_eq!(fired.numbers(), [2]);
    drop((timer, other, next));
}

#[actix_rt::test]
async fn a_timer_that_panics_stops_no_other() {
    let fired = Fired::new();
    let bad = arm(Duration::from_secs(1), || panic!("a timer of this test"));
    let same_tick = arm(Duration::from_secs(1), fired.note(1));
    let later = arm(Duration::from_secs(2), fired.note(2));
    pass(Duration::from_secs(4)).await;
    assert_eq!(fired.numbers(), [1, 2]);
    drop((bad, same_tick, later));
}

#[test]
fn a_second_event_loop_on_a_thread_has_a_wheel_that_turns() {
    for _ in 0..2 {
        actix_rt::System::new().block_on(async {
            let fired = Fired::new();
            let (unfired, timer) = (
                arm(Duration::from_secs(100), fired.note(1)),
                arm(Duration::from_millis(200), fired.note(2)),
            );
            pass(Duration::from_millis(450)).await;
            assert_eq!(fired.numbers(), [2]);
            drop((unfired, timer));
            // The loop ends while the wheel turns.
            std::mem::forget(arm(Duration::from_secs(100), || {}));
        });
    }
}
