//! Many who never log in, and many who do, come and go: afterwards the server must be as it was. Prints one JSON object;
//! exits with 1 if anything failed or is left over.
//!
//! `rjabberd-strangers [STRANGERS] [LOGINS]`: in ten waves, each with a tenth of the strangers and of the logins, half of
//! these under TLS. The logins are `rjabberd-load`'s, which must stand beside this program.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
    process::{Command, ExitCode},
    sync::Arc,
    time::{Duration, Instant},
};

use rjabberd_testkit::{Fault, Figures, PASSWORD, Server, alive, localhost_config};
use rustls::{ClientConfig, ClientConnection, RootCertStore, crypto::aws_lc_rs};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};

const WAVES: usize = 10;
/// Strangers at one time.
const AT_ONCE: usize = 500;
/// Accounts that log in, again and again.
const ACCOUNTS: usize = 200;
/// By how much resident memory may differ after the last wave from what it was after the first.
const MEMORY_SLACK_PERCENT: u64 = 10;
/// How long the server may take for one thing, busy with hundreds of others.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long memory may take to be given back.
const SETTLING_MAX: Duration = Duration::from_secs(60);
/// How often memory is looked at meanwhile, and how often it must have stayed the same.
const LOOK: Duration = Duration::from_millis(250);
const LOOKS: usize = 12;

const HEADER: &str = "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
                      xmlns:stream='http://etherx.jabber.org/streams'>";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Fault> {
    let numbers: Vec<usize> = std::env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let number = |index: usize, default| numbers.get(index).copied().unwrap_or(default);
    let (strangers, logins) = (number(0, 200_000), number(1, 20_000));

    let server = Server::start(&localhost_config(&[
        "listen.c2s.require_tls = false",
        "listen.c2s_tls.shaper = 'none'",
        "listen.c2s.shaper = 'none'",
        "auth.mechanisms = ['SCRAM-SHA-1']",
        "log.level = 'info'",
    ]));
    import(&server)?;
    let targets = Targets::of(&server)?;
    let before = Standing::of(&server);
    let began = Instant::now();
    let mut report = Report { strangers, logins, ..Report::default() };
    for wave in 0..WAVES {
        let share = |all: usize| all * wave / WAVES..all * (wave + 1) / WAVES;
        report.come_and_go(&targets, share(strangers)).await?;
        for (listener, tls) in [("c2s", "none"), ("c2s_tls", "direct")] {
            report.log_in(&server, listener, tls, share(logins / 2).len())?;
        }
        if wave == 0 || wave == WAVES - 1 {
            report.settles(&server, &before).await;
        }
    }
    report.seconds = began.elapsed().as_secs();
    writeln!(io::stdout(), "{}", report.json(&before, &Standing::of(&server), &server.stats()))?;
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn load() -> Result<Command, Fault> {
    Ok(Command::new(std::env::current_exe()?.with_file_name("rjabberd-load")))
}

fn import(server: &Server) -> Result<(), Fault> {
    let count = ACCOUNTS.to_string();
    let arguments = ["accounts", "--domain", "localhost", "--format", "rjabberd", "--password", PASSWORD];
    let accounts = load()?.args(arguments).args(["--count", &count]).output()?;
    let file = server.folder().join("accounts.tsv");
    std::fs::write(&file, accounts.stdout)?;
    server.succeeds(&["user", "import", &file.to_string_lossy()], "");
    Ok(())
}

/// What must be the same before and after.
#[derive(Debug)]
struct Standing {
    sessions: u64,
    connections: u64,
    actors: BTreeMap<String, u64>,
    files: u64,
}

impl Standing {
    fn of(server: &Server) -> Standing {
        let stats = server.stats();
        Standing {
            sessions: stats["sessions"].as_u64().unwrap_or(u64::MAX),
            connections: stats["connections"].as_u64().unwrap_or(u64::MAX),
            actors: alive(&stats),
            files: server.figures().files,
        }
    }

    /// Whether nothing is left over. (At the start, the connection of a command may still have been open.)
    fn is_back_to(&self, before: &Standing) -> bool {
        self.sessions == before.sessions
            && self.connections == before.connections
            && self.actors == before.actors
            && self.files <= before.files
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "sessions": self.sessions, "connections": self.connections, "actors": self.actors, "files": self.files,
        })
    }
}

/// Where strangers go, and what they say of TLS.
struct Targets {
    plain: SocketAddr,
    tls: SocketAddr,
    hello: Vec<u8>,
}

impl Targets {
    fn of(server: &Server) -> Result<Arc<Targets>, Fault> {
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let mut connection = ClientConnection::new(Arc::new(config), "localhost".try_into()?)?;
        let mut hello = Vec::new();
        connection.write_tls(&mut hello)?;
        Ok(Arc::new(Targets { plain: server.address("c2s"), tls: server.address("c2s_tls"), hello }))
    }
}

/// What one stranger does.
const KINDS: usize = 8;

/// Comes, does what its number says, and goes.
async fn stranger(targets: &Targets, number: usize) -> Result<(), Fault> {
    let host = u16::try_from(number % 60_000)? + 256;
    let source = Ipv4Addr::from_bits(u32::from_be_bytes([127, 0, 0, 0]) | u32::from(host));
    let kind = number % KINDS;
    let socket = TcpSocket::new_v4()?;
    socket.bind((source, 0).into())?;
    let mut socket = socket.connect(if kind <= 1 { targets.tls } else { targets.plain }).await?;
    match kind {
        // A handshake begun, and one that is none.
        0 => {
            socket.write_all(&targets.hello).await?;
            hears(&mut socket, b"\x16").await?;
        }
        1 => {
            socket.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
            hears_out(&mut socket).await;
        }
        // Nothing at all, half a header, a header.
        2 => {}
        3 => socket.write_all(&HEADER.as_bytes()[..40]).await?,
        4 => says(&mut socket, HEADER, "</stream:features>").await?,
        // A user that there is not, and a proof that is none.
        5 => {
            says(&mut socket, HEADER, "</stream:features>").await?;
            let sasl = "urn:ietf:params:xml:ns:xmpp-sasl";
            let auth = format!("<auth xmlns='{sasl}' mechanism='SCRAM-SHA-1'>biwsbj1ub2JvZHkscj14</auth>");
            says(&mut socket, &auth, "</challenge>").await?;
            says(&mut socket, &format!("<response xmlns='{sasl}'>Yz1iaXdz</response>"), "</failure>").await?;
        }
        6 => {
            socket.write_all(format!("{HEADER}<a></b>").as_bytes()).await?;
            hears(&mut socket, b"</stream:stream>").await?;
        }
        // STARTTLS, and then half of what follows.
        _ => {
            says(&mut socket, HEADER, "</stream:features>").await?;
            says(&mut socket, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "<proceed ").await?;
            socket.write_all(&targets.hello[..50]).await?;
        }
    }
    Ok(())
}

async fn says(socket: &mut TcpStream, text: &str, until: &str) -> Result<(), Fault> {
    socket.write_all(text.as_bytes()).await?;
    hears(socket, until.as_bytes()).await
}

/// Reads until this has come.
async fn hears(socket: &mut TcpStream, wanted: &[u8]) -> Result<(), Fault> {
    let mut heard = Vec::new();
    let reading = async {
        while !heard.windows(wanted.len()).any(|window| window == wanted) {
            if socket.read_buf(&mut heard).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
        }
        Ok(())
    };
    let outcome = tokio::time::timeout(PATIENCE, reading).await;
    match outcome {
        Ok(Ok(())) => Ok(()),
        other => Err(format!("{:?} did not come, {other:?}", String::from_utf8_lossy(wanted)).into()),
    }
}

/// Reads until the server closes, however it does.
async fn hears_out(socket: &mut TcpStream) {
    let mut buffer = [0; 1024];
    while let Ok(Ok(1..)) = tokio::time::timeout(PATIENCE, socket.read(&mut buffer)).await {}
}

/// What was counted.
#[derive(Default)]
struct Report {
    strangers: usize,
    logins: usize,
    came: usize,
    logged_in: u64,
    failures: BTreeMap<String, u64>,
    /// After the first wave and after the last.
    resident_kib: Vec<u64>,
    /// Whether all was as before then.
    clean: Vec<bool>,
    seconds: u64,
}

impl Report {
    async fn come_and_go(
        &mut self,
        targets: &Arc<Targets>,
        numbers: std::ops::Range<usize>,
    ) -> Result<(), Fault> {
        let gate = Arc::new(Semaphore::new(AT_ONCE));
        let mut coming = JoinSet::new();
        for number in numbers {
            let (place, targets) = (gate.clone().acquire_owned().await?, targets.clone());
            coming.spawn(async move {
                let _place = place;
                stranger(&targets, number)
                    .await
                    .map_err(|fault| format!("stranger of kind {}: {fault}", number % KINDS))
            });
            while let Some(gone) = coming.try_join_next() {
                self.count(gone?);
            }
        }
        while let Some(gone) = coming.join_next().await {
            self.count(gone?);
        }
        Ok(())
    }

    fn count(&mut self, gone: Result<(), String>) {
        self.came += 1;
        if let Err(fault) = gone {
            *self.failures.entry(fault).or_default() += 1;
        }
    }

    /// Logins, each of which ends the session before it.
    fn log_in(&mut self, server: &Server, listener: &str, tls: &str, count: usize) -> Result<(), Fault> {
        if count == 0 {
            return Ok(());
        }
        let (target, count) = (server.address(listener).to_string(), count.to_string());
        let accounts = ACCOUNTS.to_string();
        let output = load()?
            .args(["login", "--domain", "localhost", "--password", PASSWORD, "--settle", "0", "--insecure"])
            .args(["--source", "127.0.0.2,127.0.0.3,127.0.0.4"])
            .args(["--target", &target, "--tls", tls, "--sessions", &accounts, "--logins", &count])
            .output()?;
        let figures: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        self.logged_in += figures["operations"].as_u64().unwrap_or_default();
        if !output.status.success() {
            *self.failures.entry(format!("logins: {}", figures["errors"])).or_default() += 1;
        }
        Ok(())
    }

    /// Waits until all have gone and memory has been given back, as far as it will be.
    async fn settles(&mut self, server: &Server, before: &Standing) {
        let deadline = Instant::now() + SETTLING_MAX;
        let mut same = 0;
        let mut last = Figures { resident_kib: u64::MAX, ..server.figures() };
        while same < LOOKS && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
            let now = server.figures();
            let is_smaller = now.resident_kib * 100 < last.resident_kib.saturating_mul(99);
            same = if is_smaller { 0 } else { same + 1 };
            last = now;
            if !Standing::of(server).is_back_to(before) {
                same = 0;
            }
        }
        self.resident_kib.push(last.resident_kib);
        self.clean.push(Standing::of(server).is_back_to(before));
    }

    fn memory_grew(&self) -> bool {
        match self.resident_kib.as_slice() {
            [first, .., last] => last * 100 > first * (100 + MEMORY_SLACK_PERCENT),
            _ => true,
        }
    }

    fn is_good(&self) -> bool {
        self.came == self.strangers
            && self.logged_in == (self.logins / 2 * 2) as u64
            && self.failures.is_empty()
            && self.clean.iter().all(|clean| *clean)
            && !self.memory_grew()
    }

    fn json(&self, before: &Standing, after: &Standing, stats: &serde_json::Value) -> serde_json::Value {
        serde_json::json!({
            "strangers": self.came,
            "logins": self.logged_in,
            "failures": self.failures,
            "seconds": self.seconds,
            "resident_kib": self.resident_kib,
            "memory_grew": self.memory_grew(),
            "before": before.json(),
            "after": after.json(),
            "connections_accepted": stats["connections_accepted"],
            "streams_closed": stats["streams_closed"],
            "sasl": stats["sasl"],
            "good": self.is_good(),
        })
    }
}
