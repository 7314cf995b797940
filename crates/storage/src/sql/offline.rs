//! Messages that wait for their account. The sums in its row bound them without counting; each change keeps them right.

use std::collections::BTreeMap;

use super::connection::{Connection, OptionalExtension};
use super::value::params;
use bytes::Bytes;
use rjabberd_xmpp::address::BareJid;

use super::accounts::{self, Key};
use super::cache::Changes;
use crate::error::StoreError;
use crate::store::{OfflineLimits, OfflineMessage};

type Result<T> = std::result::Result<T, StoreError>;

pub(crate) const COUNT_IN: &str = "
    UPDATE account SET offline_messages = offline_messages + 1, offline_bytes = offline_bytes + ?3
    WHERE domain = ?1 AND localpart = ?2 RETURNING id, offline_messages, offline_bytes";

/// Appends a message; its caller rolls back what was counted if it is refused.
pub(crate) fn append(
    connection: &Connection,
    key: &Key,
    stanza: &[u8],
    taken_unix_ms: i64,
    limits: OfflineLimits,
) -> Result<()> {
    let bytes = i64::try_from(stanza.len()).unwrap_or(i64::MAX);
    let mut update = connection.prepare_cached(COUNT_IN)?;
    let counted: Option<(i64, i64, i64)> = update
        .query_row(params![key.domain, key.localpart, bytes], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let (id, messages, bytes) = counted.ok_or(StoreError::NotFound)?;
    let is_more = |count: i64, max: usize| usize::try_from(count).is_ok_and(|count| count > max);
    if is_more(messages, limits.messages_max) || is_more(bytes, limits.bytes_max) {
        return Err(StoreError::Full);
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO offline_message (account_id, taken_unix_ms, stanza) VALUES (?1, ?2, ?3)",
    )?;
    insert.run(params![id, taken_unix_ms, stanza])?;
    Ok(())
}

/// Fewer bytes than any stanza has.
const STANZA_BYTES_MIN: usize = 32;

pub(crate) const LOAD: &str = "
    SELECT number, taken_unix_ms, stanza FROM offline_message
    WHERE account_id = (SELECT id FROM account WHERE domain = ?1 AND localpart = ?2) AND number > ?3
    ORDER BY number LIMIT ?4";

pub(crate) fn load(
    connection: &Connection,
    key: &Key,
    after: i64,
    bytes_max: usize,
) -> Result<Vec<OfflineMessage>> {
    let mut select = connection.prepare_cached(LOAD)?;
    // A server sends all that it is asked for: not more than fits, as no stanza is so short.
    let limit = i64::try_from(bytes_max / STANZA_BYTES_MIN).unwrap_or(i64::MAX).saturating_add(64);
    let mut rows = select.query(params![key.domain, key.localpart, after, limit])?;
    let mut messages = Vec::new();
    let mut bytes: usize = 0;
    while let Some(row) = &rows.next()? {
        let stanza = Bytes::from(row.get::<Vec<u8>>(2)?);
        bytes = bytes.saturating_add(stanza.len());
        if bytes > bytes_max && !messages.is_empty() {
            break;
        }
        messages.push(OfflineMessage { number: row.get(0)?, taken_unix_ms: row.get(1)?, stanza });
    }
    Ok(messages)
}

pub(crate) const DELETE: &str =
    "DELETE FROM offline_message WHERE account_id = ?1 AND number <= ?2 RETURNING length(stanza)";

/// Forgets the messages up to a number.
pub(crate) fn delete(connection: &Connection, key: &Key, up_to: i64) -> Result<()> {
    let id = accounts::find(connection, key)?.ok_or(StoreError::NotFound)?;
    let mut delete = connection.prepare_cached(DELETE)?;
    let mut rows = delete.query(params![id, up_to])?;
    let mut gone = Gone::default();
    while let Some(row) = &rows.next()? {
        gone.add(row.get(0)?);
    }
    gone.count_out(connection, id)
}

pub(crate) const EXPIRED: &str = "
    SELECT number, account_id, length(stanza) FROM offline_message
    WHERE taken_unix_ms < ?1 ORDER BY taken_unix_ms LIMIT ?2";

/// Forgets the oldest messages from before a moment, and notes whose they were.
pub(crate) fn expire(
    connection: &Connection,
    changes: &mut Changes,
    taken_before_unix_ms: i64,
    messages_max: usize,
) -> Result<usize> {
    let mut select = connection.prepare_cached(EXPIRED)?;
    let limit = i64::try_from(messages_max).unwrap_or(i64::MAX);
    let mut rows = select.query(params![taken_before_unix_ms, limit])?;
    let mut numbers: Vec<i64> = Vec::new();
    let mut gone: BTreeMap<i64, Gone> = BTreeMap::new();
    while let Some(row) = &rows.next()? {
        numbers.push(row.get(0)?);
        gone.entry(row.get(1)?).or_default().add(row.get(2)?);
    }
    let mut delete = connection.prepare_cached("DELETE FROM offline_message WHERE number = ?1")?;
    for number in &numbers {
        delete.run(params![number])?;
    }
    let mut select = connection.prepare_cached("SELECT domain, localpart FROM account WHERE id = ?1")?;
    for (id, gone) in gone {
        let account: BareJid = select.query_row(params![id], |row| Ok(accounts::address(row, 0)))??;
        changes.profile(&account);
        gone.count_out(connection, id)?;
    }
    Ok(numbers.len())
}

/// Messages of an account that are there no longer.
#[derive(Default)]
struct Gone {
    messages: i64,
    bytes: i64,
}

impl Gone {
    fn add(&mut self, bytes: i64) {
        self.messages += 1;
        self.bytes += bytes;
    }

    fn count_out(&self, connection: &Connection, id: i64) -> Result<()> {
        if self.messages == 0 {
            return Ok(());
        }
        let mut update = connection.prepare_cached(
            "UPDATE account SET offline_messages = offline_messages - ?2, offline_bytes = offline_bytes - ?3
             WHERE id = ?1",
        )?;
        update.run(params![id, self.messages, self.bytes])?;
        Ok(())
    }
}
