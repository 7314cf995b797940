//! Hands the machine its inputs, in order, and carries out its actions: one arm each, no decision of the protocol.

use std::{cell::Cell, collections::VecDeque, time::Duration};

use actix::{ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};
use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use rjabberd_actors::{Timer, arm};
use rjabberd_c2s_proto::{
    Action, Answer, Ask, CloseReason, ControlInput, Deadline, Input, LostReason, Order as ProtoOrder,
};
use rjabberd_receiver::messages::{Credit, Event, Loss, Order};
use rjabberd_router::{Committed, Response, Routed};
use rjabberd_session_manager::{Control, burden::carrying};
use rjabberd_transport::TlsInfo;
use rjabberd_xmpp::{
    Jid, Stanza, StanzaKind,
    sasl::{SecureChannel, TlsVersion},
};
use rustls::ProtocolVersion;

use crate::{C2s, Phase, fresh, messages::Tick, redact};

/// Elements in a batch once the session is established; before, it is one. To parse and route an element costs some ten
/// microseconds each, and a batch is not interrupted: this is how long a flooder's neighbours wait for each of its turns.
const BATCH_MAX: usize = 16;

/// Messages of one client on their way into the store: then it is read no further until they are there.
const COMMITTING_MAX: usize = 256;

thread_local! {
    /// The room for a list of actions, empty, for whoever is next on this thread.
    static ACTIONS: Cell<Vec<Action>> = const { Cell::new(Vec::new()) };
}

impl C2s {
    /// Hands in what was read, for as long as the machine wants it; then asks for more.
    pub(crate) fn pump(&mut self, context: &mut Context<Self>) {
        while self.phase == Phase::Open && self.wants_element() {
            let Some(event) = self.batch.pop_front() else { break };
            self.event(event, context);
        }
        if self.phase != Phase::Open {
            self.lost_after_close(context);
            self.batch.clear();
        }
        if self.batch.is_empty() {
            self.batch = VecDeque::new();
        }
        self.give_credit();
    }

    fn wants_element(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.wants_element())
    }

    fn event(&mut self, event: Event, context: &mut Context<Self>) {
        let input = match event {
            Event::HeaderRead(header) => Input::HeaderRead(header, fresh()),
            Event::ElementRead(fragment) => Input::ElementRead(fragment),
            Event::StreamEnded => Input::StreamEnded,
            Event::Refused(error) => {
                self.refused = Some(error.clone());
                Input::XmlRefused(error, fresh())
            }
            Event::BytesBehindStartTls => Input::BytesBehindStartTls,
            Event::TlsStarted(info) => {
                self.log_tls(&info);
                self.tls_opening = false;
                Input::TlsStarted(Box::new(self.channel(*info)))
            }
            Event::Lost(loss) => Input::ConnectionLost(match loss {
                Loss::Eof => LostReason::Eof,
                Loss::Broken => LostReason::Broken,
                Loss::Tls => LostReason::Tls,
            }),
        };
        self.feed(input, context);
    }

    /// The receiver has seen the end of a connection that we were closing: nothing is left to write to.
    fn lost_after_close(&mut self, context: &mut Context<Self>) {
        let lost = self.batch.iter().any(|event| matches!(event, Event::Lost(_)));
        if lost && matches!(self.phase, Phase::Closing(_)) {
            self.phase = Phase::Gone;
            self.stop_when_done(context);
        }
    }

    /// Lets the receiver read one batch more, unless the machine has to be answered first or the client does not read
    /// what it asked for.
    pub(crate) fn give_credit(&mut self) {
        let unread = self.outbox.len() >= self.shared.outbox_bytes_max || self.outbox.is_making();
        if self.phase != Phase::Open
            || self.credit_given
            || !self.batch.is_empty()
            || !self.wants_element()
            || unread
        {
            return;
        }
        // `<proceed/>` goes out in plain before the handshake begins; the writer comes back here.
        if matches!(self.order, Order::StartTls(_)) && !self.outbox.is_empty() {
            return;
        }
        let established = self.state.as_ref().is_some_and(|state| state.wants_delivery());
        let elements_max = if established { BATCH_MAX } else { 1 };
        let order = std::mem::replace(&mut self.order, Order::Continue);
        self.credit(Credit { order, elements_max });
    }

    pub(crate) fn credit(&mut self, credit: Credit) {
        self.credit_given = true;
        // A receiver that is gone has said why before.
        let _gone = self.receiver.give(credit);
    }

    /// Advances the machine by one input and does what it says.
    pub(crate) fn feed(&mut self, input: Input, context: &mut Context<Self>) {
        let Some(state) = self.state.take() else { return };
        // Carrying out one may feed the machine again: then that one's list is a new one.
        let mut actions = ACTIONS.take();
        self.state = Some(state.on(input, &mut actions));
        self.perform(&mut actions, context);
        ACTIONS.set(actions);
    }

    /// Carries out actions, in order.
    pub(crate) fn perform(&mut self, actions: &mut Vec<Action>, context: &mut Context<Self>) {
        for action in actions.drain(..) {
            self.act(action, context);
        }
        self.stop_when_done(context);
    }

    fn act(&mut self, action: Action, context: &mut Context<Self>) {
        match action {
            Action::Write(bytes) => self.write(&bytes),
            Action::WriteStanza(bytes) => self.write_own(bytes, context),
            Action::Order(order) => {
                self.order = match order {
                    ProtoOrder::NewStream(limits) => Order::NewStream(limits),
                    ProtoOrder::NewLimits(limits) => Order::NewLimits(limits),
                    ProtoOrder::StartTls(limits) => Order::StartTls(limits),
                }
            }
            Action::LoadCredentials(ask, account) => self.load_credentials(ask, &account, context),
            Action::CheckPassword(ask, check) => self.check_password(ask, check, context),
            Action::AskRegistration(ask, host, request) => {
                self.ask_registration(ask, &host, &request, context);
            }
            Action::LoadTokens(ask, account, client) => self.load_tokens(ask, &account, client, context),
            Action::ChangeTokens(ask, order) => self.change_tokens(ask, *order, context),
            Action::StoreKeys(ask, order) => self.store_keys(ask, *order, context),
            Action::Claim(ask, account, resource, guest) => {
                self.claim(ask, account, resource, guest, context);
            }
            Action::Resume(ask, account, id) => self.resume(ask, account, id, context),
            Action::Manage(version, resumption) => self.manage(version, resumption),
            Action::Received => self.received(context),
            Action::AnswerRequest => self.answer_request(),
            Action::Acknowledged(h) => self.acknowledged(h, context),
            Action::Retransmit(h) => self.retransmit(h, context),
            Action::EnableCarbons => {
                if let Some(seat) = &self.seat {
                    self.shared.router.im().carbons.enable(seat);
                }
            }
            Action::ClientActive(active) => self.client_is(active, context),
            Action::Hibernate(reason) => self.hibernate(reason, context),
            Action::ForgetResumption => self.forget_resumption(),
            Action::Release(jid) => self.give_back(&jid),
            Action::Route(stanza) => self.route(stanza, context),
            Action::SetPresence(priority, stanza) => self.set_presence(priority, stanza, context),
            Action::EndSession(session, reason) => self.end_session(*session, reason, context),
            Action::SetDeadline(deadline) => self.set_deadline(deadline),
            Action::ClearDeadline(deadline) => self.clear_deadline(deadline),
            Action::StateChanged(state) => {
                log::debug!(target: "c2s:state", "{} {state}", self.alive);
            }
            Action::Authenticated(login) => self.logged_in(&login),
            Action::AuthenticationFailed(mechanism, failure, account) => {
                self.login_failed(mechanism, failure, account.as_ref());
            }
            Action::Close(reason) => self.close(reason),
            Action::Drop(reason) => self.drop_connection(reason),
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        if self.phase == Phase::Gone {
            return;
        }
        log::debug!(target: "c2s:send", "{} Send XML on stream = \"{}\"", self.alive, redact::own(bytes));
        self.outbox.push(bytes);
    }

    /// Writes a stanza that the machine has made.
    fn write_own(&mut self, bytes: Bytes, context: &mut Context<Self>) {
        if self.phase == Phase::Gone {
            return;
        }
        log::debug!(target: "c2s:send", "{} Send XML on stream = \"{}\"", self.alive, redact::own(&bytes));
        let noted = self.outbox.push_stanza(bytes);
        self.noted(noted, context);
    }

    /// Writes what answers the client's own stanza.
    pub(crate) fn write_response(&mut self, response: Response, context: &mut Context<Self>) {
        match response {
            Response::Stanza(stanza) => self.write_stanza(&stanza, context),
            Response::Long(long) => {
                if self.phase != Phase::Gone {
                    log::debug!(target: "c2s:send", "{} Send XML on stream = (a long result)", self.alive);
                    let noted = self.outbox.push_long(long);
                    self.noted(noted, context);
                }
            }
        }
    }

    /// Writes a stanza that answers the client's own.
    fn write_stanza(&mut self, stanza: &Stanza, context: &mut Context<Self>) {
        if self.phase == Phase::Gone {
            return;
        }
        log::debug!(target: "c2s:send", "{} Send XML on stream = \"{}\"", self.alive, redact::stanza(stanza));
        let mut bytes = bytes::BytesMut::new();
        stanza.write(&mut bytes);
        let noted = self.outbox.push_stanza(bytes.freeze());
        self.noted(noted, context);
    }

    fn route(&mut self, stanza: Stanza, context: &mut Context<Self>) {
        if !stanza.from.as_ref().is_some_and(Jid::is_full) {
            log::error!(target: "c2s:route", "{} a stanza without its sender's full JID", self.alive);
            return;
        }
        let is_presence = matches!(stanza.kind, StanzaKind::Presence(_));
        // A message is not answered later; an answer may be one to the server, which has to do something then.
        let envelope = (!matches!(stanza.kind, StanzaKind::Message(_))).then(|| stanza.envelope());
        let burden = self.burden_of(&stanza);
        match carrying(burden, || self.route_committed(stanza)) {
            Routed::Done => {}
            Routed::Reply(reply) => self.write_response(reply, context),
            Routed::Committing(done) => self.commit(done, context),
            later @ Routed::Later(_) => {
                let ask = self.own_ask();
                self.feed(Input::RouteDeferred(ask), context);
                if let Some(envelope) = envelope {
                    self.answer_later(ask, later, &envelope, context);
                }
            }
        }
        if is_presence {
            self.keep_owed();
        }
    }

    /// Something of the client's is on its way into the store, which commits in the order in which it was asked: the last
    /// is done when all are. A client that sends faster than the store writes has to wait, or the store would refuse it.
    fn commit(&mut self, done: BoxFuture<'static, Committed>, context: &mut Context<Self>) {
        let errands = self.errands();
        errands.committing_count += 1;
        if errands.committing_count < COMMITTING_MAX {
            errands.committing = Some(done);
            return;
        }
        (errands.committing, errands.committing_count) = (None, 0);
        let ask = self.own_ask();
        self.feed(Input::RouteDeferred(ask), context);
        let done = tokio::time::timeout(self.shared.times.ask, done);
        context.spawn(done.into_actor(self).map(move |_, c2s, context| {
            c2s.contain_in_future(context, |c2s, context| c2s.replied(ask, Answer::Reply(None), context));
        }));
    }

    /// Routes; a request is routed when all that the client sent before it is committed (an iq result promises that).
    fn route_committed(&mut self, stanza: Stanza) -> Routed {
        let router = &self.shared.router;
        if !stanza.is_request() {
            return router.route(stanza);
        }
        let committing = self.errands.as_mut().and_then(|errands| {
            errands.committing_count = 0;
            errands.committing.take()
        });
        let Some(mut committing) = committing else { return router.route(stanza) };
        if (&mut committing).now_or_never().is_some() {
            return router.route(stanza);
        }
        let router = router.clone();
        let routed = async move {
            let _committed = committing.await;
            // What was sent to us before that, an error perhaps, is in our mailbox, and comes first.
            tokio::task::yield_now().await;
            match router.route(stanza) {
                Routed::Reply(reply) => Some(reply),
                Routed::Later(reply) => reply.await,
                Routed::Done | Routed::Committing(_) => None,
            }
        };
        Routed::Later(routed.boxed())
    }

    fn timer(&mut self, deadline: Deadline) -> &mut Option<Timer> {
        match deadline {
            Deadline::Header => &mut self.timers.header,
            Deadline::Negotiation => &mut self.timers.negotiation,
            Deadline::Idle => &mut self.timers.idle,
            Deadline::PingAnswer => &mut self.timers.ping,
            Deadline::Acknowledgement => &mut self.errands().acknowledgement,
            Deadline::Resumption => &mut self.errands().resumption,
        }
    }

    pub(crate) fn set_deadline(&mut self, deadline: Deadline) {
        let mut after = match deadline {
            Deadline::Resumption => self.resumption_time(),
            _ => self.shared.times.deadline(deadline),
        };
        if matches!(deadline, Deadline::Header | Deadline::Negotiation) {
            after = after.saturating_sub(self.accepted.elapsed());
        }
        *self.timer(deadline) = Some(self.arm(after, Tick::Deadline(deadline)));
    }

    fn clear_deadline(&mut self, deadline: Deadline) {
        let in_errands = matches!(deadline, Deadline::Acknowledgement | Deadline::Resumption);
        if !in_errands || self.errands.is_some() {
            *self.timer(deadline) = None;
        }
    }

    pub(crate) fn arm(&self, after: Duration, tick: Tick) -> Timer {
        let clock = self.door.port::<Tick>();
        arm(after, move || {
            // The actor is gone: so is what the tick was about.
            let _gone = clock.send(tick);
        })
    }

    pub(crate) fn tick(&mut self, tick: Tick, context: &mut Context<Self>) {
        match tick {
            Tick::Deadline(Deadline::Idle) => {
                let silent = self.transport.last_read().elapsed();
                let idle = self.shared.times.idle;
                if silent < idle {
                    self.timers.idle = Some(self.arm(idle - silent, tick));
                } else {
                    self.feed(Input::DeadlinePassed(Deadline::Idle), context);
                }
            }
            // It has answered meanwhile.
            Tick::Deadline(Deadline::Acknowledgement)
                if self.outbox.managed().is_none_or(|managed| !managed.requested) => {}
            Tick::Deadline(deadline) => {
                *self.timer(deadline) = None;
                self.feed(Input::DeadlinePassed(deadline), context);
            }
            Tick::Stall => self.check_stall(context),
            Tick::CloseFlush => {
                self.phase = Phase::Gone;
                self.credit(Credit { order: Order::Close, elements_max: 1 });
                self.stop_when_done(context);
            }
            Tick::Request => self.request(),
            Tick::Wake => self.wake_for_overdue(),
            Tick::HandOver => self.hand_over_now(context),
            Tick::Resume => self.pump(context),
            Tick::TakeOffline => self.take_offline(context),
            Tick::Appear => self.appear(context),
            Tick::Owed => {
                if let Some(seat) = self.seat.as_ref().filter(|seat| seat.priority().is_none()) {
                    self.shared.router.presence_lost(seat);
                }
            }
            Tick::Ending => self.check_ending(context),
            Tick::Release => self.release(context),
        }
    }

    pub(crate) fn obey(&mut self, control: Control, context: &mut Context<Self>) {
        let input = match control {
            Control::HandOver => return self.hand_over(context),
            Control::SpillReady => return self.spill_ready(context),
            Control::Settled => return self.settled(),
            Control::TakeOffline => return self.take_offline(context),
            Control::Overflowed => ControlInput::Overflowed,
            Control::Evicted => ControlInput::Evicted,
            Control::Kick => ControlInput::Kicked,
            Control::AccountRemoved => ControlInput::AccountRemoved,
            Control::CredentialsChanged => ControlInput::CredentialsChanged,
            Control::Shutdown => ControlInput::Shutdown,
        };
        // A client that waits for an answer gets it first (XEP-0077, 3.2: the result of a removal).
        if control == Control::AccountRemoved && self.is_parked() {
            self.control_after_answer = Some(input);
            return;
        }
        self.feed(Input::Control(input), context);
    }

    /// Whether the client waits for the answer to one of its requests.
    pub(crate) fn is_parked(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.awaits_reply())
    }

    fn close(&mut self, reason: CloseReason) {
        if self.phase == Phase::Hibernated {
            self.drop_connection(reason);
        }
        if self.phase == Phase::Open {
            self.close_reason = Some(reason);
            self.phase = Phase::Closing(reason);
            self.timers = crate::Timers { ending: self.timers.ending.take(), ..crate::Timers::default() };
            self.timers.close_flush = Some(self.arm(self.shared.times.close_flush, Tick::CloseFlush));
        }
    }

    fn drop_connection(&mut self, reason: CloseReason) {
        self.close_reason.get_or_insert(reason);
        let was_connected = self.phase != Phase::Hibernated;
        self.phase = Phase::Gone;
        self.timers = crate::Timers { ending: self.timers.ending.take(), ..crate::Timers::default() };
        if was_connected {
            self.credit(Credit { order: Order::Close, elements_max: 1 });
        }
    }

    /// Ends the actor when the connection is closed and the session has left nothing behind.
    pub(crate) fn stop_when_done(&mut self, context: &mut Context<Self>) {
        if self.phase != Phase::Gone {
            return;
        }
        self.check_ending(context);
        if self.ending.as_ref().is_none_or(|ending| ending.is_done()) && self.seat.is_none() && !self.claiming
        {
            context.stop();
        }
    }

    /// A number for a question that the shell asks on its own account; the machine counts its own from 0 up.
    pub(crate) fn own_ask(&mut self) -> Ask {
        Ask(rand::random::<u32>() | 1 << 31)
    }

    /// TLS as the machine sees it.
    fn channel(&self, info: TlsInfo) -> SecureChannel {
        let accounts = if info.peer_certificates.is_empty() {
            Vec::new()
        } else {
            (self.shared.vouch)(&info.peer_certificates)
        };
        SecureChannel {
            version: if info.version == ProtocolVersion::TLSv1_3 { TlsVersion::V13 } else { TlsVersion::V12 },
            exporter: info.exporter,
            end_point: info.end_point,
            accounts,
        }
    }
}
