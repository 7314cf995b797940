//! One connection, logged in: what is said goes out as the kernel takes it, what comes is cut into elements. It can be
//! ended in every way in which connections end.

use std::{io, time::Duration};

use rjabberd_testkit::{Fault, Node, Piece, Pieces, Stream};
use tokio::{
    io::{AsyncWriteExt, Interest},
    net::TcpStream,
    time::{Instant, sleep_until},
};

const READ_BYTES: usize = 16 << 10;
/// How long the server may take to answer what opens a session.
const PATIENCE: Duration = Duration::from_secs(60);

/// What has come of waiting.
#[derive(Debug)]
pub(crate) enum Heard {
    Element(Node),
    /// The server has ended the stream, politely.
    End,
    /// It is time for something else.
    Nothing,
}

/// A connection.
pub(crate) struct Link {
    socket: TcpStream,
    pieces: Pieces,
    out: Vec<u8>,
    is_mute: bool,
}

impl Link {
    /// From a stream that has logged in.
    pub(crate) fn new(stream: Stream) -> Link {
        let (socket, pieces) = stream.into_parts();
        Link { socket, pieces, out: Vec::new(), is_mute: false }
    }

    /// Says something; what the kernel does not take now goes out later.
    pub(crate) fn says(&mut self, text: &str) {
        if !self.is_mute {
            self.out.extend_from_slice(text.as_bytes());
            self.writes();
        }
    }

    /// A broken connection is seen by reading.
    fn writes(&mut self) {
        while !self.out.is_empty() {
            match self.socket.try_write(&self.out) {
                Ok(count) => drop(self.out.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return self.out.clear(),
            }
        }
    }

    /// Waits for an element until it is time for something else.
    pub(crate) async fn next(&mut self, until: Instant) -> Result<Heard, Fault> {
        loop {
            match self.pieces.next_piece()? {
                Some(Piece::Element(node)) => return Ok(Heard::Element(node)),
                Some(Piece::End) => return Ok(Heard::End),
                Some(Piece::Header(_)) => return Err("a second stream header".into()),
                None => {}
            }
            let interest = if self.out.is_empty() {
                Interest::READABLE
            } else {
                Interest::READABLE | Interest::WRITABLE
            };
            tokio::select! {
                ready = self.socket.ready(interest) => drop(ready?),
                () = sleep_until(until) => return Ok(Heard::Nothing),
            }
            self.writes();
            let mut buffer = [0; READ_BYTES];
            match self.socket.try_read(&mut buffer) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(count) => self.pieces.push(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The next element; the server must answer.
    pub(crate) async fn element(&mut self) -> Result<Node, Fault> {
        match self.next(Instant::now() + PATIENCE).await? {
            Heard::Element(node) => Ok(node),
            heard => Err(format!("no answer, {heard:?}").into()),
        }
    }

    /// Resets the connection: what the server has not read is lost with it.
    pub(crate) fn resets(self) {
        // Refused only where there is no connection any more.
        let _ = self.socket.set_zero_linger();
    }

    /// Says that nothing more comes from here; what the server says can still be heard.
    pub(crate) async fn falls_silent(&mut self) {
        self.is_mute = true;
        self.out.clear();
        // Fails only where there is no connection any more.
        let _ = self.socket.shutdown().await;
    }
}
