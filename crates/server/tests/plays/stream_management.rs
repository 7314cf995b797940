//! Stream management against the running server (XEP-0198): what is acknowledged, and sessions that outlive their
//! connections. Numbers of pitfalls are those of `docs/security.md`; those that are not here are tests of the machine
//! (`crates/c2s-proto/tests/machine/management.rs`), of the counts (`crates/xmpp/src/management`) or of the outbox.

use rjabberd_testkit::{Client, Hash, Node, PASSWORD, Piece, Play};

use super::{push, said::settle};

const ROMEO: &str = "romeo@localhost/orchard";
const JULIET: &str = "juliet@localhost/balcony";

/// A client with stream management that can be resumed; with the identifier of its session.
#[track_caller]
fn managed(play: &mut Play, name: &str) -> (Client, String) {
    play.enters(name).is_available(0);
    let mut client = play.take(name);
    let id = enables(&mut client);
    (client, id)
}

#[track_caller]
fn enables(client: &mut Client) -> String {
    let enabled = client.sends("<enable xmlns='urn:xmpp:sm:3' resume='true'/>").takes();
    assert_eq!(enabled.name, "enabled", "{}", client.transcript());
    enabled.attribute("id").unwrap_or_default().to_owned()
}

/// A connection that is authenticated and has no resource.
#[track_caller]
fn authenticated(play: &Play, user: &str) -> Client {
    let mut client = play.connects(user);
    client.opens_stream().logs_in(Hash::Sha1, user, PASSWORD);
    client
}

#[track_caller]
fn resume(client: &mut Client, id: &str, h: u32) -> Node {
    client.sends(&format!("<resume xmlns='urn:xmpp:sm:3' h='{h}' previd='{id}'/>")).takes()
}

/// The session of a client goes on; with what the server has handled.
#[track_caller]
fn resumes(play: &Play, user: &str, id: &str, h: u32) -> (Client, u32) {
    let mut client = authenticated(play, user);
    let resumed = resume(&mut client, id, h);
    assert_eq!(
        (resumed.name.as_str(), resumed.attribute("previd")),
        ("resumed", Some(id)),
        "{}",
        client.transcript()
    );
    let handled = resumed.attribute("h").and_then(|h| h.parse().ok());
    (client, handled.unwrap_or_else(|| panic!("a resumed stream says what was handled")))
}

/// What the server has handled.
#[track_caller]
fn handled(client: &mut Client) -> u32 {
    client.sends("<r xmlns='urn:xmpp:sm:3'/>");
    // It asks for its own part meanwhile.
    let answer = std::iter::repeat_with(|| client.takes()).find(|node| node.name == "a");
    answer
        .as_ref()
        .and_then(|answer| answer.attribute("h"))
        .and_then(|h| h.parse().ok())
        .unwrap_or_else(|| panic!("an answer has a count"))
}

#[track_caller]
fn hibernated(play: &Play, count: u64) {
    play.server.wait_for_stats(|stats| stats["stream_management"]["waiting"] == count);
}

/// The bodies of all messages that come until nothing more does.
#[track_caller]
fn bodies(client: &mut Client) -> Vec<String> {
    client.settles().iter().filter_map(|node| node.child("body")).map(|body| body.text.clone()).collect()
}

#[test]
fn pitfall_02_03_05_the_server_says_what_it_has_handled_and_counts_stanzas_only() {
    let mut play = Play::without_tls(&[]);
    play.enters("juliet/balcony").is_available(0);
    let (mut romeo, _) = managed(&mut play, "romeo/orchard");
    assert_eq!(handled(&mut romeo), 0);
    romeo.says(JULIET, "one").sends("<presence/>").takes();
    romeo
        .sends("<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")
        .gets("<iq type='result' id='p'/>");
    romeo.sends("<active xmlns='urn:xmpp:csi:0'/>");
    play.client("juliet/balcony").hears("one");
    assert_eq!(handled(&mut romeo), 3);
}

#[test]
fn pitfall_04_a_count_that_was_never_reached_ends_the_stream() {
    let mut play = Play::without_tls(&[]);
    let (mut romeo, id) = managed(&mut play, "romeo/orchard");
    romeo.sends("<a xmlns='urn:xmpp:sm:3' h='1'/>").gets_stream_error("undefined-condition");
    let wanted = "<handled-count-too-high xmlns='urn:xmpp:sm:3' h='1' send-count='0'/>";
    assert!(romeo.transcript().contains("handled-count-too-high"), "{wanted}: {}", romeo.transcript());
    // It ended, and nothing is left to go on with.
    let mut again = authenticated(&play, "romeo");
    assert_eq!(resume(&mut again, &id, 0).name, "failed");
}

#[test]
fn pitfall_05_a_message_is_acknowledged_when_its_receiver_has_acknowledged_it_or_the_disk_has_it() {
    let mut play = Play::without_tls(&["archive.enabled = false"]);
    play.account("nurse");
    let (mut juliet, _) = managed(&mut play, "juliet/balcony");
    let (mut romeo, _) = managed(&mut play, "romeo/orchard");
    romeo.says(JULIET, "one");
    juliet.hears("one");
    // She has it, and has not said so.
    assert_eq!(handled(&mut romeo), 0);
    juliet.sends("<a xmlns='urn:xmpp:sm:3' h='1'/>");
    // He has asked, so he is told when it is safe.
    romeo.gets("<a xmlns='urn:xmpp:sm:3' h='1'/>");
    // For somebody who is away, it is safe when it is stored.
    romeo.says("nurse@localhost", "two").sends("<r xmlns='urn:xmpp:sm:3'/>");
    romeo.gets_at_last("<a xmlns='urn:xmpp:sm:3' h='2'/>");
}

#[test]
fn pitfall_07_a_session_is_resumed_by_its_own_account_only() {
    let mut play = Play::without_tls(&[]);
    play.account("mallory");
    let (mut romeo, id) = managed(&mut play, "romeo/orchard");
    romeo.vanishes();
    hibernated(&play, 1);
    let mut mallory = authenticated(&play, "mallory");
    let failed = resume(&mut mallory, &id, 0);
    assert_eq!((failed.name.as_str(), failed.attribute("h")), ("failed", None));
    assert!(failed.find("item-not-found").is_some());
    // And nothing was taken from him.
    resumes(&play, "romeo", &id, 0);
}

#[test]
fn pitfall_08_a_session_goes_on_though_its_connection_looks_alive() {
    let mut play = Play::without_tls(&[]);
    play.enters("juliet/balcony").is_available(0);
    let (mut old, id) = managed(&mut play, "romeo/orchard");
    play.client("juliet/balcony").says(ROMEO, "one");
    old.hears("one");
    let (mut new, _) = resumes(&play, "romeo", &id, 0);
    old.gets_stream_error("conflict");
    new.gets("<message><body>one</body><delay xmlns='urn:xmpp:delay'/></message>");
    play.client("juliet/balcony").says(ROMEO, "two");
    new.hears("two");
    play.client("juliet/balcony").gets_nothing();
}

#[test]
fn pitfall_10_what_was_not_handled_comes_again_in_order_and_before_what_is_newer() {
    let mut play = Play::without_tls(&[]);
    play.enters("juliet/balcony").is_available(0);
    let (mut romeo, id) = managed(&mut play, "romeo/orchard");
    for number in 0..5 {
        play.client("juliet/balcony").says(ROMEO, &format!("m{number}"));
    }
    for number in 0..5 {
        romeo.hears(&format!("m{number}"));
    }
    romeo.vanishes();
    hibernated(&play, 1);
    for number in 5..10 {
        play.client("juliet/balcony").says(ROMEO, &format!("m{number}"));
    }
    settle(play.client("juliet/balcony"));
    let (mut romeo, _) = resumes(&play, "romeo", &id, 2);
    assert_eq!(bodies(&mut romeo), ["m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9"]);
    romeo.sends("<a xmlns='urn:xmpp:sm:3' h='10'/>");
    romeo.vanishes();
    hibernated(&play, 1);
    let (mut romeo, _) = resumes(&play, "romeo", &id, 10);
    assert_eq!(bodies(&mut romeo), [""; 0]);
}

#[test]
fn what_a_client_sent_is_counted_on_across_connections() {
    let mut play = Play::without_tls(&[]);
    play.enters("juliet/balcony").is_available(0);
    let (mut romeo, id) = managed(&mut play, "romeo/orchard");
    for number in 0..3 {
        romeo.says(JULIET, &format!("m{number}"));
        play.client("juliet/balcony").hears(&format!("m{number}"));
    }
    romeo.vanishes();
    hibernated(&play, 1);
    let (mut romeo, h) = resumes(&play, "romeo", &id, 0);
    assert_eq!(h, 3);
    romeo.says(JULIET, "m3");
    play.client("juliet/balcony").hears("m3");
    assert_eq!(handled(&mut romeo), 4);
}

#[test]
fn pitfall_11_who_comes_too_late_is_told_what_was_handled_and_binds_a_resource() {
    let mut play = Play::without_tls(&["stream_management.resumption_s = 1"]);
    play.enters("juliet/balcony").is_available(0);
    let (mut romeo, id) = managed(&mut play, "romeo/orchard");
    romeo.says(JULIET, "one");
    play.client("juliet/balcony").hears("one");
    romeo.vanishes();
    play.server.wait_for_stats(|stats| stats["streams_closed"]["not-resumed"] == 1);
    let mut late = authenticated(&play, "romeo");
    let failed = resume(&mut late, &id, 0);
    assert_eq!((failed.name.as_str(), failed.attribute("h")), ("failed", Some("1")));
    late.binds(Some("orchard")).is_available(0);
    play.client("juliet/balcony").says(ROMEO, "there?");
    late.hears("there?");
}

#[test]
fn pitfall_12_who_closes_the_stream_is_gone_at_once() {
    let mut play = Play::without_tls(&[]);
    let (mut romeo, id) = managed(&mut play, "romeo/orchard");
    romeo.leaves();
    play.server.wait_for_stats(|stats| stats["sessions"] == 0);
    let mut again = authenticated(&play, "romeo");
    assert_eq!(resume(&mut again, &id, 0).name, "failed");
}

#[test]
fn pitfall_13_what_nobody_came_back_for_goes_where_it_belongs() {
    let mut play = Play::without_tls(&["stream_management.resumption_s = 1"]);
    play.enters("juliet/balcony").is_available(0);
    let (mut romeo, _) = managed(&mut play, "romeo/orchard");
    romeo.vanishes();
    hibernated(&play, 1);
    let juliet = play.client("juliet/balcony");
    juliet.says(ROMEO, "kept");
    juliet.sends(&format!("<iq type='get' id='v' to='{ROMEO}'><query xmlns='jabber:iq:version'/></iq>"));
    juliet.sends(&format!("<message type='error' id='e' to='{ROMEO}'><error type='cancel'/></message>"));
    juliet.sends(&format!("<presence to='{ROMEO}'/>"));
    // The request is refused, the message is kept, and nothing else is said.
    juliet.gets("<iq type='error' id='v'><error><service-unavailable/></error></iq>").gets_nothing();
    let mut romeo = play.logged_in("romeo/garden");
    romeo.sends("<presence/>");
    assert_eq!(bodies(&mut romeo), ["kept"]);
}

#[test]
fn pitfall_14_a_client_that_acknowledges_nothing_keeps_its_connection_and_loses_its_session_with_it() {
    let mut play = Play::without_tls(&["stream_management.unacknowledged_max = 10"]);
    play.enters("juliet/balcony").is_available(0);
    let (mut romeo, id) = managed(&mut play, "romeo/orchard");
    for number in 0..20 {
        play.client("juliet/balcony").says(ROMEO, &format!("m{number}"));
    }
    settle(play.client("juliet/balcony"));
    assert_eq!(bodies(&mut romeo).len(), 20);
    // The numbers go on.
    romeo.sends("<a xmlns='urn:xmpp:sm:3' h='20'/>").gets_nothing();
    romeo.vanishes();
    play.server.wait_for_stats(|stats| stats["sessions"] == 1);
    let mut again = authenticated(&play, "romeo");
    assert_eq!(resume(&mut again, &id, 20).name, "failed");
    let stats = play.server.stats();
    assert_eq!(stats["stream_management"]["window_passed"], 1, "{stats}");
}

#[test]
fn pitfall_15_who_does_not_answer_is_asked_once_and_then_waited_for() {
    let mut play = Play::without_tls(&["stream_management.acknowledgement_s = 1"]);
    play.enters("juliet/balcony").is_available(0);
    let (mut romeo, id) = managed(&mut play, "romeo/orchard");
    play.client("juliet/balcony").says(ROMEO, "one").says(ROMEO, "two");
    romeo.hears("one").hears("two").gets("<r xmlns='urn:xmpp:sm:3'/>");
    hibernated(&play, 1);
    play.server.wait_for_log(&["c2s:hibernate", "acknowledgement-timeout"]);
    let (mut romeo, _) = resumes(&play, "romeo", &id, 0);
    assert_eq!(bodies(&mut romeo), ["one", "two"]);
}

#[test]
fn pitfall_17_push_services_are_told_of_what_comes_for_a_session_without_connection() {
    let mut play = Play::without_tls(&[]);
    play.enters("app/push").is_available(0);
    play.enters("juliet/balcony").is_available(0);
    let (mut romeo, id) = managed(&mut play, "romeo/orchard");
    romeo.sends(&push::enable("")).gets("<iq type='result' id='e'/>");
    // What it was sent and has not acknowledged, and what comes later.
    play.client("juliet/balcony").says(ROMEO, "one");
    romeo.hears("one");
    romeo.vanishes();
    hibernated(&play, 1);
    let told = play.client("app/push").takes();
    assert!(told.to_string().contains("urn:xmpp:push:summary"), "{told}");
    let answer = told.attribute("id").map(|id| format!("<iq type='result' id='{id}' to='localhost'/>"));
    play.client("app/push").sends(&answer.unwrap_or_default());
    play.client("juliet/balcony").says(ROMEO, "two");
    let told = play.client("app/push").takes();
    assert!(told.to_string().contains("urn:xmpp:push:summary"), "{told}");
    let (mut romeo, _) = resumes(&play, "romeo", &id, 1);
    assert_eq!(bodies(&mut romeo), ["one", "two"]);
}

#[test]
fn pitfall_17_push_services_are_told_of_what_was_not_acknowledged_for_long() {
    let mut play = Play::without_tls(&["push.unacknowledged_s = 1"]);
    play.enters("app/push").is_available(0);
    play.enters("juliet/balcony").is_available(0);
    let (mut romeo, _) = managed(&mut play, "romeo/orchard");
    romeo.sends(&push::enable("")).gets("<iq type='result' id='e'/>");
    play.client("juliet/balcony").says(ROMEO, "one");
    romeo.hears("one");
    let told = play.client("app/push").takes();
    assert!(told.to_string().contains("urn:xmpp:push:summary"), "{told}");
}

#[test]
fn pitfall_19_presence_and_pushes_wait_too_for_who_resumes_asks_for_nothing() {
    let mut play = Play::without_tls(&[]);
    let (mut romeo, id) = managed(&mut play, "romeo/orchard");
    romeo
        .sends("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
        .gets("<iq type='result' id='r'/>");
    romeo.vanishes();
    hibernated(&play, 1);
    play.returns("romeo/garden").is_available(3);
    play.client("romeo/garden")
        .sends("<iq type='set' id='s'><query xmlns='jabber:iq:roster'><item jid='nurse@localhost'/></query></iq>")
        .gets_at_last("<iq type='result' id='s'/>");
    let (mut romeo, _) = resumes(&play, "romeo", &id, 1);
    romeo.gets("<presence from='romeo@localhost/garden'><priority>3</priority></presence>");
    romeo.gets("<iq type='set'><query xmlns='jabber:iq:roster'><item jid='nurse@localhost'/></query></iq>");
}

#[test]
fn pitfall_19_contacts_see_no_difference() {
    let mut play = Play::without_tls(&[]);
    let (mut romeo, id) = managed(&mut play, "romeo/orchard");
    play.returns("romeo/garden").is_available(0);
    romeo.vanishes();
    hibernated(&play, 1);
    let (_romeo, _) = resumes(&play, "romeo", &id, 0);
    play.client("romeo/garden").gets_nothing();
    // Somebody who comes now sees both.
    let mut third = play.logged_in("romeo/tower");
    third.sends("<presence/>");
    let seen = third.settles();
    let from = |name: &str| seen.iter().any(|node| node.attribute("from") == Some(name));
    assert!(from("romeo@localhost/orchard") && from("romeo@localhost/garden"), "{}", third.transcript());
}

#[test]
fn pitfall_22_sessions_that_wait_count_and_give_way_first() {
    let mut play = Play::without_tls(&["limits.sessions_per_account_max = 2"]);
    let (mut first, first_id) = managed(&mut play, "romeo/1");
    play.returns("romeo/2").is_available(0);
    first.vanishes();
    hibernated(&play, 1);
    play.logged_in("romeo/3").is_available(0);
    play.server.wait_for_stats(|stats| stats["streams_closed"]["evicted"] == 1);
    let mut again = authenticated(&play, "romeo");
    assert_eq!(resume(&mut again, &first_id, 0).name, "failed");
    play.client("romeo/2").forgets().gets_nothing();
}

#[test]
fn a_session_that_waits_ends_with_its_account_and_with_the_server() {
    let mut play = Play::without_tls(&[]);
    let (mut romeo, _) = managed(&mut play, "romeo/orchard");
    let (mut juliet, _) = managed(&mut play, "juliet/balcony");
    juliet.says(ROMEO, "before you go");
    romeo.hears("before you go");
    romeo.vanishes();
    hibernated(&play, 1);
    play.server.succeeds(&["user", "disable", "romeo@localhost"], "");
    play.server.wait_for_stats(|stats| stats["sessions"] == 1);
    play.server.succeeds(&["user", "enable", "romeo@localhost"], "");
    // What he had not acknowledged waits for him.
    let mut romeo = play.logged_in("romeo/orchard");
    romeo.sends("<presence/>");
    assert_eq!(bodies(&mut romeo), ["before you go"]);
    romeo.says(JULIET, "when the server stops");
    juliet.hears("when the server stops");
    juliet.vanishes();
    hibernated(&play, 1);
    assert!(play.server.stop().success());
    play.server.run();
    let mut juliet = play.logged_in("juliet/balcony");
    juliet.sends("<presence/>");
    assert_eq!(bodies(&mut juliet), ["when the server stops"]);
}

#[test]
fn a_session_that_waits_ends_when_its_account_is_removed() {
    let mut play = Play::without_tls(&[]);
    play.enters("juliet/balcony").is_available(0);
    let (mut romeo, _) = managed(&mut play, "romeo/orchard");
    romeo.vanishes();
    hibernated(&play, 1);
    play.server.succeeds(&["user", "remove", "romeo@localhost"], "");
    play.server.wait_for_stats(|stats| stats["sessions"] == 1);
    play.client("juliet/balcony")
        .says("romeo@localhost", "gone?")
        .gets("<message type='error'><error><service-unavailable/></error></message>");
}

#[test]
fn a_resource_whose_session_waits_is_taken_where_others_are_not() {
    let mut play = Play::without_tls(&["sessions.conflict = 'refuse'"]);
    let (mut romeo, _) = managed(&mut play, "romeo/orchard");
    romeo.vanishes();
    hibernated(&play, 1);
    play.logged_in("romeo/orchard").is_available(0);
}

#[test]
fn what_says_something_about_now_only_holds_up_no_count() {
    let mut play = Play::without_tls(&["archive.enabled = false"]);
    let (mut juliet, id) = managed(&mut play, "juliet/balcony");
    let (mut romeo, _) = managed(&mut play, "romeo/orchard");
    juliet.vanishes();
    hibernated(&play, 1);
    romeo.sends(&format!(
        "<message type='chat' to='{JULIET}'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>"
    ));
    assert_eq!(handled(&mut romeo), 1);
    let (mut juliet, _) = resumes(&play, "juliet", &id, 0);
    assert!(juliet.settles().iter().all(|node| node.find("composing").is_none()), "{}", juliet.transcript());
}

#[test]
fn what_a_client_was_spared_is_not_lost_with_its_session() {
    let mut play = Play::without_tls(&[]);
    play.enters("juliet/balcony").is_available(0);
    play.enters("romeo/orchard").is_available(0);
    is_inactive(play.client("romeo/orchard"));
    play.client("juliet/balcony").sends(&format!(
        "<message type='chat' to='{ROMEO}' id='x'><received xmlns='urn:xmpp:receipts' id='1'/></message>"
    ));
    settle(play.client("juliet/balcony"));
    play.client("romeo/orchard").leaves();
    let romeo = play.returns("romeo/orchard").sends("<presence/>");
    assert!(romeo.settles().iter().any(|node| node.find("received").is_some()), "{}", romeo.transcript());
}

#[test]
fn messages_that_waited_are_not_lost_with_the_connection_that_took_them() {
    let mut play = Play::without_tls(&[]);
    play.account("romeo");
    play.enters("juliet/balcony").is_available(0);
    for number in 0..10 {
        play.client("juliet/balcony").says("romeo@localhost", &format!("m{number}"));
    }
    settle(play.client("juliet/balcony"));
    let mut romeo = play.logged_in("romeo/orchard");
    let id = enables(&mut romeo);
    romeo.sends("<presence/>");
    let has = |node: &Node, body: &str| node.child("body").is_some_and(|got| got.text == body);
    let mut stanzas = Vec::new();
    while !stanzas.last().is_some_and(|last| has(last, "m9")) {
        stanzas.extend(Some(romeo.takes()).filter(|node| node.name != "r"));
    }
    let place = |body: &str| {
        let found = stanzas.iter().position(|node| has(node, body));
        u32::try_from(found.unwrap_or_else(|| panic!("{body}: {stanzas:?}")) + 1).unwrap_or_default()
    };
    romeo.vanishes();
    hibernated(&play, 1);
    let (mut romeo, _) = resumes(&play, "romeo", &id, place("m2"));
    assert_eq!(bodies(&mut romeo), ["m3", "m4", "m5", "m6", "m7", "m8", "m9"]);
    romeo
        .sends(&format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", place("m9")))
        .sends("<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>");
    romeo.gets_at_last("<iq type='result' id='p'/>").leaves();
    let mut romeo = play.logged_in("romeo/orchard");
    romeo.sends("<presence/>");
    assert_eq!(bodies(&mut romeo), [""; 0], "they were acknowledged");
}

#[test]
fn a_new_session_of_the_resource_gets_what_the_old_one_had_not_acknowledged() {
    let mut play = Play::without_tls(&[]);
    play.enters("juliet/balcony").is_available(0);
    let (mut old, id) = managed(&mut play, "romeo/orchard");
    old.vanishes();
    hibernated(&play, 1);
    play.client("juliet/balcony").says(ROMEO, "one").says(ROMEO, "two");
    settle(play.client("juliet/balcony"));
    let mut new = play.logged_in("romeo/orchard");
    assert_eq!(bodies(&mut new), ["one", "two"]);
    let mut again = authenticated(&play, "romeo");
    assert_eq!(resume(&mut again, &id, 0).name, "failed");
}

#[test]
fn two_connections_that_want_one_session_get_it_one_after_the_other() {
    let mut play = Play::without_tls(&[]);
    play.enters("juliet/balcony").is_available(0);
    let (mut romeo, id) = managed(&mut play, "romeo/orchard");
    romeo.vanishes();
    hibernated(&play, 1);
    let (mut one, mut other) = (authenticated(&play, "romeo"), authenticated(&play, "romeo"));
    let resume = format!("<resume xmlns='urn:xmpp:sm:3' h='0' previd='{id}'/>");
    one.sends(&resume);
    other.sends(&resume);
    // Who has it taken away again at once may be told that alone.
    let told = [one.takes(), other.takes()];
    assert!(told.iter().all(|told| told.name == "resumed" || told.find("conflict").is_some()), "{told:?}");
    assert!(told.iter().any(|told| told.name == "resumed"), "{told:?}");
    play.client("juliet/balcony").says(ROMEO, "which one?");
    settle(play.client("juliet/balcony"));
    let heard = [bodies_or_end(&mut one), bodies_or_end(&mut other)].concat();
    assert_eq!(heard, ["which one?"]);
}

/// The bodies that come, whether the stream ends or not.
fn bodies_or_end(client: &mut Client) -> Vec<String> {
    client.tries_to_send(b"<iq type='get' id='last'><ping xmlns='urn:xmpp:ping'/></iq>");
    let mut bodies = Vec::new();
    while let Some(Piece::Element(node)) = client.piece() {
        if node.attribute("id") == Some("last") {
            break;
        }
        bodies.extend(node.child("body").map(|body| body.text.clone()));
    }
    bodies
}

#[track_caller]
fn is_inactive(client: &mut Client) {
    client
        .sends("<inactive xmlns='urn:xmpp:csi:0'/><iq type='get' id='i'><ping xmlns='urn:xmpp:ping'/></iq>")
        .gets("<iq type='result' id='i'/>");
}

#[test]
fn a_client_that_nobody_uses_is_spared_what_can_wait_and_gets_it_in_order_first() {
    let mut play = Play::without_tls(&[]);
    play.enters("romeo/orchard").is_available(0);
    play.returns("romeo/garden").is_available(0);
    play.client("romeo/orchard").forgets();
    is_inactive(play.client("romeo/orchard"));
    for priority in 1..4 {
        play.client("romeo/garden").is_available(priority);
    }
    play.client("romeo/garden").sends(&format!(
        "<message type='chat' to='{ROMEO}'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>"
    ));
    settle(play.client("romeo/garden"));
    play.client("romeo/orchard")
        .sends("<active xmlns='urn:xmpp:csi:0'/><iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")
        .gets("<presence from='romeo@localhost/garden'><priority>3</priority></presence>")
        .gets("<iq type='result' id='p'/>");
    // What somebody would like to know comes at once.
    is_inactive(play.client("romeo/orchard"));
    play.client("romeo/garden").is_available(7).says(ROMEO, "now");
    play.client("romeo/orchard")
        .gets("<presence from='romeo@localhost/garden'><priority>7</priority></presence>")
        .hears("now");
}
