//! The connection of one thread: opened when it is needed, opened anew after a fault, and left alone for a while where
//! that failed.
//!
//! Invariant: while a database is away, at most one attempt in [`PAUSE_MAX`] is made by each thread; who asks meanwhile is
//! answered at once.

use std::time::{Duration, Instant};

use super::connection::Connection;
use crate::error::StoreError;
use crate::metrics::StoreMetrics;

/// How long a thread leaves a database alone after the first attempt that failed; twice as long after each further one.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Opens a connection.
pub(crate) type Open = Box<dyn FnMut() -> Result<Connection, StoreError> + Send>;

/// The connection of one thread.
pub(crate) struct Held {
    open: Open,
    connection: Option<Connection>,
    was_open: bool,
    pause: Option<Pause>,
    /// Whether attempts that failed are followed by a pause.
    pauses: bool,
}

struct Pause {
    length: Duration,
    until: Instant,
    error: StoreError,
}

impl Held {
    /// `pauses` says whether an attempt to open costs so much that it is not to be made for each operation.
    pub(crate) fn new(open: Open, connection: Option<Connection>, pauses: bool) -> Held {
        let was_open = connection.is_some();
        Held { open, connection, was_open, pause: None, pauses }
    }

    /// The connection, opened if there is none.
    pub(crate) fn get(&mut self, metrics: &StoreMetrics) -> Result<&Connection, StoreError> {
        if self.connection.as_ref().is_some_and(Connection::is_gone) {
            self.connection = None;
        }
        if self.connection.is_none() {
            let connection = self.reopen()?;
            if std::mem::replace(&mut self.was_open, true) {
                metrics.reopened();
            }
            self.connection = Some(connection);
        }
        self.connection.as_ref().ok_or(StoreError::Unavailable("there is no connection"))
    }

    fn reopen(&mut self) -> Result<Connection, StoreError> {
        if let Some(pause) = &self.pause
            && Instant::now() < pause.until
        {
            return Err(pause.error.clone());
        }
        match (self.open)() {
            Ok(connection) => {
                if self.pause.take().is_some() {
                    log::info!("the store is back");
                }
                Ok(connection)
            }
            Err(error) if self.pauses => {
                self.rest(error.clone());
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    fn rest(&mut self, error: StoreError) {
        let length = match &self.pause {
            Some(pause) => (pause.length * 2).min(PAUSE_MAX),
            None => {
                log::error!("the store is away, and is tried again until it is back: {error}");
                PAUSE_MIN
            }
        };
        self.pause = Some(Pause { length, until: Instant::now() + length, error });
    }

    /// Closes the connection; the next operation opens one anew.
    pub(crate) fn discard(&mut self) {
        self.connection = None;
    }
}
