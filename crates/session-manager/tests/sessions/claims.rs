//! Resources: free, in conflict, handed over, taken by force, given back.

use std::time::Duration;

use rjabberd_session_manager::{ClaimRefused, ConflictPolicy, Control, Handed, Released, Resource, Rules};

use crate::stage::{RULES, Session, Stage, account, jid, pass, settle};

const NOTHING: [&str; 0] = [];

/// The asker is told to wait until the one who sits there has handed over.
async fn waits(stage: &Stage, old: &Session) -> Session {
    let mut new = stage.asks(Some("r"), 64);
    settle().await;
    assert!(!new.is_seated() && new.refusal().is_none());
    assert!(old.control.take().contains(&Control::HandOver));
    new
}

#[actix_rt::test]
async fn a_free_resource_is_bound_at_once() {
    let stage = Stage::new(RULES);
    let session = stage.sits("r").await;
    let seat = session.seat.as_ref().unwrap();
    assert_eq!(*seat.jid(), jid("r"));
    assert!(session.handed.is_none());
    assert!(stage.table.is_bound(&jid("r")));
    assert_eq!(stage.table.sessions(), 1);
    assert!(stage.sends(&jid("r"), "a"));
    settle().await;
    assert_eq!(session.writes(), ["a"]);
}

#[actix_rt::test]
async fn without_a_resource_the_server_makes_one_that_is_free() {
    let stage = Stage::new(RULES);
    let (mut one, mut other) = (stage.asks(None, 8), stage.asks(None, 8));
    settle().await;
    assert!(one.is_seated() && other.is_seated());
    let resources = [&one, &other].map(|session| session.seat.as_ref().unwrap().jid().resource().to_string());
    assert_ne!(resources[0], resources[1]);
    assert!(resources.iter().all(|resource| resource.len() >= 16), "{resources:?}");
}

#[actix_rt::test]
async fn a_conflict_is_refused_where_the_rules_say_so() {
    let stage = Stage::new(Rules { conflict: ConflictPolicy::Refuse, ..RULES });
    let old = stage.sits("r").await;
    let mut new = stage.asks(Some("r"), 8);
    settle().await;
    assert!(!new.is_seated());
    assert_eq!(new.refusal(), Some(ClaimRefused::Conflict));
    assert_eq!(old.control.take(), []);
    assert_eq!(stage.table.sessions(), 1);
}

#[actix_rt::test]
async fn an_account_has_no_more_sessions_than_the_rules_allow() {
    let stage = Stage::new(Rules { sessions_per_account_max: 2, ..RULES });
    let (one, _other) = (stage.sits("1").await, stage.sits("2").await);
    let mut third = stage.asks(Some("3"), 8);
    settle().await;
    assert!(!third.is_seated());
    assert_eq!(third.refusal(), Some(ClaimRefused::TooManySessions));
    // A take-over makes it no more.
    let mut again = stage.asks(Some("1"), 8);
    settle().await;
    assert_eq!(one.control.take(), [Control::HandOver]);
    stage.releases(one.seat.as_ref().unwrap()).await;
    settle().await;
    assert!(again.is_seated());
    assert_eq!(stage.table.sessions(), 2);
}

#[actix_rt::test]
async fn a_hand_over_passes_the_queue_on_in_order_and_before_what_is_newer() {
    let stage = Stage::new(RULES);
    let mut old = stage.sits("r").await;
    assert!(stage.sends(&jid("r"), "1") && stage.sends(&jid("r"), "2"));
    let mut new = waits(&stage, &old).await;
    old.seat.as_ref().unwrap().hold();
    assert!(stage.sends(&jid("r"), "3"), "what comes during the hand-over waits in the old one's spill");
    stage.hands_over(&mut old).await;
    assert!(new.is_seated());
    assert!(new.handed.as_ref().is_some_and(|handed| handed.queue.is_empty()));
    assert!(new.is_owed() && !old.is_owed(), "its contacts think that it is available");
    assert!(stage.sends(&jid("r"), "4"));
    settle().await;
    assert_eq!(new.writes(), ["1", "2", "3", "4"]);
    assert!(stage.sends(&jid("r"), "5"));
    settle().await;
    assert_eq!(new.writes(), ["5"], "the mailbox is open again");
    assert_eq!(old.writes(), NOTHING);
    assert_eq!(stage.table.sessions(), 1);
    drop((old, new));
    assert_eq!(stage.back.ids(), NOTHING);
}

#[actix_rt::test]
async fn a_session_that_does_not_hand_over_loses_its_resource_after_a_second() {
    let stage = Stage::new(RULES);
    let old = stage.sits("r").await;
    let old_seat = old.seat.clone().unwrap();
    let mut new = waits(&stage, &old).await;
    old_seat.hold();
    assert!(stage.sends(&jid("r"), "1"));
    pass(Duration::from_millis(950)).await;
    assert!(!new.is_seated(), "too early");
    pass(Duration::from_millis(300)).await;
    assert!(new.is_seated());
    assert_eq!(new.writes(), ["1"], "what had spilled goes over all the same");
    assert!(!old_seat.deliver(&crate::stage::parcel(stage.back, "2")), "the old one takes nothing more");
    assert_eq!(stage.back.ids(), ["2"]);
    assert_eq!(stage.table.sessions(), 1);
}

#[actix_rt::test]
async fn what_is_handed_over_too_late_comes_back_and_changes_nothing() {
    let stage = Stage::new(RULES);
    let mut old = stage.sits("r").await;
    assert!(stage.sends(&jid("r"), "1"));
    settle().await;
    let mut new = waits(&stage, &old).await;
    pass(Duration::from_millis(1300)).await;
    assert!(new.is_seated());
    stage.hands_over(&mut old).await;
    assert_eq!(stage.back.ids(), ["1"]);
    assert_eq!(stage.table.seats(&account())[0].generation(), new.seat.as_ref().unwrap().generation());
    assert!(new.control.take().is_empty());
}

#[actix_rt::test]
async fn three_who_want_one_resource_get_it_one_after_another() {
    let stage = Stage::new(RULES);
    let mut first = stage.sits("r").await;
    let mut second = waits(&stage, &first).await;
    let (mut third, mut fourth) = (stage.asks(Some("r"), 64), stage.asks(Some("r"), 64));
    settle().await;
    assert_eq!(first.control.take(), [], "it was asked once");
    assert!(stage.sends(&jid("r"), "1"));
    settle().await;

    stage.hands_over(&mut first).await;
    assert!(second.is_seated() && !third.is_seated() && !fourth.is_seated());
    assert!(second.control.take().contains(&Control::HandOver), "at once, for the next one");
    let queue = second.writes();
    assert_eq!(queue, ["1"]);
    assert!(stage.sends(&jid("r"), "2"));
    stage.hands_over(&mut second).await;
    assert!(third.is_seated() && !fourth.is_seated());
    assert!(third.control.take().contains(&Control::HandOver));
    // The third ends instead of handing over.
    let seat = third.seat.clone().unwrap();
    seat.hold();
    stage.releases(&seat).await;
    assert_eq!(stage.back.ids(), ["2"], "what it had goes its way back before the resource is free");
    assert!(seat.close().is_empty());
    settle().await;
    assert!(fourth.is_seated());
    assert_eq!(stage.table.sessions(), 1);
    assert!(fourth.control.take().iter().all(|control| *control != Control::HandOver));
}

#[actix_rt::test]
async fn a_session_that_ends_while_somebody_waits_makes_room() {
    let stage = Stage::new(RULES);
    let old = stage.sits("r").await;
    let mut new = waits(&stage, &old).await;
    stage.releases(old.seat.as_ref().unwrap()).await;
    settle().await;
    assert!(new.is_seated());
    assert!(!new.is_owed(), "it has told its contacts itself");
    assert_eq!(stage.table.sessions(), 1);
    // The deadline of the hand-over does not strike the new one.
    pass(Duration::from_secs(3)).await;
    assert!(stage.table.is_bound(&jid("r")));
    assert!(stage.sends(&jid("r"), "1"));
}

#[actix_rt::test]
async fn the_release_of_an_old_generation_is_ignored() {
    let stage = Stage::new(RULES);
    let mut old = stage.sits("r").await;
    let mut new = waits(&stage, &old).await;
    stage.hands_over(&mut old).await;
    assert!(new.is_seated());
    stage.releases(old.seat.as_ref().unwrap()).await;
    assert!(stage.table.is_bound(&jid("r")));
    assert_eq!(stage.table.sessions(), 1);
    stage.releases(new.seat.as_ref().unwrap()).await;
    assert!(!stage.table.is_bound(&jid("r")));
    assert_eq!(stage.table.sessions(), 0);
    assert!(!stage.sends(&jid("r"), "1"));
    stage.releases(new.seat.as_ref().unwrap()).await;
    assert_eq!(stage.table.sessions(), 0, "given back twice, counted once");
}

#[actix_rt::test]
async fn an_old_generation_that_hands_over_again_does_not_answer_for_the_next_one() {
    let stage = Stage::new(RULES);
    let mut first = stage.sits("r").await;
    let mut second = waits(&stage, &first).await;
    stage.hands_over(&mut first).await;
    assert!(second.is_seated());
    second.control.take();
    let mut third = waits(&stage, &second).await;
    let seat = first.seat.clone().unwrap();
    stage.ports.released.send(Released { seat, handed: Handed::default() }).unwrap();
    settle().await;
    assert!(!third.is_seated());
}

#[actix_rt::test]
async fn a_claim_whose_asker_is_gone_leaves_no_row() {
    let stage = Stage::new(RULES);
    let (reply, answer) = rjabberd_actors::reply();
    let (deliver, _inbox) = rjabberd_actors::probe::Probe::start(8);
    let (control, _orders) = rjabberd_actors::probe::Probe::start(8);
    let claim = rjabberd_session_manager::Claim {
        account: account(),
        resource: rjabberd_session_manager::Resource::Named("r".to_owned()),
        guest: false,
        epoch: 0,
        deliver,
        control,
        reply,
    };
    drop(answer);
    stage.ports.claim.send(claim).unwrap();
    settle().await;
    assert!(!stage.table.is_bound(&jid("r")));
    assert_eq!(stage.table.sessions(), 0);
    stage.sits("r").await;
}

#[actix_rt::test]
async fn what_is_handed_to_an_asker_that_is_gone_comes_back_and_the_next_one_is_seated() {
    let stage = Stage::new(RULES);
    let mut old = stage.sits("r").await;
    assert!(stage.sends(&jid("r"), "1"));
    settle().await;
    let (reply, answer) = rjabberd_actors::reply();
    let (deliver, _inbox) = rjabberd_actors::probe::Probe::start(8);
    let (control, _orders) = rjabberd_actors::probe::Probe::start(8);
    let claim = rjabberd_session_manager::Claim {
        account: account(),
        resource: rjabberd_session_manager::Resource::Named("r".to_owned()),
        guest: false,
        epoch: 0,
        deliver,
        control,
        reply,
    };
    stage.ports.claim.send(claim).unwrap();
    let mut next = stage.asks(Some("r"), 64);
    settle().await;
    drop(answer);
    stage.hands_over(&mut old).await;
    pass(Duration::from_millis(1300)).await;
    assert!(next.is_seated(), "whoever waits behind one that is gone does not wait for it");
    assert!(next.is_owed(), "and what is owed is not lost");
    let written = next.writes();
    let back = stage.back.ids();
    assert_eq!([written, back].concat(), ["1"], "once, there or back");
    assert_eq!(stage.table.sessions(), 1);
}

fn made(prefix: &str) -> Resource {
    Resource::Made { prefix: prefix.to_owned() }
}

fn own() -> Resource {
    Resource::Own("r".to_owned())
}

const REFUSES: Rules = Rules { conflict: ConflictPolicy::Refuse, ..RULES };

#[actix_rt::test]
async fn a_resource_that_the_server_makes_begins_as_it_was_asked_to_and_no_two_are_the_same() {
    let stage = Stage::new(REFUSES);
    let mut sessions = [(); 3].map(|()| stage.asks_for(made("Client/"), false));
    settle().await;
    let name = |session: &mut Session| {
        assert!(session.is_seated());
        session.seat.as_ref().unwrap().jid().resource().to_string()
    };
    let mut resources: Vec<_> = sessions.iter_mut().map(name).collect();
    assert!(resources.iter().all(|resource| resource.starts_with("Client/") && resource.len() == 23));
    resources.sort();
    resources.dedup();
    assert_eq!(resources.len(), 3);
}

#[actix_rt::test]
async fn a_resource_that_would_be_too_long_is_refused() {
    let stage = Stage::new(RULES);
    let mut session = stage.asks_for(made(&"x".repeat(1_020)), false);
    settle().await;
    assert!(!session.is_seated());
    assert_eq!(session.refusal(), Some(ClaimRefused::Conflict));
}

async fn takes_its_own_resource_back(rules: Rules) {
    let stage = Stage::new(rules);
    let mut old = stage.asks_for(own(), false);
    settle().await;
    assert!(old.is_seated(), "where nobody is, it is bound at once");
    assert!(stage.sends(&jid("r"), "1"));
    let mut new = stage.asks_for(own(), false);
    settle().await;
    assert!(!new.is_seated() && new.refusal().is_none());
    stage.hands_over(&mut old).await;
    assert!(new.is_seated());
    assert_eq!(new.writes(), ["1"]);
    assert_eq!(stage.table.sessions(), 1);
}

#[actix_rt::test]
async fn a_client_takes_its_own_resource_back() {
    takes_its_own_resource_back(RULES).await;
}

#[actix_rt::test]
async fn a_client_takes_its_own_resource_back_also_where_others_would_be_refused() {
    takes_its_own_resource_back(REFUSES).await;
}

#[actix_rt::test]
async fn a_client_that_comes_back_makes_it_no_more_sessions() {
    let stage = Stage::new(Rules { sessions_per_account_max: 1, ..REFUSES });
    let mut old = stage.asks_for(own(), false);
    settle().await;
    assert!(old.is_seated());
    let (mut made, mut again) = (stage.asks_for(made(""), false), stage.asks_for(own(), false));
    settle().await;
    assert_eq!(made.refusal(), Some(ClaimRefused::TooManySessions));
    assert!(!made.is_seated());
    stage.hands_over(&mut old).await;
    assert!(again.is_seated());
}

async fn asks_while_a_client_waits_for_its_own_resource(rules: Rules, refusal: Option<ClaimRefused>) {
    let stage = Stage::new(rules);
    let mut old = stage.sits("r").await;
    let (mut own, mut other) = (stage.asks_for(own(), false), stage.asks(Some("r"), 64));
    settle().await;
    assert_eq!(other.refusal(), refusal);
    stage.hands_over(&mut old).await;
    assert!(own.is_seated() && !other.is_seated());
}

#[actix_rt::test]
async fn while_a_client_waits_for_its_own_resource_others_wait_behind_it() {
    asks_while_a_client_waits_for_its_own_resource(RULES, None).await;
}

#[actix_rt::test]
async fn while_a_client_waits_for_its_own_resource_others_are_refused_where_the_rules_say_so() {
    asks_while_a_client_waits_for_its_own_resource(REFUSES, Some(ClaimRefused::Conflict)).await;
}

#[actix_rt::test]
async fn a_guest_has_one_session_and_nobody_else_gets_into_its_account() {
    let stage = Stage::new(RULES);
    let mut guest = stage.asks_for(own(), true);
    settle().await;
    assert!(guest.is_seated() && guest.seat.as_ref().unwrap().is_guest());
    assert!(stage.table.is_guest(&account()));
    for (resource, is_guest) in [(own(), true), (made(""), true), (own(), false), (made(""), false)] {
        let mut second = stage.asks_for(resource, is_guest);
        settle().await;
        assert!(!second.is_seated());
        assert_eq!(second.refusal(), Some(ClaimRefused::TooManySessions));
    }
    assert_eq!(guest.control.take(), []);
    stage.releases(guest.seat.as_ref().unwrap()).await;
    settle().await;
    assert!(!stage.table.is_guest(&account()));
    let one = stage.sits("r").await;
    assert!(!one.seat.as_ref().unwrap().is_guest() && !stage.table.is_guest(&account()));
    let mut guest = stage.asks_for(made(""), true);
    settle().await;
    assert!(!guest.is_seated(), "nor does a guest get into another's");
    assert_eq!(guest.refusal(), Some(ClaimRefused::TooManySessions));
}
