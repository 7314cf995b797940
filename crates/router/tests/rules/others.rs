//! Presence with an addressee, iqs, servers and other domains.

use rjabberd_router::Routed;
use rjabberd_xml::Element;
use rjabberd_xmpp::{IqType, Jid, MessageType, PresenceType, Stanza, StanzaKind};

use crate::stage::{ROMEO, Resource, Stage, stanza, stanza_of, told};

const SEVERAL: [Resource; 3] = [("balcony", Some(5)), ("cellar", Some(-1)), ("tomb", None)];
const UNAVAILABLE: &str = "error service-unavailable";
const PRESENCES: [PresenceType; 8] = [
    PresenceType::Available,
    PresenceType::Unavailable,
    PresenceType::Error,
    PresenceType::Subscribe,
    PresenceType::Subscribed,
    PresenceType::Unsubscribe,
    PresenceType::Unsubscribed,
    PresenceType::Probe,
];
const IQS: [IqType; 4] = [IqType::Get, IqType::Set, IqType::Result, IqType::Error];

#[actix_rt::test]
async fn presence_to_an_account_goes_to_all_its_available_resources() {
    let stage = Stage::new(&SEVERAL).await;
    for kind in PRESENCES {
        use PresenceType::{Available, Error, Probe, Unavailable};
        let expected = match kind {
            // Romeo is no contact of hers.
            Probe => "unsubscribed",
            Available | Unavailable | Error => "balcony cellar",
            _ => "kept",
        };
        let sent = stanza(StanzaKind::Presence(kind), Some("juliet@example.net"));
        assert_eq!(stage.sends(sent).await, expected, "{kind:?}");
    }
}

#[actix_rt::test]
async fn presence_to_a_resource_goes_there_and_what_is_between_accounts_to_the_account() {
    let stage = Stage::new(&SEVERAL).await;
    for (kind, expected) in
        PRESENCES.into_iter().zip(["tomb", "tomb", "tomb", "kept", "kept", "kept", "kept", "unsubscribed"])
    {
        let sent = stanza(StanzaKind::Presence(kind), Some("juliet@example.net/tomb"));
        assert_eq!(stage.sends(sent).await, expected, "{kind:?}");
    }
}

#[actix_rt::test]
async fn presence_where_nobody_is_concerns_the_rosters_at_most() {
    let stage = Stage::new(&[]).await;
    for kind in PRESENCES {
        for to in ["juliet@example.net", "juliet@example.net/balcony", "example.net", "example.net/x"] {
            let sent = stanza(StanzaKind::Presence(kind), Some(to));
            let is_account = to.contains('@');
            let expected = match kind {
                PresenceType::Probe if is_account => "unsubscribed",
                PresenceType::Available
                | PresenceType::Unavailable
                | PresenceType::Error
                | PresenceType::Probe => "",
                _ if is_account => "kept",
                _ => "",
            };
            assert_eq!(stage.sends(sent).await, expected, "{kind:?} to {to}");
        }
    }
}

#[actix_rt::test]
async fn a_subscription_request_is_between_bare_addresses() {
    let stage = Stage::new(&[("balcony", Some(0))]).await;
    let sent = stanza(StanzaKind::Presence(PresenceType::Subscribe), Some("juliet@example.net/balcony"));
    assert!(matches!(stage.router.route(sent), Routed::Committing(_)));
    let got = stage.keeper.kept();
    let addresses =
        got.iter().map(|got| (got.from.as_ref().unwrap().as_str(), got.to.as_ref().unwrap().as_str()));
    assert_eq!(addresses.collect::<Vec<_>>(), [("romeo@example.net", "juliet@example.net")]);
}

#[actix_rt::test]
async fn an_iq_to_an_account_is_answered_by_the_server_and_never_delivered() {
    let stage = Stage::new(&SEVERAL).await;
    for (kind, expected) in IQS.into_iter().zip([UNAVAILABLE, UNAVAILABLE, "", ""]) {
        let sent = stanza(StanzaKind::Iq(kind), Some("juliet@example.net"));
        assert_eq!(stage.sends(sent).await, expected, "{kind:?}");
    }
}

#[actix_rt::test]
async fn an_iq_to_a_resource_goes_there_or_comes_back() {
    let stage = Stage::new(&SEVERAL).await;
    for (kind, expected) in IQS.into_iter().zip([UNAVAILABLE, UNAVAILABLE, "", ""]) {
        for to in ["balcony", "cellar", "tomb"] {
            let sent = stanza(StanzaKind::Iq(kind), Some(&format!("juliet@example.net/{to}")));
            assert_eq!(stage.sends(sent).await, to, "{kind:?}");
        }
        let sent = stanza(StanzaKind::Iq(kind), Some("juliet@example.net/nowhere"));
        assert_eq!(stage.sends(sent).await, expected, "{kind:?}");
    }
}

#[actix_rt::test]
async fn the_server_answers_what_it_knows_for_itself_and_for_the_sender_s_account() {
    let stage = Stage::new(&[]).await;
    for to in [Some("example.net"), Some("example.org"), Some("romeo@example.net"), None] {
        let mut ping = Stanza::new(StanzaKind::Iq(IqType::Get), &[Element::new("ping", "urn:xmpp:ping")]);
        ping.from = Some(Jid::new(ROMEO).unwrap());
        ping.to = to.map(|to| Jid::new(to).unwrap());
        ping.id = Some("1".to_owned());
        assert_eq!(stage.sends(ping).await, "result", "{to:?}");
    }
}

#[actix_rt::test]
async fn what_the_server_does_not_know_is_refused() {
    let stage = Stage::new(&[]).await;
    for to in [Some("example.net"), Some("example.net/resource"), None] {
        for (kind, expected) in IQS.into_iter().zip([UNAVAILABLE, UNAVAILABLE, "", ""]) {
            assert_eq!(stage.sends(stanza(StanzaKind::Iq(kind), to)).await, expected, "{kind:?} to {to:?}");
        }
    }
    let message = |kind| stanza(StanzaKind::Message(kind), Some("example.net"));
    assert_eq!(stage.sends(message(MessageType::Chat)).await, UNAVAILABLE);
    assert_eq!(stage.sends(message(MessageType::Error)).await, "");
}

#[actix_rt::test]
async fn other_domains_are_not_reached() {
    let stage = Stage::new(&[]).await;
    for to in ["elsewhere.example", "juliet@elsewhere.example", "juliet@elsewhere.example/balcony"] {
        for (kind, answered) in [
            (StanzaKind::Message(MessageType::Chat), true),
            (StanzaKind::Message(MessageType::Error), false),
            (StanzaKind::Iq(IqType::Get), true),
            (StanzaKind::Iq(IqType::Set), true),
            (StanzaKind::Iq(IqType::Result), false),
            (StanzaKind::Iq(IqType::Error), false),
            (StanzaKind::Presence(PresenceType::Available), false),
            (StanzaKind::Presence(PresenceType::Error), false),
        ] {
            let expected = if answered { "error remote-server-not-found" } else { "" };
            assert_eq!(stage.sends(stanza(kind, Some(to))).await, expected, "{kind:?} to {to}");
        }
    }
}

#[actix_rt::test]
async fn a_stream_that_is_nobody_yet_is_refused_where_registration_is_off() {
    let stage = Stage::new(&[]).await;
    let mut request =
        Stanza::new(StanzaKind::Iq(IqType::Get), &[Element::new("query", "jabber:iq:register")]);
    request.id = Some("1".to_owned());
    for host in ["example.net", "elsewhere.example"] {
        let Routed::Reply(answer) = stage.router.answer_stranger(host, &request) else {
            panic!("a request without an answer")
        };
        assert_eq!(told(&stanza_of(&answer)), UNAVAILABLE);
    }
}
