//! Message Archive Management (XEP-0313): each account's own archive of what it says and hears.
//!
//! A message is archived when it is routed first, for its sender and its addressee in one write, before anybody gets
//! it; its ids go out with it. The way: `rules` says whether it is worth it, `prefs` whether the account wants it, the
//! store gives it its place. `question` reads what a client asks for, `answer` writes it.
//!
//! Invariant: what is on its way into the store is bounded, in count and in bytes. What is more is delivered all the
//! same, and not archived: chat never waits for the archive. What a store that is away did not take is given to it again.

mod answer;
mod prefs;
mod question;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use parking_lot::Mutex;
use rjabberd_session_manager::burden::{Burden, carried};
use rjabberd_storage::{Answer, ArchiveAppend, ArchiveId, ArchiveOtherwise, ArchivePlace, StoreError};
use rjabberd_xmpp::{BareJid, Jid, Stanza};

pub(crate) use answer::Mam;
use prefs::{Preferences, Wants};

use crate::{Committed, Im};

/// Messages that may be on their way into archives, and their bytes. Less than the store's queue takes, so that logins
/// and rosters have room beside them.
const STORING_MAX: usize = 8_192;
const STORING_BYTES_MAX: usize = 8 << 20;

/// How long nothing more is logged of messages that could not be archived.
const QUIET_S: u64 = 60;

/// How often a message is given to a store that is away: every few seconds, for an hour.
const TRIES_MAX: u32 = 720;

/// Messages forgotten in one transaction, because they are too old or too many.
const TRIMMED_AT_ONCE: usize = 500;

/// What is archived, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveRules {
    /// Whether anything is, and whether it can be asked for.
    pub enabled: bool,
    /// What is archived for accounts that have not said what they want.
    pub otherwise: ArchiveOtherwise,
    /// How long; `None` for ever.
    pub age: Option<Duration>,
    /// Most messages of an account; `None` as many as there are.
    pub messages_max: Option<u64>,
    /// Most messages that one query gives.
    pub page_max: usize,
}

impl Default for ArchiveRules {
    fn default() -> ArchiveRules {
        ArchiveRules {
            enabled: false,
            otherwise: ArchiveOtherwise::Always,
            age: None,
            messages_max: None,
            page_max: 250,
        }
    }
}

/// What accounts want archived, what is on its way, and what was counted.
#[derive(Default)]
pub struct Archives {
    prefs: Preferences,
    storing: AtomicUsize,
    storing_bytes: AtomicUsize,
    /// What the store did not take because it was away, in order; counted among what is on its way.
    again: Mutex<VecDeque<Again>>,
    /// When the last line about messages that were not archived was logged, in seconds since 1970.
    complained_unix_s: AtomicU64,
    stored: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    queries: AtomicU64,
    given: AtomicU64,
    expired: AtomicU64,
}

/// A message that the store did not take because it was away.
struct Again {
    append: ArchiveAppend,
    burden: Option<Arc<Burden>>,
    tries: u32,
}

/// What has become of messages for archives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArchivesSnapshot {
    /// Messages in the archives of one or two accounts.
    pub stored: u64,
    /// Messages delivered but not archived, because too many were on their way into the store.
    pub refused: u64,
    /// Messages delivered but not archived, because the store failed.
    pub failed: u64,
    /// Messages on their way into the store now.
    pub storing: u64,
    /// Queries that were answered.
    pub queries: u64,
    /// Messages that these gave.
    pub given: u64,
    /// Messages forgotten because they were too old or too many, or their account is gone.
    pub expired: u64,
}

/// What the archives make of a message.
pub struct Archived {
    /// What it is called in its sender's archive.
    pub sent: Option<ArchiveId>,
    /// What it is called in its addressee's archive.
    pub received: Option<ArchiveId>,
    /// Resolves when it is there, or will not be.
    pub committing: BoxFuture<'static, Committed>,
}

impl Im {
    /// Whether any message is archived at all.
    pub fn archives_something(&self) -> bool {
        self.limits.archive.enabled
    }

    /// Archives a message of a session for its sender and for `addressee`, an account of ours; only for the sender if
    /// the addressee's side refuses it. `None` where it goes into no archive.
    pub fn archive(
        &'static self,
        message: &Stanza,
        addressee: &BareJid,
        is_refused: bool,
    ) -> Option<Archived> {
        if !self.limits.archive.enabled || !rules::is_worth_it(message) {
            return None;
        }
        let from = message.from.as_ref()?;
        let to = message.to.clone().unwrap_or_else(|| addressee.clone().into());
        let sender = from.to_bare();
        let mut places = Vec::with_capacity(2);
        let sent = self.place(&sender, &to, &mut places);
        let received = if sender == *addressee {
            // XEP-0313, 5.1.1: once in an archive, however many ways it goes.
            sent
        } else if is_refused {
            None
        } else {
            self.place(addressee, from, &mut places)
        };
        if places.is_empty() {
            return None;
        }
        let stanza = match message.to {
            Some(_) => message.written(),
            None => message.addressed(to).written(),
        };
        // What is in the addressee's archive cannot be lost any more.
        let burden = received.and_then(|_| carried());
        match self.append(Bytes::from(stanza), places, burden) {
            Some(committing) => Some(Archived { sent, received, committing }),
            // What is in no archive has no id.
            None => Some(Archived {
                sent: None,
                received: None,
                committing: future::ready(Committed::No).boxed(),
            }),
        }
    }

    /// Adds the archive of an account to the places of a message, if the account wants that; gives the id to show.
    fn place(
        &'static self,
        account: &BareJid,
        contact: &Jid,
        places: &mut Vec<ArchivePlace>,
    ) -> Option<ArchiveId> {
        if self.outlet.table().is_guest(account) {
            return None;
        }
        let wants = self.wants(account, contact);
        if wants == Wants::No {
            return None;
        }
        let id = fresh_id((self.clock)());
        let if_listed = wants == Wants::IfListed;
        places.push(ArchivePlace { account: account.clone(), id, contact: contact.clone(), if_listed });
        // Where only the store can tell, nobody is shown an id that may be of nothing.
        (!if_listed).then_some(id)
    }

    /// On its way into the store; `None` if too much is.
    fn append(
        &'static self,
        stanza: Bytes,
        places: Vec<ArchivePlace>,
        burden: Option<Arc<Burden>>,
    ) -> Option<BoxFuture<'static, Committed>> {
        let (archives, bytes) = (&self.archives, stanza.len());
        let count = archives.storing.fetch_add(1, SeqCst);
        let all_bytes = archives.storing_bytes.fetch_add(bytes, SeqCst);
        if count >= STORING_MAX || (count > 0 && all_bytes + bytes > STORING_BYTES_MAX) {
            self.let_go(bytes);
            archives.refused.fetch_add(1, Relaxed);
            self.complain(&"too many are on their way");
            return None;
        }
        let came_unix_us = unix_us((self.clock)());
        let append = ArchiveAppend { came_unix_us, stanza, places };
        let committed = |answer: Result<(), StoreError>| match answer {
            Ok(()) => Committed::Yes,
            Err(_) => Committed::No,
        };
        Some(self.store_append(append, burden, 1).map(committed).boxed())
    }

    fn store_append(
        &'static self,
        append: ArchiveAppend,
        burden: Option<Arc<Burden>>,
        tries: u32,
    ) -> Answer<()> {
        let again = append.clone();
        let follow = Box::new(move |result: &Result<(), StoreError>| {
            match result {
                Ok(()) => {
                    self.archives.stored.fetch_add(1, Relaxed);
                    burden.iter().for_each(|burden| burden.settle());
                }
                Err(error) if error.is_fault() && tries < TRIES_MAX => {
                    self.complain(error);
                    // Its place among those on their way stays taken.
                    return self.archives.again.lock().push_back(Again { append: again, burden, tries });
                }
                Err(error) => {
                    self.archives.failed.fetch_add(1, Relaxed);
                    self.complain(error);
                }
            }
            self.let_go(again.stanza.len());
        });
        self.store.append_archive(append, follow)
    }

    /// Tries again what the store did not take because it was away, in order, until it takes no more. To be called every
    /// few seconds.
    pub async fn retry_archives(&'static self) {
        loop {
            let Some(Again { append, burden, tries }) = self.archives.again.lock().pop_front() else {
                return;
            };
            if self.store_append(append, burden, tries + 1).await.is_err() {
                // It is the oldest still.
                let mut again = self.archives.again.lock();
                if let Some(failed) = again.pop_back() {
                    again.push_front(failed);
                }
                return;
            }
        }
    }

    fn let_go(&self, bytes: usize) {
        self.archives.storing.fetch_sub(1, SeqCst);
        self.archives.storing_bytes.fetch_sub(bytes, SeqCst);
    }

    /// Says that messages are not archived: one line in a while.
    fn complain(&self, why: &dyn std::fmt::Display) {
        let now_unix_s = (self.clock)().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let last = self.archives.complained_unix_s.load(Relaxed);
        let is_time = last == 0 || now_unix_s.saturating_sub(last) >= QUIET_S || now_unix_s < last;
        let ours = self.archives.complained_unix_s.compare_exchange(last, now_unix_s, Relaxed, Relaxed);
        if is_time && ours.is_ok() {
            log::warn!(target: "im:archive", "Messages are delivered but not archived: {why}");
        }
    }

    /// Resolves when all that is on its way into archives is there: a query sees what came before it.
    async fn archived(&self) -> Result<(), StoreError> {
        if self.archives.storing.load(SeqCst) == 0 {
            return Ok(());
        }
        self.store.flush().await
    }

    /// Forgets messages that are too old or too many, and those of accounts that are gone. To be called now and then.
    pub async fn trim_archives(&self) {
        let rules = self.limits.archive;
        let before =
            rules.age.map_or(i64::MIN, |age| unix_us((self.clock)().checked_sub(age).unwrap_or(UNIX_EPOCH)));
        let mut after = 0;
        loop {
            let messages_max = rules.messages_max.unwrap_or(u64::MAX);
            match self.store.trim_archives(after, before, messages_max, TRIMMED_AT_ONCE).await {
                Ok(trimmed) => {
                    self.archives.expired.fetch_add(trimmed.removed as u64, Relaxed);
                    let Some(next) = trimmed.next else { return };
                    after = next;
                }
                Err(error) => {
                    return log::warn!(target: "im:archive", "old messages stay in archives for now: {error}");
                }
            }
        }
    }
}

impl Archives {
    /// The counters now.
    pub fn snapshot(&self) -> ArchivesSnapshot {
        ArchivesSnapshot {
            stored: self.stored.load(Relaxed),
            refused: self.refused.load(Relaxed),
            failed: self.failed.load(Relaxed),
            storing: self.storing.load(Relaxed) as u64,
            queries: self.queries.load(Relaxed),
            given: self.given.load(Relaxed),
            expired: self.expired.load(Relaxed),
        }
    }

    /// An account is gone; another may get its address.
    pub(crate) fn forget(&self, account: &BareJid) {
        self.prefs.forget(account);
    }
}

/// An id that nobody can guess (XEP-0359, 3). Ids made after each other stand near each other, which the store's index
/// likes; what they tell of the time, the message tells itself.
fn fresh_id(now: SystemTime) -> ArchiveId {
    const TIME_BITS: u32 = 48;
    let unix_ms = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let chance = rand::random::<u128>() >> TIME_BITS;
    ArchiveId(((unix_ms << (u128::BITS - TIME_BITS)) | chance).to_be_bytes())
}

/// An id as clients see it.
pub(crate) fn id_text(id: ArchiveId) -> String {
    URL_SAFE_NO_PAD.encode(id.0)
}

/// What a client says is an id; `None` for what cannot be one of ours.
fn read_id(text: &str) -> Option<ArchiveId> {
    // 22 characters are 16 bytes.
    let bytes = if text.len() == 22 { URL_SAFE_NO_PAD.decode(text).ok()? } else { return None };
    bytes.try_into().ok().map(ArchiveId)
}

fn unix_us(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
