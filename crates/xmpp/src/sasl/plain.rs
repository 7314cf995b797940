//! PLAIN (RFC 4616): one message `authzid NUL authcid NUL passwd`. Under TLS only unless the config says otherwise,
//! which is decided where mechanisms are offered.

use zeroize::Zeroizing;

use super::{LookUp, Outcome, Request, SaslFailure, account_of, check_authzid};

/// Takes the one message of the exchange.
pub(super) fn begin(domain: &str, message: &[u8]) -> Outcome {
    match parse(domain, message) {
        Ok(look_up) => Outcome::LookUp(look_up),
        Err(failure) => Outcome::Failure(failure),
    }
}

fn parse(domain: &str, message: &[u8]) -> Result<LookUp, SaslFailure> {
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
