//! What the tests of the store share: addresses, keys that differ by a number, and waiting for an answer.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test program uses a part of it, and stops"
)]

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rjabberd_storage::{
    DATABASE_FILE, Follow, PostgresOptions, PostgresUrl, Profile, SqlStore, SqliteOptions, Store,
};
use rjabberd_xmpp::address::BareJid;
use rjabberd_xmpp::sasl::{Credentials, ScramHash, ScramKeys};
use zeroize::Zeroizing;

pub fn jid(text: &str) -> BareJid {
    BareJid::new(text).unwrap()
}

/// Keys of one hash; another `seed` gives others.
pub fn keys(hash: ScramHash, seed: u32) -> ScramKeys {
    let length = match hash {
        ScramHash::Sha1 => 20,
        ScramHash::Sha256 => 32,
        ScramHash::Sha512 => 64,
    };
    let fill = |tag: u8| {
        let mut bytes = vec![tag; length];
        bytes[..4].copy_from_slice(&seed.to_be_bytes());
        bytes
    };
    ScramKeys {
        hash,
        iterations: 4_096 + seed,
        salt: fill(0),
        stored_key: Zeroizing::new(fill(0xff)),
        server_key: Zeroizing::new(fill(0x80)),
    }
}

/// Keys of the two hashes that an account usually has.
pub fn credentials(seed: u32) -> Credentials {
    Credentials { keys: vec![keys(ScramHash::Sha1, seed), keys(ScramHash::Sha256, seed)], digest: None }
}

/// The seed that an account's keys were made from; panics if they are not whole.
pub fn seed(found: &Credentials) -> u32 {
    let seed = found.keys[0].iterations - 4_096;
    assert!(*found == credentials(seed), "the keys are a mixture");
    seed
}

/// The folder of a test and, where `RJABBERD_TEST_POSTGRES` names a database, a schema of its own in that. All tests that
/// speak to the trait run on either: `scripts/postgres run cargo nextest run -p rjabberd_storage`.
pub struct Home {
    folder: tempfile::TempDir,
    postgres: Option<Schema>,
}

pub fn home() -> Home {
    let postgres = std::env::var("RJABBERD_TEST_POSTGRES").ok().map(|url| Schema::new(&url));
    Home { folder: tempfile::tempdir().unwrap(), postgres }
}

impl Home {
    /// The rows of an answer, each as its columns with `|` between them.
    pub fn table(&self, sql: &str) -> Vec<String> {
        match &self.postgres {
            Some(schema) => schema.ask(sql),
            None => ask_file(&self.folder.path().join(DATABASE_FILE), sql),
        }
    }

    /// The URL of the schema.
    pub fn url(&self) -> &str {
        &self.postgres.as_ref().unwrap().urls[1]
    }

    /// The name of the schema.
    pub fn name(&self) -> &str {
        &self.postgres.as_ref().unwrap().name
    }

    /// How many rows a table has.
    pub fn rows(&self, table: &str) -> i64 {
        self.table(&format!("SELECT count(*) FROM {table}"))[0].parse().unwrap()
    }
}

fn ask_file(path: &Path, sql: &str) -> Vec<String> {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut select = connection.prepare(sql).unwrap();
    let columns = select.column_count();
    let read = |row: &rusqlite::Row<'_>| {
        let column = |number| match row.get::<_, rusqlite::types::Value>(number).unwrap() {
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => format!("{other:?}"),
        };
        Ok((0..columns).map(column).collect::<Vec<_>>().join("|"))
    };
    select.query_map([], read).unwrap().map(Result::unwrap).collect()
}

/// A schema of a database that is there for one test.
pub struct Schema {
    name: String,
    /// Of the database, and of the schema in it.
    urls: [String; 2],
}

impl Schema {
    fn new(url: &str) -> Schema {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let inside = format!("{url}?options=-c%20search_path%3D{name}");
        let schema = Schema { urls: [url.to_owned(), inside], name };
        ask_server(&schema.urls[0], &format!("CREATE SCHEMA {}", schema.name));
        schema
    }

    fn ask(&self, sql: &str) -> Vec<String> {
        ask_server(&self.urls[1], sql)
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            ask_server(&self.urls[0], &format!("DROP SCHEMA {} CASCADE", self.name));
        }
    }
}

pub fn ask_server(url: &str, sql: &str) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let rows = client.simple_query(sql).await.unwrap();
        let rows = rows.into_iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        rows.map(|row| {
            (0..row.len()).map(|column| row.get(column).unwrap_or("NULL")).collect::<Vec<_>>().join("|")
        })
        .collect()
    })
}

pub fn open(home: &Home) -> SqlStore {
    match &home.postgres {
        Some(schema) => {
            let url = PostgresUrl::parse(&schema.urls[1]).unwrap();
            SqlStore::connect(&url, PostgresOptions::default()).unwrap()
        }
        None => open_file(&home.folder),
    }
}

/// A store in a file, for what is said of files alone.
pub fn open_file(folder: &tempfile::TempDir) -> SqlStore {
    SqlStore::open(folder.path(), SqliteOptions::default()).unwrap()
}

pub fn wait<F: Future>(answer: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(answer)
}

/// A store with these accounts of example.net.
pub fn with_accounts(names: &[&str]) -> (Home, SqlStore) {
    let folder = home();
    let store = open(&folder);
    for (name, seed) in names.iter().zip(1..) {
        wait(store.create_account(&account(name), credentials(seed))).unwrap();
    }
    (folder, store)
}

pub fn account(name: &str) -> BareJid {
    jid(&format!("{name}@example.net"))
}

pub fn profile(store: &SqlStore, name: &str) -> Arc<Profile> {
    wait(store.load_profile(&account(name))).unwrap().unwrap()
}

/// For whom what follows does not matter.
pub fn nothing<T: 'static>() -> Follow<T> {
    Box::new(|_| ())
}
