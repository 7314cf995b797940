//! Push notifications (XEP-0357): a second session acts as the push service of Juliet's app.

use rjabberd_testkit::{Node, Play};

const SERVICE: &str = "app/push";

/// The request of a client that wants [`SERVICE`] to be told.
pub(crate) fn enable(inner: &str) -> String {
    format!(
        "<iq type='set' id='e'><enable xmlns='urn:xmpp:push:0' jid='app@localhost/push' node='n1'>{inner}</enable></iq>"
    )
}

const OPTIONS: &str = "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
    <value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
    <field var='secret'><value>eruio234vzxc2kla-91</value></field></x>";

/// Juliet has enabled push, and has left.
fn cast(more: &[&str], options: &str) -> Play {
    let mut play = Play::without_tls(more);
    play.enters(SERVICE).is_available(0);
    play.enters("romeo/orchard").is_available(0);
    play.enters("juliet/balcony").is_available(0);
    play.client("juliet/balcony").sends(&enable(options)).gets("<iq type='result' id='e'/>").leaves();
    play
}

/// Romeo writes, and the service is told.
#[track_caller]
fn told(play: &mut Play) -> Node {
    play.client("romeo/orchard").says("juliet@localhost", "wherefore");
    let service = play.client(SERVICE);
    let told = service.takes();
    assert_eq!((told.name.as_str(), told.attribute("type")), ("iq", Some("set")), "{told}");
    assert_eq!(told.attribute("from"), Some("localhost"), "{told}");
    told
}

#[track_caller]
fn answers(play: &mut Play, request: &Node, kind: &str, inner: &str) {
    let id = request.attribute("id").expect("a request has an id");
    play.client(SERVICE).sends(&format!("<iq type='{kind}' id='{id}' to='localhost'>{inner}</iq>")).settles();
}

fn error(error_type: &str, condition: &str) -> String {
    format!("<error type='{error_type}'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>")
}

#[test]
fn who_is_away_is_told_by_a_push_service_that_something_came_and_not_what() {
    let mut play = cast(&[], OPTIONS);
    let first = told(&mut play);
    let publish = first.child("pubsub").and_then(|pubsub| pubsub.child("publish")).expect("a publish");
    assert_eq!(publish.attribute("node"), Some("n1"));
    let text = first.to_string();
    assert!(text.contains("urn:xmpp:push:summary") && text.contains("message-count"), "{text}");
    assert!(text.contains("eruio234vzxc2kla-91"), "the options go along: {text}");
    assert!(!text.contains("wherefore") && !text.contains("romeo"), "{text}");
    answers(&mut play, &first, "result", "");
    play.server.wait_for_stats(|stats| stats["push"]["accepted"] == 1);
    // The log is at debug: what was given along for the service is in none of its lines.
    assert!(!play.server.log().text().contains("eruio234vzxc2kla-91"));
}

#[test]
fn the_registration_outlives_the_server_and_transient_errors_and_ends_by_final_ones() {
    let mut play = cast(&["push.errors_max = 2"], "");
    let request = told(&mut play);
    answers(&mut play, &request, "error", &error("wait", "resource-constraint"));
    play.server.kill();
    play.server.run();
    play.returns(SERVICE).is_available(0);
    play.returns("romeo/orchard").is_available(0);
    for condition in ["item-not-found", "forbidden"] {
        let request = told(&mut play);
        answers(&mut play, &request, "error", &error("cancel", condition));
    }
    play.server.wait_for_stats(|stats| stats["push"]["removed"] == 1);
    play.client("romeo/orchard").says("juliet@localhost", "again");
    play.server.wait_for_stats(|stats| stats["push"]["hints"] == 3 && stats["push"]["waiting"] == 0);
    play.client(SERVICE).gets_nothing();
}

#[test]
fn who_is_not_the_service_does_not_answer_for_it() {
    let mut play = cast(&["push.errors_max = 1"], "");
    let request = told(&mut play);
    let id = request.attribute("id").expect("a request has an id");
    let forged = format!("<iq type='error' id='{id}' to='localhost'>{}</iq>", error("cancel", "gone"));
    play.client("romeo/orchard").sends(&forged).settles();
    answers(&mut play, &request, "result", "");
    let stats = play.server.wait_for_stats(|stats| stats["push"]["accepted"] == 1);
    assert_eq!(stats["push"]["removed"], 0);
}

#[test]
fn who_disables_push_is_not_told_of() {
    let mut play = cast(&["push.contents = true"], "");
    let request = told(&mut play);
    assert!(request.to_string().contains("wherefore"), "{request}");
    answers(&mut play, &request, "result", "");
    let disable = "<iq type='set' id='d'><disable xmlns='urn:xmpp:push:0' jid='app@localhost/push'/></iq>";
    play.returns("juliet/balcony").sends(disable).gets("<iq type='result' id='d'/>").leaves();
    play.client("romeo/orchard").says("juliet@localhost", "again");
    play.server.wait_for_stats(|stats| stats["push"]["hints"] == 2 && stats["push"]["waiting"] == 0);
    play.client(SERVICE).gets_nothing();
}

#[test]
fn guests_have_nothing_to_be_told_of() {
    let mut play = Play::without_tls(&["auth.mechanisms = ['ANONYMOUS']"]);
    let mut guest = play.connects("guest/x");
    guest
        .opens_stream()
        .sends("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>")
        .gets("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
        .opens_stream()
        .binds(None)
        .sends(&enable(""))
        .gets("<iq type='error' id='e'><error type='cancel'><not-allowed/></error></iq>");
    play.server.stop();
}
