//! Databases that were not made just now: of each released schema, of a newer version, of others, and no database.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod support;

use rjabberd_storage::{DATABASE_FILE, OpenError, SqliteOptions, SqliteStore, Store};
use rusqlite::Connection;
use support::{credentials, jid, open, seed, wait};

fn refusal(folder: &tempfile::TempDir) -> OpenError {
    let error = SqliteStore::open(folder.path(), SqliteOptions::default()).err().unwrap();
    assert_eq!(error.to_string().lines().count(), 1, "{error}");
    error
}

/// Each fixture holds romeo with keys of seed 1, and juliet, disabled, with keys of seed 2.
#[test]
fn the_accounts_of_each_released_schema_are_there_after_the_upgrade() {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
    let mut count = 0;
    for fixture in std::fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path()) {
        let folder = tempfile::tempdir().unwrap();
        let database = Connection::open(folder.path().join(DATABASE_FILE)).unwrap();
        database.execute_batch(&std::fs::read_to_string(&fixture).unwrap()).unwrap();
        drop(database);
        let store = open(&folder);
        for (account, expected, disabled) in
            [("romeo@example.net", 1, false), ("juliet@example.org", 2, true)]
        {
            let login = wait(store.load_login(&jid(account))).unwrap().unwrap();
            assert_eq!(
                (seed(&login.credentials), login.disabled),
                (expected, disabled),
                "{fixture:?}: {account}"
            );
        }
        assert_eq!(*wait(store.server_secret()).unwrap(), [7; 32], "{fixture:?}");
        wait(store.create_account(&jid("new@example.net"), credentials(3))).unwrap();
        count += 1;
    }
    assert!(count > 0);
}

#[test]
fn a_schema_newer_than_the_binary_is_refused_and_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(&folder));
    let path = folder.path().join(DATABASE_FILE);
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = refusal(&folder);
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error:?}");
    assert!(error.to_string().contains("has schema 99"), "{error}");
    assert_eq!(before, std::fs::read(&path).unwrap());
}

#[test]
fn a_database_of_another_program_is_refused_and_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(DATABASE_FILE);
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE account (x)").unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = refusal(&folder);
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
    assert_eq!(before, std::fs::read(&path).unwrap());
}

#[test]
fn a_file_that_is_no_database_is_refused_and_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(DATABASE_FILE);
    std::fs::write(&path, "no database, but longer than the header that one would have".repeat(20)).unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = refusal(&folder);
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
    assert_eq!(before, std::fs::read(&path).unwrap());
}

#[test]
fn a_folder_in_place_of_the_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join(DATABASE_FILE)).unwrap();
    let error = refusal(&folder);
    assert!(matches!(error, OpenError::File { .. }), "{error:?}");
}

#[test]
fn a_store_in_no_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = SqliteStore::open(&folder.path().join("none"), SqliteOptions::default()).err().unwrap();
    assert!(matches!(error, OpenError::File { .. }), "{error:?}");
}

#[test]
fn a_damaged_database_is_an_error_and_not_an_unknown_account() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    wait(store.create_account(&jid("romeo@example.net"), credentials(1))).unwrap();
    let damage = Connection::open(folder.path().join(DATABASE_FILE)).unwrap();
    damage.execute_batch("DELETE FROM scram_key").unwrap();
    let result = wait(store.load_login(&jid("romeo@example.net"))).map(|_| ());
    assert!(matches!(result, Err(rjabberd_storage::StoreError::Corrupt(_))), "{result:?}");
}
