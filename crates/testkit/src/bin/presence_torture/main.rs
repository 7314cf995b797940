//! Torture of presence: hundreds of accounts that are each other's contacts come and go in every way a client can, and
//! at the end everybody must see exactly who is there (RFC 6121, 4). No ghost, nobody missing, nothing stale.
//!
//! The truth is what the clients did ([`world`]); it is compared with what each client was told while it was online
//! ([`view`]), and with what a client is told that only comes when all is over. Prints one JSON object; ends with 1 if
//! anything differs, or if the server keeps a session or an actor.
//!
//! `rjabberd-presence-torture [--accounts N] [--contacts N] [--seconds N] [--seed N] [--pause-ms N]
//! [--target HOST:PORT --domain NAME --password TEXT] [--forget-each N] [--unsubscribe yes|no]
//! [--silent-takeovers yes|no]`

mod graph;
mod link;
mod options;
mod player;
mod quarrel;
mod settle;
mod shown;
mod view;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    process::ExitCode,
    rc::Rc,
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::StdRng};
use rjabberd_testkit::{Fault, Server, alive, localhost_config, say, torture};
use serde_json::{Value, json};
use tokio::task::{JoinHandle, spawn_local};

use crate::{
    graph::Graph,
    link::Link,
    options::Options,
    player::{Player, new_presence, says_presence},
    quarrel::quarrels,
    settle::settles,
    shown::{Address, OBSERVER, bare_jid, user},
    world::{Connected, Difference, World},
};

/// Subscriptions of one account that are asked for at a time.
const ASKED_AT_ONCE: usize = 4;
/// One account in so many quarrels with a contact.
const QUARRELS_EACH: usize = 25;
/// What the run may take beside the time in which is played.
const MORE: Duration = Duration::from_secs(900);
/// Differences that are shown.
const SHOWN_MAX: usize = 20;

fn main() -> Result<ExitCode, Fault> {
    let options = Options::read(std::env::args().skip(1))?;
    torture(options.seed, Duration::from_secs(options.seconds) + MORE, run(&options))
}

async fn run(options: &Options) -> Result<Value, Fault> {
    let server = match options.target {
        Some(_) => None,
        None => Some(started(options)?),
    };
    let before = server.as_ref().map(|server| alive(&server.stats()));
    let address = options.target.or_else(|| server.as_ref().map(|server| server.address("c2s")));
    let address = address.ok_or("there is no server")?;
    let mut random = StdRng::seed_from_u64(options.seed);
    let graph = Graph::regular(options.accounts, options.contacts, &mut random);
    let world = World::new(address, options, graph);

    let began = Instant::now();
    let mut clients = all_log_in(&world, &mut random).await?;
    clients = befriend(&world, clients).await?;
    let set_up_s = began.elapsed().as_secs_f64();
    let mut stages = vec![("contacts", rosters(&world, &mut clients).await?)];
    say(&format!(
        "{} accounts have {} contacts each after {set_up_s:.1} s",
        options.accounts, options.contacts
    ));

    let mut clients = play(&world, clients, &mut random, options).await?;
    say(&format!("{} logins, {} resources are available", world.counts().logins, world.available()));
    stages.push(("clients", settles(&world, &mut clients, views).await?));
    let observers = observe(&world, &mut clients, &mut random, &mut stages).await?;
    let available = world.available();
    for (address, link) in clients {
        world.shows(address, None);
        link.leaves().await?;
    }
    let after = server.as_ref().map(|server| {
        // A receiver hears its peer out a while after its connection is no longer counted.
        server.wait_for_stats(|stats| {
            stats["sessions"] == 0 && stats["connections"] == 0 && Some(alive(stats)) == before
        })
    });
    let mut report = report(options, &world, &stages, after.as_ref());
    report["contacts_set_up_s"] = json!((set_up_s * 10.0).round() / 10.0);
    report["available_at_the_end"] = json!(available);
    report["observers"] = json!(observers);
    report["resident_kib"] = json!(server.as_ref().map(|server| server.figures().resident_kib));
    Ok(report)
}

/// Our own server, with its accounts.
fn started(options: &Options) -> Result<Server, Fault> {
    let server = Server::start(&localhost_config(&[
        "listen.c2s.require_tls = false",
        "listen.c2s.shaper = 'none'",
        "auth.mechanisms = ['SCRAM-SHA-1']",
        "log.level = 'info'",
    ]));
    let mut lines = String::new();
    for account in 0..options.accounts {
        writeln!(lines, "{}\t{}", bare_jid(account, &options.domain), options.password)?;
    }
    let file = server.folder().join("accounts.tsv");
    std::fs::write(&file, lines)?;
    server.succeeds(&["user", "import", &file.to_string_lossy()], "");
    Ok(server)
}

/// The first resource of every account logs in, asks for its roster and is available.
async fn all_log_in(world: &Rc<World>, random: &mut StdRng) -> Result<Vec<Connected>, Fault> {
    let mut logins = Vec::new();
    for account in 0..world.accounts {
        logins.push(spawn_local(enter(world.clone(), Address::new(account, 0), new_presence(world, random))));
    }
    all(logins).await
}

async fn enter(world: Rc<World>, address: Address, shown: shown::Shown) -> Result<Connected, Fault> {
    let mut link = Link::enter(&world, address)
        .await
        .map_err(|fault| format!("{}: {fault}", user(address.account())))?;
    let roster = link.asks_roster();
    says_presence(&world, address, &link, shown);
    link.is_answered(roster).await?;
    Ok((address, link))
}

async fn all<T: 'static>(tasks: Vec<JoinHandle<Result<T, Fault>>>) -> Result<Vec<T>, Fault> {
    let mut done = Vec::new();
    for task in tasks {
        done.push(task.await??);
    }
    Ok(done)
}

/// Everybody asks the contacts of higher numbers, who let it see them and ask back.
async fn befriend(world: &Rc<World>, clients: Vec<Connected>) -> Result<Vec<Connected>, Fault> {
    let mut tasks = Vec::new();
    for (address, link) in clients {
        link.view(|view| view.asks_back = true);
        let world = world.clone();
        tasks.push(spawn_local(async move {
            let contacts: Vec<u16> =
                world.graph.contacts(address.account()).filter(|other| *other > address.account()).collect();
            for (index, contact) in contacts.iter().enumerate() {
                link.says(&format!(
                    "<presence type='subscribe' to='{}'/>",
                    bare_jid(*contact, &world.domain)
                ));
                let asked = &contacts[..=index];
                let open_max = if index + 1 == contacts.len() { 0 } else { ASKED_AT_ONCE - 1 };
                let few = |view: &mut view::View| {
                    let open = |one: &&u16| !view.granted_by.contains(*one) || !view.asked_by.contains(*one);
                    asked.iter().filter(open).count() <= open_max
                };
                link.until("subscription", few).await?;
            }
            Ok((address, link))
        }));
    }
    let clients = all(tasks).await?;
    clients.iter().for_each(|(_, link)| link.view(|view| view.asks_back = false));
    Ok(clients)
}

/// Fetches all rosters until they are as they must be, and looks at the views too.
async fn rosters(world: &Rc<World>, clients: &mut [Connected]) -> Result<Vec<Difference>, Fault> {
    let found = settles(world, clients, views).await?;
    let mut pending = Vec::new();
    for (_, link) in clients.iter_mut() {
        pending.push(link.asks_roster());
    }
    for ((_, link), number) in clients.iter().zip(pending) {
        link.is_answered(number).await?;
    }
    let wrong = clients.iter().flat_map(|(address, link)| {
        link.view(
            |view| if view.roster.is_some() { world.roster_differences(*address, view) } else { Vec::new() },
        )
    });
    Ok(found.into_iter().chain(wrong).collect())
}

/// What the clients that are available believe and is not so.
fn views(world: &World, clients: &[Connected]) -> Vec<Difference> {
    let available = clients.iter().filter(|(address, _)| world.shown(*address).is_some());
    available.flat_map(|(address, link)| link.view(|view| world.differences(*address, view))).collect()
}

/// All play, and a few quarrel; those that are connected at the end.
async fn play(
    world: &Rc<World>,
    clients: Vec<Connected>,
    random: &mut StdRng,
    options: &Options,
) -> Result<Vec<Connected>, Fault> {
    let until = Instant::now() + Duration::from_secs(options.seconds);
    let pairs = world.graph.pairs((usize::from(options.accounts) / QUARRELS_EACH / 2).max(1));
    let mut links: BTreeMap<Address, Link> = clients.into_iter().collect();
    let (mut quarrelling, mut playing) = (Vec::new(), Vec::new());
    for (one, other) in &pairs {
        let mut take = |account| {
            let address = Address::new(account, 0);
            links.remove(&address).map(|link| (address, link)).ok_or("an account without a client")
        };
        let pair = [take(*one)?, take(*other)?];
        let own = StdRng::from_rng(random);
        quarrelling.push(spawn_local(quarrels(world.clone(), pair, own, options.pause_ms, until)));
    }
    for account in 0..world.accounts {
        let quarrels = pairs.iter().any(|(one, other)| [*one, *other].contains(&account));
        let resources = match account {
            _ if account % 8 == 0 => 3,
            _ if quarrels || account % 4 == 0 => 2,
            _ => 1,
        };
        for resource in u32::from(quarrels)..resources {
            let address = Address::new(account, resource);
            let own = StdRng::from_rng(random);
            let player = Player::new(world.clone(), address, own, links.remove(&address), options.pause_ms);
            playing.push(spawn_local(player.plays(until)));
        }
    }
    let mut connected = Vec::new();
    for pair in quarrelling {
        connected.extend(pair.await?);
    }
    for player in playing {
        connected.extend(player.await?);
    }
    Ok(connected)
}

/// A new client of every account comes, looks around, and goes; then all others look again.
async fn observe(
    world: &Rc<World>,
    clients: &mut Vec<Connected>,
    random: &mut StdRng,
    stages: &mut Vec<(&'static str, Vec<Difference>)>,
) -> Result<usize, Fault> {
    let mut logins = Vec::new();
    for account in 0..world.accounts {
        logins.push(spawn_local(enter(
            world.clone(),
            Address::new(account, OBSERVER),
            new_presence(world, random),
        )));
    }
    let first_observer = clients.len();
    clients.extend(all(logins).await?);
    stages.push(("observers", rosters(world, clients).await?));
    let observers = clients.split_off(first_observer);
    let count = observers.len();
    for (address, link) in observers {
        world.shows(address, None);
        link.leaves().await?;
    }
    stages.push(("clients_without_observers", settles(world, clients, views).await?));
    Ok(count)
}

fn report(
    options: &Options,
    world: &World,
    stages: &[(&str, Vec<Difference>)],
    after: Option<&Value>,
) -> Value {
    let (counts, heard, faults) = (world.counts(), world.heard(), world.faults.all());
    let mut mismatches = BTreeMap::new();
    let (mut total, mut not_reflected) = (0, 0);
    for (stage, differences) in stages {
        let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
        for difference in differences {
            *kinds.entry(difference.kind()).or_default() += 1;
        }
        let own = kinds.remove("not_reflected").unwrap_or_default();
        not_reflected += own;
        total += kinds.values().sum::<u64>();
        mismatches.insert(*stage, kinds);
        let differences = differences.iter().filter(|difference| difference.kind() != "not_reflected");
        let mut about = BTreeSet::new();
        for difference in differences.take(SHOWN_MAX) {
            say(&format!("{stage}: {difference:?}"));
            about.insert(difference.whom());
        }
        about.iter().for_each(|whom| say(&format!("{whom:?} did last: {}", world.deeds(*whom))));
    }
    // Other servers may differ in what does no harm; ours must not (RFC 6121, 4.2.2).
    let is_strict = options.target.is_none();
    let good = total == 0
        && !(is_strict && not_reflected + heard.strays > 0)
        && heard.strange.is_empty()
        && faults.is_empty()
        && heard.presences > 0;
    json!({
        "seed": options.seed,
        "accounts": options.accounts,
        "contacts": options.contacts,
        "seconds": options.seconds,
        "logins": counts.logins,
        "takeovers": counts.takeovers,
        "conflicts": counts.conflicts,
        "cuts": counts.cuts,
        "resets": counts.resets,
        "clean_ends": counts.clean_ends,
        "presence_changes": counts.changes,
        "unavailable_and_back": counts.returns,
        "subscriptions_revoked": counts.revoked,
        "subscriptions_granted": counts.granted,
        "presences_received": heard.presences,
        "unavailable_received": heard.unavailable,
        "forgotten_on_purpose": heard.forgotten,
        "presences_while_unavailable": heard.strays,
        "mismatches": total,
        "mismatches_by_stage": mismatches,
        "own_presence_not_reflected": not_reflected,
        "strange": heard.strange,
        "faults": faults,
        "sessions_left": after.map(|stats| stats["sessions"].clone()),
        "actors_left": after.map(alive),
        "good": good,
    })
}
