//! Connections of proxies that we trust: each waits for its PROXY header beside the accepting, which it never holds up.
//!
//! Invariants: not a byte behind a header is taken from the socket; so many connections wait at most, each for so long.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::net::TcpStream;

use crate::proxy::{self, BadHeader, Origin, Parsed};

/// How long a header may take.
const HEADER_TIME_MAX: Duration = Duration::from_secs(5);
/// Connections of one listener that may wait for their header.
const WAITING_MAX: usize = 1024;
/// Bytes of a refused header that the log shows.
const SHOWN_BYTES: usize = 16;

/// Counters of all listeners' proxied connections.
pub static PROXIED: Proxied = Proxied { named: AtomicU64::new(0), refused: AtomicU64::new(0) };

/// What came from proxies.
#[derive(Debug)]
pub struct Proxied {
    named: AtomicU64,
    refused: AtomicU64,
}

impl Proxied {
    /// (connections with a good header, connections closed for want of one) since the start.
    pub fn counts(&self) -> (u64, u64) {
        (self.named.load(Relaxed), self.refused.load(Relaxed))
    }
}

/// Why a connection of a proxy was closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoHeader {
    #[error("{error}; it begins with \"{}\"", start.escape_ascii())]
    Bad { error: BadHeader, start: Vec<u8> },
    #[error("it ended before it was whole")]
    Ended,
    #[error("it took longer than {} s", HEADER_TIME_MAX.as_secs())]
    Late,
    #[error("too many wait for theirs")]
    Full,
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
}

/// A connection whose header is there, or will never be.
pub(crate) struct Told {
    pub(crate) socket: TcpStream,
    /// The address of the socket's other end.
    pub(crate) proxy: SocketAddr,
    pub(crate) origin: Result<Origin, NoHeader>,
}

/// Connections that wait for their header.
#[derive(Default)]
pub(crate) struct Waiting(FuturesUnordered<Pin<Box<dyn Future<Output = Told>>>>);

impl Waiting {
    /// Waits for one more.
    ///
    /// # Errors
    /// There is no room; it is closed.
    pub(crate) fn push(&mut self, socket: TcpStream, proxy: SocketAddr) -> Result<(), NoHeader> {
        if self.0.len() >= WAITING_MAX {
            PROXIED.refused.fetch_add(1, Relaxed);
            return Err(NoHeader::Full);
        }
        self.0.push(Box::pin(async move {
            let told = tokio::time::timeout(HEADER_TIME_MAX, read(&socket)).await;
            Told { socket, proxy, origin: told.unwrap_or(Err(NoHeader::Late)) }
        }));
        Ok(())
    }

    /// The next that need not wait any more; pending also where none waits.
    pub(crate) fn poll(&mut self, task: &mut Context<'_>) -> Poll<Told> {
        match self.0.poll_next_unpin(task) {
            Poll::Ready(Some(told)) => {
                let counter = if told.origin.is_ok() { &PROXIED.named } else { &PROXIED.refused };
                counter.fetch_add(1, Relaxed);
                Poll::Ready(told)
            }
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

/// Reads a header: looks at what is there, and takes only what is the header's.
async fn read(socket: &TcpStream) -> Result<Origin, NoHeader> {
    let mut seen = Vec::new();
    loop {
        let more_max = match parse(&seen)? {
            Parsed::Whole { origin, .. } => return Ok(origin),
            Parsed::Partial { more_max } => more_max,
        };
        let known = seen.len();
        seen.resize(known + more_max, 0);
        let peeked = socket.peek(&mut seen[known..]).await?;
        if peeked == 0 {
            return Err(NoHeader::Ended);
        }
        seen.truncate(known + peeked);
        if let Parsed::Whole { bytes, .. } = parse(&seen)? {
            seen.truncate(bytes);
        }
        take(socket, &mut seen[known..]).await?;
    }
}

fn parse(seen: &[u8]) -> Result<Parsed, NoHeader> {
    let start = &seen[..seen.len().min(SHOWN_BYTES)];
    proxy::parse(seen).map_err(|error| NoHeader::Bad { error, start: start.to_vec() })
}

/// Takes bytes that were seen already.
async fn take(socket: &TcpStream, mut bytes: &mut [u8]) -> Result<(), NoHeader> {
    while !bytes.is_empty() {
        match socket.try_read(bytes) {
            Ok(0) => return Err(NoHeader::Ended),
            Ok(taken) => bytes = &mut bytes[taken..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.readable().await?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
