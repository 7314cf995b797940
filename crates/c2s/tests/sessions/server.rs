//! A server without listener, its clients, and senders in threads of their own.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    time::{Duration, SystemTime},
};

use futures_util::{FutureExt, future::BoxFuture};
use rjabberd_actors::{Beat, Offload, probe::Probe, reply};
use rjabberd_c2s::{C2s, Connections, Counters, NoBrake, Shaping, Shared, Times};
use rjabberd_c2s_proto::{HostSettings, Offers, Settings, TlsPolicy};
use rjabberd_im::{AccountError, Accounts, Im, Services};
use rjabberd_router::{Response, Routed, Router};
use rjabberd_session_manager::{
    Claim, ConflictPolicy, Control, Deliver, Rules, Seat, SessionManager, SessionTable,
};
use rjabberd_storage::{Answer, Login, PepStore, Profile, Store, StoreError};
use rjabberd_xml::{Element, Limits};
use rjabberd_xmpp::{
    BareJid, FullJid, Jid, MessageType, Stanza, StanzaKind,
    management::Window,
    roster::{Half, RosterItem},
    sasl::{Credentials, FakeSalts, KeyPlan, Mechanism, ScramHash},
};
use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
};
use zeroize::Zeroizing;

/// A deadline for what must happen, however slow the machine.
pub(crate) const LONG: Duration = Duration::from_secs(20);
const HOST: &str = "example.net";

fn plan() -> KeyPlan {
    KeyPlan { hashes: vec![ScramHash::Sha1], iterations: 1, digest: false }
}

/// Accounts whose password is their name; Juliet and Romeo are each other's contacts. It keeps no messages.
#[derive(Default)]
pub(crate) struct Memory {
    /// Whether it answers nothing but logins.
    pub(crate) is_away: AtomicBool,
}

impl rjabberd_storage::ArchiveStore for Memory {}
impl PepStore for Memory {}
impl rjabberd_storage::PushStore for Memory {}

impl Store for Memory {
    fn load_login(&self, account: &BareJid) -> Answer<Option<Login>> {
        let name = account.node().unwrap().to_string();
        let credentials = Credentials::derive(account, &name, &plan(), || [7; 16]).unwrap();
        async move { Ok(Some(Login { credentials, disabled: false })) }.boxed()
    }

    fn load_profile(&self, account: &BareJid) -> Answer<Option<Arc<Profile>>> {
        if self.is_away.load(SeqCst) {
            return async { Err(StoreError::Unavailable("it is away")) }.boxed();
        }
        let mut profile = Profile::default();
        let lovers = ["juliet@example.net", "romeo@example.net"];
        if let Some(other) =
            lovers.iter().position(|lover| account.as_str() == *lover).map(|at| lovers[1 - at])
        {
            let mut item = RosterItem::new(BareJid::new(other).unwrap());
            (item.state.to, item.state.from, item.listed) = (Half::Granted, Half::Granted, true);
            profile.items.push(item);
        }
        async move { Ok(Some(Arc::new(profile))) }.boxed()
    }
}

/// Registration that panics when an account is to be removed, and changes a password when the test lets it.
pub(crate) struct Registration {
    gates: Mutex<Vec<oneshot::Receiver<()>>>,
}

impl Accounts for Registration {
    fn create(&self, _: BareJid, _: Zeroizing<String>) -> BoxFuture<'static, Result<(), AccountError>> {
        async { Err(AccountError::NotAllowed) }.boxed()
    }

    fn change_password(
        &self,
        _: BareJid,
        _: Zeroizing<String>,
        _: FullJid,
    ) -> BoxFuture<'static, Result<(), AccountError>> {
        let gate = self.gates.lock().unwrap().pop();
        async move {
            let opened = gate.unwrap().await;
            opened.map_err(|_| AccountError::Failed)
        }
        .boxed()
    }

    fn remove(&self, _: BareJid, _: FullJid) -> BoxFuture<'static, Result<(), AccountError>> {
        panic!("a panic of this test")
    }
}

/// How a server differs from the usual one.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) outbox_bytes_max: usize,
    pub(crate) spill_bytes_max: usize,
    pub(crate) window: Window,
    pub(crate) times: Times,
}

impl Default for Bounds {
    fn default() -> Bounds {
        let times = Times {
            header: LONG,
            negotiation: LONG,
            idle: LONG,
            ping: LONG,
            write_stall: LONG,
            close_flush: LONG,
            acknowledgement: LONG,
            ask: LONG,
        };
        let window = Window { stanzas_max: 1_000, bytes_max: 1 << 20 };
        Bounds { outbox_bytes_max: 64 * 1024, spill_bytes_max: 64 * 1024 * 1024, window, times }
    }
}

pub(crate) struct Server {
    pub(crate) shared: Arc<Shared>,
    registration: Arc<Registration>,
    pub(crate) memory: Arc<Memory>,
}

impl Server {
    pub(crate) fn new(bounds: Bounds) -> Server {
        let memory = Arc::new(Memory::default());
        let registration = Arc::new(Registration { gates: Mutex::default() });
        let table = SessionTable::new();
        let im = Im::new(
            memory.clone(),
            table.clone(),
            [HOST.to_owned()],
            Arc::new(SystemTime::now),
            rjabberd_im::Limits::default(),
        );
        let services = Services::new(im, Some(registration.clone()));
        let router = Router::new(HashMap::from([(HOST.to_owned(), services)]), im);
        let rules = Rules {
            conflict: ConflictPolicy::TakeOver,
            sessions_per_account_max: 8,
            spill_bytes_max: bounds.spill_bytes_max,
            hand_over: LONG,
            ended_kept: LONG,
        };
        let host = HostSettings {
            mechanisms: vec![Mechanism::Plain],
            plain_without_tls: true,
            downgrade_protection: true,
            registration: true,
            features: Vec::new(),
            offers: Offers::default(),
            fakes: FakeSalts::new(&[1; 32], plan()),
            token_rotation_s: None,
        };
        let settings = Settings {
            hosts: HashMap::from([(HOST.to_owned(), host)]),
            default_host: HOST.to_owned(),
            tls: TlsPolicy::None,
            limits_before: Limits::UNAUTHENTICATED,
            limits: Limits::AUTHENTICATED,
            sasl_failures_max: 3,
            directed_presence_max: 100,
            idle_s: 60,
            resumption_s_max: 600,
        };
        let shared = Shared {
            settings: Arc::new(settings),
            router,
            store: memory.clone(),
            sessions: SessionManager::start(table.clone(), rules).into(),
            table,
            offload: Offload::start(1, 64),
            tls: None,
            tls_from_start: false,
            shaping: Shaping::None,
            times: bounds.times,
            outbox_bytes_max: bounds.outbox_bytes_max,
            window: bounds.window,
            beat: Beat::start().expect("a thread"),
            brake: Box::new(NoBrake),
            vouch: Box::new(|_| Vec::new()),
            token_lifetime: LONG,
            token_clients_max: 8,
            may_register: Box::new(|_| true),
            connections: Arc::new(Connections::default()),
            counters: Arc::new(Counters::default()),
        };
        Server { shared: Arc::new(shared), registration, memory }
    }

    /// A connection to a c2s on this arbiter, with socket buffers of about that many bytes on both sides.
    pub(crate) async fn connects(&self, buffer_bytes: Option<usize>) -> Client {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        if let Some(bytes) = buffer_bytes {
            listener.set_send_buffer_size(bytes).unwrap();
            socket.set_recv_buffer_size(bytes).unwrap();
        }
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(1).unwrap();
        socket.connect(&listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        C2s::start(self.shared.clone(), std::net::TcpStream::from(accepted), Box::new(()));
        socket.set_nonblocking(true).unwrap();
        Client { socket: TcpStream::from_std(socket.into()).unwrap(), read: Vec::new(), ended: false }
    }

    /// A client that has a session.
    pub(crate) async fn logs_in(&self, jid: &str, buffer_bytes: Option<usize>) -> Client {
        let mut client = self.authenticates(jid, buffer_bytes).await;
        client.binds(jid).await;
        client
    }

    /// A client that may ask for a resource.
    pub(crate) async fn authenticates(&self, jid: &str, buffer_bytes: Option<usize>) -> Client {
        let mut client = self.connects(buffer_bytes).await;
        let name = jid.split('@').next().unwrap();
        client.sends(HEADER).await;
        client.gets("</stream:features>").await;
        let secret =
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("\0{name}\0{name}"));
        client
            .sends(&format!(
                "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{secret}</auth>"
            ))
            .await;
        client.gets("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>").await;
        client.sends(HEADER).await;
        client.gets("</stream:features>").await;
        client
    }

    /// A session without c2s, which does only what the test does for it.
    pub(crate) async fn puppet(&self, jid: &str) -> Puppet {
        let jid = FullJid::new(jid).unwrap();
        let ((deliver, inbox), (control, orders)) = (Probe::start(64), Probe::start(64));
        let (reply, answer) = reply();
        let claim = Claim {
            account: jid.to_bare(),
            resource: rjabberd_session_manager::Resource::Named(jid.resource().to_string()),
            guest: false,
            epoch: 0,
            deliver,
            control,
            reply,
        };
        self.shared.sessions.of(&jid.to_bare()).claim.send(claim).unwrap();
        let (seat, _) = answer.within(LONG).await.unwrap().unwrap().accept();
        assert!(seat.drain(usize::MAX).1);
        Puppet { seat, inbox, orders }
    }

    /// The next change of a password waits until the sender sends.
    pub(crate) fn gate(&self) -> oneshot::Sender<()> {
        let (open, gate) = oneshot::channel();
        self.registration.gates.lock().unwrap().push(gate);
        open
    }

    /// Sends `count` messages from a thread; waits for leave after each of the numbers in `stops`.
    pub(crate) fn floods(&self, from: &str, to: &str, count: usize, stops: &[usize]) -> Flood {
        let router = self.shared.router.clone();
        let (from, to) = (FullJid::new(from).unwrap(), Jid::new(to).unwrap());
        let (leave, stop) = mpsc::channel();
        let stops = stops.to_vec();
        let thread = std::thread::spawn(move || {
            let mut bounced = Vec::new();
            for number in 0..count {
                if stops.contains(&number) {
                    stop.recv_timeout(LONG).unwrap();
                }
                if let Some(error) = routes(&router, &from, &to, number) {
                    bounced.push(number_of(error.id.as_deref().unwrap()));
                }
            }
            bounced
        });
        Flood { leave, thread }
    }

    /// Sends messages of these numbers here and now: no actor of this thread does anything in between.
    pub(crate) fn sends(&self, from: &str, to: &str, numbers: std::ops::Range<usize>) {
        let (from, to) = (FullJid::new(from).unwrap(), Jid::new(to).unwrap());
        for number in numbers {
            assert!(routes(&self.shared.router, &from, &to, number).is_none());
        }
    }

    /// Waits for something that happens in actors of this thread, or in others.
    pub(crate) async fn until(&self, what: &str, happened: impl Fn() -> bool) {
        let happens = async {
            while !happened() {
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(LONG, happens).await;
        let snapshot = self.shared.router.counters().snapshot();
        let (connections, sessions) = (self.shared.connections.count(), self.shared.table.sessions());
        assert!(in_time.is_ok(), "not {what}: {connections} connections, {sessions} sessions, {snapshot:?}");
    }

    /// Messages answered by an error; the store of these tests keeps none.
    pub(crate) fn bounced(&self) -> usize {
        let router = &self.shared.router;
        (router.counters().snapshot().bounced + router.im().offline.snapshot().refused) as usize
    }

    /// Waits until nothing is left of the clients.
    pub(crate) async fn empties(&self) {
        let shared = &self.shared;
        self.until("empty", || shared.connections.count() == 0 && shared.table.sessions() == 0).await;
    }
}

const HEADER: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
                      to='example.net' version='1.0'>";

pub(crate) struct Puppet {
    pub(crate) seat: Arc<Seat>,
    pub(crate) inbox: Probe<Deliver>,
    pub(crate) orders: Probe<Control>,
}

/// Messages that are being sent.
pub(crate) struct Flood {
    leave: mpsc::Sender<()>,
    thread: std::thread::JoinHandle<Vec<usize>>,
}

impl Flood {
    pub(crate) fn goes_on(&self) {
        self.leave.send(()).unwrap();
    }

    /// The numbers of the messages that were answered by an error at once.
    pub(crate) async fn ends(self) -> Vec<usize> {
        let over = async {
            while !self.thread.is_finished() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, over).await.unwrap();
        self.thread.join().unwrap()
    }
}

/// Sends a message; gives the error that answers it at once, if one does.
fn routes(router: &Router, from: &FullJid, to: &Jid, number: usize) -> Option<Stanza> {
    let body = Element::new("body", "jabber:client");
    let mut stanza = Stanza::new(StanzaKind::Message(MessageType::Chat), &[body]);
    stanza.from = Some(from.clone().into());
    stanza.to = Some(to.clone());
    stanza.id = Some(format!("m{number}"));
    match router.route(stanza) {
        Routed::Done => None,
        Routed::Reply(Response::Stanza(error)) => Some(error),
        Routed::Committing(_) => None,
        Routed::Reply(_) | Routed::Later(_) => unreachable!("a message is not answered later"),
    }
}

fn number_of(id: &str) -> usize {
    id.strip_prefix('m').unwrap().parse().unwrap()
}

/// Where numbers that should count from `first` to `end` do not, and what stands there.
pub(crate) fn assert_counts(numbers: &[usize], first: usize, end: usize, what: &str) {
    let differs = numbers.iter().enumerate().find(|(at, number)| **number != first + at);
    if let Some((at, _)) = differs {
        panic!("{what}: {:?} at {at}", &numbers[at.saturating_sub(3)..(at + 8).min(numbers.len())]);
    }
    assert_eq!(first + numbers.len(), end, "{what}: the last are missing, or there are too many");
}

pub(crate) struct Client {
    socket: TcpStream,
    pub(crate) read: Vec<u8>,
    pub(crate) ended: bool,
}

impl Client {
    pub(crate) async fn sends(&mut self, text: &str) {
        tokio::time::timeout(LONG, self.socket.write_all(text.as_bytes())).await.unwrap().unwrap();
    }

    pub(crate) async fn binds(&mut self, jid: &str) {
        self.asks_for(jid).await;
        self.gets("</iq>").await;
    }

    pub(crate) async fn asks_for(&mut self, jid: &str) {
        let resource = jid.split('/').nth(1).unwrap();
        self.sends(&format!(
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
             <resource>{resource}</resource></bind></iq>"
        ))
        .await;
    }

    /// Reads once; false at the end.
    async fn reads(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        let read = tokio::time::timeout(LONG, self.socket.read(&mut buffer)).await;
        let read = read.unwrap_or_else(|_| panic!("nothing comes after {}", self.tail()));
        let bytes = read.unwrap_or(0);
        // One kind of quotation mark, whoever wrote it.
        self.read.extend(buffer[..bytes].iter().map(|byte| if *byte == b'"' { b'\'' } else { *byte }));
        self.ended |= bytes == 0;
        bytes > 0
    }

    fn tail(&self) -> String {
        String::from_utf8_lossy(&self.read[self.read.len().saturating_sub(300)..]).into_owned()
    }

    /// Reads until this text has come, and forgets what stood before it and the text itself.
    pub(crate) async fn gets(&mut self, text: &str) {
        loop {
            let found = self.read.windows(text.len()).position(|window| window == text.as_bytes());
            if let Some(at) = found {
                self.read.drain(..at + text.len());
                return;
            }
            assert!(self.reads().await, "the end, and no {text} in {}", self.tail());
        }
    }

    /// Reads until it has so many messages.
    pub(crate) async fn reads_messages(&mut self, count: usize) {
        let word = b"<message ";
        let (mut found, mut looked) = (0, 0);
        loop {
            let unseen = &self.read[looked..];
            found += unseen.windows(word.len()).filter(|window| window == word).count();
            // The beginning of a word may stand at the end.
            looked = self.read.len().saturating_sub(word.len() - 1).max(looked);
            // Of the last one at least the start tag must be there.
            let last = self.read.windows(word.len()).rposition(|window| window == word);
            if found >= count && last.is_none_or(|at| self.read[at..].contains(&b'>')) {
                return;
            }
            assert!(self.reads().await, "the end after {}", self.tail());
        }
    }

    pub(crate) async fn reads_to_the_end(&mut self) {
        while self.reads().await {}
    }

    /// What was read and not forgotten.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.read.clone()).unwrap()
    }

    /// The numbers of the whole messages that were read, errors or not, in order.
    pub(crate) fn messages(&self, errors: bool) -> Vec<usize> {
        let text = self.text();
        let stanzas = text.split("<message ").skip(1).filter(|rest| rest.contains('>'));
        stanzas
            .filter(|rest| rest.split('>').next().unwrap().contains("type='error'") == errors)
            .map(|rest| number_of(rest.split("id='").nth(1).unwrap().split('\'').next().unwrap()))
            .collect()
    }
}
