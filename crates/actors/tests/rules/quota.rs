//! So many lines a second; what is left out is told without another line.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use rjabberd_actors::LineQuota;

/// Asks for so many lines; how many were admitted. Summaries are put into the list.
fn ask(quota: &LineQuota, lines: usize, summaries: &Arc<Mutex<Vec<u32>>>) -> usize {
    let admitted = (0..lines).filter(|_| {
        let summaries = summaries.clone();
        quota.admits(move |left_out| summaries.lock().unwrap().push(left_out))
    });
    admitted.count()
}

#[actix_rt::test]
async fn what_is_over_is_one_summary_when_the_second_ends() {
    tokio::time::pause();
    let (quota, summaries) = (LineQuota::new(3), Arc::default());
    assert_eq!(ask(&quota, 10, &summaries), 3);
    assert!(summaries.lock().unwrap().is_empty());
    tokio::time::sleep(Duration::from_millis(1_001)).await;
    assert_eq!(*summaries.lock().unwrap(), [7]);
    assert_eq!(ask(&quota, 5, &summaries), 3);
    tokio::time::sleep(Duration::from_millis(1_001)).await;
    assert_eq!(*summaries.lock().unwrap(), [7, 2]);
}

#[actix_rt::test]
async fn what_is_within_needs_no_summary() {
    tokio::time::pause();
    let (quota, summaries) = (LineQuota::new(3), Arc::default());
    assert_eq!(ask(&quota, 3, &summaries), 3);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(summaries.lock().unwrap().is_empty());
}

#[actix_rt::test]
async fn what_was_summed_up_before_the_end_is_not_told_twice() {
    tokio::time::pause();
    let (quota, summaries) = (LineQuota::new(1), Arc::default());
    ask(&quota, 4, &summaries);
    let mut told = None;
    quota.sum_up(|left_out| told = Some(left_out));
    assert_eq!(told, Some(3));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(summaries.lock().unwrap().is_empty());
}

#[test]
fn without_a_runtime_nothing_is_lost() {
    let (quota, summaries) = (LineQuota::new(1), Arc::default());
    assert_eq!(ask(&quota, 4, &summaries), 1);
    let mut told = None;
    quota.sum_up(|left_out| told = Some(left_out));
    assert_eq!(told, Some(3));
}
