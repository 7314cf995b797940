//! The commands, one file each, and how they reach accounts: through the server that runs, or in the store itself.

mod check_config;
mod import;
mod reach;
mod stats;
mod user;

use std::io::{self, Write};

pub(crate) use check_config::check_config;
pub use import::IMPORT_BATCH;
pub(crate) use stats::stats;
pub(crate) use user::user;

use crate::accounts::AccountError;
use crate::start_error::StartError;

/// Why a command was not done: one line.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// What it needs cannot be opened.
    #[error(transparent)]
    Start(#[from] StartError),
    /// An operation on an account was refused.
    #[error("{subject}: {error}")]
    Account {
        /// Which account, or what.
        subject: String,
        /// Why.
        error: AccountError,
    },
    /// What was given on the command line cannot be used.
    #[error("{0}")]
    Argument(String),
}

/// Writes a line to stdout. Whoever closed it early (`| head`) wants no more.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Writes a line to stderr.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
