//! What becomes of an account's sessions, contacts and belongings when it is removed, disabled, or gets another password.

use rjabberd_testkit::{Client, Hash, Node, PASSWORD, Play};

use super::said::{attends, befriend, heard, hears, presence, roster, settle, watches};

const ROMEO: &str = "romeo@localhost";
const REMOVE: &str =
    "<iq type='set' id='gone' to='localhost'><query xmlns='jabber:iq:register'><remove/></query></iq>";
const LAST: &str = "<iq type='get' id='last' to='romeo@localhost'><query xmlns='jabber:iq:last'/></iq>";

/// How an account is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    ItsOwner,
    Command,
}

fn play() -> Play {
    Play::without_tls(&["registration.enabled = true"])
}

/// Removes the account of Romeo, whose sessions end.
#[track_caller]
fn remove(play: &mut Play, by: By) {
    match by {
        By::ItsOwner => {
            let romeo = play.client("romeo/orchard").sends(REMOVE);
            romeo.gets_at_last("<iq type='result' id='gone'/>").gets_at_last(
                "<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
            );
        }
        By::Command => {
            play.server.succeeds(&["user", "remove", ROMEO], "");
            play.client("romeo/orchard").gets_at_last(
                "<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
            );
        }
    }
    play.client("romeo/orchard").gets_end();
}

/// The answer to a request.
#[track_caller]
fn asks(client: &mut Client, request: &str) -> Node {
    let parsed = Node::parse(request).expect("a request is XML");
    let id = parsed.attribute("id").expect("a request has an id").to_owned();
    let answers = client.sends(request).settles();
    answers.into_iter().find(|node| node.attribute("id") == Some(&id)).expect("an answer")
}

#[test]
fn contacts_of_a_removed_account_are_unsubscribed_and_see_it_leave_once() {
    for by in [By::ItsOwner, By::Command] {
        let mut play = play();
        for name in ["romeo/orchard", "both/x", "from/x", "to/x", "asking/x", "asked/x"] {
            attends(&mut play, name);
        }
        befriend(&mut play, "romeo/orchard", "both/x");
        watches(&mut play, "from/x", "romeo/orchard");
        watches(&mut play, "romeo/orchard", "to/x");
        play.client("asking/x").sends(&presence("subscribe", ROMEO)).settles();
        play.client("romeo/orchard").sends(&presence("subscribe", "asked@localhost")).settles();
        for name in ["both/x", "from/x", "to/x", "asking/x", "asked/x"] {
            play.client(name).forgets();
        }
        remove(&mut play, by);
        let (gone, denied, left) = (
            "unsubscribe romeo@localhost",
            "unsubscribed romeo@localhost",
            "unavailable romeo@localhost/orchard",
        );
        for (name, wanted) in [
            ("both/x", &[gone, denied, left][..]),
            ("from/x", &[denied, left]),
            ("to/x", &[gone]),
            ("asking/x", &[denied]),
        ] {
            let client = play.client(name);
            // That the server has told everything when the owner has his answer is not promised to others.
            let mut told = heard(client);
            told.retain(|said| !said.starts_with("push"));
            told.sort();
            let mut wanted: Vec<&str> = wanted.to_vec();
            wanted.sort_unstable();
            assert_eq!(told, wanted, "{name}, removed by {by:?}");
            assert_eq!(roster(client), ["romeo@localhost none"], "{name}");
        }
        play.client("asked/x").forgets().sends("<presence type='unavailable'/>").settles();
        assert_eq!(settle(play.client("asked/x").sends("<presence/>")), ["available asked@localhost/x"]);
    }
}

#[test]
fn who_comes_later_finds_a_removed_account_gone_too() {
    let mut play = play();
    attends(&mut play, "romeo/orchard");
    attends(&mut play, "juliet/balcony");
    befriend(&mut play, "romeo/orchard", "juliet/balcony");
    play.client("juliet/balcony").leaves();
    play.client("romeo/orchard").forgets();
    remove(&mut play, By::Command);
    assert_eq!(roster(play.returns("juliet/balcony")), ["romeo@localhost none"]);
    assert_eq!(
        settle(play.client("juliet/balcony").sends("<presence/>")),
        ["available juliet@localhost/balcony"]
    );
}

#[test]
fn who_has_a_name_anew_inherits_nothing() {
    for by in [By::ItsOwner, By::Command] {
        let mut play = play();
        for name in ["romeo/orchard", "juliet/balcony", "paris/x"] {
            attends(&mut play, name);
        }
        befriend(&mut play, "romeo/orchard", "juliet/balcony");
        play.client("juliet/balcony").sends(&presence("unsubscribed", ROMEO)).settles();
        play.client("juliet/balcony").sends(&presence("subscribed", ROMEO)).settles();
        let romeo = play.client("romeo/orchard");
        let version = asks(romeo, "<iq type='get' id='r'><query xmlns='jabber:iq:roster' ver=''/></iq>");
        let version = version.child("query").and_then(|query| query.attribute("ver")).unwrap().to_owned();
        for request in [
            "<iq type='set' id='s'><vCard xmlns='vcard-temp'><FN>Romeo</FN><PHOTO><BINVAL>aGVsbG8=</BINVAL></PHOTO></vCard></iq>",
            "<iq type='set' id='s'><query xmlns='jabber:iq:private'><a xmlns='urn:a'>secret</a></query></iq>",
            "<iq type='set' id='s'><block xmlns='urn:xmpp:blocking'><item jid='paris@localhost'/></block></iq>",
        ] {
            assert_eq!(asks(romeo, request).attribute("type"), Some("result"), "{request}");
        }
        // A message waits for it, and a request, and when it was last there is known.
        romeo.sends("<presence type='unavailable'><status>bye</status></presence>").settles();
        play.client("juliet/balcony").says(ROMEO, "waits").settles();
        attends(&mut play, "late/x");
        play.client("late/x").sends(&presence("subscribe", ROMEO)).settles();
        // Its presence ends with its account, which is a leave, too.
        play.client("romeo/orchard").sends("<presence><priority>-1</priority></presence>").settles();
        remove(&mut play, by);
        play.account("romeo");
        let romeo = play.returns("romeo/new");
        assert_eq!(
            asks(romeo, LAST).find("item-not-found").map(|_| ()),
            Some(()),
            "it was never there: {by:?}"
        );
        assert_eq!(roster(romeo), [""]);
        let get = format!("<iq type='get' id='r'><query xmlns='jabber:iq:roster' ver='{version}'/></iq>");
        assert!(asks(romeo, &get).child("query").is_some(), "the version is another's");
        for request in [
            "<iq type='get' id='g'><vCard xmlns='vcard-temp'/></iq>",
            "<iq type='get' id='g'><query xmlns='jabber:iq:private'><a xmlns='urn:a'/></query></iq>",
            "<iq type='get' id='g'><blocklist xmlns='urn:xmpp:blocking'/></iq>",
        ] {
            let answer = asks(romeo, request);
            let text = answer.to_string();
            assert!(!["Romeo", "secret", "paris"].iter().any(|word| text.contains(word)), "{text}");
        }
        let comes = romeo.sends("<presence/>").settles();
        assert_eq!(comes.len(), 1, "only its own presence: {comes:?}");
        assert!(comes[0].find("photo").is_none(), "{}", comes[0]);
        // Paris is not blocked, and Juliet's approval went with its account.
        play.client("paris/x").says(ROMEO, "hello");
        play.client("romeo/new").hears("hello");
        play.client("juliet/balcony").forgets();
        play.client("romeo/new").sends(&presence("subscribe", "juliet@localhost")).settles();
        let asked = heard(play.client("juliet/balcony"));
        assert_eq!(asked[0], "subscribe romeo@localhost", "{asked:?}");
    }
}

#[test]
fn a_password_that_is_changed_by_command_ends_all_sessions() {
    let mut play = play();
    for name in ["romeo/orchard", "juliet/balcony"] {
        attends(&mut play, name);
    }
    play.returns("romeo/garden");
    befriend(&mut play, "romeo/orchard", "juliet/balcony");
    play.client("juliet/balcony").forgets();
    play.server.succeeds(&["user", "passwd", ROMEO, "--password-stdin"], "another\n");
    for name in ["romeo/orchard", "romeo/garden"] {
        play.client(name).gets_stream_error("not-authorized");
    }
    // Its contacts keep it, and see it leave.
    play.client("juliet/balcony").gets("<presence type='unavailable' from='romeo@localhost/orchard'/>");
    assert_eq!(roster(play.client("juliet/balcony")), ["romeo@localhost both"]);
    let mut romeo = play.connects("romeo");
    romeo.opens_stream().logs_in(Hash::Sha1, "romeo", "another").binds(Some("orchard"));
    assert_eq!(roster(&mut romeo), ["juliet@localhost both"]);
}

#[test]
fn a_disabled_account_keeps_what_it_has_and_gets_it_back() {
    let mut play = play();
    for name in ["romeo/orchard", "juliet/balcony"] {
        attends(&mut play, name);
    }
    befriend(&mut play, "romeo/orchard", "juliet/balcony");
    let vcard = "<iq type='set' id='s'><vCard xmlns='vcard-temp'><FN>Romeo</FN></vCard></iq>";
    assert_eq!(asks(play.client("romeo/orchard"), vcard).attribute("type"), Some("result"));
    play.client("juliet/balcony").forgets();
    play.server.succeeds(&["user", "disable", ROMEO], "");
    play.client("romeo/orchard").gets_at_last("<stream:error><not-authorized/></stream:error>").gets_end();
    play.client("juliet/balcony").gets("<presence type='unavailable' from='romeo@localhost/orchard'/>");
    hears(&mut play, "juliet/balcony", &[]);
    play.client("juliet/balcony").says(ROMEO, "are you there?").settles();
    hears(&mut play, "juliet/balcony", &[]);
    let mut refused = play.connects("romeo");
    refused
        .opens_stream()
        .fails_to_log_in(Hash::Sha1, "romeo", PASSWORD)
        .gets("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    play.server.kill();
    play.server.run();
    play.server.succeeds(&["user", "enable", ROMEO], "");
    let romeo = play.returns("romeo/orchard");
    assert_eq!(roster(romeo), ["juliet@localhost both"]);
    let vcard = asks(romeo, "<iq type='get' id='g'><vCard xmlns='vcard-temp'/></iq>");
    assert_eq!(vcard.find("FN").map(|name| name.text.as_str()), Some("Romeo"));
    romeo.sends("<presence/>").gets_at_last("<message><body>are you there?</body><delay/></message>");
}
