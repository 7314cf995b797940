//! How many new connections an address may make in a second: a token bucket for each, which holds one second's worth.
//!
//! A bucket is kept as the moment when it will be full again (the generic cell rate algorithm), and is forgotten then.
//! Invariant: so many addresses are remembered at most; when there are more within a second, those over it are let through,
//! because to refuse them would let one who has many addresses shut out everybody else.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

/// What a bucket holds, as time.
const BURST: Duration = Duration::from_secs(1);
/// Addresses that are remembered.
const ADDRESSES_MAX: usize = 100_000;

/// The buckets of all addresses.
pub(crate) struct Pace {
    /// What one connection takes out of a bucket.
    cost: Duration,
    full_at: HashMap<IpAddr, Instant>,
    swept: Instant,
}

impl Pace {
    /// Full buckets, of so many connections.
    pub(crate) fn new(per_s_max: u32, now: Instant) -> Pace {
        Pace { cost: BURST / per_s_max.max(1), full_at: HashMap::new(), swept: now }
    }

    /// Whether one more may come from there now, counted as come if so. Who is refused pays nothing.
    pub(crate) fn admits(&mut self, address: IpAddr, now: Instant) -> bool {
        self.sweep(now);
        let room = self.full_at.len() < ADDRESSES_MAX;
        let full_at = match self.full_at.get_mut(&address) {
            Some(full_at) => full_at,
            None if room => self.full_at.entry(address).or_insert(now),
            None => return true,
        };
        let after = (*full_at).max(now) + self.cost;
        let admitted = after <= now + BURST;
        if admitted {
            *full_at = after;
        }
        admitted
    }

    /// Forgets full buckets, once a second.
    fn sweep(&mut self, now: Instant) {
        if now.saturating_duration_since(self.swept) < BURST {
            return;
        }
        self.swept = now;
        self.full_at.retain(|_, full_at| *full_at > now);
        self.full_at.shrink_to(2 * self.full_at.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[test]
    fn a_second_brings_as_many_as_the_limit_says_and_no_more() {
        let start = Instant::now();
        let mut pace = Pace::new(4, start);
        let admitted = |pace: &mut Pace, now| (0..10).filter(|_| pace.admits(address(1), now)).count();
        assert_eq!(admitted(&mut pace, start), 4, "a burst");
        assert_eq!(admitted(&mut pace, start + BURST / 4), 1, "then as many as time brings");
        assert!(pace.admits(address(2), start), "others are not concerned");
        assert_eq!(admitted(&mut pace, start + 10 * BURST), 4, "a bucket is never more than full");
    }

    #[test]
    fn who_is_refused_for_ever_is_not_made_to_wait_longer_for_it() {
        let start = Instant::now();
        let mut pace = Pace::new(1, start);
        assert!(pace.admits(address(1), start));
        assert!((1..100).all(|part| !pace.admits(address(1), start + BURST * part / 100)));
        assert!(pace.admits(address(1), start + BURST));
    }

    #[test]
    fn an_address_is_forgotten_when_its_bucket_is_full() {
        let start = Instant::now();
        let mut pace = Pace::new(10, start);
        assert!((0..1_000).all(|number| pace.admits(address(number), start)));
        assert_eq!(pace.full_at.len(), 1_000);
        assert!(pace.admits(address(5_000), start + BURST));
        assert_eq!(pace.full_at.len(), 1);
        assert!(pace.full_at.capacity() < 100, "{}", pace.full_at.capacity());
    }

    #[test]
    fn what_is_remembered_is_bounded_and_nobody_is_shut_out_for_it() {
        let start = Instant::now();
        let mut pace = Pace::new(1, start);
        assert!((0..=ADDRESSES_MAX as u32).all(|number| pace.admits(address(number), start)));
        assert_eq!(pace.full_at.len(), ADDRESSES_MAX);
        assert!(!pace.admits(address(0), start) && pace.admits(address(ADDRESSES_MAX as u32), start));
    }
}
