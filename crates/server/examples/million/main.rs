//! Many sessions in one process, without sockets: connections in memory, everything else as it runs (receiver, c2s,
//! session table, bound resource, presence). Prints one JSON object: memory and processor time for each session, of
//! messages between sessions, and what is left when all have gone. Exits with 1 if anything is lost or left over.
//!
//! `scripts/million [SESSIONS] [MESSAGES]`

mod client;
mod generator;
mod one_key;
mod used;

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use rjabberd_server::{
    certificate::Certificates,
    config::{self, Sources},
    wiring::{self, Bound, System},
};
use rjabberd_storage::DataFolder;
use serde_json::json;

use generator::Generator;
use one_key::OneKey;
use used::resident_kib;

/// How long the allocator may take to give memory back.
const CALM: Duration = Duration::from_secs(3);
/// How long all sessions together may take to end.
const ENDING: Duration = Duration::from_secs(600);

type Fault = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<ExitCode, Fault> {
    let numbers: Vec<usize> = std::env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let number = |index: usize, default| numbers.get(index).copied().unwrap_or(default);
    let sessions = number(0, 1_000_000).max(2);
    let messages = number(1, sessions / 10).min(sessions);
    actix::System::new().block_on(run(sessions, messages))
}

async fn run(sessions: usize, messages: usize) -> Result<ExitCode, Fault> {
    let folder = tempfile::tempdir()?;
    let system = start(folder.path(), sessions).await?;
    let entrance = system.entrance("c2s").ok_or("the config has no listener for clients")?;
    let mut generator = Generator::new(entrance, sessions);
    let before_kib = resident_kib()?;

    // The session manager runs in this thread, so the clients have one of their own.
    let began = Instant::now();
    let (generator, logins) =
        apart(move || generator.log_in(sessions).map(|used| (generator, used))).await??;
    let login_s = began.elapsed().as_secs_f64();
    tokio::time::sleep(CALM).await;
    let (bound, with_kib, own_kib) = (system.sessions(), resident_kib()?, generator.kib());
    let each = with_kib.saturating_sub(before_kib + own_kib) * 1024 / sessions as u64;

    let began = Instant::now();
    let (generator, talks) = apart(move || generator.talk(messages).map(|used| (generator, used))).await??;
    let talk_s = began.elapsed().as_secs_f64();
    tokio::time::sleep(CALM).await;
    let talked_kib = resident_kib()?;

    let began = Instant::now();
    apart(move || drop(generator)).await?;
    while actors() > 0 && began.elapsed() < ENDING {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let end_s = began.elapsed().as_secs_f64();
    tokio::time::sleep(CALM).await;
    let (actors_left, sessions_left) = (actors(), system.sessions());
    let report = json!({
        "sessions": bound,
        "resident_kib_before": before_kib,
        "resident_kib_with_sessions": with_kib,
        "generator_kib": own_kib,
        "bytes_per_session": each,
        "login_s": login_s,
        "login_server_cpu_us": logins.server_us(sessions),
        "messages": messages,
        "messages_s": talk_s,
        "message_server_cpu_us": talks.server_us(messages),
        "resident_kib_after_messages": talked_kib,
        "end_s": end_s,
        "actors_left": actors_left,
        "sessions_left": sessions_left,
        "resident_kib_after_the_end": resident_kib()?,
    });
    writeln!(io::stdout(), "{report:#}")?;
    system.end();
    let good = bound == sessions && actors_left == 0 && sessions_left == 0;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The server as `rjabberd run` starts it, but for the store and the socket.
async fn start(folder: &Path, sessions: usize) -> Result<System, Fault> {
    let file = folder.join("rjabberd.toml");
    let text = format!(
        "hosts = ['localhost']\n\
         listen.c2s.tls = 'none'\n\
         listen.c2s.require_tls = false\n\
         archive.enabled = false\n\
         auth.mechanisms = ['SCRAM-SHA-1']\n\
         limits.connections_max = {sessions}\n\
         limits.connections_per_address_max = {sessions}\n\
         limits.connections_per_address_per_s_max = 1000000\n"
    );
    std::fs::write(&file, text)?;
    let data = Some(folder.join("data"));
    let config = config::load(Sources { file: Some(file), data, variables: Vec::new() })?;
    let listener = config.listeners.iter().find(|listener| listener.name == "c2s");
    let bound = vec![Bound::in_memory(listener.ok_or("the config has no listener for clients")?.clone())];
    let certificates = Arc::new(Certificates::load(&config.hosts, &DataFolder::open(&config.data)?)?);
    Ok(wiring::start(&config, bound, Arc::new(OneKey::new()?), &[7; 32], &certificates).await?)
}

/// Runs work in a thread of its own.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    Ok(tokio::task::spawn_blocking(work).await?)
}

/// Actors of connections.
fn actors() -> i64 {
    let kinds = rjabberd_actors::kind::snapshot();
    kinds.iter().filter(|kind| matches!(kind.name, "c2s" | "receiver")).map(|kind| kind.alive).sum()
}
