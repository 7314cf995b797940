//! One connection to the server, plain or TLS, where every read and write ends by a deadline.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use rustls::{ClientConnection, StreamOwned};

use crate::{PATIENCE, tls};

/// A connection.
pub(crate) enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// What a read gave.
pub(crate) enum Got {
    Bytes(usize),
    /// The server closed, with a FIN or with a reset.
    End,
    /// Nothing came in time.
    Nothing,
}

impl Wire {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Wire> {
        let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Wire::Plain(socket))
    }

    /// Makes a plain connection a TLS one; the handshake is done when this returns.
    pub(crate) fn start_tls(self, host: &str) -> io::Result<Wire> {
        let Wire::Plain(socket) = self else { return Err(io::Error::other("TLS twice")) };
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut stream = StreamOwned::new(tls::connection(host), socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Wire::Tls(Box::new(stream)))
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Wire::Plain(socket) => socket,
            Wire::Tls(stream) => &stream.sock,
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Wire::Plain(socket) => socket.write_all(bytes),
            Wire::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    /// Reads what there is, waiting until `deadline` at most.
    pub(crate) fn read(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<Got> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.socket().set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let result = match self {
            Wire::Plain(socket) => socket.read(buffer),
            Wire::Tls(stream) => stream.read(buffer),
        };
        match result {
            Ok(0) => Ok(Got::End),
            Ok(count) => Ok(Got::Bytes(count)),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(Got::Nothing),
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => Ok(Got::End),
                _ => Err(error),
            },
        }
    }

    /// 32 bytes that name this TLS connection (RFC 9266); `None` without TLS.
    pub(crate) fn exporter(&self) -> Option<[u8; 32]> {
        let Wire::Tls(stream) = self else { return None };
        stream.conn.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b"")).ok()
    }

    /// Says that nothing more comes from here.
    pub(crate) fn shut_writing(&self) {
        let _ = self.socket().shutdown(Shutdown::Write);
    }
}
