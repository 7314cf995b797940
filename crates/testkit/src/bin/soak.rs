//! Many clients in pairs talk through a real server: every message must arrive, once and in order, and afterwards the
//! server must be as it was. Prints one JSON object; exits with 1 if anything was lost, doubled, disordered or left over.
//!
//! `rjabberd-soak [CLIENTS] [MESSAGES] [ROUNDS]`

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, Write as _},
    net::SocketAddr,
    process::ExitCode,
    sync::Arc,
    time::Instant,
};

use rjabberd_testkit::{Fault, Figures, Piece, SaltedPassword, Server, Stream, alive, localhost_config};
use tokio::sync::Semaphore;

/// Logins under way at one time.
const LOGINS_AT_ONCE: usize = 50;
/// By how much resident memory may differ after equal rounds.
const MEMORY_SLACK_PERCENT: u64 = 10;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Fault> {
    let numbers: Vec<usize> = std::env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let number = |index: usize, default| numbers.get(index).copied().unwrap_or(default);
    let (clients, messages, rounds) = (number(0, 2000) / 2 * 2, number(1, 100), number(2, 3));

    let server = Server::start(&localhost_config(&[
        "listen.c2s.require_tls = false",
        "listen.c2s.shaper = 'none'",
        "auth.mechanisms = ['SCRAM-SHA-1']",
        "log.level = 'info'",
    ]));
    let address = server.address("c2s");
    import(&server, clients)?;
    let before = alive(&server.stats());
    let mut report = Report { clients, messages, ..Report::default() };
    report.resident_kib.push(server.figures().resident_kib);
    let mut salted: Vec<Option<SaltedPassword>> = vec![None; clients];
    for _ in 0..rounds {
        report.round(address, &mut salted).await?;
        // A receiver hears its peer out a while after its connection is no longer counted.
        server.wait_for_stats(|stats| {
            stats["sessions"] == 0 && stats["connections"] == 0 && alive(stats) == before
        });
        report.resident_kib.push(server.figures().resident_kib);
    }
    report.server = Some(server.figures());
    writeln!(io::stdout(), "{}", report.json(&before))?;
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn user(index: usize) -> String {
    format!("soak-{index}")
}

fn import(server: &Server, clients: usize) -> Result<(), Fault> {
    let mut lines = String::new();
    for index in 0..clients {
        writeln!(lines, "{}@localhost\tpassword-{index}", user(index))?;
    }
    let file = server.folder().join("accounts.tsv");
    std::fs::write(&file, lines)?;
    server.succeeds(&["user", "import", &file.to_string_lossy()], "");
    Ok(())
}

/// What was counted.
#[derive(Default)]
struct Report {
    clients: usize,
    messages: usize,
    arrived: usize,
    lost: usize,
    doubled: usize,
    disordered: usize,
    logins_per_s: Vec<u64>,
    messages_per_s: Vec<u64>,
    /// Before the first round and after each.
    resident_kib: Vec<u64>,
    server: Option<Figures>,
}

impl Report {
    /// All log in, each talks with its partner, all leave.
    async fn round(
        &mut self,
        address: SocketAddr,
        salted: &mut [Option<SaltedPassword>],
    ) -> Result<(), Fault> {
        let began = Instant::now();
        let gate = Arc::new(Semaphore::new(LOGINS_AT_ONCE));
        let mut logins = Vec::new();
        for (index, salted) in salted.iter().enumerate() {
            let (gate, mut salted) = (gate.clone(), salted.clone());
            logins.push(tokio::spawn(async move {
                let _place = gate.acquire().await?;
                let talker = Talker::enter(address, index, &mut salted).await;
                talker
                    .map(|talker| (talker, salted))
                    .map_err(|error| format!("client {index}: {error}").into())
            }));
        }
        let mut talkers = Vec::new();
        for (index, login) in logins.into_iter().enumerate() {
            let (talker, key): (Talker, _) = login.await?.map_err(|error: Fault| error)?;
            salted[index] = key;
            talkers.push(talker);
        }
        self.logins_per_s.push(per_second(talkers.len(), began));

        let began = Instant::now();
        let messages = self.messages;
        let talks: Vec<_> = talkers
            .into_iter()
            .enumerate()
            .map(|(index, talker)| tokio::spawn(talker.talk(index ^ 1, messages)))
            .collect();
        let mut quiet = Vec::new();
        for talk in talks {
            let (talker, heard) = talk.await??;
            self.count(&heard);
            quiet.push(talker);
        }
        self.messages_per_s.push(per_second(quiet.len() * messages, began));
        for talker in quiet {
            talker.leave().await?;
        }
        Ok(())
    }

    fn count(&mut self, heard: &[usize]) {
        let mut times = vec![0_usize; self.messages];
        for number in heard {
            if let Some(times) = times.get_mut(*number) {
                *times += 1;
            }
        }
        self.arrived += heard.len();
        self.lost += times.iter().filter(|times| **times == 0).count();
        self.doubled += times.iter().filter(|times| **times > 1).count();
        self.disordered += heard.windows(2).filter(|pair| pair[0] >= pair[1]).count();
    }

    /// Memory after the last round, against that after the first: equal work must not grow it.
    fn memory_grew(&self) -> bool {
        match self.resident_kib.as_slice() {
            [_, first, .., last] => last * 100 > first * (100 + MEMORY_SLACK_PERCENT),
            _ => false,
        }
    }

    fn is_good(&self) -> bool {
        self.lost + self.doubled + self.disordered == 0 && self.arrived > 0 && !self.memory_grew()
    }

    fn json(&self, before: &BTreeMap<String, u64>) -> String {
        serde_json::json!({
            "clients": self.clients,
            "messages_each_way": self.messages,
            "arrived": self.arrived,
            "lost": self.lost,
            "doubled": self.doubled,
            "disordered": self.disordered,
            "logins_per_s": self.logins_per_s,
            "messages_per_s": self.messages_per_s,
            "resident_kib": self.resident_kib,
            "memory_grew": self.memory_grew(),
            "actors_before": before,
            "threads": self.server.map(|figures| figures.threads),
            "files": self.server.map(|figures| figures.files),
            "good": self.is_good(),
        })
        .to_string()
    }
}

fn per_second(count: usize, began: Instant) -> u64 {
    (count as f64 / began.elapsed().as_secs_f64().max(0.001)) as u64
}

/// One client.
struct Talker(Stream);

impl Talker {
    /// Connects, logs in and binds.
    async fn enter(
        address: SocketAddr,
        index: usize,
        salted: &mut Option<SaltedPassword>,
    ) -> Result<Talker, Fault> {
        let mut stream = Stream::connect(address, "localhost").await?;
        stream.logs_in(&user(index), &format!("password-{index}"), salted).await?;
        stream.binds("soak", "<presence/>").await?;
        Ok(Talker(stream))
    }

    /// Sends all messages to the partner's full JID and reads as many from it.
    async fn talk(mut self, partner: usize, messages: usize) -> Result<(Talker, Vec<usize>), Fault> {
        let mut heard = Vec::with_capacity(messages);
        let partner = user(partner);
        for number in 0..messages {
            self.0.says(&format!(
                "<message type='chat' id='{number}' to='{partner}@localhost/soak'><body>number {number} of a talk \
                 between two</body></message>"
            ))
            .await?;
            // About as many come in as go out: what is there is taken before the next is sent.
            if heard.len() < number {
                self.hear(&mut heard, &partner).await?;
            }
        }
        while heard.len() < messages {
            self.hear(&mut heard, &partner).await?;
        }
        Ok((self, heard))
    }

    async fn hear(&mut self, heard: &mut Vec<usize>, partner: &str) -> Result<(), Fault> {
        loop {
            match self.0.piece().await? {
                Some(Piece::Element(node)) if node.name == "message" => {
                    let from = node.attribute("from").unwrap_or_default();
                    if node.attribute("type") != Some("chat") || from != format!("{partner}@localhost/soak") {
                        return Err(format!("not from {partner}: {node:?}").into());
                    }
                    heard.push(node.attribute("id").unwrap_or_default().parse()?);
                    return Ok(());
                }
                Some(Piece::Element(_)) => {}
                piece => return Err(format!("no message: {piece:?}").into()),
            }
        }
    }

    /// Ends the stream. A message that still comes was sent twice.
    async fn leave(mut self) -> Result<(), Fault> {
        self.0.says("</stream:stream>").await?;
        while let Some(piece) = self.0.piece().await? {
            if let Piece::Element(node) = piece
                && node.name == "message"
            {
                return Err(format!("one message too many: {node:?}").into());
            }
        }
        Ok(())
    }
}
