//! Questions to the outside: each with a deadline, none waited for. The answer comes back as an input, under its
//! number; meanwhile the actor goes on with deliveries, control and writing.

use std::{future::Future, time::Duration};

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use rjabberd_actors::reply;
use rjabberd_c2s_proto::{Answer, Ask, ClaimRefused, Input, Unavailable};
use rjabberd_router::{Response, Routed};
use rjabberd_session_manager as session_manager;
use rjabberd_session_manager::{Bound, Claim};
use rjabberd_xmpp::{BareJid, Condition, IqType, Stanza, StanzaError, StanzaKind, sasl::PasswordCheck};

use crate::{C2s, messages::Tick};

/// How long the contacts may think of a session that has taken a resource over as of the one before it, which was
/// available: a client that comes back sends its presence at once, and they need not see it go and come.
const OWED: Duration = Duration::from_secs(5);

impl C2s {
    fn ask(
        &self,
        ask: Ask,
        answer: impl Future<Output = Option<Answer>> + 'static,
        context: &mut Context<Self>,
    ) {
        let within = self.shared.times.ask;
        let answer = async move {
            match tokio::time::timeout(within, answer).await {
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
        self.ask(ask, answer, context);
    }

    pub(crate) fn check_password(&mut self, ask: Ask, check: PasswordCheck, context: &mut Context<Self>) {
        let running = self.shared.offload.run(move || check.run());
        let within = self.shared.times.ask;
        let answer = async move {
            let right = running.ok()?.within(within).await.ok()?;
            Some(Answer::PasswordChecked(right))
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
                    self.write_response(long);
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
        // Our own mailbox is there as long as we are.
        let _gone = self.door.port().send(Tick::Resume);
    }

    pub(crate) fn claim(
        &mut self,
        ask: Ask,
        account: BareJid,
        resource: Option<String>,
        context: &mut Context<Self>,
    ) {
        let (reply, answer) = reply();
        let claims = self.shared.sessions.of(&account).claim.clone();
        let claim = Claim {
            account,
            resource,
            epoch: self.epoch,
            deliver: self.door.port(),
            control: self.door.port(),
            reply,
        };
        let sent = claims.send(claim).is_ok();
        self.claiming = true;
        let answer = answer.within(self.shared.times.ask);
        let answer = async move { if sent { answer.await.ok() } else { None } };
        context.spawn(answer.into_actor(self).map(move |answer, c2s, context| {
            c2s.contain_in_future(context, |c2s, context| c2s.claimed(ask, answer, context));
        }));
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
        self.drain_spill();
        self.pump(context);
    }
}

/// A nonce for SCRAM: 24 random bytes as text without comma (RFC 5802, 5.1).
fn nonce() -> String {
    STANDARD_NO_PAD.encode(rand::random::<[u8; 24]>())
}
