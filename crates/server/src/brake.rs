//! How many accounts may be registered from one address in an hour: in-band registration (XEP-0077) asks nobody else.
//!
//! It counts tries, not accounts, as a try costs the same. Invariant: what it remembers is bounded; where it is full, no
//! new address may register until the hour is over.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// What one count is for.
const HOUR: Duration = Duration::from_secs(3600);
/// Addresses that are remembered.
const ADDRESSES_MAX: usize = 100_000;

/// The brake of the whole server.
pub(crate) struct Brake {
    per_address_max: u32,
    shared: rjabberd_listener::Shared,
    hour: Mutex<Hour>,
}

struct Hour {
    since: Instant,
    tries: HashMap<IpAddr, u32>,
}

impl Brake {
    /// A brake; it does not hold for addresses that are `shared`.
    pub(crate) fn new(per_address_max: u32, shared: rjabberd_listener::Shared) -> Brake {
        let hour = Hour { since: Instant::now(), tries: HashMap::new() };
        Brake { per_address_max, shared, hour: Mutex::new(hour) }
    }

    /// Whether one more account may be tried from there, counted as done if so.
    pub(crate) fn admits(&self, address: IpAddr) -> bool {
        (self.shared)(address) || self.counts(address, Instant::now())
    }

    fn counts(&self, address: IpAddr, now: Instant) -> bool {
        let address = rjabberd_listener::block(address);
        let mut hour = self.hour.lock();
        if now.saturating_duration_since(hour.since) >= HOUR {
            *hour = Hour { since: now, tries: HashMap::new() };
        }
        if hour.tries.len() >= ADDRESSES_MAX && !hour.tries.contains_key(&address) {
            return false;
        }
        let tries = hour.tries.entry(address).or_default();
        let admitted = *tries < self.per_address_max;
        *tries += u32::from(admitted);
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_has_so_many_tries_an_hour() {
        let brake = Brake::new(2, Box::new(|_| false));
        let start = Instant::now();
        let one = address("2001:db8::1");
        assert!(brake.counts(one, start) && brake.counts(address("2001:db8::2"), start));
        assert!(!brake.counts(one, start), "a /64 is one address");
        assert!(brake.counts(address("2001:db8:0:1::1"), start));
        assert!(!brake.counts(one, start + HOUR / 2));
        assert!(brake.counts(one, start + HOUR));
    }

    #[test]
    fn an_address_that_many_share_has_no_limit_of_its_own() {
        let brake = Brake::new(1, Box::new(|address| address.is_loopback()));
        assert!((0..10).all(|_| brake.admits(address("127.0.0.1"))));
        assert!(brake.admits(address("192.0.2.1")) && !brake.admits(address("192.0.2.1")));
        assert_eq!(brake.hour.lock().tries.len(), 1);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let brake = Brake::new(1, Box::new(|_| false));
        let start = Instant::now();
        let mut addresses = (0..).map(|number: u32| IpAddr::V4(number.into()));
        assert!(addresses.by_ref().take(ADDRESSES_MAX).all(|address| brake.counts(address, start)));
        let next = addresses.next().unwrap();
        assert!(!brake.counts(next, start));
        assert!(brake.counts(next, start + HOUR));
    }
}
