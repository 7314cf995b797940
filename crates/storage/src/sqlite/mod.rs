//! A [`SqlStore`] in a file: an embedded SQLite database.
//!
//! Entry point: [`SqlStore::open`] (files, [`migrate`]). What is done with it, and by which thread, is
//! [`sql`](crate::sql)'s. Why rusqlite: `docs/decisions/0002-store.md`.

mod connection;
mod migrate;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::OpenError;
use crate::folder;
use crate::sql::connection::Connection;
use crate::sql::held::Held;
use crate::sql::{SECRET_BYTES, SqlStore, Work, accounts};

/// Name of the database in the data folder.
pub const DATABASE_FILE: &str = "rjabberd.sqlite";

/// A store in a file.
pub type SqliteStore = SqlStore;

/// How a store in a file works.
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

impl SqlStore {
    /// Opens the database `rjabberd.sqlite` in `folder`, makes it if there is none, and migrates it if it is older. The
    /// folder is to be held by a [`DataFolder`](crate::DataFolder) for as long. Blocks.
    pub fn open(folder: &Path, options: SqliteOptions) -> Result<SqlStore, OpenError> {
        let path = folder.join(DATABASE_FILE);
        let connection = open_database(&path)?;
        let work = Work {
            queue_max: options.queue_max,
            group_max: options.group_max,
            deadline: options.deadline,
            // Nobody else is asked; a statement that waits for a lock has a limit of its own.
            run_max: options.deadline,
            logins_bytes_max: options.logins_bytes_max,
            profiles_bytes_max: options.profiles_bytes_max,
        };
        let beside = path.clone();
        let reopen = move || Ok(Connection::Sqlite(connection::open_writer(&beside)?));
        let writer = Held::new(Box::new(reopen), Some(connection), false);
        let reader = || {
            let path = path.clone();
            let open = move || Ok(Connection::Sqlite(connection::open_reader(&path)?));
            Held::new(Box::new(open), None, false)
        };
        let readers = (0..options.readers.max(1)).map(|_| reader()).collect();
        Ok(SqlStore::start(&work, writer, readers)?)
    }
}

/// Opens, or makes, the database and brings it up to date.
fn open_database(path: &Path) -> Result<Connection, OpenError> {
    prepare_files(path)?;
    let sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let mut connection = connection::create(path).map_err(sqlite)?;
    migrate::found_schema(&connection, path, migrate::MIGRATIONS.len())?;
    connection::prepare_writer(&connection).map_err(sqlite)?;
    migrate::migrate(&mut connection, path, migrate::MIGRATIONS)?;
    let connection = Connection::Sqlite(connection);
    accounts::make_server_secret(&connection, &crate::random::bytes(SECRET_BYTES)?)
        .map_err(|error| OpenError::Unprepared { path: path.to_owned(), error })?;
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
