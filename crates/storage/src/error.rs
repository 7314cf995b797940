//! What can go wrong: with an operation ([`StoreError`]), and on opening ([`OpenError`]).

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::ErrorCode;

use crate::postgres::PostgresError;

/// The underlying error, shared because all operations of a group may fail by the same one.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// Why an operation was not done.
///
/// A change that was answered with [`Unavailable`](Self::Unavailable) or [`Io`](Self::Io) is not known to be stored:
/// whoever needs to know asks again.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The store takes nothing more: its queue is full, it is closed, or another process holds the database.
    #[error("the store is not available: {0}")]
    Unavailable(&'static str),
    /// The store did not get to it in time, and has not done it.
    #[error("the store did not get to it in time")]
    Deadline,
    /// The account exists already.
    #[error("the account exists already")]
    Conflict,
    /// There is no such account.
    #[error("there is no such account")]
    NotFound,
    /// It would be more than the account may keep.
    #[error("it would be more than the account may keep")]
    Full,
    /// What was asked for makes no sense; says what.
    #[error("the store refuses this: {0}")]
    Invalid(String),
    /// The database holds what it cannot hold.
    #[error("the database is damaged: {0}")]
    Corrupt(#[source] Cause),
    /// Reading or writing failed: no space, no permission, a broken disk.
    #[error("the store cannot use its files: {0}")]
    Io(#[source] Cause),
}

impl StoreError {
    /// Whether the store is to blame, and not what was asked of it.
    pub fn is_fault(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Deadline | Self::Corrupt(_) | Self::Io(_) => true,
            Self::Conflict | Self::NotFound | Self::Full | Self::Invalid(_) => false,
        }
    }

    /// A value in the database that nothing of ours has written.
    pub(crate) fn damaged(what: &'static str) -> StoreError {
        #[derive(Debug, thiserror::Error)]
        #[error("{0}")]
        struct Damage(&'static str);
        StoreError::Corrupt(Arc::new(Damage(what)))
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                StoreError::Corrupt(Arc::new(error))
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                StoreError::Unavailable("another process holds the database")
            }
            _ => StoreError::Io(Arc::new(error)),
        }
    }
}

/// Why a store was not opened: one plain line each.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file cannot be opened, made or written.
    #[error("cannot use {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is not a database of ours.
    #[error("{} is not a database of rjabberd: move it away or choose another data folder", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a newer version.
    #[error(
        "{} has schema {found}, this rjabberd knows schemas up to {known}: start the newer version, or put back a backup",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// The newest schema known.
        known: u32,
    },
    /// The copy that is made before a migration failed; the database was not touched.
    #[error("cannot write the backup {} that is made before an upgrade: {reason}", path.display())]
    Backup {
        /// The copy.
        path: PathBuf,
        /// What failed.
        reason: String,
    },
    /// A migration failed; the database is as it was before.
    #[error("cannot upgrade {} to schema {version}: {source}", path.display())]
    Migration {
        /// The database.
        path: PathBuf,
        /// The schema that was not reached.
        version: u32,
        /// What failed.
        source: rusqlite::Error,
    },
    /// SQLite refused something else.
    #[error("cannot open {}: {source}", path.display())]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What failed.
        source: rusqlite::Error,
    },
    /// Its first rows could not be written.
    #[error("cannot prepare {}: {error}", path.display())]
    Unprepared {
        /// The database.
        path: PathBuf,
        /// What failed.
        error: StoreError,
    },
    /// A database on a server could not be opened.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The system gave no thread or no randomness.
    #[error("cannot start the store: {0}")]
    System(#[from] std::io::Error),
}
