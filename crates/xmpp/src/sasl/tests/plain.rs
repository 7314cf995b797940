//! PLAIN: who gets in, what that costs, and which messages are none.

use super::*;

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
