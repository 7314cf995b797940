//! A connection without a socket: two ends in one process, each of which may be in any thread.
//!
//! It behaves like a non-blocking TCP socket with small buffers of the kernel: tries, says `WouldBlock`, and wakes who
//! waits. Invariants: what waits is bounded; a direction in which nothing waits owns no buffer; an end that is dropped
//! has shut down both directions.

use std::{
    collections::VecDeque,
    io,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

/// Bytes that may wait in one direction.
const WAITING_MAX: usize = 64 * 1024;

/// One end of a connection in memory.
pub struct End {
    wire: Arc<Mutex<Wire>>,
    side: Side,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    One,
    Other,
}

/// Both directions, each named by the side that reads it.
#[derive(Default)]
struct Wire {
    one: Direction,
    other: Direction,
}

#[derive(Default)]
struct Direction {
    waiting: VecDeque<u8>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Nothing more is written.
    ended: bool,
    /// Nothing more is read.
    abandoned: bool,
}

/// A connection's two ends.
pub fn pair() -> (End, End) {
    let wire = Arc::<Mutex<Wire>>::default();
    (End { wire: wire.clone(), side: Side::One }, End { wire, side: Side::Other })
}

impl End {
    fn incoming<T>(&self, work: impl FnOnce(&mut Direction) -> T) -> T {
        let mut wire = self.wire.lock();
        work(if self.side == Side::One { &mut wire.one } else { &mut wire.other })
    }

    fn outgoing<T>(&self, work: impl FnOnce(&mut Direction) -> T) -> T {
        let mut wire = self.wire.lock();
        work(if self.side == Side::One { &mut wire.other } else { &mut wire.one })
    }

    /// Reads what waits; 0 at the end.
    ///
    /// # Errors
    /// `WouldBlock` where nothing waits.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let (read, writer) = self.incoming(|direction| {
            if direction.waiting.is_empty() {
                let end = if direction.ended { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
                return (end, None);
            }
            let read = io::Read::read(&mut direction.waiting, buffer);
            if direction.waiting.is_empty() {
                direction.waiting = VecDeque::new();
            }
            (read, direction.writer.take())
        });
        writer.into_iter().for_each(Waker::wake);
        read
    }

    /// Writes as much as there is room for.
    ///
    /// # Errors
    /// `WouldBlock` where there is no room, `BrokenPipe` where nobody reads any more.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let (written, reader) = self.outgoing(|direction| {
            if direction.abandoned || direction.ended {
                return (Err(io::ErrorKind::BrokenPipe.into()), None);
            }
            let room = WAITING_MAX - direction.waiting.len();
            if room == 0 && !bytes.is_empty() {
                return (Err(io::ErrorKind::WouldBlock.into()), None);
            }
            let taken = bytes.len().min(room);
            direction.waiting.extend(&bytes[..taken]);
            (Ok(taken), direction.reader.take())
        });
        reader.into_iter().for_each(Waker::wake);
        written
    }

    /// Waits until a read would not block.
    pub fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.incoming(|direction| {
            if !direction.waiting.is_empty() || direction.ended {
                return Poll::Ready(Ok(()));
            }
            keep(&mut direction.reader, context);
            Poll::Pending
        })
    }

    /// Waits until a write would not block.
    pub fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing(|direction| {
            if direction.waiting.len() < WAITING_MAX || direction.abandoned {
                return Poll::Ready(Ok(()));
            }
            keep(&mut direction.writer, context);
            Poll::Pending
        })
    }

    /// Writes no more; the other end reads what waits, and then the end.
    pub fn shut_down_writing(&self) {
        let reader = self.outgoing(|direction| {
            direction.ended = true;
            direction.reader.take()
        });
        reader.into_iter().for_each(Waker::wake);
    }

    fn shut_down_reading(&self) {
        let writer = self.incoming(|direction| {
            direction.abandoned = true;
            direction.waiting = VecDeque::new();
            direction.reader = None;
            direction.writer.take()
        });
        writer.into_iter().for_each(Waker::wake);
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.shut_down_writing();
        self.shut_down_reading();
    }
}

impl std::fmt::Debug for End {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("End")
    }
}

fn keep(waker: &mut Option<Waker>, context: &Context<'_>) {
    if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
        *waker = Some(context.waker().clone());
    }
}
