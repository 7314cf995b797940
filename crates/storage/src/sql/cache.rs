//! What was read of accounts lately, so that the next question asks no thread: logins and profiles.
//!
//! Invariant: what it gives is what a question to the database would answer. From before a change is committed until
//! after, nothing is kept of what was read of that account, whoever read it; what is known of others stays. Accounts
//! that do not exist are not remembered: their names are a stranger's choice.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rjabberd_xmpp::address::BareJid;

use crate::store::{Login, Profile};

/// Most bytes of one value: a bigger one is read each time, so that a few accounts cannot push out all others.
const VALUE_BYTES_MAX: usize = 256 * 1024;

/// Something that knows about how much memory it takes.
pub(crate) trait Weigh {
    /// Bytes, with what it points to.
    fn bytes(&self) -> usize;
}

impl Weigh for Login {
    fn bytes(&self) -> usize {
        let keys = self.credentials.keys.iter();
        let held: usize = keys
            .map(|keys| {
                size_of_val(keys) + keys.salt.len() + keys.stored_key.len() + keys.server_key.len() + 48
            })
            .sum();
        // A digest key is inside.
        size_of::<Login>() + held
    }
}

impl Weigh for Arc<Profile> {
    fn bytes(&self) -> usize {
        let items = self.items.iter().map(|item| {
            let groups: usize = item.groups.iter().map(|group| size_of::<String>() + group.len() + 16).sum();
            size_of_val(item)
                + item.jid.as_str().len()
                + item.name.as_ref().map_or(0, String::len)
                + groups
                + 32
        });
        let requests = self.requests.iter().map(|stanza| size_of_val(stanza) + stanza.len() + 64);
        size_of::<Profile>() + items.sum::<usize>() + requests.sum::<usize>()
    }
}

/// The memories of a store; shared by it, its readers and its writer.
pub(crate) struct Caches {
    pub(crate) logins: Arc<Cache<Login>>,
    pub(crate) profiles: Arc<Cache<Arc<Profile>>>,
}

impl Caches {
    /// Forgets all, and keeps nothing: a change of which nobody knows may come at any time.
    pub(crate) fn doubt(&self) {
        self.logins.doubt();
        self.profiles.doubt();
    }

    /// Keeps again what is read from now on.
    pub(crate) fn trust(&self) {
        self.logins.trust();
        self.profiles.trust();
    }
}

/// The accounts that an operation of the writer changes. It notes them while it runs, before its commit, and they are
/// held until it is settled, after.
pub(crate) struct Changes {
    caches: Arc<Caches>,
    logins: Vec<Changing<Login>>,
    profiles: Vec<Changing<Arc<Profile>>>,
}

impl Changes {
    pub(crate) fn new(caches: Arc<Caches>) -> Changes {
        Changes { caches, logins: Vec::new(), profiles: Vec::new() }
    }

    /// The login of this account changes.
    pub(crate) fn login(&mut self, account: &BareJid) {
        self.logins.push(self.caches.logins.changing(account));
    }

    /// The profile of this account changes.
    pub(crate) fn profile(&mut self, account: &BareJid) {
        if !self.profiles.iter().any(|changing| changing.account == *account) {
            self.profiles.push(self.caches.profiles.changing(account));
        }
    }
}

/// A memory of one value for each account, bounded in bytes.
pub(crate) struct Cache<T> {
    kept: Mutex<Kept<T>>,
    bytes_max: usize,
}

/// Two halves: what is asked for moves to the young one; when that is full, the old one is forgotten.
struct Kept<T> {
    young: HashMap<BareJid, T>,
    young_bytes: usize,
    old: HashMap<BareJid, T>,
    /// Accounts of which something is read or changed just now.
    busy: HashMap<BareJid, Busy>,
    /// Changes that were ever begun.
    changes: u64,
    /// Whether changes may come of which nobody knows.
    is_in_doubt: bool,
    /// How often that began.
    doubts: u64,
}

#[derive(Default)]
struct Busy {
    readings: usize,
    changing: usize,
    /// The last change that was begun since somebody is busy with the account.
    changed: u64,
}

impl<T: Weigh + Clone> Cache<T> {
    /// Keeps up to about so many bytes; none, and it keeps nothing.
    pub(crate) fn new(bytes_max: usize) -> Arc<Cache<T>> {
        let kept = Kept {
            young: HashMap::new(),
            young_bytes: 0,
            old: HashMap::new(),
            busy: HashMap::new(),
            changes: 0,
            is_in_doubt: false,
            doubts: 0,
        };
        Arc::new(Cache { kept: Mutex::new(kept), bytes_max })
    }

    /// What is kept of an account.
    pub(crate) fn get(&self, account: &BareJid) -> Option<T> {
        let mut kept = self.kept.lock();
        if let Some(value) = kept.young.get(account) {
            return Some(value.clone());
        }
        let (account, value) = kept.old.remove_entry(account)?;
        let found = value.clone();
        kept.put(account, value, self.bytes_max);
        Some(found)
    }

    /// To be taken before an account is read ahead of the question; `None` if that is for nothing.
    pub(crate) fn reading_ahead(self: &Arc<Self>, account: &BareJid) -> Option<Reading<T>> {
        (self.bytes_max > 0 && self.get(account).is_none()).then(|| self.reading(account))
    }

    /// To be taken before an account is read; [`Reading::keep`] brings what was found.
    pub(crate) fn reading(self: &Arc<Self>, account: &BareJid) -> Reading<T> {
        let mut kept = self.kept.lock();
        let busy = kept.busy.entry(account.clone()).or_default();
        busy.readings += 1;
        let unchanged_since = (busy.changing == 0).then_some(busy.changed);
        let unchanged_since =
            unchanged_since.filter(|_| !kept.is_in_doubt).map(|changed| (changed, kept.doubts));
        Reading { cache: Arc::clone(self), account: account.clone(), unchanged_since }
    }

    fn doubt(&self) {
        let mut kept = self.kept.lock();
        kept.is_in_doubt = true;
        kept.doubts += 1;
        kept.young.clear();
        kept.young_bytes = 0;
        kept.old.clear();
    }

    fn trust(&self) {
        self.kept.lock().is_in_doubt = false;
    }

    /// A change of this account is about to be committed, until what is returned is dropped.
    fn changing(self: &Arc<Self>, account: &BareJid) -> Changing<T> {
        let mut kept = self.kept.lock();
        kept.changes += 1;
        let changes = kept.changes;
        let busy = kept.busy.entry(account.clone()).or_default();
        busy.changing += 1;
        busy.changed = changes;
        if let Some(value) = kept.young.remove(account) {
            kept.young_bytes -= bytes_of(account, &value);
        }
        kept.old.remove(account);
        Changing { cache: Arc::clone(self), account: account.clone() }
    }
}

fn bytes_of<T: Weigh>(account: &BareJid, value: &T) -> usize {
    size_of::<(BareJid, T)>() + account.as_str().len() + value.bytes() + 32
}

impl<T: Weigh> Kept<T> {
    fn put(&mut self, account: BareJid, value: T, bytes_max: usize) {
        let (bytes, half) = (bytes_of(&account, &value), bytes_max / 2);
        if bytes > half.min(VALUE_BYTES_MAX) {
            return;
        }
        if self.young_bytes + bytes > half {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += bytes;
        if let Some(replaced) = self.young.insert(account.clone(), value) {
            self.young_bytes -= bytes_of(&account, &replaced);
        }
    }
}

impl<T> Kept<T> {
    /// Somebody is busy with an account no longer.
    fn leave(&mut self, account: &BareJid, leave: impl FnOnce(&mut Busy)) {
        let Some(busy) = self.busy.get_mut(account) else { return };
        leave(busy);
        if busy.readings == 0 && busy.changing == 0 {
            self.busy.remove(account);
        }
    }
}

/// A question on its way.
pub(crate) struct Reading<T> {
    cache: Arc<Cache<T>>,
    account: BareJid,
    /// The last change that was begun before it, and the last doubt; `None` if it is not to be kept.
    unchanged_since: Option<(u64, u64)>,
}

impl<T: Weigh> Reading<T> {
    /// Keeps what was read, unless the account was changed since, or was being changed.
    pub(crate) fn keep(self, value: T) {
        let mut kept = self.cache.kept.lock();
        let busy = kept.busy.get(&self.account);
        let is_true = busy.is_some_and(|busy| Some((busy.changed, kept.doubts)) == self.unchanged_since);
        if is_true {
            kept.put(self.account.clone(), value, self.cache.bytes_max);
        }
    }
}

impl<T> Drop for Reading<T> {
    fn drop(&mut self) {
        self.cache.kept.lock().leave(&self.account, |busy| busy.readings -= 1);
    }
}

/// A change on its way.
struct Changing<T> {
    cache: Arc<Cache<T>>,
    account: BareJid,
}

impl<T> Drop for Changing<T> {
    fn drop(&mut self) {
        self.cache.kept.lock().leave(&self.account, |busy| busy.changing -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Value(usize);

    impl Weigh for Value {
        fn bytes(&self) -> usize {
            self.0
        }
    }

    const LARGE: usize = 100_000_000;

    fn account(number: usize) -> BareJid {
        BareJid::new(&format!("user{number}@example.net")).unwrap()
    }

    fn read(cache: &Arc<Cache<Value>>, number: usize, bytes: usize) -> Option<Value> {
        cache.reading(&account(number)).keep(Value(bytes));
        cache.get(&account(number))
    }

    #[test]
    fn what_was_read_before_a_change_is_not_kept_after_it() {
        let cache = Cache::new(LARGE);
        let reading = cache.reading(&account(1));
        drop(cache.changing(&account(1)));
        reading.keep(Value(1));
        assert_eq!(cache.get(&account(1)), None);
        assert_eq!(read(&cache, 1, 2), Some(Value(2)));
    }

    #[test]
    fn nothing_that_is_read_during_a_change_is_kept_and_the_changed_account_is_forgotten() {
        let cache = Cache::new(LARGE);
        assert_eq!(read(&cache, 1, 1), Some(Value(1)));
        let changing = cache.changing(&account(1));
        assert_eq!(cache.get(&account(1)), None);
        assert_eq!(read(&cache, 1, 1), None);
        let reading = cache.reading(&account(1));
        drop(changing);
        reading.keep(Value(1));
        assert_eq!(cache.get(&account(1)), None);
    }

    #[test]
    fn a_changed_account_is_forgotten_also_where_it_was_not_asked_for_lately() {
        let each = bytes_of(&account(1), &Value(1_000));
        let cache = Cache::new(4 * each);
        for number in 0..3 {
            read(&cache, number, 1_000);
        }
        assert!(cache.kept.lock().old.contains_key(&account(0)));
        drop(cache.changing(&account(0)));
        assert_eq!(cache.get(&account(0)), None);
        assert_eq!(cache.get(&account(1)), Some(Value(1_000)));
    }

    #[test]
    fn a_change_of_one_account_keeps_no_other_from_being_kept() {
        let cache = Cache::new(LARGE);
        assert_eq!(read(&cache, 2, 1), Some(Value(1)));
        let _changing = cache.changing(&account(1));
        assert_eq!(cache.get(&account(2)), Some(Value(1)));
        assert_eq!(read(&cache, 3, 1), Some(Value(1)));
    }

    #[test]
    fn nothing_is_kept_while_changes_may_come_of_which_nobody_knows() {
        let cache = Cache::new(LARGE);
        assert_eq!(read(&cache, 1, 1), Some(Value(1)));
        let before = cache.reading(&account(1));
        cache.doubt();
        assert_eq!(cache.get(&account(1)), None);
        let meanwhile = cache.reading(&account(2));
        assert_eq!(read(&cache, 3, 1), None);
        cache.trust();
        before.keep(Value(1));
        meanwhile.keep(Value(1));
        assert_eq!((cache.get(&account(1)), cache.get(&account(2))), (None, None));
        assert_eq!(read(&cache, 1, 2), Some(Value(2)));
    }

    #[test]
    fn of_two_changes_at_once_the_last_to_end_counts() {
        let cache = Cache::new(LARGE);
        let (first, second) = (cache.changing(&account(1)), cache.changing(&account(1)));
        drop(first);
        assert_eq!(read(&cache, 1, 1), None);
        drop(second);
        assert_eq!(read(&cache, 1, 1), Some(Value(1)));
    }

    #[test]
    fn nobody_is_busy_when_all_is_over() {
        let cache: Arc<Cache<Value>> = Cache::new(LARGE);
        drop((cache.reading(&account(1)), cache.changing(&account(2)), cache.reading(&account(1))));
        read(&cache, 3, 1);
        assert!(cache.kept.lock().busy.is_empty());
    }

    #[test]
    fn no_more_bytes_are_kept_than_allowed_and_the_last_used_stay() {
        let each = bytes_of(&account(1), &Value(1_000));
        let cache = Cache::new(10 * each);
        for number in 0..100 {
            read(&cache, number, 1_000);
            assert!(cache.get(&account(0)).is_some(), "asked for all the time");
        }
        let kept = (0..100).filter(|number| cache.get(&account(*number)).is_some()).count();
        assert!((5..=10).contains(&kept), "{kept}");
    }

    #[test]
    fn forgotten_bytes_do_not_count() {
        let each = bytes_of(&account(1), &Value(1_000));
        let cache = Cache::new(4 * each);
        assert_eq!(read(&cache, 0, 1_000), Some(Value(1_000)));
        for _ in 0..10 {
            assert_eq!(read(&cache, 1, 1_000), Some(Value(1_000)));
            drop(cache.changing(&account(1)));
        }
        assert_eq!(cache.kept.lock().young_bytes, each);
        assert_eq!(cache.get(&account(0)), Some(Value(1_000)));
    }

    #[test]
    fn what_is_too_big_is_not_kept_and_pushes_nothing_out() {
        let cache = Cache::new(LARGE);
        assert_eq!(read(&cache, 1, 1), Some(Value(1)));
        assert_eq!(read(&cache, 2, VALUE_BYTES_MAX + 1), None);
        assert_eq!(cache.get(&account(1)), Some(Value(1)));
        let none = Cache::new(0);
        assert_eq!(read(&none, 1, 1), None);
    }
}
