//! Messages that waited for the account: taken from the store piece by piece, the next when the one before is written.
//!
//! Meanwhile the seat holds back what is newer. Whatever has arrived is forgotten, however the session ends; what has
//! not is there for the next one.

use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use rjabberd_router::{Pull, Pulled};

use crate::{C2s, messages::Tick, redact};

/// How long a store that did not answer is left alone.
pub(crate) const RETRY: Duration = Duration::from_secs(5);

/// A session that takes messages.
pub(crate) struct Taking {
    /// The number of the last message that was handed to the outbox.
    pub(crate) last: i64,
    /// Where the next are; `None` while they are asked for.
    pub(crate) pull: Option<Box<Pull>>,
    /// All were given that there are, and some have not arrived: what is newer need not wait for that.
    pub(crate) arriving: bool,
}

impl C2s {
    /// Messages wait: takes them, unless it does already, or another session does.
    pub(crate) fn take_offline(&mut self, context: &mut Context<Self>) {
        if let Some(seat) = &self.seat {
            seat.takes_older();
        }
        if self.is_taking() {
            return;
        }
        if let Some(taking) = self.errands.as_mut().and_then(|errands| errands.taking.as_mut())
            && let Some(pull) = taking.pull.take()
        {
            taking.arriving = false;
            return self.ask_for_next(pull, context);
        }
        let taken = self.errands.as_ref().map_or(0, |errands| errands.taken);
        if taken > self.outbox.message() {
            // Those it was sent before it was resumed are on their way still.
            let timer = self.arm(RETRY, Tick::TakeOffline);
            self.errands().take_again = Some(timer);
            return;
        }
        let wants = self.state.as_ref().is_some_and(|state| state.wants_delivery());
        let seat = self.seat.as_ref().filter(|_| wants);
        match seat.and_then(|seat| self.shared.router.im().take_offline(seat)) {
            Some(mut pull) => {
                pull.go_on_behind(taken);
                self.errands().taking = Some(Taking { last: 0, pull: None, arriving: false });
                self.ask_for_next(pull, context);
            }
            None => self.drain_spill(context),
        }
    }

    fn ask_for_next(&mut self, pull: Box<Pull>, context: &mut Context<Self>) {
        context.spawn(pull.piece(self.outbox.message()).into_actor(self).map(|pulled, c2s, context| {
            c2s.contain_in_future(context, |c2s, context| c2s.pulled(pulled, context));
        }));
    }

    fn pulled(&mut self, pulled: Pulled, context: &mut Context<Self>) {
        if !self.is_taking() {
            // The session has ended meanwhile; what was not written stays in the store.
            return;
        }
        match pulled {
            Pulled::Piece(messages, pull) => {
                for (number, message) in &messages {
                    log::debug!(target: "c2s:send", "{} Send XML on stream = \"{}\"", self.alive, redact::stanza(message));
                    let noted = self.outbox.push_message(message.written().into_vec().into(), *number);
                    self.noted(noted, context);
                }
                if let Some(taking) = self.errands().taking.as_mut() {
                    taking.last = messages.last().map_or(taking.last, |(number, _)| *number);
                    taking.pull = Some(pull);
                }
                self.request();
                self.take_more(context);
            }
            Pulled::Arriving(pull) => {
                if let Some(taking) = self.errands().taking.as_mut() {
                    (taking.pull, taking.arriving) = (Some(pull), true);
                }
                self.request();
                self.take_more(context);
                self.drain_spill(context);
            }
            Pulled::Done => {
                self.errands().taking = None;
                self.drain_spill(context);
            }
            Pulled::Failed => {
                let errands = self.errands();
                // Those it was given are not given again.
                let last = errands.taking.take().map_or(0, |taking| taking.last);
                errands.taken = errands.taken.max(last);
                let timer = self.arm(RETRY, Tick::TakeOffline);
                self.errands().take_again = Some(timer);
                self.drain_spill(context);
            }
        }
    }

    /// Goes on when the piece before is written and not too much has not arrived, or when all has.
    pub(crate) fn take_more(&mut self, context: &mut Context<Self>) {
        let arrived = self.outbox.message();
        // What is written need not have arrived.
        let is_written = self.outbox.len() <= self.shared.outbox_bytes_max / 4;
        let has_room = is_written && self.outbox.has_room();
        let taking = self.errands.as_mut().and_then(|errands| errands.taking.as_mut());
        let Some(taking) = taking else { return };
        if (arrived >= taking.last || (!taking.arriving && has_room))
            && let Some(pull) = taking.pull.take()
        {
            taking.arriving = false;
            self.ask_for_next(pull, context);
        }
    }

    /// The session takes no more. What was not begun to be written is not written any more; what was begun is finished,
    /// for the sake of the XML, and comes again, for nobody knows yet whether it gets there.
    pub(crate) fn stop_taking(&mut self) {
        if self.is_taking() {
            self.outbox.drop_messages();
        }
        let arrived = self.outbox.message();
        // What is asked for on the side was asked for this session.
        let taking = self.errands.take().and_then(|errands| errands.taking);
        match (taking, &self.seat) {
            (Some(Taking { pull: Some(pull), .. }), _) => pull.ends_with(arrived),
            // The store has not answered yet; what has arrived meanwhile is not in its way.
            (Some(Taking { pull: None, .. }), Some(seat)) => {
                self.shared.router.im().offline_arrived(&seat.jid().to_bare(), arrived);
            }
            _ => {}
        }
    }
}
