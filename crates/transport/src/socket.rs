//! What a transport stands on: a socket of the kernel, or an end in memory. Nothing above knows which.

use std::{
    io,
    net::{Ipv6Addr, Shutdown, SocketAddr},
    task::{Context, Poll},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use crate::{canonical, memory};

/// How long data may stay unacknowledged before the kernel gives a connection up.
const USER_TIMEOUT: Duration = Duration::from_secs(60);
/// Silence before the kernel's first keepalive probe.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(300);
/// Time between the kernel's keepalive probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// A connection that was accepted and belongs to no arbiter yet.
#[derive(Debug)]
pub enum Accepted {
    /// From the kernel.
    Tcp(std::net::TcpStream),
    /// From within the process.
    Memory(memory::End),
}

impl From<std::net::TcpStream> for Accepted {
    fn from(socket: std::net::TcpStream) -> Accepted {
        Accepted::Tcp(socket)
    }
}

impl From<memory::End> for Accepted {
    fn from(end: memory::End) -> Accepted {
        Accepted::Memory(end)
    }
}

/// A non-blocking socket on its arbiter.
pub(crate) enum Socket {
    Tcp(TcpStream),
    Memory(memory::End),
}

impl Socket {
    /// Registers with this arbiter's event loop.
    pub(crate) fn new(accepted: Accepted) -> io::Result<Socket> {
        let socket = match accepted {
            Accepted::Tcp(socket) => socket,
            Accepted::Memory(end) => return Ok(Socket::Memory(end)),
        };
        socket.set_nonblocking(true)?;
        let socket = TcpStream::from_std(socket)?;
        socket.set_nodelay(true)?;
        let options = SockRef::from(&socket);
        options.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
        options.set_tcp_keepalive(&keepalive)?;
        Ok(Socket::Tcp(socket))
    }

    /// (peer's, our) address; that of nobody in memory.
    pub(crate) fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        match self {
            Socket::Tcp(socket) => Ok((canonical(socket.peer_addr()?), canonical(socket.local_addr()?))),
            Socket::Memory(_) => {
                let nobody = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
                Ok((nobody, nobody))
            }
        }
    }

    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(socket) => socket.try_read(buffer),
            Socket::Memory(end) => end.try_read(buffer),
        }
    }

    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(socket) => socket.try_write(bytes),
            Socket::Memory(end) => end.try_write(bytes),
        }
    }

    pub(crate) fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tcp(socket) => socket.poll_read_ready(context),
            Socket::Memory(end) => end.poll_read_ready(context),
        }
    }

    pub(crate) fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tcp(socket) => socket.poll_write_ready(context),
            Socket::Memory(end) => end.poll_write_ready(context),
        }
    }

    pub(crate) fn shut_down_writing(&self) {
        match self {
            // The peer may be gone already; then there is nobody to tell.
            Socket::Tcp(socket) => drop(SockRef::from(socket).shutdown(Shutdown::Write)),
            Socket::Memory(end) => end.shut_down_writing(),
        }
    }
}
