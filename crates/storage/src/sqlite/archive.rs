//! Message archives. The row of an archive holds its sums, so that nothing is counted and each message gets a time behind
//! that of the one before it; pages are found by that time, never by counting rows.

mod prefs;
mod trim;

use bytes::Bytes;
use rjabberd_xmpp::address::BareJid;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::SqliteStore;
use super::accounts::{self, Key};
use super::answered;
use super::operations::weight;
use crate::error::StoreError;
use crate::store::archive::{
    ArchiveAppend, ArchiveEnds, ArchiveId, ArchivePage, ArchivePlace, ArchivePrefs, ArchiveQuery,
    ArchiveStore, ArchivedMessage, Trimmed,
};
use crate::store::{Answer, Follow};

pub(super) use trim::end;
#[cfg(test)]
pub(super) use trim::{ARCHIVES, FORGET};

type Result<T> = std::result::Result<T, StoreError>;

impl ArchiveStore for SqliteStore {
    fn append_archive(&self, message: ArchiveAppend, follow: Follow<()>) -> Answer<()> {
        let bytes = message.stanza.len().saturating_mul(message.places.len());
        self.change(weight(bytes), Some(follow), move |connection, _| append(connection, &message))
    }

    fn query_archive(&self, account: &BareJid, query: ArchiveQuery) -> Answer<ArchivePage> {
        match Key::new(account) {
            Some(key) => self.read(move |connection| load(connection, &key, &query)),
            None => answered(Ok(ArchivePage { complete: true, ..ArchivePage::default() })),
        }
    }

    fn archive_ends(&self, account: &BareJid) -> Answer<Option<ArchiveEnds>> {
        match Key::new(account) {
            Some(key) => self.read(move |connection| ends(connection, &key)),
            None => answered(Ok(None)),
        }
    }

    fn load_archive_prefs(&self) -> Answer<Vec<(BareJid, ArchivePrefs)>> {
        self.read(prefs::load)
    }

    fn save_archive_prefs(&self, account: &BareJid, prefs: ArchivePrefs, follow: Follow<()>) -> Answer<()> {
        let Some(key) = Key::new(account) else { return self.refuse(Some(follow), StoreError::NotFound) };
        self.change(1, Some(follow), move |connection, _| prefs::save(connection, &key, &prefs))
    }

    fn trim_archives(
        &self,
        after: i64,
        before_unix_us: i64,
        messages_max: u64,
        removed_max: usize,
    ) -> Answer<Trimmed> {
        let limits = trim::Limits { before_unix_us, messages_max };
        self.write(1, move |connection| trim::trim(connection, after, limits, removed_max))
    }
}

pub(super) const COUNT_IN: &str = "
    INSERT INTO archive (account_id, messages, last_unix_us)
    SELECT id, 1, ?3 FROM account WHERE domain = ?1 AND localpart = ?2
    ON CONFLICT (account_id) DO UPDATE
    SET messages = messages + 1, last_unix_us = max(last_unix_us + 1, excluded.last_unix_us)
    RETURNING account_id, last_unix_us";

fn append(connection: &Connection, message: &ArchiveAppend) -> Result<()> {
    for place in &message.places {
        append_to(connection, place, message)?;
    }
    Ok(())
}

fn append_to(connection: &Connection, place: &ArchivePlace, message: &ArchiveAppend) -> Result<()> {
    let Some(key) = Key::new(&place.account) else { return Ok(()) };
    let contact = place.contact.to_bare();
    if place.if_listed && !is_listed(connection, &key, &contact)? {
        return Ok(());
    }
    let mut upsert = connection.prepare_cached(COUNT_IN)?;
    let counted: Option<(i64, i64)> = upsert
        .query_row(params![key.domain, key.localpart, message.came_unix_us], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((id, stamp_unix_us)) = counted else { return Ok(()) };
    let resource = place.contact.resource().map_or("", |resource| resource.as_str());
    let mut insert = connection.prepare_cached(
        "INSERT INTO archive_message (account_id, stamp_unix_us, uid, contact, resource, stanza)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let uid = &place.id.0[..];
    insert.execute(params![id, stamp_unix_us, uid, contact.as_str(), resource, &message.stanza[..]])?;
    Ok(())
}

pub(super) const LISTED: &str = "
    SELECT EXISTS (SELECT 1 FROM roster_item WHERE account_id = ?1 AND contact = ?2 AND listed = 1)";

fn is_listed(connection: &Connection, key: &Key, contact: &BareJid) -> Result<bool> {
    let Some(id) = accounts::find(connection, key)? else { return Ok(false) };
    let mut select = connection.prepare_cached(LISTED)?;
    Ok(select.query_row(params![id, contact.as_str()], |row| row.get(0))?)
}

/// What an archive holds between two moments, with everybody or with one contact (of one resource, or any), from either
/// end.
pub(super) const ALL: &str = "
    SELECT uid, stamp_unix_us, stanza FROM archive_message
    WHERE account_id = ?1 AND stamp_unix_us BETWEEN ?2 AND ?3 ORDER BY stamp_unix_us";
pub(super) const ALL_BACKWARDS: &str = "
    SELECT uid, stamp_unix_us, stanza FROM archive_message
    WHERE account_id = ?1 AND stamp_unix_us BETWEEN ?2 AND ?3 ORDER BY stamp_unix_us DESC";
pub(super) const WITH: &str = "
    SELECT uid, stamp_unix_us, stanza FROM archive_message
    WHERE account_id = ?1 AND contact = ?4 AND stamp_unix_us BETWEEN ?2 AND ?3 AND (?5 = '' OR resource = ?5)
    ORDER BY stamp_unix_us";
pub(super) const WITH_BACKWARDS: &str = "
    SELECT uid, stamp_unix_us, stanza FROM archive_message
    WHERE account_id = ?1 AND contact = ?4 AND stamp_unix_us BETWEEN ?2 AND ?3 AND (?5 = '' OR resource = ?5)
    ORDER BY stamp_unix_us DESC";
pub(super) const COUNT_ALL: &str =
    "SELECT count(*) FROM archive_message WHERE account_id = ?1 AND stamp_unix_us BETWEEN ?2 AND ?3";
pub(super) const COUNT_WITH: &str = "
    SELECT count(*) FROM archive_message
    WHERE account_id = ?1 AND contact = ?4 AND stamp_unix_us BETWEEN ?2 AND ?3 AND (?5 = '' OR resource = ?5)";
pub(super) const ONE: &str = "
    SELECT uid, stamp_unix_us, stanza, contact, resource FROM archive_message WHERE account_id = ?1 AND uid = ?2";
pub(super) const PLACE: &str = "SELECT stamp_unix_us FROM archive_message WHERE account_id = ?1 AND uid = ?2";

/// Which of an account's messages, by their times (both ends included) and their contact.
struct Range<'a> {
    id: i64,
    from: i64,
    to: i64,
    contact: Option<(BareJid, &'a str)>,
}

fn load(connection: &Connection, key: &Key, query: &ArchiveQuery) -> Result<ArchivePage> {
    let Some(id) = accounts::find(connection, key)? else {
        return Ok(ArchivePage { complete: true, count: query.count.then_some(0), ..ArchivePage::default() });
    };
    let range = range(connection, id, query)?;
    if let Some(ids) = &query.ids {
        return load_ids(connection, &range, ids, query);
    }
    let count = match query.count {
        true => Some(count(connection, &range)?),
        false => None,
    };
    let (sql, backwards) = match (&range.contact, query.backwards) {
        (None, false) => (ALL, false),
        (None, true) => (ALL_BACKWARDS, true),
        (Some(_), false) => (WITH, false),
        (Some(_), true) => (WITH_BACKWARDS, true),
    };
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = match &range.contact {
        None => select.query(params![range.id, range.from, range.to])?,
        Some((contact, resource)) => {
            select.query(params![range.id, range.from, range.to, contact.as_str(), resource])?
        }
    };
    let mut page = Page::new(query);
    while let Some(row) = rows.next()? {
        if page.is_full_for(row.get_ref(2)?.as_bytes().map_or(0, <[u8]>::len)) {
            break;
        }
        page.add(message(row)?);
    }
    Ok(page.close(backwards, count))
}

/// The page that is being filled.
struct Page {
    messages: Vec<ArchivedMessage>,
    bytes: usize,
    messages_max: usize,
    bytes_max: usize,
    complete: bool,
}

impl Page {
    fn new(query: &ArchiveQuery) -> Page {
        Page {
            messages: Vec::new(),
            bytes: 0,
            messages_max: query.messages_max,
            bytes_max: query.bytes_max,
            complete: true,
        }
    }

    /// Whether one of so many bytes does not fit any more: then there is more than the page.
    fn is_full_for(&mut self, bytes: usize) -> bool {
        self.bytes = self.bytes.saturating_add(bytes);
        let full = self.messages.len() >= self.messages_max
            || (self.bytes > self.bytes_max && !self.messages.is_empty());
        self.complete = !full;
        full
    }

    fn add(&mut self, message: ArchivedMessage) {
        self.messages.push(message);
    }

    fn close(mut self, backwards: bool, count: Option<u64>) -> ArchivePage {
        if backwards {
            self.messages.reverse();
        }
        ArchivePage { messages: self.messages, complete: self.complete, count }
    }
}

fn range<'a>(connection: &Connection, id: i64, query: &'a ArchiveQuery) -> Result<Range<'a>> {
    let mut from = query.start_unix_us.unwrap_or(i64::MIN);
    let mut to = query.end_unix_us.unwrap_or(i64::MAX);
    for after in &query.after {
        from = from.max(place(connection, id, *after)?.saturating_add(1));
    }
    for before in &query.before {
        to = to.min(place(connection, id, *before)?.saturating_sub(1));
    }
    let contact = query
        .with
        .as_ref()
        .map(|with| (with.to_bare(), with.resource().map_or("", |resource| resource.as_str())));
    Ok(Range { id, from, to, contact })
}

fn place(connection: &Connection, id: i64, uid: ArchiveId) -> Result<i64> {
    let mut select = connection.prepare_cached(PLACE)?;
    let place = select.query_row(params![id, &uid.0[..]], |row| row.get(0)).optional()?;
    place.ok_or(StoreError::NotFound)
}

fn count(connection: &Connection, range: &Range<'_>) -> Result<u64> {
    let count: i64 = match &range.contact {
        None => connection
            .prepare_cached(COUNT_ALL)?
            .query_row(params![range.id, range.from, range.to], |row| row.get(0))?,
        Some((contact, resource)) => connection
            .prepare_cached(COUNT_WITH)?
            .query_row(params![range.id, range.from, range.to, contact.as_str(), resource], |row| {
                row.get(0)
            })?,
    };
    Ok(u64::try_from(count).unwrap_or(0))
}

/// The messages of these ids, of which each must be there, as far as they are in the range.
fn load_ids(
    connection: &Connection,
    range: &Range<'_>,
    ids: &[ArchiveId],
    query: &ArchiveQuery,
) -> Result<ArchivePage> {
    let mut select = connection.prepare_cached(PLACE)?;
    let mut places = Vec::with_capacity(ids.len());
    for uid in ids {
        let stamp: Option<i64> =
            select.query_row(params![range.id, &uid.0[..]], |row| row.get(0)).optional()?;
        places.push((stamp.ok_or(StoreError::NotFound)?, *uid));
    }
    places.retain(|(stamp, _)| (range.from..=range.to).contains(stamp));
    places.sort_unstable();
    places.dedup();
    if query.backwards {
        places.reverse();
    }
    let mut select = connection.prepare_cached(ONE)?;
    let (mut page, mut count, mut full) = (Page::new(query), 0, false);
    for (_, uid) in places {
        let mut rows = select.query(params![range.id, &uid.0[..]])?;
        let Some(row) = rows.next()? else { continue };
        if !has_contact(row, range)? {
            continue;
        }
        count += 1;
        full = full || page.is_full_for(row.get_ref(2)?.as_bytes().map_or(0, <[u8]>::len));
        if !full {
            page.add(message(row)?);
        } else if !query.count {
            break;
        }
    }
    Ok(page.close(query.backwards, query.count.then_some(count)))
}

fn has_contact(row: &Row<'_>, range: &Range<'_>) -> Result<bool> {
    let Some((contact, resource)) = &range.contact else { return Ok(true) };
    let (found, of): (String, String) = (row.get(3)?, row.get(4)?);
    Ok(found == contact.as_str() && (resource.is_empty() || of == *resource))
}

fn message(row: &Row<'_>) -> Result<ArchivedMessage> {
    let stanza = Bytes::from(row.get::<_, Vec<u8>>(2)?);
    Ok(ArchivedMessage { id: uid(row, 0)?, stamp_unix_us: row.get(1)?, stanza })
}

fn uid(row: &Row<'_>, column: usize) -> Result<ArchiveId> {
    Ok(ArchiveId(row.get(column)?))
}

pub(super) const FIRST: &str =
    "SELECT uid, stamp_unix_us FROM archive_message WHERE account_id = ?1 ORDER BY stamp_unix_us LIMIT 1";
pub(super) const LAST: &str = "SELECT uid, stamp_unix_us FROM archive_message WHERE account_id = ?1 ORDER BY stamp_unix_us DESC LIMIT 1";

fn ends(connection: &Connection, key: &Key) -> Result<Option<ArchiveEnds>> {
    let Some(id) = accounts::find(connection, key)? else { return Ok(None) };
    let end = |sql| -> Result<Option<(ArchiveId, i64)>> {
        let mut select = connection.prepare_cached(sql)?;
        let mut rows = select.query([id])?;
        rows.next()?.map(|row| Ok((uid(row, 0)?, row.get(1)?))).transpose()
    };
    Ok(end(FIRST)?.zip(end(LAST)?).map(|(first, last)| ArchiveEnds { first, last }))
}
