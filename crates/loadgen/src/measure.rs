//! What a phase came to, as one JSON object.

use std::{ops::Add, time::Duration};

use serde_json::{Map, Value, json};

use crate::{
    driver::Sample,
    process::{Cpu, Processes},
    tally::{Errors, Latencies, round},
};

/// CPU time of the server and of the generator while something was measured.
#[derive(Debug)]
pub struct Watch<'a> {
    server: &'a Processes,
    server_before: Cpu,
    own_before: Cpu,
}

/// What a [`Watch`] has seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// By the server.
    pub server: Cpu,
    /// By the generator.
    pub own: Cpu,
}

impl<'a> Watch<'a> {
    /// From now on.
    pub fn new(server: &'a Processes) -> Watch<'a> {
        Watch { server, server_before: server.cpu(), own_before: Processes::own().cpu() }
    }

    /// Until now.
    pub fn used(&self) -> Used {
        Used { server: self.server.cpu() - self.server_before, own: Processes::own().cpu() - self.own_before }
    }
}

impl Add for Used {
    type Output = Used;
    fn add(self, other: Used) -> Used {
        Used { server: self.server + other.server, own: self.own + other.own }
    }
}

/// Resident memory of server and generator.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// The server's.
    pub server_kib: u64,
    /// The generator's.
    pub own_kib: u64,
}

impl Memory {
    /// As it is now.
    pub fn now(server: &Processes) -> Memory {
        Memory { server_kib: server.rss_kib(), own_kib: Processes::own().rss_kib() }
    }
}

/// The outcome of a phase.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Its figures, by name.
    pub figures: Map<String, Value>,
    /// For the charts.
    pub samples: Vec<Sample>,
    /// For the charts.
    pub latencies: Latencies,
    /// Whether everything was as it should be.
    pub is_good: bool,
}

impl Outcome {
    /// Puts a figure down.
    pub fn put(&mut self, name: &str, figure: impl Into<Value>) {
        self.figures.insert(name.to_owned(), figure.into());
    }

    /// Operations, their time, and what they cost.
    pub fn put_operations(&mut self, operations: u64, time: Duration, used: Used, has_server: bool) {
        let seconds = time.as_secs_f64().max(1e-6);
        self.put("operations", operations);
        self.put("seconds", (seconds * 1e4).round() / 1e4);
        self.put("ops_per_s", round(operations as f64 / seconds));
        let per_op =
            |us: f64| if operations == 0 { Value::Null } else { json!(round(us / operations as f64)) };
        if has_server {
            self.put("server_cpu_us_per_op", per_op(used.server.total_us()));
            self.put("server_cpu_user_us_per_op", per_op(used.server.user_us));
            self.put("server_cpu_sys_us_per_op", per_op(used.server.sys_us));
            self.put("server_cpu_percent", round(used.server.total_us() / 1e4 / seconds));
        }
        self.put("generator_cpu_us_per_op", per_op(used.own.total_us()));
        self.put("generator_cpu_percent", round(used.own.total_us() / 1e4 / seconds));
    }

    /// What sessions take.
    pub fn put_memory(&mut self, before: Memory, after: Memory, sessions: usize, has_server: bool) {
        let sessions = sessions.max(1) as f64;
        if has_server {
            let grown = after.server_kib as f64 - before.server_kib as f64;
            self.put("server_rss_kib_before", before.server_kib);
            self.put("server_rss_kib_after", after.server_kib);
            self.put("kib_per_session", round(grown / sessions));
        }
        let own_grown = after.own_kib as f64 - before.own_kib as f64;
        self.put("generator_rss_kib", after.own_kib);
        self.put("generator_bytes_per_session", (own_grown * 1024.0 / sessions).round());
    }

    /// Latencies and errors.
    pub fn put_tally(&mut self, latencies: &Latencies, errors: &Errors) {
        self.put("latency_us", latencies.json());
        self.put("errors", errors.json());
        self.latencies = latencies.clone();
    }
}
