//! A command's side of the control socket.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use rjabberd_storage::{Account, ImportCounts};
use rjabberd_xmpp::BareJid;
use rjabberd_xmpp::sasl::Credentials;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Mutex;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::protocol::{self, Imported, Request, Response};
use super::reachable;
use crate::accounts::{AccountError, Answer, Operations};

/// How long a command waits for an answer; what was asked may be done nevertheless.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// A connection to the server that runs on a data folder.
#[derive(Clone, Debug)]
pub struct Client {
    connection: Arc<Mutex<Connection>>,
}

#[derive(Debug)]
struct Connection {
    from: BufReader<OwnedReadHalf>,
    to: OwnedWriteHalf,
}

impl Client {
    /// Connects; `None` if no server listens there.
    ///
    /// # Errors
    /// The socket is there but cannot be opened.
    pub async fn connect(folder: &Path) -> io::Result<Option<Client>> {
        let (path, _folder) = match reachable(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            found => found?,
        };
        match UnixStream::connect(&path).await {
            Ok(stream) => {
                let (from, to) = stream.into_split();
                let connection = Connection { from: BufReader::new(from), to };
                Ok(Some(Client { connection: Arc::new(Mutex::new(connection)) }))
            }
            Err(error) => match error.kind() {
                // The second is what a server leaves behind that was killed.
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
                _ => Err(error),
            },
        }
    }

    async fn ask(self, request: Request) -> Result<Response, AccountError> {
        let lost = |error: io::Error| AccountError::Failed(format!("the server has gone away: {error}"));
        let line = protocol::line(&request).map_err(lost)?;
        let mut connection = self.connection.lock().await;
        let Connection { from, to } = &mut *connection;
        let asked = async {
            to.write_all(&line).await?;
            protocol::read_line(from).await
        };
        let answer = match timeout(ANSWER_MAX, asked).await {
            Ok(answer) => answer.map_err(lost)?,
            Err(_) => {
                let seconds = ANSWER_MAX.as_secs();
                return Err(AccountError::Failed(format!("the server has not answered for {seconds} s")));
            }
        };
        let answer = answer.ok_or_else(|| lost(io::ErrorKind::UnexpectedEof.into()))?;
        match serde_json::from_slice(&answer) {
            Ok(Response::Refused(error)) => Err(error),
            Ok(Response::Malformed(text)) => {
                Err(AccountError::Failed(format!("the server does not understand this command: {text}")))
            }
            Ok(response) => Ok(response),
            Err(_) => Err(strange()),
        }
    }

    /// What the running system says of itself.
    ///
    /// # Errors
    /// The server has gone away, or is another version.
    pub async fn stats(&self) -> Result<serde_json::Value, AccountError> {
        match self.clone().ask(Request::Stats).await? {
            Response::Stats(stats) => Ok(stats),
            _ => Err(strange()),
        }
    }

    fn ask_for_done(&self, request: Request) -> Answer<()> {
        let client = self.clone();
        async move {
            match client.ask(request).await? {
                Response::Done => Ok(()),
                _ => Err(strange()),
            }
        }
        .boxed()
    }
}

fn strange() -> AccountError {
    AccountError::Failed(
        "the server answers something strange: is it another version of rjabberd?".to_owned(),
    )
}

impl Operations for Client {
    fn add(&self, account: BareJid, password: Zeroizing<String>) -> Answer<()> {
        self.ask_for_done(Request::Add { account: account.to_string(), password: password.to_string() })
    }

    fn set_password(&self, account: BareJid, password: Zeroizing<String>) -> Answer<()> {
        self.ask_for_done(Request::SetPassword {
            account: account.to_string(),
            password: password.to_string(),
        })
    }

    fn remove(&self, account: BareJid) -> Answer<()> {
        self.ask_for_done(Request::Remove { account: account.to_string() })
    }

    fn set_disabled(&self, account: BareJid, disabled: bool) -> Answer<()> {
        self.ask_for_done(Request::SetDisabled { account: account.to_string(), disabled })
    }

    fn list(&self, domain: Option<String>, after: Option<BareJid>) -> Answer<Vec<Account>> {
        let client = self.clone();
        async move {
            let after = after.map(|account| account.to_string());
            match client.ask(Request::List { domain, after }).await? {
                Response::Accounts(accounts) => accounts
                    .iter()
                    .map(protocol::Listed::read)
                    .collect::<Result<_, _>>()
                    .map_err(AccountError::Failed),
                _ => Err(strange()),
            }
        }
        .boxed()
    }

    fn import(&self, batch: Vec<(BareJid, Credentials)>, replace: bool) -> Answer<ImportCounts> {
        let client = self.clone();
        async move {
            let accounts = batch.iter().map(|(account, keys)| Imported::new(account, keys)).collect();
            match client.ask(Request::Import { accounts, replace }).await? {
                Response::Imported { created, replaced, skipped } => {
                    Ok(ImportCounts { created, replaced, skipped })
                }
                _ => Err(strange()),
            }
        }
        .boxed()
    }
}
