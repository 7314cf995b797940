//! Threads for heavy work.

use std::{sync::mpsc, time::Duration};

use rjabberd_actors::{NoAnswer, Offload, PoolFull};

const LONG: Duration = Duration::from_secs(10);

#[actix_rt::test]
async fn a_job_answers_with_its_value() {
    let offload = Offload::start(2, 8);
    assert_eq!(offload.run(|| 6 * 7).unwrap().within(LONG).await, Ok(42));
}

#[actix_rt::test]
async fn a_full_queue_refuses() {
    let offload = Offload::start(1, 2);
    let (running, is_running) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let first = offload.run(move || {
        running.send(()).unwrap();
        released.recv().unwrap();
    });
    is_running.recv_timeout(LONG).unwrap();
    let queued = [offload.run(|| ()).unwrap(), offload.run(|| ()).unwrap()];
    assert_eq!(offload.run(|| ()).err(), Some(PoolFull));
    assert_eq!(offload.counts(), (3, 1));
    release.send(()).unwrap();
    first.unwrap().within(LONG).await.unwrap();
    for answer in queued {
        answer.within(LONG).await.unwrap();
    }
    offload.run(|| ()).unwrap().within(LONG).await.unwrap();
}

#[actix_rt::test]
async fn a_job_that_panics_has_no_answer_and_harms_no_other() {
    let offload = Offload::start(1, 8);
    let bad = offload.run(|| -> u32 { panic!("a job of this test") }).unwrap();
    let good = offload.run(|| 1).unwrap();
    assert_eq!(bad.within(LONG).await, Err(NoAnswer));
    assert_eq!(good.within(LONG).await, Ok(1));
}

#[actix_rt::test]
async fn threads_end_when_nobody_can_ask_any_more() {
    let offload = Offload::start(1, 8);
    let (held, end) = mpsc::channel::<()>();
    // Lives in the thread for as long as the thread does.
    offload
        .run(move || {
            std::thread_local!(static HELD: std::cell::RefCell<Option<mpsc::Sender<()>>> = const { std::cell::RefCell::new(None) });
            HELD.with(|slot| *slot.borrow_mut() = Some(held));
        })
        .unwrap()
        .within(LONG)
        .await
        .unwrap();
    drop(offload);
    assert_eq!(end.recv_timeout(LONG), Err(mpsc::RecvTimeoutError::Disconnected));
}
