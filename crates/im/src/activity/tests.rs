//! Notes, batches, and a store that takes none.

use std::sync::Arc;

use futures_util::FutureExt;
use parking_lot::Mutex;
use rjabberd_session_manager::SessionTable;
use rjabberd_storage::{Answer, LastActivity, PepStore, Store, StoreError};
use rjabberd_xmpp::BareJid;
use tokio::sync::oneshot;

use super::{BATCH, NOTES_MAX, STATUS_BYTES_MAX};
use crate::stage::Stage;
use crate::{Im, Limits};

fn account(number: usize) -> BareJid {
    BareJid::new(&format!("user{number}@example.net")).unwrap()
}

fn flush(stage: &Stage) {
    stage.im.flush_activity().now_or_never().expect("the store answers at once");
}

#[test]
fn notes_are_saved_together() {
    let stage = Stage::new();
    flush(&stage);
    for number in 0..3 {
        stage.im.left(&account(number), Some(format!("bye {number}")));
    }
    stage.im.left(&account(1), None);
    assert_eq!(stage.store.kept.lock().batches, [0; 0]);
    flush(&stage);
    flush(&stage);
    let kept = stage.store.kept.lock();
    assert_eq!(kept.batches, [3]);
    assert_eq!(kept.activities["user0@example.net"].status.as_deref(), Some("bye 0"));
    assert_eq!(kept.activities["user1@example.net"].status, None);
}

#[test]
fn a_full_batch_does_not_wait_for_the_next_flush() {
    let stage = Stage::new();
    for number in 0..BATCH {
        stage.im.left(&account(number), None);
    }
    assert_eq!(stage.store.kept.lock().batches, [BATCH]);
    assert_eq!(stage.im.noted_activity(&account(0)), None);
}

#[test]
fn what_the_store_refused_is_tried_again_up_to_a_limit() {
    let stage = Stage::new();
    stage.breaks(true);
    for number in 0..NOTES_MAX + 10 {
        stage.im.left(&account(number), None);
    }
    flush(&stage);
    assert!(stage.im.noted_activity(&account(0)).is_some());
    assert!(stage.im.noted_activity(&account(NOTES_MAX)).is_none());
    stage.breaks(false);
    flush(&stage);
    assert_eq!(stage.store.kept.lock().batches, [NOTES_MAX]);
}

#[test]
fn a_status_that_is_too_long_is_cut() {
    let stage = Stage::new();
    stage.im.left(&account(0), Some("a".to_owned() + &"ä".repeat(STATUS_BYTES_MAX)));
    let status = stage.im.noted_activity(&account(0)).unwrap().status.unwrap();
    assert_eq!(status.len(), STATUS_BYTES_MAX - 1);
}

#[test]
fn a_removed_account_is_forgotten() {
    let stage = Stage::new();
    stage.im.left(&account(0), None);
    stage.im.account_removed(&account(0), &[]);
    flush(&stage);
    assert_eq!(stage.store.kept.lock().batches, [0; 0]);
}

/// A save that waits for its answer.
type Waiting = (Vec<(BareJid, LastActivity)>, oneshot::Sender<Result<(), StoreError>>);

/// A store that answers when the test says so.
#[derive(Default)]
struct Slow(Mutex<Vec<Waiting>>);

impl rjabberd_storage::ArchiveStore for Slow {}
impl PepStore for Slow {}
impl rjabberd_storage::PushStore for Slow {}

impl Store for Slow {
    fn save_activities(&self, activities: Vec<(BareJid, LastActivity)>) -> Answer<()> {
        let (answer, saved) = oneshot::channel();
        self.0.lock().push((activities, answer));
        saved.map(|saved| saved.unwrap_or(Err(StoreError::Deadline))).boxed()
    }
}

#[test]
fn one_batch_is_on_its_way_and_never_undoes_a_newer_note() {
    let slow = Arc::new(Slow::default());
    let clock = Arc::new(std::time::SystemTime::now);
    let im = Im::new(slow.clone(), SessionTable::new(), [], clock, Limits::default());
    let status = |number| im.noted_activity(&account(number)).and_then(|activity| activity.status);
    im.left(&account(0), Some("first".to_owned()));
    im.left(&account(1), Some("only".to_owned()));
    let mut flushing = Box::pin(im.flush_activity());
    assert!(flushing.as_mut().now_or_never().is_none());
    im.left(&account(0), Some("second".to_owned()));
    assert!(im.flush_activity().now_or_never().is_none());
    assert_eq!((slow.0.lock().len(), status(1).as_deref()), (1, Some("only")));

    let (_, answer) = slow.0.lock().remove(0);
    answer.send(Err(StoreError::Deadline)).unwrap();
    assert!(im.flush_activity().now_or_never().is_some(), "a refusal ends the flush");
    assert_eq!((status(0).as_deref(), status(1).as_deref()), (Some("second"), Some("only")));

    assert!(im.flush_activity().now_or_never().is_none());
    let (batch, answer) = slow.0.lock().remove(0);
    assert_eq!(batch.len(), 2);
    answer.send(Ok(())).unwrap();
    assert!(im.flush_activity().now_or_never().is_some());
    assert_eq!((status(0), status(1)), (None, None));
}
