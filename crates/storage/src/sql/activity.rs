//! When accounts were last available, and the status that they left with (XEP-0012).

use super::connection::{Connection, OptionalExtension};
use super::value::params;

use super::accounts::Key;
use crate::error::StoreError;
use crate::store::LastActivity;

type Result<T> = std::result::Result<T, StoreError>;

pub(crate) const LOAD: &str = "
    SELECT left_unix_s, status FROM last_activity
    WHERE account_id = (SELECT id FROM account WHERE domain = ?1 AND localpart = ?2)";

pub(crate) fn load(connection: &Connection, key: &Key) -> Result<Option<LastActivity>> {
    let mut select = connection.prepare_cached(LOAD)?;
    let activity = select
        .query_row(params![&key.domain, &key.localpart], |row| {
            Ok(LastActivity { left_unix_s: row.get(0)?, status: row.get(1)? })
        })
        .optional()?;
    Ok(activity)
}

pub(crate) fn save(connection: &Connection, activities: &[(Key, LastActivity)]) -> Result<()> {
    let mut upsert = connection.prepare_cached(
        "INSERT INTO last_activity (account_id, left_unix_s, status)
         SELECT id, ?3, ?4 FROM account WHERE domain = ?1 AND localpart = ?2
         ON CONFLICT (account_id) DO UPDATE SET left_unix_s = excluded.left_unix_s, status = excluded.status",
    )?;
    for (key, activity) in activities {
        upsert.run(params![key.domain, key.localpart, activity.left_unix_s, activity.status])?;
    }
    Ok(())
}
