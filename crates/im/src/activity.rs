//! When accounts were last available: noted in memory when they leave, and saved many at a time.
//!
//! A thousand users who leave are a few writes, not a thousand. What the store did not take is kept and tried again,
//! up to a limit: what comes beyond it is lost, and logged. Invariant: at most one batch is on its way, so an older
//! note never overwrites a newer one.

use std::collections::HashMap;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};
use std::time::UNIX_EPOCH;

use parking_lot::Mutex;
use rjabberd_storage::{Answer, LastActivity, Store};
use rjabberd_xmpp::BareJid;

use crate::Im;

/// Notes after which a batch is saved without waiting for the next call of [`Im::flush_activity`].
const BATCH: usize = 500;

/// Most notes that are kept while the store takes none.
const NOTES_MAX: usize = 20 * BATCH;

/// Longest status that is kept; of a longer one, the start.
const STATUS_BYTES_MAX: usize = 1024;

/// What the store does not have yet.
#[derive(Default)]
pub(crate) struct Activities(Mutex<Notes>);

#[derive(Default)]
struct Notes {
    noted: HashMap<BareJid, LastActivity>,
    saving: Option<Saving>,
    /// Notes that found no place.
    lost: usize,
}

/// A batch on its way.
struct Saving {
    batch: HashMap<BareJid, LastActivity>,
    answer: Answer<()>,
}

impl Notes {
    /// Says whether there is one note more.
    fn note(&mut self, account: BareJid, activity: LastActivity) -> bool {
        if self.noted.len() >= NOTES_MAX && !self.noted.contains_key(&account) {
            self.lost += 1;
            return false;
        }
        self.noted.insert(account, activity).is_none()
    }

    /// Goes on with what is on its way, and begins the next batch. Ready when nothing is left to save, or a batch was
    /// refused: it is tried again next time.
    fn save(&mut self, store: &dyn Store, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(saving) = &mut self.saving {
                let Poll::Ready(saved) = saving.answer.as_mut().poll(context) else { return Poll::Pending };
                let batch = self.saving.take().map(|saving| saving.batch).unwrap_or_default();
                if let Err(error) = saved {
                    log::warn!(target: "im:activity", "Last activities wait to be saved: {error}");
                    self.put_back(batch);
                    return Poll::Ready(());
                }
            }
            if self.noted.is_empty() {
                return Poll::Ready(());
            }
            let batch = std::mem::take(&mut self.noted);
            let activities = batch.iter().map(|(account, activity)| (account.clone(), activity.clone()));
            let answer = store.save_activities(activities.collect());
            self.saving = Some(Saving { batch, answer });
        }
    }

    fn put_back(&mut self, batch: HashMap<BareJid, LastActivity>) {
        for (account, activity) in batch {
            if !self.noted.contains_key(&account) {
                self.note(account, activity);
            }
        }
        if self.lost > 0 {
            log::error!(target: "im:activity", "{} last activities are lost", self.lost);
            self.lost = 0;
        }
    }
}

impl Im {
    /// The last available session of an account left, with this status (XEP-0012, 3).
    pub fn left(&'static self, account: &BareJid, status: Option<String>) {
        let status = status.map(|mut status| {
            status.truncate(status.floor_char_boundary(STATUS_BYTES_MAX));
            status
        });
        let mut notes = self.activities.0.lock();
        let activity = LastActivity { left_unix_s: self.now_unix_s(), status };
        if notes.note(account.clone(), activity) && notes.noted.len().is_multiple_of(BATCH) {
            // Whoever flushes next follows it up.
            let _on_its_way = notes.save(&*self.store, &mut Context::from_waker(Waker::noop()));
        }
    }

    /// Saves what was noted. To be called every few seconds, and once more when all sessions have ended.
    pub async fn flush_activity(&'static self) {
        poll_fn(|context| self.activities.0.lock().save(&*self.store, context)).await;
    }

    /// What was noted of an account and is not known to be saved.
    pub(crate) fn noted_activity(&self, account: &BareJid) -> Option<LastActivity> {
        let notes = self.activities.0.lock();
        let saving = notes.saving.as_ref().map(|saving| &saving.batch);
        notes.noted.get(account).or_else(|| saving?.get(account)).cloned()
    }

    /// The account was removed: another may get its address.
    pub(crate) fn forget_activity(&self, account: &BareJid) {
        let mut notes = self.activities.0.lock();
        notes.noted.remove(account);
        if let Some(saving) = &mut notes.saving {
            saving.batch.remove(account);
        }
    }

    /// Seconds since 1970.
    pub(crate) fn now_unix_s(&self) -> i64 {
        let since = (self.clock)().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests;
