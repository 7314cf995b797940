//! Where a stanza goes: each row of RFC 6121, 8.5.4, and what RFC 6120 says about iq and addresses.

use rjabberd_testkit::{Node, Play};

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It comes back with `service-unavailable`.
    Bounced,
    /// Nothing is heard of it.
    Silent,
    /// These clients get it, and nobody else.
    To(&'static [&'static str]),
}
use Fate::{Bounced, Silent, To};

const EVERYBODY: [&str; 5] = ["romeo/orchard", "away/room", "juliet/balcony", "nurse/hall", "nurse/kitchen"];
const TYPES: [&str; 4] = ["normal", "chat", "groupchat", "headline"];

/// Romeo writes; `nobody` has no account, `offline` no session, `away` a negative priority, `nurse` two resources.
fn cast() -> Play {
    let mut play = Play::without_tls(&[]);
    play.account("offline");
    play.enters("romeo/orchard").is_available(0);
    play.enters("away/room").is_available(-1);
    play.enters("juliet/balcony").is_available(0);
    play.enters("nurse/hall").is_available(5);
    play.returns("nurse/kitchen").is_available(1);
    play.client("nurse/hall").forgets();
    play
}

#[track_caller]
fn check(play: &mut Play, to: &str, kind: &str, wanted: Fate) {
    let to = format!("{to}{}", if to.contains('@') { "" } else { "@localhost" });
    play.client("romeo/orchard")
        .sends(&format!("<message to='{to}' type='{kind}' id='m'><body>to {to}</body></message>"));
    let mut fate = Silent;
    let mut heard = Vec::new();
    for name in EVERYBODY {
        for element in play.client(name).collects() {
            assert_eq!(element.attribute("id"), Some("m"), "{element:?}");
            if element.attribute("type") == Some("error") {
                assert!(element.find("service-unavailable").is_some(), "{element:?}");
                assert_eq!((name, fate), ("romeo/orchard", Silent), "one error, to the sender: {element:?}");
                fate = Bounced;
            } else {
                assert_eq!(element.attribute("to"), Some(to.as_str()), "the address is not rewritten");
                heard.push(name);
            }
        }
    }
    match wanted {
        To(names) => assert_eq!((fate, heard.as_slice()), (Silent, names), "{kind} to {to}"),
        wanted => assert_eq!((fate, heard.as_slice()), (wanted, &[][..]), "{kind} to {to}"),
    }
}

#[test]
fn messages_go_where_the_table_of_rfc_6121_says() {
    const JULIET: Fate = To(&["juliet/balcony"]);
    const AWAY: Fate = To(&["away/room"]);
    const HALL: Fate = To(&["nurse/hall"]);
    const KITCHEN: Fate = To(&["nurse/kitchen"]);
    const BOTH: Fate = To(&["nurse/hall", "nurse/kitchen"]);
    let rows: [(&str, [Fate; 4]); 13] = [
        ("nobody@localhost", [Bounced, Bounced, Bounced, Silent]),
        ("nobody@localhost/x", [Bounced, Bounced, Bounced, Silent]),
        // Kept, where it is silent.
        ("offline@localhost", [Silent, Silent, Bounced, Silent]),
        ("offline@localhost/x", [Bounced, Silent, Bounced, Silent]),
        ("away@localhost", [Silent, Silent, Bounced, Silent]),
        ("away@localhost/room", [AWAY; 4]),
        ("away@localhost/x", [Bounced, Silent, Bounced, Silent]),
        ("juliet@localhost", [JULIET, JULIET, Bounced, JULIET]),
        ("juliet@localhost/balcony", [JULIET; 4]),
        ("juliet@localhost/x", [Bounced, JULIET, Bounced, Silent]),
        ("nurse@localhost", [HALL, HALL, Bounced, BOTH]),
        ("nurse@localhost/kitchen", [KITCHEN; 4]),
        ("nurse@localhost/x", [Bounced, HALL, Bounced, Silent]),
    ];
    let mut play = cast();
    for (to, fates) in rows {
        for (kind, wanted) in TYPES.into_iter().zip(fates) {
            check(&mut play, to, kind, wanted);
        }
    }
}

#[test]
fn attack_29_an_error_is_never_answered() {
    let mut play = cast();
    for to in
        ["nobody@localhost", "offline@localhost/x", "juliet@localhost", "elsewhere.example", "localhost"]
    {
        check(&mut play, to, "error", Silent);
        play.client("romeo/orchard")
            .sends(&format!("<iq to='{to}' type='error' id='m'><error type='cancel'/></iq>"))
            .sends(&format!("<iq to='{to}' type='result' id='m'/>"))
            .gets_nothing();
    }
}

#[test]
fn another_domain_cannot_be_found() {
    let mut play = cast();
    let romeo = play.client("romeo/orchard");
    for stanza in [
        "<message to='a@elsewhere.example' id='m'><body>x</body></message>",
        "<iq to='elsewhere.example' type='get' id='m'><ping xmlns='urn:xmpp:ping'/></iq>",
        "<presence to='a@elsewhere.example' type='subscribe' id='m'/>",
    ] {
        let name = Node::parse(stanza).unwrap().name;
        romeo
            .sends(stanza)
            .gets(&format!("<{name} type='error' id='m'><error><remote-server-not-found/></error></{name}>"));
    }
    romeo.sends("<presence to='a@elsewhere.example' id='m'/>").gets_nothing();
}

#[test]
fn virtual_hosts_reach_each_other() {
    let mut play = Play::without_tls(&["hosts = ['localhost', 'verona.example']"]);
    play.enters("romeo/orchard");
    play.server.add_account("juliet@verona.example", rjabberd_testkit::PASSWORD);
    let mut juliet =
        rjabberd_testkit::Client::connect("juliet", play.server.address("c2s"), "verona.example");
    juliet
        .opens_stream()
        .logs_in(rjabberd_testkit::Hash::Sha1, "juliet", rjabberd_testkit::PASSWORD)
        .binds(Some("balcony"));
    juliet.says("romeo@localhost/orchard", "hello");
    play.client("romeo/orchard")
        .gets("<message from='juliet@verona.example/balcony'><body>hello</body></message>")
        .says("juliet@verona.example/balcony", "good evening");
    juliet.hears("good evening");
}

#[test]
fn messages_arrive_in_the_order_they_were_sent() {
    let mut play = cast();
    for number in 0..500 {
        play.client("romeo/orchard").says("juliet@localhost", &format!("number {number}"));
    }
    for number in 0..500 {
        play.client("juliet/balcony").hears(&format!("number {number}"));
    }
}

#[test]
fn what_is_inside_a_message_arrives_as_it_was_written() {
    let mut play = cast();
    let inside = "<body>a &lt; b &amp; c \u{1f98a} ]]&gt;</body><x xmlns='urn:x' a='1&quot;'><y:z xmlns:y='urn:y'/></x>";
    play.client("romeo/orchard").sends(&format!("<message to='juliet@localhost'>{inside}</message>"));
    let mut got = play.client("juliet/balcony").takes();
    assert_eq!(got.children.pop().map(|mark| mark.name).as_deref(), Some("stanza-id"));
    let sent = Node::parse(&format!("<message>{inside}</message>")).unwrap();
    assert_eq!(got.children, sent.children);
}

#[test]
fn attack_10_a_stanza_from_somebody_else_ends_the_stream() {
    let mut play = cast();
    play.client("romeo/orchard")
        .sends("<message from='juliet@localhost' to='juliet@localhost'><body>x</body></message>")
        .gets_stream_error("invalid-from");
    play.client("juliet/balcony").gets_nothing();
}

#[test]
fn an_iq_to_an_account_is_answered_for_it_or_refused() {
    let mut play = cast();
    let romeo = play.client("romeo/orchard");
    for to in [
        "nobody@localhost",
        "offline@localhost",
        "juliet@localhost",
        "juliet@localhost/x",
        "nobody@localhost/x",
    ] {
        romeo
            .sends(&format!("<iq to='{to}' type='get' id='q'><query xmlns='urn:nonsense'/></iq>"))
            .gets("<iq type='error' id='q'><error type='cancel'><service-unavailable/></error></iq>");
    }
    play.client("juliet/balcony").gets_nothing();
}

#[test]
fn an_iq_reaches_a_client_that_showed_itself_and_its_result_comes_back() {
    let mut play = cast();
    play.client("juliet/balcony").sends("<presence to='romeo@localhost/orchard'/>").forgets();
    play.client("romeo/orchard")
        .gets("<presence from='juliet@localhost/balcony'/>")
        .sends("<iq to='juliet@localhost/balcony' type='get' id='v'><query xmlns='jabber:iq:version'/></iq>");
    play.client("juliet/balcony")
        .gets("<iq from='romeo@localhost/orchard' type='get' id='v'><query xmlns='jabber:iq:version'/></iq>")
        .sends(
            "<iq to='romeo@localhost/orchard' type='result' id='v'><query xmlns='jabber:iq:version'/></iq>",
        );
    play.client("romeo/orchard").gets("<iq from='juliet@localhost/balcony' type='result' id='v'/>");
}

#[test]
fn an_iq_that_is_none_is_a_bad_request() {
    let mut play = cast();
    let romeo = play.client("romeo/orchard");
    for inner in ["type='get' id='b'", "type='strange' id='b'"] {
        romeo
            .sends(&format!("<iq to='localhost' {inner}/>"))
            .gets("<iq type='error'><error><bad-request/></error></iq>");
    }
    romeo
        .sends("<iq type='get' id='b'><a xmlns='urn:a'/><b xmlns='urn:b'/></iq>")
        .gets("<iq type='error'><error><bad-request/></error></iq>")
        .sends("<iq type='get'><ping xmlns='urn:xmpp:ping'/></iq>")
        .gets("<iq type='error'><error><bad-request/></error></iq>");
}

#[test]
fn an_address_that_is_none_is_malformed() {
    let mut play = cast();
    play.client("romeo/orchard")
        .sends("<message to='@@'><body>x</body></message>")
        .gets("<message type='error'><error><jid-malformed/></error></message>");
}

#[test]
fn directed_presence_arrives_and_is_taken_back_when_its_sender_leaves() {
    let mut play = cast();
    play.client("romeo/orchard")
        .sends("<presence to='juliet@localhost/balcony'><show>chat</show></presence>")
        .forgets();
    play.client("juliet/balcony")
        .gets("<presence from='romeo@localhost/orchard'><show>chat</show></presence>");
    play.client("romeo/orchard").leaves();
    play.client("juliet/balcony").gets("<presence from='romeo@localhost/orchard' type='unavailable'/>");
}

#[test]
fn directed_presence_to_a_bare_address_reaches_all_its_available_resources() {
    let mut play = cast();
    play.client("romeo/orchard").sends("<presence to='nurse@localhost'/>").forgets();
    for name in ["nurse/hall", "nurse/kitchen"] {
        play.client(name)
            .gets("<presence from='romeo@localhost/orchard' to='nurse@localhost'/>")
            .gets_nothing();
    }
}

#[test]
fn a_connected_resource_that_is_not_available_gets_only_what_is_sent_to_its_full_address() {
    let mut play = cast();
    play.enters("friar/cell");
    play.client("romeo/orchard")
        .says("friar@localhost", "to the bare address")
        .gets_nothing()
        .says("friar@localhost/cell", "to the full address");
    play.client("friar/cell").hears("to the full address").gets_nothing();
}
