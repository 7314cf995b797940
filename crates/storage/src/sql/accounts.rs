//! The statements behind the account operations. Each function runs inside a transaction that its caller commits, and
//! decides nothing about threads, groups or answers.

use super::connection::{Connection, OptionalExtension, Row};
use super::value::params;
use rjabberd_xmpp::address::BareJid;
use rjabberd_xmpp::sasl::{Credentials, DigestKey, KeyShape, ScramHash, ScramKeys};
use zeroize::Zeroizing;

use super::tokens;
use crate::error::StoreError;
use crate::store::{Account, ImportCounts, Login};

type Result<T> = std::result::Result<T, StoreError>;

/// The address of an account as the table has it.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) domain: String,
    pub(crate) localpart: String,
}

impl Key {
    /// `None` for an address without a local part, which is no account.
    pub(crate) fn new(account: &BareJid) -> Option<Key> {
        let localpart = account.node()?.as_str().to_owned();
        Some(Key { domain: account.domain().as_str().to_owned(), localpart })
    }
}

/// Refuses keys that no login could use, before they replace good ones.
pub(crate) fn check(account: &BareJid, credentials: &Credentials) -> Result<()> {
    if credentials.keys.is_empty() {
        return refuse(account, "there are none");
    }
    check_added(account, credentials)
}

fn refuse(account: &BareJid, why: &str) -> Result<()> {
    Err(StoreError::Invalid(format!("the keys of {account}: {why}")))
}

/// The same for keys that stand beside others.
pub(crate) fn check_added(account: &BareJid, credentials: &Credentials) -> Result<()> {
    let refuse = |why: &str| refuse(account, why);
    for (index, keys) in credentials.keys.iter().enumerate() {
        let length = key_length(keys.hash);
        if credentials.keys[..index].iter().any(|other| other.hash == keys.hash) {
            return refuse("two for one hash");
        }
        if keys.iterations == 0 {
            return refuse("no iterations");
        }
        if keys.salt.is_empty() {
            return refuse("no salt");
        }
        if keys.stored_key.len() != length || keys.server_key.len() != length {
            return refuse("a key has not the length of its hash");
        }
    }
    Ok(())
}

fn key_length(hash: ScramHash) -> usize {
    match hash {
        ScramHash::Sha1 => 20,
        ScramHash::Sha256 => 32,
        ScramHash::Sha512 => 64,
    }
}

fn hash_name(hash: ScramHash) -> &'static str {
    match hash {
        ScramHash::Sha1 => "sha-1",
        ScramHash::Sha256 => "sha-256",
        ScramHash::Sha512 => "sha-512",
    }
}

fn hash_named(name: &str) -> Option<ScramHash> {
    [ScramHash::Sha1, ScramHash::Sha256, ScramHash::Sha512].into_iter().find(|hash| hash_name(*hash) == name)
}

pub(crate) fn load_login(connection: &Connection, key: &Key) -> Result<Option<Login>> {
    let mut select = connection.prepare_cached(
        "SELECT account.disabled, scram_key.hash, scram_key.iterations, scram_key.salt, scram_key.stored_key,
                scram_key.server_key, digest_key.key
         FROM account LEFT JOIN scram_key ON scram_key.account_id = account.id
              LEFT JOIN digest_key ON digest_key.account_id = account.id
         WHERE account.domain = ?1 AND account.localpart = ?2",
    )?;
    let mut rows = select.query(params![&key.domain, &key.localpart])?;
    let mut login: Option<Login> = None;
    while let Some(row) = &rows.next()? {
        if login.is_none() {
            let digest = digest_key(row)?;
            let credentials = Credentials { keys: Vec::new(), digest };
            login = Some(Login { credentials, disabled: row.get(0)? });
        }
        let Some(login) = &mut login else { continue };
        if let Some(keys) = scram_keys(row)? {
            login.credentials.keys.push(keys);
        }
    }
    match login {
        Some(login) if login.credentials.keys.is_empty() => {
            Err(StoreError::damaged("an account has no keys"))
        }
        login => Ok(login),
    }
}

fn digest_key(row: &Row<'_>) -> Result<Option<DigestKey>> {
    let key: Option<[u8; 16]> = row.get(6)?;
    Ok(key.map(|key| DigestKey(Zeroizing::new(key))))
}

fn scram_keys(row: &Row<'_>) -> Result<Option<ScramKeys>> {
    let Some(hash) = row.get_ref(1)?.as_str_or_null()? else {
        return Ok(None);
    };
    let hash = hash_named(hash).ok_or_else(|| StoreError::damaged("a key has an unknown hash"))?;
    let keys = ScramKeys {
        hash,
        iterations: row.get(2)?,
        salt: row.get(3)?,
        stored_key: Zeroizing::new(row.get(4)?),
        server_key: Zeroizing::new(row.get(5)?),
    };
    if keys.stored_key.len() != key_length(hash) || keys.server_key.len() != key_length(hash) {
        return Err(StoreError::damaged("a key has not the length of its hash"));
    }
    Ok(Some(keys))
}

pub(crate) fn exists(connection: &Connection, key: &Key) -> Result<bool> {
    Ok(find(connection, key)?.is_some())
}

pub(crate) const FIND: &str = "SELECT id FROM account WHERE domain = ?1 AND localpart = ?2";

pub(crate) fn find(connection: &Connection, key: &Key) -> Result<Option<i64>> {
    let mut select = connection.prepare_cached(FIND)?;
    select.query_row(params![&key.domain, &key.localpart], |row| row.get(0)).optional()
}

pub(crate) fn create(
    connection: &Connection,
    key: &Key,
    credentials: &Credentials,
    now_unix_s: i64,
) -> Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO account (domain, localpart, created_unix_s, credentials_set_unix_s) VALUES (?1, ?2, ?3, ?3)
         ON CONFLICT (domain, localpart) DO NOTHING RETURNING id",
    )?;
    let id = insert.query_row(params![key.domain, key.localpart, now_unix_s], |row| row.get(0)).optional()?;
    insert_keys(connection, id.ok_or(StoreError::Conflict)?, credentials)
}

/// Replaces all keys: the old password works by no mechanism any more, and neither does what was given out for it.
pub(crate) fn set_credentials(
    connection: &Connection,
    key: &Key,
    credentials: &Credentials,
    now_unix_s: i64,
) -> Result<()> {
    let id = find(connection, key)?.ok_or(StoreError::NotFound)?;
    connection.prepare_cached("DELETE FROM scram_key WHERE account_id = ?1")?.run(params![id])?;
    connection.prepare_cached("DELETE FROM digest_key WHERE account_id = ?1")?.run(params![id])?;
    tokens::end_all(connection, id)?;
    connection
        .prepare_cached("UPDATE account SET credentials_set_unix_s = ?2 WHERE id = ?1")?
        .run(params![id, now_unix_s])?;
    insert_keys(connection, id, credentials)
}

fn insert_keys(connection: &Connection, id: i64, credentials: &Credentials) -> Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO scram_key (account_id, hash, iterations, salt, stored_key, server_key)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for keys in &credentials.keys {
        insert.run(params![
            id,
            hash_name(keys.hash),
            keys.iterations,
            keys.salt,
            keys.stored_key.as_slice(),
            keys.server_key.as_slice()
        ])?;
    }
    if let Some(DigestKey(key)) = &credentials.digest {
        connection
            .prepare_cached("INSERT INTO digest_key (account_id, key) VALUES (?1, ?2)")?
            .run(params![id, key.as_slice()])?;
    }
    Ok(())
}

/// Adds keys, in the place of those for the same hash; `witness` says which password they are of.
pub(crate) fn add_keys(
    connection: &Connection,
    key: &Key,
    witness: &ScramKeys,
    credentials: &Credentials,
) -> Result<()> {
    let login = load_login(connection, key)?.ok_or(StoreError::NotFound)?;
    if !login.credentials.keys.contains(witness) {
        return Err(StoreError::Conflict);
    }
    let id = find(connection, key)?.ok_or(StoreError::NotFound)?;
    // Not by REPLACE, which would not run the trigger that counts them out.
    let mut delete =
        connection.prepare_cached("DELETE FROM scram_key WHERE account_id = ?1 AND hash = ?2")?;
    for keys in &credentials.keys {
        delete.run(params![id, hash_name(keys.hash)])?;
    }
    if credentials.digest.is_some() {
        connection.prepare_cached("DELETE FROM digest_key WHERE account_id = ?1")?.run(params![id])?;
    }
    insert_keys(connection, id, credentials)
}

/// Most shapes of keys that are told of.
const SHAPES_MAX: u32 = 1_000;

pub(crate) const SHAPES: &str = "
    SELECT hash, iterations, salt_bytes, accounts FROM key_shape WHERE domain = ?1
    ORDER BY accounts DESC, hash, iterations, salt_bytes LIMIT ?2";

/// Which keys the accounts of a domain have, the most common first.
pub(crate) fn key_shapes(connection: &Connection, domain: &str) -> Result<Vec<KeyShape>> {
    let mut select = connection.prepare_cached(SHAPES)?;
    let mut rows = select.query(params![domain, SHAPES_MAX])?;
    let mut shapes = Vec::new();
    while let Some(row) = &rows.next()? {
        let hash: String = row.get(0)?;
        shapes.push(KeyShape {
            hash: hash_named(&hash).ok_or_else(|| StoreError::damaged("a key has an unknown hash"))?,
            iterations: row.get(1)?,
            salt_bytes: row.get::<u32>(2)? as usize,
            accounts: u64::from(row.get::<u32>(3)?),
        });
    }
    Ok(shapes)
}

pub(crate) fn remove(connection: &Connection, key: &Key) -> Result<()> {
    let mut delete = connection.prepare_cached("DELETE FROM account WHERE domain = ?1 AND localpart = ?2")?;
    found(delete.execute(params![&key.domain, &key.localpart])?)
}

pub(crate) fn set_disabled(connection: &Connection, key: &Key, disabled: bool) -> Result<()> {
    let mut update =
        connection.prepare_cached("UPDATE account SET disabled = ?3 WHERE domain = ?1 AND localpart = ?2")?;
    found(update.execute(params![key.domain, key.localpart, disabled])?)?;
    if disabled {
        // Whoever has a stolen one is not to come back with the owner.
        let id = find(connection, key)?.ok_or(StoreError::NotFound)?;
        tokens::end_all(connection, id)?;
    }
    Ok(())
}

fn found(changed: usize) -> Result<()> {
    if changed == 0 { Err(StoreError::NotFound) } else { Ok(()) }
}

/// A page of accounts behind `after`, found by the index: the cost is that of the page, wherever it lies.
pub(crate) fn list(
    connection: &Connection,
    domain: Option<&str>,
    after: Option<&Key>,
    limit: usize,
) -> Result<Vec<Account>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    // Before every account there is the empty text, which is no domain and no local part.
    let (after_domain, after_localpart) =
        after.map_or(("", ""), |key| (key.domain.as_str(), key.localpart.as_str()));
    let mut select = connection.prepare_cached(if domain.is_some() { LIST_DOMAIN } else { LIST_ALL })?;
    let mut rows = match domain {
        None => select.query(params![limit, after_domain, after_localpart])?,
        Some(domain) if domain < after_domain => return Ok(Vec::new()),
        Some(domain) if domain > after_domain => select.query(params![limit, domain, ""])?,
        Some(domain) => select.query(params![limit, domain, after_localpart])?,
    };
    let mut accounts = Vec::new();
    while let Some(row) = &rows.next()? {
        accounts.push(account(row)?);
    }
    Ok(accounts)
}

pub(crate) const LIST_ALL: &str = "
    SELECT domain, localpart, disabled, created_unix_s, credentials_set_unix_s FROM account
    WHERE (domain, localpart) > (?2, ?3) ORDER BY domain, localpart LIMIT ?1";

pub(crate) const LIST_DOMAIN: &str = "
    SELECT domain, localpart, disabled, created_unix_s, credentials_set_unix_s FROM account
    WHERE domain = ?2 AND localpart > ?3 ORDER BY domain, localpart LIMIT ?1";

fn account(row: &Row<'_>) -> Result<Account> {
    Ok(Account {
        jid: address(row, 0)?,
        disabled: row.get(2)?,
        created_unix_s: row.get(3)?,
        credentials_set_unix_s: row.get(4)?,
    })
}

/// Reads the address of an account whose columns begin at `first`: domain, localpart.
pub(crate) fn address(row: &Row<'_>, first: usize) -> Result<BareJid> {
    let domain: String = row.get(first)?;
    let localpart: String = row.get(first + 1)?;
    BareJid::new(&format!("{localpart}@{domain}"))
        .map_err(|_| StoreError::damaged("an account has an address that is none"))
}

pub(crate) fn import(
    connection: &Connection,
    batch: &[(Key, Credentials)],
    replace: bool,
    now_unix_s: i64,
) -> Result<ImportCounts> {
    let mut counts = ImportCounts::default();
    for (key, credentials) in batch {
        match create(connection, key, credentials, now_unix_s) {
            Ok(()) => counts.created += 1,
            Err(StoreError::Conflict) if replace => {
                set_credentials(connection, key, credentials, now_unix_s)?;
                counts.replaced += 1;
            }
            Err(StoreError::Conflict) => counts.skipped += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(counts)
}

const SERVER_SECRET: &str = "server_secret";

/// Keeps `fresh` as the server's secret unless there is one.
pub(crate) fn make_server_secret(connection: &Connection, fresh: &[u8]) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO server_value (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING",
        )?
        .run(params![SERVER_SECRET, fresh])
}

pub(crate) fn server_secret(connection: &Connection) -> Result<Zeroizing<Vec<u8>>> {
    let mut select = connection.prepare_cached("SELECT value FROM server_value WHERE name = ?1")?;
    let secret: Option<Vec<u8>> = select.query_row(params![SERVER_SECRET], |row| row.get(0)).optional()?;
    secret.map(Zeroizing::new).ok_or_else(|| StoreError::damaged("the server's secret is gone"))
}
