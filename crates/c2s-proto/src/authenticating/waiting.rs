//! The states of a handshake that waits: for the store, for a comparison, for the client.

use rjabberd_xml::Fragment;
use rjabberd_xmpp::{
    StreamCondition, ns,
    sasl::{Checking as CheckingPassword, Exchange, LookUp, Outcome, SaslFailure},
};

use super::{Attempt, Profile, data, namespace};
use crate::{
    Action, Answer, Ask, State,
    closing::{Leaving, Voice},
    sasl2::Request,
};

/// The store is asked for the keys of an account, or for the tokens of its client.
pub struct LookingUp {
    pub(super) attempt: Attempt,
    pub(crate) ask: Ask,
    pub(super) look_up: LookUp,
}

impl LookingUp {
    pub(crate) fn answered(mut self, answer: Answer, out: &mut Vec<Action>) -> State {
        match answer {
            Answer::Credentials { credentials, nonce } => {
                let below = &self.attempt.below;
                let fakes = &below.negotiation.host(&below.opened.host).fakes;
                let outcome = self.look_up.answer(credentials.as_ref(), fakes, &nonce);
                let upgrades = |request: &Request| !request.upgrades.is_empty();
                if self.attempt.request.as_deref().is_some_and(upgrades) {
                    self.attempt.stored = credentials;
                }
                self.attempt.advance(outcome, out)
            }
            Answer::Tokens { tokens, now_unix_s } => {
                let outcome = self.look_up.answer_tokens(tokens.as_ref(), now_unix_s);
                self.attempt.now_unix_s = now_unix_s;
                self.attempt.advance(outcome, out)
            }
            // RFC 6120, 6.5.11.
            Answer::Unavailable(_) => self.attempt.failed(SaslFailure::TemporaryAuthFailure, out),
            _ => Leaving::from(self).out_of_turn(out),
        }
    }
}

impl From<LookingUp> for Leaving {
    fn from(_: LookingUp) -> Leaving {
        Leaving { voice: Voice::Open, session: None }
    }
}

/// A password is being compared.
pub struct Checking {
    pub(super) attempt: Attempt,
    pub(crate) ask: Ask,
    pub(super) checking: CheckingPassword,
}

impl Checking {
    pub(crate) fn answered(self, answer: Answer, out: &mut Vec<Action>) -> State {
        match answer {
            Answer::PasswordChecked(verdict) => {
                let outcome = self.checking.answer(verdict);
                self.attempt.advance(outcome, out)
            }
            Answer::Unavailable(_) => self.attempt.failed(SaslFailure::TemporaryAuthFailure, out),
            _ => Leaving::from(self).out_of_turn(out),
        }
    }
}

impl From<Checking> for Leaving {
    fn from(_: Checking) -> Leaving {
        Leaving { voice: Voice::Open, session: None }
    }
}

/// A challenge is sent.
pub struct AwaitingResponse {
    pub(super) attempt: Attempt,
    pub(super) exchange: Exchange,
}

impl AwaitingResponse {
    pub(crate) fn element(self, fragment: Fragment, out: &mut Vec<Action>) -> State {
        let profile = self.attempt.profile();
        match (fragment.name(), fragment.namespace()) {
            ("response", said) if said == namespace(profile) => {
                let outcome = match data(profile, &fragment) {
                    Ok(response) => {
                        let response = response.unwrap_or_default();
                        self.attempt.with_setting(|setting| self.exchange.respond(setting, &response))
                    }
                    Err(failure) => Outcome::Failure(failure),
                };
                self.attempt.advance(outcome, out)
            }
            ("abort", said) if said == namespace(profile) => self.attempt.failed(SaslFailure::Aborted, out),
            // RFC 6120, 5.3.4: TLS comes before SASL, not in the middle of it.
            ("starttls", ns::TLS) => Leaving::from(self).starttls_refused(out),
            _ if profile == Profile::Core => self.attempt.discard(fragment, out),
            // XEP-0388, 2.4: nothing else may come.
            _ => Leaving::from(self).refuse(StreamCondition::NotAuthorized, out),
        }
    }
}

impl From<AwaitingResponse> for Leaving {
    fn from(_: AwaitingResponse) -> Leaving {
        Leaving { voice: Voice::Open, session: None }
    }
}
