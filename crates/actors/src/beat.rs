//! A clock that strikes when it should, to some ten microseconds: event loops round what they wait for up to a
//! millisecond, counted from when they begin to wait, so that whatever was done just before shows in when they wake.
//!
//! Who must not tell by the time of an answer how it was found waits for a strike at a time that was fixed before the
//! search. One thread strikes for all. Invariant: a strike is never early.

use std::{cmp::Reverse, collections::BinaryHeap, io, sync::Arc, thread, time::Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

/// The clock of a server; its thread ends with the last of them.
#[derive(Clone)]
pub struct Beat(Arc<Clock>);

struct Clock {
    waiting: Arc<Waiting>,
}

#[derive(Default)]
struct Waiting {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Bounded by the connections, each of which waits for one thing at a time.
    strikes: BinaryHeap<Reverse<Strike>>,
    number: u64,
    is_over: bool,
}

struct Strike {
    at: Instant,
    /// Of two at the same time the first comes first.
    number: u64,
    waiter: oneshot::Sender<()>,
}

impl PartialEq for Strike {
    fn eq(&self, other: &Strike) -> bool {
        self.number == other.number
    }
}

impl Eq for Strike {}

impl PartialOrd for Strike {
    fn partial_cmp(&self, other: &Strike) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Strike {
    fn cmp(&self, other: &Strike) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl Beat {
    /// Starts the clock.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start() -> io::Result<Beat> {
        let waiting = Arc::new(Waiting::default());
        let kept = waiting.clone();
        thread::Builder::new().name("beat".to_owned()).spawn(move || kept.run())?;
        Ok(Beat(Arc::new(Clock { waiting })))
    }

    /// Resolves at that time, or at once if it is over.
    pub fn strike(&self, at: Instant) -> impl Future<Output = ()> + Send + use<> {
        let (waiter, struck) = oneshot::channel();
        let mut state = self.0.waiting.state.lock();
        state.number += 1;
        let number = state.number;
        let is_next = state.strikes.peek().is_none_or(|next| at < next.0.at);
        state.strikes.push(Reverse(Strike { at, number, waiter }));
        drop(state);
        if is_next {
            self.0.waiting.changed.notify_one();
        }
        async move {
            // The clock is gone with the server: then nobody has to wait.
            let _gone = struck.await;
        }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.waiting.state.lock().is_over = true;
        self.waiting.changed.notify_one();
    }
}

impl Waiting {
    fn run(&self) {
        let mut state = self.state.lock();
        while !state.is_over {
            let now = Instant::now();
            match state.strikes.peek() {
                None => self.changed.wait(&mut state),
                Some(Reverse(next)) if next.at > now => {
                    let at = next.at;
                    let _passed = self.changed.wait_until(&mut state, at);
                }
                Some(_) => {
                    if let Some(Reverse(strike)) = state.strikes.pop() {
                        // Who waited may be gone.
                        let _gone = strike.waiter.send(());
                    }
                }
            }
        }
    }
}

impl std::fmt::Debug for Beat {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Beat")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};

    use super::*;

    #[tokio::test]
    async fn strikes_come_in_the_order_of_their_times_and_none_is_early() {
        let beat = Beat::start().unwrap();
        let now = Instant::now();
        let mut strikes: FuturesUnordered<_> = [30, 10, 20, 0]
            .into_iter()
            .map(|after| {
                let at = now + Duration::from_millis(after);
                beat.strike(at).map(move |()| (after, Instant::now() >= at))
            })
            .collect();
        let mut order = Vec::new();
        while let Some(struck) = strikes.next().await {
            order.push(struck);
        }
        assert_eq!(order, [(0, true), (10, true), (20, true), (30, true)]);
    }

    #[tokio::test]
    async fn whoever_still_waits_when_the_clock_ends_waits_no_longer() {
        let beat = Beat::start().unwrap();
        let strike = beat.strike(Instant::now() + Duration::from_secs(3_600));
        drop(beat);
        strike.await;
    }

    #[tokio::test]
    async fn a_waiter_that_is_gone_holds_nobody_up() {
        let beat = Beat::start().unwrap();
        let now = Instant::now();
        drop(beat.strike(now + Duration::from_millis(1)));
        beat.strike(now + Duration::from_millis(2)).await;
    }
}
