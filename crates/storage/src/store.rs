//! The operations of a store, and what they answer. No SQL, no thread, no runtime: any database can implement this.
//!
//! An operation is on its way as soon as its method is called, whether the answer is polled or not; giving up waiting
//! does not undo a change. The answer resolves on any runtime. A change is answered after it was committed to the
//! disk, and every question asked after that answer sees it.

use futures_util::future::BoxFuture;
use rjabberd_xmpp::address::BareJid;
use rjabberd_xmpp::sasl::Credentials;
use zeroize::Zeroizing;

use crate::error::StoreError;

/// The answer to an operation. Resolves on any runtime, and always: also if the store's thread is gone.
pub type Answer<T> = BoxFuture<'static, Result<T, StoreError>>;

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

/// The operations. Addresses come in normalised; one without a local part is no account.
///
/// Keys that cannot be right (none, no salt, a length that is not the hash's) are [`StoreError::Invalid`].
pub trait Store: Send + Sync + 'static {
    /// What a login needs, in one question; `None` if there is no such account.
    fn load_login(&self, account: &BareJid) -> Answer<Option<Login>>;

    /// Creates an account; [`StoreError::Conflict`] if it exists.
    fn create_account(&self, account: &BareJid, credentials: Credentials) -> Answer<()>;

    /// Replaces all keys of an account; [`StoreError::NotFound`].
    fn set_credentials(&self, account: &BareJid, credentials: Credentials) -> Answer<()>;

    /// Removes an account and all that belongs to it, in one transaction; [`StoreError::NotFound`].
    fn remove_account(&self, account: &BareJid) -> Answer<()>;

    /// Forbids an account to log in, or allows it again; [`StoreError::NotFound`].
    fn set_disabled(&self, account: &BareJid, disabled: bool) -> Answer<()>;

    /// Whether an account exists, disabled or not.
    fn account_exists(&self, account: &BareJid) -> Answer<bool>;

    /// Up to `limit` accounts (at most [`LIST_MAX`]) behind `after`, of one domain or of all, in the order of domain
    /// and local part. The page after the last is empty.
    fn list_accounts(
        &self,
        domain: Option<&str>,
        after: Option<&BareJid>,
        limit: usize,
    ) -> Answer<Vec<Account>>;

    /// Creates up to [`IMPORT_MAX`] accounts, all of them or, on an error, none. One that exists gets the new keys if
    /// `replace` says so, and is left alone otherwise.
    fn import_accounts(&self, batch: Vec<(BareJid, Credentials)>, replace: bool) -> Answer<ImportCounts>;

    /// 32 random bytes that were made once for this store: the secret behind the salts of unknown users.
    fn server_secret(&self) -> Answer<Zeroizing<Vec<u8>>>;

    /// Resolves when all changes that were asked for before it are answered.
    fn flush(&self) -> Answer<()>;
}
