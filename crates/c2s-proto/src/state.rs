//! The states of a client's stream and the one function that advances them.

use std::sync::Arc;

use rjabberd_xmpp::{BareJid, FullJid, Jid};

use crate::{Action, Input, Settings};

/// What is owed to others when a session ends; survives a stream error and a panic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Who is bound.
    pub jid: FullJid,
    /// Initial presence was sent and not taken back: its priority.
    pub priority: Option<i8>,
    /// Who got directed presence (RFC 6121, 4.6) and is owed unavailable.
    pub directed: Vec<Jid>,
}

/// A client's stream.
pub enum State {}

impl State {
    /// A stream that was just accepted; asks for the deadlines of negotiation.
    pub fn accepted(_settings: Arc<Settings>, _out: &mut Vec<Action>) -> State {
        todo!()
    }
    /// Advances the stream by one input; a stream error is the state `Closing`.
    pub fn on(self, _input: Input, _out: &mut Vec<Action>) -> State {
        todo!()
    }
    /// Whether the shell may hand in the next frame, or must first answer an action.
    pub fn wants_element(&self) -> bool {
        todo!()
    }
    /// Whether stanzas from others may be written to the client.
    pub fn wants_delivery(&self) -> bool {
        todo!()
    }
    /// The name of the state, for logs and metrics.
    pub fn name(&self) -> &'static str {
        todo!()
    }
    /// The session, once bound, until it ended.
    pub fn session(&self) -> Option<&Session> {
        todo!()
    }
    /// The account, once authenticated.
    pub fn account(&self) -> Option<&BareJid> {
        todo!()
    }
}
