//! Attacks on the limits, named after their lines in `docs/security.md`: each is refused by the limit that it is about, before
//! login and after, costs no memory, and harms nobody else.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use rjabberd_testkit::{Client, PATIENCE, Play};

/// How often an attack is repeated while memory is watched.
const ROUNDS: usize = 20;
/// By how much memory may differ then, in KiB: less than what a few of the attacks send.
const SLACK_KIB: u64 = 8 * 1024;

/// No TLS and no shaper, so that much can be sent fast.
fn open(more: &[&str]) -> Play {
    let keys = ["listen.c2s.shaper = 'none'", "log.level = 'info'"];
    Play::without_tls(&[&keys, more].concat())
}

fn stream(play: &Play) -> Client {
    let mut client = play.connects("mallory");
    client.opens_stream();
    client
}

/// After whatever was done, somebody else can still log in and talk.
fn still_serves(play: &mut Play) {
    play.enters("paris/tomb").says("paris@localhost/tomb", "still here").hears("still here");
}

/// `text`, which passes this limit, is refused before login and after, again and again, and no memory is lost by it.
#[track_caller]
fn is_refused(play: &mut Play, text: &str, limit: &str) {
    let error = if limit == "element_bytes" {
        "<stream:error><policy-violation/><stanza-too-big xmlns='urn:xmpp:errors'/></stream:error>"
    } else {
        "<stream:error><policy-violation/></stream:error>"
    };
    play.enters("romeo/orchard").leaves();
    let attack = |play: &mut Play| {
        stream(play).tries_to_send(text.as_bytes()).gets(error).gets_end();
        play.returns("romeo/orchard").tries_to_send(text.as_bytes()).gets(error).gets_end();
    };
    let refused = |play: &Play| play.server.stats()["receivers"]["xml_refused_by"][limit].as_u64();
    (0..ROUNDS / 4).for_each(|_| attack(play));
    let before = play.server.figures();
    (0..ROUNDS).for_each(|_| attack(play));
    let after = play.server.figures();
    assert!(after.resident_kib < before.resident_kib + SLACK_KIB, "{before:?} {after:?}");
    assert_eq!(refused(play), Some(2 * (ROUNDS + ROUNDS / 4) as u64), "by {limit}");
    still_serves(play);
}

#[test]
fn attack_02_an_endless_start_tag_is_too_big() {
    let text = "<iq".to_owned() + &" ".repeat(1 << 20);
    is_refused(&mut open(&[]), &text, "element_bytes");
}

#[test]
fn attack_02_an_endless_attribute_is_too_big() {
    let text = "<iq type='get' id='".to_owned() + &"x".repeat(1 << 20);
    is_refused(&mut open(&[]), &text, "element_bytes");
}

#[test]
fn attack_02_an_endless_stream_header_is_a_violation() {
    let mut play = open(&[]);
    for text in ["<stream:stream to='local", "<stream:stream ", "<?xml version='1.0'?>"] {
        let mut client = play.connects("mallory");
        client.tries_to_send((text.to_owned() + &" ".repeat(1 << 20)).as_bytes()).gets_header();
        client.gets_stream_error("policy-violation");
    }
    assert_eq!(play.server.stats()["receivers"]["xml_refused_by"]["header_bytes"], 3);
    still_serves(&mut play);
}

#[test]
fn attack_02_white_space_for_ever_is_ended_by_the_deadline_before_login() {
    let play = open(&["limits.negotiation_s = 1"]);
    let mut client = stream(&play);
    let writer = client.sends_meanwhile(vec![b' '; 1 << 30]);
    client.gets_stream_error("connection-timeout").vanishes();
    writer.join().unwrap().unwrap_err();
    play.server.wait_for_log(&["c2s:close", "negotiation-timeout"]);
}

#[test]
fn attack_02_white_space_after_login_is_dropped_as_it_comes() {
    let mut play = open(&[]);
    let romeo = play.enters("romeo/orchard");
    romeo.sends_bytes(&vec![b' '; 1 << 20]).gets_nothing();
    let before = play.server.figures();
    let romeo = play.client("romeo/orchard");
    romeo
        .sends_bytes(&vec![b'\n'; 64 << 20])
        .says("romeo@localhost/orchard", "still here")
        .hears("still here");
    let after = play.server.figures();
    assert!(after.resident_kib < before.resident_kib + SLACK_KIB, "{before:?} {after:?}");
}

/// Begins with this, then sends a space after each while of silence, until the server closes; what it said.
fn drips(play: &Play, first: &str) -> String {
    let mut socket = TcpStream::connect(play.server.address("c2s")).expect("the socket is open");
    socket.set_read_timeout(Some(Duration::from_millis(50))).expect("the socket is open");
    socket.write_all(first.as_bytes()).expect("the socket is open");
    let (mut told, mut buffer, began) = (Vec::new(), [0; 4096], Instant::now());
    loop {
        assert!(began.elapsed() < PATIENCE, "it goes on for ever");
        match socket.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => told.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                // The server may have closed meanwhile: the next read says so.
                let _ = socket.write_all(b" ");
            }
            Err(_) => break,
        }
    }
    String::from_utf8(told).expect("the server sends text")
}

#[test]
fn attack_02_byte_after_byte_is_ended_by_an_absolute_deadline() {
    let play = open(&["limits.header_s = 1", "limits.negotiation_s = 2"]);
    let header = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
                  xmlns:stream='http://etherx.jabber.org/streams'>";
    let auth = header.to_owned() + "<auth";
    for first in ["<stream:stream", header, &auth] {
        let told = drips(&play, first);
        assert!(told.contains("<connection-timeout") && told.ends_with("</stream:stream>"), "{told}");
    }
    play.server.wait_for_log(&["c2s:close", "header-timeout"]);
    play.server.wait_for_log(&["c2s:close", "negotiation-timeout"]);
}

#[test]
fn attack_02_half_a_tag_and_then_silence_ends_by_the_deadline() {
    let play = open(&["limits.header_s = 1"]);
    let mut client = play.connects("mallory");
    client.sends("<stream:stream to='local");
    client.gets_header();
    client.gets_stream_error("connection-timeout");
}

#[test]
fn attack_03_a_hundred_thousand_nested_elements_are_too_deep() {
    // Few are nested too deep before too many elements are there, so the limit of these is raised.
    is_refused(&mut open(&["limits.login_elements_max = 1024"]), &"<a>".repeat(100_000), "depth");
}

#[test]
fn attack_03_a_million_tiny_elements_under_the_byte_limit_are_too_many() {
    let text = "<iq type='set' id='1'>".to_owned() + &"<a/>".repeat(1_000_000);
    is_refused(&mut open(&["limits.stanza_bytes_max = 16777216"]), &text, "elements");
}

#[test]
fn attack_03_ten_thousand_attributes_are_too_many() {
    let attributes: String = (0..10_000).map(|number| format!(" a{number}='1'")).collect();
    is_refused(&mut open(&[]), &format!("<iq type='set'{attributes}/>"), "attributes");
}

#[test]
fn attack_03_ten_thousand_prefixes_are_too_many() {
    let prefixes: String = (0..10_000).map(|number| format!(" xmlns:a{number}='u'")).collect();
    is_refused(&mut open(&[]), &format!("<iq type='set'{prefixes}/>"), "namespaces");
}

#[test]
fn attack_03_a_config_may_lower_each_limit() {
    let lowered = [
        "limits.stanza_elements_max = 256",
        "limits.depth_max = 16",
        "limits.attributes_max = 16",
        "limits.namespaces_max = 8",
    ];
    let mut play = open(&lowered);
    let elements = "<a/>".repeat(256);
    let depth = "<a>".repeat(16);
    let attributes: String = (0..17).map(|number| format!(" a{number}='1'")).collect();
    let namespaces: String = (0..9).map(|number| format!(" xmlns:a{number}='u'")).collect();
    play.account("romeo");
    for text in [
        format!("<message>{elements}</message>"),
        format!("<message>{depth}{}</message>", "</a>".repeat(16)),
        format!("<message{attributes}></message>"),
        format!("<message><a{namespaces}/></message>"),
    ] {
        // A message that comes whole goes another way than one that comes in pieces.
        play.returns("romeo/orchard").sends(&text).gets_stream_error("policy-violation");
        let (start, end) = text.split_at(text.len() / 2);
        play.returns("romeo/orchard")
            .sends(start)
            .tries_to_send(end.as_bytes())
            .gets_stream_error("policy-violation");
    }
    still_serves(&mut play);
}

#[test]
fn what_is_announced_before_login_and_after_is_what_holds() {
    let play =
        open(&["limits.login_bytes_max = 5000", "limits.stanza_bytes_max = 10000", "limits.idle_s = 77"]);
    play.account("romeo");
    let announced = |client: &Client, name: &str| {
        let limits = client.features().child("limits").and_then(|limits| limits.child(name));
        limits.map(|limit| limit.text.clone())
    };
    let mut client = stream(&play);
    assert_eq!(announced(&client, "max-bytes").as_deref(), Some("5000"));
    let largest = |start: &str, end: &str, bytes: usize| {
        start.to_owned() + &"x".repeat(bytes - start.len() - end.len()) + end
    };
    let iq = ("<iq type='get' id='1' to='localhost'><a xmlns='", "'/></iq>");
    client.sends(&largest(iq.0, iq.1, 5001)).gets_stream_error("policy-violation");
    let mut client = play.logged_in("romeo/orchard");
    assert_eq!(announced(&client, "max-bytes").as_deref(), Some("10000"));
    assert_eq!(announced(&client, "idle-seconds").as_deref(), Some("77"));
    client.sends(&largest(iq.0, iq.1, 10_000)).gets("<iq type='error' id='1'/>");
    client
        .sends(&largest(iq.0, iq.1, 10_001))
        .gets("<stream:error><policy-violation/><stanza-too-big xmlns='urn:xmpp:errors'/></stream:error>");
}

#[test]
fn attack_21_who_connects_and_says_nothing_is_gone_after_the_deadline() {
    let play = open(&["limits.header_s = 1"]);
    let before = play.server.figures();
    let mut silent: Vec<Client> = (0..100).map(|_| play.connects("mallory")).collect();
    for client in &mut silent {
        client.gets_header();
        client.gets_stream_error("connection-timeout");
    }
    play.server
        .wait_for_stats(|stats| stats["connections"] == 0 && stats["actors"]["receiver"]["alive"] == 0);
    assert!(play.server.figures().files <= before.files + 2, "{before:?} {:?}", play.server.figures());
}

#[test]
fn attack_21_a_half_open_connection_is_closed() {
    let play = open(&[]);
    for text in [
        "",
        "<stream:stream to='lo",
        "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
                  xmlns:stream='http://etherx.jabber.org/streams'><auth",
    ] {
        let mut client = play.connects("mallory");
        client.sends(text).shuts_writing().everything();
    }
    play.server
        .wait_for_stats(|stats| stats["connections"] == 0 && stats["actors"]["receiver"]["alive"] == 0);
}

/// Reads until the server closes.
fn rest(mut socket: TcpStream) -> Vec<u8> {
    socket.set_read_timeout(Some(PATIENCE)).expect("the socket is open");
    let mut told = Vec::new();
    if let Err(error) = socket.read_to_end(&mut told) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    told
}

#[test]
fn attack_21_a_tls_handshake_that_stands_still_is_ended() {
    let play = Play::new(&["limits.header_s = 1", "limits.negotiation_s = 2"]);
    // The beginning of a record that says it has 512 bytes.
    let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    let mut direct = TcpStream::connect(play.server.address("c2s_tls")).unwrap();
    direct.write_all(&hello).unwrap();
    let mut client = play.connects("mallory");
    client.opens_stream().sends("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    client.gets("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").sends_bytes(&hello).everything();
    assert!(!rest(direct).contains(&b'<'), "nothing in plain");
    play.server.wait_for_log(&["c2s:close", "header-timeout"]);
    play.server.wait_for_log(&["c2s:close", "negotiation-timeout"]);
    play.server
        .wait_for_stats(|stats| stats["connections"] == 0 && stats["actors"]["receiver"]["alive"] == 0);
}

#[test]
fn attack_21_ten_thousand_connections_opened_and_dropped_leave_the_memory_as_it_was() {
    const WARM: usize = 3_000;
    const COUNTED: usize = 10_000;
    // What waits to be logged is memory too, however much that is when the log is read late.
    let mut play = Play::without_tls(&["listen.c2s.shaper = 'none'", "log.level = 'warn,server=info'"]);
    let address = play.server.address("c2s");
    let storm = |count: usize| {
        for batch in 0..count / 100 {
            let mut clients: Vec<Client> =
                (0..100).map(|_| Client::connect("mallory", address, "localhost")).collect();
            for (index, client) in clients.iter_mut().enumerate() {
                match (batch + index) % 3 {
                    0 => drop(client.tries_to_send(b"<stream:stream to='localhost' version='1.0'")),
                    1 => drop(client.opens_stream()),
                    _ => {}
                }
            }
        }
    };
    storm(WARM);
    play.server.wait_for_stats(|stats| stats["connections"] == 0);
    let before = play.server.figures();
    storm(COUNTED);
    play.server.wait_for_stats(|stats| stats["connections"] == 0);
    let after = play.server.figures();
    assert!(after.resident_kib * 10 <= before.resident_kib * 11, "{before:?} {after:?}");
    assert!(after.files <= before.files + 2 && after.threads <= before.threads + 1, "{before:?} {after:?}");
    still_serves(&mut play);
}

#[test]
fn attack_21_an_address_that_connects_too_fast_is_refused_and_the_log_says_why() {
    let play = open(&["limits.shared_networks = []", "limits.connections_per_address_per_s_max = 1"]);
    for _ in 0..10 {
        // Whoever is refused may be gone before it has said anything.
        play.connects("mallory").vanishes();
    }
    let stats = play.server.wait_for_stats(|stats| {
        stats["connections_accepted"].as_u64().zip(stats["connections_refused"].as_u64()).map(|(a, r)| a + r)
            == Some(10)
    });
    assert_eq!(stats["connections_refused"], stats["connections_refused_by"]["rate"], "{stats}");
    assert!(stats["connections_refused"].as_u64() > Some(0), "{stats}");
    let limit = "limits.connections_per_address_per_s_max is reached";
    play.server.wait_for_log(&["listener:accept", "Refused connection from 127.0.0.1", limit]);
}
