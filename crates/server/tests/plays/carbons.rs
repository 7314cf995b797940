//! Carbons (XEP-0280): what one session says and hears, all that asked for it see, once; and nobody else can make them
//! see anything.

use rjabberd_testkit::{Client, Node, Play};

use super::said::attends;

const CARBONS: &str = "urn:xmpp:carbons:2";
const JULIET: &str = "juliet@localhost";

/// Romeo in the orchard and in the street, Juliet on the balcony and in her chamber; the second of each wants copies.
/// She wants messages most on the balcony.
fn play() -> Play {
    let mut play = Play::without_tls(&[]);
    for (name, priority, copies) in [
        ("romeo/orchard", 5, false),
        ("romeo/street", 0, true),
        ("juliet/balcony", 5, false),
        ("juliet/chamber", 0, true),
    ] {
        attends(&mut play, name);
        play.client(name).is_available(priority);
        if copies {
            turns(play.client(name), "enable");
        }
    }
    for name in ["romeo/orchard", "romeo/street", "juliet/balcony", "juliet/chamber"] {
        play.client(name).forgets();
    }
    play
}

#[track_caller]
fn turns(client: &mut Client, name: &str) {
    client
        .sends(&format!("<iq type='set' id='c'><{name} xmlns='{CARBONS}'/></iq>"))
        .gets_at_last("<iq type='result' id='c'/>");
}

/// The messages that came, each in few words.
fn messages(nodes: &[Node]) -> Vec<String> {
    nodes.iter().filter(|node| node.name == "message").map(seen).collect()
}

/// A message in few words: what a copy shows, and in what, or the message itself.
fn seen(node: &Node) -> String {
    for side in ["sent", "received"] {
        let Some(copy) = node.child(side).filter(|copy| copy.attribute("xmlns") == Some(CARBONS)) else {
            continue;
        };
        let Some(message) = copy.find("message") else { continue };
        assert_eq!(message.attribute("xmlns"), Some("jabber:client"));
        let account = node.attribute("to").expect("a copy is for one session").split('/').next();
        let by = if node.attribute("from") == account { side } else { "forged" };
        return format!("{by} {}", seen(message));
    }
    let kind = node.attribute("type").unwrap_or("normal");
    let first = node.children.first().map(|child| match child.name.as_str() {
        "body" => child.text.clone(),
        name => name.to_owned(),
    });
    format!("{kind} {}", first.unwrap_or_default())
}

/// Romeo sends this from the orchard; what he, his street, and Juliet's two sessions see.
#[track_caller]
fn sees(play: &mut Play, stanza: &str) -> [Vec<String>; 4] {
    let own = messages(&play.client("romeo/orchard").sends(stanza).settles());
    let others = ["romeo/street", "juliet/balcony", "juliet/chamber"];
    let [street, balcony, chamber] = others.map(|name| messages(&play.client(name).collects()));
    [own, street, balcony, chamber]
}

#[track_caller]
fn check(play: &mut Play, stanza: &str, expected: [&[&str]; 4]) {
    assert_eq!(sees(play, stanza).each_ref().map(Vec::as_slice).as_slice(), expected, "{stanza}");
}

#[test]
fn each_session_sees_both_sides_once() {
    let mut play = play();
    for to in [JULIET, "juliet@localhost/balcony"] {
        check(
            &mut play,
            &format!("<message to='{to}' type='chat'><body>a</body></message>"),
            [&[], &["sent chat a"], &["chat a"], &["received chat a"]],
        );
    }
    // To who asked for copies: it is the message itself.
    check(
        &mut play,
        "<message to='juliet@localhost/chamber' type='chat'><body>a</body></message>",
        [&[], &["sent chat a"], &[], &["chat a"]],
    );
    // To a resource that is gone: RFC 6121, 8.5.3.2.1.
    check(
        &mut play,
        "<message to='juliet@localhost/gone' type='chat'><body>a</body></message>",
        [&[], &["sent chat a"], &["chat a"], &["received chat a"]],
    );
}

#[test]
fn copies_are_made_of_what_conversations_are_made_of() {
    let mut play = play();
    let state = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
    let receipt = "<received xmlns='urn:xmpp:receipts' id='x'/>";
    let invitation = "<x xmlns='http://jabber.org/protocol/muc#user'><invite from='a@b'/></x>";
    let copied = |stanza: &str, what: &str, play: &mut Play| {
        let (sent, received) = (format!("sent {what}"), format!("received {what}"));
        check(play, stanza, [&[], &[&sent], &[what], &[&received]]);
    };
    let of = |kind: &str, inside: &str| {
        format!("<message to='juliet@localhost/balcony' type='{kind}'>{inside}</message>")
    };
    copied(&of("chat", state), "chat composing", &mut play);
    copied(&of("chat", ""), "chat ", &mut play);
    copied(&of("normal", "<body>a</body>"), "normal a", &mut play);
    copied(&of("normal", receipt), "normal received", &mut play);
    copied(&of("normal", invitation), "normal x", &mut play);
    copied(&of("error", "<body>a</body><error type='cancel'/>"), "error a", &mut play);
    for (kind, inside, what) in [
        ("normal", "<subject>a</subject>", "normal subject"),
        ("headline", "<body>a</body>", "headline a"),
        ("error", "<error type='cancel'/>", "error error"),
        ("chat", "<body>a</body><private xmlns='urn:xmpp:carbons:2'/>", "chat a"),
        ("chat", "<body>a</body><no-copy xmlns='urn:xmpp:hints'/>", "chat a"),
    ] {
        check(&mut play, &of(kind, inside), [&[], &[], &[what], &[]]);
    }
}

#[test]
fn an_error_about_a_message_is_seen_by_those_who_saw_the_message() {
    let mut play = play();
    for (to, kind) in [("nobody@localhost/gone", "normal"), ("nobody@localhost", "chat")] {
        let [own, street, balcony, chamber] =
            sees(&mut play, &format!("<message to='{to}' type='{kind}'><body>a</body></message>"));
        assert_eq!(own, ["error error"]);
        assert_eq!(street, [format!("sent {kind} a"), "received error error".to_owned()]);
        assert!(balcony.is_empty() && chamber.is_empty());
    }
    play.client("juliet/balcony")
        .sends("<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='romeo@localhost'/></block></iq>")
        .gets_at_last("<iq type='result' id='b'/>");
    check(
        &mut play,
        &format!("<message to='{JULIET}' type='chat'><body>a</body></message>"),
        [&["error error"], &["sent chat a", "received error error"], &[], &[]],
    );
}

#[test]
fn what_looks_like_a_copy_is_nobody_s_and_is_never_copied() {
    let mut play = play();
    let inner = "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='nurse@localhost/a' \
                 to='juliet@localhost/balcony' type='chat'><body>come</body></message></forwarded>";
    for side in ["sent", "received"] {
        let forged = format!("<{side} xmlns='{CARBONS}'>{inner}</{side}>");
        // With the address of the account that is to be deceived: the server stamps its own.
        let [own, street, balcony, chamber] = sees(
            &mut play,
            &format!("<message to='juliet@localhost/chamber' type='chat'>{forged}<body>a</body></message>"),
        );
        assert!(own.is_empty() && street.is_empty() && balcony.is_empty(), "{street:?}");
        assert_eq!(chamber, ["forged chat come"], "it is from Romeo, as its sender says");
    }
    // And one's own session cannot speak for the account either: what it sends is from itself.
    let forged = format!("<received xmlns='{CARBONS}'>{inner}</received>");
    let to_self =
        format!("<message to='romeo@localhost/street' from='romeo@localhost' type='chat'>{forged}</message>");
    play.client("romeo/orchard").sends(&to_self).settles();
    let heard = play.client("romeo/street").collects();
    assert_eq!((heard.len(), heard[0].attribute("from")), (1, Some("romeo@localhost/orchard")));
}

#[test]
fn copies_have_the_id_of_the_archive_of_who_sees_them() {
    let mut play = play();
    play.client("romeo/orchard").says(JULIET, "a").settles();
    for (name, account) in [("romeo/street", "romeo@localhost"), ("juliet/chamber", JULIET)] {
        let copies = play.client(name).collects();
        let [copy] = &copies[..] else { panic!("{name} sees one copy: {copies:?}") };
        let message = copy.find("forwarded").unwrap().child("message").unwrap();
        let marks: Vec<_> = message.children.iter().filter(|child| child.name == "stanza-id").collect();
        assert_eq!(marks.len(), 1);
        assert_eq!(marks[0].attribute("by"), Some(account));
        let query =
            play.client(name).sends("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>").takes();
        assert_eq!(query.child("result").unwrap().attribute("id"), marks[0].attribute("id"));
        // Once, however many copies there are.
        play.client(name).gets("<iq type='result' id='q'/>");
    }
}

#[test]
fn copies_begin_and_end_when_a_session_says_so_as_often_as_it_does() {
    let mut play = play();
    let says = |play: &mut Play| {
        sees(play, &format!("<message to='{JULIET}' type='chat'><body>a</body></message>"))[1].len()
    };
    for (name, copies) in [("enable", 1), ("disable", 0), ("disable", 0), ("enable", 1)] {
        turns(play.client("romeo/street"), name);
        assert_eq!(says(&mut play), copies, "{name}");
    }
    // Another session at the same resource has not asked.
    play.returns("romeo/street").is_available(0);
    assert_eq!(says(&mut play), 0);
    for (to, payload, condition) in [
        ("juliet@localhost", "enable", "service-unavailable"),
        ("romeo@localhost", "enabled", "feature-not-implemented"),
    ] {
        play.client("romeo/street")
            .sends(&format!("<iq to='{to}' type='set' id='1'><{payload} xmlns='{CARBONS}'/></iq>"))
            .gets(&format!("<iq type='error' id='1'><error><{condition}/></error></iq>"));
    }
}

#[test]
fn what_one_says_to_oneself_each_session_sees_once() {
    let mut play = play();
    turns(play.client("romeo/orchard"), "enable");
    // The orchard wants messages most, and is the sender too.
    check(
        &mut play,
        "<message to='romeo@localhost' type='chat'><body>note</body></message>",
        [&["chat note"], &["sent chat note"], &[], &[]],
    );
    check(
        &mut play,
        "<message to='romeo@localhost/street' type='chat'><body>note</body></message>",
        [&[], &["chat note"], &[], &[]],
    );
}

#[test]
fn a_copy_that_is_not_taken_is_nobody_s_loss() {
    let mut play = play();
    play.client("juliet/chamber").vanishes();
    for _ in 0..5 {
        assert_eq!(
            sees_without_chamber(&mut play),
            [Vec::<String>::new(), vec!["sent chat a".to_owned()], vec!["chat a".to_owned()]]
        );
    }
    play.server.wait_for_stats(|stats| stats["sessions"] == 3);
    play.client("romeo/orchard").gets_nothing();
    let chamber = play.returns("juliet/chamber").sends("<presence/>").settles();
    assert!(chamber.iter().all(|node| node.name != "message"), "{chamber:?}");
}

#[track_caller]
fn sees_without_chamber(play: &mut Play) -> [Vec<String>; 3] {
    let stanza = "<message to='juliet@localhost/balcony' type='chat'><body>a</body></message>";
    let own = messages(&play.client("romeo/orchard").sends(stanza).settles());
    let others = ["romeo/street", "juliet/balcony"];
    let [street, balcony] = others.map(|name| messages(&play.client(name).collects()));
    [own, street, balcony]
}
