//! PLAIN (RFC 4616): one message `authzid NUL authcid NUL passwd`, and the password that is compared with stored keys. Under
//! TLS only unless the config says otherwise, which is decided where mechanisms are offered.
//!
//! A right password is the one chance to make keys of it that are stronger than those in the store.

use jid::BareJid;
use zeroize::Zeroizing;

use super::keys::{KeyPlan, SALT_BYTES};
use super::{
    Credentials, Evidence, FakeSalts, LookUp, Outcome, Request, SaslFailure, ScramKeys, account_of,
    check_authzid,
};

/// Takes the one message of the exchange.
pub(super) fn begin(domain: &str, message: &[u8]) -> Result<LookUp, SaslFailure> {
    let text = std::str::from_utf8(message).map_err(|_| SaslFailure::MalformedRequest)?;
    let mut parts = text.split('\0');
    let (Some(authzid), Some(authcid), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(SaslFailure::MalformedRequest);
    };
    if authcid.is_empty() || password.is_empty() {
        return Err(SaslFailure::MalformedRequest);
    }
    let account = account_of(authcid, domain)?;
    if !authzid.is_empty() {
        check_authzid(authzid, &account)?;
    }
    let password = Zeroizing::new(password.to_owned());
    Ok(LookUp::new(&account, Request::Plain { password }))
}

/// What there is to be compared: the strongest keys, or those of an account that is not there.
pub(super) fn answer(
    password: Zeroizing<String>,
    account: BareJid,
    username: String,
    credentials: Option<&Credentials>,
    fakes: &FakeSalts,
) -> Outcome {
    let stored = credentials.and_then(Credentials::strongest);
    // Made for everybody, for it takes time too.
    let fake = fakes.keys_for_password(&username, account.domain().as_str());
    let keys = stored.cloned().unwrap_or(fake);
    let check = PasswordCheck {
        password,
        keys: keys.clone(),
        known: stored.is_some(),
        account,
        stored: credentials.cloned().unwrap_or_default(),
        plan: fakes.plan().clone(),
    };
    Outcome::Check(check, Checking { username, keys })
}

/// A password to be compared with stored keys: costs 1–5 ms of hashing, so it runs on a thread of its own.
pub struct PasswordCheck {
    password: Zeroizing<String>,
    pub(super) keys: ScramKeys,
    pub(super) known: bool,
    account: BareJid,
    stored: Credentials,
    plan: KeyPlan,
}

/// What a [`PasswordCheck`] came to.
#[derive(Debug)]
pub struct Verdict {
    /// Whether the password is right.
    pub right: bool,
    /// Keys of the same password to take the place of those in the store, where those are weaker than what is wanted: all
    /// that are to be kept, among them the stored ones that are strong enough or of a hash that is not asked for.
    pub stronger: Option<Credentials>,
}

impl PasswordCheck {
    /// Derives and compares, in constant time; takes as long for an unknown user. Where the password is right and its
    /// stored keys are weaker than wanted, derives others; `salt_source` gives random bytes.
    pub fn run(self, salt_source: impl FnMut() -> [u8; SALT_BYTES]) -> Verdict {
        let right = self.keys.match_password(&self.password) & self.known;
        let stronger = if right && !self.plan.is_met_by(&self.stored) {
            self.stored.strengthened(&self.account, &self.password, &self.plan, salt_source).ok()
        } else {
            None
        };
        Verdict { right, stronger }
    }
}

/// An exchange that waits for a [`PasswordCheck`].
pub struct Checking {
    username: String,
    keys: ScramKeys,
}

impl Checking {
    /// The verdict of [`PasswordCheck::run`].
    pub fn answer(self, verdict: Verdict) -> Outcome {
        if !verdict.right {
            return Outcome::Failure(SaslFailure::NotAuthorized);
        }
        let evidence = match verdict.stronger {
            Some(stronger) => Evidence::Stronger(self.keys, stronger),
            None => Evidence::Keys(self.keys),
        };
        Outcome::Success { username: self.username, data: None, evidence }
    }
}
