//! Stanzas between two of whom one has blocked the other (XEP-0191, 3.3).

use std::sync::Arc;

use futures_util::FutureExt;
use rjabberd_storage::{Answer, PepStore, Store};
use rjabberd_xmpp::{BareJid, IqType, Jid, MessageType, PresenceType, Stanza, StanzaKind};

use crate::stage::{ROMEO, Resource, Stage, settle, stanza};

const RESOURCES: [Resource; 2] = [("balcony", Some(5)), ("tomb", None)];

/// A store that knows one block list.
struct OneList(&'static str, &'static str);

impl rjabberd_storage::ArchiveStore for OneList {}
impl PepStore for OneList {}
impl rjabberd_storage::PushStore for OneList {}

impl Store for OneList {
    fn load_blocks(&self) -> Answer<Vec<(BareJid, Vec<Jid>)>> {
        let list = (BareJid::new(self.0).unwrap(), vec![Jid::new(self.1).unwrap()]);
        std::future::ready(Ok(vec![list])).boxed()
    }
}

async fn stage(blocker: &'static str, blocked: &'static str) -> Stage {
    let stage = Stage::with_store(&RESOURCES, Arc::new(OneList(blocker, blocked))).await;
    stage.im.load_blocks().await.unwrap();
    stage
}

const ADDRESSES: [&str; 3] =
    ["juliet@example.net", "juliet@example.net/balcony", "juliet@example.net/nowhere"];

async fn check(stage: &Stage, kind: StanzaKind, expected: &str) {
    let before = stage.router.counters().snapshot();
    for to in ADDRESSES {
        assert_eq!(stage.sends(stanza(kind, Some(to))).await, expected, "{kind:?} to {to}");
    }
    let after = stage.router.counters().snapshot();
    let ended = (after.bounced - before.bounced, after.dropped - before.dropped);
    assert_eq!(ended, if expected.is_empty() { (0, 3) } else { (3, 0) }, "{kind:?}");
}

#[actix_rt::test]
async fn what_comes_from_who_is_blocked_reaches_nobody() {
    let stage = stage("juliet@example.net", "romeo@example.net").await;
    let unavailable = "error service-unavailable";
    for kind in [MessageType::Normal, MessageType::Chat, MessageType::Groupchat, MessageType::Headline] {
        check(&stage, StanzaKind::Message(kind), unavailable).await;
    }
    check(&stage, StanzaKind::Message(MessageType::Error), "").await;
    for kind in [PresenceType::Available, PresenceType::Subscribe, PresenceType::Probe, PresenceType::Error] {
        check(&stage, StanzaKind::Presence(kind), "").await;
    }
    for (kind, expected) in
        [(IqType::Get, unavailable), (IqType::Set, unavailable), (IqType::Result, ""), (IqType::Error, "")]
    {
        check(&stage, StanzaKind::Iq(kind), expected).await;
    }
}

#[actix_rt::test]
async fn who_has_blocked_somebody_is_told_so_when_he_sends_to_him() {
    let stage = stage("romeo@example.net", "juliet@example.net").await;
    let blocked = "error not-acceptable";
    for kind in [MessageType::Normal, MessageType::Chat, MessageType::Groupchat, MessageType::Headline] {
        check(&stage, StanzaKind::Message(kind), blocked).await;
    }
    check(&stage, StanzaKind::Message(MessageType::Error), "").await;
    for kind in [PresenceType::Available, PresenceType::Subscribe, PresenceType::Probe] {
        check(&stage, StanzaKind::Presence(kind), blocked).await;
    }
    check(&stage, StanzaKind::Presence(PresenceType::Error), "").await;
    for (kind, expected) in
        [(IqType::Get, blocked), (IqType::Set, blocked), (IqType::Result, ""), (IqType::Error, "")]
    {
        check(&stage, StanzaKind::Iq(kind), expected).await;
    }
}

#[actix_rt::test]
async fn one_resource_may_be_blocked_alone() {
    let stage = stage("juliet@example.net", "romeo@example.net/elsewhere").await;
    let message = stanza(StanzaKind::Message(MessageType::Chat), Some("juliet@example.net/balcony"));
    assert_eq!(stage.sends(message.clone()).await, "balcony");
    let mut elsewhere = message;
    elsewhere.from = Some(Jid::new("romeo@example.net/elsewhere").unwrap());
    let _ = stage.router.route(elsewhere);
    settle().await;
    assert_eq!(stage.juliet("balcony").got().len(), 0);
}

#[actix_rt::test]
async fn the_errors_of_a_sender_s_messages_are_in_their_order() {
    let stage = stage("juliet@example.net", "romeo@example.net").await;
    for id in ["a", "b", "c"] {
        let to = if id == "b" { "nobody@example.net" } else { "juliet@example.net" };
        let mut message = stanza(StanzaKind::Message(MessageType::Chat), Some(to));
        message.id = Some(id.to_owned());
        let _ = stage.router.route(message);
    }
    settle().await;
    let ids: Vec<_> = stage.romeo.got().into_iter().filter_map(|error| error.id).collect();
    assert_eq!(ids, ["a", "b", "c"]);
}

#[actix_rt::test]
async fn a_blocked_server_is_still_one_s_own() {
    let stage = stage("romeo@example.net", "example.net").await;
    for to in [Some("example.net"), Some("romeo@example.net"), None] {
        let mut ping =
            Stanza::new(StanzaKind::Iq(IqType::Get), &[rjabberd_xml::Element::new("ping", "urn:xmpp:ping")]);
        (ping.from, ping.to) = (Some(Jid::new(ROMEO).unwrap()), to.map(|to| Jid::new(to).unwrap()));
        ping.id = Some("1".to_owned());
        assert_eq!(stage.sends(ping).await, "result", "{to:?}");
    }
    check(&stage, StanzaKind::Message(MessageType::Chat), "error not-acceptable").await;
}
