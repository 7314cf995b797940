//! Who was last there when, and who is told.

use std::sync::atomic::Ordering::SeqCst;

use rjabberd_storage::LastActivity;
use rjabberd_xmpp::BareJid;

use crate::stage::{JULIET, Stage, jid, told};

const LAST: &str = "<query xmlns='jabber:iq:last'/>";
const JULIETS: Option<&str> = Some("juliet@example.net");

/// Juliet lets Romeo see her presence; she left 903 seconds ago.
fn stage() -> Stage {
    let stage = Stage::new();
    stage.has_contact("juliet@example.net", "romeo@example.net", true);
    let left_unix_s = stage.im.now_unix_s() - 903;
    let activity = LastActivity { left_unix_s, status: Some("Heading <Home>".to_owned()) };
    stage.store.kept.lock().activities.insert("juliet@example.net".to_owned(), activity);
    stage
}

fn seconds(seconds: u64) -> String {
    format!("<query xmlns=\"jabber:iq:last\" seconds=\"{seconds}\"/>")
}

#[test]
fn one_who_may_see_an_account_learns_when_it_left() {
    let stage = stage();
    let left = |seconds| {
        format!("<query xmlns=\"jabber:iq:last\" seconds=\"{seconds}\">Heading &lt;Home&gt;</query>")
    };
    assert_eq!(stage.asks("get", JULIETS, LAST), left(903));
    assert_eq!(told(&stage.answer(JULIET, "get", None, LAST)), left(903));
    // A clock that was set back.
    stage.now_unix_s.store(5, SeqCst);
    assert_eq!(stage.asks("get", JULIETS, LAST), left(0));
}

#[test]
fn one_who_may_not_see_it_is_forbidden_to_know() {
    let stage = Stage::new();
    stage.has_contact("juliet@example.net", "romeo@example.net", false);
    stage.has_contact("mercutio@example.net", "benvolio@example.net", true);
    for to in ["juliet@example.net", "mercutio@example.net", "nobody@example.net"] {
        assert_eq!(stage.asks("get", Some(to), LAST), "auth forbidden", "{to}");
    }
}

#[test]
fn one_who_is_blocked_is_forbidden_to_know() {
    let stage = stage();
    stage.im.blocklists.set(&BareJid::new("juliet@example.net").unwrap(), vec![jid("romeo@example.net")]);
    assert_eq!(stage.asks("get", JULIETS, LAST), "auth forbidden");
}

#[actix_rt::test]
async fn an_account_that_is_there_was_active_now() {
    let stage = stage();
    let [juliet] = stage.sit([JULIET]).await;
    assert!(stage.asks("get", JULIETS, LAST).contains("903"), "connected and not available is not there");
    juliet.appears();
    assert_eq!(stage.asks("get", JULIETS, LAST), seconds(0));
}

#[test]
fn what_is_not_saved_yet_counts_already() {
    let stage = stage();
    stage.im.left(&BareJid::new("juliet@example.net").unwrap(), None);
    stage.now_unix_s.fetch_add(7, SeqCst);
    assert_eq!(stage.asks("get", JULIETS, LAST), seconds(7));
}

#[test]
fn an_account_that_was_never_there_is_not_found() {
    assert_eq!(Stage::new().asks("get", None, LAST), "cancel item-not-found");
}

#[test]
fn the_server_tells_for_how_long_it_runs() {
    let answer = Stage::new().asks("get", Some("example.net"), LAST);
    let text = answer.strip_prefix("<query xmlns=\"jabber:iq:last\" seconds=\"").unwrap();
    assert!(text.strip_suffix("\"/>").unwrap().parse::<u64>().unwrap() < 3600, "{answer}");
}

#[test]
fn it_is_only_asked_for() {
    for to in [None, JULIETS, Some("example.net")] {
        assert_eq!(Stage::new().asks("set", to, LAST), "cancel feature-not-implemented");
    }
}

#[test]
fn a_store_that_is_away_is_told() {
    let stage = stage();
    stage.breaks(true);
    for to in [None, JULIETS] {
        assert_eq!(stage.asks("get", to, LAST), "wait resource-constraint");
    }
}
