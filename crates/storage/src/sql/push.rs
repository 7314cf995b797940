//! Push registrations (XEP-0357), as text that nobody here looks into.

use super::connection::Connection;
use super::value::params;
use rjabberd_xmpp::Jid;
use rjabberd_xmpp::address::BareJid;

use super::accounts::{self, Key};
use super::operations::{now_unix_s, weight};
use super::{SqlStore, answered};
use crate::error::StoreError;
use crate::store::{Answer, PushRegistration, PushStore};

type Result<T> = std::result::Result<T, StoreError>;

impl PushStore for SqlStore {
    fn enable_push(
        &self,
        account: &BareJid,
        registration: PushRegistration,
        registrations_max: usize,
    ) -> Answer<()> {
        let Some(key) = Key::new(account) else { return answered(Err(StoreError::NotFound)) };
        self.write(weight(registration.options.len()), move |connection| {
            enable(connection, &key, &registration, registrations_max, now_unix_s())
        })
    }

    fn disable_push(&self, account: &BareJid, service: &Jid, node: Option<&str>) -> Answer<usize> {
        let Some(key) = Key::new(account) else { return answered(Ok(0)) };
        let (service, node) = (service.as_str().to_owned(), node.map(str::to_owned));
        self.write(1, move |connection| disable(connection, &key, &service, node.as_deref()))
    }

    fn load_push(&self, account: &BareJid) -> Answer<Vec<PushRegistration>> {
        match Key::new(account) {
            Some(key) => self.read(move |connection| load(connection, &key)),
            None => answered(Ok(Vec::new())),
        }
    }
}

pub(crate) const COUNT: &str = "SELECT count(*) FROM push_registration WHERE account_id = ?1";

fn enable(
    connection: &Connection,
    key: &Key,
    registration: &PushRegistration,
    registrations_max: usize,
    now_unix_s: i64,
) -> Result<()> {
    let id = accounts::find(connection, key)?.ok_or(StoreError::NotFound)?;
    let PushRegistration { service, node, options } = registration;
    let service = service.as_str();
    let row = params![id, service, node, options, now_unix_s];
    let updated = connection
        .prepare_cached(
            "UPDATE push_registration SET options = ?4, enabled_unix_s = ?5
             WHERE account_id = ?1 AND service = ?2 AND node = ?3",
        )?
        .execute(row)?;
    if updated > 0 {
        return Ok(());
    }
    let count: i64 = connection.prepare_cached(COUNT)?.query_row(params![id], |row| row.get(0))?;
    if usize::try_from(count).is_ok_and(|count| count >= registrations_max) {
        return Err(StoreError::Full);
    }
    connection
        .prepare_cached(
            "INSERT INTO push_registration (account_id, service, node, options, enabled_unix_s)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .run(row)?;
    Ok(())
}

fn disable(connection: &Connection, key: &Key, service: &str, node: Option<&str>) -> Result<usize> {
    let Some(id) = accounts::find(connection, key)? else { return Ok(0) };
    let removed = match node {
        Some(node) => connection
            .prepare_cached(
                "DELETE FROM push_registration WHERE account_id = ?1 AND service = ?2 AND node = ?3",
            )?
            .execute(params![id, service, node])?,
        None => connection
            .prepare_cached("DELETE FROM push_registration WHERE account_id = ?1 AND service = ?2")?
            .execute(params![id, service])?,
    };
    Ok(removed)
}

pub(crate) const LOAD: &str = "
    SELECT service, node, options FROM push_registration
    WHERE account_id = (SELECT id FROM account WHERE domain = ?1 AND localpart = ?2) ORDER BY service, node";

fn load(connection: &Connection, key: &Key) -> Result<Vec<PushRegistration>> {
    let mut select = connection.prepare_cached(LOAD)?;
    let mut rows = select.query(params![&key.domain, &key.localpart])?;
    let mut registrations = Vec::new();
    while let Some(row) = &rows.next()? {
        let service: String = row.get(0)?;
        let service = Jid::new(&service).map_err(|_| StoreError::damaged("a push service has no address"))?;
        registrations.push(PushRegistration { service, node: row.get(1)?, options: row.get(2)? });
    }
    Ok(registrations)
}
