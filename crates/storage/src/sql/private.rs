//! Private XML storage (XEP-0049): elements by name and namespace, as text that nobody here looks into.

use super::connection::{Connection, OptionalExtension};
use super::value::params;

use super::accounts::{self, Key};
use crate::error::StoreError;

type Result<T> = std::result::Result<T, StoreError>;

pub(crate) const LOAD: &str = "
    SELECT element FROM private_element
    WHERE account_id = (SELECT id FROM account WHERE domain = ?1 AND localpart = ?2) AND namespace = ?3 AND name = ?4";

pub(crate) fn load(
    connection: &Connection,
    key: &Key,
    name: &str,
    namespace: &str,
) -> Result<Option<String>> {
    let mut select = connection.prepare_cached(LOAD)?;
    select.query_row(params![&key.domain, &key.localpart, namespace, name], |row| row.get(0)).optional()
}

pub(crate) const BYTES: &str = "
    SELECT coalesce(sum(octet_length(namespace) + octet_length(name) + octet_length(element)), 0)
    FROM private_element WHERE account_id = ?1";

/// Keeps elements, each as name, namespace and text.
pub(crate) fn save(
    connection: &Connection,
    key: &Key,
    elements: &[(String, String, String)],
    bytes_max: usize,
) -> Result<()> {
    let id = accounts::find(connection, key)?.ok_or(StoreError::NotFound)?;
    let mut upsert = connection.prepare_cached(
        "INSERT INTO private_element (account_id, namespace, name, element) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (account_id, namespace, name) DO UPDATE SET element = excluded.element",
    )?;
    for (name, namespace, element) in elements {
        upsert.run(params![id, namespace, name, element])?;
    }
    let bytes: i64 = connection.prepare_cached(BYTES)?.query_row(params![id], |row| row.get(0))?;
    if usize::try_from(bytes).is_ok_and(|bytes| bytes > bytes_max) {
        return Err(StoreError::Full);
    }
    Ok(())
}
