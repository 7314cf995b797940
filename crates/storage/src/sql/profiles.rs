//! What a session needs of its account, in one statement: so all of it is of one moment, and has one version.

use std::sync::Arc;

use super::connection::Connection;
use super::value::{Value, params};
use bytes::Bytes;

use super::accounts::Key;
use super::roster_items;
use crate::error::StoreError;
use crate::store::{Profile, RosterVersion};

type Result<T> = std::result::Result<T, StoreError>;

pub(crate) const LOAD: &str = "
    SELECT account.id, account.roster_changes, account.offline_messages > 0, vcard.avatar,
           item.contact, item.listed, item.half_to, item.half_from, item.approved, item.name, item.group_list,
           item.request_no, item.request
    FROM account
    LEFT JOIN vcard ON vcard.account_id = account.id
    LEFT JOIN roster_item AS item ON item.account_id = account.id
    WHERE account.domain = ?1 AND account.localpart = ?2
    ORDER BY item.contact";

/// The columns of [`LOAD`] at which an item begins, and those behind it.
const ITEM: usize = 4;
const REQUEST_NO: usize = 11;
const REQUEST: usize = 12;

pub(crate) fn load(connection: &Connection, key: &Key) -> Result<Option<Arc<Profile>>> {
    let mut select = connection.prepare_cached(LOAD)?;
    let mut rows = select.query(params![&key.domain, &key.localpart])?;
    let mut profile: Option<Profile> = None;
    let mut requests: Vec<(i64, Bytes)> = Vec::new();
    while let Some(row) = &rows.next()? {
        let is_item = row.get_ref(ITEM)? != Value::Null;
        if profile.is_none() {
            let version = RosterVersion { account: row.get(0)?, changes: row.get(1)? };
            profile = Some(Profile {
                version,
                has_offline: row.get(2)?,
                avatar: row.get(3)?,
                ..Profile::default()
            });
        }
        // An account without contacts is one row without an item.
        if let Some(profile) = profile.as_mut().filter(|_| is_item) {
            profile.items.push(roster_items::item(row, ITEM)?);
        }
        if let Some(stanza) = row.get::<Option<Vec<u8>>>(REQUEST)? {
            requests.push((row.get(REQUEST_NO)?, stanza.into()));
        }
    }
    requests.sort_unstable_by_key(|(number, _)| *number);
    Ok(profile.map(|mut profile| {
        profile.requests = requests.into_iter().map(|(_, stanza)| stanza).collect();
        Arc::new(profile)
    }))
}
