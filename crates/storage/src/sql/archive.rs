//! Message archives. The row of an archive holds its sums, so that nothing is counted and each message gets a time behind
//! that of the one before it; pages are found by that time, never by counting rows.

use super::connection::{Connection, OptionalExtension, Row};
use super::value::params;
use bytes::Bytes;
use rjabberd_xmpp::Jid;
use rjabberd_xmpp::address::BareJid;

use super::SqlStore;
use super::accounts::{self, Key};
use super::answered;
use super::operations::weight;
use crate::error::StoreError;
use crate::store::archive::{
    ArchiveAppend, ArchiveEnds, ArchiveId, ArchiveOtherwise, ArchivePage, ArchivePlace, ArchivePrefs,
    ArchiveQuery, ArchiveStore, ArchivedMessage, Trimmed,
};
use crate::store::{Answer, Follow};

type Result<T> = std::result::Result<T, StoreError>;

/// Separates addresses in a list.
const SEPARATOR: char = '\u{1F}';

/// Archives that one transaction of [`ArchiveStore::trim_archives`] looks at.
const TRIMMED_AT_ONCE: usize = 200;

/// Messages that go with their account; the others go later, so that nobody waits for them.
const FORGOTTEN_AT_ONCE: usize = 2_000;

impl ArchiveStore for SqlStore {
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
        self.read(load_prefs)
    }

    fn save_archive_prefs(&self, account: &BareJid, prefs: ArchivePrefs, follow: Follow<()>) -> Answer<()> {
        let Some(key) = Key::new(account) else { return self.refuse(Some(follow), StoreError::NotFound) };
        self.change(1, Some(follow), move |connection, _| save_prefs(connection, &key, &prefs))
    }

    fn trim_archives(
        &self,
        after: i64,
        before_unix_us: i64,
        messages_max: u64,
        removed_max: usize,
    ) -> Answer<Trimmed> {
        let limits = Limits { before_unix_us, messages_max };
        self.write(1, move |connection| trim(connection, after, limits, removed_max))
    }
}

pub(crate) const COUNT_IN: &str = "
    INSERT INTO archive (account_id, messages, last_unix_us)
    SELECT id, 1, ?3 FROM account WHERE domain = ?1 AND localpart = ?2
    ON CONFLICT (account_id) DO UPDATE
    SET messages = archive.messages + 1,
        last_unix_us = CASE WHEN archive.last_unix_us < excluded.last_unix_us
                            THEN excluded.last_unix_us ELSE archive.last_unix_us + 1 END
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
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (account_id, uid) DO NOTHING",
    )?;
    let uid = &place.id.0[..];
    let inserted =
        insert.execute(params![id, stamp_unix_us, uid, contact.as_str(), resource, &message.stanza[..]])?;
    if inserted == 0 {
        // It is there: an answer was lost, and it was asked again.
        let mut update =
            connection.prepare_cached("UPDATE archive SET messages = messages - 1 WHERE account_id = ?1")?;
        update.run(params![id])?;
    }
    Ok(())
}

pub(crate) const LISTED: &str = "
    SELECT EXISTS (SELECT 1 FROM roster_item WHERE account_id = ?1 AND contact = ?2 AND listed = 1)";

fn is_listed(connection: &Connection, key: &Key, contact: &BareJid) -> Result<bool> {
    let Some(id) = accounts::find(connection, key)? else { return Ok(false) };
    let mut select = connection.prepare_cached(LISTED)?;
    Ok(select.query_row(params![id, contact.as_str()], |row| row.get(0))?)
}

/// What an archive holds between two moments, with everybody or with one contact (of one resource, or any), from either
/// end.
pub(crate) const ALL: &str = "
    SELECT uid, stamp_unix_us, stanza FROM archive_message
    WHERE account_id = ?1 AND stamp_unix_us BETWEEN ?2 AND ?3 ORDER BY stamp_unix_us LIMIT ?4";
pub(crate) const ALL_BACKWARDS: &str = "
    SELECT uid, stamp_unix_us, stanza FROM archive_message
    WHERE account_id = ?1 AND stamp_unix_us BETWEEN ?2 AND ?3 ORDER BY stamp_unix_us DESC LIMIT ?4";
pub(crate) const WITH: &str = "
    SELECT uid, stamp_unix_us, stanza FROM archive_message
    WHERE account_id = ?1 AND contact = ?4 AND stamp_unix_us BETWEEN ?2 AND ?3 AND (?5 = '' OR resource = ?5)
    ORDER BY stamp_unix_us LIMIT ?6";
pub(crate) const WITH_BACKWARDS: &str = "
    SELECT uid, stamp_unix_us, stanza FROM archive_message
    WHERE account_id = ?1 AND contact = ?4 AND stamp_unix_us BETWEEN ?2 AND ?3 AND (?5 = '' OR resource = ?5)
    ORDER BY stamp_unix_us DESC LIMIT ?6";
pub(crate) const COUNT_ALL: &str =
    "SELECT count(*) FROM archive_message WHERE account_id = ?1 AND stamp_unix_us BETWEEN ?2 AND ?3";
pub(crate) const COUNT_WITH: &str = "
    SELECT count(*) FROM archive_message
    WHERE account_id = ?1 AND contact = ?4 AND stamp_unix_us BETWEEN ?2 AND ?3 AND (?5 = '' OR resource = ?5)";
pub(crate) const ONE: &str = "
    SELECT uid, stamp_unix_us, stanza, contact, resource FROM archive_message WHERE account_id = ?1 AND uid = ?2";
pub(crate) const PLACE: &str = "SELECT stamp_unix_us FROM archive_message WHERE account_id = ?1 AND uid = ?2";

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
    // One more than the page, which says whether it is the last.
    let limit = i64::try_from(query.messages_max).unwrap_or(i64::MAX).saturating_add(1);
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = match &range.contact {
        None => select.query(params![range.id, range.from, range.to, limit])?,
        Some((contact, resource)) => {
            select.query(params![range.id, range.from, range.to, contact.as_str(), resource, limit])?
        }
    };
    let mut page = Page::new(query);
    while let Some(row) = &rows.next()? {
        if page.is_full_for(row.get_ref(2)?.bytes()) {
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
        let Some(row) = &rows.next()? else { continue };
        if !has_contact(row, range)? {
            continue;
        }
        count += 1;
        full = full || page.is_full_for(row.get_ref(2)?.bytes());
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
    let stanza = Bytes::from(row.get::<Vec<u8>>(2)?);
    Ok(ArchivedMessage { id: uid(row, 0)?, stamp_unix_us: row.get(1)?, stanza })
}

fn uid(row: &Row<'_>, column: usize) -> Result<ArchiveId> {
    Ok(ArchiveId(row.get(column)?))
}

pub(crate) const FIRST: &str =
    "SELECT uid, stamp_unix_us FROM archive_message WHERE account_id = ?1 ORDER BY stamp_unix_us LIMIT 1";
pub(crate) const LAST: &str = "SELECT uid, stamp_unix_us FROM archive_message WHERE account_id = ?1 ORDER BY stamp_unix_us DESC LIMIT 1";

fn ends(connection: &Connection, key: &Key) -> Result<Option<ArchiveEnds>> {
    let Some(id) = accounts::find(connection, key)? else { return Ok(None) };
    let end = |sql| -> Result<Option<(ArchiveId, i64)>> {
        let mut select = connection.prepare_cached(sql)?;
        let mut rows = select.query(params![id])?;
        rows.next()?.map(|row| Ok((uid(&row, 0)?, row.get(1)?))).transpose()
    };
    Ok(end(FIRST)?.zip(end(LAST)?).map(|(first, last)| ArchiveEnds { first, last }))
}

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
fn load_prefs(connection: &Connection) -> Result<Vec<(BareJid, ArchivePrefs)>> {
    let mut select = connection.prepare_cached(
        "SELECT account.domain, account.localpart, otherwise, always, never
         FROM archive_prefs JOIN account ON account.id = archive_prefs.account_id",
    )?;
    let mut rows = select.query(params![])?;
    let mut found = Vec::new();
    while let Some(row) = &rows.next()? {
        let account = accounts::address(row, 0)?;
        let otherwise = otherwise_named(&row.get::<String>(2)?)?;
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

fn save_prefs(connection: &Connection, key: &Key, prefs: &ArchivePrefs) -> Result<()> {
    let id = accounts::find(connection, key)?.ok_or(StoreError::NotFound)?;
    let text = |jids: &[Jid]| {
        jids.iter().map(Jid::as_str).collect::<Vec<_>>().join(SEPARATOR.encode_utf8(&mut [0; 4]))
    };
    let mut upsert = connection.prepare_cached(
        "INSERT INTO archive_prefs (account_id, otherwise, always, never) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (account_id) DO UPDATE
         SET otherwise = excluded.otherwise, always = excluded.always, never = excluded.never",
    )?;
    upsert.run(params![id, otherwise_name(prefs.otherwise), text(&prefs.always), text(&prefs.never)])?;
    Ok(())
}

/// What an archive may hold.
#[derive(Clone, Copy)]
struct Limits {
    before_unix_us: i64,
    messages_max: u64,
}

pub(crate) const ARCHIVES: &str = "
    SELECT account_id, messages, EXISTS (SELECT 1 FROM account WHERE account.id = archive.account_id)
    FROM archive WHERE account_id > ?1 ORDER BY account_id LIMIT ?2";
pub(crate) const OLDEST: &str = "
    SELECT max(stamp_unix_us), count(*) FROM (
        SELECT stamp_unix_us FROM archive_message
        WHERE account_id = ?1 AND stamp_unix_us < ?2 ORDER BY stamp_unix_us LIMIT ?3) AS oldest";
pub(crate) const FORGET: &str = "DELETE FROM archive_message WHERE account_id = ?1 AND stamp_unix_us <= ?2";

fn trim(connection: &Connection, after: i64, limits: Limits, removed_max: usize) -> Result<Trimmed> {
    let mut select = connection.prepare_cached(ARCHIVES)?;
    let archives = select.rows(params![after, TRIMMED_AT_ONCE as i64], |row| {
        Ok((row.get::<i64>(0)?, row.get::<i64>(1)?, row.get::<bool>(2)?))
    })?;
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
            connection.prepare_cached("DELETE FROM archive WHERE account_id = ?1")?.run(params![id])?;
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
        select.query_row(params![id, before_unix_us, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some(last) = last else { return Ok(0) };
    connection.prepare_cached(FORGET)?.run(params![id, last])?;
    let mut update =
        connection.prepare_cached("UPDATE archive SET messages = messages - ?2 WHERE account_id = ?1")?;
    update.run(params![id, count])?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// An account goes: with it as much of its archive as nobody has to wait for; [`trim`] sees to the rest.
pub(crate) fn end(connection: &Connection, key: &Key) -> Result<()> {
    let Some(id) = accounts::find(connection, key)? else { return Ok(()) };
    if forget(connection, id, i64::MAX, FORGOTTEN_AT_ONCE)? < FORGOTTEN_AT_ONCE {
        connection.prepare_cached("DELETE FROM archive WHERE account_id = ?1")?.run(params![id])?;
    }
    Ok(())
}
