//! Silent clients: pinged, given up, and those that never began.

use std::{io::Read, net::TcpStream};

use rjabberd_testkit::{Node, PATIENCE, Play};

const PING: &str = "<iq type='get' id='*' from='localhost'><ping xmlns='urn:xmpp:ping'/></iq>";

#[test]
fn a_silent_client_is_pinged_and_stays_as_long_as_it_answers() {
    let mut play = Play::without_tls(&["limits.idle_s = 1", "limits.ping_s = 3"]);
    let romeo = play.enters("romeo/orchard");
    for _ in 0..3 {
        let ping = romeo.takes();
        assert!(ping.matches(&Node::parse(PING).unwrap()), "{ping}");
        romeo.sends(&format!("<iq type='result' id='{}' to='localhost'/>", ping.attribute("id").unwrap()));
    }
    romeo
        .says("romeo@localhost/orchard", "still here")
        .gets_at_last("<message><body>still here</body></message>");
}

#[test]
fn a_client_that_answers_no_ping_is_given_up() {
    let mut play = Play::without_tls(&["limits.idle_s = 1", "limits.ping_s = 1"]);
    play.enters("romeo/orchard").gets(PING).gets_closed();
    play.server.wait_for_log(&["c2s:close", "romeo@localhost/orchard", "ping-timeout"]);
    play.enters("juliet/balcony")
        .sends("<iq type='get' id='gone?' to='romeo@localhost/orchard'><ping xmlns='urn:xmpp:ping'/></iq>")
        .gets_at_last("<iq type='error' id='gone?'><error><service-unavailable/></error></iq>");
}

#[test]
fn attack_21_a_client_that_never_begins_tls_is_given_up_like_one_that_sends_no_header() {
    let play = Play::new(&["limits.header_s = 1"]);
    let mut socket = TcpStream::connect(play.server.address("c2s_tls")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut told = Vec::new();
    socket.read_to_end(&mut told).unwrap();
    assert!(!told.contains(&b'<'), "nothing in plain: {told:?}");
    play.server.wait_for_log(&["c2s:close", "a stream without session", "header-timeout"]);
}
