//! What waits, for how long, and what nobody has to wait for.

use super::*;

const ROMEO: &str = "romeo@example.net";
const JULIET: &str = "juliet@example.net";

/// A brake at a time that passes when it is told to.
struct Stage {
    delays: LoginDelays,
    start: Instant,
    now: Instant,
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

impl Stage {
    fn new() -> Stage {
        Stage::remembering(PAIRS_MAX)
    }

    fn remembering(max: usize) -> Stage {
        let shared = Box::new(|address: IpAddr| address.is_loopback());
        let start = Instant::now();
        Stage { delays: LoginDelays::remembering(max, shared), start, now: start }
    }

    fn begins(&self, account: &str, from: &str) -> Duration {
        self.delays.begins(&BareJid::new(account).unwrap(), address(from), self.now)
    }

    fn ends(&self, account: &str, from: &str, right: bool) {
        let attempt = if right { Attempt::Right } else { Attempt::Wrong };
        self.delays.ends(&BareJid::new(account).unwrap(), address(from), attempt, self.now);
    }

    /// A wrong password, from its begin to its answer, which comes after the wait.
    fn fails(&mut self, account: &str, from: &str) -> Duration {
        let wait = self.begins(account, from);
        self.now += wait;
        self.ends(account, from, false);
        wait
    }

    fn fail_times(&mut self, times: usize, account: &str, from: &str) -> Vec<Duration> {
        (0..times).map(|_| self.fails(account, from)).collect()
    }

    fn passes(&mut self, time: Duration) {
        self.now += time;
    }
}

#[test]
fn three_wrong_passwords_are_free_and_each_more_waits_twice_as_long_up_to_half_a_minute() {
    let mut stage = Stage::new();
    let waits = stage.fail_times(11, ROMEO, "192.0.2.1");
    let expected = [0, 0, 0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000].map(ms);
    assert_eq!(waits, expected);
}

#[test]
fn who_waits_by_himself_waits_no_more() {
    let mut stage = Stage::new();
    stage.fail_times(5, ROMEO, "192.0.2.1");
    stage.passes(ms(500));
    assert_eq!(stage.begins(ROMEO, "192.0.2.1"), ms(1_500));
    let mut stage = Stage::new();
    stage.fail_times(5, ROMEO, "192.0.2.1");
    stage.passes(ms(2_000));
    assert_eq!(stage.begins(ROMEO, "192.0.2.1"), ms(0));
}

#[test]
fn the_right_password_makes_all_forgotten() {
    let mut stage = Stage::new();
    stage.fail_times(9, ROMEO, "192.0.2.1");
    stage.ends(ROMEO, "192.0.2.1", true);
    assert_eq!(stage.fail_times(4, ROMEO, "192.0.2.1"), [0, 0, 0, 500].map(ms));
}

#[test]
fn after_a_quarter_of_an_hour_without_a_wrong_password_all_is_forgotten() {
    let mut stage = Stage::new();
    stage.fail_times(9, ROMEO, "192.0.2.1");
    stage.passes(MEMORY - ms(1));
    assert_eq!(stage.fails(ROMEO, "192.0.2.1"), ms(0));
    assert_eq!(stage.fails(ROMEO, "192.0.2.1"), ms(30_000), "not yet");
    stage.passes(MEMORY);
    assert_eq!(stage.fail_times(4, ROMEO, "192.0.2.1"), [0, 0, 0, 500].map(ms));
}

#[test]
fn the_owner_is_not_delayed_at_all_by_who_guesses_from_elsewhere() {
    let mut stage = Stage::new();
    stage.fail_times(10_000, ROMEO, "192.0.2.1");
    for owner in ["192.0.2.2", "2001:db8::1"] {
        assert_eq!(stage.begins(ROMEO, owner), ms(0));
        stage.ends(ROMEO, owner, true);
    }
    // His success helps nobody elsewhere.
    assert!(stage.begins(ROMEO, "192.0.2.1") >= GAP_MAX);
}

#[test]
fn nobody_else_at_that_address_waits_but_where_very_many_were_wrong() {
    let mut stage = Stage::new();
    let mut others = (0..).map(|number| format!("user{number}@example.net"));
    for other in others.by_ref().take(99) {
        assert_eq!(stage.fails(&other, "192.0.2.1"), ms(0));
    }
    assert_eq!(stage.begins(JULIET, "192.0.2.1"), ms(0));
    stage.fails(&others.next().unwrap(), "192.0.2.1");
    assert_eq!(stage.begins(JULIET, "192.0.2.1"), ADDRESS_WAIT);
    assert_eq!(stage.begins(JULIET, "192.0.2.2"), ms(0));
    stage.passes(MEMORY);
    assert_eq!(stage.begins("nurse@example.net", "192.0.2.1"), ms(0));
}

#[test]
fn of_ipv6_a_64_is_one_address() {
    let mut stage = Stage::new();
    for number in 0..4 {
        stage.fails(ROMEO, &format!("2001:db8::{number}"));
    }
    assert_eq!(stage.begins(ROMEO, "2001:db8::ffff"), ms(1_000));
    assert_eq!(stage.begins(ROMEO, "2001:db8:0:1::1"), ms(0));
}

#[test]
fn where_many_share_an_address_nobody_waits_long() {
    let mut stage = Stage::new();
    stage.fail_times(300, ROMEO, "127.0.0.1");
    assert_eq!(stage.begins(ROMEO, "127.0.0.1"), SHARED_WAIT_MAX);
    assert_eq!(stage.begins(JULIET, "127.0.0.1"), ms(0), "nor does an address as a whole");
}

/// How many attempts are answered within a time, by who always has so many on their way.
fn guesses(at_once: usize, within: Duration) -> usize {
    let mut stage = Stage::new();
    let mut waiting: Vec<Instant> = Vec::new();
    let mut answered = 0;
    while stage.now - stage.start < within {
        let (due, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|at| *at <= stage.now);
        waiting = later;
        for _ in due {
            stage.ends(ROMEO, "192.0.2.1", false);
            answered += 1;
        }
        while waiting.len() < at_once {
            let wait = stage.begins(ROMEO, "192.0.2.1");
            // One that is not answered stays for two minutes.
            waiting.push(stage.now + wait.min(ms(120_000)));
            if wait >= NEVER {
                waiting.pop();
                break;
            }
        }
        stage.passes(ms(100));
    }
    answered
}

#[test]
fn many_connections_guess_hardly_more_than_one() {
    let hour = Duration::from_secs(3600);
    let (one, thousand) = (guesses(1, hour), guesses(1_000, hour));
    assert!((110..130).contains(&one), "{one}");
    // Once: what stood in the line at the start, when nothing was known to be wrong, half a second apart.
    assert!(thousand < one + 170, "{thousand}");
    assert!(guesses(1_000, 2 * hour) < guesses(1, 2 * hour) + 170);
}

#[test]
fn the_line_is_bounded_and_what_is_beyond_it_gets_no_answer() {
    let mut stage = Stage::new();
    stage.fail_times(11, ROMEO, "192.0.2.1");
    let waits: Vec<_> = (0..20).map(|_| stage.begins(ROMEO, "192.0.2.1")).collect();
    assert_eq!(waits[..3], [30_000, 60_000, 60_000].map(ms));
    let (answered, never): (Vec<_>, Vec<_>) = waits.into_iter().partition(|wait| *wait < NEVER);
    assert_eq!((answered.len(), never.len()), (12, 8));
    assert!(answered.iter().all(|wait| *wait <= WAIT_MAX));
    // It was no attempt: the line goes on.
    stage.passes(GAP_MAX);
    assert_eq!(stage.begins(ROMEO, "192.0.2.1"), WAIT_MAX);
}

#[test]
fn a_client_of_an_account_that_comes_with_others_waits_a_moment() {
    let stage = Stage::new();
    let waits: Vec<_> = (0..6).map(|_| stage.begins(ROMEO, "192.0.2.1")).collect();
    assert_eq!(waits, [0, 0, 0, 500, 1_000, 1_500].map(ms));
    stage.ends(ROMEO, "192.0.2.1", true);
    assert_eq!(stage.begins(ROMEO, "192.0.2.1"), ms(0));
}

#[test]
fn what_is_remembered_is_bounded_and_the_oldest_is_forgotten() {
    let mut stage = Stage::remembering(1_000);
    stage.fail_times(9, ROMEO, "192.0.2.1");
    let mut others = (0..).map(|number| format!("user{number}@example.net"));
    for other in others.by_ref().take(499) {
        stage.begins(&other, "192.0.2.1");
    }
    assert!(stage.begins(ROMEO, "192.0.2.1") > ms(0), "it is among the latest thousand");
    for other in others.take(2_000) {
        stage.begins(&other, "192.0.2.1");
        let pairs = stage.delays.0.pairs.lock();
        assert!(pairs.young.len() + pairs.old.len() <= 1_000);
    }
    assert_eq!(stage.begins(ROMEO, "192.0.2.1"), ms(0));
}

#[test]
fn what_waited_is_counted() {
    let stage = Stage::new();
    let romeo = BareJid::new(ROMEO).unwrap();
    let peer = address("192.0.2.1");
    for _ in 0..9 {
        stage.delays.wait(&romeo, peer);
        stage.delays.ended(&romeo, peer, Attempt::Wrong);
    }
    for _ in 0..20 {
        stage.delays.wait(&romeo, peer);
    }
    let counted = stage.delays.snapshot();
    assert!(counted.attempts > 10 && counted.unanswered > 0, "{counted:?}");
    assert_eq!(counted.attempts + counted.unanswered, 29 - 3);
    assert!(counted.ms > 400_000, "{counted:?}");
}

#[test]
fn what_we_could_not_decide_is_held_against_nobody() {
    let stage = Stage::new();
    let (romeo, peer) = (BareJid::new(ROMEO).unwrap(), address("192.0.2.1"));
    for _ in 0..100 {
        assert_eq!(stage.delays.begins(&romeo, peer, stage.now), Duration::ZERO);
        stage.delays.ends(&romeo, peer, Attempt::Undecided, stage.now);
    }
}
