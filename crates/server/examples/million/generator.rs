//! The clients, in one thread; of a client that says nothing it keeps its end of the connection, two words.

use std::io::{self, Write as _};

use futures_util::{StreamExt, TryStreamExt, future, stream};
use rjabberd_server::wiring::Entrance;
use rjabberd_testkit::SaltedPassword;
use rjabberd_transport::memory::{self, End};

use crate::{
    Fault,
    client::Client,
    one_key::salted,
    used::{Used, resident_kib},
};

/// Conversations under way at one time.
const AT_ONCE: usize = 64;
/// How often progress is told.
const TOLD_EVERY: usize = 50_000;

/// All clients.
pub(crate) struct Generator {
    entrance: Entrance,
    ends: Vec<End>,
    salted: SaltedPassword,
}

impl Generator {
    pub(crate) fn new(entrance: Entrance, sessions: usize) -> Generator {
        Generator { entrance, ends: Vec::with_capacity(sessions), salted: salted() }
    }

    /// Its own memory; both directions of the connections are counted for the server.
    pub(crate) fn kib(&self) -> u64 {
        (self.ends.len() * size_of::<End>() / 1024) as u64
    }

    /// Logs in so many clients, each with an account of its own.
    pub(crate) fn log_in(&mut self, sessions: usize) -> Result<Used, Fault> {
        let (entrance, salted) = (&self.entrance, &self.salted);
        let logins = stream::iter(0..sessions).map(|number| async move {
            let (server, end) = memory::pair();
            if !entrance.enter(server) {
                return Err("the server takes no more connections".into());
            }
            Client::new(&end).logs_in(number, salted.clone()).await?;
            Ok(end)
        });
        let ends = &mut self.ends;
        let keep = logins.buffered(AT_ONCE).try_for_each(|end| {
            ends.push(end);
            future::ready(if ends.len().is_multiple_of(TOLD_EVERY) { tell(ends.len()) } else { Ok(()) })
        });
        Used::during(|| block_on(keep))
    }

    /// Sends messages between pairs from all over the table; each client gets one at most.
    pub(crate) fn talk(&self, messages: usize) -> Result<Used, Fault> {
        let sessions = self.ends.len();
        // Without a common divisor the stride comes to every client once.
        let stride = (sessions / 3..).find(|stride| divisor(*stride, sessions) == 1).unwrap_or(1);
        let talks = stream::iter(0..messages).map(|number| {
            let receiver = number * stride % sessions;
            let sender = (receiver + sessions / 2) % sessions;
            say(&self.ends[sender], &self.ends[receiver], receiver, number)
        });
        Used::during(|| block_on(talks.buffered(AT_ONCE).try_for_each(|()| future::ready(Ok(())))))
    }
}

fn divisor(one: usize, other: usize) -> usize {
    if other == 0 { one } else { divisor(other, one % other) }
}

fn tell(sessions: usize) -> Result<(), Fault> {
    Ok(writeln!(io::stderr(), "{sessions} sessions, {} MiB", resident_kib()? / 1024)?)
}

fn block_on(work: impl Future<Output = Result<(), Fault>>) -> Result<(), Fault> {
    tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(work)
}

async fn say(sender: &End, receiver: &End, to: usize, number: usize) -> Result<(), Fault> {
    let text = format!(
        "<message type='chat' id='{number}' to='user{to}@localhost/balcony'><body>number {number} of many, between \
         two who never met</body></message>"
    );
    Client::new(sender).says(&text).await?;
    let message = Client::new(receiver).takes("message").await?;
    if message.attribute("id") == Some(&number.to_string()) {
        return Ok(());
    }
    Err(format!("wanted message {number}, got {message:?}").into())
}
