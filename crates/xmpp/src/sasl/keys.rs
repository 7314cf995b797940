//! Stored SCRAM keys: what the store holds instead of a password, how they are derived, and the salts of users who
//! do not exist.

use zeroize::Zeroizing;

/// Hash of a SCRAM mechanism, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the registered names, one to one")]
pub enum ScramHash { Sha1, Sha256, Sha512 }

/// The keys of one account for one hash (RFC 5802, 3). No `Debug` that shows them.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    /// The hash.
    pub hash: ScramHash,
    /// Iterations of PBKDF2.
    pub iterations: u32,
    /// Salt.
    pub salt: Vec<u8>,
    /// H(ClientKey).
    pub stored_key: Zeroizing<Vec<u8>>,
    /// HMAC(SaltedPassword, "Server Key").
    pub server_key: Zeroizing<Vec<u8>>,
}

/// A password is not acceptable: it is empty, too long, or saslprep refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the password is empty or holds characters that are not allowed")]
pub struct BadPassword;

impl ScramKeys {
    /// Derives keys from a password (RFC 5802, 3; saslprep first). Heavy: `iterations` HMACs.
    pub fn derive(_hash: ScramHash, _password: &str, _salt: &[u8], _iterations: u32) -> Result<ScramKeys, BadPassword> {
        todo!()
    }
}

/// All keys of one account.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// One entry for each hash that was derived.
    pub keys: Vec<ScramKeys>,
}

/// Salts for users who do not exist: stable per (secret, user, mechanism), so that a client cannot tell them from
/// real ones.
#[derive(Clone)]
pub struct FakeSalts {}

impl FakeSalts {
    /// From the server's secret (kept in the store), the iteration count and the hashes that real accounts have.
    pub fn new(_secret: &[u8], _iterations: u32, _hashes: Vec<ScramHash>) -> FakeSalts {
        todo!()
    }
}
