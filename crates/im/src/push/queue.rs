//! Notifications that wait for their push service, and the services' manners: how much is on its way to each, which of
//! them do not answer, and which registrations are answered with final errors. No stanza, no store.
//!
//! A service outside counts as one with all of its domain; here each address counts for itself, so that nobody can make
//! the others' wait. Invariants: at most one notification of a registration is on its way; everything is bounded.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, SystemTime};

use rjabberd_storage::PushRegistration;
use rjabberd_xmpp::{BareJid, Jid};

use super::Hint;

/// Notifications on their way to one service.
const UNDER_WAY_MAX: usize = 100;
/// Notifications that wait for one service, and for all.
const OF_ONE_MAX: usize = 1_000;
const OF_ALL_MAX: usize = 20_000;
/// Registrations whose errors are counted.
const STRIKES_MAX: usize = 20_000;
/// The longest rest of a service that is not reached.
const REST_MAX: Duration = Duration::from_secs(300);

/// A registration: whose, and the service and the node that name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) account: BareJid,
    pub(super) service: Jid,
    pub(super) node: String,
}

/// A notification.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) key: Key,
    pub(super) options: String,
    pub(super) hint: Hint,
    /// Requests for subscription that wait for an answer.
    pub(super) requests: usize,
}

impl Letter {
    pub(super) fn new(
        account: &BareJid,
        registration: &PushRegistration,
        hint: Hint,
        requests: usize,
    ) -> Letter {
        let PushRegistration { service, node, options } = registration.clone();
        Letter { key: Key { account: account.clone(), service, node }, options, hint, requests }
    }
}

/// What became of one that was to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queued {
    Waits,
    /// One that waits for the same registration has taken it along.
    Coalesced,
    /// There are too many.
    Dropped,
}

/// What became of one that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Accepted,
    /// The service says that it will never take it.
    Final,
    /// The service, or the way to it, has a bad day.
    Transient,
    /// The service is not reached, or does not answer.
    Unreached,
}

#[derive(Default)]
struct Service {
    order: VecDeque<Key>,
    letters: HashMap<Key, Letter>,
    under_way: HashSet<Key>,
    /// How often in a row it was not reached, and until when it is left alone.
    unreached: u32,
    rests_until: Option<SystemTime>,
}

impl Service {
    fn is_idle(&self) -> bool {
        self.letters.is_empty() && self.under_way.is_empty() && self.rests_until.is_none()
    }

    fn rests(&mut self, now: SystemTime) -> bool {
        // A clock that was set back makes no rest longer.
        let rests = self.rests_until.is_some_and(|until| now < until && until <= now + REST_MAX);
        if !rests && self.letters.is_empty() {
            self.rests_until = None;
        }
        rests
    }
}

/// All services to which something is under way.
#[derive(Default)]
pub(super) struct Queue {
    services: HashMap<String, Service>,
    /// Final errors in a row.
    strikes: HashMap<Key, usize>,
    waiting: usize,
}

impl Queue {
    /// Notifications that wait.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    /// A notification for a service of this name.
    pub(super) fn push(&mut self, name: &str, letter: Letter) -> Queued {
        let is_full = self.waiting >= OF_ALL_MAX;
        let service = self.services.entry(name.to_owned()).or_default();
        if let Some(there) = service.letters.get_mut(&letter.key) {
            there.hint.add(letter.hint);
            (there.options, there.requests) = (letter.options, letter.requests);
            return Queued::Coalesced;
        }
        if is_full || service.letters.len() >= OF_ONE_MAX {
            return Queued::Dropped;
        }
        service.order.push_back(letter.key.clone());
        service.letters.insert(letter.key.clone(), letter);
        self.waiting += 1;
        Queued::Waits
    }

    /// What is to be sent now, with the names of the services; it is under way from now on.
    pub(super) fn pull(&mut self, now: SystemTime) -> Vec<(String, Letter)> {
        let mut pulled = Vec::new();
        self.services.retain(|name, service| {
            if !service.rests(now) {
                for _ in 0..service.order.len() {
                    if service.under_way.len() >= UNDER_WAY_MAX {
                        break;
                    }
                    let Some(key) = service.order.pop_front() else { break };
                    if service.under_way.contains(&key) {
                        service.order.push_back(key);
                    } else if let Some(letter) = service.letters.remove(&key) {
                        service.under_way.insert(key);
                        pulled.push((name.clone(), letter));
                    }
                }
            }
            !service.is_idle()
        });
        self.waiting -= pulled.len();
        pulled
    }

    /// One that was under way has come to this. True if its registration is to end.
    pub(super) fn settle(
        &mut self,
        name: &str,
        key: &Key,
        outcome: Outcome,
        now: SystemTime,
        errors_max: usize,
    ) -> bool {
        if let Some(service) = self.services.get_mut(name) {
            service.under_way.remove(key);
            if outcome == Outcome::Unreached {
                service.unreached = service.unreached.saturating_add(1);
                let rest = Duration::from_secs(1 << service.unreached.min(16)).min(REST_MAX);
                service.rests_until = Some(now + rest);
            } else {
                (service.unreached, service.rests_until) = (0, None);
            }
        }
        match outcome {
            Outcome::Accepted => {
                self.strikes.remove(key);
                false
            }
            Outcome::Final => self.strike(key, errors_max),
            Outcome::Transient | Outcome::Unreached => false,
        }
    }

    fn strike(&mut self, key: &Key, errors_max: usize) -> bool {
        if self.strikes.len() >= STRIKES_MAX && !self.strikes.contains_key(key) {
            // To begin to count anew is to be patient.
            self.strikes.clear();
        }
        let strikes = self.strikes.entry(key.clone()).or_default();
        *strikes += 1;
        let ends = *strikes >= errors_max;
        if ends {
            self.strikes.remove(key);
        }
        ends
    }

    /// A registration was renewed.
    pub(super) fn forgive(&mut self, account: &BareJid, service: &Jid, node: &str) {
        let key = Key { account: account.clone(), service: service.clone(), node: node.to_owned() };
        self.strikes.remove(&key);
    }

    /// Nothing that waits for these registrations is sent any more.
    pub(super) fn cancel(&mut self, account: &BareJid, service: &Jid, node: Option<&str>) {
        self.remove(|key| {
            key.account == *account && key.service == *service && node.is_none_or(|node| node == key.node)
        });
    }

    /// Nor for any of an account.
    pub(super) fn forget(&mut self, account: &BareJid) {
        self.remove(|key| key.account == *account);
    }

    fn remove(&mut self, is_it: impl Fn(&Key) -> bool) {
        for service in self.services.values_mut() {
            service.letters.retain(|key, _| !is_it(key));
            service.order.retain(|key| !is_it(key));
        }
        self.waiting = self.services.values().map(|service| service.letters.len()).sum();
        self.strikes.retain(|key, _| !is_it(key));
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn letter(user: usize) -> Letter {
        let account = BareJid::new(&format!("u{user}@example.net")).unwrap();
        let service = Jid::new("push.example").unwrap();
        let registration = PushRegistration { service, node: "n".to_owned(), options: String::new() };
        Letter::new(&account, &registration, Hint { messages: 1, ..Hint::default() }, 0)
    }

    #[test]
    fn what_waits_for_a_registration_is_one_and_counts_all() {
        let mut queue = Queue::default();
        assert_eq!(queue.push("a", letter(1)), Queued::Waits);
        assert_eq!(queue.push("a", letter(1)), Queued::Coalesced);
        let [(_, found)] = &queue.pull(UNIX_EPOCH)[..] else { panic!("one") };
        assert_eq!((found.hint.messages, queue.len()), (2, 0));
    }

    #[test]
    fn one_of_a_registration_is_under_way_at_a_time() {
        let mut queue = Queue::default();
        queue.push("a", letter(1));
        assert_eq!(queue.pull(UNIX_EPOCH).len(), 1);
        queue.push("a", letter(1));
        assert_eq!(queue.pull(UNIX_EPOCH).len(), 0);
        queue.settle("a", &letter(1).key, Outcome::Accepted, UNIX_EPOCH, 3);
        assert_eq!(queue.pull(UNIX_EPOCH).len(), 1);
        queue.settle("a", &letter(1).key, Outcome::Accepted, UNIX_EPOCH, 3);
        assert_eq!(queue.pull(UNIX_EPOCH).len(), 0);
        assert!(queue.services.is_empty(), "nothing is kept of a service that has all");
    }

    #[test]
    fn a_service_that_takes_nothing_has_a_bounded_queue_and_does_not_stop_another() {
        let mut queue = Queue::default();
        for user in 0..OF_ONE_MAX + 50 {
            let queued = queue.push("a", letter(user));
            assert_eq!(queued == Queued::Dropped, user >= OF_ONE_MAX, "{user}");
        }
        queue.push("b", letter(0));
        let pulled = queue.pull(UNIX_EPOCH);
        assert_eq!(pulled.iter().filter(|(name, _)| name == "a").count(), UNDER_WAY_MAX);
        assert_eq!(pulled.len(), UNDER_WAY_MAX + 1);
        assert_eq!(queue.pull(UNIX_EPOCH).len(), 0);
    }

    #[test]
    fn all_together_are_bounded() {
        let mut queue = Queue::default();
        for user in 0..OF_ALL_MAX + 10 {
            queue.push(&format!("s{}", user % 100), letter(user));
        }
        assert_eq!(queue.len(), OF_ALL_MAX);
    }

    #[test]
    fn a_service_that_is_not_reached_is_left_alone_longer_and_longer() {
        let mut queue = Queue::default();
        let mut now = UNIX_EPOCH;
        for rest_s in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            queue.push("a", letter(1));
            assert_eq!(queue.pull(now).len(), 1);
            queue.settle("a", &letter(1).key, Outcome::Unreached, now, 3);
            queue.push("a", letter(1));
            assert_eq!(queue.pull(now + S * (rest_s - 1)).len(), 0, "{rest_s}");
            now += S * rest_s;
            let [(_, found)] = &queue.pull(now)[..] else { panic!("after {rest_s} s") };
            assert_eq!(found.hint.messages, 1);
            // Taken back, for the next turn.
            queue.services.get_mut("a").unwrap().under_way.clear();
        }
        queue.push("a", letter(1));
        assert_eq!(queue.pull(UNIX_EPOCH).len(), 1, "a clock that was set back makes no rest longer");
        queue.settle("a", &letter(1).key, Outcome::Accepted, now, 3);
        queue.push("a", letter(1));
        assert_eq!(queue.pull(now).len(), 1);
    }

    #[test]
    fn a_registration_ends_by_so_many_final_errors_in_a_row_and_by_no_others() {
        let mut queue = Queue::default();
        let mut settle = |outcome| queue.settle("a", &letter(1).key, outcome, UNIX_EPOCH, 2);
        assert!(!settle(Outcome::Final));
        assert!(!settle(Outcome::Accepted));
        assert!(!settle(Outcome::Final));
        assert!(!settle(Outcome::Transient));
        assert!(!settle(Outcome::Unreached));
        assert!(settle(Outcome::Final));
        assert!(!settle(Outcome::Final), "counted from the beginning");
        queue.forgive(&letter(1).key.account, &letter(1).key.service, "n");
        assert!(!queue.settle("a", &letter(1).key, Outcome::Final, UNIX_EPOCH, 2));
    }

    #[test]
    fn what_is_disabled_is_told_nothing() {
        let mut queue = Queue::default();
        for user in [1, 2] {
            queue.push("a", letter(user));
        }
        let Key { account, service, .. } = letter(1).key;
        queue.cancel(&account, &service, Some("other"));
        assert_eq!(queue.len(), 2);
        queue.cancel(&account, &service, None);
        assert_eq!(queue.len(), 1);
        queue.forget(&letter(2).key.account);
        assert_eq!((queue.len(), queue.pull(UNIX_EPOCH).len()), (0, 0));
    }
}
