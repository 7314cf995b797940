//! The values that somebody wrote, in the shapes that the schema demands, and the faults found in them so far.
//!
//! Knows the schema, but not what a value means: that is asked for by `build`, `hosts` and `listeners`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::entry::{self, Entries, Entry, Origin, Value, Written};
use super::network::Network;
use super::schema;

/// A value that somebody wrote.
#[derive(Clone, Debug)]
pub(super) struct Found<T> {
    pub(super) value: T,
    pub(super) path: Vec<String>,
    pub(super) origin: Origin,
}

impl<T> Found<T> {
    fn map<U>(self, change: impl FnOnce(T) -> Option<U>) -> Option<Found<U>> {
        Some(Found { value: change(self.value)?, path: self.path, origin: self.origin })
    }
}

/// The values, and what is wrong so far.
#[derive(Debug)]
pub(super) struct Values {
    found: Vec<Found<Value>>,
    /// Tables that hold nothing, but were written.
    tables: Vec<(Vec<String>, Origin)>,
    /// Keys whose value was refused: they are neither there nor missing.
    refused: Vec<Vec<String>>,
    folder: PathBuf,
    pub(super) faults: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl Values {
    /// Sorts entries by what the schema knows. Paths of the file are relative to `folder`.
    pub(super) fn new(entries: Entries, folder: &Path, faults: Vec<String>) -> Values {
        let mut values = Values {
            found: Vec::new(),
            tables: Vec::new(),
            refused: Vec::new(),
            folder: folder.to_owned(),
            faults,
            warnings: Vec::new(),
        };
        for (path, entry) in entries {
            values.place(path, entry);
        }
        values
    }

    fn place(&mut self, path: Vec<String>, entry: Entry) {
        match schema::find(&path) {
            Some((key, in_file)) => match entry.shaped(key) {
                Ok(value) => {
                    let found = Found { value, path, origin: entry.origin };
                    if in_file { self.read_secret(found) } else { self.found.push(found) }
                }
                Err(text) => {
                    self.fault(&entry.origin, &path, &text);
                    self.refused.push(path);
                }
            },
            None if schema::is_table(&path) && entry.written == Written::EmptyTable => {
                self.tables.push((path, entry.origin));
            }
            None if schema::is_table(&path) => {
                let text = format!("expected a table, found {}", entry.written);
                self.fault(&entry.origin, &path, &text);
            }
            None => {
                let question = schema::question(&path);
                self.faults.push(format!("{}: unknown key {}{question}", entry.origin, schema::spell(&path)));
            }
        }
    }

    /// Puts the text of a `_file` key in the place of the secret itself.
    fn read_secret(&mut self, file: Found<Value>) {
        let Value::Text(name) = &file.value else { return };
        let mut path = file.path.clone();
        if let Some(last) = path.last_mut() {
            last.truncate(last.len() - "_file".len());
        }
        if self.found.iter().any(|other| other.path == path) {
            let text = format!("{} is given too: keep one of the two", schema::spell(&path));
            return self.fault_in(&file, &text);
        }
        let name = self.relative(name, &file.origin);
        match std::fs::read_to_string(&name) {
            Ok(text) => {
                let value = Value::Text(text.trim_end_matches(['\r', '\n']).to_owned());
                self.found.push(Found { value, path, origin: file.origin });
            }
            Err(error) => self.fault_in(&file, &format!("cannot read {}: {error}", name.display())),
        }
    }

    /// The text at a path.
    pub(super) fn text(&self, path: &[&str]) -> Option<Found<String>> {
        self.at(path)?.map(|value| if let Value::Text(text) = value { Some(text) } else { None })
    }

    /// The list at a path.
    pub(super) fn texts(&self, path: &[&str]) -> Option<Found<Vec<String>>> {
        self.at(path)?.map(|value| if let Value::Texts(texts) = value { Some(texts) } else { None })
    }

    /// The boolean at a path.
    pub(super) fn boolean(&self, path: &[&str]) -> Option<Found<bool>> {
        self.at(path)?.map(|value| if let Value::Boolean(value) = value { Some(value) } else { None })
    }

    /// The number at a path.
    pub(super) fn number(&self, path: &[&str]) -> Option<Found<u64>> {
        self.at(path)?.map(|value| if let Value::Number(number) = value { Some(number) } else { None })
    }

    /// The number at a path as a size, or the default.
    pub(super) fn size_or(&self, path: &[&str], default: usize) -> usize {
        self.number(path).and_then(|found| usize::try_from(found.value).ok()).unwrap_or(default)
    }

    /// The number at a path as seconds, or the default.
    pub(super) fn seconds_or(&self, path: &[&str], default: u64) -> Duration {
        Duration::from_secs(self.number(path).map_or(default, |found| found.value))
    }

    /// The networks at a path, if somebody wrote any there; what is none is noted.
    pub(super) fn networks(&mut self, path: &[&str]) -> Option<Vec<Network>> {
        let found = self.texts(path)?;
        let mut networks = Vec::new();
        for text in &found.value {
            match text.parse() {
                Ok(network) => networks.push(network),
                Err(error) => self.fault_in(&found, &format!("{text:?} {error}")),
            }
        }
        Some(networks)
    }

    /// The boolean at a path, or the default.
    pub(super) fn boolean_or(&self, path: &[&str], default: bool) -> bool {
        self.boolean(path).map_or(default, |found| found.value)
    }

    fn at(&self, path: &[&str]) -> Option<Found<Value>> {
        self.found.iter().find(|found| found.path == path).cloned()
    }

    /// Whether somebody wrote this key and was told already what is wrong with the value.
    pub(super) fn was_refused(&self, path: &[&str]) -> bool {
        self.refused.iter().any(|refused| refused == path)
    }

    /// The names that somebody wrote under a table, each with the place of its first key.
    pub(super) fn names_under(&self, table: &str) -> Vec<(String, Origin)> {
        let values = self.found.iter().map(|found| (&found.path, &found.origin));
        let mut names: Vec<(String, Origin)> = Vec::new();
        for (path, origin) in values.chain(self.tables.iter().map(|(path, origin)| (path, origin))) {
            if let [first, name, ..] = path.as_slice()
                && first == table
                && !names.iter().any(|(other, _)| other == name)
            {
                names.push((name.clone(), origin.clone()));
            }
        }
        names
    }

    /// A path of the file is relative to the file's folder; any other to the folder where the command was started.
    pub(super) fn relative(&self, path: &str, origin: &Origin) -> PathBuf {
        match origin {
            Origin::File { .. } => self.folder.join(path),
            Origin::Environment(_) | Origin::CommandLine(_) => PathBuf::from(path),
        }
    }

    /// A path that nobody wrote: beside the file.
    pub(super) fn default_path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// Notes what is wrong at a path.
    pub(super) fn fault(&mut self, origin: &Origin, path: &[String], text: &str) {
        self.faults.push(entry::fault(origin, path, text));
    }

    /// Notes what is wrong with a value.
    pub(super) fn fault_in<T>(&mut self, found: &Found<T>, text: &str) {
        self.fault(&found.origin, &found.path, text);
    }
}
