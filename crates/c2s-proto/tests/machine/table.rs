//! Every (state, input) pair and what becomes of it.
//!
//! The two enumerations mirror [`State`] and [`Input`]: a new variant of either does not compile until it has a place
//! here, and the table does not compile until it has a row or a column for it.

use rjabberd_c2s_proto::{
    Answer, Ask, CloseReason, ControlInput, Deadline, Input, LostReason, State, Unavailable,
};
use rjabberd_xml::XmlError;
use rjabberd_xmpp::{StreamCondition, management::TooHigh};

use crate::management::{RESUME, managed, resumed};
use crate::play::{
    AUTHENTICATE, BIND_HOME, OFFERED, PLAIN_ROMEO, Play, REGISTER, STARTTLS, at_bind, at_features, at_finish,
    at_restart, at_task, bound, credentials, element, fresh, full, header, right, settings, tls_started,
    with_host, with_tls,
};

macro_rules! enumeration {
    ($(#[$doc:meta])* $name:ident { $($variant:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum $name { $($variant),* }
        impl $name {
            const ALL: &[$name] = &[$($name::$variant),*];
        }
    };
}

enumeration! {
    /// A state.
    Place {
        AwaitingHeader, AwaitingFeature, StartingTls, LookingUp, Checking, AwaitingResponse, AwaitingTask, Finishing,
        Registering, AwaitingRestart, AwaitingBind, Claiming, Resuming, Established, Deferred, Hibernated, Closing, Closed,
    }
}

enumeration! {
    /// An input, elements and answers by what they are.
    Event {
        Header, StartTls, Auth, Response, Abort, Auth2, Response2, Abort2, Next, TaskData, Bind, Register, Message, Enable, Resume, Request, Acknowledge, Inactive, Unknown, End, Refused, Lost, Behind, TlsUp,
        Answer, LateAnswer, LateClaim, Deferral, HeaderTime, NegotiationTime, IdleTime, PingTime, AcknowledgementTime, ResumptionTime, TooHigh, TooMuchHeld, WindowPassed, Control,
    }
}

fn place_of(state: &State) -> Place {
    match state {
        State::AwaitingHeader(_) => Place::AwaitingHeader,
        State::AwaitingFeature(_) => Place::AwaitingFeature,
        State::StartingTls(_) => Place::StartingTls,
        State::LookingUp(_) => Place::LookingUp,
        State::Checking(_) => Place::Checking,
        State::AwaitingResponse(_) => Place::AwaitingResponse,
        State::AwaitingTask(_) => Place::AwaitingTask,
        State::Finishing(_) => Place::Finishing,
        State::Registering(_) => Place::Registering,
        State::AwaitingRestart(_) => Place::AwaitingRestart,
        State::AwaitingBind(_) => Place::AwaitingBind,
        State::Claiming(_) => Place::Claiming,
        State::Resuming(_) => Place::Resuming,
        State::Established(_) => Place::Established,
        State::Deferred(..) => Place::Deferred,
        State::Hibernated(..) => Place::Hibernated,
        State::Closing(_) => Place::Closing,
        State::Closed(_) => Place::Closed,
    }
}

/// The events that a kind of input appears as.
fn events_of(input: &Input) -> &'static [Event] {
    match input {
        Input::HeaderRead(..) => &[Event::Header],
        Input::ElementRead(_) => &[
            Event::StartTls,
            Event::Auth,
            Event::Response,
            Event::Abort,
            Event::Auth2,
            Event::Response2,
            Event::Abort2,
            Event::Next,
            Event::TaskData,
            Event::Bind,
            Event::Register,
            Event::Message,
            Event::Enable,
            Event::Resume,
            Event::Request,
            Event::Acknowledge,
            Event::Inactive,
            Event::Unknown,
        ],
        Input::StreamEnded => &[Event::End],
        Input::XmlRefused(..) => &[Event::Refused],
        Input::ConnectionLost(_) => &[Event::Lost],
        Input::BytesBehindStartTls => &[Event::Behind],
        Input::TlsStarted(_) => &[Event::TlsUp],
        Input::Answered(_, answer) => match answer {
            Answer::Claimed(_) => &[Event::LateClaim, Event::Answer],
            Answer::Credentials { .. }
            | Answer::PasswordChecked(_)
            | Answer::Tokens { .. }
            | Answer::TokensChanged(_)
            | Answer::KeysStored(_)
            | Answer::Resumed(_)
            | Answer::Reply(_)
            | Answer::Unavailable(_) => &[Event::Answer, Event::LateAnswer],
        },
        Input::RouteDeferred(_) => &[Event::Deferral],
        Input::DeadlinePassed(deadline) => match deadline {
            Deadline::Header => &[Event::HeaderTime],
            Deadline::Negotiation => &[Event::NegotiationTime],
            Deadline::Idle => &[Event::IdleTime],
            Deadline::PingAnswer => &[Event::PingTime],
            Deadline::Acknowledgement => &[Event::AcknowledgementTime],
            Deadline::Resumption => &[Event::ResumptionTime],
        },
        Input::HandledTooHigh(_) => &[Event::TooHigh],
        Input::TooMuchHeld => &[Event::TooMuchHeld],
        Input::WindowPassed => &[Event::WindowPassed],
        // Which control it is makes a difference of words only: `endings` names each.
        Input::Control(_) => &[Event::Control],
    }
}

/// TLS is offered and not up; registration is on.
fn in_plain() -> Play {
    at_features(rjabberd_c2s_proto::Settings { tls: OFFERED, ..with_host(|host| host.registration = true) })
}

fn reach(place: Place) -> Play {
    match place {
        Place::AwaitingHeader => Play::new(settings()),
        Place::AwaitingFeature => in_plain(),
        Place::StartingTls => at_features(with_tls(OFFERED)).input(element(STARTTLS)),
        Place::LookingUp => at_features(settings()).input(element(PLAIN_ROMEO)),
        Place::Checking => at_features(settings()).input(element(PLAIN_ROMEO)).answer(credentials()),
        Place::AwaitingResponse => at_features(with_host(|host| host.registration = true))
            .input(element("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'/>")),
        Place::AwaitingTask => at_task(),
        Place::Finishing => at_finish(),
        Place::Registering => in_plain().input(element(REGISTER)),
        Place::AwaitingRestart => at_restart(settings()),
        Place::AwaitingBind => at_bind(settings()),
        Place::Claiming => at_bind(settings()).input(element(BIND_HOME)),
        Place::Resuming => at_bind(settings()).input(element(RESUME)),
        Place::Established => managed(true),
        Place::Deferred => managed(true).defer(Ask(900)),
        Place::Hibernated => managed(true).input(Input::ConnectionLost(LostReason::Eof)),
        Place::Closing => bound(settings()).input(Input::Control(ControlInput::Kicked)),
        Place::Closed => bound(settings()).input(Input::ConnectionLost(LostReason::Eof)),
    }
}

fn make(event: Event, play: &Play) -> Input {
    let answer = match place_of(&play.state) {
        Place::LookingUp => credentials(),
        Place::Checking => right(),
        Place::Claiming | Place::Finishing => Answer::Claimed(Ok(full("romeo@a.example/home"))),
        Place::Registering | Place::Deferred => Answer::Reply(None),
        Place::Resuming => resumed("romeo@a.example/earlier", 3),
        _ => Answer::Unavailable(Unavailable),
    };
    match event {
        Event::Header => header("to='a.example'"),
        Event::StartTls => element(STARTTLS),
        Event::Auth => element(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>biwsbj11LHI9eA==</auth>",
        ),
        Event::Response => {
            element("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>biwsbj11LHI9eA==</response>")
        }
        Event::Abort => element("<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"),
        Event::Auth2 => element(AUTHENTICATE),
        Event::Response2 => element("<response xmlns='urn:xmpp:sasl:2'>AHJvbWVvAHNlY3JldA==</response>"),
        Event::Abort2 => element("<abort xmlns='urn:xmpp:sasl:2'/>"),
        Event::Next => element("<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-1'/>"),
        Event::TaskData => element("<task-data xmlns='urn:xmpp:sasl:2'/>"),
        Event::Bind => element(BIND_HOME),
        Event::Register => element(REGISTER),
        Event::Message => element("<message to='juliet@a.example'/>"),
        Event::Enable => element("<enable xmlns='urn:xmpp:sm:3'/>"),
        Event::Resume => element(RESUME),
        Event::Request => element("<r xmlns='urn:xmpp:sm:3'/>"),
        Event::Acknowledge => element("<a xmlns='urn:xmpp:sm:3' h='0'/>"),
        Event::Inactive => element("<inactive xmlns='urn:xmpp:csi:0'/>"),
        Event::Unknown => element("<pubsub/>"),
        Event::End => Input::StreamEnded,
        Event::Refused => Input::XmlRefused(XmlError::NotWellFormed("x"), fresh("s")),
        Event::Lost => Input::ConnectionLost(LostReason::Eof),
        Event::Behind => Input::BytesBehindStartTls,
        Event::TlsUp => tls_started(),
        Event::Answer => Input::Answered(play.ask, answer),
        Event::LateAnswer => Input::Answered(Ask(999), Answer::Unavailable(Unavailable)),
        Event::LateClaim => Input::Answered(Ask(999), Answer::Claimed(Ok(full("romeo@a.example/late")))),
        Event::Deferral => Input::RouteDeferred(Ask(900)),
        Event::HeaderTime => Input::DeadlinePassed(Deadline::Header),
        Event::NegotiationTime => Input::DeadlinePassed(Deadline::Negotiation),
        Event::IdleTime => Input::DeadlinePassed(Deadline::Idle),
        Event::PingTime => Input::DeadlinePassed(Deadline::PingAnswer),
        Event::AcknowledgementTime => Input::DeadlinePassed(Deadline::Acknowledgement),
        Event::ResumptionTime => Input::DeadlinePassed(Deadline::Resumption),
        Event::TooHigh => Input::HandledTooHigh(TooHigh { h: 3, sent: 2 }),
        Event::TooMuchHeld => Input::TooMuchHeld,
        Event::WindowPassed => Input::WindowPassed,
        Event::Control => Input::Control(ControlInput::Shutdown),
    }
}

/// What becomes of a pair, in a word of the table.
fn becomes(before: Place, play: &Play) -> &'static str {
    let after = place_of(&play.state);
    if after == before {
        return if play.deeds.is_empty() { "-" } else { "." };
    }
    match &play.state {
        State::Closing(reason) | State::Closed(reason) if before != Place::Closing => match reason {
            CloseReason::ClientClosed => "end",
            CloseReason::StreamError(StreamCondition::InternalServerError) => "fault",
            CloseReason::StreamError(StreamCondition::NotAuthorized) => "auth!",
            CloseReason::StreamError(StreamCondition::UnsupportedStanzaType) => "type!",
            CloseReason::StreamError(StreamCondition::NotWellFormed) => "xml!",
            CloseReason::StreamError(StreamCondition::PolicyViolation) => "policy!",
            CloseReason::StreamError(StreamCondition::UndefinedCondition) => "high!",
            CloseReason::StreamError(StreamCondition::ResourceConstraint) => "much!",
            CloseReason::Overflowed => "full!",
            CloseReason::StartTlsFailed => "tls!",
            CloseReason::Shutdown => "down",
            CloseReason::TimedOut(_) => "time!",
            CloseReason::Lost(_) => "lost",
            other => panic!("no word for {other:?}"),
        },
        _ => word(after),
    }
}

fn word(place: Place) -> &'static str {
    match place {
        Place::AwaitingHeader => "Header",
        Place::AwaitingFeature => "Feature",
        Place::StartingTls => "Tls",
        Place::LookingUp => "LookUp",
        Place::Checking => "Check",
        Place::AwaitingResponse => "Response",
        Place::AwaitingTask => "Task",
        Place::Finishing => "Finish",
        Place::Registering => "Register",
        Place::AwaitingRestart => "Restart",
        Place::AwaitingBind => "Bind",
        Place::Claiming => "Claim",
        Place::Resuming => "Resume",
        Place::Established => "Estab",
        Place::Deferred => "Defer",
        Place::Hibernated => "Hibern",
        Place::Closing => "Closing",
        Place::Closed => "Closed",
    }
}

/// Columns: states. Rows: inputs. Cells: the new state, or how the stream ends (`fault`: the shell's, so
/// internal-server-error; `auth!` not-authorized, `type!` unsupported-stanza-type, `xml!` not-well-formed, `tls!` STARTTLS
/// failed, `policy!` policy-violation, `high!` undefined-condition, `much!` resource-constraint, `full!` too much waits,
/// `time!` a deadline, `end` by the client, `down` by control), or `.`: something is done and the state stays, or
/// `-`: nothing at all.
const TABLE: &str = "
                    Header   Feature  Tls      LookUp   Check    Response Task     Finish   Register Restart  Bind     Claim    Resume   Estab    Defer    Hibern   Closing  Closed
Header              Feature  fault    fault    fault    fault    fault    fault    fault    fault    Bind     fault    fault    fault    fault    fault    -        -        -
StartTls            fault    Tls      fault    fault    fault    tls!     auth!    fault    fault    fault    tls!     fault    fault    tls!     fault    -        -        -
Auth                fault    LookUp   fault    fault    fault    LookUp   auth!    fault    fault    fault    auth!    fault    fault    auth!    fault    -        -        -
Response            fault    .        fault    fault    fault    LookUp   auth!    fault    fault    fault    auth!    fault    fault    auth!    fault    -        -        -
Abort               fault    .        fault    fault    fault    Feature  auth!    fault    fault    fault    auth!    fault    fault    auth!    fault    -        -        -
Auth2               fault    .        fault    fault    fault    LookUp   auth!    fault    fault    fault    auth!    fault    fault    auth!    fault    -        -        -
Response2           fault    .        fault    fault    fault    Feature  auth!    fault    fault    fault    auth!    fault    fault    auth!    fault    -        -        -
Abort2              fault    .        fault    fault    fault    Feature  Feature  fault    fault    fault    auth!    fault    fault    auth!    fault    -        -        -
Next                fault    type!    fault    fault    fault    type!    .        fault    fault    fault    auth!    fault    fault    auth!    fault    -        -        -
TaskData            fault    type!    fault    fault    fault    type!    Feature  fault    fault    fault    auth!    fault    fault    auth!    fault    -        -        -
Bind                fault    auth!    fault    fault    fault    auth!    auth!    fault    fault    fault    Claim    fault    fault    .        fault    -        -        -
Register            fault    Register fault    fault    fault    Register auth!    fault    fault    fault    .        fault    fault    .        fault    -        -        -
Message             fault    auth!    fault    fault    fault    auth!    auth!    fault    fault    fault    auth!    fault    fault    .        fault    -        -        -
Enable              fault    type!    fault    fault    fault    type!    auth!    fault    fault    fault    .        fault    fault    policy!  fault    -        -        -
Resume              fault    type!    fault    fault    fault    type!    auth!    fault    fault    fault    Resume   fault    fault    .        fault    -        -        -
Request             fault    type!    fault    fault    fault    type!    auth!    fault    fault    fault    .        fault    fault    .        fault    -        -        -
Acknowledge         fault    type!    fault    fault    fault    type!    auth!    fault    fault    fault    .        fault    fault    .        fault    -        -        -
Inactive            fault    type!    fault    fault    fault    type!    auth!    fault    fault    fault    type!    fault    fault    .        fault    -        -        -
Unknown             fault    type!    fault    fault    fault    type!    auth!    fault    fault    fault    type!    fault    fault    type!    fault    -        -        -
End                 end      end      end      end      end      end      end      end      end      end      end      end      end      end      end      -        Closed   -
Refused             xml!     xml!     xml!     xml!     xml!     xml!     xml!     xml!     xml!     xml!     xml!     xml!     xml!     xml!     xml!     -        -        -
Lost                lost     lost     lost     lost     lost     lost     lost     lost     lost     lost     lost     lost     lost     Hibern   Hibern   -        Closed   -
Behind              fault    fault    tls!     fault    fault    fault    fault    fault    fault    fault    fault    fault    fault    fault    fault    -        -        -
TlsUp               fault    fault    Header   fault    fault    fault    fault    fault    fault    fault    fault    fault    fault    fault    fault    -        -        -
Answer              -        -        -        Check    Restart  -        -        Estab    Feature  -        -        Estab    Estab    -        Estab    -        -        -
LateAnswer          -        -        -        -        -        -        -        -        -        -        -        -        -        -        -        -        -        -
LateClaim           .        .        .        .        .        .        .        .        .        .        .        .        .        .        .        .        .        .
Deferral            fault    fault    fault    fault    fault    fault    fault    fault    fault    fault    fault    fault    fault    Defer    fault    -        -        -
HeaderTime          time!    -        -        -        -        -        -        -        -        -        -        -        -        -        -        -        -        -
NegotiationTime     time!    time!    time!    time!    time!    time!    time!    time!    time!    time!    time!    time!    time!    -        -        -        -        -
IdleTime            -        -        -        -        -        -        -        -        -        -        -        -        -        .        .        -        -        -
PingTime            -        -        -        -        -        -        -        -        -        -        -        -        -        -        -        -        -        -
AcknowledgementTime -        -        -        -        -        -        -        -        -        -        -        -        -        Hibern   Hibern   -        -        -
ResumptionTime      -        -        -        -        -        -        -        -        -        -        -        -        -        -        -        time!    -        -
TooHigh             fault    fault    fault    fault    fault    fault    fault    fault    fault    fault    fault    fault    fault    high!    high!    -        -        -
TooMuchHeld         much!    much!    much!    much!    much!    much!    much!    much!    much!    much!    much!    much!    much!    much!    much!    -        -        -
WindowPassed        -        -        -        -        -        -        -        -        -        -        -        -        -        .        .        full!    -        -
Control             down     down     down     down     down     down     down     down     down     down     down     down     down     down     down     down     -        -
";

#[test]
fn every_pair_is_named() {
    let mut actual = format!("\n{:<19}", "");
    for place in Place::ALL {
        actual += &format!(" {:<8}", word(*place));
    }
    for event in Event::ALL {
        actual = format!("{}\n{:<19}", actual.trim_end(), format!("{event:?}"));
        for place in Place::ALL {
            let play = reach(*place);
            assert_eq!(place_of(&play.state), *place);
            let input = make(*event, &play);
            assert!(events_of(&input).contains(event), "{event:?}");
            actual += &format!(" {:<8}", becomes(*place, &play.input(input)));
        }
    }
    let actual = format!("{}\n", actual.trim_end());
    for (actual, expected) in actual.lines().zip(TABLE.lines()) {
        assert_eq!(actual, expected);
    }
    assert_eq!(actual, TABLE, "{actual}");
}
