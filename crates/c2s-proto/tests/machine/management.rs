//! Stream management (XEP-0198) as the machine has it: its words before and after a resource is bound, sessions that wait
//! to be resumed and that are, and client state (XEP-0352). Numbers of pitfalls are those of `docs/security.md`.

use rjabberd_c2s_proto::{
    Answer, Ask, ControlInput, Deadline, Input, LostReason, Management, ResumeRefused, Resumed, Resumption,
    Session, Settings, Unavailable,
};
use rjabberd_xmpp::management::{ResumptionId, TooHigh, Version};

use crate::endings::CONTROLS;
use crate::play::{
    INITIAL_ROMEO, Play, at_bind, at_features, authenticate, bound, check, credentials, element, full, right,
    settings, stanza,
};

pub(crate) const ENABLE: &str = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>";
pub(crate) const RESUME: &str = "<resume xmlns='urn:xmpp:sm:3' h='5' previd='CQkJCQkJCQkJCQkJCQkJCQ'/>";

/// A session that counts, resumable or not.
pub(crate) fn managed(resumable: bool) -> Play {
    let resume = if resumable { " resume='1'" } else { "" };
    bound(settings()).input(element(&format!("<enable xmlns='urn:xmpp:sm:3'{resume}/>"))).is("established")
}

/// The answer that a session goes on; it has handled so much.
pub(crate) fn resumed(jid: &str, h: u32) -> Answer {
    let resumption = Some(Resumption { id: ResumptionId([9; 16]), max_s: 60 });
    let management = Some(Box::new(Management { version: Version::Three, resumption }));
    let session = Session {
        jid: full(jid),
        priority: Some(1),
        directed: vec![rjabberd_xmpp::Jid::new("x@a.example").unwrap()],
        management,
    };
    Answer::Resumed(Box::new(Ok(Resumed { session, h })))
}

pub(crate) fn not_found(h: Option<u32>) -> Answer {
    Answer::Resumed(Box::new(Err(ResumeRefused::NotFound(h))))
}

fn lost() -> Input {
    Input::ConnectionLost(LostReason::Broken)
}

#[test]
fn pitfall_01_stanzas_count_from_enabled_on_and_not_before() {
    check(
        bound(settings()),
        vec![
            (
                element("<message to='x@a.example'/>"),
                &["route <message to='x@a.example' \
                from='romeo@a.example/home' xml:lang='de'/>"],
            ),
            (
                element(ENABLE),
                &[
                    "write <enabled xmlns='urn:xmpp:sm:3' resume='true' id='BwcHBwcHBwcHBwcHBwcHBw' max='600'/>",
                    "manage Three Some(600)",
                ],
            ),
            (
                element("<message to='x@a.example'/>"),
                &[
                    "received",
                    "route <message to='x@a.example' \
                from='romeo@a.example/home' xml:lang='de'/>",
                ],
            ),
        ],
    );
}

#[test]
fn pitfall_02_only_stanzas_count_and_those_that_are_refused_do() {
    let counts = |text: &str| {
        let play = managed(true).input(element(text));
        play.deeds.iter().any(|deed| matches!(deed, rjabberd_c2s_proto::Action::Received))
    };
    for stanza in [
        "<message to='@@@'/>",
        "<iq type='nonsense' id='1'/>",
        "<iq type='result' id='ping-1'/>",
        "<presence><priority>200</priority></presence>",
    ] {
        assert!(counts(stanza), "{stanza}");
    }
    for other in [
        "<a xmlns='urn:xmpp:sm:3' h='0'/>",
        "<r xmlns='urn:xmpp:sm:3'/>",
        "<active xmlns='urn:xmpp:csi:0'/>",
        "<inactive xmlns='urn:xmpp:csi:0'/>",
    ] {
        assert!(!counts(other), "{other}");
    }
}

#[test]
fn pitfall_04_more_than_was_sent_ends_the_stream_and_says_what_was() {
    managed(true).input(Input::HandledTooHigh(TooHigh { h: 10, sent: 8 })).brings(&[
        "write <stream:error><undefined-condition xmlns='…streams'/>\
         <text xmlns='…streams' xml:lang='en'>You acknowledged 10 stanzas, but 8 were sent to you</text>\
         <handled-count-too-high xmlns='urn:xmpp:sm:3' h='10' send-count='8'/></stream:error></stream:stream>",
        "end romeo@a.example/home None [] StreamError(UndefinedCondition)",
        "now closing",
        "close StreamError(UndefinedCondition)",
    ]);
}

#[test]
fn pitfall_05_a_request_is_answered_at_once_whatever_is_not_safe_yet() {
    managed(true).input(element("<r xmlns='urn:xmpp:sm:3'/>")).brings(&["answer"]);
}

#[test]
fn pitfall_06_a_second_enable_ends_the_stream() {
    let play = managed(false).input(element(ENABLE)).is("closing");
    assert!(play.written().contains("<policy-violation "), "{}", play.written());
}

#[test]
fn pitfall_06_before_a_resource_is_bound_nothing_is_enabled_and_binding_goes_on() {
    for word in [ENABLE, "<r xmlns='urn:xmpp:sm:3'/>", "<a xmlns='urn:xmpp:sm:3' h='0'/>"] {
        let play = at_bind(settings()).input(element(word));
        let play = play
            .brings(&["write <failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='…stanzas'/></failed>"]);
        play.is("awaiting_bind").input(element(crate::play::BIND_HOME)).is("claiming");
    }
}

#[test]
fn pitfall_06_a_stream_that_has_a_session_resumes_no_other() {
    for play in [bound(settings()), managed(true)] {
        let play = play.input(element(RESUME));
        play.brings(&["write <failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='…stanzas'/></failed>"])
            .is("established");
    }
}

#[test]
fn pitfall_07_a_session_is_asked_for_among_those_of_the_authenticated_account_only() {
    at_bind(settings()).input(element(RESUME)).brings(&["resume romeo@a.example", "now resuming"]);
    // What cannot be an identifier of ours is not even asked for.
    for previd in ["", "x", "g2gDbQAAAAVqdWxpZXQ", "../../etc/passwd"] {
        let play = at_bind(settings())
            .input(element(&format!("<resume xmlns='urn:xmpp:sm:3' h='0' previd='{previd}'/>")));
        play.brings(&["write <failed xmlns='urn:xmpp:sm:3'><item-not-found xmlns='…stanzas'/></failed>"]);
    }
}

#[test]
fn pitfall_08_who_is_resumed_elsewhere_is_told_of_the_conflict_and_tells_nobody_else() {
    managed(true)
        .input(element("<presence to='x@a.example'/>"))
        .input(Input::Control(ControlInput::Replaced))
        .brings(&[
            "write <stream:error><conflict xmlns='…streams'/>\
             <text xmlns='…streams' xml:lang='en'>Replaced by a new connection</text></stream:error></stream:stream>",
            "end romeo@a.example/home None [\"x@a.example\"] Replaced",
            "now closing",
            "close Replaced",
        ]);
}

#[test]
fn pitfall_09_and_11_what_cannot_be_resumed_is_told_with_h_where_it_is_known_and_a_resource_can_be_bound() {
    let asked = || at_bind(settings()).input(element(RESUME)).is("resuming");
    for (answer, h) in
        [(not_found(Some(7)), " h='7'"), (not_found(None), ""), (Answer::Unavailable(Unavailable), "")]
    {
        let play = asked().answer(answer);
        let failed =
            format!("write <failed xmlns='urn:xmpp:sm:3'{h}><item-not-found xmlns='…stanzas'/></failed>");
        let play = play.brings(&[&failed, "now awaiting_bind"]);
        play.input(element(crate::play::BIND_HOME)).is("claiming");
    }
    asked().answer(Answer::Resumed(Box::new(Err(ResumeRefused::AccountGone)))).is("closing");
}

#[test]
fn nobody_asks_for_sessions_for_ever() {
    let mut play = at_bind(settings());
    for _ in 0..5 {
        play = play.input(element(RESUME)).answer(not_found(None)).is("awaiting_bind");
    }
    play.input(element(RESUME)).answer(not_found(None)).is("closing");
}

#[test]
fn pitfall_10_a_session_goes_on_first_with_resumed_then_with_what_was_not_handled() {
    let play = at_bind(settings()).input(element(RESUME));
    let play = play.answer(resumed("romeo@a.example/earlier", 3)).brings(&[
        "write <resumed xmlns='urn:xmpp:sm:3' h='3' previd='CQkJCQkJCQkJCQkJCQkJCQ'/>",
        "clear Negotiation",
        "set Idle",
        "retransmit behind 5",
        "now established",
    ]);
    // It counts on, and it is who it was.
    let play = play.input(element("<message to='y@a.example'/>")).brings(&[
        "received",
        "route <message to='y@a.example' from='romeo@a.example/earlier' xml:lang='de'/>",
    ]);
    // It can be resumed again, and its directed presence is owed still.
    let play = play.input(lost()).brings(&["hibernate Lost(Broken)", "set Resumption", "now hibernated"]);
    play.input(Input::DeadlinePassed(Deadline::Resumption)).brings(&[
        "route <presence to='x@a.example' from='romeo@a.example/earlier' type='unavailable'/>",
        "end romeo@a.example/earlier Some(1) [\"x@a.example\"] TimedOut(Resumption)",
        "now closed",
        "drop TimedOut(Resumption)",
    ]);
}

#[test]
fn pitfall_12_a_clean_close_ends_the_session_at_once_and_so_does_an_error_of_ours() {
    managed(true).input(Input::StreamEnded).brings(&[
        "write </stream:stream>",
        "end romeo@a.example/home None [] ClientClosed",
        "now closing",
        "close ClientClosed",
    ]);
    managed(true).input(element("<message from='juliet@a.example'/>")).is("closing");
    managed(true).input(element("<pubsub/>")).is("closing");
}

#[test]
fn pitfall_12_only_a_connection_that_is_lost_leaves_a_session_behind() {
    for lost in [
        Input::ConnectionLost(LostReason::Eof),
        Input::ConnectionLost(LostReason::WriteStalled),
        Input::DeadlinePassed(Deadline::Acknowledgement),
        Input::Control(ControlInput::Overflowed),
    ] {
        managed(true).input(lost).is("hibernated");
    }
    for lost in [Input::ConnectionLost(LostReason::Eof), Input::DeadlinePassed(Deadline::Acknowledgement)] {
        managed(false).input(lost).is("closed");
    }
    managed(true)
        .input(Input::DeadlinePassed(Deadline::Idle))
        .input(Input::DeadlinePassed(Deadline::PingAnswer))
        .is("hibernated");
}

#[test]
fn pitfall_14_more_than_is_kept_does_not_end_the_connection_but_the_session_ends_with_it() {
    let play = managed(true).input(Input::WindowPassed).brings(&["forget resumption"]).is("established");
    let play = play.input(Input::WindowPassed).brings(&[]);
    play.input(lost()).is("closed");
    // Without a connection nothing is left to wait for.
    managed(true).input(lost()).input(Input::WindowPassed).is("closed");
}

#[test]
fn pitfall_15_who_does_not_answer_a_request_has_lost_its_connection_and_not_its_session() {
    managed(true).input(Input::DeadlinePassed(Deadline::Acknowledgement)).brings(&[
        "hibernate TimedOut(Acknowledgement)",
        "set Resumption",
        "now hibernated",
    ]);
    managed(true)
        .input(element("<a xmlns='urn:xmpp:sm:3' h='4294967295'/>"))
        .brings(&["clear Acknowledgement", "acknowledged 4294967295"]);
}

#[test]
fn pitfall_16_what_is_granted_is_what_is_told_and_no_more_than_the_config_has() {
    for (attributes, told) in [
        ("resume='true' max='60'", " resume='true' id='BwcHBwcHBwcHBwcHBwcHBw' max='60'"),
        ("resume='1' max='100000'", " resume='true' id='BwcHBwcHBwcHBwcHBwcHBw' max='600'"),
        ("resume='true' max='0'", ""),
        ("resume='false'", ""),
        ("", ""),
    ] {
        let play = bound(settings()).input(element(&format!("<enable xmlns='urn:xmpp:sm:2' {attributes}/>")));
        assert_eq!(play.written(), format!("<enabled xmlns='urn:xmpp:sm:2'{told}/>"), "{attributes}");
    }
    let none = Settings { resumption_s_max: 0, ..settings() };
    assert_eq!(bound(none).input(element(ENABLE)).written(), "<enabled xmlns='urn:xmpp:sm:3'/>");
}

#[test]
fn pitfall_18_a_session_that_goes_on_is_pinged_on_its_new_connection() {
    let play = at_bind(settings()).input(element(RESUME)).answer(resumed("romeo@a.example/earlier", 0));
    let play = play.input(Input::DeadlinePassed(Deadline::Idle));
    assert!(
        play.written().contains("to='romeo@a.example/earlier' from='a.example' id='ping-1'"),
        "{}",
        play.written()
    );
}

#[test]
fn pitfall_19_what_comes_without_a_connection_waits_for_the_next() {
    let play = managed(true).defer(Ask(900)).input(lost()).is("hibernated");
    assert!(play.state.wants_delivery() && !play.state.wants_element());
    // The answer to a request, too.
    let reply = Answer::Reply(Some(stanza("<iq type='result' id='r'/>")));
    let play = play.answer(reply).brings(&["write <iq id='r' type='result'/>"]).is("hibernated");
    // What was still on its way from the old connection is nobody's business.
    let play = play.input(Input::StreamEnded).brings(&[]);
    play.input(element("<message/>")).brings(&[]).is("hibernated");
}

#[test]
fn pitfall_20_together_with_a_login_a_session_goes_on_before_a_resource_is_bound_and_no_features_follow() {
    let children = format!(
        "{INITIAL_ROMEO}{RESUME}<bind xmlns='urn:xmpp:bind:0'><enable xmlns='urn:xmpp:sm:3' resume='true'/></bind>"
    );
    let asked = || {
        at_features(settings())
            .input(authenticate("PLAIN", &children))
            .answer(credentials())
            .answer(right())
            .brings(&["resume romeo@a.example", "now finishing"])
    };
    asked().answer(resumed("romeo@a.example/earlier", 3)).brings(&[
        "write <success xmlns='urn:xmpp:sasl:2'><authorization-identifier>romeo@a.example/earlier\
         </authorization-identifier><resumed xmlns='urn:xmpp:sm:3' h='3' previd='CQkJCQkJCQkJCQkJCQkJCQ'/></success>",
        "up to 262144",
        "authenticated romeo@a.example PLAIN",
        "clear Negotiation",
        "set Idle",
        "retransmit behind 5",
        "now established",
    ]);
    let play = asked().answer(not_found(Some(2)));
    let play = play.brings(&[&format!(
        "claim romeo@a.example {:?}",
        rjabberd_c2s_proto::Resource::Made { prefix: String::new() }
    )
    .replace("Made { prefix: \"\" }", "None")]);
    let play = play.answer(Answer::Claimed(Ok(full("romeo@a.example/new")))).is("established");
    let written = play.written();
    assert!(
        written.starts_with(
            "<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>romeo@a.example/new</authorization-identifier>\
             <failed xmlns='urn:xmpp:sm:3' h='2'><item-not-found xmlns='…stanzas'/></failed>\
             <bound xmlns='urn:xmpp:bind:0'><enabled xmlns='urn:xmpp:sm:3' resume='true' \
             id='BwcHBwcHBwcHBwcHBwcHBw' max='600'/></bound></success><stream:features>"
        ),
        "{written}"
    );
    play.input(lost()).is("hibernated");
}

#[test]
fn a_guest_has_nobody_to_come_back_as() {
    use rjabberd_xmpp::sasl::Mechanism;
    let settings = crate::play::with_host(|host| host.mechanisms.push(Mechanism::Anonymous));
    let play = at_features(settings)
        .input(element("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>"));
    let play = play.is("awaiting_restart").input(crate::play::header("to='a.example'"));
    let play = play.input(element(crate::play::BIND_HOME));
    let play = play.answer(Answer::Claimed(Ok(full("guest@a.example/home")))).is("established");
    assert_eq!(play.input(element(ENABLE)).written(), "<enabled xmlns='urn:xmpp:sm:3'/>");
}

#[test]
fn control_ends_a_session_without_connection_and_says_nothing() {
    for control in CONTROLS {
        let play = managed(true).input(lost()).input(Input::Control(control)).is("closing");
        assert_eq!(play.written(), "", "{control:?}");
    }
}

#[test]
fn whether_somebody_uses_the_client_is_no_stanza_and_begins_anew_with_each_connection() {
    let play = managed(true).input(element("<inactive xmlns='urn:xmpp:csi:0'/>")).brings(&["active false"]);
    play.input(element("<active xmlns='urn:xmpp:csi:0'/>")).brings(&["active true"]);
    let children = format!(
        "{INITIAL_ROMEO}<bind xmlns='urn:xmpp:bind:0'><enable xmlns='urn:xmpp:carbons:2'/>\
             <inactive xmlns='urn:xmpp:csi:0'/></bind>"
    );
    let play = at_features(settings()).input(authenticate("PLAIN", &children)).answer(credentials());
    let play = play.answer(right()).answer(Answer::Claimed(Ok(full("romeo@a.example/home"))));
    let deeds: Vec<String> = play.deeds.iter().map(crate::play::line).collect();
    assert!(deeds.contains(&"carbons".to_owned()) && deeds.contains(&"active false".to_owned()), "{deeds:?}");
}
