//! The nodes of accounts and their items, through the trait.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod support;

use rjabberd_storage::{
    PepAffiliation, PepChange, PepDeed, PepExpect, PepItem, PepItems, PepLimits, PepNode, PepPick, PepStamp,
    PepStore, Store, StoreError,
};
use rjabberd_xmpp::{Jid, address};
use support::{account, jid, nothing, wait, with_accounts};

const LIMITS: PepLimits = PepLimits { nodes_max: 3, bytes_max: 1_000, entities_max: 2 };
const NODE: &str = "urn:x";

fn item(id: &str, payload: &str) -> PepItem {
    PepItem {
        id: id.to_owned(),
        publisher: account("romeo"),
        published_unix_s: 1_790_000_000,
        payload: payload.to_owned(),
    }
}

fn does(node: &str, expects: PepExpect, deed: PepDeed) -> PepChange {
    PepChange { node: node.to_owned(), expects, deed }
}

fn change(store: &dyn Store, changes: Vec<PepChange>) -> Result<Vec<Vec<String>>, StoreError> {
    wait(store.change_pep(&account("romeo"), changes, LIMITS, nothing()))
}

fn deed(store: &dyn Store, deed: PepDeed) -> Result<Vec<String>, StoreError> {
    change(store, vec![does(NODE, PepExpect::Any, deed)]).map(|mut gone| gone.remove(0))
}

fn create(store: &dyn Store, node: &str) -> Result<(), StoreError> {
    let created = PepDeed::Create("config".to_owned());
    change(store, vec![does(node, PepExpect::Absent, created)]).map(drop)
}

fn publish(store: &dyn Store, id: &str, items_max: usize) -> Vec<String> {
    deed(store, PepDeed::Publish(item(id, "<a/>"), items_max)).unwrap()
}

fn node(store: &dyn Store) -> PepNode {
    wait(store.load_pep_node(&account("romeo"), NODE)).unwrap().unwrap()
}

fn picked(store: &dyn Store, pick: PepPick) -> Result<PepItems, StoreError> {
    wait(store.load_pep_items(&account("romeo"), NODE, pick, 1_000)).map(Option::unwrap)
}

fn ids(store: &dyn Store, pick: PepPick) -> Vec<String> {
    picked(store, pick).unwrap().items.into_iter().map(|item| item.id).collect()
}

fn all() -> PepPick {
    PepPick::After(None, usize::MAX)
}

#[test]
fn an_item_is_there_once_and_its_last_publication_is_its_place() {
    let (_folder, store) = with_accounts(&["romeo"]);
    create(&store, NODE).unwrap();
    for id in ["1", "2", "3", "1"] {
        assert!(publish(&store, id, 10).is_empty());
    }
    assert_eq!(ids(&store, all()), ["2", "3", "1"]);
    assert_eq!(node(&store).items, 3);
    let found = picked(&store, PepPick::Before(None, 1)).unwrap();
    assert_eq!((found.items, found.is_whole), (vec![item("1", "<a/>")], true));
}

#[test]
fn the_oldest_items_go_when_there_are_too_many() {
    let (_folder, store) = with_accounts(&["romeo"]);
    create(&store, NODE).unwrap();
    for id in ["1", "2", "3"] {
        publish(&store, id, 3);
    }
    assert_eq!(publish(&store, "4", 3), ["1"]);
    assert_eq!(deed(&store, PepDeed::Configure("other".to_owned(), 1)).unwrap(), ["2", "3"]);
    assert_eq!(ids(&store, all()), ["4"]);
    assert_eq!(node(&store).config, "other");
}

#[test]
fn a_page_begins_behind_an_item_or_ends_before_it() {
    let (_folder, store) = with_accounts(&["romeo"]);
    create(&store, NODE).unwrap();
    for id in ["1", "2", "3", "4", "5"] {
        publish(&store, id, 10);
    }
    let id = |id: &str| Some(id.to_owned());
    assert_eq!(ids(&store, PepPick::After(None, 2)), ["1", "2"]);
    assert_eq!(ids(&store, PepPick::After(id("2"), 2)), ["3", "4"]);
    assert_eq!(ids(&store, PepPick::After(id("5"), 2)), [""; 0]);
    assert_eq!(ids(&store, PepPick::Before(None, 2)), ["4", "5"]);
    assert_eq!(ids(&store, PepPick::Before(id("4"), 2)), ["2", "3"]);
    assert_eq!(ids(&store, PepPick::After(None, 0)), [""; 0]);
    let some = PepPick::Ids(vec!["4".to_owned(), "none".to_owned(), "2".to_owned()]);
    assert_eq!(ids(&store, some), ["4", "2"]);
    for garbage in ["6", "", "' OR 1=1 --", "1; DROP TABLE pep_item"] {
        let page = picked(&store, PepPick::After(id(garbage), 2));
        assert!(matches!(page, Err(StoreError::NotFound)), "{page:?}");
    }
    let room = wait(store.load_pep_items(&account("romeo"), NODE, all(), 12)).unwrap().unwrap();
    assert_eq!((room.items.len(), room.is_whole, room.node.items), (2, false, 5));
}

#[test]
fn a_change_is_refused_where_something_is_not_as_expected_and_then_nothing_of_it_is_done() {
    let (_folder, store) = with_accounts(&["romeo"]);
    create(&store, NODE).unwrap();
    let before = node(&store);
    publish(&store, "1", 10);
    let now = node(&store);
    let other = PepStamp { node: now.stamp.node + 1, ..now.stamp };
    let nothing = |expects| does(NODE, expects, PepDeed::Nothing);
    for expects in [PepExpect::Node(before.stamp), PepExpect::Node(now.stamp), PepExpect::State(now.stamp)] {
        change(&store, vec![nothing(expects)]).unwrap();
    }
    for expects in [PepExpect::Absent, PepExpect::State(before.stamp), PepExpect::Node(other)] {
        let purge = does(NODE, PepExpect::Any, PepDeed::Purge);
        let refused = change(&store, vec![purge, nothing(expects)]);
        assert!(matches!(refused, Err(StoreError::Conflict)), "{expects:?} {refused:?}");
    }
    assert_eq!(ids(&store, all()), ["1"]);
    let twice = create(&store, NODE);
    assert!(matches!(twice, Err(StoreError::Conflict)), "{twice:?}");
    let none = change(&store, vec![does("urn:none", PepExpect::Any, PepDeed::Purge)]);
    assert!(matches!(none, Err(StoreError::NotFound)), "{none:?}");
}

#[test]
fn items_are_retracted_together_or_not_at_all() {
    let (_folder, store) = with_accounts(&["romeo"]);
    create(&store, NODE).unwrap();
    for id in ["1", "2", "3"] {
        publish(&store, id, 10);
    }
    let some = |ids: &[&str]| PepDeed::Retract(ids.iter().map(|id| (*id).to_owned()).collect());
    let refused = deed(&store, some(&["1", "none"]));
    assert!(matches!(refused, Err(StoreError::NotFound)), "{refused:?}");
    assert_eq!(deed(&store, some(&["3", "1"])).unwrap(), ["3", "1"]);
    assert_eq!(ids(&store, all()), ["2"]);
    deed(&store, PepDeed::Purge).unwrap();
    assert_eq!((ids(&store, all()).len(), node(&store).items), (0, 0));
}

#[test]
fn an_account_has_no_more_than_it_may() {
    let (_folder, store) = with_accounts(&["romeo"]);
    for name in [NODE, "urn:y", "urn:z"] {
        create(&store, name).unwrap();
    }
    let more = create(&store, "urn:more");
    assert!(matches!(more, Err(StoreError::Full)), "{more:?}");
    let long = |bytes: usize| PepDeed::Publish(item("1", &"x".repeat(bytes - 1)), 10);
    deed(&store, long(990)).unwrap();
    let second = does("urn:y", PepExpect::Any, PepDeed::Publish(item("1", &"x".repeat(10)), 10));
    let full = change(&store, vec![second.clone()]);
    assert!(matches!(full, Err(StoreError::Full)), "{full:?}");
    // The same item again counts once; what is gone does not count.
    deed(&store, long(989)).unwrap();
    change(&store, vec![second.clone()]).unwrap();
    deed(&store, PepDeed::Delete).unwrap();
    create(&store, NODE).unwrap();
    deed(&store, long(989)).unwrap();
    let entities = |names: &[&str]| {
        PepDeed::Subscribe(names.iter().map(|name| (Jid::from(account(name)), true)).collect())
    };
    deed(&store, entities(&["a", "b"])).unwrap();
    let crowd = deed(&store, entities(&["c"]));
    assert!(matches!(crowd, Err(StoreError::Full)), "{crowd:?}");
}

#[test]
fn ten_thousand_nodes_are_made_and_the_next_one_is_not() {
    let (_folder, store) = with_accounts(&["romeo"]);
    let limits = PepLimits { nodes_max: 10_000, ..LIMITS };
    let made = |from: usize, to: usize| {
        let create = |number: usize| {
            does(&format!("urn:{number}"), PepExpect::Absent, PepDeed::Create("config".to_owned()))
        };
        let changes = (from..to).map(create).collect();
        wait(store.change_pep(&account("romeo"), changes, limits, nothing())).map(drop)
    };
    made(0, 10_000).unwrap();
    let more = made(10_000, 10_001);
    assert!(matches!(more, Err(StoreError::Full)), "{more:?}");
    assert_eq!(wait(store.load_pep_nodes(&account("romeo"))).unwrap().len(), 10_000);
}

#[test]
fn entities_are_listed_until_they_are_nothing() {
    let (_folder, store) = with_accounts(&["romeo"]);
    create(&store, NODE).unwrap();
    let stamp = node(&store).stamp;
    let juliet = account("juliet");
    let is = |affiliation| PepDeed::Affiliate(vec![(juliet.clone(), affiliation)]);
    deed(&store, is(Some(PepAffiliation::Publisher))).unwrap();
    deed(&store, is(Some(PepAffiliation::Outcast))).unwrap();
    let balcony = address::parse("juliet@example.net/balcony").unwrap();
    deed(&store, PepDeed::Subscribe(vec![(balcony.clone(), true)])).unwrap();
    let found = node(&store);
    assert_eq!(found.affiliations, [(juliet.clone(), PepAffiliation::Outcast)]);
    assert_eq!(found.subscriptions, std::slice::from_ref(&balcony));
    assert_eq!(found.stamp.changes, stamp.changes + 3);
    deed(&store, is(None)).unwrap();
    deed(&store, PepDeed::Subscribe(vec![(balcony, false)])).unwrap();
    assert!(node(&store).affiliations.is_empty() && node(&store).subscriptions.is_empty());
}

#[test]
fn the_newest_items_of_many_accounts_come_in_one_answer() {
    let (_folder, store) = with_accounts(&["romeo", "juliet"]);
    for name in [NODE, "urn:y", "urn:empty"] {
        create(&store, name).unwrap();
    }
    publish(&store, "1", 10);
    publish(&store, "2", 10);
    change(&store, vec![does("urn:y", PepExpect::Any, PepDeed::Publish(item("3", "<b/>"), 10))]).unwrap();
    let accounts = || vec![account("juliet"), account("romeo"), account("nobody"), jid("example.net")];
    let last = |nodes: &[&str], bytes_max| {
        let nodes = nodes.iter().map(|node| (*node).to_owned()).collect();
        let found = wait(store.load_pep_last(accounts(), nodes, bytes_max)).unwrap();
        found.into_iter().map(|last| (last.account, last.node.name, last.item.id)).collect::<Vec<_>>()
    };
    let (x, y) = (
        (account("romeo"), NODE.to_owned(), "2".to_owned()),
        (account("romeo"), "urn:y".to_owned(), "3".to_owned()),
    );
    assert_eq!(last(&[NODE, "urn:y", "urn:empty", "urn:none"], 1_000), [x.clone(), y]);
    assert_eq!(last(&[NODE], 1_000), std::slice::from_ref(&x));
    assert_eq!(last(&[NODE, "urn:y"], 4), [x]);
    assert_eq!(last(&[], 1_000), []);
}

#[test]
fn the_nodes_of_an_account_go_with_it() {
    let (_folder, store) = with_accounts(&["romeo", "juliet"]);
    create(&store, NODE).unwrap();
    publish(&store, "1", 10);
    wait(store.remove_account(&account("romeo"), nothing())).unwrap();
    assert_eq!(wait(store.load_pep_nodes(&account("romeo"))).unwrap(), []);
    let gone = create(&store, NODE);
    assert!(matches!(gone, Err(StoreError::NotFound)), "{gone:?}");
    wait(store.create_account(&account("romeo"), support::credentials(1))).unwrap();
    assert_eq!(wait(store.load_pep_node(&account("romeo"), NODE)).unwrap(), None);
    create(&store, NODE).unwrap();
    assert_eq!(wait(store.load_pep_nodes(&account("romeo"))).unwrap().len(), 1);
    assert_eq!(wait(store.load_pep_nodes(&account("juliet"))).unwrap(), []);
}
