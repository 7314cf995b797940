//! The client's side of SCRAM (RFC 5802, RFC 7677), bound to a channel or not, and of tokens (HT-SHA-256 of
//! draft-schmaus-kitten-sasl-ht-09; XEP-0484), apart from the server's own.

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

    /// The name of the mechanism that binds the channel.
    pub fn plus_mechanism(self) -> &'static str {
        match self {
            Hash::Sha1 => "SCRAM-SHA-1-PLUS",
            Hash::Sha256 => "SCRAM-SHA-256-PLUS",
            Hash::Sha512 => "SCRAM-SHA-512-PLUS",
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
    /// The password, salted.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

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
    /// GS2 header.
    header: String,
    /// The channel's data, if the header says that it is bound.
    bound: Vec<u8>,
    /// What the server said, for whoever wants to look at its attributes.
    server_first: String,
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
            header: "n,,".to_owned(),
            bound: Vec::new(),
            server_first: String::new(),
            first_bare: format!("n={user},r={nonce}"),
            nonce: nonce.to_owned(),
            server_signature: None,
        }
    }

    /// The same login with another GS2 header (`y,,`, `p=tls-exporter,,`) and the channel's data (RFC 5802, 6): whatever a
    /// play wants, right or wrong.
    pub fn bound(self, header: &str, data: &[u8]) -> Scram {
        Scram { header: header.to_owned(), bound: data.to_vec(), ..self }
    }

    /// The client's first message, in base64.
    pub fn first(&self) -> String {
        STANDARD.encode(format!("{}{}", self.header, self.first_bare))
    }

    /// The value of an attribute of the server's first message, as `h` (XEP-0474) or `t` (XEP-0515).
    pub fn attribute(&self, name: char) -> Option<&str> {
        self.server_first.split(',').find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
    }

    /// Answers the server's first message. `salted` is kept from one login of the account to the next.
    pub fn answer(
        &mut self,
        challenge: &str,
        password: &str,
        salted: &mut Option<SaltedPassword>,
    ) -> Result<String, String> {
        let server_first = decode(challenge)?;
        self.server_first.clone_from(&server_first);
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
        let bound = STANDARD.encode([self.header.as_bytes(), &self.bound].concat());
        let without_proof = format!("c={bound},r={nonce}");
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

/// One login by a token.
#[derive(Clone)]
pub struct HashedToken {
    token: String,
    bound: Vec<u8>,
}

impl HashedToken {
    /// With the channel's data for the mechanism that the token is for; none for HT-SHA-256-NONE.
    pub fn new(token: &str, bound: &[u8]) -> HashedToken {
        HashedToken { token: token.to_owned(), bound: bound.to_vec() }
    }

    /// The one message, in base64.
    pub fn message(&self, user: &str) -> String {
        STANDARD.encode([user.as_bytes(), b"\0", &self.mac(b"Initiator")].concat())
    }

    /// Whether the server's last message proves that it knows the token.
    pub fn verifies(&self, success: &str) -> bool {
        STANDARD.decode(success).is_ok_and(|answer| answer == self.mac(b"Responder"))
    }

    fn mac(&self, label: &[u8]) -> Vec<u8> {
        Hash::Sha256.mac(self.token.as_bytes(), &[label, &self.bound].concat())
    }
}

fn decode(text: &str) -> Result<String, String> {
    let bytes = STANDARD.decode(text).map_err(|error| format!("{error}: {text:?}"))?;
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};

    use super::{Hash, HashedToken, Scram};

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

    /// The example of XEP-0515.
    #[test]
    fn a_login_bound_to_its_channel_is_that_of_the_specification() {
        let mut scram = Scram::new(Hash::Sha1, "user", "12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6")
            .bound("p=tls-exporter,,", b"THIS IS FAKE CB DATA");
        let first = String::from_utf8(STANDARD.decode(scram.first()).unwrap()).unwrap();
        assert_eq!(first, "p=tls-exporter,,n=user,r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6");
        let server_first = "r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6a09117a6-ac50-4f2f-93f1-93799c2bddf6,\
            s=QSXCR+Q6sek8bf92,i=4096,h=G6k/rBLDqgOhRRaCuuatSDFkJ08=,t=0304";
        let answer = scram.answer(&STANDARD.encode(server_first), "pencil", &mut None).unwrap();
        let answer = String::from_utf8(STANDARD.decode(answer).unwrap()).unwrap();
        assert!(answer.starts_with("c=cD10bHMtZXhwb3J0ZXIsLFRISVMgSVMgRkFLRSBDQiBEQVRB,r="), "{answer}");
        assert!(answer.ends_with(",p=KHUfN8dSy1K95crT4D5y1ItLJfs="), "{answer}");
        assert!(scram.verifies(&STANDARD.encode("v=3w34ZIMVRkx2f2Ozb3/ecRPVdv4=")));
        let shown = ['h', 't', 'x'].map(|name| scram.attribute(name));
        assert_eq!(shown, [Some("G6k/rBLDqgOhRRaCuuatSDFkJ08="), Some("0304"), None]);
    }

    /// Computed with Python's `hmac`.
    #[test]
    fn a_token_is_hashed_with_the_channel() {
        let token = HashedToken::new("WXZzciBwYmFmdmZn", &[7; 32]);
        let message = STANDARD.decode(token.message("romeo")).unwrap();
        let (name, proof) = message.split_at(6);
        assert_eq!(name, b"romeo\0");
        assert_eq!(STANDARD.encode(proof), "btISVzMDVM9tQDtIL93Dm2Qhlpt7aXTnEDjEDzCnQbw=");
        assert!(token.verifies("aGQlBElAV34m/85hNH8OXN++wgl2ztnJLXXth2bvogM="));
        assert!(!token.verifies(&STANDARD.encode(proof)) && !token.verifies("*"));
    }
}
