//! What is kept, for whom, and what is refused.

use crate::Limits;
use crate::stage::{ROMEO, Stage, told};

fn query(content: &str) -> String {
    format!("<query xmlns='jabber:iq:private'>{content}</query>")
}

const ASKED: &str = "<exodus xmlns='exodus:prefs'/>";
const STORED: &str =
    "<exodus xmlns='exodus:prefs' a='&lt;1&gt;'><nick>Hamlet &amp; Co</nick><x xmlns='urn:x'/></exodus>";

#[test]
fn what_was_stored_is_given_back() {
    let stage = Stage::new();
    for to in [None, Some("romeo@example.net")] {
        assert_eq!(stage.asks("set", to, &query(STORED)), "");
        assert_eq!(
            stage.asks("get", to, &query(ASKED)),
            "<query xmlns=\"jabber:iq:private\"><exodus xmlns=\"exodus:prefs\" a=\"&lt;1&gt;\">\
             <nick>Hamlet &amp; Co</nick><x xmlns=\"urn:x\"/></exodus></query>"
        );
    }
}

#[test]
fn each_account_has_its_own() {
    let stage = Stage::new();
    assert_eq!(stage.asks("set", None, &query(STORED)), "");
    let answer = stage.answer("juliet@example.net/balcony", "get", None, &query(ASKED));
    assert_eq!(told(&answer), "<query xmlns=\"jabber:iq:private\"><exodus xmlns=\"exodus:prefs\"/></query>");
}

#[test]
fn a_set_may_hold_several_elements_and_each_is_kept_for_itself() {
    let stage = Stage::new();
    let set = query("<a xmlns='urn:x'>1</a><b xmlns='urn:x'>2</b><a xmlns='urn:y'>3</a>");
    assert_eq!(stage.asks("set", None, &set), "");
    assert_eq!(stage.asks("set", None, &query("<b xmlns='urn:x'>4</b>")), "");
    for (asked, content) in [("a xmlns='urn:x'", "1"), ("b xmlns='urn:x'", "4"), ("a xmlns='urn:y'", "3")] {
        let got = stage.asks("get", None, &query(&format!("<{asked}/>")));
        assert!(got.contains(&format!(">{content}<")), "{asked}: {got}");
    }
}

#[test]
fn one_element_is_asked_for_at_a_time() {
    let stage = Stage::new();
    for content in ["", "text", "<a xmlns='urn:x'/><b xmlns='urn:y'/>"] {
        assert_eq!(stage.asks("get", None, &query(content)), "modify bad-request", "{content}");
    }
}

#[test]
fn what_has_no_namespace_of_its_own_is_not_acceptable() {
    let stage = Stage::new();
    for content in [
        "",
        "text",
        "<a/>",
        "<a xmlns=''/>",
        "<a xmlns='urn:x'/><a xmlns='urn:x'/>",
        "<a xmlns='urn:x'/><b/>",
    ] {
        assert_eq!(stage.asks("set", None, &query(content)), "modify not-acceptable", "{content}");
    }
    assert!(stage.store.kept.lock().private.is_empty());
}

#[test]
fn a_reserved_namespace_is_not_acceptable() {
    let stage = Stage::new();
    for namespace in ["jabber:client", "jabber:iq:private", "http://jabber.org/protocol/muc", "vcard-temp"] {
        let content = query(&format!("<x xmlns='{namespace}'/>"));
        for kind in ["get", "set"] {
            assert_eq!(stage.asks(kind, None, &content), "modify not-acceptable", "{kind} {namespace}");
        }
    }
}

#[test]
fn nobody_gets_or_sets_what_is_another_s() {
    let stage = Stage::new();
    for to in ["juliet@example.net", "nobody@example.net", "example.net"] {
        for kind in ["get", "set"] {
            assert_eq!(stage.asks(kind, Some(to), &query(STORED)), "auth forbidden", "{kind} {to}");
        }
    }
}

#[test]
fn more_than_an_account_may_keep_is_against_the_policy() {
    let stage = Stage::with(Limits { private_bytes_max: 20, ..Limits::default() }, &Default::default());
    assert_eq!(stage.asks("set", None, &query(STORED)), "modify policy-violation");
    assert_eq!(stage.asks("set", None, &query("<a xmlns='urn:x'/>")), "");
}

#[test]
fn a_store_that_is_away_is_told_and_may_be_tried_again() {
    let stage = Stage::new();
    stage.breaks(true);
    for kind in ["get", "set"] {
        let answer = stage.answer(ROMEO, kind, None, &query(STORED));
        assert_eq!(told(&answer), "wait resource-constraint");
        assert!(crate::stage::inner(&answer).contains("the store is not available, try again"));
    }
}

#[test]
fn another_payload_is_not_known() {
    let stage = Stage::new();
    let questions = query(ASKED).replace("query", "questions");
    assert_eq!(stage.asks("get", None, &questions), "cancel feature-not-implemented");
}
