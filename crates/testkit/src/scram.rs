//! The client's side of SCRAM (RFC 5802, RFC 7677), apart from the server's own.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

/// The hash of a SCRAM mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SCRAM-SHA-1.
    Sha1,
    /// SCRAM-SHA-256.
    Sha256,
    /// SCRAM-SHA-512.
    Sha512,
}

impl Hash {
    /// The mechanism's name.
    pub fn mechanism(self) -> &'static str {
        match self {
            Hash::Sha1 => "SCRAM-SHA-1",
            Hash::Sha256 => "SCRAM-SHA-256",
            Hash::Sha512 => "SCRAM-SHA-512",
        }
    }

    fn digest(self, data: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha1 => Sha1::digest(data).to_vec(),
            Hash::Sha256 => Sha256::digest(data).to_vec(),
            Hash::Sha512 => Sha512::digest(data).to_vec(),
        }
    }

    fn mac(self, key: &[u8], data: &[u8]) -> Vec<u8> {
        const ANY_LENGTH: &str = "a key of any length will do";
        match self {
            Hash::Sha1 => Hmac::<Sha1>::new_from_slice(key)
                .expect(ANY_LENGTH)
                .chain_update(data)
                .finalize()
                .into_bytes()
                .to_vec(),
            Hash::Sha256 => Hmac::<Sha256>::new_from_slice(key)
                .expect(ANY_LENGTH)
                .chain_update(data)
                .finalize()
                .into_bytes()
                .to_vec(),
            Hash::Sha512 => Hmac::<Sha512>::new_from_slice(key)
                .expect(ANY_LENGTH)
                .chain_update(data)
                .finalize()
                .into_bytes()
                .to_vec(),
        }
    }
}

/// A password, salted: what takes long to compute and stays the same for one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaltedPassword {
    salt: Vec<u8>,
    iterations: u32,
    key: Vec<u8>,
}

impl SaltedPassword {
    /// Salts a password.
    pub fn new(hash: Hash, password: &str, salt: &[u8], iterations: u32) -> SaltedPassword {
        let key = match hash {
            Hash::Sha1 => {
                pbkdf2::pbkdf2_hmac_array::<Sha1, 20>(password.as_bytes(), salt, iterations).to_vec()
            }
            Hash::Sha256 => {
                pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password.as_bytes(), salt, iterations).to_vec()
            }
            Hash::Sha512 => {
                pbkdf2::pbkdf2_hmac_array::<Sha512, 64>(password.as_bytes(), salt, iterations).to_vec()
            }
        };
        SaltedPassword { salt: salt.to_vec(), iterations, key }
    }
}

/// One login.
#[derive(Debug)]
pub struct Scram {
    hash: Hash,
    first_bare: String,
    nonce: String,
    server_signature: Option<Vec<u8>>,
}

impl Scram {
    /// Begins a login with a nonce of the caller's choice.
    pub fn new(hash: Hash, user: &str, nonce: &str) -> Scram {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Scram {
            hash,
            first_bare: format!("n={user},r={nonce}"),
            nonce: nonce.to_owned(),
            server_signature: None,
        }
    }

    /// The client's first message, in base64.
    pub fn first(&self) -> String {
        STANDARD.encode(format!("n,,{}", self.first_bare))
    }

    /// Answers the server's first message. `salted` is kept from one login of the account to the next.
    pub fn answer(
        &mut self,
        challenge: &str,
        password: &str,
        salted: &mut Option<SaltedPassword>,
    ) -> Result<String, String> {
        let server_first = decode(challenge)?;
        let field = |key: char| {
            server_first
                .split(',')
                .find_map(|field| field.strip_prefix(key)?.strip_prefix('='))
                .ok_or_else(|| format!("no {key}= in {server_first}"))
        };
        let nonce = field('r')?;
        if !nonce.starts_with(&self.nonce) || nonce == self.nonce {
            return Err(format!("the server's nonce {nonce} does not extend ours"));
        }
        let salt = STANDARD.decode(field('s')?).map_err(|error| error.to_string())?;
        let iterations: u32 = field('i')?.parse().map_err(|_| format!("bad i= in {server_first}"))?;
        if !salted.as_ref().is_some_and(|kept| kept.salt == salt && kept.iterations == iterations) {
            *salted = Some(SaltedPassword::new(self.hash, password, &salt, iterations));
        }
        let key = &salted.as_ref().ok_or("no key")?.key;
        let without_proof = format!("c=biws,r={nonce}");
        let signed = format!("{},{server_first},{without_proof}", self.first_bare);
        let client_key = self.hash.mac(key, b"Client Key");
        let signature = self.hash.mac(&self.hash.digest(&client_key), signed.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(left, right)| left ^ right).collect();
        self.server_signature = Some(self.hash.mac(&self.hash.mac(key, b"Server Key"), signed.as_bytes()));
        Ok(STANDARD.encode(format!("{without_proof},p={}", STANDARD.encode(proof))))
    }

    /// Whether the server's last message proves that it knows the account's keys.
    pub fn verifies(&self, success: &str) -> bool {
        let expected = self.server_signature.as_ref().map(|mac| format!("v={}", STANDARD.encode(mac)));
        expected.is_some() && decode(success).ok() == expected
    }
}

fn decode(text: &str) -> Result<String, String> {
    let bytes = STANDARD.decode(text).map_err(|error| format!("{error}: {text:?}"))?;
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};

    use super::{Hash, Scram};

    fn check(hash: Hash, nonce: &str, server_first: &str, proof: &str, verifier: &str) {
        let mut scram = Scram::new(hash, "user", nonce);
        let answer = scram.answer(&STANDARD.encode(server_first), "pencil", &mut None).unwrap();
        let answer = String::from_utf8(STANDARD.decode(answer).unwrap()).unwrap();
        assert!(answer.ends_with(&format!(",p={proof}")), "{answer}");
        assert!(scram.verifies(&STANDARD.encode(format!("v={verifier}"))));
        assert!(!scram.verifies(&STANDARD.encode("v=AAAA")));
    }

    #[test]
    fn the_vector_of_rfc_5802_holds() {
        check(
            Hash::Sha1,
            "fyko+d2lbbFgONRv9qkxdawL",
            "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
            "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            "rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        );
    }

    #[test]
    fn the_vector_of_rfc_7677_holds() {
        check(
            Hash::Sha256,
            "rOprNGfwEbeRWgbNEkqO",
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        );
    }

    #[test]
    fn a_nonce_that_is_not_ours_is_refused() {
        let mut scram = Scram::new(Hash::Sha1, "user", "abc");
        let challenge = STANDARD.encode("r=xyz,s=QSXCR+Q6sek8bf92,i=4096");
        assert!(scram.answer(&challenge, "pencil", &mut None).is_err());
    }
}
