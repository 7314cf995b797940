//! A server without connections, for tests: a store in memory that answers at once, sessions that keep what they get,
//! and what users are told.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::FutureExt;
use parking_lot::Mutex;
use rjabberd_actors::{probe::Probe, reply};
use rjabberd_session_manager::{
    Claim, ConflictPolicy, Control, Deliver, Rules, Seat, SessionManager, SessionManagerPorts, SessionTable,
};
use rjabberd_storage::{
    Answer as Stored, Follow, LastActivity, OfflineLimits, PepChange, PepItems, PepLast, PepLimits, PepNode,
    PepPick, PepStore, Profile, PushRegistration, PushStore, SqliteOptions, SqliteStore, Store, StoreError,
};
use rjabberd_xml::read_element;
use rjabberd_xmpp::roster::{Half, RosterItem};
use rjabberd_xmpp::sasl::{Credentials, ScramHash, ScramKeys};
use rjabberd_xmpp::{BareJid, FullJid, Jid, Stanza, StanzaError, StanzaKind, address};

use crate::{Answer, Clock, ContactAddresses, Im, Limits, Sender, Services};

pub(crate) const HOST: &str = "example.net";
pub(crate) const ROMEO: &str = "romeo@example.net/orchard";
pub(crate) const JULIET: &str = "juliet@example.net/balcony";

const LONG: Duration = Duration::from_secs(20);

/// A store in memory. It says that it is not available while it is broken.
#[derive(Default)]
pub(crate) struct Keeper {
    pub(crate) broken: AtomicBool,
    pub(crate) kept: Mutex<Kept>,
    nodes: OnceLock<Nodes>,
}

#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) profiles: HashMap<String, Profile>,
    pub(crate) private: HashMap<(String, String, String), String>,
    pub(crate) vcards: HashMap<String, (String, Option<[u8; 20]>)>,
    pub(crate) blocks: BTreeMap<String, Vec<Jid>>,
    pub(crate) activities: HashMap<String, LastActivity>,
    pub(crate) push: HashMap<String, Vec<PushRegistration>>,
    /// How many came in each batch.
    pub(crate) batches: Vec<usize>,
}

impl Keeper {
    fn answer<T: Send + 'static>(&self, deed: impl FnOnce(&mut Kept) -> Result<T, StoreError>) -> Stored<T> {
        std::future::ready(self.result(deed)).boxed()
    }

    fn result<T>(&self, deed: impl FnOnce(&mut Kept) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match self.broken.load(SeqCst) {
            true => Err(StoreError::Deadline),
            false => deed(&mut self.kept.lock()),
        }
    }
}

impl rjabberd_storage::ArchiveStore for Keeper {}
/// The nodes are in a real store, in a folder of their own: what there is of them is more than a stand-in should know.
pub(crate) struct Nodes {
    _folder: tempfile::TempDir,
    store: SqliteStore,
}

impl Nodes {
    fn new() -> Nodes {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap();
        Nodes { _folder: folder, store }
    }
}

impl Keeper {
    fn nodes(&self) -> &SqliteStore {
        &self.nodes.get_or_init(Nodes::new).store
    }

    /// The answer of the other store, which is there at once.
    fn asks_nodes<T: Send + 'static>(&self, ask: impl FnOnce(&SqliteStore) -> Stored<T>) -> Stored<T> {
        match self.broken.load(SeqCst) {
            true => std::future::ready(Err(StoreError::Deadline)).boxed(),
            false => std::future::ready(wait(ask(self.nodes()))).boxed(),
        }
    }
}

/// Waits for an answer that another thread gives.
pub(crate) fn wait<F: Future>(answer: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut answer = std::pin::pin!(answer);
    loop {
        if let Poll::Ready(output) = answer.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        std::thread::park();
    }
}

impl PepStore for Keeper {
    fn load_pep_nodes(&self, account: &BareJid) -> Stored<Vec<PepNode>> {
        self.asks_nodes(|nodes| nodes.load_pep_nodes(account))
    }

    fn load_pep_node(&self, account: &BareJid, node: &str) -> Stored<Option<PepNode>> {
        self.asks_nodes(|nodes| nodes.load_pep_node(account, node))
    }

    fn load_pep_items(
        &self,
        account: &BareJid,
        node: &str,
        pick: PepPick,
        bytes_max: usize,
    ) -> Stored<Option<PepItems>> {
        self.asks_nodes(|nodes| nodes.load_pep_items(account, node, pick, bytes_max))
    }

    fn load_pep_last(
        &self,
        accounts: Vec<BareJid>,
        nodes: Vec<String>,
        bytes_max: usize,
    ) -> Stored<Vec<PepLast>> {
        self.asks_nodes(|store| store.load_pep_last(accounts, nodes, bytes_max))
    }

    fn change_pep(
        &self,
        account: &BareJid,
        changes: Vec<PepChange>,
        limits: PepLimits,
        follow: Follow<Vec<Vec<String>>>,
    ) -> Stored<Vec<Vec<String>>> {
        if self.broken.load(SeqCst) {
            follow(&Err(StoreError::Deadline));
            return std::future::ready(Err(StoreError::Deadline)).boxed();
        }
        // Every account that publishes is there.
        let keys = ScramKeys {
            hash: ScramHash::Sha1,
            iterations: 4_096,
            salt: vec![0],
            stored_key: vec![0; 20].into(),
            server_key: vec![0; 20].into(),
        };
        let credentials = Credentials { keys: vec![keys], digest: None };
        let _there = wait(self.nodes().create_account(account, credentials));
        self.asks_nodes(|nodes| nodes.change_pep(account, changes, limits, follow))
    }
}

impl PushStore for Keeper {
    fn enable_push(&self, account: &BareJid, registration: PushRegistration, max: usize) -> Stored<()> {
        self.answer(|kept| {
            let list = kept.push.entry(account.to_string()).or_default();
            list.retain(|other| (&other.service, &other.node) != (&registration.service, &registration.node));
            if list.len() >= max {
                return Err(StoreError::Full);
            }
            list.push(registration);
            Ok(())
        })
    }

    fn disable_push(&self, account: &BareJid, service: &Jid, node: Option<&str>) -> Stored<usize> {
        self.answer(|kept| {
            let list = kept.push.entry(account.to_string()).or_default();
            let before = list.len();
            list.retain(|one| one.service != *service || node.is_some_and(|node| node != one.node));
            Ok(before - list.len())
        })
    }

    fn load_push(&self, account: &BareJid) -> Stored<Vec<PushRegistration>> {
        self.answer(|kept| Ok(kept.push.get(account.as_str()).cloned().unwrap_or_default()))
    }
}

impl Store for Keeper {
    fn append_offline(
        &self,
        _account: &BareJid,
        _stanza: Bytes,
        _taken_unix_ms: i64,
        _limits: OfflineLimits,
        follow: Follow<()>,
    ) -> Stored<()> {
        let kept = self.result(|_| Ok(()));
        follow(&kept);
        std::future::ready(kept).boxed()
    }

    fn load_profile(&self, account: &BareJid) -> Stored<Option<Arc<Profile>>> {
        self.answer(|kept| Ok(kept.profiles.get(account.as_str()).cloned().map(Arc::new)))
    }

    fn load_private(&self, account: &BareJid, name: &str, namespace: &str) -> Stored<Option<String>> {
        let key = (account.to_string(), name.to_owned(), namespace.to_owned());
        self.answer(|kept| Ok(kept.private.get(&key).cloned()))
    }

    fn save_private(
        &self,
        account: &BareJid,
        elements: Vec<(String, String, String)>,
        bytes_max: usize,
    ) -> Stored<()> {
        self.answer(|kept| {
            if elements.iter().map(|(_, _, text)| text.len()).sum::<usize>() > bytes_max {
                return Err(StoreError::Full);
            }
            for (name, namespace, text) in elements {
                kept.private.insert((account.to_string(), name, namespace), text);
            }
            Ok(())
        })
    }

    fn load_vcard(&self, account: &BareJid) -> Stored<Option<String>> {
        self.answer(|kept| Ok(kept.vcards.get(account.as_str()).map(|(vcard, _)| vcard.clone())))
    }

    fn save_vcard(
        &self,
        account: &BareJid,
        vcard: String,
        avatar: Option<[u8; 20]>,
        follow: Follow<()>,
    ) -> Stored<()> {
        let saved = self.result(|kept| {
            kept.vcards.insert(account.to_string(), (vcard, avatar));
            Ok(())
        });
        follow(&saved);
        std::future::ready(saved).boxed()
    }

    fn load_blocks(&self) -> Stored<Vec<(BareJid, Vec<Jid>)>> {
        self.answer(|kept| {
            let blocks = kept.blocks.iter();
            Ok(blocks.map(|(account, list)| (BareJid::new(account).unwrap(), list.clone())).collect())
        })
    }

    fn change_blocks(
        &self,
        account: &BareJid,
        block: Vec<Jid>,
        unblock: Option<Vec<Jid>>,
        blocks_max: usize,
        follow: Follow<Vec<Jid>>,
    ) -> Stored<Vec<Jid>> {
        let changed = self.result(|kept| {
            let mut list = kept.blocks.get(account.as_str()).cloned().unwrap_or_default();
            list.retain(|jid| unblock.as_ref().is_some_and(|unblock| !unblock.contains(jid)));
            list.extend(block);
            list.sort_by(|one, other| one.as_str().cmp(other.as_str()));
            list.dedup();
            if list.len() > blocks_max {
                return Err(StoreError::Full);
            }
            kept.blocks.insert(account.to_string(), list.clone());
            Ok(list)
        });
        follow(&changed);
        std::future::ready(changed).boxed()
    }

    fn load_activity(&self, account: &BareJid) -> Stored<Option<LastActivity>> {
        self.answer(|kept| Ok(kept.activities.get(account.as_str()).cloned()))
    }

    fn save_activities(&self, activities: Vec<(BareJid, LastActivity)>) -> Stored<()> {
        self.answer(|kept| {
            kept.batches.push(activities.len());
            let activities = activities.into_iter();
            kept.activities.extend(activities.map(|(account, activity)| (account.to_string(), activity)));
            Ok(())
        })
    }
}

/// A session without a connection.
pub(crate) struct Session {
    pub(crate) seat: Arc<Seat>,
    inbox: Probe<Deliver>,
    _control: Probe<Control>,
}

impl Session {
    /// The stanzas that have come.
    pub(crate) fn takes(&self) -> Vec<Stanza> {
        self.inbox.take().iter().map(|Deliver(parcel)| parcel.stanza().clone()).collect()
    }

    /// The payloads that have come.
    pub(crate) fn got(&self) -> Vec<String> {
        let parcels = self.inbox.take();
        parcels.iter().map(|Deliver(parcel)| inner(parcel.stanza())).collect()
    }

    /// The stanzas that have come.
    pub(crate) fn stanzas(&self) -> Vec<Stanza> {
        self.inbox.take().iter().map(|Deliver(parcel)| parcel.stanza().clone()).collect()
    }

    /// Becomes available.
    pub(crate) fn appears(&self) {
        let presence = Stanza::new(StanzaKind::Presence(rjabberd_xmpp::PresenceType::Available), &[]);
        self.seat.set_presence(&mut self.seat.show(), Some((0, &presence)));
    }
}

pub(crate) struct Stage {
    pub(crate) store: Arc<Keeper>,
    pub(crate) im: &'static Im,
    pub(crate) services: Services,
    /// Seconds since 1970.
    pub(crate) now_unix_s: Arc<AtomicU64>,
    table: Arc<SessionTable>,
}

impl Stage {
    pub(crate) fn new() -> Stage {
        Stage::with(Limits::default(), &ContactAddresses::default())
    }

    pub(crate) fn with(limits: Limits, contact: &ContactAddresses) -> Stage {
        let store = Arc::new(Keeper::default());
        let now_unix_s = Arc::new(AtomicU64::new(1_000_000));
        let now = now_unix_s.clone();
        let clock: Clock = Arc::new(move || UNIX_EPOCH + Duration::from_secs(now.load(SeqCst)));
        let table = SessionTable::new();
        let im = Im::new(store.clone(), table.clone(), [HOST.to_owned()], clock, limits);
        Stage { store, im, services: Services::with_contact(im, None, contact), now_unix_s, table }
    }

    /// From now on the store fails, or no longer.
    pub(crate) fn breaks(&self, broken: bool) {
        self.store.broken.store(broken, SeqCst);
    }

    /// Gives an account this contact, who may see its presence or not.
    pub(crate) fn has_contact(&self, account: &str, contact: &str, sees: bool) {
        let mut item = RosterItem::new(BareJid::new(contact).unwrap());
        item.state.from = if sees { Half::Granted } else { Half::Pending };
        item.state.to = Half::Granted;
        self.store.kept.lock().profiles.entry(account.to_owned()).or_default().items.push(item);
    }

    /// What becomes of a request.
    pub(crate) fn answer(&self, from: &str, kind: &str, to: Option<&str>, payload: &str) -> Stanza {
        let session = FullJid::new(from).unwrap();
        let to = to.map_or(String::new(), |to| format!(" to='{to}'"));
        let request = stanza(&format!("<iq id='7' from='{from}' type='{kind}'{to}>{payload}</iq>"));
        let answer = match self.services.answer(&request, Sender::Session(&session)) {
            Answer::Now(answer) => answer,
            Answer::Later(answer) => answer.now_or_never().expect("the store answers at once"),
            Answer::Nothing => panic!("a request is answered"),
        };
        let answer = crate::long::whole(answer);
        assert_eq!((&answer.id, &answer.from, &answer.to), (&request.id, &request.to, &request.from));
        answer
    }

    /// Romeo asks: the payload of the result, or the type and the condition of the error.
    pub(crate) fn asks(&self, kind: &str, to: Option<&str>, payload: &str) -> String {
        told(&self.answer(ROMEO, kind, to, payload))
    }

    /// Sessions that are bound and not available. To be called in an actix system.
    pub(crate) async fn sit<const N: usize>(&self, jids: [&str; N]) -> [Session; N] {
        let mut sessions = Vec::new();
        let ports = self.manager();
        for jid in jids {
            sessions.push(sits(&ports, jid, false).await);
        }
        sessions.try_into().unwrap_or_else(|_| panic!("as many sessions as names"))
    }

    /// The same for a guest, whose account is nowhere (XEP-0175).
    pub(crate) async fn sit_guest(&self, jid: &str) -> Session {
        sits(&self.manager(), jid, true).await
    }

    fn manager(&self) -> SessionManagerPorts {
        let rules = Rules {
            conflict: ConflictPolicy::TakeOver,
            sessions_per_account_max: 100,
            spill_bytes_max: 1_000_000,
            hand_over: LONG,
            ended_kept: LONG,
        };
        SessionManager::start(self.table.clone(), rules)
    }
}

async fn sits(ports: &SessionManagerPorts, jid: &str, guest: bool) -> Session {
    let jid = FullJid::new(jid).unwrap();
    let ((deliver, inbox), (control, orders)) = (Probe::start(64), Probe::start(64));
    let (reply, answer) = reply();
    let claim = Claim {
        account: jid.to_bare(),
        resource: rjabberd_session_manager::Resource::Named(jid.resource().to_string()),
        guest,
        epoch: 0,
        deliver,
        control,
        reply,
    };
    ports.claim.send(claim).unwrap();
    let (seat, _) = answer.within(LONG).await.unwrap().unwrap().accept();
    let (waiting, open) = seat.drain(usize::MAX);
    assert!(waiting.is_empty() && open);
    Session { seat, inbox, _control: orders }
}

/// Lets all actors of this thread do what they can do.
pub(crate) async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

pub(crate) fn stanza(text: &str) -> Stanza {
    let fragment =
        read_element(&rjabberd_xml::Context::canonical(), Bytes::copy_from_slice(text.as_bytes())).unwrap();
    Stanza::from_fragment(fragment, None).unwrap().unwrap()
}

pub(crate) fn jid(text: &str) -> Jid {
    address::parse(text).unwrap()
}

pub(crate) fn inner(stanza: &Stanza) -> String {
    String::from_utf8(stanza.inner().to_vec()).unwrap()
}

/// The payload of a result, or the type and the condition of an error.
pub(crate) fn told(answer: &Stanza) -> String {
    if !answer.is_error() {
        return inner(answer);
    }
    let error = StanzaError::from_element(&answer.child_element(&answer.children()[0]).unwrap());
    format!("{} {}", error.error_type.name(), error.condition.name())
}
