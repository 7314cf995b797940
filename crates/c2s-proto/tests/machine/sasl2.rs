//! The profile of XEP-0388, and what may be asked for together with a login.

use rjabberd_c2s_proto::{Action, Answer, ClaimRefused, Input, Settings, TokenGone, TokenOrder, Unavailable};
use rjabberd_xmpp::sasl::{
    BindingType, Credentials, FastToken, Mechanism, ScramKeys, SecureChannel, TlsVersion, TokenMechanism,
    TokenSlot, Tokens, UsedToken, Verdict,
};

use crate::play::{
    AUTHENTICATE, INITIAL_ROMEO, OFFERED, Play, at_features, at_finish, at_task, authenticate, channel,
    credentials, element, full, header, right, settings, with_host, with_tls, wrong,
};

const BIND: &str = "<bind xmlns='urn:xmpp:bind:0'/>";
const AGENT: &str =
    "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>Tester</software></user-agent>";
const SUCCESS: &str = "write <success xmlns='urn:xmpp:sasl:2'>\
     <authorization-identifier>romeo@a.example</authorization-identifier></success>";
const FEATURES: &str = "write <stream:features><bind xmlns='…bind'/><session xmlns='…session'><optional/></session>\
     <sm xmlns='urn:xmpp:sm:3'/><sm xmlns='urn:xmpp:sm:2'/><csi xmlns='urn:xmpp:csi:0'/><ver xmlns='urn:xmpp:features:rosterver'/><sub xmlns='urn:xmpp:features:pre-approval'/>\
     <limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>262144</max-bytes><idle-seconds>300</idle-seconds></limits>\
     </stream:features>";

fn with_tokens() -> Settings {
    with_host(|host| host.token_rotation_s = Some(86_400))
}

/// Romeo's password is right; whatever he asked for beside.
fn logs_in(settings: Settings, children: &str) -> Play {
    let play = at_features(settings).input(authenticate("PLAIN", &format!("{INITIAL_ROMEO}{children}")));
    play.is("looking_up").answer(credentials()).is("checking").answer(right())
}

/// A connection with this TLS, led to the features.
fn over(tls: SecureChannel, settings: Settings) -> Play {
    let mut play = Play::new(Settings { tls: OFFERED, ..settings }).input(header("to='a.example'"));
    play = play.input(element(crate::play::STARTTLS)).input(Input::TlsStarted(Box::new(tls)));
    play.input(header("to='a.example'")).is("awaiting_feature")
}

fn bound_channel() -> SecureChannel {
    SecureChannel { exporter: Some([7; 32]), end_point: Some([8; 32].as_slice().into()), ..channel() }
}

fn order(play: &Play) -> &TokenOrder {
    let found = play.deeds.iter().find_map(|action| match action {
        Action::ChangeTokens(_, order) => Some(&**order),
        _ => None,
    });
    found.expect("tokens are to be changed")
}

#[test]
fn a_login_goes_on_without_a_new_stream() {
    let play = at_features(settings()).input(element(AUTHENTICATE)).is("looking_up");
    let play = play.answer(credentials()).is("checking");
    let play = play.answer(right()).brings(&[
        SUCCESS,
        FEATURES,
        "up to 262144",
        "authenticated romeo@a.example PLAIN",
        "now awaiting_bind",
    ]);
    assert_eq!(play.state.account().unwrap().as_str(), "romeo@a.example");
    play.input(element(crate::play::BIND_HOME)).is("claiming");
}

#[test]
fn it_is_offered_under_tls_only() {
    let plain = Play::new(with_tls(OFFERED)).input(header("to='a.example'")).is("awaiting_feature");
    assert!(!plain.written().contains("urn:xmpp:sasl:2"), "{}", plain.written());
    plain.input(element(AUTHENTICATE)).brings(&[
        "write <failure xmlns='urn:xmpp:sasl:2'><encryption-required xmlns='…sasl'/></failure>",
        "failed Some('PLAIN') encryption-required".replace('\'', "\"").as_str(),
    ]);
}

#[test]
fn what_a_channel_can_do_is_what_is_offered() {
    let play = over(bound_channel(), with_tokens());
    let written = play.written();
    for part in [
        "<mechanisms xmlns='…sasl'><mechanism>SCRAM-SHA-1-PLUS</mechanism><mechanism>SCRAM-SHA-1</mechanism>\
         <mechanism>PLAIN</mechanism></mechanisms>",
        "<authentication xmlns='urn:xmpp:sasl:2'><mechanism>SCRAM-SHA-1-PLUS</mechanism>\
         <mechanism>SCRAM-SHA-1</mechanism><mechanism>PLAIN</mechanism><inline><sm xmlns='urn:xmpp:sm:3'/><bind xmlns='urn:xmpp:bind:0'><inline><feature var='urn:xmpp:sm:3'/><feature var='urn:xmpp:csi:0'/></inline></bind>\
         <fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-EXPR</mechanism><mechanism>HT-SHA-256-ENDP</mechanism>\
         <mechanism>HT-SHA-256-NONE</mechanism></fast></inline>\
         <upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-1</upgrade></authentication>",
        "<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/>\
         <channel-binding type='tls-server-end-point'/></sasl-channel-binding>",
        "<config-version xmlns='urn:xmpp:iap:0' scheme='opaque' value='",
    ] {
        assert!(written.contains(part), "{part}\n{written}");
    }
    let older = SecureChannel { version: TlsVersion::V12, exporter: None, ..bound_channel() };
    assert_eq!(older.bindings(), [BindingType::EndPoint]);
    let written = over(older, with_tokens()).written();
    assert!(!written.contains("tls-exporter") && !written.contains("-EXPR"), "{written}");
    assert!(written.contains("SCRAM-SHA-1-PLUS") && written.contains("-ENDP"), "{written}");
    let unbound = over(channel(), settings()).written();
    for missing in ["PLUS", "sasl-channel-binding", "urn:xmpp:fast:0"] {
        assert!(!unbound.contains(missing), "{unbound}");
    }
}

#[test]
fn a_failure_has_the_condition_of_rfc_6120_and_the_client_may_try_again() {
    let play = at_features(settings()).input(element(AUTHENTICATE)).answer(credentials());
    let play = play.answer(wrong()).brings(&[
        "write <failure xmlns='urn:xmpp:sasl:2'><not-authorized xmlns='…sasl'/></failure>",
        "failed Some(\"PLAIN\") not-authorized",
        "now awaiting_feature",
    ]);
    play.input(element(AUTHENTICATE)).is("looking_up");
}

#[test]
fn a_from_that_is_not_the_account_fails() {
    let play = Play::new(settings()).input(header("to='a.example' from='juliet@a.example'"));
    let play = play.input(element(AUTHENTICATE)).answer(credentials()).answer(right());
    assert!(play.written().contains("<invalid-authzid xmlns='…sasl'/>"), "{}", play.written());
    play.is("awaiting_feature");
}

#[test]
fn nothing_but_its_own_words_may_come_during_a_handshake() {
    let begun = || at_features(settings()).input(authenticate("SCRAM-SHA-1", "")).is("awaiting_response");
    for other in [
        AUTHENTICATE,
        crate::play::PLAIN_ROMEO,
        "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        "<message to='juliet@a.example'/>",
    ] {
        begun().input(element(other)).is("closing");
    }
    let play = begun().input(element("<abort xmlns='urn:xmpp:sasl:2'><text>no</text></abort>"));
    assert!(play.written().contains("<aborted xmlns='…sasl'/>"), "{}", play.written());
}

#[test]
fn one_success_is_all_that_a_stream_has() {
    for namespace in ["urn:xmpp:sasl:2", "urn:ietf:params:xml:ns:xmpp-sasl"] {
        let play = logs_in(settings(), "").is("awaiting_bind");
        let play = play.input(element(&format!("<authenticate xmlns='{namespace}' mechanism='PLAIN'/>")));
        assert!(play.written().contains("<not-authorized xmlns='…streams'/>"), "{}", play.written());
    }
}

#[test]
fn an_empty_initial_response_is_not_an_absent_one() {
    let play = at_features(settings()).input(authenticate("PLAIN", ""));
    play.brings(&["write <challenge xmlns='urn:xmpp:sasl:2'/>", "now awaiting_response"]);
    for bad in [
        "<initial-response/>",
        "<initial-response>=</initial-response>",
        "<initial-response>*</initial-response>",
    ] {
        let play = at_features(settings()).input(authenticate("PLAIN", bad)).is("awaiting_feature");
        assert!(play.written().contains("<failure"), "{}", play.written());
    }
}

#[test]
fn a_resource_is_bound_before_success_is_said() {
    let play = logs_in(settings(), BIND).brings(&["claim romeo@a.example None", "now finishing"]);
    let jid = full("romeo@a.example/0123456789abcdef");
    let play = play.answer(Answer::Claimed(Ok(jid))).is("established");
    let written = play.written();
    let success = "<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>romeo@a.example/0123456789abcdef\
                   </authorization-identifier><bound xmlns='urn:xmpp:bind:0'/></success>\
                   <stream:features><sm ";
    assert!(written.starts_with(success), "{written}");
    let lines: Vec<String> = play.deeds.iter().skip(2).map(crate::play::line).collect();
    assert_eq!(
        lines,
        [
            "up to 262144",
            "authenticated romeo@a.example PLAIN",
            "clear Negotiation",
            "set Idle",
            "now established"
        ]
    );
}

#[test]
fn a_client_has_a_resource_of_its_own_that_does_not_tell_its_identifier() {
    let wanted = |children: &str| {
        let play = logs_in(settings(), children).is("finishing");
        crate::play::line(&play.deeds[0])
    };
    let tagged = format!("{AGENT}<bind xmlns='urn:xmpp:bind:0'><tag>Awe someXMPP</tag></bind>");
    let own = wanted(&tagged);
    assert_eq!(own, wanted(&tagged), "it is the same every time");
    let name =
        own.strip_prefix("claim romeo@a.example Own(\"Awe someXMPP/").unwrap().strip_suffix("\")").unwrap();
    assert!(name.len() == 12 && !name.contains('/'), "{own}");
    assert!(!own.contains("d4565fa7"), "{own}");
    let other = tagged.replace("d4565fa7", "d4565fa8");
    assert_ne!(own, wanted(&other));
    assert_eq!(
        wanted("<bind xmlns='urn:xmpp:bind:0'><tag>Awe</tag></bind>"),
        "claim romeo@a.example Made { prefix: \"Awe/\" }"
    );
    let long = format!("<bind xmlns='urn:xmpp:bind:0'><tag>{}</tag></bind>", "x".repeat(1023));
    assert_eq!(wanted(&long), "claim romeo@a.example None", "a tag that is too long is left out");
}

#[test]
fn a_resource_that_is_refused_fails_the_login() {
    for answer in [Answer::Claimed(Err(ClaimRefused::TooManySessions)), Answer::Unavailable(Unavailable)] {
        let play = at_finish().answer(answer).is("awaiting_feature");
        let written = play.written();
        assert!(written.contains("<temporary-auth-failure xmlns='…sasl'/>"), "{written}");
        assert!(written.contains("<resource-constraint xmlns='…stanzas'/>"), "{written}");
    }
    at_finish().answer(Answer::Claimed(Err(ClaimRefused::AccountGone))).is("closing");
}

#[test]
fn a_resource_that_comes_too_late_is_given_back() {
    let play = at_finish().input(Input::StreamEnded).is("closing");
    play.answer(Answer::Claimed(Ok(full("romeo@a.example/late")))).brings(&["release romeo@a.example/late"]);
}

#[test]
fn a_token_is_given_out_only_to_a_client_that_says_which_it_is() {
    let request = "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>";
    logs_in(with_tokens(), request).is("awaiting_bind");
    logs_in(settings(), &format!("{AGENT}{request}")).is("awaiting_bind");
    let unoffered = request.replace("NONE", "EXPR");
    logs_in(with_tokens(), &format!("{AGENT}{unoffered}")).is("awaiting_bind");

    let play = logs_in(with_tokens(), &format!("{AGENT}{request}")).is("finishing");
    assert_eq!(order(&play).issue, Some(TokenMechanism::None));
    assert!(order(&play).used.is_none() && !order(&play).revoke);
    let play = play.answer(Answer::TokensChanged(Ok(Some(token(1_584_023_775)))));
    let expected =
        "<token xmlns='urn:xmpp:fast:0' expiry='2020-03-12T14:36:15Z' token='a secret'/></success>";
    assert!(play.written().contains(expected), "{}", play.written());
    play.is("awaiting_bind");
}

#[test]
fn a_login_by_password_goes_on_where_no_token_can_be_made() {
    let request = format!("{AGENT}<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>");
    logs_in(with_tokens(), &request).answer(Answer::Unavailable(Unavailable)).is("awaiting_bind");
    let play = logs_in(with_tokens(), &request).answer(Answer::TokensChanged(Err(TokenGone)));
    assert!(
        play.written().contains("<not-authorized xmlns='…sasl'/>"),
        "the account is gone: {}",
        play.written()
    );
}

fn token(expires_unix_s: i64) -> FastToken {
    FastToken {
        mechanism: TokenMechanism::None,
        secret: "a secret".to_owned().into(),
        issued_unix_s: 1_000_000,
        expires_unix_s,
        count: 3,
    }
}

/// `romeo\0HMAC-SHA-256("a secret", "Initiator")`.
const BY_TOKEN: &str =
    "<initial-response>cm9tZW8AQdulLyh3Cb6VTfk4PSjC1xllqb7vo842OQR7dW758Os=</initial-response>";

/// Romeo logs in by a token that was given out at 1,000,000, at this time.
fn by_token(fast: &str, slot: TokenSlot, now_unix_s: i64) -> Play {
    let children = format!("{BY_TOKEN}{AGENT}<fast xmlns='urn:xmpp:fast:0' {fast}/>");
    let play = at_features(with_tokens()).input(authenticate("HT-SHA-256-NONE", &children)).is("looking_up");
    let found = Some(token(2_000_000));
    let tokens = match slot {
        TokenSlot::Current => Tokens { current: found, fresh: None },
        TokenSlot::Fresh => Tokens { current: None, fresh: found },
    };
    play.answer(Answer::Tokens { tokens: Some(tokens), now_unix_s })
}

#[test]
fn a_token_logs_in_in_one_step_and_changes_nothing_while_it_is_young() {
    let play = by_token("", TokenSlot::Current, 1_000_001).is("awaiting_bind");
    assert!(play.written().contains("<additional-data>"), "{}", play.written());
}

#[test]
fn a_token_that_is_used_first_a_count_and_an_old_token_are_told_to_the_store() {
    let play = by_token("", TokenSlot::Fresh, 1_000_001).is("finishing");
    let UsedToken { slot, .. } = order(&play).used.as_ref().unwrap();
    assert_eq!((*slot, order(&play).issue), (TokenSlot::Fresh, None));
    play.answer(Answer::TokensChanged(Ok(None))).is("awaiting_bind");

    let play = by_token("count='4'", TokenSlot::Current, 1_000_001).is("finishing");
    assert_eq!(order(&play).used.as_ref().unwrap().token.count, 4);

    let play = by_token("", TokenSlot::Current, 1_000_000 + 86_400).is("finishing");
    assert_eq!(order(&play).issue, Some(TokenMechanism::None));
}

#[test]
fn a_token_that_is_given_up_is_not_replaced() {
    let play = by_token("invalidate='true'", TokenSlot::Current, 1_000_000 + 86_400).is("finishing");
    assert!(order(&play).revoke && order(&play).issue.is_none());
}

#[test]
fn a_token_that_is_gone_meanwhile_lets_nobody_in() {
    let play = by_token("count='4'", TokenSlot::Current, 1_000_001);
    let play = play.answer(Answer::TokensChanged(Err(TokenGone))).is("awaiting_feature");
    assert!(play.written().contains("<not-authorized xmlns='…sasl'/>"), "{}", play.written());
    let play = by_token("count='4'", TokenSlot::Current, 1_000_001);
    let play = play.answer(Answer::Unavailable(Unavailable)).is("awaiting_feature");
    assert!(play.written().contains("<temporary-auth-failure xmlns='…sasl'/>"), "{}", play.written());
}

#[test]
fn a_mechanism_for_tokens_needs_the_element_of_tokens_and_a_host_that_gives_them() {
    let children = format!("{BY_TOKEN}{AGENT}");
    let play = at_features(with_tokens()).input(authenticate("HT-SHA-256-NONE", &children));
    assert!(play.written().contains("<malformed-request"), "{}", play.written());
    let children = format!("{children}<fast xmlns='urn:xmpp:fast:0'/>");
    for (settings, mechanism) in [(settings(), "HT-SHA-256-NONE"), (with_tokens(), "HT-SHA-256-EXPR")] {
        let play = at_features(settings).input(authenticate(mechanism, &children));
        assert!(play.written().contains("<invalid-mechanism"), "{}", play.written());
    }
    let zero = format!("{BY_TOKEN}{AGENT}<fast xmlns='urn:xmpp:fast:0' count='0'/>");
    let play = at_features(with_tokens()).input(authenticate("HT-SHA-256-NONE", &zero));
    assert!(play.written().contains("<malformed-request"), "{}", play.written());
    let core = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='HT-SHA-256-NONE'>cm9tZW8A</auth>";
    let play = at_features(with_tokens()).input(element(core));
    assert!(play.written().contains("<invalid-mechanism"), "{}", play.written());
}

#[test]
fn other_features_than_the_client_has_seen_are_no_failed_login() {
    let children = format!(
        "{INITIAL_ROMEO}<config-version xmlns='urn:xmpp:iap:0' scheme='opaque' value='something else'/>"
    );
    let mut play = at_features(settings());
    for _ in 0..9 {
        play = play.input(authenticate("PLAIN", &children)).brings(&[
            "write <failure xmlns='urn:xmpp:sasl:2'><aborted xmlns='…sasl'/>\
             <config-version-mismatch xmlns='urn:xmpp:iap:0'/></failure>",
            "failed None aborted",
        ]);
    }
    let features = at_features(settings()).written();
    let (_, value) = features.split_once("scheme='opaque' value='").unwrap();
    let (value, _) = value.split_once('\'').unwrap();
    let children = children.replace("something else", value);
    play.input(authenticate("PLAIN", &children)).is("looking_up");
    let others = at_features(with_tokens()).written();
    assert!(!others.contains(value), "another offer has another version");
}

/// Nothing else would end it but the deadline of all negotiation, and each is a line in the log.
#[test]
fn a_client_that_never_learns_the_features_is_sent_away() {
    let children = "<config-version xmlns='urn:xmpp:iap:0' scheme='opaque' value='something else'/>";
    let mut play = at_features(settings());
    for _ in 0..9 {
        play = play.input(authenticate("PLAIN", children)).is("awaiting_feature");
    }
    let play = play.input(authenticate("PLAIN", children)).is("closing");
    assert!(play.written().contains("<policy-violation"), "{}", play.written());
}

/// It would be good for longer than the certificate, or the authority that vouched for it.
#[test]
fn who_logs_in_by_a_certificate_gets_no_token() {
    let wants = format!("{AGENT}<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>");
    let settings = with_host(|host| {
        host.token_rotation_s = Some(86_400);
        host.mechanisms.push(Mechanism::External);
    });
    let romeo = SecureChannel { accounts: vec!["romeo@a.example".parse().unwrap()], ..channel() };
    let play = over(romeo, settings).input(authenticate("EXTERNAL", &format!("<initial-response/>{wants}")));
    play.answer(credentials()).brings(&[
        SUCCESS,
        FEATURES,
        "up to 262144",
        "authenticated romeo@a.example EXTERNAL",
        "now awaiting_bind",
    ]);
}

#[test]
fn a_token_is_ordered_with_the_keys_of_the_password_that_it_is_for() {
    let wants = format!("{AGENT}<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>");
    let Answer::Credentials { credentials: Some(stored), .. } = credentials() else { unreachable!() };
    let play = logs_in(with_tokens(), &wants);
    assert_eq!(order(&play).witnesses, stored.keys);
    // Keys that are made on this occasion are stored by then, or not.
    let made = ScramKeys { iterations: 99_999, ..stored.keys[0].clone() };
    let stronger = Some(Credentials { keys: vec![made.clone()], digest: None });
    let play = at_features(with_tokens()).input(authenticate("PLAIN", &format!("{INITIAL_ROMEO}{wants}")));
    let verdict = Answer::PasswordChecked(Verdict { right: true, stronger });
    let play = play.answer(credentials()).answer(verdict).is("finishing");
    assert_eq!(order(&play).witnesses, [stored.keys[0].clone(), made]);
}

#[test]
fn an_upgrade_asks_for_the_salted_password_and_stores_keys_beside_the_witness() {
    let play = at_task().brings(&[
        "write <continue xmlns='urn:xmpp:sasl:2'><tasks><task>UPGR-SCRAM-SHA-1</task></tasks></continue>",
        "now awaiting_task",
    ]);
    let play = play.input(element("<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-1'/>"));
    let written = play.written();
    assert!(written.contains("<salt xmlns='urn:xmpp:scram-upgrade:0' iterations='4096'>"), "{written}");
    let hash = "<task-data xmlns='urn:xmpp:sasl:2'><hash xmlns='urn:xmpp:scram-upgrade:0'>\
                AAAAAAAAAAAAAAAAAAAAAAAAAAA=</hash></task-data>";
    let play = play.input(element(hash)).is("finishing");
    let Action::StoreKeys(Some(_), order) = &play.deeds[0] else { panic!("keys are to be stored") };
    assert_eq!((order.witness.iterations, order.credentials.keys[0].iterations), (1, 4096));
    play.answer(Answer::KeysStored(true)).brings(&[
        SUCCESS,
        FEATURES,
        "up to 262144",
        "authenticated romeo@a.example PLAIN",
        "now awaiting_bind",
    ]);
}

#[test]
fn an_upgrade_that_nobody_needs_is_passed_over() {
    let upgrade = "<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-1</upgrade>\
                   <upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-512</upgrade>\
                   <upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-NONSENSE</upgrade>";
    logs_in(settings(), upgrade).is("awaiting_bind");
}

#[test]
fn an_upgrade_that_goes_wrong_fails_the_login_and_changes_nothing() {
    for (element_text, failure) in [
        ("<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-512'/>", "malformed-request"),
        ("<task-data xmlns='urn:xmpp:sasl:2'/>", "malformed-request"),
        ("<abort xmlns='urn:xmpp:sasl:2'/>", "aborted"),
    ] {
        let play = at_task().input(element(element_text)).is("awaiting_feature");
        assert!(play.written().contains(&format!("<{failure} xmlns='…sasl'/>")), "{}", play.written());
    }
    for hash in ["", "*", "AAAA"] {
        let play = at_task().input(element("<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-1'/>"));
        let play = play.input(element(&format!(
            "<task-data xmlns='urn:xmpp:sasl:2'><hash xmlns='urn:xmpp:scram-upgrade:0'>{hash}</hash></task-data>"
        )));
        assert!(play.written().contains("<malformed-request"), "{}", play.written());
    }
    at_task().input(element("<message to='juliet@a.example'/>")).is("closing");
}

#[test]
fn a_task_that_the_store_could_not_keep_does_not_cost_the_login() {
    let play = at_task().input(element("<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-1'/>"));
    let play = play.input(element(
        "<task-data xmlns='urn:xmpp:sasl:2'><hash xmlns='urn:xmpp:scram-upgrade:0'>\
         AAAAAAAAAAAAAAAAAAAAAAAAAAA=</hash></task-data>",
    ));
    play.answer(Answer::KeysStored(false)).is("awaiting_bind");
}
