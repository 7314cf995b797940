//! Forgetting: the oldest messages of an archive, and archives whose account is gone, never more at once than one
//! transaction should hold.

use rusqlite::Connection;

use super::super::accounts::{self, Key};
use super::Result;
use crate::store::archive::Trimmed;

/// Archives that one transaction looks at.
const TRIMMED_AT_ONCE: usize = 200;

/// Messages that go with their account; the others go later, so that nobody waits for them.
const FORGOTTEN_AT_ONCE: usize = 2_000;

/// What an archive may hold.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) before_unix_us: i64,
    pub(super) messages_max: u64,
}

pub(in crate::sqlite) const ARCHIVES: &str = "
    SELECT account_id, messages, EXISTS (SELECT 1 FROM account WHERE account.id = archive.account_id)
    FROM archive WHERE account_id > ?1 ORDER BY account_id LIMIT ?2";
const OLDEST: &str = "
    SELECT max(stamp_unix_us), count(*) FROM (
        SELECT stamp_unix_us FROM archive_message
        WHERE account_id = ?1 AND stamp_unix_us < ?2 ORDER BY stamp_unix_us LIMIT ?3)";
pub(in crate::sqlite) const FORGET: &str =
    "DELETE FROM archive_message WHERE account_id = ?1 AND stamp_unix_us <= ?2";

pub(super) fn trim(
    connection: &Connection,
    after: i64,
    limits: Limits,
    removed_max: usize,
) -> Result<Trimmed> {
    let mut select = connection.prepare_cached(ARCHIVES)?;
    let rows = select.query_map([after, TRIMMED_AT_ONCE as i64], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, bool>(2)?))
    })?;
    let archives: Vec<(i64, i64, bool)> = rows.collect::<rusqlite::Result<_>>()?;
    let mut removed = 0;
    for &(id, messages, is_owned) in &archives {
        let before = if is_owned { limits.before_unix_us } else { i64::MAX };
        let expired = forget(connection, id, before, removed_max - removed)?;
        removed += expired;
        let left = u64::try_from(messages).unwrap_or(0).saturating_sub(expired as u64);
        let excess = usize::try_from(left.saturating_sub(limits.messages_max)).unwrap_or(usize::MAX);
        if is_owned && excess > 0 {
            removed += forget(connection, id, i64::MAX, excess.min(removed_max - removed))?;
        }
        if removed >= removed_max {
            // Perhaps not all of this one's: it is looked at again.
            return Ok(Trimmed { removed, next: Some(id - 1) });
        }
        if !is_owned {
            connection.prepare_cached("DELETE FROM archive WHERE account_id = ?1")?.execute([id])?;
        }
    }
    let next = (archives.len() == TRIMMED_AT_ONCE).then(|| archives.last().map(|(id, ..)| *id)).flatten();
    Ok(Trimmed { removed, next })
}

/// Forgets the oldest messages of an archive from before a moment; says how many it were.
fn forget(connection: &Connection, id: i64, before_unix_us: i64, removed_max: usize) -> Result<usize> {
    if removed_max == 0 {
        return Ok(0);
    }
    let limit = i64::try_from(removed_max).unwrap_or(i64::MAX);
    let mut select = connection.prepare_cached(OLDEST)?;
    let (last, count): (Option<i64>, i64) =
        select.query_row([id, before_unix_us, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some(last) = last else { return Ok(0) };
    connection.prepare_cached(FORGET)?.execute([id, last])?;
    let mut update =
        connection.prepare_cached("UPDATE archive SET messages = messages - ?2 WHERE account_id = ?1")?;
    update.execute([id, count])?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// An account goes: with it as much of its archive as nobody has to wait for; [`trim`] sees to the rest.
pub(in crate::sqlite) fn end(connection: &Connection, key: &Key) -> Result<()> {
    let Some(id) = accounts::find(connection, key)? else { return Ok(()) };
    if forget(connection, id, i64::MAX, FORGOTTEN_AT_ONCE)? < FORGOTTEN_AT_ONCE {
        connection.prepare_cached("DELETE FROM archive WHERE account_id = ?1")?.execute([id])?;
    }
    Ok(())
}
