//! Messages that wait for their account, through the trait.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod support;

use bytes::Bytes;
use rjabberd_storage::{OfflineLimits, OfflineMessage, SqlStore, Store, StoreError};
use support::{Home, account, credentials, jid, nothing, open, profile, wait, with_accounts};

const LIMITS: OfflineLimits = OfflineLimits { messages_max: 100, bytes_max: 1_000_000 };

fn append(store: &SqlStore, name: &str, text: &str, limits: OfflineLimits) -> Result<(), StoreError> {
    let taken_unix_ms = text.len() as i64;
    wait(store.append_offline(&account(name), Bytes::from(text.to_owned()), taken_unix_ms, limits, nothing()))
}

fn messages(store: &SqlStore, name: &str) -> Vec<OfflineMessage> {
    wait(store.load_offline(&account(name), 0, usize::MAX)).unwrap()
}

fn texts(messages: &[OfflineMessage]) -> Vec<&str> {
    messages.iter().map(|message| std::str::from_utf8(&message.stanza).unwrap()).collect()
}

/// What the account's row says is there, and what is.
fn sums(home: &Home, name: &str) -> [String; 2] {
    let pair = |sql: &str| home.table(&format!("{sql} WHERE localpart = '{name}'"))[0].clone();
    [
        pair("SELECT offline_messages, offline_bytes FROM account"),
        pair(
            "SELECT count(stanza), coalesce(sum(length(stanza)), 0) FROM account
             LEFT JOIN offline_message ON account_id = id",
        ),
    ]
}

#[track_caller]
fn check_sums(folder: &Home, name: &str, expected: (i64, i64)) {
    let expected = format!("{}|{}", expected.0, expected.1);
    assert_eq!(sums(folder, name), [expected.clone(), expected]);
}

#[test]
fn messages_come_back_in_the_order_in_which_they_were_taken() {
    let (_folder, store) = with_accounts(&["romeo", "juliet"]);
    // Queued together, so that they share a transaction.
    let answers: Vec<_> = (0..50)
        .map(|number: i64| {
            let to = if number % 2 == 0 { "romeo" } else { "juliet" };
            let stanza = Bytes::from(number.to_string());
            store.append_offline(&account(to), stanza, 1_000 - number, LIMITS, nothing())
        })
        .collect();
    answers.into_iter().for_each(|answer| wait(answer).unwrap());
    let found = messages(&store, "romeo");
    let expected: Vec<String> = (0..50).step_by(2).map(|number: i64| number.to_string()).collect();
    assert_eq!(texts(&found), expected);
    assert!(found.windows(2).all(|pair| pair[0].number < pair[1].number));
    assert_eq!((found[0].taken_unix_ms, found[1].taken_unix_ms), (1_000, 998));
}

#[test]
fn a_page_is_as_many_as_make_up_its_bytes_and_at_least_one() {
    let (_folder, store) = with_accounts(&["romeo"]);
    for text in ["aaaa", "bbbb", "cccccccccccc", "dd"] {
        append(&store, "romeo", text, LIMITS).unwrap();
    }
    let mut after = 0;
    let mut pages = Vec::new();
    loop {
        let page = wait(store.load_offline(&account("romeo"), after, 8)).unwrap();
        let Some(last) = page.last() else { break };
        after = last.number;
        pages.push(texts(&page).join(" "));
    }
    assert_eq!(pages, ["aaaa bbbb", "cccccccccccc", "dd"]);
}

#[test]
fn an_account_that_has_as_much_as_it_may_takes_nothing_more_until_some_is_gone() {
    let (folder, store) = with_accounts(&["romeo"]);
    let two = OfflineLimits { messages_max: 2, bytes_max: 1_000 };
    append(&store, "romeo", "first", two).unwrap();
    append(&store, "romeo", "second", two).unwrap();
    let result = append(&store, "romeo", "third", two);
    assert!(matches!(result, Err(StoreError::Full)), "{result:?}");
    check_sums(&folder, "romeo", (2, 11));
    let bytes = OfflineLimits { messages_max: 10, bytes_max: 16 };
    append(&store, "romeo", "third", bytes).unwrap();
    let result = append(&store, "romeo", "!", bytes);
    assert!(matches!(result, Err(StoreError::Full)), "{result:?}");
    let first = messages(&store, "romeo")[0].number;
    wait(store.delete_offline(&account("romeo"), first, nothing())).unwrap();
    append(&store, "romeo", "!", bytes).unwrap();
    assert_eq!(texts(&messages(&store, "romeo")), ["second", "third", "!"]);
    check_sums(&folder, "romeo", (3, 12));
}

#[test]
fn a_disabled_account_gets_its_messages_and_nobody_gets_none() {
    let (_folder, store) = with_accounts(&["romeo"]);
    wait(store.set_disabled(&account("romeo"), true)).unwrap();
    append(&store, "romeo", "text", LIMITS).unwrap();
    assert_eq!(messages(&store, "romeo").len(), 1);
    let result = append(&store, "nobody", "text", LIMITS);
    assert!(matches!(result, Err(StoreError::NotFound)), "{result:?}");
    let host = store.append_offline(&jid("example.net"), Bytes::new(), 0, LIMITS, nothing());
    assert!(matches!(wait(host), Err(StoreError::NotFound)));
    assert!(messages(&store, "nobody").is_empty());
    let deleted = wait(store.delete_offline(&account("nobody"), 9, nothing()));
    assert!(matches!(deleted, Err(StoreError::NotFound)), "{deleted:?}");
}

#[test]
fn what_is_forgotten_is_what_was_there_up_to_the_number_and_of_that_account() {
    let (folder, store) = with_accounts(&["romeo", "juliet"]);
    for (name, text) in
        [("romeo", "1"), ("juliet", "22"), ("romeo", "333"), ("juliet", "4444"), ("romeo", "55555")]
    {
        append(&store, name, text, LIMITS).unwrap();
    }
    let second = messages(&store, "romeo")[1].number;
    wait(store.delete_offline(&account("romeo"), second, nothing())).unwrap();
    assert_eq!(texts(&messages(&store, "romeo")), ["55555"]);
    assert_eq!(texts(&messages(&store, "juliet")), ["22", "4444"]);
    check_sums(&folder, "romeo", (1, 5));
    check_sums(&folder, "juliet", (2, 6));
}

#[test]
fn a_number_is_never_used_again_so_that_nothing_newer_is_forgotten() {
    let (folder, store) = with_accounts(&["romeo"]);
    append(&store, "romeo", "old", LIMITS).unwrap();
    let old = messages(&store, "romeo")[0].number;
    wait(store.delete_offline(&account("romeo"), old, nothing())).unwrap();
    drop(store);
    let store = open(&folder);
    append(&store, "romeo", "new", LIMITS).unwrap();
    wait(store.delete_offline(&account("romeo"), old, nothing())).unwrap();
    assert_eq!(texts(&messages(&store, "romeo")), ["new"]);
}

#[test]
fn what_is_too_old_goes_oldest_first_and_no_more_of_it_than_asked() {
    let (folder, store) = with_accounts(&["romeo", "juliet"]);
    // Taken at the moment that is its length.
    for (name, text) in
        [("romeo", "333"), ("juliet", "22"), ("romeo", "1"), ("juliet", "55555"), ("romeo", "4444")]
    {
        append(&store, name, text, LIMITS).unwrap();
    }
    assert_eq!(wait(store.expire_offline(5, 3)).unwrap(), 3);
    assert_eq!(texts(&messages(&store, "romeo")), ["4444"]);
    assert_eq!(texts(&messages(&store, "juliet")), ["55555"]);
    assert!(profile(&store, "romeo").has_offline);
    assert_eq!(wait(store.expire_offline(5, 3)).unwrap(), 1);
    assert_eq!(wait(store.expire_offline(5, 3)).unwrap(), 0);
    assert!(!profile(&store, "romeo").has_offline, "a profile that was kept knew better");
    check_sums(&folder, "romeo", (0, 0));
    check_sums(&folder, "juliet", (1, 5));
}

#[test]
fn a_profile_says_whether_messages_wait() {
    let (_folder, store) = with_accounts(&["romeo", "juliet"]);
    assert!(!profile(&store, "romeo").has_offline);
    append(&store, "romeo", "text", LIMITS).unwrap();
    assert!(profile(&store, "romeo").has_offline);
    assert!(!profile(&store, "juliet").has_offline);
    let number = messages(&store, "romeo")[0].number;
    wait(store.delete_offline(&account("romeo"), number, nothing())).unwrap();
    assert!(!profile(&store, "romeo").has_offline);
}

#[test]
fn a_removed_accounts_messages_go_with_it() {
    let (folder, store) = with_accounts(&["romeo"]);
    append(&store, "romeo", "text", LIMITS).unwrap();
    wait(store.remove_account(&account("romeo"), nothing())).unwrap();
    wait(store.create_account(&account("romeo"), credentials(2))).unwrap();
    assert!(messages(&store, "romeo").is_empty() && !profile(&store, "romeo").has_offline);
    check_sums(&folder, "romeo", (0, 0));
}
