//! Messages for accounts that are away (XEP-0160): kept, and given once to the first session that wants messages.
//!
//! Order holds: from the moment a message is on its way into the store until it is there, what else comes for that
//! account goes the same way; and when it is there, a session that has come meanwhile holds what is newer back until it
//! has taken it ([`Pull`]). A message is forgotten when it was written to the client; what was not is there for the next
//! session. Invariant: one session at a time takes from an account's messages.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use dashmap::{DashMap, Entry};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rjabberd_session_manager::{Control, Seat, burden::carried};
use rjabberd_storage::{OfflineMessage, StoreError};
use rjabberd_xmpp::{
    BareJid, Condition, MessageType, Stanza, StanzaError, StanzaKind, delay::is_delayed_by, ns,
};

use crate::carbons;
use crate::hints::Hints;
use crate::services::store_error;
use crate::time::utc;
use crate::{Committed, Im};

/// Bytes of the messages that are taken from the store at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// Says in service discovery that messages wait here (XEP-0160, 4).
pub(crate) const OFFLINE_ANNOUNCED: &str = ns::OFFLINE;

/// Messages forgotten in one transaction because they are too old.
const EXPIRED_AT_ONCE: usize = 1_000;

/// The desks of all accounts for which messages are on their way, and what was counted.
#[derive(Default)]
pub struct Offline {
    /// Commits of messages so far: who becomes available sees by it whether one came meanwhile.
    pub(crate) commits: AtomicU64,
    /// Messages on their way into the store, for all accounts.
    storing: AtomicUsize,
    desks: DashMap<BareJid, Desk>,
    kept: AtomicU64,
    given: AtomicU64,
    refused: AtomicU64,
    expired: AtomicU64,
}

/// What has become of messages for accounts that were away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OfflineSnapshot {
    /// Kept.
    pub kept: u64,
    /// Written to a client.
    pub given: u64,
    /// Not kept, because the account has too many, does not exist, or the store failed; their senders were told.
    pub refused: u64,
    /// Forgotten because they were too old.
    pub expired: u64,
}

#[derive(Default)]
struct Desk {
    /// Messages on their way into the store.
    storing: usize,
    /// The generation of the session that takes.
    taker: Option<u64>,
    /// Something came since the taker looked.
    more: bool,
    /// The taker has all, and waits until it has arrived.
    arriving: bool,
    /// What was written to a client up to this number, and could not be forgotten.
    written: i64,
}

impl Desk {
    fn is_idle(&self) -> bool {
        self.storing == 0 && self.taker.is_none() && self.written == 0
    }
}

/// What becomes of a message for an account that is away.
pub enum Kept {
    /// It is on its way; resolves when it is committed, or has failed and its sender was told so.
    Committing(BoxFuture<'static, Committed>),
    /// It is not to be kept: the sender is told this.
    Refused(Condition),
    /// It says nothing to who is not there.
    Dropped,
}

/// What is left when the store has no more.
enum Rest {
    More,
    Arriving,
    Done,
}

/// How a message for an account that is away is to be treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Keep,
    Refuse,
    Drop,
}

/// Whether a message is one that is kept for who is away.
pub fn is_kept(message: &Stanza) -> bool {
    matches!(message.kind, StanzaKind::Message(MessageType::Chat | MessageType::Normal))
        && rule(message) == Rule::Keep
}

/// XEP-0160, 3 and XEP-0334, 4; messages of other types do not come here (RFC 6121, 8.5.2.2).
fn rule(message: &Stanza) -> Rule {
    let has = |name: &str, namespace: &str| message.child(name, namespace).is_some();
    let hints = Hints::of(message);
    let only_states = || {
        message.children().iter().all(|child| {
            child.namespace() == ns::CHAT_STATES
                || child.is("thread", ns::CLIENT)
                || child.namespace() == ns::HINTS
        })
    };
    let is_chat = message.kind == StanzaKind::Message(MessageType::Chat);
    if hints.no_store {
        if has("body", ns::CLIENT) { Rule::Refuse } else { Rule::Drop }
    } else if hints.store {
        Rule::Keep
    } else if message.children().is_empty() || (is_chat && only_states()) {
        Rule::Drop
    } else {
        Rule::Keep
    }
}

impl Im {
    /// Whether a message for the account goes the way of the store, though the account may be there: one before it does.
    /// One that is never kept has no such way.
    pub fn is_storing(&self, message: &Stanza, account: &BareJid) -> bool {
        // To ask whether the map is empty would be to lock each of its parts.
        self.offline.storing.load(SeqCst) > 0
            && self.offline.desks.get(account).is_some_and(|desk| desk.storing > 0)
            && rule(message) == Rule::Keep
    }

    /// Keeps a message of type normal or chat until its account comes.
    pub fn keep(&'static self, message: &Stanza, account: &BareJid) -> Kept {
        match rule(message) {
            Rule::Keep => {}
            Rule::Refuse => return Kept::Refused(Condition::ServiceUnavailable),
            Rule::Drop => return Kept::Dropped,
        }
        if self.outlet.table().is_guest(account) {
            // Who has no account when he is gone has nothing that waits (XEP-0175, 3).
            return Kept::Refused(Condition::ServiceUnavailable);
        }
        self.offline.storing.fetch_add(1, SeqCst);
        self.offline.desks.entry(account.clone()).or_default().storing += 1;
        let envelope = message.envelope();
        // Who has seen the message is to see that it was refused.
        let is_copied = self.carbons.in_use() && carbons::is_copied(message);
        let written = Bytes::from(message.written());
        let (owner, hint) = (account.clone(), self.hint(account, message));
        let burden = carried();
        let follow = Box::new(move |result: &Result<(), StoreError>| {
            if let Err(error) = result {
                self.refuse(&envelope, error, is_copied);
            }
            self.kept(&owner, result);
            // In the store, or its sender was told so.
            drop(burden);
            if let (Ok(()), Some(hint)) = (result, hint) {
                self.push_hinted(&owner, hint);
            }
        });
        let now_ms = unix_ms((self.clock)());
        let answer = self.store.append_offline(account, written, now_ms, self.limits.offline, follow);
        Kept::Committing(answer.map(|answer| Committed::of(&answer)).boxed())
    }

    /// Resolves when all that came to a session that ends is where it goes instead, committed if that is the store.
    pub fn settled(&'static self, seat: Arc<Seat>) -> BoxFuture<'static, Committed> {
        async move {
            poll_fn(|context| seat.poll_finished(context)).await;
            // Where the store does not answer, senders have been told so.
            Committed::of(&self.store.flush().await)
        }
        .boxed()
    }

    /// Tells the sender of a message that it will never be in the store.
    fn refuse(&self, message: &Stanza, error: &StoreError, is_copied: bool) {
        self.offline.refused.fetch_add(1, Relaxed);
        let error = message.error(&refusal(error));
        let sender = message.from.as_ref().and_then(|from| from.try_as_full().ok());
        let (Some(sender), Some(error)) = (sender, error) else { return };
        if is_copied {
            self.copy_received(&error, &sender.to_bare(), |_, seat| seat.jid() == sender);
        }
        self.outlet.give(sender, error);
    }

    /// A message is in the store, or will never be.
    fn kept(&'static self, account: &BareJid, result: &Result<(), StoreError>) {
        if result.is_ok() {
            self.offline.kept.fetch_add(1, Relaxed);
            self.offline.commits.fetch_add(1, SeqCst);
        }
        let Entry::Occupied(mut desk) = self.offline.desks.entry(account.clone()) else {
            log::error!(target: "im:offline", "a message for {account} was kept at no desk");
            self.offline.storing.fetch_sub(1, SeqCst);
            return;
        };
        if desk.get().taker.is_some() && !desk.get().arriving {
            desk.get_mut().more = true;
        } else if result.is_ok() {
            // Before the way through the store is closed for what is newer.
            self.call_taker(account);
        }
        desk.get_mut().storing -= 1;
        self.offline.storing.fetch_sub(1, SeqCst);
        if desk.get().is_idle() {
            desk.remove();
        }
    }

    /// Has the session that wants messages most take what waits, and hold back what is newer until then.
    fn call_taker(&self, account: &BareJid) {
        let seats = self.outlet.table().seats(account);
        let wanting = seats.iter().filter(|seat| seat.priority() >= Some(0));
        if let Some(seat) = wanting.max_by_key(|seat| (seat.priority(), seat.generation())) {
            seat.hold_for_older();
            seat.control(Control::TakeOffline);
        }
    }

    /// The session is to take what waits; `None` where another does, or it does not want messages any more.
    pub fn take_offline(&'static self, seat: &Arc<Seat>) -> Option<Box<Pull>> {
        if seat.priority() < Some(0) {
            return None;
        }
        let account = seat.jid().to_bare();
        let mut desk = self.offline.desks.entry(account.clone()).or_default();
        if desk.taker.is_some() {
            return None;
        }
        (desk.taker, desk.arriving) = (Some(seat.generation()), false);
        let after = desk.written;
        drop(desk);
        // What has arrived and is not forgotten yet is forgotten with the first piece.
        Some(Box::new(Pull {
            im: self,
            account,
            generation: seat.generation(),
            after,
            given: 0,
            forgotten: 0,
            count: 0,
        }))
    }

    /// Forgets messages that have waited too long. To be called now and then.
    pub async fn expire_offline(&self) {
        let age = self.limits.offline_age;
        let before = unix_ms((self.clock)().checked_sub(age).unwrap_or(UNIX_EPOCH));
        loop {
            match self.store.expire_offline(before, EXPIRED_AT_ONCE).await {
                Ok(count) => {
                    self.offline.expired.fetch_add(count as u64, Relaxed);
                    if count < EXPIRED_AT_ONCE {
                        return;
                    }
                }
                Err(error) => {
                    return log::warn!(target: "im:offline", "old messages stay for now: {error}");
                }
            }
        }
    }
}

impl Im {
    /// The messages of an account up to that number have arrived, and nobody takes any for the moment.
    pub fn offline_arrived(&'static self, account: &BareJid, number: i64) {
        if number == 0 {
            return;
        }
        if let Some(mut desk) = self.offline.desks.get_mut(account) {
            desk.written = desk.written.max(number);
        }
        let owner = account.clone();
        let follow = Box::new(move |forgotten: &Result<(), StoreError>| {
            if forgotten.is_ok() {
                self.forgotten(&owner, number);
            }
        });
        drop(self.store.delete_offline(account, number, follow));
    }

    /// What was written up to that number is out of the store.
    fn forgotten(&self, account: &BareJid, number: i64) {
        let Entry::Occupied(mut desk) = self.offline.desks.entry(account.clone()) else { return };
        if desk.get().written <= number {
            desk.get_mut().written = 0;
        }
        if desk.get().is_idle() {
            desk.remove();
        }
    }
}

impl Offline {
    /// The counters now.
    pub fn snapshot(&self) -> OfflineSnapshot {
        OfflineSnapshot {
            kept: self.kept.load(Relaxed),
            given: self.given.load(Relaxed),
            refused: self.refused.load(Relaxed),
            expired: self.expired.load(Relaxed),
        }
    }
}

/// RFC 6121, 8.5.1 and 8.5.2.2.1: no account and no room are `service-unavailable`; a store that is away is no final word.
fn refusal(error: &StoreError) -> StanzaError {
    match error {
        StoreError::NotFound => StanzaError::new(Condition::ServiceUnavailable),
        StoreError::Full => StanzaError::new(Condition::ServiceUnavailable)
            .with_text("Too many messages wait for this account."),
        error => store_error(error.clone()),
    }
}

fn unix_ms(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A session that takes an account's messages, piece by piece: the next one when the piece before is written. A message is
/// forgotten when it has arrived, which may be later.
pub struct Pull {
    im: &'static Im,
    account: BareJid,
    generation: u64,
    /// Looked at up to this number.
    after: i64,
    /// The last of them that was given to the session.
    given: i64,
    /// Forgotten up to this number, or given and forgotten by somebody before.
    forgotten: i64,
    /// Messages given that were not counted yet.
    count: u64,
}

/// What comes of asking for the next piece.
pub enum Pulled {
    /// Messages with their numbers, in order, and where the next are.
    Piece(Vec<(i64, Stanza)>, Box<Pull>),
    /// There are no more for now, but not all have arrived: to be asked again when they have, or when more came.
    Arriving(Box<Pull>),
    /// There are no more.
    Done,
    /// The store did not answer: to be tried again later.
    Failed,
}

impl Pull {
    /// Another connection of the session was given all up to that number.
    pub fn go_on_behind(&mut self, number: i64) {
        self.after = self.after.max(number);
    }

    /// The session ends: of what it was given, messages have arrived up to that number.
    pub fn ends_with(&self, arrived: i64) {
        let number = self.done(arrived);
        if number > self.forgotten {
            self.im.offline_arrived(&self.account, number);
        }
    }

    /// Up to which number nothing is left to do: what was not given has nowhere to arrive.
    fn done(&self, arrived: i64) -> i64 {
        if arrived >= self.given { self.after } else { arrived }
    }

    /// The next messages; those up to that number have arrived.
    pub fn piece(mut self: Box<Self>, arrived: i64) -> BoxFuture<'static, Pulled> {
        async move {
            loop {
                let up_to = self.done(arrived);
                if up_to > self.forgotten
                    && let Err(error) = self.forget(up_to).await
                {
                    return self.fail(&error);
                }
                match self.im.store.load_offline(&self.account, self.after, PIECE_BYTES).await {
                    Err(error) => return self.fail(&error),
                    Ok(messages) => match messages.last() {
                        None => match self.rests(arrived) {
                            Rest::More => {}
                            Rest::Arriving => return Pulled::Arriving(self),
                            Rest::Done => return Pulled::Done,
                        },
                        Some(last) => {
                            self.after = last.number;
                            self.count += messages.len() as u64;
                            let numbered =
                                |message: OfflineMessage| Some((message.number, self.late(message)?));
                            let stanzas: Vec<_> = messages.into_iter().filter_map(numbered).collect();
                            if let Some((number, _)) = stanzas.last() {
                                self.given = *number;
                                return Pulled::Piece(stanzas, self);
                            }
                        }
                    },
                }
            }
        }
        .boxed()
    }

    async fn forget(&mut self, up_to: i64) -> Result<(), StoreError> {
        // What has arrived already is not written again to the next who takes, also where this session ends before the
        // store has answered.
        self.im.offline.desks.entry(self.account.clone()).or_default().written = up_to;
        let (im, account) = (self.im, self.account.clone());
        let follow = Box::new(move |forgotten: &Result<(), StoreError>| {
            if forgotten.is_ok() {
                im.forgotten(&account, up_to);
            }
        });
        let forgotten = self.im.store.delete_offline(&self.account, up_to, follow).await;
        self.im.offline.given.fetch_add(std::mem::take(&mut self.count), Relaxed);
        self.forgotten = up_to;
        forgotten
    }

    /// The store has no more: whether something has come since the last look, or not all has arrived. Otherwise nobody
    /// takes any more.
    fn rests(&mut self, arrived: i64) -> Rest {
        let Entry::Occupied(mut desk) = self.im.offline.desks.entry(self.account.clone()) else {
            return Rest::Done;
        };
        if std::mem::take(&mut desk.get_mut().more) {
            return Rest::More;
        }
        if arrived < self.given {
            desk.get_mut().arriving = true;
            return Rest::Arriving;
        }
        self.generation = 0;
        desk.get_mut().taker = None;
        if desk.get().is_idle() {
            desk.remove();
        }
        Rest::Done
    }

    fn fail(&mut self, error: &StoreError) -> Pulled {
        log::warn!(target: "im:offline", "messages of {} wait on: {error}", self.account);
        self.let_go();
        Pulled::Failed
    }

    fn let_go(&mut self) -> bool {
        let generation = std::mem::take(&mut self.generation);
        let Entry::Occupied(mut desk) = self.im.offline.desks.entry(self.account.clone()) else {
            return false;
        };
        if generation == 0 || desk.get().taker != Some(generation) {
            return false;
        }
        (desk.get_mut().taker, desk.get_mut().more, desk.get_mut().arriving) = (None, false, false);
        if desk.get().is_idle() {
            desk.remove();
        }
        true
    }

    /// A message as the client gets it: with the time at which it was taken (XEP-0160, 3; XEP-0203, 4).
    fn late(&self, message: OfflineMessage) -> Option<Stanza> {
        let Some(stanza) = Stanza::from_written(message.stanza) else {
            log::error!(target: "im:offline", "message {} of {} is not readable", message.number, self.account);
            return None;
        };
        let is_blocked =
            stanza.from.as_ref().is_some_and(|from| self.im.blocklists.blocks(&self.account, from));
        if is_blocked {
            return None;
        }
        let domain = self.account.domain().as_str();
        if is_delayed_by(&stanza, domain) {
            // It had waited for a session before it came here.
            return Some(stanza);
        }
        let taken =
            UNIX_EPOCH + std::time::Duration::from_millis(u64::try_from(message.taken_unix_ms).unwrap_or(0));
        let delay = rjabberd_xml::Element::new("delay", ns::DELAY)
            .with_attribute("from", domain)
            .with_attribute("stamp", utc(taken))
            .with_text("Offline Storage");
        Some(stanza.with_child(&delay))
    }
}

impl Drop for Pull {
    /// The session ends before it has taken everything: another one does, if there is one.
    fn drop(&mut self) {
        if self.let_go() {
            self.im.call_taker(&self.account);
        }
    }
}
