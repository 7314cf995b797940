//! The server's side of SCRAM-SHA-1 for accounts that share one password: one HMAC a login, and no proof is checked.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use sha1::Sha1;

type HmacSha1 = Hmac<Sha1>;

const ITERATIONS: u32 = 4096;
const SALT: &[u8] = b"the same for all";
/// What every nonce of ours ends with.
const NONCE: &str = "3rfcNHYJY1ZVvWVs7j";

/// What is computed once.
pub(crate) struct Scram {
    /// Keyed with the server key.
    signer: HmacSha1,
}

/// A login that has begun.
#[derive(Debug)]
pub(crate) struct Begun {
    /// The user's name.
    pub(crate) user: String,
    /// The client's first message without its header, and ours.
    signed: String,
}

impl Scram {
    pub(crate) fn new(password: &str) -> Scram {
        const ANY_LENGTH: &str = "a key of any length will do";
        let salted = pbkdf2::pbkdf2_hmac_array::<Sha1, 20>(password.as_bytes(), SALT, ITERATIONS);
        let server_key =
            HmacSha1::new_from_slice(&salted).expect(ANY_LENGTH).chain_update(b"Server Key").finalize();
        Scram { signer: HmacSha1::new_from_slice(&server_key.into_bytes()).expect(ANY_LENGTH) }
    }

    /// Answers the client's first message, both in base64.
    pub(crate) fn begin(&self, client_first: &[u8]) -> Option<(Begun, String)> {
        let client_first = String::from_utf8(STANDARD.decode(client_first).ok()?).ok()?;
        let bare = client_first.splitn(3, ',').nth(2)?;
        let (user, nonce) = bare.strip_prefix("n=")?.split_once(",r=")?;
        let server_first = format!("r={nonce}{NONCE},s={},i={ITERATIONS}", STANDARD.encode(SALT));
        let answer = STANDARD.encode(&server_first);
        Some((Begun { user: user.to_owned(), signed: format!("{bare},{server_first},") }, answer))
    }

    /// Answers the client's last message, both in base64.
    pub(crate) fn end(&self, begun: &Begun, client_last: &[u8]) -> Option<String> {
        let client_last = STANDARD.decode(client_last).ok()?;
        let without_proof = &client_last[..memchr::memmem::find(&client_last, b",p=")?];
        let signature =
            self.signer.clone().chain_update(&begun.signed).chain_update(without_proof).finalize();
        Some(STANDARD.encode(format!("v={}", STANDARD.encode(signature.into_bytes()))))
    }
}
