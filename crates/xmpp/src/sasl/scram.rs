//! SCRAM-SHA-1, -256 and -512 (RFC 5802, 7677) on the server side, plain and bound to the channel below (-PLUS;
//! RFC 5929, RFC 9266), with the client's offer and TLS version signed along (XEP-0474, XEP-0515).
//!
//! What violates the grammar of RFC 5802, 7 is `malformed-request`; what it allows and we must refuse (channel binding
//! that we did not offer or that the client should have seen, a mandatory extension, a wrong nonce or proof) is
//! `not-authorized`. There is no `e=`: XMPP's `<failure/>` carries no data.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::keys::{ScramHash, ScramKeys};
use super::{
    BindingType, Credentials, Evidence, Exchange, FakeSalts, LookUp, Outcome, Request, SaslFailure, Setting,
    Waiting, account_of, check_authzid,
};

/// What the client's first message said, but for the user name.
pub(super) struct ClientFirst {
    hash: ScramHash,
    /// GS2 header as sent, and the channel's data: what `c=` of the final message must hold.
    pub(super) binding: Zeroizing<Vec<u8>>,
    /// What our first message says beyond salt and iterations.
    pub(super) extensions: String,
    /// As sent: the first part of AuthMessage.
    bare: String,
    nonce: String,
}

/// Takes the client's first message, of the mechanism that binds the channel or of the one that does not.
pub(super) fn begin(
    hash: ScramHash,
    is_plus: bool,
    setting: &Setting<'_>,
    message: &[u8],
) -> Result<LookUp, SaslFailure> {
    const MALFORMED: SaslFailure = SaslFailure::MalformedRequest;
    let text = std::str::from_utf8(message).map_err(|_| MALFORMED)?;
    let mut parts = text.splitn(3, ',');
    let (Some(flag), Some(authzid), Some(bare)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(MALFORMED);
    };
    let data = bound_data(flag, is_plus, setting)?;
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
    let account = account_of(&username, setting.domain)?;
    if let Some(authzid) = authzid {
        check_authzid(&authzid, &account)?;
    }
    let first = ClientFirst {
        hash,
        binding: Zeroizing::new([gs2_header.as_bytes(), data].concat()),
        extensions: extensions(hash, setting),
        bare: bare.to_owned(),
        nonce: nonce.to_owned(),
    };
    Ok(LookUp::new(&account, Request::Scram(first)))
}

/// The channel's data that a flag asks for, which is none for `n` and `y` (RFC 5802, 6).
///
/// Who says `y` has seen no `-PLUS`: somebody took it away if it was offered. Who chooses `-PLUS` must bind.
fn bound_data<'a>(flag: &str, is_plus: bool, setting: &Setting<'a>) -> Result<&'a [u8], SaslFailure> {
    const REFUSED: SaslFailure = SaslFailure::NotAuthorized;
    match flag {
        "n" if !is_plus => Ok(&[]),
        "y" if !is_plus && !setting.offered.binds() => Ok(&[]),
        "n" | "y" => Err(REFUSED),
        _ => {
            let name = flag.strip_prefix("p=").filter(|name| is_binding_name(name));
            let name = name.ok_or(SaslFailure::MalformedRequest)?;
            let binding = BindingType::from_name(name)
                .filter(|binding| is_plus && setting.offered.bindings.contains(binding))
                .ok_or(REFUSED)?;
            setting.channel.and_then(|channel| channel.binding(binding)).ok_or(REFUSED)
        }
    }
}

/// `cb-name` (RFC 5802, 7).
fn is_binding_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
}

/// The offer that the client should have seen (XEP-0474), with TLS and without; and the version of TLS that it should
/// see (XEP-0515), which nobody says without the first.
fn extensions(hash: ScramHash, setting: &Setting<'_>) -> String {
    let Some(protection) = setting.offered.protection(hash) else { return String::new() };
    match setting.channel {
        Some(channel) => format!(",h={protection},t={}", channel.version.hex()),
        None => format!(",h={protection}"),
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
    binding: Zeroizing<Vec<u8>>,
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
    let server_first =
        format!("r={nonce},s={},i={}{}", STANDARD.encode(&keys.salt), keys.iterations, first.extensions);
    let messages = format!("{},{server_first}", first.bare);
    let waiting = ClientFinal { username, binding: first.binding, messages, nonce, keys, known };
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
        let binding = STANDARD.decode(binding).map(Zeroizing::new).map_err(|_| MALFORMED)?;
        let nonce = attributes.next().and_then(|second| second.strip_prefix("r=")).ok_or(MALFORMED)?;
        attributes.try_for_each(check_extension)?;
        let same = binding.ct_eq(&self.binding) & nonce.as_bytes().ct_eq(self.nonce.as_bytes());
        if !bool::from(same) {
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
