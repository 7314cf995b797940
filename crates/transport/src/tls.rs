//! TLS between the plaintext and a non-blocking socket. Holds no socket, waits for nothing.
//!
//! rustls' own buffers keep 4 kB for each connection for ever; so it is used without them, and reads and writes by
//! way of the thread's. Invariants: what waits is bounded (a read of the socket, a record of plaintext); a connection
//! with nothing on its way owns no buffer; what rustls wants to say goes out before anything newer.

use std::{cell::RefCell, io, sync::Arc};

use rustls::{
    HandshakeKind, ProtocolVersion, ServerConfig,
    server::{ServerConnectionData, UnbufferedServerConnection},
    unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic},
};

use crate::{
    Read, TlsInfo,
    handshake::{self, Notes},
    socket::Socket,
};

/// Bytes of records that are read at once, and the least that a whole record may need.
const WIRE_MAX: usize = 20 * 1024;
/// Bytes of plaintext that are encrypted at once: one record.
const PLAINTEXT_MAX: usize = 16 * 1024;

thread_local! {
    /// What is read and written on this arbiter goes through here, and stays nowhere else unless it must wait.
    static WIRE: RefCell<Vec<u8>> = RefCell::new(vec![0; WIRE_MAX]);
}

/// What a handshake waits for.
pub(crate) enum Handshake {
    Done(TlsInfo),
    Read,
    Write,
}

pub(crate) struct Tls {
    connection: UnbufferedServerConnection,
    /// Until the handshake is done.
    notes: Option<Box<Notes>>,
    /// Read from the socket and not yet used: a part of a record, or what is behind a full buffer of the caller's.
    incoming: Vec<u8>,
    /// Whether `incoming` may hold a whole record.
    whole: bool,
    /// Decrypted, but the caller's buffer was full.
    plaintext: Vec<u8>,
    /// Records that the socket has not taken.
    outgoing: Vec<u8>,
    /// The peer has said that it is done.
    ended: bool,
}

fn blocks(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

impl Tls {
    pub(crate) fn new(config: Arc<ServerConfig>) -> io::Result<Tls> {
        Ok(Tls {
            connection: UnbufferedServerConnection::new(config).map_err(io::Error::other)?,
            notes: Some(Box::default()),
            incoming: Vec::new(),
            whole: false,
            plaintext: Vec::new(),
            outgoing: Vec::new(),
            ended: false,
        })
    }

    pub(crate) fn holds_plaintext(&self) -> bool {
        self.whole || !self.plaintext.is_empty()
    }

    pub(crate) fn wants_write(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Reads records until there is plaintext, the socket has no more, or the peer is done.
    pub(crate) fn read(&mut self, socket: &Socket, buffer: &mut [u8]) -> io::Result<Read> {
        loop {
            let held = self.take_held(buffer);
            if held > 0 {
                return Ok(Read::Bytes(held));
            }
            let mut read = 0;
            self.advance_held(buffer, &mut read)?;
            let more =
                if read == 0 && !self.ended { self.receive(socket, buffer, &mut read) } else { Ok(true) };
            // An alert, a ticket or a key update may be due.
            self.flush(socket)?;
            match more? {
                _ if read > 0 => return Ok(Read::Bytes(read)),
                _ if self.ended => return Ok(Read::End),
                true => {}
                false => return Ok(Read::Nothing),
            }
        }
    }

    fn take_held(&mut self, buffer: &mut [u8]) -> usize {
        let held = self.plaintext.len().min(buffer.len());
        buffer[..held].copy_from_slice(&self.plaintext[..held]);
        self.plaintext.drain(..held);
        if self.plaintext.is_empty() {
            self.plaintext = Vec::new();
        }
        held
    }

    /// Reads from the socket, once; false where it has nothing.
    fn receive(&mut self, socket: &Socket, buffer: &mut [u8], read: &mut usize) -> io::Result<bool> {
        WIRE.with_borrow_mut(|wire| {
            let held = self.incoming.len();
            if held == wire.len() {
                // No record is that long: a message of a handshake in many of them.
                return Err(io::ErrorKind::InvalidData.into());
            }
            wire[..held].copy_from_slice(&self.incoming);
            match socket.try_read(&mut wire[held..]) {
                // TCP ended without close_notify, as many clients end it. Nobody can have cut anything off that
                // matters: XML says where it ends.
                Ok(0) => {
                    self.ended = true;
                    Ok(true)
                }
                Ok(bytes) => {
                    let used = self.advance(&mut wire[..held + bytes], buffer, read)?;
                    self.incoming = wire[used..held + bytes].to_vec();
                    Ok(true)
                }
                Err(error) if blocks(&error) => Ok(false),
                Err(error) => Err(error),
            }
        })
    }

    /// Goes on with what was read before.
    fn advance_held(&mut self, buffer: &mut [u8], read: &mut usize) -> io::Result<()> {
        if self.whole {
            let mut incoming = std::mem::take(&mut self.incoming);
            let used = self.advance(&mut incoming, buffer, read)?;
            self.incoming = incoming[used..].to_vec();
        }
        Ok(())
    }

    /// Takes records from the front of `wire` until they are used up, or `buffer` is full; says how many bytes.
    fn advance(&mut self, wire: &mut [u8], buffer: &mut [u8], read: &mut usize) -> io::Result<usize> {
        let mut used = 0;
        loop {
            let Tls { connection, notes, plaintext, outgoing, ended, whole, .. } = self;
            let UnbufferedStatus { mut discard, state } =
                handshake::under(notes, || connection.process_tls_records(&mut wire[used..]));
            let state = match state {
                Ok(state) => state,
                Err(error) => {
                    self.alert();
                    return Err(io::Error::other(error));
                }
            };
            let goes_on = match state {
                ConnectionState::ReadTraffic(mut traffic) => {
                    if let Some(record) = traffic.next_record() {
                        let record = record.map_err(io::Error::other)?;
                        discard += record.discard;
                        let fits = record.payload.len().min(buffer.len() - *read);
                        buffer[*read..*read + fits].copy_from_slice(&record.payload[..fits]);
                        *read += fits;
                        plaintext.extend_from_slice(&record.payload[fits..]);
                    }
                    *read < buffer.len()
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    encode(outgoing, |room| data.encode(room))?;
                    true
                }
                // It is in `outgoing`, which keeps the order.
                ConnectionState::TransmitTlsData(data) => {
                    data.done();
                    true
                }
                ConnectionState::PeerClosed | ConnectionState::Closed => {
                    *ended = true;
                    false
                }
                ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_) => {
                    *whole = false;
                    return Ok(used + discard);
                }
                // Early data, which the config does not allow.
                _ => return Err(io::ErrorKind::InvalidData.into()),
            };
            used += discard;
            if !goes_on {
                *whole = !*ended && used < wire.len();
                return Ok(used);
            }
        }
    }

    /// After an error rustls may have an alert to send that says why.
    fn alert(&mut self) {
        while let UnbufferedStatus { state: Ok(ConnectionState::EncodeTlsData(mut data)), .. } =
            self.connection.process_tls_records(&mut [])
        {
            if encode(&mut self.outgoing, |room| data.encode(room)).is_err() {
                return;
            }
        }
    }

    /// Takes plaintext while there is room for it, and sends records.
    pub(crate) fn write(&mut self, socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        loop {
            let flushed = self.flush(socket)?;
            if taken == bytes.len() || (!flushed && taken > 0) {
                return Ok(taken);
            }
            if !flushed {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let next = &bytes[taken..];
            let next = &next[..next.len().min(PLAINTEXT_MAX)];
            self.speak(socket, |traffic, room| traffic.encrypt(next, room))?;
            taken += next.len();
        }
    }

    /// Says something once rustls has said what it must say before; what the socket does not take waits.
    fn speak(
        &mut self,
        socket: &Socket,
        mut words: impl FnMut(
            &mut WriteTraffic<'_, ServerConnectionData>,
            &mut [u8],
        ) -> Result<usize, EncryptError>,
    ) -> io::Result<()> {
        self.settle()?;
        let Tls { connection, incoming, outgoing, .. } = self;
        let UnbufferedStatus { state: Ok(ConnectionState::WriteTraffic(mut traffic)), .. } =
            connection.process_tls_records(incoming)
        else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        WIRE.with_borrow_mut(|wire| {
            let bytes = words(&mut traffic, wire).map_err(io::Error::other)?;
            let sent = if outgoing.is_empty() {
                match socket.try_write(&wire[..bytes]) {
                    Ok(sent) => sent,
                    Err(error) if blocks(&error) => 0,
                    Err(error) => return Err(error),
                }
            } else {
                0
            };
            outgoing.extend_from_slice(&wire[sent..bytes]);
            Ok(())
        })
    }

    /// Goes on with what was read before, until nothing but plaintext may be said. What that decrypts waits for a read.
    fn settle(&mut self) -> io::Result<()> {
        let mut incoming = std::mem::take(&mut self.incoming);
        let mut used = 0;
        loop {
            // With no room at all, each call takes one record.
            let before = self.plaintext.len();
            used += self.advance(&mut incoming[used..], &mut [], &mut 0)?;
            if self.plaintext.len() == before && !self.whole {
                self.incoming = incoming[used..].to_vec();
                return Ok(());
            }
        }
    }

    /// Sends records; false where the socket takes no more for now.
    pub(crate) fn flush(&mut self, socket: &Socket) -> io::Result<bool> {
        while !self.outgoing.is_empty() {
            match socket.try_write(&self.outgoing) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => drop(self.outgoing.drain(..bytes)),
                Err(error) if blocks(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.outgoing = Vec::new();
        Ok(true)
    }

    /// Goes on with the handshake as far as the socket lets it.
    pub(crate) fn handshake(&mut self, socket: &Socket) -> io::Result<Handshake> {
        loop {
            if !self.flush(socket)? {
                return Ok(Handshake::Write);
            }
            if !self.connection.is_handshaking() {
                let notes = self.notes.take().unwrap_or_default();
                return Ok(Handshake::Done(self.info(*notes)));
            }
            match self.receive(socket, &mut [], &mut 0) {
                Ok(true) if self.ended => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(true) => {}
                Ok(false) => return Ok(Handshake::Read),
                Err(error) => {
                    // The alert says why; it is sent if the socket takes it.
                    self.flush(socket)?;
                    return Err(error);
                }
            }
        }
    }

    /// close_notify, as far as the socket takes it.
    pub(crate) fn close(&mut self, socket: &Socket) {
        // A peer that takes nothing, or has not finished its handshake, gets no farewell.
        let _unsaid = self.speak(socket, |traffic, room| traffic.queue_close_notify(room));
        let _blocked = self.flush(socket);
    }

    fn info(&self, notes: Notes) -> TlsInfo {
        TlsInfo {
            version: self.connection.protocol_version().unwrap_or(ProtocolVersion::Unknown(0)),
            cipher: self
                .connection
                .negotiated_cipher_suite()
                .map(|suite| format!("{:?}", suite.suite()))
                .unwrap_or_default(),
            group: self
                .connection
                .negotiated_key_exchange_group()
                .map(|group| format!("{:?}", group.name()))
                .unwrap_or_default(),
            server_name: notes.server_name,
            is_resumed: self.connection.handshake_kind() == Some(HandshakeKind::Resumed),
            exporter: notes.exporter.as_deref().copied(),
            end_point: notes.certificate.and_then(|certificate| certificate.end_point.clone()),
            peer_certificates: self.connection.peer_certificates().unwrap_or_default().to_vec(),
        }
    }
}

/// Appends what `write` writes, once there is room for it.
fn encode(
    outgoing: &mut Vec<u8>,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>,
) -> io::Result<()> {
    let start = outgoing.len();
    let required = match write(&mut []) {
        Err(EncodeError::InsufficientSize(size)) => size.required_size,
        Err(error) => return Err(io::Error::other(error)),
        Ok(bytes) => bytes,
    };
    outgoing.resize(start + required, 0);
    write(&mut outgoing[start..]).map(drop).map_err(io::Error::other)
}
