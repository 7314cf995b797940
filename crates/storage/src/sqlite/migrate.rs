//! From any released schema to the newest: numbered files, one transaction each, a backup before the first of them.
//!
//! The schema's number is SQLite's `user_version`. A released file is never changed; a change of the schema is a new
//! file, a line in [`MIGRATIONS`], and a fixture of the schema it makes in `tests/fixtures`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::{private_file, sync_folder};
use crate::error::OpenError;

/// Marks a file as ours (`PRAGMA application_id`): "rjab".
const APPLICATION_ID: u32 = u32::from_be_bytes(*b"rjab");

/// The files in order; the first makes schema 1.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/0001-accounts.sql"),
    include_str!("../../migrations/0002-im.sql"),
    include_str!("../../migrations/0003-tokens.sql"),
    include_str!("../../migrations/0004-archive.sql"),
    include_str!("../../migrations/0005-pep.sql"),
    include_str!("../../migrations/0006-push.sql"),
];

/// Refuses a file that is not ours, or is of a newer version, before anything in it is touched. Answers its schema's
/// number: 0 for a new file.
pub(super) fn found_schema(connection: &Connection, path: &Path, known: usize) -> Result<u32, OpenError> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, u32>(0));
    let read = || -> rusqlite::Result<(u32, u32, u32)> {
        let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((pragma("application_id")?, pragma("user_version")?, tables))
    };
    let (application_id, found, tables) = read().map_err(|source| match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::Foreign { path: path.to_owned() },
        _ => OpenError::Sqlite { path: path.to_owned(), source },
    })?;
    let is_new = (application_id, found, tables) == (0, 0, 0);
    if !is_new && application_id != APPLICATION_ID {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    let known = u32::try_from(known).unwrap_or(u32::MAX);
    if found > known {
        return Err(OpenError::Newer { path: path.to_owned(), found, known });
    }
    Ok(found)
}

/// Brings the database behind `connection` (the file `path`) to the last of `migrations`.
pub(super) fn migrate(
    connection: &mut Connection,
    path: &Path,
    migrations: &[&str],
) -> Result<(), OpenError> {
    let found = found_schema(connection, path, migrations.len())?;
    if found > 0 && migrations.len() > found as usize {
        let copy = back_up(connection, path, found)?;
        log::info!("schema {found} becomes {}; the backup is {}", migrations.len(), copy.display());
    }
    for (sql, version) in migrations.iter().zip(1_u32..).skip(found as usize) {
        apply(connection, version, sql).map_err(|source| OpenError::Migration {
            path: path.to_owned(),
            version,
            source,
        })?;
    }
    Ok(())
}

fn apply(connection: &mut Connection, version: u32, sql: &str) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(sql)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", version)?;
    transaction.commit()
}

/// Copies the database to `backup-vN-SECONDS.sqlite` beside it. The name appears when the copy is whole and on disk.
fn back_up(connection: &Connection, path: &Path, version: u32) -> Result<PathBuf, OpenError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let now_unix_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let copy = folder.join(format!("backup-v{version}-{now_unix_s}.sqlite"));
    let partial = copy.with_extension("sqlite.partial");
    let failed = |reason: String| OpenError::Backup { path: copy.clone(), reason };
    let written = || -> std::io::Result<()> {
        // SQLite writes into a file that is there and empty: so it has our permissions from its first byte.
        drop(private_file(&partial)?);
        let name = partial.to_str().ok_or_else(|| std::io::Error::other("the name is not UTF-8"))?;
        connection.execute("VACUUM INTO ?1", [name]).map_err(std::io::Error::other)?;
        File::open(&partial)?.sync_all()?;
        std::fs::rename(&partial, &copy)?;
        sync_folder(folder)
    };
    match written() {
        Ok(()) => Ok(copy),
        Err(error) => {
            // What is left of it helps nobody, and may be what fills the disk.
            let _ = std::fs::remove_file(&partial);
            Err(failed(error.to_string()))
        }
    }
}
