//! Push registrations, through the trait.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod support;

use rjabberd_storage::{PushRegistration, PushStore, SqliteStore, Store, StoreError};
use rjabberd_xmpp::Jid;
use support::{account, nothing, wait, with_accounts};

const MAX: usize = 3;

fn registration(service: &str, node: &str, options: &str) -> PushRegistration {
    let service = Jid::new(service).unwrap();
    PushRegistration { service, node: node.to_owned(), options: options.to_owned() }
}

fn enable(store: &SqliteStore, name: &str, registration: &PushRegistration) -> Result<(), StoreError> {
    wait(store.enable_push(&account(name), registration.clone(), MAX))
}

fn disable(store: &SqliteStore, service: &str, node: Option<&str>) -> usize {
    wait(store.disable_push(&account("romeo"), &Jid::new(service).unwrap(), node)).unwrap()
}

fn load(store: &SqliteStore, name: &str) -> Vec<PushRegistration> {
    wait(store.load_push(&account(name))).unwrap()
}

#[test]
fn a_service_is_enabled_once_for_each_node_with_the_options_that_came_last() {
    let (_folder, store) = with_accounts(&["romeo", "juliet"]);
    let (a, b) = (registration("push.example", "a", "<x/>"), registration("push.example", "b", ""));
    for one in [&b, &a, &registration("push.example", "b", "<x>2</x>")] {
        enable(&store, "romeo", one).unwrap();
    }
    assert_eq!(load(&store, "romeo"), [a, registration("push.example", "b", "<x>2</x>")]);
    assert_eq!(load(&store, "juliet"), []);
    assert_eq!(load(&store, "nobody"), []);
    let nobody = enable(&store, "nobody", &b);
    assert!(matches!(nobody, Err(StoreError::NotFound)), "{nobody:?}");
}

#[test]
fn an_account_has_only_so_many_and_can_still_change_those() {
    let (_folder, store) = with_accounts(&["romeo"]);
    for node in ["", "b", "c"] {
        enable(&store, "romeo", &registration("push.example", node, "")).unwrap();
    }
    let more = enable(&store, "romeo", &registration("push.example", "d", ""));
    assert!(matches!(more, Err(StoreError::Full)), "{more:?}");
    enable(&store, "romeo", &registration("push.example", "c", "<x/>")).unwrap();
    assert_eq!(load(&store, "romeo").len(), MAX);
}

#[test]
fn one_node_is_disabled_or_all_of_a_service() {
    let (_folder, store) = with_accounts(&["romeo"]);
    for (service, node) in [("push.example", "a"), ("push.example", "b"), ("other.example/x", "a")] {
        enable(&store, "romeo", &registration(service, node, "")).unwrap();
    }
    assert_eq!(disable(&store, "push.example", Some("none")), 0);
    assert_eq!(disable(&store, "push.example", Some("a")), 1);
    assert_eq!(load(&store, "romeo").len(), 2);
    enable(&store, "romeo", &registration("push.example", "", "")).unwrap();
    assert_eq!(disable(&store, "push.example", None), 2);
    assert_eq!(load(&store, "romeo"), [registration("other.example/x", "a", "")]);
    assert_eq!(
        wait(store.disable_push(&account("nobody"), &Jid::new("x.example").unwrap(), None)).unwrap(),
        0
    );
}

#[test]
fn registrations_go_with_their_account() {
    let (_folder, store) = with_accounts(&["romeo"]);
    enable(&store, "romeo", &registration("push.example", "a", "")).unwrap();
    wait(store.remove_account(&account("romeo"), nothing())).unwrap();
    wait(store.create_account(&account("romeo"), support::credentials(9))).unwrap();
    assert_eq!(load(&store, "romeo"), []);
}

#[test]
fn what_may_be_secret_is_not_shown() {
    let shown = format!("{:?}", registration("push.example", "a", "<x>hidden</x>"));
    assert!(shown.contains("push.example") && !shown.contains("hidden"), "{shown}");
}
