//! Rosters (RFC 6121, 2): who is told of what, versions, errors, and one that is long.

use std::collections::BTreeSet;

use rjabberd_testkit::{Client, Node, Play};

use super::said::{attends, befriend, heard, hears, presence, roster, says, settle};

const ROSTER: &str = "jabber:iq:roster";

/// A roster set with this inside the query.
fn set(inside: &str) -> String {
    format!("<iq type='set' id='set'><query xmlns='{ROSTER}'>{inside}</query></iq>")
}

/// A roster get with these attributes of the query.
fn get(attributes: &str) -> String {
    format!("<iq type='get' id='get'><query xmlns='{ROSTER}'{attributes}/></iq>")
}

fn remove(jid: &str) -> String {
    set(&format!("<item jid='{jid}' subscription='remove'/>"))
}

/// The answer to a roster get with these attributes.
#[track_caller]
fn answer(client: &mut Client, attributes: &str) -> Node {
    let answers = client.sends(&get(attributes)).settles();
    answers.into_iter().find(|node| node.attribute("id") == Some("get")).expect("an answer")
}

fn romeo() -> Play {
    let mut play = Play::without_tls(&[]);
    play.enters("romeo/orchard");
    play
}

#[test]
fn a_new_account_has_an_empty_roster() {
    let mut play = romeo();
    let answer = answer(play.client("romeo/orchard"), "");
    let query = answer.child("query").expect("a query, though it is empty");
    assert!(answer.attribute("type") == Some("result") && query.children.is_empty(), "{answer}");
}

#[test]
fn items_are_set_changed_and_removed_and_only_interested_resources_are_told() {
    let mut play = romeo();
    play.returns("romeo/garden");
    roster(play.returns("romeo/hall"));
    let item = "<item jid='juliet@localhost' name='Jul&amp;iet'><group>Friends</group><group>Love &lt;3</group></item>";
    // Who sets is no interested resource for it.
    says(&mut play, "romeo/orchard", &set(item), &["iq result set"]);
    hears(&mut play, "romeo/garden", &[]);
    let pushed = format!(
        "<iq type='set' id='*' to='romeo@localhost/hall'><query xmlns='{ROSTER}' ver='*'>\
         <item jid='juliet@localhost' name='Jul&amp;iet' subscription='none' ask='!'>\
         <group>Friends</group><group>Love &lt;3</group></item></query></iq>"
    );
    play.client("romeo/hall").gets(&pushed).gets_nothing();
    // What is left out is gone; what a client says of the subscription is ignored (2.1.5).
    let item = "<item jid='Juliet@LOCALHOST' subscription='both' ask='subscribe' approved='true'/>";
    says(&mut play, "romeo/orchard", &set(item), &["iq result set"]);
    let push = play.client("romeo/hall").takes();
    let item = push.find("item").expect("an item");
    assert!(item.children.is_empty() && item.attribute("name").is_none(), "{push}");
    assert_eq!((item.attribute("subscription"), item.attribute("ask")), (Some("none"), None), "{push}");
    assert_eq!(item.attribute("approved"), None, "{push}");
    assert_eq!(roster(play.client("romeo/garden")), ["juliet@localhost none"]);
    says(
        &mut play,
        "romeo/garden",
        &remove("juliet@localhost"),
        &["push juliet@localhost remove", "iq result set"],
    );
    hears(&mut play, "romeo/hall", &["push juliet@localhost remove"]);
    hears(&mut play, "romeo/orchard", &[]);
    assert_eq!(roster(play.client("romeo/garden")), [""]);
}

#[test]
fn what_a_roster_holds_is_there_after_the_power_cut() {
    let mut play = romeo();
    let item = "<item jid='juliet@localhost' name='J'><group>A</group></item>";
    play.client("romeo/orchard").sends(&set(item)).gets("<iq type='result' id='set'/>");
    play.server.kill();
    play.server.run();
    play.returns("romeo/orchard").sends(&get("")).gets(
        "<iq type='result' id='get'><query><item jid='juliet@localhost' name='J'><group>A</group></item></query></iq>",
    );
}

#[test]
fn a_version_that_is_the_servers_saves_the_roster_and_another_does_not() {
    let mut play = romeo();
    let romeo = play.client("romeo/orchard");
    assert!(romeo.features().child("ver").is_some(), "2.6.1: {:?}", romeo.features());
    romeo.sends(&set("<item jid='juliet@localhost'/>")).gets("<iq type='result' id='set'/>");
    let whole = answer(romeo, " ver=''");
    let version =
        whole.child("query").and_then(|query| query.attribute("ver")).expect("a version").to_owned();
    assert!(whole.find("item").is_some());
    let same = answer(romeo, &format!(" ver='{version}'"));
    assert!(same.attribute("type") == Some("result") && same.children.is_empty(), "{same}");
    // A push has the version that it makes.
    romeo.sends(&set("<item jid='nurse@localhost'/>"));
    let push = romeo.takes();
    let pushed = push.child("query").and_then(|query| query.attribute("ver")).expect("a version").to_owned();
    assert_ne!(pushed, version);
    romeo.gets("<iq type='result' id='set'/>");
    let old = answer(romeo, &format!(" ver='{version}'"));
    assert_eq!(old.child("query").map(|query| query.children.len()), Some(2), "{old}");
    assert_eq!(old.child("query").and_then(|query| query.attribute("ver")), Some(pushed.as_str()));
    assert!(answer(romeo, &format!(" ver='{pushed}'")).children.is_empty());
    assert!(answer(romeo, " ver='nonsense'").find("item").is_some());
    // It holds over sessions, and over a restart.
    play.server.kill();
    play.server.run();
    assert!(answer(play.returns("romeo/orchard"), &format!(" ver='{pushed}'")).children.is_empty());
}

#[test]
fn a_version_is_another_after_each_change_of_the_subscription() {
    let mut play = Play::without_tls(&[]);
    attends(&mut play, "romeo/orchard");
    attends(&mut play, "juliet/balcony");
    let mut versions = BTreeSet::new();
    let mut note = |play: &mut Play| {
        for element in play.client("romeo/orchard").settles() {
            let version = element.child("query").and_then(|query| query.attribute("ver"));
            versions.extend(version.map(str::to_owned));
        }
        let last = answer(play.client("romeo/orchard"), " ver=''");
        assert!(versions.contains(last.child("query").unwrap().attribute("ver").unwrap()), "{last}");
    };
    play.client("romeo/orchard").sends(&presence("subscribe", "juliet@localhost"));
    note(&mut play);
    play.client("juliet/balcony").sends(&presence("subscribed", "romeo@localhost")).settles();
    note(&mut play);
    play.client("juliet/balcony").sends(&presence("unsubscribed", "romeo@localhost")).settles();
    note(&mut play);
    assert!(versions.len() >= 3, "{versions:?}");
}

#[test]
fn what_is_no_roster_set_is_refused_as_the_rfc_says() {
    let mut play = romeo();
    let long = "x".repeat(1_024);
    let many: String = (0..101).map(|number| format!("<group>{number}</group>")).collect();
    let rows = [
        (String::new(), "bad-request"),
        ("<item jid='a@localhost'/><item jid='b@localhost'/>".to_owned(), "bad-request"),
        ("<item/>".to_owned(), "bad-request"),
        ("<item jid='@@'/>".to_owned(), "jid-malformed"),
        ("<item jid=''/>".to_owned(), "jid-malformed"),
        ("<item jid='a@localhost/resource'/>".to_owned(), "bad-request"),
        ("<item jid='a@localhost'><group>A</group><group>A</group></item>".to_owned(), "bad-request"),
        ("<item jid='a@localhost'><group/></item>".to_owned(), "not-acceptable"),
        (format!("<item jid='a@localhost' name='{long}'/>"), "not-acceptable"),
        (format!("<item jid='a@localhost'><group>{long}</group></item>"), "not-acceptable"),
        (format!("<item jid='a@localhost'>{many}</item>"), "not-acceptable"),
        ("<item jid='romeo@localhost'/>".to_owned(), "not-allowed"),
        ("<item jid='a@localhost' subscription='remove'/>".to_owned(), "item-not-found"),
        ("<item subscription='remove'/>".to_owned(), "bad-request"),
    ];
    for (inside, condition) in rows {
        let refused = format!("iq error {condition}");
        says(&mut play, "romeo/orchard", &set(&inside), &[refused.as_str()]);
    }
    assert_eq!(roster(play.client("romeo/orchard")), [""]);
}

#[test]
fn the_roster_of_another_is_forbidden() {
    let mut play = romeo();
    play.enters("juliet/balcony");
    befriend(&mut play, "romeo/orchard", "juliet/balcony");
    for to in ["juliet@localhost", "nobody@localhost"] {
        for kind in ["get", "set"] {
            let inside = if kind == "set" { "<item jid='nurse@localhost'/>" } else { "" };
            let request =
                format!("<iq type='{kind}' id='r' to='{to}'><query xmlns='{ROSTER}'>{inside}</query></iq>");
            says(&mut play, "romeo/orchard", &request, &["iq error forbidden"]);
        }
    }
    assert_eq!(roster(play.client("juliet/balcony")), ["romeo@localhost both"]);
    // One's own, by its address.
    let own = format!("<iq type='get' id='r' to='romeo@localhost'><query xmlns='{ROSTER}'/></iq>");
    says(&mut play, "romeo/orchard", &own, &["iq result r"]);
}

#[test]
fn the_answer_of_a_client_to_a_push_goes_nowhere() {
    let mut play = romeo();
    roster(play.client("romeo/orchard"));
    play.client("romeo/orchard").sends(&set("<item jid='juliet@localhost'/>"));
    let id = play.client("romeo/orchard").takes().attribute("id").expect("an id").to_owned();
    play.client("romeo/orchard").gets("<iq type='result' id='set'/>");
    says(&mut play, "romeo/orchard", &format!("<iq type='result' id='{id}'/>"), &[]);
    says(&mut play, "romeo/orchard", &format!("<iq type='result' id='{id}' to='romeo@localhost'/>"), &[]);
}

#[test]
fn a_removed_contact_is_unsubscribed_both_ways_and_sees_him_leave() {
    let mut play = Play::without_tls(&[]);
    attends(&mut play, "romeo/orchard");
    attends(&mut play, "juliet/balcony");
    befriend(&mut play, "romeo/orchard", "juliet/balcony");
    let mut comes = settle(play.client("romeo/orchard").sends(&remove("juliet@localhost")));
    comes.sort();
    assert_eq!(
        comes,
        ["iq result set", "push juliet@localhost remove", "unavailable juliet@localhost/balcony"]
    );
    let comes = heard(play.client("juliet/balcony"));
    let at = |what: &str| {
        let found: Vec<_> = (0..comes.len()).filter(|at| comes[*at] == what).collect();
        assert_eq!(found.len(), 1, "{what} in {comes:?}");
        found[0]
    };
    assert!(at("unavailable romeo@localhost/orchard") < at("unsubscribed romeo@localhost"));
    assert!(at("unsubscribe romeo@localhost") < at("push romeo@localhost none"));
    assert_eq!(comes.last().map(String::as_str), Some("push romeo@localhost none"));
    assert_eq!(roster(play.client("romeo/orchard")), [""]);
    assert_eq!(roster(play.client("juliet/balcony")), ["romeo@localhost none"]);
    // Neither sees the other any more.
    for name in ["romeo/orchard", "juliet/balcony"] {
        play.client(name).sends("<presence type='unavailable'/>").settles();
        assert_eq!(settle(play.client(name).sends("<presence/>")).len(), 1);
    }
}

#[test]
fn a_removed_contact_that_was_asked_is_not_asked_any_more() {
    let mut play = Play::without_tls(&[]);
    attends(&mut play, "romeo/orchard");
    attends(&mut play, "juliet/balcony");
    play.client("juliet/balcony").leaves();
    play.client("romeo/orchard").sends(&presence("subscribe", "juliet@localhost")).settles();
    play.client("romeo/orchard").forgets();
    says(
        &mut play,
        "romeo/orchard",
        &remove("juliet@localhost"),
        &["push juliet@localhost remove", "iq result set"],
    );
    let comes = settle(play.returns("juliet/balcony").sends("<presence/>"));
    assert_eq!(comes, ["available juliet@localhost/balcony"]);
}

#[test]
fn a_full_roster_takes_no_more_and_says_so() {
    let mut play = Play::without_tls(&["limits.roster_items_max = 3"]);
    attends(&mut play, "romeo/orchard");
    for number in 0..3 {
        play.client("romeo/orchard").sends(&set(&format!("<item jid='c{number}@localhost'/>"))).settles();
    }
    play.client("romeo/orchard").forgets();
    says(&mut play, "romeo/orchard", &set("<item jid='more@localhost'/>"), &["iq error policy-violation"]);
    // What is there can be changed; a request is a new item.
    says(
        &mut play,
        "romeo/orchard",
        &set("<item jid='c1@localhost' name='x'/>"),
        &["push c1@localhost none", "iq result set"],
    );
    attends(&mut play, "juliet/balcony");
    says(
        &mut play,
        "romeo/orchard",
        &presence("subscribe", "juliet@localhost"),
        &["presence error policy-violation"],
    );
    hears(&mut play, "juliet/balcony", &[]);
    says(&mut play, "romeo/orchard", &remove("c0@localhost"), &["push c0@localhost remove", "iq result set"]);
    says(
        &mut play,
        "romeo/orchard",
        &set("<item jid='more@localhost'/>"),
        &["push more@localhost none", "iq result set"],
    );
}

/// Items of a roster that is long.
const ITEMS: usize = 5_000;
/// Sessions that set them, so that the store commits many at a time.
const SETTERS: usize = 50;

#[test]
fn a_roster_of_five_thousand_items_arrives_whole_before_what_came_meanwhile() {
    let mut play = Play::without_tls(&[
        "listen.c2s.shaper = 'none'",
        "log.level = 'info'",
        "limits.sessions_per_account_max = 100",
    ]);
    play.enters("romeo/orchard");
    let mut setters: Vec<_> = (0..SETTERS).map(|number| play.logged_in(&format!("romeo/{number}"))).collect();
    let name = "n".repeat(300);
    for (number, setter) in setters.iter_mut().enumerate() {
        let sets: String = (number..ITEMS)
            .step_by(SETTERS)
            .map(|item| set(&format!("<item jid='c{item}@localhost' name='{name}'><group>G</group></item>")))
            .collect();
        setter.sends(&sets);
    }
    for setter in &mut setters {
        for _ in 0..ITEMS / SETTERS {
            setter.gets("<iq type='result' id='set'/>");
        }
        setter.vanishes();
    }
    play.enters("juliet/balcony");
    // Nothing is read until the messages have been taken: the roster is more than the kernel holds.
    play.client("romeo/orchard").sends("<presence/>").settles();
    play.client("romeo/orchard").sends(&get("")).begins_to_get();
    for number in 0..100 {
        play.client("juliet/balcony").says("romeo@localhost/orchard", &format!("m{number}"));
    }
    play.client("juliet/balcony").settles();
    play.client("romeo/orchard").sends("<iq type='get' id='behind'><ping xmlns='urn:xmpp:ping'/></iq>");
    let romeo = play.client("romeo/orchard");
    let whole = romeo.takes();
    assert_eq!((whole.attribute("id"), whole.attribute("type")), (Some("get"), Some("result")));
    let items: BTreeSet<_> =
        whole.children[0].children.iter().filter_map(|item| item.attribute("jid")).collect();
    assert_eq!((items.len(), whole.children[0].children.len()), (ITEMS, ITEMS));
    for number in 0..100 {
        romeo.hears(&format!("m{number}"));
    }
    romeo.gets("<iq type='result' id='behind'/>");
}
