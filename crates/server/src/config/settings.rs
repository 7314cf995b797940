//! What a valid config says: plain values that the wiring takes. Nothing here is optional that has a default, and
//! nothing is checked again later.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use rjabberd_im::ContactAddresses;
use rjabberd_storage::PostgresUrl;
use rjabberd_xmpp::management::Window;
use rjabberd_xmpp::sasl::{KeyPlan, Mechanism, ScramHash, TlsVersion};

use super::network::Network;

/// The whole config, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file that it came from; `None` where there is none and the defaults and the environment are all.
    pub file: Option<PathBuf>,
    /// Virtual hosts, never empty; the first is the default.
    pub hosts: Vec<Host>,
    /// The data folder.
    pub data: PathBuf,
    /// Where accounts are kept.
    pub store: StoreKind,
    /// Client listeners that are enabled, by name.
    pub listeners: Vec<Listener>,
    /// Shapers by name; every shaper that a listener names is in it.
    pub shapers: BTreeMap<String, Shaper>,
    /// Accounts that may be registered in-band from one address in an hour.
    pub registrations_per_address_max: u32,
    /// Authentication.
    pub auth: Auth,
    /// The oldest version of TLS that is spoken.
    pub tls_version_min: TlsVersion,
    /// Limits and deadlines.
    pub limits: Limits,
    /// Stream management.
    pub stream_management: StreamManagement,
    /// What happens when a client asks for a resource that is taken.
    pub conflict: Conflict,
    /// How many arbiters run; `None` is one per core.
    pub arbiters: Option<usize>,
    /// How long stopping may take.
    pub shutdown: Duration,
    /// Logs.
    pub log: Log,
    /// What is accepted but deserves a line in the log.
    pub warnings: Vec<String>,
}

/// One virtual host, with the overrides of `[host."…"]` applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Normalised domain.
    pub domain: String,
    /// In-band registration is on (XEP-0077).
    pub registration: bool,
    /// Mechanisms to offer, in the order of the config. At least one is SCRAM, or ANONYMOUS is the only one. SCRAM with
    /// channel binding comes with SCRAM.
    pub mechanisms: Vec<Mechanism>,
    /// The configured certificate; `None` is the self-signed one of the data folder.
    pub certificate: Option<CertificateFiles>,
    /// PEM file of the authorities that vouch for clients' certificates; there exactly where EXTERNAL is offered.
    pub external_ca: Option<PathBuf>,
    /// Whom to write to about it (XEP-0157).
    pub contact: ContactAddresses,
}

impl Host {
    /// The hashes for which keys are derived when a password is set.
    pub fn hashes(&self) -> Vec<ScramHash> {
        self.mechanisms
            .iter()
            .filter_map(|mechanism| match mechanism {
                Mechanism::Scram(hash) => Some(*hash),
                _ => None,
            })
            .collect()
    }

    /// Which keys are kept of a password.
    pub fn key_plan(&self, auth: &Auth) -> KeyPlan {
        KeyPlan {
            hashes: self.hashes(),
            iterations: auth.iterations,
            digest: self.mechanisms.contains(&Mechanism::DigestMd5),
        }
    }
}

/// PEM files of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CertificateFiles {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// The kinds of store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// SQLite in the data folder.
    Sqlite,
    /// A database on a PostgreSQL server.
    Postgres(PostgresUrl),
}

/// One client listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name in the config.
    pub name: String,
    /// The address to bind.
    pub address: SocketAddr,
    /// Nobody wrote the address: where there is no IPv6, `0.0.0.0` of the same port is bound.
    pub address_is_default: bool,
    /// TLS.
    pub tls: ListenerTls,
    /// The name of its shaper; `None` reads as fast as clients send.
    pub shaper: Option<String>,
    /// Networks whose connections begin with a PROXY header.
    pub proxy_from: Vec<Network>,
}

/// TLS on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerTls {
    /// STARTTLS is offered.
    StartTls {
        /// Nothing but STARTTLS is taken before it.
        required: bool,
    },
    /// TLS from the first byte.
    Direct,
    /// No TLS at all.
    None,
}

/// How fast a listener's clients are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shaper {
    /// A token bucket.
    Bucket {
        /// Bytes per second.
        bytes_per_s: u64,
        /// Bytes that may come at once.
        burst_bytes: u64,
    },
    /// ejabberd's formula of 2014.
    MaxRate {
        /// Bytes per second.
        bytes_per_s: u64,
    },
}

/// Authentication, the same on every host. (Mechanisms are per [`Host`].)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Auth {
    /// PBKDF2 iterations of keys that are derived from now on.
    pub iterations: u32,
    /// PLAIN is offered on a stream without TLS too.
    pub plain_without_tls: bool,
    /// Failed authentications after which the stream ends.
    pub failures_max: u32,
    /// SCRAM tells what was offered (XEP-0474, XEP-0515).
    pub downgrade_protection: bool,
    /// Wrong passwords delay the next attempt from the same address.
    pub delay: bool,
    /// Tokens of FAST (XEP-0484); `None` offers none.
    pub fast: Option<Fast>,
}

/// Tokens of FAST (XEP-0484).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fast {
    /// How long a token is good.
    pub lifetime: Duration,
    /// How old a token gets until it is replaced when it is used.
    pub rotation: Duration,
    /// Clients of one account that may have tokens.
    pub clients_max: usize,
}

impl Fast {
    /// [`Fast::rotation`] in seconds.
    pub fn rotation_s(&self) -> i64 {
        i64::try_from(self.rotation.as_secs()).unwrap_or(i64::MAX)
    }
}

/// Limits and deadlines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of the whole server.
    pub connections_max: usize,
    /// Connections from one address.
    pub connections_per_address_max: usize,
    /// New connections in a second from one address.
    pub connections_per_address_per_s_max: u32,
    /// Networks to which the limits per address do not apply, because many clients share an address there.
    pub shared_networks: Vec<Network>,
    /// What a client may send before it has authenticated.
    pub login: rjabberd_xml::Limits,
    /// What a client may send once it has.
    pub stanza: rjabberd_xml::Limits,
    /// Until the first stream header.
    pub header: Duration,
    /// Until the session is established.
    pub negotiation: Duration,
    /// Silence after which a client is pinged.
    pub idle: Duration,
    /// How long the answer to that ping may take.
    pub ping: Duration,
    /// Sessions of one account at a time.
    pub sessions_per_account_max: usize,
    /// Bytes that wait to be written to one client.
    pub queue_bytes_max: usize,
    /// How long writing may stand still before the connection is lost.
    pub write_stall: Duration,
    /// What an account may keep.
    pub account: rjabberd_im::Limits,
}

/// Stream management (XEP-0198).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamManagement {
    /// How long a session without connection can be resumed; zero: none can.
    pub resumption: Duration,
    /// How long a client may take to say what it has handled.
    pub acknowledgement: Duration,
    /// What may wait for that.
    pub window: Window,
}

/// What happens when a client asks for a resource that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// The new session takes the resource over, the old one ends.
    TakeOver,
    /// The new session is refused.
    Refuse,
}

/// Logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// A filter as env_logger knows them: `info`, or `info,c2s=debug`.
    pub level: String,
    /// The file; `None` is stderr.
    pub file: Option<PathBuf>,
    /// The form of a line.
    pub format: LogFormat,
    /// Message bodies are logged too.
    pub bodies: bool,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
