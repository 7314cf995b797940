//! Mechanisms that are off unless the config names them: guests, and what is historic.

use base64::{Engine, engine::general_purpose::STANDARD};
use rjabberd_testkit::{Client, Hash, PASSWORD, Play};

const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const GUESTS: &str = "auth.mechanisms = ['SCRAM-SHA-1', 'ANONYMOUS']";
const DIGEST: &str = "auth.mechanisms = ['SCRAM-SHA-1', 'DIGEST-MD5']";

fn stream(play: &Play, name: &str) -> Client {
    let mut client = play.connects(name);
    client.opens_stream();
    client
}

fn offers(client: &Client, mechanism: &str) -> bool {
    let list = client.features().child("mechanisms").expect("mechanisms");
    list.children.iter().any(|child| child.text == mechanism)
}

/// A guest with a resource.
fn guest(play: &Play) -> Client {
    let mut guest = stream(play, "guest");
    assert!(offers(&guest, "ANONYMOUS"), "{:?}", guest.features());
    guest.sends(&format!("<auth xmlns='{SASL}' mechanism='ANONYMOUS'>=</auth>"));
    guest.gets(&format!("<success xmlns='{SASL}'/>")).opens_stream().binds(Some("seat"));
    guest
}

#[test]
fn a_guest_talks_and_leaves_nothing_behind() {
    let mut play = Play::without_tls(&[GUESTS]);
    play.enters("juliet/balcony").is_available(0);
    let (mut one, mut other) = (guest(&play), guest(&play));
    let name = one.jid().to_owned();
    assert!(name.ends_with("@localhost/seat") && name != other.jid(), "{name}");
    one.says("juliet@localhost", "who goes there").says(other.jid(), "you too");
    play.client("juliet/balcony").hears("who goes there").says(&name, "a rose");
    one.hears("a rose");
    other.hears("you too");
    one.sends("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
        .gets("<iq type='result' id='r'><query xmlns='jabber:iq:roster'/></iq>");
    one.sends(
        "<iq type='set' id='s'><query xmlns='jabber:iq:roster'><item jid='juliet@localhost'/></query></iq>",
    )
    .gets("<iq type='error' id='s'/>");
    one.sends("<presence type='subscribe' to='juliet@localhost'/>").forgets();
    play.client("juliet/balcony").gets_nothing();
    let bare = name.split('/').next().unwrap().to_owned();
    one.leaves();
    // He is gone, and so is his address: what comes now comes back, and nobody keeps it.
    let juliet = play.client("juliet/balcony");
    juliet.sends(&format!("<message to='{bare}' type='chat' id='m'><body>late</body></message>"));
    juliet.gets("<message type='error' id='m'/>");
    assert!(!play.server.succeeds(&["user", "list"], "").contains(&bare));
    other.gets_nothing();
    let log = play.server.wait_for_log(&["logged in by ANONYMOUS"]);
    assert!(!log.contains("error"), "{log}");
}

#[test]
fn a_guest_gets_no_password_and_no_account() {
    let play = Play::without_tls(&[GUESTS, "registration.enabled = true"]);
    let mut guest = guest(&play);
    let user = guest.jid().split('@').next().unwrap().to_owned();
    for query in ["<remove/>".to_owned(), format!("<username>{user}</username><password>secret</password>")] {
        guest
            .sends(&format!(
                "<iq type='set' id='p' to='localhost'><query xmlns='jabber:iq:register'>{query}</query></iq>"
            ))
            .gets("<iq type='error' id='p'/>");
    }
    assert_eq!(play.server.succeeds(&["user", "list"], "").trim(), "");
    guest.gets_nothing();
}

#[test]
fn where_guests_are_not_wanted_there_are_none() {
    let play = Play::without_tls(&[]);
    let mut mallory = stream(&play, "mallory");
    assert!(!offers(&mallory, "ANONYMOUS"));
    mallory
        .sends(&format!("<auth xmlns='{SASL}' mechanism='ANONYMOUS'/>"))
        .gets(&format!("<failure xmlns='{SASL}'><invalid-mechanism/></failure>"));
}

fn md5(text: &[u8]) -> [u8; 16] {
    use md5::Digest as _;
    md5::Md5::digest(text).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Logs in by DIGEST-MD5 (RFC 2831, 2.1.2.1), as far as the server lets it; says whether it did.
fn by_digest(client: &mut Client, user: &str, password: &str) -> bool {
    client.sends(&format!("<auth xmlns='{SASL}' mechanism='DIGEST-MD5'/>"));
    let challenge = String::from_utf8(STANDARD.decode(client.takes().text).expect("as the play has it"))
        .expect("as the play has it");
    let nonce = challenge
        .split("nonce=\"")
        .nth(1)
        .expect("as the play has it")
        .split('"')
        .next()
        .expect("as the play has it");
    let (cnonce, uri) = ("a-nonce-of-the-client", "xmpp/localhost");
    let secret = md5(format!("{user}:localhost:{password}").as_bytes());
    let first = hex(&md5(&[&secret[..], format!(":{nonce}:{cnonce}").as_bytes()].concat()));
    let answer = |second: &str| {
        let second = hex(&md5(second.as_bytes()));
        hex(&md5(format!("{first}:{nonce}:00000001:{cnonce}:auth:{second}").as_bytes()))
    };
    let response = format!(
        "username=\"{user}\",realm=\"localhost\",nonce=\"{nonce}\",cnonce=\"{cnonce}\",nc=00000001,qop=auth,\
         digest-uri=\"{uri}\",response={},charset=utf-8",
        answer(&format!("AUTHENTICATE:{uri}"))
    );
    client.sends(&format!("<response xmlns='{SASL}'>{}</response>", STANDARD.encode(response)));
    let verdict = client.takes();
    if verdict.name == "failure" {
        return false;
    }
    let proof = format!("rspauth={}", answer(&format!(":{uri}")));
    assert_eq!(
        STANDARD.decode(&verdict.text).expect("as the play has it"),
        proof.as_bytes(),
        "the server knows the key too"
    );
    client.sends(&format!("<response xmlns='{SASL}'/>")).gets(&format!("<success xmlns='{SASL}'/>"));
    true
}

#[test]
fn a_historic_client_logs_in_where_the_config_lets_it_and_its_key_was_kept() {
    let mut play = Play::without_tls(&[DIGEST, "auth.delay = false"]);
    play.account("romeo");
    let mut client = stream(&play, "romeo");
    assert!(!by_digest(&mut client, "romeo", "wrong") && !by_digest(&mut client, "nobody", PASSWORD));
    assert!(by_digest(&mut client, "romeo", PASSWORD));
    client.opens_stream().binds(Some("orchard")).gets_nothing();

    // An account from before it was wanted has no such key, and does not tell so.
    play.server.stop();
    let config = play.server.folder().join("rjabberd.toml");
    let with = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, with.replace(", 'DIGEST-MD5'", "")).unwrap();
    play.server.run();
    play.account("juliet");
    play.server.stop();
    std::fs::write(&config, with).unwrap();
    play.server.run();
    assert!(!by_digest(&mut stream(&play, "juliet"), "juliet", PASSWORD));
    stream(&play, "juliet").logs_in(Hash::Sha1, "juliet", PASSWORD).binds(None);
    assert!(by_digest(&mut stream(&play, "romeo"), "romeo", PASSWORD));
}
