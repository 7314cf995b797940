//! Stored keys: what the store holds instead of a password, how they are derived, and which of them a host wants
//! (RFC 5802, 3 and 9; RFC 2831, 2.1.2.1; XEP-0480).
//!
//! No password is kept here, and nothing here shows a key by `Debug`: text with keys is made only by
//! [`ScramKeys::to_text`].

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use jid::BareJid;
use sha1::{Digest, Sha1};
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::digest::DigestKey;

/// Iterations above this are refused in imported keys: one login would cost seconds.
pub const ITERATIONS_MAX: u32 = 10_000_000;

/// Bytes of a salt that we make.
pub const SALT_BYTES: usize = 16;

/// Longest password in bytes, before preparation (RFC 4616, 2 asks for 255 at least).
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// Hash of a SCRAM mechanism, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the registered names, one to one")]
pub enum ScramHash {
    Sha1,
    Sha256,
    Sha512,
}

impl ScramHash {
    /// All of them, weakest first.
    pub const ALL: [ScramHash; 3] = [ScramHash::Sha1, ScramHash::Sha256, ScramHash::Sha512];

    /// The registered name of the mechanism: `SCRAM-SHA-1`, `SCRAM-SHA-256`, `SCRAM-SHA-512`.
    pub fn mechanism_name(self) -> &'static str {
        match self {
            ScramHash::Sha1 => "SCRAM-SHA-1",
            ScramHash::Sha256 => "SCRAM-SHA-256",
            ScramHash::Sha512 => "SCRAM-SHA-512",
        }
    }

    /// The hash of the mechanism of that name.
    pub fn from_mechanism_name(name: &str) -> Option<ScramHash> {
        [ScramHash::Sha1, ScramHash::Sha256, ScramHash::Sha512]
            .into_iter()
            .find(|hash| hash.mechanism_name() == name)
    }

    /// Bytes of the hash's output, and so of both keys.
    pub fn bytes(self) -> usize {
        match self {
            ScramHash::Sha1 => 20,
            ScramHash::Sha256 => 32,
            ScramHash::Sha512 => 64,
        }
    }

    /// `H(data)`.
    pub(super) fn digest(self, data: &[u8]) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            ScramHash::Sha1 => Sha1::digest(data).to_vec(),
            ScramHash::Sha256 => Sha256::digest(data).to_vec(),
            ScramHash::Sha512 => Sha512::digest(data).to_vec(),
        })
    }

    /// `HMAC(key, data)`.
    pub(super) fn hmac(self, key: &[u8], data: &[u8]) -> Zeroizing<Vec<u8>> {
        const ANY_LENGTH: &str = "HMAC takes a key of any length";
        macro_rules! of {
            ($hash:ty) => {
                Hmac::<$hash>::new_from_slice(key)
                    .expect(ANY_LENGTH)
                    .chain_update(data)
                    .finalize()
                    .into_bytes()
                    .to_vec()
            };
        }
        Zeroizing::new(match self {
            ScramHash::Sha1 => of!(Sha1),
            ScramHash::Sha256 => of!(Sha256),
            ScramHash::Sha512 => of!(Sha512),
        })
    }

    /// `Hi(password, salt, iterations)`, which is PBKDF2 (RFC 5802, 2.2).
    fn salted_password(self, password: &[u8], salt: &[u8], iterations: u32) -> Zeroizing<Vec<u8>> {
        let mut salted = Zeroizing::new(vec![0; self.bytes()]);
        match self {
            ScramHash::Sha1 => pbkdf2::pbkdf2_hmac::<Sha1>(password, salt, iterations, &mut salted),
            ScramHash::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut salted),
            ScramHash::Sha512 => pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, iterations, &mut salted),
        }
        salted
    }
}

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

/// A text is not the keys of one account for one hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not keys of the form {{SCRAM-SHA-256}}iterations,salt,stored,server")]
pub struct BadKeys;

impl ScramKeys {
    /// Derives keys from a password (RFC 5802, 3; saslprep first). Heavy: `iterations` HMACs. No iterations count as
    /// one, as PBKDF2 knows nothing less.
    pub fn derive(
        hash: ScramHash,
        password: &str,
        salt: &[u8],
        iterations: u32,
    ) -> Result<ScramKeys, BadPassword> {
        let password = prepare_password(password)?;
        let iterations = iterations.max(1);
        let salted = hash.salted_password(password.as_bytes(), salt, iterations);
        Ok(ScramKeys::of(hash, &salted, salt, iterations))
    }

    /// Makes keys of a `SaltedPassword` that a client has computed (XEP-0480, 3). It must have the length of the hash;
    /// whether it is of the account's password, nobody can tell but the client.
    pub fn from_salted_password(
        hash: ScramHash,
        salted: &[u8],
        salt: &[u8],
        iterations: u32,
    ) -> Result<ScramKeys, BadKeys> {
        if salted.len() != hash.bytes() || salt.is_empty() || !(1..=ITERATIONS_MAX).contains(&iterations) {
            return Err(BadKeys);
        }
        Ok(ScramKeys::of(hash, salted, salt, iterations))
    }

    fn of(hash: ScramHash, salted: &[u8], salt: &[u8], iterations: u32) -> ScramKeys {
        let client_key = hash.hmac(salted, b"Client Key");
        ScramKeys {
            hash,
            iterations,
            salt: salt.to_vec(),
            stored_key: hash.digest(&client_key),
            server_key: hash.hmac(salted, b"Server Key"),
        }
    }

    /// The keys as `{SCRAM-SHA-256}iterations,salt,stored,server`, the last three in base64: a secret, which is why
    /// this is no `Display`.
    pub fn to_text(&self) -> Zeroizing<String> {
        let [salt, stored, server] = [&self.salt, &*self.stored_key, &*self.server_key]
            .map(|part| Zeroizing::new(STANDARD.encode(part)));
        let (name, iterations) = (self.hash.mechanism_name(), self.iterations);
        Zeroizing::new(format!("{{{name}}}{iterations},{},{},{}", *salt, *stored, *server))
    }

    /// Whether a password makes these keys: derives and compares, in constant time.
    pub(super) fn match_password(&self, password: &str) -> bool {
        ScramKeys::derive(self.hash, password, &self.salt, self.iterations)
            .is_ok_and(|derived| bool::from(derived.stored_key.ct_eq(&self.stored_key)))
    }
}

impl FromStr for ScramKeys {
    type Err = BadKeys;

    /// Parses what [`ScramKeys::to_text`] makes.
    fn from_str(text: &str) -> Result<ScramKeys, BadKeys> {
        let (name, parts) = text.strip_prefix('{').and_then(|rest| rest.split_once('}')).ok_or(BadKeys)?;
        let hash = ScramHash::from_mechanism_name(name).ok_or(BadKeys)?;
        let parts: Vec<&str> = parts.split(',').collect();
        let [iterations, salt, stored, server] = parts[..] else { return Err(BadKeys) };
        let decode = |part: &str| STANDARD.decode(part).map_err(|_| BadKeys);
        let decode_key = |part: &str| {
            decode(part)
                .map(Zeroizing::new)
                .and_then(|key| if key.len() == hash.bytes() { Ok(key) } else { Err(BadKeys) })
        };
        let keys = ScramKeys {
            hash,
            iterations: iterations.parse().map_err(|_| BadKeys)?,
            salt: decode(salt)?,
            stored_key: decode_key(stored)?,
            server_key: decode_key(server)?,
        };
        if keys.salt.is_empty() || !(1..=ITERATIONS_MAX).contains(&keys.iterations) {
            return Err(BadKeys);
        }
        Ok(keys)
    }
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ScramKeys").field("hash", &self.hash).finish_non_exhaustive()
    }
}

/// Prepares a password with saslprep as a stored string (RFC 4013; RFC 5802, 2.2).
fn prepare_password(password: &str) -> Result<Zeroizing<String>, BadPassword> {
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(BadPassword);
    }
    let prepared = stringprep::saslprep(password).map_err(|_| BadPassword)?;
    let prepared = Zeroizing::new(prepared.into_owned());
    if prepared.is_empty() { Err(BadPassword) } else { Ok(prepared) }
}

/// Which keys a host keeps of a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPlan {
    /// Hashes of SCRAM; at least one.
    pub hashes: Vec<ScramHash>,
    /// Iterations of PBKDF2.
    pub iterations: u32,
    /// The key of DIGEST-MD5 too.
    pub digest: bool,
}

impl KeyPlan {
    /// Whether a password would be made to stronger or other keys than these now.
    pub fn is_met_by(&self, credentials: &Credentials) -> bool {
        !self.hashes.iter().any(|hash| self.wants(*hash, credentials))
            && (credentials.digest.is_some() || !self.digest)
    }

    /// Whether keys for a hash would be welcome (XEP-0480): the host keeps such keys, and these are not there or weaker.
    pub fn wants(&self, hash: ScramHash, credentials: &Credentials) -> bool {
        let strong = |keys: &ScramKeys| keys.iterations >= self.iterations;
        self.hashes.contains(&hash) && !credentials.for_hash(hash).is_some_and(strong)
    }
}

/// All keys of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// One entry for each hash that was derived.
    pub keys: Vec<ScramKeys>,
    /// For DIGEST-MD5, where it is wanted.
    pub digest: Option<DigestKey>,
}

impl Credentials {
    /// Derives keys of an account's password as planned, each with a salt of its own. Heavy: `iterations` HMACs a hash.
    pub fn derive(
        account: &BareJid,
        password: &str,
        plan: &KeyPlan,
        salt_source: impl FnMut() -> [u8; SALT_BYTES],
    ) -> Result<Credentials, BadPassword> {
        Credentials::default().strengthened(account, password, plan, salt_source)
    }

    /// The same keys, and with them all that the plan wants beyond them, of the same password. None goes, and none gets
    /// weaker.
    pub(super) fn strengthened(
        &self,
        account: &BareJid,
        password: &str,
        plan: &KeyPlan,
        mut salt_source: impl FnMut() -> [u8; SALT_BYTES],
    ) -> Result<Credentials, BadPassword> {
        prepare_password(password)?;
        let mut keys = Vec::with_capacity(plan.hashes.len().max(self.keys.len()));
        for hash in &plan.hashes {
            keys.push(match self.for_hash(*hash) {
                Some(stored) if !plan.wants(*hash, self) => stored.clone(),
                _ => ScramKeys::derive(*hash, password, &salt_source(), plan.iterations)?,
            });
        }
        keys.extend(self.keys.iter().filter(|stored| !plan.hashes.contains(&stored.hash)).cloned());
        let digest = || plan.digest.then(|| DigestKey::derive(account, password));
        Ok(Credentials { keys, digest: self.digest.clone().or_else(digest) })
    }

    /// The keys for a hash.
    pub fn for_hash(&self, hash: ScramHash) -> Option<&ScramKeys> {
        self.keys.iter().find(|keys| keys.hash == hash)
    }

    /// The keys for the strongest hash that there are keys for.
    pub fn strongest(&self) -> Option<&ScramKeys> {
        self.keys.iter().max_by_key(|keys| keys.hash)
    }
}
