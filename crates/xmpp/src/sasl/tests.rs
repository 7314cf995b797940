//! Tests of the exchanges: the RFCs' own conversations, an independent client, and every refusal by its name.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

mod digests;
mod fake_accounts;
mod passwords;
mod plus;
mod tokens;
mod without_passwords;

const DOMAIN: &str = "example.net";
const SERVER_NONCE: &str = "3rfcNHYJY1ZVvWVs7j";
const ALL: [ScramHash; 3] = [ScramHash::Sha1, ScramHash::Sha256, ScramHash::Sha512];

fn credentials(password: &str) -> Credentials {
    let mut salt = 0;
    Credentials::derive(&account(), password, &plan(), || {
        salt += 1;
        [salt; 16]
    })
    .unwrap()
}

fn account() -> BareJid {
    BareJid::new("user@example.net").unwrap()
}

fn plan() -> KeyPlan {
    KeyPlan { hashes: ALL.to_vec(), iterations: 16, digest: false }
}

/// A stream without TLS, on which every plain mechanism was offered.
fn setting() -> Setting<'static> {
    static OFFERED: LazyLock<Offered> = LazyLock::new(Offered::default);
    static FAKES: LazyLock<FakeSalts> = LazyLock::new(fakes);
    Setting {
        domain: DOMAIN,
        channel: None,
        offered: &OFFERED,
        fakes: &FAKES,
        once: "once",
        client: None,
        count: None,
    }
}

/// TLS with both kinds of binding, and a certificate that is good for nobody.
fn channel() -> SecureChannel {
    SecureChannel {
        version: TlsVersion::V13,
        exporter: Some([7; 32]),
        end_point: Some([9; 48][..].into()),
        accounts: Vec::new(),
    }
}

fn every_mechanism() -> Vec<Mechanism> {
    let scram = ALL.into_iter().flat_map(|hash| [Mechanism::Scram(hash), Mechanism::ScramPlus(hash)]);
    let tokens = TokenMechanism::ALL.into_iter().map(Mechanism::Token);
    let others = [Mechanism::Anonymous, Mechanism::DigestMd5, Mechanism::Plain, Mechanism::External];
    scram.chain(tokens).chain(others).collect()
}

fn fakes() -> FakeSalts {
    FakeSalts::new(b"the server's secret", plan())
}

/// What an outcome is, in one word.
fn named(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Challenge(..) => "challenge",
        Outcome::LookUp(_) => "look up",
        Outcome::Check(..) => "check",
        Outcome::Success { .. } => "success",
        Outcome::Failure(failure) => failure.name(),
    }
}

#[track_caller]
fn look_up(outcome: Outcome) -> LookUp {
    match outcome {
        Outcome::LookUp(look_up) => look_up,
        other => panic!("no look-up but {}", named(&other)),
    }
}

#[track_caller]
fn challenge(outcome: Outcome) -> (String, Exchange) {
    match outcome {
        Outcome::Challenge(data, exchange) => (String::from_utf8(data).unwrap(), exchange),
        other => panic!("no challenge but {}", named(&other)),
    }
}

#[track_caller]
fn success(outcome: Outcome) -> (String, Option<String>) {
    match outcome {
        Outcome::Success { username, data, .. } => {
            (username, data.map(|data| String::from_utf8(data).unwrap()))
        }
        other => panic!("no success but {}", named(&other)),
    }
}

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
fn a_password_is_prepared_with_saslprep() {
    // RFC 4013, 3: a soft hyphen is mapped to nothing, U+2168 to IX, U+00AA to a.
    for (typed, prepared) in [("I\u{ad}X", "IX"), ("\u{2168}", "IX"), ("\u{aa}", "a"), ("a\u{a0}b", "a b")] {
        assert!(
            ScramKeys::derive(ScramHash::Sha1, typed, b"salt", 1).unwrap()
                == ScramKeys::derive(ScramHash::Sha1, prepared, b"salt", 1).unwrap()
        );
    }
    for bad in ["", "\u{ad}", "a\u{7}b", "\u{627}1", "\u{e000}"] {
        assert_eq!(ScramKeys::derive(ScramHash::Sha1, bad, b"salt", 1).err(), Some(BadPassword), "{bad:?}");
        assert_eq!(
            Credentials::derive(&account(), bad, &plan(), || [0; 16]).err(),
            Some(BadPassword),
            "{bad:?}"
        );
    }
    let longest = "a".repeat(keys::PASSWORD_BYTES_MAX);
    assert!(ScramKeys::derive(ScramHash::Sha1, &longest, b"salt", 1).is_ok());
    assert!(ScramKeys::derive(ScramHash::Sha1, &format!("{longest}a"), b"salt", 1).is_err());
}

#[test]
fn no_iterations_count_as_one() {
    let keys = ScramKeys::derive(ScramHash::Sha1, "a", b"salt", 0).unwrap();
    assert!(keys == ScramKeys::derive(ScramHash::Sha1, "a", b"salt", 1).unwrap());
    let fakes = FakeSalts::new(b"secret", KeyPlan { hashes: Vec::new(), iterations: 0, digest: false });
    assert_eq!(fakes.keys(ScramHash::Sha1, "romeo", DOMAIN).iterations, 1);
}

#[track_caller]
fn check_first(mechanism: Mechanism, message: &[u8], expected: &str) {
    let outcome = begin(mechanism, &setting(), Some(message));
    assert_eq!(named(&outcome), expected, "{:?}", String::from_utf8_lossy(message));
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

#[test]
fn the_name_of_a_user_is_decoded_and_prepared() {
    for (sent, username) in
        [("ROMEO", "romeo"), ("a=2Cb=3Dc", "a,b=c"), ("JÜRGEN", "jürgen"), ("=3D2C", "=2c")]
    {
        let message = format!("n,,n={sent},r=a");
        let look_up = look_up(begin(Mechanism::Scram(ScramHash::Sha1), &setting(), Some(message.as_bytes())));
        assert_eq!(look_up.username(), username);
    }
    for sent in ["romeo@example.net", "a/b", "a b", "\u{ad}", "ᴮigbird"] {
        check_first(
            Mechanism::Scram(ScramHash::Sha1),
            format!("n,,n={sent},r=a").as_bytes(),
            "not-authorized",
        );
        check_first(Mechanism::Plain, format!("\0{sent}\0secret").as_bytes(), "not-authorized");
    }
}

#[test]
fn an_authorization_identity_other_than_ones_own_bare_address_is_refused() {
    for authzid in
        ["juliet@example.net", "romeo@example.com", "romeo", "example.net", "romeo@example.net/a", "@"]
    {
        let message = format!("n,a={authzid},n=romeo,r=a");
        check_first(Mechanism::Scram(ScramHash::Sha1), message.as_bytes(), "invalid-authzid");
        check_first(Mechanism::Plain, format!("{authzid}\0romeo\0secret").as_bytes(), "invalid-authzid");
    }
}

/// A client of ours that can do what the independent one cannot: any hash, any header, any change.
struct Client {
    hash: ScramHash,
    gs2_header: &'static str,
    bare: String,
}

impl Client {
    fn new(hash: ScramHash) -> Client {
        Client { hash, gs2_header: "n,,", bare: "n=romeo,r=clientnonce".to_owned() }
    }

    fn challenged(&self, stored: Option<&Credentials>) -> (String, Exchange) {
        self.challenged_on(Mechanism::Scram(self.hash), &setting(), stored)
    }

    #[track_caller]
    fn challenged_on(
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
    fn client_final(&self, password: &str, server_first: &str, without_proof: &str) -> String {
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

    fn run(&self, stored: Option<&Credentials>, password: &str, without_proof: &str) -> &'static str {
        let (server_first, exchange) = self.challenged(stored);
        named(
            &exchange
                .respond(&setting(), self.client_final(password, &server_first, without_proof).as_bytes()),
        )
    }
}

const RIGHT: &str = "c=biws,r=clientnonce3rfcNHYJY1ZVvWVs7j";

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

#[test]
fn a_fake_account_lets_nobody_in_whatever_its_keys() {
    let (client, stored) = (Client::new(ScramHash::Sha1), credentials("secret"));
    let (server_first, mut exchange) = client.challenged(Some(&stored));
    if let Waiting::ClientFinal(waiting) = &mut exchange.0 {
        waiting.known = subtle::Choice::from(0);
    }
    let message = client.client_final("secret", &server_first, RIGHT);
    assert_eq!(named(&exchange.respond(&setting(), message.as_bytes())), "not-authorized");

    let check = |known| {
        let look_up = look_up(begin(Mechanism::Plain, &setting(), Some(b"\0romeo\0secret")));
        match look_up.answer(Some(&stored), &fakes(), SERVER_NONCE) {
            Outcome::Check(mut check, _) => {
                check.known = known;
                check
            }
            other => panic!("no check but {}", named(&other)),
        }
    };
    assert!(check(true).run(|| [0; 16]).right && !check(false).run(|| [0; 16]).right);
}

#[test]
fn an_unknown_user_gets_a_stable_salt_of_his_own() {
    let salt_of = |bare: &str, hash, domain, fakes: &FakeSalts| {
        let look_up = look_up(begin(
            Mechanism::Scram(hash),
            &Setting { domain, ..setting() },
            Some(format!("n,,{bare}").as_bytes()),
        ));
        let (server_first, _) = challenge(look_up.answer(None, fakes, SERVER_NONCE));
        let (_, rest) = server_first.split_once(",s=").unwrap();
        assert!(rest.ends_with(",i=16"), "{rest}");
        let salt = rest.strip_suffix(",i=16").unwrap().to_owned();
        assert_eq!(STANDARD.decode(&salt).unwrap().len(), 16);
        salt
    };
    let salt = salt_of("n=romeo,r=a", ScramHash::Sha1, DOMAIN, &fakes());
    assert_eq!(salt, salt_of("n=Romeo,r=b", ScramHash::Sha1, DOMAIN, &fakes()));
    assert_ne!(salt, salt_of("n=juliet,r=a", ScramHash::Sha1, DOMAIN, &fakes()));
    assert_ne!(salt, salt_of("n=romeo,r=a", ScramHash::Sha256, DOMAIN, &fakes()));
    assert_ne!(salt, salt_of("n=romeo,r=a", ScramHash::Sha1, "example.com", &fakes()));
    assert_ne!(salt, salt_of("n=romeo,r=a", ScramHash::Sha1, DOMAIN, &FakeSalts::new(b"x", plan())));
}

#[test]
fn an_account_without_keys_for_the_mechanism_is_answered_as_unknown() {
    let mut stored = credentials("secret");
    stored.keys.retain(|keys| keys.hash != ScramHash::Sha1);
    let client = Client::new(ScramHash::Sha1);
    assert_eq!(client.challenged(Some(&stored)).0, client.challenged(None).0);
    assert_eq!(client.run(Some(&stored), "secret", RIGHT), "not-authorized");
}

#[test]
fn an_exchange_without_initial_response_starts_with_an_empty_challenge() {
    let (data, exchange) = challenge(begin(Mechanism::Scram(ScramHash::Sha1), &setting(), None));
    assert_eq!(data, "");
    assert_eq!(look_up(exchange.respond(&setting(), b"n,,n=romeo,r=a")).username(), "romeo");
    let (data, exchange) = challenge(begin(Mechanism::Plain, &setting(), None));
    assert_eq!(data, "");
    assert_eq!(look_up(exchange.respond(&setting(), b"\0romeo\0secret")).username(), "romeo");
}

#[track_caller]
fn log_in_plainly(message: &[u8], stored: Option<&Credentials>) -> Outcome {
    let look_up = look_up(begin(Mechanism::Plain, &setting(), Some(message)));
    assert_eq!(look_up.username(), "romeo");
    match look_up.answer(stored, &fakes(), SERVER_NONCE) {
        Outcome::Check(check, checking) => checking.answer(check.run(|| [0; 16])),
        other => panic!("no check but {}", named(&other)),
    }
}

#[test]
fn plain_lets_in_the_right_password_only() {
    let stored = credentials("secret");
    for message in ["\0romeo\0secret", "romeo@example.net\0romeo\0secret", "\0ROMEO\0sec\u{ad}ret"] {
        let (username, data) = success(log_in_plainly(message.as_bytes(), Some(&stored)));
        assert_eq!((username.as_str(), data), ("romeo", None));
    }
    for message in ["\0romeo\0Secret", "\0romeo\0secret ", "\0romeo\0\u{7}"] {
        assert_eq!(named(&log_in_plainly(message.as_bytes(), Some(&stored))), "not-authorized");
    }
    for stored in [None, Some(&Credentials::default())] {
        assert_eq!(named(&log_in_plainly(b"\0romeo\0secret", stored)), "not-authorized");
    }
}

#[test]
fn plain_takes_the_strongest_keys_and_derives_as_long_for_an_unknown_user() {
    let cost_of = |stored: Option<&Credentials>| {
        let look_up = look_up(begin(Mechanism::Plain, &setting(), Some(b"\0romeo\0secret")));
        match look_up.answer(stored, &fakes(), SERVER_NONCE) {
            Outcome::Check(check, _) => (check.keys.hash, check.keys.iterations, check.keys.salt.len()),
            other => panic!("no check but {}", named(&other)),
        }
    };
    assert_eq!(cost_of(Some(&credentials("secret"))), (ScramHash::Sha512, 16, 16));
    assert_eq!(cost_of(None), cost_of(Some(&credentials("secret"))));
}

#[test]
fn a_plain_message_of_another_form_is_malformed() {
    for message in [
        "",
        "romeo",
        "romeo\0secret",
        "\0romeo\0",
        "\0\0secret",
        "\0\0",
        "\0romeo\0sec\0ret",
        "\0romeo\0secret\0",
    ] {
        check_first(Mechanism::Plain, message.as_bytes(), "malformed-request");
    }
    check_first(Mechanism::Plain, b"\0romeo\0\xff", "malformed-request");
}

#[test]
fn only_strict_base64_is_decoded() {
    assert_eq!(decode(""), Ok(None));
    assert_eq!(decode("="), Ok(Some(Zeroizing::default())));
    assert_eq!(decode("AHI="), Ok(Some(Zeroizing::new(b"\0r".to_vec()))));
    for text in [
        "==", "===", " =", " ", "AHI", "AHI==", "AH=I", "A=HI", "AHI= ", " AHI=", "AH I=", "AHI=\n", "AHJ=",
        "A-_=", "AHI=AHI=", "ä",
    ] {
        assert_eq!(decode(text), Err(SaslFailure::IncorrectEncoding), "{text:?}");
    }
}

#[test]
fn empty_data_is_an_equals_sign_in_success_and_nothing_in_a_challenge() {
    assert_eq!((encode(b"").as_str(), encode_success(b"").as_str()), ("", "="));
    assert_eq!((encode(b"\0r").as_str(), encode_success(b"\0r").as_str()), ("AHI=", "AHI="));
}

#[test]
fn mechanisms_are_offered_strongest_first() {
    let offered = mechanisms(["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-512", "PLAIN", "SCRAM-SHA-256"]).unwrap();
    let names: Vec<_> = offered.into_iter().map(Mechanism::name).collect();
    assert_eq!(names, ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"]);
    assert_eq!(mechanisms(["plain"]), Err(UnknownMechanism("plain".to_owned())));
}

#[test]
fn keys_survive_their_text() {
    // Computed with Python's hashlib.
    let text = "{SCRAM-SHA-1}4096,QSXCR+Q6sek8bf92,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=";
    let keys: ScramKeys = text.parse().unwrap();
    let salt = STANDARD.decode("QSXCR+Q6sek8bf92").unwrap();
    assert!(keys == ScramKeys::derive(ScramHash::Sha1, "pencil", &salt, 4096).unwrap());
    assert_eq!(*keys.to_text(), text);
    for keys in credentials("secret").keys {
        assert!(keys.to_text().parse::<ScramKeys>().unwrap() == keys);
    }
}

#[test]
fn a_text_that_is_no_keys_is_refused() {
    for text in [
        "",
        "secret",
        "{SCRAM-SHA-1}",
        "{SCRAM-MD5}4096,QSXC,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=",
        "{SCRAM-SHA-1}0,QSXC,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=",
        "{SCRAM-SHA-1}4294967295,QSXC,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=",
        "{SCRAM-SHA-1}-1,QSXC,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=",
        "{SCRAM-SHA-1}4096,,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=",
        "{SCRAM-SHA-1}4096,QSXC,6dlGYMOdZcOPutkcNY8U2g7vK9Y,D+CSWLOshSulAsxiupA+qs2/fTE=",
        "{SCRAM-SHA-1}4096,QSXC,AAAA,D+CSWLOshSulAsxiupA+qs2/fTE=",
        "{SCRAM-SHA-1}4096,QSXC,6dlGYMOdZcOPutkcNY8U2g7vK9Y=",
        "{SCRAM-SHA-1}4096,QSXC,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=,",
        "{SCRAM-SHA-256}4096,QSXC,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=",
    ] {
        assert_eq!(text.parse::<ScramKeys>().err(), Some(BadKeys), "{text}");
    }
}

#[test]
fn each_account_key_has_a_salt_of_its_own() {
    let stored = credentials("secret");
    assert_eq!(stored.keys.iter().map(|keys| keys.salt[0]).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(stored.strongest().unwrap().hash, ScramHash::Sha512);
    assert_eq!(stored.for_hash(ScramHash::Sha1).unwrap().hash, ScramHash::Sha1);
}

#[test]
fn nothing_shows_a_secret() {
    let stored = credentials("secret");
    let plain = begin(Mechanism::Plain, &setting(), Some(b"\0romeo\0secret"));
    let shown = format!("{plain:?} {stored:?} {:?}", fakes());
    assert_eq!(
        shown,
        "LookUp(LookUp { .. }) Credentials { keys: [ScramKeys { hash: Sha1, .. }, ScramKeys { hash: Sha256, .. }, \
         ScramKeys { hash: Sha512, .. }], digest: None } FakeSalts { plan: KeyPlan \
         { hashes: [Sha1, Sha256, Sha512], iterations: 16, digest: false }, .. }"
    );
    let check = look_up(plain).answer(Some(&stored), &fakes(), SERVER_NONCE);
    assert_eq!(format!("{check:?}"), "Check(PasswordCheck { .. }, Checking { .. })");
    let verdict = Verdict { right: true, stronger: Some(passwords::with_digest("secret")) };
    assert_eq!(
        format!("{verdict:?}"),
        "Verdict { right: true, stronger: Some(Credentials { keys: [], digest: Some(DigestKey) }) }"
    );
}

#[test]
fn no_exchange_shows_a_secret_at_any_step() {
    let (channel, offered) = (channel(), plus::offered());
    let setting =
        Setting { channel: Some(&channel), offered: &offered, client: Some(ClientId(3)), ..setting() };
    let waiting = "Challenge([], Exchange { .. })";
    assert_eq!(format!("{:?}", begin(Mechanism::External, &setting, None)), waiting);
    let plus = begin(Mechanism::ScramPlus(ScramHash::Sha1), &setting, Some(b"p=tls-exporter,,n=romeo,r=a"));
    assert_eq!(format!("{plus:?}"), "LookUp(LookUp { .. })");
    let token = tokens::token("a token", TokenMechanism::None);
    let used = Evidence::Token(UsedToken { slot: TokenSlot::Fresh, token: token.clone() });
    let shown = "FastToken { mechanism: None, .. }";
    assert_eq!(format!("{used:?}"), format!("Token(UsedToken {{ slot: Fresh, token: {shown} }})"));
    let tokens = Tokens { current: None, fresh: Some(token) };
    assert_eq!(format!("{tokens:?}"), format!("Tokens {{ current: None, fresh: Some({shown}) }}"));
    assert_eq!(format!("{:?} {:?}", channel, ClientId(3)), "SecureChannel { version: V13, .. } ClientId");
    let debugged = format!("{:?}", begin(Mechanism::DigestMd5, &setting, None));
    assert!(debugged.ends_with("], Exchange { .. })"), "{debugged}");
}

#[test]
fn each_failure_has_the_name_of_the_rfc() {
    use SaslFailure::*;
    for (failure, name) in [
        (Aborted, "aborted"),
        (AccountDisabled, "account-disabled"),
        (CredentialsExpired, "credentials-expired"),
        (EncryptionRequired, "encryption-required"),
        (IncorrectEncoding, "incorrect-encoding"),
        (InvalidAuthzid, "invalid-authzid"),
        (InvalidMechanism, "invalid-mechanism"),
        (MalformedRequest, "malformed-request"),
        (MechanismTooWeak, "mechanism-too-weak"),
        (NotAuthorized, "not-authorized"),
        (TemporaryAuthFailure, "temporary-auth-failure"),
    ] {
        assert_eq!(failure.name(), name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_an_exchange_panic_or_let_anybody_in(
        mechanism in proptest::sample::select(every_mechanism()),
        bound in any::<bool>(),
        first in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..64),
            "([ny]|p=tls-(exporter|server-end-point|x)),(a=[a-z@=]*)?,(m=x,)?n=[a-zA-Z=23CD,\\PC]{0,12},r=[ -~]{0,8}(,[a-z]=.)?"
                .prop_map(String::into_bytes),
            "\\PC{0,8}\0\\PC{0,8}(\0\\PC{0,8})?".prop_map(String::into_bytes),
            "([a-z-]{1,10}=(\"([a-z/\\PC]|\\\\[a-z])*\"|[a-z0-9]{1,8})[, ]){0,6}".prop_map(String::into_bytes),
            digests::almost_right().prop_map(String::into_bytes),
        ],
        second in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..64),
            "(c=[A-Za-z=]{0,4},)?r=.{0,8}(,p=[A-Za-z0-9+/]{0,28}=?)?".prop_map(String::into_bytes),
        ],
        initial in any::<bool>(),
    ) {
        let channel = channel();
        let offered = plus::offered();
        let mut setting = Setting { client: Some(ClientId(1)), ..setting() };
        if bound {
            setting = Setting { channel: Some(&channel), offered: &offered, ..setting };
        }
        let mut outcome = begin(mechanism, &setting, initial.then_some(&first[..]));
        if let Outcome::Challenge(_, exchange) = outcome {
            outcome = exchange.respond(&setting, &first);
        }
        if let Outcome::LookUp(look_up) = outcome {
            prop_assert!(!look_up.username().is_empty());
            outcome = match look_up.wants() {
                Wanted::Credentials => look_up.answer(None, &fakes(), SERVER_NONCE),
                Wanted::Tokens => look_up.answer_tokens(None, 0),
            };
        }
        if let Outcome::Challenge(_, exchange) = outcome {
            outcome = exchange.respond(&setting, &second);
        }
        if let Outcome::Check(check, checking) = outcome {
            outcome = checking.answer(check.run(|| [0; 16]));
        }
        let is_guest = matches!(outcome, Outcome::Success { evidence: Evidence::Nothing, .. });
        prop_assert!(matches!(outcome, Outcome::Failure(_)) || is_guest && mechanism == Mechanism::Anonymous);
    }

    #[test]
    fn what_is_decoded_is_what_was_encoded(data in proptest::collection::vec(any::<u8>(), 1..64), text in "\\PC{0,20}") {
        prop_assert_eq!(decode(&encode(&data)), Ok(Some(Zeroizing::new(data))));
        if let Ok(Some(data)) = decode(&text) {
            prop_assert_eq!(encode_success(&data), text);
        }
    }
}
