//! What a transport stands on: a socket of the kernel, or an end in memory. Nothing above knows which.

use std::{
    io,
    net::{Ipv6Addr, Shutdown, SocketAddr},
    task::{Context, Poll},
};

use socket2::SockRef;
use tokio::{io::Interest, net::TcpStream};

use crate::{canonical, memory};

/// A connection that was accepted and belongs to no arbiter yet.
#[derive(Debug)]
pub enum Accepted {
    /// From the kernel.
    Tcp(std::net::TcpStream),
    /// From the kernel, for a client whose address is known already: a proxy may stand between it and the socket.
    TcpFrom(std::net::TcpStream, SocketAddr),
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
    Tcp(TcpStream, Option<SocketAddr>),
    Memory(memory::End),
    /// It was closed; this is for who still asks.
    Closed,
}

impl Socket {
    /// Registers with this arbiter's event loop; the options of a socket are those of its listener.
    pub(crate) fn new(accepted: Accepted) -> io::Result<Socket> {
        let (socket, client) = match accepted {
            Accepted::Tcp(socket) => (socket, None),
            Accepted::TcpFrom(socket, client) => (socket, Some(client)),
            Accepted::Memory(end) => return Ok(Socket::Memory(end)),
        };
        socket.set_nonblocking(true)?;
        let socket = TcpStream::from_std(socket)?;
        Ok(Socket::Tcp(socket, client))
    }

    /// (client's, our) address; that of nobody in memory.
    pub(crate) fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        match self {
            Socket::Tcp(socket, client) => {
                let peer = client.map_or_else(|| socket.peer_addr(), Ok)?;
                Ok((canonical(peer), canonical(socket.local_addr()?)))
            }
            Socket::Memory(_) | Socket::Closed => {
                let nobody = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
                Ok((nobody, nobody))
            }
        }
    }

    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(socket, _) => {
                let bytes = socket.try_read(buffer)?;
                if 0 < bytes && bytes < buffer.len() {
                    emptied(socket);
                }
                Ok(bytes)
            }
            Socket::Memory(end) => end.try_read(buffer),
            Socket::Closed => Ok(0),
        }
    }

    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(socket, _) => socket.try_write(bytes),
            Socket::Memory(end) => end.try_write(bytes),
            Socket::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    pub(crate) fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tcp(socket, _) => socket.poll_read_ready(context),
            Socket::Memory(end) => end.poll_read_ready(context),
            Socket::Closed => Poll::Ready(Ok(())),
        }
    }

    pub(crate) fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tcp(socket, _) => socket.poll_write_ready(context),
            Socket::Memory(end) => end.poll_write_ready(context),
            Socket::Closed => Poll::Ready(Ok(())),
        }
    }

    pub(crate) fn shut_down_writing(&self) {
        match self {
            // The peer may be gone already; then there is nobody to tell.
            Socket::Tcp(socket, _) => drop(SockRef::from(socket).shutdown(Shutdown::Write)),
            Socket::Memory(end) => end.shut_down_writing(),
            Socket::Closed => {}
        }
    }
}

/// A read that was not filled has emptied the socket: says so to tokio, which spares the call that would find nothing.
/// What comes after it is a new edge; the end of the peer's side is remembered all the same.
fn emptied(socket: &TcpStream) {
    let _would_block: io::Result<()> =
        socket.try_io(Interest::READABLE, || Err(io::ErrorKind::WouldBlock.into()));
}
