//! Logins by the extensible profile (XEP-0388) as clients of today do them: bound to their channel, with a resource and a
//! token in one go, in one flight the next time.

use base64::{Engine, engine::general_purpose::STANDARD};
use rjabberd_testkit::{Client, Hash, HashedToken, Node, PASSWORD, Play, SaltedPassword, Scram};

const SASL2: &str = "urn:xmpp:sasl:2";
const AGENT: &str = "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>Player</software>\
                     <device>A stage</device></user-agent>";
const BIND: &str = "<bind xmlns='urn:xmpp:bind:0'><tag>Player</tag></bind>";
const WANTS_TOKEN: &str = "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-EXPR'/>";

fn authenticate(mechanism: &str, initial: &str, children: &str) -> String {
    format!(
        "<authenticate xmlns='{SASL2}' mechanism='{mechanism}'><initial-response>{initial}</initial-response>\
         {children}</authenticate>"
    )
}

/// Logs in by SCRAM-SHA-256-PLUS; gives `<success/>`, or whatever came in its place.
fn by_password(client: &mut Client, password: &str, children: &str) -> (Scram, Node) {
    let exporter = client.exporter();
    let mut scram = Scram::new(Hash::Sha256, "romeo", "a-nonce").bound("p=tls-exporter,,", &exporter);
    client.sends(&authenticate("SCRAM-SHA-256-PLUS", &scram.first(), children));
    let challenge = client.takes();
    assert_eq!(challenge.name, "challenge", "{challenge:?}");
    let mut salted: Option<SaltedPassword> = None;
    let answer = scram.answer(&challenge.text, password, &mut salted).expect("as the play has it");
    client.sends(&format!("<response xmlns='{SASL2}'>{answer}</response>"));
    (scram, client.takes())
}

fn by_token(client: &mut Client, token: &str, children: &str) -> Node {
    let message = HashedToken::new(token, &client.exporter()).message("romeo");
    client.sends(&authenticate("HT-SHA-256-EXPR", &message, &format!("{AGENT}{children}")));
    client.takes()
}

/// The token that came with a success.
fn token(success: &Node) -> String {
    let token = success.child("token").unwrap_or_else(|| panic!("no token in {success:?}"));
    assert!(token.attribute("expiry").expect("as the play has it").ends_with('Z'));
    token.attribute("token").expect("as the play has it").to_owned()
}

fn identifier(success: &Node) -> &str {
    &success.child("authorization-identifier").unwrap_or_else(|| panic!("{success:?}")).text
}

#[test]
fn a_client_is_in_and_bound_after_two_round_trips_and_talks() {
    let mut play = Play::new(&[]);
    play.account("romeo");
    play.enters("juliet/balcony");
    let mut client = play.secured("romeo");
    assert!(client.features().find("channel-binding").is_some(), "{:?}", client.features());
    let (scram, success) = by_password(&mut client, PASSWORD, &format!("{AGENT}{BIND}"));
    assert!(scram.verifies(&success.child("additional-data").unwrap().text));
    // XEP-0474 and XEP-0515: what was offered, and over what, signed by the password.
    assert!(scram.attribute('h').is_some() && scram.attribute('t') == Some("0304"));
    let jid = identifier(&success).to_owned();
    assert!(jid.starts_with("romeo@localhost/Player/") && success.child("bound").is_some(), "{success:?}");
    client.gets("<stream:features><ver/></stream:features>");
    client.says("juliet@localhost/balcony", "soft");
    play.client("juliet/balcony").hears("soft").says(&jid, "who is there");
    client.hears("who is there");
    let log =
        play.server.wait_for_log(&["romeo@localhost logged in by SCRAM-SHA-256-PLUS (SASL2)", "Player"]);
    assert!(!log.contains("A stage"), "{log}");
}

#[test]
fn a_client_that_binds_again_takes_its_own_place_and_no_other() {
    let play = Play::new(&["sessions.conflict = 'refuse'"]);
    play.account("romeo");
    let mut first = play.secured("romeo");
    let (_, success) = by_password(&mut first, PASSWORD, &format!("{AGENT}{BIND}"));
    let mut stranger = play.secured("romeo");
    let (_, other) = by_password(&mut stranger, PASSWORD, BIND);
    assert_ne!(identifier(&success), identifier(&other));
    let mut again = play.secured("romeo");
    let (_, same) = by_password(&mut again, PASSWORD, &format!("{AGENT}{BIND}"));
    assert_eq!(identifier(&success), identifier(&same));
    first.gets("<stream:features/>").gets_stream_error("conflict");
    stranger.gets("<stream:features/>").gets_nothing();
}

#[test]
fn a_login_without_a_resource_goes_on_to_bind_as_ever() {
    let play = Play::new(&[]);
    play.account("romeo");
    let mut client = play.secured("romeo");
    let (_, success) = by_password(&mut client, PASSWORD, "");
    assert_eq!(identifier(&success), "romeo@localhost");
    client.gets("<stream:features><bind/></stream:features>").binds(Some("orchard")).gets_nothing();
    // What is bigger than a stranger may send is taken on the same stream.
    client.says("romeo@localhost/orchard", &"x".repeat(100_000)).hears(&"x".repeat(100_000));
}

#[test]
fn a_token_logs_in_in_one_flight_together_with_the_header() {
    let play = Play::new(&[]);
    play.account("romeo");
    let mut client = play.secured("romeo");
    let version = client.features().find("config-version").unwrap().attribute("value").unwrap().to_owned();
    let (_, success) = by_password(&mut client, PASSWORD, &format!("{AGENT}{BIND}{WANTS_TOKEN}"));
    let token = token(&success);
    client.vanishes();

    let mut client = play.connects("romeo");
    client.opens_stream().starts_tls();
    let ticket = HashedToken::new(&token, &client.exporter());
    let seen = format!("<config-version xmlns='urn:xmpp:iap:0' scheme='opaque' value='{version}'/>");
    let children = format!("{AGENT}{BIND}<fast xmlns='urn:xmpp:fast:0' count='1'/>{seen}");
    let header = "<stream:stream from='romeo@localhost' to='localhost' version='1.0' xmlns='jabber:client' \
                  xmlns:stream='http://etherx.jabber.org/streams'>";
    client
        .sends(&format!("{header}{}", authenticate("HT-SHA-256-EXPR", &ticket.message("romeo"), &children)));
    client.gets_header();
    client.gets_features();
    let success = client.takes();
    assert!(ticket.verifies(&success.child("additional-data").unwrap().text), "{success:?}");
    assert!(success.child("token").is_none(), "it is young: {success:?}");
    client.gets("<stream:features/>").gets_nothing();

    // The same with features that were seen elsewhere: nothing is held against it.
    let mut client = play.connects("romeo");
    client.opens_stream().starts_tls();
    let children = children.replace(&version, "somewhere-else").replace("count='1'", "count='2'");
    let ticket = HashedToken::new(&token, &client.exporter());
    client
        .sends(&format!("{header}{}", authenticate("HT-SHA-256-EXPR", &ticket.message("romeo"), &children)));
    client.gets_header();
    client
        .gets_features()
        .gets(&format!("<failure xmlns='{SASL2}'><aborted/><config-version-mismatch/></failure>"));
    let success = by_token(&mut client, &token, "<fast xmlns='urn:xmpp:fast:0' count='2'/>");
    assert_eq!(success.name, "success", "{success:?}");
}

#[test]
fn attack_08_a_token_is_good_for_its_own_channel_mechanism_client_and_count_only() {
    let play = Play::new(&["auth.delay = false", "auth.failures_max = 100"]);
    play.account("romeo");
    play.account("juliet");
    let mut client = play.secured("romeo");
    let (_, success) = by_password(&mut client, PASSWORD, &format!("{AGENT}{WANTS_TOKEN}"));
    let token = token(&success);
    let fast = "<fast xmlns='urn:xmpp:fast:0'/>";
    let own = client.exporter();

    let mut mallory = play.secured("romeo");
    let elsewhere = HashedToken::new(&token, &own).message("romeo");
    let here = HashedToken::new(&token, &mallory.exporter());
    let unbound = HashedToken::new(&token, b"").message("romeo");
    let agent_of_another = AGENT.replace("d4565fa7", "d4565fa8");
    for (mechanism, message, children) in [
        // Said on another connection, and repeated here.
        ("HT-SHA-256-EXPR", elsewhere, format!("{AGENT}{fast}")),
        ("HT-SHA-256-NONE", unbound.clone(), format!("{AGENT}{fast}")),
        ("HT-SHA-256-EXPR", unbound, format!("{AGENT}{fast}")),
        ("HT-SHA-256-EXPR", here.message("juliet"), format!("{AGENT}{fast}")),
        ("HT-SHA-256-EXPR", here.message("nobody"), format!("{AGENT}{fast}")),
        ("HT-SHA-256-EXPR", here.message("romeo"), format!("{agent_of_another}{fast}")),
    ] {
        mallory.sends(&authenticate(mechanism, &message, &children));
        mallory.gets(&format!("<failure xmlns='{SASL2}'><not-authorized/></failure>"));
    }
    let counted = |count: u32| format!("<fast xmlns='urn:xmpp:fast:0' count='{count}'/>");
    assert_eq!(by_token(&mut play.secured("romeo"), &token, &counted(7)).name, "success");
    for count in [7, 6, 1] {
        let answer = by_token(&mut play.secured("romeo"), &token, &counted(count));
        assert!(answer.find("not-authorized").is_some(), "{count}: {answer:?}");
    }
    assert_eq!(by_token(&mut play.secured("romeo"), &token, &counted(8)).name, "success");
}

#[test]
fn a_token_ends_by_its_owners_wish_and_with_the_password() {
    let play = Play::new(&["auth.delay = false"]);
    play.account("romeo");
    let fast = "<fast xmlns='urn:xmpp:fast:0'/>";
    let wants = format!("{AGENT}{WANTS_TOKEN}");
    let (_, success) = by_password(&mut play.secured("romeo"), PASSWORD, &wants);
    let first = token(&success);
    let ends = "<fast xmlns='urn:xmpp:fast:0' invalidate='true'/>";
    assert_eq!(by_token(&mut play.secured("romeo"), &first, ends).name, "success");
    assert_eq!(by_token(&mut play.secured("romeo"), &first, fast).name, "failure");

    let (_, success) = by_password(&mut play.secured("romeo"), PASSWORD, &wants);
    let second = token(&success);
    assert_eq!(by_token(&mut play.secured("romeo"), &second, fast).name, "success");
    play.server.succeeds(&["user", "passwd", "romeo@localhost", "--password-stdin"], "another");
    assert_eq!(by_token(&mut play.secured("romeo"), &second, fast).name, "failure");
    let (_, success) = by_password(&mut play.secured("romeo"), "another", &wants);
    let third = token(&success);
    play.server.succeeds(&["user", "disable", "romeo@localhost"], "");
    assert_eq!(by_token(&mut play.secured("romeo"), &third, fast).name, "failure");
}

#[test]
fn an_old_token_is_replaced_and_works_until_the_new_one_is_used() {
    let play = Play::new(&["auth.delay = false", "auth.fast_rotate_hours = 0"]);
    play.account("romeo");
    let fast = "<fast xmlns='urn:xmpp:fast:0'/>";
    let (_, success) = by_password(&mut play.secured("romeo"), PASSWORD, &format!("{AGENT}{WANTS_TOKEN}"));
    let first = token(&success);
    // The answer with the second may be lost.
    let second = token(&by_token(&mut play.secured("romeo"), &first, fast));
    let third = token(&by_token(&mut play.secured("romeo"), &first, fast));
    assert_eq!(by_token(&mut play.secured("romeo"), &second, fast).name, "failure", "it was never used");
    assert_eq!(by_token(&mut play.secured("romeo"), &third, fast).name, "success");
    assert_eq!(by_token(&mut play.secured("romeo"), &first, fast).name, "failure", "a later one was used");
}

#[test]
fn an_upgrade_brings_keys_that_the_account_lacked() {
    let mut play = Play::new(&["auth.mechanisms = ['SCRAM-SHA-256']", "auth.delay = false"]);
    play.account("romeo");
    play.server.stop();
    let config = play.server.folder().join("rjabberd.toml");
    let text = std::fs::read_to_string(&config)
        .unwrap()
        .replace("['SCRAM-SHA-256']", "['SCRAM-SHA-256', 'SCRAM-SHA-512']");
    std::fs::write(&config, text).unwrap();
    play.server.run();

    let mut client = play.secured("romeo");
    client.fails_to_log_in(Hash::Sha512, "romeo", PASSWORD);
    assert_eq!(client.takes().name, "failure", "there are no such keys yet");
    let upgrade = "<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-512</upgrade>";
    let (scram, task) = by_password(&mut client, PASSWORD, upgrade);
    assert_eq!(task.name, "continue", "{task:?}");
    assert!(scram.verifies(&task.child("additional-data").unwrap().text));
    client.sends(&format!("<next xmlns='{SASL2}' task='UPGR-SCRAM-SHA-512'/>"));
    let data = client.takes();
    let salt = data.find("salt").unwrap();
    let iterations = salt.attribute("iterations").unwrap().parse().unwrap();
    let salted =
        SaltedPassword::new(Hash::Sha512, PASSWORD, &STANDARD.decode(&salt.text).unwrap(), iterations);
    client.sends(&format!(
        "<task-data xmlns='{SASL2}'><hash xmlns='urn:xmpp:scram-upgrade:0'>{}</hash></task-data>",
        STANDARD.encode(salted.key())
    ));
    assert_eq!(client.takes().name, "success");
    play.secured("romeo").logs_in(Hash::Sha512, "romeo", PASSWORD).binds(None);
}
