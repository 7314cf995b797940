//! SASL (RFC 6120, 6): from `<auth/>` to `<success/>` or `<failure/>`.
//!
//! The mechanisms are step functions in `rjabberd_xmpp::sasl`; here they meet the stream: their texts, the questions that
//! they ask of the outside, the count of failures. What a client sends here is never kept in a form that can be printed.

use rjabberd_xml::{Element, Fragment};
use rjabberd_xmpp::{
    StreamCondition, StreamError, address, ns,
    sasl::{
        self, Checking as CheckingPassword, Exchange, LookUp, Mechanism, Offered, Outcome, SaslFailure,
        Setting,
    },
};

use crate::{
    Action, Answer, Ask, LoggedIn, Order, State,
    closing::{Leaving, Voice},
    features,
    negotiating::{AwaitingFeature, AwaitingRestart},
    speech,
};

/// One handshake: the stream below it, and the mechanism that the client chose.
pub(crate) struct Attempt {
    below: AwaitingFeature,
    mechanism: Mechanism,
}

impl Attempt {
    /// Takes `<auth/>`.
    pub(crate) fn begin(below: AwaitingFeature, auth: &Fragment, out: &mut Vec<Action>) -> State {
        let named = auth.attribute("mechanism").and_then(Mechanism::from_name);
        let host = below.negotiation.host(&below.opened.host);
        let mechanism = match features::offered_mechanism(&below.negotiation, host, named) {
            Ok(mechanism) => mechanism,
            Err(failure) => return Attempt::fail(below, named, failure, out),
        };
        let attempt = Attempt { below, mechanism };
        let outcome = match data(auth) {
            Ok(initial) => {
                attempt.with_setting(|setting| sasl::begin(mechanism, setting, initial.as_deref()))
            }
            Err(failure) => Outcome::Failure(failure),
        };
        attempt.advance(outcome, out)
    }

    fn with_setting(&self, step: impl FnOnce(&Setting<'_>) -> Outcome) -> Outcome {
        let AwaitingFeature { negotiation, opened } = &self.below;
        let host = negotiation.host(&opened.host);
        let offered = Offered::new(host.mechanisms.clone(), Vec::new());
        step(&Setting {
            domain: &opened.host,
            channel: negotiation.channel.as_deref(),
            offered: &offered,
            fakes: &host.fakes,
            once: "",
            client: None,
            count: None,
        })
    }

    /// Carries out what one step came to.
    fn advance(mut self, outcome: Outcome, out: &mut Vec<Action>) -> State {
        match outcome {
            Outcome::Challenge(challenge, exchange) => {
                let text = sasl::encode(&challenge);
                speech::element(&Element::new("challenge", ns::SASL).with_text(text), out);
                State::AwaitingResponse(Box::new(AwaitingResponse { attempt: self, exchange }))
            }
            Outcome::LookUp(look_up) => match address::account(look_up.username(), &self.below.opened.host) {
                Ok(account) => {
                    let ask = self.below.negotiation.next_ask();
                    out.push(Action::LoadCredentials(ask, account));
                    State::LookingUp(Box::new(LookingUp { attempt: self, ask, look_up }))
                }
                Err(address::BadAddress) => self.failed(SaslFailure::NotAuthorized, out),
            },
            Outcome::Check(check, checking) => {
                let ask = self.below.negotiation.next_ask();
                out.push(Action::CheckPassword(ask, check));
                State::Checking(Box::new(Checking { attempt: self, ask, checking }))
            }
            Outcome::Success { username, data, .. } => self.succeed(&username, data.as_deref(), out),
            Outcome::Failure(failure) => self.failed(failure, out),
        }
    }

    fn succeed(self, username: &str, data: Option<&[u8]>, out: &mut Vec<Action>) -> State {
        let AwaitingFeature { negotiation, opened } = self.below;
        let Ok(account) = address::account(username, &opened.host) else {
            let below = AwaitingFeature { negotiation, opened };
            return Attempt::fail(below, Some(self.mechanism), SaslFailure::NotAuthorized, out);
        };
        // RFC 6120, 6.4.6: who the client said it is, if nobody else can have written it.
        if negotiation.channel.is_some() && opened.from.as_ref().is_some_and(|from| *from != account) {
            return Leaving::from(AwaitingFeature { negotiation, opened })
                .refuse(StreamCondition::InvalidFrom, out);
        }
        let text = data.map(sasl::encode_success).unwrap_or_default();
        speech::element(&Element::new("success", ns::SASL).with_text(text), out);
        out.push(Action::Order(Order::NewStream(negotiation.settings.limits)));
        out.push(Action::Authenticated(Box::new(LoggedIn {
            account: account.clone(),
            mechanism: self.mechanism,
            sasl2: false,
            guest: false,
            software: None,
        })));
        State::AwaitingRestart(Box::new(AwaitingRestart { negotiation, account }))
    }

    fn failed(self, failure: SaslFailure, out: &mut Vec<Action>) -> State {
        Attempt::fail(self.below, Some(self.mechanism), failure, out)
    }

    /// Says `<failure/>`; too many of them end the stream (RFC 6120, 6.4.5). Each counts, aborted ones too: each may have
    /// cost a question to the store.
    pub(crate) fn fail(
        mut below: AwaitingFeature,
        mechanism: Option<Mechanism>,
        failure: SaslFailure,
        out: &mut Vec<Action>,
    ) -> State {
        let condition = Element::new(failure.name(), ns::SASL);
        speech::element(&Element::new("failure", ns::SASL).with_child(condition), out);
        out.push(Action::AuthenticationFailed(mechanism, failure, None));
        below.negotiation.failures += 1;
        if below.negotiation.failures >= below.negotiation.settings.sasl_failures_max {
            let error = StreamError::new(StreamCondition::PolicyViolation)
                .with_text("Too many failed authentications");
            return Leaving::from(below).stream_error(error, out);
        }
        State::AwaitingFeature(Box::new(below))
    }
}

/// What stands in `<auth/>` or `<response/>`.
fn data(fragment: &Fragment) -> Result<Option<Vec<u8>>, SaslFailure> {
    let text = fragment.text().map_err(|_| SaslFailure::MalformedRequest)?;
    sasl::decode(&text)
}

/// The store is asked for the keys of an account.
pub struct LookingUp {
    attempt: Attempt,
    pub(crate) ask: Ask,
    look_up: LookUp,
}

impl LookingUp {
    pub(crate) fn answered(self, answer: Answer, out: &mut Vec<Action>) -> State {
        match answer {
            Answer::Credentials { credentials, nonce } => {
                let below = &self.attempt.below;
                let fakes = &below.negotiation.host(&below.opened.host).fakes;
                let outcome = self.look_up.answer(credentials.as_ref(), fakes, &nonce);
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
    attempt: Attempt,
    pub(crate) ask: Ask,
    checking: CheckingPassword,
}

impl Checking {
    pub(crate) fn answered(self, answer: Answer, out: &mut Vec<Action>) -> State {
        match answer {
            Answer::PasswordChecked(right) => {
                let outcome = self.checking.answer(right);
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
    attempt: Attempt,
    exchange: Exchange,
}

impl AwaitingResponse {
    pub(crate) fn element(self, fragment: Fragment, out: &mut Vec<Action>) -> State {
        match (fragment.name(), fragment.namespace()) {
            ("response", ns::SASL) => {
                let outcome = match data(&fragment) {
                    Ok(response) => {
                        let response = response.unwrap_or_default();
                        self.attempt.with_setting(|setting| self.exchange.respond(setting, &response))
                    }
                    Err(failure) => Outcome::Failure(failure),
                };
                self.attempt.advance(outcome, out)
            }
            ("abort", ns::SASL) => self.attempt.failed(SaslFailure::Aborted, out),
            // RFC 6120, 5.3.4: TLS comes before SASL, not in the middle of it.
            ("starttls", ns::TLS) => Leaving::from(self).starttls_refused(out),
            // RFC 6120, 6.4.2: another `<auth/>` discards the handshake; so does all else that may come now.
            _ => self.attempt.below.element(fragment, out),
        }
    }
}

impl From<AwaitingResponse> for Leaving {
    fn from(_: AwaitingResponse) -> Leaving {
        Leaving { voice: Voice::Open, session: None }
    }
}
