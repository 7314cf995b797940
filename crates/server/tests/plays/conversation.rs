//! The conversation from the first byte to the first message, step by step, and the story that its log tells.

use rjabberd_testkit::{Hash, PASSWORD, Play, Scram};

const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";
const CAPS: &str = "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='*' ver='*'/>";
const REGISTER: &str = "<register xmlns='http://jabber.org/features/iq-register'/>";

#[test]
fn from_the_first_header_to_the_first_message() {
    let mut play =
        Play::without_tls(&["registration.enabled = true", "auth.mechanisms = ['SCRAM-SHA-1', 'PLAIN']"]);
    play.enters("juliet/balcony").is_available(0);
    play.account("romeo");
    let mut romeo = play.connects("romeo");

    let header = romeo.sends_header().gets_header();
    assert_eq!(header.attribute("from"), Some("localhost"));
    assert_eq!(header.attribute("version"), Some("1.0"));
    assert!(header.attribute("xml:lang").is_some(), "RFC 6120, 4.7.4");
    let first_id = header.attribute("id").unwrap().to_owned();
    romeo.gets_features();
    let features = format!(
        "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>\
         <mechanisms xmlns='{SASL}'><mechanism>SCRAM-SHA-1</mechanism></mechanisms>{CAPS}{REGISTER}</stream:features>"
    );
    assert!(
        romeo.features().matches(&rjabberd_testkit::Node::parse(&features).unwrap()),
        "{}",
        romeo.transcript()
    );
    let mechanisms = romeo.features().child("mechanisms").unwrap();
    assert!(!mechanisms.children.iter().any(|one| one.text == "PLAIN"), "PLAIN only under TLS");

    let mut scram = Scram::new(Hash::Sha1, "romeo", "fyko+d2lbbFgONRv9qkxdawL");
    let challenge = romeo
        .sends(&format!("<auth xmlns='{SASL}' mechanism='SCRAM-SHA-1'>{}</auth>", scram.first()))
        .takes();
    assert_eq!(challenge.name, "challenge");
    let response = scram.answer(&challenge.text, PASSWORD, &mut None).unwrap();
    let success = romeo.sends(&format!("<response xmlns='{SASL}'>{response}</response>")).takes();
    assert_eq!(success.name, "success");
    assert!(scram.verifies(&success.text));

    let header = romeo.sends_header().gets_header();
    assert_ne!(header.attribute("id"), Some(first_id.as_str()), "RFC 6120, 4.7.3");
    let features = romeo.takes();
    let wanted = format!(
        "<stream:features><bind xmlns='{BIND}'/><session xmlns='{SESSION}'><optional/></session>{CAPS}\
         {REGISTER}</stream:features>"
    );
    assert!(features.matches(&rjabberd_testkit::Node::parse(&wanted).unwrap()), "{}", romeo.transcript());
    assert!(features.child("mechanisms").is_none());

    romeo.binds(None);
    let resource = romeo.jid().strip_prefix("romeo@localhost/").unwrap();
    assert!(resource.len() >= 8, "a server-made resource cannot be guessed: {resource}");
    romeo
        .sends(&format!("<iq type='set' id='sess'><session xmlns='{SESSION}'/></iq>"))
        .gets("<iq type='result' id='sess'/>");

    romeo.says("juliet@localhost/balcony", "Wherefore art thou?");
    let jid = romeo.jid().to_owned();
    play.client("juliet/balcony").gets(&format!(
        "<message type='chat' from='{jid}' to='juliet@localhost/balcony'><body>Wherefore art thou?</body></message>"
    ));
    romeo.leaves();
    // Its last line: all others are there by then.
    play.server.wait_for_log(&["c2s:close", &jid]);
    check_log(&play, &challenge.text, &response, &success.text);
}

/// The log tells the story, and no secret.
fn check_log(play: &Play, challenge: &str, response: &str, success: &str) {
    let server = &play.server;
    server.wait_for_log(&["Accepted connection 127.0.0.1:", " -> 127.0.0.1:"]);
    server.wait_for_log(&["Received XML on stream = ", "<stream:stream"]);
    server.wait_for_log(&["Send XML on stream = ", "<stream:features"]);
    server.wait_for_log(&["shaper:update State: {bucket,", "Size=", "Pause="]);
    for state in ["awaiting_feature", "awaiting_response", "awaiting_restart", "awaiting_bind", "established"]
    {
        server.wait_for_log(&["c2s:state ", state]);
    }
    let log = server.log().text();
    for secret in [PASSWORD, challenge, response, success, "Wherefore art thou?"] {
        assert!(!log.contains(secret), "the log holds {secret:?}");
    }
}

#[test]
fn a_message_body_is_logged_only_where_the_config_says_so() {
    let mut play = Play::new(&["log.bodies = true"]);
    play.enters("romeo/orchard").says("romeo@localhost/orchard", "soliloquy").hears("soliloquy");
    play.server.wait_for_log(&["Received XML on stream = ", "soliloquy"]);
}

#[test]
fn starttls_then_sasl_then_a_message_under_tls() {
    let mut play = Play::new(&[]);
    play.enters("juliet/balcony").is_available(0);
    play.account("romeo");
    let mut romeo = play.connects("romeo");
    romeo.opens_stream();
    let tls = romeo.features().child("starttls").expect("STARTTLS is offered");
    assert!(tls.child("required").is_some());
    assert!(romeo.features().child("mechanisms").is_none(), "no mechanisms before TLS that is required");
    romeo.starts_tls().opens_stream();
    assert!(romeo.features().child("starttls").is_none());
    romeo.logs_in(Hash::Sha256, "romeo", PASSWORD).binds(Some("orchard")).says("juliet@localhost", "hello");
    play.client("juliet/balcony").hears("hello");
}
