//! What rjabberd is measured against: relays that do less and less of what a server does.
//!
//! `r1` copies the bytes of messages between sockets and nothing else, on rjabberd's number of threads, with its socket
//! options; `r2` finds the ends of stanzas with our framer; `r3` also passes each message through actors as rjabberd
//! does. All three answer the login from a can. The differences say where the time of a message goes. For benches only:
//! it lets everybody in, checks nothing and bounds nothing.

mod assembler;
mod dialogue;
mod hop;
mod relay;
mod scan;
mod scram;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use clap::{Parser, ValueEnum};
use tokio::net::TcpListener;

use crate::assembler::Framing;
use crate::dialogue::Can;

/// How much of a server is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Stage {
    /// A bare relay.
    R1,
    /// With our framer.
    R2,
    /// With our framer and one actor hop on each side.
    R3,
}

/// Relays messages between clients that log in as anybody, for comparison with rjabberd.
#[derive(Debug, Parser)]
#[command(name = "rjabberd-reference")]
struct Arguments {
    /// How much of a server is there.
    #[arg(long, value_enum, default_value = "r1")]
    stage: Stage,
    /// Where to listen; port 0 takes a free one. The address is printed in one line.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Threads that carry connections; rjabberd's `arbiters.count`.
    #[arg(long, default_value_t = std::thread::available_parallelism().map_or(1, |cores| cores.get()))]
    workers: usize,
    /// The domain that clients log in to.
    #[arg(long, default_value = "localhost")]
    domain: String,
    /// The password of every account.
    #[arg(long, default_value = "secret")]
    password: String,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let can = Arc::new(Can::new(&arguments.domain, &arguments.password));
    let socket = rjabberd_listener::bind(arguments.listen, false)?;
    writeln!(io::stdout(), "{}", socket.local_addr()?)?;
    match arguments.stage {
        Stage::R1 => relay::run(socket, arguments.workers, Framing::scan, can),
        Stage::R2 => relay::run(socket, arguments.workers, Framing::framer, can),
        Stage::R3 => hop::run(socket, arguments.workers, can),
    }
}

/// Accepts for ever and gives each socket to `start`, as rjabberd's listener does: away from the threads that carry
/// connections.
async fn accept(socket: std::net::TcpListener, mut start: impl FnMut(std::net::TcpStream)) -> io::Result<()> {
    let listener = TcpListener::from_std(socket)?;
    loop {
        match listener.accept().await.and_then(|(socket, _)| socket.into_std()) {
            Ok(socket) => start(socket),
            Err(error) => {
                writeln!(io::stderr(), "cannot accept: {error}")?;
                tokio::task::yield_now().await;
            }
        }
    }
}
