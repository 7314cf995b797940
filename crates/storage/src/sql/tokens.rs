//! Tokens of FAST (XEP-0484), two places for each client of an account ([`rjabberd_xmpp::sasl::Tokens`]).
//!
//! Each change is one transaction, which its caller commits: whoever logs in by a token finds it as it is, not as it was
//! when it was looked up. Nothing here says what a token is good for, or until when.

use super::connection::{Connection, OptionalExtension, Row};
use super::value::{Value, params};
use rjabberd_xmpp::sasl::{ClientId, FastToken, TokenChange, TokenMechanism, Tokens, UsedToken};
use zeroize::Zeroizing;

use super::accounts::{self, Key};
use crate::error::StoreError;

type Result<T> = std::result::Result<T, StoreError>;

/// A client as the table has it.
fn bytes(client: ClientId) -> [u8; 16] {
    client.0.to_be_bytes()
}

pub(crate) const LOAD: &str = "
    SELECT slot, mechanism, secret, issued_unix_s, expires_unix_s, count
    FROM account LEFT JOIN fast_token ON fast_token.account_id = account.id AND fast_token.client = ?3
    WHERE account.domain = ?1 AND account.localpart = ?2 AND account.disabled = 0";

/// The tokens of a client; `None` for an account that may not log in.
pub(crate) fn load(connection: &Connection, key: &Key, client: ClientId) -> Result<Option<Tokens>> {
    let mut select = connection.prepare_cached(LOAD)?;
    let mut rows = select.query(params![key.domain, key.localpart, bytes(client)])?;
    let mut tokens = None;
    while let Some(row) = &rows.next()? {
        let tokens = tokens.get_or_insert_with(Tokens::default);
        match row.get_ref(0)?.as_str_or_null()? {
            Some("current") => tokens.current = Some(token(row)?),
            Some(_) => tokens.fresh = Some(token(row)?),
            // The account has no token of that client.
            None => {}
        }
    }
    Ok(tokens)
}

fn token(row: &Row<'_>) -> Result<FastToken> {
    let mechanism: String = row.get(1)?;
    let mechanism = TokenMechanism::from_name(&mechanism)
        .ok_or_else(|| StoreError::damaged("a token has an unknown mechanism"))?;
    Ok(FastToken {
        mechanism,
        secret: Zeroizing::new(row.get(2)?),
        issued_unix_s: row.get(3)?,
        expires_unix_s: row.get(4)?,
        count: row.get(5)?,
    })
}

pub(crate) const FIND_ENABLED: &str =
    "SELECT id FROM account WHERE domain = ?1 AND localpart = ?2 AND disabled = 0";

/// What a login does to the tokens of a client; the account keeps those of at most `clients_max` clients.
pub(crate) fn change(
    connection: &Connection,
    key: &Key,
    client: ClientId,
    change: &TokenChange,
    clients_max: usize,
) -> Result<()> {
    let mut select = connection.prepare_cached(FIND_ENABLED)?;
    let id: Option<i64> =
        select.query_row(params![&key.domain, &key.localpart], |row| row.get(0)).optional()?;
    let id = id.ok_or(StoreError::NotFound)?;
    check_password(connection, key, change)?;
    let found = change.used.as_ref().map(|used| find(connection, id, client, used)).transpose()?;
    if change.revoke {
        connection.prepare_cached(REVOKE)?.run(params![id, bytes(client)])?;
    } else if let (Some(used), Some(found)) = (&change.used, found) {
        settle(connection, id, client, used, found)?;
    }
    if let Some(token) = &change.issue {
        issue(connection, id, client, token)?;
        let others_max = i64::try_from(clients_max).unwrap_or(i64::MAX).max(1) - 1;
        connection.prepare_cached(CROWD_OUT)?.run(params![id, bytes(client), others_max])?;
    }
    Ok(())
}

/// Who began to log in by a password before it was changed gets nothing that outlives it.
fn check_password(connection: &Connection, key: &Key, change: &TokenChange) -> Result<()> {
    if change.witnesses.is_empty() {
        return Ok(());
    }
    let login = accounts::load_login(connection, key)?.ok_or(StoreError::NotFound)?;
    let stands = change.witnesses.iter().any(|witness| login.credentials.keys.contains(witness));
    if stands { Ok(()) } else { Err(StoreError::Conflict) }
}

/// Where the used token is by now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Current,
    Fresh,
}

pub(crate) const USED: &str = "
    SELECT slot, count FROM fast_token WHERE account_id = ?1 AND client = ?2 AND secret = ?3 AND mechanism = ?4";

/// The used token must be there, and its count not seen. Another login by the same token may have made it the current
/// one since it was looked up: that is not its end.
fn find(connection: &Connection, id: i64, client: ClientId, used: &UsedToken) -> Result<Found> {
    let mut select = connection.prepare_cached(USED)?;
    let (secret, mechanism) = (used.token.secret.as_str(), used.token.mechanism.name());
    let found: Option<(bool, u32)> = select
        .query_row(params![id, bytes(client), secret, mechanism], |row| {
            Ok((row.get_ref(0)? == Value::Text("current"), row.get(1)?))
        })
        .optional()?;
    match found {
        Some((_, count)) if used.token.count > 0 && count >= used.token.count => Err(StoreError::Conflict),
        Some((true, _)) => Ok(Found::Current),
        Some((false, _)) => Ok(Found::Fresh),
        None => Err(StoreError::Conflict),
    }
}

pub(crate) const REVOKE: &str = "DELETE FROM fast_token WHERE account_id = ?1 AND client = ?2";

/// A fresh token that was used takes the place of the one before it; a current one notes its count, if it has one.
fn settle(connection: &Connection, id: i64, client: ClientId, used: &UsedToken, found: Found) -> Result<()> {
    let (client, count) = (bytes(client), used.token.count);
    if found == Found::Fresh {
        connection
            .prepare_cached(
                "DELETE FROM fast_token WHERE account_id = ?1 AND client = ?2 AND slot = 'current'",
            )?
            .run(params![id, client])?;
        connection
            .prepare_cached(
                "UPDATE fast_token SET slot = 'current', count = CASE WHEN count < ?3 THEN ?3 ELSE count END
                 WHERE account_id = ?1 AND client = ?2 AND slot = 'fresh'",
            )?
            .run(params![id, client, count])?;
    } else if count > 0 {
        connection
            .prepare_cached(
                "UPDATE fast_token SET count = ?3
                 WHERE account_id = ?1 AND client = ?2 AND slot = 'current'",
            )?
            .run(params![id, client, count])?;
    }
    Ok(())
}

fn issue(connection: &Connection, id: i64, client: ClientId, token: &FastToken) -> Result<()> {
    let mut upsert = connection.prepare_cached(
        "INSERT INTO fast_token
             (account_id, client, slot, mechanism, secret, issued_unix_s, expires_unix_s, count)
         VALUES (?1, ?2, 'fresh', ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (account_id, client, slot) DO UPDATE SET
             mechanism = excluded.mechanism, secret = excluded.secret, issued_unix_s = excluded.issued_unix_s,
             expires_unix_s = excluded.expires_unix_s, count = excluded.count",
    )?;
    upsert.run(params![
        id,
        bytes(client),
        token.mechanism.name(),
        token.secret.as_str(),
        token.issued_unix_s,
        token.expires_unix_s,
        token.count
    ])?;
    Ok(())
}

/// Of the other clients those stay whose newest token is the newest. An account has few: what is sorted is short.
pub(crate) const CROWD_OUT: &str = "
    DELETE FROM fast_token WHERE account_id = ?1 AND client IN (
        SELECT client FROM fast_token WHERE account_id = ?1 AND client <> ?2
        GROUP BY client ORDER BY max(issued_unix_s) DESC, client LIMIT 1000000 OFFSET ?3)";

/// All tokens of an account end: its password is another, or it may not log in.
pub(crate) fn end_all(connection: &Connection, id: i64) -> Result<()> {
    connection.prepare_cached(END_ALL)?.run(params![id])?;
    Ok(())
}

pub(crate) const END_ALL: &str = "DELETE FROM fast_token WHERE account_id = ?1";

pub(crate) const EXPIRED: &str = "
    SELECT account_id, client, slot FROM fast_token
    WHERE expires_unix_s < ?1 ORDER BY expires_unix_s LIMIT ?2";

/// Forgets up to so many tokens that ended before a moment, the first of them first.
pub(crate) fn expire(connection: &Connection, ended_before_unix_s: i64, tokens_max: usize) -> Result<usize> {
    let limit = i64::try_from(tokens_max).unwrap_or(i64::MAX);
    let mut select = connection.prepare_cached(EXPIRED)?;
    let places = select.rows(params![ended_before_unix_s, limit], |row| {
        Ok((row.get::<i64>(0)?, row.get::<Vec<u8>>(1)?, row.get::<String>(2)?))
    })?;
    let mut delete = connection
        .prepare_cached("DELETE FROM fast_token WHERE account_id = ?1 AND client = ?2 AND slot = ?3")?;
    for (id, client, slot) in &places {
        delete.run(params![id, client, slot])?;
    }
    Ok(places.len())
}
