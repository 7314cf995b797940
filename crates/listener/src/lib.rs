//! Accepts connections within limits and hands each socket to the `start` function that it was given.
//!
//! Knows nothing of streams, TLS or arbiters. In front of a connection from a proxy that the config names it reads a PROXY
//! header, and from then on the connection is the client's that the header names. Invariant: whatever `accept` answers, the
//! loop goes on, and never spins: after an error that would repeat at once (no file descriptors left) it pauses.

mod bind;
mod census;
pub mod messages;
mod pace;
mod proxied;
pub mod proxy;

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpStream},
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use actix::{Actor, ActorContext, ActorFuture, AsyncContext, Context, Handler};
use rjabberd_actors::{Alive, Kind, LineQuota, Mail, Mailbox, Port};
use tokio::{net::TcpListener, time::Sleep};

pub use bind::bind;
pub use census::{Admission, Census, CensusLimits, Refusal, Shared, block};
use messages::StopAccepting;
pub use proxied::{PROXIED, Proxied};
use proxied::{Told, Waiting};
use proxy::Origin;

/// Counters of all listeners.
pub static LISTENER: Kind = Kind::new("listener");

/// Pause after an accept error that would repeat at once.
const ERROR_PAUSE: Duration = Duration::from_millis(100);
/// Connections logged one by one per second; the rest of the second is one line.
const LOGGED_PER_SECOND_MAX: u32 = 50;
/// Connections accepted in one turn before the neighbours run.
const ACCEPTED_PER_TURN_MAX: u32 = 64;

/// What becomes of an accepted socket; with the client's address, canonical.
pub type Start = Arc<dyn Fn(TcpStream, SocketAddr, Admission) + Send + Sync>;

/// Whether an address is that of a proxy which begins every connection with a PROXY header.
pub type Proxies = Box<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// Accepts on one address.
pub struct Listener {
    /// Its actor and its name in the config, as they stand in the log.
    who: Arc<str>,
    socket: TcpListener,
    census: Arc<Census>,
    proxies: Proxies,
    waiting: Waiting,
    start: Start,
    pause: Option<Pin<Box<Sleep>>>,
    lines: LineQuota,
    alive: Alive,
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
        proxies: Proxies,
        start: Start,
    ) -> io::Result<Port<StopAccepting>> {
        let socket = TcpListener::from_std(socket)?;
        let lines = LineQuota::new(LOGGED_PER_SECOND_MAX);
        let alive = Alive::new(&LISTENER);
        let who = format!("{alive} {name}").into();
        let waiting = Waiting::default();
        let listener = Listener { who, socket, census, proxies, waiting, start, pause: None, lines, alive };
        Ok(Port::new(Actor::start(listener), Mailbox::new(&LISTENER, 16, usize::MAX)))
    }

    fn accepted(&mut self, socket: tokio::net::TcpStream, peer: SocketAddr) {
        let peer = canonical(peer);
        if !(self.proxies)(peer.ip()) {
            return self.admit(socket, peer, Census::admit(&self.census, peer.ip()), "");
        }
        if let Err(why) = self.waiting.push(socket, peer) {
            self.log(format_args!("Refused PROXY header from {peer}: {why}"));
        }
    }

    fn told(&mut self, Told { socket, proxy, origin }: Told) {
        match origin {
            Ok(Origin::Client(client)) => {
                let admission = Census::admit(&self.census, client.ip());
                self.admit(socket, client, admission, &format!(" through {proxy}"));
            }
            Ok(Origin::Proxy) => self.admit(socket, proxy, Census::admit_proxy(&self.census), ""),
            Err(why) => self.log(format_args!("Refused PROXY header from {proxy}: {why}")),
        }
    }

    fn admit(
        &self,
        socket: tokio::net::TcpStream,
        peer: SocketAddr,
        admission: Result<Admission, Refusal>,
        through: &str,
    ) {
        let admission = match admission {
            Ok(admission) => admission,
            Err(refusal) => {
                return self.log(format_args!("Refused connection from {peer}{through}: {refusal}"));
            }
        };
        // An error: it was reset between accept and here.
        let socket = match socket.into_std() {
            Ok(socket) => socket,
            Err(error) => return self.log(format_args!("Cannot take over connection from {peer}: {error}")),
        };
        match socket.local_addr().map(canonical) {
            Ok(local) => {
                self.log(format_args!("Accepted connection {peer} -> {local}{through}"));
                (self.start)(socket, peer, admission);
            }
            Err(error) => self.log(format_args!("Lost connection from {peer} at once: {error}")),
        }
    }

    /// Logs at most so many lines a second; how many were left out is one line.
    fn log(&self, line: std::fmt::Arguments<'_>) {
        if self.lines.admits(self.summary()) {
            log::info!(target: "listener:accept", "{} {line}", self.alive);
        }
    }

    fn summary(&self) -> impl FnOnce(u32) + Send + 'static {
        let who = self.who.clone();
        move |count| log::info!(target: "listener:accept", "{who}: and {count} more in that second")
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
                Poll::Ready(Ok((socket, peer))) => self.accepted(socket, peer),
                Poll::Ready(Err(error)) if concerns_one_connection(&error) => {
                    log::debug!(target: "listener:accept", "{}: {error}", self.who);
                }
                Poll::Ready(Err(error)) => {
                    log::warn!(target: "listener:accept", "{} cannot accept, pausing: {error}", self.who);
                    self.pause = Some(Box::pin(tokio::time::sleep(ERROR_PAUSE)));
                }
            }
        }
        task.waker().wake_by_ref();
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
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
        // After accepting, so that whoever has come since is polled once and wakes us.
        while let Poll::Ready(told) = listener.waiting.poll(task) {
            listener.told(told);
        }
        Poll::Pending
    }
}

impl Handler<Mail<StopAccepting>> for Listener {
    type Result = ();

    fn handle(&mut self, mail: Mail<StopAccepting>, context: &mut Context<Self>) {
        let (StopAccepting, _handling) = mail.open();
        self.lines.sum_up(self.summary());
        log::info!(target: "listener:stop", "{} accepts no more", self.who);
        context.stop();
    }
}
