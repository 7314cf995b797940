//! The server under torture: started on a port of its own, killed as a power cut would, started again on the same data.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, TcpListener},
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use rjabberd_testkit::{Fault, Server, alive, localhost_config};
use serde_json::Value;
use tokio::{task::spawn_blocking, time::sleep};

use crate::{
    options::Options,
    world::{World, user},
};

/// How long the server may take until nothing of the clients is left.
const PATIENCE: Duration = Duration::from_secs(60);
/// Files that a server which has worked may have open beyond one that has just started: its threads' own.
const FILES_MORE_MAX: u64 = 0;

/// The server, and what it was when nobody had come.
pub(crate) struct House {
    server: Arc<Mutex<Server>>,
    actors: std::collections::BTreeMap<String, u64>,
    files: u64,
}

impl House {
    /// Starts it, with its accounts.
    pub(crate) fn new(options: &Options) -> Result<House, Fault> {
        let listen = format!("listen.c2s.address = '127.0.0.1:{}'", free_port(options.seed)?);
        let mut lines = vec![
            "listen.c2s.require_tls = false",
            "listen.c2s.shaper = 'none'",
            "auth.mechanisms = ['SCRAM-SHA-1']",
            "log.level = 'info'",
            &listen,
        ];
        lines.extend(options.config.iter().map(String::as_str));
        let server = Server::start(&localhost_config(&lines));
        let mut accounts = String::new();
        for client in 0..options.clients {
            writeln!(accounts, "{}@{}\t{}", user(client), options.domain, options.password)?;
        }
        let file = server.folder().join("accounts.tsv");
        std::fs::write(&file, accounts)?;
        server.succeeds(&["user", "import", &file.to_string_lossy()], "");
        let (actors, files) = (alive(&server.stats()), server.figures().files);
        Ok(House { server: Arc::new(Mutex::new(server)), actors, files })
    }

    /// Something is done with the server, beside the clients.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        does: impl FnOnce(&mut Server) -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let server = self.server.clone();
        Ok(spawn_blocking(move || does(&mut server.lock().unwrap_or_else(PoisonError::into_inner))).await?)
    }

    /// Kills it every so many seconds and starts it again, until it is nearly time; how often.
    pub(crate) async fn is_killed(
        &self,
        world: &Rc<World>,
        every_s: u64,
        until: Instant,
    ) -> Result<u64, Fault> {
        let every = Duration::from_secs(every_s);
        let mut kills = 0;
        while every_s > 0 && Instant::now() + every < until {
            sleep(every).await;
            world.kills();
            world.story.note_server("is killed");
            self.with(Server::kill).await?;
            self.with(Server::run).await?;
            world.story.note_server("runs again");
            world.kills();
            kills += 1;
        }
        Ok(kills)
    }

    /// Waits until nothing of the clients is left; what is, if it stays.
    pub(crate) async fn is_empty(&self) -> Result<Result<Value, Value>, Fault> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (stats, files) = self.with(|server| (server.stats(), server.figures().files)).await?;
            let is_back =
                nothing_left(&stats) && alive(&stats) == self.actors && files <= self.files + FILES_MORE_MAX;
            let mut left = what_is_left(&stats);
            left["files"] = files.into();
            left["files_at_the_start"] = self.files.into();
            left["actors"] = serde_json::to_value(alive(&stats))?;
            if is_back {
                return Ok(Ok(left));
            }
            if Instant::now() > deadline {
                left["actors_at_the_start"] = serde_json::to_value(&self.actors)?;
                return Ok(Err(left));
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Its address.
    pub(crate) async fn address(&self) -> Result<std::net::SocketAddr, Fault> {
        self.with(|server| server.address("c2s")).await
    }
}

/// Figures that must be 0 at the end; those that a server does not know are passed over.
const ZERO: &[&[&str]] =
    &[&["sessions"], &["connections"], &["hibernated"], &["stream_management", "waiting"]];

fn nothing_left(stats: &Value) -> bool {
    let figure = |path: &&[&str]| path.iter().try_fold(stats, |value, key| value.get(key));
    let depths = stats["actors"].as_object().into_iter().flatten();
    ZERO.iter().filter_map(figure).all(|value| *value == 0)
        && depths.map(|(_, counts)| &counts["depth"]).all(|depth| *depth == 0)
}

fn what_is_left(stats: &Value) -> Value {
    let mut left = serde_json::json!({});
    for path in ZERO {
        if let Some(value) = path.iter().try_fold(stats, |value, key| value.get(key)) {
            left[path.join(".")] = value.clone();
        }
    }
    let depths = stats["actors"].as_object().into_iter().flatten();
    left["mailboxes"] = depths.filter_map(|(_, counts)| counts["depth"].as_u64()).sum::<u64>().into();
    left
}

/// A port that is free, and that the system gives to nobody meanwhile who asks for any.
fn free_port(seed: u64) -> Result<u16, Fault> {
    let mut random = StdRng::seed_from_u64(seed ^ u64::from(std::process::id()));
    for _ in 0..1000 {
        let port = random.random_range(20_000..32_000);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no port is free".into())
}
