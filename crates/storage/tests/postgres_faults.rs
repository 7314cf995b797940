//! A PostgreSQL server that stands still, or is killed, under load: every question is answered in time, the store comes
//! back by itself, and what was answered as done is there. Each test has the server for itself:
//! `scripts/postgres run cargo nextest run -p rjabberd_storage --run-ignored only -E 'binary(postgres_faults)' -j 1`.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};
use rjabberd_storage::{Login, PostgresOptions, PostgresUrl, SqlStore, Store, StoreError};
use rjabberd_xmpp::address::BareJid;
use support::{Home, account, credentials, home, seed, wait};

/// What the server is to do (`scripts/postgres`); false where there is no server of this test's own.
fn control(deed: &str) -> bool {
    let Ok(control) = std::env::var("RJABBERD_POSTGRES_CTL") else { return false };
    let status = Command::new("sh").arg("-c").arg(format!("{control} {deed}")).status().unwrap();
    assert!(status.success(), "{deed}");
    true
}

fn options() -> PostgresOptions {
    PostgresOptions {
        deadline: Duration::from_millis(800),
        run_max: Duration::from_millis(700),
        connect_max: Duration::from_millis(500),
        ..PostgresOptions::default()
    }
}

/// The longest time that an answer may take: its turn, its work, and an attempt to connect.
const ANSWER_MAX: Duration = Duration::from_millis(800 + 700 + 500 + 500);

fn connect(home: &Home) -> SqlStore {
    SqlStore::connect(&PostgresUrl::parse(home.url()).unwrap(), options()).unwrap()
}

/// What became of accounts that were created one after another, with some on their way at any time.
#[derive(Default)]
struct Counted {
    created: Vec<u32>,
    failed: usize,
    slowest: Duration,
}

/// Creates accounts from number `first` on until `until` says that it is enough.
fn create(store: &SqlStore, first: u32, mut until: impl FnMut(&Counted) -> bool) -> Counted {
    wait(async {
        let mut counted = Counted::default();
        let mut open = FuturesUnordered::new();
        let mut next = first;
        loop {
            while open.len() < 20 && !until(&counted) {
                let (number, begun) = (next, Instant::now());
                next += 1;
                let answer =
                    store.create_account(&account(&format!("u{number}")), credentials(number % 1000));
                open.push(async move { (number, begun, answer.await) });
            }
            let Some((number, begun, result)) = open.next().await else { return counted };
            counted.slowest = counted.slowest.max(begun.elapsed());
            match result {
                Ok(()) => counted.created.push(number),
                Err(error) => {
                    assert!(error.is_fault() || matches!(error, StoreError::Conflict), "{error:?}");
                    counted.failed += 1;
                }
            }
        }
    })
}

/// How long the store may need until it is back.
const BACK_MAX: Duration = Duration::from_secs(30);

/// Waits until the store takes changes again.
fn back(store: &SqlStore) {
    let begun = Instant::now();
    let is_back = || {
        matches!(
            wait(store.create_account(&account("back"), credentials(1))),
            Ok(()) | Err(StoreError::Conflict)
        )
    };
    while !is_back() {
        assert!(begun.elapsed() < BACK_MAX, "the store did not come back");
    }
}

fn check_all(store: &SqlStore, created: &[u32]) {
    for number in created {
        let login = asked(store, &account(&format!("u{number}")));
        assert_eq!(seed(&login.expect("an answered account is gone").credentials), number % 1000);
    }
}

/// Asks until there is an answer: each thread that reads leaves the database alone for a while of its own, and comes back
/// later than the one that writes.
fn asked(store: &SqlStore, account: &BareJid) -> Option<Login> {
    let begun = Instant::now();
    loop {
        match wait(store.load_login(account)) {
            Err(StoreError::Unavailable(reason)) => {
                assert!(begun.elapsed() < BACK_MAX, "no thread that reads came back: {reason}");
            }
            answer => return answer.unwrap(),
        }
    }
}

#[test]
#[ignore = "needs a server of its own"]
fn a_server_that_stands_still_keeps_nobody_waiting_and_loses_nothing() {
    if std::env::var_os("RJABBERD_POSTGRES_CTL").is_none() {
        return;
    }
    let home = home();
    let store = connect(&home);
    let before = create(&store, 0, |counted| counted.created.len() >= 500);
    assert_eq!(before.failed, 0);
    let begun = Instant::now();
    // It stops while changes are on their way.
    let mut is_stopped = false;
    let during = create(&store, 100_000, |counted| {
        if counted.created.len() > 100 && !is_stopped {
            is_stopped = control("stop");
        }
        begun.elapsed() > Duration::from_secs(6)
    });
    assert!(during.failed > 20 && during.slowest < ANSWER_MAX, "{} {:?}", during.failed, during.slowest);
    // Questions too, and what was read before is known.
    let asked = Instant::now();
    assert!(wait(store.account_exists(&account("u1"))).is_err());
    assert!(asked.elapsed() < ANSWER_MAX, "{:?}", asked.elapsed());
    control("continue");
    back(&store);
    check_all(&store, &before.created);
    check_all(&store, &during.created);
    assert!(store.metrics().snapshot().reopened > 0);
}

#[test]
#[ignore = "needs a server of its own"]
fn a_server_that_is_killed_under_load_loses_nothing_that_was_answered() {
    if std::env::var_os("RJABBERD_POSTGRES_CTL").is_none() {
        return;
    }
    let home = home();
    let store = connect(&home);
    let mut all = Vec::new();
    for round in 0..3_u32 {
        let mut is_killed = false;
        let begun = Instant::now();
        let counted = create(&store, round * 100_000, |counted| {
            if counted.created.len() > 300 && !is_killed {
                is_killed = control("kill");
            }
            (is_killed && counted.failed > 100) || begun.elapsed() > Duration::from_secs(20)
        });
        assert!(counted.slowest < ANSWER_MAX, "{:?}", counted.slowest);
        all.extend(counted.created);
        control("start");
        back(&store);
        check_all(&store, &all);
    }
}
