//! [`Store`](crate::Store) on a database that speaks SQL: one thread that writes in groups, a few that read.
//!
//! Each of the [`operations`] goes through a [`queue`] to the [`writer`] or a [`reader`], which runs a function of its
//! subject ([`accounts`], [`rosters`], [`offline`]...) on its [`connection`]. No caller ever waits for the database: it has
//! a future, and a full queue refuses at once; what was read lately is in a [`cache`]. Which database it is, how it is
//! opened and what its tables are stands in [`sqlite`](crate::sqlite) and [`postgres`](crate::postgres).

pub(crate) mod accounts;
pub(crate) mod activity;
pub(crate) mod archive;
pub(crate) mod blocks;
pub(crate) mod cache;
pub(crate) mod connection;
pub(crate) mod held;
pub(crate) mod offline;
mod operations;
pub(crate) mod pep;
pub(crate) mod private;
pub(crate) mod profiles;
pub(crate) mod push;
pub(crate) mod queue;
mod reader;
pub(crate) mod roster_items;
pub(crate) mod rosters;
pub(crate) mod tokens;
pub(crate) mod value;
pub(crate) mod vcards;
mod writer;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use self::cache::{Cache, Caches, Changes};
use self::connection::Connection;
use self::held::Held;
use self::queue::Queue;
use self::reader::Reader;
use self::writer::Writer;
use crate::error::StoreError;
use crate::metrics::StoreMetrics;
use crate::store::{Answer, Follow};

/// Bytes of the server's secret.
pub(crate) const SECRET_BYTES: usize = 32;

/// How the threads of a store work, whatever the database.
pub(crate) struct Work {
    /// Most operations that wait for the writer, and as many again for the readers; the next one is refused.
    pub(crate) queue_max: usize,
    /// Most operations in one transaction.
    pub(crate) group_max: usize,
    /// How long an operation may wait for its turn.
    pub(crate) deadline: Duration,
    /// How long a question, or a group of changes, may take when its turn has come, where the database can be late.
    pub(crate) run_max: Duration,
    /// Most bytes of the keys that are kept in memory.
    pub(crate) logins_bytes_max: usize,
    /// Most bytes of the profiles that are kept in memory.
    pub(crate) profiles_bytes_max: usize,
}

/// Accounts, and what belongs to them, in a database: a file ([`open`](Self::open)) or a server
/// ([`connect`](Self::connect)).
///
/// Dropping it closes it.
pub struct SqlStore {
    pub(crate) writes: Arc<Queue>,
    pub(crate) reads: Arc<Queue>,
    pub(crate) metrics: Arc<StoreMetrics>,
    pub(crate) caches: Arc<Caches>,
    deadline: Duration,
    threads: Mutex<Threads>,
}

#[derive(Default)]
struct Threads {
    readers: Vec<JoinHandle<()>>,
    writer: Option<JoinHandle<()>>,
}

impl SqlStore {
    /// Starts the threads: one that writes on `writer`, and one that reads on each of `readers`.
    pub(crate) fn start(work: &Work, writer: Held, readers: Vec<Held>) -> io::Result<SqlStore> {
        let store = SqlStore {
            writes: Queue::new(work.queue_max),
            reads: Queue::new(work.queue_max),
            metrics: Arc::default(),
            caches: Arc::new(Caches {
                logins: Cache::new(work.logins_bytes_max),
                profiles: Cache::new(work.profiles_bytes_max),
            }),
            deadline: work.deadline,
            threads: Mutex::default(),
        };
        let mut writer = Writer {
            queue: Arc::clone(&store.writes),
            metrics: Arc::clone(&store.metrics),
            caches: Arc::clone(&store.caches),
            held: writer,
            group_max: work.group_max,
            run_max: work.run_max,
        };
        // From here on an error drops `store`, which ends the threads that were started.
        store.threads.lock().writer = Some(start("store-writer".to_owned(), move || writer.run())?);
        for (number, held) in readers.into_iter().enumerate() {
            let mut reader = Reader {
                queue: Arc::clone(&store.reads),
                metrics: Arc::clone(&store.metrics),
                held,
                run_max: work.run_max,
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

    pub(crate) fn read<T, F>(&self, work: F) -> Answer<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.reads.ask(&self.metrics.reads, 1, Instant::now() + self.deadline, work, |result| result)
    }

    pub(crate) fn write<T, F>(&self, weight: usize, work: F) -> Answer<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.writes.ask(&self.metrics.writes, weight, Instant::now() + self.deadline, work, |result| result)
    }

    /// A write that notes which accounts it changes, and that is followed. The notes are held from before the commit
    /// until after it; then it is followed, then answered.
    pub(crate) fn change<T, F>(&self, weight: usize, follow: Option<Follow<T>>, work: F) -> Answer<T>
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
    pub(crate) fn refuse<T: Send + 'static>(
        &self,
        follow: Option<Follow<T>>,
        error: StoreError,
    ) -> Answer<T> {
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

impl Drop for SqlStore {
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

pub(crate) fn answered<T: Send + 'static>(result: Result<T, StoreError>) -> Answer<T> {
    Box::pin(std::future::ready(result))
}
