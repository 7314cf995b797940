//! Chat goes on while the store is away: a real server with users who talk, users who ask for what is stored, and a fault
//! in the middle.
//!
//! `rjabberd-store-faults [--key 'KEY = VALUE']... [--data FOLDER] [--seconds N] FAULT...`: FAULT is a program that breaks
//! the store (it finds the server in `RJABBERD_PID` and the data folder in `RJABBERD_DATA`), says a line, waits for the end
//! of its input, mends the store and ends. What is counted is what the clients saw: pairs who chat must lose nothing and
//! wait for nothing; who asks for what is stored is answered, by an error if need be; what was acknowledged (a message for
//! somebody who is away, private XML) is there when the server was killed and started again. One who counts (XEP-0198) talks
//! to a device that hears nothing: only the archive makes that safe, so his `h` must stand still while the store is away.

#![expect(clippy::print_stdout, reason = "a program that prints its figures")]
#![expect(clippy::disallowed_methods, reason = "it keeps a pace: its load is bounded")]

use std::collections::{HashSet, VecDeque};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use rjabberd_testkit::{Client, Hash, Node, PASSWORD, Play};

/// Pairs who chat.
const PAIRS: usize = 8;
/// The slowest answer of a friend that is no interruption of a chat.
const CHAT_MAX: Duration = Duration::from_secs(2);
/// How long the store may need until it is back after it was mended.
const BACK_MAX: Duration = Duration::from_secs(30);
const PACE: Duration = Duration::from_millis(10);
/// How long a commit that had begun before the fault may be told after it.
const UNDER_WAY: Duration = Duration::from_secs(1);
/// How long all goes well before.
const BEFORE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let Some(plan) = Plan::read() else {
        println!(
            "usage: rjabberd-store-faults [--key 'KEY = VALUE']... [--data FOLDER] [--seconds N] FAULT..."
        );
        return ExitCode::from(2);
    };
    run(&plan);
    ExitCode::SUCCESS
}

#[derive(Default)]
struct Plan {
    keys: Vec<String>,
    data: Option<String>,
    seconds: u64,
    fault: Vec<String>,
}

impl Plan {
    fn read() -> Option<Plan> {
        let mut plan = Plan { seconds: 10, ..Plan::default() };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--key" => plan.keys.push(words.next()?),
                "--data" => plan.data = Some(words.next()?),
                "--seconds" => plan.seconds = words.next()?.parse().ok()?,
                _ => {
                    plan.fault.push(word);
                    plan.fault.extend(words.by_ref());
                }
            }
        }
        (!plan.fault.is_empty()).then_some(plan)
    }
}

/// What all see.
#[derive(Default)]
struct Scene {
    is_broken: AtomicBool,
    is_over: AtomicBool,
    /// Things that were acknowledged, of any kind.
    acknowledged: AtomicUsize,
    /// Requests that were answered with an error.
    refused: AtomicUsize,
    /// The slowest answer to a request, in milliseconds.
    slowest_ms: AtomicU64,
    /// Messages that the one who counts has sent, and how many of them `h` covers.
    counted: AtomicUsize,
    safe: AtomicUsize,
}

impl Scene {
    fn goes_on(&self) -> bool {
        !self.is_over.load(SeqCst)
    }

    fn answered(&self, begun: Instant, is_done: bool) {
        let time = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.slowest_ms.fetch_max(time, SeqCst);
        let count = if is_done { &self.acknowledged } else { &self.refused };
        count.fetch_add(1, SeqCst);
    }
}

/// How a pair's chat went.
#[derive(Clone, Copy, Default)]
struct Talk {
    said: usize,
    said_meanwhile: usize,
    slowest: Duration,
}

fn run(plan: &Plan) {
    let mut play = Play::without_tls(&keys(plan).iter().map(String::as_str).collect::<Vec<_>>());
    let names = (0..PAIRS).flat_map(|number| [format!("a{number}"), format!("b{number}")]);
    for name in names.chain(["teller", "keeper", "writer", "counter", "deaf"].map(str::to_owned)) {
        play.account(&name);
    }
    let scene = Arc::new(Scene::default());
    let pairs: Vec<JoinHandle<Talk>> = (0..PAIRS)
        .map(|number| {
            let pair = [enters(&play, &format!("a{number}")), enters(&play, &format!("b{number}"))];
            let scene = scene.clone();
            spawn(move || talk(pair, &scene))
        })
        .collect();
    let (teller, writer) = (enters(&play, "teller"), enters(&play, "writer"));
    let telling = on_a_thread(&scene, move |scene| tell(teller, scene));
    let writing = on_a_thread(&scene, move |scene| write(writer, scene));
    let (counter, mut deaf) = (counts(&play, "counter"), counts(&play, "deaf"));
    let to = deaf.jid().to_owned();
    let counting = on_a_thread(&scene, move |scene| count(counter, &to, scene));

    sleep(BEFORE);
    let before = (scene.acknowledged.load(SeqCst), scene.refused.load(SeqCst));
    assert!(before.0 > 20 && before.1 == 0, "before the fault: {before:?} acknowledged and refused");
    let fault = broken(plan, &play);
    scene.is_broken.store(true, SeqCst);
    // What was on its way to the disk may still have arrived there.
    sleep(UNDER_WAY);
    let (counted, safe) = (scene.counted.load(SeqCst), scene.safe.load(SeqCst));
    assert!(safe > 0, "nothing was safe before the fault");
    let logins = strangers(&play, Duration::from_secs(plan.seconds));
    let refused = scene.refused.load(SeqCst);
    assert!(refused > 0, "nothing was refused: the store was not away");
    let stood = (scene.counted.load(SeqCst) - counted, scene.safe.load(SeqCst) - safe);
    mended(fault);
    scene.is_broken.store(false, SeqCst);
    let back = wait_until_back(&scene);
    let heard = wait_until_safe(&scene, &mut deaf);
    scene.is_over.store(true, SeqCst);

    let talks: Vec<Talk> = pairs.into_iter().map(ended).collect();
    let (told, written, safe) = (ended(telling), ended(writing), ended(counting));
    play.server.kill();
    play.server.run();
    let found = check_told(&play, &told);
    let value = stored_number(&mut enters(&play, "writer"));
    assert!(value >= written, "private XML: {written} was acknowledged, {value} is stored");

    check_there(&play, safe, heard);

    println!(
        "stored: {} acknowledged, {refused} refused while the store was away, the slowest answer after {} ms; \
         {logins} logins were put off",
        scene.acknowledged.load(SeqCst),
        scene.slowest_ms.load(SeqCst)
    );
    println!(
        "kept: all {} messages that were taken, and {} of those that nobody knew of; back after {} ms",
        told.taken.len(),
        found - told.taken.len(),
        back.as_millis()
    );
    println!(
        "counted: h covered {} of {} messages that were sent while the store was away, and {safe} in the end, all of them \
         archived or heard",
        stood.1, stood.0
    );
    assert!(stood.0 > 0 && stood.1 == 0, "h went on while the store was away: {stood:?}");
    judge_chats(&talks);
}

/// Chats went on.
fn judge_chats(talks: &[Talk]) {
    let sum = |of: fn(&Talk) -> usize| talks.iter().map(of).sum::<usize>();
    let slowest = talks.iter().map(|talk| talk.slowest).max().unwrap_or_default();
    println!(
        "chats: {} messages, {} of them while the store was away, the slowest answer after {} ms",
        sum(|talk| talk.said),
        sum(|talk| talk.said_meanwhile),
        slowest.as_millis()
    );
    assert!(slowest < CHAT_MAX, "a chat stood still for {slowest:?}");
    assert!(
        talks.iter().all(|talk| talk.said_meanwhile > 0),
        "somebody said nothing while the store was away"
    );
}

fn keys(plan: &Plan) -> Vec<String> {
    let mut keys = plan.keys.clone();
    keys.extend(plan.data.iter().map(|folder| format!("data = '{folder}'")));
    keys.extend(
        [
            "listen.c2s.shaper = 'none'",
            "log.level = 'info'",
            "auth.delay = false",
            "limits.offline_messages_max = 1000000",
            "limits.offline_bytes_max = 1000000000",
        ]
        .map(str::to_owned),
    );
    keys
}

fn on_a_thread<T: Send + 'static>(
    scene: &Arc<Scene>,
    work: impl FnOnce(&Scene) -> T + Send + 'static,
) -> JoinHandle<T> {
    let scene = scene.clone();
    spawn(move || work(&scene))
}

fn ended<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn enters(play: &Play, name: &str) -> Client {
    let mut client = play.connects(name);
    client.opens_stream().logs_in(Hash::Sha1, name, PASSWORD).binds(Some("here")).is_available(0);
    client
}

/// Two say one thing after another, and each hears what the other said.
fn talk([mut one, mut other]: [Client; 2], scene: &Scene) -> Talk {
    let jids = [one.jid().to_owned(), other.jid().to_owned()];
    let mut talk = Talk::default();
    while scene.goes_on() {
        let (body, begun) = (format!("number {}", talk.said), Instant::now());
        one.says(&jids[1], &body);
        other.hears(&body).says(&jids[0], &body);
        one.hears(&body);
        talk.slowest = talk.slowest.max(begun.elapsed());
        talk.said += 2;
        talk.said_meanwhile += if scene.is_broken.load(SeqCst) { 2 } else { 0 };
        sleep(PACE);
    }
    talk
}

/// What was told to somebody who is away.
struct Told {
    /// Acknowledged: what was asked behind it was answered, and no error came.
    taken: Vec<usize>,
    said: usize,
}

/// Tells somebody who is away one thing after another, and asks behind each whether it was taken.
fn tell(mut client: Client, scene: &Scene) -> Told {
    let mut told = Told { taken: Vec::new(), said: 0 };
    while scene.goes_on() {
        let (number, begun) = (told.said, Instant::now());
        told.said += 1;
        client.sends(&format!(
            "<message type='chat' to='keeper@localhost' id='m{number}'><body>{number}</body></message>"
        ));
        // When what was asked behind it is answered, it is where it is kept, or its error is on its way here.
        let error = client.collects();
        for element in &error {
            assert_eq!(element.attribute("id"), Some(format!("m{number}").as_str()), "{element:?}");
            assert!(element.find("resource-constraint").is_some(), "{element:?}");
        }
        let is_taken = error.is_empty();
        if is_taken {
            told.taken.push(number);
        }
        scene.answered(begun, is_taken);
        sleep(PACE);
    }
    told
}

/// Enters with stream management: the server is to count.
fn counts(play: &Play, name: &str) -> Client {
    let mut client = enters(play, name);
    client.sends("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    let answer = client.takes();
    assert_eq!(answer.name, "enabled", "{answer:?}");
    client
}

/// Sends one message after another to a device that takes none, and follows `h`; says how many it covers in the end.
fn count(mut client: Client, to: &str, scene: &Scene) -> usize {
    let (mut stanzas, mut safe) = (0, 0);
    // The number of each message among all stanzas, oldest first, that `h` does not cover yet.
    let mut waiting = VecDeque::new();
    while scene.goes_on() {
        let number = scene.counted.load(SeqCst);
        client.sends(&format!(
            "<message type='chat' to='{to}' id='c{number}'><body>{number}</body></message>\
             <iq type='get' id='p{number}'><ping xmlns='urn:xmpp:ping'/></iq><r xmlns='urn:xmpp:sm:3'/>"
        ));
        waiting.push_back(stanzas + 1);
        stanzas += 2;
        scene.counted.store(number + 1, SeqCst);
        // The request is answered at once, and so is the ping before it; what is safe later comes by itself.
        let mut is_answered = false;
        while !is_answered {
            let element = client.takes();
            is_answered = element.attribute("id") == Some(&format!("p{number}"));
            let Some(h) = element.attribute("h").and_then(|h| h.parse::<usize>().ok()) else { continue };
            while waiting.pop_front_if(|place| *place <= h).is_some() {
                safe += 1;
            }
            scene.safe.store(safe, SeqCst);
        }
        sleep(PACE * 5);
    }
    safe
}

/// Waits until `h` covers what was sent up to now: the archive has caught up, and what was more than may wait for it is
/// acknowledged by the deaf one, who hears it at last. Gives what he heard.
fn wait_until_safe(scene: &Scene, deaf: &mut Client) -> HashSet<usize> {
    let (counted, begun) = (scene.counted.load(SeqCst), Instant::now());
    let elements = deaf.collects();
    // The ping and the message to himself were stanzas too.
    let stanzas = elements.iter().filter(|element| element.name == "message").count() + 2;
    deaf.sends(&format!("<a xmlns='urn:xmpp:sm:3' h='{stanzas}'/>"));
    while scene.safe.load(SeqCst) < counted {
        assert!(begun.elapsed() < BACK_MAX, "h stands still {BACK_MAX:?} after the store is back");
        sleep(PACE);
    }
    elements.iter().filter_map(said).collect()
}

/// The number that a message, or a message in it, says.
fn said(element: &Node) -> Option<usize> {
    element.find("body").and_then(|body| body.text.parse().ok())
}

/// What `h` covered is in the archive of who was to hear it, or he has heard it.
fn check_there(play: &Play, safe: usize, mut there: HashSet<usize>) {
    let mut deaf = play.connects("deaf");
    deaf.opens_stream().logs_in(Hash::Sha1, "deaf", PASSWORD).binds(Some("other"));
    let mut after = String::new();
    loop {
        deaf.sends(&format!(
            "<iq type='set' id='page'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'>\
             <max>200</max>{after}</set></query></iq>"
        ));
        let end = loop {
            let element = deaf.takes();
            if element.attribute("id") == Some("page") {
                break element;
            }
            there.extend(said(&element));
        };
        let last = end.find("last").map(|last| last.text.clone()).unwrap_or_default();
        let is_complete = end.find("fin").is_some_and(|fin| fin.attribute("complete") == Some("true"));
        if is_complete || last.is_empty() {
            break;
        }
        after = format!("<after>{last}</after>");
    }
    let lost: Vec<usize> = (0..safe).filter(|number| !there.contains(number)).collect();
    assert!(lost.is_empty(), "of {safe} that h covered, these are nowhere: {lost:?}");
}

const PRIVATE: &str = "<query xmlns='jabber:iq:private'>";

/// Keeps one number after another, and says which was acknowledged last.
fn write(mut client: Client, scene: &Scene) -> usize {
    let (mut written, mut number) = (0, 0);
    while scene.goes_on() {
        number += 1;
        let begun = Instant::now();
        let element = format!("{PRIVATE}<number xmlns='n'>{number}</number></query>");
        client.sends(&format!("<iq type='set' id='w{number}'>{element}</iq>"));
        let answer = client.takes();
        assert_eq!(answer.attribute("id"), Some(format!("w{number}").as_str()), "{answer:?}");
        let is_done = answer.attribute("type") == Some("result");
        if is_done {
            written = number;
        } else {
            assert!(answer.find("resource-constraint").is_some(), "{answer:?}");
        }
        scene.answered(begun, is_done);
        sleep(PACE);
    }
    written
}

fn stored_number(client: &mut Client) -> usize {
    client.sends(&format!("<iq type='get' id='r'>{PRIVATE}<number xmlns='n'/></query></iq>"));
    let answer = client.takes();
    let number = answer.find("number").and_then(|number| number.text.parse().ok());
    number.unwrap_or_else(|| panic!("private XML holds no number: {answer:?}"))
}

/// Breaks the store.
fn broken(plan: &Plan, play: &Play) -> Child {
    let data = plan.data.clone().map_or_else(|| play.server.folder().join("data"), Into::into);
    let mut fault = Command::new(&plan.fault[0])
        .args(&plan.fault[1..])
        .env("RJABBERD_PID", play.server.pid().to_string())
        .env("RJABBERD_DATA", data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the fault can be started");
    let mut line = String::new();
    let said = BufReader::new(fault.stdout.take().expect("its output is a pipe")).read_line(&mut line);
    assert!(said.is_ok_and(|bytes| bytes > 0), "the fault said nothing");
    fault
}

/// Mends it.
fn mended(mut fault: Child) {
    drop(fault.stdin.take());
    let status = fault.wait().expect("the fault ends");
    assert!(status.success(), "the fault was not mended: {status}");
}

/// Meanwhile somebody tries to log in again and again. He gets in, where he is known, or is told to try again.
fn strangers(play: &Play, time: Duration) -> usize {
    let (begun, mut put_off, mut number) = (Instant::now(), 0, 0);
    while begun.elapsed() < time {
        let name = format!("b{}", number % PAIRS);
        number += 1;
        let mut client = play.connects("stranger");
        client.opens_stream();
        let mechanism = Hash::Sha512.mechanism();
        let first = rjabberd_testkit::Scram::new(Hash::Sha512, &name, "nonce").first();
        client.sends(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{first}</auth>"
        ));
        let answer = client.takes();
        if answer.name == "failure" {
            assert!(answer.find("temporary-auth-failure").is_some(), "{answer:?}");
            put_off += 1;
        } else {
            assert_eq!(answer.name, "challenge", "{answer:?}");
        }
        sleep(Duration::from_millis(200));
    }
    put_off
}

/// Waits until what is asked is done again, by both who ask.
fn wait_until_back(scene: &Scene) -> Duration {
    let (mended, begun) = (scene.acknowledged.load(SeqCst), Instant::now());
    let mut first = None;
    while scene.acknowledged.load(SeqCst) < mended + 50 {
        if scene.acknowledged.load(SeqCst) > mended {
            first.get_or_insert_with(|| begun.elapsed());
        }
        assert!(begun.elapsed() < BACK_MAX, "the store is not back {BACK_MAX:?} after it was mended");
        sleep(PACE);
    }
    first.unwrap_or_else(|| begun.elapsed())
}

/// All that was taken is there, once and in order; says how much is there.
fn check_told(play: &Play, told: &Told) -> usize {
    let mut keeper = play.connects("keeper");
    keeper.opens_stream().logs_in(Hash::Sha1, "keeper", PASSWORD).binds(Some("here")).sends("<presence/>");
    let bodies = keeper.collects().into_iter().filter_map(|element| {
        let body = element.child("body")?;
        body.text.parse::<usize>().ok()
    });
    let found: Vec<usize> = bodies.collect();
    assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "not in order, or twice: {found:?}");
    let lost: Vec<&usize> = told.taken.iter().filter(|number| found.binary_search(number).is_err()).collect();
    assert!(lost.is_empty(), "of {} that were taken, these are lost: {lost:?}", told.taken.len());
    found.len()
}
