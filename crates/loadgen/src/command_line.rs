//! The command line of `rjabberd-load`.

use std::{
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    login::{Account, Mechanism},
    message::Size,
    scram::ScramHash,
    talk::Limit,
    tls::{Tls, TlsMode},
};

/// Messages of each talker before measuring, where messages are counted and not time.
const WARMUP_MESSAGES_MAX: u32 = 20;

/// Puts load on an XMPP server and says what it costs: CPU time per operation, memory per session, latency.
#[derive(Debug, Parser)]
#[command(name = "rjabberd-load", version)]
pub struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Logs in, again and again.
    Login(Options),
    /// Logs in and does nothing: memory per session, CPU time of idle sessions.
    Idle(Options),
    /// Sessions in pairs, each with a fixed number of messages under way.
    Chat(Options),
    /// Sessions in pairs, a fixed number of messages a second in all, whatever the server does.
    Rate(Options),
    /// Makes sessions each other's contacts, and measures nothing else.
    Contacts(Options),
    /// Sessions with contacts, all online: some change their presence, each when all its contacts have had the last.
    Presence(Options),
    /// Logins with a roster against logins without; `contacts --layout halves` makes the rosters.
    LoginRoster(Options),
    /// Prints accounts for `rjabberd user import`.
    Accounts(Accounts),
}

/// A mechanism's name.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum MechanismName {
    /// SCRAM with SHA-1.
    #[value(name = "SCRAM-SHA-1")]
    ScramSha1,
    /// SCRAM with SHA-256.
    #[value(name = "SCRAM-SHA-256")]
    ScramSha256,
    /// The password as it is.
    #[value(name = "PLAIN")]
    Plain,
}

/// Who has whom as a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LayoutName {
    /// Each has its neighbours in a ring.
    Ring,
    /// Each of the first half has some of the second half.
    Halves,
}

/// What all phases take.
#[derive(Debug, Args)]
pub struct Options {
    /// The server, as HOST:PORT.
    #[arg(long)]
    pub target: String,
    /// The server's XMPP domain.
    #[arg(long)]
    pub domain: String,
    /// Accounts are named by this and a number.
    #[arg(long, default_value = "u")]
    pub user_prefix: String,
    /// The number of the first account.
    #[arg(long, default_value_t = 0)]
    pub first: usize,
    /// The password of all accounts.
    #[arg(long, default_value = "secret")]
    pub password: String,
    /// How to log in.
    #[arg(long, value_enum, default_value = "SCRAM-SHA-1")]
    pub mechanism: MechanismName,
    /// The resource to bind.
    #[arg(long, default_value = "load")]
    pub resource: String,
    /// Sessions enable stream management with resumption (XEP-0198), count, and answer when they are asked.
    #[arg(long)]
    pub managed: bool,
    /// Plain, STARTTLS or TLS from the first byte.
    #[arg(long, value_enum, default_value = "none")]
    pub tls: TlsMode,
    /// Takes any certificate.
    #[arg(long)]
    pub insecure: bool,
    /// The certificates, in PEM, that the server's must be signed by.
    #[arg(long, conflicts_with = "insecure")]
    pub ca: Option<PathBuf>,
    /// Sessions; in chat and rate, those that talk (an odd one is left out); in login-roster, those with a roster, and as
    /// many without.
    #[arg(long, default_value_t = 100, value_parser = at_least_one)]
    pub sessions: usize,
    /// Logins in all (login), or of each kind (login-roster). They go round the sessions; as many as sessions if not given.
    #[arg(long, value_parser = at_least_one)]
    pub logins: Option<usize>,
    /// Logins under way at a time.
    #[arg(long, default_value_t = 32, value_parser = at_least_one)]
    pub concurrency: usize,
    /// How long one login may take.
    #[arg(long, default_value = "30", value_parser = seconds)]
    pub login_timeout: Duration,
    /// Messages each talker has under way (chat).
    #[arg(long, default_value_t = 1)]
    pub window: u32,
    /// Messages of each talker (chat), or presences of each sender (presence); else it goes on for --seconds.
    #[arg(long, conflicts_with = "seconds")]
    pub messages: Option<u32>,
    /// How long it is measured (chat, rate, presence).
    #[arg(long, value_parser = seconds)]
    pub seconds: Option<Duration>,
    /// What is not measured before it is (chat, rate, presence).
    #[arg(long, default_value = "1", value_parser = seconds)]
    pub warmup: Duration,
    /// Messages a second in all (rate).
    #[arg(long, default_value_t = 1000.0)]
    pub rate: f64,
    /// Further sessions that do nothing (chat, rate).
    #[arg(long, default_value_t = 0)]
    pub idle_sessions: usize,
    /// How long the CPU time of idle sessions is watched.
    #[arg(long, default_value = "5", value_parser = seconds)]
    pub idle_seconds: Duration,
    /// Messages of each session to its partner, after which memory is read again (idle).
    #[arg(long, default_value_t = 0)]
    pub traffic: u32,
    /// Rest before memory is read.
    #[arg(long, default_value = "2", value_parser = seconds)]
    pub settle: Duration,
    /// Bytes of each body; else as people write, 80 to 1,000.
    #[arg(long)]
    pub body_bytes: Option<usize>,
    /// Bytes of each message in all, as sent.
    #[arg(long, conflicts_with = "body_bytes")]
    pub stanza_bytes: Option<usize>,
    /// Contacts of each session (contacts, presence), or of each that has some (login-roster).
    #[arg(long, default_value_t = 50, value_parser = at_least_one)]
    pub contacts: usize,
    /// Who has whom (contacts).
    #[arg(long, value_enum, default_value = "ring")]
    pub layout: LayoutName,
    /// Sessions that change their presence (presence).
    #[arg(long, default_value_t = 20, value_parser = at_least_one)]
    pub senders: usize,
    /// Only senders have that many contacts; the others have the senders that have them (presence).
    #[arg(long)]
    pub only_senders: bool,
    /// Own addresses to connect from, in turn: one has some 28,000 ports.
    #[arg(long, value_delimiter = ',')]
    pub source: Vec<IpAddr>,
    /// The server's process, or several.
    #[arg(long, value_delimiter = ',')]
    pub server_pid: Vec<u32>,
    /// Counts the processes that they have started, too.
    #[arg(long)]
    pub with_children: bool,
    /// Writes a page with charts.
    #[arg(long)]
    pub report: Option<PathBuf>,
    /// Limit in seconds of each part: logging in, warming up, measuring.
    #[arg(long, default_value = "120", value_parser = seconds)]
    pub timeout: Duration,
    /// Allows a target that is not this machine. Put load only on what is yours.
    #[arg(long)]
    pub allow_remote: bool,
}

/// What `accounts` takes.
#[derive(Debug, Args)]
pub struct Accounts {
    /// How many.
    #[arg(long)]
    pub count: usize,
    /// They are named by this and a number.
    #[arg(long, alias = "user-prefix", default_value = "u")]
    pub prefix: String,
    /// The number of the first.
    #[arg(long, default_value_t = 0)]
    pub first: usize,
    /// Their domain.
    #[arg(long)]
    pub domain: String,
    /// Their password.
    #[arg(long, default_value = "secret")]
    pub password: String,
    /// Passwords, or SCRAM keys that all share.
    #[arg(long, value_enum, default_value = "plain")]
    pub format: AccountFormat,
    /// PBKDF2 rounds of the keys.
    #[arg(long, default_value_t = 4096)]
    pub iterations: u32,
}

/// How accounts are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AccountFormat {
    /// `jid<TAB>{SCRAM-SHA-1}…<TAB>{SCRAM-SHA-256}…`, the same keys for all: imported in no time.
    Rjabberd,
    /// `jid<TAB>password`
    Plain,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is no number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("it must be a number above 0".to_owned()),
        Ok(number) => Ok(number),
    }
}

impl Options {
    /// The server's address: of this machine, unless others are allowed.
    pub fn address(&self) -> Result<SocketAddr, String> {
        let mut addresses =
            self.target.to_socket_addrs().map_err(|error| format!("{}: {error}", self.target))?;
        let address = addresses.next().ok_or_else(|| format!("{} has no address", self.target))?;
        if address.ip().to_canonical().is_loopback() || self.allow_remote {
            return Ok(address);
        }
        Err(format!("{address} is not this machine: --allow-remote, if it is yours to put load on"))
    }

    /// How sessions log in.
    pub fn account(&self) -> Account {
        Account {
            prefix: self.user_prefix.clone(),
            first: self.first,
            domain: self.domain.clone(),
            resource: self.resource.clone(),
            password: self.password.clone(),
            mechanism: match self.mechanism {
                MechanismName::ScramSha1 => Mechanism::Scram(ScramHash::Sha1),
                MechanismName::ScramSha256 => Mechanism::Scram(ScramHash::Sha256),
                MechanismName::Plain => Mechanism::Plain,
            },
            starttls: self.tls == TlsMode::Starttls,
            managed: self.managed,
        }
    }

    /// TLS as asked for.
    pub fn tls(&self) -> Result<Option<Tls>, String> {
        if self.tls == TlsMode::None {
            return Ok(None);
        }
        if self.ca.is_none() && !self.insecure {
            return Err("with TLS, give --ca FILE, or --insecure to take any certificate".to_owned());
        }
        Tls::new(&self.domain, self.ca.as_deref(), self.tls == TlsMode::Direct).map(Some)
    }

    /// How long messages are.
    pub fn size(&self) -> Size {
        match (self.body_bytes, self.stanza_bytes) {
            (Some(bytes), _) => Size::Body(bytes),
            (None, Some(bytes)) => Size::Stanza(bytes),
            (None, None) => Size::Real,
        }
    }

    /// How long is talked.
    pub fn limit(&self) -> Limit {
        match self.messages {
            Some(each) => Limit::Messages(each),
            None => Limit::Time(self.seconds.unwrap_or(Duration::from_secs(10))),
        }
    }
    /// How long is talked before that is measured.
    pub fn warmup(&self) -> Limit {
        match self.limit() {
            Limit::Messages(each) => Limit::Messages((each / 10).clamp(1, WARMUP_MESSAGES_MAX)),
            Limit::Time(_) => Limit::Time(self.warmup),
        }
    }
}
