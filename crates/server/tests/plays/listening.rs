//! What listeners do, end to end: how they log a burst, whom they refuse, what they do without file descriptors.

use std::{net::TcpListener, process::Command, time::Instant};

use rjabberd_testkit::{Client, PATIENCE, Play};

/// How many events the log tells of, by lines and by summaries, and how many lines that takes.
fn told(play: &Play, line: &str, summary: [&str; 2]) -> (usize, usize) {
    let text = play.server.log().text();
    let lines = text.lines().filter(|one| one.contains(line)).count();
    let left_out = text.lines().filter_map(|one| {
        let number = one.split(summary[0]).nth(1)?.split_once(summary[1])?.0;
        number.parse::<usize>().ok()
    });
    let left_out: Vec<usize> = left_out.collect();
    (lines + left_out.iter().sum::<usize>(), lines + left_out.len())
}

#[track_caller]
fn tells(play: &Play, count: usize, line: &str, summary: [&str; 2]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (events, lines) = told(play, line, summary);
        if events == count {
            assert!(lines < count, "{line}: every one was logged");
            return;
        }
        assert!(Instant::now() < deadline, "{line}: {events} of {count}");
        std::thread::yield_now();
    }
}

#[test]
fn a_burst_of_connections_is_some_lines_and_the_number_of_the_rest() {
    const BURST: usize = 400;
    let play = Play::without_tls(&["log.level = 'info'"]);
    for _ in 0..BURST {
        play.connects("mallory").tries_to_send(b"x").vanishes();
    }
    // Nobody comes any more.
    tells(&play, BURST, "Accepted connection ", [" and ", " more in that second"]);
    tells(&play, BURST, "Closed a stream without session", [" Closed ", " more streams without session"]);
}

#[test]
fn a_health_check_is_no_closed_stream_in_the_log() {
    let mut play = Play::without_tls(&["log.level = 'info'"]);
    for _ in 0..20 {
        play.connects("health check").vanishes();
    }
    play.server.wait_for_stats(|stats| stats["connections"] == 0);
    play.enters("romeo/orchard").leaves();
    play.server.wait_for_log(&["c2s:close", "romeo@localhost/orchard", "client-closed"]);
    assert!(!play.server.log().text().contains("without session"), "{}", play.server.log().text());
}

#[test]
fn one_connection_more_than_there_may_be_is_closed() {
    let mut play = Play::without_tls(&["limits.connections_max = 1"]);
    play.enters("romeo/orchard");
    play.connects("one more").gets_closed();
    play.server.wait_for_log(&["Refused connection from 127.0.0.1:", "limits.connections_max"]);
    play.client("romeo/orchard").leaves();
    play.server.wait_for_stats(|stats| stats["connections"] == 0 && stats["connections_refused"] == 1);
    play.returns("romeo/orchard").gets_nothing();
}

#[test]
fn an_address_that_has_its_share_is_refused() {
    let mut play = Play::without_tls(&[
        "limits.connections_per_address_max = 1",
        "limits.shared_networks = ['10.0.0.0/8']",
    ]);
    play.enters("romeo/orchard");
    play.connects("one more").gets_closed();
    play.server.wait_for_log(&["Refused connection from", "limits.connections_per_address_max"]);
    play.client("romeo/orchard").gets_nothing();
}

#[test]
fn an_ipv4_client_of_an_ipv6_listener_has_an_ipv4_address() {
    if TcpListener::bind("[::1]:0").is_err() {
        // No IPv6 on this machine.
        return;
    }
    let play = Play::without_tls(&["listen.c2s.address = '[::]:0'"]);
    let port = play.server.address("c2s").port();
    Client::connect("mallory", ([127, 0, 0, 1], port).into(), "localhost").opens_stream().leaves();
    play.server.wait_for_log(&["Accepted connection 127.0.0.1:", &format!(" -> 127.0.0.1:{port}")]);
    play.server.wait_for_log(&["c2s:close", "from 127.0.0.1:"]);
    assert!(!play.server.log().text().contains("::ffff:"));
}

/// Sets how many file descriptors the running server may have.
fn may_open(play: &Play, files: u32) {
    let arguments = [format!("--pid={}", play.server.pid()), format!("--nofile={files}:")];
    let status = Command::new("prlimit").args(arguments).status().expect("util-linux is installed");
    assert!(status.success());
}

#[test]
fn a_server_without_file_descriptors_pauses_and_goes_on() {
    let mut play = Play::without_tls(&[]);
    play.enters("romeo/orchard");
    may_open(&play, 3);
    let mut waiting = play.connects("waiting");
    play.server.wait_for_log(&["listener:accept", "cannot accept, pausing"]);
    play.client("romeo/orchard").gets_nothing();
    may_open(&play, 1024);
    waiting.opens_stream().leaves();
}

#[test]
fn the_formula_of_2014_shapes_a_listener_end_to_end() {
    let mut play = Play::without_tls(&[
        "shapers.old.algorithm = 'maxrate'",
        "shapers.old.bytes_per_s = 20000",
        "listen.c2s.shaper = 'old'",
    ]);
    play.enters("romeo/orchard");
    for number in 0..3 {
        let body = format!("{number}{}", "x".repeat(2_000));
        play.client("romeo/orchard").says("romeo@localhost/orchard", &body).hears(&body);
    }
    play.server.wait_for_log(&["shaper:update", "{maxrate,20000,", "Size="]);
    let stats = play.server.stats();
    assert!(stats["receivers"]["pauses"].as_u64() > Some(0), "{stats}");
}
