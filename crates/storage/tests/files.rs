//! What a store in a file leaves in its folder, and what its tables are made of.

mod support;

use std::os::unix::fs::PermissionsExt;

use rjabberd_storage::{DATABASE_FILE, Store};
use support::{credentials, jid, open_file, wait};

#[test]
fn a_closed_store_is_one_file() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let store = open_file(&folder);
        wait(store.create_account(&jid("romeo@example.net"), credentials(1))).unwrap();
        // Both readers hold a connection, and nothing keeps the writer busy.
        let questions: Vec<_> = (0..8).map(|_| store.account_exists(&jid("romeo@example.net"))).collect();
        questions.into_iter().for_each(|answer| assert!(wait(answer).unwrap()));
        store.close();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[test]
fn only_the_owner_can_read_the_databases_files() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_file(&folder);
    wait(store.create_account(&jid("romeo@example.net"), credentials(1))).unwrap();
    let mut files: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
        files.push(entry.file_name().into_string().unwrap());
    }
    files.sort();
    assert_eq!(files, ["", "-shm", "-wal"].map(|suffix| format!("{DATABASE_FILE}{suffix}")));
}

#[test]
fn a_database_that_others_could_read_is_closed_to_them() {
    let folder = tempfile::tempdir().unwrap();
    drop(open_file(&folder));
    let path = folder.path().join(DATABASE_FILE);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = open_file(&folder);
    wait(store.create_account(&jid("romeo@example.net"), credentials(1))).unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let file = folder.path().join(format!("{DATABASE_FILE}{suffix}"));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
}

#[test]
fn every_table_that_refers_to_an_account_is_emptied_with_it() {
    let folder = tempfile::tempdir().unwrap();
    drop(open_file(&folder));
    let connection = rusqlite::Connection::open(folder.path().join(DATABASE_FILE)).unwrap();
    let mut tables = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE '%account_id%'")
        .unwrap();
    let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(!tables.is_empty());
    // A big archive goes behind its account, piece by piece (tests/archive.rs).
    for table in tables.iter().filter(|table| !["archive", "archive_message"].contains(&table.as_str())) {
        let cascades: i64 = connection
            .query_row(
                "SELECT count(*) FROM pragma_foreign_key_list(?1)
                 WHERE \"table\" = 'account' AND \"from\" = 'account_id' AND on_delete = 'CASCADE'",
                [table],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(cascades, 1, "removing an account leaves its rows in {table}");
    }
}
