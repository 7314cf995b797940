//! Accounts: passwords to keys, keys to the store, and the sessions of an account that changed to their end.
//!
//! The one place where a password becomes keys. Serves the control socket, the command line without a server, and
//! in-band registration. Derivation costs milliseconds, so it is handed to an [`Offload`]; nothing here blocks.
//! Invariant: a deed is answered after the store has committed it, and sessions end only after that.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use rjabberd_storage::{Account, ImportCounts, RosterEvent, Store, StoreError};
use rjabberd_xmpp::sasl::keys::{BadPassword, SALT_BYTES};
use rjabberd_xmpp::sasl::{Credentials, KeyPlan};
use rjabberd_xmpp::{BareJid, FullJid};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::config::{Config, Host};

/// Why something was not done with an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum AccountError {
    /// It exists already.
    #[error("the account exists already")]
    Exists,
    /// It does not exist.
    #[error("there is no such account")]
    Unknown,
    /// Its domain is none of ours.
    #[error("{0} is not one of the hosts of this server")]
    ForeignHost(String),
    /// The address has no local part.
    #[error("an account needs a name before the @")]
    NoName,
    /// The password is not acceptable.
    #[error("{BadPassword}")]
    BadPassword,
    /// Too many passwords wait to be derived.
    #[error("the server is busy: try again in a moment")]
    Busy,
    /// The store failed, or what was asked makes no sense to it.
    #[error("{0}")]
    Failed(String),
}

impl From<StoreError> for AccountError {
    fn from(error: StoreError) -> AccountError {
        match error {
            StoreError::Conflict => AccountError::Exists,
            StoreError::NotFound => AccountError::Unknown,
            other => AccountError::Failed(other.to_string()),
        }
    }
}

/// No thread of the pool is free, and no place in its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pool is full")]
pub struct PoolFull;

/// Threads for work that takes milliseconds.
pub trait Offload: Send + Sync {
    /// Has the job run on another thread, or refuses it.
    ///
    /// # Errors
    /// The queue is full.
    fn run(&self, job: Box<dyn FnOnce() + Send>) -> Result<(), PoolFull>;
}

/// A thread per job: for a command that does one thing and ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadPerJob;

impl Offload for ThreadPerJob {
    fn run(&self, job: Box<dyn FnOnce() + Send>) -> Result<(), PoolFull> {
        std::thread::Builder::new().name("derive".to_owned()).spawn(job).map(drop).map_err(|_| PoolFull)
    }
}

/// The sessions that live while accounts change. Each deed resolves when every session has been told.
pub trait LiveSessions: Send + Sync {
    /// The account is gone: end its sessions. `asker` asked for it himself and is owed his answer first.
    fn account_removed(&self, account: &BareJid, asker: Option<&FullJid>) -> BoxFuture<'static, ()>;
    /// The password was changed or the account disabled: end its sessions but that of `asker`, who did it.
    fn credentials_changed(&self, account: &BareJid, asker: Option<&FullJid>) -> BoxFuture<'static, ()>;
    /// The rosters of contacts have changed with the account's end. Called on a thread of the store.
    fn rosters_changed(&self, account: &BareJid, events: &[RosterEvent]);
}

/// Where no server runs there are no sessions.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSessions;

impl LiveSessions for NoSessions {
    fn account_removed(&self, _account: &BareJid, _asker: Option<&FullJid>) -> BoxFuture<'static, ()> {
        future::ready(()).boxed()
    }

    fn credentials_changed(&self, _account: &BareJid, _asker: Option<&FullJid>) -> BoxFuture<'static, ()> {
        future::ready(()).boxed()
    }

    fn rosters_changed(&self, _account: &BareJid, _events: &[RosterEvent]) {}
}

/// What administration can do with accounts: here with the store, or through the control socket of a server.
pub trait Operations: Send + Sync {
    /// Creates an account.
    fn add(&self, account: BareJid, password: Zeroizing<String>) -> Answer<()>;
    /// Sets a password and ends the account's sessions.
    fn set_password(&self, account: BareJid, password: Zeroizing<String>) -> Answer<()>;
    /// Removes an account and ends its sessions.
    fn remove(&self, account: BareJid) -> Answer<()>;
    /// Disables an account and ends its sessions, or enables it.
    fn set_disabled(&self, account: BareJid, disabled: bool) -> Answer<()>;
    /// One page of accounts behind `after`, of one domain or of all; the page after the last is empty.
    fn list(&self, domain: Option<String>, after: Option<BareJid>) -> Answer<Vec<Account>>;
    /// Creates accounts from keys, all in one transaction. Those that exist get the new keys (and lose their
    /// sessions) if `replace` says so, and are left alone otherwise.
    fn import(&self, batch: Vec<(BareJid, Credentials)>, replace: bool) -> Answer<ImportCounts>;
}

/// The answer to an operation.
pub type Answer<T> = BoxFuture<'static, Result<T, AccountError>>;

/// Accounts in one page of a list.
const PAGE: usize = 500;

/// Accounts over a store.
#[derive(Clone)]
pub struct Accounts {
    store: Arc<dyn Store>,
    /// Which keys are derived, by domain.
    plans: Arc<HashMap<String, KeyPlan>>,
    offload: Arc<dyn Offload>,
    live: Arc<dyn LiveSessions>,
}

impl Accounts {
    /// Accounts of the config's hosts.
    pub fn new(
        config: &Config,
        store: Arc<dyn Store>,
        offload: Arc<dyn Offload>,
        live: Arc<dyn LiveSessions>,
    ) -> Accounts {
        let plan = |host: &Host| (host.domain.clone(), host.key_plan(&config.auth));
        Accounts { store, plans: Arc::new(config.hosts.iter().map(plan).collect()), offload, live }
    }

    /// Creates an account.
    ///
    /// # Errors
    /// It exists, its host is none of ours, the password is bad, or the store fails.
    pub async fn create(&self, account: BareJid, password: Zeroizing<String>) -> Result<(), AccountError> {
        let credentials = self.derive(&account, password).await?;
        Ok(self.store.create_account(&account, credentials).await?)
    }

    /// Sets a password. All sessions end but that of `asker`, the owner who did it.
    ///
    /// # Errors
    /// There is no such account, the password is bad, or the store fails.
    pub async fn change_password(
        &self,
        account: BareJid,
        password: Zeroizing<String>,
        asker: Option<&FullJid>,
    ) -> Result<(), AccountError> {
        let credentials = self.derive(&account, password).await?;
        self.store.set_credentials(&account, credentials).await?;
        self.live.credentials_changed(&account, asker).await;
        Ok(())
    }

    /// Removes an account and ends its sessions, that of `asker` after his answer.
    ///
    /// # Errors
    /// There is no such account, or the store fails.
    pub async fn remove_for(&self, account: BareJid, asker: Option<FullJid>) -> Result<(), AccountError> {
        let (live, owner) = (self.live.clone(), account.clone());
        let follow = Box::new(move |events: &Result<Vec<RosterEvent>, StoreError>| {
            events.iter().for_each(|events| live.rosters_changed(&owner, events));
        });
        self.store.remove_account(&account, follow).await?;
        log::info!(target: "server:accounts", "Removed the account {account}");
        self.live.account_removed(&account, asker.as_ref()).await;
        Ok(())
    }

    async fn derive(
        &self,
        account: &BareJid,
        password: Zeroizing<String>,
    ) -> Result<Credentials, AccountError> {
        let (plan, owner) = (self.plan_of(account)?.clone(), account.clone());
        let (answer, derived) = oneshot::channel();
        self.offload
            .run(Box::new(move || {
                // Whoever asked may be gone by now.
                let _ = answer.send(derive(&owner, &password, &plan));
            }))
            .map_err(|PoolFull| AccountError::Busy)?;
        derived.await.unwrap_or(Err(AccountError::Busy))
    }

    fn plan_of(&self, account: &BareJid) -> Result<&KeyPlan, AccountError> {
        if account.node().is_none() {
            return Err(AccountError::NoName);
        }
        let domain = account.domain().as_str();
        self.plans.get(domain).ok_or_else(|| AccountError::ForeignHost(domain.to_owned()))
    }

    async fn import_batch(
        self,
        batch: Vec<(BareJid, Credentials)>,
        replace: bool,
    ) -> Result<ImportCounts, AccountError> {
        for (account, _) in &batch {
            self.plan_of(account)?;
        }
        let accounts: Vec<BareJid> =
            if replace { batch.iter().map(|(account, _)| account.clone()).collect() } else { Vec::new() };
        let counts = self.store.import_accounts(batch, replace).await?;
        for account in &accounts {
            self.live.credentials_changed(account, None).await;
        }
        Ok(counts)
    }
}

/// Keys of a password as planned, with fresh salts. Takes milliseconds.
///
/// # Errors
/// The password is not acceptable, or the system has no randomness.
pub fn derive(account: &BareJid, password: &str, plan: &KeyPlan) -> Result<Credentials, AccountError> {
    let mut random = Ok(());
    let derived = Credentials::derive(account, password, plan, || {
        let mut salt = [0; SALT_BYTES];
        if let Err(error) = getrandom::fill(&mut salt) {
            random = Err(AccountError::Failed(format!("the system has no randomness: {error}")));
        }
        salt
    });
    random?;
    derived.map_err(|BadPassword| AccountError::BadPassword)
}

impl Operations for Accounts {
    fn add(&self, account: BareJid, password: Zeroizing<String>) -> Answer<()> {
        let accounts = self.clone();
        async move { accounts.create(account, password).await }.boxed()
    }

    fn set_password(&self, account: BareJid, password: Zeroizing<String>) -> Answer<()> {
        let accounts = self.clone();
        async move { accounts.change_password(account, password, None).await }.boxed()
    }

    fn remove(&self, account: BareJid) -> Answer<()> {
        let accounts = self.clone();
        async move { accounts.remove_for(account, None).await }.boxed()
    }

    fn set_disabled(&self, account: BareJid, disabled: bool) -> Answer<()> {
        let accounts = self.clone();
        async move {
            accounts.store.set_disabled(&account, disabled).await?;
            if disabled {
                accounts.live.credentials_changed(&account, None).await;
            }
            Ok(())
        }
        .boxed()
    }

    fn list(&self, domain: Option<String>, after: Option<BareJid>) -> Answer<Vec<Account>> {
        let store = self.store.clone();
        async move { Ok(store.list_accounts(domain.as_deref(), after.as_ref(), PAGE).await?) }.boxed()
    }

    fn import(&self, batch: Vec<(BareJid, Credentials)>, replace: bool) -> Answer<ImportCounts> {
        self.clone().import_batch(batch, replace).boxed()
    }
}
