//! The server's side of the control socket.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rjabberd_storage::DataFolder;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::protocol::{self, Listed, Request, Response};
use super::{SOCKET, reachable};
use crate::accounts::Operations;

/// Connections at a time; the next one waits.
const CONNECTIONS_MAX: usize = 16;
/// A command that connects and does not ask is cut off after this, so that it keeps no place from others.
const FIRST_LINE_MAX: Duration = Duration::from_secs(5);
/// A command that says nothing more for so long, or does not read its answer, is cut off.
const SILENCE_MAX: Duration = Duration::from_secs(300);
/// Wait before accepting again after an error, so that a lack of descriptors is no busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Gives what the running system says of itself.
pub type Stats = Arc<dyn Fn() -> serde_json::Value + Send + Sync>;

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the control socket {path}: {source}")]
pub struct ControlError {
    path: String,
    source: io::Error,
}

/// The socket, bound. Its file goes when this value goes.
#[derive(Debug)]
pub struct ControlSocket {
    listener: std::os::unix::net::UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Binds it in the data folder. The lock on the folder says that no other server lives there, so a socket that is
    /// still there is a dead one's and is replaced.
    ///
    /// # Errors
    /// The system refuses.
    pub fn bind(folder: &DataFolder) -> Result<ControlSocket, ControlError> {
        let path = folder.file(SOCKET);
        bind(folder.path())
            .map(|listener| ControlSocket { listener, path: path.clone() })
            .map_err(|source| ControlError { path: path.display().to_string(), source })
    }

    /// Answers commands until the future is dropped, which also ends the connections.
    ///
    /// # Errors
    /// The socket cannot be registered with the runtime.
    pub async fn serve(self, operations: Arc<dyn Operations>, stats: Stats) -> Result<(), ControlError> {
        let error = |source| ControlError { path: self.path.display().to_string(), source };
        let listener = self.listener.try_clone().and_then(UnixListener::from_std).map_err(error)?;
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return Ok(()) };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (operations, stats) = (operations.clone(), stats.clone());
                    connections.spawn(async move {
                        if let Err(error) = converse(stream, operations, stats).await {
                            log::debug!(target: "control:connection", "Connection lost: {error}");
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    log::warn!(target: "control:accept", "Cannot accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
            while connections.try_join_next().is_some() {}
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // If it is gone already, somebody has done our work.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn bind(folder: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    let (path, _folder) = reachable(folder)?;
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = std::os::unix::net::UnixListener::bind(&path)?;
    // The folder is closed to others, so nobody can come in before this.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn converse(stream: UnixStream, operations: Arc<dyn Operations>, stats: Stats) -> io::Result<()> {
    let (from, mut to) = stream.into_split();
    let mut from = BufReader::new(from);
    let mut patience = FIRST_LINE_MAX;
    while let Some(line) = timeout(patience, protocol::read_line(&mut from)).await?? {
        patience = SILENCE_MAX;
        let response = answer(&line, &*operations, &stats).await;
        drop(line);
        let line = protocol::line(&response)?;
        timeout(SILENCE_MAX, to.write_all(&line)).await??;
    }
    Ok(())
}

async fn answer(line: &[u8], operations: &dyn Operations, stats: &Stats) -> Response {
    let request = match serde_json::from_slice::<Request>(line) {
        Ok(Request::Stats) => return Response::Stats(stats()),
        Ok(request) => request,
        // Only where, not what: the line may hold a password.
        Err(error) => return Response::Malformed(format!("not understood at column {}", error.column())),
    };
    match perform(request, operations).await {
        Ok(response) => response,
        Err(text) => Response::Malformed(text),
    }
}

async fn perform(request: Request, operations: &dyn Operations) -> Result<Response, String> {
    let account = protocol::account;
    let done = match request {
        Request::Stats => return Err("answered before".to_owned()),
        Request::Add { account: name, password } => {
            operations.add(account(&name)?, Zeroizing::new(password)).await
        }
        Request::SetPassword { account: name, password } => {
            operations.set_password(account(&name)?, Zeroizing::new(password)).await
        }
        Request::Remove { account: name } => operations.remove(account(&name)?).await,
        Request::SetDisabled { account: name, disabled } => {
            operations.set_disabled(account(&name)?, disabled).await
        }
        Request::List { domain, after } => {
            let after = after.as_deref().map(account).transpose()?;
            return Ok(match operations.list(domain, after).await {
                Ok(accounts) => Response::Accounts(accounts.into_iter().map(Listed::from).collect()),
                Err(error) => Response::Refused(error),
            });
        }
        Request::Import { accounts, replace } => {
            let batch = accounts.iter().map(protocol::Imported::read).collect::<Result<_, _>>()?;
            return Ok(operations
                .import(batch, replace)
                .await
                .map_or_else(Response::Refused, Response::from));
        }
    };
    Ok(done.map_or_else(Response::Refused, |()| Response::Done))
}
