//! Stream management as the shell sees it (XEP-0198): what the client is asked and told, and when.
//!
//! What its words come to is the machine's; what waits for an acknowledgement is in the outbox. A request goes out a
//! moment after something was sent, so that one stands for many stanzas, or at once where much waits. There is one at a
//! time; a client that does not answer it has lost its connection.

use std::{sync::Arc, time::Duration};

use actix::Context;
use bytes::BytesMut;
use rjabberd_c2s_proto::{CloseReason, Deadline, Input, Resumption};
use rjabberd_receiver::messages::{Credit, Order};
use rjabberd_session_manager::{Burden, Expired, Ledger, Parcel};
use rjabberd_xml::Element;
use rjabberd_xmpp::{Stanza, management::Version, ns};

use crate::{
    C2s, Phase,
    managed::{Managed, Noted},
    messages::Tick,
    telling::label,
};

/// How long after something was sent the client is asked for its acknowledgement.
const REQUEST_AFTER: Duration = Duration::from_secs(1);
/// With so much waiting it is asked at once.
const REQUEST_STANZAS: usize = 32;
const REQUEST_BYTES: usize = 32 * 1024;

/// Messages of one client that are not safe yet; with more, its stream ends.
const HELD_MAX: usize = 16_384;

impl C2s {
    /// Stanzas count from here on.
    pub(crate) fn manage(&mut self, version: Version, resumption: Option<Resumption>) {
        let ledger = Ledger::new(0, self.door.port());
        self.outbox.manage(Managed::new(version, resumption, ledger, self.shared.window));
        if let Some(seat) = &self.seat {
            seat.set_resumption(resumption.map(|resumption| resumption.id));
        }
        self.shared.counters.managed();
    }

    /// The client sent a stanza.
    pub(crate) fn received(&mut self, context: &mut Context<Self>) {
        let Some(ledger) = self.ledger() else { return };
        ledger.receive();
        if ledger.held() >= HELD_MAX {
            self.feed(Input::TooMuchHeld, context);
        }
    }

    fn ledger(&mut self) -> Option<Arc<Ledger>> {
        self.outbox.managed().map(|managed| managed.ledger.clone())
    }

    /// What a stanza of the client's must not lose before the client is told that it is safe.
    pub(crate) fn burden_of(&mut self, stanza: &Stanza) -> Option<Arc<Burden>> {
        // What nobody would keep cannot be lost: it has done what it can when it is handed on.
        let may_be_lost = self.outbox.is_managed() && rjabberd_router::is_kept(stanza);
        let managed = self.outbox.managed().filter(|_| may_be_lost)?;
        Some(managed.ledger.hold())
    }

    /// The client asks what is safe of what it has sent.
    pub(crate) fn answer_request(&mut self) {
        if let Some(managed) = self.outbox.managed() {
            let answer = managed.version.answer(managed.ledger.answer());
            self.say(&answer);
        }
    }

    /// More is safe than it was told when it asked.
    pub(crate) fn settled(&mut self) {
        let Some(managed) = self.outbox.managed().filter(|managed| !managed.mute) else { return };
        if let Some(h) = managed.ledger.owed() {
            let answer = managed.version.answer(h);
            self.say(&answer);
        }
    }

    fn say(&mut self, element: &Element) {
        let mut bytes = BytesMut::new();
        element.write(ns::CLIENT, &mut bytes);
        if self.phase == Phase::Open {
            self.outbox.push_between(&bytes);
        }
    }

    /// A stanza was sent: the client will be asked for it.
    pub(crate) fn noted(&mut self, noted: Noted, context: &mut Context<Self>) {
        match noted {
            Noted::Passed if !self.outbox.is_managed() => {}
            Noted::Passed | Noted::Kept => self.request_soon(),
            Noted::TooMuch => self.window_passed(context),
        }
    }

    /// More waits than is kept. It is not the client's fault, and its connection goes on.
    fn window_passed(&mut self, context: &mut Context<Self>) {
        self.shared.counters.window_passed();
        if self.phase != Phase::Hibernated {
            self.outbox.forget();
        }
        self.feed(Input::WindowPassed, context);
        self.request_soon();
    }

    fn request_soon(&mut self) {
        let Some(managed) = self.outbox.managed() else { return };
        if managed.requested || managed.mute {
            return;
        }
        let (stanzas, bytes) = managed.waiting();
        if stanzas >= REQUEST_STANZAS || bytes >= REQUEST_BYTES {
            self.request();
        } else if managed.is_outstanding()
            && self.errands.as_ref().is_none_or(|errands| errands.request.is_none())
        {
            let timer = self.arm(REQUEST_AFTER, Tick::Request);
            self.errands().request = Some(timer);
        }
    }

    /// Asks the client what it has handled, if there is anything to ask for.
    pub(crate) fn request(&mut self) {
        if let Some(errands) = &mut self.errands {
            errands.request = None;
        }
        if self.phase != Phase::Open {
            return;
        }
        let Some(managed) = self.outbox.managed() else { return };
        if managed.requested || !managed.is_outstanding() {
            return;
        }
        managed.requested = true;
        let request = managed.version.request();
        self.say(&request);
        self.wake_later();
    }

    /// All is written, the request too: the client has its time to answer from now on.
    pub(crate) fn await_acknowledgement(&mut self) {
        let is_new = self.errands.as_ref().is_none_or(|errands| errands.acknowledgement.is_none());
        if is_new && self.outbox.managed().is_some_and(|managed| managed.requested) {
            self.set_deadline(Deadline::Acknowledgement);
        }
    }

    fn wake_later(&mut self) {
        if self.errands.as_ref().is_none_or(|errands| errands.wake.is_none()) {
            let timer = self.arm(self.shared.router.im().push_after(), Tick::Wake);
            self.errands().wake = Some(timer);
        }
    }

    /// Some of what the client was sent it has not acknowledged for long: perhaps it sleeps.
    pub(crate) fn wake_for_overdue(&mut self) {
        if let Some(errands) = &mut self.errands {
            errands.wake = None;
        }
        self.wake_for(self.shared.router.im().push_after().as_secs());
        if self.outbox.managed().is_some_and(|managed| managed.is_outstanding() && !managed.mute) {
            self.wake_later();
        }
    }

    /// Has the client woken for what it has not acknowledged for so long.
    pub(crate) fn wake_for(&mut self, seconds: u64) {
        let overdue = self.outbox.managed().map(|managed| managed.overdue(seconds)).unwrap_or_default();
        if let Some(seat) = self.seat.as_ref().filter(|_| !overdue.is_empty()) {
            let account = seat.jid().to_bare();
            for parcel in &overdue {
                self.shared.router.im().push_hint(&account, parcel.stanza());
            }
        }
    }

    /// The client has handled all up to `h`.
    pub(crate) fn acknowledged(&mut self, h: u32, context: &mut Context<Self>) {
        match self.outbox.acknowledge(h) {
            Ok(()) => {
                self.take_more(context);
                self.request_soon();
            }
            Err(too_high) => self.feed(Input::HandledTooHigh(too_high), context),
        }
    }

    /// The session is resumed, and the client has handled all up to `h`: the rest is written again, before all else.
    pub(crate) fn retransmit(&mut self, h: u32, context: &mut Context<Self>) {
        match self.outbox.acknowledge(h) {
            Ok(()) => {
                self.outbox.retransmit();
                self.take_more(context);
                self.request_soon();
            }
            Err(too_high) => self.feed(Input::HandledTooHigh(too_high), context),
        }
    }

    /// Whether somebody uses the client (XEP-0352): what has waited for that comes before all else.
    pub(crate) fn client_is(&mut self, active: bool, context: &mut Context<Self>) {
        if active {
            self.flush_held(context);
        } else {
            self.errands().reticence.get_or_insert_default();
        }
    }

    /// The client is told all that waits, and of everything from now on.
    pub(crate) fn flush_held(&mut self, context: &mut Context<Self>) {
        for parcel in self.take_held() {
            // The session may end in between: then the rest finds its way back.
            if self.seat.is_some() {
                self.send(parcel, context);
            }
        }
    }

    /// What has waited for the client to be used.
    pub(crate) fn take_held(&mut self) -> Vec<Arc<Parcel>> {
        let reticence = self.errands.as_mut().and_then(|errands| errands.reticence.take());
        reticence.map(|reticence| reticence.into_parcels()).unwrap_or_default()
    }

    /// The connection is gone, and the session waits to be resumed.
    pub(crate) fn hibernate(&mut self, reason: CloseReason, context: &mut Context<Self>) {
        let label = label(reason);
        self.shared.counters.closed(&label);
        self.shared.counters.hibernated();
        let (received, sent) = self.transport.counts();
        let resumable_s = self.resumption_time().as_secs();
        if let Some(seat) = &self.seat {
            seat.hibernate();
            log::info!(
                target: "c2s:hibernate",
                "{} {} has lost its connection from {}: {label}; {} s, {received} bytes received, {sent} sent; \
                 it can be resumed for {resumable_s} s",
                self.alive, seat.jid(), self.transport.peer(), self.accepted.elapsed().as_secs()
            );
        }
        if let Some(errands) = &mut self.errands {
            (errands.request, errands.acknowledgement, errands.wake) = (None, None, None);
        }
        self.timers = crate::Timers { ending: self.timers.ending.take(), ..crate::Timers::default() };
        self.phase = Phase::Hibernated;
        self.credit(Credit { order: Order::Close, elements_max: 1 });
        self.transport = self.transport.given_up();
        self.admission = Box::new(());
        if self.outbox.fall_silent() == Noted::TooMuch {
            return self.window_passed(context);
        }
        self.flush_held(context);
        if self.phase == Phase::Hibernated {
            self.wake_for(0);
            // What it could not take while its client did not read.
            self.seat.iter().for_each(|seat| seat.heard());
            self.drain_spill(context);
        }
    }

    /// For how long the session waits to be resumed.
    pub(crate) fn resumption_time(&mut self) -> Duration {
        let resumption = self.outbox.managed().and_then(|managed| managed.resumption);
        Duration::from_secs(resumption.map_or(0, |resumption| u64::from(resumption.max_s)))
    }

    /// The session cannot be resumed any more.
    pub(crate) fn forget_resumption(&mut self) {
        if let Some(managed) = self.outbox.managed() {
            managed.resumption = None;
        }
        if let Some(seat) = &self.seat {
            seat.set_resumption(None);
            log::info!(target: "c2s:window", "{} {} cannot be resumed: it has not acknowledged too much", self.alive, seat.jid());
        }
    }

    /// The session ends without having been resumed: what it had handled is told to who comes too late (XEP-0198, 5).
    pub(crate) fn remember_handled(&mut self, reason: CloseReason) {
        if matches!(reason, CloseReason::Replaced | CloseReason::ClientClosed) {
            return;
        }
        let Some((id, h)) = self
            .outbox
            .managed()
            .and_then(|managed| managed.resumption.map(|resumption| (resumption.id, managed.ledger.safe())))
        else {
            return;
        };
        if let Some(seat) = &self.seat {
            let expired = Expired { account: seat.jid().to_bare(), id, h };
            // The session manager lives as long as the server.
            let _gone = self.shared.sessions.of_session(seat.jid()).expired.send(expired);
        }
    }
}
