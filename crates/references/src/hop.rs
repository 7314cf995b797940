//! The relay with actors (`r3`): a receiver that reads and frames, a c2s that relays and writes once per drained mailbox.
//!
//! As rjabberd without credit, parsing, protocol and session manager: what an actor hop costs on each side.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};

use actix::{Actor, ActorContext, ActorFuture, AsyncContext, Context, Handler};
use bytes::Bytes;
use dashmap::DashMap;
use rjabberd_actors::{ArbiterPool, Kind, Letter, Mail, Mailbox, Port};
use rjabberd_transport::{Read, Transport};

use crate::assembler::{Assembler, Framing};
use crate::dialogue::{Can, Deed, Dialogue};

const CHUNK: usize = 16 * 1024;

static C2S: Kind = Kind::new("c2s");

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK]);
}

/// Who is bound, by user.
type Seats = DashMap<Box<[u8]>, Port<Deliver>>;

/// What a receiver read, frame by frame; none when the connection is over.
struct Batch(Vec<Bytes>);

impl Letter for Batch {}

/// A message of somebody else's client.
struct Deliver(Bytes);

impl Letter for Deliver {
    fn bytes(&self) -> usize {
        self.0.len()
    }
}

/// Runs the relay until it is killed.
pub(crate) fn run(socket: std::net::TcpListener, workers: usize, can: Arc<Can>) -> io::Result<()> {
    actix::System::new().block_on(async move {
        let arbiters = ArbiterPool::start(workers);
        let seats = Arc::new(Seats::new());
        crate::accept(socket, |socket| {
            let (can, seats) = (can.clone(), seats.clone());
            // A socket that is reset already needs no actors.
            arbiters.next().spawn(move || drop(start(socket, can, seats)));
        })
        .await
    })
}

fn start(socket: std::net::TcpStream, can: Arc<Can>, seats: Arc<Seats>) -> io::Result<()> {
    let transport = Transport::new(socket)?;
    let mailbox = Mailbox::new(&C2S, usize::MAX, usize::MAX);
    let c2s = C2s {
        transport: transport.clone(),
        dialogue: Dialogue::New,
        can,
        seats,
        mailbox: mailbox.clone(),
        outbox: Vec::new(),
        over: false,
    };
    let c2s = Port::new(c2s.start(), mailbox);
    Receiver { transport, assembler: Assembler::new(Framing::framer()), c2s }.start();
    Ok(())
}

struct Receiver {
    transport: Rc<Transport>,
    assembler: Assembler,
    c2s: Port<Batch>,
}

impl Actor for Receiver {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.spawn(Reading);
    }
}

impl Receiver {
    /// Reads once; false when the connection is over.
    fn read(&mut self, task: &mut TaskContext<'_>) -> Poll<bool> {
        let ready = ready!(self.transport.poll_read_ready(task));
        let mut frames = Vec::new();
        let over = BUFFER.with_borrow_mut(|buffer| match ready.and_then(|()| self.transport.read(buffer)) {
            Ok(Read::Nothing) => false,
            Ok(Read::Bytes(bytes)) => {
                let each = |frame: &[u8]| frames.push(Bytes::copy_from_slice(frame));
                self.assembler.feed(&buffer[..bytes], each).is_err()
            }
            Ok(Read::End) | Err(_) => true,
        });
        // A c2s that is gone has closed the connection.
        let gone = !frames.is_empty() && self.c2s.send(Batch(frames)).is_err();
        Poll::Ready(!over && !gone)
    }
}

struct Reading;

impl ActorFuture<Receiver> for Reading {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        receiver: &mut Receiver,
        context: &mut Context<Receiver>,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        while ready!(receiver.read(task)) {}
        // If the c2s is gone, it needs no telling.
        let _gone = receiver.c2s.send(Batch(Vec::new()));
        context.stop();
        Poll::Ready(())
    }
}

struct C2s {
    transport: Rc<Transport>,
    dialogue: Dialogue,
    can: Arc<Can>,
    seats: Arc<Seats>,
    mailbox: Arc<Mailbox>,
    outbox: Vec<u8>,
    over: bool,
}

impl Actor for C2s {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.spawn(Writing);
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        let user = self.dialogue.user().as_bytes();
        self.seats.remove_if(user, |_, seat| Arc::ptr_eq(seat.mailbox(), &self.mailbox));
        self.transport.shut_down_writing();
    }
}

impl Handler<Mail<Batch>> for C2s {
    type Result = ();

    fn handle(&mut self, mail: Mail<Batch>, context: &mut Context<Self>) {
        let (Batch(frames), _handling) = mail.open();
        self.over |= frames.is_empty();
        for frame in frames {
            match self.dialogue.take(&self.can, &frame, &mut self.outbox) {
                Deed::Answered => {}
                Deed::Bound(user) => {
                    let seat = Port::new(context.address(), self.mailbox.clone());
                    self.seats.insert(user.as_bytes().into(), seat);
                }
                Deed::Message(to) => {
                    if let Some(seat) = self.seats.get(to) {
                        let mut stamped = Vec::with_capacity(frame.len() + 64);
                        self.dialogue.stamp(&frame, &mut stamped);
                        // An addressee that has just left gets nothing.
                        let _gone = seat.send(Deliver(stamped.into()));
                    }
                }
                Deed::End => self.over = true,
            }
        }
    }
}

impl Handler<Mail<Deliver>> for C2s {
    type Result = ();

    fn handle(&mut self, mail: Mail<Deliver>, _: &mut Context<Self>) {
        let (Deliver(message), _handling) = mail.open();
        self.outbox.extend_from_slice(&message);
    }
}

/// Polled after each drain of the mailbox.
struct Writing;

impl ActorFuture<C2s> for Writing {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        c2s: &mut C2s,
        context: &mut Context<C2s>,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        while !c2s.outbox.is_empty() {
            match c2s.transport.poll_write(task, &c2s.outbox) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(bytes)) if bytes == c2s.outbox.len() => c2s.outbox = Vec::new(),
                Poll::Ready(Ok(bytes)) => drop(c2s.outbox.drain(..bytes)),
                Poll::Ready(Err(_)) => {
                    c2s.outbox = Vec::new();
                    c2s.over = true;
                }
            }
        }
        if c2s.over {
            context.stop();
        }
        Poll::Pending
    }
}
