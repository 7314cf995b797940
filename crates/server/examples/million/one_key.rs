//! A store in which every account exists, and all have the same keys.

use std::sync::Arc;

use futures_util::{FutureExt, future};
use rjabberd_storage::{Answer, LastActivity, Login, PepStore, Profile, Store};
use rjabberd_testkit::{Hash, SaltedPassword};
use rjabberd_xmpp::sasl::{Credentials, KeyShape, ScramHash, ScramKeys};
use rjabberd_xmpp::{BareJid, Jid};

use crate::Fault;

/// Of all accounts.
pub(crate) const PASSWORD: &str = "the same for all";
const SALT: &[u8; 16] = b"sixteen of salt.";
const ITERATIONS: u32 = 4096;

/// What the client of any account needs to know.
pub(crate) fn salted() -> SaltedPassword {
    SaltedPassword::new(Hash::Sha1, PASSWORD, SALT, ITERATIONS)
}

pub(crate) struct OneKey(Credentials, Arc<Profile>);

impl OneKey {
    pub(crate) fn new() -> Result<OneKey, Fault> {
        let keys = ScramKeys::derive(ScramHash::Sha1, PASSWORD, SALT, ITERATIONS)?;
        Ok(OneKey(Credentials { keys: vec![keys], digest: None }, Arc::default()))
    }
}

impl rjabberd_storage::ArchiveStore for OneKey {}
impl PepStore for OneKey {}
impl rjabberd_storage::PushStore for OneKey {}

impl Store for OneKey {
    fn load_login(&self, _: &BareJid) -> Answer<Option<Login>> {
        future::ready(Ok(Some(Login { credentials: self.0.clone(), disabled: false }))).boxed()
    }

    fn account_exists(&self, _: &BareJid) -> Answer<bool> {
        future::ready(Ok(true)).boxed()
    }

    fn load_profile(&self, _: &BareJid) -> Answer<Option<Arc<Profile>>> {
        future::ready(Ok(Some(self.1.clone()))).boxed()
    }

    fn key_shapes(&self, _domain: &str) -> Answer<Vec<KeyShape>> {
        future::ready(Ok(Vec::new())).boxed()
    }

    fn load_blocks(&self) -> Answer<Vec<(BareJid, Vec<Jid>)>> {
        future::ready(Ok(Vec::new())).boxed()
    }

    fn save_activities(&self, _: Vec<(BareJid, LastActivity)>) -> Answer<()> {
        future::ready(Ok(())).boxed()
    }

    fn flush(&self) -> Answer<()> {
        future::ready(Ok(())).boxed()
    }
}
