//! Exactly once and in order, whatever happens to the addressee; and what was answered holds after a power cut.

use std::{
    collections::BTreeMap,
    sync::mpsc::{Sender, channel},
    thread::JoinHandle,
    time::Instant,
};

use rjabberd_testkit::{Client, Hash, Node, PATIENCE, Piece, Play};

const MESSAGES: usize = 10_000;

fn number(element: &Node) -> Option<usize> {
    (element.name == "message").then(|| element.attribute("id")?.parse().ok())?
}

/// Romeo's messages of these numbers to juliet/balcony.
fn torrent(ids: std::ops::Range<usize>) -> String {
    ids.map(|id| format!("<message to='juliet@localhost/balcony' id='{id}'><body>{id}</body></message>"))
        .collect()
}

/// Sends half of the torrent, and the rest with a ping once it has leave; reads until the ping is answered: the numbers
/// that came back as errors, in their order.
fn pour(mut romeo: Client) -> (Sender<()>, JoinHandle<Vec<usize>>) {
    let (leave, stop) = channel();
    let pouring = std::thread::spawn(move || {
        let first = romeo.sends_meanwhile(torrent(0..MESSAGES / 2).into_bytes());
        first.join().expect("the writer does not panic").expect("the server reads the first half");
        stop.recv_timeout(PATIENCE).expect("leave is given");
        let ping = "<iq type='get' id='end' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>";
        let writer = romeo.sends_meanwhile((torrent(MESSAGES / 2..MESSAGES) + ping).into_bytes());
        let mut bounced = Vec::new();
        loop {
            let element = romeo.takes();
            if element.attribute("id") == Some("end") {
                break;
            }
            assert_eq!(element.attribute("type"), Some("error"), "{element:?}");
            bounced.extend(number(&element));
        }
        writer.join().expect("the writer does not panic").expect("the server reads everything");
        // Bounces of what was in juliet's queue may come behind the ping.
        bounced.extend(romeo.collects().iter().filter_map(number));
        bounced
    });
    (leave, pouring)
}

/// All numbers up to the end of the stream.
fn drink(client: &mut Client) -> Vec<usize> {
    let mut heard = Vec::new();
    while let Some(Piece::Element(element)) = client.piece() {
        heard.extend(number(&element));
    }
    heard
}

#[track_caller]
fn check(parts: &[(&str, &[usize])]) {
    let mut times = vec![0_u32; MESSAGES];
    for (who, numbers) in parts {
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{who}: not in order");
        numbers.iter().for_each(|number| times[*number] += 1);
    }
    let summary: Vec<_> = parts.iter().map(|(who, numbers)| format!("{who} {}", numbers.len())).collect();
    let lost = times.iter().filter(|count| **count == 0).count();
    let twice = times.iter().filter(|count| **count > 1).count();
    assert_eq!((lost, twice), (0, 0), "lost and twice; {}", summary.join(", "));
}

fn pair() -> (Play, Client, Client) {
    let mut play = Play::without_tls(&["listen.c2s.shaper = 'none'", "log.level = 'info'"]);
    play.enters("romeo/orchard");
    play.enters("juliet/balcony");
    let (romeo, juliet) = (play.take("romeo/orchard"), play.take("juliet/balcony"));
    (play, romeo, juliet)
}

#[test]
fn ten_thousand_messages_to_a_session_that_closes_half_way_are_delivered_or_bounced_once_in_order() {
    let (_play, romeo, mut juliet) = pair();
    let (leave, bounced) = pour(romeo);
    let mut heard: Vec<usize> = (0..MESSAGES / 4).filter_map(|_| number(&juliet.takes())).collect();
    // A quarter is still under way.
    juliet.sends("</stream:stream>");
    heard.extend(drink(&mut juliet));
    leave.send(()).unwrap();
    let bounced = bounced.join().unwrap();
    check(&[("heard", &heard), ("bounced", &bounced)]);
    assert!(bounced.len() >= MESSAGES / 2, "the second half has nobody to go to: {}", bounced.len());
}

#[test]
fn ten_thousand_messages_to_a_session_that_is_replaced_half_way_arrive_once_in_order() {
    let (play, romeo, mut first) = pair();
    let (leave, bounced) = pour(romeo);
    let mut heard: Vec<usize> = (0..MESSAGES / 4).filter_map(|_| number(&first.takes())).collect();
    let reader = std::thread::spawn(move || {
        heard.extend(drink(&mut first));
        heard
    });
    let mut second = play.logged_in("juliet/balcony");
    leave.send(()).unwrap();
    let bounced = {
        // The second reads while the rest is poured, or nothing would flow.
        let mut heard = Vec::new();
        while !bounced.is_finished() {
            heard.extend(second.collects().iter().filter_map(number));
        }
        heard.extend(second.collects().iter().filter_map(number));
        (heard, bounced.join().unwrap())
    };
    let first_heard = reader.join().unwrap();
    check(&[("first", &first_heard), ("second", &bounced.0), ("bounced", &bounced.1)]);
    assert!(first_heard.last() < bounced.0.first(), "the second begins where the first ended");
    assert!(bounced.0.len() >= MESSAGES / 2, "the second half is the second's: {}", bounced.0.len());
}

/// What a worker was told about one account.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Password(String),
    Removed,
}

const REGISTER: &str = "jabber:iq:register";

fn query(inner: &str) -> String {
    format!("<iq type='set' id='r' to='localhost'><query xmlns='{REGISTER}'>{inner}</query></iq>")
}

/// Whether the answer to the last request arrived and was a result; false once the server is gone.
fn answered(client: &mut Client) -> bool {
    loop {
        match client.piece() {
            Some(Piece::Element(element)) if element.attribute("id") == Some("r") => {
                assert_eq!(element.attribute("type"), Some("result"), "{element:?}");
                return true;
            }
            Some(Piece::Element(_)) => {}
            _ => return false,
        }
    }
}

/// Makes, changes and removes accounts until the server is gone. Gives what is certain: a request that was not
/// answered may have been carried out or not, so its account is left out.
fn work(address: std::net::SocketAddr, worker: usize) -> BTreeMap<String, Told> {
    let mut certain = BTreeMap::new();
    for turn in 0.. {
        let user = format!("user-{worker}-{turn}");
        let Ok(mut client) = std::panic::catch_unwind(|| {
            let mut client = Client::connect(&user, address, "localhost");
            client.opens_stream();
            client
        }) else {
            break;
        };
        client.tries_to_send(
            query(&format!("<username>{user}</username><password>first</password>")).as_bytes(),
        );
        if !answered(&mut client) {
            break;
        }
        certain.insert(user.clone(), Told::Password("first".to_owned()));
        if turn % 3 == 0 {
            continue;
        }
        let logged_in = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            client.logs_in(Hash::Sha1, &user, "first").binds(None);
        }));
        if logged_in.is_err() {
            break;
        }
        certain.remove(&user);
        let (request, told) = if turn % 3 == 1 {
            let change = format!("<username>{user}</username><password>second</password>");
            (query(&change), Told::Password("second".to_owned()))
        } else {
            (query("<remove/>"), Told::Removed)
        };
        client.tries_to_send(request.as_bytes());
        if !answered(&mut client) {
            break;
        }
        certain.insert(user, told);
    }
    certain
}

#[test]
#[ignore = "takes long: scripts/test --full"]
fn every_account_is_after_a_power_cut_as_it_was_answered() {
    let mut play = Play::without_tls(&[
        "registration.enabled = true",
        "auth.mechanisms = ['SCRAM-SHA-1']",
        "log.level = 'info'",
    ]);
    let mut certain = BTreeMap::new();
    for round in 0..3 {
        let address = play.server.address("c2s");
        let workers: Vec<_> =
            (0..8).map(|worker| std::thread::spawn(move || work(address, round * 100 + worker))).collect();
        // Enough is under way when the last worker has been served a while: its turns show in the accounts. This turn's
        // account is made and stays (every third is only made).
        let marker = format!("user-{}-21@", round * 100 + 7);
        let deadline = Instant::now() + 6 * PATIENCE;
        while !play.server.succeeds(&["user", "list"], "").contains(&marker) {
            assert!(workers.iter().any(|worker| !worker.is_finished()), "nobody makes accounts any more");
            assert!(Instant::now() < deadline, "too few accounts are made");
        }
        play.server.kill();
        for worker in workers {
            certain.extend(worker.join().unwrap());
        }
        play.server.run();
        check_accounts(&play, &certain);
    }
    assert!(certain.len() > 300, "{}", certain.len());
}

fn check_accounts(play: &Play, certain: &BTreeMap<String, Told>) {
    let list = play.server.succeeds(&["user", "list"], "");
    let accounts: std::collections::BTreeSet<&str> =
        list.lines().filter_map(|line| line.split_whitespace().next()?.split('@').next()).collect();
    for (user, told) in certain {
        match told {
            Told::Removed => assert!(!accounts.contains(user.as_str()), "{user} was removed and is back"),
            Told::Password(password) => {
                assert!(accounts.contains(user.as_str()), "{user} was made and is gone");
                let mut client = play.connects(user);
                client.opens_stream().logs_in(Hash::Sha1, user, password);
            }
        }
    }
}
