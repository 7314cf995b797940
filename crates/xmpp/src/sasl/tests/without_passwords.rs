//! EXTERNAL and ANONYMOUS.

use super::*;

/// What EXTERNAL makes of a message, by a certificate that is good for these accounts.
fn external(accounts: &[&str], message: &[u8], stored: Option<&Credentials>) -> String {
    let accounts = accounts.iter().map(|account| BareJid::new(account).unwrap()).collect();
    let channel = SecureChannel { accounts, ..channel() };
    let setting = Setting { channel: Some(&channel), ..setting() };
    let (empty, exchange) = challenge(begin(Mechanism::External, &setting, None));
    assert_eq!(empty, "");
    let after_challenge = exchange.respond(&setting, message);
    let outcome = begin(Mechanism::External, &setting, Some(message));
    assert_eq!(named(&after_challenge), named(&outcome));
    match outcome {
        Outcome::LookUp(look_up) => {
            assert_eq!(look_up.wants(), Wanted::Credentials);
            match look_up.answer(stored, &fakes(), SERVER_NONCE) {
                Outcome::Success { username, data: None, evidence: Evidence::Other } => username,
                other => named(&other).to_owned(),
            }
        }
        other => named(&other).to_owned(),
    }
}

#[test]
fn a_certificate_lets_in_the_account_of_this_host_that_it_names() {
    let there = Some(&Credentials::default());
    let romeo = &["romeo@example.net", "romeo@example.com"];
    let two = &["romeo@example.net", "juliet@example.net"];
    for (accounts, authzid, expected) in [
        (&romeo[..], "", "romeo"),
        (&romeo[..1], "", "romeo"),
        (romeo, "romeo@example.net", "romeo"),
        (romeo, "Romeo@EXAMPLE.net.", "romeo"),
        (&["romeo@example.net", "romeo@example.net"], "", "romeo"),
        (two, "juliet@example.net", "juliet"),
        (two, "", "invalid-authzid"),
        (two, "nurse@example.net", "invalid-authzid"),
        (romeo, "romeo@example.com", "invalid-authzid"),
        (romeo, "romeo@example.net/a", "invalid-authzid"),
        (romeo, "romeo", "invalid-authzid"),
        (romeo, "@", "invalid-authzid"),
        (romeo, "romeo@example.net\0", "malformed-request"),
        (&["romeo@example.com"], "", "not-authorized"),
        (&["romeo@example.com"], "romeo@example.com", "not-authorized"),
        (&["example.net"], "", "not-authorized"),
        (&["example.net"], "example.net", "not-authorized"),
        (&[], "", "not-authorized"),
        (&[], "romeo@example.net", "not-authorized"),
    ] {
        assert_eq!(external(accounts, authzid.as_bytes(), there), expected, "{accounts:?} {authzid:?}");
    }
    assert_eq!(external(romeo, b"\xff", there), "malformed-request");
}

#[test]
fn a_certificate_of_an_account_that_is_gone_lets_nobody_in() {
    assert_eq!(external(&["romeo@example.net"], b"", None), "not-authorized");
}

#[test]
fn without_tls_external_lets_nobody_in() {
    for message in [&b""[..], b"romeo@example.net"] {
        check_first(Mechanism::External, message, "not-authorized");
    }
}

fn guest(once: &str, domain: &str, initial: Option<&[u8]>) -> String {
    match begin(Mechanism::Anonymous, &Setting { once, domain, ..setting() }, initial) {
        Outcome::Success { username, data: None, evidence: Evidence::Nothing } => username,
        other => panic!("no guest but {}", named(&other)),
    }
}

#[test]
fn a_guest_gets_a_uuid_of_his_own_whatever_he_says_of_himself() {
    let name = guest("once", DOMAIN, None);
    let uuid = uuid::Uuid::try_parse(&name).unwrap();
    assert_eq!((uuid.get_version_num(), uuid.get_variant()), (4, uuid::Variant::RFC4122));
    assert_eq!(account_of(&name, DOMAIN).unwrap().node().unwrap().as_str(), name);
    for trace in ["", "sirhc", "x@example.com", &"ü".repeat(255)] {
        assert_eq!(guest("once", DOMAIN, Some(trace.as_bytes())), name);
    }
    assert_ne!(guest("another", DOMAIN, None), name);
    assert_ne!(guest("once", "example.com", None), name);
    let fakes = FakeSalts::new(b"another secret", plan());
    let outcome = begin(Mechanism::Anonymous, &Setting { fakes: &fakes, ..setting() }, None);
    assert_ne!(success(outcome).0, name);
}

#[test]
fn a_trace_that_is_none_is_malformed() {
    for trace in ["ü".repeat(256).as_bytes(), b"\xff", b"a\0b"] {
        check_first(Mechanism::Anonymous, trace, "malformed-request");
    }
}
