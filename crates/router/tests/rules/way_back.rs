//! What a session took and lost: another resource, or an error to the sender.

use rjabberd_router::Routed;
use rjabberd_xmpp::{IqType, MessageType, PresenceType, StanzaKind};

use crate::stage::{Stage, settle, stanza, told};

/// Romeo sends to `to`; `losers` have taken it and lose it; then who has it, or what Romeo is told.
async fn lost(stage: &Stage, kind: StanzaKind, to: &str, losers: &[&str]) -> String {
    let sent = stanza(kind, Some(to));
    assert!(matches!(stage.router.route(sent.clone()), Routed::Done));
    settle().await;
    for loser in losers {
        let session = stage.juliet(loser);
        // A session that is gone takes nothing more.
        drop(session.seat.close());
        session.loses();
    }
    settle().await;
    let mut outcome = Vec::new();
    for (resource, session) in &stage.sessions {
        for got in session.got() {
            assert_eq!(got, sent);
            outcome.push(resource.clone());
        }
    }
    outcome.extend(stage.keeper.kept().iter().map(|_| "kept".to_owned()));
    outcome.extend(stage.romeo.got().iter().map(told));
    outcome.join(" ")
}

const CHAT: StanzaKind = StanzaKind::Message(MessageType::Chat);

#[actix_rt::test]
async fn a_chat_message_goes_to_another_resource() {
    let stage = Stage::new(&[("balcony", Some(0)), ("chamber", Some(0))]).await;
    assert_eq!(lost(&stage, CHAT, "juliet@example.net/balcony", &["balcony"]).await, "chamber");
    assert_eq!(stage.router.counters().snapshot().came_back, 1);
}

#[actix_rt::test]
async fn where_nobody_else_is_the_sender_is_told() {
    for kind in [StanzaKind::Message(MessageType::Normal), StanzaKind::Iq(IqType::Get)] {
        let stage = Stage::new(&[("balcony", Some(0)), ("cellar", Some(-1))]).await;
        let told = lost(&stage, kind, "juliet@example.net/balcony", &["balcony"]).await;
        assert_eq!(told, "error service-unavailable", "{kind:?}");
    }
}

#[actix_rt::test]
async fn where_nobody_else_is_a_chat_message_is_kept() {
    let stage = Stage::new(&[("balcony", Some(0)), ("cellar", Some(-1))]).await;
    assert_eq!(lost(&stage, CHAT, "juliet@example.net/balcony", &["balcony"]).await, "kept");
}

#[actix_rt::test]
async fn what_no_error_answers_is_dropped() {
    for kind in [
        StanzaKind::Message(MessageType::Headline),
        StanzaKind::Message(MessageType::Error),
        StanzaKind::Iq(IqType::Result),
        StanzaKind::Iq(IqType::Error),
        StanzaKind::Presence(PresenceType::Available),
    ] {
        let stage = Stage::new(&[("balcony", Some(0)), ("chamber", Some(0))]).await;
        assert_eq!(lost(&stage, kind, "juliet@example.net/balcony", &["balcony"]).await, "", "{kind:?}");
    }
}

#[actix_rt::test]
async fn of_several_resources_one_that_has_it_is_enough() {
    let stage = Stage::new(&[("balcony", Some(0)), ("chamber", Some(0))]).await;
    let sent = stanza(CHAT, Some("juliet@example.net"));
    assert!(matches!(stage.router.route(sent), Routed::Done));
    settle().await;
    assert_eq!(stage.juliet("chamber").got().len(), 1);
    stage.juliet("balcony").loses();
    settle().await;
    assert!(stage.romeo.got().is_empty() && stage.juliet("chamber").got().is_empty());
    assert_eq!(stage.router.counters().snapshot().came_back, 0);
}

#[actix_rt::test]
async fn what_all_resources_lost_comes_back_once() {
    let stage = Stage::new(&[("balcony", Some(0)), ("chamber", Some(0))]).await;
    let told = lost(&stage, CHAT, "juliet@example.net", &["balcony", "chamber"]).await;
    assert_eq!(told, "kept");
}

#[actix_rt::test]
async fn an_error_that_its_addressee_loses_is_not_answered() {
    let stage = Stage::new(&[("balcony", Some(0))]).await;
    let sent = stanza(CHAT, Some("juliet@example.net/balcony"));
    assert!(matches!(stage.router.route(sent), Routed::Done));
    settle().await;
    drop(stage.juliet("balcony").seat.close());
    stage.juliet("balcony").loses();
    settle().await;
    stage.romeo.loses();
    settle().await;
    assert!(stage.romeo.got().is_empty() && stage.juliet("balcony").got().is_empty());
}
