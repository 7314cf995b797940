//! SASL on the stream.

use rjabberd_c2s_proto::{Action, Answer, Ask, Input, Unavailable};
use rjabberd_xmpp::sasl::{Credentials, ScramHash, ScramKeys, decode};

use crate::play::{
    OFFERED, PLAIN_ROMEO, Play, REQUIRED, STARTTLS, at_bind, at_features, bound, check, credentials, element,
    header, right, settings, tls_started, with_host, with_tls, wrong,
};

const SASL: &str = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'";

fn auth(mechanism: &str, text: &str) -> Input {
    element(&format!("<auth {SASL} mechanism='{mechanism}'>{text}</auth>"))
}

fn response(text: &str) -> Input {
    element(&format!("<response {SASL}>{text}</response>"))
}

fn abort() -> Input {
    element(&format!("<abort {SASL}/>"))
}

/// RFC 5802, 5: user `user`, password `pencil`.
fn keys_of_the_rfc() -> Answer {
    let salt = decode("QSXCR+Q6sek8bf92").unwrap().unwrap();
    let keys = ScramKeys::derive(ScramHash::Sha1, "pencil", &salt, 4096).unwrap();
    let credentials = Some(Credentials { keys: vec![keys], digest: None });
    Answer::Credentials { credentials, nonce: "3rfcNHYJY1ZVvWVs7j".to_owned() }
}

const FIRST: &str = "biwsbj11c2VyLHI9ZnlrbytkMmxiYkZnT05Sdjlxa3hkYXdM";
const FINAL: &str = "Yz1iaXdzLHI9ZnlrbytkMmxiYkZnT05Sdjlxa3hkYXdMM3JmY05IWUpZMVpWdldWczdqLHA9Qzh4aUFyTDVkT2JkN2ljR0t1OFpETzJmYWlZPQ==";

fn challenged() -> Play {
    at_features(settings())
        .input(auth("SCRAM-SHA-1", FIRST))
        .answer(keys_of_the_rfc())
        .is("awaiting_response")
}

/// With what XEP-0474 and XEP-0515 add to it; the rest was computed with Python's `hmac`.
#[test]
fn the_conversation_of_rfc_5802_logs_in() {
    let play = at_features(settings());
    let play = check(play, vec![(auth("SCRAM-SHA-1", FIRST), &["load user@a.example", "now looking_up"])]);
    let play = play.answer(keys_of_the_rfc()).brings(&[
        "write <challenge xmlns='…sasl'>cj1meWtvK2QybGJiRmdPTlJ2OXFreGRhd0wzcmZjTkhZSlkxWlZ2V1ZzN2oscz1RU1hDUitRNnNlazhiZjkyLGk9NDA5NixoPVkreGsyVFcyNXZLd0c5eVdpY2ZRbHN1aUZRcz0sdD0wMzA0</challenge>",
        "now awaiting_response",
    ]);
    let play = play.input(response(FINAL)).brings(&[
        "write <success xmlns='…sasl'>dj1FT2FBRVkraFRXS0tqVnhRejk4K2cvNHgreHM9</success>",
        "new stream up to 262144",
        "authenticated user@a.example SCRAM-SHA-1",
        "now awaiting_restart",
    ]);
    assert_eq!(play.state.account().unwrap().as_str(), "user@a.example");
}

#[test]
fn a_mechanism_without_initial_response_is_asked_by_an_empty_challenge() {
    let play = at_features(settings()).input(element(&format!("<auth {SASL} mechanism='SCRAM-SHA-1'/>")));
    let play = play.brings(&["write <challenge xmlns='…sasl'/>", "now awaiting_response"]);
    play.input(response(FIRST)).brings(&["load user@a.example", "now looking_up"]);
}

#[test]
fn plain_logs_in_after_a_check_on_another_thread() {
    let play = at_features(settings()).input(element(PLAIN_ROMEO));
    let play = play.brings(&["load romeo@a.example", "now looking_up"]);
    let play = play.answer(credentials()).brings(&["check password", "now checking"]);
    play.answer(right()).brings(&[
        "write <success xmlns='…sasl'/>",
        "new stream up to 262144",
        "authenticated romeo@a.example PLAIN",
        "now awaiting_restart",
    ]);
}

#[test]
fn a_wrong_password_may_be_corrected() {
    let play = at_features(settings()).input(element(PLAIN_ROMEO)).answer(credentials());
    let play = play.answer(wrong()).brings(&[
        "write <failure xmlns='…sasl'><not-authorized/></failure>",
        "failed Some(\"PLAIN\") not-authorized",
        "now awaiting_feature",
    ]);
    let play = play.input(element(PLAIN_ROMEO)).answer(credentials()).answer(right());
    play.is("awaiting_restart");
}

#[test]
fn an_unknown_user_is_checked_like_a_known_one() {
    let unknown = Answer::Credentials { credentials: None, nonce: "3rfcNHYJY1ZVvWVs7j".to_owned() };
    let play = at_features(settings()).input(element(PLAIN_ROMEO)).answer(unknown);
    let play = play.brings(&["check password", "now checking"]);
    play.answer(wrong()).brings(&[
        "write <failure xmlns='…sasl'><not-authorized/></failure>",
        "failed Some(\"PLAIN\") not-authorized",
        "now awaiting_feature",
    ]);
}

#[test]
fn too_many_failures_end_the_stream() {
    let failure = "write <failure xmlns='…sasl'><malformed-request/></failure>";
    check(
        at_features(settings()),
        vec![
            (response(""), &[failure, "failed None malformed-request"]),
            (response(""), &[failure, "failed None malformed-request"]),
            (
                response(""),
                &[
                    failure,
                    "failed None malformed-request",
                    "write <stream:error><policy-violation xmlns='…streams'/>\
                     <text xmlns='…streams' xml:lang='en'>Too many failed authentications</text></stream:error>\
                     </stream:stream>",
                    "now closing",
                    "close StreamError(PolicyViolation)",
                ],
            ),
        ],
    );
}

#[test]
fn starttls_does_not_forget_the_failures() {
    let play = at_features(with_tls(OFFERED)).input(abort()).input(abort()).input(element(STARTTLS));
    let play = play.input(tls_started()).input(header("to='a.example'")).is("awaiting_feature");
    play.input(abort()).is("closing");
}

/// What the last input was answered with, of `<failure/>`.
fn failure(play: Play) -> String {
    let written = play.written();
    let inner =
        written.strip_prefix("<failure xmlns='…sasl'><").and_then(|rest| rest.strip_suffix("/></failure>"));
    inner.unwrap_or(&written).to_owned()
}

#[test]
fn each_bad_request_fails_by_the_name_of_the_rfc() {
    let fails = |input: Input| failure(at_features(settings()).input(input));
    assert_eq!(fails(element(&format!("<auth {SASL}/>"))), "invalid-mechanism");
    assert_eq!(fails(auth("CRAM-MD5", "")), "invalid-mechanism");
    assert_eq!(fails(auth("SCRAM-SHA-512", FIRST)), "invalid-mechanism");
    assert_eq!(fails(auth("PLAIN", "%%%")), "incorrect-encoding");
    assert_eq!(fails(auth("PLAIN", "AHJvbWVv")), "malformed-request");
    assert_eq!(fails(abort()), "aborted");
    assert_eq!(fails(response("")), "malformed-request");
    for mechanism in ["SCRAM-SHA-1", "PLAIN", "CRAM-MD5"] {
        let play = at_features(with_tls(REQUIRED)).input(auth(mechanism, FIRST));
        assert_eq!(failure(play.is("awaiting_feature")), "encryption-required", "{mechanism}");
    }
    let plain = at_features(with_tls(OFFERED)).input(element(PLAIN_ROMEO));
    assert_eq!(failure(plain), "encryption-required");
    let unknown = at_features(with_host(|host| host.mechanisms.clear())).input(element(PLAIN_ROMEO));
    assert_eq!(failure(unknown), "invalid-mechanism");
}

#[test]
fn a_handshake_fails_by_the_name_of_the_rfc() {
    assert_eq!(failure(challenged().input(abort())), "aborted");
    assert_eq!(failure(challenged().input(response("%%%"))), "incorrect-encoding");
    assert_eq!(failure(challenged().input(response("eHg="))), "malformed-request");
    let wrong = FINAL.replace("Yz1iaXdz", "Yz1iaXdt");
    assert_ne!(failure(challenged().input(response(&wrong))), "");
    assert_eq!(challenged().input(abort()).state.name(), "awaiting_feature");
}

#[test]
fn a_second_auth_discards_the_handshake() {
    let play = challenged().input(element(PLAIN_ROMEO)).brings(&[
        "failed Some(\"SCRAM-SHA-1\") aborted",
        "load romeo@a.example",
        "now looking_up",
    ]);
    play.answer(credentials()).is("checking");
}

/// Each has cost a question to the store, and has told a salt.
#[test]
fn a_handshake_that_is_discarded_counts_like_one_that_is_aborted() {
    let mut play = challenged();
    for _ in 0..2 {
        play = play.input(auth("SCRAM-SHA-1", FIRST)).brings(&[
            "failed Some(\"SCRAM-SHA-1\") aborted",
            "load user@a.example",
            "now looking_up",
        ]);
        play = play.answer(keys_of_the_rfc()).is("awaiting_response");
    }
    let play = play.input(auth("SCRAM-SHA-1", FIRST)).is("closing");
    assert!(play.written().contains("<policy-violation"), "{}", play.written());
}

#[test]
fn a_stanza_in_the_middle_of_a_handshake_ends_the_stream() {
    let play = challenged().input(element("<message/>")).is("closing");
    assert!(play.written().contains("<not-authorized "), "{}", play.written());
}

#[test]
fn starttls_in_the_middle_of_a_handshake_fails() {
    let play = at_features(with_tls(OFFERED)).input(auth("SCRAM-SHA-1", FIRST)).answer(keys_of_the_rfc());
    let play = play.is("awaiting_response").input(element(STARTTLS)).is("closing");
    assert_eq!(play.written(), "<failure xmlns='…tls'/></stream:stream>");
}

#[test]
fn a_store_that_is_away_is_a_temporary_failure() {
    let looking_up = at_features(settings()).input(element(PLAIN_ROMEO));
    assert_eq!(failure(looking_up.answer(Answer::Unavailable(Unavailable))), "temporary-auth-failure");
    let checking = at_features(settings()).input(element(PLAIN_ROMEO)).answer(credentials());
    let away = checking.answer(Answer::Unavailable(Unavailable)).is("awaiting_feature");
    assert_eq!(failure(away), "temporary-auth-failure");
}

#[test]
fn an_answer_to_another_question_is_ignored() {
    let play = at_features(settings()).input(element(PLAIN_ROMEO));
    let Ask(ask) = play.ask;
    let play = play.input(Input::Answered(Ask(ask + 1), credentials())).brings(&[]).is("looking_up");
    let play = play.answer(credentials()).is("checking");
    play.input(Input::Answered(Ask(ask), right())).brings(&[]).is("checking");
}

#[test]
fn an_answer_of_another_kind_is_a_fault_of_ours() {
    let play = at_features(settings()).input(element(PLAIN_ROMEO)).answer(right());
    let play = play.is("closing");
    assert!(play.written().contains("<internal-server-error "), "{}", play.written());
}

#[test]
fn on_tls_the_header_must_name_who_logs_in() {
    let logged_in = |from: &str| {
        let play = Play::new(settings()).input(header(&format!("to='a.example' from='{from}'")));
        play.input(element(PLAIN_ROMEO)).answer(credentials()).answer(right())
    };
    logged_in("romeo@a.example").is("awaiting_restart");
    logged_in("Romeo@a.example/home").is("awaiting_restart");
    let play = logged_in("juliet@a.example").is("closing");
    assert!(play.written().contains("<invalid-from "), "{}", play.written());
    assert!(!play.deeds.iter().any(|action| matches!(action, Action::Authenticated(..))));
}

#[test]
fn in_plain_anybody_could_have_written_the_header() {
    let settings = with_host(|host| host.plain_without_tls = true);
    let play = Play::new(rjabberd_c2s_proto::Settings { tls: OFFERED, ..settings });
    let play = play.input(header("to='a.example' from='juliet@a.example'"));
    let play = play.input(element(PLAIN_ROMEO)).answer(credentials()).answer(right());
    play.is("awaiting_restart");
}

#[test]
fn nobody_logs_in_twice() {
    for play in [at_bind(settings()), bound(settings())] {
        let play = play.input(element(PLAIN_ROMEO)).is("closing");
        assert!(play.written().contains("<not-authorized "), "{}", play.written());
    }
}

#[test]
fn no_state_prints_what_it_holds() {
    let play = at_features(settings()).input(element(PLAIN_ROMEO));
    assert_eq!(format!("{:?}", play.state), "looking_up");
    let play = play.answer(credentials());
    assert_eq!(format!("{:?}", play.state), "checking");
}
