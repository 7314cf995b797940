//! Accounts whose sessions were ended not long ago: a login that began before that is not to be bound after it.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use rjabberd_xmpp::BareJid;

/// Ended accounts, and when; costs the same however many there are.
#[derive(Debug, Default)]
pub(crate) struct EndedAccounts {
    /// The epoch of the last end of each.
    epochs: HashMap<BareJid, u64>,
    /// The oldest first.
    order: VecDeque<(Instant, BareJid, u64)>,
}

impl EndedAccounts {
    pub(crate) fn insert(&mut self, account: BareJid, epoch: u64) {
        self.epochs.insert(account.clone(), epoch);
        self.order.push_back((Instant::now(), account, epoch));
    }

    /// Whether the account was ended after that epoch.
    pub(crate) fn since(&self, account: &BareJid, epoch: u64) -> bool {
        self.epochs.get(account).is_some_and(|ended| *ended > epoch)
    }

    /// Forgets those that were ended longer ago than a login may take.
    pub(crate) fn forget(&mut self, kept: Duration) {
        while let Some((_, account, epoch)) = self.order.pop_front_if(|(at, _, _)| at.elapsed() >= kept) {
            // It may have been ended again since.
            if self.epochs.get(&account) == Some(&epoch) {
                self.epochs.remove(&account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_that_ended_twice_is_remembered_by_its_last_end() {
        let account = BareJid::new("romeo@example.net").expect("an address");
        let mut ended = EndedAccounts::default();
        ended.insert(account.clone(), 1);
        ended.order[0].0 -= Duration::from_secs(60);
        ended.insert(account.clone(), 2);
        ended.forget(Duration::from_secs(30));
        assert!(ended.since(&account, 1) && !ended.since(&account, 2));
        ended.forget(Duration::ZERO);
        assert!(!ended.since(&account, 0));
        assert!(ended.epochs.is_empty() && ended.order.is_empty());
    }
}
