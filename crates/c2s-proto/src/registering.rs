//! In-band registration before authentication (XEP-0077): one question to the accounts, its answer to the client.
//!
//! It knows nothing of forms and passwords; the client logs in afterwards like everybody.

use rjabberd_xmpp::{Condition, Stanza, StanzaError};

use crate::{
    Action, Answer, Ask, State,
    closing::{Leaving, Voice},
    negotiating::AwaitingFeature,
    speech,
};

/// The accounts are asked.
pub struct Registering {
    below: AwaitingFeature,
    pub(crate) ask: Ask,
    /// The request without its payload, for an error: the payload may hold a password.
    request: Stanza,
}

impl Registering {
    pub(crate) fn new(below: AwaitingFeature, ask: Ask, request: &Stanza) -> Registering {
        let mut bare = Stanza::new(request.kind, &[]);
        bare.id.clone_from(&request.id);
        bare.to.clone_from(&request.to);
        Registering { below, ask, request: bare }
    }

    pub(crate) fn host(&self) -> &str {
        &self.below.opened.host
    }

    pub(crate) fn answered(self, answer: Answer, out: &mut Vec<Action>) -> State {
        match answer {
            Answer::Reply(Some(reply)) => speech::stanza(&reply, out),
            Answer::Reply(None) => (),
            // RFC 6120, 8.3.3.18: busy; to be tried again.
            Answer::Unavailable(_) => {
                speech::stanza_error(&self.request, &StanzaError::new(Condition::ResourceConstraint), out);
            }
            _ => return Leaving::from(self).out_of_turn(out),
        }
        State::AwaitingFeature(Box::new(self.below))
    }
}

impl From<Registering> for Leaving {
    fn from(_: Registering) -> Leaving {
        Leaving { voice: Voice::Open, session: None }
    }
}
