//! Peers that mean no good, or are merely broken: each refusal by its error, and nobody else is hurt.

use rjabberd_testkit::{Client, Hash, PASSWORD, Piece, Play};

/// No TLS and no shaper, so that much can be sent fast.
fn open() -> Play {
    Play::without_tls(&["listen.c2s.shaper = 'none'"])
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

#[test]
fn attack_01_what_xmpp_forbids_in_xml_is_restricted() {
    let mut play = open();
    let doctype = "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><stream:stream to='localhost' version='1.0' \
                   xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
    let mut client = play.connects("mallory");
    client.sends(doctype).gets_header();
    client.gets_stream_error("restricted-xml");
    for text in ["<!-- a comment -->", "<iq><!-- a comment --></iq>", "<?php ?>", "<iq>&unknown;</iq>"] {
        let mut client = stream(&play);
        client.sends(text);
        let error = client.takes();
        assert!(
            error.child("restricted-xml").is_some() || error.child("not-well-formed").is_some(),
            "{text}: {error:?}"
        );
        client.gets_end();
    }
    stream(&play).sends("<!-- a comment -->").gets_stream_error("restricted-xml");
    still_serves(&mut play);
}

#[test]
fn attack_04_bytes_that_are_no_utf_8_are_an_unsupported_encoding() {
    let mut play = open();
    stream(&play).sends_bytes(b"<iq type='get' id='\xff\xfe'/>").gets_stream_error("unsupported-encoding");
    play.enters("romeo/orchard")
        .sends_bytes(b"<message to='romeo@localhost'><body>\xc3\x28</body></message>")
        .gets_stream_error("unsupported-encoding");
    still_serves(&mut play);
}

#[test]
fn attack_04_xml_that_is_none_is_not_well_formed() {
    let mut play = open();
    for text in ["<iq></message>", "<iq a='1' a='2'/>", "<iq a=1/>", "<x:iq/>", "</iq>", "<iq a='<'/>"] {
        let mut client = stream(&play);
        client.sends(text);
        let error = client.takes();
        assert_eq!(error.name, "stream:error", "{text}");
        client.gets_end();
    }
    stream(&play).sends("<iq></message>").gets_stream_error("not-well-formed");
    still_serves(&mut play);
}

#[test]
fn attack_05_bytes_behind_starttls_belong_to_nobody() {
    let mut play = Play::new(&[]);
    play.account("romeo");
    let mut client = play.connects("mallory");
    client.opens_stream().sends(
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>\
         <stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
         xmlns:stream='http://etherx.jabber.org/streams'>",
    );
    let told = client.everything();
    assert!(!told.iter().any(|piece| matches!(piece, Piece::Header(_))), "{}", client.transcript());
    still_serves(&mut play);
}

#[test]
fn a_stream_that_follows_auth_in_the_same_bytes_works() {
    let play = Play::without_tls(&["auth.plain_without_tls = true"]);
    play.account("romeo");
    let response = "AHJvbWVvAHdoZXJlZm9yZS1hcnQtdGhvdQ==";
    let mut client = stream(&play);
    client.sends(&format!(
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{response}</auth>\
         <stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
         xmlns:stream='http://etherx.jabber.org/streams'>\
         <iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>orchard</resource></bind></iq>\
         <iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"
    ));
    client.gets("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    client.gets_header();
    client.gets_features().gets("<iq type='result' id='b'/>").gets("<iq type='result' id='p'/>");
}

#[test]
fn every_byte_may_come_alone() {
    let mut play = open();
    play.account("romeo");
    let mut client = play.connects("romeo");
    let header = "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
                  xmlns:stream='http://etherx.jabber.org/streams'>";
    for byte in header.bytes() {
        client.sends_bytes(&[byte]);
    }
    client.gets_header();
    client.gets_features().logs_in(Hash::Sha1, "romeo", PASSWORD).binds(Some("orchard"));
    for byte in "<message to='romeo@localhost/orchard'><body>\u{1f98a} &lt;</body></message>".bytes() {
        client.sends_bytes(&[byte]);
    }
    client.gets("<message><body>\u{1f98a} &lt;</body></message>");
    still_serves(&mut play);
}

#[test]
fn a_client_that_vanishes_in_the_middle_of_anything_leaves_nothing() {
    let mut play = open();
    play.account("romeo");
    for text in ["", "<str", "<stream:stream to='localhost'", " "] {
        play.connects("mallory").sends(text).vanishes();
    }
    stream(&play)
        .sends("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>bi")
        .vanishes();
    stream(&play).logs_in(Hash::Sha1, "romeo", PASSWORD).vanishes();
    play.logged_in("romeo/orchard").sends("<message to='").vanishes();
    play.server.wait_for_stats(|stats| stats["connections"] == 0 && stats["sessions"] == 0);
    still_serves(&mut play);
}

#[test]
fn attack_22_a_reader_who_stops_reading_harms_nobody_else() {
    const FLOOD: usize = 3_000;
    const TALK: usize = 300;
    let mut play = Play::without_tls(&["listen.c2s.shaper = 'none'", "log.level = 'info'"]);
    play.enters("slow/reader").is_available(0);
    play.enters("juliet/balcony").is_available(0);
    play.enters("romeo/orchard").is_available(0);
    let before = play.server.figures();
    let body = "x".repeat(4_000);
    let flooders: Vec<_> = ["one", "two", "three"]
        .into_iter()
        .map(|name| {
            play.enters(&format!("{name}/flood"));
            let mut client = play.take(&format!("{name}/flood"));
            let mut text = String::new();
            for number in 0..FLOOD {
                text.push_str(&format!(
                    "<message to='slow@localhost/reader' id='{number}'><body>{body}</body></message>"
                ));
            }
            text.push_str("<iq type='get' id='end' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
            std::thread::spawn(move || {
                let writer = client.sends_meanwhile(text.into_bytes());
                client.gets_at_last("<iq type='result' id='end'/>");
                writer.join().unwrap().unwrap();
            })
        })
        .collect();
    for number in 0..TALK {
        play.client("romeo/orchard").says("juliet@localhost/balcony", &format!("ask {number}"));
        play.client("juliet/balcony")
            .hears(&format!("ask {number}"))
            .says("romeo@localhost/orchard", "answer");
        play.client("romeo/orchard").hears("answer");
    }
    for flooder in flooders {
        flooder.join().unwrap();
    }
    let after = play.server.figures();
    assert!(after.resident_kib < before.resident_kib + 50 * 1024, "queues are bounded: {before:?} {after:?}");
}
