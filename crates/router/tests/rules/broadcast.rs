//! Presence without an addressee, between the resources of one account.

use rjabberd_xmpp::{PresenceType, Stanza, StanzaKind};

use crate::stage::{Stage, presence, settle};

/// What each of the sessions got: who is available (`+`) or not (`-`).
fn seen(stage: &Stage) -> Vec<(String, Vec<String>)> {
    let mut seen = Vec::new();
    for (resource, session) in &stage.sessions {
        let mut news: Vec<_> = session
            .got()
            .iter()
            .map(|got| {
                let available = got.kind == StanzaKind::Presence(PresenceType::Available);
                let from = got.from.as_ref().unwrap().resource().unwrap().to_string();
                format!("{}{from}", if available { '+' } else { '-' })
            })
            .collect();
        news.sort();
        seen.push((resource.clone(), news));
    }
    seen
}

fn expect(stage: &Stage, expected: &[(&str, &[&str])]) {
    let expected: Vec<(String, Vec<String>)> = expected
        .iter()
        .map(|(resource, news)| (resource.to_string(), news.iter().map(ToString::to_string).collect()))
        .collect();
    assert_eq!(seen(stage), expected);
}

fn unavailable(stage: &Stage, resource: &str) -> Stanza {
    let mut stanza = presence(stage.juliet(resource).seat.jid());
    let from = stanza.from.take();
    let mut unavailable = Stanza::new(StanzaKind::Presence(PresenceType::Unavailable), &[]);
    unavailable.from = from;
    unavailable
}

#[actix_rt::test]
async fn presence_is_told_to_all_available_resources_and_a_new_one_learns_of_the_others() {
    let stage = Stage::new(&[("balcony", None), ("chamber", None), ("tomb", None)]).await;
    let available = |resource: &str, priority| {
        let seat = &stage.juliet(resource).seat;
        stage.router.presence(seat, presence(seat.jid()), Some(priority));
    };
    available("balcony", 0);
    settle().await;
    expect(&stage, &[("balcony", &["+balcony"]), ("chamber", &[]), ("tomb", &[])]);

    available("chamber", -5);
    settle().await;
    expect(&stage, &[("balcony", &["+chamber"]), ("chamber", &["+balcony", "+chamber"]), ("tomb", &[])]);
    assert_eq!(stage.juliet("chamber").seat.priority(), Some(-5));

    // A change is told, and nobody is told again of the others.
    available("chamber", 7);
    settle().await;
    expect(&stage, &[("balcony", &["+chamber"]), ("chamber", &["+chamber"]), ("tomb", &[])]);
    assert_eq!(stage.juliet("chamber").seat.priority(), Some(7));
}

#[actix_rt::test]
async fn unavailable_presence_is_told_once_and_to_the_sender_too() {
    let stage = Stage::new(&[("balcony", Some(0)), ("chamber", Some(0))]).await;
    for told in [true, false] {
        let seat = &stage.juliet("balcony").seat;
        stage.router.presence(seat, unavailable(&stage, "balcony"), None);
        settle().await;
        let news: &[&str] = if told { &["-balcony"] } else { &[] };
        expect(&stage, &[("balcony", news), ("chamber", news)]);
        assert_eq!(seat.priority(), None);
    }
}

#[actix_rt::test]
async fn a_session_that_is_lost_is_unavailable_for_the_others() {
    let stage = Stage::new(&[("balcony", Some(0)), ("chamber", Some(0)), ("tomb", None)]).await;
    stage.router.presence_lost(&stage.juliet("balcony").seat);
    settle().await;
    expect(&stage, &[("balcony", &[]), ("chamber", &["-balcony"]), ("tomb", &[])]);
}

#[actix_rt::test]
async fn presence_that_a_session_took_and_lost_does_not_come_back() {
    let stage = Stage::new(&[("balcony", Some(0)), ("chamber", Some(0))]).await;
    let seat = &stage.juliet("balcony").seat;
    stage.router.presence(seat, presence(seat.jid()), Some(1));
    settle().await;
    stage.sessions.iter().for_each(|(_, session)| session.loses());
    settle().await;
    expect(&stage, &[("balcony", &[]), ("chamber", &[])]);
    assert_eq!(stage.router.counters().snapshot().came_back, 0);
}
