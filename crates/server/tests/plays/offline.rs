//! Messages for who is away (XEP-0160): kept, and given once, in order, behind nothing that is newer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Instant;

use rjabberd_testkit::{Client, Node, PATIENCE, Piece, Play};

use super::said::{attends, settle};

const JULIET: &str = "juliet@localhost";

/// Romeo is there, Juliet has an account.
fn play(more: &[&str]) -> Play {
    let mut play = Play::without_tls(more);
    play.account("juliet");
    attends(&mut play, "romeo/orchard");
    play
}

/// A message of Romeo's to Juliet, with more in it.
fn message(kind: &str, inside: &str) -> String {
    format!("<message to='{JULIET}' type='{kind}' id='m'>{inside}</message>")
}

/// The bodies of all messages that come with a first presence of this priority.
#[track_caller]
fn comes_in(play: &mut Play, name: &str, priority: i8) -> Vec<String> {
    let client = play.returns(name).sends(&format!("<presence><priority>{priority}</priority></presence>"));
    bodies(&client.settles())
}

fn bodies(nodes: &[Node]) -> Vec<String> {
    nodes.iter().filter_map(|node| node.child("body")).map(|body| body.text.clone()).collect()
}

#[test]
fn messages_wait_and_come_once_in_order_with_their_time() {
    let mut play = play(&[]);
    for number in 0..100 {
        play.client("romeo/orchard").says(JULIET, &format!("m{number}"));
    }
    play.client("romeo/orchard").settles();
    let juliet = play.returns("juliet/balcony");
    let comes = juliet.sends("<presence/>").settles();
    let wanted: Vec<_> = (0..100).map(|number| format!("m{number}")).collect();
    assert_eq!(bodies(&comes), wanted);
    let delays = comes.iter().filter_map(|node| node.child("delay"));
    let delays: Vec<_> = delays.map(|delay| delay.attribute("xmlns").zip(delay.attribute("from"))).collect();
    assert_eq!(delays, vec![Some(("urn:xmpp:delay", "localhost")); 100]);
    assert!(
        comes.iter().filter_map(|node| node.child("delay")).all(|delay| delay.attribute("stamp").is_some())
    );
    // Not again: not with later presence, to another resource, or at another login.
    assert_eq!(bodies(&juliet.sends("<presence/>").settles()), Vec::<String>::new());
    assert_eq!(comes_in(&mut play, "juliet/chamber", 5), Vec::<String>::new());
    play.client("juliet/balcony").leaves();
    assert_eq!(comes_in(&mut play, "juliet/balcony", 0), Vec::<String>::new());
}

#[test]
fn they_are_for_who_wants_messages() {
    let mut play = play(&[]);
    play.client("romeo/orchard").says(JULIET, "waits").settles();
    assert_eq!(comes_in(&mut play, "juliet/robot", -1), Vec::<String>::new());
    let robot = play.client("juliet/robot");
    assert_eq!(
        bodies(&robot.sends("<presence><priority>-2</priority></presence>").settles()),
        Vec::<String>::new()
    );
    // Connected only: as if nobody were there.
    play.returns("juliet/connected").settles();
    play.client("romeo/orchard").says(JULIET, "waits too").settles();
    assert_eq!(bodies(&play.client("juliet/connected").settles()), Vec::<String>::new());
    let robot = play.client("juliet/robot");
    assert_eq!(bodies(&robot.sends("<presence/>").settles()), ["waits", "waits too"]);
    robot.sends("<presence><priority>-1</priority></presence>").settles();
    play.client("romeo/orchard").says(JULIET, "more").settles();
    assert_eq!(bodies(&play.client("juliet/robot").sends("<presence/>").settles()), ["more"]);
}

#[test]
fn what_is_said_after_the_login_comes_behind_what_waited() {
    // Many times, because it is a matter of moments.
    let mut play = play(&["log.level = 'info'"]);
    for round in 0..30 {
        play.client("romeo/orchard").says(JULIET, &format!("old {round}")).settles();
        play.returns("juliet/balcony").sends("<presence/>").begins_to_get();
        play.client("romeo/orchard").says("juliet@localhost/balcony", &format!("new {round}")).settles();
        let juliet = play.client("juliet/balcony");
        assert_eq!(bodies(&juliet.settles()), [format!("old {round}"), format!("new {round}")]);
        juliet.leaves();
    }
}

#[test]
fn only_what_is_worth_it_is_kept() {
    let mut play = play(&[]);
    let (no_store, store) = ("<no-store xmlns='urn:xmpp:hints'/>", "<store xmlns='urn:xmpp:hints'/>");
    let state = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
    let refused = &["message error service-unavailable"][..];
    for (stanza, comes) in [
        (message("chat", "<body>chat</body>"), &[][..]),
        (message("normal", "<body>normal</body>"), &[]),
        ("<message to='juliet@localhost'><body>no type</body></message>".to_owned(), &[]),
        ("<message to='juliet@localhost/away' type='chat'><body>full</body></message>".to_owned(), &[]),
        (message("chat", &format!("<body>typing</body>{state}")), &[]),
        (message("chat", &format!("{state}{store}<body>hint</body>")), &[]),
        (message("chat", state), &[]),
        (message("chat", &format!("{state}<thread>t</thread>")), &[]),
        (message("headline", "<body>headline</body>"), &[]),
        (message("error", "<body>error</body><error type='cancel'/>"), &[]),
        (message("groupchat", "<body>groupchat</body>"), refused),
        (message("chat", &format!("<body>secret</body>{no_store}")), refused),
        (message("chat", no_store), &[]),
    ] {
        let heard = settle(play.client("romeo/orchard").sends(&stanza));
        assert_eq!(heard, comes, "{stanza}");
    }
    let kept = ["chat", "normal", "no type", "full", "typing", "hint"];
    assert_eq!(comes_in(&mut play, "juliet/balcony", 0), kept);
}

#[test]
fn what_is_more_than_may_wait_is_refused_to_its_sender_and_the_rest_stays() {
    let mut play = play(&["limits.offline_messages_max = 3"]);
    for number in 0..5 {
        let heard = settle(play.client("romeo/orchard").says(JULIET, &format!("m{number}")));
        let wanted: &[&str] = if number < 3 { &[] } else { &["message error service-unavailable"] };
        assert_eq!(heard, wanted, "message {number}");
    }
    assert_eq!(comes_in(&mut play, "juliet/balcony", 0), ["m0", "m1", "m2"]);
    play.client("juliet/balcony").leaves();
    assert_eq!(settle(play.client("romeo/orchard").says(JULIET, "room again")), Vec::<String>::new());
    assert_eq!(comes_in(&mut play, "juliet/balcony", 0), ["room again"]);
}

#[test]
fn what_waits_in_bytes_has_a_limit_too() {
    let mut play = play(&["limits.offline_bytes_max = 10000"]);
    let long = "x".repeat(4_000);
    for number in 0..3 {
        let heard = settle(play.client("romeo/orchard").says(JULIET, &long));
        assert_eq!(heard.len(), usize::from(number == 2), "message {number}: {heard:?}");
    }
    assert_eq!(comes_in(&mut play, "juliet/balcony", 0).len(), 2);
}

#[test]
fn what_was_answered_for_is_there_after_the_power_cut() {
    let mut play = play(&[]);
    for number in 0..20 {
        play.client("romeo/orchard").says(JULIET, &format!("m{number}"));
    }
    let end = "<iq type='get' id='end'><ping xmlns='urn:xmpp:ping'/></iq>";
    play.client("romeo/orchard").sends(end).gets("<iq type='result' id='end'/>");
    play.server.kill();
    play.server.run();
    let wanted: Vec<_> = (0..20).map(|number| format!("m{number}")).collect();
    assert_eq!(comes_in(&mut play, "juliet/balcony", 0), wanted);
}

#[test]
fn two_resources_that_come_at_once_get_each_message_once_in_all() {
    let mut play = play(&["log.level = 'info'"]);
    for round in 0..10 {
        let wanted: Vec<_> = (0..50).map(|number| format!("{round}-{number}")).collect();
        for body in &wanted {
            play.client("romeo/orchard").says(JULIET, body);
        }
        play.client("romeo/orchard").settles();
        let (mut one, mut other) = (play.logged_in("juliet/one"), play.logged_in("juliet/other"));
        one.sends("<presence/>");
        other.sends("<presence/>");
        let mut heard = [bodies(&one.settles()), bodies(&other.settles())];
        // What came while the sessions of the last round ended may be on its way back from them still.
        let deadline = Instant::now() + PATIENCE;
        while heard.concat().len() < wanted.len() && Instant::now() < deadline {
            heard[0].extend(bodies(&one.collects()));
            heard[1].extend(bodies(&other.collects()));
        }
        for heard in &heard {
            let places: Vec<_> =
                heard.iter().map(|body| wanted.iter().position(|other| other == body)).collect();
            assert!(places.is_sorted(), "in order: {heard:?}");
        }
        let mut all = heard.concat();
        all.sort();
        let mut wanted = wanted;
        wanted.sort();
        assert_eq!(all, wanted, "each once, round {round}");
        one.leaves();
        other.leaves();
    }
}

/// How far a talker may be ahead of who hears it.
const AHEAD: usize = 500;

/// Sends numbered messages until it is told to stop; says how many, and which came back.
fn talks(
    mut romeo: Client,
    stop: Arc<AtomicBool>,
    heard: Arc<AtomicUsize>,
) -> std::thread::JoinHandle<(usize, Vec<usize>)> {
    std::thread::spawn(move || {
        let (mut sent, mut back) = (0, Vec::new());
        while !stop.load(SeqCst) {
            let next = if sent < heard.load(SeqCst) + AHEAD { sent + 10 } else { sent };
            let batch: String = (sent..next)
                .map(|number| {
                    format!(
                        "<message to='{JULIET}' type='chat' id='{number}'><body>{number}</body></message>"
                    )
                })
                .collect();
            sent = next;
            back.extend(romeo.sends(&batch).settles().iter().filter_map(number));
        }
        (sent, back)
    })
}

fn number(node: &Node) -> Option<usize> {
    (node.name == "message").then(|| node.attribute("id")?.parse().ok())?
}

#[test]
fn whoever_comes_and_goes_hears_all_of_a_talker_once_and_in_order() {
    let mut play = play(&[
        "log.level = 'info'",
        "listen.c2s.shaper = 'none'",
        "limits.offline_messages_max = 100000",
        "limits.offline_bytes_max = 100000000",
    ]);
    let stop = Arc::new(AtomicBool::new(false));
    let heard_of = Arc::new(AtomicUsize::new(0));
    let talking = talks(play.take("romeo/orchard"), stop.clone(), heard_of.clone());
    let mut heard: Vec<usize> = Vec::new();
    for round in 0..40 {
        let mut juliet = play.logged_in("juliet/balcony");
        juliet.sends("<presence/>");
        for _ in 0..20 + round {
            heard.extend(number(&juliet.takes()));
            heard_of.store(heard.len(), SeqCst);
        }
        // It closes its stream, and reads what is still written to it.
        juliet.sends("</stream:stream>");
        while let Some(Piece::Element(node)) = juliet.piece() {
            heard.extend(number(&node));
        }
    }
    stop.store(true, SeqCst);
    let (sent, back) = talking.join().expect("the talker goes on");
    let mut juliet = play.logged_in("juliet/balcony");
    juliet.sends("<presence/>");
    // What was behind the session before this one comes when that one is gone.
    while heard.len() < sent {
        heard.extend(number(&juliet.takes()));
    }
    heard.extend(juliet.settles().iter().filter_map(number));
    assert_eq!(back, Vec::<usize>::new(), "nothing comes back");
    let wrong = heard.windows(2).position(|pair| pair[0] + 1 != pair[1]);
    let around = wrong.map(|at| heard[at.saturating_sub(3)..heard.len().min(at + 5)].to_vec());
    assert_eq!((around, heard.first(), heard.len()), (None, Some(&0), sent), "each once, in order");
}

#[test]
fn a_cut_in_the_middle_keeps_what_was_not_written_and_repeats_nothing_that_was_read() {
    // Of 4,000 bytes each: more than the kernel takes on both sides of a connection.
    const MESSAGES: usize = 4_000;
    let mut play = play(&[
        "log.level = 'info'",
        "listen.c2s.shaper = 'none'",
        "limits.offline_messages_max = 20000",
        "limits.offline_bytes_max = 100000000",
    ]);
    let filler = "x".repeat(4_000);
    let torrent: String = (0..MESSAGES)
        .map(|number| format!("<message to='{JULIET}' id='{number}'><body>{filler}</body></message>"))
        .collect();
    assert!(play.client("romeo/orchard").sends(&torrent).settles().is_empty(), "none is refused");
    let (mut next, mut rounds, mut is_over) = (0, 0, false);
    while !is_over {
        let mut juliet = play.logged_in("juliet/balcony");
        juliet.sends("<presence/><message to='juliet@localhost/balcony' id='end'/>");
        // What was written and not read is gone with the connection: nobody can know of it. So it may go on behind what
        // was read, but never before it.
        let mut last = None;
        for _ in 0..100 {
            let node = juliet.takes();
            if node.name == "presence" {
                continue;
            }
            let Some(got) = number(&node) else {
                is_over = node.attribute("id") == Some("end");
                break;
            };
            assert!(got >= next, "{got} was read before; {next} is next");
            assert!(last.is_none_or(|last| got == last + 1), "{got} behind {last:?}");
            assert!(rounds > 0 || got == next, "the first time from the start: {got}");
            (last, next) = (Some(got), got + 1);
        }
        rounds += 1;
        juliet.vanishes();
        play.server.wait_for_stats(|stats| stats["sessions"] == 1);
    }
    assert!(rounds > 1);
}

#[test]
fn ten_thousand_waiting_messages_do_not_fill_the_server_for_a_reader_that_is_slow() {
    const MESSAGES: usize = 10_000;
    let mut play = play(&[
        "log.level = 'info'",
        "listen.c2s.shaper = 'none'",
        "limits.offline_messages_max = 20000",
        "limits.offline_bytes_max = 100000000",
    ]);
    let filler = "x".repeat(2_000);
    let mut romeo = play.take("romeo/orchard");
    let mut torrent = String::new();
    for number in 0..MESSAGES {
        torrent.push_str(&format!("<message to='{JULIET}' id='{number}'><body>{filler}</body></message>"));
    }
    assert!(romeo.sends(&torrent).settles().is_empty(), "none is refused");
    play.returns("juliet/balcony").settles();
    let before = play.server.figures();
    play.client("juliet/balcony").sends("<presence/>").begins_to_get();
    // It reads nothing more; what is said meanwhile waits behind.
    for number in MESSAGES..MESSAGES + 100 {
        romeo.sends(&format!("<message to='{JULIET}' id='{number}'><body>live</body></message>"));
    }
    romeo.settles();
    let during = play.server.figures();
    let grown = during.resident_kib.saturating_sub(before.resident_kib);
    assert!(grown < 12 << 10, "of 20 MB only a piece at a time: {grown} KiB more");
    let juliet = play.client("juliet/balcony");
    for wanted in 0..MESSAGES + 100 {
        let mut node = juliet.takes();
        while node.name == "presence" {
            node = juliet.takes();
        }
        assert_eq!(number(&node), Some(wanted), "{node}");
    }
}
