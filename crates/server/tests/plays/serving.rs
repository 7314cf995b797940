//! What the server answers itself: ping, disco, version, time, capabilities.

use rjabberd_testkit::{Node, Play, caps_version};

fn ask(play: &mut Play, to: &str, payload: &str) -> Node {
    let to = if to.is_empty() { String::new() } else { format!(" to='{to}'") };
    play.client("romeo/orchard").sends(&format!("<iq type='get' id='q'{to}>{payload}</iq>")).takes()
}

fn romeo() -> Play {
    let mut play = Play::without_tls(&[]);
    play.enters("romeo/orchard");
    play
}

#[test]
fn a_ping_is_answered() {
    let mut play = romeo();
    let answer = ask(&mut play, "localhost", "<ping xmlns='urn:xmpp:ping'/>");
    assert_eq!(
        answer,
        Node::parse(&format!(
            "<iq {}/>",
            answer.attributes.iter().map(|(name, value)| format!("{name}='{value}' ")).collect::<String>()
        ))
        .unwrap(),
        "an empty result"
    );
    assert_eq!(answer.attribute("from"), Some("localhost"));
    assert_eq!(answer.attribute("type"), Some("result"));
}

#[test]
fn the_capabilities_in_the_stream_features_are_those_of_disco() {
    let mut play = romeo();
    let caps = play.client("romeo/orchard").features().child("c").expect("caps are announced").clone();
    let (node, version) = (caps.attribute("node").unwrap(), caps.attribute("ver").unwrap());
    let disco = "http://jabber.org/protocol/disco#info";
    let plain = ask(&mut play, "localhost", &format!("<query xmlns='{disco}'/>"));
    let query = plain.child("query").unwrap();
    assert_eq!(caps_version(query), version);
    let with_node = ask(&mut play, "localhost", &format!("<query xmlns='{disco}' node='{node}#{version}'/>"));
    assert_eq!(caps_version(with_node.child("query").unwrap()), version);
    let features: Vec<_> = query.children.iter().filter_map(|child| child.attribute("var")).collect();
    for feature in [
        disco,
        "http://jabber.org/protocol/disco#items",
        "urn:xmpp:ping",
        "urn:xmpp:time",
        "jabber:iq:version",
    ] {
        assert!(features.contains(&feature), "{feature} is not in {features:?}");
    }
    assert!(query.child("identity").is_some_and(|one| one.attribute("category") == Some("server")));
}

#[test]
fn an_unknown_node_is_not_found() {
    let mut play = romeo();
    let answer =
        ask(&mut play, "localhost", "<query xmlns='http://jabber.org/protocol/disco#info' node='nonsense'/>");
    assert!(answer.find("item-not-found").is_some(), "{answer:?}");
}

#[test]
fn version_items_and_time_are_answered() {
    let mut play = romeo();
    let version = ask(&mut play, "localhost", "<query xmlns='jabber:iq:version'/>");
    assert_eq!(version.find("name").map(|name| name.text.as_str()), Some("rjabberd"));
    assert!(version.find("version").is_some_and(|version| !version.text.is_empty()));
    let items = ask(&mut play, "localhost", "<query xmlns='http://jabber.org/protocol/disco#items'/>");
    assert_eq!(items.attribute("type"), Some("result"));
    let time = ask(&mut play, "localhost", "<time xmlns='urn:xmpp:time'/>");
    let utc = &time.find("utc").expect("utc").text;
    assert!(utc.len() >= 20 && utc.ends_with('Z') && utc.as_bytes()[10] == b'T', "XEP-0082: {utc}");
    assert!(time.find("tzo").is_some());
}

#[test]
fn what_the_server_does_not_know_is_unavailable() {
    let mut play = romeo();
    for to in ["localhost", ""] {
        let answer = ask(&mut play, to, "<query xmlns='urn:nonsense'/>");
        assert!(answer.find("service-unavailable").is_some(), "{answer:?}");
    }
}

#[test]
fn a_ping_to_oneself_is_answered_by_the_server() {
    let mut play = romeo();
    for to in ["", "romeo@localhost"] {
        let answer = ask(&mut play, to, "<ping xmlns='urn:xmpp:ping'/>");
        assert_eq!(answer.attribute("type"), Some("result"), "{answer:?}");
    }
}
