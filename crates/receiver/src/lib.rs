//! Reads one connection's socket, frames, parses and shapes, and gives its c2s one batch after another.
//!
//! It reads only on [`messages::Credit`] from its c2s, so that it can never outrun it (ejabberd gave its receiver up in
//! 2017 because it did). Knows nothing of stanzas, sessions or states. Invariant: bytes behind the last element of a
//! batch stay unparsed until the next credit says what they are: more of this stream, a new stream, or an attack.

mod assembler;
mod counters;
pub mod credit;
pub mod messages;
mod reading;
pub mod shaper;

use std::{pin::Pin, rc::Rc, sync::Arc};

use actix::{Actor, AsyncContext, Context, Handler};
use rjabberd_actors::{Alive, Kind, Mail, Mailbox, Port};
use rjabberd_transport::Transport;
use rjabberd_xml::{Fragment, Limits};
use rustls::ServerConfig;
use tokio::time::{Instant, Sleep};

pub use counters::{COUNTERS, Counters, CountersSnapshot};

use assembler::Assembler;
use credit::{CreditPort, Gate};
use messages::{Batch, Credit, Event, Order};
use reading::Reading;
use shaper::Shaper;

/// Counters of all receivers.
pub static RECEIVER: Kind = Kind::new("receiver");

/// How an element looks in the debug log: secrets blanked, which only the protocol's own crates can know.
pub type Describe = fn(&Fragment) -> String;

/// What a receiver needs to know of its connection.
pub struct Setup {
    /// The connection's socket.
    pub transport: Rc<Transport>,
    /// Where its batches go.
    pub c2s: Port<Batch>,
    /// Limits of the first stream.
    pub limits: Limits,
    /// How fast the peer may send.
    pub shaper: Shaper,
    /// TLS, where the connection may begin it.
    pub tls: Option<Arc<ServerConfig>>,
    /// How an element looks in the debug log.
    pub describe: Describe,
}

/// Reads for one connection.
pub struct Receiver {
    transport: Rc<Transport>,
    c2s: Port<Batch>,
    shaper: Box<Shaper>,
    tls: Option<Arc<ServerConfig>>,
    describe: Describe,
    assembler: Assembler,
    /// Read, but behind the last batch.
    unread: Vec<u8>,
    gate: Rc<Gate>,
    phase: Phase,
    pause: Option<Pin<Box<Sleep>>>,
    alive: Alive,
}

// As of the c2s (docs/decisions/0010-small-when-idle.md).
const _: () = assert!(size_of::<Receiver>() <= 216);

/// What the receiver does next.
enum Phase {
    /// Waits for credit.
    Waiting,
    /// Reads until it has a batch of at most that many elements.
    Reading { elements_max: usize },
    /// Goes on with the TLS handshake.
    Handshaking,
    /// Reads and discards, so that what we wrote last arrives (else the kernel's RST swallows it).
    Draining(Box<Drain>),
    /// Has nothing more to do.
    Done,
}

/// How much longer bytes are discarded.
struct Drain {
    bytes_left: usize,
    until: Pin<Box<Sleep>>,
}

/// Bytes that are read and thrown away after the last write.
const DRAIN_BYTES_MAX: usize = 64 * 1024;
/// How long bytes are thrown away after the last write.
const DRAIN: std::time::Duration = std::time::Duration::from_secs(1);

impl Receiver {
    /// Starts a receiver, passive: it reads when it gets its first credit.
    pub fn start(setup: Setup) -> CreditPort {
        let alive = Alive::new(&RECEIVER);
        let gate = Rc::new(Gate::default());
        let Setup { transport, c2s, limits, shaper, tls, describe } = setup;
        let receiver = Receiver {
            transport,
            c2s,
            shaper: Box::new(shaper),
            tls,
            describe,
            assembler: Assembler::new(limits),
            unread: Vec::new(),
            gate: gate.clone(),
            phase: Phase::Waiting,
            pause: None,
            alive,
        };
        CreditPort::new(Port::new(Actor::start(receiver), Mailbox::new(&RECEIVER, 8, usize::MAX)), gate)
    }

    fn emit(&mut self, events: Vec<Event>) {
        self.phase = Phase::Waiting;
        if let Err(refused) = self.c2s.send(Batch(events)) {
            // One batch per credit always finds room; so the c2s is gone, and with it this connection.
            drop(refused);
            self.phase = Phase::Done;
        }
    }

    fn obey(&mut self, credit: Credit) {
        match credit.order {
            Order::Continue => {}
            Order::NewLimits(limits) => self.assembler.set_limits(limits),
            Order::NewStream(limits) => self.assembler = Assembler::new(limits),
            Order::StartTls(limits) => {
                self.start_tls(limits);
                return;
            }
            Order::Close => {
                self.phase = Phase::Draining(Box::new(Drain {
                    bytes_left: DRAIN_BYTES_MAX,
                    until: Box::pin(tokio::time::sleep_until(Instant::now() + DRAIN)),
                }));
                self.unread = Vec::new();
                self.transport.shut_down_writing();
                return;
            }
        }
        self.phase = Phase::Reading { elements_max: credit.elements_max.max(1) };
    }

    /// Bytes behind `<starttls/>` belong to nobody (RFC 6120, 5.3.4): whoever put them there is not our client.
    fn start_tls(&mut self, limits: Limits) {
        self.assembler = Assembler::new(limits);
        if !self.unread.is_empty() {
            self.unread = Vec::new();
            self.emit(vec![Event::BytesBehindStartTls]);
            return;
        }
        let Some(config) = self.tls.clone() else {
            self.emit(vec![Event::Lost(messages::Loss::Tls)]);
            return;
        };
        match self.transport.start_tls(config) {
            Ok(()) => self.phase = Phase::Handshaking,
            Err(error) => {
                log::warn!(target: "receiver:start_tls", "{} {error}", self.alive);
                self.emit(vec![Event::Lost(messages::Loss::Tls)]);
            }
        }
    }
}

impl Actor for Receiver {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.spawn(Reading);
    }
}

impl Handler<Mail<Credit>> for Receiver {
    type Result = ();

    fn handle(&mut self, mail: Mail<Credit>, _: &mut Context<Self>) {
        let (credit, _handling) = mail.open();
        self.obey(credit);
        // `Reading` is polled when the mailbox is drained, and goes on from here.
    }
}

/// Microseconds since the process began: the time that a [`Shaper`] is made with.
pub fn now_us() -> u64 {
    reading::now_us()
}
