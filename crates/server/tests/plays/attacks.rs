//! Attacks on parsing, logins and addresses, each named after its line in the list of `docs/security.md`; others stand
//! where their subject is.

use base64::{Engine, engine::general_purpose::STANDARD};
use rjabberd_testkit::{Client, Hash, PASSWORD, Play, SaltedPassword, Scram};

const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const HEADER: &str = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
                      xmlns:stream='http://etherx.jabber.org/streams'>";

/// No shaper, and nobody is made to wait, so that much can be tried fast.
fn open(more: &[&str]) -> Play {
    let mut lines = vec!["listen.c2s.shaper = 'none'", "auth.delay = false"];
    lines.extend(more);
    Play::without_tls(&lines)
}

fn stream(play: &Play) -> Client {
    let mut client = play.connects("mallory");
    client.opens_stream();
    client
}

fn auth(mechanism: &str, message: &str) -> String {
    format!("<auth xmlns='{SASL}' mechanism='{mechanism}'>{}</auth>", STANDARD.encode(message))
}

fn failure(condition: &str) -> String {
    format!("<failure xmlns='{SASL}'><{condition}/></failure>")
}

#[test]
fn attack_01_a_billion_laughs_are_not_even_read() {
    let play = open(&[]);
    let mut entities = "<!ENTITY a0 'ha'>".to_owned();
    for level in 1..30 {
        let before = format!("&a{};", level - 1);
        entities += &format!("<!ENTITY a{level} '{}'>", before.repeat(10));
    }
    let laughs = format!("<?xml version='1.0'?><!DOCTYPE x [{entities}]>");
    let file = "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY f SYSTEM 'file:///etc/passwd'>]>";
    play.account("romeo");
    let mut romeo = play.logged_in("romeo/orchard");
    let before = play.server.figures();
    for doctype in [laughs.as_str(), file] {
        for _ in 0..50 {
            let mut client = play.connects("mallory");
            client.tries_to_send(doctype.as_bytes()).tries_to_send(HEADER.as_bytes()).gets_header();
            client.gets_stream_error("restricted-xml");
        }
    }
    // Inside of a stream, and of what a server looks into.
    for text in [
        "<!DOCTYPE x []>",
        "<iq type='set' id='v'><vCard xmlns='vcard-temp'><!ENTITY a 'b'><FN>x</FN></vCard></iq>",
        "<iq type='set' id='v'><vCard xmlns='vcard-temp'><FN>&a;</FN></vCard></iq>",
        "<message to='romeo@localhost'><body><?php ?></body></message>",
    ] {
        let mut client = play.logged_in("romeo/tomb");
        client.tries_to_send(text.as_bytes());
        let error = client.takes();
        assert_eq!(error.name, "stream:error", "{text}: {error:?}");
        client.gets_end();
    }
    let after = play.server.figures();
    assert!(after.resident_kib < before.resident_kib + 4 * 1024, "{before:?} {after:?}");
    romeo.gets_nothing();
}

#[test]
fn attack_04_bytes_that_are_no_characters_and_prefixes_that_are_none_reach_nobody() {
    let mut play = open(&[]);
    play.enters("juliet/balcony");
    play.account("romeo");
    let broken: [&[u8]; 8] = [
        b"\xff",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xef\xbf\xbe",
        b"\xe2\x82",
        b"\x00",
        b"\x0b",
    ];
    for bytes in broken {
        let mut romeo = play.logged_in("romeo/orchard");
        let message = [b"<message to='juliet@localhost'><body>", bytes, b"</body></message>"].concat();
        romeo.tries_to_send(&message);
        let error = romeo.takes();
        assert_eq!(error.name, "stream:error", "{bytes:x?}: {error:?}");
    }
    // Names that would be read otherwise elsewhere: the separator of namespaces that a parser may use (CVE-2022-25236),
    // a prefix that nobody declared, one that is taken away, and reserved ones.
    for inner in [
        "<x xmlns='a}b'/><y xmlns='jabber:client\u{7f}'/><z:z/>",
        "<x xmlns:p=''/>",
        "<x xmlns:xml='urn:x'/>",
        "<x xmlns:xmlns='urn:x'/>",
        "<x xmlns:p='http://www.w3.org/2000/xmlns/'/>",
        "<x xmlns='a' xmlns='b'/>",
        "<x a='1' a='2'/>",
        "<x a='<!--' b='-->'/>",
        "</message><message to='juliet@localhost' from='god@localhost'><body>x</body>",
    ] {
        let mut romeo = play.logged_in("romeo/orchard");
        romeo.tries_to_send(format!("<message to='juliet@localhost'>{inner}</message>").as_bytes());
        let errors = romeo.everything();
        assert!(format!("{errors:?}").contains("error"), "{inner}: {errors:?}");
    }
    // The last one was two messages, of which the second lies about its sender.
    let heard = play.client("juliet/balcony").settles();
    assert!(heard.iter().all(|node| node.attribute("from") != Some("god@localhost")), "{heard:?}");
}

#[test]
fn attack_05_there_is_no_compression_before_or_after_login() {
    let mut play = open(&[]);
    let compress = "<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>";
    stream(&play).sends(compress).gets_stream_error("unsupported-stanza-type");
    play.enters("romeo/orchard").sends(compress).gets_stream_error("unsupported-stanza-type");
    let mut client = play.connects("mallory");
    client.opens_stream();
    assert!(client.features().find("compression").is_none());
}

#[test]
fn attack_07_nobody_logs_in_as_somebody_else() {
    let play = open(&["auth.plain_without_tls = true", "auth.failures_max = 100"]);
    play.account("romeo");
    play.account("juliet");
    let mut client = stream(&play);
    for (mechanism, message, condition) in [
        ("PLAIN", format!("juliet@localhost\0romeo\0{PASSWORD}"), "invalid-authzid"),
        ("PLAIN", format!("juliet\0romeo\0{PASSWORD}"), "invalid-authzid"),
        ("PLAIN", format!("romeo@other.example\0romeo\0{PASSWORD}"), "invalid-authzid"),
        ("PLAIN", format!("\0\0{PASSWORD}"), "malformed-request"),
        ("PLAIN", "\0romeo\0".to_owned(), "malformed-request"),
        ("PLAIN", format!("\0romeo\0{PASSWORD}\0"), "malformed-request"),
        ("PLAIN", "\0romeo@localhost/x\0x".to_owned(), "not-authorized"),
        ("SCRAM-SHA-1", "n,a=juliet,n=romeo,r=x".to_owned(), "invalid-authzid"),
        ("SCRAM-SHA-1", "n,,n=,r=x".to_owned(), "malformed-request"),
        ("SCRAM-SHA-1", "n,,n=romeo,".to_owned(), "malformed-request"),
        ("EXTERNAL", String::new(), "encryption-required"),
        ("ANONYMOUS", String::new(), "invalid-mechanism"),
        ("DIGEST-MD5", String::new(), "invalid-mechanism"),
        ("SCRAM-SHA-1-PLUS", "p=tls-exporter,,n=romeo,r=x".to_owned(), "invalid-mechanism"),
        ("HT-SHA-256-NONE", "romeo\0x".to_owned(), "invalid-mechanism"),
        ("GSSAPI", String::new(), "invalid-mechanism"),
    ] {
        client.sends(&auth(mechanism, &message));
        let answer = client.takes();
        let told = answer.children.first().map(|child| child.name.clone()).unwrap_or_default();
        // What is not in the config is not there at all, whatever TLS would allow.
        let is_absent = condition == "encryption-required" && told == "invalid-mechanism";
        assert!(
            answer.name == "failure" && (told == condition || is_absent),
            "{mechanism} {message:?}: {answer:?}"
        );
    }
    client.sends(&format!("<abort xmlns='{SASL}'/>")).gets(&failure("aborted"));
    client.logs_in(Hash::Sha1, "romeo", PASSWORD).binds(None);
}

#[test]
fn attack_07_a_thousand_failures_lock_nobody_out() {
    let play = open(&["auth.plain_without_tls = true", "auth.failures_max = 50"]);
    play.account("romeo");
    for _ in 0..20 {
        let mut client = stream(&play);
        for _ in 0..49 {
            client.sends(&auth("SCRAM-SHA-1", "n,,n=romeo,r=x")).takes();
            let end = STANDARD.encode("c=biws,r=x,p=AAAAAAAAAAAAAAAAAAAAAAAAAAA=");
            client
                .sends(&format!("<response xmlns='{SASL}'>{end}</response>"))
                .gets(&failure("not-authorized"));
        }
    }
    stream(&play).logs_in(Hash::Sha1, "romeo", PASSWORD).binds(None);
}

#[test]
fn attack_07_keys_with_no_iterations_or_too_many_are_not_taken() {
    let play = open(&[]);
    let keys = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for iterations in ["0", "1000000000", "-1", "99999999999999"] {
        let file = play.server.folder().join("keys");
        std::fs::write(
            &file,
            format!("x@localhost\t{{SCRAM-SHA-256}}{iterations},c2FsdHNhbHRzYWx0,{keys},{keys}\n"),
        )
        .unwrap();
        let output = play.server.runs(&["user", "import", file.to_str().unwrap()], "");
        assert!(!output.status.success(), "{iterations}: {output:?}");
    }
    assert!(!play.server.succeeds(&["user", "list"], "").contains("x@localhost"));
}

/// One whole login of Romeo by SCRAM-SHA-256: the client's two messages, and what the server said.
fn login(client: &mut Client) -> (String, String) {
    let mut scram = Scram::new(Hash::Sha256, "romeo", "a-nonce-of-the-client");
    let first = scram.first();
    client.sends(&format!("<auth xmlns='{SASL}' mechanism='SCRAM-SHA-256'>{first}</auth>"));
    let challenge = client.takes();
    let mut salted: Option<SaltedPassword> = None;
    let last = scram.answer(&challenge.text, PASSWORD, &mut salted).expect("as the play has it");
    client.sends(&format!("<response xmlns='{SASL}'>{last}</response>"));
    assert_eq!(client.takes().name, "success");
    (first, last)
}

#[test]
fn attack_08_what_was_said_in_one_login_is_worth_nothing_in_another() {
    let play = open(&[]);
    play.account("romeo");
    let (first, last) = login(&mut stream(&play));
    let mut mallory = stream(&play);
    let mut nonces = Vec::new();
    for _ in 0..3 {
        mallory.sends(&format!("<auth xmlns='{SASL}' mechanism='SCRAM-SHA-256'>{first}</auth>"));
        nonces.push(String::from_utf8(STANDARD.decode(mallory.takes().text).unwrap()).unwrap());
        mallory
            .sends(&format!("<response xmlns='{SASL}'>{last}</response>"))
            .gets(&failure("not-authorized"));
    }
    nonces.dedup();
    assert_eq!(nonces.len(), 3, "the server's nonce is another each time: {nonces:?}");
}

#[test]
fn attack_08_a_client_that_saw_no_channel_binding_where_it_was_offered_is_not_let_in() {
    let play = Play::new(&["auth.delay = false"]);
    play.account("romeo");
    let mut client = play.secured("romeo");
    // `y`: somebody in between has taken the names with -PLUS out of the list.
    for (mechanism, message) in [
        ("SCRAM-SHA-256", "y,,n=romeo,r=x"),
        ("SCRAM-SHA-256", "p=tls-exporter,,n=romeo,r=x"),
        ("SCRAM-SHA-256-PLUS", "n,,n=romeo,r=x"),
        ("SCRAM-SHA-256-PLUS", "p=tls-unique,,n=romeo,r=x"),
    ] {
        client.sends(&auth(mechanism, message));
        let answer = client.takes();
        assert!(answer.find("not-authorized").is_some(), "{mechanism} {message}: {answer:?}");
    }
    client.logs_in(Hash::Sha256, "romeo", PASSWORD).binds(None);
}

#[test]
fn attack_10_no_stanza_leaves_in_anothers_name() {
    let mut play = open(&[]);
    play.enters("juliet/balcony");
    play.account("romeo");
    for from in ["juliet@localhost", "localhost", "romeo@localhost/other", "a@b@c", "@localhost"] {
        for stanza in ["message", "presence", "iq type='get' id='x'"] {
            let name = stanza.split(' ').next().unwrap();
            let mut romeo = play.logged_in("romeo/orchard");
            romeo.sends(&format!(
                "<{stanza} to='juliet@localhost/balcony' from='{from}'><x xmlns='y'/></{name}>"
            ));
            romeo.gets_stream_error("invalid-from");
        }
    }
    play.client("juliet/balcony").gets_nothing();
}

#[test]
fn attack_26_addresses_have_their_limits() {
    let mut play = open(&["registration.enabled = true"]);
    play.enters("romeo/orchard");
    let long = "x".repeat(1023);
    let romeo = play.client("romeo/orchard");
    for to in [
        format!("{long}x@localhost"),
        format!("romeo@localhost/{long}x"),
        format!("romeo@{long}x"),
        "ro meo@localhost".to_owned(),
        "\u{202e}romeo@localhost".to_owned(),
        "a\u{5d0}@localhost".to_owned(),
        "romeo@localhost/\u{7}".replace('\u{7}', "\u{ad}"),
    ] {
        romeo.sends(&format!("<iq type='get' id='x' to='{to}'><ping xmlns='urn:xmpp:ping'/></iq>"));
        let answer = romeo.takes();
        let told = answer.find("jid-malformed").is_some() || answer.find("service-unavailable").is_some();
        assert!(answer.name == "iq" && told, "{to:?}: {answer:?}");
    }
    // What is one address after preparation is one account: nobody takes a name that looks the same.
    for name in ["romeo", "ROMEO", "ro\u{ad}meo", "\u{ff52}omeo"] {
        stream(&play)
            .sends(&format!(
                "<iq type='set' id='r'><query xmlns='jabber:iq:register'><username>{name}</username>\
                 <password>secret-of-mallory</password></query></iq>"
            ))
            .gets("<iq type='error' id='r'><error type='cancel'><conflict/></error></iq>");
    }
    let lang = "x".repeat(3_000);
    let mut client = play.connects("romeo");
    client
        .sends(&HEADER.replace("<stream:stream", &format!("<stream:stream xml:lang='{lang}'")))
        .gets_header();
    client.gets_features().logs_in(Hash::Sha1, "romeo", PASSWORD).binds(Some("tomb"));
    client.says("romeo@localhost/orchard", "short");
    let heard = play.client("romeo/orchard").takes();
    assert!(format!("{heard:?}").len() < 1_000, "the stream's language does not grow every stanza");
}

#[test]
fn attack_27_an_answer_to_no_question_is_for_nobody() {
    let mut play = open(&["limits.idle_s = 1", "limits.ping_s = 1"]);
    play.account("romeo");
    let mut romeo = play.logged_in("romeo/orchard");
    // Mallory answers in Romeo's place the ping that keeps his session alive, and it ends all the same.
    play.enters("mallory/cell");
    let ping = romeo.takes();
    let id = ping.attribute("id").unwrap().to_owned();
    for to in ["romeo@localhost/orchard", "localhost", "romeo@localhost"] {
        let answer = format!("<iq type='result' id='{id}' to='{to}'/>");
        play.client("mallory/cell").sends(&answer);
    }
    let told = romeo.everything();
    assert!(format!("{told:?}").contains("connection-timeout") || told.len() <= 2, "{told:?}");
    play.server.wait_for_log(&["romeo@localhost/orchard", "ping-timeout"]);
}
