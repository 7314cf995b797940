//! Accepts connections within limits and hands each socket to the `start` function that it was given.
//!
//! Knows nothing of streams, TLS or arbiters. Invariant: whatever `accept` answers, the loop goes on, and never spins:
//! after an error that would repeat at once (no file descriptors left) it pauses.

mod bind;
mod census;
pub mod messages;

use std::{
    io,
    net::{SocketAddr, TcpStream},
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::{Duration, Instant},
};

use actix::{Actor, ActorContext, ActorFuture, AsyncContext, Context, Handler};
use rjabberd_actors::{Alive, Kind, Mail, Mailbox, Port};
use tokio::{net::TcpListener, time::Sleep};

pub use bind::bind;
pub use census::{Admission, Census, CensusLimits, Refusal, Shared};
use messages::StopAccepting;

/// Counters of all listeners.
pub static LISTENER: Kind = Kind::new("listener");

/// Pause after an accept error that would repeat at once.
const ERROR_PAUSE: Duration = Duration::from_millis(100);
/// Connections logged one by one per second; the rest of the second is one line.
const LOGGED_PER_SECOND_MAX: u32 = 50;
/// Connections accepted in one turn before the neighbours run.
const ACCEPTED_PER_TURN_MAX: u32 = 64;

/// What becomes of an accepted socket.
pub type Start = Arc<dyn Fn(TcpStream, Admission) + Send + Sync>;

/// Accepts on one address.
pub struct Listener {
    name: String,
    socket: TcpListener,
    census: Arc<Census>,
    start: Start,
    pause: Option<Pin<Box<Sleep>>>,
    logged: Logged,
    alive: Alive,
}

/// How many connections were logged in the current second.
struct Logged {
    since: Instant,
    lines: u32,
    silent: u32,
}

impl Listener {
    /// Starts accepting on a socket that [`bind`] made; `name` is the listener's in the config.
    ///
    /// # Errors
    /// The socket cannot be registered with this arbiter's event loop.
    pub fn start(
        name: String,
        socket: std::net::TcpListener,
        census: Arc<Census>,
        start: Start,
    ) -> io::Result<Port<StopAccepting>> {
        let socket = TcpListener::from_std(socket)?;
        let logged = Logged { since: Instant::now(), lines: 0, silent: 0 };
        let alive = Alive::new(&LISTENER);
        let listener = Listener { name, socket, census, start, pause: None, logged, alive };
        Ok(Port::new(Actor::start(listener), Mailbox::new(&LISTENER, 16, usize::MAX)))
    }

    fn admit(&mut self, socket: tokio::net::TcpStream, peer: SocketAddr) {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let admission = match Census::admit(&self.census, peer.ip()) {
            Ok(admission) => admission,
            Err(refusal) => {
                self.log(format_args!("Refused connection from {peer}: {refusal}"));
                return;
            }
        };
        match socket.into_std() {
            Ok(socket) => {
                let local = socket.local_addr().map(|local| (local.ip().to_canonical(), local.port()));
                match local {
                    Ok((ip, port)) => {
                        let local = SocketAddr::new(ip, port);
                        self.log(format_args!("Accepted connection {peer} -> {local}"));
                        (self.start)(socket, admission);
                    }
                    // It was reset between accept and here.
                    Err(error) => self.log(format_args!("Lost connection from {peer} at once: {error}")),
                }
            }
            Err(error) => self.log(format_args!("Cannot take over connection from {peer}: {error}")),
        }
    }

    /// Logs at most so many lines a second; how many were left out is one line.
    fn log(&mut self, line: std::fmt::Arguments<'_>) {
        if self.logged.since.elapsed() >= Duration::from_secs(1) {
            if self.logged.silent > 0 {
                log::info!(target: "listener:accept", "{} {}: and {} more in that second", self.alive, self.name, self.logged.silent);
            }
            self.logged = Logged { since: Instant::now(), lines: 0, silent: 0 };
        }
        if self.logged.lines < LOGGED_PER_SECOND_MAX {
            self.logged.lines += 1;
            log::info!(target: "listener:accept", "{} {line}", self.alive);
        } else {
            self.logged.silent += 1;
        }
    }

    fn poll_accept(&mut self, task: &mut TaskContext<'_>) {
        for _ in 0..ACCEPTED_PER_TURN_MAX {
            if let Some(pause) = &mut self.pause {
                if pause.as_mut().poll(task).is_pending() {
                    return;
                }
                self.pause = None;
            }
            match self.socket.poll_accept(task) {
                Poll::Pending => return,
                Poll::Ready(Ok((socket, peer))) => self.admit(socket, peer),
                Poll::Ready(Err(error)) if concerns_one_connection(&error) => {
                    log::debug!(target: "listener:accept", "{} {}: {error}", self.alive, self.name);
                }
                Poll::Ready(Err(error)) => {
                    log::warn!(target: "listener:accept", "{} {} cannot accept, pausing: {error}", self.alive, self.name);
                    self.pause = Some(Box::pin(tokio::time::sleep(ERROR_PAUSE)));
                }
            }
        }
        task.waker().wake_by_ref();
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, PermissionDenied};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | PermissionDenied)
}

impl Actor for Listener {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.spawn(Accepting);
    }
}

/// Polled for as long as the listener lives.
struct Accepting;

impl ActorFuture<Listener> for Accepting {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        listener: &mut Listener,
        _: &mut Context<Listener>,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        listener.poll_accept(task);
        Poll::Pending
    }
}

impl Handler<Mail<StopAccepting>> for Listener {
    type Result = ();

    fn handle(&mut self, mail: Mail<StopAccepting>, context: &mut Context<Self>) {
        let (StopAccepting, _handling) = mail.open();
        log::info!(target: "listener:stop", "{} {} accepts no more", self.alive, self.name);
        context.stop();
    }
}
