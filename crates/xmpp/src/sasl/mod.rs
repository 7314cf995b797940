//! SASL (RFC 6120, 6; RFC 4422) as step functions: text in, [`Outcome`] out. Randomness and stored keys come in as
//! arguments; the heavy derivation for PLAIN is handed out as [`PasswordCheck`] to be run elsewhere.

pub mod failure;
pub mod keys;
pub mod plain;
pub mod scram;

pub use failure::SaslFailure;
pub use keys::{Credentials, FakeSalts, ScramHash, ScramKeys};

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
        todo!()
    }
    /// The mechanism of that name.
    pub fn from_name(_name: &str) -> Option<Mechanism> {
        todo!()
    }
}

/// What one step of an exchange comes to. Data is not base64; [`decode`] and [`encode`] are the XMPP profile's text.
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
pub struct Exchange {}

/// An exchange that waits for stored keys.
pub struct LookUp {}

/// A password to be compared with stored keys: costs 1–5 ms of hashing, so it runs on a thread of its own.
pub struct PasswordCheck {}

/// An exchange that waits for a [`PasswordCheck`].
pub struct Checking {}

/// Begins an exchange on `domain` (normalised). `initial` is the initial response, decoded; `None` where absent.
pub fn begin(_mechanism: Mechanism, _domain: &str, _initial: Option<&[u8]>) -> Outcome {
    todo!()
}

impl Exchange {
    /// The client's `<response/>`, decoded.
    pub fn respond(self, _response: &[u8]) -> Outcome {
        todo!()
    }
}

impl LookUp {
    /// Prepared localpart of the account that is asked for.
    pub fn username(&self) -> &str {
        todo!()
    }
    /// The store's answer: `None` for an unknown or disabled account, which gets answers that look the same.
    /// `nonce` is fresh printable text of at least 18 bytes of randomness, without comma.
    pub fn answer(self, _credentials: Option<&Credentials>, _fakes: &FakeSalts, _nonce: &str) -> Outcome {
        todo!()
    }
}

impl PasswordCheck {
    /// Derives and compares, in constant time; takes as long for an unknown user.
    pub fn run(self) -> bool {
        todo!()
    }
}

impl Checking {
    /// The verdict of [`PasswordCheck::run`].
    pub fn answer(self, _right: bool) -> Outcome {
        todo!()
    }
}

/// Decodes the text of `<auth/>` or `<response/>`: `=` is an empty response, nothing at all is none (RFC 6120, 6.4.2);
/// strict base64 (`incorrect-encoding`).
pub fn decode(_text: &str) -> Result<Option<Vec<u8>>, SaslFailure> {
    todo!()
}

/// Encodes data for `<challenge/>` or `<success/>`; empty data becomes `=` in success and nothing in a challenge.
pub fn encode(_data: &[u8]) -> String {
    todo!()
}
