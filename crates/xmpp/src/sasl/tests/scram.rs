//! SCRAM: the RFCs' own conversations, an independent client, and each message measured by its grammar.

use super::*;

/// Plays one conversation of known texts; the server's nonce is what follows the client's in `server_first`.
#[track_caller]
fn check_conversation(password: &str, hash: ScramHash, client: [&str; 2], server: [&str; 2]) {
    let mechanism = Mechanism::Scram(hash);
    let attribute = |name: &str| server[0].split(',').find_map(|part| part.strip_prefix(name)).unwrap();
    let client_nonce = client[0].split(',').find_map(|part| part.strip_prefix("r=")).unwrap();
    let salt = STANDARD.decode(attribute("s=")).unwrap();
    let keys = ScramKeys::derive(hash, password, &salt, attribute("i=").parse().unwrap()).unwrap();
    let credentials = Credentials { keys: vec![keys], digest: None };

    let look_up = look_up(begin(mechanism, &setting(), Some(client[0].as_bytes())));
    assert_eq!(look_up.username(), "user");
    let nonce = attribute("r=").strip_prefix(client_nonce).unwrap();
    let (server_first, exchange) = challenge(look_up.answer(Some(&credentials), &fakes(), nonce));
    assert_eq!(server_first, server[0]);
    let (username, data) = success(exchange.respond(&setting(), client[1].as_bytes()));
    assert_eq!((username.as_str(), data.as_deref()), ("user", Some(server[1])));
}

#[test]
fn the_conversation_of_rfc_5802_is_reproduced() {
    check_conversation(
        "pencil",
        ScramHash::Sha1,
        [
            "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        ],
        [
            "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
            "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        ],
    );
}

#[test]
fn the_conversation_of_rfc_7677_is_reproduced() {
    check_conversation(
        "pencil",
        ScramHash::Sha256,
        [
            "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        ],
        [
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        ],
    );
}

/// No RFC has a conversation with SHA-512. This one was computed with Python's `hashlib` and `hmac`, by a script that
/// gives both conversations above when it is told their hashes.
#[test]
fn a_conversation_with_sha_512_is_as_python_computes_it() {
    check_conversation(
        "pencil",
        ScramHash::Sha512,
        [
            "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==",
        ],
        [
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "v=ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==",
        ],
    );
}

/// Runs the `scram` crate's client, which wants the password prepared, against us.
fn independent_client(password: &str, stored: Option<&Credentials>) -> Result<(), &'static str> {
    let client = ::scram::ScramClient::new("romeo", password, None);
    let (client, client_first) = client.client_first();
    let look_up =
        look_up(begin(Mechanism::Scram(ScramHash::Sha256), &setting(), Some(client_first.as_bytes())));
    let (server_first, exchange) = challenge(look_up.answer(stored, &fakes(), SERVER_NONCE));
    let (client, client_final) = client.handle_server_first(&server_first).unwrap().client_final();
    match exchange.respond(&setting(), client_final.as_bytes()) {
        Outcome::Success { data: Some(data), .. } => client
            .handle_server_final(std::str::from_utf8(&data).unwrap())
            .map_err(|_| "the client refuses us"),
        other => Err(named(&other)),
    }
}

#[test]
fn an_independent_client_logs_in_and_believes_our_signature() {
    let stored = credentials("wherefore=art,thou");
    assert_eq!(independent_client("wherefore=art,thou", Some(&stored)), Ok(()));
    assert_eq!(independent_client("wherefore=art,thou?", Some(&stored)), Err("not-authorized"));
    assert_eq!(independent_client("wherefore=art,thou", None), Err("not-authorized"));
}

#[test]
fn a_first_scram_message_is_taken_or_refused_by_its_grammar() {
    let check = |message: &str, expected: &str| {
        for hash in ALL {
            check_first(Mechanism::Scram(hash), message.as_bytes(), expected);
        }
    };
    for message in [
        "n,,n=romeo,r=a",
        "y,,n=romeo,r=a",
        "n,a=romeo@example.net,n=romeo,r=a",
        "n,a=Romeo@EXAMPLE.net.,n=romeo,r=a",
        "n,,n=romeo,r=a=b",
        "n,,n=romeo,r=a,x=ignored,y=too",
        "n,,n=Jürgen,r=a",
    ] {
        check(message, "look up");
    }
    for message in [
        "",
        "n",
        "n,",
        "n,,",
        "n,,n=romeo",
        "n,,n=romeo,",
        "n,,r=a,n=romeo",
        "n,,n=,r=a",
        "n,,n=romeo,r=",
        "N,,n=romeo,r=a",
        "z,,n=romeo,r=a",
        ",,n=romeo,r=a",
        "p,,n=romeo,r=a",
        "p=,,n=romeo,r=a",
        "n,b=x,n=romeo,r=a",
        "n,a=,n=romeo,r=a",
        "n,romeo,n=romeo,r=a",
        " n,,n=romeo,r=a",
        "n,,n=romeo,r=a b",
        "n,,n=romeo,r=ä",
        "n,,n=romeo,r=a\u{7f}",
        "n,,n=ro=meo,r=a",
        "n,,n=romeo=,r=a",
        "n,,n=romeo=2,r=a",
        "n,,n=romeo=2c,r=a",
        "n,,n=romeo=3d,r=a",
        "n,,n=romeo=€,r=a",
        "n,,n=ro\0meo,r=a",
        "n,,n=romeo,r=a,",
        "n,,n=romeo,r=a,x",
        "n,,n=romeo,r=a,x=",
        "n,,n=romeo,r=a,1=x",
        "n,,n=romeo,r=a,x=\0",
    ] {
        check(message, "malformed-request");
    }
    check_first(Mechanism::Scram(ScramHash::Sha1), b"n,,n=\xff,r=a", "malformed-request");
}

#[test]
fn channel_binding_that_was_not_offered_is_refused() {
    check_first(Mechanism::Scram(ScramHash::Sha1), b"p=tls-unique,,n=romeo,r=a", "not-authorized");
}

#[test]
fn a_mandatory_extension_is_refused() {
    for message in ["n,,m=x,n=romeo,r=a", "n,,n=romeo,r=a,m=x", "n,,n=romeo,r=a,x=y,m="] {
        check_first(Mechanism::Scram(ScramHash::Sha1), message.as_bytes(), "not-authorized");
    }
}

/// A client of ours that can do what the independent one cannot: any hash, any header, any change.
pub(super) struct Client {
    pub(super) hash: ScramHash,
    pub(super) gs2_header: &'static str,
    pub(super) bare: String,
}

impl Client {
    pub(super) fn new(hash: ScramHash) -> Client {
        Client { hash, gs2_header: "n,,", bare: "n=romeo,r=clientnonce".to_owned() }
    }

    pub(super) fn challenged(&self, stored: Option<&Credentials>) -> (String, Exchange) {
        self.challenged_on(Mechanism::Scram(self.hash), &setting(), stored)
    }

    #[track_caller]
    pub(super) fn challenged_on(
        &self,
        mechanism: Mechanism,
        setting: &Setting<'_>,
        stored: Option<&Credentials>,
    ) -> (String, Exchange) {
        let message = [self.gs2_header, &self.bare].concat();
        let look_up = look_up(begin(mechanism, setting, Some(message.as_bytes())));
        challenge(look_up.answer(stored, &fakes(), SERVER_NONCE))
    }

    /// The final message with a proof that is right for `without_proof`, whatever stands in it.
    pub(super) fn client_final(&self, password: &str, server_first: &str, without_proof: &str) -> String {
        let salt = server_first.split(',').nth(1).unwrap().strip_prefix("s=").unwrap();
        let mut salted = vec![0; self.hash.bytes()];
        let salt = STANDARD.decode(salt).unwrap();
        match self.hash {
            ScramHash::Sha1 => pbkdf2::pbkdf2_hmac::<sha1::Sha1>(password.as_bytes(), &salt, 16, &mut salted),
            ScramHash::Sha256 => {
                pbkdf2::pbkdf2_hmac::<sha2::Sha256>(password.as_bytes(), &salt, 16, &mut salted)
            }
            ScramHash::Sha512 => {
                pbkdf2::pbkdf2_hmac::<sha2::Sha512>(password.as_bytes(), &salt, 16, &mut salted)
            }
        }
        let client_key = self.hash.hmac(&salted, b"Client Key");
        let auth_message = format!("{},{server_first},{without_proof}", self.bare);
        let signature = self.hash.hmac(&self.hash.digest(&client_key), auth_message.as_bytes());
        let proof: Vec<u8> =
            client_key.iter().zip(signature.iter()).map(|(key, signature)| key ^ signature).collect();
        format!("{without_proof},p={}", STANDARD.encode(proof))
    }

    pub(super) fn run(
        &self,
        stored: Option<&Credentials>,
        password: &str,
        without_proof: &str,
    ) -> &'static str {
        let (server_first, exchange) = self.challenged(stored);
        named(
            &exchange
                .respond(&setting(), self.client_final(password, &server_first, without_proof).as_bytes()),
        )
    }
}

pub(super) const RIGHT: &str = "c=biws,r=clientnonce3rfcNHYJY1ZVvWVs7j";

#[test]
fn each_hash_lets_in_the_right_password_only() {
    let stored = credentials("secret");
    for hash in ALL {
        let client = Client::new(hash);
        assert_eq!(client.run(Some(&stored), "secret", RIGHT), "success", "{hash:?}");
        assert_eq!(client.run(Some(&stored), "Secret", RIGHT), "not-authorized", "{hash:?}");
        assert_eq!(client.run(None, "secret", RIGHT), "not-authorized", "{hash:?}");
    }
}

#[test]
fn a_client_that_could_bind_channels_logs_in_with_the_flag_y() {
    let client = Client { gs2_header: "y,,", ..Client::new(ScramHash::Sha256) };
    let stored = credentials("secret");
    assert_eq!(client.run(Some(&stored), "secret", "c=eSws,r=clientnonce3rfcNHYJY1ZVvWVs7j"), "success");
    // The flag must be the same in both messages, or somebody took `-PLUS` away in between.
    assert_eq!(client.run(Some(&stored), "secret", RIGHT), "not-authorized");
}

#[test]
fn a_final_message_with_a_right_proof_is_still_measured_by_header_nonce_and_grammar() {
    let (client, stored) = (Client::new(ScramHash::Sha1), credentials("secret"));
    for (without_proof, expected) in [
        (RIGHT, "success"),
        ("c=biws,r=clientnonce3rfcNHYJY1ZVvWVs7j,x=ignored", "success"),
        ("c=biws,r=clientnonce3rfcNHYJY1ZVvWVs7j,m=x", "not-authorized"),
        ("c=biws,r=clientnonce3rfcNHYJY1ZVvWVs7", "not-authorized"),
        ("c=biws,r=clientnonce3rfcNHYJY1ZVvWVs7jj", "not-authorized"),
        ("c=biws,r=clientnonce", "not-authorized"),
        ("c=biws,r=", "not-authorized"),
        ("c=eSws,r=clientnonce3rfcNHYJY1ZVvWVs7j", "not-authorized"),
        ("c=,r=clientnonce3rfcNHYJY1ZVvWVs7j", "not-authorized"),
        ("c=biws", "malformed-request"),
        ("c=biw,r=clientnonce3rfcNHYJY1ZVvWVs7j", "malformed-request"),
        ("r=clientnonce3rfcNHYJY1ZVvWVs7j,c=biws", "malformed-request"),
        ("c=biws,x=y,r=clientnonce3rfcNHYJY1ZVvWVs7j", "malformed-request"),
        ("c=biws,r=clientnonce3rfcNHYJY1ZVvWVs7j,x", "malformed-request"),
        ("", "malformed-request"),
    ] {
        assert_eq!(client.run(Some(&stored), "secret", without_proof), expected, "{without_proof}");
    }
}

#[test]
fn a_final_message_without_a_proof_of_the_right_form_is_refused() {
    let (client, stored) = (Client::new(ScramHash::Sha1), credentials("secret"));
    for (end, expected) in [
        ("", "malformed-request"),
        (",p", "malformed-request"),
        (",p=*", "malformed-request"),
        (",p=AAA", "malformed-request"),
        (",p=AAAAAAAAAAAAAAAAAAAAAAAAAAA= ", "malformed-request"),
        (",p=AAAAAAAAAAAAAAAAAAAAAAAAAAA=,x=y", "malformed-request"),
        (",p=", "not-authorized"),
        (",p=AAAA", "not-authorized"),
        (",p=AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "not-authorized"),
    ] {
        let (_, exchange) = client.challenged(Some(&stored));
        let message = [RIGHT, end].concat();
        assert_eq!(named(&exchange.respond(&setting(), message.as_bytes())), expected, "{message}");
    }
    let (_, exchange) = client.challenged(Some(&stored));
    assert_eq!(named(&exchange.respond(&setting(), b"\xff")), "malformed-request");
}

#[test]
fn a_right_proof_with_a_byte_more_is_refused() {
    let (client, stored) = (Client::new(ScramHash::Sha1), credentials("secret"));
    let (server_first, exchange) = client.challenged(Some(&stored));
    let message = client.client_final("secret", &server_first, RIGHT);
    let (without_proof, proof) = message.rsplit_once(",p=").unwrap();
    let longer = [&STANDARD.decode(proof).unwrap()[..], &[0]].concat();
    let message = format!("{without_proof},p={}", STANDARD.encode(longer));
    assert_eq!(named(&exchange.respond(&setting(), message.as_bytes())), "not-authorized");
}
