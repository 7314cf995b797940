//! The phases in which sessions have contacts: making them, presences, and logins with a roster.

use std::time::{Duration, Instant};

use crate::{
    broadcast::Broadcast,
    command_line::{LayoutName, Options},
    contacts::{Befriend, Layout},
    driver::progress,
    logins::{Logins, Pace},
    measure::{Memory, Used, Watch},
    phases::{Phase, PhaseError, Running, TRAIL},
    talk::Limit,
    tally::{Errors, Latencies, round},
};

/// Of three equal parts of the accounts, the first has a roster, the second is in it, the third has an empty one.
pub(crate) const KINDS: usize = 3;
/// Logins of either kind are made in so many blocks, in turn.
const BLOCKS: usize = 4;

/// The layout of the contacts of a phase that makes some.
pub(crate) fn layout(phase: Phase, options: &Options) -> Option<Layout> {
    let Options { contacts, senders, .. } = *options;
    match phase {
        Phase::Contacts if options.layout == LayoutName::Halves => Some(Layout::Halves(contacts)),
        Phase::Presence if options.only_senders => Some(Layout::Spokes { contacts, senders }),
        Phase::Contacts | Phase::Presence => Some(Layout::Ring(contacts)),
        _ => None,
    }
}

/// Logins of one kind, over all their blocks.
#[derive(Debug, Default)]
struct Side {
    done: u64,
    time: Duration,
    used: Used,
    latencies: Latencies,
}

impl Running<'_> {
    /// Makes contacts; one operation is a pair that have each other.
    pub(crate) fn contacts(&mut self) -> Result<(), PhaseError> {
        let mut errors = Errors::default();
        if self.enter(&mut errors)?.is_none() {
            return Ok(());
        }
        let server = self.driver.server.clone();
        let (watch, began) = (Watch::new(&server), Instant::now());
        let made = self.befriend(Phase::Contacts, &mut errors)?;
        self.outcome.put_operations(made, began.elapsed(), watch.used(), self.has_server());
        self.outcome.put("contacts", self.options.contacts);
        self.outcome.put("errors", errors.json());
        self.outcome.is_good &= errors.total() == 0;
        Ok(())
    }

    /// Makes the contacts of a phase, as far as they are not there; how many pairs were made.
    fn befriend(&mut self, phase: Phase, errors: &mut Errors) -> Result<u64, PhaseError> {
        let Some(layout) = layout(phase, self.options) else { return Ok(0) };
        let mut befriend = Befriend::new(layout, self.sessions);
        befriend.begin(&mut self.driver.engine);
        self.driver.drive("pairs of contacts", &mut befriend, self.options.timeout)?;
        befriend.count_missing();
        progress(&format!("{} pairs of contacts are made", befriend.made));
        errors.add(std::mem::take(&mut befriend.errors));
        Ok(befriend.made)
    }

    /// Some sessions change their presence; one operation is a presence delivered to a contact.
    pub(crate) fn presence(&mut self) -> Result<(), PhaseError> {
        let mut errors = Errors::default();
        if self.enter(&mut errors)?.is_none() {
            return Ok(());
        }
        let began = Instant::now();
        self.befriend(Phase::Presence, &mut errors)?;
        self.outcome.put("contacts_made_s", round(began.elapsed().as_secs_f64()));
        if errors.total() > 0 {
            self.outcome.put("operations", 0);
            self.outcome.put("errors", errors.json());
            self.outcome.is_good = false;
            return Ok(());
        }
        errors.add(self.driver.rest(self.options.settle)?);
        let now = Memory::now(&self.driver.server);
        self.outcome.put_memory(self.before, now, self.sessions, self.has_server());
        let mut warm = self.broadcast(b'w', self.options.warmup());
        self.broadcast_to_the_end("warm-up", &mut warm)?;
        let is_warm = warm.flying == 0;
        errors.add(warm.errors);

        let mut broadcast = self.broadcast(b'p', self.options.limit());
        let used = self.broadcast_to_the_end("presence", &mut broadcast)?;
        let time = broadcast.last.duration_since(broadcast.began());
        self.outcome.put_operations(broadcast.delivered, time, used, self.has_server());
        self.outcome.put("senders", self.options.senders);
        self.outcome.put("contacts", self.options.contacts);
        self.outcome.put("sent", broadcast.sent);
        self.outcome.put("received", broadcast.delivered);
        self.outcome.put("lost", broadcast.flying);
        self.outcome.put("duplicated", broadcast.duplicated);
        if !is_warm {
            errors.count("presences of the warm-up were lost".to_owned());
        }
        errors.add(broadcast.errors);
        self.outcome.put_tally(&broadcast.latencies, &errors);
        let is_whole = broadcast.flying + broadcast.duplicated == 0 && broadcast.delivered > 0;
        self.outcome.is_good &= is_whole && errors.total() == 0;
        Ok(())
    }

    fn broadcast(&self, part: u8, limit: Limit) -> Broadcast {
        Broadcast::new(part, self.options.senders, self.options.contacts, self.sessions, limit)
    }

    fn broadcast_to_the_end(&mut self, name: &str, broadcast: &mut Broadcast) -> Result<Used, PhaseError> {
        let server = self.driver.server.clone();
        let watch = Watch::new(&server);
        broadcast.begin(&mut self.driver.engine);
        let samples = &mut self.outcome.samples;
        if !self.driver.drive_sampled(name, broadcast, self.options.timeout, samples)? {
            broadcast.errors.count(format!("not over after {} s", self.options.timeout.as_secs()));
        }
        Ok(watch.used())
    }

    /// Logins with a roster whose contacts are offline, and with an empty one, in turns of blocks, so that what else the
    /// machine does meets both. One operation is a login with a roster.
    pub(crate) fn login_roster(&mut self) -> Result<(), PhaseError> {
        let each = self.sessions / KINDS;
        let total = self.options.logins.unwrap_or(each);
        let mut errors = Errors::default();
        let mut sides = [Side::default(), Side::default()];
        for block in 0..BLOCKS {
            // Either goes first in every other pair.
            for kind in if block % 2 == 0 { [0, 1] } else { [1, 0] } {
                let (first, contacts) = if kind == 0 { (0, self.options.contacts) } else { (2 * each, 0) };
                let pace = Pace {
                    numbers: total * block / BLOCKS..total * (block + 1) / BLOCKS,
                    slots: first..first + each,
                    contacts: Some(contacts),
                    ..self.pace(total)
                };
                self.login_block(pace, &mut sides[kind], &mut errors)?;
            }
        }
        let [with, without] = sides;
        self.outcome.put_operations(with.done, with.time, with.used, self.has_server());
        self.outcome.put("contacts", self.options.contacts);
        if self.has_server() && with.done > 0 && without.done > 0 {
            let us = |side: &Side| side.used.server.total_us() / side.done as f64;
            self.outcome.put("server_cpu_us_per_op_empty", round(us(&without)));
            self.outcome.put("server_cpu_us_for_roster", round(us(&with) - us(&without)));
        }
        self.outcome.put_tally(&with.latencies, &errors);
        self.outcome.put("latency_us_empty", without.latencies.json());
        let all = total as u64;
        self.outcome.is_good = errors.total() == 0 && with.done == all && without.done == all;
        Ok(())
    }

    fn login_block(&mut self, pace: Pace, side: &mut Side, errors: &mut Errors) -> Result<(), PhaseError> {
        let server = self.driver.server.clone();
        let mut logins = Logins::new(pace);
        let (watch, began) = (Watch::new(&server), Instant::now());
        if !self.driver.drive("login", &mut logins, self.options.timeout)? {
            logins.errors.count(format!("not over after {} s", self.options.timeout.as_secs()));
        }
        self.driver.rest(TRAIL)?;
        side.used = side.used + watch.used();
        side.time += logins.last.map_or(began.elapsed(), |last| last.duration_since(began));
        side.done += logins.done;
        side.latencies.add(&logins.latencies);
        errors.add(logins.errors);
        Ok(())
    }
}
