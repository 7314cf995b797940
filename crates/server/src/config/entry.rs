//! One value of the config with the place where it was written, before anybody asked what it means.

use std::collections::BTreeMap;
use std::fmt;

use super::schema::{self, Key, Kind};
use super::suggestion;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A line of the config file.
    File {
        /// The file's name as the user gave it.
        name: String,
        /// Counted from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// An option of the command line.
    CommandLine(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { name, line } => write!(f, "{name}:{line}"),
            Origin::Environment(name) => f.write_str(name),
            Origin::CommandLine(option) => f.write_str(option),
        }
    }
}

/// A value as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Written {
    /// A text of the file.
    Text(String),
    /// A whole number of the file.
    Integer(i128),
    /// A boolean of the file.
    Boolean(bool),
    /// A list of the file.
    List(Vec<Written>),
    /// A table of the file with nothing in it.
    EmptyTable,
    /// Something else that TOML knows, by its name.
    Other(&'static str),
    /// Text of the environment, whose shape the key decides.
    Bare(String),
}

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) written: Written,
    pub(crate) origin: Origin,
}

/// All values by path. What stands later in the order file, environment, command line replaces what stands earlier.
pub(crate) type Entries = BTreeMap<Vec<String>, Entry>;

/// A value in the shape that its key demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Boolean(bool),
    Number(u64),
    Texts(Vec<String>),
}

impl Entry {
    /// The value in the shape that `key` demands, or what is wrong with it in words that follow the key's name.
    pub(crate) fn shaped(&self, key: &Key) -> Result<Value, String> {
        match key.kind {
            Kind::Text => self.text().map(Value::Text),
            Kind::Secret => match &self.written {
                Written::Text(text) | Written::Bare(text) => Ok(Value::Text(text.clone())),
                _ => Err("expected a text".to_owned()),
            },
            Kind::Boolean => self.boolean().map(Value::Boolean),
            Kind::Number(min, max) => self.number(min, max).map(Value::Number),
            Kind::Texts => self.texts().map(Value::Texts),
            Kind::Choice(words) => {
                let text = self.text()?;
                if words.contains(&text.as_str()) {
                    return Ok(Value::Text(text));
                }
                let question = suggestion::question(&text, words.iter().copied());
                Err(format!("{text:?} is not one of {}{question}", words.join(", ")))
            }
        }
    }

    fn text(&self) -> Result<String, String> {
        match &self.written {
            Written::Text(text) | Written::Bare(text) => Ok(text.clone()),
            other => Err(format!("expected a text in quotes, found {other}")),
        }
    }

    fn boolean(&self) -> Result<bool, String> {
        match &self.written {
            Written::Boolean(value) => Ok(*value),
            Written::Bare(text) if text == "true" => Ok(true),
            Written::Bare(text) if text == "false" => Ok(false),
            other => Err(format!("expected true or false, found {other}")),
        }
    }

    fn number(&self, min: u64, max: u64) -> Result<u64, String> {
        let number = match &self.written {
            Written::Integer(number) => Some(*number),
            Written::Bare(text) => text.parse().ok(),
            _ => None,
        };
        let Some(number) = number else {
            return Err(format!("expected a whole number from {min} to {max}, found {}", self.written));
        };
        match u64::try_from(number) {
            Ok(number) if (min..=max).contains(&number) => Ok(number),
            _ => Err(format!("{number} is out of range: from {min} to {max}")),
        }
    }

    fn texts(&self) -> Result<Vec<String>, String> {
        match &self.written {
            Written::Bare(text) => Ok(text.split(',').map(|part| part.trim().to_owned()).collect()),
            Written::List(items) => items
                .iter()
                .map(|item| match item {
                    Written::Text(text) => Ok(text.clone()),
                    other => Err(format!("expected a list of texts in quotes, found {other} in it")),
                })
                .collect(),
            other => Err(format!("expected a list of texts, as in [\"a\", \"b\"], found {other}")),
        }
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Written::Text(text) => write!(f, "the text {text:?}"),
            Written::Bare(text) => write!(f, "{text:?}"),
            Written::Integer(number) => write!(f, "the number {number}"),
            Written::Boolean(value) => write!(f, "{value}"),
            Written::List(_) => f.write_str("a list"),
            Written::EmptyTable => f.write_str("a table"),
            Written::Other(name) => f.write_str(name),
        }
    }
}

/// One line about a value: its place, its key, what is wrong.
pub(crate) fn fault(origin: &Origin, path: &[String], text: &str) -> String {
    match origin {
        Origin::File { .. } => format!("{origin}: {}: {text}", schema::spell(path)),
        // The variable's name says the key.
        Origin::Environment(_) | Origin::CommandLine(_) => format!("{origin}: {text}"),
    }
}
