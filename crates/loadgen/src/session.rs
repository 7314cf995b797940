//! One session: its socket, plain or TLS, what it has half read and not yet written, and how far its login is.

use std::io::{self, Read, Write};

use mio::net::TcpStream;
use rustls::ClientConnection;

use crate::{fault::Fault, inbound::Inbound, login::Login, managed::Count, tls::Tls};

/// How far a session is.
#[derive(Debug)]
pub(crate) enum State {
    LoggingIn(Box<Login>),
    /// Logged in; the address if it is another one than was asked for.
    Live(Option<Box<str>>),
    /// `</stream:stream>` was said.
    Closing,
}

#[derive(Debug)]
pub(crate) struct Session {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    pub(crate) inbound: Inbound,
    /// What is not yet written. Taken from a pool and given back, see [`Session::is_drained`].
    pub(crate) out: Vec<u8>,
    pub(crate) state: State,
    /// What was received since stream management is enabled.
    pub(crate) count: Option<Count>,
}

impl Session {
    pub(crate) fn new(socket: TcpStream, state: State) -> Session {
        Session { socket, tls: None, inbound: Inbound::default(), out: Vec::new(), state, count: None }
    }

    /// From now on, what is written and read goes through TLS.
    pub(crate) fn start_tls(&mut self, tls: &Tls) -> Result<(), Fault> {
        self.tls = Some(Box::new(tls.connection()?));
        self.inbound = Inbound::default();
        Ok(())
    }

    pub(crate) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether everything was handed to the kernel.
    pub(crate) fn is_drained(&self) -> bool {
        self.out.is_empty()
    }

    /// Reads what there is; `None` when nothing is, `Some(0)` at the end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Fault> {
        loop {
            let outcome = match &mut self.tls {
                None => self.socket.read(buffer),
                Some(tls) => match tls.reader().read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        match tls.read_tls(&mut self.socket) {
                            Ok(0) => return Ok(Some(0)),
                            Ok(_) => {
                                tls.process_new_packets()?;
                                continue;
                            }
                            Err(error) => Err(error),
                        }
                    }
                    outcome => outcome,
                },
            };
            match outcome {
                Ok(count) => return Ok(Some(count)),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(None),
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::UnexpectedEof => return Ok(Some(0)),
                    _ => return Err(Fault::Broken(error)),
                },
            }
        }
    }

    /// Writes what the kernel takes.
    pub(crate) fn flush(&mut self) -> Result<(), Fault> {
        loop {
            let outcome = match &mut self.tls {
                None if self.out.is_empty() => return Ok(()),
                None => self.socket.write(&self.out).map(|count| drop(self.out.drain(..count))),
                Some(tls) if tls.wants_write() => tls.write_tls(&mut self.socket).map(|_| ()),
                Some(_) if self.out.is_empty() => return Ok(()),
                Some(tls) => {
                    let taken = tls.writer().write(&self.out).map_err(Fault::Broken)?;
                    self.out.drain(..taken);
                    if taken == 0 || !tls.wants_write() {
                        // The handshake comes first; what rustls holds goes out behind it.
                        return Ok(());
                    }
                    Ok(())
                }
            };
            match outcome {
                Ok(()) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(()),
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(Fault::Broken(error)),
                },
            }
        }
    }
}
