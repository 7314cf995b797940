//! What accounts want archived (XEP-0441).

use rjabberd_xmpp::Jid;
use rjabberd_xmpp::address::BareJid;
use rusqlite::{Connection, Row, params};

use super::super::accounts::{self, Key};
use super::Result;
use crate::error::StoreError;
use crate::store::archive::{ArchiveOtherwise, ArchivePrefs};

/// Separates addresses in a list.
const SEPARATOR: char = '\u{1F}';

fn otherwise_name(otherwise: ArchiveOtherwise) -> &'static str {
    match otherwise {
        ArchiveOtherwise::Always => "always",
        ArchiveOtherwise::Never => "never",
        ArchiveOtherwise::Roster => "roster",
    }
}

fn otherwise_named(name: &str) -> Result<ArchiveOtherwise> {
    [ArchiveOtherwise::Always, ArchiveOtherwise::Never, ArchiveOtherwise::Roster]
        .into_iter()
        .find(|otherwise| otherwise_name(*otherwise) == name)
        .ok_or_else(|| StoreError::damaged("what is archived otherwise is none of three words"))
}

/// What all accounts want: asked once, at the start.
pub(super) fn load(connection: &Connection) -> Result<Vec<(BareJid, ArchivePrefs)>> {
    let mut select = connection.prepare_cached(
        "SELECT account.domain, account.localpart, otherwise, always, never
         FROM archive_prefs JOIN account ON account.id = archive_prefs.account_id",
    )?;
    let mut rows = select.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let account = accounts::address(row, 0)?;
        let otherwise = otherwise_named(&row.get::<_, String>(2)?)?;
        let prefs = ArchivePrefs { otherwise, always: list(row, 3)?, never: list(row, 4)? };
        found.push((account, prefs));
    }
    Ok(found)
}

fn list(row: &Row<'_>, column: usize) -> Result<Vec<Jid>> {
    let text: String = row.get(column)?;
    let jids = text.split(SEPARATOR).filter(|jid| !jid.is_empty());
    jids.map(|jid| Jid::new(jid).map_err(|_| StoreError::damaged("an address in a list is none"))).collect()
}

pub(super) fn save(connection: &Connection, key: &Key, prefs: &ArchivePrefs) -> Result<()> {
    let id = accounts::find(connection, key)?.ok_or(StoreError::NotFound)?;
    let text = |jids: &[Jid]| {
        jids.iter().map(Jid::as_str).collect::<Vec<_>>().join(SEPARATOR.encode_utf8(&mut [0; 4]))
    };
    let mut upsert = connection.prepare_cached(
        "INSERT INTO archive_prefs (account_id, otherwise, always, never) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (account_id) DO UPDATE
         SET otherwise = excluded.otherwise, always = excluded.always, never = excluded.never",
    )?;
    upsert.execute(params![id, otherwise_name(prefs.otherwise), text(&prefs.always), text(&prefs.never)])?;
    Ok(())
}
