//! The block list (XEP-0191): who is told of it, and what it does to stanzas both ways.

use rjabberd_testkit::Play;

use super::said::{attends, befriend, heard, hears, presence, roster, said, says, settle};

const BLOCKING: &str = "urn:xmpp:blocking";
const ROMEO: &str = "romeo@localhost";

/// Juliet and Romeo see each other; Juliet's balcony has asked for her list, her chamber has not.
fn cast() -> Play {
    let mut play = Play::without_tls(&[]);
    for name in ["romeo/orchard", "juliet/balcony"] {
        attends(&mut play, name);
    }
    befriend(&mut play, "romeo/orchard", "juliet/balcony");
    assert_eq!(blocked(&mut play, "juliet/balcony"), Vec::<String>::new());
    play
}

fn command(name: &str, jids: &[&str]) -> String {
    let items: String = jids.iter().map(|jid| format!("<item jid='{jid}'/>")).collect();
    format!("<iq type='set' id='c'><{name} xmlns='{BLOCKING}'>{items}</{name}></iq>")
}

/// The list, as its owner gets it.
#[track_caller]
fn blocked(play: &mut Play, name: &str) -> Vec<String> {
    let get = format!("<iq type='get' id='list'><blocklist xmlns='{BLOCKING}'/></iq>");
    let answers = play.client(name).sends(&get).settles();
    let answer = answers.iter().find(|node| node.attribute("id") == Some("list")).expect("an answer");
    let items = &answer.child("blocklist").expect("a list").children;
    items.iter().filter_map(|item| item.attribute("jid")).map(str::to_owned).collect()
}

#[test]
fn the_list_is_kept_and_pushed_to_who_asked_for_it() {
    let mut play = cast();
    play.returns("juliet/chamber");
    says(
        &mut play,
        "juliet/chamber",
        &command("block", &["tybalt@localhost", "evil.example"]),
        &["iq result c"],
    );
    hears(&mut play, "juliet/balcony", &["block tybalt@localhost, evil.example"]);
    says(&mut play, "juliet/chamber", &command("unblock", &["evil.example"]), &["iq result c"]);
    hears(&mut play, "juliet/balcony", &["unblock evil.example"]);
    assert_eq!(blocked(&mut play, "juliet/balcony"), ["tybalt@localhost"]);
    play.server.kill();
    play.server.run();
    play.returns("juliet/balcony");
    assert_eq!(blocked(&mut play, "juliet/balcony"), ["tybalt@localhost"]);
    play.returns("juliet/chamber");
    says(&mut play, "juliet/chamber", &command("unblock", &[]), &["iq result c"]);
    hears(&mut play, "juliet/balcony", &["unblock"]);
    assert_eq!(blocked(&mut play, "juliet/balcony"), Vec::<String>::new());
}

#[test]
fn a_command_that_is_none_is_refused() {
    let mut play = cast();
    for (command, condition) in [
        (command("block", &[]), "bad-request"),
        (command("block", &["@@"]), "jid-malformed"),
        (command("block", &["juliet@localhost"]), "not-allowed"),
        (format!("<iq type='set' id='c'><block xmlns='{BLOCKING}'><item/></block></iq>"), "bad-request"),
    ] {
        says(&mut play, "juliet/balcony", &command, &[format!("iq error {condition}").as_str()]);
    }
    let other = format!("<iq type='get' id='c' to='{ROMEO}'><blocklist xmlns='{BLOCKING}'/></iq>");
    let answer = settle(play.client("juliet/balcony").sends(&other));
    assert!(answer.len() == 1 && answer[0].starts_with("iq error"), "{answer:?}");
}

#[test]
fn nothing_goes_between_a_user_and_whom_he_blocked() {
    let mut play = cast();
    play.client("juliet/balcony").sends(&command("block", &[ROMEO])).settles();
    play.client("romeo/orchard").forgets();
    let get = "<query xmlns='jabber:iq:version'/>";
    // XEP-0191, 3.3: what comes in: errors for messages and requests, silence for the rest.
    for to in ["juliet@localhost", "juliet@localhost/balcony"] {
        for (stanza, comes) in [
            (
                format!("<message to='{to}'><body>x</body></message>"),
                Some("message error service-unavailable"),
            ),
            (
                format!("<message to='{to}' type='chat'><body>x</body></message>"),
                Some("message error service-unavailable"),
            ),
            (format!("<iq to='{to}' type='get' id='q'>{get}</iq>"), Some("iq error service-unavailable")),
            (format!("<iq to='{to}' type='result' id='q'/>"), None),
            (format!("<presence to='{to}'/>"), None),
            (presence("probe", to), None),
            (presence("subscribe", to), None),
        ] {
            says(&mut play, "romeo/orchard", &stanza, &comes.into_iter().collect::<Vec<_>>());
        }
    }
    hears(&mut play, "juliet/balcony", &[]);
    // What goes out.
    for to in [ROMEO, "romeo@localhost/orchard"] {
        for stanza in [
            format!("<message to='{to}' id='o'><body>x</body></message>"),
            format!("<iq to='{to}' type='get' id='o'>{get}</iq>"),
            format!("<presence to='{to}' id='o'/>"),
        ] {
            let answer = play.client("juliet/balcony").sends(&stanza).settles();
            assert_eq!(answer.len(), 1, "{stanza}: {answer:?}");
            assert!(
                answer[0].find("not-acceptable").is_some() && answer[0].find("blocked").is_some(),
                "{}",
                answer[0]
            );
        }
    }
    hears(&mut play, "romeo/orchard", &[]);
    // The roster stays as it is.
    assert_eq!(roster(play.client("juliet/balcony")), ["romeo@localhost both"]);
    assert_eq!(roster(play.client("romeo/orchard")), ["juliet@localhost both"]);
}

#[test]
fn who_is_blocked_sees_the_user_leave_and_come_back_when_unblocked() {
    let mut play = cast();
    play.client("juliet/balcony").sends("<presence><show>away</show></presence>").settles();
    play.client("romeo/orchard").forgets();
    let comes = settle(play.client("juliet/balcony").sends(&command("block", &[ROMEO])));
    assert!(comes.contains(&"unavailable romeo@localhost/orchard".to_owned()), "{comes:?}");
    hears(&mut play, "romeo/orchard", &["unavailable juliet@localhost/balcony"]);
    // Neither is told of the other meanwhile.
    play.client("juliet/balcony").sends("<presence><show>dnd</show></presence>").settles();
    hears(&mut play, "romeo/orchard", &[]);
    play.client("romeo/orchard").sends("<presence><show>xa</show></presence>").settles();
    hears(&mut play, "juliet/balcony", &[]);
    play.client("romeo/orchard").sends("<presence type='unavailable'/>").settles();
    assert_eq!(
        settle(play.client("romeo/orchard").sends("<presence/>")),
        ["available romeo@localhost/orchard"]
    );
    hears(&mut play, "juliet/balcony", &[]);
    let comes = settle(play.client("juliet/balcony").sends(&command("unblock", &[ROMEO])));
    assert!(comes.contains(&"available romeo@localhost/orchard".to_owned()), "{comes:?}");
    hears(&mut play, "romeo/orchard", &["available juliet@localhost/balcony dnd"]);
}

#[test]
fn a_block_of_a_domain_is_for_all_of_it_and_ends_with_it() {
    let mut play = cast();
    play.client("juliet/balcony").sends(&command("block", &["localhost"])).settles();
    hears(&mut play, "romeo/orchard", &["unavailable juliet@localhost/balcony"]);
    says(
        &mut play,
        "romeo/orchard",
        "<message to='juliet@localhost'><body>x</body></message>",
        &["message error service-unavailable"],
    );
    play.client("juliet/balcony").sends(&command("unblock", &["localhost"])).settles();
    hears(&mut play, "romeo/orchard", &["available juliet@localhost/balcony"]);
    play.client("romeo/orchard").says("juliet@localhost", "again");
    play.client("juliet/balcony").gets_at_last("<message><body>again</body></message>");
}

#[test]
fn nothing_waits_from_who_is_blocked() {
    let mut play = cast();
    play.client("juliet/balcony").leaves();
    // Before the block: kept, and not given.
    play.client("romeo/orchard").says("juliet@localhost", "before").settles();
    play.enters("nurse/x").says("juliet@localhost", "from the nurse").settles();
    play.client("romeo/orchard").forgets();
    play.returns("juliet/balcony").sends(&command("block", &[ROMEO])).settles();
    says(
        &mut play,
        "romeo/orchard",
        "<message to='juliet@localhost' type='chat'><body>after</body></message>",
        &["message error service-unavailable"],
    );
    let comes = settle(play.client("juliet/balcony").sends("<presence/>"));
    let messages: Vec<_> = comes.iter().filter(|said| said.starts_with("message")).collect();
    assert_eq!(messages, ["message nurse@localhost/x from the nurse"]);
}

#[test]
fn a_request_of_who_is_blocked_does_not_come_until_he_is_unblocked() {
    let mut play = cast();
    attends(&mut play, "paris/x");
    play.client("juliet/balcony").leaves();
    play.client("paris/x").sends(&presence("subscribe", "juliet@localhost")).settles();
    play.returns("juliet/balcony").sends(&command("block", &["paris@localhost"])).settles();
    let asked = "subscribe paris@localhost".to_owned();
    assert!(!settle(play.client("juliet/balcony").sends("<presence/>")).contains(&asked));
    play.client("juliet/balcony").sends(&command("unblock", &["paris@localhost"])).settles();
    play.client("juliet/balcony").sends("<presence type='unavailable'/>").settles();
    assert!(settle(play.client("juliet/balcony").sends("<presence/>")).contains(&asked));
}

#[test]
fn who_comes_is_not_shown_whom_he_blocked_nor_who_blocked_him() {
    let mut play = cast();
    play.client("juliet/balcony").sends(&command("block", &[ROMEO])).settles();
    play.client("romeo/orchard").forgets();
    for name in ["juliet/balcony", "romeo/orchard"] {
        play.client(name).leaves();
        let comes = play.returns(name).sends("<presence/>").settles();
        assert_eq!(comes.len(), 1, "{name}: {:?}", comes.iter().map(said).collect::<Vec<_>>());
    }
    // Nor told that he leaves.
    play.client("romeo/orchard").vanishes();
    play.server.wait_for_stats(|stats| stats["sessions"] == 1);
    assert_eq!(heard(play.client("juliet/balcony")), Vec::<String>::new());
}
