//! The phases: what each does in which order, and what it reports.

use std::{io, time::Duration};

use crate::{
    command_line::Options,
    driver::{Driver, progress},
    engine::{Engine, Target},
    logins::{Logins, Pace},
    measure::{Memory, Outcome, Used, Watch},
    message::Composer,
    presence,
    process::Processes,
    talk::{Limit, Pattern, Schedule, Talk},
    tally::Errors,
    timer::Timer,
};

/// What is still on its way when the last login is done: its presence, above all.
pub(crate) const TRAIL: Duration = Duration::from_millis(300);
/// Failed logins, with none that succeeded, after which a phase is given up.
const FAILURES_MAX: u64 = 20;

/// Which phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Logins.
    Login,
    /// Sessions that do nothing.
    Idle,
    /// Closed loop.
    Chat,
    /// Open loop.
    Rate,
    /// Sessions become contacts.
    Contacts,
    /// Presences to contacts.
    Presence,
    /// Logins with a roster and without.
    LoginRoster,
}

impl Phase {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Login => "login",
            Phase::Idle => "idle",
            Phase::Chat => "chat",
            Phase::Rate => "rate",
            Phase::Contacts => "contacts",
            Phase::Presence => "presence",
            Phase::LoginRoster => "login-roster",
        }
    }
}

/// Why a phase could not be run at all.
#[derive(Debug, thiserror::Error)]
pub enum PhaseError {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Options(String),
    /// The system refused something.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// Runs a phase.
pub fn run(phase: Phase, options: &Options) -> Result<Outcome, PhaseError> {
    let talks = matches!(phase, Phase::Chat | Phase::Rate);
    let talkers = if talks { options.sessions / 2 * 2 } else { options.sessions };
    if talks && talkers == 0 {
        return Err(PhaseError::Options("two sessions are the fewest that can talk".to_owned()));
    }
    if phase == Phase::Rate && !(options.rate > 0.0 && options.rate <= 1e6) {
        return Err(PhaseError::Options("--rate must be above 0 and at most 1000000".to_owned()));
    }
    if phase == Phase::Rate && options.messages.is_some() {
        return Err(PhaseError::Options("rate takes --seconds, not --messages".to_owned()));
    }
    let sessions = match phase {
        Phase::LoginRoster => presence::KINDS * talkers,
        _ if talks => talkers + options.idle_sessions,
        _ => talkers,
    };
    if let Some(fault) = presence::layout(phase, options).and_then(|layout| layout.fault(talkers)) {
        return Err(PhaseError::Options(fault.to_owned()));
    }
    if phase == Phase::Presence && options.senders > talkers {
        return Err(PhaseError::Options("there cannot be more --senders than --sessions".to_owned()));
    }
    let server = Processes::new(&options.server_pid, options.with_children).map_err(PhaseError::Options)?;
    let target = Target {
        address: options.address().map_err(PhaseError::Options)?,
        sources: options.source.clone(),
        account: options.account(),
        tls: options.tls().map_err(PhaseError::Options)?,
    };
    let before = Memory::now(&server);
    let engine = Engine::new(target, sessions)?;
    let driver = Driver::new(engine, server, options.report.is_some());
    let mut outcome = Outcome { is_good: true, ..Outcome::default() };
    outcome.put("phase", phase.name());
    outcome.put("target", options.target.as_str());
    outcome.put("tls", format!("{:?}", options.tls).to_lowercase());
    outcome.put("sessions", talkers);
    let mut running = Running { options, driver, sessions, before, outcome };
    match phase {
        Phase::Login => running.login()?,
        Phase::Idle => running.idle()?,
        Phase::Chat | Phase::Rate => running.talk(phase, talkers)?,
        Phase::Contacts => running.contacts()?,
        Phase::Presence => running.presence()?,
        Phase::LoginRoster => running.login_roster()?,
    }
    running.driver.leave(sessions)?;
    let mut outcome = running.outcome;
    outcome.put("ok", outcome.is_good);
    Ok(outcome)
}

/// A phase that runs.
pub(crate) struct Running<'a> {
    pub(crate) options: &'a Options,
    pub(crate) driver: Driver,
    pub(crate) sessions: usize,
    pub(crate) before: Memory,
    pub(crate) outcome: Outcome,
}

impl Running<'_> {
    pub(crate) fn has_server(&self) -> bool {
        !self.driver.server.is_empty()
    }

    pub(crate) fn pace(&self, total: usize) -> Pace {
        Pace {
            numbers: 0..total,
            slots: 0..self.sessions,
            contacts: None,
            concurrency: self.options.concurrency,
            patience: self.options.login_timeout,
            failures_max: FAILURES_MAX,
        }
    }

    fn login(&mut self) -> Result<(), PhaseError> {
        let total = self.options.logins.unwrap_or(self.sessions);
        let mut logins = Logins::new(self.pace(total));
        let server = self.driver.server.clone();
        let watch = Watch::new(&server);
        let began = std::time::Instant::now();
        let mut samples = Vec::new();
        let in_time = self.driver.drive_sampled("login", &mut logins, self.options.timeout, &mut samples)?;
        self.driver.rest(TRAIL)?;
        let used = watch.used();
        self.driver.rest(self.options.settle)?;
        let time = logins.last.map_or(began.elapsed(), |last| last.duration_since(began));
        if !in_time {
            logins.errors.count(format!("not over after {} s", self.options.timeout.as_secs()));
        }
        self.outcome.samples = samples;
        self.outcome.put_operations(logins.done, time, used, !server.is_empty());
        let standing = (0..self.sessions).filter(|index| self.driver.engine.is_live(*index)).count();
        self.outcome.put_memory(self.before, Memory::now(&server), standing, !server.is_empty());
        self.outcome.put_tally(&logins.latencies, &logins.errors);
        self.outcome.is_good = logins.errors.total() == 0 && logins.done == total as u64;
        Ok(())
    }

    /// Logs all sessions in. With one missing, what follows is not what was asked for.
    pub(crate) fn enter(&mut self, errors: &mut Errors) -> Result<Option<Logins>, PhaseError> {
        let mut logins = Logins::new(self.pace(self.sessions));
        let in_time = self.driver.drive("logging in", &mut logins, self.options.timeout)?;
        if in_time && logins.done == self.sessions as u64 && logins.errors.total() == 0 {
            progress(&format!("{} sessions are logged in", logins.done));
            return Ok(Some(logins));
        }
        if !in_time {
            logins.errors.count(format!("not logged in after {} s", self.options.timeout.as_secs()));
        }
        let reason = logins.errors.worst().unwrap_or_default();
        progress(&format!("{} of {} sessions are logged in: {reason}", logins.done, self.sessions));
        *errors = logins.errors;
        self.outcome.put("operations", 0);
        self.outcome.put("logged_in", logins.done);
        self.outcome.put("errors", errors.json());
        self.outcome.is_good = false;
        Ok(None)
    }

    fn idle(&mut self) -> Result<(), PhaseError> {
        let server = self.driver.server.clone();
        let mut errors = Errors::default();
        let watch = Watch::new(&server);
        let began = std::time::Instant::now();
        let Some(logins) = self.enter(&mut errors)? else { return Ok(()) };
        let time = began.elapsed();
        self.outcome.put_operations(logins.done, time, watch.used(), self.has_server());
        self.outcome.put_tally(&logins.latencies, &logins.errors);
        errors.add(self.driver.rest(self.options.settle)?);
        self.outcome.put_memory(self.before, Memory::now(&server), self.sessions, self.has_server());
        errors.add(self.watch_idle()?);
        if self.options.traffic > 0 {
            let limit = Limit::Messages(self.options.traffic);
            let mut talk = self.prepare(b't', self.sessions / 2 * 2, Pattern::Window(1), limit);
            self.converse("traffic", &mut talk, &mut Vec::new())?;
            self.put_talk(&talk);
            errors.add(talk.errors);
            errors.add(self.driver.rest(self.options.settle)?);
            let after = Memory::now(&server);
            if self.has_server() {
                let grown = after.server_kib as f64 - self.before.server_kib as f64;
                self.outcome.put("server_rss_kib_after_traffic", after.server_kib);
                let each = crate::tally::round(grown / self.sessions as f64);
                self.outcome.put("kib_per_session_after_traffic", each);
            }
        }
        self.outcome.put("errors", errors.json());
        self.outcome.is_good &= errors.total() == 0;
        Ok(())
    }

    /// The share of a core that sessions cost which do nothing.
    fn watch_idle(&mut self) -> Result<Errors, PhaseError> {
        let server = self.driver.server.clone();
        let watch = Watch::new(&server);
        let began = std::time::Instant::now();
        let lost = self.driver.rest(self.options.idle_seconds)?;
        let share = watch.used().server.total_us() / 1e4 / began.elapsed().as_secs_f64().max(1e-6);
        if self.has_server() {
            self.outcome.put("idle_cpu_percent", (share * 1e3).round() / 1e3);
        }
        Ok(lost)
    }

    fn talk(&mut self, phase: Phase, talkers: usize) -> Result<(), PhaseError> {
        let server = self.driver.server.clone();
        let mut errors = Errors::default();
        if self.enter(&mut errors)?.is_none() {
            return Ok(());
        }
        errors.add(self.driver.rest(self.options.settle)?);
        let entered = Memory::now(&server);
        self.outcome.put_memory(self.before, entered, self.sessions, self.has_server());
        self.outcome.put("idle_sessions", self.options.idle_sessions);
        if self.options.idle_sessions > 0 {
            errors.add(self.watch_idle()?);
        }
        let pattern = match phase {
            Phase::Rate => Pattern::Clock(Schedule::new(self.options.rate)),
            _ => Pattern::Window(self.options.window.max(1)),
        };
        let limit = self.options.limit();
        let mut warm = self.prepare(b'w', talkers, pattern, self.options.warmup());
        self.converse("warm-up", &mut warm, &mut Vec::new())?;
        let is_warm = warm.flying == 0;
        errors.add(warm.errors);

        let mut talk = self.prepare(b't', talkers, pattern, limit);
        let mut samples = Vec::new();
        let used = self.converse(phase.name(), &mut talk, &mut samples)?;
        let time = talk.last.duration_since(talk.began());
        self.outcome.samples = samples;
        self.outcome.put_operations(talk.received, time, used, self.has_server());
        match phase {
            Phase::Rate => self.outcome.put("rate", self.options.rate),
            _ => self.outcome.put("window", self.options.window.max(1)),
        }
        self.put_talk(&talk);
        if self.has_server() {
            self.outcome.put("server_rss_kib_after_talk", server.rss_kib());
        }
        if !is_warm {
            errors.count("messages of the warm-up were lost".to_owned());
        }
        errors.add(talk.errors.clone());
        self.outcome.put_tally(&talk.latencies, &errors);
        self.outcome.is_good &= errors.total() == 0 && talk.received > 0;
        Ok(())
    }

    fn prepare(&self, part: u8, talkers: usize, pattern: Pattern, limit: Limit) -> Talk {
        let composer = Composer::new(self.options.size());
        Talk::new(&self.driver.engine, part, talkers, pattern, limit, composer)
    }

    /// Talks to the end; the CPU time that it took.
    fn converse(
        &mut self,
        name: &str,
        talk: &mut Talk,
        samples: &mut Vec<crate::driver::Sample>,
    ) -> Result<Used, PhaseError> {
        let timer = Timer::new()?;
        self.driver.engine.watch_timer(&timer)?;
        talk.set_timer(timer);
        let server = self.driver.server.clone();
        let watch = Watch::new(&server);
        talk.begin(&mut self.driver.engine);
        let in_time = self.driver.drive_sampled(name, talk, self.options.timeout, samples)?;
        if !in_time {
            talk.errors.count(format!("not over after {} s", self.options.timeout.as_secs()));
        }
        Ok(watch.used())
    }

    fn put_talk(&mut self, talk: &Talk) {
        self.outcome.put("sent", talk.sent);
        self.outcome.put("received", talk.received);
        self.outcome.put("lost", talk.flying);
        self.outcome.put("duplicated", talk.duplicated);
        self.outcome.put("disordered", talk.disordered);
        self.outcome.put("stanza_bytes", talk.sent_bytes.checked_div(talk.sent).unwrap_or_default());
        self.outcome.is_good &= talk.flying + talk.duplicated + talk.disordered == 0;
    }
}
