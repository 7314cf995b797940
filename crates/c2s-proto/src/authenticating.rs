//! SASL, by the profile of RFC 6120 (6) and by that of XEP-0388: from the client's first word to the end of the
//! mechanism. What a login by XEP-0388 brings along is `finishing`'s.
//!
//! The mechanisms are step functions in `rjabberd_xmpp::sasl`; here they meet the stream: their texts, the questions that
//! they ask of the outside, the count of failures. What a client sends here is never kept in a form that can be printed.

mod waiting;

use rjabberd_xml::{Element, Fragment};
use rjabberd_xmpp::{
    BareJid, StreamCondition, StreamError, address, ns,
    sasl::{self, Credentials, Evidence, LookUp, Mechanism, Offered, Outcome, SaslFailure, Setting, Wanted},
};
use zeroize::Zeroizing;

use crate::{
    Action, KeyOrder, LoggedIn, Order, State,
    closing::Leaving,
    features,
    finishing::Login,
    negotiating::{AwaitingFeature, AwaitingRestart},
    sasl2::{self, BadRequest, Request},
    speech,
};

pub(crate) use waiting::{AwaitingResponse, Checking, LookingUp};

/// How SASL is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// RFC 6120, 6.
    Core,
    /// XEP-0388.
    Extensible,
}

/// One handshake: the stream below it, and the mechanism that the client chose.
pub(crate) struct Attempt {
    below: AwaitingFeature,
    mechanism: Mechanism,
    /// What was asked for with it, by XEP-0388; `None` by RFC 6120.
    request: Option<Box<Request>>,
    /// The account that it is for, once the client has said so.
    account: Option<BareJid>,
    /// What the store has of it, where the client would bring more (XEP-0480).
    stored: Option<Credentials>,
    /// When the store answered, in seconds since 1970.
    now_unix_s: i64,
}

impl Attempt {
    /// Takes `<auth/>`.
    pub(crate) fn begin(below: AwaitingFeature, auth: &Fragment, out: &mut Vec<Action>) -> State {
        let named = auth.attribute("mechanism").and_then(Mechanism::from_name);
        let offer = features::offer(&below.negotiation, &below.opened.host);
        let host = below.negotiation.host(&below.opened.host);
        let mechanism = match features::offered_mechanism(&below.negotiation, host, &offer.sasl, named) {
            Ok(mechanism) => mechanism,
            Err(failure) => return Attempt::refuse(below, Profile::Core, named, failure, out),
        };
        let initial = data(Profile::Core, auth);
        Attempt::new(below, mechanism, None).start(initial, out)
    }

    /// Takes `<authenticate/>` (XEP-0388, 2.3).
    pub(crate) fn begin_extensible(
        below: AwaitingFeature,
        authenticate: &Fragment,
        out: &mut Vec<Action>,
    ) -> State {
        let named = authenticate.attribute("mechanism").and_then(Mechanism::from_name);
        let offer = features::offer(&below.negotiation, &below.opened.host);
        let by_token = matches!(named, Some(Mechanism::Token(_)));
        let (request, initial) = match Request::read(authenticate, offer, by_token) {
            Ok(parsed) => parsed,
            Err(BadRequest::OtherConfig) => return sasl2::other_config(below, out),
            Err(BadRequest::Malformed) => {
                return Attempt::refuse(
                    below,
                    Profile::Extensible,
                    named,
                    SaslFailure::MalformedRequest,
                    out,
                );
            }
        };
        let host = below.negotiation.host(&below.opened.host);
        let mechanism = match named {
            Some(Mechanism::Token(token)) if offer.tokens.contains(&token) => Ok(Mechanism::Token(token)),
            named => features::offered_mechanism(&below.negotiation, host, &offer.sasl2, named),
        };
        match mechanism {
            Ok(mechanism) => Attempt::new(below, mechanism, Some(Box::new(request))).start(initial, out),
            Err(failure) => Attempt::refuse(below, Profile::Extensible, named, failure, out),
        }
    }

    fn new(below: AwaitingFeature, mechanism: Mechanism, request: Option<Box<Request>>) -> Attempt {
        Attempt { below, mechanism, request, account: None, stored: None, now_unix_s: 0 }
    }

    fn profile(&self) -> Profile {
        if self.request.is_some() { Profile::Extensible } else { Profile::Core }
    }

    fn start(self, initial: Result<Option<Said>, SaslFailure>, out: &mut Vec<Action>) -> State {
        let outcome = match initial {
            Ok(initial) => {
                let initial = initial.as_ref().map(|initial| initial.as_slice());
                self.with_setting(|setting| sasl::begin(self.mechanism, setting, initial))
            }
            Err(failure) => Outcome::Failure(failure),
        };
        self.advance(outcome, out)
    }

    fn offered(&self) -> &Offered {
        let offer = features::offer(&self.below.negotiation, &self.below.opened.host);
        match self.profile() {
            Profile::Core => &offer.sasl,
            Profile::Extensible => &offer.sasl2,
        }
    }

    fn with_setting(&self, step: impl FnOnce(&Setting<'_>) -> Outcome) -> Outcome {
        let AwaitingFeature { negotiation, opened } = &self.below;
        let once = format!("{}.{}", opened.id, negotiation.failures);
        step(&Setting {
            domain: &opened.host,
            channel: negotiation.channel.as_deref(),
            offered: self.offered(),
            fakes: &negotiation.host(&opened.host).fakes,
            once: &once,
            client: self.request.as_ref().and_then(|request| request.client),
            count: self.request.as_ref().and_then(|request| request.count),
        })
    }

    /// Carries out what one step came to.
    fn advance(mut self, outcome: Outcome, out: &mut Vec<Action>) -> State {
        match outcome {
            Outcome::Challenge(challenge, exchange) => {
                let text = sasl::encode(&challenge);
                let namespace = namespace(self.profile());
                speech::element(&Element::new("challenge", namespace).with_text(text), out);
                State::AwaitingResponse(Box::new(AwaitingResponse { attempt: self, exchange }))
            }
            Outcome::LookUp(look_up) => match address::account(look_up.username(), &self.below.opened.host) {
                Ok(account) => self.look_up(look_up, account, out),
                Err(address::BadAddress) => self.failed(SaslFailure::NotAuthorized, out),
            },
            Outcome::Check(check, checking) => {
                let ask = self.below.negotiation.next_ask();
                out.push(Action::CheckPassword(ask, check));
                State::Checking(Box::new(Checking { attempt: self, ask, checking }))
            }
            Outcome::Success { username, data, evidence } => self.succeed(&username, data, evidence, out),
            Outcome::Failure(failure) => self.failed(failure, out),
        }
    }

    fn look_up(mut self, look_up: LookUp, account: BareJid, out: &mut Vec<Action>) -> State {
        let ask = self.below.negotiation.next_ask();
        let client = self.request.as_ref().and_then(|request| request.client);
        self.account = Some(account.clone());
        match (look_up.wants(), client) {
            (Wanted::Credentials, _) => out.push(Action::LoadCredentials(ask, account)),
            (Wanted::Tokens, Some(client)) => out.push(Action::LoadTokens(ask, account, client)),
            (Wanted::Tokens, None) => return self.failed(SaslFailure::MalformedRequest, out),
        }
        State::LookingUp(Box::new(LookingUp { attempt: self, ask, look_up }))
    }

    fn succeed(
        self,
        username: &str,
        data: Option<Vec<u8>>,
        evidence: Evidence,
        out: &mut Vec<Action>,
    ) -> State {
        let opened = &self.below.opened;
        let Ok(account) = address::account(username, &opened.host) else {
            return self.failed(SaslFailure::NotAuthorized, out);
        };
        let guest = matches!(evidence, Evidence::Nothing);
        // RFC 6120, 6.4.6: who the client said it is, if nobody else can have written it.
        let secure = self.below.negotiation.channel.is_some();
        if !guest && secure && opened.from.as_ref().is_some_and(|from| *from != account) {
            return match self.profile() {
                Profile::Core => Leaving::from(self.below).refuse(StreamCondition::InvalidFrom, out),
                // XEP-0388, 2.3.
                Profile::Extensible => self.failed(SaslFailure::InvalidAuthzid, out),
            };
        }
        if let Evidence::Stronger(witness, credentials) = &evidence {
            let (witness, credentials) = (witness.clone(), credentials.clone());
            let order = KeyOrder { account: account.clone(), witness, credentials };
            out.push(Action::StoreKeys(None, Box::new(order)));
        }
        let software = self.request.as_ref().and_then(|request| request.software.clone());
        let logged_in =
            LoggedIn { account, mechanism: self.mechanism, sasl2: self.request.is_some(), guest, software };
        let Attempt { below, request, stored, now_unix_s, .. } = self;
        match request {
            None => Attempt::restart(below, logged_in, data.as_deref(), out),
            Some(request) => {
                Login::new(below, logged_in, *request, data, evidence, stored, now_unix_s).go_on(out)
            }
        }
    }

    /// `<success/>` of RFC 6120: a new stream follows.
    fn restart(below: AwaitingFeature, login: LoggedIn, data: Option<&[u8]>, out: &mut Vec<Action>) -> State {
        let negotiation = below.negotiation;
        let text = data.map(sasl::encode_success).unwrap_or_default();
        speech::element(&Element::new("success", ns::SASL).with_text(text), out);
        out.push(Action::Order(Order::NewStream(negotiation.settings.limits)));
        let (account, guest) = (login.account.clone(), login.guest);
        out.push(Action::Authenticated(Box::new(login)));
        State::AwaitingRestart(Box::new(AwaitingRestart { negotiation, account, guest }))
    }

    fn failed(self, failure: SaslFailure, out: &mut Vec<Action>) -> State {
        let (failed, below) = self.end();
        failed.say(below, failure, Vec::new(), out)
    }

    /// RFC 6120, 6.4.2: another `<auth/>` discards the handshake, with no word of ours; so does all else that may come
    /// now. It counts like one that was aborted, or a stream could ask of as many accounts as it likes.
    fn discard(self, fragment: Fragment, out: &mut Vec<Action>) -> State {
        let (failed, below) = self.end();
        match failed.count(below, SaslFailure::Aborted, out) {
            Ok(below) => below.element(fragment, out),
            Err(end) => end,
        }
    }

    fn end(self) -> (Failed, AwaitingFeature) {
        let failed =
            Failed { profile: self.profile(), mechanism: Some(self.mechanism), account: self.account };
        (failed, self.below)
    }

    /// Says that a word of SASL came out of place.
    pub(crate) fn fail(
        below: AwaitingFeature,
        profile: Profile,
        failure: SaslFailure,
        out: &mut Vec<Action>,
    ) -> State {
        Attempt::refuse(below, profile, None, failure, out)
    }

    fn refuse(
        below: AwaitingFeature,
        profile: Profile,
        mechanism: Option<Mechanism>,
        failure: SaslFailure,
        out: &mut Vec<Action>,
    ) -> State {
        Failed { profile, mechanism, account: None }.say(below, failure, Vec::new(), out)
    }
}

/// An attempt that failed.
pub(crate) struct Failed {
    pub(crate) profile: Profile,
    pub(crate) mechanism: Option<Mechanism>,
    pub(crate) account: Option<BareJid>,
}

impl Failed {
    /// Says `<failure/>`, with what else there is to say; too many of them end the stream (RFC 6120, 6.4.5). Each counts,
    /// aborted ones too: each may have cost a question to the store.
    pub(crate) fn say(
        self,
        below: AwaitingFeature,
        failure: SaslFailure,
        reasons: Vec<Element>,
        out: &mut Vec<Action>,
    ) -> State {
        // XEP-0388, 2.6.2: the condition is that of RFC 6120, whatever the profile.
        let condition = Element::new(failure.name(), ns::SASL);
        let mut element = Element::new("failure", namespace(self.profile)).with_child(condition);
        reasons.into_iter().for_each(|reason| element.push(reason));
        speech::element(&element, out);
        self.count(below, failure, out)
            .map_or_else(|end| end, |below| State::AwaitingFeature(Box::new(below)))
    }

    /// Counts it; `Err` is the end of the stream.
    fn count(
        self,
        mut below: AwaitingFeature,
        failure: SaslFailure,
        out: &mut Vec<Action>,
    ) -> Result<AwaitingFeature, State> {
        out.push(Action::AuthenticationFailed(self.mechanism, failure, self.account));
        below.negotiation.failures += 1;
        if below.negotiation.failures >= below.negotiation.settings.sasl_failures_max {
            let error = StreamError::new(StreamCondition::PolicyViolation)
                .with_text("Too many failed authentications");
            return Err(Leaving::from(below).stream_error(error, out));
        }
        Ok(below)
    }
}

fn namespace(profile: Profile) -> &'static str {
    match profile {
        Profile::Core => ns::SASL,
        Profile::Extensible => ns::SASL2,
    }
}

/// What a client said to a mechanism; it may hold a password.
pub(crate) type Said = Zeroizing<Vec<u8>>;

/// What stands in `<auth/>` or `<response/>`.
fn data(profile: Profile, fragment: &Fragment) -> Result<Option<Said>, SaslFailure> {
    let text = fragment.text().map(Zeroizing::new).map_err(|_| SaslFailure::MalformedRequest)?;
    match profile {
        Profile::Core => sasl::decode(&text),
        Profile::Extensible => sasl2::decode(&text).map(Some),
    }
}
