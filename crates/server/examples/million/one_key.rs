//! A store in which every account exists, and all have the same keys.

use futures_util::{FutureExt, future};
use rjabberd_storage::{Account, Answer, ImportCounts, Login, Store, StoreError};
use rjabberd_testkit::{Hash, SaltedPassword};
use rjabberd_xmpp::BareJid;
use rjabberd_xmpp::sasl::{Credentials, ScramHash, ScramKeys};
use zeroize::Zeroizing;

use crate::Fault;

/// Of all accounts.
pub(crate) const PASSWORD: &str = "the same for all";
const SALT: &[u8; 16] = b"sixteen of salt.";
const ITERATIONS: u32 = 4096;

/// What the client of any account needs to know.
pub(crate) fn salted() -> SaltedPassword {
    SaltedPassword::new(Hash::Sha1, PASSWORD, SALT, ITERATIONS)
}

pub(crate) struct OneKey(Credentials);

impl OneKey {
    pub(crate) fn new() -> Result<OneKey, Fault> {
        let keys = ScramKeys::derive(ScramHash::Sha1, PASSWORD, SALT, ITERATIONS)?;
        Ok(OneKey(Credentials { keys: vec![keys] }))
    }
}

fn no<T: Send + 'static>() -> Answer<T> {
    future::ready(Err(StoreError::NotFound)).boxed()
}

impl Store for OneKey {
    fn load_login(&self, _: &BareJid) -> Answer<Option<Login>> {
        future::ready(Ok(Some(Login { credentials: self.0.clone(), disabled: false }))).boxed()
    }

    fn create_account(&self, _: &BareJid, _: Credentials) -> Answer<()> {
        no()
    }

    fn set_credentials(&self, _: &BareJid, _: Credentials) -> Answer<()> {
        no()
    }

    fn remove_account(&self, _: &BareJid) -> Answer<()> {
        no()
    }

    fn set_disabled(&self, _: &BareJid, _: bool) -> Answer<()> {
        no()
    }

    fn account_exists(&self, _: &BareJid) -> Answer<bool> {
        future::ready(Ok(true)).boxed()
    }

    fn list_accounts(&self, _: Option<&str>, _: Option<&BareJid>, _: usize) -> Answer<Vec<Account>> {
        no()
    }

    fn import_accounts(&self, _: Vec<(BareJid, Credentials)>, _: bool) -> Answer<ImportCounts> {
        no()
    }

    fn server_secret(&self) -> Answer<Zeroizing<Vec<u8>>> {
        no()
    }

    fn flush(&self) -> Answer<()> {
        future::ready(Ok(())).boxed()
    }
}
