//! What can go wrong with a database on a server, in one line each. Never shown: a password, or what a row holds (the
//! server's own detail does).

use std::sync::Arc;

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::error::StoreError;

/// Why a database on a server was not opened. `place` says which one, without a password.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PostgresError {
    /// The URL cannot be read.
    #[error(
        "the store's URL cannot be used: {0}; it is postgres://user:password@host:port/database, with %XX for special characters"
    )]
    Url(&'static str),
    /// The server does not answer.
    #[error(
        "cannot reach the database at {place}: {reason}; is PostgreSQL running there, and reachable from here?"
    )]
    Unreachable {
        /// Where.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// The server does not let us in, or the database is not as it has to be.
    #[error("cannot use the database at {place}: {reason}")]
    Refused {
        /// Where.
        place: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// Another server works on it.
    #[error(
        "the database at {place} is held by another running rjabberd: stop that server first, or give this one a database of its own"
    )]
    Held {
        /// Where.
        place: String,
    },
    /// There are other tables in it.
    #[error(
        "the database at {place} holds tables that are not rjabberd's: create an empty one for it, or an empty schema (?options=-c%20search_path%3Dname)"
    )]
    Foreign {
        /// Where.
        place: String,
    },
    /// It was written by a newer version.
    #[error(
        "the database at {place} has schema {found}, this rjabberd knows schemas up to {known}: start the newer version, or restore a backup"
    )]
    Newer {
        /// Where.
        place: String,
        /// Its schema.
        found: i64,
        /// The newest schema known.
        known: i64,
    },
    /// A migration failed; the database is as it was before.
    #[error("cannot upgrade the database at {place} to schema {version}: {reason}")]
    Migration {
        /// Where.
        place: String,
        /// The schema that was not reached.
        version: i64,
        /// What failed.
        reason: String,
    },
}

/// An error of the server, or of the way to it, without what a row holds.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Fault(String);

/// What is said of an error.
pub(super) fn told(error: &Error) -> String {
    if let Some(error) = error.as_db_error() {
        return format!("{} ({})", one_line(error.message()), error.code().code());
    }
    match std::error::Error::source(error) {
        Some(cause) => one_line(&cause.to_string()),
        None => one_line(&error.to_string()),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl From<Error> for StoreError {
    fn from(error: Error) -> StoreError {
        let Some(code) = error.code() else {
            // The way to the server, and not what it says.
            return StoreError::Unavailable("the database is away");
        };
        // Classes: 08 the connection, 57P the server stops or starts, 53 it has no more of something.
        if code.code().starts_with("08")
            || code.code().starts_with("57P")
            || *code == SqlState::TOO_MANY_CONNECTIONS
        {
            StoreError::Unavailable("the database is away")
        } else if *code == SqlState::QUERY_CANCELED || *code == SqlState::LOCK_NOT_AVAILABLE {
            StoreError::Unavailable("the database did not do it in time")
        } else if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
            StoreError::Unavailable("the database takes no changes")
        } else if *code == SqlState::DATA_CORRUPTED || *code == SqlState::INDEX_CORRUPTED {
            StoreError::Corrupt(Arc::new(Fault(told(&error))))
        } else {
            StoreError::Io(Arc::new(Fault(told(&error))))
        }
    }
}
