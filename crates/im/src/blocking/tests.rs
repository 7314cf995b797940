//! The commands, their pushes, and what comes to be in force.

use futures_util::FutureExt;
use rjabberd_xmpp::BareJid;

use crate::Limits;
use crate::stage::{JULIET, ROMEO, Stage, jid, settle, told};

const LIST: &str = "<blocklist xmlns='urn:xmpp:blocking'/>";

fn command(name: &str, jids: &[&str]) -> String {
    let items: String = jids.iter().map(|jid| format!("<item jid='{jid}'/>")).collect();
    format!("<{name} xmlns='urn:xmpp:blocking'>{items}</{name}>")
}

/// As it is written.
fn sent(name: &str, jids: &[&str]) -> String {
    let items: String = jids.iter().map(|jid| format!("<item jid=\"{jid}\"/>")).collect();
    match items.as_str() {
        "" => format!("<{name} xmlns=\"urn:xmpp:blocking\"/>"),
        items => format!("<{name} xmlns=\"urn:xmpp:blocking\">{items}</{name}>"),
    }
}

#[test]
fn who_is_blocked_stands_in_the_list() {
    let stage = Stage::new();
    assert_eq!(stage.asks("get", None, LIST), sent("blocklist", &[]));
    for to in [None, Some("romeo@example.net")] {
        let block = command("block", &["Tybalt@Example.NET", "paris@example.net/x", "tybalt@example.net"]);
        assert_eq!(stage.asks("set", to, &block), "");
        assert_eq!(
            stage.asks("get", to, LIST),
            sent("blocklist", &["paris@example.net/x", "tybalt@example.net"])
        );
    }
    assert_eq!(told(&stage.answer(JULIET, "get", None, LIST)), sent("blocklist", &[]));
    assert_eq!(stage.asks("set", None, &command("unblock", &["tybalt@example.net", "x.example"])), "");
    assert_eq!(stage.asks("get", None, LIST), sent("blocklist", &["paris@example.net/x"]));
    assert_eq!(stage.asks("set", None, &command("unblock", &[])), "");
    assert_eq!(stage.asks("get", None, LIST), sent("blocklist", &[]));
}

#[actix_rt::test]
async fn each_session_that_asked_for_the_list_is_told_of_changes() {
    let stage = Stage::new();
    let [orchard, street, juliet] = stage.sit([ROMEO, "romeo@example.net/street", JULIET]).await;
    let _ = stage.asks("get", None, LIST);
    let _ = stage.answer(JULIET, "get", None, LIST);
    for (name, jids) in
        [("block", &["tybalt@example.net", "x.example"][..]), ("unblock", &["x.example"]), ("unblock", &[])]
    {
        assert_eq!(told(&stage.answer("romeo@example.net/street", "set", None, &command(name, jids))), "");
        settle().await;
        assert_eq!(orchard.got(), [sent(name, jids)]);
        assert_eq!((street.got().len(), juliet.got().len()), (0, 0));
    }
}

#[actix_rt::test]
async fn what_was_not_committed_is_neither_in_force_nor_told() {
    let stage = Stage::new();
    let [orchard] = stage.sit([ROMEO]).await;
    let _ = stage.asks("get", None, LIST);
    stage.breaks(true);
    assert_eq!(stage.asks("set", None, &command("block", &["x.example"])), "wait resource-constraint");
    settle().await;
    assert_eq!(orchard.got().len(), 0);
    assert!(!stage.im.blocklists.blocks(&BareJid::new("romeo@example.net").unwrap(), &jid("x.example")));
}

#[test]
fn a_command_that_names_nobody_is_bad() {
    let stage = Stage::new();
    assert_eq!(stage.asks("set", None, &command("block", &["x.example"])), "");
    for content in ["<other/>", "<item xmlns='urn:x' jid='a@b.example'/>", "<item/>"] {
        for name in ["block", "unblock"] {
            let command = format!("<{name} xmlns='urn:xmpp:blocking'>{content}</{name}>");
            assert_eq!(stage.asks("set", None, &command), "modify bad-request", "{command}");
        }
    }
    assert_eq!(stage.asks("set", None, &command("block", &[])), "modify bad-request");
    // Not everybody was unblocked by mistake.
    assert_eq!(stage.asks("get", None, LIST), sent("blocklist", &["x.example"]));
}

#[test]
fn a_command_with_an_address_that_is_none_does_nothing() {
    let stage = Stage::new();
    for name in ["block", "unblock"] {
        for address in ["", "@", "a b@x.example"] {
            let command = command(name, &["x.example", address]);
            assert_eq!(stage.asks("set", None, &command), "modify jid-malformed", "{command}");
        }
    }
    assert_eq!(stage.asks("get", None, LIST), sent("blocklist", &[]));
}

#[test]
fn nobody_blocks_himself() {
    let stage = Stage::new();
    for own in ["romeo@example.net", ROMEO, "Romeo@example.net/x"] {
        assert_eq!(stage.asks("set", None, &command("block", &["x.example", own])), "cancel not-allowed");
    }
    assert_eq!(stage.asks("set", None, &command("block", &["example.net"])), "");
}

#[test]
fn a_list_has_an_end() {
    let stage = Stage::with(Limits { blocks_max: 2, ..Limits::default() }, &Default::default());
    let all = command("block", &["a.example", "b.example", "c.example"]);
    assert_eq!(stage.asks("set", None, &all), "modify policy-violation");
    assert_eq!(stage.asks("set", None, &command("block", &["a.example", "b.example"])), "");
    assert_eq!(stage.asks("set", None, &command("block", &["c.example"])), "modify policy-violation");
    assert_eq!(stage.asks("get", None, LIST), sent("blocklist", &["a.example", "b.example"]));
}

#[test]
fn a_list_is_its_owner_s_alone() {
    let stage = Stage::new();
    for to in ["juliet@example.net", "example.net"] {
        for (kind, payload) in [("get", LIST.to_owned()), ("set", command("block", &["x.example"]))] {
            assert_eq!(stage.asks(kind, Some(to), &payload), "cancel service-unavailable");
        }
    }
}

#[test]
fn what_is_no_command_is_not_known() {
    let stage = Stage::new();
    for (kind, payload) in [
        ("set", LIST.to_owned()),
        ("get", command("block", &["x.example"])),
        ("get", command("unblock", &[])),
        ("set", command("item", &[])),
    ] {
        assert_eq!(stage.asks(kind, None, &payload), "cancel feature-not-implemented", "{payload}");
    }
}

#[test]
fn lists_are_there_again_after_a_start() {
    let stage = Stage::new();
    let blocks = vec![jid("juliet@example.net")];
    stage.store.kept.lock().blocks.insert("romeo@example.net".to_owned(), blocks);
    stage.im.load_blocks().now_or_never().unwrap().unwrap();
    assert_eq!(stage.asks("get", None, LIST), sent("blocklist", &["juliet@example.net"]));
    stage.breaks(true);
    assert!(stage.im.load_blocks().now_or_never().unwrap().is_err());
}
