//! How a stream ends: the only place that writes stream errors, gives up sessions, and closes.
//!
//! A state turns into a [`Leaving`]: what can still be said, and the session that is still owed. Invariants: the session
//! is given up exactly once, [`Action::Close`] or [`Action::Drop`] is the last deed, and nothing is written behind it.

use bytes::BytesMut;
use rjabberd_xml::Element;
use rjabberd_xmpp::{
    BareJid, FullJid, Jid, PresenceType, Stanza, StanzaKind, StreamCondition, StreamError, ns,
};

use crate::{Action, CloseReason, ControlInput, Deadline, Fresh, Input, Session, State, speech};

const STREAM_END: &[u8] = b"</stream:stream>";

/// What can still be said on a stream.
pub(crate) enum Voice {
    /// Our header has not been sent yet; before an error it must be (RFC 6120, 4.9.1.2).
    HeaderOwed {
        /// The `from` of the header: a host of ours (RFC 6120, 4.9.1.3).
        host: String,
        /// Who the client says it is.
        to: Option<BareJid>,
        /// The identifier of the stream.
        id: String,
    },
    /// The stream is open.
    Open,
    /// TLS is beginning: plain text would be taken for its bytes (RFC 6120, 5.4.2.3).
    Mute,
}

/// A stream about to end.
pub(crate) struct Leaving {
    pub(crate) voice: Voice,
    pub(crate) session: Option<Session>,
}

impl Leaving {
    /// With a fresher identifier for a header that is still owed.
    pub(crate) fn named(mut self, fresh: Fresh) -> Leaving {
        if let Voice::HeaderOwed { id, .. } = &mut self.voice {
            *id = fresh.stream_id;
        }
        self
    }

    /// Ends the stream with an error.
    pub(crate) fn stream_error(self, error: StreamError, out: &mut Vec<Action>) -> State {
        let reason = CloseReason::StreamError(error.condition);
        self.fail(error, reason, out)
    }

    /// Ends the stream with an error that needs no words.
    pub(crate) fn refuse(self, condition: StreamCondition, out: &mut Vec<Action>) -> State {
        self.stream_error(StreamError::new(condition), out)
    }

    /// The shell handed in what cannot come now: a fault of ours, not of the client's (RFC 6120, 4.9.3.8).
    pub(crate) fn out_of_turn(self, out: &mut Vec<Action>) -> State {
        self.refuse(StreamCondition::InternalServerError, out)
    }

    /// The client closed its stream, or ended it with an error of its own (RFC 6120, 4.4).
    pub(crate) fn ended_by_client(self, out: &mut Vec<Action>) -> State {
        if matches!(self.voice, Voice::Open) {
            out.push(Action::Write(STREAM_END.into()));
        }
        self.close(CloseReason::ClientClosed, out)
    }

    /// STARTTLS where it may not be (RFC 6120, 5.4.2.2): `<failure/>`, and the connection ends.
    pub(crate) fn starttls_refused(self, out: &mut Vec<Action>) -> State {
        let mut bytes = BytesMut::new();
        Element::new("failure", ns::TLS).write(ns::CLIENT, &mut bytes);
        bytes.extend_from_slice(STREAM_END);
        out.push(Action::Write(bytes.freeze()));
        self.close(CloseReason::StartTlsFailed, out)
    }

    /// A deadline of the negotiation passed (RFC 6120, 4.9.3.4).
    pub(crate) fn timed_out(self, deadline: Deadline, out: &mut Vec<Action>) -> State {
        let error = StreamError::new(StreamCondition::ConnectionTimeout);
        self.fail(error, CloseReason::TimedOut(deadline), out)
    }

    /// Control from inside the server.
    pub(crate) fn ordered(self, control: ControlInput, out: &mut Vec<Action>) -> State {
        let (condition, reason, text) = match control {
            ControlInput::Replaced => {
                (StreamCondition::Conflict, CloseReason::Replaced, Some("Replaced by a new connection"))
            }
            ControlInput::Kicked => {
                (StreamCondition::PolicyViolation, CloseReason::Kicked, Some("Ended by an operator"))
            }
            ControlInput::Overflowed => (
                StreamCondition::ResourceConstraint,
                CloseReason::Overflowed,
                Some("Too much is waiting to be read"),
            ),
            ControlInput::Evicted => (
                StreamCondition::ResourceConstraint,
                CloseReason::Evicted,
                Some("Another session of the account needs the place"),
            ),
            ControlInput::AccountRemoved => {
                (StreamCondition::NotAuthorized, CloseReason::AccountRemoved, None)
            }
            ControlInput::CredentialsChanged => {
                (StreamCondition::NotAuthorized, CloseReason::CredentialsChanged, None)
            }
            ControlInput::Shutdown => (StreamCondition::SystemShutdown, CloseReason::Shutdown, None),
            ControlInput::Panicked => (StreamCondition::InternalServerError, CloseReason::Panicked, None),
        };
        let error = StreamError::new(condition);
        self.fail(text.map_or(error.clone(), |text| error.with_text(text)), reason, out)
    }

    /// The account is gone, and the client learns it from a failed claim.
    pub(crate) fn account_gone(self, out: &mut Vec<Action>) -> State {
        self.ordered(ControlInput::AccountRemoved, out)
    }

    /// Ends what cannot be written to any more.
    pub(crate) fn lost(mut self, reason: CloseReason, out: &mut Vec<Action>) -> State {
        end_session(self.session.take(), reason, out);
        out.push(Action::Drop(reason));
        State::Closed(reason)
    }

    /// Ends the stream without another word in plain.
    pub(crate) fn close(mut self, reason: CloseReason, out: &mut Vec<Action>) -> State {
        end_session(self.session.take(), reason, out);
        out.push(Action::Close(reason));
        State::Closing(reason)
    }

    fn fail(self, error: StreamError, reason: CloseReason, out: &mut Vec<Action>) -> State {
        let mut bytes = BytesMut::new();
        match &self.voice {
            Voice::HeaderOwed { host, to, id } => speech::header(host, to.as_ref(), id, &mut bytes),
            Voice::Open => (),
            Voice::Mute => return self.close(reason, out),
        }
        error.write(&mut bytes);
        bytes.extend_from_slice(STREAM_END);
        out.push(Action::Write(bytes.freeze()));
        self.close(reason, out)
    }
}

/// Gives the session up. Whoever got directed presence is told (RFC 6121, 4.6.3), unless another connection goes on
/// with the resource; the rest is owed by the shell.
fn end_session(session: Option<Session>, reason: CloseReason, out: &mut Vec<Action>) {
    let Some(session) = session else { return };
    if reason != CloseReason::Replaced {
        let told = session.directed.iter().map(|to| Action::Route(unavailable(&session.jid, to.clone())));
        out.extend(told);
    }
    out.push(Action::EndSession(Box::new(session), reason));
}

fn unavailable(from: &FullJid, to: Jid) -> Stanza {
    let mut presence = Stanza::new(StanzaKind::Presence(PresenceType::Unavailable), &[]);
    presence.from = Some(from.clone().into());
    presence.to = Some(to);
    presence
}

/// What still reaches a stream of ours that has said its last word: only its end changes anything.
pub(crate) fn after_close(reason: CloseReason, input: &Input) -> State {
    match input {
        Input::StreamEnded | Input::ConnectionLost(_) => State::Closed(reason),
        Input::HeaderRead(..)
        | Input::ElementRead(_)
        | Input::XmlRefused(..)
        | Input::BytesBehindStartTls
        | Input::TlsStarted(_)
        | Input::Answered(..)
        | Input::RouteDeferred(_)
        | Input::HandledTooHigh(_)
        | Input::TooMuchHeld
        | Input::WindowPassed
        | Input::DeadlinePassed(_)
        | Input::Control(_) => State::Closing(reason),
    }
}
