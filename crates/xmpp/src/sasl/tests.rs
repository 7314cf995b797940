//! Tests of the exchanges: what all of them share, and what holds for every mechanism.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

mod digests;
mod fake_accounts;
mod keys;
mod passwords;
mod plain;
mod plus;
mod scram;
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

#[track_caller]
fn check_first(mechanism: Mechanism, message: &[u8], expected: &str) {
    let outcome = begin(mechanism, &setting(), Some(message));
    assert_eq!(named(&outcome), expected, "{:?}", String::from_utf8_lossy(message));
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

#[test]
fn an_exchange_without_initial_response_starts_with_an_empty_challenge() {
    let (data, exchange) = challenge(begin(Mechanism::Scram(ScramHash::Sha1), &setting(), None));
    assert_eq!(data, "");
    assert_eq!(look_up(exchange.respond(&setting(), b"n,,n=romeo,r=a")).username(), "romeo");
    let (data, exchange) = challenge(begin(Mechanism::Plain, &setting(), None));
    assert_eq!(data, "");
    assert_eq!(look_up(exchange.respond(&setting(), b"\0romeo\0secret")).username(), "romeo");
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
