//! What the threads promise: groups, savepoints, deadlines, faults of the disk, panics. (The operations themselves are
//! tested through the trait, in `tests/`.)

mod following;
mod plans;
mod remembering;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use futures_util::FutureExt;
use parking_lot::Mutex;
use rjabberd_xmpp::address::BareJid;
use rjabberd_xmpp::sasl::{Credentials, ScramHash, ScramKeys};
use zeroize::Zeroizing;

use super::*;
use crate::error::StoreError;
use crate::sql::accounts::Key;
use crate::sql::queue::{Job, Ran};
use crate::sql::{
    activity, archive, blocks, offline, pep, private, profiles, push, roster_items, tokens, vcards,
};
use crate::store::{Answer, Store};

fn jid(name: &str) -> BareJid {
    BareJid::new(&format!("{name}@example.net")).unwrap()
}

fn credentials() -> Credentials {
    let keys = ScramKeys {
        hash: ScramHash::Sha1,
        iterations: 1,
        salt: vec![1],
        stored_key: Zeroizing::new(vec![2; 20]),
        server_key: Zeroizing::new(vec![3; 20]),
    };
    Credentials { keys: vec![keys], digest: None }
}

fn wait<T>(answer: Answer<T>) -> T {
    ask(answer).unwrap()
}

fn ask<T>(answer: Answer<T>) -> Result<T, StoreError> {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(answer)
}

fn open(folder: &tempfile::TempDir, options: SqliteOptions) -> SqliteStore {
    SqliteStore::open(folder.path(), options).unwrap()
}

fn new_store() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, SqliteOptions::default());
    (folder, store)
}

/// An operation that the writer stands in until it is let go.
struct Gate {
    entered: Receiver<()>,
    leave: Sender<()>,
    answer: Answer<()>,
}

impl Gate {
    fn new(store: &SqliteStore) -> Gate {
        let (enter, entered) = channel();
        let (leave, left) = channel();
        let answer = store.write(1, move |_| {
            enter.send(()).unwrap();
            left.recv().unwrap();
            Ok(())
        });
        Gate { entered, leave, answer }
    }

    /// Queues one and waits until the writer stands in it.
    fn closed(store: &SqliteStore) -> Gate {
        let gate = Gate::new(store);
        gate.entered.recv().unwrap();
        gate
    }

    fn open(self) -> Result<(), StoreError> {
        self.leave.send(()).unwrap();
        ask(self.answer)
    }
}

/// An operation that takes the thread down when it is settled.
struct Bomb;
impl Job for Bomb {
    fn weight(&self) -> usize {
        1
    }
    fn deadline(&self) -> Instant {
        Instant::now() + Duration::from_secs(60)
    }
    fn is_abandoned(&self) -> bool {
        false
    }
    fn run(&mut self, _: &Connection) -> Ran {
        Ran::Done
    }
    fn settle(self: Box<Self>, _: Result<(), StoreError>) {
        panic!("asked for by a test")
    }
}

#[test]
fn what_waits_is_committed_together() {
    let (_folder, store) = new_store();
    let gate = Gate::closed(&store);
    let answers: Vec<_> =
        (0..50).map(|n| store.create_account(&jid(&format!("u{n}")), credentials())).collect();
    gate.open().unwrap();
    answers.into_iter().for_each(wait);
    store.close();
    let counts = store.metrics().snapshot();
    assert_eq!((counts.commits, counts.group_sum, counts.group_max), (2, 51, 50));
}

#[test]
fn a_group_is_no_bigger_than_the_option() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, SqliteOptions { group_max: 10, ..SqliteOptions::default() });
    let gate = Gate::closed(&store);
    let answers: Vec<_> =
        (0..25).map(|n| store.create_account(&jid(&format!("u{n}")), credentials())).collect();
    gate.open().unwrap();
    answers.into_iter().for_each(wait);
    store.close();
    let counts = store.metrics().snapshot();
    assert_eq!((counts.commits, counts.group_max), (4, 10));
}

#[test]
fn nothing_is_answered_or_seen_before_its_commit() {
    let (_folder, store) = new_store();
    let first = Gate::closed(&store);
    let mut created = store.create_account(&jid("romeo"), credentials());
    let second = Gate::new(&store);
    first.open().unwrap();
    // The writer now stands in the same transaction, behind the creation.
    second.entered.recv().unwrap();
    assert!((&mut created).now_or_never().is_none(), "answered before the commit");
    assert!(!wait(store.account_exists(&jid("romeo"))), "seen before the commit");
    second.open().unwrap();
    wait(created);
    assert!(wait(store.account_exists(&jid("romeo"))));
}

#[test]
fn an_operation_that_fails_leaves_nothing_and_does_not_spoil_its_group() {
    let (_folder, store) = new_store();
    let gate = Gate::closed(&store);
    let before = store.create_account(&jid("before"), credentials());
    let failing: Answer<()> = store.write(1, |connection| {
        accounts::create(connection, &Key::new(&jid("failing")).unwrap(), &credentials(), 0)?;
        Err(StoreError::NotFound)
    });
    let conflict = store.create_account(&jid("before"), credentials());
    let after = store.create_account(&jid("after"), credentials());
    gate.open().unwrap();
    wait(before);
    assert!(matches!(ask(failing), Err(StoreError::NotFound)));
    assert!(matches!(ask(conflict), Err(StoreError::Conflict)));
    wait(after);
    assert!(wait(store.account_exists(&jid("before"))));
    assert!(!wait(store.account_exists(&jid("failing"))));
    assert!(wait(store.account_exists(&jid("after"))));
    assert_eq!(store.metrics().snapshot().commits, 2);
}

#[test]
fn a_lost_transaction_fails_all_that_ran_in_it_and_nothing_else() {
    let (_folder, store) = new_store();
    let gate = Gate::closed(&store);
    let before = store.create_account(&jid("before"), credentials());
    let conflict = store.create_account(&jid("before"), credentials());
    let losing: Answer<()> = store.write(1, |connection| {
        connection.sqlite().execute_batch("ROLLBACK")?;
        Err(StoreError::Io(Arc::new(io::Error::other("the disk is gone"))))
    });
    let after = store.create_account(&jid("after"), credentials());
    gate.open().unwrap();
    // Also the conflict: there is no account that it could be in conflict with.
    for answer in [before, conflict, losing] {
        let result = ask(answer);
        assert!(matches!(result, Err(StoreError::Io(_))), "{result:?}");
    }
    wait(after);
    assert!(!wait(store.account_exists(&jid("before"))));
    assert!(wait(store.account_exists(&jid("after"))));
    let counts = store.metrics().snapshot();
    assert_eq!((counts.commits_failed, counts.writes.failures, counts.reopened), (1, 3, 1));
}

#[test]
fn a_panic_answers_its_caller_and_spoils_nothing() {
    let (_folder, store) = new_store();
    let gate = Gate::closed(&store);
    let before = store.create_account(&jid("before"), credentials());
    let panicking: Answer<()> = store.write(1, |connection| {
        accounts::create(connection, &Key::new(&jid("half")).unwrap(), &credentials(), 0)?;
        panic!("asked for by a test")
    });
    let after = store.create_account(&jid("after"), credentials());
    gate.open().unwrap();
    wait(before);
    assert!(matches!(ask(panicking), Err(StoreError::Unavailable(_))));
    wait(after);
    assert!(!wait(store.account_exists(&jid("half"))));
    let question: Answer<()> = store.read(|_| panic!("asked for by a test"));
    assert!(matches!(ask(question), Err(StoreError::Unavailable(_))));
    assert!(wait(store.account_exists(&jid("before"))));
    assert_eq!(store.metrics().snapshot().panics, 2);
}

#[test]
fn a_thread_outlives_a_panic_of_its_own_and_nobody_waits_for_ever() {
    let (_folder, store) = new_store();
    let gate = Gate::closed(&store);
    store.writes.push(Box::new(Bomb), &store.metrics.writes);
    let with_it = store.create_account(&jid("with"), credentials());
    gate.open().unwrap();
    let result = ask(with_it);
    assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
    wait(store.create_account(&jid("after"), credentials()));
}

#[test]
fn a_full_queue_refuses_at_once_and_takes_again_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, SqliteOptions { queue_max: 2, ..SqliteOptions::default() });
    let gate = Gate::closed(&store);
    let first = store.create_account(&jid("first"), credentials());
    let second = store.create_account(&jid("second"), credentials());
    let refused = store.create_account(&jid("third"), credentials()).now_or_never();
    assert!(matches!(refused, Some(Err(StoreError::Unavailable(_)))), "{refused:?}");
    gate.open().unwrap();
    wait(first);
    wait(second);
    wait(store.create_account(&jid("third"), credentials()));
    assert_eq!(store.metrics().snapshot().writes.refused, 1);
}

#[test]
fn an_import_counts_by_its_accounts_and_still_gets_into_an_empty_queue() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, SqliteOptions { queue_max: 2, ..SqliteOptions::default() });
    let batch: Vec<_> = (0..5).map(|n| (jid(&format!("u{n}")), credentials())).collect();
    let gate = Gate::closed(&store);
    let import = store.import_accounts(batch, false);
    let refused = store.flush().now_or_never();
    assert!(matches!(refused, Some(Err(StoreError::Unavailable(_)))), "{refused:?}");
    gate.open().unwrap();
    assert_eq!(wait(import).created, 5);
}

#[test]
fn what_comes_too_late_to_its_turn_is_not_done() {
    let folder = tempfile::tempdir().unwrap();
    let late = open(&folder, SqliteOptions { deadline: Duration::ZERO, ..SqliteOptions::default() });
    assert!(matches!(ask(late.create_account(&jid("romeo"), credentials())), Err(StoreError::Deadline)));
    assert!(matches!(ask(late.account_exists(&jid("romeo"))), Err(StoreError::Deadline)));
    let counts = late.metrics().snapshot();
    assert_eq!((counts.writes.expired, counts.reads.expired), (1, 1));
    drop(late);
    let store = open(&folder, SqliteOptions::default());
    assert!(!wait(store.account_exists(&jid("romeo"))));
}

#[test]
fn a_question_that_nobody_waits_for_is_not_asked() {
    let (_folder, store) = new_store();
    let (asked, was_asked) = channel();
    let (leave, left) = channel::<()>();
    // Both readers stand still, so that the question is dropped before its turn.
    let left = Arc::new(Mutex::new(left));
    let gates: Vec<Answer<()>> = (0..2)
        .map(|_| {
            let left = Arc::clone(&left);
            store.read(move |_| left.lock().recv().map_err(|_| StoreError::NotFound))
        })
        .collect();
    drop(store.read(move |_| asked.send(()).map_err(|_| StoreError::NotFound)));
    drop(leave);
    for gate in gates {
        ask(gate).unwrap_err();
    }
    store.close();
    assert!(was_asked.recv().is_err());
}

#[test]
fn a_full_disk_is_an_error_and_passes() {
    let (_folder, store) = new_store();
    wait(store.create_account(&jid("romeo"), credentials()));
    wait(store.write(1, |connection| {
        let pages: i64 = connection.sqlite().query_row("PRAGMA page_count", [], |row| row.get(0))?;
        connection.sqlite().query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
        Ok(())
    }));
    let batch: Vec<_> = (0..500).map(|n| (jid(&format!("u{n}")), credentials())).collect();
    let result = ask(store.import_accounts(batch.clone(), false));
    let Err(StoreError::Io(cause)) = result else { panic!("{result:?}") };
    assert!(cause.to_string().contains("full"), "{cause}");
    assert!(!wait(store.account_exists(&jid("u0"))));
    // The connection was opened anew, and has room.
    assert_eq!(wait(store.import_accounts(batch, false)).created, 500);
    assert!(wait(store.account_exists(&jid("romeo"))));
}

#[test]
fn a_read_only_database_is_an_error_and_passes() {
    let (_folder, store) = new_store();
    wait(store.write(1, |connection| Ok(connection.sqlite().pragma_update(None, "query_only", true)?)));
    let result = ask(store.create_account(&jid("romeo"), credentials()));
    let Err(StoreError::Io(cause)) = result else { panic!("{result:?}") };
    assert!(cause.to_string().contains("readonly"), "{cause}");
    wait(store.create_account(&jid("romeo"), credentials()));
}

#[test]
fn a_database_that_vanished_is_an_error_and_never_made_anew() {
    let (folder, store) = new_store();
    store.reads.close();
    let fault: Answer<()> = store.write(1, |_| Err(StoreError::damaged("asked for by a test")));
    ask(fault).unwrap_err();
    let path = folder.path().join(DATABASE_FILE);
    let aside = folder.path().join("aside");
    std::fs::rename(&path, &aside).unwrap();
    let result = ask(store.create_account(&jid("romeo"), credentials()));
    assert!(matches!(result, Err(StoreError::Io(_))), "{result:?}");
    assert!(!path.exists());
    std::fs::rename(&aside, &path).unwrap();
    wait(store.create_account(&jid("romeo"), credentials()));
}

#[test]
fn a_database_that_another_process_holds_is_unavailable_and_then_available() {
    let (folder, store) = new_store();
    let other = rusqlite::Connection::open(folder.path().join(DATABASE_FILE)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let result = ask(store.create_account(&jid("romeo"), credentials()));
    assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
    assert!(!wait(store.account_exists(&jid("romeo"))), "reading goes on meanwhile");
    other.execute_batch("ROLLBACK").unwrap();
    wait(store.create_account(&jid("romeo"), credentials()));
}

#[test]
fn the_writer_syncs_each_commit_and_heeds_foreign_keys() {
    let (_folder, store) = new_store();
    for first in [true, false] {
        let pragmas = wait(store.write(1, |connection| {
            let pragma = |name: &str| {
                connection
                    .sqlite()
                    .query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, rusqlite::types::Value>(0))
            };
            Ok((pragma("journal_mode")?, pragma("synchronous")?, pragma("foreign_keys")?))
        }));
        assert_eq!(
            pragmas,
            ("wal".to_owned().into(), 2.into(), 1.into()),
            "of the first connection: {first}"
        );
        let fault: Answer<()> = store.write(1, |_| Err(StoreError::damaged("asked for by a test")));
        ask(fault).unwrap_err();
    }
}

#[test]
fn a_reader_cannot_write() {
    let (_folder, store) = new_store();
    let change: Answer<()> = store.read(|connection| {
        accounts::create(connection, &Key::new(&jid("romeo")).unwrap(), &credentials(), 0)
    });
    let result = ask(change);
    assert!(matches!(result, Err(StoreError::Io(_))), "{result:?}");
}

#[test]
fn each_schema_has_a_fixture() {
    for version in 1..=migrate::MIGRATIONS.len() {
        let fixture = format!("{}/tests/fixtures/schema-{version:04}.sql", env!("CARGO_MANIFEST_DIR"));
        assert!(Path::new(&fixture).exists(), "dump a database of schema {version} to {fixture}");
    }
}

/// What a later version might bring: one more migration than there is.
fn later(sql: &'static str) -> Vec<&'static str> {
    [migrate::MIGRATIONS, &[sql]].concat()
}

fn backups(folder: &tempfile::TempDir) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.to_str().unwrap().contains("backup")).collect()
}

#[test]
fn a_backup_is_made_before_an_older_database_is_migrated() {
    let (folder, store) = new_store();
    wait(store.create_account(&jid("romeo"), credentials()));
    drop(store);
    assert!(backups(&folder).is_empty(), "a new database needs no backup");
    let path = folder.path().join(DATABASE_FILE);
    let mut connection = connection::create(&path).unwrap();
    let migrations = later("CREATE TABLE later (x) STRICT; DROP TABLE scram_key;".trim_end());
    let failed = migrate::migrate(&mut connection, &path, &migrations);
    // STRICT wants a type: the migration fails as a whole, behind its backup.
    assert!(matches!(failed, Err(OpenError::Migration { .. })), "{failed:?}");
    let names = |connection: &rusqlite::Connection, name: &str| -> i64 {
        connection
            .query_row("SELECT count(*) FROM sqlite_schema WHERE name = ?1", [name], |row| row.get(0))
            .unwrap()
    };
    assert_eq!((names(&connection, "later"), names(&connection, "scram_key")), (0, 1));
    for copy in backups(&folder) {
        std::fs::remove_file(copy).unwrap();
    }
    let migrations = later("CREATE TABLE later (x TEXT) STRICT");
    migrate::migrate(&mut connection, &path, &migrations).unwrap();
    migrate::migrate(&mut connection, &path, &migrations).unwrap();
    assert_eq!(names(&connection, "later"), 1);
    let copies = backups(&folder);
    assert_eq!(copies.len(), 1, "{copies:?}");
    assert_eq!(std::fs::metadata(&copies[0]).unwrap().permissions().mode() & 0o777, 0o600);
    // The backup is a database of the old version, with its accounts.
    let aside = tempfile::tempdir().unwrap();
    std::fs::copy(&copies[0], aside.path().join(DATABASE_FILE)).unwrap();
    assert!(wait(open(&aside, SqliteOptions::default()).account_exists(&jid("romeo"))));
    drop(connection);
    let newer = SqliteStore::open(folder.path(), SqliteOptions::default()).err().unwrap();
    assert!(matches!(newer, OpenError::Newer { found, known, .. } if found == known + 1), "{newer:?}");
}

#[test]
fn without_a_backup_nothing_is_migrated() {
    let (folder, store) = new_store();
    drop(store);
    let path = folder.path().join(DATABASE_FILE);
    let mut connection = connection::create(&path).unwrap();
    let nowhere = folder.path().join("nowhere").join(DATABASE_FILE);
    let result = migrate::migrate(&mut connection, &nowhere, &later("CREATE TABLE later (x TEXT)"));
    assert!(matches!(result, Err(OpenError::Backup { .. })), "{result:?}");
    let known = migrate::MIGRATIONS.len();
    assert_eq!(migrate::found_schema(&connection, &path, known).unwrap() as usize, known);
}
