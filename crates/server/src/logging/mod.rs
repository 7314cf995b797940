//! Logs: the `log` facade of every crate → env_logger's filter → one line → a bounded queue → one writer thread.
//!
//! # The convention
//! A record's *target* is `actor:function`, and its message begins with the actor's id in angle brackets, if there is
//! one:
//! ```
//! log::info!(target: "c2s:bound", "<{}> Opened session of {}", "c2s.42", "romeo@example.net/orchard");
//! ```
//! This becomes
//! ```text
//! 2026-11-23T06:30:00.123Z [info] <c2s.42> c2s:bound Opened session of romeo@example.net/orchard
//! ```
//! and `log.level = "info,c2s=debug"` shows more of one kind of actor. A message never *begins* with what a peer
//! sent: there stands the id or a word of ours.
//!
//! # Invariants
//! A record is one line whatever is in it: control characters, line separators and characters that turn the writing
//! direction are escaped here, in one place, for the whole message. Logging never waits: when the queue is full (a
//! stuck pipe, a slow disk), lines are dropped, counted, and the count is logged once there is room. What is secret
//! is blanked by whoever writes the message: nothing here knows passwords.

mod line;
mod queue;

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use log::{LevelFilter, Log, Metadata, Record};

use crate::config;
use queue::{Output, Queue};

/// Crates of others that tell more at debug than anybody asked for; shown if they are named in `log.level`.
const QUIET: [&str; 5] = ["rustls", "mio", "tokio", "actix", "want"];
/// Crates that show at debug what nobody may see, whatever `log.level` says: the values of every statement.
const SECRETIVE: [&str; 2] = ["tokio_postgres", "postgres_protocol"];
/// How long the end of the process waits for the last lines to be written.
const FLUSH_MAX: Duration = Duration::from_secs(1);

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Why logging did not start.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The log file cannot be opened.
    #[error(
        "cannot open the log file {path}: {source}: choose another log.file, or give this user the right to write there"
    )]
    File {
        /// The file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// The writer thread cannot be started.
    #[error("cannot start the thread that writes logs: {0}")]
    Thread(#[source] io::Error),
    /// Logging was started before.
    #[error("logging was started twice in one process")]
    Twice,
}

struct Logger {
    /// Filters, and formats each record into one write to the queue.
    inner: env_logger::Logger,
    queue: Arc<Queue>,
}

/// Starts logging as the config says, and makes a panic one line of it. Once per process.
///
/// # Errors
/// The file cannot be opened, or the thread not started.
pub fn start(settings: &config::Log) -> Result<(), LoggingError> {
    let output = match &settings.file {
        None => Output::Stderr,
        Some(path) => open(path)?,
    };
    let logger = Logger::new(settings, Arc::new(Queue::new(settings.format)));
    let level = logger.inner.filter();
    let queue = logger.queue.clone();
    LOGGER.set(logger).map_err(|_| LoggingError::Twice)?;
    queue::start_writer(queue, output).map_err(LoggingError::Thread)?;
    if let Some(logger) = LOGGER.get() {
        log::set_logger(logger).map_err(|_| LoggingError::Twice)?;
    }
    log::set_max_level(level);
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

fn open(path: &Path) -> Result<Output, LoggingError> {
    let file = queue::open_file(path)
        .map_err(|source| LoggingError::File { path: path.display().to_string(), source })?;
    Ok(Output::File { path: path.to_owned(), file })
}

/// Opens the log file again by its name, because somebody has moved it away (SIGHUP). Before that, everything logged
/// so far goes to the old one.
pub fn reopen() {
    if let Some(logger) = LOGGER.get() {
        logger.queue.reopen();
    }
}

/// Waits until everything logged so far is written, for a second at most.
pub fn flush() {
    if let Some(logger) = LOGGER.get() {
        logger.queue.flush(FLUSH_MAX);
    }
}

/// Lines dropped since the start because the queue was full: a metric.
pub fn dropped_total() -> u64 {
    LOGGER.get().map_or(0, |logger| logger.queue.dropped_total())
}

impl Logger {
    fn new(settings: &config::Log, queue: Arc<Queue>) -> Logger {
        let mut builder = env_logger::Builder::new();
        for name in QUIET {
            builder.filter_module(name, LevelFilter::Warn);
        }
        // The config has checked that it is a filter.
        builder.parse_filters(&settings.level);
        let format = settings.format;
        builder.format(move |out, record| {
            out.write_all(line::format(format, SystemTime::now(), record).as_bytes())
        });
        builder.target(env_logger::Target::Pipe(Box::new(Lines(queue.clone()))));
        Logger { inner: builder.build(), queue }
    }
}

/// The queue as env_logger's target: it writes each record at once.
struct Lines(Arc<Queue>);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(String::from_utf8_lossy(line).into_owned());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let tells_secrets = metadata.level() > log::Level::Info
            && SECRETIVE.iter().any(|name| metadata.target().starts_with(name));
        !tells_secrets && self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.inner.log(record);
        }
    }

    fn flush(&self) {
        self.queue.flush(FLUSH_MAX);
    }
}

/// A panic as one line. A message that was put together at run time may hold what a peer sent, so only a fixed text
/// is shown; the location tells the rest.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let location = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let text = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("(text not shown)");
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("unnamed");
    log::error!(target: "server:panic", "Panicked at {location} in thread {name}: {text}");
    // The panic of another thread does not end the process: the writer gets to the line by itself.
    if name == "main" {
        flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogFormat;

    fn logger(level: &str) -> Logger {
        let settings =
            config::Log { level: level.to_owned(), file: None, format: LogFormat::Text, bodies: false };
        Logger::new(&settings, Arc::new(Queue::new(LogFormat::Text)))
    }

    fn is_shown(logger: &Logger, target: &str, level: log::Level) -> bool {
        logger.enabled(&Metadata::builder().target(target).level(level).build())
    }

    #[test]
    fn a_filter_names_a_kind_of_actor() {
        let logger = logger("info,c2s=debug");
        assert!(is_shown(&logger, "c2s:bound", log::Level::Debug));
        assert!(!is_shown(&logger, "receiver:read", log::Level::Debug));
        assert!(is_shown(&logger, "receiver:read", log::Level::Info));
    }

    #[test]
    fn other_peoples_crates_are_quiet_unless_they_are_named() {
        assert!(!is_shown(&logger("debug"), "rustls::server", log::Level::Debug));
        assert!(is_shown(&logger("debug,rustls=debug"), "rustls::server", log::Level::Debug));
    }

    #[test]
    fn nobody_can_ask_for_the_values_of_statements() {
        let logger = logger("trace,tokio_postgres=trace,tokio_postgres::query=debug");
        assert!(!is_shown(&logger, "tokio_postgres::query", log::Level::Debug));
        assert!(is_shown(&logger, "tokio_postgres::connection", log::Level::Info));
    }
}
