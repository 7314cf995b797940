//! `rjabberd-load`: load for any XMPP server, and what it costs.
//!
//! One thread carries all sessions: [`engine`] waits for sockets, [`login`] is a client's way to a session as a pure
//! machine, [`scanner`] finds where stanzas end, [`talk`] sends messages and looks for every one of them, [`contacts`] makes
//! sessions each other's contacts, [`broadcast`] does with presences what [`talk`] does with messages, [`process`] reads the server's CPU time and memory from the kernel, [`phases`] puts it together.
//!
//! It uses no crate of the server: what both got wrong would look right.

pub mod accounts;
pub mod broadcast;
mod chart;
pub mod command_line;
pub mod contacts;
pub mod driver;
pub mod element;
pub mod engine;
pub mod fault;
mod inbound;
pub mod login;
pub mod logins;
mod managed;
pub mod measure;
pub mod message;
pub mod page;
pub mod phases;
mod presence;
pub mod process;
pub mod scanner;
pub mod scram;
mod session;
pub mod talk;
pub mod tally;
pub mod timer;
pub mod tls;

use std::{
    fs,
    io::{self, BufWriter},
    process::ExitCode,
};

use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{
    command_line::{Command, CommandLine, Options},
    driver::{print_line, progress},
    phases::{Phase, PhaseError},
};

/// The share of a core from which the generator is the limit.
const OWN_PERCENT_MAX: f64 = 90.0;

/// The program. Ends with 0 if all was well, 1 if something was lost or failed, 2 if it could not be tried.
pub fn main() -> ExitCode {
    let done = match CommandLine::parse().command {
        Command::Login(options) => phase(Phase::Login, &options),
        Command::Idle(options) => phase(Phase::Idle, &options),
        Command::Chat(options) => phase(Phase::Chat, &options),
        Command::Rate(options) => phase(Phase::Rate, &options),
        Command::Contacts(options) => phase(Phase::Contacts, &options),
        Command::Presence(options) => phase(Phase::Presence, &options),
        Command::LoginRoster(options) => phase(Phase::LoginRoster, &options),
        Command::Accounts(wanted) => accounts::write(&wanted, &mut BufWriter::new(io::stdout().lock()))
            .map(|()| true)
            .map_err(Into::into),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            progress(&format!("rjabberd-load: {error}"));
            ExitCode::from(2)
        }
    }
}

fn phase(phase: Phase, options: &Options) -> Result<bool, PhaseError> {
    raise_file_limit();
    let outcome = phases::run(phase, options)?;
    print_line(&outcome.figures.clone().into())?;
    let own_percent = outcome.figures.get("generator_cpu_percent").and_then(|percent| percent.as_f64());
    if own_percent.is_some_and(|percent| percent > OWN_PERCENT_MAX) {
        progress("the generator was busy nearly all the time: latency and throughput are its own limit");
    }
    if let Some(path) = &options.report {
        fs::write(path, page::page(&outcome))
            .map_err(|error| PhaseError::Options(format!("{}: {error}", path.display())))?;
        progress(&format!("the report is {}", path.display()));
    }
    Ok(outcome.is_good)
}

/// Each session is an open file.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Where that is refused, connecting tells it.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
