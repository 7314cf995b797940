//! SASL (RFC 6120, 6; RFC 4422) as step functions: text in, [`Outcome`] out. Randomness and stored keys come in as
//! arguments; the heavy derivation for PLAIN is handed out as [`PasswordCheck`] to be run elsewhere.
//!
//! It does not count attempts, know the stream, or decide which mechanism may be used where: the stream's state
//! machine does. Invariant: an account that is unknown, disabled or without keys for the mechanism gets the same
//! answers, of the same shape and cost, as one whose password is wrong (RFC 6120, 6.5.10).

pub mod failure;
pub mod keys;
pub mod plain;
pub mod scram;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
pub use failure::SaslFailure;
use jid::BareJid;
pub use keys::{BadKeys, BadPassword, Credentials, FakeSalts, ScramHash, ScramKeys};
use zeroize::Zeroizing;

use crate::address;

/// A mechanism that this server can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// RFC 5802 and 7677.
    Scram(ScramHash),
}

impl Mechanism {
    /// The registered name: `PLAIN`, `SCRAM-SHA-1`, `SCRAM-SHA-256`, `SCRAM-SHA-512`.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Scram(hash) => hash.mechanism_name(),
        }
    }

    /// The mechanism of that name.
    pub fn from_name(name: &str) -> Option<Mechanism> {
        match name {
            "PLAIN" => Some(Mechanism::Plain),
            _ => ScramHash::from_mechanism_name(name).map(Mechanism::Scram),
        }
    }
}

/// A mechanism that this server cannot do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown mechanism {0:?}: known are SCRAM-SHA-512, SCRAM-SHA-256, SCRAM-SHA-1 and PLAIN")]
pub struct UnknownMechanism(pub String);

/// The mechanisms of these names, each once, strongest first, in the order in which they are offered
/// (RFC 6120, 6.3.3).
pub fn mechanisms<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Vec<Mechanism>, UnknownMechanism> {
    let known = |name: &str| Mechanism::from_name(name).ok_or_else(|| UnknownMechanism(name.to_owned()));
    let mut mechanisms = names.into_iter().map(known).collect::<Result<Vec<_>, _>>()?;
    mechanisms.sort_unstable_by(|left, right| right.cmp(left));
    mechanisms.dedup();
    Ok(mechanisms)
}

/// What one step of an exchange comes to. Data is not base64; [`decode`] and [`encode`] are the XMPP profile's text.
#[derive(Debug)]
pub enum Outcome {
    /// Send this `<challenge/>` and wait for `<response/>`. (Empty for a client that sent no initial response.)
    Challenge(Vec<u8>, Exchange),
    /// Ask the store for this user's keys, then [`LookUp::answer`].
    LookUp(LookUp),
    /// Run [`PasswordCheck::run`] off the arbiter, then [`Checking::answer`].
    Check(PasswordCheck, Checking),
    /// Logged in as this user name (already prepared localpart); `data` goes into `<success/>`.
    Success {
        /// Prepared localpart of the account.
        username: String,
        /// Additional data with success.
        data: Option<Vec<u8>>,
    },
    /// `<failure/>`.
    Failure(SaslFailure),
}

/// An exchange that waits for the client's next text.
pub struct Exchange(Waiting);

enum Waiting {
    /// All mechanisms here are client-first: an empty challenge asks for what `<auth/>` did not hold.
    Initial {
        mechanism: Mechanism,
        domain: String,
    },
    ClientFinal(Box<scram::ClientFinal>),
}

/// An exchange that waits for stored keys.
pub struct LookUp {
    username: String,
    domain: String,
    request: Request,
}

enum Request {
    Plain { password: Zeroizing<String> },
    Scram(scram::ClientFirst),
}

/// A password to be compared with stored keys: costs 1–5 ms of hashing, so it runs on a thread of its own.
pub struct PasswordCheck {
    password: Zeroizing<String>,
    keys: ScramKeys,
    known: bool,
}

/// An exchange that waits for a [`PasswordCheck`].
pub struct Checking {
    username: String,
}

/// Begins an exchange on `domain` (normalised). `initial` is the initial response, decoded; `None` where absent.
pub fn begin(mechanism: Mechanism, domain: &str, initial: Option<&[u8]>) -> Outcome {
    match (mechanism, initial) {
        (_, None) => {
            let waiting = Waiting::Initial { mechanism, domain: domain.to_owned() };
            Outcome::Challenge(Vec::new(), Exchange(waiting))
        }
        (Mechanism::Plain, Some(message)) => plain::begin(domain, message),
        (Mechanism::Scram(hash), Some(message)) => scram::begin(hash, domain, message),
    }
}

impl Exchange {
    /// The client's `<response/>`, decoded.
    pub fn respond(self, response: &[u8]) -> Outcome {
        match self.0 {
            Waiting::Initial { mechanism, domain } => begin(mechanism, &domain, Some(response)),
            Waiting::ClientFinal(waiting) => waiting.verify(response),
        }
    }
}

impl LookUp {
    fn new(account: &BareJid, request: Request) -> LookUp {
        let username = account.node().map(|node| node.as_str().to_owned()).unwrap_or_default();
        LookUp { username, domain: account.domain().as_str().to_owned(), request }
    }

    /// Prepared localpart of the account that is asked for.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The store's answer: `None` for an unknown or disabled account, which gets answers that look the same.
    /// `nonce` is fresh printable text of at least 18 bytes of randomness, without comma.
    pub fn answer(self, credentials: Option<&Credentials>, fakes: &FakeSalts, nonce: &str) -> Outcome {
        let LookUp { username, domain, request } = self;
        match request {
            Request::Scram(first) => scram::challenge(first, username, &domain, credentials, fakes, nonce),
            Request::Plain { password } => {
                let stored = credentials.and_then(Credentials::strongest);
                let fake = || fakes.keys_for_password(&username, &domain);
                let check = PasswordCheck {
                    password,
                    keys: stored.cloned().unwrap_or_else(fake),
                    known: stored.is_some(),
                };
                Outcome::Check(check, Checking { username })
            }
        }
    }
}

impl PasswordCheck {
    /// Derives and compares, in constant time; takes as long for an unknown user.
    pub fn run(self) -> bool {
        self.keys.match_password(&self.password) & self.known
    }
}

impl Checking {
    /// The verdict of [`PasswordCheck::run`].
    pub fn answer(self, right: bool) -> Outcome {
        if right {
            Outcome::Success { username: self.username, data: None }
        } else {
            Outcome::Failure(SaslFailure::NotAuthorized)
        }
    }
}

/// The account that a simple user name means (RFC 6120, 6.3.7). One that cannot be prepared belongs to nobody.
fn account_of(username: &str, domain: &str) -> Result<BareJid, SaslFailure> {
    address::account(username, domain).map_err(|_| SaslFailure::NotAuthorized)
}

/// Nobody may act for another: the authorization identity is one's own bare address (RFC 6120, 6.3.8).
fn check_authzid(authzid: &str, account: &BareJid) -> Result<(), SaslFailure> {
    match address::parse(authzid) {
        Ok(address) if *account == address => Ok(()),
        _ => Err(SaslFailure::InvalidAuthzid),
    }
}

/// Decodes the text of `<auth/>` or `<response/>`: `=` is an empty response, nothing at all is none (RFC 6120, 6.4.2);
/// strict base64 (`incorrect-encoding`).
pub fn decode(text: &str) -> Result<Option<Vec<u8>>, SaslFailure> {
    match text {
        "" => Ok(None),
        "=" => Ok(Some(Vec::new())),
        _ => STANDARD.decode(text).map(Some).map_err(|_| SaslFailure::IncorrectEncoding),
    }
}

/// Encodes data for `<challenge/>`; empty data is no text at all.
pub fn encode(data: &[u8]) -> String {
    STANDARD.encode(data)
}

/// Encodes additional data for `<success/>`; empty data is `=` (RFC 6120, 6.4.6).
pub fn encode_success(data: &[u8]) -> String {
    if data.is_empty() { "=".to_owned() } else { encode(data) }
}

/// What an exchange holds (passwords, keys, proofs) is never shown.
macro_rules! opaque_debug {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}
opaque_debug!(Exchange, LookUp, PasswordCheck, Checking);

#[cfg(test)]
mod tests;
