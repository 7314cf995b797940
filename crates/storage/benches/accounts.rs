//! What the account operations cost: `cargo bench -p rjabberd_storage`. Figures and what follows from them are in
//! `docs/decisions/0002-store.md`. The folder is made under `TMPDIR`: put it on the disk that is meant.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program that prints its figures")]

use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};
use rjabberd_storage::{Answer, SqliteOptions, SqliteStore, Store};
use rjabberd_xmpp::address::BareJid;
use rjabberd_xmpp::sasl::{Credentials, ScramHash, ScramKeys};
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

const ACCOUNTS: usize = 10_000;
const QUESTIONS: usize = 50_000;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    println!("{:<44} {:>9} {:>12} {:>12}", "operation", "count", "µs each", "per second");

    let filled = timed(|| fill(&runtime, &store));
    report("import, batches of 1,000", ACCOUNTS, filled);
    for in_flight in [1, 64] {
        let time = run(&runtime, QUESTIONS, in_flight, |n| store.load_login(&jid(n * 7 % ACCOUNTS)));
        report(&format!("load_login, {in_flight} in flight"), QUESTIONS, time);
    }
    for (count, in_flight) in [(300, 1), (3_000, 64), (3_000, 1_000)] {
        let before = store.metrics().snapshot().commits;
        let base = ACCOUNTS * in_flight;
        let time = run(&runtime, count, in_flight, |n| store.create_account(&jid(base + n), credentials()));
        let commits = store.metrics().snapshot().commits - before;
        report(&format!("create_account, {in_flight} in flight, {commits} commits"), count, time);
    }
    let time = run(&runtime, 3_000, 64, |n| store.set_credentials(&jid(n), credentials()));
    report("set_credentials, 64 in flight", 3_000, time);
    println!("{:#?}", store.metrics().snapshot());
}

fn fill(runtime: &Runtime, store: &SqliteStore) {
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
) -> Duration {
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

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn report(name: &str, count: usize, time: Duration) {
    let each = time.as_secs_f64() / count as f64;
    println!("{name:<44} {count:>9} {:>12.1} {:>12.0}", each * 1e6, 1.0 / each);
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
    Credentials { keys: vec![keys(ScramHash::Sha1, 20), keys(ScramHash::Sha256, 32)] }
}
