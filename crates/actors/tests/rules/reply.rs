//! Answers.

use std::time::Duration;

use rjabberd_actors::{NoAnswer, reply};
use tokio::time::{Instant, pause};

#[actix_rt::test]
async fn an_answer_in_time_arrives() {
    let (reply, answer) = reply();
    actix_rt::spawn(async move { reply.send(7).unwrap() });
    assert_eq!(answer.within(Duration::from_secs(10)).await, Ok(7));
}

#[actix_rt::test]
async fn an_answer_that_never_comes_is_given_up_at_the_deadline() {
    pause();
    let (reply, answer) = reply::<()>();
    let began = Instant::now();
    assert_eq!(answer.within(Duration::from_secs(5)).await, Err(NoAnswer));
    assert!((5000..5010).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    assert_eq!(reply.send(()), Err(()), "whoever answers too late learns that nobody waits");
}

#[actix_rt::test]
async fn a_dropped_question_is_told_at_once() {
    pause();
    let (reply, answer) = reply::<()>();
    drop(reply);
    let began = Instant::now();
    assert_eq!(answer.within(Duration::from_secs(5)).await, Err(NoAnswer));
    assert_eq!(began.elapsed(), Duration::ZERO);
}
