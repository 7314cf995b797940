//! Who has blocked whom (XEP-0191).

use super::connection::{Connection, Row};
use super::value::params;
use rjabberd_xmpp::Jid;
use rjabberd_xmpp::address::BareJid;

use super::accounts::{self, Key};
use crate::error::StoreError;

type Result<T> = std::result::Result<T, StoreError>;

/// Every account that blocks somebody. The one question that reads a whole table: it is asked once, at the start.
pub(crate) fn load(connection: &Connection) -> Result<Vec<(BareJid, Vec<Jid>)>> {
    let mut select = connection.prepare_cached(
        "SELECT block.account_id, account.domain, account.localpart, block.jid
         FROM block JOIN account ON account.id = block.account_id ORDER BY block.account_id, block.jid",
    )?;
    let mut rows = select.query(params![])?;
    let mut blocks: Vec<(BareJid, Vec<Jid>)> = Vec::new();
    let mut last = None;
    while let Some(row) = &rows.next()? {
        let id: i64 = row.get(0)?;
        if last.replace(id) != Some(id) {
            blocks.push((accounts::address(row, 1)?, Vec::new()));
        }
        let blocked = blocked(row, 3)?;
        if let Some((_, list)) = blocks.last_mut() {
            list.push(blocked);
        }
    }
    Ok(blocks)
}

pub(crate) const LIST: &str = "SELECT jid FROM block WHERE account_id = ?1 ORDER BY jid";

/// Unblocks, then blocks; gives the list as it is then.
pub(crate) fn change(
    connection: &Connection,
    key: &Key,
    block: &[Jid],
    unblock: Option<&[Jid]>,
    blocks_max: usize,
) -> Result<Vec<Jid>> {
    let id = accounts::find(connection, key)?.ok_or(StoreError::NotFound)?;
    match unblock {
        None => {
            connection.prepare_cached("DELETE FROM block WHERE account_id = ?1")?.run(params![id])?;
        }
        Some(unblock) => {
            let mut delete =
                connection.prepare_cached("DELETE FROM block WHERE account_id = ?1 AND jid = ?2")?;
            for jid in unblock {
                delete.run(params![id, jid.as_str()])?;
            }
        }
    }
    let mut added = 0;
    let mut insert = connection
        .prepare_cached("INSERT INTO block (account_id, jid) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?;
    for jid in block {
        added += insert.execute(params![id, jid.as_str()])?;
    }
    let mut select = connection.prepare_cached(LIST)?;
    let mut rows = select.query(params![id])?;
    let mut list = Vec::new();
    while let Some(row) = &rows.next()? {
        list.push(blocked(row, 0)?);
    }
    // A list that was longer before the limit was lowered can still be shortened.
    if added > 0 && list.len() > blocks_max { Err(StoreError::Full) } else { Ok(list) }
}

fn blocked(row: &Row<'_>, column: usize) -> Result<Jid> {
    let text: String = row.get(column)?;
    Jid::new(&text).map_err(|_| StoreError::damaged("an address is blocked that is none"))
}
