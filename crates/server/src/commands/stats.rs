//! `rjabberd stats`: what the running server counts.

use std::process::ExitCode;

use super::CommandError;
use crate::accounts::AccountError;
use crate::config::Config;
use crate::control::Client;
use crate::start_error::StartError;

/// Prints the counters of the server that runs on the data folder, as one JSON object.
pub(crate) fn stats(config: &Config) -> Result<ExitCode, CommandError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::from)?;
    let place = config.data.display();
    let refused = |error: AccountError| CommandError::Argument(error.to_string());
    let stats = runtime.block_on(async {
        let client = Client::connect(&config.data).await.map_err(StartError::from)?;
        let client = client.ok_or_else(|| CommandError::Argument(format!("no server runs on {place}")))?;
        client.stats().await.map_err(refused)
    })?;
    super::say(&stats.to_string());
    Ok(ExitCode::SUCCESS)
}
