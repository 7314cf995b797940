//! In-band registration before authentication.

use rjabberd_c2s_proto::{Action, Answer, Settings, Unavailable};

use crate::play::{
    OFFERED, PLAIN_ROMEO, Play, REGISTER, REQUIRED, at_bind, at_features, credentials, element, settings,
    stanza, with_host,
};

fn open() -> Settings {
    with_host(|host| host.registration = true)
}

const CREATE: &str = "<iq type='set' id='r' to='a.example'><query xmlns='jabber:iq:register'>\
     <username>romeo</username><password>secret</password></query></iq>";

#[track_caller]
fn is_refused(play: Play) {
    let play = play.is("closing");
    assert!(play.written().contains("<not-authorized "), "{}", play.written());
}

#[test]
fn a_form_is_asked_for_and_answered() {
    let play = at_features(open()).input(element(REGISTER));
    let play = play.brings(&[
        "register at a.example: <iq id='r' type='get'><query xmlns='jabber:iq:register'/></iq>",
        "now registering",
    ]);
    assert!(!play.state.wants_element());
    let reply = stanza("<iq type='result' id='r' from='a.example'/>");
    let play = play.answer(Answer::Reply(Some(reply)));
    let play = play.brings(&["write <iq from='a.example' id='r' type='result'/>", "now awaiting_feature"]);
    play.input(element(PLAIN_ROMEO)).answer(credentials()).is("checking");
}

#[test]
fn a_request_may_name_the_host() {
    at_features(open()).input(element(CREATE)).is("registering");
    at_features(Settings { tls: OFFERED, ..open() }).input(element(CREATE)).is("registering");
}

#[test]
fn a_reply_that_goes_another_way_is_no_reply() {
    let play = at_features(open()).input(element(CREATE)).answer(Answer::Reply(None));
    play.brings(&["now awaiting_feature"]);
}

#[test]
fn accounts_that_are_away_are_a_reason_to_wait_and_no_password_comes_back() {
    let play = at_features(open()).input(element(CREATE)).answer(Answer::Unavailable(Unavailable));
    play.brings(&[
        "write <iq from='a.example' id='r' type='error'><error type='wait'>\
         <resource-constraint xmlns='…stanzas'/></error></iq>",
        "now awaiting_feature",
    ]);
}

#[test]
fn registration_that_is_not_offered_is_a_stanza_before_authentication() {
    is_refused(at_features(settings()).input(element(REGISTER)));
    is_refused(at_features(Settings { tls: REQUIRED, ..open() }).input(element(REGISTER)));
}

#[test]
fn registration_elsewhere_is_a_stanza_before_authentication() {
    let elsewhere = REGISTER.replace("id='r'", "id='r' to='b.example'");
    is_refused(at_features(open()).input(element(&elsewhere)));
    is_refused(
        at_features(open()).input(element("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")),
    );
    is_refused(
        at_features(open())
            .input(element("<iq type='result' id='r'><query xmlns='jabber:iq:register'/></iq>")),
    );
    is_refused(at_features(open()).input(element("<message><x xmlns='jabber:iq:register'/></message>")));
    is_refused(at_features(open()).input(element("<iq type='get'><query xmlns='jabber:iq:register'/></iq>")));
}

#[test]
fn between_login_and_resource_there_is_no_registration() {
    let play = at_bind(open()).input(element(REGISTER)).brings(&[
        "write <iq id='r' type='error'><error type='cancel'><not-allowed xmlns='…stanzas'/></error></iq>",
    ]);
    assert!(!play.deeds.iter().any(|action| matches!(action, Action::Route(_))));
    play.is("awaiting_bind");
}

#[test]
fn a_stream_that_registers_again_and_again_is_told_to_stop_and_may_still_log_in() {
    let mut play = at_features(open());
    for _ in 0..3 {
        play = play.input(element(REGISTER)).answer(Answer::Reply(None));
        play = play.input(element(CREATE)).is("registering").answer(Answer::Reply(None));
    }
    let play = play.input(element(CREATE)).brings(&[
        "write <iq from='a.example' id='r' type='error'><error type='modify'>\
         <not-acceptable xmlns='…stanzas'/><text xmlns='…stanzas' xml:lang='en'>Too many registrations.</text>\
         </error></iq>",
    ]);
    play.input(element(REGISTER)).answer(Answer::Reply(None)).is("awaiting_feature");
}
