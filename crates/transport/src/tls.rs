//! rustls between the plaintext and a non-blocking socket. Holds no socket, waits for nothing.

use std::{
    io::{self, Read as _, Write as _},
    sync::Arc,
};

use rustls::{ServerConfig, ServerConnection};

use crate::{Read, TlsInfo, socket::Socket};

/// Plaintext that rustls may hold for sending; what is more waits in the c2s, which bounds it.
const PLAINTEXT_MAX: usize = 64 * 1024;

/// What a handshake waits for.
pub(crate) enum Handshake {
    Done(TlsInfo),
    Read,
    Write,
}

pub(crate) struct Tls {
    connection: ServerConnection,
    /// Plaintext was found when a read filled the caller's buffer: more may be there.
    plaintext_left: bool,
}

/// The socket as rustls wants it: tries, and says `WouldBlock`.
struct Tries<'a>(&'a Socket);

impl io::Read for Tries<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl io::Write for Tries<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }
    fn write_vectored(&mut self, bytes: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn blocks(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

impl Tls {
    pub(crate) fn new(config: Arc<ServerConfig>) -> io::Result<Tls> {
        let mut connection = ServerConnection::new(config).map_err(io::Error::other)?;
        connection.set_buffer_limit(Some(PLAINTEXT_MAX));
        Ok(Tls { connection, plaintext_left: false })
    }

    pub(crate) fn holds_plaintext(&self) -> bool {
        self.plaintext_left
    }

    pub(crate) fn wants_write(&self) -> bool {
        self.connection.wants_write()
    }

    /// Reads records until there is plaintext, the socket has no more, or the peer is done.
    pub(crate) fn read(&mut self, socket: &Socket, buffer: &mut [u8]) -> io::Result<Read> {
        loop {
            match self.connection.reader().read(buffer) {
                Ok(0) => return Ok(Read::End),
                Ok(bytes) => {
                    self.plaintext_left = bytes == buffer.len();
                    return Ok(Read::Bytes(bytes));
                }
                Err(error) if blocks(&error) => self.plaintext_left = false,
                // TCP ended without close_notify, as many clients end it. Nobody can have cut anything off that
                // matters: XML says where it ends.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Read::End),
                Err(error) => return Err(error),
            }
            match self.connection.read_tls(&mut Tries(socket)) {
                // At the end of TCP rustls must hear of it too; then its reader says so.
                Ok(_) => {
                    let processed = self.connection.process_new_packets();
                    // An alert or a key update may be due, whether or not the records were good.
                    self.flush(socket)?;
                    processed.map_err(io::Error::other)?;
                }
                Err(error) if blocks(&error) => return Ok(Read::Nothing),
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes plaintext while there is room for it, and sends records.
    pub(crate) fn write(&mut self, socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        loop {
            taken += self.connection.writer().write(&bytes[taken..])?;
            let flushed = self.flush(socket)?;
            if taken == bytes.len() || (!flushed && taken > 0) {
                return Ok(taken);
            }
            if !flushed {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
    }

    /// Sends records; false where the socket takes no more for now.
    pub(crate) fn flush(&mut self, socket: &Socket) -> io::Result<bool> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut Tries(socket)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if blocks(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Goes on with the handshake as far as the socket lets it.
    pub(crate) fn handshake(&mut self, socket: &Socket) -> io::Result<Handshake> {
        loop {
            if !self.flush(socket)? {
                return Ok(Handshake::Write);
            }
            if !self.connection.is_handshaking() {
                return Ok(Handshake::Done(self.info()));
            }
            match self.connection.read_tls(&mut Tries(socket)) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {
                    if let Err(error) = self.connection.process_new_packets() {
                        // The alert says why; it is sent if the socket takes it.
                        self.flush(socket)?;
                        return Err(io::Error::other(error));
                    }
                    // The client's first records may have come with its last handshake message.
                    self.plaintext_left = true;
                }
                Err(error) if blocks(&error) => return Ok(Handshake::Read),
                Err(error) => return Err(error),
            }
        }
    }

    /// close_notify, as far as the socket takes it.
    pub(crate) fn close(&mut self, socket: &Socket) {
        self.connection.send_close_notify();
        // A peer that takes nothing gets no farewell.
        let _blocked = self.flush(socket);
    }

    fn info(&self) -> TlsInfo {
        TlsInfo {
            version: self
                .connection
                .protocol_version()
                .map(|version| format!("{version:?}"))
                .unwrap_or_default(),
            cipher: self
                .connection
                .negotiated_cipher_suite()
                .map(|suite| format!("{:?}", suite.suite()))
                .unwrap_or_default(),
            server_name: self.connection.server_name().map(str::to_owned),
        }
    }
}
