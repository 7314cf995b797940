//! The session's own presence, handed to the router, and what a panic of the machine must not lose of it. Who is told of
//! it is decided there; while the store is asked, the client's next elements wait.

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use rjabberd_c2s_proto::{Answer, Input, Session};
use rjabberd_router::Shown;
use rjabberd_xmpp::Stanza;

use crate::{C2s, messages::Tick, taking::RETRY};

impl C2s {
    pub(crate) fn set_presence(&mut self, priority: Option<i8>, stanza: Stanza, context: &mut Context<Self>) {
        let shown = self.seat.as_ref().map(|seat| self.shared.router.presence(seat, stanza, priority));
        if let Some(Shown::Later(known)) = shown {
            let ask = self.own_ask();
            self.feed(Input::RouteDeferred(ask), context);
            let known = known.into_actor(self).map(move |known, c2s, context| {
                c2s.contain_in_future(context, |c2s, context| {
                    c2s.appeared(known);
                    c2s.replied(ask, Answer::Reply(None), context);
                });
            });
            context.spawn(known);
        }
        if priority.is_none() {
            self.tell_inherited();
        }
        self.keep_owed();
    }

    /// The contacts know of the session, or do not yet because the store did not answer.
    fn appeared(&mut self, is_known: bool) {
        if !is_known {
            let timer = self.arm(RETRY, Tick::Appear);
            self.errands().appear_again = Some(timer);
        }
    }

    pub(crate) fn appear(&mut self, context: &mut Context<Self>) {
        let shown = self.seat.as_ref().map(|seat| self.shared.router.im().appear(seat));
        if let Some(Shown::Later(known)) = shown {
            let known = known.into_actor(self).map(move |known, c2s, context| {
                c2s.contain_in_future(context, |c2s, _| c2s.appeared(known));
            });
            context.spawn(known);
        }
    }

    /// Keeps what a panic of the machine must not lose.
    pub(crate) fn keep_owed(&mut self) {
        let session = self.state.as_ref().and_then(|state| state.session());
        if let Some(seat) = &self.seat {
            seat.show().set_directed(session.map(|session| session.directed.clone()));
        }
    }

    /// The session as it is owed to others, whatever became of the machine.
    pub(crate) fn owed_session(&self) -> Option<Session> {
        let seat = self.seat.as_ref()?;
        let directed = seat.show().directed()?.to_vec();
        Some(Session { jid: seat.jid().clone(), priority: seat.priority(), directed, management: None })
    }
}
