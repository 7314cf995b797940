//! What is said of a store on a PostgreSQL server alone: whose database it is, what is refused and how, and the way back
//! after connections were lost. Without `RJABBERD_TEST_POSTGRES` there is nothing to say it of: `scripts/postgres run …`.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod support;

use rjabberd_storage::{OpenError, PostgresError, PostgresOptions, PostgresUrl, SqlStore, Store, StoreError};
use std::time::Duration;
use support::{Home, account, ask_server, credentials, home, open, wait, with_accounts};

/// A home on a server; `None` where there is no server.
fn on_server() -> Option<Home> {
    std::env::var_os("RJABBERD_TEST_POSTGRES").is_some().then(home)
}

fn connect(url: &str) -> Result<SqlStore, OpenError> {
    let options = PostgresOptions { lock_wait: Duration::from_millis(50), ..PostgresOptions::default() };
    SqlStore::connect(&PostgresUrl::parse(url).unwrap(), options)
}

/// The error of a start, which is one line and shows no password.
fn refusal(url: &str) -> PostgresError {
    let Err(error) = connect(url) else { panic!("{url} was opened") };
    assert_eq!(error.to_string().lines().count(), 1, "{error}");
    assert!(!error.to_string().contains("hush"), "{error}");
    let OpenError::Postgres(error) = error else { panic!("{error:?}") };
    error
}

#[test]
fn a_database_belongs_to_one_server_at_a_time() {
    let Some(home) = on_server() else { return };
    let store = open(&home);
    let error = refusal(home.url());
    assert!(matches!(error, PostgresError::Held { .. }), "{error:?}");
    drop(store);
    drop(open(&home));
}

#[test]
fn a_schema_newer_than_the_program_is_refused_and_left_alone() {
    let Some(home) = on_server() else { return };
    drop(open(&home));
    home.table("UPDATE rjabberd_schema SET version = 1000");
    let error = refusal(home.url());
    assert!(matches!(error, PostgresError::Newer { found: 1000, .. }), "{error:?}");
    assert_eq!(home.table("SELECT version FROM rjabberd_schema"), ["1000"]);
}

#[test]
fn a_database_with_other_tables_is_refused_and_left_alone() {
    let Some(home) = on_server() else { return };
    home.table("CREATE TABLE theirs (x INTEGER)");
    let error = refusal(home.url());
    assert!(matches!(error, PostgresError::Foreign { .. }), "{error:?}");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()";
    assert_eq!(home.table(tables), ["1"]);
}

#[test]
fn two_servers_that_start_at_once_do_not_both_make_the_tables() {
    let Some(home) = on_server() else { return };
    let starts: Vec<_> = (0..3)
        .map(|_| {
            let url = home.url().to_owned();
            std::thread::spawn(move || connect(&url))
        })
        .collect();
    let opened: Vec<_> = starts.into_iter().map(|start| start.join().unwrap()).collect();
    assert_eq!(opened.iter().filter(|store| store.is_ok()).count(), 1);
}

#[test]
fn what_cannot_be_opened_is_told_with_what_to_do() {
    let Some(home) = on_server() else { return };
    let none = std::env::var("RJABBERD_TEST_POSTGRES").unwrap().replace("/chat", "/none");
    let error = refusal(&none).to_string();
    assert!(error.contains("create it (createdb"), "{error}");
    let error = refusal(&home.url().replace("search_path%3Dtest", "search_path%3Dnone")).to_string();
    assert!(error.contains("CREATE SCHEMA"), "{error}");
    // Nobody listens on that port, and nobody ever answers for that address.
    let error = refusal("postgres://user:hush@127.0.0.1:1/chat").to_string();
    assert!(error.starts_with("cannot reach the database at 127.0.0.1:1/chat: "), "{error}");
}

#[test]
fn connections_that_the_server_ends_are_opened_anew() {
    let Some(home) = on_server() else { return };
    let store = open(&home);
    wait(store.create_account(&account("romeo"), credentials(1))).unwrap();
    assert!(wait(store.account_exists(&account("romeo"))).unwrap());
    let end_all = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_locks
         WHERE locktype = 'advisory' AND classid = 1919574370
           AND objid = (hashtext('{}')::bigint & 4294967295)::oid",
        home.name()
    );
    for number in 0..3 {
        assert_eq!(ask_server(home.url(), &end_all), ["1"], "the writer of this schema, and no other");
        let name = format!("u{number}");
        // What is said first may find the end of the connection on its way.
        let created = (0..20).any(|_| {
            let result = wait(store.create_account(&account(&name), credentials(1)));
            matches!(result, Ok(()) | Err(StoreError::Conflict))
        });
        assert!(created, "the store did not come back");
    }
    assert_eq!(wait(store.list_accounts(None, None, 10)).unwrap().len(), 4);
    assert_eq!(store.metrics().snapshot().reopened, 3);
}

#[test]
fn a_question_cannot_change_anything() {
    let Some(home) = on_server() else { return };
    let store = open(&home);
    assert!(!wait(store.account_exists(&account("romeo"))).unwrap());
    let readers = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'rjabberd'";
    assert!(home.table(readers)[0].parse::<i64>().unwrap() >= 2, "the writer and a reader");
}

#[test]
fn what_fails_by_itself_takes_nothing_with_it_and_costs_no_connection() {
    if on_server().is_none() {
        return;
    }
    let (home, store) = with_accounts(&["romeo"]);
    home.table("ALTER TABLE account ADD CONSTRAINT odd CHECK (localpart <> 'odd')");
    let names = ["a", "odd", "b", "romeo", "c"];
    let answers: Vec<_> =
        names.iter().map(|name| store.create_account(&account(name), credentials(1))).collect();
    let results: Vec<_> = answers.into_iter().map(wait).collect();
    assert!(matches!(results[1], Err(StoreError::Io(_))), "{:?}", results[1]);
    assert!(!format!("{:?}", results[1]).contains("Failing row"), "{:?}", results[1]);
    assert!(matches!(results[3], Err(StoreError::Conflict)), "{:?}", results[3]);
    for index in [0, 2, 4] {
        assert!(results[index].is_ok(), "{:?}", results[index]);
    }
    assert_eq!(home.rows("account"), 4);
    assert_eq!(store.metrics().snapshot().reopened, 0);
}
