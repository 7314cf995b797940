//! A [`SqlStore`] on a PostgreSQL server.
//!
//! Entry point: [`SqlStore::connect`] ([`session`], [`migrate`]). What is done with it, and by which thread, is
//! [`sql`](crate::sql)'s; here is what a [`connection`] to a server needs beyond one to a file: deadlines, the way back after
//! it was away, and as few round trips as can be. Why tokio-postgres: `docs/decisions/0021-postgresql.md`.

pub(crate) mod connection;
mod error;
mod migrate;
mod session;
mod url;
mod value;

use std::time::{Duration, Instant};

pub(crate) use self::connection::PostgresConnection;
pub use self::error::PostgresError;
use self::session::Access;
pub use self::url::PostgresUrl;
pub(crate) use self::value::PostgresRow;
use crate::error::{OpenError, StoreError};
use crate::sql::connection::Connection;
use crate::sql::held::Held;
use crate::sql::{SECRET_BYTES, SqlStore, Work, accounts};

/// How a store on a server works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresOptions {
    /// Most operations that wait for the writer, and as many again for the readers; the next one is refused.
    pub queue_max: usize,
    /// Most operations in one transaction. A server remembers 64 savepoints of each without looking on its disk.
    pub group_max: usize,
    /// Threads that read, each on a connection of its own.
    pub readers: usize,
    /// How long an operation may wait for its turn.
    pub deadline: Duration,
    /// How long a question, or a group of changes, may take when its turn has come.
    pub run_max: Duration,
    /// How long opening a connection may take.
    pub connect_max: Duration,
    /// How long a start waits for another server to let go of the database.
    pub lock_wait: Duration,
    /// Most bytes of the keys that are kept in memory, some 800 for an account; 0 keeps none.
    pub logins_bytes_max: usize,
    /// Most bytes of the profiles that are kept in memory, some 10,000 for one of 50 contacts; 0 keeps none.
    pub profiles_bytes_max: usize,
}

impl Default for PostgresOptions {
    fn default() -> PostgresOptions {
        PostgresOptions {
            queue_max: 32_768,
            group_max: 60,
            readers: 2,
            deadline: Duration::from_secs(4),
            run_max: Duration::from_secs(3),
            connect_max: Duration::from_secs(2),
            lock_wait: Duration::from_secs(3),
            logins_bytes_max: 8 * 1024 * 1024,
            profiles_bytes_max: 16 * 1024 * 1024,
        }
    }
}

impl SqlStore {
    /// Opens the database behind `url`, which must exist, makes its tables if there are none, and migrates them if they
    /// are older. It is held for as long as the store lives: a second server is refused. Blocks.
    pub fn connect(url: &PostgresUrl, options: PostgresOptions) -> Result<SqlStore, OpenError> {
        let connection = prepared(url, &options)?;
        let work = Work {
            queue_max: options.queue_max,
            group_max: options.group_max,
            deadline: options.deadline,
            run_max: options.run_max,
            logins_bytes_max: options.logins_bytes_max,
            profiles_bytes_max: options.profiles_bytes_max,
        };
        let writer = held(url, &options, Access::Write, Some(connection));
        let readers = (0..options.readers.max(1)).map(|_| held(url, &options, Access::Read, None)).collect();
        Ok(SqlStore::start(&work, writer, readers)?)
    }
}

/// A thread's connection, that is opened anew when it was lost.
fn held(
    url: &PostgresUrl,
    options: &PostgresOptions,
    access: Access,
    connection: Option<Connection>,
) -> Held {
    let (url, options) = (url.clone(), options.clone());
    let open = move || match reopen(&url, &options, access) {
        Ok(connection) => Ok(Connection::Postgres(connection)),
        Err(error) => {
            log::debug!("{error}");
            Err(away(&error))
        }
    };
    Held::new(Box::new(open), connection, true)
}

fn away(error: &PostgresError) -> StoreError {
    StoreError::Unavailable(match error {
        PostgresError::Held { .. } => "another server holds the database",
        PostgresError::Refused { .. } => "the database lets nobody in",
        _ => "the database is away",
    })
}

fn reopen(
    url: &PostgresUrl,
    options: &PostgresOptions,
    access: Access,
) -> Result<PostgresConnection, PostgresError> {
    let connection = session::open(url, options, access)?;
    if access == Access::Write {
        // It may be held by the connection before this one, that the server has not given up yet.
        session::lock(&connection, url)?;
    }
    Ok(connection)
}

/// Opens the first connection, on a thread of its own: the caller may have an event loop already.
fn prepared(url: &PostgresUrl, options: &PostgresOptions) -> Result<Connection, OpenError> {
    let (url, options) = (url.clone(), options.clone());
    let secret = crate::random::bytes(SECRET_BYTES)?;
    let open = move || -> Result<Connection, PostgresError> {
        let connection = session::open(&url, &options, Access::Write)?;
        connection.answer_before(Instant::now() + options.lock_wait + options.run_max);
        session::wait_for_lock(&connection, &url, &options)?;
        // A migration takes as long as it takes.
        connection.answer_before(Instant::now() + Duration::from_secs(24 * 3_600));
        migrate::migrate(&connection, &url, migrate::MIGRATIONS)?;
        let connection = Connection::Postgres(connection);
        let kept = accounts::make_server_secret(&connection, &secret).and_then(|()| connection.settle());
        kept.map_err(|error| session::refused(&url, &error))?;
        Ok(connection)
    };
    let thread = std::thread::Builder::new().name("store-open".to_owned()).spawn(open)?;
    match thread.join() {
        Ok(opened) => Ok(opened?),
        Err(_) => {
            Err(OpenError::System(std::io::Error::other("the thread that opens the database panicked")))
        }
    }
}
