//! Who is told what: by what sessions announce, by subscribing, and when they come.

use std::sync::atomic::Ordering::SeqCst;

use futures_util::FutureExt;
use rjabberd_xmpp::{IqType, StanzaKind};

use super::*;
use crate::caps;
use crate::presence::Shown;
use crate::stage::{Session, settle, stanza};

/// What a client says of itself that wants these nodes' events.
fn features(nodes: &[&str]) -> String {
    let features: String = nodes.iter().map(|node| format!("<feature var='{node}+notify'/>")).collect();
    format!(
        "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='client' type='pc'/>{features}</query>"
    )
}

fn ver(query: &str) -> String {
    let iq = stanza(&format!("<iq id='1' type='result'>{query}</iq>"));
    caps::ver(&iq.child_element(&iq.children()[0]).unwrap())
}

fn presence(jid: &str, caps: &str) -> Stanza {
    stanza(&format!("<presence from='{jid}'>{caps}</presence>"))
}

fn announced(ver: &str) -> String {
    format!("<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:client' ver='{ver}'/>")
}

/// Sends presence, and waits until all that follows has been done.
fn shows(stage: &Stage, session: &Session, stanza: Stanza) {
    match stage.im.presence(&session.seat, stanza, Some(0)) {
        Shown::Done => {}
        Shown::Later(done) => assert!(done.now_or_never().unwrap()),
    }
}

/// Answers the question in these stanzas.
fn answers(stage: &Stage, session: &Session, came: &[Stanza], payload: &str) {
    let is_question = |stanza: &&Stanza| stanza.kind == StanzaKind::Iq(IqType::Get);
    let question = came.iter().find(is_question).expect("the server asks");
    assert_eq!(question.from.as_ref().unwrap().as_str(), "example.net");
    let (from, id) = (session.seat.jid(), question.id.as_ref().unwrap());
    let answer =
        stanza(&format!("<iq from='{from}' id='{id}' type='result' to='example.net'>{payload}</iq>"));
    stage.im.answered(&answer).expect("it was asked").now_or_never().unwrap();
}

/// Comes with a client that wants these nodes' events; what came meanwhile is forgotten.
async fn comes(stage: &Stage, session: &Session, nodes: &[&str]) {
    let query = features(nodes);
    shows(stage, session, presence(session.seat.jid().as_str(), &announced(&ver(&query))));
    settle().await;
    let came = session.stanzas();
    if came.iter().any(|stanza| stanza.kind == StanzaKind::Iq(IqType::Get)) {
        answers(stage, session, &came, &query);
    }
}

/// The ids of the items in what came, and of the events without items what they are.
async fn told(session: &Session) -> Vec<String> {
    settle().await;
    let events = session.stanzas().into_iter().filter(|stanza| inner(stanza).contains("pubsub#event"));
    let mut told = Vec::new();
    for event in events {
        assert_eq!(event.kind, StanzaKind::Message(rjabberd_xmpp::MessageType::Headline));
        assert_eq!(event.to, Some(session.seat.jid().clone().into()));
        assert_eq!(event.from.as_ref().unwrap().as_str(), "romeo@example.net");
        assert!(event.id.is_some());
        let text = inner(&event);
        let found = ids(&text);
        match found.is_empty() {
            false => told.extend(found.iter().map(|id| (*id).to_owned())),
            true => told.push(text.split('<').nth(2).unwrap().to_owned() + text.split('<').nth(3).unwrap()),
        }
    }
    told
}

#[actix_rt::test]
async fn an_event_goes_to_those_who_announce_that_they_want_it_and_may_have_it() {
    let stage = stage();
    stage.has_contact("romeo@example.net", "nurse@example.net", false);
    let [orchard, street, balcony, deaf, nurse] = stage
        .sit([ROMEO, "romeo@example.net/street", JULIET, "juliet@example.net/deaf", "nurse@example.net/x"])
        .await;
    for session in [&orchard, &street, &balcony, &nurse] {
        comes(&stage, session, &["urn:x"]).await;
    }
    comes(&stage, &deaf, &["urn:y"]).await;
    done(&stage, &publish("urn:x", "1"));
    for (session, expected) in [(&orchard, 1), (&street, 1), (&balcony, 1), (&deaf, 0), (&nurse, 0)] {
        assert_eq!(told(session).await.len(), expected, "{}", session.seat.jid());
    }
    done(&stage, &configure("urn:x", &[("access_model", "whitelist")]));
    done(&stage, &publish("urn:x", "2"));
    assert_eq!(told(&orchard).await, ["2"]);
    assert_eq!(told(&balcony).await, [""; 0]);
    assert_eq!(stage.im.pep.snapshot().published, 2);
    assert_eq!(stage.im.pep.snapshot().events, 5);
}

#[actix_rt::test]
async fn what_is_told_of_a_node_is_what_its_config_says() {
    let stage = stage();
    let [balcony] = stage.sit([JULIET]).await;
    comes(&stage, &balcony, &["urn:x"]).await;
    done(&stage, &publish_with("urn:x", "1", &[("notify_config", "1"), ("max_items", "9")]));
    done(&stage, &publish("urn:x", "2"));
    done(&stage, &pubsub("<retract node='urn:x'><item id='1'/></retract>"));
    done(&stage, &configure("urn:x", &[("title", "New")]));
    done(&stage, &owner("<purge node='urn:x'/>"));
    done(&stage, &owner("<delete node='urn:x'><redirect uri='xmpp:x'/></delete>"));
    let came = told(&balcony).await;
    assert_eq!(came[..2], ["1", "2"]);
    for (event, expected) in came[2..].iter().zip([
        "items node=\"urn:x\">retract id=\"1\"/>",
        "configuration node=\"urn:x\">x xmlns=\"jabber:x:data\" type=\"result\">",
        "purge node=\"urn:x\"/>/event>",
        "delete node=\"urn:x\">redirect uri=\"xmpp:x\"/>",
    ]) {
        assert_eq!(event, expected);
    }
    assert_eq!(came.len(), 6);
    let quiet = [("notify_retract", "0"), ("notify_delete", "0"), ("deliver_payloads", "0")];
    done(&stage, &publish_with("urn:x", "1", &quiet));
    done(&stage, &pubsub("<retract node='urn:x'><item id='1'/></retract>"));
    done(&stage, &owner("<delete node='urn:x'/>"));
    settle().await;
    let came = balcony.got();
    assert_eq!(
        came,
        [
            "<event xmlns=\"http://jabber.org/protocol/pubsub#event\"><items node=\"urn:x\"><item id=\"1\"/></items></event>"
        ]
    );
    done(&stage, &publish("urn:x", "1"));
    done(&stage, &configure("urn:x", &[("notify_retract", "0"), ("deliver_notifications", "1")]));
    done(&stage, &pubsub("<retract node='urn:x' notify='true'><item id='1'/></retract>"));
    assert_eq!(told(&balcony).await.len(), 2, "the publication, and what is taken back with notify");
    done(&stage, &configure("urn:x", &[("deliver_notifications", "0")]));
    done(&stage, &publish("urn:x", "1"));
    assert_eq!(told(&balcony).await, [""; 0]);
}

#[actix_rt::test]
async fn whoever_comes_gets_the_last_items_that_he_wants_and_may_have() {
    let stage = stage();
    done(&stage, &publish_with("urn:x", "1", &[("max_items", "5")]));
    done(&stage, &publish("urn:x", "2"));
    done(&stage, &publish_with("urn:never", "3", &[("send_last_published_item", "never")]));
    done(&stage, &publish_with("urn:private", "4", &[("access_model", "whitelist")]));
    done(&stage, &publish("urn:other", "5"));
    let wanted = ["urn:never", "urn:none", "urn:private", "urn:x"];
    let [orchard, balcony, chamber, stranger] =
        stage.sit([ROMEO, JULIET, "juliet@example.net/chamber", STRANGER]).await;
    for session in [&balcony, &chamber, &orchard, &stranger] {
        comes(&stage, session, &wanted).await;
    }
    assert_eq!(stage.im.pep.snapshot().caps_asked, 1, "one answer serves all");
    assert_eq!(told(&balcony).await, ["2"]);
    // The stanza was taken with the question's answer; here with the presence.
    assert_eq!(told(&stranger).await, [""; 0]);
    shows(&stage, &chamber, presence("juliet@example.net/chamber", ""));
    assert_eq!(told(&chamber).await, [""; 0], "nothing new");
    stage.im.presence(&orchard.seat, presence(ROMEO, "").clone(), None);
    orchard.stanzas();
    shows(&stage, &orchard, presence(ROMEO, &announced(&ver(&features(&wanted)))));
    settle().await;
    let came = orchard.stanzas();
    let last: Vec<String> = came.iter().map(inner).filter(|text| text.contains("#event")).collect();
    assert_eq!(last.len(), 2, "{last:?}");
    assert!(
        last.iter()
            .all(|text| text.contains("<delay xmlns=\"urn:xmpp:delay\" from=\"romeo@example.net\" stamp="))
    );
}

#[actix_rt::test]
async fn a_client_that_wants_more_gets_the_last_items_of_what_is_new() {
    let stage = stage();
    done(&stage, &publish("urn:x", "1"));
    done(&stage, &publish("urn:y", "2"));
    let [balcony] = stage.sit([JULIET]).await;
    comes(&stage, &balcony, &["urn:x"]).await;
    assert_eq!(told(&balcony).await, ["1"]);
    comes(&stage, &balcony, &["urn:x", "urn:y"]).await;
    assert_eq!(told(&balcony).await, ["2"]);
    comes(&stage, &balcony, &[]).await;
    done(&stage, &publish("urn:x", "3"));
    assert_eq!(told(&balcony).await, [""; 0]);
}

/// XEP-0115, 7.1, and what has felled others: a hash that is another client's.
#[actix_rt::test]
async fn an_answer_that_is_not_what_its_hash_says_counts_for_its_session_alone() {
    let stage = stage();
    let honest = features(&["urn:x"]);
    let [liar, old, orchard] = stage.sit([JULIET, "juliet@example.net/old", ROMEO]).await;
    let announced_honest = announced(&ver(&honest));
    shows(&stage, &liar, presence(JULIET, &announced_honest));
    settle().await;
    answers(&stage, &liar, &liar.stanzas(), &features(&["urn:y"]));
    assert_eq!((stage.im.pep.snapshot().caps_wrong, stage.im.pep.caps.len()), (1, 0));
    // Without `hash`, from before version 1.4 of the XEP: never kept.
    let legacy = "<c xmlns='http://jabber.org/protocol/caps' node='urn:client' ver='1.0'/>";
    shows(&stage, &old, presence("juliet@example.net/old", legacy));
    settle().await;
    let came = old.stanzas();
    assert!(
        came.iter().any(|stanza| inner(stanza) == "<query xmlns=\"http://jabber.org/protocol/disco#info\"/>")
    );
    answers(&stage, &old, &came, &features(&["urn:z"]));
    assert_eq!(stage.im.pep.caps.len(), 0);
    comes(&stage, &orchard, &["urn:x"]).await;
    assert_eq!(stage.im.pep.caps.len(), 1, "Romeo was asked himself");
    for (node, count) in [("urn:x", 0), ("urn:y", 1), ("urn:z", 0)] {
        done(&stage, &publish(node, "1"));
        assert_eq!(told(&liar).await.len(), count, "{node}");
    }
    assert_eq!(told(&old).await, ["1"], "what it said holds for itself");
}

#[actix_rt::test]
async fn what_could_be_read_in_two_ways_is_not_kept() {
    let stage = stage();
    let [balcony] = stage.sit([JULIET]).await;
    let twice = features(&["urn:x", "urn:x"]);
    let mark = features(&["urn:x"]).replace("'pc'", "'pc&lt;urn:x+notify'");
    for query in [twice, mark] {
        shows(&stage, &balcony, presence(JULIET, &announced(&ver(&query))));
        settle().await;
        answers(&stage, &balcony, &balcony.stanzas(), &query);
        assert_eq!(stage.im.pep.caps.len(), 0, "{query}");
        done(&stage, &publish("urn:x", "1"));
        assert!(!told(&balcony).await.is_empty());
    }
}

#[actix_rt::test]
async fn an_answer_counts_only_from_whom_was_asked_and_once() {
    let stage = stage();
    let [balcony, orchard] = stage.sit([JULIET, ROMEO]).await;
    shows(&stage, &balcony, presence(JULIET, &announced("guess")));
    settle().await;
    let came = balcony.stanzas();
    let id =
        came.iter().find(|stanza| stanza.kind == StanzaKind::Iq(IqType::Get)).unwrap().id.clone().unwrap();
    assert_eq!(id.len(), 32);
    let answer = |from: &str, id: &str| {
        stanza(&format!(
            "<iq from='{from}' id='{id}' type='result' to='example.net'>{}</iq>",
            features(&["urn:x"])
        ))
    };
    orchard.appears();
    for (from, id) in [(ROMEO, &*id), (JULIET, "other"), (JULIET, ""), ("juliet@example.net/none", &*id)] {
        assert!(stage.im.answered(&answer(from, id)).is_none(), "{from} {id}");
    }
    let mut without_id = answer(JULIET, "x");
    without_id.id = None;
    assert!(stage.im.answered(&without_id).is_none());
    assert!(stage.im.answered(&answer(JULIET, &id)).is_some());
    assert!(stage.im.answered(&answer(JULIET, &id)).is_none());
}

#[actix_rt::test]
async fn a_session_that_wants_too_much_is_heard_up_to_a_limit_and_what_is_known_is_bounded() {
    let stage = stage();
    let [balcony] = stage.sit([JULIET]).await;
    let names: Vec<String> = (0..1_000).map(|number| format!("urn:{number:04}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    comes(&stage, &balcony, &names).await;
    let known = balcony.seat.show().interests().unwrap().nodes.len();
    assert_eq!(known, 256);
    for number in 0..2_000 {
        let mut names = names.clone();
        let another = format!("urn:{number}+");
        names.push(&another);
        comes(&stage, &balcony, &names[names.len() - 257..]).await;
    }
    let kept = stage.im.pep.caps.len();
    assert!((100..1_000).contains(&kept), "{kept}");
}

#[actix_rt::test]
async fn a_subscriber_is_told_as_long_as_he_may_read() {
    let stage = stage();
    done(&stage, &publish_with("urn:x", "1", &[("access_model", "open")]));
    let [sword, dagger, balcony] = stage.sit([STRANGER, "tybalt@example.net/dagger", JULIET]).await;
    for session in [&sword, &dagger] {
        session.appears();
    }
    comes(&stage, &balcony, &["urn:x"]).await;
    assert_eq!(told(&balcony).await, ["1"]);
    let subscribe = |who: &str, jid: &str| {
        let request = pubsub(&format!("<subscribe node='urn:x' jid='{jid}'/>"));
        assert!(set(&stage, who, ROMEOS, &request).contains("subscribed"));
    };
    subscribe(STRANGER, STRANGER);
    assert_eq!(told(&sword).await, ["1"], "the last item");
    subscribe(JULIET, "juliet@example.net");
    assert_eq!(told(&balcony).await, ["1"]);
    done(&stage, &publish("urn:x", "2"));
    assert_eq!((told(&sword).await, told(&dagger).await), (vec!["2".to_owned()], vec![]));
    assert_eq!(told(&balcony).await, ["2"], "once");
    subscribe(STRANGER, "tybalt@example.net");
    assert_eq!((told(&sword).await, told(&dagger).await), (vec!["2".to_owned()], vec!["2".to_owned()]));
    done(&stage, &configure("urn:x", &[("access_model", "presence")]));
    done(&stage, &publish("urn:x", "3"));
    assert_eq!(told(&sword).await, [""; 0]);
    assert_eq!(told(&balcony).await, ["3"]);
}

#[actix_rt::test]
async fn a_contact_whose_subscription_ended_is_told_nothing_more() {
    let stage = stage();
    let [balcony, orchard] = stage.sit([JULIET, ROMEO]).await;
    comes(&stage, &balcony, &["urn:x"]).await;
    comes(&stage, &orchard, &[]).await;
    done(&stage, &publish("urn:x", "1"));
    assert_eq!(told(&balcony).await, ["1"]);
    // Romeo's session knows, before the store is asked again.
    let romeo = rjabberd_xmpp::BareJid::new("romeo@example.net").unwrap();
    stage.im.change_circles(&romeo, |_| Default::default());
    done(&stage, &publish("urn:x", "2"));
    assert_eq!(told(&balcony).await, [""; 0]);
    stage.store.kept.lock().profiles.remove("romeo@example.net");
    done(&stage, &publish("urn:x", "3"));
    assert_eq!(told(&balcony).await, [""; 0]);
}

#[actix_rt::test]
async fn a_store_that_is_away_keeps_nobody_from_coming() {
    let stage = stage();
    let [orchard] = stage.sit([ROMEO]).await;
    stage.breaks(true);
    let query = features(&["urn:x"]);
    let shown = stage.im.presence(&orchard.seat, presence(ROMEO, &announced(&ver(&query))), Some(0));
    let Shown::Later(done) = shown else { panic!("it is to be asked again") };
    assert_eq!(done.now_or_never(), Some(false));
    settle().await;
    answers(&stage, &orchard, &orchard.stanzas(), &query);
    assert!(orchard.seat.priority().is_some());
    assert!(!stage.store.broken.swap(false, SeqCst) || orchard.seat.show().interests().is_some());
}
