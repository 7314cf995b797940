//! How a command reaches the accounts: through the control socket of the server that runs on the data folder, or, if
//! none runs, in the store itself, under the same lock.

use std::sync::Arc;
use std::time::Duration;

use rjabberd_storage::{DataFolder, DataFolderError};
use tokio::time::{Instant, sleep};

use super::CommandError;
use crate::accounts::{Accounts, NoSessions, Operations, ThreadPerJob};
use crate::config::Config;
use crate::control::Client;
use crate::opening;
use crate::start_error::StartError;

/// How long a server that has just taken the lock may need until it answers.
const START_MAX: Duration = Duration::from_secs(3);
const RETRY: Duration = Duration::from_millis(20);

/// The way to the accounts. Holds the data folder's lock while it lives, if no server does.
pub(super) struct Reached {
    pub(super) operations: Box<dyn Operations>,
    _folder: Option<DataFolder>,
}

/// Finds the way.
pub(super) async fn reach(config: &Config) -> Result<Reached, CommandError> {
    let until = Instant::now() + START_MAX;
    loop {
        let found = Client::connect(&config.data).await.map_err(|error| {
            let socket = config.data.join(crate::control::SOCKET);
            CommandError::Argument(format!("cannot open the control socket {}: {error}", socket.display()))
        })?;
        if let Some(client) = found {
            return Ok(Reached { operations: Box::new(client), _folder: None });
        }
        match DataFolder::open(&config.data) {
            Ok(folder) => return Ok(in_store(config, folder)?),
            Err(DataFolderError::Held { .. }) if Instant::now() < until => sleep(RETRY).await,
            Err(DataFolderError::Held { path, pid }) => {
                let holder = pid.map_or_else(|| "another process".to_owned(), |pid| format!("pid {pid}"));
                return Err(CommandError::Argument(format!(
                    "{} is held by {holder}, which does not answer on the control socket: wait until it is done, or \
                     stop it",
                    path.display()
                )));
            }
            Err(error) => return Err(StartError::from(error).into()),
        }
    }
}

fn in_store(config: &Config, folder: DataFolder) -> Result<Reached, StartError> {
    let store = opening::store(&config.store, &folder)?;
    let accounts = Accounts::new(config, Arc::new(store), Arc::new(ThreadPerJob), Arc::new(NoSessions));
    Ok(Reached { operations: Box::new(accounts), _folder: Some(folder) })
}
