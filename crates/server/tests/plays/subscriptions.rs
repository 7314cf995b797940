//! Presence subscriptions (RFC 6121, 3): each stanza and each push, on both sides, in the RFC's order.

use std::collections::BTreeSet;

use rjabberd_testkit::{Client, Hash, PASSWORD, Play};

use super::said::{attends, befriend, heard, hears, presence, roster, says, settle, watches};

const ROMEO: &str = "romeo@localhost";
const JULIET: &str = "juliet@localhost";

/// Romeo and Juliet, available and interested.
fn pair() -> Play {
    let mut play = Play::without_tls(&[]);
    attends(&mut play, "romeo/orchard");
    attends(&mut play, "juliet/balcony");
    play
}

/// Romeo asks, and Juliet, in whose roster he is, must answer.
#[track_caller]
fn is_asked(play: &mut Play) {
    says(play, "romeo/orchard", &presence("subscribe", JULIET), &["push juliet@localhost none ask"]);
    let asked = heard(play.client("juliet/balcony"));
    // A push that says nothing new may follow.
    assert_eq!(asked[0], "subscribe romeo@localhost");
}

#[test]
fn the_whole_handshake_is_that_of_the_rfc_on_both_sides() {
    let mut play = pair();
    // 3.1.2 and 3.1.3: nothing is pushed to who is asked.
    says(&mut play, "romeo/orchard", &presence("subscribe", JULIET), &["push juliet@localhost none ask"]);
    hears(&mut play, "juliet/balcony", &["subscribe romeo@localhost"]);
    // 3.1.5 and 3.1.6.
    says(&mut play, "juliet/balcony", &presence("subscribed", ROMEO), &["push romeo@localhost from"]);
    let approved =
        ["subscribed juliet@localhost", "push juliet@localhost to", "available juliet@localhost/balcony"];
    hears(&mut play, "romeo/orchard", &approved);
    // The other direction.
    says(&mut play, "juliet/balcony", &presence("subscribe", ROMEO), &["push romeo@localhost from ask"]);
    let asked = heard(play.client("romeo/orchard"));
    assert_eq!(asked[0], "subscribe juliet@localhost");
    says(&mut play, "romeo/orchard", &presence("subscribed", JULIET), &["push juliet@localhost both"]);
    let approved =
        ["subscribed romeo@localhost", "push romeo@localhost both", "available romeo@localhost/orchard"];
    hears(&mut play, "juliet/balcony", &approved);
    for (name, item) in
        [("romeo/orchard", "juliet@localhost both"), ("juliet/balcony", "romeo@localhost both")]
    {
        assert_eq!(roster(play.client(name)), [item]);
    }
}

#[test]
fn a_canceled_subscription_shows_the_user_leave_before_it_says_so() {
    let mut play = pair();
    befriend(&mut play, "romeo/orchard", "juliet/balcony");
    // 3.2.2 and 3.2.3.
    says(&mut play, "juliet/balcony", &presence("unsubscribed", ROMEO), &["push romeo@localhost to"]);
    let canceled = [
        "unavailable juliet@localhost/balcony",
        "unsubscribed juliet@localhost",
        "push juliet@localhost from",
    ];
    hears(&mut play, "romeo/orchard", &canceled);
    // Once more: nothing changes, and nothing goes out (A.2.4).
    says(&mut play, "juliet/balcony", &presence("unsubscribed", ROMEO), &[]);
    hears(&mut play, "romeo/orchard", &[]);
    // Juliet still sees Romeo, Romeo no longer Juliet.
    says(
        &mut play,
        "romeo/orchard",
        "<presence><show>away</show></presence>",
        &["available romeo@localhost/orchard away"],
    );
    hears(&mut play, "juliet/balcony", &["available romeo@localhost/orchard away"]);
    says(
        &mut play,
        "juliet/balcony",
        "<presence><show>dnd</show></presence>",
        &["available juliet@localhost/balcony dnd"],
    );
    hears(&mut play, "romeo/orchard", &[]);
}

#[test]
fn who_unsubscribes_sees_the_contact_leave() {
    let mut play = pair();
    befriend(&mut play, "romeo/orchard", "juliet/balcony");
    // 3.3.2 and 3.3.3.
    let seen = settle(play.client("romeo/orchard").sends(&presence("unsubscribe", JULIET)));
    assert_eq!(seen, ["push juliet@localhost from", "unavailable juliet@localhost/balcony"]);
    hears(&mut play, "juliet/balcony", &["unsubscribe romeo@localhost", "push romeo@localhost to"]);
    assert_eq!(roster(play.client("romeo/orchard")), ["juliet@localhost from"]);
    assert_eq!(roster(play.client("juliet/balcony")), ["romeo@localhost to"]);
    // Once more: the contact is not told again (A.3.2).
    says(&mut play, "romeo/orchard", &presence("unsubscribe", JULIET), &[]);
    hears(&mut play, "juliet/balcony", &[]);
}

#[test]
fn a_denied_request_leaves_nothing_asked_for() {
    let mut play = pair();
    says(&mut play, "romeo/orchard", &presence("subscribe", JULIET), &["push juliet@localhost none ask"]);
    hears(&mut play, "juliet/balcony", &["subscribe romeo@localhost"]);
    says(&mut play, "juliet/balcony", &presence("unsubscribed", ROMEO), &[]);
    hears(&mut play, "romeo/orchard", &["unsubscribed juliet@localhost", "push juliet@localhost none"]);
    assert_eq!(roster(play.client("juliet/balcony")), [""]);
    // It may be asked again, and is delivered again.
    says(&mut play, "romeo/orchard", &presence("subscribe", JULIET), &["push juliet@localhost none ask"]);
    hears(&mut play, "juliet/balcony", &["subscribe romeo@localhost"]);
}

#[test]
fn a_request_that_was_taken_back_does_not_come_at_the_next_login() {
    let mut play = pair();
    play.client("juliet/balcony").leaves();
    says(&mut play, "romeo/orchard", &presence("subscribe", JULIET), &["push juliet@localhost none ask"]);
    says(&mut play, "romeo/orchard", &presence("unsubscribe", JULIET), &["push juliet@localhost none"]);
    says(&mut play, "romeo/orchard", &presence("subscribe", JULIET), &["push juliet@localhost none ask"]);
    says(&mut play, "romeo/orchard", &presence("unsubscribe", JULIET), &["push juliet@localhost none"]);
    let juliet = play.returns("juliet/balcony");
    assert_eq!(settle(juliet.sends("<presence/>")), ["available juliet@localhost/balcony"]);
}

#[test]
fn a_request_comes_whole_at_each_login_until_it_is_answered_and_only_once() {
    let mut play = pair();
    play.client("juliet/balcony").leaves();
    let romeo = play.client("romeo/orchard");
    for number in 1..=3 {
        romeo
            .sends(&format!(
                "<presence type='subscribe' to='{JULIET}' id='r{number}'><status>please {number}</status></presence>"
            ))
            .settles();
    }
    for resource in ["balcony", "chamber", "balcony"] {
        let name = format!("juliet/{resource}");
        let juliet = play.returns(&name);
        let comes = juliet.sends("<presence/>").settles();
        let requests: Vec<_> =
            comes.iter().filter(|node| node.attribute("type") == Some("subscribe")).collect();
        assert_eq!(requests.len(), 1, "one request: {comes:?}");
        assert_eq!(requests[0].attribute("from"), Some(ROMEO));
        assert_eq!(requests[0].attribute("to"), Some(JULIET));
        assert_eq!(requests[0].attribute("id"), Some("r1"), "the one that is kept is the first");
        assert_eq!(requests[0].child("status").map(|status| status.text.as_str()), Some("please 1"));
        // A later presence is no login.
        assert!(
            !settle(juliet.sends("<presence><show>away</show></presence>"))
                .iter()
                .any(|said| said.starts_with("subscribe"))
        );
        juliet.leaves();
    }
    // Also at a login that comes back on one stream.
    let juliet = play.returns("juliet/balcony");
    juliet.sends("<presence/>").settles();
    juliet.sends("<presence type='unavailable'/>").settles();
    assert!(settle(juliet.sends("<presence/>")).contains(&"subscribe romeo@localhost".to_owned()));
    juliet.sends(&presence("subscribed", ROMEO)).settles();
    juliet.sends("<presence type='unavailable'/>").settles();
    let comes = settle(juliet.sends("<presence/>"));
    assert_eq!(comes, ["available juliet@localhost/balcony"], "it is answered");
}

#[test]
fn a_request_is_kept_over_a_restart() {
    let mut play = pair();
    play.client("juliet/balcony").leaves();
    play.client("romeo/orchard").sends(&presence("subscribe", JULIET)).settles();
    play.server.kill();
    play.server.run();
    let comes = settle(play.returns("juliet/balcony").sends("<presence/>"));
    assert_eq!(comes, ["available juliet@localhost/balcony", "subscribe romeo@localhost"]);
}

#[test]
fn a_request_that_was_approved_before_is_answered_at_once() {
    let mut play = pair();
    // 3.4.2: nothing goes to Romeo.
    says(
        &mut play,
        "juliet/balcony",
        &presence("subscribed", ROMEO),
        &["push romeo@localhost none approved"],
    );
    hears(&mut play, "romeo/orchard", &[]);
    let comes = settle(play.client("romeo/orchard").sends(&presence("subscribe", JULIET)));
    let granted = [
        "push juliet@localhost none ask",
        "subscribed juliet@localhost",
        "push juliet@localhost to",
        "available juliet@localhost/balcony",
    ];
    assert_eq!(comes, granted);
    let approver = heard(play.client("juliet/balcony"));
    assert_eq!(approver, ["push romeo@localhost from"], "the request is not delivered");
    // The approval is used up with it.
    says(&mut play, "juliet/balcony", &presence("unsubscribed", ROMEO), &["push romeo@localhost none"]);
    play.client("romeo/orchard").forgets();
    is_asked(&mut play);
}

#[test]
fn an_approval_that_was_given_before_can_be_taken_back() {
    let mut play = pair();
    says(
        &mut play,
        "juliet/balcony",
        &presence("subscribed", ROMEO),
        &["push romeo@localhost none approved"],
    );
    says(&mut play, "juliet/balcony", &presence("unsubscribed", ROMEO), &["push romeo@localhost none"]);
    hears(&mut play, "romeo/orchard", &[]);
    is_asked(&mut play);
}

#[test]
fn a_probe_does_not_take_an_approval_back() {
    let mut play = pair();
    play.client("juliet/balcony").sends(&presence("subscribed", ROMEO)).settles();
    says(&mut play, "romeo/orchard", &presence("probe", JULIET), &["unsubscribed juliet@localhost"]);
    assert_eq!(roster(play.client("juliet/balcony")), ["romeo@localhost none approved"]);
}

#[test]
fn a_contact_that_does_not_exist_answers_unsubscribed() {
    let mut play = pair();
    let nobody = "nobody@localhost";
    let comes = settle(play.client("romeo/orchard").sends(&presence("subscribe", nobody)));
    assert_eq!(
        comes,
        ["push nobody@localhost none ask", "unsubscribed nobody@localhost", "push nobody@localhost none"]
    );
    // Whoever gets the address later is not asked.
    attends(&mut play, "nobody/new");
    hears(&mut play, "nobody/new", &[]);
    for kind in ["subscribed", "unsubscribed", "unsubscribe"] {
        play.client("romeo/orchard").sends(&presence(kind, "none@localhost")).settles();
    }
}

#[test]
fn nobody_subscribes_to_himself() {
    let mut play = pair();
    for kind in ["subscribe", "subscribed", "unsubscribe", "unsubscribed"] {
        for to in [ROMEO, "romeo@localhost/orchard", "romeo@localhost/other"] {
            says(&mut play, "romeo/orchard", &presence(kind, to), &[]);
        }
    }
    assert_eq!(roster(play.client("romeo/orchard")), [""]);
}

#[test]
fn a_subscription_to_the_server_comes_to_nothing() {
    let mut play = pair();
    for kind in ["subscribe", "subscribed", "unsubscribe", "unsubscribed"] {
        play.client("romeo/orchard").sends(&presence(kind, "localhost")).settles();
    }
    assert_eq!(roster(play.client("romeo/orchard")), [""]);
}

#[test]
fn between_accounts_neither_resource_is_told() {
    let mut play = pair();
    play.client("romeo/orchard").sends(&presence("subscribe", "juliet@localhost/balcony")).settles();
    play.client("juliet/balcony")
        .gets("<presence type='subscribe' from='romeo@localhost' to='juliet@localhost'/>")
        .sends(&presence("subscribed", "romeo@localhost/orchard"))
        .settles();
    play.client("romeo/orchard")
        .gets("<presence type='subscribed' from='juliet@localhost' to='romeo@localhost'/>")
        .gets("<iq type='set'><query/></iq>")
        .gets("<presence from='juliet@localhost/balcony' to='romeo@localhost'/>");
}

#[test]
fn requests_reach_available_resources_and_answers_interested_ones() {
    let mut play = pair();
    // Connected only; interested only; available only; both.
    play.returns("juliet/connected").settles();
    roster(play.returns("juliet/interested"));
    play.returns("juliet/available").sends("<presence/>").settles();
    let all = ["juliet/connected", "juliet/interested", "juliet/available", "juliet/balcony"];
    for name in all {
        play.client(name).forgets();
    }
    play.client("romeo/orchard").sends(&presence("subscribe", JULIET)).settles();
    for (name, comes) in all.into_iter().zip([false, false, true, true]) {
        let wanted: &[&str] = if comes { &["subscribe romeo@localhost"] } else { &[] };
        hears(&mut play, name, wanted);
    }
    play.client("juliet/available").sends(&presence("subscribed", ROMEO)).settles();
    for (name, comes) in all.into_iter().zip([false, true, false, true]) {
        let wanted: &[&str] = if comes { &["push romeo@localhost from"] } else { &[] };
        hears(&mut play, name, wanted);
    }
    play.client("romeo/orchard").forgets();
    play.client("juliet/available").sends(&presence("subscribe", ROMEO)).settles();
    for name in all {
        play.client(name).forgets();
    }
    play.client("romeo/orchard").sends(&presence("subscribed", JULIET)).settles();
    let shown = "available romeo@localhost/orchard";
    let told = ["subscribed romeo@localhost", "push romeo@localhost both"];
    hears(&mut play, "juliet/connected", &[]);
    hears(&mut play, "juliet/interested", &told);
    hears(&mut play, "juliet/available", &[shown]);
    hears(&mut play, "juliet/balcony", &[&told[..], &[shown]].concat());
}

#[test]
fn each_available_resource_is_shown_at_the_approval_and_leaves_at_the_cancellation() {
    let mut play = pair();
    play.returns("juliet/chamber").sends("<presence><priority>-1</priority></presence>").settles();
    play.returns("juliet/connected").settles();
    play.client("romeo/orchard").sends(&presence("subscribe", JULIET)).settles();
    play.client("romeo/orchard").forgets();
    play.client("juliet/balcony").forgets().sends(&presence("subscribed", ROMEO)).settles();
    let mut comes = heard(play.client("romeo/orchard"));
    assert_eq!(
        comes.drain(..2).collect::<Vec<_>>(),
        ["subscribed juliet@localhost", "push juliet@localhost to"]
    );
    comes.sort();
    assert_eq!(comes, ["available juliet@localhost/balcony", "available juliet@localhost/chamber"]);
    play.client("juliet/balcony").sends(&presence("unsubscribed", ROMEO)).settles();
    let mut comes = heard(play.client("romeo/orchard"));
    assert_eq!(
        comes.drain(2..).collect::<Vec<_>>(),
        ["unsubscribed juliet@localhost", "push juliet@localhost none"]
    );
    comes.sort();
    assert_eq!(comes, ["unavailable juliet@localhost/balcony", "unavailable juliet@localhost/chamber"]);
}

#[test]
fn virtual_hosts_subscribe_to_each_other() {
    let mut play = Play::without_tls(&["hosts = ['localhost', 'verona.example']"]);
    attends(&mut play, "romeo/orchard");
    play.server.add_account("juliet@verona.example", PASSWORD);
    let mut juliet = Client::connect("juliet", play.server.address("c2s"), "verona.example");
    juliet.opens_stream().logs_in(Hash::Sha1, "juliet", PASSWORD).binds(Some("balcony"));
    roster(&mut juliet);
    juliet.sends("<presence/>").forgets();
    let contact = "juliet@verona.example";
    says(
        &mut play,
        "romeo/orchard",
        &presence("subscribe", contact),
        &["push juliet@verona.example none ask"],
    );
    assert_eq!(heard(&mut juliet), ["subscribe romeo@localhost"]);
    assert_eq!(settle(juliet.sends(&presence("subscribed", ROMEO))), ["push romeo@localhost from"]);
    let approved = [
        "subscribed juliet@verona.example",
        "push juliet@verona.example to",
        "available juliet@verona.example/balcony",
    ];
    hears(&mut play, "romeo/orchard", &approved);
    juliet.vanishes();
    play.client("romeo/orchard").gets("<presence type='unavailable' from='juliet@verona.example/balcony'/>");
}

#[test]
fn who_asks_somebody_who_approved_already_is_answered_by_the_server() {
    let mut play = pair();
    watches(&mut play, "romeo/orchard", "juliet/balcony");
    // 3.1.3, 2: the contact is not asked again.
    play.client("romeo/orchard").sends(&presence("subscribe", JULIET)).settles();
    hears(&mut play, "juliet/balcony", &[]);
    assert_eq!(roster(play.client("romeo/orchard")), ["juliet@localhost to"]);
}

#[test]
fn fifty_clients_ask_one_account_at_once_and_each_is_answered() {
    let mut play = Play::without_tls(&["log.level = 'info'"]);
    attends(&mut play, "juliet/balcony");
    let names: Vec<String> = (0..50).map(|number| format!("suitor{number}/x")).collect();
    for name in &names {
        attends(&mut play, name);
    }
    for name in &names {
        play.client(name).sends(&presence("subscribe", JULIET));
    }
    let mut asked = BTreeSet::new();
    while asked.len() < names.len() {
        let juliet = play.client("juliet/balcony");
        let node = juliet.takes();
        if node.attribute("type") == Some("subscribe") {
            let from = node.attribute("from").expect("a sender").to_owned();
            juliet.sends(&presence("subscribed", &from));
            assert!(asked.insert(from), "nobody asks twice");
        }
    }
    play.client("juliet/balcony").settles();
    for name in &names {
        let client = play.client(name);
        client.gets_at_last("<presence type='subscribed' from='juliet@localhost'/>");
        assert_eq!(roster(client), ["juliet@localhost to"]);
    }
}
