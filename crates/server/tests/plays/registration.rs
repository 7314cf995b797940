//! In-band registration (XEP-0077): off unless the config says so; create, change the password, remove.

use rjabberd_testkit::{Client, Hash, PASSWORD, Play};

const REGISTER: &str = "jabber:iq:register";

fn stream(play: &Play) -> Client {
    let mut client = play.connects("newcomer");
    client.opens_stream();
    client
}

fn create(user: &str, password: &str) -> String {
    format!(
        "<iq type='set' id='create' to='localhost'><query xmlns='{REGISTER}'><username>{user}</username>\
         <password>{password}</password></query></iq>"
    )
}

fn on() -> Play {
    Play::without_tls(&["registration.enabled = true"])
}

#[test]
fn it_is_off_unless_the_config_says_so() {
    let mut play = Play::without_tls(&[]);
    let mut client = stream(&play);
    assert!(client.features().child("register").is_none());
    client.sends(&create("juliet", "secret"));
    let answer = client.takes();
    assert!(answer.name == "stream:error" || answer.attribute("type") == Some("error"), "{answer:?}");
    let list = play.server.succeeds(&["user", "list"], "");
    assert!(!list.contains("juliet"), "{list}");
    let disco =
        "<iq type='get' id='d' to='localhost'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>";
    let info = play.enters("romeo/orchard").sends(disco).takes();
    assert!(!format!("{info:?}").contains(REGISTER), "what is off is not advertised");
}

#[test]
fn an_account_is_made_and_logs_in_on_the_same_stream() {
    let play = on();
    let mut client = stream(&play);
    assert!(client.features().child("register").is_some());
    client
        .sends(&format!("<iq type='get' id='form' to='localhost'><query xmlns='{REGISTER}'/></iq>"))
        .gets(&format!(
            "<iq type='result' id='form'><query xmlns='{REGISTER}'><instructions/><username/><password/></query></iq>"
        ))
        .sends(&create("juliet", "balcony"))
        .gets("<iq type='result' id='create'/>")
        .logs_in(Hash::Sha256, "juliet", "balcony")
        .binds(None);
    assert!(play.server.succeeds(&["user", "list"], "").contains("juliet@localhost"));
}

#[test]
fn a_name_that_is_taken_is_a_conflict() {
    let play = on();
    play.account("romeo");
    stream(&play)
        .sends(&create("romeo", "mine"))
        .gets("<iq type='error' id='create'><error><conflict/></error></iq>");
    play.logged_in("romeo/orchard");
}

#[test]
fn a_name_or_password_that_cannot_be_is_refused() {
    let play = on();
    for (user, password) in [("", "x"), ("ro meo", "x"), ("romeo", ""), ("a@b", "x")] {
        let answer = stream(&play).sends(&create(user, password)).takes();
        assert_eq!(answer.attribute("type"), Some("error"), "{user:?} {password:?}: {answer:?}");
    }
    assert!(!play.server.succeeds(&["user", "list"], "").contains('@'));
}

#[test]
fn a_changed_password_is_the_only_one_that_works_and_ends_all_sessions_but_the_one_that_changed_it() {
    let mut play = on();
    play.enters("romeo/garden");
    play.returns("romeo/orchard")
        .sends(&format!(
            "<iq type='set' id='change' to='localhost'><query xmlns='{REGISTER}'><username>romeo</username>\
             <password>second</password></query></iq>"
        ))
        .gets("<iq type='result' id='change'/>")
        .gets_nothing();
    play.client("romeo/garden").gets_stream_error("not-authorized");
    let refused = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>";
    stream(&play).fails_to_log_in(Hash::Sha1, "romeo", PASSWORD).gets(refused);
    stream(&play).logs_in(Hash::Sha1, "romeo", "second").binds(None);
}

#[test]
fn attack_24_who_registers_too_often_is_told_so_and_may_log_in() {
    let play =
        Play::without_tls(&["registration.enabled = true", "registration.per_address_per_hour_max = 4"]);
    let refused = "<iq type='error' id='create'><error><not-acceptable/></error></iq>";
    let mut client = stream(&play);
    for user in ["one", "two", "three"] {
        client.sends(&create(user, PASSWORD)).gets("<iq type='result' id='create'/>");
    }
    client.sends(&create("four", PASSWORD)).gets(refused);
    client.logs_in(Hash::Sha1, "one", PASSWORD).binds(None);
    // Loopback is a network that many share, so only the stream counts.
    stream(&play).sends(&create("four", PASSWORD)).gets("<iq type='result' id='create'/>");
    stream(&play).sends(&create("five", PASSWORD)).gets("<iq type='result' id='create'/>");
}

#[test]
fn attack_24_an_address_registers_so_many_accounts_an_hour_however_many_its_streams_are() {
    let play = Play::without_tls(&[
        "registration.enabled = true",
        "registration.per_address_per_hour_max = 1",
        "limits.shared_networks = []",
    ]);
    stream(&play).sends(&create("one", PASSWORD)).gets("<iq type='result' id='create'/>");
    stream(&play)
        .sends(&create("two", PASSWORD))
        .gets("<iq type='error' id='create'><error><not-acceptable/></error></iq>");
    assert!(!play.server.succeeds(&["user", "list"], "").contains("two"));
    play.server.wait_for_log(&["c2s:registration", "too many registrations from 127.0.0.1"]);
}

#[test]
fn nobody_changes_the_password_of_another() {
    let mut play = on();
    play.account("juliet");
    let answer = play
        .enters("romeo/orchard")
        .sends(&format!(
            "<iq type='set' id='change' to='localhost'><query xmlns='{REGISTER}'><username>juliet</username>\
             <password>mine</password></query></iq>"
        ))
        .takes();
    assert_eq!(answer.attribute("type"), Some("error"), "{answer:?}");
    play.logged_in("juliet/balcony");
}

#[test]
fn a_removed_account_loses_its_sessions_and_its_name_is_free() {
    let mut play = on();
    play.enters("romeo/garden");
    let remover = play.returns("romeo/orchard");
    remover
        .sends(&format!(
            "<iq type='set' id='gone' to='localhost'><query xmlns='{REGISTER}'><remove/></query></iq>"
        ))
        .gets("<iq type='result' id='gone'/>")
        .gets_stream_error("not-authorized");
    play.client("romeo/garden").gets_stream_error("not-authorized");
    assert!(!play.server.succeeds(&["user", "list"], "").contains("romeo"));
    stream(&play).sends(&create("romeo", PASSWORD)).gets("<iq type='result' id='create'/>");
    play.logged_in("romeo/orchard");
}
