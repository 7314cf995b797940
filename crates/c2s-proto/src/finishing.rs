//! The end of a login by XEP-0388: what the client asked for together with it is done, one after another, and only then
//! it is told of its success: upgraded keys (XEP-0480), its token (XEP-0484), a resource (XEP-0386).
//!
//! Invariant: a failed login has changed nothing but the client's tokens, and a token that was used and is gone
//! meanwhile lets nobody in; neither does a password that is another meanwhile get a token.

use rjabberd_xml::Element;
use rjabberd_xmpp::{
    BareJid, Condition, FullJid, address,
    date::date_time,
    ns,
    sasl::{self, Credentials, Evidence, FastToken, Mechanism, SaslFailure, ScramKeys, UsedToken},
};

use crate::{
    Action, Answer, Ask, ClaimRefused, Deadline, LoggedIn, Order, Resource, ResumeRefused, Resumed, State,
    TokenOrder,
    authenticating::{Failed, Profile},
    binding::AwaitingBind,
    closing::{Leaving, Voice},
    established::Established,
    features,
    management::Terms,
    negotiating::AwaitingFeature,
    offers::Progress,
    resuming::{self, ResumeRequest},
    sasl2::{BindRequest, Request},
    speech, upgrading,
};

/// Bytes of the part of a resource that we make for a client, before they become text.
const RESOURCE_BYTES: usize = 9;

/// Somebody whose mechanism has succeeded.
pub(crate) struct Login {
    pub(crate) below: AwaitingFeature,
    pub(crate) who: LoggedIn,
    pub(crate) request: Request,
    /// Additional data with success, until it is said.
    pub(crate) data: Option<Vec<u8>>,
    /// Keys that are stored and were right.
    pub(crate) witness: Option<ScramKeys>,
    /// Keys of the password that was used, among them those that this login has brought: which of them are stored by now
    /// is for the store to say.
    pub(crate) witnesses: Vec<ScramKeys>,
    /// What the store has of the account, where the client would bring more.
    pub(crate) stored: Option<Credentials>,
    /// The token that was used.
    used: Option<UsedToken>,
    /// The tokens are changed, or need not be.
    tokens_done: bool,
    /// The token that was made.
    token: Option<FastToken>,
    /// The session that it wanted cannot be had: how the client is told.
    failed: Option<Element>,
    now_unix_s: i64,
}

impl Login {
    pub(crate) fn new(
        below: AwaitingFeature,
        who: LoggedIn,
        request: Request,
        data: Option<Vec<u8>>,
        evidence: Evidence,
        stored: Option<Credentials>,
        now_unix_s: i64,
    ) -> Login {
        let (mut witness, mut witnesses, mut used) = (None, Vec::new(), None);
        match evidence {
            Evidence::Keys(keys) => (witness, witnesses) = (Some(keys.clone()), vec![keys]),
            Evidence::Stronger(keys, stronger) => witnesses = [vec![keys], stronger.keys].concat(),
            Evidence::Token(token) => used = Some(token),
            Evidence::Other | Evidence::Nothing => {}
        }
        Login {
            below,
            who,
            request,
            data,
            witness,
            witnesses,
            stored,
            used,
            tokens_done: false,
            token: None,
            failed: None,
            now_unix_s,
        }
    }

    /// Does what is to be done next.
    pub(crate) fn go_on(mut self, out: &mut Vec<Action>) -> State {
        if let Some(hash) = upgrading::next(&mut self) {
            return upgrading::ask(self, hash, out);
        }
        if !std::mem::replace(&mut self.tokens_done, true)
            && let Some(order) = self.token_order()
        {
            let ask = self.below.negotiation.next_ask();
            out.push(Action::ChangeTokens(ask, Box::new(order)));
            return State::Finishing(Box::new(Finishing { login: self, ask, step: Step::Tokens }));
        }
        // XEP-0198, 9.2: before a resource, which a session that goes on has.
        if let Some(request) = self.request.resume.take() {
            return self.resume(request, out);
        }
        match self.request.bind.take() {
            Some(bind) => self.claim(bind, out),
            None => self.succeed(None, out),
        }
    }

    fn resume(mut self, request: ResumeRequest, out: &mut Vec<Action>) -> State {
        let Some(id) = request.id else { return self.not_resumed(request, None, out) };
        let ask = self.below.negotiation.next_ask();
        out.push(Action::Resume(ask, self.who.account.clone(), id));
        State::Finishing(Box::new(Finishing { login: self, ask, step: Step::Session(request) }))
    }

    /// The login goes on without the session that it wanted.
    fn not_resumed(mut self, request: ResumeRequest, h: Option<u32>, out: &mut Vec<Action>) -> State {
        self.failed = Some(request.version.failed(Condition::ItemNotFound, h));
        self.go_on(out)
    }

    /// What this login does to the client's tokens (XEP-0484, 3.3 to 3.6); `None` is nothing.
    fn token_order(&self) -> Option<TokenOrder> {
        // A token would outlive the guest, or the certificate and the authority that vouched for it.
        let has_tokens = !self.who.guest && self.who.mechanism != Mechanism::External;
        let client = self.request.client.filter(|_| has_tokens)?;
        let rotation_s = self.below.negotiation.host(&self.below.opened.host).token_rotation_s?;
        let is_old = |used: &UsedToken| self.now_unix_s - used.token.issued_unix_s >= rotation_s;
        let rotated = self.used.as_ref().filter(|used| !self.request.revoke && is_old(used));
        let issue = self.request.token.or(rotated.map(|used| used.token.mechanism));
        let changes = self.request.revoke
            || self.request.count.is_some()
            || self.used.as_ref().is_some_and(|used| used.slot == sasl::TokenSlot::Fresh);
        (issue.is_some() || (self.used.is_some() && changes)).then(|| TokenOrder {
            account: self.who.account.clone(),
            client,
            used: self.used.clone(),
            witnesses: self.witnesses.clone(),
            revoke: self.request.revoke,
            issue,
        })
    }

    fn claim(mut self, bind: BindRequest, out: &mut Vec<Action>) -> State {
        let ask = self.below.negotiation.next_ask();
        let resource = self.resource(&bind);
        out.push(Action::Claim(ask, self.who.account.clone(), resource, self.who.guest));
        State::Finishing(Box::new(Finishing { login: self, ask, step: Step::Resource(bind) }))
    }

    /// XEP-0386, 3.2.1: the tag, and behind it what we make; the same for the same client, which nobody can tell its
    /// identifier by.
    fn resource(&self, bind: &BindRequest) -> Resource {
        let account = &self.who.account;
        let prefix = bind.tag.as_deref().and_then(|tag| prefix(account, tag)).unwrap_or_default();
        let Some(client) = self.request.client else { return Resource::Made { prefix } };
        let fakes = &self.below.negotiation.host(&self.below.opened.host).fakes;
        let own = fakes.derive(&["resource", account.as_str(), &format!("{:032x}", client.0)]);
        // URL-safe: no `/` but the one behind the tag.
        let own = sasl::encode(&own[..RESOURCE_BYTES]).replace('+', "-").replace('/', "_");
        Resource::Own(prefix + &own)
    }

    /// Says `<success/>` and what is offered now; no new stream (XEP-0388, 2.6.1).
    fn succeed(self, bound: Option<(FullJid, BindRequest)>, out: &mut Vec<Action>) -> State {
        let negotiation = &self.below.negotiation;
        let terms = Terms::new(&negotiation.settings, self.below.opened.resumption, self.who.guest);
        let enable = bound.as_ref().and_then(|(_, bind)| bind.enable);
        let granted = enable.map(|enable| enable.grant(terms));
        let mut children: Vec<Element> = self.failed.iter().cloned().collect();
        if bound.is_some() {
            let enabled = granted.iter().map(|(_, enabled)| enabled.clone());
            children.push(enabled.fold(Element::new("bound", ns::BIND2), Element::with_child));
        }
        self.say_success(bound.as_ref().map(|(jid, _)| jid), children, out);
        let Login { below: AwaitingFeature { negotiation, opened }, who, .. } = self;
        let progress = match (&bound, &granted) {
            (_, Some(_)) => Progress::Managed,
            (Some(_), None) => Progress::Bound,
            (None, None) => Progress::Authenticated,
        };
        out.push(Action::Write(features::authenticated(&negotiation, &opened.host, progress)));
        out.push(Action::Order(Order::NewLimits(negotiation.settings.limits)));
        let (account, guest) = (who.account.clone(), who.guest);
        out.push(Action::Authenticated(Box::new(who)));
        let Some((jid, bind)) = bound else {
            return State::AwaitingBind(Box::new(AwaitingBind::new(negotiation, account, guest, opened)));
        };
        out.push(Action::ClearDeadline(Deadline::Negotiation));
        out.push(Action::SetDeadline(Deadline::Idle));
        let settings = negotiation.settings;
        let mut established = Established::new(settings, account, jid, opened.lang, terms);
        if let Some((management, _)) = granted {
            established.begin_management(management, out);
        }
        if bind.carbons {
            out.push(Action::EnableCarbons);
        }
        if bind.inactive {
            out.push(Action::ClientActive(false));
        }
        State::Established(Box::new(established))
    }

    /// An earlier session goes on: no features follow, and what else was asked for is left alone (XEP-0198, 9.2).
    fn resumed(self, request: ResumeRequest, resumed: Resumed, out: &mut Vec<Action>) -> State {
        let Some(terms) = resuming::terms(&resumed) else {
            return Leaving { voice: Voice::Open, session: Some(resumed.session) }.out_of_turn(out);
        };
        let told = request.version.resumed(resumed.h, terms.id);
        self.say_success(Some(&resumed.session.jid), vec![told], out);
        let Login { below: AwaitingFeature { negotiation, opened }, who, .. } = self;
        out.push(Action::Order(Order::NewLimits(negotiation.settings.limits)));
        let account = who.account.clone();
        out.push(Action::Authenticated(Box::new(who)));
        let settings = negotiation.settings;
        let established = Established::resumed(settings, account, resumed.session, opened.lang, terms);
        resuming::go_on(established, request.h, out)
    }

    fn say_success(&self, bound: Option<&FullJid>, children: Vec<Element>, out: &mut Vec<Action>) {
        let Login { who, data, token, .. } = self;
        let mut success = Element::new("success", ns::SASL2);
        if let Some(data) = data {
            success.push(Element::new("additional-data", ns::SASL2).with_text(sasl::encode(data)));
        }
        let identifier = bound.map_or(who.account.as_str(), |jid| jid.as_str());
        success.push(Element::new("authorization-identifier", ns::SASL2).with_text(identifier));
        children.into_iter().for_each(|child| success.push(child));
        if let Some(token) = token {
            let expiry = date_time(token.expires_unix_s);
            success.push(
                Element::new("token", ns::FAST)
                    .with_attribute("expiry", expiry)
                    .with_attribute("token", token.secret.as_str()),
            );
        }
        speech::element(&success, out);
    }

    pub(crate) fn fail(self, failure: SaslFailure, reasons: Vec<Element>, out: &mut Vec<Action>) -> State {
        let failed = Failed {
            profile: Profile::Extensible,
            mechanism: Some(self.who.mechanism),
            account: Some(self.who.account),
        };
        failed.say(self.below, failure, reasons, out)
    }
}

/// A tag as the beginning of a resource, prepared; one that cannot be is left out.
fn prefix(account: &BareJid, tag: &str) -> Option<String> {
    let full = address::full(account, &format!("{tag}/{}", "x".repeat(2 * RESOURCE_BYTES))).ok()?;
    let resource = full.resource().as_str();
    Some(resource.trim_end_matches('x').to_owned())
}

/// Something is being done that the client asked for with its login.
pub struct Finishing {
    login: Login,
    pub(crate) ask: Ask,
    step: Step,
}

enum Step {
    Keys,
    Tokens,
    Session(ResumeRequest),
    Resource(BindRequest),
}

impl Finishing {
    /// Keys are being stored.
    pub(crate) fn storing_keys(login: Login, ask: Ask) -> State {
        State::Finishing(Box::new(Finishing { login, ask, step: Step::Keys }))
    }

    pub(crate) fn answered(self, answer: Answer, out: &mut Vec<Action>) -> State {
        let Finishing { mut login, step, .. } = self;
        match (step, answer) {
            // Who the client is was proved before: it goes on without what it brought.
            (Step::Keys, Answer::KeysStored(_) | Answer::Unavailable(_)) => login.go_on(out),
            (Step::Tokens, Answer::TokensChanged(Ok(token))) => {
                login.token = token;
                login.go_on(out)
            }
            (Step::Tokens, Answer::TokensChanged(Err(_))) => {
                login.fail(SaslFailure::NotAuthorized, Vec::new(), out)
            }
            (Step::Tokens, Answer::Unavailable(_)) if login.used.is_some() => {
                login.fail(SaslFailure::TemporaryAuthFailure, Vec::new(), out)
            }
            (Step::Tokens, Answer::Unavailable(_)) => login.go_on(out),
            (Step::Session(request), Answer::Resumed(answer)) => match *answer {
                Ok(resumed) => login.resumed(request, resumed, out),
                Err(ResumeRefused::AccountGone) => account_gone(out),
                Err(ResumeRefused::NotFound(h)) => login.not_resumed(request, h, out),
            },
            (Step::Session(request), Answer::Unavailable(_)) => login.not_resumed(request, None, out),
            (Step::Resource(bind), Answer::Claimed(Ok(jid))) => login.succeed(Some((jid, bind)), out),
            (Step::Resource(_), Answer::Claimed(Err(ClaimRefused::AccountGone))) => account_gone(out),
            (Step::Resource(_), Answer::Claimed(Err(refused))) => login.no_resource(refused, out),
            (Step::Resource(_), Answer::Unavailable(_)) => login.no_resource(ClaimRefused::Unavailable, out),
            _ => Leaving { voice: Voice::Open, session: None }.out_of_turn(out),
        }
    }
}

impl Login {
    /// XEP-0386 has no word for a resource that is refused; that of stanzas tells the client to come again.
    fn no_resource(self, refused: ClaimRefused, out: &mut Vec<Action>) -> State {
        let text = match refused {
            ClaimRefused::TooManySessions => "The account has too many sessions",
            _ => "The server is busy, try again",
        };
        let reasons = vec![
            Element::new("resource-constraint", ns::STANZA_ERRORS),
            Element::new("text", ns::SASL2).with_text(text),
        ];
        self.fail(SaslFailure::TemporaryAuthFailure, reasons, out)
    }
}

fn account_gone(out: &mut Vec<Action>) -> State {
    Leaving { voice: Voice::Open, session: None }.account_gone(out)
}

impl From<Finishing> for Leaving {
    fn from(_: Finishing) -> Leaving {
        Leaving { voice: Voice::Open, session: None }
    }
}
