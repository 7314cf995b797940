//! HT-SHA-256: a client that holds a token, and all that hold none that is good.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::*;

const NOW: i64 = 1_700_000_000;

pub(super) fn token(secret: &str, mechanism: TokenMechanism) -> FastToken {
    FastToken {
        mechanism,
        secret: Zeroizing::new(secret.to_owned()),
        issued_unix_s: NOW - 1_000,
        expires_unix_s: NOW + 1_000,
        count: 5,
    }
}

fn mac(secret: &str, label: &[u8], bound: &[u8]) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.chain_update(label).chain_update(bound).finalize().into_bytes().to_vec()
}

fn message(username: &str, secret: &str, bound: &[u8]) -> Vec<u8> {
    [username.as_bytes(), b"\0", &mac(secret, b"Initiator", bound)].concat()
}

fn bound(mechanism: TokenMechanism) -> &'static [u8] {
    match mechanism {
        TokenMechanism::None => &[],
        TokenMechanism::EndPoint => &[9; 48],
        TokenMechanism::Exporter => &[7; 32],
    }
}

fn log_in(mechanism: TokenMechanism, count: Option<u32>, message: &[u8], tokens: Option<&Tokens>) -> Outcome {
    let channel = channel();
    let setting = Setting { channel: Some(&channel), client: Some(ClientId(1)), count, ..setting() };
    let look_up = look_up(begin(Mechanism::Token(mechanism), &setting, Some(message)));
    assert_eq!((look_up.wants(), look_up.username()), (Wanted::Tokens, "romeo"));
    look_up.answer_tokens(tokens, NOW)
}

#[track_caller]
fn used(outcome: Outcome) -> (UsedToken, Vec<u8>) {
    match outcome {
        Outcome::Success { username, data: Some(data), evidence: Evidence::Token(used) } => {
            assert_eq!(username, "romeo");
            (used, data)
        }
        other => panic!("no success but {}", named(&other)),
    }
}

fn in_both(current: FastToken, fresh: FastToken) -> Tokens {
    Tokens { current: Some(current), fresh: Some(fresh) }
}

/// Computed with Python's `hmac`.
#[test]
fn the_messages_are_as_python_computes_them() {
    let tokens = Tokens { current: None, fresh: Some(token("WXZzciBwYmFmdmZn", TokenMechanism::Exporter)) };
    let proof = STANDARD.decode("btISVzMDVM9tQDtIL93Dm2Qhlpt7aXTnEDjEDzCnQbw=").unwrap();
    let message = [b"romeo\0", &proof[..]].concat();
    let (_, data) = used(log_in(TokenMechanism::Exporter, None, &message, Some(&tokens)));
    assert_eq!(encode(&data), "aGQlBElAV34m/85hNH8OXN++wgl2ztnJLXXth2bvogM=");
}

#[test]
fn each_mechanism_takes_its_token_and_answers_with_the_servers_proof() {
    for mechanism in TokenMechanism::ALL {
        let tokens = in_both(token("old", mechanism), token("new", mechanism));
        for (secret, slot) in [("new", TokenSlot::Fresh), ("old", TokenSlot::Current)] {
            let message = message("Romeo", secret, bound(mechanism));
            let (used, data) = used(log_in(mechanism, None, &message, Some(&tokens)));
            assert_eq!(data, mac(secret, b"Responder", bound(mechanism)));
            assert_eq!(used, UsedToken { slot, token: token(secret, mechanism) });
        }
        let failed = log_in(mechanism, None, &message("romeo", "other", bound(mechanism)), Some(&tokens));
        assert_eq!(named(&failed), "not-authorized");
    }
}

#[test]
fn a_token_never_works_for_another_mechanism() {
    for given in TokenMechanism::ALL {
        for chosen in TokenMechanism::ALL.into_iter().filter(|chosen| *chosen != given) {
            let tokens = in_both(token("secret", given), token("secret", given));
            for data in [bound(chosen), bound(given)] {
                let outcome = log_in(chosen, None, &message("romeo", "secret", data), Some(&tokens));
                assert_eq!(named(&outcome), "not-authorized", "{given:?} {chosen:?}");
            }
        }
    }
}

#[test]
fn a_proof_for_another_channel_or_of_another_length_is_refused() {
    let tokens = in_both(token("secret", TokenMechanism::Exporter), token("b", TokenMechanism::Exporter));
    let proof = mac("secret", b"Initiator", &[7; 32]);
    for proof in [
        mac("secret", b"Initiator", &[8; 32]),
        mac("secret", b"Initiator", &[]),
        mac("secret", b"Responder", &[7; 32]),
        proof[..31].to_vec(),
        [&proof[..], b"\0"].concat(),
        vec![0; 32],
    ] {
        let message = [b"romeo\0", &proof[..]].concat();
        let outcome = log_in(TokenMechanism::Exporter, None, &message, Some(&tokens));
        assert_eq!(named(&outcome), "not-authorized");
    }
}

#[test]
fn an_account_without_tokens_is_not_authorized_whatever_the_proof() {
    for secret in ["", "secret", token::NO_TOKEN] {
        for tokens in [None, Some(&Tokens::default())] {
            let outcome = log_in(TokenMechanism::None, None, &message("romeo", secret, &[]), tokens);
            assert_eq!(named(&outcome), "not-authorized");
        }
    }
}

#[test]
fn only_who_holds_a_token_learns_that_it_has_expired() {
    let expired = FastToken { expires_unix_s: NOW, ..token("old", TokenMechanism::None) };
    let tokens = in_both(expired.clone(), FastToken { secret: Zeroizing::new("new".to_owned()), ..expired });
    for (secret, expected) in
        [("old", "credentials-expired"), ("new", "credentials-expired"), ("x", "not-authorized")]
    {
        let outcome = log_in(TokenMechanism::None, None, &message("romeo", secret, &[]), Some(&tokens));
        assert_eq!(named(&outcome), expected);
    }
    // For the wrong mechanism it does not even say that.
    let message = message("romeo", "old", &[7; 32]);
    assert_eq!(named(&log_in(TokenMechanism::Exporter, None, &message, Some(&tokens))), "not-authorized");
}

#[test]
fn a_count_must_be_higher_than_all_before_and_is_kept() {
    let tokens = Tokens { current: Some(token("secret", TokenMechanism::None)), fresh: None };
    let log_in = |count| log_in(TokenMechanism::None, count, &message("romeo", "secret", &[]), Some(&tokens));
    for (count, kept) in [(None, 5), (Some(6), 6), (Some(u32::MAX), u32::MAX)] {
        assert_eq!(used(log_in(count)).0.token.count, kept);
    }
    for count in [0, 4, 5] {
        assert_eq!(named(&log_in(Some(count))), "not-authorized");
    }
}

#[track_caller]
fn check_begin(setting: &Setting<'_>, mechanism: TokenMechanism, message: &[u8], expected: &str) {
    assert_eq!(named(&begin(Mechanism::Token(mechanism), setting, Some(message))), expected);
}

#[test]
fn a_message_of_another_form_is_malformed() {
    let setting = Setting { client: Some(ClientId(1)), ..setting() };
    for message in [&b""[..], b"romeo", b"romeo\0", b"\0proof", b"\xff\0proof", b"\0"] {
        check_begin(&setting, TokenMechanism::None, message, "malformed-request");
    }
    check_begin(&setting, TokenMechanism::None, b"romeo\0\0\0", "look up");
    check_begin(&setting, TokenMechanism::None, b"a b\0proof", "not-authorized");
    check_begin(&Setting { client: None, ..setting }, TokenMechanism::None, b"romeo\0x", "malformed-request");
}

#[test]
fn a_bound_mechanism_without_data_to_bind_to_is_refused() {
    let setting = Setting { client: Some(ClientId(1)), ..setting() };
    let channel = SecureChannel { exporter: None, end_point: None, ..channel() };
    for mechanism in [TokenMechanism::EndPoint, TokenMechanism::Exporter] {
        check_begin(&setting, mechanism, b"romeo\0x", "not-authorized");
        let setting = Setting { channel: Some(&channel), ..setting };
        check_begin(&setting, mechanism, b"romeo\0x", "not-authorized");
    }
}

#[test]
fn an_answer_to_another_question_lets_nobody_in() {
    let stored = credentials("secret");
    let tokens = in_both(token("secret", TokenMechanism::None), token("secret", TokenMechanism::None));
    let setting = Setting { client: Some(ClientId(1)), ..setting() };
    let asked = |mechanism, message: &[u8]| look_up(begin(mechanism, &setting, Some(message)));
    let by_token = asked(Mechanism::Token(TokenMechanism::None), &message("romeo", "secret", &[]));
    assert_eq!(named(&by_token.answer(Some(&stored), &fakes(), SERVER_NONCE)), "not-authorized");
    let by_password = asked(Mechanism::Plain, b"\0romeo\0secret");
    assert_eq!(by_password.wants(), Wanted::Credentials);
    assert_eq!(named(&by_password.answer_tokens(Some(&tokens), NOW)), "not-authorized");
}
