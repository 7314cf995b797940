//! Logs sessions in, a fixed number at a time. A slot whose session stands and that comes round again is logged out first.

use std::{
    collections::HashMap,
    ops::Range,
    time::{Duration, Instant},
};

use crate::{
    engine::{Engine, Event, Work},
    fault::Fault,
    tally::{Errors, Latencies},
};

/// How logins are paced.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Which logins: so many are left out as if they had been made, and so many will be when it is over.
    pub numbers: Range<usize>,
    /// The sessions that they go round.
    pub slots: Range<usize>,
    /// Entries that every roster must have; any number if not given.
    pub contacts: Option<usize>,
    /// At a time.
    pub concurrency: usize,
    /// How long one may take.
    pub patience: Duration,
    /// Failures, with nothing that succeeded, after which no more are tried.
    pub failures_max: u64,
}

/// The logins of a phase.
#[derive(Debug)]
pub struct Logins {
    pace: Pace,
    begun: usize,
    /// When each that is on its way began.
    flying: HashMap<usize, Instant>,
    /// Those that succeeded.
    pub done: u64,
    /// Those that did not.
    pub failed: u64,
    /// When the last one succeeded.
    pub last: Option<Instant>,
    /// From connect to initial presence.
    pub latencies: Latencies,
    /// Failed logins, lost sessions.
    pub errors: Errors,
}

impl Logins {
    /// Nothing has begun.
    pub fn new(pace: Pace) -> Logins {
        Logins {
            begun: pace.numbers.start,
            pace,
            flying: HashMap::new(),
            done: 0,
            failed: 0,
            last: None,
            latencies: Latencies::default(),
            errors: Errors::default(),
        }
    }

    fn has_given_up(&self) -> bool {
        self.done == 0 && self.failed >= self.pace.failures_max
    }

    fn fill(&mut self, engine: &mut Engine) {
        while self.begun < self.pace.numbers.end
            && self.flying.len() < self.pace.concurrency
            && !self.has_given_up()
        {
            let index = self.pace.slots.start + self.begun % self.pace.slots.len();
            if self.flying.contains_key(&index) {
                return;
            }
            self.begun += 1;
            if engine.is_vacant(index) {
                self.connect(engine, index);
            } else {
                self.flying.insert(index, Instant::now());
                engine.close(index);
            }
        }
    }

    fn connect(&mut self, engine: &mut Engine, index: usize) {
        self.flying.insert(index, Instant::now());
        if let Err(fault) = engine.connect(index) {
            self.fail(index, &fault);
        }
    }

    fn fail(&mut self, index: usize, fault: &Fault) {
        self.errors.count(fault.to_string());
        if self.flying.remove(&index).is_some() {
            self.failed += 1;
        }
    }
}

impl Work for Logins {
    /// Begins as many as may be on their way, and gives up those that take too long.
    fn tend(&mut self, engine: &mut Engine) {
        let late: Vec<usize> = self
            .flying
            .iter()
            .filter(|(_, began)| began.elapsed() > self.pace.patience)
            .map(|(index, _)| *index)
            .collect();
        for index in late {
            let fault = Fault::TooLate(engine.login_waits_for(index).unwrap_or("end of the old stream"));
            engine.drop_session(index);
            self.fail(index, &fault);
        }
        self.fill(engine);
    }

    /// Whether all have come to their end.
    fn is_over(&self) -> bool {
        self.flying.is_empty() && (self.begun == self.pace.numbers.end || self.has_given_up())
    }

    fn operations(&self) -> u64 {
        self.done
    }

    fn on(&mut self, engine: &mut Engine, index: usize, event: Event<'_>, now: Instant) {
        match event {
            Event::LoggedIn { contacts } => {
                if let Some(wanted) = self.pace.contacts.filter(|wanted| *wanted != contacts) {
                    self.errors.count(format!("a roster of {contacts} and not of {wanted}"));
                }
                if let Some(began) = self.flying.remove(&index) {
                    self.latencies.record(now.duration_since(began));
                    self.done += 1;
                    self.last = Some(now);
                }
            }
            Event::Stanza(_) => return,
            Event::Closed => self.connect(engine, index),
            Event::Failed(fault) => self.fail(index, &fault),
        }
        self.fill(engine);
    }
}
