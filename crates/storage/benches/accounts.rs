//! What the account operations cost: `cargo bench -p rjabberd_storage`. Figures and what follows from them are in
//! `docs/decisions/0002-store.md`. The folder is made under `TMPDIR`: put it on the disk that is meant. CPU is that of
//! the whole process, which other work on the machine falsifies less than the time.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program that prints its figures")]

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};
use rjabberd_storage::{Answer, PostgresOptions, PostgresUrl, RosterEdit, SqlStore, SqliteOptions, Store};
use rjabberd_xmpp::address::BareJid;
use rjabberd_xmpp::sasl::{Credentials, ScramHash, ScramKeys};
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

const ACCOUNTS: usize = 10_000;
const QUESTIONS: usize = 50_000;
/// Accounts that ask for their keys and their profile, and the contacts of each.
const PAIRS: usize = 2_000;
const CONTACTS: usize = 50;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    println!("{:<46} {:>7} {:>10} {:>10} {:>10}", "operation", "count", "µs each", "CPU µs", "per second");
    // Any word in the command line: only the logins.
    if std::env::args().skip(1).all(|argument| argument.starts_with('-')) {
        manage(&runtime);
    }
    log_in(&runtime);
}

/// A store in a file or, where `RJABBERD_TEST_POSTGRES` names a database, in a schema of its own there
/// (`scripts/postgres run cargo bench -p rjabberd_storage --bench accounts`).
fn open(folder: &Path, options: SqliteOptions) -> SqlStore {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let Ok(url) = std::env::var("RJABBERD_TEST_POSTGRES") else {
        return SqlStore::open(folder, options).unwrap();
    };
    let name = format!("bench_{}_{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(&format!("CREATE SCHEMA {name}")).await.unwrap();
    });
    let url = PostgresUrl::parse(&format!("{url}?options=-c%20search_path%3D{name}")).unwrap();
    let profiles_bytes_max = options.profiles_bytes_max;
    SqlStore::connect(&url, PostgresOptions { profiles_bytes_max, ..PostgresOptions::default() }).unwrap()
}

/// What administration and registration ask.
fn manage(runtime: &Runtime) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), SqliteOptions::default());
    let cost = timed(|| fill(runtime, &store));
    report("import, batches of 1,000", ACCOUNTS, cost);
    for in_flight in [1, 64] {
        let cost = run(runtime, QUESTIONS, in_flight, |n| store.load_login(&jid(n * 7 % ACCOUNTS)));
        report(&format!("load_login, {in_flight} in flight"), QUESTIONS, cost);
    }
    for (count, in_flight) in [(300, 1), (3_000, 64), (3_000, 1_000)] {
        let before = store.metrics().snapshot().commits;
        let base = ACCOUNTS * in_flight;
        let cost = run(runtime, count, in_flight, |n| store.create_account(&jid(base + n), credentials()));
        let commits = store.metrics().snapshot().commits - before;
        report(&format!("create_account, {in_flight} in flight, {commits} commits"), count, cost);
    }
    let cost = run(runtime, 3_000, 64, |n| store.set_credentials(&jid(n), credentials()));
    report("set_credentials, 64 in flight", 3_000, cost);
    let cost = run(runtime, 1_000, 1, |_| store.key_shapes("example.net"));
    report("key_shapes, 1 in flight", 1_000, cost);
    println!("{:#?}", store.metrics().snapshot());
}

/// What a login asks: the keys, and then the profile of 50 contacts. Each account logs in once, so that nothing is in
/// memory but what the first question brought; then those of whom everything is.
fn log_in(runtime: &Runtime) {
    for (name, profiles_bytes_max) in [("two questions", 0), ("one question", 64 * 1024 * 1024)] {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions { profiles_bytes_max, ..SqliteOptions::default() };
        let store = open(folder.path(), options);
        let batch = (0..PAIRS).map(|n| (jid(n), credentials())).collect();
        runtime.block_on(store.import_accounts(batch, false)).unwrap();
        befriend(runtime, &store);
        let pair = async |number: usize| {
            store.load_login(&jid(number)).await.unwrap().unwrap();
            let profile = store.load_profile(&jid(number)).await.unwrap().unwrap();
            assert_eq!(profile.items.len(), CONTACTS);
        };
        for memory in ["first", "again"] {
            let cost = timed(|| (0..PAIRS).for_each(|number| runtime.block_on(pair(number))));
            report(&format!("login and profile, {name}, {memory}"), PAIRS, cost);
        }
    }
}

/// Each account lists so many others.
fn befriend(runtime: &Runtime, store: &SqlStore) {
    let edits = (0..PAIRS).flat_map(|number| (1..=CONTACTS).map(move |other| (number, other)));
    let mut edits = edits.map(|(number, other)| {
        let edit = RosterEdit {
            jid: jid(number + other),
            name: Some(format!("Contact {other}")),
            groups: vec!["Friends".to_owned()],
        };
        store.set_roster_item(&jid(number), edit, CONTACTS, Box::new(|_| ()))
    });
    loop {
        let open: Vec<_> = edits.by_ref().take(2_000).collect();
        if open.is_empty() {
            break;
        }
        for answer in open {
            runtime.block_on(answer).unwrap();
        }
    }
}

fn fill(runtime: &Runtime, store: &SqlStore) {
    for first in (0..ACCOUNTS).step_by(1_000) {
        let batch = (first..first + 1_000).map(|n| (jid(n), credentials())).collect();
        runtime.block_on(store.import_accounts(batch, false)).unwrap();
    }
}

/// Asks `count` times, with `in_flight` questions open at any time.
fn run<T: Send + 'static>(
    runtime: &Runtime,
    count: usize,
    in_flight: usize,
    ask: impl Fn(usize) -> Answer<T>,
) -> Cost {
    timed(|| {
        runtime.block_on(async {
            let mut open: FuturesUnordered<Answer<T>> = FuturesUnordered::new();
            for n in 0..count {
                if open.len() == in_flight {
                    open.next().await.unwrap().unwrap();
                }
                open.push(ask(n));
            }
            while let Some(answer) = open.next().await {
                answer.unwrap();
            }
        });
    })
}

struct Cost {
    time: Duration,
    cpu: Duration,
}

fn timed(work: impl FnOnce()) -> Cost {
    let begun = Instant::now();
    let cpu_before = cpu();
    work();
    Cost { cpu: cpu() - cpu_before, time: begun.elapsed() }
}

fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap()
}

fn report(name: &str, count: usize, cost: Cost) {
    let each = cost.time.as_secs_f64() / count as f64;
    let cpu = cost.cpu.as_secs_f64() / count as f64;
    println!("{name:<46} {count:>7} {:>10.1} {:>10.1} {:>10.0}", each * 1e6, cpu * 1e6, 1.0 / each);
}

fn jid(number: usize) -> BareJid {
    BareJid::new(&format!("user{number}@example.net")).unwrap()
}

fn credentials() -> Credentials {
    let keys = |hash, length| ScramKeys {
        hash,
        iterations: 10_000,
        salt: vec![1; 16],
        stored_key: Zeroizing::new(vec![2; length]),
        server_key: Zeroizing::new(vec![3; length]),
    };
    Credentials { keys: vec![keys(ScramHash::Sha1, 20), keys(ScramHash::Sha256, 32)], digest: None }
}
