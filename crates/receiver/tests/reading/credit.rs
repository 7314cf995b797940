//! Reading on credit, and only on credit.

use rjabberd_receiver::{messages::Order, now_us, shaper::Shaper};
use rjabberd_xml::Limits;

use crate::stage::{HEADER, Stage};

fn messages(count: usize) -> String {
    (0..count).map(|number| format!("<message id='{number}'/>")).collect()
}

#[actix_rt::test]
async fn without_credit_nothing_is_read() {
    let stage = Stage::with(&(HEADER.to_owned() + &messages(100)));
    stage.nothing_comes().await;
    assert_eq!(stage.transport.counts().0, 0);
}

#[actix_rt::test]
async fn each_credit_gives_one_batch_of_at_most_so_many_elements_in_order() {
    let stage = Stage::with(&(HEADER.to_owned() + &messages(100)));
    assert_eq!(stage.reads(64).await, ["header"], "what follows a header is judged later");
    let mut numbers = Vec::new();
    for elements_max in [1, 7, 30, 64, 64] {
        stage.nothing_comes().await;
        let batch = stage.reads(elements_max).await;
        assert!((1..=elements_max).contains(&batch.len()), "{} of {elements_max}", batch.len());
        numbers.extend(batch);
        if numbers.len() == 100 {
            break;
        }
    }
    assert_eq!(numbers, (0..100).map(|number| number.to_string()).collect::<Vec<_>>());
    stage.credits(Order::Continue, 64);
    stage.nothing_comes().await;
}

#[actix_rt::test]
async fn an_element_in_pieces_is_one_element() {
    let mut stage = Stage::with(HEADER);
    assert_eq!(stage.reads(8).await, ["header"]);
    stage.credits(Order::Continue, 8);
    for piece in ["<message i", "d='1'><bo", "dy>hello</body", "></mess", "age", ">"] {
        stage.nothing_comes().await;
        stage.says(piece);
    }
    assert_eq!(stage.batch().await, ["1"]);
}

#[actix_rt::test]
async fn bytes_behind_a_batch_belong_to_the_new_stream_if_one_is_ordered() {
    // Behind `<auth/>`: a header, and an element that only the new stream's namespaces allow.
    let header = HEADER.replace("to=", "xmlns:p='urn:p' to=");
    let stage = Stage::with(&format!("{HEADER}<auth/>{header}<p:later/><mess"));
    assert_eq!(stage.reads(1).await, ["header"]);
    assert_eq!(stage.reads(1).await, ["auth"]);
    stage.nothing_comes().await;
    stage.credits(Order::NewStream(Limits::AUTHENTICATED), 1);
    assert_eq!(stage.batch().await, ["header"]);
    assert_eq!(stage.reads(1).await, ["p:later".trim_start_matches("p:")]);
}

#[actix_rt::test]
async fn the_same_bytes_are_refused_where_the_old_stream_goes_on() {
    let stage = Stage::with(&format!("{HEADER}<auth/><?xml version='1.0'?>{HEADER}"));
    assert_eq!(stage.reads(1).await, ["header"]);
    assert_eq!(stage.reads(1).await, ["auth"]);
    assert_eq!(stage.reads(1).await, ["refused"]);
}

#[actix_rt::test]
async fn a_new_stream_has_its_own_limits() {
    let long = format!("<message id='1'><body>{}</body></message>", "x".repeat(20_000));
    let stage = Stage::with(&format!("{HEADER}{HEADER}{long}"));
    assert_eq!(stage.reads(1).await, ["header"]);
    stage.credits(Order::NewStream(Limits::AUTHENTICATED), 1);
    assert_eq!(stage.batch().await, ["header"]);
    assert_eq!(stage.reads(8).await, ["1"]);

    let stage = Stage::with(&format!("{HEADER}{HEADER}{long}"));
    assert_eq!(stage.reads(1).await, ["header"]);
    stage.credits(Order::NewStream(Limits::UNAUTHENTICATED), 1);
    assert_eq!(stage.batch().await, ["header"]);
    assert_eq!(stage.reads(8).await, ["refused"]);
}

#[actix_rt::test]
async fn what_came_before_a_refusal_is_given_first() {
    let stage =
        Stage::with(&format!("{HEADER}<message id='1'/><message id='2'/><!-- no --><message id='3'/>"));
    assert_eq!(stage.reads(8).await, ["header"]);
    assert_eq!(stage.reads(8).await, ["1", "2", "refused"]);
}

#[actix_rt::test]
async fn a_shaper_s_pause_is_time_in_which_nothing_is_read() {
    // The clock stands still until nothing is left but to wait for it.
    tokio::time::pause();
    let mut stage = Stage::new(Shaper::bucket(1, 0, now_us()), None);
    stage.says(HEADER);
    let began = tokio::time::Instant::now();
    assert_eq!(stage.reads(8).await, ["header"]);
    assert!(began.elapsed().as_secs() < 1, "the first chunk waits for nobody");
    stage.says("<message id='1'/>");
    assert_eq!(stage.reads(8).await, ["1"]);
    // A second for each byte of the header; the shaper's own clock has gone on meanwhile.
    let waited = began.elapsed().as_secs() as usize;
    assert!((HEADER.len() - 30..=HEADER.len() + 1).contains(&waited), "{waited} s");
}
