//! The rows of rosters: how an item is kept, found and counted. What becomes of one is decided in
//! [`rosters`](super::rosters).

use super::connection::{Connection, OptionalExtension, Row};
use super::value::params;
use bytes::Bytes;
use rjabberd_xmpp::address::BareJid;
use rjabberd_xmpp::roster::{Half, RosterItem, SubscriptionState};

use super::accounts::{self, Key};
use crate::error::StoreError;

type Result<T> = std::result::Result<T, StoreError>;

/// Between the names of groups: no XML can hold it.
pub(crate) const GROUP_SEPARATOR: char = '\u{1f}';

/// An account whose roster is read or changed.
pub(crate) struct Owner {
    pub(crate) id: i64,
    pub(crate) account: BareJid,
    /// Changes of its roster.
    pub(crate) changes: i64,
}

pub(crate) const OWNER: &str = "SELECT id, roster_changes FROM account WHERE domain = ?1 AND localpart = ?2";

pub(crate) fn owner(connection: &Connection, account: &BareJid) -> Result<Option<Owner>> {
    let Some(key) = Key::new(account) else { return Ok(None) };
    let mut select = connection.prepare_cached(OWNER)?;
    let owner = |row: &Row<'_>| Ok(Owner { id: row.get(0)?, account: account.clone(), changes: row.get(1)? });
    select.query_row(params![&key.domain, &key.localpart], owner).optional()
}

pub(crate) const FIND: &str = "
    SELECT contact, listed, half_to, half_from, approved, name, group_list FROM roster_item
    WHERE account_id = ?1 AND contact = ?2";

pub(crate) fn find(connection: &Connection, owner: &Owner, contact: &BareJid) -> Result<Option<RosterItem>> {
    let mut select = connection.prepare_cached(FIND)?;
    let mut rows = select.query(params![owner.id, contact.as_str()])?;
    rows.next()?.map(|row| item(&row, 0)).transpose()
}

pub(crate) const OF: &str = "
    SELECT contact, listed, half_to, half_from, approved, name, group_list FROM roster_item
    WHERE account_id = ?1 ORDER BY contact";

/// All items of an account, in the order of their addresses.
pub(crate) fn of(connection: &Connection, owner: &Owner) -> Result<Vec<RosterItem>> {
    let mut select = connection.prepare_cached(OF)?;
    let mut rows = select.query(params![owner.id])?;
    let mut items = Vec::new();
    while let Some(row) = &rows.next()? {
        items.push(item(row, 0)?);
    }
    Ok(items)
}

/// Reads an item whose columns begin at `first`: contact, listed, half_to, half_from, approved, name, group_list.
pub(crate) fn item(row: &Row<'_>, first: usize) -> Result<RosterItem> {
    let text = |column| row.get_ref(first + column)?.as_str_or_null();
    let contact = text(0)?.unwrap_or_default();
    let groups = text(6)?.map(|names| names.split(GROUP_SEPARATOR).map(str::to_owned).collect());
    Ok(RosterItem {
        jid: BareJid::new(contact)
            .map_err(|_| StoreError::damaged("a contact has an address that is none"))?,
        name: text(5)?.map(str::to_owned),
        groups: groups.unwrap_or_default(),
        state: SubscriptionState {
            to: half(row.get(first + 2)?)?,
            from: half(row.get(first + 3)?)?,
            approved: row.get(first + 4)?,
        },
        listed: row.get(first + 1)?,
    })
}

fn half(number: i64) -> Result<Half> {
    match number {
        0 => Ok(Half::None),
        1 => Ok(Half::Pending),
        2 => Ok(Half::Granted),
        _ => Err(StoreError::damaged("a subscription is in no state")),
    }
}

fn half_number(half: Half) -> i64 {
    match half {
        Half::None => 0,
        Half::Pending => 1,
        Half::Granted => 2,
    }
}

/// Writes an item. A request takes the place of an older one; it goes when nothing is asked for any more.
pub(crate) fn write(
    connection: &Connection,
    owner: &Owner,
    item: &RosterItem,
    request: Option<&Bytes>,
) -> Result<()> {
    let request_no = request.map(|_| number_request(connection, owner)).transpose()?;
    let groups = item.groups.join(GROUP_SEPARATOR.encode_utf8(&mut [0; 4]));
    let mut upsert = connection.prepare_cached(
        "INSERT INTO roster_item
             (account_id, contact, listed, half_to, half_from, approved, name, group_list, request_no, request)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT (account_id, contact) DO UPDATE SET
             listed = excluded.listed, half_to = excluded.half_to, half_from = excluded.half_from,
             approved = excluded.approved, name = excluded.name, group_list = excluded.group_list,
             request_no = CASE excluded.half_from WHEN 1 THEN coalesce(excluded.request_no, roster_item.request_no) END,
             request = CASE excluded.half_from WHEN 1 THEN coalesce(excluded.request, roster_item.request) END",
    )?;
    upsert.run(params![
        owner.id,
        item.jid.as_str(),
        item.listed,
        half_number(item.state.to),
        half_number(item.state.from),
        item.state.approved,
        item.name,
        (!item.groups.is_empty()).then_some(groups),
        request_no,
        request.map(|stanza| &stanza[..]),
    ])?;
    Ok(())
}

fn number_request(connection: &Connection, owner: &Owner) -> Result<i64> {
    let mut update = connection.prepare_cached(
        "UPDATE account SET roster_requests = roster_requests + 1 WHERE id = ?1 RETURNING roster_requests",
    )?;
    Ok(update.query_row(params![owner.id], |row| row.get(0))?)
}

pub(crate) fn delete(connection: &Connection, owner: &Owner, contact: &BareJid) -> Result<()> {
    let mut delete =
        connection.prepare_cached("DELETE FROM roster_item WHERE account_id = ?1 AND contact = ?2")?;
    delete.run(params![owner.id, contact.as_str()])?;
    Ok(())
}

/// The roster has another version from here on.
pub(crate) fn count_change(connection: &Connection, owner: &mut Owner) -> Result<()> {
    owner.changes += 1;
    let mut update = connection.prepare_cached("UPDATE account SET roster_changes = ?2 WHERE id = ?1")?;
    update.run(params![owner.id, owner.changes])?;
    Ok(())
}

pub(crate) const COUNT: &str = "SELECT count(*) FROM roster_item WHERE account_id = ?1 AND listed = ?2";

/// How many items are listed, or are not.
pub(crate) fn count(connection: &Connection, owner: &Owner, listed: bool) -> Result<usize> {
    let mut select = connection.prepare_cached(COUNT)?;
    let count: i64 = select.query_row(params![owner.id, listed], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or_default())
}

pub(crate) const REQUEST_BYTES: &str =
    "SELECT coalesce(sum(length(request)), 0) FROM roster_item WHERE account_id = ?1";

/// The bytes of all requests that wait.
pub(crate) fn request_bytes(connection: &Connection, owner: &Owner) -> Result<usize> {
    let mut select = connection.prepare_cached(REQUEST_BYTES)?;
    let bytes: i64 = select.query_row(params![owner.id], |row| row.get(0))?;
    Ok(usize::try_from(bytes).unwrap_or_default())
}

pub(crate) const APPROVERS: &str = "
    SELECT account.domain, account.localpart FROM roster_item JOIN account ON account.id = roster_item.account_id
    WHERE roster_item.contact = ?1 AND roster_item.approved = 1";

/// Who has approved a request of this contact that has not come.
pub(crate) fn approvers(connection: &Connection, contact: &BareJid) -> Result<Vec<BareJid>> {
    let mut select = connection.prepare_cached(APPROVERS)?;
    let mut rows = select.query(params![contact.as_str()])?;
    let mut approvers = Vec::new();
    while let Some(row) = &rows.next()? {
        approvers.push(accounts::address(row, 0)?);
    }
    Ok(approvers)
}
