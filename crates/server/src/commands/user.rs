//! `rjabberd user …`: each an operation on one account, and the list. (Import has a file of its own.)

use std::io::{self, BufRead, IsTerminal};
use std::process::ExitCode;

use rjabberd_xmpp::{BareJid, address};
use zeroize::Zeroizing;

use super::reach::reach;
use super::{CommandError, import, say};
use crate::accounts::{AccountError, Operations};
use crate::command_line::{User, WithPassword};
use crate::config::Config;
use crate::start_error::StartError;

/// Longest line that is read for a password; what SASL accepts is shorter.
const PASSWORD_LINE_BYTES_MAX: u64 = 64 << 10;

/// Does one of them.
pub(crate) fn user(config: &Config, user: User) -> Result<ExitCode, CommandError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::from)?;
    runtime.block_on(async {
        // What can be wrong without the accounts is told before they are opened.
        let order = Order::new(user)?;
        let reached = reach(config).await?;
        order.perform(config, &*reached.operations).await
    })
}

enum Order {
    Add(BareJid, Zeroizing<String>),
    SetPassword(BareJid, Zeroizing<String>),
    SetDisabled(BareJid, bool),
    Remove(BareJid),
    List(Option<String>),
    Import(import::Import),
}

impl Order {
    fn new(user: User) -> Result<Order, CommandError> {
        Ok(match user {
            User::Add(WithPassword { jid, password_stdin }) => {
                Order::Add(account(&jid)?, password(password_stdin)?)
            }
            User::Passwd(WithPassword { jid, password_stdin }) => {
                Order::SetPassword(account(&jid)?, password(password_stdin)?)
            }
            User::Disable { jid } => Order::SetDisabled(account(&jid)?, true),
            User::Enable { jid } => Order::SetDisabled(account(&jid)?, false),
            User::Remove { jid } => Order::Remove(account(&jid)?),
            User::List { domain } => Order::List(domain.as_deref().map(domain_of).transpose()?),
            User::Import { file, replace } => Order::Import(import::Import::open(&file, replace)?),
        })
    }

    async fn perform(self, config: &Config, operations: &dyn Operations) -> Result<ExitCode, CommandError> {
        let (account, done, what) = match self {
            Order::Add(account, password) => {
                (account.clone(), operations.add(account, password).await, "created")
            }
            Order::SetPassword(account, password) => {
                (account.clone(), operations.set_password(account, password).await, "has a new password")
            }
            Order::SetDisabled(account, disabled) => {
                let what = if disabled { "disabled" } else { "enabled" };
                (account.clone(), operations.set_disabled(account, disabled).await, what)
            }
            Order::Remove(account) => (account.clone(), operations.remove(account).await, "removed"),
            Order::List(domain) => return list(domain, operations).await,
            Order::Import(import) => return import.perform(config, operations).await,
        };
        done.map_err(|error| refused(&account, error))?;
        say(&format!("{account} {what}"));
        Ok(ExitCode::SUCCESS)
    }
}

fn refused(account: &BareJid, error: AccountError) -> CommandError {
    CommandError::Account { subject: account.to_string(), error }
}

async fn list(domain: Option<String>, operations: &dyn Operations) -> Result<ExitCode, CommandError> {
    let mut after = None;
    loop {
        let page = operations.list(domain.clone(), after.take()).await;
        let page = page.map_err(|error| CommandError::Account { subject: "the list".to_owned(), error })?;
        let Some(last) = page.last() else { return Ok(ExitCode::SUCCESS) };
        after = Some(last.jid.clone());
        for account in &page {
            let mark = if account.disabled { "\tdisabled" } else { "" };
            say(&format!("{}{mark}", account.jid));
        }
    }
}

/// The address of an account: normalised, with a local part, without a resource.
pub(super) fn account(text: &str) -> Result<BareJid, CommandError> {
    let bad = || CommandError::Argument(format!("{text:?} is no account: write it as in romeo@example.net"));
    let jid = address::parse(text).map_err(|_| bad())?;
    if jid.is_full() || jid.node().is_none() { Err(bad()) } else { Ok(jid.into_bare()) }
}

fn domain_of(text: &str) -> Result<String, CommandError> {
    address::normalise_domain(text)
        .map_err(|_| CommandError::Argument(format!("{text:?} is no domain: write it as in example.net")))
}

fn password(from_stdin: bool) -> Result<Zeroizing<String>, CommandError> {
    if from_stdin {
        return first_line(io::stdin().lock());
    }
    if !io::stdin().is_terminal() {
        let text = "there is no terminal to ask for the password: give it on stdin, with --password-stdin";
        return Err(CommandError::Argument(text.to_owned()));
    }
    let ask = |prompt: &str| {
        rpassword::prompt_password(prompt)
            .map(Zeroizing::new)
            .map_err(|error| CommandError::Argument(format!("cannot read the password: {error}")))
    };
    let password = ask("Password: ")?;
    if ask("Again: ")? == password {
        Ok(password)
    } else {
        Err(CommandError::Argument("the two passwords differ: nothing was changed".to_owned()))
    }
}

fn first_line(from: impl BufRead) -> Result<Zeroizing<String>, CommandError> {
    let cannot =
        |reason: &str| CommandError::Argument(format!("cannot read the password from stdin: {reason}"));
    let mut line = Zeroizing::new(String::new());
    from.take(PASSWORD_LINE_BYTES_MAX).read_line(&mut line).map_err(|error| cannot(&error.to_string()))?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    if line.is_empty() { Err(cannot("its first line is empty")) } else { Ok(line) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_a_name_and_no_resource() {
        assert_eq!(account("Romeo@Example.net.").unwrap().to_string(), "romeo@example.net");
        for text in ["example.net", "romeo@example.net/orchard", "@example.net", "", "a b@example.net"] {
            let error = account(text).unwrap_err().to_string();
            assert_eq!(error, format!("{text:?} is no account: write it as in romeo@example.net"));
        }
    }

    #[test]
    fn a_password_is_the_first_line_without_its_end() {
        assert_eq!(*first_line(&b"a b \r\nsecond\n"[..]).unwrap(), "a b ");
        assert_eq!(*first_line(&b"last"[..]).unwrap(), "last");
        assert!(first_line(&b"\nsecond\n"[..]).is_err());
        assert!(first_line(&b"\xff\n"[..]).is_err());
    }
}
