//! Stanzas of an established session: addresses, presence, answers that come later, pings.

use rjabberd_c2s_proto::{Answer, Ask, Deadline, Input, Unavailable};

use crate::play::{BIND_HOME, Play, STARTTLS, bound, check, element, settings, stanza};

fn home() -> Play {
    bound(settings())
}

#[track_caller]
fn ends_with(stanza: &str, condition: &str) {
    let play = home().input(element(stanza)).is("closing");
    assert!(play.written().contains(&format!("<{condition} ")), "{stanza}: {}", play.written());
}

#[test]
fn a_stanza_is_stamped_and_routed() {
    check(
        home(),
        vec![
            (
                element("<message to='juliet@a.example' type='chat' id='1'><body>O</body></message>"),
                &["route <message to='juliet@a.example' from='romeo@a.example/home' id='1' type='chat' \
                   xml:lang='de'><body>O</body></message>"],
            ),
            (
                element("<message from='romeo@a.example' xml:lang='fr'/>"),
                &["route <message from='romeo@a.example/home' xml:lang='fr'/>"],
            ),
            (
                element(
                    "<iq type='get' id='2' from='Romeo@A.example/home'><ping xmlns='urn:xmpp:ping'/></iq>",
                ),
                &["route <iq from='romeo@a.example/home' id='2' type='get' xml:lang='de'>\
                   <ping xmlns='urn:xmpp:ping'/></iq>"],
            ),
        ],
    );
}

#[test]
fn a_subscription_is_stamped_like_all_else() {
    for kind in ["subscribe", "subscribed", "unsubscribe", "unsubscribed"] {
        let play = home().input(element(&format!("<presence to='juliet@a.example' type='{kind}'/>")));
        play.brings(&[&format!(
            "route <presence to='juliet@a.example' from='romeo@a.example/home' type='{kind}' xml:lang='de'/>"
        )]);
    }
}

#[test]
fn a_stanza_in_the_name_of_another_ends_the_stream() {
    ends_with("<message to='x@a.example' from='juliet@a.example'/>", "invalid-from");
    ends_with("<message to='x@a.example' from='romeo@a.example/away'/>", "invalid-from");
    ends_with("<message to='x@a.example' from='a.example'/>", "invalid-from");
    ends_with("<message to='x@a.example' from='@@@'/>", "invalid-from");
    ends_with("<iq type='nonsense' id='1' from='juliet@a.example'/>", "invalid-from");
}

#[test]
fn what_is_no_stanza_ends_the_stream() {
    ends_with("<pubsub/>", "unsupported-stanza-type");
    ends_with("<enabled xmlns='urn:xmpp:sm:3'/>", "unsupported-stanza-type");
    ends_with("<features xmlns='http://etherx.jabber.org/streams'/>", "unsupported-stanza-type");
}

#[test]
fn starttls_in_a_session_fails_and_gives_the_session_up() {
    home().input(element(STARTTLS)).brings(&[
        "write <failure xmlns='…tls'/></stream:stream>",
        "end romeo@a.example/home None [] StartTlsFailed",
        "now closing",
        "close StartTlsFailed",
    ]);
}

#[test]
fn a_bad_stanza_is_answered_and_the_stream_goes_on() {
    for bad in [
        "<iq type='get' id='1' to='a.example'/>",
        "<iq type='get' id='1' to='a.example'><x xmlns='x'/><y xmlns='y'/></iq>",
        "<iq type='nonsense' id='1' to='a.example'><x xmlns='x'/></iq>",
        "<iq type='get' to='a.example'><x xmlns='x'/></iq>",
        "<presence type='nonsense' to='a.example'/>",
    ] {
        let play = home().input(element(bad)).is("established");
        assert!(play.written().contains("<bad-request "), "{bad}: {}", play.written());
        assert!(play.written().contains(" to='romeo@a.example/home'"), "{bad}: {}", play.written());
        assert!(play.written().contains(" from='a.example'"), "{bad}: {}", play.written());
    }
    let play = home().input(element("<message to='@@@'/>")).is("established");
    assert!(play.written().contains("<jid-malformed "), "{}", play.written());
}

#[test]
fn an_error_is_never_answered() {
    check(
        home(),
        vec![
            (element("<message type='error' to='@@@'/>"), &[]),
            (element("<presence type='error'/>"), &[]),
            (element("<iq type='result' id='1'><x xmlns='x'/><y xmlns='y'/></iq>"), &[]),
        ],
    );
}

#[test]
fn a_session_request_is_answered_by_nothing() {
    let session = "<iq type='set' id='s' to='TO'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>";
    for (to, from) in [
        ("a.example", " from='a.example'"),
        ("romeo@a.example", " from='romeo@a.example'"),
        ("romeo@a.example/home", " from='romeo@a.example/home'"),
    ] {
        let play = home().input(element(&session.replace("TO", to)));
        play.brings(&[&format!("write <iq to='romeo@a.example/home'{from} id='s' type='result'/>")]);
    }
    let play = home().input(element(&session.replace(" to='TO'", "")));
    let play = play.brings(&["write <iq to='romeo@a.example/home' id='s' type='result'/>"]);
    assert!(play.input(element(&session.replace("TO", "juliet@a.example"))).deeds.len() == 1);
    let get = session.replace(" to='TO'", "").replace("set", "get");
    let line = crate::play::line(&home().input(element(&get)).deeds[0]);
    assert!(line.starts_with("route <iq "), "RFC 3921, 3 knows a set only: {line}");
}

#[test]
fn what_is_not_for_this_server_is_routed_even_if_it_binds() {
    let play = home().input(element(&BIND_HOME.replace("id='b'", "id='b' to='juliet@a.example/x'")));
    assert!(crate::play::line(&play.deeds[0]).starts_with("route <iq "), "{}", play.written());
}

#[test]
fn presence_sets_the_priority_of_the_session() {
    let play = check(
        home(),
        vec![
            (
                element("<presence/>"),
                &["presence Some(0): <presence from='romeo@a.example/home' xml:lang='de'/>"],
            ),
            (
                element("<presence><priority>-128</priority></presence>"),
                &["presence Some(-128): <presence from='romeo@a.example/home' xml:lang='de'>\
                   <priority>-128</priority></presence>"],
            ),
        ],
    );
    assert_eq!(play.state.session().unwrap().priority, Some(-128));
    let play = play
        .input(element("<presence type='unavailable'/>"))
        .brings(&["presence None: <presence from='romeo@a.example/home' type='unavailable' xml:lang='de'/>"]);
    assert_eq!(play.state.session().unwrap().priority, None);
}

#[test]
fn a_bad_priority_is_a_bad_request() {
    for priority in ["128", "-129", "x", "", "1.5", "1<x/>"] {
        let play = home().input(element(&format!("<presence><priority>{priority}</priority></presence>")));
        assert!(play.written().contains("<bad-request "), "{priority}: {}", play.written());
        assert_eq!(play.state.session().unwrap().priority, None);
    }
    let two = "<presence><priority>1</priority><priority>1</priority></presence>";
    assert!(home().input(element(two)).written().contains("<bad-request "));
    let foreign = "<presence><priority xmlns='x'>high</priority></presence>";
    assert_eq!(home().input(element(foreign)).state.session().unwrap().priority, Some(0));
}

#[test]
fn a_subscription_with_nobody_is_a_bad_request() {
    for kind in ["subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe"] {
        let play = home().input(element(&format!("<presence type='{kind}'/>")));
        assert!(play.written().contains("<bad-request "), "{kind}: {}", play.written());
    }
}

fn directed(play: &Play) -> Vec<&str> {
    play.state.session().unwrap().directed.iter().map(|jid| jid.as_str()).collect()
}

#[test]
fn directed_presence_is_remembered_until_it_is_taken_back() {
    let play = home()
        .input(element("<presence to='room@a.example/romeo'/>"))
        .brings(&["route <presence to='room@a.example/romeo' from='romeo@a.example/home' xml:lang='de'/>"]);
    let play = play.input(element("<presence to='room@a.example/romeo'/>"));
    assert_eq!(directed(&play), ["room@a.example/romeo"]);
    let play = play.input(element("<presence to='room@a.example/romeo' type='unavailable'/>")).brings(&[
        "route <presence to='room@a.example/romeo' from='romeo@a.example/home' type='unavailable' xml:lang='de'/>",
    ]);
    assert_eq!(directed(&play), [""; 0]);
}

#[test]
fn directed_presence_to_oneself_is_owed_to_nobody() {
    let play = home().input(element("<presence to='romeo@a.example/home'/>"));
    assert_eq!((directed(&play).len(), play.deeds.len()), (0, 1));
}

#[test]
fn who_is_one_too_many_is_refused_and_nobody_is_forgotten() {
    let play =
        home().input(element("<presence to='x@a.example'/>")).input(element("<presence to='y@a.example'/>"));
    let play = play.input(element("<presence to='z@a.example'/>"));
    assert_eq!(play.deeds.len(), 1);
    assert!(play.written().contains("<resource-constraint "), "{}", play.written());
    assert_eq!(directed(&play), ["x@a.example", "y@a.example"]);
    let play = play.input(element("<presence to='x@a.example'/>"));
    assert!(play.written().is_empty());
}

#[test]
fn whoever_got_directed_presence_gets_the_same_unavailable() {
    let play = home().input(element("<presence/>")).input(element("<presence to='x@a.example'/>"));
    let play = play.input(element("<presence type='unavailable'><status>bye</status></presence>"));
    let play = play.brings(&[
        "route <presence to='x@a.example' from='romeo@a.example/home' type='unavailable' xml:lang='de'>\
         <status>bye</status></presence>",
        "presence None: <presence from='romeo@a.example/home' type='unavailable' xml:lang='de'>\
         <status>bye</status></presence>",
    ]);
    assert_eq!(directed(&play), [""; 0]);
}

#[test]
fn an_iq_that_is_answered_later_holds_back_what_the_client_sends_next_and_nothing_else() {
    let play = home().input(element("<iq type='get' id='1'><x xmlns='x'/></iq>")).defer(Ask(7));
    let play = play.brings(&["now deferred"]);
    assert!(!play.state.wants_element() && play.state.wants_delivery());
    assert!(play.state.session().is_some());
    let play = play.input(Input::Answered(Ask(6), Answer::Reply(None))).brings(&[]);
    let reply = stanza("<iq type='result' id='1' to='romeo@a.example/home'/>");
    let play = play.answer(Answer::Reply(Some(reply)));
    let play =
        play.brings(&["write <iq to='romeo@a.example/home' id='1' type='result'/>", "now established"]);
    assert!(play.state.wants_element());
    play.defer(Ask(8)).answer(Answer::Reply(None)).brings(&["now established"]);
}

#[test]
fn an_iq_without_an_answer_lets_the_client_go_on() {
    let play = home().input(element("<iq type='get' id='1'><x xmlns='x'/></iq>")).defer(Ask(7));
    play.answer(Answer::Unavailable(Unavailable)).brings(&["now established"]);
}

const PING: &str = "write <iq to='romeo@a.example/home' from='a.example' id='ping-1' type='get'>\
     <ping xmlns='urn:xmpp:ping'/></iq>";

fn pong(id: &str) -> Input {
    element(&format!("<iq type='result' id='{id}' to='a.example'/>"))
}

#[test]
fn an_idle_client_is_pinged_and_its_answer_goes_no_further() {
    let play = home().input(Input::DeadlinePassed(Deadline::Idle)).brings(&[PING, "set PingAnswer"]);
    let play = play.input(pong("ping-1")).brings(&["clear PingAnswer", "set Idle"]);
    let play = play.input(Input::DeadlinePassed(Deadline::PingAnswer)).brings(&[]);
    let play = play.input(Input::DeadlinePassed(Deadline::Idle));
    assert!(play.written().contains("id='ping-2'"), "{}", play.written());
    let error = "<iq type='error' id='ping-2'><error type='cancel'>\
                 <service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>";
    play.input(element(error)).brings(&["clear PingAnswer", "set Idle"]).is("established");
}

#[test]
fn any_element_is_an_answer_and_the_real_one_is_still_ours() {
    let play = home().input(Input::DeadlinePassed(Deadline::Idle));
    let play = play.input(element("<message to='x@a.example'/>")).brings(&[
        "clear PingAnswer",
        "set Idle",
        "route <message to='x@a.example' from='romeo@a.example/home' xml:lang='de'/>",
    ]);
    let play = play.input(pong("ping-1")).brings(&[]);
    assert_eq!(play.input(pong("ping-1")).deeds.len(), 1, "only the first is an answer of ours");
}

#[test]
fn answers_to_others_are_routed() {
    let play = home().input(pong("ping-0"));
    assert_eq!(play.deeds.len(), 1);
    let play = home().input(Input::DeadlinePassed(Deadline::Idle));
    let elsewhere = element("<iq type='result' id='ping-1' to='juliet@a.example/x'/>");
    assert_eq!(play.input(elsewhere).deeds.len(), 3);
}

#[test]
fn a_client_that_does_not_answer_is_lost() {
    let play =
        home().input(element("<presence to='x@a.example'/>")).input(Input::DeadlinePassed(Deadline::Idle));
    play.input(Input::DeadlinePassed(Deadline::PingAnswer)).brings(&[
        "route <presence to='x@a.example' from='romeo@a.example/home' type='unavailable'/>",
        "end romeo@a.example/home None [\"x@a.example\"] TimedOut(PingAnswer)",
        "now closed",
        "drop TimedOut(PingAnswer)",
    ]);
}

#[test]
fn a_client_whose_elements_wait_is_not_lost_for_its_silence() {
    let play =
        home().defer(Ask(7)).input(Input::DeadlinePassed(Deadline::Idle)).brings(&[PING, "set PingAnswer"]);
    let play =
        play.input(Input::DeadlinePassed(Deadline::PingAnswer)).brings(&["set PingAnswer"]).is("deferred");
    play.answer(Answer::Reply(None)).input(Input::DeadlinePassed(Deadline::PingAnswer)).is("closed");
}
