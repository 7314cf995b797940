//! The bare relay (`r1`, `r2`): one task a connection, which reads, and writes each message to its addressee's socket.
//!
//! A message is written by the thread that read it, at once; only what a full socket does not take waits for the
//! addressee's own task. So a message costs one read, one write and no wake-up between threads.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, ErrorKind::WouldBlock};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::thread;

use dashmap::DashMap;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

use crate::assembler::{Assembler, Framing};
use crate::dialogue::{Can, Deed, Dialogue};

/// Bytes read at once, as rjabberd's receiver does.
const CHUNK: usize = 16 * 1024;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK]);
    static STAMPED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Who is bound, by user.
type Peers = DashMap<Box<[u8]>, Arc<Peer>>;

/// A connection as others see it.
struct Peer {
    socket: OwnedWriteHalf,
    backlog: Mutex<Backlog>,
}

/// What the socket did not take yet.
#[derive(Default)]
struct Backlog {
    bytes: Vec<u8>,
    /// Wakes the connection's own task.
    owner: Option<Waker>,
}

impl Peer {
    fn write(&self, bytes: &[u8]) {
        let mut backlog = self.backlog.lock();
        let written =
            if backlog.bytes.is_empty() { self.socket.try_write(bytes) } else { Err(WouldBlock.into()) };
        let written = match written {
            Ok(written) => written,
            Err(error) if error.kind() == WouldBlock => 0,
            // Its own task will see that it broke.
            Err(_) => return,
        };
        if written < bytes.len() {
            backlog.bytes.extend_from_slice(&bytes[written..]);
            if let Some(owner) = &backlog.owner {
                owner.wake_by_ref();
            }
        }
    }

    /// Writes what waits, as far as the socket takes it, and has the task woken for the rest.
    fn flush(&self, task: &mut Context<'_>) -> io::Result<()> {
        let mut backlog = self.backlog.lock();
        if backlog.owner.is_none() {
            backlog.owner = Some(task.waker().clone());
        }
        while !backlog.bytes.is_empty() {
            match self.socket.try_write(&backlog.bytes) {
                Ok(written) => drop(backlog.bytes.drain(..written)),
                Err(error) if error.kind() == WouldBlock => match self.socket.as_ref().poll_write_ready(task)
                {
                    Poll::Ready(ready) => ready?,
                    Poll::Pending => return Ok(()),
                },
                Err(error) => return Err(error),
            }
        }
        backlog.bytes = Vec::new();
        Ok(())
    }
}

/// Runs the relay until it is killed.
pub(crate) fn run(
    socket: std::net::TcpListener,
    workers: usize,
    framing: fn() -> Framing,
    can: Arc<Can>,
) -> io::Result<()> {
    let peers = Arc::new(Peers::new());
    let mut inboxes = Vec::new();
    for number in 0..workers.max(1) {
        let (inbox, sockets) = mpsc::unbounded_channel();
        let (runtime, can, peers) = (runtime()?, can.clone(), peers.clone());
        let work = move || runtime.block_on(carry(sockets, framing, can, peers));
        thread::Builder::new().name(format!("worker-{number}")).spawn(work)?;
        inboxes.push(inbox);
    }
    let mut next = (0..inboxes.len()).cycle();
    runtime()?.block_on(crate::accept(socket, |socket| {
        let worker = next.next().unwrap_or_default();
        inboxes[worker].send(socket).expect("a worker never ends");
    }))
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Carries all connections of one thread.
async fn carry(
    mut sockets: mpsc::UnboundedReceiver<std::net::TcpStream>,
    framing: fn() -> Framing,
    can: Arc<Can>,
    peers: Arc<Peers>,
) {
    while let Some(socket) = sockets.recv().await {
        if let Ok((socket, peer)) = register(socket) {
            let assembler = Assembler::new(framing());
            let (can, peers) = (can.clone(), peers.clone());
            let mut connection = Connection { socket, peer, assembler, dialogue: Dialogue::New, can, peers };
            // Whether the client left or its connection broke makes no difference here.
            tokio::spawn(async move {
                let _ended = poll_fn(|task| connection.poll(task)).await;
                connection.leave();
            });
        }
    }
}

fn register(socket: std::net::TcpStream) -> io::Result<(OwnedReadHalf, Arc<Peer>)> {
    socket.set_nonblocking(true)?;
    let socket = TcpStream::from_std(socket)?;
    let (read, write) = socket.into_split();
    Ok((read, Arc::new(Peer { socket: write, backlog: Mutex::default() })))
}

struct Connection {
    socket: OwnedReadHalf,
    peer: Arc<Peer>,
    assembler: Assembler,
    dialogue: Dialogue,
    can: Arc<Can>,
    peers: Arc<Peers>,
}

impl Connection {
    /// Reads and relays; ready when the connection is over.
    fn poll(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.peer.flush(task)?;
        loop {
            // `poll_read` knows from a buffer that is not full that there is no more; `try_read` would ask again.
            let over = BUFFER.with_borrow_mut(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                ready!(Pin::new(&mut self.socket).poll_read(task, &mut buffer))?;
                Poll::Ready(io::Result::Ok(buffer.filled().is_empty() || self.take(buffer.filled())))
            });
            if ready!(over)? {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Carries out what was read; true when the stream is over.
    fn take(&mut self, read: &[u8]) -> bool {
        let Connection { socket: _, peer, assembler, dialogue, can, peers } = self;
        let (mut reply, mut over) = (Vec::new(), false);
        let taken = assembler.feed(read, |frame| match dialogue.take(can, frame, &mut reply) {
            Deed::Answered => {}
            Deed::Bound(user) => drop(peers.insert(user.as_bytes().into(), peer.clone())),
            Deed::Message(to) => {
                // What was answered before comes first, also where the client writes to itself.
                if !reply.is_empty() {
                    peer.write(&std::mem::take(&mut reply));
                }
                if let Some(addressee) = peers.get(to) {
                    STAMPED.with_borrow_mut(|stamped| {
                        stamped.clear();
                        dialogue.stamp(frame, stamped);
                        addressee.write(stamped);
                    });
                }
            }
            Deed::End => over = true,
        });
        if !reply.is_empty() {
            self.peer.write(&reply);
        }
        over || taken.is_err()
    }

    fn leave(&mut self) {
        self.peers.remove_if(self.dialogue.user().as_bytes(), |_, bound| Arc::ptr_eq(bound, &self.peer));
    }
}
