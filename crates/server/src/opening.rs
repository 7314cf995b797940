//! Which store there is: the file in the data folder, or the database that the config names. The one place that knows both.

use rjabberd_storage::{DataFolder, OpenError, PostgresOptions, SqlStore, SqliteOptions};

use crate::config::StoreKind;

/// Opens the store; `folder` is held for as long as it is open. Blocks.
///
/// # Errors
/// It cannot be opened, in one line that says what to do.
pub fn store(kind: &StoreKind, folder: &DataFolder) -> Result<SqlStore, OpenError> {
    match kind {
        StoreKind::Sqlite => SqlStore::open(folder.path(), SqliteOptions::default()),
        StoreKind::Postgres(url) => {
            let store = SqlStore::connect(url, PostgresOptions::default())?;
            log::info!(target: "server:start", "The store is the database at {url}");
            Ok(store)
        }
    }
}
