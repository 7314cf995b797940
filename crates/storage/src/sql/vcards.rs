//! vCards (XEP-0054), as text that nobody here looks into, with the SHA-1 of the photo (XEP-0153).

use super::connection::{Connection, OptionalExtension};
use super::value::params;

use super::accounts::{self, Key};
use crate::error::StoreError;

type Result<T> = std::result::Result<T, StoreError>;

pub(crate) const LOAD: &str = "
    SELECT vcard FROM vcard
    WHERE account_id = (SELECT id FROM account WHERE domain = ?1 AND localpart = ?2)";

pub(crate) fn load(connection: &Connection, key: &Key) -> Result<Option<String>> {
    let mut select = connection.prepare_cached(LOAD)?;
    select.query_row(params![&key.domain, &key.localpart], |row| row.get(0)).optional()
}

pub(crate) fn save(connection: &Connection, key: &Key, vcard: &str, avatar: Option<[u8; 20]>) -> Result<()> {
    let id = accounts::find(connection, key)?.ok_or(StoreError::NotFound)?;
    let mut upsert = connection.prepare_cached(
        "INSERT INTO vcard (account_id, avatar, vcard) VALUES (?1, ?2, ?3)
         ON CONFLICT (account_id) DO UPDATE SET avatar = excluded.avatar, vcard = excluded.vcard",
    )?;
    upsert.run(params![id, avatar, vcard])?;
    Ok(())
}
