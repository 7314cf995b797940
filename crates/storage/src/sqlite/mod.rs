//! [`Store`] on an embedded SQLite database: one thread that writes in groups, a few that read.
//!
//! Entry points: [`SqliteStore::open`] (files, [`migrate`]), then each operation goes through a [`queue`] to the
//! [`writer`] or a [`reader`], which runs a function of [`accounts`]. No caller ever waits for the disk: it has a
//! future, and a full queue refuses at once. Why rusqlite: `docs/decisions/0002-store.md`.

mod accounts;
mod connection;
mod logins;
mod migrate;
mod queue;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::iter::once;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use parking_lot::Mutex;
use rjabberd_xmpp::Jid;
use rjabberd_xmpp::address::BareJid;
use rjabberd_xmpp::sasl::Credentials;
use rusqlite::Connection;
use zeroize::Zeroizing;

use self::accounts::Key;
use self::connection::{Access, Held};
use self::logins::Logins;
use self::queue::Queue;
use self::reader::Reader;
use self::writer::Writer;
use crate::error::{OpenError, StoreError};
use crate::folder;
use crate::metrics::StoreMetrics;
use crate::store::{
    Account, Answer, Follow, IMPORT_MAX, ImportCounts, LIST_MAX, LastActivity, Login, OfflineLimits,
    OfflineMessage, Profile, RosterEdit, RosterEvent, Store, SubscriptionChange,
};

/// Name of the database in the data folder.
pub const DATABASE_FILE: &str = "rjabberd.sqlite";

/// Bytes of the server's secret.
const SECRET_BYTES: usize = 32;

/// How a [`SqliteStore`] works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteOptions {
    /// Most operations that wait for the writer, and as many again for the readers; the next one is refused.
    pub queue_max: usize,
    /// Most operations in one transaction.
    pub group_max: usize,
    /// Threads that read.
    pub readers: usize,
    /// How long an operation may wait for its turn.
    pub deadline: Duration,
    /// Most accounts whose keys are kept in memory, some 800 bytes each; 0 keeps none.
    pub logins_max: usize,
}

impl Default for SqliteOptions {
    fn default() -> SqliteOptions {
        SqliteOptions {
            queue_max: 4_096,
            group_max: 256,
            readers: 2,
            deadline: Duration::from_secs(5),
            logins_max: 8_192,
        }
    }
}

/// Accounts in `rjabberd.sqlite`. The folder is to be held by a [`DataFolder`](crate::DataFolder) for as long.
///
/// Dropping it closes it.
pub struct SqliteStore {
    writes: Arc<Queue>,
    reads: Arc<Queue>,
    metrics: Arc<StoreMetrics>,
    logins: Arc<Logins>,
    deadline: Duration,
    threads: Mutex<Threads>,
}

#[derive(Default)]
struct Threads {
    readers: Vec<JoinHandle<()>>,
    writer: Option<JoinHandle<()>>,
}

impl SqliteStore {
    /// Opens the database in `folder`, makes it if there is none, and migrates it if it is older. Blocks.
    pub fn open(folder: &Path, options: SqliteOptions) -> Result<SqliteStore, OpenError> {
        let path = folder.join(DATABASE_FILE);
        let connection = open_database(&path)?;
        let metrics = Arc::new(StoreMetrics::default());
        let store = SqliteStore {
            writes: Queue::new(options.queue_max),
            reads: Queue::new(options.queue_max),
            metrics: Arc::clone(&metrics),
            logins: Logins::new(options.logins_max),
            deadline: options.deadline,
            threads: Mutex::default(),
        };
        let mut writer = Writer {
            queue: Arc::clone(&store.writes),
            metrics: Arc::clone(&metrics),
            held: Held::new(path.clone(), Access::Write, Some(connection)),
            group_max: options.group_max,
        };
        // From here on an error drops `store`, which ends the threads that were started.
        store.threads.lock().writer = Some(start("store-writer".to_owned(), move || writer.run())?);
        for number in 0..options.readers.max(1) {
            let mut reader = Reader {
                queue: Arc::clone(&store.reads),
                metrics: Arc::clone(&metrics),
                held: Held::new(path.clone(), Access::Read, None),
            };
            let thread = start(format!("store-reader-{number}"), move || reader.run())?;
            store.threads.lock().readers.push(thread);
        }
        Ok(store)
    }

    /// The counters; they stay readable after the store is closed.
    pub fn metrics(&self) -> Arc<StoreMetrics> {
        Arc::clone(&self.metrics)
    }

    /// Takes nothing more, does and answers what is queued, and closes the files. Blocks. Doing it twice is harmless.
    pub fn close(&self) {
        self.reads.close();
        self.writes.close_to_callers();
        let mut threads = self.threads.lock();
        // A thread's panic was logged where it happened.
        threads.readers.drain(..).for_each(|thread| drop(thread.join()));
        // The writer last: its connection is the one that can put the log into the database and remove it.
        self.writes.close();
        threads.writer.take().into_iter().for_each(|thread| drop(thread.join()));
    }

    fn read<T, F>(&self, work: F) -> Answer<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.reads.ask(&self.metrics.reads, 1, Instant::now() + self.deadline, work)
    }

    fn write<T, F>(&self, weight: usize, work: F) -> Answer<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.writes.ask(&self.metrics.writes, weight, Instant::now() + self.deadline, work)
    }

    /// A write after which a login of these accounts may read something else. The writer holds the note of it until the
    /// result is settled: after the commit.
    fn change<'a, T, F>(
        &self,
        accounts: impl Iterator<Item = &'a BareJid>,
        weight: usize,
        work: F,
    ) -> Answer<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let changing = self.logins.changing(accounts);
        let answer = self.write(weight, move |connection| work(connection).map(|done| (done, changing)));
        Box::pin(async move { answer.await.map(|(done, _changing)| done) })
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.close();
    }
}

impl Store for SqliteStore {
    fn load_login(&self, account: &BareJid) -> Answer<Option<Login>> {
        match Key::new(account) {
            Some(key) => {
                if let Some(login) = self.logins.get(account) {
                    return answered(Ok(Some(login)));
                }
                let (logins, account, moment) = (self.logins.clone(), account.clone(), self.logins.now());
                self.read(move |connection| {
                    let login = accounts::load_login(connection, &key)?;
                    if let Some(login) = &login {
                        logins.keep(account, login.clone(), moment);
                    }
                    Ok(login)
                })
            }
            None => answered(Ok(None)),
        }
    }

    fn create_account(&self, account: &BareJid, credentials: Credentials) -> Answer<()> {
        match checked(account, &credentials) {
            Ok(key) => self
                .write(1, move |connection| accounts::create(connection, &key, &credentials, now_unix_s())),
            Err(error) => answered(Err(error)),
        }
    }

    fn set_credentials(&self, account: &BareJid, credentials: Credentials) -> Answer<()> {
        match checked(account, &credentials) {
            Ok(key) => self.change(once(account), 1, move |connection| {
                accounts::set_credentials(connection, &key, &credentials, now_unix_s())
            }),
            Err(error) => answered(Err(error)),
        }
    }

    fn remove_account(
        &self,
        account: &BareJid,
        _follow: Follow<Vec<RosterEvent>>,
    ) -> Answer<Vec<RosterEvent>> {
        match Key::new(account) {
            Some(key) => self.change(once(account), 1, move |connection| {
                accounts::remove(connection, &key).map(|()| Vec::new())
            }),
            None => answered(Err(StoreError::NotFound)),
        }
    }

    fn set_disabled(&self, account: &BareJid, disabled: bool) -> Answer<()> {
        match Key::new(account) {
            Some(key) => self.change(once(account), 1, move |connection| {
                accounts::set_disabled(connection, &key, disabled)
            }),
            None => answered(Err(StoreError::NotFound)),
        }
    }

    fn account_exists(&self, account: &BareJid) -> Answer<bool> {
        match Key::new(account) {
            Some(key) => self.read(move |connection| accounts::exists(connection, &key)),
            None => answered(Ok(false)),
        }
    }

    fn list_accounts(
        &self,
        domain: Option<&str>,
        after: Option<&BareJid>,
        limit: usize,
    ) -> Answer<Vec<Account>> {
        if limit > LIST_MAX {
            return answered(Err(StoreError::Invalid(format!("a page holds at most {LIST_MAX} accounts"))));
        }
        let Ok(after) = after.map(|jid| Key::new(jid).ok_or(())).transpose() else {
            return answered(Err(no_account()));
        };
        let domain = domain.map(str::to_owned);
        self.read(move |connection| accounts::list(connection, domain.as_deref(), after.as_ref(), limit))
    }

    fn import_accounts(&self, batch: Vec<(BareJid, Credentials)>, replace: bool) -> Answer<ImportCounts> {
        if batch.len() > IMPORT_MAX {
            let error = StoreError::Invalid(format!("a batch holds at most {IMPORT_MAX} accounts"));
            return answered(Err(error));
        }
        let accounts: Vec<BareJid> = batch.iter().map(|(jid, _)| jid.clone()).collect();
        let batch: Result<Vec<_>, StoreError> =
            batch.into_iter().map(|(jid, keys)| checked(&jid, &keys).map(|key| (key, keys))).collect();
        match batch {
            Ok(batch) => self.change(accounts.iter(), batch.len().max(1), move |connection| {
                accounts::import(connection, &batch, replace, now_unix_s())
            }),
            Err(error) => answered(Err(error)),
        }
    }

    fn server_secret(&self) -> Answer<Zeroizing<Vec<u8>>> {
        self.read(accounts::server_secret)
    }

    fn load_profile(&self, _account: &BareJid) -> Answer<Option<Arc<Profile>>> {
        answered(Err(StoreError::Unavailable("not yet")))
    }

    fn set_roster_item(
        &self,
        _account: &BareJid,
        _edit: RosterEdit,
        _items_max: usize,
        _follow: Follow<Vec<RosterEvent>>,
    ) -> Answer<Vec<RosterEvent>> {
        answered(Err(StoreError::Unavailable("not yet")))
    }

    fn remove_roster_item(
        &self,
        _account: &BareJid,
        _contact: &BareJid,
        _follow: Follow<Vec<RosterEvent>>,
    ) -> Answer<Vec<RosterEvent>> {
        answered(Err(StoreError::Unavailable("not yet")))
    }

    fn change_subscription(
        &self,
        _change: SubscriptionChange,
        _items_max: usize,
        _follow: Follow<Vec<RosterEvent>>,
    ) -> Answer<Vec<RosterEvent>> {
        answered(Err(StoreError::Unavailable("not yet")))
    }

    fn append_offline(
        &self,
        _account: &BareJid,
        _stanza: Bytes,
        _taken_unix_ms: i64,
        _limits: OfflineLimits,
        _follow: Follow<()>,
    ) -> Answer<()> {
        answered(Err(StoreError::Unavailable("not yet")))
    }

    fn load_offline(
        &self,
        _account: &BareJid,
        _after: i64,
        _bytes_max: usize,
    ) -> Answer<Vec<OfflineMessage>> {
        answered(Err(StoreError::Unavailable("not yet")))
    }

    fn delete_offline(&self, _account: &BareJid, _up_to: i64, _follow: Follow<()>) -> Answer<()> {
        answered(Err(StoreError::Unavailable("not yet")))
    }

    fn expire_offline(&self, _taken_before_unix_ms: i64, _messages_max: usize) -> Answer<usize> {
        answered(Err(StoreError::Unavailable("not yet")))
    }

    fn load_private(&self, _account: &BareJid, _name: &str, _namespace: &str) -> Answer<Option<String>> {
        answered(Err(StoreError::Unavailable("not yet")))
    }

    fn save_private(
        &self,
        _account: &BareJid,
        _elements: Vec<(String, String, String)>,
        _bytes_max: usize,
    ) -> Answer<()> {
        answered(Err(StoreError::Unavailable("not yet")))
    }

    fn load_vcard(&self, _account: &BareJid) -> Answer<Option<String>> {
        answered(Err(StoreError::Unavailable("not yet")))
    }

    fn save_vcard(
        &self,
        _account: &BareJid,
        _vcard: String,
        _avatar: Option<[u8; 20]>,
        _follow: Follow<()>,
    ) -> Answer<()> {
        answered(Err(StoreError::Unavailable("not yet")))
    }

    fn load_blocks(&self) -> Answer<Vec<(BareJid, Vec<Jid>)>> {
        answered(Ok(Vec::new()))
    }

    fn change_blocks(
        &self,
        _account: &BareJid,
        _block: Vec<Jid>,
        _unblock: Option<Vec<Jid>>,
        _blocks_max: usize,
        _follow: Follow<Vec<Jid>>,
    ) -> Answer<Vec<Jid>> {
        answered(Err(StoreError::Unavailable("not yet")))
    }

    fn load_activity(&self, _account: &BareJid) -> Answer<Option<LastActivity>> {
        answered(Err(StoreError::Unavailable("not yet")))
    }

    fn save_activities(&self, _activities: Vec<(BareJid, LastActivity)>) -> Answer<()> {
        answered(Err(StoreError::Unavailable("not yet")))
    }

    fn flush(&self) -> Answer<()> {
        self.write(1, |_| Ok(()))
    }
}

/// Starts a thread that outlives a panic of its work: what it held is answered by the drop, and it goes on.
fn start(name: String, mut work: impl FnMut() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.clone()).spawn(move || {
        while catch_unwind(AssertUnwindSafe(&mut work)).is_err() {
            log::error!("{name}: a panic outside of an operation; the thread goes on");
        }
    })
}

fn answered<T: Send + 'static>(result: Result<T, StoreError>) -> Answer<T> {
    Box::pin(std::future::ready(result))
}

fn checked(account: &BareJid, credentials: &Credentials) -> Result<Key, StoreError> {
    accounts::check(account, credentials)?;
    Key::new(account).ok_or_else(no_account)
}

fn no_account() -> StoreError {
    StoreError::Invalid("an account's address has a local part".to_owned())
}

fn now_unix_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Opens, or makes, the database and brings it up to date.
fn open_database(path: &Path) -> Result<Connection, OpenError> {
    prepare_files(path)?;
    let sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let mut connection = connection::create(path).map_err(sqlite)?;
    migrate::found_schema(&connection, path, migrate::MIGRATIONS.len())?;
    connection::prepare_writer(&connection).map_err(sqlite)?;
    migrate::migrate(&mut connection, path, migrate::MIGRATIONS)?;
    accounts::make_server_secret(&connection, &crate::random::bytes(SECRET_BYTES)?).map_err(sqlite)?;
    Ok(connection)
}

/// Makes the database file with the permissions that SQLite then gives to the files beside it, and sees that all of
/// them can be written: SQLite's own message would not say which one, nor why.
fn prepare_files(path: &Path) -> Result<(), OpenError> {
    let failed = |path: &Path, error: &io::Error| OpenError::File {
        path: path.to_owned(),
        reason: folder::explain(path, error),
    };
    let is_new = !path.exists();
    private_file(path).map_err(|error| failed(path, &error))?;
    if is_new {
        let folder = path.parent().unwrap_or(Path::new("."));
        sync_folder(folder).map_err(|error| failed(folder, &error))?;
    }
    for suffix in ["-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let beside = PathBuf::from(name);
        if beside.exists() {
            private_file(&beside).map_err(|error| failed(&beside, &error))?;
        }
    }
    Ok(())
}

/// Opens a file for writing, made if there is none, that nobody but its owner can read.
fn private_file(path: &Path) -> io::Result<File> {
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
