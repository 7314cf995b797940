//! DIGEST-MD5 (RFC 2831), which is historic (RFC 6331): for clients that know nothing else, where a host asks for it. One
//! exchange: no subsequent authentication (RFC 2831, 2.2), no security layer, `qop=auth` only.
//!
//! The server speaks first. After `rspauth` the client sends an empty response (RFC 3920, 6.5), so success comes one step
//! later than it could. What violates the grammar is `malformed-request`; what does not fit this exchange (nonce, realm,
//! `nc`, `qop`, `digest-uri`) is `not-authorized`. A value may be a token or a quoted string whatever its directive: clients
//! differ, and nothing hangs on it.
//!
//! The stored key is of the account's name as it is prepared, so a client must hash the name in that form.

use std::fmt;

use jid::BareJid;
use md5::{Digest, Md5};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::{
    Credentials, Evidence, Exchange, FakeSalts, LookUp, Outcome, Request, SaslFailure, Setting, Waiting,
    account_of, check_authzid,
};
use crate::address;

/// A response is shorter than this (RFC 2831, 2.1.2).
const RESPONSE_BYTES_END: usize = 4096;

/// The only count there is without subsequent authentication (RFC 2831, 2.1.3).
const NONCE_COUNT: &[u8] = b"00000001";

/// Directives that may appear once at most (RFC 2831, 2.1.2). Others are ignored.
const KNOWN: [&str; 12] = [
    "username",
    "realm",
    "nonce",
    "cnonce",
    "nc",
    "qop",
    "digest-uri",
    "response",
    "maxbuf",
    "charset",
    "cipher",
    "authzid",
];

/// What DIGEST-MD5 keeps of a password: `H(username:realm:password)` (RFC 2831, 2.1.2.1), which is as good as the
/// password to that mechanism. No `Debug` that shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct DigestKey(pub Zeroizing<[u8; 16]>);

impl DigestKey {
    /// Of an account's password as it was typed: RFC 2831 knows no preparation. The realm is the host; each text that fits
    /// into ISO 8859-1 is hashed in it.
    pub(super) fn derive(account: &BareJid, password: &str) -> DigestKey {
        let username = account.node().map(|node| node.as_str().to_owned()).unwrap_or_default();
        let [username, realm, password] = [&username, account.domain().as_str(), password].map(latin);
        DigestKey(md5(&[&username, b":", &realm, b":", &password]))
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("DigestKey")
    }
}

/// A challenge that was sent.
pub(super) struct Challenged {
    nonce: String,
}

/// Begins with the server's challenge; an initial response would be a subsequent authentication.
pub(super) fn begin(setting: &Setting<'_>, initial: Option<&[u8]>) -> Outcome {
    if initial.is_some() {
        return Outcome::Failure(SaslFailure::MalformedRequest);
    }
    let nonce = hex(&setting.fakes.derive(&["digest", setting.once])).to_string();
    let challenge = format!(
        "realm=\"{}\",nonce=\"{nonce}\",qop=\"auth\",charset=utf-8,algorithm=md5-sess",
        setting.domain
    );
    let waiting = Waiting::DigestResponse(Challenged { nonce });
    Outcome::Challenge(challenge.into_bytes(), Exchange(waiting))
}

/// What the client's response said, but for the user name.
pub(super) struct Response {
    pub(super) nonce: Vec<u8>,
    pub(super) client_nonce: Vec<u8>,
    pub(super) digest_uri: Vec<u8>,
    pub(super) authzid: Option<Vec<u8>>,
    pub(super) proof: Zeroizing<Vec<u8>>,
}

impl Challenged {
    /// Takes the client's response.
    pub(super) fn respond(self, domain: &str, message: &[u8]) -> Result<LookUp, SaslFailure> {
        const MALFORMED: SaslFailure = SaslFailure::MalformedRequest;
        let mut directives = Directives::parse(message).ok_or(MALFORMED)?;
        let is_utf8 = match directives.take("charset") {
            Some(charset) if charset.eq_ignore_ascii_case(b"utf-8") => true,
            Some(_) => return Err(MALFORMED),
            None => false,
        };
        let read = |value| read_text(value, is_utf8).ok_or(MALFORMED);
        let username = read(directives.require("username")?)?;
        let realm = directives.take("realm").map(read).transpose()?;
        let response = Response {
            nonce: directives.require("nonce")?,
            client_nonce: directives.require("cnonce")?,
            digest_uri: directives.require("digest-uri")?,
            authzid: directives.take("authzid"),
            proof: Zeroizing::new(directives.require("response")?),
        };
        let count = directives.require("nc")?;
        if username.contains('\0') || !is_lower_hex(&response.proof, 32) {
            return Err(MALFORMED);
        }
        let fits = response.nonce == self.nonce.as_bytes()
            && realm.is_none_or(|realm| realm == domain)
            && count == NONCE_COUNT
            && directives.take("qop").is_none_or(|qop| qop.eq_ignore_ascii_case(b"auth"))
            && is_of_service(&response.digest_uri, domain);
        if !fits {
            return Err(SaslFailure::NotAuthorized);
        }
        let account = account_of(&username, domain)?;
        if let Some(authzid) = &response.authzid {
            check_authzid(std::str::from_utf8(authzid).map_err(|_| MALFORMED)?, &account)?;
        }
        Ok(LookUp::new(&account, Request::Digest(response)))
    }
}

/// Compares the client's proof with the stored key, or with that of an account that is not there.
pub(super) fn answer(
    response: &Response,
    username: String,
    domain: &str,
    credentials: Option<&Credentials>,
    fakes: &FakeSalts,
) -> Outcome {
    let fake = fakes.derive(&["digest key", domain, &username]);
    let (key, known) = match credentials.and_then(|credentials| credentials.digest.as_ref()) {
        Some(DigestKey(key)) => (&key[..], Choice::from(1)),
        None => (&fake[..16], Choice::from(0)),
    };
    let right = response.signature(key, b"AUTHENTICATE").as_bytes().ct_eq(&response.proof) & known;
    if !bool::from(right) {
        return Outcome::Failure(SaslFailure::NotAuthorized);
    }
    let challenge = format!("rspauth={}", *response.signature(key, b""));
    Outcome::Challenge(challenge.into_bytes(), Exchange(Waiting::DigestEnd { username }))
}

/// The empty response after `rspauth`.
pub(super) fn end(username: String, message: &[u8]) -> Outcome {
    match message {
        b"" => Outcome::Success { username, data: None, evidence: Evidence::Other },
        _ => Outcome::Failure(SaslFailure::MalformedRequest),
    }
}

impl Response {
    /// `response-value` (RFC 2831, 2.1.2.1); the method is empty for the server's.
    pub(super) fn signature(&self, key: &[u8], method: &[u8]) -> Zeroizing<String> {
        let a1 = match &self.authzid {
            Some(authzid) => md5(&[key, b":", &self.nonce, b":", &self.client_nonce, b":", authzid]),
            None => md5(&[key, b":", &self.nonce, b":", &self.client_nonce]),
        };
        let a2 = md5(&[method, b":", &self.digest_uri]);
        let [a1, a2] = [a1, a2].map(|digest| hex(&digest[..]));
        let (nonce, client_nonce) = (&self.nonce, &self.client_nonce);
        let signed: [&[u8]; 11] = [
            a1.as_bytes(),
            b":",
            nonce,
            b":",
            NONCE_COUNT,
            b":",
            client_nonce,
            b":",
            b"auth",
            b":",
            a2.as_bytes(),
        ];
        hex(&md5(&signed)[..])
    }
}

/// `xmpp/host`, or `xmpp/machine/host`: which machines serve a host is not known here (RFC 2831, 2.1.2).
fn is_of_service(digest_uri: &[u8], domain: &str) -> bool {
    let Ok(text) = std::str::from_utf8(digest_uri) else { return false };
    let is_ours = |host: &str| address::normalise_domain(host).is_ok_and(|host| host == domain);
    let mut parts = text.split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(service), Some(host), None, None) => service.eq_ignore_ascii_case("xmpp") && is_ours(host),
        (Some(service), Some(machine), Some(host), None) => {
            service.eq_ignore_ascii_case("xmpp") && !machine.is_empty() && is_ours(host)
        }
        _ => false,
    }
}

/// A text in UTF-8, or in ISO 8859-1 where the client did not say `charset`.
fn read_text(value: Vec<u8>, is_utf8: bool) -> Option<String> {
    if is_utf8 {
        return String::from_utf8(value).ok();
    }
    Some(value.into_iter().map(char::from).collect())
}

/// In ISO 8859-1 if it fits, else in UTF-8 (RFC 2831, 2.1.2.1 and 8).
fn latin(text: &str) -> Zeroizing<Vec<u8>> {
    let latin: Option<Vec<u8>> = text.chars().map(|each| u8::try_from(u32::from(each)).ok()).collect();
    Zeroizing::new(latin.unwrap_or_else(|| text.as_bytes().to_vec()))
}

fn md5(parts: &[&[u8]]) -> Zeroizing<[u8; 16]> {
    let mut hash = Md5::new();
    parts.iter().for_each(|part| hash.update(part));
    Zeroizing::new(hash.finalize().into())
}

fn hex(bytes: &[u8]) -> Zeroizing<String> {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let mut text = Zeroizing::new(String::with_capacity(2 * bytes.len()));
    for byte in bytes {
        text.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    text
}

fn is_lower_hex(text: &[u8], bytes: usize) -> bool {
    text.len() == bytes && text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Name and value of each directive that is known.
struct Directives(Vec<(&'static str, Vec<u8>)>);

impl Directives {
    /// Reads `1#(name=value)`: commas between them, white space around commas, empty elements ignored (RFC 2831, 7.1).
    fn parse(message: &[u8]) -> Option<Directives> {
        if message.len() >= RESPONSE_BYTES_END {
            return None;
        }
        let mut found: Vec<(&'static str, Vec<u8>)> = Vec::new();
        let mut rest = message.trim_ascii_start();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix(b",") {
                rest = after.trim_ascii_start();
                continue;
            }
            let (name, after) = token(rest)?;
            let (value, after) = value(after.strip_prefix(b"=")?)?;
            if let Some(known) = KNOWN.into_iter().find(|known| name.eq_ignore_ascii_case(known.as_bytes())) {
                if found.iter().any(|(name, _)| *name == known) {
                    return None;
                }
                found.push((known, value));
            }
            rest = after.trim_ascii_start();
            if !rest.is_empty() && !rest.starts_with(b",") {
                return None;
            }
        }
        Some(Directives(found))
    }

    fn take(&mut self, name: &str) -> Option<Vec<u8>> {
        let at = self.0.iter().position(|(found, _)| *found == name)?;
        Some(self.0.swap_remove(at).1)
    }

    /// One that must be there, and not empty.
    fn require(&mut self, name: &str) -> Result<Vec<u8>, SaslFailure> {
        self.take(name).filter(|value| !value.is_empty()).ok_or(SaslFailure::MalformedRequest)
    }
}

fn value(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    match text.strip_prefix(b"\"") {
        Some(quoted) => quoted_string(quoted),
        None => token(text).map(|(value, rest)| (value.to_vec(), rest)),
    }
}

/// What stands before the closing quote, and what after it (RFC 2831, 7.2).
fn quoted_string(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut value = Vec::new();
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'"' => return Some((value, text.get(at + 1..)?)),
            b'\\' => {
                at += 1;
                value.push(*text.get(at).filter(|byte| byte.is_ascii())?);
            }
            byte => value.push(*byte),
        }
        at += 1;
    }
}

fn token(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let is_separator = |byte: &u8| !byte.is_ascii_graphic() || b"()<>@,;:\\\"/[]?={}".contains(byte);
    let end = text.iter().position(is_separator).unwrap_or(text.len());
    if end == 0 { None } else { text.split_at_checked(end) }
}
