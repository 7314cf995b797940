//! A session that goes over from one connection to the next (XEP-0198, 5): given away by the one, taken by the other.

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use rjabberd_c2s_proto::{
    Answer, Ask, CloseReason, Input, LostReason, ResumeRefused, Resumed, Session, Unavailable,
};
use rjabberd_session_manager as session_manager;
use rjabberd_session_manager::Bound;
use rjabberd_xmpp::{BareJid, management::ResumptionId};

use crate::{
    C2s,
    managed::{Messages, Suspended},
    messages::Tick,
    taking::RETRY,
};

impl C2s {
    /// What goes over to the connection that resumes the session; `None` where it cannot be resumed.
    pub(crate) fn suspend(&mut self) -> Option<Box<Suspended>> {
        let jid = self.seat.as_ref()?.jid().clone();
        let arrived = self.outbox.message();
        let managed = self.outbox.suspend()?;
        // One that waits for the store's answer is given up with it.
        let taking =
            self.errands.as_mut().and_then(|errands| errands.taking.take_if(|taking| taking.pull.is_some()));
        let taken = managed.last_message().max(arrived);
        // The machine gives the session when it lets it go.
        let session = Session { jid, priority: None, directed: Vec::new(), management: None };
        Some(Box::new(Suspended { session, managed, messages: Messages { taking, arrived, taken } }))
    }

    /// Asks for an earlier session.
    pub(crate) fn resume(
        &mut self,
        ask: Ask,
        account: BareJid,
        id: ResumptionId,
        context: &mut Context<Self>,
    ) {
        let answer = self.ask_for_seat(account, session_manager::Resource::Resumed(id), false);
        context.spawn(answer.into_actor(self).map(move |answer, c2s, context| {
            c2s.contain_in_future(context, |c2s, context| c2s.resumed(ask, answer, context));
        }));
    }

    fn resumed(
        &mut self,
        ask: Ask,
        answer: Option<Result<Bound, session_manager::ClaimRefused>>,
        context: &mut Context<Self>,
    ) {
        self.claiming = false;
        let answer = match answer {
            Some(Ok(bound)) => self.take_over(bound).ok_or(ResumeRefused::NotFound(None)),
            Some(Err(session_manager::ClaimRefused::AccountGone)) => Err(ResumeRefused::AccountGone),
            Some(Err(session_manager::ClaimRefused::NotResumable(h))) => Err(ResumeRefused::NotFound(h)),
            Some(Err(
                session_manager::ClaimRefused::Conflict | session_manager::ClaimRefused::TooManySessions,
            ))
            | None => {
                self.feed(Input::Answered(ask, Answer::Unavailable(Unavailable)), context);
                return self.pump(context);
            }
        };
        self.feed(Input::Answered(ask, Answer::Resumed(Box::new(answer))), context);
        if self.state.as_ref().is_none_or(|state| state.session().is_none()) {
            // The stream has ended meanwhile, or does not want it.
            self.remember_handled(CloseReason::Lost(LostReason::Eof));
            self.abandon_seat();
            self.stop_when_done(context);
            return;
        }
        self.keep_owed();
        if std::mem::take(&mut self.hand_over_early) {
            self.hand_over(context);
        }
        let takes = self.errands.as_ref().is_some_and(|errands| errands.taking.is_some());
        if !takes && self.seat.as_ref().is_some_and(|seat| seat.priority() >= Some(0)) {
            // It may have been about to.
            self.take_offline(context);
        }
        self.drain_spill(context);
        self.pump(context);
    }

    fn take_over(&mut self, bound: Bound) -> Option<Resumed> {
        let (seat, handed) = bound.accept();
        // It may have been told of the spill before it knew whose.
        seat.heard();
        let jid = seat.jid().clone();
        let is_unknown = {
            let show = seat.show();
            show.is_available() && show.circle().is_none()
        };
        self.seat = Some(seat);
        let estate: Box<dyn std::any::Any> = handed?.estate?;
        let Suspended { session, mut managed, mut messages } = *estate.downcast::<Suspended>().ok()?;
        let taking = messages.taking.take();
        let h = managed.ledger.resume(self.door.port());
        (managed.mute, managed.requested) = (false, false);
        let (stanzas, _) = managed.waiting();
        self.outbox.resume(managed, messages.arrived);
        if taking.is_some() || messages.taken > 0 {
            let taken = messages.taken;
            let errands = self.errands();
            (errands.taking, errands.taken) = (taking, taken);
        }
        if is_unknown {
            let timer = self.arm(RETRY, Tick::Appear);
            self.errands().appear_again = Some(timer);
        }
        self.shared.counters.resumed();
        log::info!(
            target: "c2s:resumed",
            "{} {jid} resumed from {}; {stanzas} stanzas wait for its acknowledgement", self.alive, self.transport.peer()
        );
        Some(Resumed { session, h })
    }
}
