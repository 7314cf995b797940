//! The shell around `c2s-proto`: hands it what arrives, carries out its actions, writes to the client.
//!
//! Decides nothing of the protocol. Owns what the machine must not know: the outbox, the deadlines, the seat in the
//! session table. Invariants: it never waits for an answer (the client's next elements do, in `batch`); whatever its
//! mailbox produced is written once per drain; what it took and did not write finds its way back.

mod asking;
mod counters;
mod ending;
mod managed;
mod managing;
pub mod messages;
mod outbox;
mod presence;
mod redact;
mod resuming;
mod reticence;
mod shared;
mod shell;
mod taking;
mod telling;
mod writing;

use std::{any::Any, collections::VecDeque, rc::Rc, sync::Arc, task::Waker, time::Instant};

use actix::{Actor, AsyncContext, Context, Handler};
use futures_util::future::BoxFuture;
use rjabberd_actors::{Alive, Budget, Door, Kind, Mail, Mailbox, Timer, guarded, yield_now};
use rjabberd_c2s_proto::{CloseReason, ControlInput, Fresh, State};
use rjabberd_receiver::{
    Receiver, Setup,
    credit::CreditPort,
    messages::{Batch, Credit, Event, Order},
};
use rjabberd_session_manager::{Control, Deliver, Seat};
use rjabberd_transport::{Accepted, Transport};
use rjabberd_xml::XmlError;
use rjabberd_xmpp::management::ResumptionId;

pub use counters::{Counters, ManagementSnapshot};
pub use redact::show_bodies;
pub use shared::{Attempt, Connections, LoginBrake, NoBrake, Shaping, Shared, Times, Vouch};

use ending::{Ending, Succession};
use messages::Tick;
use outbox::Outbox;
use reticence::Reticence;
use taking::Taking;

/// Counters of all client streams' actors.
pub static C2S: Kind = Kind::new("c2s");

/// Stanzas that may wait in one session's mailbox; what is more spills.
const MAILBOX_MAX: usize = 256;
/// Bytes that may wait in one session's mailbox.
const MAILBOX_BYTES_MAX: usize = 256 * 1024;

/// One client's stream.
pub struct C2s {
    shared: Arc<Shared>,
    transport: Rc<Transport>,
    receiver: CreditPort,
    door: Door<C2s>,
    state: Option<State>,
    /// What was read and waits for the machine to want it.
    batch: VecDeque<Event>,
    /// What the receiver is to do with its next credit.
    order: Order,
    credit_given: bool,
    /// Direct TLS has not begun yet.
    tls_opening: bool,
    outbox: Outbox,
    /// Wakes the writer.
    writer: Option<Waker>,
    phase: Phase,
    seat: Option<Arc<Seat>>,
    ending: Option<Box<Ending>>,
    succession: Option<Box<Succession>>,
    /// What is asked of the store on the side; few sessions have it.
    errands: Option<Box<Errands>>,
    /// The session manager was asked for a resource. Until it answers we stay, to give back what is for nobody.
    claiming: bool,
    /// The session manager asked for the resource before we knew that it was ours.
    hand_over_early: bool,
    /// The end of the session, which waits for an answer that the client is owed.
    control_after_answer: Option<ControlInput>,
    /// [`rjabberd_session_manager::Epoch`] when the credentials were loaded.
    epoch: u64,
    timers: Timers,
    budget: Budget,
    accepted: Instant,
    refused: Option<XmlError>,
    close_reason: Option<CloseReason>,
    alive: Alive,
    /// Counts the connection; a session without one is not counted.
    admission: Box<dyn Any + Send>,
}

// Every idle session has one; a few bytes more and its task is 128 larger (docs/decisions/0010-small-when-idle.md).
const _: () = assert!(size_of::<C2s>() <= 440);

/// The connection under the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Reads and writes.
    Open,
    /// There is none: the session waits for the next (XEP-0198, 5).
    Hibernated,
    /// Writes what is left, then shuts down.
    Closing(CloseReason),
    /// Nothing is written any more.
    Gone,
}

#[derive(Default)]
struct Timers {
    header: Option<Timer>,
    negotiation: Option<Timer>,
    idle: Option<Timer>,
    ping: Option<Timer>,
    stall: Option<(Timer, u64)>,
    close_flush: Option<Timer>,
    ending: Option<Timer>,
}

/// What a session asks of the store, besides the client's own requests.
#[derive(Default)]
struct Errands {
    /// Messages that waited for the account are being taken.
    taking: Option<Taking>,
    /// The client's last message is on its way into the store: no request is answered before that is done.
    committing: Option<BoxFuture<'static, rjabberd_router::Committed>>,
    /// How many are, since all were.
    committing_count: usize,
    /// The store did not answer: when messages are asked for again.
    take_again: Option<Timer>,
    /// The same for what the contacts must know of the session.
    appear_again: Option<Timer>,
    /// The contacts think that the session is available, because the one before it was.
    owed: Option<Timer>,
    /// When the client is asked what it has handled.
    request: Option<Timer>,
    /// When it is to be woken for what it has not acknowledged by then.
    wake: Option<Timer>,
    /// By when it has to answer.
    acknowledgement: Option<Timer>,
    /// When nobody can resume the session any more.
    resumption: Option<Timer>,
    /// Messages of the account's own store up to this number were taken before the session was resumed.
    taken: i64,
    /// Nobody uses the client: what waits for that.
    reticence: Option<Box<Reticence>>,
}

impl C2s {
    fn errands(&mut self) -> &mut Errands {
        self.errands.get_or_insert_default()
    }

    fn is_taking(&self) -> bool {
        let taking = self.errands.as_ref().and_then(|errands| errands.taking.as_ref());
        taking.is_some_and(|taking| !taking.arriving)
    }
}

impl C2s {
    /// Starts the two actors of a connection on this arbiter, in the order in which no byte is lost: the transport, the
    /// c2s, the receiver (passive), and only then the first credit.
    pub fn start(shared: Arc<Shared>, accepted: impl Into<Accepted>, admission: Box<dyn Any + Send>) {
        let transport = match Transport::new(accepted) {
            Ok(transport) => transport,
            Err(error) => {
                log::debug!(target: "c2s:start", "lost a connection at once: {error}");
                return;
            }
        };
        C2s::create(|context| {
            let door = Door::new(context.address(), Mailbox::new(&C2S, MAILBOX_MAX, MAILBOX_BYTES_MAX));
            let receiver = Receiver::start(Setup {
                transport: transport.clone(),
                c2s: door.port(),
                limits: shared.settings.limits_before,
                shaper: shared.shaping.shaper(),
                tls: shared.tls.clone(),
                describe: redact::element,
            });
            let alive = Alive::new(&C2S);
            shared.connections.insert(alive.number(), door.port());
            C2s {
                tls_opening: shared.tls_from_start,
                order: if shared.tls_from_start {
                    Order::StartTls(shared.settings.limits_before)
                } else {
                    Order::Continue
                },
                shared,
                transport,
                receiver,
                door,
                state: None,
                batch: VecDeque::new(),
                credit_given: false,
                outbox: Outbox::default(),
                writer: None,
                phase: Phase::Open,
                seat: None,
                ending: None,
                succession: None,
                errands: None,
                claiming: false,
                hand_over_early: false,
                control_after_answer: None,
                epoch: 0,
                timers: Timers::default(),
                budget: Budget::default(),
                accepted: Instant::now(),
                refused: None,
                close_reason: None,
                alive,
                admission,
            }
        });
    }

    /// Runs one step; a panic in it ends the stream, and nothing else.
    fn contain(&mut self, context: &mut Context<Self>, step: impl FnOnce(&mut C2s, &mut Context<C2s>)) {
        if guarded(|| step(self, context)).is_ok() {
            return;
        }
        self.alive.panicked();
        let owed = self.owed_session();
        let recovered = guarded(|| {
            let mut actions = Vec::new();
            self.state = Some(State::panicked(owed, &mut actions));
            self.perform(&mut actions, context);
            if self.seat.is_some() {
                // Bound, but the machine panicked before it knew: nobody else gives that back.
                self.abandon_seat();
                self.stop_when_done(context);
            }
        });
        if recovered.is_err() {
            // The second line: `Drop` gives the seat back.
            self.alive.panicked();
            actix::ActorContext::stop(context);
        }
    }

    /// Runs one step in a future of this actor. The writer may have been polled before it in this turn, so it is woken.
    fn contain_in_future(
        &mut self,
        context: &mut Context<Self>,
        step: impl FnOnce(&mut C2s, &mut Context<C2s>),
    ) {
        self.contain(context, step);
        if let Some(writer) = &self.writer {
            writer.wake_by_ref();
        }
    }

    /// Gives way when enough was done in this turn.
    fn spend(&mut self, bytes: usize, context: &mut Context<Self>) {
        if self.budget.spend(bytes) {
            self.budget.renew();
            yield_now::<C2s>(&self.alive, context);
        }
    }
}

/// Chance for the machine.
fn fresh() -> Fresh {
    Fresh { stream_id: format!("{:032x}", rand::random::<u128>()), resumption: ResumptionId(rand::random()) }
}

impl Actor for C2s {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.spawn(writing::Writing);
        let settings = self.shared.settings.clone();
        self.contain(context, |c2s, context| {
            let mut actions = Vec::new();
            c2s.state = Some(State::accepted(settings, fresh(), &mut actions));
            c2s.perform(&mut actions, context);
            c2s.give_credit();
        });
    }
}

impl Handler<Mail<Batch>> for C2s {
    type Result = ();

    fn handle(&mut self, mail: Mail<Batch>, context: &mut Context<Self>) {
        let (Batch(events), _handling) = mail.open();
        self.credit_given = false;
        self.contain(context, |c2s, context| {
            if c2s.batch.is_empty() {
                // As ever: there is one batch for a credit.
                c2s.batch = events.into();
            } else {
                c2s.batch.extend(events);
            }
            c2s.pump(context);
        });
        self.spend(0, context);
    }
}

impl Handler<Mail<Deliver>> for C2s {
    type Result = ();

    fn handle(&mut self, mail: Mail<Deliver>, context: &mut Context<Self>) {
        let (Deliver(parcel), _handling) = mail.open();
        let bytes = parcel.bytes();
        self.contain(context, |c2s, context| {
            c2s.take_delivery(parcel, context);
            c2s.after_delivery(context);
        });
        self.spend(bytes, context);
    }
}

impl Handler<Mail<Control>> for C2s {
    type Result = ();

    fn handle(&mut self, mail: Mail<Control>, context: &mut Context<Self>) {
        let (control, _handling) = mail.open();
        self.contain(context, |c2s, context| c2s.obey(control, context));
    }
}

impl Handler<Mail<Tick>> for C2s {
    type Result = ();

    fn handle(&mut self, mail: Mail<Tick>, context: &mut Context<Self>) {
        let (tick, _handling) = mail.open();
        self.contain(context, |c2s, context| c2s.tick(tick, context));
    }
}

impl Drop for C2s {
    fn drop(&mut self) {
        self.log_close();
        self.abandon_seat();
        // Whoever waits until there are no connections must find in the store what they left.
        self.outbox.take_all().into_iter().for_each(drop);
        self.shared.connections.remove(self.alive.number());
        if self.phase != Phase::Gone {
            // The receiver would wait for ever for a credit, and keep the socket.
            self.credit(Credit { order: Order::Close, elements_max: 1 });
        }
    }
}
