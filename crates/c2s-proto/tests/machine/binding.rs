//! Resource binding.

use rjabberd_c2s_proto::{Answer, Ask, ClaimRefused, Input, Unavailable};

use crate::play::{BIND_HOME, Play, STARTTLS, at_bind, bound, element, full, settings};

const NO_RESOURCE: &str = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";

fn claiming() -> Play {
    at_bind(settings()).input(element(BIND_HOME)).is("claiming")
}

fn wanted(resource: &str) -> Play {
    at_bind(settings()).input(element(&BIND_HOME.replace("home", resource)))
}

#[test]
fn a_resource_of_the_clients_choice_is_claimed_and_bound() {
    let play = at_bind(settings()).input(element(BIND_HOME));
    let play = play.brings(&["claim romeo@a.example Some(\"home\")", "now claiming"]);
    assert!(!play.state.wants_element());
    let play = play.answer(Answer::Claimed(Ok(full("romeo@a.example/home"))));
    let play = play.brings(&[
        "write <iq id='b' type='result'><bind xmlns='…bind'><jid>romeo@a.example/home</jid></bind></iq>",
        "clear Negotiation",
        "set Idle",
        "now established",
    ]);
    let session = play.state.session().unwrap();
    assert_eq!(session.jid, full("romeo@a.example/home"));
    assert_eq!((session.priority, session.directed.len()), (None, 0));
    assert_eq!(play.state.account().unwrap().as_str(), "romeo@a.example");
}

#[test]
fn without_a_resource_the_server_makes_one() {
    let play = at_bind(settings()).input(element(NO_RESOURCE));
    let play = play.brings(&["claim romeo@a.example None", "now claiming"]);
    let play = play.answer(Answer::Claimed(Ok(full("romeo@a.example/made")))).is("established");
    assert!(play.written().contains("<jid>romeo@a.example/made</jid>"), "{}", play.written());
}

#[test]
fn an_empty_resource_is_none() {
    wanted("").brings(&["claim romeo@a.example None", "now claiming"]);
}

#[test]
fn a_resource_is_prepared_before_it_is_claimed() {
    wanted("e\u{301}").brings(&["claim romeo@a.example Some(\"é\")", "now claiming"]);
}

#[test]
fn a_resource_that_cannot_be_prepared_is_a_bad_request() {
    let play = wanted(&"x".repeat(1024)).is("awaiting_bind");
    assert_eq!(
        play.written(),
        "<iq id='b' type='error'><error type='modify'><bad-request xmlns='…stanzas'/></error></iq>"
    );
}

#[test]
fn a_bind_request_must_be_one() {
    let get = NO_RESOURCE.replace("'set'", "'get'");
    let other = NO_RESOURCE.replace("<bind ", "<unbind ");
    let two = NO_RESOURCE.replace("</iq>", "<x xmlns='x'/></iq>");
    let nameless = NO_RESOURCE.replace(" id='b'", "");
    let bind = |resources: &str| {
        format!(
            "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>{resources}</bind></iq>"
        )
    };
    let ambiguous = bind("<resource>a</resource><resource>b</resource>");
    let no_text = bind("<resource>a<x/></resource>");
    for bad in [get, other, two, nameless, ambiguous, no_text] {
        let play = at_bind(settings()).input(element(&bad));
        assert!(play.written().contains("<bad-request "), "{bad}: {}", play.written());
        play.is("awaiting_bind");
    }
}

#[track_caller]
fn refused(refusal: Answer, error: &str) {
    let play = claiming().answer(refusal).is("awaiting_bind");
    assert_eq!(play.written(), format!("<iq id='b' type='error'>{error}</iq>"));
    play.input(element(BIND_HOME)).is("claiming");
}

#[test]
fn a_refused_resource_leaves_the_stream_open() {
    refused(
        Answer::Claimed(Err(ClaimRefused::Conflict)),
        "<error type='modify'><conflict xmlns='…stanzas'/></error>",
    );
    refused(
        Answer::Claimed(Err(ClaimRefused::TooManySessions)),
        "<error type='wait'><resource-constraint xmlns='…stanzas'/></error>",
    );
    let busy = "<error type='wait'><resource-constraint xmlns='…stanzas'/>\
                <text xmlns='…stanzas' xml:lang='en'>The server is busy, try again</text></error>";
    refused(Answer::Claimed(Err(ClaimRefused::Unavailable)), busy);
    refused(Answer::Unavailable(Unavailable), busy);
}

#[test]
fn an_account_that_is_gone_ends_the_stream() {
    let play = claiming().answer(Answer::Claimed(Err(ClaimRefused::AccountGone)));
    play.brings(&[
        "write <stream:error><not-authorized xmlns='…streams'/></stream:error></stream:stream>",
        "now closing",
        "close AccountRemoved",
    ]);
}

#[test]
fn retries_are_counted() {
    let mut play = at_bind(settings());
    for _ in 0..5 {
        play = play.input(element(BIND_HOME)).answer(Answer::Claimed(Err(ClaimRefused::Conflict)));
        play = play.is("awaiting_bind");
    }
    let play =
        play.input(element(BIND_HOME)).answer(Answer::Claimed(Err(ClaimRefused::Conflict))).is("closing");
    assert!(play.written().contains("<conflict "), "{}", play.written());
    assert!(play.written().contains("<policy-violation "), "{}", play.written());
}

#[test]
fn a_stanza_before_the_resource_ends_the_stream() {
    let stanzas = [
        "<message to='juliet@a.example'/>",
        "<presence/>",
        "<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>",
        "<iq type='get'/>",
        "<iq type='set' id='1' to='b.example'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
    ];
    for stanza in stanzas {
        let play = at_bind(settings()).input(element(stanza)).is("closing");
        assert!(play.written().contains("<not-authorized "), "{stanza}: {}", play.written());
    }
}

#[test]
fn a_bind_in_the_name_of_another_ends_the_stream() {
    let play = at_bind(settings());
    let play =
        play.input(element(&BIND_HOME.replace("id='b'", "id='b' from='juliet@a.example'"))).is("closing");
    assert!(play.written().contains("<invalid-from "), "{}", play.written());
    let play =
        at_bind(settings()).input(element(&BIND_HOME.replace("id='b'", "id='b' from='@@@'"))).is("closing");
    assert!(play.written().contains("<invalid-from "), "{}", play.written());
    let own = BIND_HOME.replace("id='b'", "id='b' from='romeo@a.example' to='romeo@a.example'");
    at_bind(settings()).input(element(&own)).is("claiming");
}

#[test]
fn starttls_before_the_resource_fails() {
    let play = at_bind(settings()).input(element(STARTTLS)).is("closing");
    assert_eq!(play.written(), "<failure xmlns='…tls'/></stream:stream>");
}

#[test]
fn a_second_resource_is_not_allowed() {
    let play = bound(settings())
        .input(element(BIND_HOME))
        .brings(&["write <iq to='romeo@a.example/home' id='b' type='error'><error type='cancel'>\
         <not-allowed xmlns='…stanzas'/></error></iq>"]);
    play.is("established");
}

#[test]
fn a_claim_that_comes_too_late_is_given_back() {
    let play = claiming();
    let ask = play.ask;
    let late = || Input::Answered(ask, Answer::Claimed(Ok(full("romeo@a.example/home"))));
    let play = play.input(Input::StreamEnded).is("closing");
    let play = play.input(late()).brings(&["release romeo@a.example/home"]).is("closing");
    play.input(Input::StreamEnded).is("closed").input(late()).brings(&["release romeo@a.example/home"]);
}

#[test]
fn a_claim_given_up_and_granted_later_is_given_back() {
    let play = claiming();
    let Ask(first) = play.ask;
    let late = || Input::Answered(Ask(first), Answer::Claimed(Ok(full("romeo@a.example/home"))));
    let play = play.answer(Answer::Unavailable(Unavailable)).is("awaiting_bind");
    let play = play.input(late()).brings(&["release romeo@a.example/home"]).is("awaiting_bind");
    let play = play.input(element(&BIND_HOME.replace("home", "away"))).is("claiming");
    let play = play.input(late()).brings(&["release romeo@a.example/home"]).is("claiming");
    let play = play.answer(Answer::Claimed(Ok(full("romeo@a.example/away")))).is("established");
    play.input(late()).brings(&["release romeo@a.example/home"]).is("established");
}

#[test]
fn a_late_claim_for_what_has_become_ours_is_kept() {
    let play = claiming();
    let ask = play.ask;
    let play = play.answer(Answer::Unavailable(Unavailable)).input(element(BIND_HOME));
    let play = play.answer(Answer::Claimed(Ok(full("romeo@a.example/home")))).is("established");
    play.input(Input::Answered(ask, Answer::Claimed(Ok(full("romeo@a.example/home"))))).brings(&[]);
}
