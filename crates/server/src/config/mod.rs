//! The config: `rjabberd.toml`, the environment over it, the command line over that, defaults under all.
//!
//! [`load`] gives a [`Config`] in which everything is checked and filled in, or every fault at once, each one line
//! that says where and what instead. Nothing else in the server reads a file or a variable for a setting. What needs
//! more than the config's own text (certificates, ports, the data folder) is checked where it is opened.
//!
//! Entry points by file: `schema` names every key, `build`, `hosts` and `listeners` give it its meaning and default,
//! `settings` is what comes out.

mod build;
mod contact;
mod entry;
mod environment;
mod file;
mod hosts;
mod listeners;
mod mechanisms;
mod network;
mod schema;
mod settings;
mod suggestion;
mod values;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub(crate) use environment::CONFIG as CONFIG_VARIABLE;
pub use network::{BadNetwork, Network};
pub use settings::*;

use entry::{Entries, Entry, Origin, Written};
use values::Values;

/// The file that is read from the working folder where none is named.
pub const DEFAULT_FILE: &str = "rjabberd.toml";

/// Where a config comes from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file that was named; without one, [`DEFAULT_FILE`] of the working folder is read if it is there.
    pub file: Option<PathBuf>,
    /// `--data`, over everything.
    pub data: Option<PathBuf>,
    /// The environment.
    pub variables: Vec<(OsString, OsString)>,
}

/// Everything that is wrong with a config.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines.join("\n"))]
pub struct ConfigError {
    /// One line each: where, and what instead.
    pub lines: Vec<String>,
}

/// Loads and checks the config.
///
/// # Errors
/// Every fault at once.
pub fn load(sources: Sources) -> Result<Config, ConfigError> {
    let file = match sources.file {
        Some(file) => Some(file),
        None => Some(PathBuf::from(DEFAULT_FILE)).filter(|file| file.exists()),
    };
    let mut faults = Vec::new();
    let mut entries = match &file {
        Some(file) => read_file(file).map_err(|line| ConfigError { lines: vec![line] })?,
        None => Entries::new(),
    };
    environment::read(sources.variables, &mut entries, &mut faults);
    if let Some(data) = sources.data {
        let written = Written::Bare(data.to_string_lossy().into_owned());
        let entry = Entry { written, origin: Origin::CommandLine("--data") };
        entries.insert(vec!["data".to_owned()], entry);
    }
    let folder = file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    let values = Values::new(entries, folder, faults);
    build::build(values, file.as_deref()).map_err(|lines| ConfigError { lines })
}

fn read_file(file: &Path) -> Result<Entries, String> {
    let name = file.display().to_string();
    let bytes = std::fs::read(file).map_err(|error| format!("{name}: cannot read the config: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{name}: the config is not UTF-8"))?;
    file::read(&name, &text)
}

#[cfg(test)]
mod tests;
