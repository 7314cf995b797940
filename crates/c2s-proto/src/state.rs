//! The states of a client's stream and the one function that advances them.
//!
//! [`State::on`] decides what holds everywhere and dispatches the rest; nothing else looks at which state it is.
//! Which state takes which input is the table in `tests/machine/table.rs`.

use std::{fmt, sync::Arc};

use rjabberd_xml::Fragment;
use rjabberd_xmpp::{BareJid, FullJid, Jid, StreamCondition, StreamError, management::TooHigh, ns};

use crate::{
    Action, Answer, Ask, CloseReason, ControlInput, Deadline, Fresh, Input, Settings,
    authenticating::{AwaitingResponse, Checking, LookingUp},
    binding::{AwaitingBind, Claiming},
    closing::{Leaving, Voice, after_close},
    established::Established,
    finishing::Finishing,
    hibernated,
    management::Management,
    negotiating::{AwaitingFeature, AwaitingHeader, AwaitingRestart, StartingTls},
    registering::Registering,
    resuming::Resuming,
    upgrading::AwaitingTask,
};

/// What is owed to others when a session ends; survives a stream error and a panic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Who is bound.
    pub jid: FullJid,
    /// Initial presence was sent and not taken back: its priority.
    pub priority: Option<i8>,
    /// Who got directed presence (RFC 6121, 4.6) and is owed unavailable.
    pub directed: Vec<Jid>,
    /// Stanzas are counted (XEP-0198).
    pub management: Option<Box<Management>>,
}

/// A client's stream; each state is named for what it waits for.
pub enum State {
    /// The client's stream header.
    AwaitingHeader(Box<AwaitingHeader>),
    /// STARTTLS, SASL or registration.
    AwaitingFeature(Box<AwaitingFeature>),
    /// The end of the TLS handshake.
    StartingTls(Box<StartingTls>),
    /// The keys of an account.
    LookingUp(Box<LookingUp>),
    /// The comparison of a password.
    Checking(Box<Checking>),
    /// The client's answer to a challenge.
    AwaitingResponse(Box<AwaitingResponse>),
    /// The client's part of a task of its login (XEP-0480).
    AwaitingTask(Box<AwaitingTask>),
    /// What the login of XEP-0388 brings along: keys, a token, a resource.
    Finishing(Box<Finishing>),
    /// The answer to a registration.
    Registering(Box<Registering>),
    /// The stream header after authentication.
    AwaitingRestart(Box<AwaitingRestart>),
    /// A request for a resource.
    AwaitingBind(Box<AwaitingBind>),
    /// The session table's word on a resource.
    Claiming(Box<Claiming>),
    /// An earlier session.
    Resuming(Box<Resuming>),
    /// Stanzas.
    Established(Box<Established>),
    /// The answer to an iq of the client's own; its other elements wait, deliveries go on.
    Deferred(Box<Established>, Ask),
    /// To be resumed: the connection is gone. With the answer that the session still waits for, or with
    /// `hibernated::NOTHING`.
    Hibernated(Box<Established>, Ask),
    /// The end of the connection: our last word is said.
    Closing(CloseReason),
    /// Nothing.
    Closed(CloseReason),
}

// A state is moved with every input.
const _: () = assert!(size_of::<State>() <= 2 * size_of::<usize>());

impl State {
    /// A stream that was just accepted; asks for the deadlines of negotiation. `fresh` names the stream if it must end
    /// before a header of the client named it.
    pub fn accepted(settings: Arc<Settings>, fresh: Fresh, out: &mut Vec<Action>) -> State {
        out.push(Action::SetDeadline(Deadline::Header));
        out.push(Action::SetDeadline(Deadline::Negotiation));
        State::AwaitingHeader(Box::new(AwaitingHeader::accepted(settings, fresh)))
    }

    /// The end of a stream whose machine panicked; `session` is what the shell kept of it.
    pub fn panicked(session: Option<Session>, out: &mut Vec<Action>) -> State {
        // Without a session nobody knows any more what was said and whether in plain.
        let voice = if session.is_some() { Voice::Open } else { Voice::Mute };
        Leaving { voice, session }.ordered(crate::ControlInput::Panicked, out)
    }

    /// Advances the stream by one input; a stream error is the state `Closing`.
    pub fn on(self, input: Input, out: &mut Vec<Action>) -> State {
        let (before, first) = (self.name(), out.len());
        let next = self.next(input, out);
        if next.name() != before {
            // The end stays the last deed.
            let ends = matches!(out[first..].last(), Some(Action::Close(_) | Action::Drop(_)));
            out.insert(out.len() - usize::from(ends), Action::StateChanged(next.name()));
        }
        next
    }

    fn next(self, input: Input, out: &mut Vec<Action>) -> State {
        if let Input::Answered(ask, Answer::Claimed(Ok(jid))) = &input
            && !self.awaits(*ask)
        {
            self.give_back(jid, out);
            return self;
        }
        match self {
            State::Closing(reason) => return after_close(reason, &input),
            State::Closed(reason) => return State::Closed(reason),
            State::Hibernated(state, ask) => return hibernated::on(state, ask, input, out),
            _ => (),
        }
        match input {
            Input::StreamEnded => Leaving::from(self).ended_by_client(out),
            Input::ConnectionLost(reason) => self.lost(CloseReason::Lost(reason), out),
            Input::XmlRefused(error, fresh) => {
                Leaving::from(self).named(fresh).stream_error(StreamError::from(&error), out)
            }
            // What waits for a client that does not read waits for its next connection.
            Input::Control(ControlInput::Overflowed) if self.is_resumable() => {
                self.lost(CloseReason::Overflowed, out)
            }
            Input::Control(control) => Leaving::from(self).ordered(control, out),
            Input::HandledTooHigh(too_high) => self.handled_too_high(too_high, out),
            Input::TooMuchHeld => {
                let error = StreamError::new(StreamCondition::ResourceConstraint)
                    .with_text("Too much of what was sent is not stored yet");
                Leaving::from(self).stream_error(error, out)
            }
            Input::WindowPassed => self.cannot_resume(out),
            Input::DeadlinePassed(deadline) => self.deadline_passed(deadline, out),
            Input::HeaderRead(header, fresh) => match self {
                State::AwaitingHeader(state) => state.header(&header, fresh, out),
                State::AwaitingRestart(state) => state.header(&header, fresh, out),
                other => Leaving::from(other).out_of_turn(out),
            },
            Input::ElementRead(fragment) => self.element(fragment, out),
            Input::BytesBehindStartTls => match self {
                State::StartingTls(state) => state.bytes_behind(out),
                other => Leaving::from(other).out_of_turn(out),
            },
            Input::TlsStarted(channel) => match self {
                State::StartingTls(state) => state.started(channel),
                State::AwaitingHeader(state) => state.tls_started(channel, out),
                other => Leaving::from(other).out_of_turn(out),
            },
            Input::Answered(ask, answer) if self.awaits(ask) => self.answered(answer, out),
            Input::Answered(..) => self,
            Input::RouteDeferred(ask) => match self {
                State::Established(state) => State::Deferred(state, ask),
                other => Leaving::from(other).out_of_turn(out),
            },
        }
    }

    fn element(self, fragment: Fragment, out: &mut Vec<Action>) -> State {
        // RFC 6120, 4.9.1.1: a client that reports a stream error has ended the stream.
        if fragment.name() == "error" && fragment.namespace() == ns::STREAM {
            return Leaving::from(self).ended_by_client(out);
        }
        match self {
            State::AwaitingFeature(state) => state.element(fragment, out),
            State::AwaitingResponse(state) => state.element(fragment, out),
            State::AwaitingTask(state) => state.element(&fragment, out),
            State::AwaitingBind(state) => state.element(fragment, out),
            State::Established(state) => state.element(fragment, out),
            other => Leaving::from(other).out_of_turn(out),
        }
    }

    fn answered(self, answer: Answer, out: &mut Vec<Action>) -> State {
        match self {
            State::LookingUp(state) => state.answered(answer, out),
            State::Checking(state) => state.answered(answer, out),
            State::Finishing(state) => state.answered(answer, out),
            State::Registering(state) => state.answered(answer, out),
            State::Claiming(state) => state.answered(answer, out),
            State::Resuming(state) => state.answered(answer, out),
            State::Deferred(state, _) => state.answered(answer, out),
            other => other,
        }
    }

    /// The connection is gone. A session that can be resumed waits for that.
    fn lost(self, reason: CloseReason, out: &mut Vec<Action>) -> State {
        match self {
            State::Established(state) if state.resumption().is_some() => {
                hibernated::begin(state, hibernated::NOTHING, reason, out)
            }
            State::Deferred(state, ask) if state.resumption().is_some() => {
                hibernated::begin(state, ask, reason, out)
            }
            other => Leaving::from(other).lost(reason, out),
        }
    }

    fn is_resumable(&self) -> bool {
        match self {
            State::Established(state) | State::Deferred(state, _) => state.resumption().is_some(),
            _ => false,
        }
    }

    fn handled_too_high(self, too_high: TooHigh, out: &mut Vec<Action>) -> State {
        match self {
            State::Established(state) | State::Deferred(state, _) => state.handled_too_high(too_high, out),
            other => Leaving::from(other).out_of_turn(out),
        }
    }

    fn cannot_resume(mut self, out: &mut Vec<Action>) -> State {
        if let State::Established(state) | State::Deferred(state, _) = &mut self {
            state.forget_resumption(out);
        }
        self
    }

    /// A deadline that no longer holds has passed while it was taken back.
    fn deadline_passed(self, deadline: Deadline, out: &mut Vec<Action>) -> State {
        match (deadline, self) {
            (Deadline::Header, State::AwaitingHeader(state)) if state.is_first() => {
                Leaving::from(*state).timed_out(deadline, out)
            }
            (Deadline::Negotiation, state @ (State::Established(_) | State::Deferred(..))) => state,
            (Deadline::Negotiation, state) => Leaving::from(state).timed_out(deadline, out),
            (Deadline::Idle, State::Established(mut state)) => {
                state.idle(out);
                State::Established(state)
            }
            (Deadline::Idle, State::Deferred(mut state, ask)) => {
                state.idle(out);
                State::Deferred(state, ask)
            }
            (Deadline::PingAnswer, State::Established(state)) if state.is_unanswered() => {
                State::Established(state).lost(CloseReason::TimedOut(deadline), out)
            }
            (Deadline::PingAnswer, State::Deferred(state, ask)) => {
                state.unheard(out);
                State::Deferred(state, ask)
            }
            (Deadline::Acknowledgement, state @ (State::Established(_) | State::Deferred(..))) => {
                state.lost(CloseReason::TimedOut(deadline), out)
            }
            (
                Deadline::Header
                | Deadline::Idle
                | Deadline::PingAnswer
                | Deadline::Acknowledgement
                | Deadline::Resumption,
                state,
            ) => state,
        }
    }

    /// Whether this is the question that the state stands still for.
    fn awaits(&self, ask: Ask) -> bool {
        match self {
            State::LookingUp(state) => state.ask == ask,
            State::Checking(state) => state.ask == ask,
            State::Finishing(state) => state.ask == ask,
            State::Registering(state) => state.ask == ask,
            State::Claiming(state) => state.ask == ask,
            State::Resuming(state) => state.ask == ask,
            State::Deferred(_, awaited) | State::Hibernated(_, awaited) => *awaited == ask,
            _ => false,
        }
    }

    /// Gives a resource back that was claimed for nothing, unless it has become ours by a later claim.
    fn give_back(&self, jid: &FullJid, out: &mut Vec<Action>) {
        if self.session().is_none_or(|session| session.jid != *jid) {
            out.push(Action::Release(jid.clone()));
        }
    }

    /// Whether the shell may hand in the next frame, or must first answer an action.
    pub fn wants_element(&self) -> bool {
        match self {
            State::AwaitingHeader(_)
            | State::AwaitingFeature(_)
            | State::StartingTls(_)
            | State::AwaitingResponse(_)
            | State::AwaitingTask(_)
            | State::AwaitingRestart(_)
            | State::AwaitingBind(_)
            | State::Established(_) => true,
            State::LookingUp(_)
            | State::Checking(_)
            | State::Finishing(_)
            | State::Registering(_)
            | State::Claiming(_)
            | State::Resuming(_)
            | State::Deferred(..)
            | State::Hibernated(..)
            | State::Closing(_)
            | State::Closed(_) => false,
        }
    }

    /// Whether stanzas from others are for this session: to be written to the client, or to wait for its next connection.
    pub fn wants_delivery(&self) -> bool {
        matches!(self, State::Established(_) | State::Deferred(..) | State::Hibernated(..))
    }

    /// Whether one of the client's requests is not answered yet.
    pub fn awaits_reply(&self) -> bool {
        match self {
            State::Deferred(..) => true,
            State::Hibernated(_, ask) => *ask != hibernated::NOTHING,
            _ => false,
        }
    }

    /// The name of the state, for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            State::AwaitingHeader(_) => "awaiting_header",
            State::AwaitingFeature(_) => "awaiting_feature",
            State::StartingTls(_) => "starting_tls",
            State::LookingUp(_) => "looking_up",
            State::Checking(_) => "checking",
            State::AwaitingResponse(_) => "awaiting_response",
            State::AwaitingTask(_) => "awaiting_task",
            State::Finishing(_) => "finishing",
            State::Registering(_) => "registering",
            State::AwaitingRestart(_) => "awaiting_restart",
            State::AwaitingBind(_) => "awaiting_bind",
            State::Claiming(_) => "claiming",
            State::Resuming(_) => "resuming",
            State::Established(_) => "established",
            State::Deferred(..) => "deferred",
            State::Hibernated(..) => "hibernated",
            State::Closing(_) => "closing",
            State::Closed(_) => "closed",
        }
    }

    /// The session, once bound, until it ended.
    pub fn session(&self) -> Option<&Session> {
        match self {
            State::Established(state) | State::Deferred(state, _) | State::Hibernated(state, _) => {
                Some(&state.session)
            }
            _ => None,
        }
    }

    /// The account, once authenticated, until the stream ended.
    pub fn account(&self) -> Option<&BareJid> {
        match self {
            State::AwaitingRestart(state) => Some(&state.account),
            State::AwaitingBind(state) => Some(&state.account),
            State::Claiming(state) => Some(&state.bind.account),
            State::Resuming(state) => Some(&state.bind.account),
            State::Established(state) | State::Deferred(state, _) | State::Hibernated(state, _) => {
                Some(&state.account)
            }
            _ => None,
        }
    }
}

impl From<State> for Leaving {
    fn from(state: State) -> Leaving {
        match state {
            State::AwaitingHeader(state) => (*state).into(),
            State::AwaitingFeature(state) => (*state).into(),
            State::StartingTls(state) => (*state).into(),
            State::LookingUp(state) => (*state).into(),
            State::Checking(state) => (*state).into(),
            State::AwaitingResponse(state) => (*state).into(),
            State::AwaitingTask(state) => (*state).into(),
            State::Finishing(state) => (*state).into(),
            State::Registering(state) => (*state).into(),
            State::AwaitingRestart(state) => (*state).into(),
            State::AwaitingBind(state) => (*state).into(),
            State::Claiming(state) => (*state).into(),
            State::Resuming(state) => (*state).into(),
            State::Established(state) | State::Deferred(state, _) => (*state).into(),
            State::Hibernated(state, _) => Leaving { voice: Voice::Mute, ..(*state).into() },
            State::Closing(_) | State::Closed(_) => Leaving { voice: Voice::Mute, session: None },
        }
    }
}

/// Only the name: a state may hold what is nobody's business.
impl fmt::Debug for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
