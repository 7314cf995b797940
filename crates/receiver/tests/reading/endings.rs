//! The end: the peer's, the c2s's, and what is said about it.

use std::{
    io::{Read as _, Write as _},
    net::Shutdown,
};

use rjabberd_receiver::{messages::Order, now_us, shaper::Shaper};

use crate::stage::{HEADER, Stage};

#[actix_rt::test]
async fn the_end_of_the_connection_is_told_after_all_that_came_before() {
    let stage = Stage::with(&format!("{HEADER}<message id='1'/><message id='2'/>"));
    stage.peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(stage.reads(1).await, ["header"]);
    assert_eq!(stage.reads(1).await, ["1"]);
    assert_eq!(stage.reads(1).await, ["2"]);
    assert_eq!(stage.reads(1).await, ["Eof"]);
    stage.ends().await;
}

#[actix_rt::test]
async fn the_end_of_the_stream_is_told_and_what_is_behind_it_is_not() {
    let stage = Stage::with(&format!("{HEADER}<message id='1'/></stream:stream><message id='2'/>"));
    assert_eq!(stage.reads(8).await, ["header"]);
    assert_eq!(stage.reads(8).await, ["1", "end"]);
    stage.nothing_comes().await;
}

#[actix_rt::test]
async fn after_close_what_comes_is_discarded_and_our_end_is_told() {
    let mut stage = Stage::with(HEADER);
    assert_eq!(stage.reads(1).await, ["header"]);
    stage.says("<message id='1'/>");
    stage.credits(Order::Close, 1);
    let mut peer = stage.peer.try_clone().unwrap();
    let hearing = std::thread::spawn(move || {
        let mut said = Vec::new();
        peer.read_to_end(&mut said).unwrap();
        peer.write_all(b"<message id='2'/>").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        said
    });
    stage.ends().await;
    stage.nothing_comes().await;
    assert!(hearing.join().unwrap().is_empty());
}

#[actix_rt::test]
async fn a_peer_that_goes_on_talking_after_close_is_heard_to_for_so_many_bytes() {
    // However slow the peer is, the second that it has does not pass: the wait for its end is never idle.
    tokio::time::pause();
    let stage = Stage::with("");
    stage.credits(Order::Close, 1);
    let mut peer = stage.peer.try_clone().unwrap();
    let talking = std::thread::spawn(move || {
        // Until the other side is gone.
        let piece = vec![b' '; 4096];
        (0..1_000_000).take_while(|_| peer.write_all(&piece).is_ok()).count()
    });
    stage.ends().await;
    let read = stage.transport.counts().0;
    assert!((64 * 1024..64 * 1024 + 16 * 1024).contains(&read), "{read}");
    drop(stage);
    talking.join().unwrap();
}

#[actix_rt::test]
async fn a_peer_that_says_nothing_after_close_is_waited_for_for_a_second() {
    tokio::time::pause();
    let stage = Stage::with("");
    let began = tokio::time::Instant::now();
    stage.credits(Order::Close, 1);
    let ended = async {
        while stage.receiver.is_open() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(crate::stage::LONG, ended).await.unwrap();
    assert!((1000..1100).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

#[actix_rt::test]
async fn close_does_not_wait_for_the_shaper() {
    let mut stage = Stage::new(Shaper::bucket(1, 0, now_us()), None);
    stage.says(HEADER);
    assert_eq!(stage.reads(1).await, ["header"]);
    stage.credits(Order::Continue, 1);
    stage.nothing_comes().await;
    stage.credits(Order::Close, 1);
    stage.peer.shutdown(Shutdown::Write).unwrap();
    stage.ends().await;
}

#[actix_rt::test]
async fn a_connection_that_breaks_is_told_so() {
    let mut stage = Stage::with(HEADER);
    assert_eq!(stage.reads(1).await, ["header"]);
    stage.breaks();
    assert_eq!(stage.reads(1).await, ["Broken"]);
    stage.ends().await;
}
