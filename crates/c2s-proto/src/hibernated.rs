//! A session whose connection is gone and which waits to be resumed (XEP-0198, 5).
//!
//! It is available as before; what comes for it waits. Nobody hears it: whatever it would say is for its next connection.
//! It ends when nobody has resumed it in time, or as any session ends.

use crate::{
    Action, Answer, Ask, CloseReason, Deadline, Input, State,
    closing::{Leaving, Voice},
    established::Established,
    speech,
};

/// The session waits for no answer. No question has this number.
pub(crate) const NOTHING: Ask = Ask(0);

/// The connection is gone, for this reason.
pub(crate) fn begin(state: Box<Established>, ask: Ask, reason: CloseReason, out: &mut Vec<Action>) -> State {
    out.push(Action::Hibernate(reason));
    out.push(Action::SetDeadline(Deadline::Resumption));
    State::Hibernated(state, ask)
}

pub(crate) fn on(state: Box<Established>, awaited: Ask, input: Input, out: &mut Vec<Action>) -> State {
    match input {
        Input::Control(control) => leaving(*state).ordered(control, out),
        Input::DeadlinePassed(deadline @ Deadline::Resumption) => {
            leaving(*state).lost(CloseReason::TimedOut(deadline), out)
        }
        // What waits is more than is kept.
        Input::WindowPassed => leaving(*state).lost(CloseReason::Overflowed, out),
        Input::Answered(ask, answer) if ask == awaited => {
            if let Answer::Reply(Some(reply)) = answer {
                speech::stanza(&reply, out);
            }
            State::Hibernated(state, NOTHING)
        }
        // Of the connection that is gone, or of a deadline that was taken back.
        Input::HeaderRead(..)
        | Input::ElementRead(_)
        | Input::StreamEnded
        | Input::XmlRefused(..)
        | Input::ConnectionLost(_)
        | Input::BytesBehindStartTls
        | Input::TlsStarted(_)
        | Input::Answered(..)
        | Input::RouteDeferred(_)
        | Input::HandledTooHigh(_)
        | Input::TooMuchHeld
        | Input::DeadlinePassed(_) => State::Hibernated(state, awaited),
    }
}

fn leaving(state: Established) -> Leaving {
    Leaving { voice: Voice::Mute, ..Leaving::from(state) }
}
