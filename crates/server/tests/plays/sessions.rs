//! Who is bound where: conflicts, take-over, and what is owed when a session ends.

use rjabberd_testkit::{Hash, PASSWORD, Play, alive};

#[test]
fn two_clients_with_one_resource_the_later_one_takes_it_over() {
    let mut play = Play::new(&[]);
    play.enters("juliet/balcony");
    play.enters("romeo/orchard");
    let mut first = play.take("romeo/orchard");
    let mut second = play.logged_in("romeo/orchard");
    assert_eq!(first.jid(), second.jid());
    first.gets_stream_error("conflict");
    play.client("juliet/balcony").says("romeo@localhost/orchard", "which one?");
    second.hears("which one?").gets_nothing();
}

#[test]
fn where_the_config_says_refuse_the_later_one_is_refused() {
    let mut play = Play::new(&["sessions.conflict = 'refuse'"]);
    play.enters("romeo/orchard");
    let mut second = play.connects("second");
    second.opens_stream().starts_tls().opens_stream().logs_in(Hash::Sha1, "romeo", PASSWORD);
    second
        .sends("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>orchard</resource></bind></iq>")
        .gets("<iq type='error' id='b'><error><conflict/></error></iq>")
        .binds(Some("garden"));
    play.client("romeo/orchard").gets_nothing();
}

#[test]
fn one_more_session_than_the_account_may_have_is_refused() {
    let mut play = Play::new(&["limits.sessions_per_account_max = 2"]);
    play.enters("romeo/1");
    play.returns("romeo/2");
    let mut third = play.connects("third");
    third.opens_stream().starts_tls().opens_stream().logs_in(Hash::Sha1, "romeo", PASSWORD);
    third
        .sends("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
        .gets("<iq type='error' id='b'><error><resource-constraint/></error></iq>");
}

#[test]
fn a_resource_that_cannot_be_is_a_bad_request_and_another_may_be_tried() {
    let play = Play::new(&[]);
    play.account("romeo");
    let mut romeo = play.connects("romeo");
    romeo.opens_stream().starts_tls().opens_stream().logs_in(Hash::Sha1, "romeo", PASSWORD);
    let long = "x".repeat(1024);
    romeo
        .sends(&format!(
            "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{long}</resource></bind></iq>"
        ))
        .gets("<iq type='error' id='b'><error><bad-request/></error></iq>")
        .binds(Some("orchard"));
}

#[test]
fn removing_an_account_ends_its_sessions() {
    let mut play = Play::new(&[]);
    play.enters("romeo/orchard");
    play.returns("romeo/garden");
    play.enters("juliet/balcony");
    play.server.succeeds(&["user", "remove", "romeo@localhost"], "");
    for name in ["romeo/orchard", "romeo/garden"] {
        play.client(name).gets_stream_error("not-authorized");
    }
    play.client("juliet/balcony")
        .says("romeo@localhost", "gone?")
        .gets("<message type='error'><error><service-unavailable/></error></message>");
}

#[test]
fn a_session_that_ends_leaves_nothing_behind() {
    let play = Play::without_tls(&[]);
    play.account("romeo");
    let before = alive(&play.server.stats());
    for _ in 0..20 {
        play.logged_in("romeo/orchard").is_available(0).leaves();
        play.logged_in("romeo/garden").is_available(0).vanishes();
    }
    // A receiver hears its peer out a while after its connection is no longer counted.
    play.server.wait_for_stats(|stats| {
        stats["sessions"] == 0 && stats["connections"] == 0 && alive(stats) == before
    });
}

#[test]
fn presence_counts_for_routing_from_the_moment_it_is_sent() {
    let mut play = Play::without_tls(&[]);
    play.enters("juliet/balcony");
    play.enters("romeo/orchard").is_available(1);
    play.returns("romeo/garden").is_available(2);
    play.client("juliet/balcony").says("romeo@localhost", "one").gets_nothing();
    play.client("romeo/orchard").forgets();
    play.client("romeo/garden").gets_at_last("<message><body>one</body></message>");
    play.client("romeo/garden").sends("<presence type='unavailable'/>").forgets();
    play.client("juliet/balcony").says("romeo@localhost", "two").gets_nothing();
    play.client("romeo/orchard").gets_at_last("<message><body>two</body></message>");
}
