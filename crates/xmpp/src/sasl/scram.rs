//! SCRAM-SHA-1, -256 and -512 (RFC 5802, 7677) on the server side, without channel binding yet.
//!
//! What violates the grammar of RFC 5802, 7 is `malformed-request`; what it allows and we must refuse (channel binding
//! that we did not offer, a mandatory extension, a wrong nonce or proof) is `not-authorized`. There is no `e=`: XMPP's
//! `<failure/>` carries no data.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::keys::{FakeSalts, ScramHash, ScramKeys};
use super::{
    Credentials, Evidence, Exchange, LookUp, Outcome, Request, SaslFailure, Waiting, account_of,
    check_authzid,
};

/// What the client's first message said, but for the user name.
pub(super) struct ClientFirst {
    hash: ScramHash,
    /// As sent: `c=` of the final message must repeat it.
    gs2_header: String,
    /// As sent: the first part of AuthMessage.
    bare: String,
    nonce: String,
}

/// Takes the client's first message.
pub(super) fn begin(hash: ScramHash, domain: &str, message: &[u8]) -> Outcome {
    match parse_client_first(hash, domain, message) {
        Ok(look_up) => Outcome::LookUp(look_up),
        Err(failure) => Outcome::Failure(failure),
    }
}

fn parse_client_first(hash: ScramHash, domain: &str, message: &[u8]) -> Result<LookUp, SaslFailure> {
    const MALFORMED: SaslFailure = SaslFailure::MalformedRequest;
    let text = std::str::from_utf8(message).map_err(|_| MALFORMED)?;
    let mut parts = text.splitn(3, ',');
    let (Some(flag), Some(authzid), Some(bare)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(MALFORMED);
    };
    check_binding_flag(flag)?;
    let authzid = match authzid {
        "" => None,
        named => Some(decode_saslname(named.strip_prefix("a=").ok_or(MALFORMED)?)?),
    };
    let gs2_header = &text[..text.len() - bare.len()];
    let mut attributes = bare.split(',');
    let first = attributes.next().unwrap_or_default();
    if first.starts_with("m=") {
        return Err(SaslFailure::NotAuthorized);
    }
    let username = decode_saslname(first.strip_prefix("n=").ok_or(MALFORMED)?)?;
    let nonce = attributes.next().and_then(|second| second.strip_prefix("r=")).ok_or(MALFORMED)?;
    if nonce.is_empty() || !nonce.bytes().all(is_printable) {
        return Err(MALFORMED);
    }
    attributes.try_for_each(check_extension)?;
    let account = account_of(&username, domain)?;
    if let Some(authzid) = authzid {
        check_authzid(&authzid, &account)?;
    }
    let first = ClientFirst {
        hash,
        gs2_header: gs2_header.to_owned(),
        bare: bare.to_owned(),
        nonce: nonce.to_owned(),
    };
    Ok(LookUp::new(&account, Request::Scram(first)))
}

/// `n` and `y` pass: we offer no `-PLUS`, so a client that could bind channels is right that we cannot
/// (RFC 5802, 6). `p=` must fail then.
fn check_binding_flag(flag: &str) -> Result<(), SaslFailure> {
    match flag {
        "n" | "y" => Ok(()),
        _ if flag.len() > 2 && flag.starts_with("p=") => Err(SaslFailure::NotAuthorized),
        _ => Err(SaslFailure::MalformedRequest),
    }
}

/// An optional extension is ignored, a mandatory one fails (RFC 5802, 5.1).
fn check_extension(attribute: &str) -> Result<(), SaslFailure> {
    match attribute.as_bytes() {
        [b'm', b'=', ..] => Err(SaslFailure::NotAuthorized),
        [name, b'=', _, ..] if name.is_ascii_alphabetic() && !attribute.contains('\0') => Ok(()),
        _ => Err(SaslFailure::MalformedRequest),
    }
}

/// Decodes `=2C` and `=3D`; any other `=` fails (RFC 5802, 5.1).
fn decode_saslname(text: &str) -> Result<String, SaslFailure> {
    let mut pieces = text.split('=');
    let mut name = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (character, rest) = match piece.split_at_checked(2) {
            Some(("2C", rest)) => (',', rest),
            Some(("3D", rest)) => ('=', rest),
            _ => return Err(SaslFailure::MalformedRequest),
        };
        name.push(character);
        name.push_str(rest);
    }
    if name.is_empty() || name.contains('\0') {
        return Err(SaslFailure::MalformedRequest);
    }
    Ok(name)
}

fn is_printable(byte: u8) -> bool {
    (0x21..=0x7e).contains(&byte) && byte != b','
}

/// What the client's final message is measured by.
pub(super) struct ClientFinal {
    username: String,
    gs2_header: String,
    /// `client-first-message-bare,server-first-message`, the begin of AuthMessage.
    messages: String,
    nonce: String,
    keys: ScramKeys,
    /// Whether the keys are those of an account.
    pub(super) known: Choice,
}

/// Answers the client's first message with the salt of the account, or of a fake one.
pub(super) fn challenge(
    first: ClientFirst,
    username: String,
    domain: &str,
    credentials: Option<&Credentials>,
    fakes: &FakeSalts,
    server_nonce: &str,
) -> Outcome {
    let fake = fakes.keys(first.hash, &username, domain);
    let (keys, known) = match credentials.and_then(|credentials| credentials.for_hash(first.hash)) {
        Some(keys) => (keys.clone(), Choice::from(1)),
        None => (fake, Choice::from(0)),
    };
    let nonce = [&first.nonce, server_nonce].concat();
    let server_first = format!("r={nonce},s={},i={}", STANDARD.encode(&keys.salt), keys.iterations);
    let messages = format!("{},{server_first}", first.bare);
    let waiting = ClientFinal { username, gs2_header: first.gs2_header, messages, nonce, keys, known };
    Outcome::Challenge(server_first.into_bytes(), Exchange(Waiting::ClientFinal(Box::new(waiting))))
}

impl ClientFinal {
    /// Takes the client's final message.
    pub(super) fn verify(self, message: &[u8]) -> Outcome {
        match self.server_final(message) {
            Ok(data) => Outcome::Success {
                username: self.username,
                data: Some(data),
                evidence: Evidence::Keys(self.keys),
            },
            Err(failure) => Outcome::Failure(failure),
        }
    }

    fn server_final(&self, message: &[u8]) -> Result<Vec<u8>, SaslFailure> {
        const MALFORMED: SaslFailure = SaslFailure::MalformedRequest;
        let text = std::str::from_utf8(message).map_err(|_| MALFORMED)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(MALFORMED)?;
        let proof = STANDARD.decode(proof).map(Zeroizing::new).map_err(|_| MALFORMED)?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next().and_then(|first| first.strip_prefix("c=")).ok_or(MALFORMED)?;
        let binding = STANDARD.decode(binding).map_err(|_| MALFORMED)?;
        let nonce = attributes.next().and_then(|second| second.strip_prefix("r=")).ok_or(MALFORMED)?;
        attributes.try_for_each(check_extension)?;
        if binding != self.gs2_header.as_bytes() || !bool::from(nonce.as_bytes().ct_eq(self.nonce.as_bytes()))
        {
            return Err(SaslFailure::NotAuthorized);
        }
        self.check_proof(&format!("{},{without_proof}", self.messages), &proof)
    }

    /// RFC 5802, 3: the proof is right if the key that it reveals hashes to StoredKey.
    fn check_proof(&self, auth_message: &str, proof: &[u8]) -> Result<Vec<u8>, SaslFailure> {
        let hash = self.keys.hash;
        let client_signature = hash.hmac(&self.keys.stored_key, auth_message.as_bytes());
        if proof.len() != client_signature.len() {
            return Err(SaslFailure::NotAuthorized);
        }
        let client_key: Zeroizing<Vec<u8>> = Zeroizing::new(
            proof.iter().zip(client_signature.iter()).map(|(proof, signature)| proof ^ signature).collect(),
        );
        let right = hash.digest(&client_key).ct_eq(&self.keys.stored_key) & self.known;
        if !bool::from(right) {
            return Err(SaslFailure::NotAuthorized);
        }
        let server_signature = hash.hmac(&self.keys.server_key, auth_message.as_bytes());
        Ok(format!("v={}", STANDARD.encode(&*server_signature)).into_bytes())
    }
}
