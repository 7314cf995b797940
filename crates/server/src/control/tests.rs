//! Both sides of the socket, over a real store.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use rjabberd_storage::{DataFolder, RosterEvent, SqliteOptions, SqliteStore, Store};
use rjabberd_xmpp::sasl::{Credentials, ScramHash, ScramKeys};
use rjabberd_xmpp::{BareJid, FullJid};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use zeroize::Zeroizing;

use super::*;
use crate::accounts::{AccountError, Accounts, LiveSessions, Offload, Operations, PoolFull, ThreadPerJob};
use crate::config::{Sources, load};

/// Notes whose sessions were ended.
#[derive(Default)]
struct Ended(Mutex<Vec<String>>);

impl LiveSessions for Ended {
    fn account_removed(&self, account: &BareJid, _: Option<&FullJid>) -> BoxFuture<'static, ()> {
        self.0.lock().unwrap().push(format!("removed {account}"));
        future::ready(()).boxed()
    }

    fn rosters_changed(&self, _: &BareJid, _: &[RosterEvent]) {}

    fn credentials_changed(&self, account: &BareJid, _: Option<&FullJid>) -> BoxFuture<'static, ()> {
        self.0.lock().unwrap().push(format!("changed {account}"));
        future::ready(()).boxed()
    }
}

struct AlwaysFull;

impl Offload for AlwaysFull {
    fn run(&self, _: Box<dyn FnOnce() + Send>) -> Result<(), PoolFull> {
        Err(PoolFull)
    }
}

struct Harness {
    data: DataFolder,
    store: Arc<dyn Store>,
    ended: Arc<Ended>,
    client: Client,
    _folder: tempfile::TempDir,
}

/// A control server on a store with hosts a.example and b.example (which derives one key only), and a client.
async fn harness_in(sub: &str, offload: Arc<dyn Offload>) -> Harness {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(sub);
    let file = folder.path().join("x.toml");
    let text = "hosts = [\"a.example\", \"b.example\"]\nauth.iterations = 4096\n\
                [host.\"b.example\"]\nauth.mechanisms = [\"SCRAM-SHA-256\"]\n";
    std::fs::write(&file, text).unwrap();
    let config = load(Sources { file: Some(file), data: Some(path.clone()), ..Sources::default() }).unwrap();
    let data = DataFolder::open(&path).unwrap();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(data.path(), SqliteOptions::default()).unwrap());
    let ended = Arc::new(Ended::default());
    let accounts = Accounts::new(&config, store.clone(), offload, ended.clone());
    tokio::spawn(
        ControlSocket::bind(&data).unwrap().serve(Arc::new(accounts), Arc::new(|| serde_json::Value::Null)),
    );
    let client = Client::connect(data.path()).await.unwrap().unwrap();
    Harness { data, store, ended, client, _folder: folder }
}

async fn harness() -> Harness {
    harness_in("data", Arc::new(ThreadPerJob)).await
}

fn jid(text: &str) -> BareJid {
    text.parse().unwrap()
}

fn password(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

impl Harness {
    fn ended(&self) -> Vec<String> {
        std::mem::take(&mut self.ended.0.lock().unwrap())
    }

    async fn knows(&self, account: &str, text: &str) -> bool {
        let Some(login) = self.store.load_login(&jid(account)).await.unwrap() else { return false };
        login
            .credentials
            .keys
            .iter()
            .all(|keys| ScramKeys::derive(keys.hash, text, &keys.salt, keys.iterations).unwrap() == *keys)
    }

    /// What the server answers to these bytes, until it closes or `lines` have come.
    async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(self.data.file(SOCKET)).await.unwrap();
        // A server that cuts us off while we write is one of the cases.
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }
}

#[tokio::test]
async fn an_account_lives_its_life_over_the_socket() {
    let it = harness().await;
    it.client.add(jid("romeo@a.example"), password("one")).await.unwrap();
    assert!(it.knows("romeo@a.example", "one").await);
    assert_eq!(it.client.add(jid("romeo@a.example"), password("x")).await, Err(AccountError::Exists));
    assert_eq!(it.ended(), [""; 0]);
    it.client.set_password(jid("romeo@a.example"), password("two")).await.unwrap();
    assert!(it.knows("romeo@a.example", "two").await);
    assert_eq!(it.ended(), ["changed romeo@a.example"]);
    it.client.set_disabled(jid("romeo@a.example"), true).await.unwrap();
    assert!(it.store.load_login(&jid("romeo@a.example")).await.unwrap().unwrap().disabled);
    assert_eq!(it.ended(), ["changed romeo@a.example"]);
    it.client.set_disabled(jid("romeo@a.example"), false).await.unwrap();
    assert_eq!(it.ended(), [""; 0]);
    it.client.remove(jid("romeo@a.example")).await.unwrap();
    assert_eq!(it.ended(), ["removed romeo@a.example"]);
    assert_eq!(it.client.remove(jid("romeo@a.example")).await, Err(AccountError::Unknown));
    assert_eq!(it.ended(), [""; 0]);
}

#[tokio::test]
async fn a_refusal_comes_back_as_it_is() {
    let it = harness().await;
    let refused = |jid_text: &'static str, text: &'static str| it.client.add(jid(jid_text), password(text));
    assert_eq!(refused("x@c.example", "p").await, Err(AccountError::ForeignHost("c.example".to_owned())));
    assert_eq!(refused("a.example", "p").await, Err(AccountError::NoName));
    assert_eq!(refused("x@a.example", "").await, Err(AccountError::BadPassword));
    let full = harness_in("data", Arc::new(AlwaysFull)).await;
    assert_eq!(full.client.add(jid("x@a.example"), password("p")).await, Err(AccountError::Busy));
}

#[tokio::test]
async fn a_host_decides_which_keys_are_derived() {
    let it = harness().await;
    it.client.add(jid("x@a.example"), password("p")).await.unwrap();
    it.client.add(jid("x@b.example"), password("p")).await.unwrap();
    let mut hashes = HashMap::new();
    for host in ["a.example", "b.example"] {
        let login = it.store.load_login(&jid(&format!("x@{host}"))).await.unwrap().unwrap();
        let found: Vec<ScramHash> = login.credentials.keys.iter().map(|keys| keys.hash).collect();
        let salts: std::collections::HashSet<Vec<u8>> =
            login.credentials.keys.iter().map(|keys| keys.salt.clone()).collect();
        assert_eq!(salts.len(), found.len(), "each key has a salt of its own");
        hashes.insert(host, found.len());
    }
    assert_eq!(hashes, HashMap::from([("a.example", 3), ("b.example", 1)]));
}

#[tokio::test]
async fn a_list_comes_in_pages_and_by_domain() {
    let it = harness().await;
    let one = ScramKeys::derive(ScramHash::Sha256, "p", b"some salt", 4096).unwrap();
    let batch = |domain: &str, count: usize| -> Vec<(BareJid, Credentials)> {
        let keys = Credentials { keys: vec![one.clone()], digest: None };
        (0..count).map(|number| (jid(&format!("user{number:04}@{domain}")), keys.clone())).collect()
    };
    let counts = it.client.import(batch("a.example", 500), false).await.unwrap();
    assert_eq!((counts.created, counts.replaced, counts.skipped), (500, 0, 0));
    it.client.import(batch("b.example", 2), false).await.unwrap();
    let counts = it.client.import(batch("b.example", 3), true).await.unwrap();
    assert_eq!((counts.created, counts.replaced, counts.skipped), (1, 2, 0));
    assert_eq!(
        it.ended(),
        ["changed user0000@b.example", "changed user0001@b.example", "changed user0002@b.example"]
    );
    let first = it.client.list(None, None).await.unwrap();
    assert_eq!(first.len(), 500);
    let rest = it.client.list(None, first.last().map(|account| account.jid.clone())).await.unwrap();
    assert_eq!(
        rest.iter().map(|account| account.jid.to_string()).collect::<Vec<_>>(),
        ["user0000@b.example", "user0001@b.example", "user0002@b.example"]
    );
    assert_eq!(it.client.list(Some("b.example".to_owned()), None).await.unwrap(), rest);
    let keys = it.store.load_login(&jid("user0001@a.example")).await.unwrap().unwrap().credentials;
    assert!(keys.keys == [one], "the keys arrive as they were sent");
}

#[tokio::test]
async fn an_import_with_a_foreign_host_changes_nothing() {
    let it = harness().await;
    let one = ScramKeys::derive(ScramHash::Sha256, "p", b"some salt", 4096).unwrap();
    let keys = Credentials { keys: vec![one], digest: None };
    let batch = vec![(jid("x@a.example"), keys.clone()), (jid("x@c.example"), keys)];
    let error = it.client.import(batch, false).await.unwrap_err();
    assert_eq!(error, AccountError::ForeignHost("c.example".to_owned()));
    assert_eq!(it.client.list(None, None).await.unwrap(), []);
}

#[tokio::test]
async fn a_line_that_is_not_understood_is_answered_without_its_content() {
    let it = harness().await;
    let answer =
        it.raw(b"{\"do\":\"add\",\"account\":\"x@a.example\",\"pass\":\"hush\"}\n{\"do\":\"list\"}\n").await;
    let lines: Vec<&str> = answer.lines().collect();
    assert_eq!(lines.len(), 2, "{answer}");
    assert!(lines[0].starts_with("{\"malformed\":\"not understood at column "), "{answer}");
    assert!(!answer.contains("hush"));
    assert_eq!(lines[1], "{\"accounts\":[]}");
    let answer = it.raw(b"{\"do\":\"remove\",\"account\":\"x@a.example/r\"}\n").await;
    assert_eq!(answer, "{\"malformed\":\"\\\"x@a.example/r\\\" has a resource: an account has none\"}\n");
}

#[tokio::test]
async fn a_line_that_never_ends_is_cut_off() {
    let it = harness().await;
    let mut line = vec![b'x'; 2 * protocol::LINE_BYTES_MAX];
    line.push(b'\n');
    assert_eq!(it.raw(&line).await, "");
    assert_eq!(it.client.list(None, None).await.unwrap(), [], "others go on");
}

#[tokio::test]
async fn only_the_owner_may_open_the_socket_and_it_goes_with_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let data = DataFolder::open(&folder.path().join("data")).unwrap();
    let socket = ControlSocket::bind(&data).unwrap();
    let mode = std::fs::metadata(data.file(SOCKET)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    drop(socket);
    assert!(!data.file(SOCKET).exists());
}

#[tokio::test]
async fn what_a_killed_server_left_behind_is_no_server_and_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Client::connect(&folder.path().join("nothing")).await.unwrap().is_none());
    let data = DataFolder::open(&folder.path().join("data")).unwrap();
    assert!(Client::connect(data.path()).await.unwrap().is_none());
    drop(std::os::unix::net::UnixListener::bind(data.file(SOCKET)).unwrap());
    assert!(data.file(SOCKET).exists());
    assert!(Client::connect(data.path()).await.unwrap().is_none());
    let _socket = ControlSocket::bind(&data).unwrap();
    assert!(Client::connect(data.path()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_folder_with_a_very_long_name_has_a_socket_too() {
    let it = harness_in(&"long".repeat(40), Arc::new(ThreadPerJob)).await;
    it.client.add(jid("romeo@a.example"), password("one")).await.unwrap();
    assert!(it.data.file(SOCKET).as_os_str().len() > 108);
}
