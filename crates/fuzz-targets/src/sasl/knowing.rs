//! A client that knows the secret and says strange things with it, computed apart from the server's own code.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use md5::Md5;
use rjabberd_xmpp::sasl::{Evidence, Mechanism, Outcome, ScramHash, TokenMechanism, begin};
use sha2::{Digest, Sha256};

use super::{COUNT, DOMAIN, NOW, PASSWORD, SERVER_NONCE, Scene, TOKENS};

/// Plays one conversation by the scene's mechanism, as far as there is a client for it.
pub(super) fn play(scene: &Scene, messages: &[&[u8]]) {
    match (scene.mechanism, messages) {
        (Mechanism::Scram(ScramHash::Sha256), [first, without_proof, ..]) => {
            scram(scene, false, first, without_proof);
        }
        (Mechanism::ScramPlus(ScramHash::Sha256), [first, without_proof, ..]) => {
            scram(scene, true, first, without_proof);
        }
        (Mechanism::Token(mechanism), [said, ..]) => token(scene, mechanism, said),
        (Mechanism::DigestMd5, [said, ..]) => digest(scene, said),
        (Mechanism::Plain, [authzid, authcid, ..]) => plain(scene, authzid, authcid),
        _ => {}
    }
}

fn mac(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    mac.chain_update(data).finalize().into_bytes().to_vec()
}

/// Says the first message, and the second with a proof that is right for both.
fn scram(scene: &Scene, is_plus: bool, first: &[u8], without_proof: &[u8]) {
    let (Ok(first), Ok(without_proof)) = (std::str::from_utf8(first), std::str::from_utf8(without_proof))
    else {
        return;
    };
    let Outcome::LookUp(look_up) = begin(scene.mechanism, &scene.setting(), Some(first.as_bytes())) else {
        return;
    };
    let Outcome::Challenge(challenge, exchange) = scene.answered(Outcome::LookUp(look_up)) else {
        panic!("a look-up is answered with a challenge");
    };
    let server_first = String::from_utf8(challenge).expect("text");
    let mut header = first.splitn(3, ',');
    let (flag, authzid) = (header.next().unwrap_or_default(), header.next().unwrap_or_default());
    let bare = header.next().unwrap_or_default();
    let salt = server_first.split(',').find_map(|part| part.strip_prefix("s=")).expect("a salt");
    let salt = STANDARD.decode(salt).expect("base64");
    // One iteration of PBKDF2.
    let salted = mac(PASSWORD.as_bytes(), &[&salt[..], &[0, 0, 0, 1]].concat());
    let client_key = mac(&salted, b"Client Key");
    let signed = format!("{bare},{server_first},{without_proof}");
    let signature = mac(&Sha256::digest(&client_key), signed.as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(left, right)| left ^ right).collect();
    let message = format!("{without_proof},p={}", STANDARD.encode(proof));
    let Outcome::Success { username, data, .. } = exchange.respond(&scene.setting(), message.as_bytes())
    else {
        return;
    };
    // All of this is so, or it got in wrongly.
    assert!(scene.credentials.as_ref().is_some_and(|known| known.for_hash(ScramHash::Sha256).is_some()));
    let client_nonce = bare.split(',').find_map(|part| part.strip_prefix("r=")).expect("a nonce");
    let bound = match (flag, is_plus) {
        ("n", false) => &[][..],
        ("y", false) if !scene.offered.binds() => &[],
        (flag, true) => {
            let name = flag.strip_prefix("p=").expect("a binding");
            assert!(scene.offered.bindings.iter().any(|binding| binding.name() == name));
            scene.bound_data(name).expect("data to bind to")
        }
        _ => panic!("{flag:?} gets in"),
    };
    let expected = STANDARD.encode([format!("{flag},{authzid},").as_bytes(), bound].concat());
    let expected = format!("c={expected},r={client_nonce}{SERVER_NONCE}");
    assert!(without_proof == expected || without_proof.starts_with(&format!("{expected},")));
    let mut extensions = without_proof[expected.len()..].split(',').chain(bare.split(','));
    assert!(!extensions.any(|part| part.starts_with("m=")), "{bare:?} {without_proof:?}");
    assert!(authzid.is_empty() || authzid.starts_with("a=") && !username.is_empty());
    let verifier = mac(&mac(&salted, b"Server Key"), signed.as_bytes());
    assert_eq!(data, Some(format!("v={}", STANDARD.encode(verifier)).into_bytes()));
}

/// Says a name, and a proof by a token that the first byte chooses, bound to what the second one chooses.
fn token(scene: &Scene, mechanism: TokenMechanism, said: &[u8]) {
    let Some((&[secret, bound], name)) = said.split_first_chunk::<2>() else { return };
    let secret = TOKENS[usize::from(secret % 2)];
    let data = [None, scene.bound_data("tls-server-end-point"), scene.bound_data("tls-exporter")];
    let data = data[usize::from(bound % 3)].unwrap_or_default();
    let proof = |label: &[u8]| mac(secret.as_bytes(), &[label, data].concat());
    let message = [name, b"\0", &proof(b"Initiator")].concat();
    let outcome = scene.answered(begin(scene.mechanism, &scene.setting(), Some(&message)));
    let Outcome::Success { data: Some(answer), evidence: Evidence::Token(used), .. } = outcome else {
        assert!(matches!(outcome, Outcome::Failure(_)));
        return;
    };
    let bound = match mechanism.binding() {
        None => Some(&[][..]),
        Some(binding) => scene.bound_data(binding.name()),
    };
    assert_eq!(bound, Some(data));
    assert_eq!(answer, proof(b"Responder"));
    assert_eq!((used.token.mechanism, used.token.secret.as_str()), (mechanism, secret));
    assert!(used.token.expires_unix_s > NOW && scene.client.is_some());
    assert!(
        used.token.count == scene.count.unwrap_or(COUNT) && scene.count.is_none_or(|count| count > COUNT)
    );
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The value of a directive, without quotes; an escape stays.
fn directive<'a>(said: &'a str, wanted: &str) -> Option<&'a str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let mut parts = said.split(|character: char| {
        is_quoted ^= character == '"' && !is_escaped;
        is_escaped = is_quoted && character == '\\' && !is_escaped;
        character == ',' && !is_quoted
    });
    let (_, value) = parts.find_map(|part| {
        part.trim_ascii().split_once('=').filter(|(name, _)| name.eq_ignore_ascii_case(wanted))
    })?;
    let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    Some(unquoted.unwrap_or(value))
}

/// Says directives that it fills in: the server's nonce for `@`, and for `#` the response that is right for what it says.
fn digest(scene: &Scene, said: &[u8]) {
    let Ok(said) = std::str::from_utf8(said) else { return };
    let Outcome::Challenge(challenge, exchange) = begin(scene.mechanism, &scene.setting(), None) else {
        panic!("the server speaks first");
    };
    let challenge = String::from_utf8(challenge).expect("text");
    let nonce = challenge.split('"').nth(3).expect("a nonce");
    let said = said.replace('@', nonce);
    let said_nonce = directive(&said, "nonce").unwrap_or(nonce);
    let client_nonce = directive(&said, "cnonce").unwrap_or_default();
    let uri = directive(&said, "digest-uri").unwrap_or_default();
    let secret = Md5::digest(format!("romeo:{DOMAIN}:{PASSWORD}"));
    let a1 = hex(&Md5::digest([&secret[..], format!(":{said_nonce}:{client_nonce}").as_bytes()].concat()));
    let response = |method: &str| {
        let a2 = hex(&Md5::digest(format!("{method}:{uri}")));
        hex(&Md5::digest(format!("{a1}:{said_nonce}:00000001:{client_nonce}:auth:{a2}")))
    };
    let message = said.replace('#', &response("AUTHENTICATE"));
    let outcome = exchange.respond(&scene.setting(), message.as_bytes());
    let Outcome::LookUp(look_up) = outcome else {
        assert!(matches!(outcome, Outcome::Failure(_)));
        return;
    };
    let Outcome::Challenge(rspauth, exchange) = scene.answered(Outcome::LookUp(look_up)) else { return };
    assert_eq!(rspauth, format!("rspauth={}", response("")).into_bytes());
    assert!(scene.credentials.as_ref().is_some_and(|known| known.digest.is_some()));
    assert!(uri.to_ascii_lowercase().starts_with("xmpp/"), "{message:?}");
    let host = uri.rsplit('/').next().unwrap_or_default();
    assert!(rjabberd_xmpp::address::normalise_domain(host).is_ok_and(|host| host == DOMAIN), "{message:?}");
    for (name, right) in [("nonce", nonce), ("nc", "00000001"), ("qop", "auth"), ("realm", DOMAIN)] {
        // Where it is written plainly.
        let value = directive(&said, name).filter(|value| !value.contains('\\'));
        assert!(value.is_none_or(|value| value.eq_ignore_ascii_case(right)), "{message:?}");
    }
    match exchange.respond(&scene.setting(), b"") {
        Outcome::Success { evidence: Evidence::Other, .. } => {}
        other => panic!("{other:?}"),
    }
}

/// Says the right password under these names.
fn plain(scene: &Scene, authzid: &[u8], authcid: &[u8]) {
    let message = [authzid, b"\0", authcid, b"\0", PASSWORD.as_bytes()].concat();
    let outcome = scene.answered(begin(scene.mechanism, &scene.setting(), Some(&message)));
    let Outcome::Success { username, evidence, .. } = outcome else { return };
    let known = scene.credentials.as_ref().expect("an account");
    match evidence {
        Evidence::Keys(keys) => assert!(known.keys.contains(&keys)),
        Evidence::Stronger(keys, stronger) => {
            assert!(known.keys.contains(&keys) && stronger.keys.len() == 3 && stronger.digest.is_some());
        }
        other => panic!("{other:?}"),
    }
    let authzid = std::str::from_utf8(authzid).expect("UTF-8 got in");
    let account = rjabberd_xmpp::address::account(&username, DOMAIN).expect("an account");
    let is_own = rjabberd_xmpp::address::parse(authzid).is_ok_and(|address| account == address);
    assert!(authzid.is_empty() || is_own, "{authzid:?} for {username:?}");
}
