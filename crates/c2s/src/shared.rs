//! What all client streams of a listener share: settings, ports, the store.

use std::{net::IpAddr, sync::Arc, time::Duration};

use dashmap::DashMap;
use rjabberd_actors::{Beat, Offload, Port};
use rjabberd_c2s_proto::{Deadline, Settings};
use rjabberd_receiver::{now_us, shaper::Shaper};
use rjabberd_router::Router;
use rjabberd_session_manager::{Control, SessionManagers, SessionTable};
use rjabberd_storage::Store;
use rjabberd_xmpp::{BareJid, management::Window};
use rustls::{ServerConfig, pki_types::CertificateDer};

use crate::Counters;

/// Finds the accounts that a client's certificates name.
pub type Vouch = Box<dyn Fn(&[CertificateDer<'static>]) -> Vec<BareJid> + Send + Sync>;

/// What all client streams of a listener share.
pub struct Shared {
    /// What the machine is told of the config.
    pub settings: Arc<Settings>,
    /// The path of stanzas.
    pub router: Router,
    /// Accounts.
    pub store: Arc<dyn Store>,
    /// The session manager.
    pub sessions: SessionManagers,
    /// Who is bound where.
    pub table: Arc<SessionTable>,
    /// Threads for password checks.
    pub offload: Offload,
    /// TLS; `None` where the listener has none.
    pub tls: Option<Arc<ServerConfig>>,
    /// TLS begins with the first byte.
    pub tls_from_start: bool,
    /// How fast a client may send.
    pub shaping: Shaping,
    /// Deadlines.
    pub times: Times,
    /// Bytes that may wait to be written to one client.
    pub outbox_bytes_max: usize,
    /// What may wait for the acknowledgement of one client (XEP-0198).
    pub window: Window,
    /// The clock by which answers on accounts are given.
    pub beat: Beat,
    /// How long attempts to log in have to wait.
    pub brake: Box<dyn LoginBrake>,
    /// The accounts that a client's certificates name and that an authority of their host vouches for.
    pub vouch: Vouch,
    /// How long tokens of FAST are good (XEP-0484).
    pub token_lifetime: Duration,
    /// Clients of one account that may have tokens.
    pub token_clients_max: usize,
    /// Whether one more account may be registered from an address.
    pub may_register: Box<dyn Fn(IpAddr) -> bool + Send + Sync>,
    /// All connections of the server.
    pub connections: Arc<Connections>,
    /// What is counted.
    pub counters: Arc<Counters>,
}

/// Slows down who guesses passwords: by account and address, so that nobody can lock a victim out.
pub trait LoginBrake: Send + Sync {
    /// How long an attempt that begins now has to wait. It counts as begun.
    fn wait(&self, account: &BareJid, peer: IpAddr) -> Duration;
    /// What an attempt came to.
    fn ended(&self, account: &BareJid, peer: IpAddr, attempt: Attempt);
}

/// What became of an attempt to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// Somebody is in.
    Right,
    /// The secret was wrong, or nobody learned whether it was.
    Wrong,
    /// We could not tell, or had no place: no fault of the client's.
    Undecided,
}

/// Nobody waits.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoBrake;

impl LoginBrake for NoBrake {
    fn wait(&self, _: &BareJid, _: IpAddr) -> Duration {
        Duration::ZERO
    }

    fn ended(&self, _: &BareJid, _: IpAddr, _: Attempt) {}
}

/// How fast a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shaping {
    /// As fast as it likes.
    None,
    /// A token bucket.
    Bucket {
        /// Rate.
        bytes_per_s: u64,
        /// What may come at once.
        burst_bytes: u64,
    },
    /// ejabberd's formula of 2014.
    MaxRate {
        /// Rate.
        bytes_per_s: u64,
    },
}

impl Shaping {
    pub(crate) fn shaper(self) -> Shaper {
        match self {
            Shaping::None => Shaper::None,
            Shaping::Bucket { bytes_per_s, burst_bytes } => {
                Shaper::bucket(bytes_per_s, burst_bytes, now_us())
            }
            Shaping::MaxRate { bytes_per_s } => Shaper::max_rate(bytes_per_s, now_us()),
        }
    }
}

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// To the first stream header, from the accept.
    pub header: Duration,
    /// To an established session, from the accept.
    pub negotiation: Duration,
    /// Without input on an established stream, until the server pings.
    pub idle: Duration,
    /// Without an answer to that ping.
    pub ping: Duration,
    /// Without progress in writing.
    pub write_stall: Duration,
    /// For the last bytes of a stream that closes.
    pub close_flush: Duration,
    /// From a request for an acknowledgement to its answer.
    pub acknowledgement: Duration,
    /// For an answer of the store, the session manager, or a thread.
    pub ask: Duration,
}

impl Times {
    pub(crate) fn deadline(&self, deadline: Deadline) -> Duration {
        match deadline {
            Deadline::Header => self.header,
            Deadline::Negotiation => self.negotiation,
            Deadline::Idle => self.idle,
            Deadline::PingAnswer => self.ping,
            Deadline::Acknowledgement => self.acknowledgement,
            // As the client was told; nothing else begins it.
            Deadline::Resumption => Duration::ZERO,
        }
    }
}

/// Every client connection of the server, bound or not, by the number of its c2s.
#[derive(Debug, Default)]
pub struct Connections(DashMap<u64, Port<Control>>);

impl Connections {
    pub(crate) fn insert(&self, number: u64, port: Port<Control>) {
        self.0.insert(number, port);
    }

    pub(crate) fn remove(&self, number: u64) {
        self.0.remove(&number);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Sends control to all of them.
    pub fn control_all(&self, control: Control) {
        let ports: Vec<_> = self.0.iter().map(|port| port.clone()).collect();
        for port in ports {
            // One that has just ended needs no telling.
            let _ended = port.send(control);
        }
    }
}
