//! What a blocked address stands for, and what becomes of each stanza.

use rjabberd_xmpp::{BareJid, PresenceType, StanzaKind};

use super::*;
use crate::stage::{JULIET, ROMEO, jid};

/// Juliet has blocked these.
fn lists(blocked: &[&str]) -> Blocklists {
    let lists = Blocklists::default();
    lists.set(&juliet(), blocked.iter().map(|text| jid(text)).collect());
    lists
}

fn juliet() -> BareJid {
    BareJid::new("juliet@example.net").unwrap()
}

fn verdict(lists: &Blocklists, kind: StanzaKind, from: &str, to: &str) -> String {
    let mut stanza = Stanza::new(kind, &[]);
    (stanza.from, stanza.to) = (Some(jid(from)), Some(jid(to)));
    match lists.verdict(&stanza) {
        Verdict::Pass => "pass".to_owned(),
        Verdict::Drop => "drop".to_owned(),
        Verdict::Refuse(error) => format!("{} {}", error.error_type.name(), error.condition.name()),
    }
}

const ADDRESSES: [&str; 6] =
    ["a@x.example/1", "a@x.example/2", "a@x.example", "b@x.example", "x.example", "x.example/1"];

#[track_caller]
fn check(blocked: &str, matched: [bool; 6]) {
    let lists = lists(&[blocked]);
    assert_eq!(ADDRESSES.map(|address| lists.blocks(&juliet(), &jid(address))), matched, "{blocked}");
    assert!(!lists.blocks(&juliet(), &jid("a@y.example/1")));
    assert!(!lists.blocks(&juliet(), &jid("sub.x.example")));
}

#[test]
fn an_address_stands_for_what_it_contains() {
    let (yes, no) = (true, false);
    check("a@x.example/1", [yes, no, no, no, no, no]);
    check("a@x.example", [yes, yes, yes, no, no, no]);
    check("x.example/1", [no, no, no, no, no, yes]);
    check("x.example", [yes; 6]);
}

const KINDS: [(StanzaKind, &str, &str); 16] = {
    use IqType::*;
    use PresenceType::*;
    use StanzaKind::*;
    const UNAVAILABLE: &str = "cancel service-unavailable";
    const BLOCKED: &str = "cancel not-acceptable";
    [
        (Message(MessageType::Normal), UNAVAILABLE, BLOCKED),
        (Message(MessageType::Chat), UNAVAILABLE, BLOCKED),
        (Message(MessageType::Groupchat), UNAVAILABLE, BLOCKED),
        (Message(MessageType::Headline), UNAVAILABLE, BLOCKED),
        (Message(MessageType::Error), "drop", "drop"),
        (Presence(Available), "drop", BLOCKED),
        (Presence(Unavailable), "drop", BLOCKED),
        (Presence(Subscribe), "drop", BLOCKED),
        (Presence(Subscribed), "drop", BLOCKED),
        (Presence(Unsubscribe), "drop", BLOCKED),
        (Presence(Probe), "drop", BLOCKED),
        (Presence(PresenceType::Error), "drop", "drop"),
        (Iq(Get), UNAVAILABLE, BLOCKED),
        (Iq(Set), UNAVAILABLE, BLOCKED),
        (Iq(Result), "drop", "drop"),
        (Iq(IqType::Error), "drop", "drop"),
    ]
};

#[test]
fn each_stanza_between_who_blocks_and_who_is_blocked_has_its_end() {
    let lists = lists(&["romeo@example.net"]);
    for (kind, inbound, outbound) in KINDS {
        for account in [JULIET, "juliet@example.net", "juliet@example.net/nowhere"] {
            assert_eq!(verdict(&lists, kind, ROMEO, account), inbound, "{kind:?} to {account}");
        }
        for account in [ROMEO, "romeo@example.net"] {
            assert_eq!(verdict(&lists, kind, JULIET, account), outbound, "{kind:?} to {account}");
        }
        assert_eq!(verdict(&lists, kind, ROMEO, "mercutio@example.net"), "pass", "{kind:?}");
        assert_eq!(verdict(&lists, kind, "mercutio@example.net/x", JULIET), "pass", "{kind:?}");
    }
}

#[test]
fn who_blocks_is_told_why_his_own_stanza_is_not_sent() {
    let mut stanza = Stanza::new(StanzaKind::Message(MessageType::Chat), &[]);
    (stanza.from, stanza.to) = (Some(jid(JULIET)), Some(jid(ROMEO)));
    let Verdict::Refuse(error) = lists(&["romeo@example.net"]).verdict(&stanza) else { panic!("it passes") };
    assert!(error.application.is_some_and(|blocked| blocked.is("blocked", "urn:xmpp:blocking:errors")));
}

#[test]
fn between_two_who_block_each_other_the_sender_is_told_of_his_own_block() {
    let lists = lists(&["romeo@example.net"]);
    lists.set(&BareJid::new("romeo@example.net").unwrap(), vec![jid("juliet@example.net")]);
    let message = StanzaKind::Message(MessageType::Chat);
    assert_eq!(verdict(&lists, message, ROMEO, JULIET), "cancel not-acceptable");
}

#[test]
fn nobody_locks_himself_out_of_his_account_or_his_server() {
    let lists = lists(&["example.net", "juliet@example.net/chamber"]);
    for (kind, ..) in KINDS {
        for to in ["juliet@example.net", "juliet@example.net/chamber", "example.net", "example.net/x"] {
            assert_eq!(verdict(&lists, kind, JULIET, to), "pass", "{kind:?} to {to}");
            assert_eq!(verdict(&lists, kind, to, JULIET), "pass", "{kind:?} from {to}");
        }
        let mut own = Stanza::new(kind, &[]);
        own.from = Some(jid(JULIET));
        assert_eq!(lists.verdict(&own), Verdict::Pass, "{kind:?}");
    }
    assert_eq!(verdict(&lists, KINDS[1].0, ROMEO, JULIET), "cancel service-unavailable");
}

#[test]
fn where_nobody_blocks_everything_passes() {
    for lists in [Blocklists::default(), lists(&[])] {
        assert!(lists.is_empty());
        for (kind, ..) in KINDS {
            assert_eq!(verdict(&lists, kind, ROMEO, JULIET), "pass");
        }
    }
}

#[test]
fn a_list_that_is_set_anew_or_forgotten_leaves_nothing_behind() {
    let lists = lists(&["a@x.example"]);
    let old = lists.set(&juliet(), vec![jid("b@x.example"), jid("c@x.example")]);
    assert_eq!(*old, [jid("a@x.example")]);
    assert_eq!(*lists.of(&juliet()), [jid("b@x.example"), jid("c@x.example")]);
    assert!(!lists.is_empty());
    lists.forget(&juliet());
    lists.forget(&juliet());
    assert!(lists.is_empty() && lists.of(&juliet()).is_empty());
}

#[test]
fn a_block_of_one_lies_between_both() {
    let (lists, romeo) = (lists(&["romeo@example.net"]), BareJid::new("romeo@example.net").unwrap());
    assert!(lists.between(&juliet(), &romeo) && lists.between(&romeo, &juliet()));
    assert!(!lists.between(&romeo, &BareJid::new("mercutio@example.net").unwrap()));
}
