//! Questions to the outside: each with a deadline, none waited for. The answer comes back as an input, under its
//! number; meanwhile the actor goes on with deliveries, control and writing.

use std::{
    future::Future,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use futures_util::future::join;
use rjabberd_actors::reply;
use rjabberd_c2s_proto::{
    Answer, Ask, ClaimRefused, Input, KeyOrder, Resource, TokenGone, TokenOrder, Unavailable,
};
use rjabberd_router::{Response, Routed};
use rjabberd_session_manager as session_manager;
use rjabberd_session_manager::{Bound, Claim};
use rjabberd_storage::StoreError;
use rjabberd_xmpp::{
    BareJid, Condition, IqType, Stanza, StanzaError, StanzaKind,
    sasl::{ClientId, FastToken, PasswordCheck, TokenChange},
};
use zeroize::Zeroizing;

use crate::{C2s, messages::Tick};

/// How long the contacts may think of a session that has taken a resource over as of the one before it, which was
/// available: a client that comes back sends its presence at once, and they need not see it go and come.
const OWED: Duration = Duration::from_secs(5);

/// No answer on an account is given sooner: the store answers some from memory, and reads more of those that exist, which
/// would tell a stranger who does. (The question is on its way meanwhile.)
const BEAT: Duration = Duration::from_millis(2);

impl C2s {
    fn ask(
        &self,
        ask: Ask,
        answer: impl Future<Output = Option<Answer>> + 'static,
        context: &mut Context<Self>,
    ) {
        self.ask_after(None, ask, answer, context);
    }

    /// When an answer on an account may be given; to be taken before the store is asked, which takes longer for some.
    fn not_before(&self, account: &BareJid) -> Instant {
        let now = Instant::now();
        now + self.shared.brake.wait(account, self.transport.peer().ip()).max(BEAT)
    }

    /// The same, and the answer is not heard before that time.
    fn ask_after(
        &self,
        not_before: Option<Instant>,
        ask: Ask,
        answer: impl Future<Output = Option<Answer>> + 'static,
        context: &mut Context<Self>,
    ) {
        let within = self.shared.times.ask;
        let strike = not_before.map(|at| self.shared.beat.strike(at));
        let answer = async move {
            let answer = tokio::time::timeout(within, answer);
            // The answer is fetched before the strike, so that nothing is left to do for some and not for others.
            let answer = match strike {
                Some(strike) => join(strike, answer).await.1,
                None => answer.await,
            };
            match answer {
                Ok(Some(answer)) => answer,
                Ok(None) | Err(_) => Answer::Unavailable(Unavailable),
            }
        };
        context.spawn(answer.into_actor(self).map(move |answer, c2s, context| {
            c2s.contain_in_future(context, |c2s, context| c2s.answered(ask, answer, context));
        }));
    }

    fn answered(&mut self, ask: Ask, answer: Answer, context: &mut Context<Self>) {
        self.feed(Input::Answered(ask, answer), context);
        self.pump(context);
    }

    pub(crate) fn load_credentials(&mut self, ask: Ask, account: &BareJid, context: &mut Context<Self>) {
        self.epoch = self.shared.table.epoch().now();
        let not_before = self.not_before(account);
        let login = self.shared.store.load_login(account);
        let number = self.alive.to_string();
        let answer = async move {
            match login.await {
                Ok(login) => {
                    let credentials = login.filter(|login| !login.disabled).map(|login| login.credentials);
                    Some(Answer::Credentials { credentials, nonce: nonce() })
                }
                Err(error) => {
                    log::warn!(target: "c2s:load_credentials", "{number} the store did not answer: {error}");
                    None
                }
            }
        };
        self.ask_after(Some(not_before), ask, answer, context);
    }

    /// Asks for the tokens of a client, as for keys.
    pub(crate) fn load_tokens(
        &mut self,
        ask: Ask,
        account: &BareJid,
        client: ClientId,
        context: &mut Context<Self>,
    ) {
        self.epoch = self.shared.table.epoch().now();
        let not_before = self.not_before(account);
        let tokens = self.shared.store.load_tokens(account, client);
        let number = self.alive.to_string();
        let answer = async move {
            match tokens.await {
                Ok(tokens) => Some(Answer::Tokens { tokens, now_unix_s: now_unix_s() }),
                Err(error) => {
                    log::warn!(target: "c2s:load_tokens", "{number} the store did not answer: {error}");
                    None
                }
            }
        };
        self.ask_after(Some(not_before), ask, answer, context);
    }

    pub(crate) fn change_tokens(&mut self, ask: Ask, order: TokenOrder, context: &mut Context<Self>) {
        let TokenOrder { account, client, used, witnesses, revoke, issue } = order;
        let now = now_unix_s();
        let lifetime = i64::try_from(self.shared.token_lifetime.as_secs()).unwrap_or(i64::MAX / 2);
        let issue = issue.map(|mechanism| FastToken {
            mechanism,
            secret: Zeroizing::new(secret()),
            issued_unix_s: now,
            expires_unix_s: now.saturating_add(lifetime),
            count: 0,
        });
        let change = TokenChange { used, witnesses, revoke, issue: issue.clone() };
        let clients_max = self.shared.token_clients_max;
        let changed = self.shared.store.change_tokens(&account, client, change, clients_max);
        let number = self.alive.to_string();
        let answer = async move {
            match changed.await {
                Ok(()) => Some(Answer::TokensChanged(Ok(issue))),
                Err(StoreError::NotFound | StoreError::Conflict) => {
                    Some(Answer::TokensChanged(Err(TokenGone)))
                }
                Err(error) => {
                    log::warn!(target: "c2s:change_tokens", "{number} the store did not answer: {error}");
                    None
                }
            }
        };
        self.ask(ask, answer, context);
    }

    /// Stores keys. Where nobody waits for it, the login goes on whatever comes of it.
    pub(crate) fn store_keys(&mut self, ask: Option<Ask>, order: KeyOrder, context: &mut Context<Self>) {
        let KeyOrder { account, witness, credentials } = order;
        let stored = self.shared.store.add_keys(&account, witness, credentials);
        let number = self.alive.to_string();
        let done = async move {
            match stored.await {
                Ok(()) => {
                    log::info!(target: "c2s:store_keys", "{number} {account} has stronger keys now");
                    true
                }
                Err(error) => {
                    log::warn!(target: "c2s:store_keys", "{number} no stronger keys for {account}: {error}");
                    false
                }
            }
        };
        match ask {
            Some(ask) => self.ask(ask, async move { Some(Answer::KeysStored(done.await)) }, context),
            None => drop(context.spawn(done.into_actor(self).map(|_, _, _| ()))),
        }
    }

    pub(crate) fn check_password(&mut self, ask: Ask, check: PasswordCheck, context: &mut Context<Self>) {
        let running = self.shared.offload.run(move || check.run(rand::random));
        let within = self.shared.times.ask;
        let answer = async move {
            let verdict = running.ok()?.within(within).await.ok()?;
            Some(Answer::PasswordChecked(verdict))
        };
        self.ask(ask, answer, context);
    }

    /// Asks for a form or an account, unless too many accounts come from that address.
    pub(crate) fn ask_registration(
        &mut self,
        ask: Ask,
        host: &str,
        request: &Stanza,
        context: &mut Context<Self>,
    ) {
        let peer = self.transport.peer();
        let creates = request.kind == StanzaKind::Iq(IqType::Set);
        let routed = if creates && !(self.shared.may_register)(peer.ip()) {
            log::debug!(target: "c2s:registration", "{} too many registrations from {peer}", self.alive);
            let error = StanzaError::new(Condition::NotAcceptable).with_text("Too many registrations.");
            request.error(&error).map_or(Routed::Done, |error| Routed::Reply(Response::Stanza(error)))
        } else {
            self.shared.router.answer_stranger(host, request)
        };
        self.answer_later(ask, routed, request, context);
    }

    /// Writes the reply to a request when it comes; where none comes, says so itself.
    pub(crate) fn answer_later(
        &mut self,
        ask: Ask,
        routed: Routed,
        request: &Stanza,
        context: &mut Context<Self>,
    ) {
        let error =
            StanzaError::new(Condition::ResourceConstraint).with_text("the server could not answer in time");
        let no_answer = request.error(&error);
        let within = self.shared.times.ask;
        let reply = async move {
            match routed {
                Routed::Done | Routed::Committing(_) => None,
                Routed::Reply(reply) => Some(reply),
                Routed::Later(reply) => {
                    tokio::time::timeout(within, reply).await.unwrap_or(no_answer.map(Response::Stanza))
                }
            }
        };
        context.spawn(reply.into_actor(self).map(move |reply, c2s, context| {
            c2s.contain_in_future(context, |c2s, context| c2s.respond(ask, reply, context));
        }));
    }

    fn respond(&mut self, ask: Ask, response: Option<Response>, context: &mut Context<Self>) {
        let answer = match response {
            Some(Response::Stanza(stanza)) => Some(stanza),
            // Its text is not the machine's.
            Some(long @ Response::Long(_)) => {
                if self.state.as_ref().is_some_and(|state| state.wants_delivery()) {
                    self.write_response(long, context);
                }
                None
            }
            None => None,
        };
        self.replied(ask, Answer::Reply(answer), context);
    }

    /// The client's request is answered. If the answer has ended its account (XEP-0077, 3.2), the control that says so is
    /// in our mailbox by now; so what stood behind the request goes through the mailbox too.
    pub(crate) fn replied(&mut self, ask: Ask, answer: Answer, context: &mut Context<Self>) {
        self.feed(Input::Answered(ask, answer), context);
        if let Some(control) = self.control_after_answer.take() {
            self.feed(Input::Control(control), context);
        }
        self.hand_over_when_answered(context);
        // Our own mailbox is there as long as we are.
        let _gone = self.door.port().send(Tick::Resume);
    }

    pub(crate) fn claim(
        &mut self,
        ask: Ask,
        account: BareJid,
        resource: Resource,
        guest: bool,
        context: &mut Context<Self>,
    ) {
        let resource = match resource {
            Resource::Made { prefix } => session_manager::Resource::Made { prefix },
            Resource::Named(name) => session_manager::Resource::Named(name),
            Resource::Own(name) => session_manager::Resource::Own(name),
        };
        let answer = self.ask_for_seat(account, resource, guest);
        context.spawn(answer.into_actor(self).map(move |answer, c2s, context| {
            c2s.contain_in_future(context, |c2s, context| c2s.claimed(ask, answer, context));
        }));
    }

    /// Asks the session manager for a place in the table.
    pub(crate) fn ask_for_seat(
        &mut self,
        account: BareJid,
        resource: session_manager::Resource,
        guest: bool,
    ) -> impl Future<Output = Option<Result<Bound, session_manager::ClaimRefused>>> + 'static {
        let (reply, answer) = reply();
        let claims = self.shared.sessions.of(&account).claim.clone();
        let claim = Claim {
            account,
            resource,
            guest,
            epoch: self.epoch,
            deliver: self.door.port(),
            control: self.door.port(),
            reply,
        };
        let sent = claims.send(claim).is_ok();
        self.claiming = true;
        let answer = answer.within(self.shared.times.ask);
        async move { if sent { answer.await.ok() } else { None } }
    }

    fn claimed(
        &mut self,
        ask: Ask,
        answer: Option<Result<Bound, session_manager::ClaimRefused>>,
        context: &mut Context<Self>,
    ) {
        self.claiming = false;
        let answer = match answer {
            Some(Ok(bound)) => {
                let (seat, handed) = bound.accept();
                let jid = seat.jid().clone();
                // It may have been told of the spill before it knew whose.
                seat.heard();
                let is_owed = seat.show().is_owed();
                self.seat = Some(seat);
                if is_owed {
                    let timer = self.arm(OWED, Tick::Owed);
                    self.errands().owed = Some(timer);
                }
                self.inherit(handed);
                Ok(jid)
            }
            Some(Err(refused)) => Err(match refused {
                session_manager::ClaimRefused::Conflict => ClaimRefused::Conflict,
                session_manager::ClaimRefused::TooManySessions => ClaimRefused::TooManySessions,
                session_manager::ClaimRefused::AccountGone => ClaimRefused::AccountGone,
                // Of a claim that asked for a session; this one did not.
                session_manager::ClaimRefused::NotResumable(_) => ClaimRefused::Unavailable,
            }),
            None => Err(ClaimRefused::Unavailable),
        };
        if let Ok(jid) = &answer {
            log::info!(target: "c2s:bound", "{} {jid} bound", self.alive);
        }
        self.feed(Input::Answered(ask, Answer::Claimed(answer)), context);
        self.keep_owed();
        if std::mem::take(&mut self.hand_over_early) {
            self.hand_over(context);
        }
        self.drain_spill(context);
        self.pump(context);
    }
}

fn now_unix_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// A token: 32 random bytes as text.
fn secret() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// A nonce for SCRAM: 24 random bytes as text without comma (RFC 5802, 5.1).
fn nonce() -> String {
    STANDARD_NO_PAD.encode(rand::random::<[u8; 24]>())
}
