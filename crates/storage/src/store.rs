//! The operations of a store, and what they answer. No SQL, no thread, no runtime: any database can implement this.
//!
//! An operation is on its way as soon as its method is called, whether the answer is polled or not; giving up waiting
//! does not undo a change. The answer resolves on any runtime. A change is answered after it was committed to the
//! disk, and every question asked after that answer sees it.

pub(crate) mod archive;
mod pep;
mod push;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use rjabberd_xmpp::Jid;
use rjabberd_xmpp::address::BareJid;
use rjabberd_xmpp::roster::{Act, RosterItem};
use rjabberd_xmpp::sasl::{ClientId, Credentials, KeyShape, ScramKeys, TokenChange, Tokens};
use zeroize::Zeroizing;

pub use self::pep::{
    PepAffiliation, PepChange, PepDeed, PepExpect, PepItem, PepItems, PepLast, PepLimits, PepNode, PepPick,
    PepStamp, PepStore,
};
pub use self::push::{PushRegistration, PushStore};
use crate::error::StoreError;
use archive::ArchiveStore;

/// The answer to an operation. Resolves on any runtime, and always: also if the store's thread is gone.
pub type Answer<T> = BoxFuture<'static, Result<T, StoreError>>;

/// What is to be done with the result of a change, before anybody else learns of it. Changes are followed in the order
/// in which they were committed, one at a time, after the commit, on a thread of the store: it must not block.
///
/// It is called once, whatever comes of the change: also when it failed, came too late or was lost with its group. Where
/// nothing was tried, because the queue is full or what was asked for makes no sense, it is called by the caller's
/// thread. If it panics, that is counted, and the answer is what it would have been.
pub type Follow<T> = Box<dyn FnOnce(&Result<T, StoreError>) + Send>;

/// Most accounts that one [`Store::import_accounts`] takes.
pub const IMPORT_MAX: usize = 5_000;

/// Most accounts that one [`Store::list_accounts`] gives.
pub const LIST_MAX: usize = 10_000;

/// What a login needs to know of an account.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Its keys; at least one.
    pub credentials: Credentials,
    /// Whether it may not log in. It answers like an unknown account, but it exists.
    pub disabled: bool,
}

/// An account as administration sees it: without its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its address.
    pub jid: BareJid,
    /// Whether it may not log in.
    pub disabled: bool,
    /// When it was created, in seconds since 1970.
    pub created_unix_s: i64,
    /// When its keys were last set, in seconds since 1970.
    pub credentials_set_unix_s: i64,
}

/// What became of the accounts of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportCounts {
    /// Accounts that did not exist before.
    pub created: usize,
    /// Accounts whose keys were replaced.
    pub replaced: usize,
    /// Accounts that existed and were left alone.
    pub skipped: usize,
}

/// The state of a roster, for comparison only (RFC 6121, 2.6): never that of another account's, also not of one that had
/// the same address before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RosterVersion {
    /// Which account, of all that there ever were.
    pub account: i64,
    /// Changes of its roster.
    pub changes: i64,
}

impl std::fmt::Display for RosterVersion {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}.{}", self.account, self.changes)
    }
}

/// What a session needs of its account to become available.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// The state of the roster.
    pub version: RosterVersion,
    /// Every contact, in the order of their addresses; also those that are not listed.
    pub items: Vec<RosterItem>,
    /// Requests for a subscription that were not answered (RFC 6121, 3.1.3): the stanzas, in the order in which they
    /// came.
    pub requests: Vec<Bytes>,
    /// SHA-1 of the photo in the vCard.
    pub avatar: Option<[u8; 20]>,
    /// Whether messages wait.
    pub has_offline: bool,
}

/// A part of what a change of rosters comes to, to be carried out in order.
///
/// The sender's own item is pushed first; then its stanza is delivered, and the contact's item pushed behind it, as the
/// RFC wants it (RFC 6121, 3.1.6, 3.2.3, 3.3.3); then what was answered on the contact's behalf arrives at the sender in
/// the same order. Whoever is hidden is so before the stanza that says so (3.2.2); whoever is shown, after it (3.1.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RosterEvent {
    /// An item of this account is another now, or was set to what it was; to be pushed if it is listed. The version is
    /// that of before if it is not.
    Changed {
        /// Whose roster.
        account: BareJid,
        /// The item as it is now.
        item: RosterItem,
        /// The roster's version with it.
        version: RosterVersion,
    },
    /// An item of this account is gone; to be pushed if it was listed.
    Removed {
        /// Whose roster.
        account: BareJid,
        /// The item as it was.
        item: RosterItem,
        /// The roster's version without it.
        version: RosterVersion,
    },
    /// A subscription stanza goes to the clients of `to`; to its server, where its domain is not one of ours.
    Deliver {
        /// Which.
        act: Act,
        /// Whose account it comes from.
        from: BareJid,
        /// Whose clients get it.
        to: BareJid,
        /// The stanza as its sender wrote it; `None` where the server speaks for an account.
        stanza: Option<Bytes>,
    },
    /// `to` may see the presence of `of` from now on.
    Granted {
        /// Who is seen.
        of: BareJid,
        /// Who sees.
        to: BareJid,
    },
    /// `to` may not see the presence of `of` any more.
    Revoked {
        /// Who was seen.
        of: BareJid,
        /// Who saw.
        to: BareJid,
    },
}

/// What a client sets of a roster item (RFC 6121, 2.1.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterEdit {
    /// The contact.
    pub jid: BareJid,
    /// The user's name for the contact.
    pub name: Option<String>,
    /// The user's groups, each once.
    pub groups: Vec<String>,
}

/// A subscription stanza on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionChange {
    /// Whose client sent it.
    pub account: BareJid,
    /// Whom it is for.
    pub contact: BareJid,
    /// Whether the contact's domain is one of ours: then the contact's roster changes too, and where there is no such
    /// account, a request is answered with `unsubscribed`: the sender is to learn of it (RFC 6121, 3.1.2), and must not
    /// go on asking whoever has that address later.
    pub is_here: bool,
    /// Which it is.
    pub act: Act,
    /// The stanza as its sender wrote it, between bare addresses.
    pub stanza: Bytes,
}

/// A message that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfflineMessage {
    /// Its place in the order of that account's messages; never used again.
    pub number: i64,
    /// When it was taken, in milliseconds since 1970.
    pub taken_unix_ms: i64,
    /// The stanza.
    pub stanza: Bytes,
}

/// How much one account may keep waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfflineLimits {
    /// Messages.
    pub messages_max: usize,
    /// Bytes of their stanzas.
    pub bytes_max: usize,
}

/// When an account was last available, and the status that it left with (XEP-0012).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastActivity {
    /// Seconds since 1970.
    pub left_unix_s: i64,
    /// The status of its last unavailable presence.
    pub status: Option<String>,
}

/// The operations. Addresses come in normalised; one without a local part is no account.
///
/// A store that lacks one says that it is not available: there are such stores in tests.
///
/// Keys that cannot be right (none, no salt, a length that is not the hash's) are [`StoreError::Invalid`].
pub trait Store: ArchiveStore + PepStore + PushStore + Send + Sync + 'static {
    /// What a login needs, in one question; `None` if there is no such account.
    fn load_login(&self, account: &BareJid) -> Answer<Option<Login>> {
        let _ = account;
        absent()
    }

    /// Creates an account; [`StoreError::Conflict`] if it exists.
    fn create_account(&self, account: &BareJid, credentials: Credentials) -> Answer<()> {
        let _ = (account, credentials);
        absent()
    }

    /// Replaces all keys of an account and ends its tokens; [`StoreError::NotFound`].
    fn set_credentials(&self, account: &BareJid, credentials: Credentials) -> Answer<()> {
        let _ = (account, credentials);
        absent()
    }

    /// Adds keys of the same password to those of an account, in the place of those for the same hash. `witness` is among
    /// the stored ones, or the password was changed meanwhile: [`StoreError::Conflict`]. Tokens go on.
    fn add_keys(&self, account: &BareJid, witness: ScramKeys, credentials: Credentials) -> Answer<()> {
        let _ = (account, witness, credentials);
        absent()
    }

    /// The tokens of one client of an account; `None` if there is no such account, or it may not log in.
    fn load_tokens(&self, account: &BareJid, client: ClientId) -> Answer<Option<Tokens>> {
        let _ = (account, client);
        absent()
    }

    /// Changes the tokens of one client of an account; [`StoreError::NotFound`] if there is no such account, or it may
    /// not log in, [`StoreError::Conflict`] if the used token is gone, or its count was seen meanwhile, or none of the
    /// witnesses is among the stored keys: the password was changed meanwhile. Where the token stands does not matter: a login beside this one may have made it the current one. An account keeps the tokens of at most
    /// `clients_max` clients (and of the one that gets a new token): those that were given out longest ago end.
    fn change_tokens(
        &self,
        account: &BareJid,
        client: ClientId,
        change: TokenChange,
        clients_max: usize,
    ) -> Answer<()> {
        let _ = (account, client, change, clients_max);
        absent()
    }

    /// Forgets up to `tokens_max` tokens that ended before that time; says how many it were.
    fn expire_tokens(&self, ended_before_unix_s: i64, tokens_max: usize) -> Answer<usize> {
        let _ = (ended_before_unix_s, tokens_max);
        absent()
    }

    /// Which keys the accounts of a domain have, by hash, iterations and length of the salt, the most common first; at most
    /// a thousand shapes. One account counts for each hash that it has keys for. Quick however many accounts there are.
    fn key_shapes(&self, domain: &str) -> Answer<Vec<KeyShape>> {
        let _ = domain;
        absent()
    }

    /// Removes an account and all that belongs to it, in one transaction; [`StoreError::NotFound`]. Its contacts get
    /// `unsubscribe` and `unsubscribed` from it, as far as their state says so (RFC 6121, A.3), and nobody here goes on
    /// approving a request of it that has not come (3.4). Of its own items there are no events.
    fn remove_account(
        &self,
        account: &BareJid,
        follow: Follow<Vec<RosterEvent>>,
    ) -> Answer<Vec<RosterEvent>> {
        let _ = account;
        refused(follow)
    }

    /// Forbids an account to log in, which ends its tokens, or allows it again; [`StoreError::NotFound`].
    fn set_disabled(&self, account: &BareJid, disabled: bool) -> Answer<()> {
        let _ = (account, disabled);
        absent()
    }

    /// Whether an account exists, disabled or not.
    fn account_exists(&self, account: &BareJid) -> Answer<bool> {
        let _ = account;
        absent()
    }

    /// Up to `limit` accounts (at most [`LIST_MAX`]) behind `after`, of one domain or of all, in the order of domain
    /// and local part. The page after the last is empty.
    fn list_accounts(
        &self,
        domain: Option<&str>,
        after: Option<&BareJid>,
        limit: usize,
    ) -> Answer<Vec<Account>> {
        let _ = (domain, after, limit);
        absent()
    }

    /// Creates up to [`IMPORT_MAX`] accounts, all of them or, on an error, none. One that exists gets the new keys if
    /// `replace` says so, and is left alone otherwise.
    fn import_accounts(&self, batch: Vec<(BareJid, Credentials)>, replace: bool) -> Answer<ImportCounts> {
        let _ = (batch, replace);
        absent()
    }

    /// 32 random bytes that were made once for this store: the secret behind the salts of unknown users.
    fn server_secret(&self) -> Answer<Zeroizing<Vec<u8>>> {
        absent()
    }

    /// What a session needs of its account; `None` if there is no such account.
    fn load_profile(&self, account: &BareJid) -> Answer<Option<Arc<Profile>>> {
        let _ = account;
        absent()
    }

    /// Adds an item to a roster or changes its name and groups; its subscription stays. [`StoreError::NotFound`];
    /// [`StoreError::Full`] where more than `items_max` would be listed. [`StoreError::Invalid`] if a group's name holds
    /// U+001F, which no XML can hold.
    fn set_roster_item(
        &self,
        account: &BareJid,
        edit: RosterEdit,
        items_max: usize,
        follow: Follow<Vec<RosterEvent>>,
    ) -> Answer<Vec<RosterEvent>> {
        let _ = (account, edit, items_max);
        refused(follow)
    }

    /// Removes an item from a roster and ends both subscriptions (RFC 6121, 2.5.2); [`StoreError::NotFound`] if there is
    /// no such item in it, or if it is not listed. What the contact asked for and was not answered is denied.
    fn remove_roster_item(
        &self,
        account: &BareJid,
        contact: &BareJid,
        follow: Follow<Vec<RosterEvent>>,
    ) -> Answer<Vec<RosterEvent>> {
        let _ = (account, contact);
        refused(follow)
    }

    /// Carries a subscription stanza out: changes the rosters of both (RFC 6121, A.2 and A.3), in one transaction.
    /// [`StoreError::NotFound`] if the sender has no account; [`StoreError::Invalid`] if it is the contact;
    /// [`StoreError::Full`], and neither side changes, where one of the rosters would list more than `items_max`
    /// contacts, or hold as many that are not listed, or 1 MiB of requests.
    fn change_subscription(
        &self,
        change: SubscriptionChange,
        items_max: usize,
        follow: Follow<Vec<RosterEvent>>,
    ) -> Answer<Vec<RosterEvent>> {
        let _ = (change, items_max);
        refused(follow)
    }

    /// Keeps a message until its account comes; [`StoreError::NotFound`], [`StoreError::Full`].
    fn append_offline(
        &self,
        account: &BareJid,
        stanza: Bytes,
        taken_unix_ms: i64,
        limits: OfflineLimits,
        follow: Follow<()>,
    ) -> Answer<()> {
        let _ = (account, stanza, taken_unix_ms, limits);
        refused(follow)
    }

    /// The messages of an account behind number `after` that wait, in order: as many as are not more than `bytes_max`
    /// together, but at least one.
    fn load_offline(&self, account: &BareJid, after: i64, bytes_max: usize) -> Answer<Vec<OfflineMessage>> {
        let _ = (account, after, bytes_max);
        absent()
    }

    /// Forgets the messages of an account up to this number; [`StoreError::NotFound`].
    fn delete_offline(&self, account: &BareJid, up_to: i64, follow: Follow<()>) -> Answer<()> {
        let _ = (account, up_to);
        refused(follow)
    }

    /// Forgets up to `messages_max` messages that were taken before that time, the oldest first; says how many it were.
    fn expire_offline(&self, taken_before_unix_ms: i64, messages_max: usize) -> Answer<usize> {
        let _ = (taken_before_unix_ms, messages_max);
        absent()
    }

    /// One element of private XML storage (XEP-0049), as it was kept.
    fn load_private(&self, account: &BareJid, name: &str, namespace: &str) -> Answer<Option<String>> {
        let _ = (account, name, namespace);
        absent()
    }

    /// Keeps elements of private XML storage, each as name, namespace and text; [`StoreError::NotFound`],
    /// [`StoreError::Full`] where all that an account has would be more than `bytes_max`.
    fn save_private(
        &self,
        account: &BareJid,
        elements: Vec<(String, String, String)>,
        bytes_max: usize,
    ) -> Answer<()> {
        let _ = (account, elements, bytes_max);
        absent()
    }

    /// The vCard of an account (XEP-0054); `None` also where there is no such account.
    fn load_vcard(&self, account: &BareJid) -> Answer<Option<String>> {
        let _ = account;
        absent()
    }

    /// Keeps a vCard, with the SHA-1 of its photo; [`StoreError::NotFound`].
    fn save_vcard(
        &self,
        account: &BareJid,
        vcard: String,
        avatar: Option<[u8; 20]>,
        follow: Follow<()>,
    ) -> Answer<()> {
        let _ = (account, vcard, avatar);
        refused(follow)
    }

    /// Who has blocked whom (XEP-0191): every account that blocks somebody.
    fn load_blocks(&self) -> Answer<Vec<(BareJid, Vec<Jid>)>> {
        absent()
    }

    /// Unblocks (`None`: everybody who was blocked), then blocks; gives the list as it is then, in order.
    /// [`StoreError::NotFound`]; [`StoreError::Full`] where it would be more than `blocks_max`.
    fn change_blocks(
        &self,
        account: &BareJid,
        block: Vec<Jid>,
        unblock: Option<Vec<Jid>>,
        blocks_max: usize,
        follow: Follow<Vec<Jid>>,
    ) -> Answer<Vec<Jid>> {
        let _ = (account, block, unblock, blocks_max);
        refused(follow)
    }

    /// When an account was last available; `None` if never, or if there is no such account.
    fn load_activity(&self, account: &BareJid) -> Answer<Option<LastActivity>> {
        let _ = account;
        absent()
    }

    /// Notes when accounts were last available; of those that do not exist, nothing.
    fn save_activities(&self, activities: Vec<(BareJid, LastActivity)>) -> Answer<()> {
        let _ = activities;
        absent()
    }

    /// Resolves when all changes that were asked for before it are answered.
    fn flush(&self) -> Answer<()> {
        absent()
    }
}

fn refused<T: Send + 'static>(follow: Follow<T>) -> Answer<T> {
    follow(&Err(StoreError::Unavailable("it has no such operation")));
    absent()
}

fn absent<T: Send + 'static>() -> Answer<T> {
    Box::pin(std::future::ready(Err(StoreError::Unavailable("it has no such operation"))))
}

/// A store that has nothing and takes nothing: as one that is away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Absent;

impl PepStore for Absent {}
impl PushStore for Absent {}

impl Store for Absent {}

impl ArchiveStore for Absent {}
