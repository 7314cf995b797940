//! The client's side of SCRAM (RFC 5802, RFC 7677), with the keys of an account computed once.

use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The hash of a SCRAM mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScramHash {
    /// SCRAM-SHA-1.
    Sha1,
    /// SCRAM-SHA-256.
    Sha256,
}

/// What the server said is no answer to a SCRAM login.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScramFault {
    /// Not base64, not UTF-8, or a field is missing.
    #[error("malformed SCRAM message {0:?}")]
    Malformed(String),
    /// The server's nonce does not begin with the client's.
    #[error("the server's nonce does not extend the client's")]
    Nonce,
    /// The server does not know the account's keys.
    #[error("the server's signature is wrong")]
    Signature,
}

const ANY_LENGTH: &str = "a key of any length will do";

impl ScramHash {
    fn digest(self, data: &[u8]) -> Vec<u8> {
        match self {
            ScramHash::Sha1 => Sha1::digest(data).to_vec(),
            ScramHash::Sha256 => Sha256::digest(data).to_vec(),
        }
    }

    fn mac(self, key: &[u8], data: &[u8]) -> Vec<u8> {
        match self {
            ScramHash::Sha1 => {
                let mac = Hmac::<Sha1>::new_from_slice(key).expect(ANY_LENGTH);
                mac.chain_update(data).finalize().into_bytes().to_vec()
            }
            ScramHash::Sha256 => {
                let mac = Hmac::<Sha256>::new_from_slice(key).expect(ANY_LENGTH);
                mac.chain_update(data).finalize().into_bytes().to_vec()
            }
        }
    }

    fn salted(self, password: &str, salt: &[u8], iterations: u32) -> Vec<u8> {
        let password = password.as_bytes();
        match self {
            ScramHash::Sha1 => pbkdf2::pbkdf2_hmac_array::<Sha1, 20>(password, salt, iterations).to_vec(),
            ScramHash::Sha256 => pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, salt, iterations).to_vec(),
        }
    }

    /// The mechanism's name.
    pub fn mechanism(self) -> &'static str {
        match self {
            ScramHash::Sha1 => "SCRAM-SHA-1",
            ScramHash::Sha256 => "SCRAM-SHA-256",
        }
    }
}

/// What an account's password comes to with one salt.
#[derive(Clone, Debug)]
pub struct Keys {
    client: Vec<u8>,
    stored: Vec<u8>,
    server: Vec<u8>,
}

impl Keys {
    /// Derives the keys: slow, on purpose of the RFC.
    pub fn derive(hash: ScramHash, password: &str, salt: &[u8], iterations: u32) -> Keys {
        let salted = hash.salted(password, salt, iterations);
        let client = hash.mac(&salted, b"Client Key");
        Keys { stored: hash.digest(&client), server: hash.mac(&salted, b"Server Key"), client }
    }

    /// StoredKey and ServerKey, in base64, as a server keeps them.
    pub fn server_side(&self) -> (String, String) {
        (STANDARD.encode(&self.stored), STANDARD.encode(&self.server))
    }
}

/// All that keys depend on.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Source {
    hash: ScramHash,
    iterations: u32,
    salt: Box<[u8]>,
    password: Box<str>,
}

/// The keys that were derived so far.
#[derive(Debug, Default)]
pub struct KeyCache {
    keys: HashMap<Source, Keys>,
}

impl KeyCache {
    fn get(&mut self, hash: ScramHash, password: &str, salt: Vec<u8>, iterations: u32) -> &Keys {
        let source = Source { hash, iterations, salt: salt.into_boxed_slice(), password: password.into() };
        self.keys.entry(source).or_insert_with_key(|source| {
            Keys::derive(source.hash, &source.password, &source.salt, source.iterations)
        })
    }
}

/// One login.
#[derive(Debug)]
pub struct Scram {
    hash: ScramHash,
    first_bare: String,
    nonce: String,
    /// Known once the challenge was answered.
    verifier: Option<String>,
}

impl Scram {
    /// Begins a login with a nonce of the caller's choice.
    pub fn new(hash: ScramHash, user: &str, nonce: String) -> Scram {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Scram { hash, first_bare: format!("n={user},r={nonce}"), nonce, verifier: None }
    }

    /// The client's first message, in base64.
    pub fn first(&self) -> String {
        STANDARD.encode(format!("n,,{}", self.first_bare))
    }

    /// Whether the challenge was answered, so that only the server's signature is missing.
    pub fn is_answered(&self) -> bool {
        self.verifier.is_some()
    }

    /// Answers the server's first message, both in base64.
    pub fn answer(
        &mut self,
        challenge: &str,
        password: &str,
        cache: &mut KeyCache,
    ) -> Result<String, ScramFault> {
        let server_first = decode(challenge)?;
        let malformed = || ScramFault::Malformed(server_first.clone());
        let field = |key: &str| {
            server_first.split(',').find_map(|field| field.strip_prefix(key)).ok_or_else(malformed)
        };
        let nonce = field("r=")?;
        if !nonce.starts_with(&self.nonce) {
            return Err(ScramFault::Nonce);
        }
        let salt = STANDARD.decode(field("s=")?).map_err(|_| malformed())?;
        let iterations: u32 = field("i=")?.parse().map_err(|_| malformed())?;
        let keys = cache.get(self.hash, password, salt, iterations);

        let without_proof = format!("c=biws,r={nonce}");
        let signed = format!("{},{server_first},{without_proof}", self.first_bare);
        let signature = self.hash.mac(&keys.stored, signed.as_bytes());
        let proof: Vec<u8> = keys.client.iter().zip(&signature).map(|(left, right)| left ^ right).collect();
        let verifier = STANDARD.encode(self.hash.mac(&keys.server, signed.as_bytes()));
        self.verifier = Some(format!("v={verifier}"));
        Ok(STANDARD.encode(format!("{without_proof},p={}", STANDARD.encode(proof))))
    }

    /// Whether the server's last message, in base64, proves that it knows the account's keys.
    pub fn verify(&self, server_last: &str) -> Result<(), ScramFault> {
        let decoded = decode(server_last)?;
        match &self.verifier {
            Some(verifier) if *verifier == decoded => Ok(()),
            _ => Err(ScramFault::Signature),
        }
    }
}

fn decode(text: &str) -> Result<String, ScramFault> {
    let malformed = || ScramFault::Malformed(text.to_owned());
    let bytes = STANDARD.decode(text.trim()).map_err(|_| malformed())?;
    String::from_utf8(bytes).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(hash: ScramHash, nonce: &str, server_first: &str, proof: &str, verifier: &str) {
        let mut cache = KeyCache::default();
        for _ in 0..2 {
            let mut scram = Scram::new(hash, "user", nonce.to_owned());
            assert!(scram.verify(&STANDARD.encode(format!("v={verifier}"))).is_err());
            let answer = scram.answer(&STANDARD.encode(server_first), "pencil", &mut cache).unwrap();
            assert!(decode(&answer).unwrap().ends_with(&format!(",p={proof}")), "{answer}");
            scram.verify(&STANDARD.encode(format!("v={verifier}"))).unwrap();
            assert_eq!(scram.verify(&STANDARD.encode("v=AAAA")), Err(ScramFault::Signature));
        }
        assert_eq!(cache.keys.len(), 1, "derived once");
    }

    #[test]
    fn the_vector_of_rfc_5802_holds() {
        check(
            ScramHash::Sha1,
            "fyko+d2lbbFgONRv9qkxdawL",
            "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
            "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            "rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        );
    }

    #[test]
    fn the_vector_of_rfc_7677_holds() {
        check(
            ScramHash::Sha256,
            "rOprNGfwEbeRWgbNEkqO",
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        );
    }

    #[test]
    fn a_nonce_that_is_not_ours_and_a_message_that_is_none_are_refused() {
        let mut cache = KeyCache::default();
        let mut scram = Scram::new(ScramHash::Sha1, "user", "abc".to_owned());
        let mut answer = |text: &str| scram.answer(&STANDARD.encode(text), "pencil", &mut cache);
        assert_eq!(answer("r=xyz,s=QSXCR+Q6sek8bf92,i=4096"), Err(ScramFault::Nonce));
        assert!(matches!(answer("r=abcd,i=4096"), Err(ScramFault::Malformed(_))));
        assert!(matches!(answer("e=unknown-user"), Err(ScramFault::Malformed(_))));
    }
}
