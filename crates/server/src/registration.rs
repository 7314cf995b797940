//! In-band registration's view of the accounts: `im` says what it needs, `accounts` does it.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rjabberd_im::AccountError;
use rjabberd_xmpp::{BareJid, FullJid};
use zeroize::Zeroizing;

use crate::accounts::{self, Accounts};

/// Accounts, as in-band registration asks for them.
pub(crate) struct Registration(pub(crate) Accounts);

impl rjabberd_im::Accounts for Registration {
    fn create(
        &self,
        account: BareJid,
        password: Zeroizing<String>,
    ) -> BoxFuture<'static, Result<(), AccountError>> {
        let accounts = self.0.clone();
        async move {
            accounts.create(account.clone(), password).await.map_err(translate)?;
            log::info!(target: "server:registration", "{account} registered");
            Ok(())
        }
        .boxed()
    }

    fn change_password(
        &self,
        account: BareJid,
        password: Zeroizing<String>,
        asker: FullJid,
    ) -> BoxFuture<'static, Result<(), AccountError>> {
        let accounts = self.0.clone();
        async move { accounts.change_password(account, password, Some(&asker)).await.map_err(translate) }
            .boxed()
    }

    fn remove(&self, account: BareJid, asker: FullJid) -> BoxFuture<'static, Result<(), AccountError>> {
        let accounts = self.0.clone();
        async move { accounts.remove_for(account, Some(asker)).await.map_err(translate) }.boxed()
    }
}

fn translate(error: accounts::AccountError) -> AccountError {
    match error {
        accounts::AccountError::Exists => AccountError::Exists,
        accounts::AccountError::Unknown => AccountError::Unknown,
        accounts::AccountError::BadPassword => AccountError::BadPassword,
        accounts::AccountError::ForeignHost(_) | accounts::AccountError::NoName => AccountError::Forbidden,
        accounts::AccountError::Busy => AccountError::Busy,
        accounts::AccountError::Failed(reason) => {
            log::error!(target: "server:registration", "a registration failed: {reason}");
            AccountError::Failed
        }
    }
}
