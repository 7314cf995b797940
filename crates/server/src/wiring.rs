//! The picture of the running system: creates every actor, and hands each the ports that it needs.
//!
//! ```text
//! listener ──socket──▶ (an arbiter) ──▶ c2s ◀──batches── receiver
//!                                        │  ──credit──▶
//!                                        ├──claim, release──▶ session manager ──control──▶ c2s
//!                                        ├──login──▶ store        ├──password check──▶ offload threads
//!                                        └──route──▶ session table ──deliver──▶ another c2s
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rjabberd_actors::{ArbiterHandle, ArbiterPool, Beat, Offload};
use rjabberd_c2s as c2s;
use rjabberd_c2s::{C2s, Connections, Counters, LoginBrake, NoBrake, Shaping, Shared, Times};
use rjabberd_c2s_proto::{HostSettings, Offers, Settings, TlsPolicy};
use rjabberd_im::{Im, Services};
use rjabberd_listener::messages::StopAccepting;
use rjabberd_listener::{Admission, Census, CensusLimits, Listener};
use rjabberd_router::Router;
use rjabberd_session_manager::{
    ConflictPolicy, Control, EndAccount, Ended, Rules, SessionManager, SessionManagers, SessionTable,
};
use rjabberd_storage::{RosterEvent, Store};
use rjabberd_transport::{Accepted, memory};
use rjabberd_xmpp::sasl::{FakeSalts, KeyShape};
use rjabberd_xmpp::{BareJid, FullJid};

use crate::accounts::{self, Accounts, LiveSessions};
use crate::brake::Brake;
use crate::certificate::Certificates;
use crate::config::{self, Config, Conflict, ListenerTls, Shaper};
use crate::house;
use crate::login_brake::LoginDelays;
use crate::registration::Registration;
use crate::start_error::StartError;

/// Password checks and derivations that may wait; each takes milliseconds, so the last waits for some seconds.
const OFFLOAD_QUEUE_MAX: usize = 1_000;
/// How long an answer of the store, the session manager or a thread may take.
const ASK: Duration = Duration::from_secs(10);
/// How long the last bytes of a stream may take to be written.
const CLOSE_FLUSH: Duration = Duration::from_secs(5);
/// How long a session may take to hand its resource over.
const HAND_OVER: Duration = Duration::from_secs(1);
/// Addressees of directed presence that one session remembers.
const DIRECTED_PRESENCE_MAX: usize = 1_000;
/// How often a stopping server looks whether its connections have ended.
const STOP_LOOK: Duration = Duration::from_millis(20);

/// The running system.
pub struct System {
    pub(crate) arbiters: Arc<ArbiterPool>,
    pub(crate) offload: Offload,
    pub(crate) table: Arc<SessionTable>,
    pub(crate) router: Router,
    pub(crate) connections: Arc<Connections>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) census: Arc<Census>,
    pub(crate) im: &'static Im,
    pub(crate) login_delays: LoginDelays,
    /// As long as the server runs.
    keeping_house: tokio::task::JoinHandle<()>,
    /// What administers accounts.
    pub accounts: Accounts,
    entrances: Vec<(String, Entrance)>,
    listeners: Vec<rjabberd_actors::Port<StopAccepting>>,
}

/// A listening socket that was bound early, so that a taken port is told before anything else.
pub struct Bound {
    listener: config::Listener,
    socket: Option<std::net::TcpListener>,
}

impl Bound {
    /// A listener without an address: connections enter it from within the process, by [`System::entrance`].
    pub fn in_memory(listener: config::Listener) -> Bound {
        Bound { listener, socket: None }
    }
}

/// Where the connections of one listener enter.
#[derive(Clone)]
pub struct Entrance {
    shared: Arc<Shared>,
    census: Arc<Census>,
    arbiters: Arc<ArbiterPool>,
}

impl Entrance {
    /// A connection from within the process; false where the limits or the end of the server forbid it.
    pub fn enter(&self, end: memory::End) -> bool {
        let nobody = std::net::Ipv6Addr::UNSPECIFIED.into();
        Census::admit(&self.census, nobody).is_ok_and(|admission| self.start(end.into(), admission))
    }

    fn start(&self, accepted: Accepted, admission: Admission) -> bool {
        let shared = self.shared.clone();
        self.arbiters.next().spawn(move || C2s::start(shared, accepted, Box::new(admission)))
    }
}

/// Binds all listeners of the config.
///
/// # Errors
/// An address cannot be bound.
pub fn bind(config: &Config) -> Result<Vec<Bound>, StartError> {
    let bind = |listener: &config::Listener| {
        let bound = rjabberd_listener::bind(listener.address, listener.address_is_default);
        let socket = bound.map_err(|source| StartError::Listen {
            listener: listener.name.clone(),
            address: listener.address,
            source,
        })?;
        Ok(Bound { listener: listener.clone(), socket: Some(socket) })
    };
    config.listeners.iter().map(bind).collect()
}

/// Starts everything, the listeners last. Must be called inside an actix system.
///
/// # Errors
/// A listener cannot be started, a certificate does not serve, or the store does not give the block lists.
pub async fn start(
    config: &Config,
    bound: Vec<Bound>,
    store: Arc<dyn Store>,
    secret: &[u8],
    certificates: &Arc<Certificates>,
) -> Result<System, StartError> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let arbiters = Arc::new(ArbiterPool::start(config.arbiters.unwrap_or(cores)));
    let offload = Offload::start(cores, OFFLOAD_QUEUE_MAX);
    let table = SessionTable::new();
    let sessions = session_managers(&arbiters, &table, rules(config));
    let im = im(config, &store, &table).await?;
    let live = Arc::new(EndSessions { sessions: sessions.clone(), im });
    let accounts = Accounts::new(config, store.clone(), Arc::new(Threads(offload.clone())), live);
    let services = services(config, im, &accounts);
    let shapes = key_shapes(config, &*store).await?;
    let hosts = host_settings(config, secret, &services, shapes);
    let router = Router::new(services, im);
    let census = Census::new(census_limits(config));
    c2s::show_bodies(config.log.bodies);

    let common = Common {
        config,
        certificates,
        hosts,
        router,
        store,
        sessions,
        table,
        offload,
        beat: Beat::start()?,
        brake: Arc::new(Brake::new(config.registrations_per_address_max, shared_networks(config))),
        login_delays: LoginDelays::new(shared_networks(config)),
        connections: Arc::default(),
        counters: Arc::default(),
    };
    let (mut entrances, mut listeners) = (Vec::new(), Vec::new());
    for Bound { listener, socket } in bound {
        let shared = Arc::new(common.shared(&listener)?);
        let entrance = Entrance { shared, census: census.clone(), arbiters: arbiters.clone() };
        if let Some(socket) = socket {
            listeners.push(listen(&listener, socket, entrance.clone())?);
        }
        entrances.push((listener.name, entrance));
    }
    let Common { router, store, table, offload, login_delays, connections, counters, .. } = common;
    Ok(System {
        arbiters,
        offload,
        table,
        router,
        connections,
        counters,
        census,
        im,
        login_delays,
        keeping_house: tokio::spawn(house::keep(im, store)),
        accounts,
        entrances,
        listeners,
    })
}

/// What the streams of all listeners have in common.
struct Common<'a> {
    config: &'a Config,
    certificates: &'a Arc<Certificates>,
    hosts: HashMap<String, HostSettings>,
    router: Router,
    store: Arc<dyn Store>,
    sessions: SessionManagers,
    table: Arc<SessionTable>,
    offload: Offload,
    beat: Beat,
    brake: Arc<Brake>,
    login_delays: LoginDelays,
    connections: Arc<Connections>,
    counters: Arc<Counters>,
}

impl Common<'_> {
    /// What the streams of one listener share.
    fn shared(&self, listener: &config::Listener) -> Result<Shared, StartError> {
        let config = self.config;
        let (brake, vouching) = (self.brake.clone(), self.certificates.clone());
        let is_direct = listener.tls == ListenerTls::Direct;
        let tls = match listener.tls {
            ListenerTls::None => None,
            ListenerTls::StartTls { .. } | ListenerTls::Direct => {
                Some(self.certificates.server_config(is_direct, config.tls_version_min)?)
            }
        };
        Ok(Shared {
            settings: Arc::new(settings(config, self.hosts.clone(), listener)),
            router: self.router.clone(),
            store: self.store.clone(),
            sessions: self.sessions.clone(),
            table: self.table.clone(),
            offload: self.offload.clone(),
            tls,
            tls_from_start: is_direct,
            shaping: shaping(config, listener),
            times: times(config),
            outbox_bytes_max: config.limits.queue_bytes_max,
            window: config.stream_management.window,
            beat: self.beat.clone(),
            brake: login_brake(config, &self.login_delays),
            vouch: Box::new(move |chain| vouching.vouch(chain, SystemTime::now())),
            token_lifetime: config.auth.fast.map_or(Duration::ZERO, |fast| fast.lifetime),
            token_clients_max: config.auth.fast.map_or(0, |fast| fast.clients_max),
            may_register: Box::new(move |address| brake.admits(address)),
            connections: self.connections.clone(),
            counters: self.counters.clone(),
        })
    }
}

/// What the server does for its users.
async fn im(
    config: &Config,
    store: &Arc<dyn Store>,
    table: &Arc<SessionTable>,
) -> Result<&'static Im, StartError> {
    let hosts = config.hosts.iter().map(|host| host.domain.clone());
    let clock = Arc::new(SystemTime::now);
    let im = Im::new(store.clone(), table.clone(), hosts, clock, config.limits.account);
    // Before anybody can send: who is blocked stays blocked.
    im.load_blocks().await?;
    im.load_archive_prefs().await?;
    Ok(im)
}

fn census_limits(config: &Config) -> CensusLimits {
    CensusLimits {
        connections_max: config.limits.connections_max,
        per_address_max: config.limits.connections_per_address_max,
        per_address_per_s_max: config.limits.connections_per_address_per_s_max,
        shared: shared_networks(config),
    }
}

/// What delays attempts to log in, if anything does.
fn login_brake(config: &Config, delays: &LoginDelays) -> Box<dyn LoginBrake> {
    if config.auth.delay { Box::new(delays.clone()) } else { Box::new(NoBrake) }
}

fn listen(
    listener: &config::Listener,
    socket: std::net::TcpListener,
    entrance: Entrance,
) -> Result<rjabberd_actors::Port<StopAccepting>, StartError> {
    let address = socket.local_addr()?;
    let census = entrance.census.clone();
    let start = move |socket: std::net::TcpStream, client, admission| {
        if !entrance.start(Accepted::TcpFrom(socket, client), admission) {
            log::error!(target: "server:start", "an arbiter is gone; a connection was dropped");
        }
    };
    let name = listener.name.clone();
    let proxies = within(listener.proxy_from.clone());
    let port = Listener::start(name.clone(), socket, census, proxies, Arc::new(start))?;
    log::info!(target: "server:listen", "Listening on {address} ({name})");
    Ok(port)
}

impl System {
    /// Where connections enter the listener of that name from within the process.
    pub fn entrance(&self, listener: &str) -> Option<Entrance> {
        self.entrances.iter().find(|(name, _)| name == listener).map(|(_, entrance)| entrance.clone())
    }

    /// Sessions bound now.
    pub fn sessions(&self) -> usize {
        self.table.sessions()
    }

    /// Accepts no more, tells every client `system-shutdown`, and waits until they are gone, at most that long.
    pub async fn stop(&self, within: Duration) {
        let until = Instant::now() + within;
        for listener in &self.listeners {
            // It has ended by itself: then it accepts nothing either.
            let _gone = listener.send(StopAccepting);
        }
        self.connections.control_all(Control::Shutdown);
        while self.connections.count() > 0 && Instant::now() < until {
            tokio::time::sleep(STOP_LOOK).await;
        }
        let left = self.connections.count();
        if left > 0 {
            log::warn!(target: "server:stop", "{left} connections did not end in time");
        }
        self.keeping_house.abort();
        self.im.flush_activity().await;
    }

    /// Ends the threads.
    pub fn end(&self) {
        self.arbiters.stop();
    }
}

/// One session manager on each arbiter, for its share of the accounts.
fn session_managers(arbiters: &ArbiterPool, table: &Arc<SessionTable>, rules: Rules) -> SessionManagers {
    let start = |arbiter: &ArbiterHandle| {
        let table = table.clone();
        arbiter
            .run(move || SessionManager::start(table, rules))
            .expect("an arbiter that was just started runs")
    };
    SessionManagers::new(arbiters.arbiters().iter().map(start).collect())
}

/// The end of an account's sessions, by its session manager.
struct EndSessions {
    sessions: SessionManagers,
    im: &'static Im,
}

impl LiveSessions for EndSessions {
    fn account_removed(&self, account: &BareJid, _asker: Option<&FullJid>) -> BoxFuture<'static, ()> {
        // A session that waits for this very answer writes it before it ends, and takes nothing after it.
        self.end(account, Ended::Removed, None)
    }

    fn credentials_changed(&self, account: &BareJid, asker: Option<&FullJid>) -> BoxFuture<'static, ()> {
        self.end(account, Ended::CredentialsChanged, asker)
    }

    fn rosters_changed(&self, account: &BareJid, events: &[RosterEvent]) {
        self.im.account_removed(account, events);
    }
}

impl EndSessions {
    fn end(&self, account: &BareJid, why: Ended, except: Option<&FullJid>) -> BoxFuture<'static, ()> {
        let (reply, told) = rjabberd_actors::reply();
        let except = except.cloned();
        let end = EndAccount { account: account.clone(), why, except, reply: Some(reply) };
        if self.sessions.of(account).end_account.send(end).is_err() {
            log::error!(target: "server:accounts", "the session manager is gone; sessions of {account} go on");
        }
        // The change is on the disk; a session manager that is slow to tell holds its answer up no longer than this.
        told.within(ASK).map(drop).boxed()
    }
}

/// The pool, as accounts ask for it.
struct Threads(Offload);

impl accounts::Offload for Threads {
    fn run(&self, job: Box<dyn FnOnce() + Send>) -> Result<(), accounts::PoolFull> {
        self.0.submit(job).map_err(|_| accounts::PoolFull)
    }
}

fn rules(config: &Config) -> Rules {
    Rules {
        conflict: match config.conflict {
            Conflict::TakeOver => ConflictPolicy::TakeOver,
            Conflict::Refuse => ConflictPolicy::Refuse,
        },
        sessions_per_account_max: config.limits.sessions_per_account_max,
        spill_bytes_max: config.limits.queue_bytes_max,
        hand_over: HAND_OVER,
        ended_kept: config.limits.negotiation + ASK,
    }
}

fn services(config: &Config, im: &'static Im, accounts: &Accounts) -> HashMap<String, Services> {
    let services = |host: &config::Host| {
        let registration = host.registration.then(|| Arc::new(Registration(accounts.clone())) as _);
        (host.domain.clone(), Services::with_contact(im, registration, &host.contact))
    };
    config.hosts.iter().map(services).collect()
}

/// Which keys the accounts of each host have, so that users who do not exist look like them.
async fn key_shapes(
    config: &Config,
    store: &dyn Store,
) -> Result<HashMap<String, Vec<KeyShape>>, StartError> {
    let mut shapes = HashMap::new();
    for host in &config.hosts {
        shapes.insert(host.domain.clone(), store.key_shapes(&host.domain).await?);
    }
    Ok(shapes)
}

fn host_settings(
    config: &Config,
    secret: &[u8],
    services: &HashMap<String, Services>,
    mut shapes: HashMap<String, Vec<KeyShape>>,
) -> HashMap<String, HostSettings> {
    let mut settings = |host: &config::Host| {
        let shapes = shapes.remove(&host.domain).unwrap_or_default();
        let mut mechanisms = host.mechanisms.clone();
        mechanisms.sort_by(|one, other| other.cmp(one));
        let features = services.get(&host.domain).map(|services| services.caps().clone());
        let settings = HostSettings {
            mechanisms,
            plain_without_tls: config.auth.plain_without_tls,
            downgrade_protection: config.auth.downgrade_protection,
            registration: host.registration,
            features: features.into_iter().collect(),
            offers: Offers::default(),
            fakes: FakeSalts::new(secret, host.key_plan(&config.auth)).with_shapes(shapes),
            token_rotation_s: config.auth.fast.map(|fast| fast.rotation_s()),
        };
        (host.domain.clone(), settings)
    };
    config.hosts.iter().map(&mut settings).collect()
}

fn settings(config: &Config, hosts: HashMap<String, HostSettings>, listener: &config::Listener) -> Settings {
    Settings {
        hosts,
        default_host: config.hosts.first().map(|host| host.domain.clone()).unwrap_or_default(),
        tls: match listener.tls {
            ListenerTls::StartTls { required } => TlsPolicy::StartTls { required },
            ListenerTls::Direct => TlsPolicy::Direct,
            ListenerTls::None => TlsPolicy::None,
        },
        limits_before: config.limits.login,
        limits: config.limits.stanza,
        sasl_failures_max: config.auth.failures_max,
        directed_presence_max: DIRECTED_PRESENCE_MAX,
        idle_s: u32::try_from(config.limits.idle.as_secs()).unwrap_or(u32::MAX),
        resumption_s_max: u32::try_from(config.stream_management.resumption.as_secs()).unwrap_or(u32::MAX),
    }
}

fn shaping(config: &Config, listener: &config::Listener) -> Shaping {
    match listener.shaper.as_ref().and_then(|name| config.shapers.get(name)) {
        None => Shaping::None,
        Some(&Shaper::Bucket { bytes_per_s, burst_bytes }) => Shaping::Bucket { bytes_per_s, burst_bytes },
        Some(&Shaper::MaxRate { bytes_per_s }) => Shaping::MaxRate { bytes_per_s },
    }
}

fn shared_networks(config: &Config) -> rjabberd_listener::Shared {
    within(config.limits.shared_networks.clone())
}

/// Whether an address lies in one of these.
fn within(networks: Vec<config::Network>) -> rjabberd_listener::Shared {
    Box::new(move |address| networks.iter().any(|network| network.contains(address)))
}

fn times(config: &Config) -> Times {
    Times {
        header: config.limits.header,
        negotiation: config.limits.negotiation,
        idle: config.limits.idle,
        ping: config.limits.ping,
        write_stall: config.limits.write_stall,
        close_flush: CLOSE_FLUSH,
        acknowledgement: config.stream_management.acknowledgement,
        ask: ASK,
    }
}
