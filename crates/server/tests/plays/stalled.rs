//! A client that stops reading: nobody else waits for it, and a server that stops does not either.

use rjabberd_testkit::{Client, PATIENCE, Play};

/// What may wait for one client: all of the flood, so that it does not end the session.
const QUEUE: &str = "limits.queue_bytes_max = 16777216";
/// Of 4,000 bytes each: more than the kernel takes on both sides of a connection.
const MESSAGES: usize = 3_500;

fn play(more: &[&str]) -> Play {
    let keys = [&["listen.c2s.shaper = 'none'", "log.level = 'info'", QUEUE], more].concat();
    Play::without_tls(&keys)
}

/// A client that was sent more than it reads.
fn stalls(play: &mut Play) -> Client {
    play.enters("slow/reader");
    play.enters("source/flood");
    let (slow, mut source) = (play.take("slow/reader"), play.take("source/flood"));
    let message = format!("<message to='slow@localhost/reader'><body>{}</body></message>", "x".repeat(4_000));
    let ping = "<iq type='get' id='end' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>";
    let writer = source.sends_meanwhile((message.repeat(MESSAGES) + ping).into_bytes());
    source.gets("<iq type='result' id='end'/>").leaves();
    writer.join().expect("the writer does not panic").expect("the server reads everything");
    slow
}

#[test]
fn attack_22_neighbours_talk_while_somebody_does_not_read() {
    let mut play = play(&[]);
    let _slow = stalls(&mut play);
    play.enters("juliet/balcony");
    play.enters("romeo/orchard");
    for number in 0..100 {
        play.client("romeo/orchard").says("juliet@localhost/balcony", &format!("ask {number}"));
        let juliet = play.client("juliet/balcony");
        juliet.hears(&format!("ask {number}")).says("romeo@localhost/orchard", "answer");
        play.client("romeo/orchard").hears("answer");
    }
    let stats = play.server.stats();
    assert_eq!(stats["sessions"], 3, "the reader is there, too: {stats}");
}

#[test]
fn a_server_that_stops_waits_for_nobody_longer_than_it_may() {
    let mut play = play(&["shutdown_s = 1"]);
    let _slow = stalls(&mut play);
    assert!(play.server.stop().success());
    play.server.wait_for_log(&["1 connections did not end in time"]);
}

#[test]
fn a_second_signal_ends_the_server_at_once() {
    let mut play = play(&["shutdown_s = 3600"]);
    let _slow = stalls(&mut play);
    play.server.signal("TERM");
    play.server.wait_for_log(&["server:stop", "Stopping"]);
    play.server.signal("INT");
    assert_eq!(play.server.wait_for_end(PATIENCE).code(), Some(1));
}
