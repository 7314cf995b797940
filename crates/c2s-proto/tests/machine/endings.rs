//! How streams end: by the client, by control, by deadlines, by loss; and that the session is given up once.

use rjabberd_c2s_proto::{Action, Ask, ControlInput, Deadline, Input, LostReason, Settings, State};

use crate::play::{
    DEADLINES, PLAIN_ROMEO, Play, REQUIRED, STARTTLS, at_bind, at_features, at_restart, bound, element, line,
    settings, tls_started, with_tls,
};

/// Bound, available, with directed presence to one.
fn talking() -> Play {
    bound(settings()).input(element("<presence/>")).input(element("<presence to='x@a.example'/>"))
}

const UNAVAILABLE: &str = "route <presence to='x@a.example' from='romeo@a.example/home' type='unavailable'/>";

#[test]
fn a_client_that_closes_its_stream_is_answered_in_kind() {
    talking().input(Input::StreamEnded).brings(&[
        "write </stream:stream>",
        UNAVAILABLE,
        "end romeo@a.example/home Some(0) [\"x@a.example\"] ClientClosed",
        "now closing",
        "close ClientClosed",
    ]);
    for play in [at_features(settings()), at_bind(settings())] {
        play.input(Input::StreamEnded).brings(&[
            "write </stream:stream>",
            "now closing",
            "close ClientClosed",
        ]);
    }
    at_restart(settings()).input(Input::StreamEnded).brings(&["now closing", "close ClientClosed"]);
}

#[test]
fn a_lost_connection_gives_the_session_up() {
    talking().input(Input::ConnectionLost(LostReason::Broken)).brings(&[
        UNAVAILABLE,
        "end romeo@a.example/home Some(0) [\"x@a.example\"] Lost(Broken)",
        "now closed",
        "drop Lost(Broken)",
    ]);
    Play::new(settings())
        .input(Input::ConnectionLost(LostReason::Eof))
        .brings(&["now closed", "drop Lost(Eof)"]);
}

#[test]
fn who_is_replaced_tells_nobody() {
    talking().input(Input::Control(ControlInput::Replaced)).brings(&[
        "write <stream:error><conflict xmlns='…streams'/>\
         <text xmlns='…streams' xml:lang='en'>Replaced by a new connection</text></stream:error></stream:stream>",
        "end romeo@a.example/home Some(0) [\"x@a.example\"] Replaced",
        "now closing",
        "close Replaced",
    ]);
}

/// The condition and the reason of each kind of control; exhaustive, so that a new one must be placed.
fn told(control: ControlInput) -> (&'static str, &'static str) {
    match control {
        ControlInput::Replaced => ("conflict", "Replaced"),
        ControlInput::Kicked => ("policy-violation", "Kicked"),
        ControlInput::Overflowed => ("resource-constraint", "Overflowed"),
        ControlInput::Evicted => ("resource-constraint", "Evicted"),
        ControlInput::AccountRemoved => ("not-authorized", "AccountRemoved"),
        ControlInput::CredentialsChanged => ("not-authorized", "CredentialsChanged"),
        ControlInput::Shutdown => ("system-shutdown", "Shutdown"),
        ControlInput::Panicked => ("internal-server-error", "Panicked"),
    }
}

pub(crate) const CONTROLS: [ControlInput; 8] = [
    ControlInput::Replaced,
    ControlInput::Kicked,
    ControlInput::Overflowed,
    ControlInput::Evicted,
    ControlInput::AccountRemoved,
    ControlInput::CredentialsChanged,
    ControlInput::Shutdown,
    ControlInput::Panicked,
];

#[test]
fn control_ends_a_stream_anywhere_with_its_own_error() {
    for control in CONTROLS {
        let (condition, reason) = told(control);
        for play in [talking(), talking().defer(Ask(7)), at_bind(settings()), Play::new(settings())] {
            let play = play.input(Input::Control(control)).is("closing");
            assert!(play.written().contains(&format!("<stream:error><{condition} ")), "{}", play.written());
            assert_eq!(play.deeds.last().map(line), Some(format!("close {reason}")));
        }
    }
}

#[test]
fn before_the_first_header_control_speaks_behind_a_header() {
    let play = Play::new(settings()).input(Input::Control(ControlInput::Shutdown));
    assert_eq!(
        play.written(),
        "[header from=a.example id=spare]<stream:error><system-shutdown xmlns='…streams'/></stream:error></stream:stream>"
    );
    let play = at_restart(settings()).input(Input::Control(ControlInput::Shutdown));
    assert!(
        play.written().starts_with("[header from=a.example id=spare]<stream:error>"),
        "{}",
        play.written()
    );
}

#[test]
fn while_tls_begins_nothing_is_said_in_plain() {
    let play = at_features(with_tls(REQUIRED)).input(element(STARTTLS));
    play.input(Input::Control(ControlInput::Shutdown)).brings(&["now closing", "close Shutdown"]);
}

#[test]
fn a_missing_header_times_out() {
    Play::new(settings()).input(Input::DeadlinePassed(Deadline::Header)).brings(&[
        "write [header from=a.example id=spare]<stream:error><connection-timeout xmlns='…streams'/></stream:error>\
         </stream:stream>",
        "now closing",
        "close TimedOut(Header)",
    ]);
}

#[test]
fn the_negotiation_as_a_whole_times_out_anywhere() {
    let places = [
        Play::new(settings()),
        at_features(settings()),
        at_features(settings()).input(element(PLAIN_ROMEO)),
        at_restart(settings()),
        at_bind(settings()),
    ];
    for play in places {
        let play = play.input(Input::DeadlinePassed(Deadline::Negotiation)).is("closing");
        assert!(play.written().contains("<connection-timeout "), "{}", play.written());
        assert_eq!(play.deeds.last().map(line), Some("close TimedOut(Negotiation)".to_owned()));
    }
    let starting = at_features(with_tls(REQUIRED)).input(element(STARTTLS));
    starting
        .input(Input::DeadlinePassed(Deadline::Negotiation))
        .brings(&["now closing", "close TimedOut(Negotiation)"]);
}

#[test]
fn a_deadline_that_passed_while_it_was_taken_back_changes_nothing() {
    at_features(settings()).input(Input::DeadlinePassed(Deadline::Header)).brings(&[]);
    let restarted = at_features(with_tls(REQUIRED)).input(element(STARTTLS)).input(tls_started());
    restarted.input(Input::DeadlinePassed(Deadline::Header)).brings(&[]);
    talking().input(Input::DeadlinePassed(Deadline::Negotiation)).brings(&[]);
    talking().input(Input::DeadlinePassed(Deadline::PingAnswer)).brings(&[]);
    at_bind(settings()).input(Input::DeadlinePassed(Deadline::Idle)).brings(&[]);
}

#[test]
fn behind_the_last_word_nothing_is_said() {
    let play = talking().input(Input::Control(ControlInput::Kicked)).is("closing");
    let mut play = play.input(element("<message to='x@a.example'/>")).brings(&[]);
    for deadline in DEADLINES {
        play = play.input(Input::DeadlinePassed(deadline)).brings(&[]);
    }
    let play = play.input(Input::Control(ControlInput::Shutdown)).brings(&[]).is("closing");
    let play = play.input(Input::StreamEnded).brings(&["now closed"]);
    play.input(Input::ConnectionLost(LostReason::Eof)).brings(&[]);
}

#[test]
fn a_panic_ends_the_session_that_the_shell_kept() {
    let session = talking().state.session().cloned();
    let mut deeds = Vec::new();
    let state = State::panicked(session, &mut deeds);
    assert_eq!(state.name(), "closing");
    assert_eq!(
        deeds.iter().map(line).collect::<Vec<_>>(),
        [
            "write <stream:error><internal-server-error xmlns='…streams'/></stream:error></stream:stream>",
            UNAVAILABLE,
            "end romeo@a.example/home Some(0) [\"x@a.example\"] Panicked",
            "close Panicked",
        ]
    );
    deeds.clear();
    State::panicked(None, &mut deeds);
    assert_eq!(deeds.iter().map(line).collect::<Vec<_>>(), ["close Panicked"]);
}

#[test]
fn after_the_end_there_is_neither_session_nor_account() {
    let play = talking().input(Input::StreamEnded);
    assert!(play.state.session().is_none() && play.state.account().is_none());
    assert!(!play.state.wants_element() && !play.state.wants_delivery());
}

#[test]
fn an_input_out_of_turn_is_a_fault_of_ours() {
    let settings = || Settings { ..settings() };
    for play in [
        at_features(settings()).input(tls_started()),
        at_features(settings()).input(Input::BytesBehindStartTls),
        at_features(settings()).input(Input::RouteDeferred(Ask(1))),
        at_features(settings()).input(element(PLAIN_ROMEO)).input(element(PLAIN_ROMEO)),
        bound(settings()).defer(Ask(7)).input(Input::RouteDeferred(Ask(8))),
    ] {
        let play = play.is("closing");
        assert!(play.written().contains("<internal-server-error "), "{}", play.written());
        let ended = play.deeds.iter().filter(|action| matches!(action, Action::EndSession(..))).count();
        assert!(ended <= 1);
    }
}
