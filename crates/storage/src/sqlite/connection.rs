//! Connections to the database file: how they are set up, and when one is thrown away.
//!
//! Invariant: only [`create`] makes a database. A file that vanished under a running server is an error, never an
//! empty database that forgot its accounts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::error::StoreError;
use crate::metrics::StoreMetrics;

/// How long a statement waits for another process (a backup tool, somebody's shell) to let go.
const BUSY_MAX: Duration = Duration::from_secs(1);

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Reading and writing.
    Write,
    /// Reading only.
    Read,
}

/// Opens the database, and makes it if there is none.
pub(super) fn create(path: &Path) -> rusqlite::Result<Connection> {
    open(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)
}

fn open(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_MAX)?;
    connection.set_prepared_statement_cache_capacity(128);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // Else a statement is compiled again whenever another value is bound to it: a third of what a login asks.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}

/// Sets up a connection that writes: what it commits is on the disk when the commit returns, and what it deletes does
/// not stay readable in the page it was deleted from.
pub(super) fn prepare_writer(connection: &Connection) -> rusqlite::Result<()> {
    // Asking for WAL answers the mode that it became; other file systems than those with shared memory refuse it.
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
            Some("this file system cannot hold a write-ahead log (is it a network folder?)".to_owned()),
        ));
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    connection.query_row("PRAGMA secure_delete = FAST", [], |_| Ok(()))
}

/// The connection of one thread: opened when it is needed, and opened anew after a fault.
pub(super) struct Held {
    path: PathBuf,
    access: Access,
    connection: Option<Connection>,
    was_open: bool,
}

impl Held {
    pub(super) fn new(path: PathBuf, access: Access, connection: Option<Connection>) -> Held {
        let was_open = connection.is_some();
        Held { path, access, connection, was_open }
    }

    /// The connection, opened if there is none.
    pub(super) fn get(&mut self, metrics: &StoreMetrics) -> Result<&Connection, StoreError> {
        if self.connection.is_none() {
            let connection = match self.access {
                Access::Write => {
                    let connection = open(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
                    prepare_writer(&connection)?;
                    connection
                }
                Access::Read => open(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY)?,
            };
            if std::mem::replace(&mut self.was_open, true) {
                metrics.reopened();
            }
            self.connection = Some(connection);
        }
        self.connection.as_ref().ok_or(StoreError::Unavailable("there is no connection"))
    }

    /// Closes the connection; the next operation opens one anew.
    pub(super) fn discard(&mut self) {
        self.connection = None;
    }
}
