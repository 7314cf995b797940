//! Runs a [`Work`] to its end or its time limit, tells its progress, and looks at the server meanwhile.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use mio::Events;
use serde_json::Value;

use crate::{
    engine::{Engine, Event, Work},
    process::{Cpu, Processes},
    tally::Errors,
};

/// How often the work is tended at least.
const TEND: Duration = Duration::from_millis(20);
const PROGRESS: Duration = Duration::from_secs(1);
const SAMPLES: Duration = Duration::from_millis(250);

/// What was seen at one moment of a phase.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Since the phase began.
    pub seconds: f64,
    /// Done by then.
    pub operations: u64,
    /// Used by then.
    pub server_cpu: Cpu,
    /// Resident then.
    pub server_rss_kib: u64,
}

/// The engine, and the processes whose figures count.
#[derive(Debug)]
pub struct Driver {
    /// The sessions.
    pub engine: Engine,
    events: Events,
    /// The server's.
    pub server: Processes,
    /// Whether samples are taken, for charts.
    pub takes_samples: bool,
}

impl Driver {
    /// Nothing runs yet.
    pub fn new(engine: Engine, server: Processes, takes_samples: bool) -> Driver {
        Driver { engine, events: Engine::events(), server, takes_samples }
    }

    /// Runs until the work is over; false if that took longer than `limit`. What has a name tells its progress.
    pub fn drive(&mut self, name: &str, work: &mut impl Work, limit: Duration) -> io::Result<bool> {
        self.drive_sampled(name, work, limit, &mut Vec::new())
    }

    /// As [`Driver::drive`], with what was seen meanwhile.
    pub fn drive_sampled(
        &mut self,
        name: &str,
        work: &mut impl Work,
        limit: Duration,
        samples: &mut Vec<Sample>,
    ) -> io::Result<bool> {
        let began = Instant::now();
        let (mut progress_at, mut sample_at) = (PROGRESS, Duration::ZERO);
        loop {
            work.tend(&mut self.engine);
            if work.is_over() {
                return Ok(true);
            }
            let elapsed = began.elapsed();
            if elapsed >= limit {
                return Ok(false);
            }
            if elapsed >= progress_at && !name.is_empty() {
                progress_at += PROGRESS;
                progress(&format!("{name}: {} done after {} s", work.operations(), elapsed.as_secs()));
            }
            if self.takes_samples && elapsed >= sample_at {
                sample_at += SAMPLES;
                samples.push(self.sample(elapsed, work));
            }
            self.engine.turn(&mut self.events, TEND, work)?;
        }
    }

    fn sample(&self, elapsed: Duration, work: &impl Work) -> Sample {
        Sample {
            seconds: elapsed.as_secs_f64(),
            operations: work.operations(),
            server_cpu: self.server.cpu(),
            server_rss_kib: self.server.rss_kib_quick(),
        }
    }

    /// Lets this time pass; sessions answer what they are asked. Returns what was lost.
    pub fn rest(&mut self, time: Duration) -> io::Result<Errors> {
        let mut rest = Rest { until: Instant::now() + time, lost: Errors::default() };
        self.drive("", &mut rest, time * 2)?;
        Ok(rest.lost)
    }

    /// Ends all sessions: politely, and whatever still stands after a while, bluntly.
    pub fn leave(&mut self, sessions: usize) -> io::Result<()> {
        let mut leave = Leave { left: 0 };
        for index in 0..sessions {
            if self.engine.is_live(index) {
                self.engine.close(index);
                leave.left += 1;
            }
        }
        self.drive("", &mut leave, Duration::from_secs(10))?;
        (0..sessions).for_each(|index| self.engine.drop_session(index));
        Ok(())
    }
}

/// Tells the user, on stderr.
pub fn progress(text: &str) {
    // A closed stderr is no reason to stop measuring.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints the one line of a phase.
pub fn print_line(line: &Value) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

struct Rest {
    until: Instant,
    lost: Errors,
}

impl Work for Rest {
    fn on(&mut self, _: &mut Engine, _: usize, event: Event<'_>, _: Instant) {
        if let Event::Failed(fault) = event {
            self.lost.count(format!("session lost: {fault}"));
        }
    }

    fn tend(&mut self, _: &mut Engine) {}

    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    fn operations(&self) -> u64 {
        0
    }
}

struct Leave {
    left: usize,
}

impl Work for Leave {
    fn on(&mut self, _: &mut Engine, _: usize, event: Event<'_>, _: Instant) {
        if matches!(event, Event::Closed | Event::Failed(_)) {
            self.left = self.left.saturating_sub(1);
        }
    }

    fn tend(&mut self, _: &mut Engine) {}

    fn is_over(&self) -> bool {
        self.left == 0
    }

    fn operations(&self) -> u64 {
        0
    }
}
