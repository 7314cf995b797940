//! SASL (RFC 6120, 6; RFC 4422) as step functions: text in, [`Outcome`] out. Randomness and stored keys come in as
//! arguments; the heavy derivation for PLAIN is handed out as [`PasswordCheck`] to be run elsewhere.
//!
//! It does not count attempts, know the stream, or decide which mechanism may be used where: the stream's state
//! machine does. Invariant: an account that is unknown, disabled or without keys for the mechanism gets the same
//! answers, of the same shape and cost, as one whose password is wrong (RFC 6120, 6.5.10).

pub mod anonymous;
pub mod channel;
pub mod digest;
pub mod external;
pub mod failure;
pub mod fakes;
pub mod keys;
pub mod plain;
pub mod scram;
pub mod token;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
pub use channel::{BindingType, Offered, SecureChannel, TlsVersion};
pub use digest::DigestKey;
pub use failure::SaslFailure;
pub use fakes::{FakeSalts, KeyShape};
use jid::BareJid;
pub use keys::{BadKeys, BadPassword, Credentials, KeyPlan, ScramHash, ScramKeys};
pub use plain::{Checking, PasswordCheck, Verdict};
pub use token::{ClientId, FastToken, TokenChange, TokenMechanism, TokenSlot, Tokens, UsedToken};
use zeroize::Zeroizing;

use crate::address;

/// A mechanism that this server can do, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mechanism {
    /// RFC 4505 (XEP-0175).
    Anonymous,
    /// RFC 2831, which is historic (RFC 6331).
    DigestMd5,
    /// RFC 4616.
    Plain,
    /// RFC 5802 and 7677.
    Scram(ScramHash),
    /// The same, bound to the channel below.
    ScramPlus(ScramHash),
    /// RFC 4422, A: by the client's certificate (XEP-0178).
    External,
    /// A token of FAST (XEP-0484); never in a list of mechanisms.
    Token(TokenMechanism),
}

impl Mechanism {
    /// The registered name, as in `PLAIN` or `SCRAM-SHA-256-PLUS`.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Anonymous => "ANONYMOUS",
            Mechanism::DigestMd5 => "DIGEST-MD5",
            Mechanism::Plain => "PLAIN",
            Mechanism::Scram(hash) => hash.mechanism_name(),
            Mechanism::ScramPlus(ScramHash::Sha1) => "SCRAM-SHA-1-PLUS",
            Mechanism::ScramPlus(ScramHash::Sha256) => "SCRAM-SHA-256-PLUS",
            Mechanism::ScramPlus(ScramHash::Sha512) => "SCRAM-SHA-512-PLUS",
            Mechanism::External => "EXTERNAL",
            Mechanism::Token(token) => token.name(),
        }
    }

    /// The mechanism of that name.
    pub fn from_name(name: &str) -> Option<Mechanism> {
        match name {
            "ANONYMOUS" => Some(Mechanism::Anonymous),
            "DIGEST-MD5" => Some(Mechanism::DigestMd5),
            "PLAIN" => Some(Mechanism::Plain),
            "EXTERNAL" => Some(Mechanism::External),
            _ => match name.strip_suffix("-PLUS") {
                Some(name) => ScramHash::from_mechanism_name(name).map(Mechanism::ScramPlus),
                None => ScramHash::from_mechanism_name(name)
                    .map(Mechanism::Scram)
                    .or_else(|| TokenMechanism::from_name(name).map(Mechanism::Token)),
            },
        }
    }
}

/// A mechanism that this server cannot do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown mechanism {0:?}: known are EXTERNAL, SCRAM-SHA-512, SCRAM-SHA-256, SCRAM-SHA-1, PLAIN, DIGEST-MD5 and ANONYMOUS"
)]
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
        /// What it was proved by.
        evidence: Evidence,
    },
    /// `<failure/>`.
    Failure(SaslFailure),
}

/// What a login was proved by, as far as something follows from it.
#[derive(Debug)]
pub enum Evidence {
    /// Stored keys (SCRAM, PLAIN): they witness that keys to be stored beside them are of the same password.
    Keys(ScramKeys),
    /// A password, of which stronger keys than these were made to take their place.
    Stronger(ScramKeys, Credentials),
    /// A token.
    Token(UsedToken),
    /// A certificate, or a digest of RFC 2831.
    Other,
    /// Nothing: the account is made for this session (XEP-0175).
    Nothing,
}

/// What a mechanism is told of the stream that it runs on.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    /// The virtual host, normalised.
    pub domain: &'a str,
    /// TLS below it.
    pub channel: Option<&'a SecureChannel>,
    /// What the client was offered, by the profile that it uses.
    pub offered: &'a Offered,
    /// What is known of this host's accounts, and its secret.
    pub fakes: &'a FakeSalts,
    /// The identifier of the stream and the number of the attempt on it: never twice the same, and not to be foreseen.
    pub once: &'a str,
    /// The installation that the client says it is (XEP-0388), for tokens.
    pub client: Option<ClientId>,
    /// The `count` that came with a token (XEP-0484).
    pub count: Option<u32>,
}

/// An exchange that waits for the client's next text.
pub struct Exchange(Waiting);

enum Waiting {
    /// A client-first mechanism: an empty challenge asks for what `<auth/>` did not hold.
    Initial(Mechanism),
    ClientFinal(Box<scram::ClientFinal>),
    DigestResponse(digest::Challenged),
    DigestEnd {
        username: String,
    },
}

/// An exchange that waits for what the store knows of an account.
pub struct LookUp {
    username: String,
    account: BareJid,
    request: Request,
}

enum Request {
    Plain { password: Zeroizing<String> },
    Scram(scram::ClientFirst),
    Digest(digest::Response),
    External,
    Token(token::Claim),
}

/// What a [`LookUp`] asks the store for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The keys of the account: [`LookUp::answer`].
    Credentials,
    /// The tokens of the account's client: [`LookUp::answer_tokens`].
    Tokens,
}

/// Begins an exchange. `initial` is the initial response, decoded; `None` where absent.
pub fn begin(mechanism: Mechanism, setting: &Setting<'_>, initial: Option<&[u8]>) -> Outcome {
    let look_up = match (mechanism, initial) {
        (Mechanism::DigestMd5, initial) => return digest::begin(setting, initial),
        (Mechanism::Anonymous, initial) => return anonymous::begin(setting, initial.unwrap_or_default()),
        (_, None) => return Outcome::Challenge(Vec::new(), Exchange(Waiting::Initial(mechanism))),
        (Mechanism::Plain, Some(message)) => plain::begin(setting.domain, message),
        (Mechanism::Scram(hash), Some(message)) => scram::begin(hash, false, setting, message),
        (Mechanism::ScramPlus(hash), Some(message)) => scram::begin(hash, true, setting, message),
        (Mechanism::External, Some(message)) => external::begin(setting, message),
        (Mechanism::Token(token), Some(message)) => token::begin(token, setting, message),
    };
    look_up.into()
}

impl From<Result<LookUp, SaslFailure>> for Outcome {
    fn from(look_up: Result<LookUp, SaslFailure>) -> Outcome {
        match look_up {
            Ok(look_up) => Outcome::LookUp(look_up),
            Err(failure) => Outcome::Failure(failure),
        }
    }
}

impl Exchange {
    /// The client's `<response/>`, decoded.
    pub fn respond(self, setting: &Setting<'_>, response: &[u8]) -> Outcome {
        match self.0 {
            Waiting::Initial(mechanism) => begin(mechanism, setting, Some(response)),
            Waiting::ClientFinal(waiting) => waiting.verify(response),
            Waiting::DigestResponse(waiting) => waiting.respond(setting.domain, response).into(),
            Waiting::DigestEnd { username } => digest::end(username, response),
        }
    }
}

impl LookUp {
    fn new(account: &BareJid, request: Request) -> LookUp {
        let username = account.node().map(|node| node.as_str().to_owned()).unwrap_or_default();
        LookUp { username, account: account.clone(), request }
    }

    /// Prepared localpart of the account that is asked for.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// What is to be asked.
    pub fn wants(&self) -> Wanted {
        match self.request {
            Request::Token(_) => Wanted::Tokens,
            _ => Wanted::Credentials,
        }
    }

    /// The store's answer to [`Wanted::Tokens`], and the time: `None` for an unknown or disabled account. Nobody gets in by
    /// this answer to another question.
    pub fn answer_tokens(self, tokens: Option<&Tokens>, now_unix_s: i64) -> Outcome {
        match self.request {
            Request::Token(claim) => claim.answer(self.username, tokens, now_unix_s),
            _ => Outcome::Failure(SaslFailure::NotAuthorized),
        }
    }

    /// The store's answer to [`Wanted::Credentials`]: `None` for an unknown or disabled account, which gets answers that
    /// look the same. `nonce` is fresh printable text of at least 18 bytes of randomness, without comma.
    pub fn answer(self, credentials: Option<&Credentials>, fakes: &FakeSalts, nonce: &str) -> Outcome {
        let LookUp { username, account, request } = self;
        let domain = account.domain().as_str();
        match request {
            Request::Scram(first) => scram::challenge(first, username, domain, credentials, fakes, nonce),
            Request::Plain { password } => plain::answer(password, account, username, credentials, fakes),
            Request::Digest(response) => digest::answer(&response, username, domain, credentials, fakes),
            Request::External => external::answer(username, credentials),
            Request::Token(_) => Outcome::Failure(SaslFailure::NotAuthorized),
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
/// strict base64 (`incorrect-encoding`). It may hold a password, so it is wiped when it is dropped.
pub fn decode(text: &str) -> Result<Option<Zeroizing<Vec<u8>>>, SaslFailure> {
    let decoded = match text {
        "" => return Ok(None),
        "=" => Vec::new(),
        _ => STANDARD.decode(text).map_err(|_| SaslFailure::IncorrectEncoding)?,
    };
    Ok(Some(Zeroizing::new(decoded)))
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
