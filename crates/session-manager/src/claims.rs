//! Claims of resources: at once where the resource is free, by hand-over where it is not.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use rjabberd_actors::{Alive, Letter, Port, Timer, arm};
use rjabberd_xmpp::{BareJid, FullJid, address, management::ResumptionId};

use crate::{
    Bound, Claim, ClaimRefused, ConflictPolicy, Control, Expired, Handed, Release, Resource, Rules, Seat,
    SessionTable, expired::ExpiredSessions, table::Removal,
};

/// A hand-over has taken too long.
#[derive(Debug)]
pub(crate) struct HandOverExpired {
    jid: FullJid,
    generation: u64,
}

impl Letter for HandOverExpired {
    const CONTROL: bool = true;
}

/// Somebody waits for a session to hand its resource over.
struct HandOver {
    old: Arc<Seat>,
    /// In the order in which they came: each takes over from the one before.
    claims: VecDeque<Claim>,
    _timer: Timer,
}

/// What waits, by the JID that is wanted.
pub(crate) struct Claims {
    waiting: HashMap<FullJid, HandOver>,
    expired: ExpiredSessions,
    generation: u64,
    clock: Port<HandOverExpired>,
    release: Port<Release>,
}

impl Claims {
    pub(crate) fn new(clock: Port<HandOverExpired>, release: Port<Release>) -> Claims {
        Claims { waiting: HashMap::new(), expired: ExpiredSessions::default(), generation: 0, clock, release }
    }

    /// Answers a claim, or begins the hand-over that will.
    pub(crate) fn take(&mut self, claim: Claim, table: &SessionTable, rules: &Rules, alive: &Alive) {
        let seats = table.seats(&claim.account);
        // A guest's account is this one session (XEP-0175, 3), and nobody's who comes with a password.
        if !seats.is_empty() && (claim.guest || seats.iter().any(|seat| seat.is_guest())) {
            claim.answer(Err(ClaimRefused::TooManySessions));
            return;
        }
        if let Resource::Resumed(id) = claim.resource {
            return self.resume(claim, id, &seats, rules, alive);
        }
        let Some(jid) = self.name(&claim, &seats) else {
            // c2s-proto has prepared the resource; one that cannot be put together is a fault of ours.
            log::error!(target: "session_manager:claim", "{alive} a claim without a usable resource");
            claim.answer(Err(ClaimRefused::Conflict));
            return;
        };
        // The client itself says that its earlier session is no more (XEP-0386, 3.2).
        let gives_way = rules.conflict == ConflictPolicy::TakeOver
            || matches!(claim.resource, Resource::Own(_))
            // Nobody is there to keep it.
            || seats.iter().any(|seat| *seat.jid() == jid && seat.hibernates_since().is_some());
        if let Some(waiting) = self.waiting.get_mut(&jid) {
            // Whoever waits there will have it.
            match gives_way {
                true => waiting.claims.push_back(claim),
                false => claim.answer(Err(ClaimRefused::Conflict)),
            }
            return;
        }
        match seats.iter().find(|seat| *seat.jid() == jid) {
            None if seats.len() >= rules.sessions_per_account_max && !self.evict(&seats, table) => {
                claim.answer(Err(ClaimRefused::TooManySessions));
            }
            None => {
                let seat = self.seat(jid, &claim, rules);
                table.insert(seat.clone());
                self.answer(claim, seat, None);
            }
            Some(_) if !gives_way => claim.answer(Err(ClaimRefused::Conflict)),
            Some(old) => self.ask(old.clone(), VecDeque::from([claim]), rules, alive),
        }
    }

    /// An earlier session goes on (XEP-0198, 5): it hands over, whether its connection looks alive or not.
    fn resume(&mut self, claim: Claim, id: ResumptionId, seats: &[Arc<Seat>], rules: &Rules, alive: &Alive) {
        let Some(old) = seats.iter().find(|seat| seat.resumption() == Some(id)) else {
            return self.refuse_resumption(claim, id);
        };
        match self.waiting.get_mut(old.jid()) {
            // Whoever waits there begins another session, or resumes this one and will be asked for it in turn.
            Some(waiting) if waiting.claims.iter().all(|claim| claim.resource == Resource::Resumed(id)) => {
                waiting.claims.push_back(claim);
            }
            Some(_) => self.refuse_resumption(claim, id),
            None => self.ask(old.clone(), VecDeque::from([claim]), rules, alive),
        }
    }

    fn refuse_resumption(&self, claim: Claim, id: ResumptionId) {
        let handled = self.expired.handled(&claim.account, id);
        claim.answer(Err(ClaimRefused::NotResumable(handled)));
    }

    /// A session that could have been resumed has ended.
    pub(crate) fn remember(&mut self, expired: Expired) {
        self.expired.remember(expired);
    }

    /// The old session has handed over, or has ended by itself.
    pub(crate) fn freed(
        &mut self,
        seat: &Arc<Seat>,
        handed: Option<Handed>,
        table: &SessionTable,
        rules: &Rules,
        alive: &Alive,
    ) {
        let waits =
            self.waiting.get(seat.jid()).is_some_and(|waiting| waiting.old.generation() == seat.generation());
        if waits {
            self.seat_next(seat.jid().clone(), handed, table, rules, alive);
        } else if let Some(handed) = handed {
            // Too late: the resource was taken meanwhile, or nobody wants it any more. What it had goes its way back,
            // which finds the new session.
            log::debug!(target: "session_manager:freed", "{alive} {seat:?} handed over too late");
            if table.remove(seat) == Removal::Done {
                table.orphaned(seat);
            }
            handed.give_back(seat.close());
        }
    }

    /// The account has ended: who waits for one of its resources logged in before that.
    pub(crate) fn refuse_all(&mut self, account: &BareJid) {
        for (jid, waiting) in &mut self.waiting {
            if jid.to_bare() == *account {
                for claim in waiting.claims.drain(..) {
                    claim.answer(Err(ClaimRefused::AccountGone));
                }
            }
        }
    }

    /// The old session did not answer in time.
    pub(crate) fn expired(
        &mut self,
        expired: &HandOverExpired,
        table: &SessionTable,
        rules: &Rules,
        alive: &Alive,
    ) {
        let waits = self
            .waiting
            .get(&expired.jid)
            .is_some_and(|waiting| waiting.old.generation() == expired.generation);
        if waits {
            log::warn!(target: "session_manager:expired", "{alive} {} is taken without a hand-over", expired.jid);
            self.seat_next(expired.jid.clone(), None, table, rules, alive);
        }
    }

    /// Gives the resource to the first who waits for it and can have it; who comes after takes over from him.
    fn seat_next(
        &mut self,
        jid: FullJid,
        handed: Option<Handed>,
        table: &SessionTable,
        rules: &Rules,
        alive: &Alive,
    ) {
        let Some(HandOver { old, mut claims, _timer }) = self.waiting.remove(&jid) else { return };
        claims.retain(|claim| claim.reply.is_wanted());
        let can_resume = handed.as_ref().is_some_and(|handed| handed.estate.is_some());
        while let Some(Claim { resource: Resource::Resumed(id), .. }) = claims.front().filter(|_| !can_resume)
        {
            let id = *id;
            // It has ended meanwhile, or does not answer.
            claims.pop_front().into_iter().for_each(|claim| self.refuse_resumption(claim, id));
        }
        let Some(claim) = claims.pop_front() else {
            if handed.is_some() || old.is_leaving() {
                // Nobody wants it any more, and the old session has given it up.
                table.orphaned(&old);
                table.remove(&old);
                handed.unwrap_or_default().give_back(old.close());
            }
            return;
        };
        let goes_on = matches!(claim.resource, Resource::Resumed(_));
        let new = self.seat(jid, &claim, rules);
        let mut handed = handed.unwrap_or_default();
        let queue = match goes_on {
            true => {
                new.resume(&old);
                std::mem::take(&mut handed.queue)
            }
            false => {
                old.withdraw();
                handed.take_queue()
            }
        };
        if !table.replace(&old, &new, queue, goes_on) {
            table.insert(new.clone());
        }
        // Behind it, so that who changes what both know finds the one or the other.
        match goes_on {
            true => new.resume_show(&old),
            false => new.inherit(&old),
        }
        self.answer(claim, new.clone(), Some(handed));
        if !claims.is_empty() {
            self.ask(new, claims, rules, alive);
        }
    }

    fn ask(&mut self, old: Arc<Seat>, claims: VecDeque<Claim>, rules: &Rules, alive: &Alive) {
        log::debug!(target: "session_manager:claim", "{alive} {old:?} is asked to hand over");
        old.control(Control::HandOver);
        let expired = HandOverExpired { jid: old.jid().clone(), generation: old.generation() };
        let clock = self.clock.clone();
        let timer = arm(rules.hand_over, move || {
            // The session manager lives as long as its arbiter.
            let _gone = clock.send(expired);
        });
        self.waiting.insert(old.jid().clone(), HandOver { old, claims, _timer: timer });
    }

    fn answer(&self, claim: Claim, seat: Arc<Seat>, handed: Option<Handed>) {
        claim.answer(Ok(Bound::new(seat, handed, self.release.clone())));
    }

    fn seat(&mut self, jid: FullJid, claim: &Claim, rules: &Rules) -> Arc<Seat> {
        self.generation += 1;
        let (deliver, control) = (claim.deliver.clone(), claim.control.clone());
        let seat = Seat::new(jid, self.generation, deliver, control, rules.spill_bytes_max);
        let seat = if claim.guest { seat.for_guest() } else { seat };
        // Until the session knows that it sits here, it takes nothing; what comes waits in the spill.
        seat.hold();
        Arc::new(seat)
    }

    /// The JID that is claimed; a resource of ours is random (RFC 6120, 7.6) and free.
    fn name(&self, claim: &Claim, seats: &[Arc<Seat>]) -> Option<FullJid> {
        let prefix = match &claim.resource {
            Resource::Named(resource) | Resource::Own(resource) => {
                return address::full(&claim.account, resource).ok();
            }
            Resource::Made { prefix } => prefix,
            Resource::Resumed(_) => return None,
        };
        loop {
            let resource = format!("{prefix}{:016x}", rand::random::<u64>());
            let jid = address::full(&claim.account, &resource).ok()?;
            if !seats.iter().any(|seat| *seat.jid() == jid) && !self.waiting.contains_key(&jid) {
                return Some(jid);
            }
        }
    }

    /// The session that has waited longest to be resumed gives way to a new one; false where none waits. One that is
    /// being resumed is not one of them.
    fn evict(&self, seats: &[Arc<Seat>], table: &SessionTable) -> bool {
        let waits = |seat: &&Arc<Seat>| !self.waiting.contains_key(seat.jid());
        let hibernated = seats.iter().filter(waits).filter_map(|seat| Some((seat.hibernates_since()?, seat)));
        let Some((_, oldest)) = hibernated.min_by_key(|(since, _)| *since) else { return false };
        if table.remove(oldest) == Removal::Done {
            table.orphaned(oldest);
        }
        oldest.control(Control::Evicted);
        true
    }
}
