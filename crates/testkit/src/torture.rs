//! What the programs share that torture a server with thousands of clients in one thread: how they run, what they tell
//! their user, and where they put down what went wrong. What must hold is each one's own.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use serde_json::Value;
use tokio::task::LocalSet;

use crate::Fault;

/// Runs it in this thread, no longer than that, and tells the seed that it draws from. Its report is printed, and says
/// itself whether all was `good`.
///
/// # Errors
/// Those of the run; that it takes too long.
pub fn torture(
    seed: u64,
    limit: Duration,
    run: impl Future<Output = Result<Value, Fault>>,
) -> Result<ExitCode, Fault> {
    say(&format!("seed {seed}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = LocalSet::new().block_on(&runtime, async { tokio::time::timeout(limit, run).await })??;
    writeln!(io::stdout(), "{report:#}")?;
    Ok(if report["good"] == true { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Tells the user, on stderr.
pub fn say(text: &str) {
    // A closed stderr is no reason to stop.
    let _ = writeln!(io::stderr(), "{text}");
}

/// What did not go as it should, and how often: of 20 kinds, and of all others together.
#[derive(Debug, Default)]
pub struct Faults(RefCell<BTreeMap<String, u64>>);

impl Faults {
    /// Puts one down.
    pub fn note(&self, what: String) {
        const KINDS_MAX: usize = 20;
        let mut faults = self.0.borrow_mut();
        let what =
            if faults.len() < KINDS_MAX || faults.contains_key(&what) { what } else { "other".to_owned() };
        *faults.entry(what).or_default() += 1;
    }

    /// All of them.
    pub fn all(&self) -> BTreeMap<String, u64> {
        self.0.borrow().clone()
    }
}
