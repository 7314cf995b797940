//! DIGEST-MD5.

use super::*;

/// The nonce that the server chose.
fn nonce() -> String {
    let (challenge, _) = challenge(begin(Mechanism::DigestMd5, &setting(), None));
    challenge.split_once("nonce=\"").unwrap().1.split_once('"').unwrap().0.to_owned()
}

fn md5_hex(text: &[u8]) -> String {
    use md5::Digest;
    md5::Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Computes a proof as RFC 2831, 2.1.2.1 says it, apart from the server's own.
fn proof(secret: &[u8], middle: &str, authzid: &str, method: &str, uri: &str) -> String {
    use md5::Digest;
    let (nonce, client_nonce) = middle.split_once(' ').unwrap();
    let secret = md5::Md5::digest(secret);
    let a1 = [&secret[..], format!(":{nonce}:{client_nonce}{authzid}").as_bytes()].concat();
    let a2 = format!("{method}:{uri}");
    let (a1, a2) = (md5_hex(&a1), md5_hex(a2.as_bytes()));
    md5_hex(format!("{a1}:{nonce}:00000001:{client_nonce}:auth:{a2}").as_bytes())
}

/// A response that is right for the user `user` with the password `secret`.
fn response() -> String {
    let nonce = nonce();
    let proof =
        proof(b"user:example.net:secret", &format!("{nonce} abc"), "", "AUTHENTICATE", "xmpp/example.net");
    format!(
        "charset=utf-8,username=\"user\",realm=\"example.net\",nonce=\"{nonce}\",nc=00000001,cnonce=\"abc\",\
         digest-uri=\"xmpp/example.net\",response={proof},qop=auth"
    )
}

/// Right but for the account, or broken somewhere.
pub(super) fn almost_right() -> impl Strategy<Value = String> {
    (any::<prop::sample::Index>(), "[ -~]{0,2}").prop_map(|(at, put)| {
        let mut response = response();
        let at = at.index(response.len());
        response.replace_range(at..=at, &put);
        response
    })
}

fn respond(response: &[u8]) -> Outcome {
    let (_, exchange) = challenge(begin(Mechanism::DigestMd5, &setting(), None));
    exchange.respond(&setting(), response)
}

fn answer(response: &[u8], stored: Option<&Credentials>) -> Outcome {
    match respond(response) {
        Outcome::LookUp(look_up) => look_up.answer(stored, &fakes(), SERVER_NONCE),
        other => other,
    }
}

#[test]
fn the_server_speaks_first_with_a_nonce_that_is_never_twice_the_same() {
    let (challenge_text, _) = challenge(begin(Mechanism::DigestMd5, &setting(), None));
    let nonce = nonce();
    assert_eq!(
        challenge_text,
        format!("realm=\"example.net\",nonce=\"{nonce}\",qop=\"auth\",charset=utf-8,algorithm=md5-sess")
    );
    assert_eq!(nonce.len(), 64);
    let (other, _) = challenge(begin(Mechanism::DigestMd5, &Setting { once: "other", ..setting() }, None));
    assert!(!other.contains(&nonce));
    for initial in [&b""[..], response().as_bytes()] {
        check_first(Mechanism::DigestMd5, initial, "malformed-request");
    }
}

#[test]
fn the_right_password_gets_in_after_rspauth_and_an_empty_response() {
    let stored = passwords::with_digest("secret");
    let (rspauth, exchange) = challenge(answer(response().as_bytes(), Some(&stored)));
    let middle = format!("{} abc", nonce());
    let expected = proof(b"user:example.net:secret", &middle, "", "", "xmpp/example.net");
    assert_eq!(rspauth, format!("rspauth={expected}"));
    match exchange.respond(&setting(), b"") {
        Outcome::Success { username, data: None, evidence: Evidence::Other } => assert_eq!(username, "user"),
        other => panic!("no success but {}", named(&other)),
    }
    let (_, exchange) = challenge(answer(response().as_bytes(), Some(&stored)));
    assert_eq!(named(&exchange.respond(&setting(), b"x")), "malformed-request");
}

/// RFC 2831, 4: the example for IMAP, by the parts that do not know the service.
#[test]
fn the_conversation_of_rfc_2831_is_reproduced() {
    let middle = "OA6MG9tEQGm2hh OA6MHXh6VqTrRk";
    let (secret, uri) = (&b"chris:elwood.innosoft.com:secret"[..], "imap/elwood.innosoft.com");
    assert_eq!(proof(secret, middle, "", "AUTHENTICATE", uri), "d388dad90d4bbd760a152321f2143af7");
    assert_eq!(proof(secret, middle, "", "", uri), "ea40f60335c427b5527b84dbabcdfffd");
    let chris = BareJid::new("chris@elwood.innosoft.com").unwrap();
    let key = DigestKey::derive(&chris, "secret");
    assert_eq!(key.0.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), md5_hex(secret));
    let said = digest::Response {
        nonce: b"OA6MG9tEQGm2hh".to_vec(),
        client_nonce: b"OA6MHXh6VqTrRk".to_vec(),
        digest_uri: uri.as_bytes().to_vec(),
        authzid: None,
        proof: Zeroizing::new(Vec::new()),
    };
    assert_eq!(*said.signature(&key.0[..], b"AUTHENTICATE"), "d388dad90d4bbd760a152321f2143af7");
    assert_eq!(*said.signature(&key.0[..], b""), "ea40f60335c427b5527b84dbabcdfffd");
}

#[test]
fn an_unknown_account_and_one_without_a_key_are_not_authorized() {
    for stored in [None, Some(&Credentials::default()), Some(&passwords::with_digest("Secret"))] {
        assert_eq!(named(&answer(response().as_bytes(), stored)), "not-authorized");
    }
}

#[test]
fn the_key_is_of_the_password_as_typed_in_latin_1_where_that_can_write_it() {
    let juergen = BareJid::new("jürgen@example.net").unwrap();
    let check = |account: &BareJid, password: &str, hashed: &[u8]| {
        let key = DigestKey::derive(account, password);
        assert_eq!(key.0.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), md5_hex(hashed));
    };
    check(&juergen, "ß", b"j\xfcrgen:example.net:\xdf");
    // Each text by itself: one that does not fit leaves the others.
    check(&juergen, "ß€", b"j\xfcrgen:example.net:\xc3\x9f\xe2\x82\xac");
    check(&account(), "I\u{ad}X", b"user:example.net:I\xadX");
}

#[test]
fn a_name_comes_in_utf_8_or_without_charset_in_latin_1() {
    for (charset, name) in
        [("charset=utf-8,", &b"j\xc3\xbcrgen"[..]), ("charset=UTF-8,", b"j\xc3\xbcrgen"), ("", b"j\xfcrgen")]
    {
        let response = response();
        let (head, tail) = response.split_once("username=\"user\"").unwrap();
        let head = head.replace("charset=utf-8,", charset);
        let message = [head.as_bytes(), b"username=\"", name, b"\"", tail.as_bytes()].concat();
        assert_eq!(look_up(respond(&message)).username(), "jürgen");
    }
}

/// The right response with one part changed.
#[track_caller]
fn check(from: &str, to: &str, expected: &str) {
    let right = response();
    assert!(right.contains(from), "{from}");
    let message = right.replace(from, to);
    let outcome = answer(message.as_bytes(), Some(&passwords::with_digest("secret")));
    assert_eq!(named(&outcome), expected, "{message}");
}

#[test]
fn what_does_not_fit_the_exchange_is_not_authorized() {
    let nonce = format!("nonce=\"{}", nonce());
    for (from, to) in [
        (nonce.as_str(), "nonce=\"a"),
        ("nc=00000001", "nc=00000002"),
        ("nc=00000001", "nc=1"),
        ("qop=auth", "qop=auth-int"),
        ("qop=auth", "qop=auth-conf"),
        ("realm=\"example.net\"", "realm=\"example.com\""),
        ("realm=\"example.net\"", "realm=\"\""),
        ("xmpp/example.net", "imap/example.net"),
        ("xmpp/example.net", "xmpp/example.com"),
        ("xmpp/example.net", "xmpp/example.net/example.com"),
        ("xmpp/example.net", "xmpp//example.net"),
        ("xmpp/example.net", "xmpp/a/b/example.net"),
        ("xmpp/example.net", "xmpp"),
        ("cnonce=\"abc\"", "cnonce=\"abd\""),
        ("username=\"user\"", "username=\"a b\""),
        ("username=\"user\"", "username=\"user@example.net\""),
    ] {
        check(from, to, "not-authorized");
    }
    check("qop=auth", "qop=auth,authzid=\"romeo@example.net\"", "invalid-authzid");
}

#[test]
fn what_the_grammar_allows_is_read() {
    for (from, to) in [
        ("charset=utf-8,", ""),
        (",realm=\"example.net\"", ""),
        (",qop=auth", ""),
        ("qop=auth", "qop=\"auth\""),
        ("qop=auth", "QOP=auth"),
        ("nc=00000001", "nc=\"00000001\""),
        (",", ", "),
        (",", " \t,\r\n"),
        (",", ",, ,"),
        ("qop=auth", "qop=auth,"),
        ("qop=auth", "qop=auth,x=y,x=\"z,\\\"\",maxbuf=65536,cipher=rc4"),
        ("\"user\"", "\"\\u\\s\\e\\r\""),
        ("\"user\"", "user"),
    ] {
        check(from, to, "challenge");
    }
}

#[test]
fn what_violates_the_grammar_is_malformed() {
    let long = format!("qop=auth,x=\"{}\"", "a".repeat(4096));
    for (from, to) in [
        ("qop=auth", long.as_str()),
        ("charset=utf-8", "charset=latin-1"),
        ("charset=utf-8", "charset=utf-8,charset=utf-8"),
        ("qop=auth", "qop=auth,qop=auth"),
        ("qop=auth", "qop=auth,QOP=auth"),
        ("qop=auth", "qop=auth,maxbuf=1,maxbuf=1"),
        ("nc=00000001", "nc=00000001,nc=00000001"),
        ("username=\"user\"", "username=\"user\",username=\"user\""),
        ("username=\"user\",", ""),
        ("username=\"user\"", "username=\"\""),
        ("username=\"user\"", "username=\"us\0er\""),
        ("cnonce=\"abc\",", ""),
        ("cnonce=\"abc\"", "cnonce=\"\""),
        ("nc=00000001,", ""),
        ("digest-uri=\"xmpp/example.net\",", ""),
        ("response=", "response=A"),
        ("response=", "response=a"),
        ("response=", "x="),
        ("qop=auth", "qop"),
        ("qop=auth", "qop="),
        ("qop=auth", "=auth"),
        ("qop=auth", "qop=\"auth"),
        ("qop=auth", "qop=\"auth\\"),
        ("qop=auth", "qop=\"auth\\\""),
        ("qop=auth", "qop=\"au\\ü\""),
        ("qop=auth", "qop=auth x"),
        ("qop=auth", "qop = auth"),
        ("qop=auth", "qop=\"auth\"x"),
        ("qop=auth", "qop=auth;"),
        (",", ";"),
    ] {
        check(from, to, "malformed-request");
    }
    assert_eq!(named(&respond(b"")), "malformed-request");
    assert_eq!(named(&respond(b"charset=utf-8,username=\"\xff\"")), "malformed-request");
}

#[test]
fn a_response_of_4095_bytes_is_the_longest() {
    let right = response();
    let padded = |bytes: usize| format!("{right},x=\"{}\"", "a".repeat(bytes - right.len() - 5));
    let stored = passwords::with_digest("secret");
    assert_eq!(named(&answer(padded(4095).as_bytes(), Some(&stored))), "challenge");
    assert_eq!(named(&answer(padded(4096).as_bytes(), Some(&stored))), "malformed-request");
}

#[test]
fn an_authorization_identity_is_signed_along_and_machines_may_be_named() {
    let stored = passwords::with_digest("secret");
    let nonce = nonce();
    let log_in = |authzid: &str, uri: &str| {
        let signed = if authzid.is_empty() { String::new() } else { format!(":{authzid}") };
        let said = if authzid.is_empty() { String::new() } else { format!(",authzid=\"{authzid}\"") };
        let proof = proof(b"user:example.net:secret", &format!("{nonce} x"), &signed, "AUTHENTICATE", uri);
        let message = format!(
            "charset=utf-8,username=\"user\",realm=\"example.net\",nonce=\"{nonce}\",nc=00000001,cnonce=\"x\",\
             digest-uri=\"{uri}\",response={proof}{said}"
        );
        named(&answer(message.as_bytes(), Some(&stored)))
    };
    for uri in [
        "xmpp/example.net",
        "XMPP/Example.NET.",
        "xmpp/example.net/example.net",
        "xmpp/a.example/example.net",
    ] {
        assert_eq!(log_in("", uri), "challenge", "{uri}");
        assert_eq!(log_in("user@example.net", uri), "challenge", "{uri}");
    }
    assert_eq!(log_in("romeo@example.net", "xmpp/example.net"), "invalid-authzid");
}
