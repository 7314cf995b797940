//! Torture of stream management (XEP-0198): hundreds of clients chat in pairs while their connections are cut in every way
//! that connections end, and the server is killed again and again. They resume, or log in anew and catch up from the
//! archive. At the end every message that the server acknowledged must be with its receiver, and nothing may be left over.
//!
//! What must hold is told in [`ledger`]; it is counted by the senders' own numbers, from what the clients did and heard.
//! When an acknowledgement of a client is certain to have been read is told in [`session`]. Prints one JSON object; ends
//! with 1 if anything does not hold, with the story of the first message of each kind. What is drawn comes from the seed;
//! when things happen is the machine's.
//!
//! `rjabberd-stream-torture [--short] [--clients N] [--seconds N] [--seed N] [--kill-every SECONDS] [--cut-ms N]
//! [--pause-ms N] [--config LINE]... [--target HOST:PORT --domain NAME --password TEXT] [--forget-each N]`

mod client;
mod house;
mod ledger;
mod link;
mod options;
mod search;
mod session;
mod story;
mod talk;
mod world;

use std::{
    collections::BTreeSet,
    process::ExitCode,
    rc::Rc,
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::StdRng};
use rjabberd_testkit::{Fault, Piece, Stream, say, torture};
use serde_json::{Value, json};
use tokio::{task::spawn_local, time::sleep};

use crate::{
    client::Client,
    house::House,
    ledger::Wrong,
    options::Options,
    world::{Phase, Standing, World, user},
};

/// What the run may take beside the time in which is played.
const MORE: Duration = Duration::from_secs(600);
/// How long after the last message all must be acknowledged, and with their receivers.
const SETTLING_MAX: Duration = Duration::from_secs(90);
/// How long the clients may take to read their archives at the end.
const SEARCHING_MAX: Duration = Duration::from_secs(240);
/// How long the clients may take to log out.
const LEAVING_MAX: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);

fn main() -> Result<ExitCode, Fault> {
    let options = Options::read(std::env::args().skip(1))?;
    torture(options.seed, Duration::from_secs(options.seconds) + MORE, run(&options))
}

async fn run(options: &Options) -> Result<Value, Fault> {
    let house = match options.target {
        Some(_) => None,
        None => Some(House::new(options)?),
    };
    let server = match (&house, options.target) {
        (Some(house), _) => house.address().await?,
        (None, target) => target.ok_or("there is no server")?,
    };
    let world = World::new(server, options);
    looks_around(&world).await?;

    let mut random = StdRng::seed_from_u64(options.seed);
    let clients = (0..options.clients)
        .map(|me| spawn_local(Client::new(world.clone(), me, StdRng::from_rng(&mut random)).lives()))
        .collect::<Vec<_>>();
    let until = Instant::now() + Duration::from_secs(options.seconds);
    let kills = match &house {
        Some(house) => house.is_killed(&world, options.kill_every, until).await?,
        None => 0,
    };
    sleep(until.saturating_duration_since(Instant::now())).await;

    world.phase.set(Phase::Settling);
    say("settling");
    settles(&world).await;
    world.phase.set(Phase::Searching);
    all_are(&world, SEARCHING_MAX, "have read their archives", |standing| standing.has_searched).await;
    missing(&world);
    world.phase.set(Phase::Leaving);
    let leaving = Instant::now() + LEAVING_MAX;
    while clients.iter().any(|client| !client.is_finished()) && Instant::now() < leaving {
        sleep(LOOK).await;
    }
    for client in clients {
        if !client.is_finished() {
            world.faults.note("a client does not come to its end".to_owned());
            client.abort();
        }
    }
    world.forsaken.borrow().iter().for_each(tokio::task::AbortHandle::abort);
    let left = match &house {
        Some(house) => Some(house.is_empty().await?),
        None => None,
    };
    Ok(report(options, &world, kills, left))
}

/// What the server announces: it must have stream management, and may have an archive.
async fn looks_around(world: &Rc<World>) -> Result<(), Fault> {
    let mut stream = Stream::connect(world.server, &world.domain).await?;
    let mut salted = None;
    stream.logs_in(&user(0), &world.password, &mut salted).await?;
    let has_sm = stream
        .features()
        .children
        .iter()
        .any(|feature| feature.name == "sm" && feature.attribute("xmlns") == Some("urn:xmpp:sm:3"));
    if !has_sm {
        return Err("the server announces no stream management".into());
    }
    let to = world.bare_jid(0);
    let question = format!(
        "<iq type='get' id='info' to='{to}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
    );
    stream.binds("looks-around", &question).await?;
    while let Some(piece) = stream.piece().await? {
        let Piece::Element(node) = piece else { break };
        if node.attribute("id") == Some("info") {
            let features = node.child("query").into_iter().flat_map(|query| &query.children);
            let has = features.filter(|child| child.attribute("var") == Some("urn:xmpp:mam:2")).count() > 0;
            world.has_archive.set(has);
            break;
        }
    }
    stream.says("</stream:stream>").await?;
    while stream.piece().await?.is_some() {}
    Ok(())
}

async fn all_are(world: &World, patience: Duration, what: &str, are: impl Fn(&Standing) -> bool) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        let behind = world.behind(&are);
        if behind.is_empty() {
            return true;
        }
        if Instant::now() > deadline {
            let first = behind.first().copied().unwrap_or_default();
            world.faults.note(format!("{} clients do not {what}, the first is {first}", behind.len()));
            return false;
        }
        sleep(LOOK).await;
    }
}

/// Waits until all that was sent is acknowledged and with its receivers; what is not is put down.
async fn settles(world: &World) {
    // How a client stood when it was still playing says nothing.
    for client in world.behind(|_| false) {
        world.stands(client, Standing::default());
    }
    all_are(world, SETTLING_MAX, "become calm", |standing| standing.is_calm).await;
    let deadline = Instant::now() + SETTLING_MAX;
    while !world.ledger(|ledger| ledger.missing()).is_empty() && Instant::now() < deadline {
        if world.has_archive.get() {
            // What the archive has is found there.
            break;
        }
        sleep(LOOK).await;
    }
    for id in world.ledger(|ledger| ledger.unacknowledged()) {
        world.is_wrong(id, Wrong::NotAcknowledged);
    }
}

fn missing(world: &World) {
    for id in world.ledger(|ledger| ledger.missing()) {
        world.is_wrong(id, Wrong::Lost);
    }
}

fn report(options: &Options, world: &World, kills: u64, left: Option<Result<Value, Value>>) -> Value {
    let (sums, faults) = (world.ledger(|ledger| ledger.sums()), world.faults.all());
    let mut told = BTreeSet::new();
    for (id, wrong) in world.wrongs() {
        if told.insert(wrong.kind()) {
            say(&format!("{}: {id} {wrong:?}, client {} to client {}:", wrong.kind(), id.from, id.to()));
            say(&world.story.of(id));
        }
    }
    let is_empty = left.as_ref().is_none_or(Result::is_ok);
    let good = told.is_empty() && faults.is_empty() && is_empty && sums.received > 0;
    json!({
        "seed": options.seed,
        "clients": options.clients,
        "seconds": options.seconds,
        "archive": world.has_archive.get(),
        "kills": kills,
        "did": world.counted(),
        "messages": {
            "sent": sums.sent,
            "acknowledged": sums.acknowledged,
            "received": sums.received,
            "only_from_the_archive": sums.only_archived,
            "resent": sums.resent,
            "receipts_the_server_may_not_know_of": sums.unknown,
            "duplicates": sums.duplicates,
            "duplicates_without_reason": sums.duplicates_without_reason,
        },
        "wrong": world.wrongs_total(),
        "faults": faults,
        "left": left.map(|left| left.unwrap_or_else(|left| left)),
        "nothing_left": is_empty,
        "good": good,
    })
}
