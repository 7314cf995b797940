//! `rjabberd run`: opens everything in order, runs until a signal, closes everything in order.
//!
//! SIGTERM and SIGINT stop the server, a second one ends the process at once with 1; SIGHUP opens the log file again
//! and loads the certificates anew. Files of certificates that change are loaded without a signal.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rjabberd_storage::{DataFolder, Store};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::certificate::{Certificates, Watch};
use crate::config::Config;
use crate::control::ControlSocket;
use crate::start_error::StartError;
use crate::{logging, opening, stats, wiring};

/// How often the files of certificates are looked at.
const LOOK: Duration = Duration::from_secs(3);

/// Runs the server until it is told to stop.
///
/// # Errors
/// Something cannot be opened.
pub fn run(config: Config) -> Result<ExitCode, StartError> {
    logging::start(&config.log)?;
    let code = actix::System::new().block_on(serve(config))?;
    logging::flush();
    Ok(code)
}

async fn serve(config: Config) -> Result<ExitCode, StartError> {
    // Before anything else, so that a signal during the start is not lost.
    let mut signals = Signals::new()?;
    let folder = Arc::new(DataFolder::open(&config.data)?);
    // Commands that come during the start wait for their answer, rather than find nobody.
    let control = ControlSocket::bind(&folder)?;
    for warning in &config.warnings {
        log::warn!(target: "server:start", "{warning}");
    }
    let bound = wiring::bind(&config)?;
    let store = Arc::new(opening::store(&config.store, &folder)?);
    let certificates = Arc::new(Certificates::load(&config.hosts, &folder)?);
    certificates.log();
    let watch = Arc::new(Mutex::new(Watch::new(certificates.clone(), folder.clone())));
    let secret = store.server_secret().await?;
    let system = wiring::start(&config, bound, store.clone(), &secret, &certificates).await?;
    let system = Arc::new(system);
    let counted = (system.clone(), store.clone());
    let stats = Arc::new(move || stats::stats(&counted.0, &counted.1));
    let accounts = Arc::new(system.accounts.clone());
    let control = tokio::spawn(control.serve(accounts, stats));
    let watching = tokio::spawn(look_at_files(watch.clone()));
    log::info!(target: "server:start", "Ready, node {}", folder.node());
    while !signals.next_is_stop().await {
        logging::reopen();
        on_a_thread(&watch, Watch::reload).await;
    }
    log::info!(target: "server:stop", "Stopping");
    control.abort();
    watching.abort();
    let stopped = async {
        system.stop(config.shutdown).await;
        let flushed = store.flush().await.map(|()| ExitCode::SUCCESS).map_err(StartError::from);
        system.end();
        store.close();
        flushed
    };
    let code = tokio::select! {
        code = stopped => code,
        () = signals.stop() => Ok(ExitCode::FAILURE),
    };
    log::info!(target: "server:stop", "Stopped");
    code
}

/// Looks at the files of certificates again and again, on a thread that may wait for a slow disk.
async fn look_at_files(watch: Arc<Mutex<Watch>>) {
    loop {
        tokio::time::sleep(LOOK).await;
        on_a_thread(&watch, Watch::look).await;
    }
}

async fn on_a_thread(watch: &Arc<Mutex<Watch>>, work: fn(&mut Watch)) {
    let watch = watch.clone();
    if let Err(error) = tokio::task::spawn_blocking(move || work(&mut watch.lock())).await {
        log::error!(target: "server:reload", "loading the certificates anew has failed: {error}");
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
