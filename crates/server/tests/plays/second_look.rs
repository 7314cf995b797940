//! What a second look at logins found, and what it looked for in vain: a password that changes in the middle of a login,
//! what stands behind a login in the same flight, what a login leaves in the log.

use base64::{Engine, engine::general_purpose::STANDARD};
use rjabberd_testkit::{Client, Hash, HashedToken, Node, PASSWORD, Play, SaltedPassword, Scram};

const SASL2: &str = "urn:xmpp:sasl:2";
const AGENT: &str = "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/>";
const BIND: &str = "<bind xmlns='urn:xmpp:bind:0'/>";
const WANTS_TOKEN: &str = "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>";
const FAST: &str = "<fast xmlns='urn:xmpp:fast:0'/>";

fn authenticate(mechanism: &str, initial: &str, children: &str) -> String {
    format!(
        "<authenticate xmlns='{SASL2}' mechanism='{mechanism}'><initial-response>{initial}</initial-response>\
         {children}</authenticate>"
    )
}

/// Says the first half of a login by SCRAM-SHA-256; gives the second.
fn begins(client: &mut Client, password: &str, children: &str) -> String {
    let mut scram = Scram::new(Hash::Sha256, "romeo", "a-nonce");
    client.sends(&authenticate("SCRAM-SHA-256", &scram.first(), children));
    let challenge = client.takes();
    let mut salted: Option<SaltedPassword> = None;
    let answer = scram.answer(&challenge.text, password, &mut salted).expect("a challenge of SCRAM");
    format!("<response xmlns='{SASL2}'>{answer}</response>")
}

fn logs_in(client: &mut Client, password: &str, children: &str) -> Node {
    let rest = begins(client, password, children);
    client.sends(&rest).takes()
}

fn by_token(client: &mut Client, token: &str) -> Node {
    let message = HashedToken::new(token, b"").message("romeo");
    client.sends(&authenticate("HT-SHA-256-NONE", &message, &format!("{AGENT}{FAST}"))).takes()
}

/// Whoever knows the password that was can begin a login before it changes, and go on with it afterwards.
#[test]
fn nobody_gets_a_token_for_a_password_that_was_changed_meanwhile() {
    let play = Play::new(&["auth.delay = false"]);
    play.account("romeo");
    let wants = format!("{AGENT}{WANTS_TOKEN}");
    let changes: [&[&[&str]]; 2] = [
        &[&["user", "passwd", "romeo@localhost", "--password-stdin"]],
        &[&["user", "remove", "romeo@localhost"], &["user", "add", "romeo@localhost", "--password-stdin"]],
    ];
    let mut password = PASSWORD.to_owned();
    for commands in changes {
        let mut thief = play.secured("romeo");
        let rest = begins(&mut thief, &password, &wants);
        password.push_str("-and-another");
        for command in commands {
            play.server.succeeds(command, &password);
        }
        let answer = thief.sends(&rest).takes();
        let token = answer.child("token").and_then(|token| token.attribute("token"));
        let entered = token.map(|token| by_token(&mut play.secured("romeo"), token).name);
        assert_eq!((answer.name.as_str(), entered), ("failure", None), "{answer:?}");
    }
    let success = logs_in(&mut play.secured("romeo"), &password, &wants);
    let token = success.child("token").unwrap().attribute("token").unwrap();
    assert_eq!(by_token(&mut play.secured("romeo"), token).name, "success");
}

#[test]
fn what_stands_behind_a_login_in_one_flight_is_taken_by_whom_it_logged_in_in_order() {
    let mut play = Play::new(&[]);
    play.account("romeo");
    play.enters("juliet/balcony");
    let mut client = play.secured("romeo");
    let rest = begins(&mut client, PASSWORD, BIND);
    // The second is bigger than a stranger may send.
    let big = "x".repeat(100_000);
    let said: String = ["first", &big, "last"]
        .map(|body| {
            format!("<message to='juliet@localhost/balcony' type='chat'><body>{body}</body></message>")
        })
        .concat();
    client.sends(&format!("{rest}{said}"));
    assert_eq!(client.takes().name, "success");
    play.client("juliet/balcony").hears("first").hears(&big).hears("last");
}

#[test]
fn a_tag_that_is_no_beginning_of_a_resource_is_none() {
    let play = Play::new(&["auth.delay = false"]);
    play.account("romeo");
    let long = "y".repeat(1010);
    for (tag, begins_with) in [
        ("a/b", "romeo@localhost/a/b/"),
        ("xxxx", "romeo@localhost/xxxx/"),
        ("&lt;iq/&gt;&apos;", "romeo@localhost/<iq/>'/"),
        (&long, "romeo@localhost/"),
        ("\u{5d0}", "romeo@localhost/"),
        (" ", "romeo@localhost/"),
    ] {
        for agent in ["", AGENT] {
            let bind = format!("{agent}<bind xmlns='urn:xmpp:bind:0'><tag>{tag}</tag></bind>");
            let mut client = play.secured("romeo");
            let success = logs_in(&mut client, PASSWORD, &bind);
            let jid =
                &success.child("authorization-identifier").unwrap_or_else(|| panic!("{success:?}")).text;
            assert!(jid.starts_with(begins_with) && jid.len() < 100, "{tag}: {jid}");
            client.gets("<stream:features/>").says(jid, "me").hears("me").leaves();
        }
    }
}

/// The whole of it at `log.level = 'debug'`, which is that of all plays.
#[test]
fn no_login_leaves_anything_in_the_log_that_another_could_log_in_with() {
    let play = Play::new(&[
        "auth.delay = false",
        "auth.failures_max = 100",
        "auth.mechanisms = ['SCRAM-SHA-1', 'SCRAM-SHA-256', 'PLAIN', 'DIGEST-MD5']",
    ]);
    play.account("romeo");
    let mut secrets = vec![PASSWORD.to_owned(), STANDARD.encode(PASSWORD)];
    let mut client = play.secured("romeo");
    let rest = begins(&mut client, PASSWORD, &format!("{AGENT}{WANTS_TOKEN}{BIND}"));
    secrets.push(rest[30 + SASL2.len()..rest.len() - 11].to_owned());
    let success = client.sends(&rest).takes();
    let token = success.child("token").unwrap().attribute("token").unwrap().to_owned();
    secrets.push(success.child("additional-data").unwrap().text.clone());
    client.vanishes();
    let message = HashedToken::new(&token, b"").message("romeo");
    secrets.extend([token.clone(), message.clone()]);
    let mut client = play.secured("romeo");
    let success = by_token(&mut client, &token);
    secrets.push(success.child("additional-data").unwrap().text.clone());
    client.vanishes();
    let plain = STANDARD.encode(format!("\0romeo\0{PASSWORD}"));
    secrets.push(plain.clone());
    let mut client = play.secured("romeo");
    // Said wrong in all ways: in the wrong namespace, attribute, place, mechanism, and cut off.
    let fails = [
        authenticate("SCRAM-SHA-1", &plain, ""),
        authenticate("HT-SHA-256-NONE", &message, FAST),
        authenticate(&plain, &token, AGENT),
        format!(
            "<authenticate xmlns='{SASL2}' mechanism='NONE' password='{PASSWORD}'>{plain}</authenticate>"
        ),
        format!("<response xmlns='{SASL2}' id='{plain}'>{plain}</response>"),
        format!("<abort xmlns='{SASL2}'><text>{PASSWORD}</text></abort>"),
        authenticate("PLAIN", &plain, &format!("<config-version xmlns='urn:xmpp:iap:0' value='{token}'/>")),
    ];
    for fail in fails {
        assert_eq!(client.sends(&fail).takes().name, "failure", "{fail}");
    }
    client.sends(&authenticate("PLAIN", &plain, BIND));
    assert_eq!(client.takes().name, "success");
    for wrong in [
        authenticate("PLAIN", &plain, AGENT),
        format!("<next xmlns='{SASL2}' task='{plain}'>{plain}</next>"),
        format!("<auth mechanism='PLAIN'>{plain}</auth>"),
        format!("<iq type='set' id='1' xmlns='x'>{plain}</iq>"),
        authenticate("PLAIN", &format!("{plain}</broken>"), AGENT),
        authenticate("PLAIN", &format!("{plain}\u{1}"), AGENT),
        format!("{plain}<"),
    ] {
        let mut client = play.secured("romeo");
        assert_eq!(client.sends(&authenticate("PLAIN", &plain, BIND)).takes().name, "success");
        client.sends(&wrong).gets("<stream:features/>").everything();
    }
    let log = play.server.log().text();
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret} is in the log");
    }
}
