//! The command line: what is asked, which command does it, and how it ends.
//!
//! A command that fails says why in one line on stderr and exits with 1; clap exits with 2 for a line that it cannot
//! read. Nothing of a command's work is here: each has its file in `commands`, and `run` has its own.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::commands::{self, CommandError};
use crate::config::{self, Sources};
use crate::start_error::StartError;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "rjabberd", version, about = "An XMPP (Jabber) chat server")]
pub(crate) struct CommandLine {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub(crate) struct Place {
    /// The config file; without it (and without RJABBERD_CONFIG), rjabberd.toml of this folder is read if it is there
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data folder, in place of the one that the config names
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server (the default)
    Run,
    /// Check the config and the certificates that it names
    CheckConfig,
    /// Create, change, remove and list accounts
    #[command(subcommand)]
    User(User),
    /// Print what the running server counts, as one JSON object
    Stats,
}

/// What can be done with accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Create an account
    Add(WithPassword),
    /// Create accounts from a file of lines `jid<TAB>password` or `jid<TAB>{SCRAM-SHA-256}iterations,salt,stored,server`
    Import {
        /// The file, or - for stdin
        file: PathBuf,
        /// Give accounts that exist the keys of the file
        #[arg(long)]
        replace: bool,
    },
    /// Set the password of an account and end its sessions
    Passwd(WithPassword),
    /// Forbid an account to log in and end its sessions
    Disable {
        /// Address of the account, as in romeo@example.net
        jid: String,
    },
    /// Allow an account to log in again
    Enable {
        /// Address of the account, as in romeo@example.net
        jid: String,
    },
    /// Remove an account with all that belongs to it, and end its sessions
    Remove {
        /// Address of the account, as in romeo@example.net
        jid: String,
    },
    /// List accounts, one a line
    List {
        /// Only those of this domain
        domain: Option<String>,
    },
}

/// An account and where its password comes from.
#[derive(Debug, Args)]
pub(crate) struct WithPassword {
    /// Address of the account, as in romeo@example.net
    pub(crate) jid: String,
    /// Read the password from the first line of stdin, instead of asking for it
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

/// Does what the process was asked for.
pub fn main() -> ExitCode {
    let line = CommandLine::parse();
    match perform(line) {
        Ok(code) => code,
        Err(error) => {
            crate::logging::flush();
            commands::complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn perform(line: CommandLine) -> Result<ExitCode, CommandError> {
    let named = std::env::var_os(config::CONFIG_VARIABLE).filter(|name| !name.is_empty());
    let file = line.place.config.or(named.map(PathBuf::from));
    let sources = Sources { file, data: line.place.data, variables: std::env::vars_os().collect() };
    let config = config::load(sources).map_err(StartError::from)?;
    match line.command {
        None | Some(Command::Run) => Ok(crate::run::run(config)?),
        Some(Command::CheckConfig) => Ok(commands::check_config(&config)),
        Some(Command::User(user)) => commands::user(&config, user),
        Some(Command::Stats) => commands::stats(&config),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_fits_together() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn every_command_takes_a_config_and_a_data_folder() {
        for command in [&["run"][..], &["check-config"], &["user", "list"], &[]] {
            let options = ["--config", "x.toml", "--data", "d"];
            let line = [&["rjabberd"], command, &options].concat();
            let line = CommandLine::try_parse_from(line).unwrap();
            assert_eq!(line.place.config, Some(PathBuf::from("x.toml")));
            assert_eq!(line.place.data, Some(PathBuf::from("d")));
        }
    }
}
