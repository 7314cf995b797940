//! Slows down who guesses passwords: the next attempt of an account *from an address* is answered later the more of them
//! were wrong. Never is an account slower from another address, so nobody can lock a victim out.
//!
//! Attempts of one account from one address stand in a line, so that many connections at once guess no faster than one.
//! What a wrong password costs does not depend on whether there is such an account. Pure inside: the time is an
//! argument, and who waits is the caller. Invariant: what is remembered is bounded ([`PAIRS_MAX`]).

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rjabberd_c2s::{Attempt, LoginBrake};
use rjabberd_xmpp::BareJid;

/// Wrong passwords after which the next attempt waits.
const FREE: u32 = 3;
/// What the first attempt after those waits; each more twice as long.
const FIRST_GAP: Duration = Duration::from_millis(500);
/// The longest time between two attempts.
const GAP_MAX: Duration = Duration::from_secs(30);
/// The longest wait: behind it are clients' own deadlines.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How many attempts may stand in the line beyond that; what comes then is not answered.
const LATE_MAX: u32 = 10;
/// No answer before the connection's time is over: `limits.negotiation_s` is a day at most.
const NEVER: Duration = Duration::from_secs(2 * 24 * 60 * 60);
/// Without a wrong password for so long, all is forgotten.
const MEMORY: Duration = Duration::from_secs(15 * 60);
/// The longest wait of an address that many share: the owner may be behind the same one.
const SHARED_WAIT_MAX: Duration = Duration::from_secs(2);
/// Wrong passwords from one address within [`MEMORY`], for any accounts, after which all from there wait longer.
const ADDRESS_FAILURES: u32 = 100;
/// So much longer.
const ADDRESS_WAIT: Duration = Duration::from_secs(2);
/// Pairs of account and address that are remembered; as many addresses.
const PAIRS_MAX: usize = 100_000;

/// The brake of the whole server.
#[derive(Clone)]
pub(crate) struct LoginDelays(Arc<Inner>);

struct Inner {
    shared: rjabberd_listener::Shared,
    /// Keys the names of pairs: an address of an account is long, and chosen by a stranger.
    hasher: RandomState,
    pairs: Mutex<Remembered<Pair>>,
    addresses: Mutex<Remembered<Address>>,
    waited: AtomicU64,
    waited_ms: AtomicU64,
    unanswered: AtomicU64,
}

/// What had to wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DelaySnapshot {
    /// Attempts that waited for their answer.
    pub(crate) attempts: u64,
    /// For so long together.
    pub(crate) ms: u64,
    /// Attempts that get none: too many stood in the line before them.
    pub(crate) unanswered: u64,
}

/// An account from one address.
#[derive(Clone, Copy)]
struct Pair {
    failures: u32,
    /// Attempts that began and have not ended. One whose connection broke stays here until the next success, or until
    /// all is forgotten: it counts as a guess.
    begun: u32,
    /// When the next attempt may be answered.
    next: Instant,
    last: Instant,
}

#[derive(Clone, Copy)]
struct Address {
    failures: u32,
    since: Instant,
}

/// What was used lately, in two halves: when the young one is full, the old one is forgotten.
///
/// Forgetting is safe enough: to have his own pair forgotten, somebody has to begin 50,000 attempts for other accounts,
/// each of which costs what an attempt costs, for three more free ones.
struct Remembered<T> {
    young: HashMap<u64, T>,
    old: HashMap<u64, T>,
    half: usize,
}

impl<T: Copy> Remembered<T> {
    fn new(max: usize) -> Remembered<T> {
        Remembered { young: HashMap::new(), old: HashMap::new(), half: (max / 2).max(1) }
    }

    fn get(&self, key: u64) -> Option<T> {
        self.young.get(&key).or_else(|| self.old.get(&key)).copied()
    }

    fn put(&mut self, key: u64, value: T) {
        self.old.remove(&key);
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    fn remove(&mut self, key: u64) {
        self.young.remove(&key);
        self.old.remove(&key);
    }
}

impl Pair {
    /// What becomes of an attempt that begins now; `None` where the line is too long.
    fn begin(&mut self, now: Instant) -> Option<Duration> {
        let answered_at = self.next.max(now);
        let wait = answered_at - now;
        // If it is wrong too. Until that is known, it is a guess like any other: so many at once are one after the other.
        let mut gap = gap_after(self.failures.saturating_add(1));
        if self.failures.saturating_add(self.begun).saturating_add(1) >= FREE {
            gap = gap.max(FIRST_GAP);
        }
        if wait > WAIT_MAX + gap * LATE_MAX {
            return None;
        }
        self.begun = self.begun.saturating_add(1);
        self.next = answered_at + gap;
        self.last = now;
        Some(wait.min(WAIT_MAX))
    }

    fn fails(&mut self, now: Instant) {
        self.begun = self.begun.saturating_sub(1);
        self.failures = self.failures.saturating_add(1);
        self.next = self.next.max(now + gap_after(self.failures));
        self.last = now;
    }
}

/// What the next attempt waits after so many wrong ones.
fn gap_after(failures: u32) -> Duration {
    match failures.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(more) => FIRST_GAP.saturating_mul(1 << more.min(16)).min(GAP_MAX),
    }
}

impl LoginDelays {
    /// Waits are short for addresses that are `shared`.
    pub(crate) fn new(shared: rjabberd_listener::Shared) -> LoginDelays {
        LoginDelays::remembering(PAIRS_MAX, shared)
    }

    fn remembering(max: usize, shared: rjabberd_listener::Shared) -> LoginDelays {
        LoginDelays(Arc::new(Inner {
            shared,
            hasher: RandomState::new(),
            pairs: Mutex::new(Remembered::new(max)),
            addresses: Mutex::new(Remembered::new(max)),
            waited: AtomicU64::default(),
            waited_ms: AtomicU64::default(),
            unanswered: AtomicU64::default(),
        }))
    }

    /// What had to wait so far.
    pub(crate) fn snapshot(&self) -> DelaySnapshot {
        DelaySnapshot {
            attempts: self.0.waited.load(Relaxed),
            ms: self.0.waited_ms.load(Relaxed),
            unanswered: self.0.unanswered.load(Relaxed),
        }
    }

    fn begins(&self, account: &BareJid, peer: IpAddr, now: Instant) -> Duration {
        let (inner, shared) = (&*self.0, (self.0.shared)(peer));
        let block = rjabberd_listener::block(peer);
        let key = inner.hasher.hash_one((account.as_str(), block));
        let begun = {
            let mut pairs = inner.pairs.lock();
            let known = pairs.get(key).filter(|pair| now.saturating_duration_since(pair.last) < MEMORY);
            let mut pair = known.unwrap_or(Pair { failures: 0, begun: 0, next: now, last: now });
            let begun = pair.begin(now);
            if begun.is_some() {
                pairs.put(key, pair);
            }
            begun
        };
        if shared {
            return begun.map_or(SHARED_WAIT_MAX, |wait| wait.min(SHARED_WAIT_MAX));
        }
        let Some(wait) = begun else { return NEVER };
        let crowd = inner.addresses.lock().get(inner.hasher.hash_one(block));
        let crowd = crowd.filter(|address| now.saturating_duration_since(address.since) < MEMORY);
        match crowd {
            Some(Address { failures: ADDRESS_FAILURES.., .. }) => wait + ADDRESS_WAIT,
            _ => wait,
        }
    }

    fn ends(&self, account: &BareJid, peer: IpAddr, attempt: Attempt, now: Instant) {
        let inner = &*self.0;
        let block = rjabberd_listener::block(peer);
        let key = inner.hasher.hash_one((account.as_str(), block));
        if attempt == Attempt::Right {
            return inner.pairs.lock().remove(key);
        }
        {
            let mut pairs = inner.pairs.lock();
            let known = pairs.get(key).filter(|pair| now.saturating_duration_since(pair.last) < MEMORY);
            let mut pair = known.unwrap_or(Pair { failures: 0, begun: 0, next: now, last: now });
            if attempt == Attempt::Undecided {
                pair.begun = pair.begun.saturating_sub(1);
                return pairs.put(key, pair);
            }
            pair.fails(now);
            pairs.put(key, pair);
        }
        let key = inner.hasher.hash_one(block);
        let mut addresses = inner.addresses.lock();
        let known = addresses.get(key).filter(|known| now.saturating_duration_since(known.since) < MEMORY);
        let Address { failures, since } = known.unwrap_or(Address { failures: 0, since: now });
        addresses.put(key, Address { failures: failures.saturating_add(1), since });
    }
}

impl LoginBrake for LoginDelays {
    fn wait(&self, account: &BareJid, peer: IpAddr) -> Duration {
        let wait = self.begins(account, peer, Instant::now());
        if wait == NEVER {
            self.0.unanswered.fetch_add(1, Relaxed);
        } else if !wait.is_zero() {
            self.0.waited.fetch_add(1, Relaxed);
            self.0.waited_ms.fetch_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX), Relaxed);
        }
        wait
    }

    fn ended(&self, account: &BareJid, peer: IpAddr, attempt: Attempt) {
        self.ends(account, peer, attempt, Instant::now());
    }
}

#[cfg(test)]
mod tests;
