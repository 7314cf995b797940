//! The nodes of accounts and what was published there (XEP-0163). The account's row holds the sum of the bytes, a node's
//! row the number of its items; each change keeps them right.

use super::connection::{Connection, OptionalExtension, Row};
use super::value::params;
use rjabberd_xmpp::address::{self, BareJid};

use super::accounts::{self, Key};
use super::operations::weight;
use super::{SqlStore, answered};
use crate::error::StoreError;
use crate::store::{
    Answer, Follow, PepAffiliation, PepChange, PepDeed, PepExpect, PepItem, PepItems, PepLast, PepLimits,
    PepNode, PepPick, PepStamp, PepStore,
};

type Result<T> = std::result::Result<T, StoreError>;

impl PepStore for SqlStore {
    fn load_pep_nodes(&self, account: &BareJid) -> Answer<Vec<PepNode>> {
        match Key::new(account) {
            Some(key) => self.read(move |connection| match accounts::find(connection, &key)? {
                Some(id) => nodes(connection, id, |_| true),
                None => Ok(Vec::new()),
            }),
            None => answered(Ok(Vec::new())),
        }
    }

    fn load_pep_node(&self, account: &BareJid, node: &str) -> Answer<Option<PepNode>> {
        let Some(key) = Key::new(account) else { return answered(Ok(None)) };
        let node = node.to_owned();
        self.read(move |connection| load_node(connection, &key, &node))
    }

    fn load_pep_items(
        &self,
        account: &BareJid,
        node: &str,
        pick: PepPick,
        bytes_max: usize,
    ) -> Answer<Option<PepItems>> {
        let Some(key) = Key::new(account) else { return answered(Ok(None)) };
        let node = node.to_owned();
        self.read(move |connection| {
            let Some(node) = load_node(connection, &key, &node)? else { return Ok(None) };
            let (items, is_whole) = load_items(connection, node.stamp.node, &pick, bytes_max)?;
            Ok(Some(PepItems { node, items, is_whole }))
        })
    }

    fn load_pep_last(
        &self,
        accounts: Vec<BareJid>,
        nodes: Vec<String>,
        bytes_max: usize,
    ) -> Answer<Vec<PepLast>> {
        self.read(move |connection| load_last(connection, accounts, &nodes, bytes_max))
    }

    fn change_pep(
        &self,
        account: &BareJid,
        changes: Vec<PepChange>,
        limits: PepLimits,
        follow: Follow<Vec<Vec<String>>>,
    ) -> Answer<Vec<Vec<String>>> {
        let Some(key) = Key::new(account) else { return self.refuse(Some(follow), StoreError::NotFound) };
        let bytes = changes.iter().map(|change| match &change.deed {
            PepDeed::Publish(item, _) => item.payload.len(),
            _ => 0,
        });
        let weight = weight(bytes.sum()) + changes.len();
        self.change(weight, Some(follow), move |connection, _| change(connection, &key, &changes, limits))
    }
}

pub(crate) const NODE: &str = "
    SELECT number, changes, item_changes, items, name, config FROM pep_node
    WHERE account_id = (SELECT id FROM account WHERE domain = ?1 AND localpart = ?2) AND name = ?3";

pub(crate) const NODES: &str = "
    SELECT number, changes, item_changes, items, name, config FROM pep_node WHERE account_id = ?1 ORDER BY name";

fn read_node(row: &Row<'_>) -> Result<PepNode> {
    Ok(PepNode {
        stamp: PepStamp { node: row.get(0)?, changes: row.get(1)?, items: row.get(2)? },
        items: usize::try_from(row.get::<i64>(3)?).unwrap_or_default(),
        name: row.get(4)?,
        config: row.get(5)?,
        affiliations: Vec::new(),
        subscriptions: Vec::new(),
    })
}

pub(crate) const AFFILIATIONS: &str =
    "SELECT jid, affiliation FROM pep_affiliation WHERE node_number = ?1 ORDER BY jid";
pub(crate) const SUBSCRIPTIONS: &str = "SELECT jid FROM pep_subscription WHERE node_number = ?1 ORDER BY jid";

/// A node with its entities.
fn with_entities(connection: &Connection, mut node: PepNode) -> Result<PepNode> {
    let damaged = || StoreError::damaged("a node has an entity that is none");
    let mut select = connection.prepare_cached(AFFILIATIONS)?;
    let mut rows = select.query(params![node.stamp.node])?;
    while let Some(row) = &rows.next()? {
        let (jid, name): (String, String) = (row.get(0)?, row.get(1)?);
        let jid = BareJid::new(&jid).map_err(|_| damaged())?;
        node.affiliations.push((jid, PepAffiliation::from_name(&name).ok_or_else(damaged)?));
    }
    let mut select = connection.prepare_cached(SUBSCRIPTIONS)?;
    let mut rows = select.query(params![node.stamp.node])?;
    while let Some(row) = &rows.next()? {
        node.subscriptions.push(address::parse(&row.get::<String>(0)?).map_err(|_| damaged())?);
    }
    Ok(node)
}

fn nodes(connection: &Connection, account: i64, wanted: impl Fn(&str) -> bool) -> Result<Vec<PepNode>> {
    let mut select = connection.prepare_cached(NODES)?;
    let mut rows = select.query(params![account])?;
    let mut nodes = Vec::new();
    while let Some(row) = &rows.next()? {
        let is_wanted = row.get_ref(4)?.as_str_or_null()?.is_some_and(&wanted);
        if is_wanted {
            nodes.push(with_entities(connection, read_node(row)?)?);
        }
    }
    Ok(nodes)
}

fn load_node(connection: &Connection, key: &Key, name: &str) -> Result<Option<PepNode>> {
    let mut select = connection.prepare_cached(NODE)?;
    let node = select.query_row(params![&key.domain, &key.localpart, name], read_node).optional()?;
    node.map(|node| with_entities(connection, node)).transpose()
}

pub(crate) const ITEM: &str = "
    SELECT id, publisher, published_unix_s, payload FROM pep_item WHERE node_number = ?1 AND id = ?2";
pub(crate) const NUMBER: &str = "SELECT number FROM pep_item WHERE node_number = ?1 AND id = ?2";
pub(crate) const AFTER: &str = "
    SELECT id, publisher, published_unix_s, payload FROM pep_item
    WHERE node_number = ?1 AND number > ?2 ORDER BY number LIMIT ?3";
pub(crate) const BEFORE: &str = "
    SELECT id, publisher, published_unix_s, payload FROM pep_item
    WHERE node_number = ?1 AND number < ?2 ORDER BY number DESC LIMIT ?3";

fn read_item(row: &Row<'_>) -> Result<PepItem> {
    let publisher: String = row.get(1)?;
    let publisher = BareJid::new(&publisher).map_err(|_| StoreError::damaged("an item has no publisher"))?;
    Ok(PepItem { id: row.get(0)?, publisher, published_unix_s: row.get(2)?, payload: row.get(3)? })
}

/// Items in the order of their publication; and whether none was left out for want of room.
fn load_items(
    connection: &Connection,
    node: i64,
    pick: &PepPick,
    bytes_max: usize,
) -> Result<(Vec<PepItem>, bool)> {
    let mut room = Room { items: Vec::new(), bytes: 0, bytes_max };
    let (statement, from, count) = match pick {
        PepPick::Ids(ids) => {
            let mut select = connection.prepare_cached(ITEM)?;
            for id in ids {
                let mut rows = select.query(params![node, id])?;
                if let Some(row) = &rows.next()?
                    && !room.take(read_item(row)?)
                {
                    return Ok((room.items, false));
                }
            }
            return Ok((room.items, true));
        }
        PepPick::After(id, count) => (AFTER, number(connection, node, id.as_deref(), 0)?, count),
        PepPick::Before(id, count) => (BEFORE, number(connection, node, id.as_deref(), i64::MAX)?, count),
    };
    let count = i64::try_from(*count).unwrap_or(i64::MAX);
    let mut select = connection.prepare_cached(statement)?;
    let mut rows = select.query(params![node, from, count])?;
    let mut is_whole = true;
    while is_whole && let Some(row) = &rows.next()? {
        is_whole = room.take(read_item(row)?);
    }
    if statement == BEFORE {
        room.items.reverse();
    }
    Ok((room.items, is_whole))
}

/// The place of an item in the order.
fn number(connection: &Connection, node: i64, id: Option<&str>, otherwise: i64) -> Result<i64> {
    let Some(id) = id else { return Ok(otherwise) };
    let mut select = connection.prepare_cached(NUMBER)?;
    select.query_row(params![node, id], |row| row.get(0)).optional()?.ok_or(StoreError::NotFound)
}

/// Items as far as there is room; the first always has some.
struct Room {
    items: Vec<PepItem>,
    bytes: usize,
    bytes_max: usize,
}

impl Room {
    fn take(&mut self, item: PepItem) -> bool {
        self.bytes = self.bytes.saturating_add(item.id.len() + item.payload.len());
        let fits = self.items.is_empty() || self.bytes <= self.bytes_max;
        if fits {
            self.items.push(item);
        }
        fits
    }
}

fn load_last(
    connection: &Connection,
    accounts: Vec<BareJid>,
    names: &[String],
    bytes_max: usize,
) -> Result<Vec<PepLast>> {
    let mut found = Vec::new();
    let mut bytes: usize = 0;
    for account in accounts {
        let Some(key) = Key::new(&account) else { continue };
        let Some(id) = accounts::find(connection, &key)? else { continue };
        for node in nodes(connection, id, |name| names.iter().any(|wanted| wanted == name))? {
            let newest = PepPick::Before(None, 1);
            let (items, _) = load_items(connection, node.stamp.node, &newest, 0)?;
            let Some(item) = items.into_iter().next() else { continue };
            bytes = bytes.saturating_add(item.payload.len());
            if bytes > bytes_max {
                return Ok(found);
            }
            found.push(PepLast { account: account.clone(), node, item });
        }
    }
    Ok(found)
}

pub(crate) const BYTES: &str = "SELECT pep_bytes FROM account WHERE id = ?1";

/// Carries changes out; its caller rolls back what was done if one is refused.
fn change(
    connection: &Connection,
    key: &Key,
    changes: &[PepChange],
    limits: PepLimits,
) -> Result<Vec<Vec<String>>> {
    let account = accounts::find(connection, key)?.ok_or(StoreError::NotFound)?;
    let mut gone = Vec::with_capacity(changes.len());
    for change in changes {
        gone.push(apply(connection, account, change, limits)?);
    }
    let bytes: i64 = connection.prepare_cached(BYTES)?.query_row(params![account], |row| row.get(0))?;
    let grows = changes.iter().any(|change| matches!(change.deed, PepDeed::Publish(..)));
    if grows && usize::try_from(bytes).is_ok_and(|bytes| bytes > limits.bytes_max) {
        return Err(StoreError::Full);
    }
    Ok(gone)
}

pub(crate) const FIND: &str =
    "SELECT number, changes, item_changes FROM pep_node WHERE account_id = ?1 AND name = ?2";

fn apply(
    connection: &Connection,
    account: i64,
    change: &PepChange,
    limits: PepLimits,
) -> Result<Vec<String>> {
    let mut select = connection.prepare_cached(FIND)?;
    let found = select
        .query_row(params![account, change.node], |row| {
            Ok(PepStamp { node: row.get(0)?, changes: row.get(1)?, items: row.get(2)? })
        })
        .optional()?;
    check(change.expects, found)?;
    if let PepDeed::Create(config) = &change.deed {
        if found.is_some() {
            return Err(StoreError::Conflict);
        }
        return create(connection, account, &change.node, config, limits.nodes_max).map(|()| Vec::new());
    }
    let node = Node { connection, account, number: found.ok_or(StoreError::NotFound)?.node };
    match &change.deed {
        PepDeed::Create(_) | PepDeed::Nothing => Ok(Vec::new()),
        PepDeed::Configure(config, items_max) => {
            node.changed(Some(config))?;
            node.prune(*items_max)
        }
        PepDeed::Publish(item, items_max) => node.publish(item, *items_max),
        PepDeed::Retract(ids) => node.retract(ids),
        PepDeed::Purge => node.prune(0),
        PepDeed::Delete => node.delete(),
        PepDeed::Affiliate(entities) => node.affiliate(entities, limits.entities_max),
        PepDeed::Subscribe(entities) => {
            let entities = entities.iter().map(|(jid, is_there)| (jid.as_str(), *is_there));
            node.subscribe(entities, limits.entities_max)
        }
    }
}

fn check(expects: PepExpect, found: Option<PepStamp>) -> Result<()> {
    let is_so = match (expects, found) {
        (PepExpect::Any, None) => return Err(StoreError::NotFound),
        (PepExpect::Any, Some(_)) => true,
        (PepExpect::Absent, found) => found.is_none(),
        (PepExpect::State(stamp), found) => found == Some(stamp),
        (PepExpect::Node(stamp), found) => {
            found.is_some_and(|found| (found.node, found.changes) == (stamp.node, stamp.changes))
        }
    };
    if is_so { Ok(()) } else { Err(StoreError::Conflict) }
}

pub(crate) const COUNT: &str = "SELECT count(*) FROM pep_node WHERE account_id = ?1";

fn create(connection: &Connection, account: i64, name: &str, config: &str, nodes_max: usize) -> Result<()> {
    let nodes: i64 = connection.prepare_cached(COUNT)?.query_row(params![account], |row| row.get(0))?;
    if usize::try_from(nodes).is_ok_and(|nodes| nodes >= nodes_max) {
        return Err(StoreError::Full);
    }
    let mut insert =
        connection.prepare_cached("INSERT INTO pep_node (account_id, name, config) VALUES (?1, ?2, ?3)")?;
    insert.run(params![account, name, config])?;
    Ok(())
}

/// A node that is changed.
struct Node<'a> {
    connection: &'a Connection,
    account: i64,
    number: i64,
}

/// What is deleted beyond the newest so many.
pub(crate) const OLDEST: &str = "
    SELECT number, id, octet_length(id) + octet_length(payload) FROM pep_item
    WHERE node_number = ?1 ORDER BY number LIMIT ?2";
pub(crate) const COUNT_ITEMS: &str = "SELECT items FROM pep_node WHERE number = ?1";
pub(crate) const DELETE_ITEM: &str = "
    DELETE FROM pep_item WHERE node_number = ?1 AND id = ?2 RETURNING octet_length(id) + octet_length(payload)";
pub(crate) const COUNT_AFFILIATIONS: &str = "SELECT count(*) FROM pep_affiliation WHERE node_number = ?1";
pub(crate) const COUNT_SUBSCRIPTIONS: &str = "SELECT count(*) FROM pep_subscription WHERE node_number = ?1";

impl Node<'_> {
    /// The config or the entities are others now.
    fn changed(&self, config: Option<&str>) -> Result<()> {
        let mut update = self.connection.prepare_cached(
            "UPDATE pep_node SET changes = changes + 1, config = coalesce(?2, config) WHERE number = ?1",
        )?;
        update.run(params![self.number, config])?;
        Ok(())
    }

    /// So many items, and so many bytes of them, came or went.
    fn items_changed(&self, items: i64, bytes: i64) -> Result<()> {
        let mut update = self.connection.prepare_cached(
            "UPDATE pep_node SET item_changes = item_changes + 1, items = items + ?2 WHERE number = ?1",
        )?;
        update.run(params![self.number, items])?;
        let mut update =
            self.connection.prepare_cached("UPDATE account SET pep_bytes = pep_bytes + ?2 WHERE id = ?1")?;
        update.run(params![self.account, bytes])?;
        Ok(())
    }

    fn publish(&self, item: &PepItem, items_max: usize) -> Result<Vec<String>> {
        self.take_out(&item.id)?;
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO pep_item (node_number, id, publisher, published_unix_s, payload)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        let PepItem { id, publisher, published_unix_s, payload } = item;
        insert.run(params![self.number, id, publisher.as_str(), published_unix_s, payload])?;
        let bytes = i64::try_from(id.len() + payload.len()).unwrap_or(i64::MAX);
        self.items_changed(1, bytes)?;
        self.prune(items_max)
    }

    /// Whether an item was there.
    fn take_out(&self, id: &str) -> Result<bool> {
        let mut delete = self.connection.prepare_cached(DELETE_ITEM)?;
        let bytes: Option<i64> = delete.query_row(params![self.number, id], |row| row.get(0)).optional()?;
        if let Some(bytes) = bytes {
            self.items_changed(-1, -bytes)?;
        }
        Ok(bytes.is_some())
    }

    fn retract(&self, ids: &[String]) -> Result<Vec<String>> {
        for id in ids {
            if !self.take_out(id)? {
                return Err(StoreError::NotFound);
            }
        }
        Ok(ids.to_vec())
    }

    /// The oldest items go until there are no more than so many.
    fn prune(&self, items_max: usize) -> Result<Vec<String>> {
        let mut select = self.connection.prepare_cached(COUNT_ITEMS)?;
        let items: i64 = select.query_row(params![self.number], |row| row.get(0))?;
        let too_many = items - i64::try_from(items_max).unwrap_or(i64::MAX);
        if too_many <= 0 {
            return Ok(Vec::new());
        }
        let mut select = self.connection.prepare_cached(OLDEST)?;
        let mut rows = select.query(params![self.number, too_many])?;
        let (mut gone, mut numbers, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some(row) = &rows.next()? {
            numbers.push(row.get::<i64>(0)?);
            gone.push(row.get(1)?);
            bytes += row.get::<i64>(2)?;
        }
        let mut delete = self.connection.prepare_cached("DELETE FROM pep_item WHERE number = ?1")?;
        for number in &numbers {
            delete.run(params![number])?;
        }
        self.items_changed(-i64::try_from(numbers.len()).unwrap_or(i64::MAX), -bytes)?;
        Ok(gone)
    }

    fn delete(&self) -> Result<Vec<String>> {
        self.prune(0)?;
        self.connection
            .prepare_cached("DELETE FROM pep_node WHERE number = ?1")?
            .run(params![self.number])?;
        Ok(Vec::new())
    }

    fn affiliate(
        &self,
        entities: &[(BareJid, Option<PepAffiliation>)],
        entities_max: usize,
    ) -> Result<Vec<String>> {
        let mut delete = self
            .connection
            .prepare_cached("DELETE FROM pep_affiliation WHERE node_number = ?1 AND jid = ?2")?;
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO pep_affiliation (node_number, jid, affiliation) VALUES (?1, ?2, ?3)",
        )?;
        for (jid, affiliation) in entities {
            delete.run(params![self.number, jid.as_str()])?;
            if let Some(affiliation) = affiliation {
                insert.run(params![self.number, jid.as_str(), affiliation.name()])?;
            }
        }
        self.bounded(COUNT_AFFILIATIONS, entities_max)?;
        self.changed(None)?;
        Ok(Vec::new())
    }

    fn subscribe<'j>(
        &self,
        entities: impl Iterator<Item = (&'j str, bool)>,
        entities_max: usize,
    ) -> Result<Vec<String>> {
        let mut delete = self
            .connection
            .prepare_cached("DELETE FROM pep_subscription WHERE node_number = ?1 AND jid = ?2")?;
        let mut insert = self
            .connection
            .prepare_cached("INSERT INTO pep_subscription (node_number, jid) VALUES (?1, ?2)")?;
        for (jid, is_there) in entities {
            delete.run(params![self.number, jid])?;
            if is_there {
                insert.run(params![self.number, jid])?;
            }
        }
        self.bounded(COUNT_SUBSCRIPTIONS, entities_max)?;
        self.changed(None)?;
        Ok(Vec::new())
    }

    fn bounded(&self, count: &'static str, max: usize) -> Result<()> {
        let count: i64 =
            self.connection.prepare_cached(count)?.query_row(params![self.number], |row| row.get(0))?;
        if usize::try_from(count).is_ok_and(|count| count > max) { Err(StoreError::Full) } else { Ok(()) }
    }
}
