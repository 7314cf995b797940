//! Who may see whose presence, asked by what would tell of it in another way: last activity, discovery of an account.
//!
//! Asks the store each time: it is for requests, which are few. Presence itself has its own, in memory.

use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use rjabberd_storage::StoreError;
use rjabberd_xmpp::BareJid;
use rjabberd_xmpp::roster::Half;

use crate::Im;

impl Im {
    /// Whether `asker` may see the presence of `account`: it is his own, or he is subscribed to it (RFC 6121, 3.1) and
    /// is not blocked. False where there is no such account.
    pub(crate) fn may_see(
        &'static self,
        account: &BareJid,
        asker: &BareJid,
    ) -> BoxFuture<'static, Result<bool, StoreError>> {
        if account == asker {
            return future::ready(Ok(true)).boxed();
        }
        if self.blocklists.between(account, asker) {
            return future::ready(Ok(false)).boxed();
        }
        let asker = asker.clone();
        let sees = move |profile: std::sync::Arc<rjabberd_storage::Profile>| {
            profile.items.iter().any(|item| item.jid == asker && item.state.from == Half::Granted)
        };
        self.store.load_profile(account).map(move |profile| Ok(profile?.is_some_and(sees))).boxed()
    }
}
