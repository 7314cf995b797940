//! Messages: the table of RFC 6121, 8.5.4.

use std::collections::VecDeque;

use futures_util::FutureExt;
use rjabberd_router::Routed;
use rjabberd_xml::Element;
use rjabberd_xmpp::{MessageType, StanzaKind};

use crate::stage::{Resource, Stage, stanza};

/// E, S, K (kept for later) and who gets it, in the columns of the RFC's table; errors have one column more.
const TYPES: [MessageType; 5] = [
    MessageType::Normal,
    MessageType::Chat,
    MessageType::Groupchat,
    MessageType::Headline,
    MessageType::Error,
];

const BARE: &str = "juliet@example.net";
const MATCH: &str = "juliet@example.net/balcony";
const NO_MATCH: &str = "juliet@example.net/nowhere";

async fn check(resources: &[Resource], to: &str, expected: [&str; 5]) {
    let stage = Stage::new(resources).await;
    for (kind, expected) in TYPES.into_iter().zip(expected) {
        let expected = match expected {
            "E" => "error service-unavailable",
            "K" => "kept",
            "S" => "",
            delivered => delivered,
        };
        let got = stage.sends(stanza(StanzaKind::Message(kind), Some(to))).await;
        assert_eq!(got, expected, "{kind:?} to {to} with {resources:?}");
    }
}

#[actix_rt::test]
async fn where_nobody_is() {
    check(&[], BARE, ["K", "K", "E", "S", "S"]).await;
    check(&[], NO_MATCH, ["E", "K", "E", "S", "S"]).await;
}

#[actix_rt::test]
async fn where_there_is_no_such_account() {
    check(&[], "nobody@example.net", ["E", "E", "E", "S", "S"]).await;
    check(&[], "nobody@example.net/nowhere", ["E", "E", "E", "S", "S"]).await;
}

#[actix_rt::test]
async fn where_somebody_is_connected_but_not_available() {
    let resources = [("balcony", None)];
    check(&resources, BARE, ["K", "K", "E", "S", "S"]).await;
    check(&resources, MATCH, ["balcony"; 5]).await;
    check(&resources, NO_MATCH, ["E", "K", "E", "S", "S"]).await;
}

#[actix_rt::test]
async fn where_all_priorities_are_negative() {
    let resources = [("balcony", Some(-1)), ("chamber", Some(-128))];
    check(&resources, BARE, ["K", "K", "E", "S", "S"]).await;
    check(&resources, MATCH, ["balcony"; 5]).await;
    check(&resources, NO_MATCH, ["E", "K", "E", "S", "S"]).await;
}

#[actix_rt::test]
async fn where_one_resource_is_there() {
    let resources = [("balcony", Some(0))];
    check(&resources, BARE, ["balcony", "balcony", "E", "balcony", "S"]).await;
    check(&resources, MATCH, ["balcony"; 5]).await;
    check(&resources, NO_MATCH, ["E", "balcony", "E", "S", "S"]).await;
}

#[actix_rt::test]
async fn where_several_resources_are_there() {
    let resources = [
        ("balcony", Some(5)),
        ("chamber", Some(1)),
        ("street", Some(5)),
        ("cellar", Some(-1)),
        ("tomb", None),
    ];
    let all = "balcony chamber street";
    check(&resources, BARE, ["balcony street", "balcony street", "E", all, "S"]).await;
    check(&resources, "juliet@example.net/cellar", ["cellar"; 5]).await;
    check(&resources, MATCH, ["balcony"; 5]).await;
    check(&resources, NO_MATCH, ["E", "balcony street", "E", "S", "S"]).await;
}

#[actix_rt::test]
async fn a_message_without_addressee_goes_to_the_sender_s_own_account() {
    let stage = Stage::new(&[("balcony", Some(0))]).await;
    let mut message = stanza(StanzaKind::Message(MessageType::Chat), None);
    message.from = Some(rjabberd_xmpp::Jid::new("juliet@example.net/tomb").unwrap());
    assert_eq!(stage.sends(message).await, "balcony");
}

#[actix_rt::test]
async fn behind_a_message_on_its_way_into_the_store_others_go_there_too_but_for_those_that_are_never_kept() {
    let mut stage = Stage::new(&[]).await;
    stage.keeper.slows_down();
    let chat = || stanza(StanzaKind::Message(MessageType::Chat), Some(BARE));
    assert_eq!(stage.sends(chat()).await, "kept");
    stage.enters("balcony", Some(0)).await;
    assert_eq!(stage.sends(chat()).await, "kept", "it must not overtake the one before");
    let passing = chat().with_child(&Element::new("no-store", "urn:xmpp:hints"));
    assert_eq!(stage.sends(passing).await, "balcony");
    stage.keeper.commits();
    let seat = &stage.juliet("balcony").seat;
    assert!(seat.awaits_older(), "and what comes now waits until she has taken them");
    seat.takes_older();
    assert!(seat.drain(usize::MAX).1);
    assert_eq!(stage.sends(chat()).await, "balcony");
}

#[actix_rt::test]
async fn what_goes_behind_a_session_that_ends_is_promised_when_it_is_kept() {
    let stage = Stage::new(&[("balcony", Some(0))]).await;
    let seat = &stage.juliet("balcony").seat;
    seat.end();
    seat.withdraw();
    let sent = stanza(StanzaKind::Message(MessageType::Chat), Some(BARE));
    let Routed::Committing(mut kept) = stage.router.route(sent) else { panic!("it is on its way") };
    assert!((&mut kept).now_or_never().is_none(), "it waits behind what she has taken");
    assert!(stage.keeper.kept().is_empty());
    seat.leave(VecDeque::new());
    seat.send_back();
    seat.finish();
    kept.await;
    assert_eq!(stage.keeper.kept().len(), 1);
}

#[actix_rt::test]
async fn a_guest_gets_messages_while_he_is_there_and_nothing_waits_for_him() {
    const GUEST: &str = "59bec12a@example.net";
    for (priority, to, expected) in [
        (0, GUEST, ["guest", "guest", "E", "guest", "S"]),
        (0, "59bec12a@example.net/visit", ["guest"; 5]),
        (0, "59bec12a@example.net/nowhere", ["E", "guest", "E", "S", "S"]),
        // XEP-0175, 3: what a guest has does not outlive his session.
        (-1, GUEST, ["E", "E", "E", "S", "S"]),
    ] {
        let mut stage = Stage::new(&[]).await;
        stage.enters_as_guest("59bec12a@example.net/visit", priority).await;
        for (kind, expected) in TYPES.into_iter().zip(expected) {
            let expected = match expected {
                "E" => "error service-unavailable",
                "S" => "",
                delivered => delivered,
            };
            let got = stage.sends(stanza(StanzaKind::Message(kind), Some(to))).await;
            assert_eq!(got, expected, "{kind:?} to {to}");
        }
    }
}
