//! Presence (RFC 6121, 4): who is told what of whom, and when.

use rjabberd_testkit::{PASSWORD, Play};

use super::said::{attends, befriend, heard, hears, presence, roster, said, says, settle, watches};

const UNAVAILABLE: &str = "<presence type='unavailable'/>";

/// Romeo is seen by `from` and `both`, sees `to` and `both`, and neither concerns `none` or `asked`, of whom he wants to
/// see the second.
fn cast() -> Play {
    let mut play = Play::without_tls(&[]);
    for name in ["romeo/orchard", "from/x", "both/x", "to/x", "none/x", "asked/x"] {
        attends(&mut play, name);
    }
    watches(&mut play, "from/x", "romeo/orchard");
    watches(&mut play, "romeo/orchard", "to/x");
    befriend(&mut play, "romeo/orchard", "both/x");
    play.client("romeo/orchard").sends(&presence("subscribe", "asked@localhost")).settles();
    play.client("romeo/orchard").leaves();
    for name in ["from/x", "both/x", "to/x", "none/x", "asked/x"] {
        play.client(name).forgets();
    }
    play
}

#[test]
fn initial_presence_is_told_to_who_may_see_it_and_to_nobody_else() {
    let mut play = cast();
    let romeo = play.returns("romeo/orchard");
    romeo.settles();
    // Connected is not available (RFC 6121, 4.2).
    for name in ["from/x", "both/x", "to/x", "none/x", "asked/x"] {
        hears(&mut play, name, &[]);
    }
    let mut comes =
        settle(play.client("romeo/orchard").sends("<presence id='p'><show>chat</show></presence>"));
    comes.sort();
    assert_eq!(
        comes,
        ["available both@localhost/x", "available romeo@localhost/orchard chat", "available to@localhost/x"]
    );
    for name in ["from/x", "both/x"] {
        let told = play.client(name).collects();
        assert_eq!(told.iter().map(said).collect::<Vec<_>>(), ["available romeo@localhost/orchard chat"]);
        assert_eq!(told[0].attribute("id"), Some("p"), "the full XML: {}", told[0]);
        let account = name.split('/').next().unwrap_or_default();
        assert_eq!(told[0].attribute("to"), Some(format!("{account}@localhost").as_str()));
    }
    for name in ["to/x", "none/x", "asked/x"] {
        hears(&mut play, name, &[]);
    }
}

#[test]
fn subsequent_presence_is_told_to_the_same_and_nobody_is_shown_again() {
    let mut play = cast();
    play.returns("romeo/orchard").sends("<presence/>").settles();
    for name in ["from/x", "both/x"] {
        play.client(name).forgets();
    }
    says(
        &mut play,
        "romeo/orchard",
        "<presence><show>xa</show><priority>-5</priority></presence>",
        &["available romeo@localhost/orchard xa"],
    );
    says(&mut play, "romeo/orchard", "<presence/>", &["available romeo@localhost/orchard"]);
    for name in ["from/x", "both/x"] {
        hears(
            &mut play,
            name,
            &["available romeo@localhost/orchard xa", "available romeo@localhost/orchard"],
        );
    }
    for name in ["to/x", "none/x", "asked/x"] {
        hears(&mut play, name, &[]);
    }
}

#[test]
fn unavailable_presence_is_told_whole_and_presence_after_it_is_initial_again() {
    let mut play = cast();
    play.returns("romeo/orchard").sends("<presence/>").settles();
    play.client("both/x").forgets();
    let going = "<presence type='unavailable' id='u'><status>gone</status></presence>";
    says(&mut play, "romeo/orchard", going, &["unavailable romeo@localhost/orchard"]);
    play.client("both/x").gets(
        "<presence type='unavailable' id='u' from='romeo@localhost/orchard'><status>gone</status></presence>",
    );
    // Not again, and not when the stream ends.
    says(&mut play, "romeo/orchard", UNAVAILABLE, &[]);
    hears(&mut play, "both/x", &[]);
    // What contacts show meanwhile is not for him.
    says(&mut play, "both/x", "<presence><show>away</show></presence>", &["available both@localhost/x away"]);
    hears(&mut play, "romeo/orchard", &[]);
    let mut comes = settle(play.client("romeo/orchard").sends("<presence/>"));
    comes.sort();
    assert_eq!(
        comes,
        ["available both@localhost/x away", "available romeo@localhost/orchard", "available to@localhost/x"]
    );
    hears(&mut play, "both/x", &["available romeo@localhost/orchard"]);
    play.client("romeo/orchard").sends(UNAVAILABLE).leaves();
    hears(&mut play, "both/x", &["unavailable romeo@localhost/orchard"]);
}

#[test]
fn contacts_are_told_of_each_end() {
    let mut play = cast();
    let end = "<presence type='unavailable' from='romeo@localhost/orchard' to='both@localhost'/>";
    // A stream that is closed, a connection that is cut, and a stream error.
    for how in 0..3 {
        play.returns("romeo/orchard").sends("<presence/>").settles();
        play.client("both/x").gets("<presence type='!' from='romeo@localhost/orchard'/>");
        let romeo = play.client("romeo/orchard");
        match how {
            0 => drop(romeo.leaves()),
            1 => romeo.vanishes(),
            _ => drop(romeo.sends("<nonsense/>").gets_stream_error("unsupported-stanza-type")),
        }
        play.client("both/x").gets(end).gets_nothing();
    }
    // Who is not available leaves without a word.
    play.returns("romeo/orchard").leaves();
    hears(&mut play, "both/x", &[]);
}

#[test]
fn contacts_of_a_server_that_stops_or_dies_are_shown_nothing_wrong_later() {
    let mut play = cast();
    play.returns("romeo/orchard").sends("<presence/>").settles();
    play.server.kill();
    play.server.run();
    let comes = settle(play.returns("both/x").sends("<presence/>"));
    assert_eq!(comes, ["available both@localhost/x"]);
}

#[test]
fn contacts_see_nothing_of_a_resource_that_is_taken_over() {
    let mut play = cast();
    play.returns("romeo/orchard").sends("<presence><show>chat</show></presence>").settles();
    hears(&mut play, "both/x", &["available romeo@localhost/orchard chat"]);
    let mut first = play.take("romeo/orchard");
    play.returns("romeo/orchard");
    first.gets_at_last("<stream:error><conflict/></stream:error>").gets_end();
    hears(&mut play, "both/x", &[]);
    // Only the new presence is seen.
    play.client("romeo/orchard").sends("<presence><show>dnd</show></presence>").settles();
    hears(&mut play, "both/x", &["available romeo@localhost/orchard dnd"]);
    // One that takes over and shows nothing is owed for the one before it, however it ends.
    for how in ["unavailable", "closes", "vanishes"] {
        let mut before = play.take("romeo/orchard");
        play.returns("romeo/orchard");
        before.gets_at_last("<stream:error><conflict/></stream:error>").gets_end();
        let now = play.client("romeo/orchard");
        match how {
            "unavailable" => drop(now.sends(UNAVAILABLE).settles()),
            "closes" => drop(now.leaves()),
            _ => now.vanishes(),
        }
        play.client("both/x")
            .gets("<presence type='unavailable' from='romeo@localhost/orchard'/>")
            .gets_nothing();
        play.returns("romeo/orchard").sends("<presence/>").settles();
        hears(&mut play, "both/x", &["available romeo@localhost/orchard"]);
    }
}

#[test]
fn resources_of_an_account_see_each_other() {
    let mut play = cast();
    play.returns("romeo/orchard").sends("<presence><show>chat</show></presence>").settles();
    let mut comes =
        settle(play.returns("romeo/garden").sends("<presence><priority>-1</priority></presence>"));
    comes.sort();
    assert_eq!(
        comes,
        [
            "available both@localhost/x",
            "available romeo@localhost/garden",
            "available romeo@localhost/orchard chat",
            "available to@localhost/x",
        ]
    );
    hears(&mut play, "romeo/orchard", &["available romeo@localhost/garden"]);
    play.client("both/x").forgets();
    play.client("romeo/garden").vanishes();
    play.client("romeo/orchard").gets("<presence type='unavailable' from='romeo@localhost/garden'/>");
    hears(&mut play, "both/x", &["unavailable romeo@localhost/garden"]);
}

#[test]
fn a_contact_shows_each_of_its_resources() {
    let mut play = cast();
    play.returns("both/y").sends("<presence><show>away</show></presence>").settles();
    play.returns("both/connected").settles();
    let mut comes = settle(play.returns("romeo/orchard").sends("<presence/>"));
    comes.sort();
    assert_eq!(
        comes,
        [
            "available both@localhost/x",
            "available both@localhost/y away",
            "available romeo@localhost/orchard",
            "available to@localhost/x",
        ]
    );
    hears(&mut play, "both/connected", &[]);
}

#[test]
fn directed_presence_reaches_strangers_and_its_end_does_too_once() {
    let mut play = cast();
    let romeo = play.returns("romeo/orchard");
    romeo.sends("<presence/>").settles();
    romeo.sends("<presence to='none@localhost/x'><show>chat</show></presence>").settles();
    romeo.sends("<presence to='both@localhost'><show>chat</show></presence>").settles();
    hears(&mut play, "none/x", &["available romeo@localhost/orchard chat"]);
    hears(
        &mut play,
        "both/x",
        &["available romeo@localhost/orchard", "available romeo@localhost/orchard chat"],
    );
    // 4.6.3, 2: not of what comes after.
    play.client("romeo/orchard").sends("<presence><show>away</show></presence>").settles();
    hears(&mut play, "none/x", &[]);
    play.client("romeo/orchard").vanishes();
    play.client("none/x")
        .gets("<presence type='unavailable' from='romeo@localhost/orchard'/>")
        .gets_nothing();
    play.client("both/x")
        .gets("<presence type='!'><show>away</show></presence>")
        .gets_at_last("<presence type='unavailable' from='romeo@localhost/orchard'/>");
    // Who was told that it is over is not told again.
    let romeo = play.returns("romeo/orchard");
    romeo.sends("<presence to='none@localhost/x'/>").settles();
    romeo.sends("<presence to='none@localhost/x' type='unavailable'/>").settles();
    romeo.leaves();
    hears(&mut play, "none/x", &["available romeo@localhost/orchard", "unavailable romeo@localhost/orchard"]);
}

#[test]
fn a_contact_that_got_directed_presence_is_told_of_the_end() {
    let mut play = cast();
    let romeo = play.returns("romeo/orchard");
    romeo.sends("<presence/>").settles();
    romeo.sends("<presence to='both@localhost'/>").settles();
    play.client("both/x").forgets();
    play.client("romeo/orchard").leaves();
    let mut comes = heard(play.client("both/x"));
    // As a contact, and as one that got directed presence.
    comes.dedup();
    assert_eq!(comes, ["unavailable romeo@localhost/orchard"]);
}

#[test]
fn a_probe_of_who_may_be_seen_is_answered_by_each_resource() {
    let mut play = cast();
    let status = "<presence id='last'><status>here</status></presence>";
    play.returns("romeo/orchard").sends(status).settles();
    play.returns("romeo/garden").sends("<presence><show>xa</show></presence>").settles();
    play.returns("romeo/connected").settles();
    play.client("both/x").forgets();
    let comes = play.client("both/x").sends(&presence("probe", "romeo@localhost")).settles();
    let mut words: Vec<_> = comes.iter().map(said).collect();
    words.sort();
    assert_eq!(words, ["available romeo@localhost/garden xa", "available romeo@localhost/orchard"]);
    let orchard = comes.iter().find(|node| node.attribute("from") == Some("romeo@localhost/orchard"));
    let orchard = orchard.expect("it is there");
    assert!(orchard.attribute("id") == Some("last") && orchard.child("status").is_some(), "{orchard}");
    // A full JID: that resource only.
    says(
        &mut play,
        "both/x",
        &presence("probe", "romeo@localhost/garden"),
        &["available romeo@localhost/garden xa"],
    );
    let answer = settle(play.client("both/x").sends(&presence("probe", "romeo@localhost/connected")));
    assert!(answer.iter().all(|said| said.starts_with("unavailable")), "{answer:?}");
}

#[test]
fn a_probe_of_who_is_not_there_or_may_not_be_seen_tells_nothing_of_resources() {
    let mut play = cast();
    // Authorised, and nobody is there.
    says(&mut play, "both/x", &presence("probe", "romeo@localhost"), &["unavailable romeo@localhost"]);
    play.returns("romeo/orchard").sends("<presence/>").settles();
    for name in ["both/x", "from/x"] {
        play.client(name).forgets();
    }
    // Not authorised: who is seen by Romeo, who is asked, who is nobody, and an account that does not exist.
    for name in ["to/x", "asked/x", "none/x"] {
        for to in ["romeo@localhost", "romeo@localhost/orchard"] {
            says(&mut play, name, &presence("probe", to), &["unsubscribed romeo@localhost"]);
        }
    }
    says(&mut play, "none/x", &presence("probe", "nobody@localhost"), &["unsubscribed nobody@localhost"]);
    hears(&mut play, "romeo/orchard", &[]);
}

#[test]
fn a_probe_of_who_sent_directed_presence_tells_of_that_resource_and_no_more() {
    let mut play = cast();
    let romeo = play.returns("romeo/orchard");
    romeo.sends("<presence/>").settles();
    romeo.sends("<presence to='none@localhost/x'><show>chat</show></presence>").settles();
    play.returns("romeo/garden").sends("<presence/>").settles();
    play.client("none/x").forgets();
    // 4.6.6: mere presence.
    says(
        &mut play,
        "none/x",
        &presence("probe", "romeo@localhost/orchard"),
        &["available romeo@localhost/orchard"],
    );
    for to in ["romeo@localhost/garden", "romeo@localhost"] {
        says(&mut play, "none/x", &presence("probe", to), &["unsubscribed romeo@localhost"]);
    }
    play.client("romeo/orchard").sends("<presence to='none@localhost/x' type='unavailable'/>").settles();
    play.client("none/x").forgets();
    says(
        &mut play,
        "none/x",
        &presence("probe", "romeo@localhost/orchard"),
        &["unsubscribed romeo@localhost"],
    );
}

#[test]
fn fifty_contacts_come_and_go_at_once_and_each_is_told_of_all_that_stay() {
    const CONTACTS: usize = 50;
    let mut play = Play::without_tls(&["log.level = 'info'"]);
    attends(&mut play, "romeo/orchard");
    let names: Vec<String> = (0..CONTACTS).map(|number| format!("friend{number}/x")).collect();
    for name in &names {
        attends(&mut play, name);
        befriend(&mut play, name, "romeo/orchard");
        play.client(name).leaves();
    }
    play.client("romeo/orchard").leaves();
    // All at once: each sees Romeo and Romeo sees each, whoever came first.
    let mut romeo = play.logged_in("romeo/orchard");
    let mut clients: Vec<_> = names.iter().map(|name| play.logged_in(name)).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.sends("<presence/>");
        if number == CONTACTS / 2 {
            romeo.sends("<presence/>");
        }
    }
    for client in &mut clients {
        client.gets_at_last("<presence from='romeo@localhost/orchard' type='!'/>");
        client.settles();
    }
    let mut told: Vec<_> = settle(&mut romeo).into_iter().filter(|said| said.contains("friend")).collect();
    told.sort();
    told.dedup();
    assert_eq!(told.len(), CONTACTS, "{told:?}");
    for client in clients.iter_mut().step_by(2) {
        client.vanishes();
    }
    for _ in 0..CONTACTS / 2 {
        romeo.gets("<presence type='unavailable'/>");
    }
    romeo.gets_nothing();
    drop(romeo);
    for client in clients.iter_mut().skip(1).step_by(2) {
        client.gets_at_last("<presence from='romeo@localhost/orchard' type='unavailable'/>").gets_nothing();
    }
}

const PHOTO: &str = "<iq type='set' id='v'><vCard xmlns='vcard-temp'><PHOTO><TYPE>image/png</TYPE><BINVAL>aGVsbG8=\
                     </BINVAL></PHOTO></vCard></iq>";
/// SHA-1 of `hello`.
const HASH: &str = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";

fn update(photo: &str) -> String {
    format!("<presence from='romeo@localhost/orchard'><x xmlns='vcard-temp:x:update'>{photo}</x></presence>")
}

#[test]
fn the_hash_of_the_avatar_goes_with_presence_and_a_new_one_is_told_at_once() {
    let mut play = cast();
    play.returns("romeo/orchard").sends("<presence/>").settles();
    play.client("both/x").gets("<presence from='romeo@localhost/orchard'/>");
    let with_hash = update(&format!("<photo>{HASH}</photo>"));
    play.client("romeo/orchard").sends(PHOTO).gets_at_last("<iq type='result' id='v'/>").settles();
    play.client("both/x").gets(&with_hash).gets_nothing();
    // XEP-0398: also where the client says that it does not know, or nothing.
    for more in ["", "<x xmlns='vcard-temp:x:update'/>"] {
        play.client("romeo/orchard").sends(&format!("<presence>{more}</presence>")).settles();
        play.client("both/x").gets(&with_hash);
    }
    // To who comes later, and in the answer to a probe.
    play.client("both/x").sends(UNAVAILABLE).settles();
    play.client("both/x").sends("<presence/>").gets_at_last(&with_hash);
    play.client("both/x").settles();
    play.client("both/x").sends(&presence("probe", "romeo@localhost")).gets_at_last(&with_hash);
    // At a new login, and after the photo is gone.
    play.client("romeo/orchard").leaves();
    play.returns("romeo/orchard").sends("<presence/>").settles();
    play.client("both/x").gets_at_last(&with_hash);
    play.client("romeo/orchard")
        .sends("<iq type='set' id='v'><vCard xmlns='vcard-temp'/></iq>")
        .gets_at_last("<iq type='result' id='v'/>")
        .settles();
    let told = play.client("both/x").takes();
    assert_eq!(told.find("photo").map(|photo| photo.text.as_str()), Some(""), "{told}");
    play.client("romeo/orchard").sends("<presence/>").settles();
    assert!(play.client("both/x").takes().find("photo").is_none(), "it is said once");
}

#[test]
fn a_contact_on_another_host_is_told_and_shown_too() {
    let mut play = Play::without_tls(&["hosts = ['localhost', 'verona.example']"]);
    attends(&mut play, "romeo/orchard");
    play.server.add_account("juliet@verona.example", PASSWORD);
    let mut juliet =
        rjabberd_testkit::Client::connect("juliet", play.server.address("c2s"), "verona.example");
    juliet.opens_stream().logs_in(rjabberd_testkit::Hash::Sha1, "juliet", PASSWORD).binds(Some("balcony"));
    roster(&mut juliet);
    juliet.sends("<presence/>").settles();
    play.client("romeo/orchard").sends(&presence("subscribe", "juliet@verona.example")).settles();
    juliet.sends(&presence("subscribed", "romeo@localhost")).settles();
    juliet.sends(&presence("subscribe", "romeo@localhost")).settles();
    play.client("romeo/orchard").forgets().sends(&presence("subscribed", "juliet@verona.example")).settles();
    heard(&mut juliet);
    juliet.sends(UNAVAILABLE).settles();
    play.client("romeo/orchard").gets("<presence type='unavailable' from='juliet@verona.example/balcony'/>");
    let mut comes = settle(juliet.sends("<presence/>"));
    comes.sort();
    assert_eq!(comes, ["available juliet@verona.example/balcony", "available romeo@localhost/orchard"]);
    play.client("romeo/orchard").gets("<presence type='!' from='juliet@verona.example/balcony'/>");
}
