//! Rules of the archive that need a store which answers when it is told to.

use parking_lot::Mutex;
use rjabberd_session_manager::SessionTable;
use rjabberd_storage::{Absent, Answer, ArchiveStore, Follow, Store};

use super::*;
use crate::Limits;
use crate::stage::{HOST, JULIET, ROMEO, stanza};

/// A store that takes its time: what it was asked to append is on its way until [`Slow::answers`].
#[derive(Default)]
struct Slow {
    waiting: Mutex<Vec<(ArchiveAppend, Follow<()>)>>,
}

impl Slow {
    fn answers(&self, result: &Result<(), StoreError>) -> Vec<ArchiveAppend> {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        let answer = |(appended, follow): (ArchiveAppend, Follow<()>)| {
            follow(result);
            appended
        };
        waiting.into_iter().map(answer).collect()
    }
}

impl Store for Slow {}

impl rjabberd_storage::PepStore for Slow {}

impl rjabberd_storage::PushStore for Slow {}

impl ArchiveStore for Slow {
    fn append_archive(&self, message: ArchiveAppend, follow: Follow<()>) -> Answer<()> {
        self.waiting.lock().push((message, follow));
        future::pending().boxed()
    }
}

fn im_with(store: std::sync::Arc<dyn Store>, otherwise: ArchiveOtherwise) -> &'static Im {
    let archive = ArchiveRules { enabled: true, otherwise, ..ArchiveRules::default() };
    let limits = Limits { archive, ..Limits::default() };
    let clock: crate::Clock = std::sync::Arc::new(|| UNIX_EPOCH + Duration::from_millis(1_790_000_000_123));
    Im::new(store, SessionTable::new(), [HOST.to_owned()], clock, limits)
}

fn slow() -> (std::sync::Arc<Slow>, &'static Im) {
    let store = std::sync::Arc::<Slow>::default();
    (store.clone(), im_with(store, ArchiveOtherwise::Always))
}

fn message(bytes: usize) -> Stanza {
    stanza(&format!(
        "<message from='{ROMEO}' to='{JULIET}' type='chat'><body>{}</body></message>",
        "x".repeat(bytes)
    ))
}

fn juliet() -> BareJid {
    BareJid::new("juliet@example.net").unwrap()
}

#[test]
fn one_write_holds_both_sides_with_an_id_and_a_contact_each() {
    let (store, im) = slow();
    let archived = im.archive(&message(1), &juliet(), false).unwrap();
    let [appended] = &store.answers(&Ok(()))[..] else { panic!("one write") };
    let [his, hers] = &appended.places[..] else { panic!("two places") };
    assert_eq!((his.account.as_str(), his.contact.as_str()), ("romeo@example.net", JULIET));
    assert_eq!((hers.account.as_str(), hers.contact.as_str()), ("juliet@example.net", ROMEO));
    assert_eq!((archived.sent, archived.received), (Some(his.id), Some(hers.id)));
    assert_ne!(his.id, hers.id);
    assert_eq!(appended.came_unix_us, 1_790_000_000_123_000);
    assert_eq!(Stanza::from_written(appended.stanza.clone()).unwrap(), message(1));
}

#[test]
fn what_the_addressee_refuses_is_archived_for_its_sender_alone() {
    let (store, im) = slow();
    let archived = im.archive(&message(1), &juliet(), true).unwrap();
    assert_eq!((archived.sent.is_some(), archived.received), (true, None));
    assert_eq!(store.answers(&Ok(()))[0].places.len(), 1);
}

#[test]
fn a_store_that_is_slow_is_given_no_more_than_a_bound_and_what_is_more_is_counted() {
    let (store, im) = slow();
    for _ in 0..STORING_MAX {
        assert!(im.archive(&message(1), &juliet(), false).unwrap().sent.is_some());
    }
    let over = im.archive(&message(1), &juliet(), false).unwrap();
    assert_eq!((over.sent, over.received), (None, None), "what is in no archive has no id");
    assert_eq!(over.committing.now_or_never(), Some(Committed::No), "and is not to be acknowledged");
    assert_eq!((im.archives.snapshot().refused, im.archives.snapshot().storing), (1, STORING_MAX as u64));
    assert_eq!(store.answers(&Ok(())).len(), STORING_MAX);
    assert!(im.archive(&message(1), &juliet(), false).unwrap().sent.is_some(), "there is room again");
    assert_eq!(im.archives.snapshot().stored, STORING_MAX as u64);
}

#[test]
fn the_bound_is_one_of_bytes_too_and_a_message_that_is_bigger_goes_alone() {
    let (store, im) = slow();
    assert!(im.archive(&message(STORING_BYTES_MAX + 1), &juliet(), false).unwrap().sent.is_some());
    assert!(im.archive(&message(1), &juliet(), false).unwrap().sent.is_none());
    store.answers(&Ok(()));
    for _ in 0..4 {
        assert!(im.archive(&message(STORING_BYTES_MAX / 5), &juliet(), false).unwrap().sent.is_some());
    }
    assert!(im.archive(&message(STORING_BYTES_MAX / 3), &juliet(), false).unwrap().sent.is_none());
}

#[test]
fn a_store_that_fails_promises_nothing() {
    let im = im_with(std::sync::Arc::new(Absent), ArchiveOtherwise::Always);
    let archived = im.archive(&message(1), &juliet(), false).unwrap();
    assert_eq!(archived.committing.now_or_never(), Some(Committed::No));
    let found = im.archives.snapshot();
    assert_eq!((found.failed, found.stored, found.storing), (0, 0, 1), "it will be tried again");
}

#[test]
fn what_a_store_that_was_away_did_not_take_is_given_to_it_again_in_order() {
    let (store, im) = slow();
    for bytes in 1..4 {
        assert!(im.archive(&message(bytes), &juliet(), false).unwrap().sent.is_some());
    }
    let first: Vec<_> =
        store.answers(&Err(StoreError::Deadline)).iter().map(|one| one.stanza.len()).collect();
    let mut found = Vec::new();
    for _ in 0..3 {
        assert_eq!(im.retry_archives().now_or_never(), None, "it waits for the store");
        found.extend(store.answers(&Ok(())).iter().map(|one| one.stanza.len()));
    }
    assert_eq!(found, first);
    let found = im.archives.snapshot();
    assert_eq!((found.failed, found.stored, found.storing), (0, 3, 0));
}

#[test]
fn an_account_that_is_not_there_is_not_asked_for_again() {
    let (store, im) = slow();
    assert!(im.archive(&message(1), &juliet(), false).unwrap().sent.is_some());
    store.answers(&Err(StoreError::NotFound));
    assert_eq!(im.retry_archives().now_or_never(), Some(()));
    let found = im.archives.snapshot();
    assert_eq!((found.failed, found.storing), (1, 0));
}

#[test]
fn where_only_the_store_knows_the_roster_it_decides_and_nobody_sees_an_id() {
    let store = std::sync::Arc::<Slow>::default();
    let im = im_with(store.clone(), ArchiveOtherwise::Roster);
    let archived = im.archive(&message(1), &juliet(), false).unwrap();
    assert_eq!((archived.sent, archived.received), (None, None));
    assert!(store.answers(&Ok(()))[0].places.iter().all(|place| place.if_listed));
}

#[test]
fn an_id_is_read_as_it_was_written_and_nothing_else_is_one() {
    let now = UNIX_EPOCH + Duration::from_millis(1_790_000_000_123);
    let ids: std::collections::HashSet<_> = (0..100).map(|_| fresh_id(now)).collect();
    assert_eq!(ids.len(), 100);
    for id in &ids {
        assert_eq!(read_id(&id_text(*id)), Some(*id));
        assert_eq!(id.0[..6], 1_790_000_000_123_u64.to_be_bytes()[2..]);
    }
    let later = fresh_id(now + Duration::from_millis(1));
    assert!(ids.iter().all(|id| *id < later));
    for text in
        ["", "A", &"A".repeat(21), &"A".repeat(23), "AAAAAAAAAAAAAAAAAAAA+/", "AAAAAAAAAAAAAAAAAAAAAB", "ä"]
    {
        assert_eq!(read_id(text), None, "{text}");
    }
}
