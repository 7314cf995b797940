//! The end of a session: its mailbox is emptied, its resource given back or handed over, and whatever it had taken but
//! not written goes on, in order: to the session that takes the resource, or its way back.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use rjabberd_actors::{Timer, reply};
use rjabberd_c2s_proto::{CloseReason, ControlInput, Input, Session};
use rjabberd_session_manager::{Estate, Handed, Parcel, Release, Released, Seat};
use rjabberd_xmpp::{FullJid, Jid, PresenceType, Stanza, StanzaKind};

use crate::{
    C2s,
    managed::Suspended,
    messages::Tick,
    redact,
    reticence::{self, Reticent},
};

/// How often an ending session looks whether its mailbox is empty, should nothing else tell.
const LOOK: Duration = Duration::from_millis(100);

/// How often a row is left because a sender is just at it; then it is removed anyway.
const ROUNDS_MAX: u32 = 100;
/// How long a session that is wanted elsewhere waits for the answer to its client's request: less than the session
/// manager waits for the session.
const ANSWER: Duration = Duration::from_millis(500);

/// After so many times at once, there is a pause between them.
const ROUNDS_AT_ONCE: u32 = 10;

/// A session that ends.
pub(crate) struct Ending {
    seat: Arc<Seat>,
    session: Session,
    hands_over: bool,
    /// Taken and not written, in order.
    leftover: VecDeque<Arc<Parcel>>,
    /// What goes on if the session is resumed.
    estate: Option<Box<dyn Estate>>,
    stage: Stage,
    /// How often the session manager was asked to remove the row.
    rounds: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The mailbox still holds stanzas.
    Emptying,
    /// The session manager was asked to free the resource.
    Releasing,
    /// Nothing is left.
    Done,
}

impl Ending {
    pub(crate) fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    pub(crate) fn jid(&self) -> &FullJid {
        self.seat.jid()
    }
}

/// What goes from one session of a resource to the next; few sessions have it.
#[derive(Default)]
pub(crate) struct Succession {
    /// Who got directed presence of the one before, and was not told otherwise yet.
    directed: Vec<Jid>,
    /// For the one after: taken and not begun to be written when the resource was asked for.
    handing: VecDeque<Arc<Parcel>>,
    /// It is wanted, and the client's request is not answered yet.
    hand_over: Option<Timer>,
    /// What goes over to the connection that resumes the session.
    pub(crate) suspended: Option<Box<Suspended>>,
}

impl C2s {
    /// Takes a stanza from somebody else.
    pub(crate) fn take_delivery(&mut self, parcel: Arc<Parcel>, context: &mut Context<Self>) {
        if let Some(ending) = self.ending.as_mut().filter(|ending| ending.stage == Stage::Emptying) {
            ending.leftover.push_back(parcel);
            return;
        }
        if !matches!(self.phase, crate::Phase::Open | crate::Phase::Hibernated)
            || !self.state.as_ref().is_some_and(|state| state.wants_delivery())
        {
            // Dropped here, it finds its way back.
            return;
        }
        if self.came_late(&parcel) {
            return;
        }
        if log::log_enabled!(target: "c2s:send", log::Level::Debug) {
            let text = redact::stanza(parcel.stanza());
            log::debug!(target: "c2s:send", "{} Send XML on stream = \"{text}\"", self.alive);
        }
        if self.phase == crate::Phase::Hibernated && reticence::is_momentary(parcel.stanza()) {
            return parcel.arrived();
        }
        match self.errands.as_mut().and_then(|errands| errands.reticence.as_mut()) {
            None => self.send(parcel, context),
            Some(reticence) => match reticence.take(parcel) {
                Reticent::Held => {}
                Reticent::Now(parcels) => parcels.into_iter().for_each(|parcel| self.send(parcel, context)),
            },
        }
    }

    /// Puts a stanza of somebody else's into the outbox.
    pub(crate) fn send(&mut self, parcel: Arc<Parcel>, context: &mut Context<Self>) {
        let noted = self.outbox.push_parcel(parcel);
        self.noted(noted, context);
        if self.phase == crate::Phase::Hibernated {
            self.wake_for(0);
        }
        if self.outbox.len() >= self.shared.outbox_bytes_max
            && let Some(seat) = &self.seat
            && !seat.is_spilling()
        {
            self.shared.counters.held();
            seat.hold();
        }
    }

    /// Whether it is presence of others that was on its way while the client became unavailable: it is told nothing of
    /// them any more, so what it is told last would stay for ever (RFC 6121, 4.5.2).
    fn came_late(&self, parcel: &Parcel) -> bool {
        let Some(seat) = self.seat.as_ref().filter(|seat| parcel.is_passing() && seat.priority().is_none())
        else {
            return false;
        };
        let stanza = parcel.stanza();
        let is_own = stanza.from.as_ref().is_some_and(|from| seat.jid() == from);
        let is_broadcast = stanza.to.as_ref().is_some_and(Jid::is_bare);
        match stanza.kind {
            StanzaKind::Presence(PresenceType::Available) => !is_own,
            StanzaKind::Presence(PresenceType::Unavailable) => !is_own && is_broadcast,
            _ => false,
        }
    }

    /// After each delivery the mailbox may be empty, which an ending and a spill wait for.
    pub(crate) fn after_delivery(&mut self, context: &mut Context<Self>) {
        if self.ending.is_some() {
            self.check_ending(context);
        } else {
            self.drain_spill(context);
        }
    }

    pub(crate) fn spill_ready(&mut self, context: &mut Context<Self>) {
        if let Some(seat) = self.seat.as_ref().or(self.ending.as_ref().map(|ending| &ending.seat)) {
            seat.heard();
        }
        self.after_delivery(context);
    }

    /// Takes what spilled, once the mailbox is empty and the client has read most of what it was sent.
    pub(crate) fn drain_spill(&mut self, context: &mut Context<Self>) {
        let low = self.shared.outbox_bytes_max / 4;
        if self.is_taking() {
            // What is newer than the messages that wait is written behind them.
            return;
        }
        let Some(seat) = self.seat.as_ref().filter(|seat| seat.is_spilling()).cloned() else { return };
        if !self.state.as_ref().is_some_and(|state| state.wants_delivery()) {
            return;
        }
        while seat.is_spilling() && !seat.awaits_older() && seat.depth() == 0 && self.outbox.len() <= low {
            let (parcels, open) = seat.drain(low.max(1));
            for parcel in parcels {
                self.take_delivery(parcel, context);
            }
            if open {
                return;
            }
        }
    }

    /// Another session takes the resource. What was not begun to be written goes over to it.
    pub(crate) fn hand_over(&mut self, context: &mut Context<Self>) {
        if self.seat.is_none() {
            // Not told yet that it is ours, or ending already: then the session manager learns of that.
            self.hand_over_early = self.ending.is_none();
            return;
        }
        if self.is_parked() && !self.awaits_hand_over() {
            // The client counts its request as handled: the answer goes over with the session.
            let timer = self.arm(ANSWER, Tick::HandOver);
            self.succession.get_or_insert_default().hand_over = Some(timer);
            return;
        }
        self.hand_over_now(context);
    }

    fn awaits_hand_over(&self) -> bool {
        self.succession.as_ref().is_some_and(|succession| succession.hand_over.is_some())
    }

    /// The client's request is answered: whoever waits for the session gets it now.
    pub(crate) fn hand_over_when_answered(&mut self, context: &mut Context<Self>) {
        if self.awaits_hand_over() && !self.is_parked() {
            self.hand_over_now(context);
        }
    }

    pub(crate) fn hand_over_now(&mut self, context: &mut Context<Self>) {
        if let Some(succession) = &mut self.succession {
            succession.hand_over = None;
        }
        if self.seat.is_none() {
            return;
        }
        self.flush_held(context);
        let suspended = self.suspend();
        let handing = match suspended {
            Some(_) => VecDeque::new(),
            None => self.outbox.take_unwritten(),
        };
        let succession = self.succession.get_or_insert_default();
        (succession.handing, succession.suspended) = (handing, suspended);
        self.feed(Input::Control(ControlInput::Replaced), context);
    }

    /// The machine says that its session ends.
    pub(crate) fn end_session(&mut self, session: Session, reason: CloseReason, context: &mut Context<Self>) {
        // Nothing is written behind the end of the stream.
        let held = self.take_held();
        self.remember_handled(reason);
        self.stop_taking();
        let Some(seat) = self.seat.take() else { return };
        seat.show().set_directed(None);
        let inherited = self.take_inherited();
        let suspended = self.succession.as_mut().and_then(|succession| succession.suspended.take());
        let estate = suspended.map(|mut suspended| {
            suspended.session = session.clone();
            suspended.session.directed.extend(inherited.iter().cloned());
            suspended as Box<dyn Estate>
        });
        self.succession.iter_mut().for_each(|succession| succession.directed.clone_from(&inherited));
        if reason == CloseReason::Replaced {
            seat.hold();
            if estate.is_none() {
                seat.withdraw();
            }
        } else {
            seat.end();
            // Before the resource is free: whoever takes it then is not taken for this session.
            self.shared.router.presence_lost(&seat);
        }
        let mut leftover = match reason {
            CloseReason::Replaced => self
                .succession
                .as_mut()
                .map(|succession| std::mem::take(&mut succession.handing))
                .unwrap_or_default(),
            CloseReason::Lost(_) | CloseReason::TimedOut(_) => self.outbox.take_all(),
            _ if self.phase == crate::Phase::Hibernated => self.outbox.take_all(),
            // What was written and not acknowledged has not arrived, as far as anybody can tell.
            _ => self.outbox.take_kept(),
        };
        leftover.extend(held);
        let hands_over = reason == CloseReason::Replaced;
        let stage = Stage::Emptying;
        self.ending =
            Some(Box::new(Ending { seat, session, hands_over, leftover, estate, stage, rounds: 0 }));
        self.check_ending(context);
    }

    /// A resource that was claimed for a stream which has ended meanwhile.
    pub(crate) fn give_back(&mut self, jid: &FullJid) {
        if self.seat.as_ref().is_some_and(|seat| seat.jid() == jid) {
            self.abandon_seat();
        }
    }

    /// Gives the seat back without waiting for anything: what is in its spill finds its way back.
    pub(crate) fn abandon_seat(&mut self) {
        self.stop_taking();
        let ending = self.ending.take().filter(|ending| !ending.is_done());
        let (seat, leftover) = match (self.seat.take(), ending) {
            (Some(seat), _) => (seat, VecDeque::new()),
            (None, Some(ending)) => (ending.seat, ending.leftover),
            (None, None) => return,
        };
        self.shared.router.presence_lost(&seat);
        let owed = seat.show().directed().map(<[Jid]>::to_vec).unwrap_or_default();
        let spill = seat.close();
        let jid = seat.jid().clone();
        // The session manager lives as long as the server.
        let _gone = self.shared.sessions.of_session(seat.jid()).release.send(Release { seat, reply: None });
        self.outbox.take_all().into_iter().chain(leftover).chain(spill).for_each(drop);
        for to in self.take_inherited().into_iter().chain(owed) {
            self.route_unavailable(&jid, to);
        }
    }

    /// Goes on with an ending once the mailbox is empty.
    pub(crate) fn check_ending(&mut self, context: &mut Context<Self>) {
        let Some(ending) = self.ending.as_mut().filter(|ending| ending.stage == Stage::Emptying) else {
            return;
        };
        if ending.seat.depth() > 0 {
            let look = self.arm(LOOK, Tick::Ending);
            self.timers.ending = Some(look);
            return;
        }
        if !ending.hands_over {
            if self.phase != crate::Phase::Gone && self.outbox.holds_parcels() {
                // What is not written after all goes back before what came later.
                return;
            }
            let mut leftover =
                if self.phase == crate::Phase::Gone { self.outbox.take_all() } else { VecDeque::new() };
            leftover.append(&mut ending.leftover);
            ending.leftover = leftover;
        }
        let seat = ending.seat.clone();
        if ending.hands_over {
            ending.stage = Stage::Done;
            let mut directed = std::mem::take(&mut ending.session.directed);
            let queue = std::mem::take(&mut ending.leftover);
            let estate = ending.estate.take();
            directed.extend(self.take_inherited());
            let handed = Handed { directed, queue, estate };
            // The session manager lives as long as the server.
            let _gone = self.shared.sessions.of_session(seat.jid()).released.send(Released { seat, handed });
            self.stop_when_done(context);
            return;
        }
        ending.stage = Stage::Releasing;
        seat.leave(std::mem::take(&mut ending.leftover));
        self.release(context);
    }

    /// Sends back what is here, the oldest first, and asks to have the row removed, if nothing came meanwhile.
    pub(crate) fn release(&mut self, context: &mut Context<Self>) {
        let Some(ending) = &mut self.ending else { return };
        let seat = ending.seat.clone();
        seat.send_back();
        ending.rounds += 1;
        if ending.rounds > ROUNDS_MAX {
            let _gone =
                self.shared.sessions.of_session(seat.jid()).release.send(Release { seat, reply: None });
            self.released(context);
            return;
        }
        let (reply, answer) = reply();
        let _gone =
            self.shared.sessions.of_session(seat.jid()).release.send(Release { seat, reply: Some(reply) });
        let answer = answer.within(self.shared.times.ask);
        context.spawn(answer.into_actor(self).map(|vacated, c2s, context| {
            c2s.contain_in_future(context, |c2s, context| match vacated {
                Ok(false) => c2s.release_again(context),
                Ok(true) | Err(_) => c2s.released(context),
            });
        }));
    }

    /// Another thread sends back what came to the seat; it will have done so soon.
    fn release_again(&mut self, context: &mut Context<Self>) {
        if self.ending.as_ref().is_some_and(|ending| ending.rounds < ROUNDS_AT_ONCE) {
            self.release(context);
        } else {
            let look = self.arm(LOOK, Tick::Release);
            self.timers.ending = Some(look);
        }
    }

    /// The row is gone: nothing new comes.
    fn released(&mut self, context: &mut Context<Self>) {
        let Some(ending) = &mut self.ending else { return };
        ending.stage = Stage::Done;
        ending.seat.finish();
        let jid = ending.seat.jid().clone();
        let told = std::mem::take(&mut ending.session.directed);
        for to in self.take_inherited() {
            if !told.contains(&to) {
                self.route_unavailable(&jid, to);
            }
        }
        self.stop_when_done(context);
    }

    pub(crate) fn inherit(&mut self, handed: Option<Handed>) {
        if let Some(Handed { directed, .. }) = handed.filter(|handed| !handed.directed.is_empty()) {
            self.succession = Some(Box::new(Succession { directed, ..Succession::default() }));
        }
    }

    /// Who got directed presence of the session before. Whoever takes it sees to it.
    fn take_inherited(&mut self) -> Vec<Jid> {
        let Some(succession) = &mut self.succession else { return Vec::new() };
        std::mem::take(&mut succession.directed)
    }

    /// The session became unavailable: so it is to those who knew it as its predecessor.
    pub(crate) fn tell_inherited(&mut self) {
        let Some(jid) = self.seat.as_ref().map(|seat| seat.jid().clone()) else { return };
        for to in self.take_inherited() {
            self.route_unavailable(&jid, to);
        }
    }

    fn route_unavailable(&self, jid: &FullJid, to: Jid) {
        let mut stanza = Stanza::new(StanzaKind::Presence(PresenceType::Unavailable), &[]);
        (stanza.from, stanza.to) = (Some(jid.clone().into()), Some(to));
        // Presence is answered by nobody.
        let _routed = self.shared.router.route(stanza);
    }
}
