//! Kill -9 under load: every account whose creation, password change or removal was answered is as answered.
//!
//! The load is this same test program, started a second time with a folder to work on. It says what it asks for and
//! what was answered, line by line; after so many answers it is killed, and the store is opened and compared.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod support;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use futures_util::TryFutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use rjabberd_storage::{DATABASE_FILE, Store};
use support::{credentials, jid, open, seed, wait};

const FOLDER: &str = "RJABBERD_TEST_KILL_FOLDER";
const ROUND: &str = "RJABBERD_TEST_KILL_ROUND";
const ACCOUNTS: u32 = 48;
const ROUNDS: usize = 12;

/// What is true of an account: the seed of its keys, or that there is none.
type State = Option<u32>;

/// What is known of an account: what was answered last, and what was asked for since.
#[derive(Default)]
struct Known {
    answered: State,
    asked: Option<State>,
}

#[test]
fn what_was_answered_before_a_kill_is_there_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut known: HashMap<String, Known> = HashMap::new();
    for round in 0..ROUNDS {
        run_and_kill(&folder, round, 40 + 53 * round, &mut known);
        let check = rusqlite::Connection::open(folder.path().join(DATABASE_FILE)).unwrap();
        let verdict: String = check.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(verdict, "ok");
        drop(check);
        let store = open(&folder);
        for (account, known) in &mut known {
            let login = wait(store.load_login(&jid(account))).unwrap();
            let found = login.map(|login| seed(&login.credentials));
            assert!(
                found == known.answered || Some(found) == known.asked,
                "round {round}: {account} is {found:?}, but {:?} was answered and {:?} asked for",
                known.answered,
                known.asked
            );
            *known = Known { answered: found, asked: None };
        }
        let accounts = wait(store.list_accounts(None, None, 10_000)).unwrap();
        let expected = known.values().filter(|known| known.answered.is_some()).count();
        assert_eq!(accounts.len(), expected, "round {round}");
    }
    assert!(known.len() > 40 * ROUNDS);
}

/// Runs the load until it has had `answers` answers, kills it, and learns from all that it said.
fn run_and_kill(
    folder: &tempfile::TempDir,
    round: usize,
    answers: usize,
    known: &mut HashMap<String, Known>,
) {
    let mut load = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_load", "--ignored", "--nocapture", "--quiet"])
        .env(FOLDER, folder.path())
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(load.stdout.take().unwrap());
    let mut seen = 0;
    let mut line = String::new();
    loop {
        line.clear();
        // What was written before the kill is still in the pipe; its last line may be cut.
        if said.read_line(&mut line).unwrap() == 0 || !line.ends_with('\n') {
            break;
        }
        let mut words = line.split_whitespace();
        let (Some(what @ ("asked" | "answered")), Some(account), Some(state)) =
            (words.next(), words.next(), words.next())
        else {
            continue;
        };
        let state: State = state.parse().ok();
        let account = known.entry(account.to_owned()).or_default();
        if what == "asked" {
            account.asked = Some(state);
        } else {
            *account = Known { answered: state, asked: None };
            seen += 1;
            if seen == answers {
                load.kill().unwrap();
            }
        }
    }
    load.wait().unwrap();
    assert!(seen >= answers, "round {round}: the load ended by itself after {seen} answers");
}

#[test]
#[ignore = "the load of the test above, which starts it"]
fn the_load() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let round = std::env::var(ROUND).unwrap();
    let store = rjabberd_storage::SqliteStore::open(folder.as_ref(), Default::default()).unwrap();
    // Past the harness, which would keep it; in one write a line, so that only the last can be cut.
    let say = |what: &str, account: &str, state: State| {
        let state = state.map_or_else(|| "none".to_owned(), |seed| seed.to_string());
        std::io::stdout().write_all(format!("\n{what} {account} {state}\n").as_bytes()).unwrap();
        std::io::stdout().flush().unwrap();
    };
    // Each account is made, changed twice, removed, made anew, for ever: one operation of each is on its way.
    let ask = |number: u32, step: u32| {
        let account = format!("r{round}-u{number}@example.net");
        let state = (step % 4 != 3).then_some(step * ACCOUNTS + number);
        say("asked", &account, state);
        let answer = match (step % 4, state) {
            (0, Some(seed)) => store.create_account(&jid(&account), credentials(seed)),
            (_, Some(seed)) => store.set_credentials(&jid(&account), credentials(seed)),
            (_, None) => Box::pin(store.remove_account(&jid(&account), Box::new(|_| ())).map_ok(|_| ())),
        };
        async move {
            answer.await.unwrap();
            (account, number, step, state)
        }
    };
    wait(async {
        let mut open: FuturesUnordered<_> = (0..ACCOUNTS).map(|number| ask(number, 0)).collect();
        while let Some((account, number, step, state)) = open.next().await {
            say("answered", &account, state);
            open.push(ask(number, step + 1));
        }
    });
}
