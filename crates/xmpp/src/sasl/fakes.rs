//! Accounts that do not exist, as they are shown: salts, iterations and keys that are stable per (secret, host, user),
//! so that a client cannot tell them from real ones (RFC 5802, 9 and RFC 6120, 6.5.10).
//!
//! What a host's accounts look like comes in as [`KeyShape`]s; nothing here asks a store. What remains to be told apart:
//! - Shapes are as old as the last [`FakeSalts::with_shapes`]. When the proportions move, a few names at the borders
//!   between two shapes change theirs, as a real account does when it is given stronger keys.
//! - A shape that a few accounts have is rare among fake ones too: one who sees it learns that the name is real with
//!   about the chance that a name asked for is real at all, but not that it is a fake one.
//! - An account without keys for a hash is shown as an unknown one for that hash; which shapes go together is taken from
//!   their order, not from the accounts.

use std::fmt;

use zeroize::Zeroizing;

use super::keys::{KeyPlan, SALT_BYTES, ScramHash, ScramKeys};

/// Longest salt that is made for an account that does not exist.
const SALT_BYTES_MAX: usize = 1024;

/// How many accounts of a host have keys that look alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyShape {
    /// The hash of the keys.
    pub hash: ScramHash,
    /// Their iterations.
    pub iterations: u32,
    /// Bytes of their salt.
    pub salt_bytes: usize,
    /// The number of accounts.
    pub accounts: u64,
}

/// What is shown of users who do not exist, and the secret that it is made from.
#[derive(Clone)]
pub struct FakeSalts {
    secret: Zeroizing<Vec<u8>>,
    plan: KeyPlan,
    strongest: ScramHash,
    /// Most iterations first, so that a low place means strong keys for each hash.
    shapes: Vec<KeyShape>,
}

impl FakeSalts {
    /// From the server's secret (kept in the store) and the keys that new accounts get.
    pub fn new(secret: &[u8], plan: KeyPlan) -> FakeSalts {
        let strongest = plan.hashes.iter().copied().max().unwrap_or(ScramHash::Sha256);
        let plan = KeyPlan { iterations: plan.iterations.max(1), ..plan };
        FakeSalts { secret: Zeroizing::new(secret.to_vec()), plan, strongest, shapes: Vec::new() }
    }

    /// The same, with accounts that look like those which the host has: each shape as often among users who do not exist
    /// as among those who do. For a hash without shapes, and without any, they look like new accounts.
    pub fn with_shapes(mut self, mut shapes: Vec<KeyShape>) -> FakeSalts {
        shapes.retain(|shape| shape.accounts > 0);
        shapes.sort_unstable_by_key(|shape| std::cmp::Reverse((shape.iterations, shape.salt_bytes)));
        self.shapes = shapes;
        self
    }

    /// Which keys this host keeps.
    pub fn plan(&self) -> &KeyPlan {
        &self.plan
    }

    /// 32 bytes that nobody can foresee and that are the same for the same labels, none of which holds a NUL. The first
    /// says what they are for.
    pub fn derive(&self, labels: &[&str]) -> Zeroizing<Vec<u8>> {
        self.derived(labels)
    }

    /// Keys that no password makes, for the mechanism of `hash`.
    pub(super) fn keys(&self, hash: ScramHash, username: &str, domain: &str) -> ScramKeys {
        let shape = self.shape_at(hash, place(self.draw(username, domain), self.accounts_with(hash)));
        self.keys_of_shape(shape, username, domain)
    }

    /// Keys that cost as much to compare with a password as those of a real account: as many of them for each hash as
    /// there are accounts whose strongest keys are for it, if whoever has keys for one has them for the weaker ones.
    pub(super) fn keys_for_password(&self, username: &str, domain: &str) -> ScramKeys {
        const STRONGEST_FIRST: [ScramHash; 3] = [ScramHash::Sha512, ScramHash::Sha256, ScramHash::Sha1];
        let accounts = STRONGEST_FIRST.map(|hash| self.accounts_with(hash));
        let place = place(self.draw(username, domain), accounts.into_iter().max().unwrap_or(0));
        let strongest = STRONGEST_FIRST.into_iter().zip(accounts).find(|(_, accounts)| place < *accounts);
        let hash = strongest.map_or(self.strongest, |(hash, _)| hash);
        self.keys_of_shape(self.shape_at(hash, place), username, domain)
    }

    /// Where a user stands among all users, from first to last. The same for each hash: accounts whose keys were made at
    /// one time have the same iterations for all of them.
    fn draw(&self, username: &str, domain: &str) -> u64 {
        let derived = self.derived(&["shape", domain, username]);
        derived.iter().take(8).fold(0, |draw, byte| draw << 8 | u64::from(*byte))
    }

    fn accounts_with(&self, hash: ScramHash) -> u64 {
        let of_hash = self.shapes.iter().filter(|shape| shape.hash == hash);
        of_hash.fold(0, |accounts, shape| accounts.saturating_add(shape.accounts))
    }

    /// The shape of the account at that place among those with keys for a hash.
    fn shape_at(&self, hash: ScramHash, mut place: u64) -> KeyShape {
        let planned =
            KeyShape { hash, iterations: self.plan.iterations, salt_bytes: SALT_BYTES, accounts: 0 };
        for shape in self.shapes.iter().filter(|shape| shape.hash == hash) {
            match place.checked_sub(shape.accounts) {
                Some(beyond) => place = beyond,
                None => return *shape,
            }
        }
        planned
    }

    fn keys_of_shape(&self, shape: KeyShape, username: &str, domain: &str) -> ScramKeys {
        let hash = shape.hash;
        let name = hash.mechanism_name();
        let salt_bytes = shape.salt_bytes.clamp(1, SALT_BYTES_MAX);
        let mut salt = self.derived(&["salt", name, domain, username]).to_vec();
        while salt.len() < salt_bytes {
            let more = self.derived(&["salt", name, domain, username, &salt.len().to_string()]);
            salt.extend_from_slice(&more);
        }
        salt.truncate(salt_bytes);
        // Expanded to the length of the hash; nobody sees them, and a proof for them cannot be made.
        let key = |label: &str| hash.hmac(&self.secret, &self.derived(&[label, name, domain, username]));
        ScramKeys {
            hash,
            iterations: shape.iterations.max(1),
            salt,
            stored_key: key("stored key"),
            server_key: key("server key"),
        }
    }

    /// HMAC of a list of texts, none of which holds a NUL.
    fn derived(&self, labels: &[&str]) -> Zeroizing<Vec<u8>> {
        ScramHash::Sha256.hmac(&self.secret, labels.join("\0").as_bytes())
    }
}

/// A place among so many, for a draw of all numbers.
fn place(draw: u64, of: u64) -> u64 {
    u64::try_from((u128::from(draw) * u128::from(of)) >> 64).unwrap_or(0)
}

impl fmt::Debug for FakeSalts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("FakeSalts").field("plan", &self.plan).finish_non_exhaustive()
    }
}
