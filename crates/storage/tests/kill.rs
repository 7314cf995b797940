//! Kill -9 under load: every account whose creation, password change or removal was answered is as answered, and every
//! message that was taken waits once.
//!
//! A load is this same test program, started a second time with a folder to work on. It says what it asks for and
//! what was answered, line by line; after so many answers it is killed, and the store is opened and compared.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod support;

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use futures_util::TryFutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use rjabberd_storage::{DATABASE_FILE, OfflineLimits, OfflineMessage, Store};
use support::{credentials, jid, nothing, open_file, seed, wait};

const FOLDER: &str = "RJABBERD_TEST_KILL_FOLDER";
const ROUND: &str = "RJABBERD_TEST_KILL_ROUND";
/// Whose messages wait.
const KEEPER: &str = "keeper@example.net";
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
        run_and_kill("the_load", &folder, round, 40 + 53 * round, |words| learn(words, &mut known));
        check_integrity(&folder);
        let store = open_file(&folder);
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

/// Learns from a line of the load; says whether it is an answer.
fn learn(words: &[&str], known: &mut HashMap<String, Known>) -> bool {
    let [what @ ("asked" | "answered"), account, state] = words else { return false };
    let state: State = state.parse().ok();
    let account = known.entry((*account).to_owned()).or_default();
    if *what == "asked" {
        account.asked = Some(state);
        return false;
    }
    *account = Known { answered: state, asked: None };
    true
}

fn check_integrity(folder: &tempfile::TempDir) {
    let check = rusqlite::Connection::open(folder.path().join(DATABASE_FILE)).unwrap();
    let verdict: String = check.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
    let dangling: i64 =
        check.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0)).unwrap();
    assert_eq!(dangling, 0);
}

/// Runs a load until it has had `answers` answers, kills it, and hands on all that it said, line by line; `learn` says
/// which is an answer.
fn run_and_kill(
    load: &str,
    folder: &tempfile::TempDir,
    round: usize,
    answers: usize,
    mut learn: impl FnMut(&[&str]) -> bool,
) {
    let mut load = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", load, "--ignored", "--nocapture", "--quiet"])
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
        let words: Vec<&str> = line.split_whitespace().collect();
        if learn(&words) {
            seen += 1;
            if seen == answers {
                load.kill().unwrap();
            }
        }
    }
    load.wait().unwrap();
    assert!(seen >= answers, "round {round}: the load ended by itself after {seen} answers");
}

/// In one write a line, so that only the last can be cut; past the harness, which would keep it.
fn say(line: &str) {
    std::io::stdout().write_all(format!("\n{line}\n").as_bytes()).unwrap();
    std::io::stdout().flush().unwrap();
}

#[test]
#[ignore = "the load of the test above, which starts it"]
fn the_load() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let round = std::env::var(ROUND).unwrap();
    let store = rjabberd_storage::SqliteStore::open(folder.as_ref(), Default::default()).unwrap();
    let say = |what: &str, account: &str, state: State| {
        let state = state.map_or_else(|| "none".to_owned(), |seed| seed.to_string());
        say(&format!("{what} {account} {state}"));
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

#[test]
fn a_message_that_was_taken_before_a_kill_waits_after_it_and_none_waits_twice() {
    let folder = tempfile::tempdir().unwrap();
    wait(open_file(&folder).create_account(&jid(KEEPER), credentials(1))).unwrap();
    let (mut taken, mut forgotten) = (Vec::new(), 0);
    for round in 0..ROUNDS {
        run_and_kill("the_load_of_messages", &folder, round, 30 + 41 * round, |words| match words {
            ["taken", message] => {
                taken.push((*message).to_owned());
                true
            }
            ["forgotten", up_to] => {
                forgotten = up_to.parse().unwrap();
                false
            }
            _ => false,
        });
        check_integrity(&folder);
        let store = open_file(&folder);
        let waiting = wait(store.load_offline(&jid(KEEPER), 0, usize::MAX)).unwrap();
        let stanza = |message: &OfflineMessage| String::from_utf8(message.stanza.to_vec()).unwrap();
        let texts: Vec<String> = waiting.iter().map(stanza).collect();
        assert_eq!(texts.iter().collect::<HashSet<_>>().len(), texts.len(), "round {round}: one waits twice");
        assert!(waiting.iter().all(|message| message.number > forgotten), "round {round}: one came back");
        // What was forgotten is a beginning of what was taken: whatever is behind the first that waits, waits.
        let first = taken.iter().position(|message| Some(message) == texts.first()).unwrap_or(taken.len());
        assert!(texts.starts_with(&taken[first..]), "round {round}: {:?} of {texts:?}", &taken[first..]);
        let (messages, bytes) = sums(&folder);
        let expected = (texts.len() as i64, texts.iter().map(|text| text.len() as i64).sum());
        assert_eq!((messages, bytes), expected, "round {round}");
        // What was taken just before the kill, and not answered, is known from here on.
        taken = texts;
    }
    assert!(forgotten > 0);
}

fn sums(folder: &tempfile::TempDir) -> (i64, i64) {
    let connection = rusqlite::Connection::open(folder.path().join(DATABASE_FILE)).unwrap();
    let select = "SELECT offline_messages, offline_bytes FROM account";
    connection.query_row(select, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

#[test]
#[ignore = "the load of the test above, which starts it"]
fn the_load_of_messages() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let round = std::env::var(ROUND).unwrap();
    let store = rjabberd_storage::SqliteStore::open(folder.as_ref(), Default::default()).unwrap();
    let limits = OfflineLimits { messages_max: 1_000_000, bytes_max: 1_000_000_000 };
    let keeper = jid(KEEPER);
    wait(async {
        for batch in 0.. {
            let message = |number| format!("r{round}-{batch}-{number}");
            let append = |number| store.append_offline(&keeper, message(number).into(), 0, limits, nothing());
            let answers: Vec<_> = (0..16).map(append).collect();
            for (number, answer) in answers.into_iter().enumerate() {
                answer.await.unwrap();
                say(&format!("taken {}", message(number)));
            }
            if batch % 4 == 3 {
                let waiting = store.load_offline(&keeper, 0, 100).await.unwrap();
                let up_to = waiting.last().unwrap().number;
                store.delete_offline(&keeper, up_to, nothing()).await.unwrap();
                say(&format!("forgotten {up_to}"));
            }
        }
    });
}
