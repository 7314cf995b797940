//! Rosters and subscriptions, through the trait: what each operation comes to, in order, and what is there afterwards.
//!
//! Events are compared as text: "romeo lists juliet: none, asks" is a change of an item, "hides" of one that is not
//! listed.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use rjabberd_storage::{RosterEdit, RosterEvent, SqlStore, Store, StoreError, SubscriptionChange};
use rjabberd_xmpp::address::BareJid;
use rjabberd_xmpp::roster::{Act, Half, RosterItem};
use support::{Home, account, credentials, jid, nothing, profile, wait, with_accounts};

const MANY: usize = 1_000;

fn change(from: &str, act: Act, to: &str) -> SubscriptionChange {
    let stanza = Bytes::from(format!("<presence type='{act:?}' from='{from}' to='{to}'/>"));
    SubscriptionChange { account: account(from), contact: account(to), is_here: true, act, stanza }
}

fn send(store: &SqlStore, from: &str, act: Act, to: &str) -> Vec<String> {
    told(wait(store.change_subscription(change(from, act, to), MANY, nothing())).unwrap())
}

fn edit(contact: &BareJid, name: Option<&str>, groups: &[&str]) -> RosterEdit {
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    RosterEdit { jid: contact.clone(), name: name.map(str::to_owned), groups }
}

fn set(store: &SqlStore, user: &str, contact: &str) -> Result<Vec<RosterEvent>, StoreError> {
    wait(store.set_roster_item(&account(user), edit(&account(contact), None, &[]), MANY, nothing()))
}

fn remove(store: &SqlStore, user: &str, contact: &str) -> Vec<String> {
    told(wait(store.remove_roster_item(&account(user), &account(contact), nothing())).unwrap())
}

fn name(jid: &BareJid) -> &str {
    jid.as_str().strip_suffix("@example.net").unwrap_or(jid.as_str())
}

fn state(item: &RosterItem) -> String {
    let mut text = item.state.subscription().name().to_owned();
    for (is, word) in [
        (item.state.asks(), ", asks"),
        (item.state.from == Half::Pending, ", asked"),
        (item.state.approved, ", approved"),
    ] {
        if is {
            text.push_str(word);
        }
    }
    text
}

fn told(events: Vec<RosterEvent>) -> Vec<String> {
    let tell = |event| match event {
        RosterEvent::Changed { account, item, .. } => {
            let verb = if item.listed { "lists" } else { "hides" };
            format!("{} {verb} {}: {}", name(&account), name(&item.jid), state(&item))
        }
        RosterEvent::Removed { account, item, .. } => {
            let verb = if item.listed { "lists" } else { "hides" };
            format!("{} {verb} {} no more", name(&account), name(&item.jid))
        }
        RosterEvent::Deliver { act, from, to, stanza } => {
            let whose = if stanza.is_some() { "" } else { " of the server" };
            format!("{act:?}{whose} from {} to {}", name(&from), name(&to))
        }
        RosterEvent::Granted { of, to } => format!("{} sees {}", name(&to), name(&of)),
        RosterEvent::Revoked { of, to } => format!("{} sees {} no more", name(&to), name(&of)),
    };
    events.into_iter().map(tell).collect()
}

/// What is in somebody's roster, as text.
fn roster(store: &SqlStore, user: &str) -> Vec<String> {
    let item = |item: &RosterItem| {
        let mark = if item.listed { "" } else { "(hidden) " };
        format!("{mark}{}: {}", name(&item.jid), state(item))
    };
    profile(store, user).items.iter().map(item).collect()
}

/// Romeo sees Juliet and Juliet sees Romeo.
fn mutual() -> (Home, SqlStore) {
    let (folder, store) = with_accounts(&["romeo", "juliet"]);
    send(&store, "romeo", Act::Subscribe, "juliet");
    send(&store, "juliet", Act::Subscribed, "romeo");
    send(&store, "juliet", Act::Subscribe, "romeo");
    send(&store, "romeo", Act::Subscribed, "juliet");
    (folder, store)
}

#[test]
fn a_subscription_that_is_asked_for_and_granted() {
    let (_folder, store) = with_accounts(&["romeo", "juliet"]);
    assert_eq!(
        send(&store, "romeo", Act::Subscribe, "juliet"),
        [
            "romeo lists juliet: none, asks",
            "Subscribe from romeo to juliet",
            "juliet hides romeo: none, asked"
        ]
    );
    assert_eq!(
        send(&store, "juliet", Act::Subscribed, "romeo"),
        [
            "juliet lists romeo: from",
            "Subscribed from juliet to romeo",
            "romeo lists juliet: to",
            "romeo sees juliet"
        ]
    );
    assert_eq!(
        send(&store, "juliet", Act::Subscribe, "romeo"),
        ["juliet lists romeo: from, asks", "Subscribe from juliet to romeo", "romeo lists juliet: to, asked"]
    );
    assert_eq!(
        send(&store, "romeo", Act::Subscribed, "juliet"),
        [
            "romeo lists juliet: both",
            "Subscribed from romeo to juliet",
            "juliet lists romeo: both",
            "juliet sees romeo"
        ]
    );
}

#[test]
fn the_stanza_arrives_and_waits_as_its_sender_wrote_it_until_it_is_answered() {
    let (_folder, store) = with_accounts(&["romeo", "juliet", "paris"]);
    let first = change("romeo", Act::Subscribe, "juliet");
    let events = wait(store.change_subscription(first.clone(), MANY, nothing())).unwrap();
    let delivered = events.into_iter().find_map(|event| match event {
        RosterEvent::Deliver { stanza, .. } => stanza,
        _ => None,
    });
    assert_eq!(delivered.as_ref(), Some(&first.stanza));
    send(&store, "paris", Act::Subscribe, "juliet");
    let mut again = change("romeo", Act::Subscribe, "juliet");
    again.stanza = Bytes::from_static(b"<presence>please</presence>");
    let events = wait(store.change_subscription(again, MANY, nothing())).unwrap();
    assert_eq!(told(events), [""; 0], "a second request is neither kept nor delivered");
    let second = change("paris", Act::Subscribe, "juliet");
    assert_eq!(profile(&store, "juliet").requests, [&first.stanza[..], &second.stanza[..]]);
    send(&store, "juliet", Act::Subscribed, "romeo");
    assert_eq!(profile(&store, "juliet").requests, [&second.stanza[..]]);
    send(&store, "juliet", Act::Unsubscribed, "paris");
    assert!(profile(&store, "juliet").requests.is_empty());
    assert!(profile(&store, "romeo").requests.is_empty());
}

#[test]
fn requests_wait_in_the_order_in_which_they_came_also_where_the_contact_is_listed() {
    let (_folder, store) = with_accounts(&["romeo", "juliet", "paris"]);
    set(&store, "juliet", "paris").unwrap();
    send(&store, "romeo", Act::Subscribe, "juliet");
    send(&store, "paris", Act::Subscribe, "juliet");
    let stanzas = ["romeo", "paris"].map(|from| change(from, Act::Subscribe, "juliet").stanza);
    assert_eq!(profile(&store, "juliet").requests, stanzas);
    // What the user changes of the item leaves the request where it is.
    let rename = edit(&account("paris"), Some("Count Paris"), &["Suitors"]);
    wait(store.set_roster_item(&account("juliet"), rename, MANY, nothing())).unwrap();
    assert_eq!(profile(&store, "juliet").requests, stanzas);
}

#[test]
fn a_request_that_is_denied_leaves_nothing_with_the_one_who_denied_it() {
    let (_folder, store) = with_accounts(&["romeo", "juliet"]);
    send(&store, "romeo", Act::Subscribe, "juliet");
    assert_eq!(
        send(&store, "juliet", Act::Unsubscribed, "romeo"),
        ["juliet hides romeo no more", "Unsubscribed from juliet to romeo", "romeo lists juliet: none"]
    );
    assert_eq!(
        (roster(&store, "juliet"), roster(&store, "romeo")),
        (vec![], vec!["juliet: none".to_owned()])
    );
}

#[test]
fn a_request_that_is_taken_back_leaves_nothing_with_the_one_who_was_asked() {
    let (_folder, store) = with_accounts(&["romeo", "juliet"]);
    send(&store, "romeo", Act::Subscribe, "juliet");
    assert_eq!(
        send(&store, "romeo", Act::Unsubscribe, "juliet"),
        ["romeo lists juliet: none", "Unsubscribe from romeo to juliet", "juliet hides romeo no more"]
    );
    assert!(roster(&store, "juliet").is_empty());
}

#[test]
fn a_subscription_that_is_given_up_leaves_both_items_listed() {
    let (_folder, store) = mutual();
    assert_eq!(
        send(&store, "romeo", Act::Unsubscribe, "juliet"),
        [
            "romeo lists juliet: from",
            "Unsubscribe from romeo to juliet",
            "juliet lists romeo: to",
            "romeo sees juliet no more"
        ]
    );
    assert_eq!(
        send(&store, "romeo", Act::Unsubscribed, "juliet"),
        [
            "romeo lists juliet: none",
            "juliet sees romeo no more",
            "Unsubscribed from romeo to juliet",
            "juliet lists romeo: none"
        ]
    );
    assert_eq!(roster(&store, "romeo"), ["juliet: none"]);
    assert_eq!(roster(&store, "juliet"), ["romeo: none"]);
}

#[test]
fn a_request_that_was_approved_before_it_came_is_granted_on_the_users_behalf() {
    let (_folder, store) = with_accounts(&["romeo", "juliet"]);
    assert_eq!(send(&store, "juliet", Act::Subscribed, "romeo"), ["juliet lists romeo: none, approved"]);
    assert!(send(&store, "juliet", Act::Subscribed, "romeo").is_empty(), "approved already");
    assert_eq!(
        send(&store, "romeo", Act::Subscribe, "juliet"),
        [
            "romeo lists juliet: none, asks",
            "juliet lists romeo: from",
            "Subscribed of the server from juliet to romeo",
            "romeo lists juliet: to",
            "romeo sees juliet"
        ]
    );
    assert!(profile(&store, "juliet").requests.is_empty());
}

#[test]
fn an_approval_that_is_cancelled_is_told_to_nobody_else() {
    let (_folder, store) = with_accounts(&["romeo", "juliet"]);
    send(&store, "juliet", Act::Subscribed, "romeo");
    assert_eq!(send(&store, "juliet", Act::Unsubscribed, "romeo"), ["juliet lists romeo: none"]);
    assert!(send(&store, "juliet", Act::Unsubscribed, "romeo").is_empty());
}

#[test]
fn who_is_subscribed_and_asks_again_hears_nothing_new() {
    let (_folder, store) = mutual();
    let before = (profile(&store, "romeo").version, profile(&store, "juliet").version);
    for act in [Act::Subscribe, Act::Subscribed] {
        assert!(send(&store, "romeo", act, "juliet").is_empty(), "{act:?}");
    }
    assert_eq!((profile(&store, "romeo").version, profile(&store, "juliet").version), before);
}

#[test]
fn a_request_to_nobody_is_refused_and_asks_for_nothing_any_more() {
    let (_folder, store) = with_accounts(&["romeo"]);
    for nobody in [account("nobody"), jid("example.net")] {
        let request =
            SubscriptionChange { contact: nobody.clone(), ..change("romeo", Act::Subscribe, "nobody") };
        let events = told(wait(store.change_subscription(request, MANY, nothing())).unwrap());
        let nobody = name(&nobody);
        assert_eq!(
            events,
            [
                format!("romeo lists {nobody}: none, asks"),
                format!("Unsubscribed of the server from {nobody} to romeo"),
                format!("romeo lists {nobody}: none"),
            ]
        );
    }
    assert!(send(&store, "romeo", Act::Unsubscribe, "nobody").is_empty());
    // Whoever registers the name later was asked nothing.
    wait(store.create_account(&account("nobody"), credentials(9))).unwrap();
    assert!(roster(&store, "nobody").is_empty());
}

#[test]
fn a_stanza_for_another_server_is_for_the_caller_to_route() {
    let (_folder, store) = with_accounts(&["romeo"]);
    let to_afar = |act| {
        let (contact, is_here) = (jid("juliet@afar.example"), false);
        let change = SubscriptionChange { contact, is_here, ..change("romeo", act, "juliet") };
        told(wait(store.change_subscription(change, MANY, nothing())).unwrap())
    };
    assert_eq!(
        to_afar(Act::Subscribe),
        ["romeo lists juliet@afar.example: none, asks", "Subscribe from romeo to juliet@afar.example"]
    );
    assert_eq!(to_afar(Act::Subscribed), ["romeo lists juliet@afar.example: none, asks, approved"]);
    let removed = wait(store.remove_roster_item(&account("romeo"), &jid("juliet@afar.example"), nothing()));
    assert_eq!(
        told(removed.unwrap()),
        [
            "romeo lists juliet@afar.example no more",
            "Unsubscribe of the server from romeo to juliet@afar.example"
        ]
    );
}

#[test]
fn nobody_subscribes_to_oneself_or_without_an_account() {
    let (_folder, store) = with_accounts(&["romeo"]);
    let result = wait(store.change_subscription(change("romeo", Act::Subscribe, "romeo"), MANY, nothing()));
    assert!(matches!(result, Err(StoreError::Invalid(_))), "{result:?}");
    let result = wait(store.change_subscription(change("nobody", Act::Subscribe, "romeo"), MANY, nothing()));
    assert!(matches!(result, Err(StoreError::NotFound)), "{result:?}");
    let result = set(&store, "nobody", "romeo");
    assert!(matches!(result, Err(StoreError::NotFound)), "{result:?}");
    assert!(roster(&store, "romeo").is_empty());
}

#[test]
fn a_disabled_account_can_be_asked() {
    let (_folder, store) = with_accounts(&["romeo", "juliet"]);
    wait(store.set_disabled(&account("juliet"), true)).unwrap();
    send(&store, "romeo", Act::Subscribe, "juliet");
    assert_eq!(roster(&store, "juliet"), ["(hidden) romeo: none, asked"]);
}

#[test]
fn an_item_has_the_name_and_the_groups_that_were_set_whatever_is_in_them() {
    let (_folder, store) = with_accounts(&["romeo"]);
    let groups = ["", "a,b", "a\nb\t", "<&'\">", "Fäß 👨‍👩‍👧", "a::b", "\u{fffd}\u{10ffff}"];
    let edit_all = edit(&account("juliet"), Some("Jülïét <3"), &groups);
    wait(store.set_roster_item(&account("romeo"), edit_all, MANY, nothing())).unwrap();
    let lone = edit(&account("nurse"), None, &[""]);
    wait(store.set_roster_item(&account("romeo"), lone, MANY, nothing())).unwrap();
    let profile_then = profile(&store, "romeo");
    let [juliet, nurse] = &profile_then.items[..] else { panic!("{profile_then:?}") };
    assert_eq!(juliet.name.as_deref(), Some("Jülïét <3"));
    assert_eq!(juliet.groups, groups);
    assert_eq!((nurse.name.as_deref(), &nurse.groups[..]), (None, &[String::new()][..]));
    let without = edit(&account("juliet"), None, &[]);
    wait(store.set_roster_item(&account("romeo"), without, MANY, nothing())).unwrap();
    assert_eq!(profile(&store, "romeo").items[0].groups, [""; 0]);
    let no_text = edit(&account("juliet"), None, &["a\u{1f}b"]);
    let result = wait(store.set_roster_item(&account("romeo"), no_text, MANY, nothing()));
    assert!(matches!(result, Err(StoreError::Invalid(_))), "{result:?}");
}

#[test]
fn an_item_that_is_set_to_what_it_was_is_pushed_and_is_no_other_version() {
    let (_folder, store) = with_accounts(&["romeo"]);
    let first = set(&store, "romeo", "juliet").unwrap();
    let again = set(&store, "romeo", "juliet").unwrap();
    assert_eq!(first, again);
    assert_eq!(profile(&store, "romeo").version.changes, 1);
}

#[test]
fn the_version_changes_with_each_change_of_what_is_listed_and_with_nothing_else() {
    let (_folder, store) = with_accounts(&["romeo", "juliet"]);
    let changes = |user| profile(&store, user).version.changes;
    send(&store, "romeo", Act::Subscribe, "juliet");
    assert_eq!((changes("romeo"), changes("juliet")), (1, 0), "a mere request is not listed");
    send(&store, "juliet", Act::Unsubscribed, "romeo");
    assert_eq!((changes("romeo"), changes("juliet")), (2, 0));
    send(&store, "romeo", Act::Subscribe, "juliet");
    send(&store, "juliet", Act::Subscribed, "romeo");
    assert_eq!((changes("romeo"), changes("juliet")), (4, 1));
    remove(&store, "juliet", "romeo");
    assert_eq!((changes("romeo"), changes("juliet")), (5, 2));
}

#[test]
fn events_bear_the_version_that_a_profile_then_has() {
    let (_folder, store) = mutual();
    let events = wait(store.remove_roster_item(&account("romeo"), &account("juliet"), nothing())).unwrap();
    let last = |user: &str| {
        let version = |event: &RosterEvent| match event {
            RosterEvent::Changed { account: whose, version, .. }
            | RosterEvent::Removed { account: whose, version, .. } => {
                (*whose == account(user)).then_some(*version)
            }
            _ => None,
        };
        events.iter().rev().find_map(version).unwrap()
    };
    for user in ["romeo", "juliet"] {
        assert_eq!(last(user), profile(&store, user).version, "{user}");
    }
}

#[test]
fn a_removed_item_ends_both_subscriptions() {
    let (_folder, store) = mutual();
    assert_eq!(
        remove(&store, "romeo", "juliet"),
        [
            "romeo lists juliet no more",
            "juliet sees romeo no more",
            "Unsubscribe of the server from romeo to juliet",
            "juliet lists romeo: to",
            "romeo sees juliet no more",
            "Unsubscribed of the server from romeo to juliet",
            "juliet lists romeo: none"
        ]
    );
    assert!(roster(&store, "romeo").is_empty());
    assert_eq!(roster(&store, "juliet"), ["romeo: none"]);
}

#[test]
fn a_removed_item_takes_back_what_was_asked_and_denies_what_was_not_answered() {
    let (_folder, store) = with_accounts(&["romeo", "juliet"]);
    send(&store, "romeo", Act::Subscribe, "juliet");
    send(&store, "juliet", Act::Subscribe, "romeo");
    assert_eq!(
        remove(&store, "romeo", "juliet"),
        [
            "romeo lists juliet no more",
            "Unsubscribe of the server from romeo to juliet",
            "juliet lists romeo: none, asks",
            "Unsubscribed of the server from romeo to juliet",
            "juliet lists romeo: none"
        ]
    );
    assert!(profile(&store, "romeo").requests.is_empty() && profile(&store, "juliet").requests.is_empty());
}

#[test]
fn what_is_not_listed_cannot_be_removed() {
    let (_folder, store) = with_accounts(&["romeo", "juliet"]);
    send(&store, "romeo", Act::Subscribe, "juliet");
    for (user, contact) in [("juliet", "romeo"), ("romeo", "nurse"), ("nobody", "romeo")] {
        let result = wait(store.remove_roster_item(&account(user), &account(contact), nothing()));
        assert!(matches!(result, Err(StoreError::NotFound)), "{user}, {contact}: {result:?}");
    }
    assert_eq!(roster(&store, "juliet"), ["(hidden) romeo: none, asked"]);
}

#[test]
fn a_full_roster_takes_nobody_more_and_still_changes_whom_it_has() {
    let (_folder, store) = with_accounts(&["romeo", "juliet", "nurse"]);
    set(&store, "romeo", "paris").unwrap();
    set(&store, "romeo", "juliet").unwrap();
    let request = wait(store.change_subscription(change("romeo", Act::Subscribe, "nurse"), 2, nothing()));
    assert!(matches!(request, Err(StoreError::Full)), "{request:?}");
    let add = edit(&account("nurse"), None, &[]);
    let added = wait(store.set_roster_item(&account("romeo"), add, 2, nothing()));
    assert!(matches!(added, Err(StoreError::Full)), "{added:?}");
    assert_eq!(roster(&store, "romeo"), ["juliet: none", "paris: none"]);
    assert!(roster(&store, "nurse").is_empty());
    let rename = edit(&account("paris"), Some("Count"), &[]);
    wait(store.set_roster_item(&account("romeo"), rename, 2, nothing())).unwrap();
    wait(store.change_subscription(change("romeo", Act::Subscribe, "juliet"), 2, nothing())).unwrap();
}

#[test]
fn where_the_other_side_is_full_neither_side_changes() {
    let (_folder, store) = with_accounts(&["romeo", "juliet", "paris", "nurse"]);
    let ask =
        |from: &str| wait(store.change_subscription(change(from, Act::Subscribe, "juliet"), 1, nothing()));
    ask("paris").unwrap();
    let before = profile(&store, "romeo");
    let refused = ask("romeo");
    assert!(matches!(refused, Err(StoreError::Full)), "{refused:?}");
    assert_eq!(profile(&store, "romeo"), before);
    assert_eq!(roster(&store, "juliet"), ["(hidden) paris: none, asked"]);
    // Strangers who ask take no place from those whom she lists.
    let add = edit(&account("nurse"), None, &[]);
    wait(store.set_roster_item(&account("juliet"), add, 1, nothing())).unwrap();
    let approve = change("juliet", Act::Subscribed, "paris");
    let refused = wait(store.change_subscription(approve, 1, nothing()));
    assert!(matches!(refused, Err(StoreError::Full)), "{refused:?}");
    assert_eq!(roster(&store, "paris"), ["juliet: none, asks"]);
}

#[test]
fn requests_that_wait_are_bounded_in_bytes() {
    let (_folder, store) = with_accounts(&["romeo", "juliet", "paris"]);
    let mut long = change("romeo", Act::Subscribe, "juliet");
    long.stanza = Bytes::from(vec![b' '; 1024 * 1024]);
    wait(store.change_subscription(long, MANY, nothing())).unwrap();
    set(&store, "juliet", "paris").unwrap();
    let refused = wait(store.change_subscription(change("paris", Act::Subscribe, "juliet"), MANY, nothing()));
    assert!(matches!(refused, Err(StoreError::Full)), "{refused:?}");
    assert!(roster(&store, "paris").is_empty());
}

#[test]
fn a_removed_account_ends_what_it_had_with_each_of_its_contacts() {
    let (_folder, store) = mutual();
    for name in ["benvolio", "mercutio", "nurse", "paris"] {
        wait(store.create_account(&account(name), credentials(9))).unwrap();
    }
    send(&store, "benvolio", Act::Subscribe, "romeo");
    send(&store, "romeo", Act::Subscribe, "mercutio");
    send(&store, "nurse", Act::Subscribed, "romeo");
    set(&store, "paris", "romeo").unwrap();
    set(&store, "romeo", "paris").unwrap();
    let events = told(wait(store.remove_account(&account("romeo"), nothing())).unwrap());
    assert_eq!(
        events,
        [
            "Unsubscribed of the server from romeo to benvolio",
            "benvolio lists romeo: none",
            "juliet sees romeo no more",
            "Unsubscribe of the server from romeo to juliet",
            "juliet lists romeo: to",
            "romeo sees juliet no more",
            "Unsubscribed of the server from romeo to juliet",
            "juliet lists romeo: none",
            "Unsubscribe of the server from romeo to mercutio",
            "mercutio hides romeo no more",
            "nurse lists romeo: none"
        ]
    );
    for user in ["benvolio", "juliet", "nurse", "paris"] {
        assert_eq!(roster(&store, user), ["romeo: none"], "{user}");
    }
    assert!(roster(&store, "mercutio").is_empty());
    assert!(wait(store.load_profile(&account("romeo"))).unwrap().is_none());
}

#[test]
fn a_successor_of_a_removed_account_has_an_empty_roster_of_a_version_that_never_was() {
    let (_folder, store) = mutual();
    let before = profile(&store, "romeo").version;
    wait(store.remove_account(&account("romeo"), nothing())).unwrap();
    wait(store.create_account(&account("romeo"), credentials(9))).unwrap();
    let after = profile(&store, "romeo");
    assert!(after.items.is_empty() && after.requests.is_empty());
    assert_ne!(after.version.account, before.account);
    assert_ne!(after.version.to_string(), before.to_string());
    // Nobody takes the new one for the old one.
    assert_eq!(
        send(&store, "romeo", Act::Subscribe, "juliet").last().unwrap(),
        "juliet lists romeo: none, asked"
    );
}

#[test]
fn rosters_outlive_the_store() {
    let (folder, store) = mutual();
    let before = (profile(&store, "romeo"), profile(&store, "juliet"));
    drop(store);
    let store = support::open(&folder);
    assert_eq!((profile(&store, "romeo"), profile(&store, "juliet")), before);
}

/// Anything in any order, from a fixed seed: both sides stay in step, and whoever follows the events knows what a
/// question to the store answers.
#[test]
fn whatever_is_done_the_halves_stay_in_step_and_the_events_tell_all() {
    const NAMES: [&str; 4] = ["a", "b", "c", "d"];
    let (_folder, store) = with_accounts(&NAMES);
    let mut items: BTreeMap<(BareJid, BareJid), RosterItem> = BTreeMap::new();
    let mut seen: BTreeSet<(BareJid, BareJid)> = BTreeSet::new();
    let mut random: u64 = 20_111;
    let mut below = |count: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % count
    };
    for step in 0..1_500 {
        let (from, to) = (below(4), below(3));
        let (from, to) = (NAMES[from as usize], NAMES[((from + 1 + to) % 4) as usize]);
        let act = [Act::Subscribe, Act::Subscribed, Act::Unsubscribe, Act::Unsubscribed][below(4) as usize];
        let answer = match below(40) {
            0 => {
                let answer = wait(store.remove_account(&account(from), nothing()));
                wait(store.create_account(&account(from), credentials(1))).unwrap();
                items.retain(|(owner, _), _| *owner != account(from));
                answer
            }
            1..=3 => wait(store.remove_roster_item(&account(from), &account(to), nothing())),
            4..=6 => set(&store, from, to),
            _ => wait(store.change_subscription(change(from, act, to), MANY, nothing())),
        };
        for event in answer.unwrap_or_default() {
            match event {
                RosterEvent::Changed { account, item, .. } => {
                    items.insert((account, item.jid.clone()), item);
                }
                RosterEvent::Removed { account, item, .. } => {
                    assert_eq!(items.remove(&(account, item.jid.clone())), Some(item), "step {step}");
                }
                RosterEvent::Granted { of, to } => assert!(seen.insert((of, to)), "step {step}"),
                RosterEvent::Revoked { of, to } => assert!(seen.remove(&(of, to)), "step {step}"),
                RosterEvent::Deliver { .. } => {}
            }
        }
        if step % 10 > 0 {
            continue;
        }
        let kept = NAMES.iter().flat_map(|user| {
            let owner = account(user);
            profile(&store, user)
                .items
                .clone()
                .into_iter()
                .map(move |item| ((owner.clone(), item.jid.clone()), item))
        });
        assert_eq!(kept.collect::<BTreeMap<_, _>>(), items, "step {step}");
        for ((owner, contact), item) in &items {
            let other =
                items.get(&(contact.clone(), owner.clone())).map(|item| item.state).unwrap_or_default();
            assert_eq!(item.state.to, other.from, "step {step}: {owner} and {contact}");
            assert_eq!(seen.contains(&(owner.clone(), contact.clone())), item.state.from == Half::Granted);
            assert!(!item.state.approved || item.state.from == Half::None, "step {step}: {item:?}");
        }
    }
}
