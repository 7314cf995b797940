//! What the tests of the store share: addresses, keys that differ by a number, and waiting for an answer.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test program uses a part of it, and stops"
)]

use std::future::Future;
use std::sync::Arc;

use rjabberd_storage::{Follow, Profile, SqliteOptions, SqliteStore, Store};
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

pub fn open(folder: &tempfile::TempDir) -> SqliteStore {
    SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap()
}

pub fn wait<F: Future>(answer: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(answer)
}

/// A store with these accounts of example.net.
pub fn with_accounts(names: &[&str]) -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    for (name, seed) in names.iter().zip(1..) {
        wait(store.create_account(&account(name), credentials(seed))).unwrap();
    }
    (folder, store)
}

pub fn account(name: &str) -> BareJid {
    jid(&format!("{name}@example.net"))
}

pub fn profile(store: &SqliteStore, name: &str) -> Arc<Profile> {
    wait(store.load_profile(&account(name))).unwrap().unwrap()
}

/// For whom what follows does not matter.
pub fn nothing<T: 'static>() -> Follow<T> {
    Box::new(|_| ())
}
