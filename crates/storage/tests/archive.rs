//! Message archives, through the trait.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod support;

use bytes::Bytes;
use rjabberd_storage::{
    ArchiveAppend, ArchiveId, ArchiveOtherwise, ArchivePage, ArchivePlace, ArchivePrefs, ArchiveQuery,
    ArchiveStore, RosterEdit, Store, StoreError, Trimmed,
};
use rjabberd_xmpp::Jid;
use support::{account, nothing, wait, with_accounts};

const NONE: u64 = u64::MAX;

fn id(number: u8) -> ArchiveId {
    ArchiveId([number; 16])
}

fn address(text: &str) -> Jid {
    Jid::new(text).unwrap()
}

fn place(name: &str, number: u8, contact: &str) -> ArchivePlace {
    ArchivePlace { account: account(name), id: id(number), contact: address(contact), if_listed: false }
}

fn message(came_unix_us: i64, places: Vec<ArchivePlace>) -> ArchiveAppend {
    let text = places.first().map_or(String::new(), |place| format!("message {}", place.id.0[0]));
    ArchiveAppend { came_unix_us, stanza: Bytes::from(text), places }
}

/// Romeo has a message of that number with a contact.
fn says(store: &dyn Store, came_unix_us: i64, number: u8, contact: &str) {
    let appended = message(came_unix_us, vec![place("romeo", number, contact)]);
    wait(store.append_archive(appended, nothing())).unwrap();
}

/// All of an archive.
fn all() -> ArchiveQuery {
    ArchiveQuery { messages_max: 1_000, bytes_max: 1_000_000, ..ArchiveQuery::default() }
}

fn asked(store: &dyn Store, name: &str, query: &ArchiveQuery) -> ArchivePage {
    wait(store.query_archive(&account(name), query.clone())).unwrap()
}

fn numbers(page: &ArchivePage) -> Vec<u8> {
    page.messages.iter().map(|message| message.id.0[0]).collect()
}

/// The numbers of Romeo's messages that a query finds, and whether they are all.
fn found(store: &dyn Store, query: &ArchiveQuery) -> (Vec<u8>, bool) {
    let page = asked(store, "romeo", query);
    (numbers(&page), page.complete)
}

/// Romeo's messages 1 to 9 at as many milliseconds: with Juliet's balcony, her chamber, and the nurse, in turns.
fn conversation() -> (support::Home, impl Store) {
    let (folder, store) = with_accounts(&["romeo", "juliet"]);
    let contacts = ["juliet@example.net/balcony", "juliet@example.net/chamber", "nurse@example.net"];
    for number in 1..=9 {
        let contact = contacts[(usize::from(number) - 1) % 3];
        says(&store, i64::from(number) * 1_000, number, contact);
    }
    (folder, store)
}

#[test]
fn a_message_is_in_the_archives_of_both_with_an_id_of_each() {
    let (_folder, store) = with_accounts(&["romeo", "juliet"]);
    let places = vec![place("romeo", 1, "juliet@example.net/a"), place("juliet", 2, "romeo@example.net/b")];
    wait(store.append_archive(message(7, places), nothing())).unwrap();
    for (name, number) in [("romeo", 1), ("juliet", 2)] {
        let page = asked(&store, name, &all());
        assert_eq!((numbers(&page), page.messages[0].stamp_unix_us), (vec![number], 7));
        assert_eq!(page.messages[0].stanza, "message 1");
    }
}

#[test]
fn the_order_is_that_of_the_commits_and_so_is_that_of_the_times() {
    let (_folder, store) = with_accounts(&["romeo"]);
    // Queued together, and the clock goes back.
    let answers: Vec<_> = (1..=50)
        .map(|number| message(1_000 - i64::from(number), vec![place("romeo", number, "juliet@example.net")]))
        .map(|message| store.append_archive(message, nothing()))
        .collect();
    answers.into_iter().for_each(|answer| wait(answer).unwrap());
    let page = asked(&store, "romeo", &all());
    assert_eq!(numbers(&page), (1..=50).collect::<Vec<_>>());
    assert!(page.messages.windows(2).all(|pair| pair[0].stamp_unix_us < pair[1].stamp_unix_us));
    assert_eq!((page.messages[0].stamp_unix_us, page.messages[49].stamp_unix_us), (999, 999 + 49));
}

#[test]
fn an_account_that_does_not_exist_gets_nothing_and_keeps_nobody_from_it() {
    let (_folder, store) = with_accounts(&["romeo"]);
    let places = vec![place("nobody", 1, "romeo@example.net"), place("romeo", 2, "nobody@example.net")];
    wait(store.append_archive(message(1, places), nothing())).unwrap();
    assert_eq!(found(&store, &all()), (vec![2], true));
    let nothing = asked(&store, "nobody", &ArchiveQuery { count: true, ..all() });
    assert_eq!(nothing, ArchivePage { complete: true, count: Some(0), ..ArchivePage::default() });
}

#[test]
fn an_id_that_is_there_already_is_not_added_again_and_counts_once() {
    let (_folder, store) = with_accounts(&["romeo", "juliet"]);
    says(&store, 1, 1, "juliet@example.net");
    let places = vec![place("juliet", 5, "romeo@example.net"), place("romeo", 1, "juliet@example.net")];
    wait(store.append_archive(message(2, places), nothing())).unwrap();
    assert_eq!(found(&store, &all()), (vec![1], true));
    assert_eq!(asked(&store, "juliet", &all()).messages.len(), 1);
    let trimmed = wait(store.trim_archives(0, i64::MIN, 1, 10)).unwrap();
    assert_eq!(trimmed.removed, 0, "neither has more than one");
}

#[test]
fn pages_go_forwards_and_backwards_from_any_message() {
    let (_folder, store) = conversation();
    let of = |messages_max, backwards| ArchiveQuery { messages_max, backwards, ..all() };
    assert_eq!(found(&store, &of(3, false)), (vec![1, 2, 3], false));
    assert_eq!(found(&store, &of(3, true)), (vec![7, 8, 9], false));
    assert_eq!(found(&store, &of(9, true)), ((1..=9).collect(), true));
    assert_eq!(found(&store, &of(0, false)), (vec![], false));
    let after = |number, messages_max| ArchiveQuery { after: vec![id(number)], ..of(messages_max, false) };
    assert_eq!(found(&store, &after(3, 3)), (vec![4, 5, 6], false));
    assert_eq!(found(&store, &after(6, 3)), (vec![7, 8, 9], true));
    assert_eq!(found(&store, &after(9, 3)), (vec![], true));
    let before = |number, messages_max| ArchiveQuery { before: vec![id(number)], ..of(messages_max, true) };
    assert_eq!(found(&store, &before(7, 3)), (vec![4, 5, 6], false));
    assert_eq!(found(&store, &before(4, 3)), (vec![1, 2, 3], true));
    assert_eq!(found(&store, &before(1, 3)), (vec![], true));
    let between = ArchiveQuery { after: vec![id(1), id(2)], before: vec![id(8), id(6)], ..of(9, false) };
    assert_eq!(found(&store, &between), (vec![3, 4, 5], true));
}

#[test]
fn a_page_is_bounded_in_bytes_and_never_empty_for_that() {
    let (_folder, store) = conversation();
    // "message 1" and so on: 9 bytes each.
    let of = |bytes_max| ArchiveQuery { bytes_max, ..all() };
    assert_eq!(found(&store, &of(18)), (vec![1, 2], false));
    assert_eq!(found(&store, &of(17)), (vec![1], false));
    assert_eq!(found(&store, &of(1)), (vec![1], false));
    let last = ArchiveQuery { backwards: true, ..of(20) };
    assert_eq!(found(&store, &last), (vec![8, 9], false));
}

#[test]
fn filters_by_contact_and_time_go_together_with_pages() {
    let (_folder, store) = conversation();
    let with = |contact| ArchiveQuery { with: Some(address(contact)), ..all() };
    assert_eq!(found(&store, &with("juliet@example.net")), (vec![1, 2, 4, 5, 7, 8], true));
    assert_eq!(found(&store, &with("juliet@example.net/chamber")), (vec![2, 5, 8], true));
    assert_eq!(found(&store, &with("nurse@example.net")), (vec![3, 6, 9], true));
    assert_eq!(found(&store, &with("nurse@example.net/kitchen")), (vec![], true));
    assert_eq!(found(&store, &with("tybalt@example.net")), (vec![], true));
    let span = |start, end| ArchiveQuery { start_unix_us: start, end_unix_us: end, ..all() };
    assert_eq!(found(&store, &span(Some(3_000), Some(5_000))), (vec![3, 4, 5], true));
    assert_eq!(found(&store, &span(Some(3_001), None)), (vec![4, 5, 6, 7, 8, 9], true));
    assert_eq!(found(&store, &span(None, Some(1_999))), (vec![1], true));
    assert_eq!(found(&store, &span(Some(5_000), Some(3_000))), (vec![], true));
    let last = ArchiveQuery {
        after: vec![id(1)],
        end_unix_us: Some(7_500),
        backwards: true,
        messages_max: 2,
        ..with("juliet@example.net")
    };
    assert_eq!(found(&store, &last), (vec![5, 7], false));
}

#[test]
fn messages_are_found_by_their_ids_in_the_order_of_the_archive() {
    let (_folder, store) = conversation();
    let ids = |numbers: &[u8]| ArchiveQuery { ids: Some(numbers.iter().map(|n| id(*n)).collect()), ..all() };
    assert_eq!(found(&store, &ids(&[8, 2, 5, 2])), (vec![2, 5, 8], true));
    assert_eq!(found(&store, &ids(&[])), (vec![], true));
    let two = ArchiveQuery { messages_max: 2, count: true, ..ids(&[8, 2, 5]) };
    assert_eq!((found(&store, &two), asked(&store, "romeo", &two).count), ((vec![2, 5], false), Some(3)));
    let last = ArchiveQuery { messages_max: 1, backwards: true, ..ids(&[8, 2, 5]) };
    assert_eq!(found(&store, &last), (vec![8], false));
    let with = ArchiveQuery { with: Some(address("nurse@example.net")), ..ids(&[2, 3, 6]) };
    assert_eq!(found(&store, &with), (vec![3, 6], true));
}

#[test]
fn an_id_that_is_not_in_the_archive_is_told_wherever_it_is_named() {
    let (_folder, store) = conversation();
    wait(store.append_archive(message(1, vec![place("juliet", 77, "romeo@example.net")]), nothing()))
        .unwrap();
    for query in [
        ArchiveQuery { after: vec![id(3), id(77)], ..all() },
        ArchiveQuery { before: vec![id(77)], ..all() },
        ArchiveQuery { ids: Some(vec![id(77)]), ..all() },
        ArchiveQuery { ids: Some(vec![id(1), id(99)]), ..all() },
    ] {
        let result = wait(store.query_archive(&account("romeo"), query.clone()));
        assert!(matches!(result, Err(StoreError::NotFound)), "{query:?}: {result:?}");
    }
}

#[test]
fn messages_are_counted_where_that_is_asked() {
    let (_folder, store) = conversation();
    let count = |query| asked(&store, "romeo", &ArchiveQuery { count: true, messages_max: 0, ..query }).count;
    assert_eq!(count(all()), Some(9));
    assert_eq!(count(ArchiveQuery { with: Some(address("juliet@example.net")), ..all() }), Some(6));
    assert_eq!(count(ArchiveQuery { with: Some(address("juliet@example.net/balcony")), ..all() }), Some(3));
    assert_eq!(count(ArchiveQuery { start_unix_us: Some(8_000), ..all() }), Some(2));
    assert_eq!(asked(&store, "romeo", &all()).count, None);
}

#[test]
fn the_ends_of_an_archive_are_its_first_and_its_last_message() {
    let (_folder, store) = conversation();
    let ends = wait(store.archive_ends(&account("romeo"))).unwrap().unwrap();
    assert_eq!((ends.first, ends.last), ((id(1), 1_000), (id(9), 9_000)));
    assert_eq!(wait(store.archive_ends(&account("juliet"))).unwrap(), None);
}

#[test]
fn what_is_for_listed_contacts_only_is_archived_for_them_only() {
    let (_folder, store) = with_accounts(&["romeo", "juliet"]);
    let edit = RosterEdit { jid: account("juliet"), name: None, groups: Vec::new() };
    wait(store.set_roster_item(&account("romeo"), edit, 10, nothing())).unwrap();
    for (number, contact) in [(1, "juliet@example.net/balcony"), (2, "tybalt@example.net")] {
        let place = ArchivePlace { if_listed: true, ..place("romeo", number, contact) };
        wait(store.append_archive(message(1, vec![place]), nothing())).unwrap();
    }
    assert_eq!(found(&store, &all()), (vec![1], true));
}

fn trimmed(store: &dyn Store, before_unix_us: i64, messages_max: u64, removed_max: usize) -> usize {
    let (mut after, mut removed) = (0, 0);
    loop {
        let step = wait(store.trim_archives(after, before_unix_us, messages_max, removed_max)).unwrap();
        assert!(step.removed <= removed_max);
        removed += step.removed;
        match step.next {
            Some(next) => after = next,
            None => return removed,
        }
    }
}

#[test]
fn old_messages_and_those_that_are_too_many_go_oldest_first_piece_by_piece() {
    for removed_max in [1, 2, 3, 1_000] {
        let (_folder, store) = conversation();
        assert_eq!(trimmed(&store, 0, NONE, removed_max), 0);
        assert_eq!(trimmed(&store, 3_000, NONE, removed_max), 2);
        assert_eq!(found(&store, &all()), (vec![3, 4, 5, 6, 7, 8, 9], true));
        assert_eq!(trimmed(&store, 0, 5, removed_max), 2);
        assert_eq!(found(&store, &all()), (vec![5, 6, 7, 8, 9], true));
        assert_eq!(trimmed(&store, 6_500, 2, removed_max), 3);
        assert_eq!(found(&store, &all()), (vec![8, 9], true));
        let with = ArchiveQuery { with: Some(address("juliet@example.net")), ..all() };
        assert_eq!(found(&store, &with), (vec![8], true));
        // What comes then counts from there.
        says(&store, 10_000, 10, "juliet@example.net");
        assert_eq!(trimmed(&store, 0, 2, removed_max), 1);
        assert_eq!(found(&store, &all()), (vec![9, 10], true));
    }
}

#[test]
fn many_archives_are_gone_through_in_steps() {
    let names: Vec<String> = (0..450).map(|number| format!("user{number}")).collect();
    let (_folder, store) = with_accounts(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let answers: Vec<_> = names
        .iter()
        .map(|name| store.append_archive(message(5, vec![place(name, 1, "romeo@example.net")]), nothing()))
        .collect();
    answers.into_iter().for_each(|answer| wait(answer).unwrap());
    let first = wait(store.trim_archives(0, 100, NONE, 1_000)).unwrap();
    assert!((1..450).contains(&first.removed) && first.next.is_some(), "{first:?}");
    assert_eq!(trimmed(&store, 100, NONE, 1_000), 450 - first.removed);
    assert_eq!(wait(store.trim_archives(i64::MAX, 100, NONE, 10)).unwrap(), Trimmed::default());
}

#[test]
fn an_account_that_is_removed_takes_its_archive_with_it_and_leaves_that_of_the_other() {
    let (_folder, store) = with_accounts(&["romeo", "juliet"]);
    let places = vec![place("romeo", 1, "juliet@example.net"), place("juliet", 2, "romeo@example.net")];
    wait(store.append_archive(message(7, places), nothing())).unwrap();
    wait(store.remove_account(&account("romeo"), nothing())).unwrap();
    wait(store.create_account(&account("romeo"), support::credentials(9))).unwrap();
    assert_eq!(found(&store, &all()), (vec![], true));
    assert_eq!(numbers(&asked(&store, "juliet", &all())), [2]);
    assert_eq!(trimmed(&store, 0, NONE, 10), 0);
}

#[test]
fn a_big_archive_of_an_account_that_is_removed_is_out_of_sight_at_once_and_goes_piece_by_piece() {
    const MESSAGES: u32 = 5_000;
    let (_folder, store) = with_accounts(&["romeo"]);
    let answers: Vec<_> = (0..MESSAGES)
        .map(|number| {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&number.to_be_bytes());
            let place = ArchivePlace { id: ArchiveId(bytes), ..place("romeo", 0, "juliet@example.net") };
            store.append_archive(message(i64::from(number), vec![place]), nothing())
        })
        .collect();
    answers.into_iter().for_each(|answer| wait(answer).unwrap());
    wait(store.remove_account(&account("romeo"), nothing())).unwrap();
    wait(store.create_account(&account("romeo"), support::credentials(9))).unwrap();
    assert_eq!(found(&store, &all()), (vec![], true));
    let left = trimmed(&store, 0, NONE, 700);
    assert!(left > 0 && left < MESSAGES as usize, "{left}");
    assert_eq!(trimmed(&store, 0, NONE, 700), 0);
}

#[test]
fn what_an_account_wants_is_there_at_the_next_start_and_goes_with_it() {
    let (folder, store) = with_accounts(&["romeo", "juliet"]);
    assert_eq!(wait(store.load_archive_prefs()).unwrap(), []);
    let prefs = |otherwise| ArchivePrefs {
        otherwise,
        always: vec![address("juliet@example.net"), address("nurse@example.net/kitchen")],
        never: vec![address("tybalt@example.net")],
    };
    let save = |otherwise| wait(store.save_archive_prefs(&account("romeo"), prefs(otherwise), nothing()));
    save(ArchiveOtherwise::Never).unwrap();
    save(ArchiveOtherwise::Roster).unwrap();
    let of_nobody = store.save_archive_prefs(&account("nobody"), prefs(ArchiveOtherwise::Always), nothing());
    assert!(matches!(wait(of_nobody), Err(StoreError::NotFound)));
    store.close();
    let store = support::open(&folder);
    let expected = [(account("romeo"), prefs(ArchiveOtherwise::Roster))];
    assert_eq!(wait(store.load_archive_prefs()).unwrap(), expected);
    wait(store.remove_account(&account("romeo"), nothing())).unwrap();
    assert_eq!(wait(store.load_archive_prefs()).unwrap(), []);
}
