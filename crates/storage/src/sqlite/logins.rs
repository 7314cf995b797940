//! The keys of accounts that logged in lately, so that the next login asks no thread.
//!
//! Invariant: what it gives is what a question to the database would answer. From the moment a change is asked for until
//! it is committed or given up, nothing is kept of what was read, whoever read it. Accounts that do not exist are not
//! remembered: their names are a stranger's choice.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rjabberd_xmpp::address::BareJid;

use crate::store::Login;

/// A bounded memory of logins; shared by the store, its readers and its writer.
#[derive(Default)]
pub(super) struct Logins {
    kept: Mutex<Kept>,
    accounts_max: usize,
}

/// Two halves: what is asked for moves to the young one; when that is full, the old one is forgotten.
#[derive(Default)]
struct Kept {
    young: HashMap<BareJid, Login>,
    old: HashMap<BareJid, Login>,
    /// Changes that were ever begun.
    changes: u64,
    /// Changes that are on their way.
    changing: usize,
}

/// The moment in which something was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(Option<u64>);

impl Logins {
    /// Keeps up to about that many accounts.
    pub(super) fn new(accounts_max: usize) -> Arc<Logins> {
        Arc::new(Logins { kept: Mutex::default(), accounts_max })
    }

    /// What is kept of an account.
    pub(super) fn get(&self, account: &BareJid) -> Option<Login> {
        let mut kept = self.kept.lock();
        if let Some(login) = kept.young.get(account) {
            return Some(login.clone());
        }
        let (account, login) = kept.old.remove_entry(account)?;
        let found = login.clone();
        kept.put(account, login, self.accounts_max);
        Some(found)
    }

    /// To be taken before a login is read.
    pub(super) fn now(&self) -> Moment {
        let kept = self.kept.lock();
        Moment((kept.changing == 0).then_some(kept.changes))
    }

    /// Keeps what was read, unless something was changed since `read`.
    pub(super) fn keep(&self, account: BareJid, login: Login, read: Moment) {
        let mut kept = self.kept.lock();
        if read == Moment(Some(kept.changes)) && kept.changing == 0 {
            kept.put(account, login, self.accounts_max);
        }
    }

    /// A change of these accounts is on its way, until what is returned is dropped: after the commit, or where nothing
    /// was changed.
    pub(super) fn changing<'a>(self: &Arc<Logins>, accounts: impl Iterator<Item = &'a BareJid>) -> Changing {
        let mut kept = self.kept.lock();
        kept.changes += 1;
        kept.changing += 1;
        for account in accounts {
            kept.young.remove(account);
            kept.old.remove(account);
        }
        Changing(Arc::clone(self))
    }
}

impl Kept {
    fn put(&mut self, account: BareJid, login: Login, accounts_max: usize) {
        if self.young.len() >= accounts_max.div_ceil(2) {
            self.old = std::mem::take(&mut self.young);
        }
        if accounts_max > 0 {
            self.young.insert(account, login);
        }
    }
}

/// A change on its way.
pub(super) struct Changing(Arc<Logins>);

impl Drop for Changing {
    fn drop(&mut self) {
        self.0.kept.lock().changing -= 1;
    }
}

#[cfg(test)]
mod tests {
    use rjabberd_xmpp::sasl::Credentials;

    use super::*;

    fn account(number: usize) -> BareJid {
        BareJid::new(&format!("user{number}@example.net")).unwrap()
    }

    fn login() -> Login {
        Login { credentials: Credentials::default(), disabled: false }
    }

    #[test]
    fn what_was_read_before_a_change_is_not_kept_after_it() {
        let logins = Logins::new(10);
        let read = logins.now();
        drop(logins.changing([&account(1)].into_iter()));
        logins.keep(account(1), login(), read);
        assert!(logins.get(&account(1)).is_none());
        logins.keep(account(1), login(), logins.now());
        assert!(logins.get(&account(1)).is_some());
    }

    #[test]
    fn nothing_that_is_read_during_a_change_is_kept_and_the_changed_account_is_forgotten() {
        let logins = Logins::new(10);
        logins.keep(account(1), login(), logins.now());
        let changing = logins.changing([&account(1)].into_iter());
        assert!(logins.get(&account(1)).is_none());
        let read = logins.now();
        logins.keep(account(1), login(), read);
        drop(changing);
        logins.keep(account(1), login(), read);
        assert!(logins.get(&account(1)).is_none());
    }

    #[test]
    fn no_more_accounts_are_kept_than_allowed_and_the_last_used_stay() {
        let logins = Logins::new(10);
        for number in 0..100 {
            logins.keep(account(number), login(), logins.now());
            assert!(logins.get(&account(0)).is_some(), "asked for all the time");
        }
        let kept = (0..100).filter(|number| logins.get(&account(*number)).is_some()).count();
        assert!((5..=10).contains(&kept), "{kept}");
    }
}
