//! What clients and sessions put here in small pieces, through the trait: private XML, vCards, blocks, last activity.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod support;

use bytes::Bytes;
use rjabberd_storage::{LastActivity, OfflineLimits, RosterEdit, SqlStore, Store, StoreError};
use rjabberd_xmpp::Jid;
use support::{account, credentials, jid, nothing, open, profile, wait, with_accounts};

fn element(name: &str, namespace: &str, text: &str) -> (String, String, String) {
    (name.to_owned(), namespace.to_owned(), text.to_owned())
}

fn save(store: &SqlStore, elements: &[(&str, &str, &str)], bytes_max: usize) -> Result<(), StoreError> {
    let elements = elements.iter().map(|(name, namespace, text)| element(name, namespace, text)).collect();
    wait(store.save_private(&account("romeo"), elements, bytes_max))
}

fn private(store: &SqlStore, user: &str, name: &str, namespace: &str) -> Option<String> {
    wait(store.load_private(&account(user), name, namespace)).unwrap()
}

#[test]
fn private_elements_are_told_apart_by_name_and_namespace_and_account() {
    let (_folder, store) = with_accounts(&["romeo", "juliet"]);
    save(&store, &[("a", "n:1", "<a>1</a>"), ("a", "n:2", "<a>2</a>"), ("b", "n:1", "<b/>")], 1_000).unwrap();
    assert_eq!(private(&store, "romeo", "a", "n:1").as_deref(), Some("<a>1</a>"));
    assert_eq!(private(&store, "romeo", "a", "n:2").as_deref(), Some("<a>2</a>"));
    assert_eq!(private(&store, "romeo", "b", "n:2"), None);
    assert_eq!(private(&store, "juliet", "a", "n:1"), None);
    assert_eq!(private(&store, "nobody", "a", "n:1"), None);
    save(&store, &[("a", "n:1", "<a>new</a>")], 1_000).unwrap();
    assert_eq!(private(&store, "romeo", "a", "n:1").as_deref(), Some("<a>new</a>"));
}

#[test]
fn private_elements_are_bounded_by_all_their_bytes_and_kept_together_or_not_at_all() {
    let (_folder, store) = with_accounts(&["romeo"]);
    // With name and namespace: 10 bytes.
    save(&store, &[("ä", "n", "ö23456")], 10).unwrap();
    let result = save(&store, &[("ä", "n", "ö"), ("b", "n", "<b></b>")], 13);
    assert!(matches!(result, Err(StoreError::Full)), "{result:?}");
    assert_eq!(private(&store, "romeo", "ä", "n").as_deref(), Some("ö23456"));
    assert_eq!(private(&store, "romeo", "b", "n"), None);
    save(&store, &[("ä", "n", "ö"), ("b", "n", "<b></b>")], 14).unwrap();
    let nobody = wait(store.save_private(&account("nobody"), vec![element("a", "n", "")], 10));
    assert!(matches!(nobody, Err(StoreError::NotFound)), "{nobody:?}");
}

#[test]
fn a_vcard_is_what_was_saved_last_and_its_avatar_is_in_the_profile() {
    let (_folder, store) = with_accounts(&["romeo"]);
    let vcard = || wait(store.load_vcard(&account("romeo"))).unwrap();
    assert_eq!((vcard(), profile(&store, "romeo").avatar), (None, None));
    wait(store.save_vcard(&account("romeo"), "<vCard/>".to_owned(), Some([7; 20]), nothing())).unwrap();
    assert_eq!(vcard().as_deref(), Some("<vCard/>"));
    assert_eq!(profile(&store, "romeo").avatar, Some([7; 20]));
    let long = "x".repeat(300_000);
    wait(store.save_vcard(&account("romeo"), long.clone(), None, nothing())).unwrap();
    assert_eq!((vcard(), profile(&store, "romeo").avatar), (Some(long), None));
    let nobody = wait(store.save_vcard(&account("nobody"), String::new(), None, nothing()));
    assert!(matches!(nobody, Err(StoreError::NotFound)), "{nobody:?}");
    assert_eq!(wait(store.load_vcard(&account("nobody"))).unwrap(), None);
}

fn jids(texts: &[&str]) -> Vec<Jid> {
    texts.iter().map(|text| Jid::new(text).unwrap()).collect()
}

fn block(store: &SqlStore, block: &[&str], unblock: Option<&[&str]>) -> Result<Vec<Jid>, StoreError> {
    let unblock = unblock.map(jids);
    wait(store.change_blocks(&account("romeo"), jids(block), unblock, 3, nothing()))
}

#[test]
fn a_list_of_blocks_is_what_was_blocked_and_not_unblocked() {
    let (folder, store) = with_accounts(&["romeo", "juliet"]);
    let list = block(&store, &["tybalt@example.net", "afar.example", "p@example.net/r"], Some(&[])).unwrap();
    assert_eq!(list, jids(&["afar.example", "p@example.net/r", "tybalt@example.net"]));
    assert_eq!(block(&store, &["afar.example"], Some(&[])).unwrap(), list, "it is blocked already");
    wait(store.change_blocks(&account("juliet"), jids(&["paris@example.net"]), Some(vec![]), 3, nothing()))
        .unwrap();
    drop(store);
    let store = open(&folder);
    let all = wait(store.load_blocks()).unwrap();
    assert_eq!(all, [(account("romeo"), list), (account("juliet"), jids(&["paris@example.net"]))]);
    let left = block(&store, &[], Some(&["afar.example", "never@example.net"])).unwrap();
    assert_eq!(left, jids(&["p@example.net/r", "tybalt@example.net"]));
    assert!(block(&store, &[], None).unwrap().is_empty());
    assert_eq!(wait(store.load_blocks()).unwrap().len(), 1, "who blocks nobody is not in the list");
}

#[test]
fn a_full_list_of_blocks_takes_nobody_more_and_loses_nobody() {
    let (_folder, store) = with_accounts(&["romeo"]);
    block(&store, &["a@x", "b@x", "c@x"], Some(&[])).unwrap();
    let result = block(&store, &["d@x"], Some(&[]));
    assert!(matches!(result, Err(StoreError::Full)), "{result:?}");
    assert_eq!(wait(store.load_blocks()).unwrap()[0].1.len(), 3);
    assert_eq!(block(&store, &["d@x"], Some(&["a@x"])).unwrap(), jids(&["b@x", "c@x", "d@x"]));
    // A limit that was lowered keeps nobody from shortening the list.
    let shorter = store.change_blocks(&account("romeo"), vec![], Some(jids(&["b@x"])), 1, nothing());
    assert_eq!(wait(shorter).unwrap().len(), 2);
    let nobody = wait(store.change_blocks(&account("nobody"), vec![], None, 3, nothing()));
    assert!(matches!(nobody, Err(StoreError::NotFound)), "{nobody:?}");
}

#[test]
fn the_last_activity_is_the_last_that_was_noted_and_nobodys_is_not_noted() {
    let (_folder, store) = with_accounts(&["romeo", "juliet"]);
    let left =
        |left_unix_s, status: Option<&str>| LastActivity { left_unix_s, status: status.map(str::to_owned) };
    let load = |name: &str| wait(store.load_activity(&account(name))).unwrap();
    assert_eq!(load("romeo"), None);
    let batch = vec![
        (account("romeo"), left(1, Some("gone"))),
        (account("nobody"), left(2, None)),
        (jid("example.net"), left(3, None)),
        (account("juliet"), left(4, Some(""))),
    ];
    wait(store.save_activities(batch)).unwrap();
    wait(store.save_activities(vec![(account("romeo"), left(5, None))])).unwrap();
    wait(store.save_activities(Vec::new())).unwrap();
    assert_eq!((load("romeo"), load("juliet")), (Some(left(5, None)), Some(left(4, Some("")))));
    assert_eq!(load("nobody"), None);
}

#[test]
fn a_successor_of_a_removed_account_inherits_nothing() {
    let (folder, store) = with_accounts(&["romeo"]);
    let romeo = account("romeo");
    let limits = OfflineLimits { messages_max: 10, bytes_max: 1_000 };
    let edit = RosterEdit { jid: account("juliet"), name: None, groups: Vec::new() };
    wait(store.set_roster_item(&romeo, edit, 10, nothing())).unwrap();
    wait(store.append_offline(&romeo, Bytes::from_static(b"m"), 0, limits, nothing())).unwrap();
    save(&store, &[("a", "n", "<a/>")], 1_000).unwrap();
    wait(store.save_vcard(&romeo, "v".to_owned(), Some([1; 20]), nothing())).unwrap();
    block(&store, &["a@x"], Some(&[])).unwrap();
    let activity = LastActivity { left_unix_s: 1, status: None };
    wait(store.save_activities(vec![(romeo.clone(), activity)])).unwrap();
    let before = profile(&store, "romeo");
    wait(store.remove_account(&romeo, nothing())).unwrap();
    for table in ["roster_item", "offline_message", "private_element", "vcard", "block", "last_activity"] {
        assert_eq!(folder.rows(table), 0, "{table}");
    }
    wait(store.create_account(&romeo, credentials(2))).unwrap();
    let after = profile(&store, "romeo");
    assert_ne!(after.version.account, before.version.account);
    assert_eq!(
        (after.version.changes, after.items.len(), after.avatar, after.has_offline),
        (0, 0, None, false)
    );
    assert!(wait(store.load_offline(&romeo, 0, 100)).unwrap().is_empty());
    assert_eq!(private(&store, "romeo", "a", "n"), None);
    assert_eq!(wait(store.load_vcard(&romeo)).unwrap(), None);
    assert!(wait(store.load_blocks()).unwrap().is_empty());
    assert_eq!(wait(store.load_activity(&romeo)).unwrap(), None);
}
