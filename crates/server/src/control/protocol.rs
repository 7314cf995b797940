//! The lines of the control socket.

use std::io;

use rjabberd_storage::{Account, ImportCounts};
use rjabberd_xmpp::sasl::{Credentials, ScramKeys};
use rjabberd_xmpp::{BareJid, address};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};
use zeroize::Zeroizing;

use crate::accounts::AccountError;

/// Longest line: an import of [`IMPORT_BATCH`](crate::commands::IMPORT_BATCH) accounts with three keys each is half
/// of it.
pub(super) const LINE_BYTES_MAX: usize = 1 << 20;

/// What a command asks.
#[derive(Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Request {
    Add { account: String, password: String },
    SetPassword { account: String, password: String },
    Remove { account: String },
    SetDisabled { account: String, disabled: bool },
    List { domain: Option<String>, after: Option<String> },
    Import { accounts: Vec<Imported>, replace: bool },
    Stats,
}

/// One account of an import.
#[derive(Serialize, Deserialize)]
pub(super) struct Imported {
    account: String,
    /// As [`ScramKeys::to_text`] writes them.
    keys: Vec<String>,
}

/// What the server answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Response {
    Done,
    Accounts(Vec<Listed>),
    Imported {
        created: usize,
        replaced: usize,
        skipped: usize,
    },
    Refused(AccountError),
    /// What the running system says of itself.
    Stats(serde_json::Value),
    /// The request was not understood.
    Malformed(String),
}

/// One account of a list.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Listed {
    account: String,
    disabled: bool,
    created_unix_s: i64,
    credentials_set_unix_s: i64,
}

impl Imported {
    pub(super) fn new(account: &BareJid, credentials: &Credentials) -> Imported {
        let keys = credentials.keys.iter().map(|keys| keys.to_text().to_string()).collect();
        Imported { account: account.to_string(), keys }
    }

    /// The account with its keys, or what is wrong with them.
    pub(super) fn read(&self) -> Result<(BareJid, Credentials), String> {
        let keys = self.keys.iter().map(|keys| keys.parse::<ScramKeys>()).collect::<Result<_, _>>();
        Ok((
            account(&self.account)?,
            Credentials { keys: keys.map_err(|error| error.to_string())?, digest: None },
        ))
    }
}

impl From<ImportCounts> for Response {
    fn from(counts: ImportCounts) -> Response {
        let ImportCounts { created, replaced, skipped } = counts;
        Response::Imported { created, replaced, skipped }
    }
}

impl From<Account> for Listed {
    fn from(account: Account) -> Listed {
        Listed {
            account: account.jid.to_string(),
            disabled: account.disabled,
            created_unix_s: account.created_unix_s,
            credentials_set_unix_s: account.credentials_set_unix_s,
        }
    }
}

impl Listed {
    pub(super) fn read(&self) -> Result<Account, String> {
        Ok(Account {
            jid: account(&self.account)?,
            disabled: self.disabled,
            created_unix_s: self.created_unix_s,
            credentials_set_unix_s: self.credentials_set_unix_s,
        })
    }
}

/// The account address of a text: normalised, without a resource.
pub(super) fn account(text: &str) -> Result<BareJid, String> {
    let jid = address::parse(text).map_err(|error| format!("{text:?}: {error}"))?;
    jid.try_into_full().map_or_else(Ok, |_| Err(format!("{text:?} has a resource: an account has none")))
}

/// Appends a value as a line; the text is wiped after use, because it may hold a password.
pub(super) fn line(value: &impl Serialize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(serde_json::to_vec(value)?);
    line.push(b'\n');
    Ok(line)
}

/// The next line without its line feed; `None` at the end. Longer ones, and a last one without a line feed, are
/// errors.
pub(super) async fn read_line(
    from: &mut (impl AsyncBufRead + Unpin),
) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let mut line = Zeroizing::new(Vec::new());
    from.take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut line).await?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) if line.len() + 1 == LINE_BYTES_MAX => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "a line is too long"))
        }
        Some(_) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
