//! What follows a change: once, in the order of commit, after the commit and before the answer, whatever happens.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::*;
use crate::store::{Follow, OfflineLimits};

const LIMITS: OfflineLimits = OfflineLimits { messages_max: 1_000, bytes_max: 1_000_000 };

/// What was followed, in order: who, and with what.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn follow(&self, name: &str) -> Follow<()> {
        let (log, name) = (self.clone(), name.to_owned());
        Box::new(move |result| log.0.lock().push(format!("{name}: {}", told(result))))
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().clone()
    }
}

fn told<T>(result: &Result<T, StoreError>) -> &'static str {
    match result {
        Ok(_) => "done",
        Err(StoreError::NotFound) => "not found",
        Err(StoreError::Full) => "full",
        Err(StoreError::Deadline) => "late",
        Err(StoreError::Invalid(_)) => "invalid",
        Err(StoreError::Unavailable(why)) => why,
        Err(_) => "another error",
    }
}

fn append(store: &SqliteStore, name: &str, log: &Log) -> Answer<()> {
    store.append_offline(&jid(name), "text".into(), 0, LIMITS, log.follow(name))
}

#[test]
fn changes_are_followed_in_the_order_of_commit_whatever_becomes_of_them() {
    let (_folder, store) = new_store();
    wait(store.create_account(&jid("romeo"), credentials()));
    wait(store.create_account(&jid("juliet"), credentials()));
    let log = Log::default();
    let gate = Gate::closed(&store);
    let answers = ["romeo", "nobody", "juliet", "romeo"].map(|name| append(&store, name, &log));
    gate.open().unwrap();
    for answer in answers {
        let _ = ask(answer);
    }
    assert_eq!(log.lines(), ["romeo: done", "nobody: not found", "juliet: done", "romeo: done"]);
}

#[test]
fn a_change_is_followed_after_its_commit_and_before_its_answer() {
    let (folder, store) = new_store();
    wait(store.create_account(&jid("romeo"), credentials()));
    let path = folder.path().join(DATABASE_FILE);
    let (entered, has_entered) = channel();
    let (leave, left) = channel::<()>();
    let mut answer = store.append_offline(
        &jid("romeo"),
        "text".into(),
        0,
        LIMITS,
        Box::new(move |_| {
            let other = rusqlite::Connection::open(path).unwrap();
            let count = other.query_row("SELECT count(*) FROM offline_message", [], |row| row.get(0));
            entered.send(count.unwrap()).unwrap();
            left.recv().unwrap();
        }),
    );
    let committed: i64 = has_entered.recv().unwrap();
    assert_eq!(committed, 1, "followed before the commit");
    assert!((&mut answer).now_or_never().is_none(), "answered before it was followed");
    leave.send(()).unwrap();
    wait(answer);
}

#[test]
fn a_change_that_finds_the_queue_full_is_followed_by_its_caller() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, SqliteOptions { queue_max: 1, ..SqliteOptions::default() });
    let gate = Gate::closed(&store);
    let waiting = store.flush();
    let here = std::thread::current().id();
    let followed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&followed);
    let follow: Follow<()> = Box::new(move |result| {
        assert_eq!(told(result), "its queue is full");
        assert_eq!(std::thread::current().id(), here);
        count.fetch_add(1, SeqCst);
    });
    let refused = store.append_offline(&jid("romeo"), "text".into(), 0, LIMITS, follow);
    assert_eq!(followed.load(SeqCst), 1, "before the answer is waited for");
    assert!(matches!(refused.now_or_never(), Some(Err(StoreError::Unavailable(_)))));
    gate.open().unwrap();
    wait(waiting);
    assert_eq!(store.metrics().snapshot().panics, 0);
}

#[test]
fn who_follows_a_refusal_may_ask_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&folder, SqliteOptions { queue_max: 1, ..SqliteOptions::default() }));
    let gate = Gate::closed(&store);
    let waiting = store.flush();
    let again = Arc::clone(&store);
    let follow: Follow<()> = Box::new(move |_| drop(again.flush()));
    drop(store.append_offline(&jid("romeo"), "text".into(), 0, LIMITS, follow));
    gate.open().unwrap();
    wait(waiting);
}

#[test]
fn what_was_closed_late_or_senseless_is_followed_too() {
    let folder = tempfile::tempdir().unwrap();
    let late = open(&folder, SqliteOptions { deadline: Duration::ZERO, ..SqliteOptions::default() });
    let log = Log::default();
    let _ = ask(append(&late, "late", &log));
    late.close();
    let _ = ask(append(&late, "closed", &log));
    let host = BareJid::new("example.net").unwrap();
    let _ = ask(late.append_offline(&host, "text".into(), 0, LIMITS, log.follow("host")));
    let change = crate::SubscriptionChange {
        account: jid("romeo"),
        contact: jid("romeo"),
        is_here: true,
        act: rjabberd_xmpp::roster::Act::Subscribe,
        stanza: "text".into(),
    };
    let follow = log.clone();
    let follow: Follow<_> = Box::new(move |result| follow.0.lock().push(format!("self: {}", told(result))));
    let _ = ask(late.change_subscription(change, 10, follow));
    assert_eq!(log.lines(), ["late: late", "closed: it is closed", "host: not found", "self: invalid"]);
}

#[test]
fn a_change_whose_transaction_was_lost_is_followed_as_not_done() {
    let (_folder, store) = new_store();
    wait(store.create_account(&jid("romeo"), credentials()));
    let log = Log::default();
    let gate = Gate::closed(&store);
    let before = append(&store, "romeo", &log);
    let losing: Answer<()> = store.write(1, |connection| {
        connection.sqlite().execute_batch("ROLLBACK")?;
        Err(StoreError::Io(Arc::new(io::Error::other("the disk is gone"))))
    });
    let after = append(&store, "romeo", &log);
    gate.open().unwrap();
    ask(before).unwrap_err();
    ask(losing).unwrap_err();
    wait(after);
    assert_eq!(log.lines(), ["romeo: another error", "romeo: done"]);
    assert_eq!(wait(store.load_offline(&jid("romeo"), 0, 1_000)).len(), 1);
}

#[test]
fn a_change_that_is_dropped_on_the_way_is_followed() {
    let (_folder, store) = new_store();
    wait(store.create_account(&jid("romeo"), credentials()));
    let log = Log::default();
    let gate = Gate::closed(&store);
    store.writes.push(Box::new(Bomb), &store.metrics.writes);
    let dropped = append(&store, "romeo", &log);
    gate.open().unwrap();
    ask(dropped).unwrap_err();
    assert_eq!(log.lines(), ["romeo: the operation was dropped unanswered"]);
}

#[test]
fn who_panics_while_following_hurts_nobody_and_is_counted() {
    let (_folder, store) = new_store();
    wait(store.create_account(&jid("romeo"), credentials()));
    let log = Log::default();
    let gate = Gate::closed(&store);
    let panicking = Box::new(|_: &Result<(), StoreError>| panic!("asked for by a test"));
    let panicked = store.append_offline(&jid("romeo"), "text".into(), 0, LIMITS, panicking);
    let after = append(&store, "romeo", &log);
    gate.open().unwrap();
    wait(panicked);
    wait(after);
    let host = BareJid::new("example.net").unwrap();
    let panicking = Box::new(|_: &Result<(), StoreError>| panic!("asked for by a test"));
    ask(store.append_offline(&host, "text".into(), 0, LIMITS, panicking)).unwrap_err();
    assert_eq!(log.lines(), ["romeo: done"]);
    assert_eq!(wait(store.load_offline(&jid("romeo"), 0, 1_000)).len(), 2);
    assert_eq!(store.metrics().snapshot().panics, 2);
}

#[test]
fn the_queue_is_bounded_in_bytes_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, SqliteOptions { queue_max: 512, ..SqliteOptions::default() });
    wait(store.create_account(&jid("romeo"), credentials()));
    let gate = Gate::closed(&store);
    let long = bytes::Bytes::from(vec![b' '; 160_000]);
    let send = || store.append_offline(&jid("romeo"), long.clone(), 0, LIMITS, Box::new(|_| ()));
    let answers: Vec<_> = (0..10).map(|_| send()).collect();
    gate.open().unwrap();
    let done = answers.into_iter().map(ask).filter(Result::is_ok).count();
    // Each weighs 157, and the gate's one was taken out.
    assert_eq!(done, 3);
}
