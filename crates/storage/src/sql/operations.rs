//! The operations of [`SqlStore`]: which thread does what, what is checked before it is asked, and what is answered
//! from memory. The statements are the subjects' own.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rjabberd_xmpp::Jid;
use rjabberd_xmpp::address::BareJid;
use rjabberd_xmpp::sasl::{ClientId, Credentials, KeyShape, ScramKeys, TokenChange, Tokens};
use zeroize::Zeroizing;

use super::accounts::{self, Key};
use super::cache::Reading;
use super::connection::Connection;
use super::{
    SqlStore, activity, answered, archive, blocks, offline, private, profiles, roster_items, rosters, tokens,
    vcards,
};
use crate::error::StoreError;
use crate::store::{
    Account, Answer, Follow, IMPORT_MAX, ImportCounts, LIST_MAX, LastActivity, Login, OfflineLimits,
    OfflineMessage, Profile, RosterEdit, RosterEvent, Store, SubscriptionChange,
};

/// So many bytes count as one more operation in the queue, which is thereby bounded in bytes too.
const BYTES_OF_WEIGHT: usize = 1_024;

pub(super) fn weight(bytes: usize) -> usize {
    1 + bytes / BYTES_OF_WEIGHT
}

impl Store for SqlStore {
    /// A login that is not in memory brings the profile with it: the session asks for it at once.
    fn load_login(&self, account: &BareJid) -> Answer<Option<Login>> {
        let Some(key) = Key::new(account) else { return answered(Ok(None)) };
        if let Some(login) = self.caches.logins.get(account) {
            return answered(Ok(Some(login)));
        }
        let reading = self.caches.logins.reading(account);
        let ahead = self.caches.profiles.reading_ahead(account);
        self.read(move |connection| {
            let login = accounts::load_login(connection, &key)?;
            if let Some(login) = &login {
                reading.keep(login.clone());
            }
            if let Some(Login { disabled: false, .. }) = &login {
                keep_ahead(connection, &key, ahead);
            }
            Ok(login)
        })
    }

    fn create_account(&self, account: &BareJid, credentials: Credentials) -> Answer<()> {
        match checked(account, &credentials) {
            Ok(key) => self
                .write(1, move |connection| accounts::create(connection, &key, &credentials, now_unix_s())),
            Err(error) => answered(Err(error)),
        }
    }

    fn set_credentials(&self, account: &BareJid, credentials: Credentials) -> Answer<()> {
        let key = match checked(account, &credentials) {
            Ok(key) => key,
            Err(error) => return answered(Err(error)),
        };
        let account = account.clone();
        self.change(1, None, move |connection, changes| {
            changes.login(&account);
            accounts::set_credentials(connection, &key, &credentials, now_unix_s())
        })
    }

    fn add_keys(&self, account: &BareJid, witness: ScramKeys, credentials: Credentials) -> Answer<()> {
        let Some(key) = Key::new(account) else { return answered(Err(StoreError::NotFound)) };
        if let Err(error) = accounts::check_added(account, &credentials) {
            return answered(Err(error));
        }
        let account = account.clone();
        self.change(1, None, move |connection, changes| {
            changes.login(&account);
            accounts::add_keys(connection, &key, &witness, &credentials)
        })
    }

    /// As with keys, the profile comes with them: the session asks for it at once.
    fn load_tokens(&self, account: &BareJid, client: ClientId) -> Answer<Option<Tokens>> {
        let Some(key) = Key::new(account) else { return answered(Ok(None)) };
        let ahead = self.caches.profiles.reading_ahead(account);
        self.read(move |connection| {
            let tokens = tokens::load(connection, &key, client)?;
            if tokens.as_ref().is_some_and(|tokens| *tokens != Tokens::default()) {
                keep_ahead(connection, &key, ahead);
            }
            Ok(tokens)
        })
    }

    fn change_tokens(
        &self,
        account: &BareJid,
        client: ClientId,
        change: TokenChange,
        clients_max: usize,
    ) -> Answer<()> {
        let Some(key) = Key::new(account) else { return answered(Err(StoreError::NotFound)) };
        self.write(1, move |connection| tokens::change(connection, &key, client, &change, clients_max))
    }

    fn expire_tokens(&self, ended_before_unix_s: i64, tokens_max: usize) -> Answer<usize> {
        self.write(1, move |connection| tokens::expire(connection, ended_before_unix_s, tokens_max))
    }

    fn key_shapes(&self, domain: &str) -> Answer<Vec<KeyShape>> {
        let domain = domain.to_owned();
        self.read(move |connection| accounts::key_shapes(connection, &domain))
    }

    fn remove_account(
        &self,
        account: &BareJid,
        follow: Follow<Vec<RosterEvent>>,
    ) -> Answer<Vec<RosterEvent>> {
        let Some(key) = Key::new(account) else { return self.refuse(Some(follow), StoreError::NotFound) };
        let account = account.clone();
        self.change(1, Some(follow), move |connection, changes| {
            changes.login(&account);
            changes.profile(&account);
            let events = rosters::end_all(connection, changes, &account)?;
            archive::end(connection, &key)?;
            accounts::remove(connection, &key)?;
            Ok(events)
        })
    }

    fn set_disabled(&self, account: &BareJid, disabled: bool) -> Answer<()> {
        let Some(key) = Key::new(account) else { return answered(Err(StoreError::NotFound)) };
        let account = account.clone();
        self.change(1, None, move |connection, changes| {
            changes.login(&account);
            accounts::set_disabled(connection, &key, disabled)
        })
    }

    fn account_exists(&self, account: &BareJid) -> Answer<bool> {
        match Key::new(account) {
            Some(key) => self.read(move |connection| accounts::exists(connection, &key)),
            None => answered(Ok(false)),
        }
    }

    fn list_accounts(
        &self,
        domain: Option<&str>,
        after: Option<&BareJid>,
        limit: usize,
    ) -> Answer<Vec<Account>> {
        if limit > LIST_MAX {
            return answered(Err(StoreError::Invalid(format!("a page holds at most {LIST_MAX} accounts"))));
        }
        let Ok(after) = after.map(|jid| Key::new(jid).ok_or(())).transpose() else {
            return answered(Err(no_account()));
        };
        let domain = domain.map(str::to_owned);
        self.read(move |connection| accounts::list(connection, domain.as_deref(), after.as_ref(), limit))
    }

    fn import_accounts(&self, batch: Vec<(BareJid, Credentials)>, replace: bool) -> Answer<ImportCounts> {
        if batch.len() > IMPORT_MAX {
            let error = StoreError::Invalid(format!("a batch holds at most {IMPORT_MAX} accounts"));
            return answered(Err(error));
        }
        let accounts: Vec<BareJid> = batch.iter().map(|(jid, _)| jid.clone()).collect();
        let batch: Result<Vec<_>, StoreError> =
            batch.into_iter().map(|(jid, keys)| checked(&jid, &keys).map(|key| (key, keys))).collect();
        match batch {
            Ok(batch) => self.change(batch.len().max(1), None, move |connection, changes| {
                accounts.iter().for_each(|account| changes.login(account));
                accounts::import(connection, &batch, replace, now_unix_s())
            }),
            Err(error) => answered(Err(error)),
        }
    }

    fn server_secret(&self) -> Answer<Zeroizing<Vec<u8>>> {
        self.read(accounts::server_secret)
    }

    fn load_profile(&self, account: &BareJid) -> Answer<Option<Arc<Profile>>> {
        let Some(key) = Key::new(account) else { return answered(Ok(None)) };
        if let Some(profile) = self.caches.profiles.get(account) {
            return answered(Ok(Some(profile)));
        }
        let reading = self.caches.profiles.reading(account);
        self.read(move |connection| {
            let profile = profiles::load(connection, &key)?;
            if let Some(profile) = &profile {
                reading.keep(Arc::clone(profile));
            }
            Ok(profile)
        })
    }

    fn set_roster_item(
        &self,
        account: &BareJid,
        edit: RosterEdit,
        items_max: usize,
        follow: Follow<Vec<RosterEvent>>,
    ) -> Answer<Vec<RosterEvent>> {
        if edit.groups.iter().any(|group| group.contains(roster_items::GROUP_SEPARATOR)) {
            let error = StoreError::Invalid("a group's name holds what no XML can hold".to_owned());
            return self.refuse(Some(follow), error);
        }
        let account = account.clone();
        self.change(1, Some(follow), move |connection, changes| {
            rosters::set_item(connection, changes, &account, edit, items_max)
        })
    }

    fn remove_roster_item(
        &self,
        account: &BareJid,
        contact: &BareJid,
        follow: Follow<Vec<RosterEvent>>,
    ) -> Answer<Vec<RosterEvent>> {
        let (account, contact) = (account.clone(), contact.clone());
        self.change(1, Some(follow), move |connection, changes| {
            rosters::remove_item(connection, changes, &account, &contact)
        })
    }

    fn change_subscription(
        &self,
        change: SubscriptionChange,
        items_max: usize,
        follow: Follow<Vec<RosterEvent>>,
    ) -> Answer<Vec<RosterEvent>> {
        if change.account == change.contact {
            let error = StoreError::Invalid("nobody subscribes to oneself".to_owned());
            return self.refuse(Some(follow), error);
        }
        self.change(weight(change.stanza.len()), Some(follow), move |connection, changes| {
            rosters::change_subscription(connection, changes, &change, items_max)
        })
    }

    fn append_offline(
        &self,
        account: &BareJid,
        stanza: Bytes,
        taken_unix_ms: i64,
        limits: OfflineLimits,
        follow: Follow<()>,
    ) -> Answer<()> {
        let Some(key) = Key::new(account) else { return self.refuse(Some(follow), StoreError::NotFound) };
        let account = account.clone();
        self.change(weight(stanza.len()), Some(follow), move |connection, changes| {
            changes.profile(&account);
            offline::append(connection, &key, &stanza, taken_unix_ms, limits)
        })
    }

    fn load_offline(&self, account: &BareJid, after: i64, bytes_max: usize) -> Answer<Vec<OfflineMessage>> {
        match Key::new(account) {
            Some(key) => self.read(move |connection| offline::load(connection, &key, after, bytes_max)),
            None => answered(Ok(Vec::new())),
        }
    }

    fn delete_offline(&self, account: &BareJid, up_to: i64, follow: Follow<()>) -> Answer<()> {
        let Some(key) = Key::new(account) else { return self.refuse(Some(follow), StoreError::NotFound) };
        let account = account.clone();
        self.change(1, Some(follow), move |connection, changes| {
            changes.profile(&account);
            offline::delete(connection, &key, up_to)
        })
    }

    fn expire_offline(&self, taken_before_unix_ms: i64, messages_max: usize) -> Answer<usize> {
        self.change(1, None, move |connection, changes| {
            offline::expire(connection, changes, taken_before_unix_ms, messages_max)
        })
    }

    fn load_private(&self, account: &BareJid, name: &str, namespace: &str) -> Answer<Option<String>> {
        let Some(key) = Key::new(account) else { return answered(Ok(None)) };
        let (name, namespace) = (name.to_owned(), namespace.to_owned());
        self.read(move |connection| private::load(connection, &key, &name, &namespace))
    }

    fn save_private(
        &self,
        account: &BareJid,
        elements: Vec<(String, String, String)>,
        bytes_max: usize,
    ) -> Answer<()> {
        let Some(key) = Key::new(account) else { return answered(Err(StoreError::NotFound)) };
        let bytes = elements.iter().map(|(_, _, element)| element.len()).sum();
        self.write(weight(bytes), move |connection| private::save(connection, &key, &elements, bytes_max))
    }

    fn load_vcard(&self, account: &BareJid) -> Answer<Option<String>> {
        match Key::new(account) {
            Some(key) => self.read(move |connection| vcards::load(connection, &key)),
            None => answered(Ok(None)),
        }
    }

    fn save_vcard(
        &self,
        account: &BareJid,
        vcard: String,
        avatar: Option<[u8; 20]>,
        follow: Follow<()>,
    ) -> Answer<()> {
        let Some(key) = Key::new(account) else { return self.refuse(Some(follow), StoreError::NotFound) };
        let account = account.clone();
        self.change(weight(vcard.len()), Some(follow), move |connection, changes| {
            changes.profile(&account);
            vcards::save(connection, &key, &vcard, avatar)
        })
    }

    fn load_blocks(&self) -> Answer<Vec<(BareJid, Vec<Jid>)>> {
        self.read(blocks::load)
    }

    fn change_blocks(
        &self,
        account: &BareJid,
        block: Vec<Jid>,
        unblock: Option<Vec<Jid>>,
        blocks_max: usize,
        follow: Follow<Vec<Jid>>,
    ) -> Answer<Vec<Jid>> {
        let Some(key) = Key::new(account) else { return self.refuse(Some(follow), StoreError::NotFound) };
        self.change(1, Some(follow), move |connection, _| {
            blocks::change(connection, &key, &block, unblock.as_deref(), blocks_max)
        })
    }

    fn load_activity(&self, account: &BareJid) -> Answer<Option<LastActivity>> {
        match Key::new(account) {
            Some(key) => self.read(move |connection| activity::load(connection, &key)),
            None => answered(Ok(None)),
        }
    }

    fn save_activities(&self, activities: Vec<(BareJid, LastActivity)>) -> Answer<()> {
        let keyed = activities.into_iter().filter_map(|(jid, activity)| Some((Key::new(&jid)?, activity)));
        let activities: Vec<(Key, LastActivity)> = keyed.collect();
        self.write(activities.len().max(1), move |connection| activity::save(connection, &activities))
    }

    fn flush(&self) -> Answer<()> {
        self.write(1, |_| Ok(()))
    }
}

/// Reads a profile before anybody asks for it. What is wrong with it is told to whoever does.
fn keep_ahead(connection: &Connection, key: &Key, ahead: Option<Reading<Arc<Profile>>>) {
    if let Some(ahead) = ahead
        && let Ok(Some(profile)) = profiles::load(connection, key)
    {
        ahead.keep(profile);
    }
}

fn checked(account: &BareJid, credentials: &Credentials) -> Result<Key, StoreError> {
    accounts::check(account, credentials)?;
    Key::new(account).ok_or_else(no_account)
}

fn no_account() -> StoreError {
    StoreError::Invalid("an account's address has a local part".to_owned())
}

pub(super) fn now_unix_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
