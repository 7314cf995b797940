//! Which questions go to the disk and which are answered from memory, and that both say the same.

use rjabberd_xmpp::roster::Act;

use super::*;
use crate::store::{OfflineLimits, RosterEdit, SubscriptionChange};

const LIMITS: OfflineLimits = OfflineLimits { messages_max: 1_000, bytes_max: 1_000_000 };

/// How many questions `work` asks of the readers.
fn asked(store: &SqliteStore, work: impl FnOnce()) -> u64 {
    let reads = || store.metrics().snapshot().reads.operations;
    let before = reads();
    work();
    reads() - before
}

fn log_in(store: &SqliteStore, name: &str) {
    wait(store.load_login(&jid(name))).unwrap();
    wait(store.load_profile(&jid(name))).unwrap();
}

fn append(store: &SqliteStore, name: &str) -> Answer<()> {
    store.append_offline(&jid(name), "text".into(), 0, LIMITS, Box::new(|_| ()))
}

fn with(names: &[&str]) -> (tempfile::TempDir, SqliteStore) {
    let (folder, store) = new_store();
    names.iter().for_each(|name| wait(store.create_account(&jid(name), credentials())));
    (folder, store)
}

#[test]
fn a_login_and_its_profile_are_one_question_and_the_next_time_none() {
    let (_folder, store) = with(&["romeo"]);
    assert_eq!(asked(&store, || log_in(&store, "romeo")), 1);
    assert_eq!(asked(&store, || log_in(&store, "romeo")), 0);
    let answer = store.load_profile(&jid("romeo")).now_or_never();
    assert!(matches!(answer, Some(Ok(Some(_)))), "what is kept is there at once");
}

#[test]
fn a_disabled_account_and_nobody_are_read_each_time_and_bring_nothing_with_them() {
    let (_folder, store) = with(&["romeo"]);
    wait(store.set_disabled(&jid("romeo"), true));
    wait(store.load_login(&jid("romeo"))).unwrap();
    assert_eq!(asked(&store, || drop(wait(store.load_profile(&jid("romeo"))))), 1);
    for _ in 0..2 {
        assert_eq!(asked(&store, || assert!(wait(store.load_login(&jid("nobody"))).is_none())), 1);
        assert_eq!(asked(&store, || assert!(wait(store.load_profile(&jid("nobody"))).is_none())), 1);
    }
}

#[test]
fn each_change_of_a_profile_is_seen_by_the_next_question() {
    let (_folder, store) = with(&["romeo", "juliet"]);
    let profile = |name| wait(store.load_profile(&jid(name))).unwrap();
    let send = |from, act, to| {
        let change = SubscriptionChange {
            account: jid(from),
            contact: jid(to),
            is_here: true,
            act,
            stanza: "<presence/>".into(),
        };
        wait(store.change_subscription(change, 10, Box::new(|_| ())));
    };
    let edit = RosterEdit { jid: jid("juliet"), name: Some("J".to_owned()), groups: Vec::new() };
    let steps: [(&str, &dyn Fn()); 8] = [
        ("romeo", &|| drop(wait(store.set_roster_item(&jid("romeo"), edit.clone(), 10, Box::new(|_| ()))))),
        ("juliet", &|| send("romeo", Act::Subscribe, "juliet")),
        ("romeo", &|| send("juliet", Act::Subscribed, "romeo")),
        ("romeo", &|| wait(append(&store, "romeo"))),
        ("romeo", &|| wait(store.delete_offline(&jid("romeo"), i64::MAX, Box::new(|_| ())))),
        ("romeo", &|| wait(store.save_vcard(&jid("romeo"), "v".to_owned(), Some([1; 20]), Box::new(|_| ())))),
        ("juliet", &|| {
            drop(wait(store.remove_roster_item(&jid("romeo"), &jid("juliet"), Box::new(|_| ()))));
        }),
        ("romeo", &|| send("juliet", Act::Subscribe, "romeo")),
    ];
    for (number, (whose, step)) in steps.into_iter().enumerate() {
        let before = profile(whose);
        step();
        let after = profile(whose);
        assert_ne!(before, after, "step {number}");
        let key = Key::new(&jid(whose)).unwrap();
        let read = wait(store.read(move |connection| profiles::load(connection, &key))).unwrap();
        assert_eq!(after, read, "step {number}");
    }
}

#[test]
fn a_removed_account_is_forgotten_and_so_is_what_its_contacts_had_with_it() {
    let (_folder, store) = with(&["romeo", "juliet"]);
    let change = SubscriptionChange {
        account: jid("romeo"),
        contact: jid("juliet"),
        is_here: true,
        act: Act::Subscribe,
        stanza: "<presence/>".into(),
    };
    wait(store.change_subscription(change, 10, Box::new(|_| ())));
    log_in(&store, "romeo");
    log_in(&store, "juliet");
    wait(store.remove_account(&jid("romeo"), Box::new(|_| ())));
    assert!(wait(store.load_login(&jid("romeo"))).is_none());
    assert!(wait(store.load_profile(&jid("romeo"))).is_none());
    assert!(wait(store.load_profile(&jid("juliet"))).unwrap().items.is_empty());
}

#[test]
fn changes_of_others_keep_nobody_from_being_remembered() {
    let (_folder, store) = with(&["romeo", "juliet", "paris"]);
    log_in(&store, "romeo");
    let first = Gate::closed(&store);
    let appended = append(&store, "juliet");
    let second = Gate::new(&store);
    first.open().unwrap();
    // The writer stands behind the append, in the same transaction.
    second.entered.recv().unwrap();
    assert_eq!(asked(&store, || log_in(&store, "romeo")), 0);
    assert_eq!(asked(&store, || log_in(&store, "paris")), 1);
    assert_eq!(asked(&store, || log_in(&store, "paris")), 0);
    // Whose messages they are is read, not kept, until the commit; and the keys are no part of it.
    assert_eq!(asked(&store, || log_in(&store, "juliet")), 2);
    assert_eq!(asked(&store, || log_in(&store, "juliet")), 1);
    second.open().unwrap();
    wait(appended);
    assert!(wait(store.load_profile(&jid("juliet"))).unwrap().has_offline);
    assert_eq!(asked(&store, || log_in(&store, "juliet")), 0);
}

#[test]
fn without_memory_every_question_goes_to_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions { logins_bytes_max: 0, profiles_bytes_max: 0, ..SqliteOptions::default() };
    let store = open(&folder, options);
    wait(store.create_account(&jid("romeo"), credentials()));
    for _ in 0..2 {
        assert_eq!(asked(&store, || log_in(&store, "romeo")), 2);
    }
}

#[test]
fn added_keys_are_seen_by_the_next_login() {
    let (_folder, store) = with(&["romeo"]);
    log_in(&store, "romeo");
    let mut strong = credentials().keys.remove(0);
    let witness = strong.clone();
    strong.iterations = 7;
    let added = Credentials { keys: vec![strong.clone()], digest: None };
    wait(store.add_keys(&jid("romeo"), witness, added));
    assert!(wait(store.load_login(&jid("romeo"))).unwrap().credentials.keys == [strong]);
}

#[test]
fn a_login_by_token_brings_the_profile_with_it() {
    use rjabberd_xmpp::sasl::{ClientId, FastToken, TokenChange, TokenMechanism};
    let (_folder, store) = with(&["romeo", "juliet"]);
    let token = FastToken {
        mechanism: TokenMechanism::None,
        secret: Zeroizing::new("secret".to_owned()),
        issued_unix_s: 0,
        expires_unix_s: 1,
        count: 0,
    };
    let change = TokenChange { issue: Some(token), ..TokenChange::default() };
    wait(store.change_tokens(&jid("romeo"), ClientId(1), change, 10));
    // Whoever has no token is nobody: what he asks pushes nothing out of the memory.
    for (name, client, questions) in [("juliet", 1, 2), ("romeo", 2, 2), ("romeo", 1, 1)] {
        let asking = || {
            wait(store.load_tokens(&jid(name), ClientId(client))).unwrap();
            wait(store.load_profile(&jid(name))).unwrap();
        };
        // Forget what the question before has brought.
        wait(append(&store, name));
        assert_eq!(asked(&store, asking), questions, "{name} {client}");
    }
}
