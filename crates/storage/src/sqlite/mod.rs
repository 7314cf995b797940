//! [`Store`] on an embedded SQLite database: one thread that writes in groups, a few that read.
//!
//! Entry points: [`SqliteStore::open`] (files, [`migrate`]), then each of the [`operations`] goes through a [`queue`] to
//! the [`writer`] or a [`reader`], which runs a function of its subject ([`accounts`], [`rosters`], [`offline`]...). No
//! caller ever waits for the disk: it has a future, and a full queue refuses at once; what was read lately is in a
//! [`cache`]. Why rusqlite: `docs/decisions/0002-store.md`.

mod accounts;
mod activity;
mod archive;
mod blocks;
mod cache;
mod connection;
mod migrate;
mod offline;
mod operations;
mod pep;
mod private;
mod profiles;
mod push;
mod queue;
mod reader;
mod roster_items;
mod rosters;
#[cfg(test)]
mod tests;
mod tokens;
mod vcards;
mod writer;

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::Connection;

use self::cache::{Cache, Caches, Changes};
use self::connection::{Access, Held};
use self::queue::Queue;
use self::reader::Reader;
use self::writer::Writer;
use crate::error::{OpenError, StoreError};
use crate::folder;
use crate::metrics::StoreMetrics;
use crate::store::{Answer, Follow};

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
    /// Most bytes of the keys that are kept in memory, some 800 for an account; 0 keeps none.
    pub logins_bytes_max: usize,
    /// Most bytes of the profiles that are kept in memory, some 10,000 for one of 50 contacts; 0 keeps none.
    pub profiles_bytes_max: usize,
}

impl Default for SqliteOptions {
    fn default() -> SqliteOptions {
        SqliteOptions {
            queue_max: 32_768,
            group_max: 256,
            readers: 2,
            deadline: Duration::from_secs(5),
            logins_bytes_max: 8 * 1024 * 1024,
            profiles_bytes_max: 16 * 1024 * 1024,
        }
    }
}

/// Accounts, and what belongs to them, in `rjabberd.sqlite`. The folder is to be held by a [`DataFolder`](crate::DataFolder) for as long.
///
/// Dropping it closes it.
pub struct SqliteStore {
    writes: Arc<Queue>,
    reads: Arc<Queue>,
    metrics: Arc<StoreMetrics>,
    caches: Arc<Caches>,
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
            caches: Arc::new(Caches {
                logins: Cache::new(options.logins_bytes_max),
                profiles: Cache::new(options.profiles_bytes_max),
            }),
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
        self.reads.ask(&self.metrics.reads, 1, Instant::now() + self.deadline, work, |result| result)
    }

    fn write<T, F>(&self, weight: usize, work: F) -> Answer<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.writes.ask(&self.metrics.writes, weight, Instant::now() + self.deadline, work, |result| result)
    }

    /// A write that notes which accounts it changes, and that is followed. The notes are held from before the commit
    /// until after it; then it is followed, then answered.
    fn change<T, F>(&self, weight: usize, follow: Option<Follow<T>>, work: F) -> Answer<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &mut Changes) -> Result<T, StoreError> + Send + 'static,
    {
        let (caches, metrics) = (Arc::clone(&self.caches), Arc::clone(&self.metrics));
        let work = move |connection: &Connection| {
            let mut changes = Changes::new(caches);
            let done = work(connection, &mut changes)?;
            Ok((done, changes))
        };
        let finish = move |result: Result<(T, Changes), StoreError>| {
            let result = result.map(|(done, _changes)| done);
            if let Some(follow) = follow {
                follow_result(&metrics, follow, &result);
            }
            result
        };
        self.writes.ask(&self.metrics.writes, weight, Instant::now() + self.deadline, work, finish)
    }

    /// Refuses a change that nobody needs to try.
    fn refuse<T: Send + 'static>(&self, follow: Option<Follow<T>>, error: StoreError) -> Answer<T> {
        let result = Err(error);
        if let Some(follow) = follow {
            follow_result(&self.metrics, follow, &result);
        }
        answered(result)
    }
}

/// Whatever the one who follows does, the store's thread goes on.
fn follow_result<T>(metrics: &StoreMetrics, follow: Follow<T>, result: &Result<T, StoreError>) {
    if catch_unwind(AssertUnwindSafe(|| follow(result))).is_err() {
        metrics.panicked();
        log::error!("what follows a change panicked; the store goes on");
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.close();
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
