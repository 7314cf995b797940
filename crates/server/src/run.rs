//! `rjabberd run`: opens everything in order, runs until a signal, closes everything in order.
//!
//! SIGTERM and SIGINT stop the server, a second one ends the process at once with 1; SIGHUP opens the log file again
//! and loads the certificates anew.

use std::process::ExitCode;
use std::sync::Arc;

use rjabberd_storage::{DataFolder, SqliteOptions, SqliteStore, Store};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::accounts::{Accounts, NoSessions, ThreadPerJob};
use crate::certificate::Certificates;
use crate::config::Config;
use crate::control::ControlSocket;
use crate::logging;
use crate::start_error::StartError;

/// Runs the server until it is told to stop.
///
/// # Errors
/// Something cannot be opened.
pub fn run(config: Config) -> Result<ExitCode, StartError> {
    logging::start(&config.log)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(serve(config))?;
    logging::flush();
    Ok(code)
}

async fn serve(config: Config) -> Result<ExitCode, StartError> {
    // Before anything else, so that a signal during the start is not lost.
    let mut signals = Signals::new()?;
    let folder = DataFolder::open(&config.data)?;
    for warning in &config.warnings {
        log::warn!(target: "server:start", "{warning}");
    }
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder.path(), SqliteOptions::default())?);
    let certificates = Certificates::load(&config.hosts, &folder)?;
    certificates.log();
    let accounts = Accounts::new(&config, store.clone(), Arc::new(ThreadPerJob), Arc::new(NoSessions));
    let control = tokio::spawn(ControlSocket::bind(&folder)?.serve(Arc::new(accounts)));
    log::info!(target: "server:start", "Ready, node {}", folder.node());
    while !signals.next_is_stop().await {
        logging::reopen();
        match certificates.reload(&folder) {
            Ok(()) => certificates.log(),
            Err(error) => log::error!(target: "server:reload", "The certificates stay as they are: {error}"),
        }
    }
    log::info!(target: "server:stop", "Stopping");
    control.abort();
    tokio::select! {
        flushed = store.flush() => flushed.map(|()| ExitCode::SUCCESS).map_err(StartError::from),
        () = signals.stop() => Ok(ExitCode::FAILURE),
    }
}

/// The signals that a server listens to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> Result<Signals, StartError> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for one that says to stop.
    async fn stop(&mut self) {
        while !self.next_is_stop().await {}
    }

    /// Waits for one: true to stop, false to load anew.
    async fn next_is_stop(&mut self) -> bool {
        tokio::select! {
            _ = self.terminate.recv() => true,
            _ = self.interrupt.recv() => true,
            _ = self.hang_up.recv() => false,
        }
    }
}
