//! EXTERNAL (RFC 4422, A) by the client's certificate (XEP-0178, 2): TLS has checked it already, and
//! [`SecureChannel::accounts`](super::SecureChannel::accounts) are the accounts that it is good for.
//!
//! The one message is the account that the client wants to be, or empty. The store is asked all the same: an account may
//! be gone or disabled while its certificate is still good.

use jid::BareJid;

use super::{Credentials, Evidence, LookUp, Outcome, Request, SaslFailure, Setting};
use crate::address;

/// Takes the one message of the exchange.
pub(super) fn begin(setting: &Setting<'_>, message: &[u8]) -> Result<LookUp, SaslFailure> {
    let authzid = std::str::from_utf8(message).map_err(|_| SaslFailure::MalformedRequest)?;
    if authzid.contains('\0') {
        return Err(SaslFailure::MalformedRequest);
    }
    let all = setting.channel.map_or(&[][..], |channel| &channel.accounts);
    let accounts: Vec<&BareJid> = all
        .iter()
        .filter(|account| account.node().is_some() && account.domain().as_str() == setting.domain)
        .collect();
    let Some((&first, others)) = accounts.split_first() else { return Err(SaslFailure::NotAuthorized) };
    let account = match authzid {
        // XEP-0178, 2: one of several must be named.
        "" if others.iter().all(|other| *other == first) => Some(first),
        "" => None,
        named => address::parse(named)
            .ok()
            .and_then(|named| accounts.iter().copied().find(|account| **account == named)),
    };
    let account = account.ok_or(SaslFailure::InvalidAuthzid)?;
    Ok(LookUp::new(account, Request::External))
}

/// The account is there, or not.
pub(super) fn answer(username: String, credentials: Option<&Credentials>) -> Outcome {
    match credentials {
        Some(_) => Outcome::Success { username, data: None, evidence: Evidence::Other },
        None => Outcome::Failure(SaslFailure::NotAuthorized),
    }
}
