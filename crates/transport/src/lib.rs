//! One connection, plain or TLS, on a socket or in memory, shared by the two actors of a connection on one arbiter.
//!
//! Not an actor, as `ejabberd_socket` is not a process: its functions run in whoever calls them, and never wait.
//! Invariants: no borrow lives across a poll; plaintext that rustls holds is drained before the socket's readiness is
//! waited for; reading flushes what TLS wants to send.

pub mod handshake;
pub mod memory;
mod socket;
mod tls;

use std::{
    cell::{Cell, RefCell},
    io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use rustls::{ProtocolVersion, ServerConfig, pki_types::CertificateDer};

pub use socket::Accepted;

use socket::Socket;
use tls::Tls;

/// What a read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// That many bytes of plaintext.
    Bytes(usize),
    /// Nothing now: wait for readiness.
    Nothing,
    /// The peer shut its side down.
    End,
}

/// What a handshake came to.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsInfo {
    /// `TLSv1_3`, `TLSv1_2`.
    pub version: ProtocolVersion,
    /// The cipher suite.
    pub cipher: String,
    /// The group of the key exchange; empty where a session was resumed without one.
    pub group: String,
    /// The host that the client asked for (SNI).
    pub server_name: Option<String>,
    /// Whether an earlier session was resumed.
    pub is_resumed: bool,
    /// 32 bytes of exported keying material for channel binding (RFC 9266, 2); TLS 1.3 only.
    pub exporter: Option<[u8; 32]>,
    /// The hash of our certificate for channel binding (RFC 5929, 4.1), where its kind has one.
    pub end_point: Option<Arc<[u8]>>,
    /// The client's certificate and those that it sent with it. They are its own only; nobody vouches for them yet.
    pub peer_certificates: Vec<CertificateDer<'static>>,
}

/// Exported keying material is nobody's business.
impl std::fmt::Debug for TlsInfo {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "TlsInfo({:?} {})", self.version, self.cipher)
    }
}

/// One connection's socket.
pub struct Transport {
    socket: Socket,
    tls: RefCell<Option<Box<Tls>>>,
    peer: SocketAddr,
    local: SocketAddr,
    received: Cell<u64>,
    sent: Cell<u64>,
    last_read: Cell<Instant>,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Transport({} <- {})", self.local, self.peer)
    }
}

/// An address as logs and limits know it: `::ffff:192.0.2.1` is `192.0.2.1`.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V6(ip) => SocketAddr::new(IpAddr::V6(ip).to_canonical(), address.port()),
        IpAddr::V4(_) => address,
    }
}

impl Transport {
    /// Takes over an accepted connection, on the arbiter where it will live.
    ///
    /// # Errors
    /// The socket is gone already, or cannot be registered with this arbiter's event loop.
    pub fn new(accepted: impl Into<Accepted>) -> io::Result<Rc<Transport>> {
        let socket = Socket::new(accepted.into())?;
        let (peer, local) = socket.addresses()?;
        Ok(Rc::new(Transport {
            socket,
            tls: RefCell::new(None),
            peer,
            local,
            received: Cell::new(0),
            sent: Cell::new(0),
            last_read: Cell::new(Instant::now()),
        }))
    }

    /// What is left of a connection that its owner gives up: who it was with, and what went over it. The socket is closed
    /// when the other owner has given it up too.
    #[must_use]
    pub fn given_up(&self) -> Rc<Transport> {
        Rc::new(Transport {
            socket: Socket::Closed,
            tls: RefCell::new(None),
            peer: self.peer,
            local: self.local,
            received: self.received.clone(),
            sent: self.sent.clone(),
            last_read: self.last_read.clone(),
        })
    }

    /// The client's address, canonical; not that of a proxy which told it.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Our address, canonical.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// (received, sent) bytes of plaintext so far.
    pub fn counts(&self) -> (u64, u64) {
        (self.received.get(), self.sent.get())
    }

    /// When the peer was last heard of; a white-space keepalive counts.
    pub fn last_read(&self) -> Instant {
        self.last_read.get()
    }

    /// Whether TLS is on (or begun).
    pub fn is_tls(&self) -> bool {
        self.tls.borrow().is_some()
    }

    /// Waits until a read is worth while: plaintext is held, or the socket is readable.
    pub fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.tls.borrow().as_ref().is_some_and(|tls| tls.holds_plaintext()) {
            return Poll::Ready(Ok(()));
        }
        self.socket.poll_read_ready(context)
    }

    /// Reads plaintext into `buffer`, as much as is there.
    ///
    /// # Errors
    /// The connection broke, or the TLS records are bad.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<Read> {
        let read = match self.tls.borrow_mut().as_mut() {
            Some(tls) => tls.read(&self.socket, buffer)?,
            None => match self.socket.try_read(buffer) {
                Ok(0) => Read::End,
                Ok(bytes) => Read::Bytes(bytes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Read::Nothing,
                Err(error) => return Err(error),
            },
        };
        if let Read::Bytes(bytes) = read {
            self.received.set(self.received.get() + bytes as u64);
            self.last_read.set(Instant::now());
        }
        Ok(read)
    }

    /// Whether ciphertext waits to be sent.
    pub fn wants_write(&self) -> bool {
        self.tls.borrow().as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Writes plaintext, as much as is taken now; `Pending` when nothing was, and the task is woken when it can go on.
    pub fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let written = match self.tls.borrow_mut().as_mut() {
                Some(tls) => tls.write(&self.socket, bytes),
                None => self.socket.try_write(bytes),
            };
            match written {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.socket.poll_write_ready(context))?;
                }
                Ok(bytes) => {
                    self.sent.set(self.sent.get() + bytes as u64);
                    return Poll::Ready(Ok(bytes));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Sends ciphertext that waits; ready when none does.
    pub fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let flushed = match self.tls.borrow_mut().as_mut() {
                Some(tls) => tls.flush(&self.socket)?,
                None => true,
            };
            if flushed {
                return Poll::Ready(Ok(()));
            }
            ready!(self.socket.poll_write_ready(context))?;
        }
    }

    /// Begins TLS as the server. Nothing may have been read behind what asked for it.
    ///
    /// # Errors
    /// The configuration cannot serve a connection.
    pub fn start_tls(&self, config: Arc<ServerConfig>) -> io::Result<()> {
        *self.tls.borrow_mut() = Some(Box::new(Tls::new(config)?));
        Ok(())
    }

    /// Goes on with the handshake; to be polled by one task only, which both directions wake.
    pub fn poll_handshake(&self, context: &mut Context<'_>) -> Poll<io::Result<TlsInfo>> {
        loop {
            let step = match self.tls.borrow_mut().as_mut() {
                Some(tls) => tls.handshake(&self.socket)?,
                None => return Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            };
            match step {
                tls::Handshake::Done(info) => return Poll::Ready(Ok(info)),
                tls::Handshake::Read => ready!(self.socket.poll_read_ready(context))?,
                tls::Handshake::Write => ready!(self.socket.poll_write_ready(context))?,
            }
        }
    }

    /// Says that we are done writing: TLS close_notify, then FIN. What was written before arrives first.
    pub fn shut_down_writing(&self) {
        if let Some(tls) = self.tls.borrow_mut().as_mut() {
            tls.close(&self.socket);
        }
        self.socket.shut_down_writing();
    }
}
