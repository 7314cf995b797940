//! Ports: the way to an actor for one type of message.
//!
//! actix tells nobody how long a mailbox is, ignores its bound on `do_send` and drops what it cannot deliver in
//! silence. A [`Port`] counts each message in and out, refuses when the actor's [`Mailbox`] is full or gone, and gives
//! a refused message back. A message that is dropped unhandled runs its own `Drop`: what must not be lost says so there.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Instant,
};

use actix::{Actor, Addr, Handler, Message, dev::ToEnvelope};

use crate::Kind;

/// A message that a port carries.
pub trait Letter: Send + 'static {
    /// Control has room of its own and is never refused.
    const CONTROL: bool = false;

    /// Bytes that the message holds, for the mailbox's bound.
    fn bytes(&self) -> usize {
        size_of_val(self)
    }
}

/// The mailbox of one actor: what is in it, and what it may hold. Shared by all ports of the actor.
#[derive(Debug)]
pub struct Mailbox {
    kind: &'static Kind,
    depth: AtomicUsize,
    bytes: AtomicUsize,
    depth_max: usize,
    bytes_max: usize,
}

impl Mailbox {
    /// A mailbox for at most that many messages and bytes (control not counted against them).
    pub fn new(kind: &'static Kind, depth_max: usize, bytes_max: usize) -> Arc<Mailbox> {
        Arc::new(Mailbox {
            kind,
            depth: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            depth_max,
            bytes_max,
        })
    }

    /// Messages that wait or are about to be put in; control is not counted.
    pub fn depth(&self) -> usize {
        self.depth.load(SeqCst)
    }

    /// Room for one message, or `None` where the mailbox is full. One message always finds room in an empty mailbox.
    fn reserve(self: &Arc<Mailbox>, bytes: usize, control: bool) -> Option<Ticket> {
        let mut with_it = 0;
        if !control {
            let depth = self.depth.fetch_add(1, SeqCst);
            with_it = depth + 1;
            let held = self.bytes.fetch_add(bytes, SeqCst);
            if depth >= self.depth_max || (depth > 0 && held + bytes > self.bytes_max) {
                self.depth.fetch_sub(1, SeqCst);
                self.bytes.fetch_sub(bytes, SeqCst);
                self.kind.message_refused();
                return None;
            }
        }
        self.kind.message_in(bytes, with_it);
        Some(Ticket { mailbox: self.clone(), bytes, control, settled: false })
    }
}

/// One message's place in a mailbox; given back when dropped.
#[derive(Debug)]
struct Ticket {
    mailbox: Arc<Mailbox>,
    bytes: usize,
    control: bool,
    /// Taken out by its handler, or never put in: not lost.
    settled: bool,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.control {
            self.mailbox.depth.fetch_sub(1, SeqCst);
            self.mailbox.bytes.fetch_sub(self.bytes, SeqCst);
        }
        self.mailbox.kind.message_out(self.bytes);
        if !self.settled {
            self.mailbox.kind.message_dropped();
        }
    }
}

/// A message on its way, with its place in the mailbox; an actor implements `Handler<Mail<M>>`.
#[derive(Debug)]
pub struct Mail<M: Letter> {
    message: M,
    ticket: Ticket,
}

impl<M: Letter> Message for Mail<M> {
    type Result = ();
}

impl<M: Letter> Mail<M> {
    /// Takes the message out: to be called at the head of the handler. Its place is free from now on; the guard
    /// counts the time until it is dropped as handling time.
    pub fn open(mut self) -> (M, Handling) {
        self.ticket.settled = true;
        (self.message, Handling { kind: self.ticket.mailbox.kind, since: Instant::now() })
    }
}

/// Measures how long a handler runs.
#[derive(Debug)]
pub struct Handling {
    kind: &'static Kind,
    since: Instant,
}

impl Drop for Handling {
    fn drop(&mut self) {
        self.kind.message_handled(self.since.elapsed());
    }
}

/// A message that was not taken, given back.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused<M> {
    /// The mailbox is full.
    Full(M),
    /// The actor is gone.
    Closed(M),
}

impl<M> Refused<M> {
    /// The message.
    pub fn into_inner(self) -> M {
        match self {
            Refused::Full(message) | Refused::Closed(message) => message,
        }
    }
}

/// The way to one actor, whatever the message: its ports share it, so that each further one costs two words and no
/// allocation (a clone of actix' own address costs three).
pub struct Door<A: Actor>(Arc<Way<A>>);

struct Way<A: Actor> {
    address: Addr<A>,
    mailbox: Arc<Mailbox>,
}

impl<A: Actor> Door<A> {
    /// The door of the actor at `address`, whose mailbox is `mailbox`.
    pub fn new(address: Addr<A>, mailbox: Arc<Mailbox>) -> Door<A> {
        Door(Arc::new(Way { address, mailbox }))
    }

    /// A port for one type of message.
    pub fn port<M: Letter>(&self) -> Port<M>
    where
        A: Handler<Mail<M>>,
        A::Context: ToEnvelope<A, Mail<M>>,
    {
        Port(self.0.clone())
    }
}

/// A door as a port of `M` sees it.
trait Takes<M: Letter>: Send + Sync {
    fn mailbox(&self) -> &Arc<Mailbox>;
    fn is_open(&self) -> bool;
    fn put(&self, mail: Mail<M>);
}

impl<A, M> Takes<M> for Way<A>
where
    M: Letter,
    A: Actor + Handler<Mail<M>>,
    A::Context: ToEnvelope<A, Mail<M>>,
{
    fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    fn is_open(&self) -> bool {
        self.address.connected()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that sends; the bound was checked by `reserve`"
    )]
    fn put(&self, mail: Mail<M>) {
        self.address.do_send(mail);
    }
}

/// The way to an actor for messages of type `M`.
pub struct Port<M: Letter>(Arc<dyn Takes<M>>);

impl<M: Letter> Clone for Port<M> {
    fn clone(&self) -> Port<M> {
        Port(self.0.clone())
    }
}

impl<M: Letter> std::fmt::Debug for Port<M> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Port({})", self.mailbox().kind.name())
    }
}

impl<M: Letter> Port<M> {
    /// The only port to the actor at `address`; for several, see [`Door`].
    pub fn new<A>(address: Addr<A>, mailbox: Arc<Mailbox>) -> Port<M>
    where
        A: Actor + Handler<Mail<M>>,
        A::Context: ToEnvelope<A, Mail<M>>,
    {
        Door::new(address, mailbox).port()
    }

    /// The mailbox this port leads to.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        self.0.mailbox()
    }

    /// Whether the actor is there still.
    pub fn is_open(&self) -> bool {
        self.0.is_open()
    }

    /// Sends, or gives the message back where the mailbox is full or the actor gone.
    pub fn send(&self, message: M) -> Result<(), Refused<M>> {
        match self.reserve(message.bytes()) {
            Some(place) => place.send(message),
            None => Err(Refused::Full(message)),
        }
    }

    /// Takes a place for a message of that many bytes: counted in the mailbox's depth from now on, whether it is sent
    /// or the place is dropped.
    pub fn reserve(&self, bytes: usize) -> Option<Reserved<'_, M>> {
        self.mailbox().reserve(bytes, M::CONTROL).map(|ticket| Reserved { port: self, ticket })
    }
}

/// A place in a mailbox that nothing has been sent to yet.
pub struct Reserved<'a, M: Letter> {
    port: &'a Port<M>,
    ticket: Ticket,
}

impl<M: Letter> Reserved<'_, M> {
    /// Sends the message to its place.
    pub fn send(mut self, message: M) -> Result<(), Refused<M>> {
        if !self.port.is_open() {
            self.ticket.settled = true;
            return Err(Refused::Closed(message));
        }
        self.port.0.put(Mail { message, ticket: self.ticket });
        Ok(())
    }

    /// Gives the place back unused.
    pub fn withdraw(mut self) {
        self.ticket.settled = true;
    }
}
