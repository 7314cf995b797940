//! Several senders in threads of their own against one session that is slow, stops and goes on.

use std::{
    collections::HashMap,
    sync::mpsc::{Receiver, Sender, channel},
    time::Duration,
};

use actix::{Actor, AsyncContext, Context, Handler};
use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng};
use rjabberd_actors::{Kind, Letter, Mail, Mailbox};
use rjabberd_xmpp::{MessageType, StanzaKind};

use super::*;
use crate::Undelivered;

static SESSION: Kind = Kind::new("session of a test");
/// A deadline for what must happen, however slow the machine.
const LONG: Duration = Duration::from_secs(20);

/// What became of a parcel, or what the session was told.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Written(String),
    Back(String),
    Overflowed,
    Ended,
}

/// Closed when the play is over.
struct WayBack(Mutex<Option<Sender<Fate>>>);

impl Undelivered for WayBack {
    fn undelivered(&'static self, stanza: Stanza) {
        if let Some(fates) = &*self.0.lock() {
            // Nobody looks any more when the test has failed.
            let _ended = fates.send(Fate::Back(stanza.id.unwrap_or_default()));
        }
    }
}

fn parcel(way_back: &'static WayBack, id: String) -> Arc<Parcel> {
    let mut stanza = Stanza::new(StanzaKind::Message(MessageType::Chat), &[]);
    stanza.id = Some(id);
    Parcel::new(stanza, way_back)
}

/// How a session behaves.
#[derive(Clone, Copy, Debug)]
struct Manners {
    seed: u64,
    depth_max: usize,
    spill_bytes_max: usize,
    /// Bytes that one look into the spill takes.
    drain_bytes: usize,
    /// How often, of a hundred times, it does not look although it could.
    lazy: u32,
    /// How often it wants everything in the spill, as with a full outbox.
    holds: u32,
    /// Whether it takes anything out of the spill at all.
    drains: bool,
}

/// The next look into the spill.
struct Look;

impl Letter for Look {
    const CONTROL: bool = true;
}

/// A session as the c2s is one: writes what it gets, and takes the spill once its mailbox is empty.
struct Session {
    seat: Option<Arc<Seat>>,
    seats: Receiver<Arc<Seat>>,
    look: Port<Look>,
    fates: Sender<Fate>,
    random: StdRng,
    manners: Manners,
}

impl Session {
    fn seat(&mut self) -> Arc<Seat> {
        let seats = &self.seats;
        self.seat.get_or_insert_with(|| seats.recv_timeout(LONG).expect("the seat")).clone()
    }

    fn write(&self, parcel: &Parcel) {
        parcel.delivered();
        let id = parcel.stanza().id.clone().expect("an id");
        self.fates.send(Fate::Written(id)).expect("the test looks");
    }

    fn drain(&mut self) {
        let seat = self.seat();
        if !self.manners.drains {
            return;
        }
        if seat.is_spilling() && self.random.random_ratio(self.manners.lazy, 100) {
            // Not now; the writer comes back to it later.
            let _ended = self.look.send(Look);
            return;
        }
        while seat.is_spilling() && seat.depth() == 0 {
            let (parcels, open) = seat.drain(self.manners.drain_bytes);
            parcels.iter().for_each(|parcel| self.write(parcel));
            if open {
                return;
            }
        }
    }
}

impl Actor for Session {
    type Context = Context<Self>;
}

impl Handler<Mail<Deliver>> for Session {
    type Result = ();

    fn handle(&mut self, mail: Mail<Deliver>, _: &mut Context<Self>) {
        let (Deliver(parcel), _handling) = mail.open();
        self.write(&parcel);
        let seat = self.seat();
        if !seat.is_spilling() && self.random.random_ratio(self.manners.holds, 100) {
            seat.hold();
        }
        if self.random.random_ratio(1, 8) {
            std::thread::yield_now();
        }
        self.drain();
    }
}

impl Handler<Mail<Look>> for Session {
    type Result = ();

    fn handle(&mut self, mail: Mail<Look>, _: &mut Context<Self>) {
        drop(mail.open());
        self.drain();
    }
}

impl Handler<Mail<Control>> for Session {
    type Result = ();

    fn handle(&mut self, mail: Mail<Control>, _: &mut Context<Self>) {
        let (control, _handling) = mail.open();
        match control {
            Control::SpillReady => {
                self.seat().heard();
                self.drain();
            }
            Control::Overflowed => self.fates.send(Fate::Overflowed).expect("the test looks"),
            Control::Kick => {
                // The end of the test: what is left goes back.
                let left = self.seat().close();
                drop(left);
                self.fates.send(Fate::Ended).expect("the test looks");
                actix_rt::System::current().stop();
            }
            _ => unreachable!("no other control is sent here"),
        }
    }
}

/// Starts the session on a thread of its own and seats it.
fn seated(manners: Manners, fates: Sender<Fate>) -> (Arc<Seat>, std::thread::JoinHandle<()>) {
    let (give_seat, seats) = channel();
    let (give_ports, ports) = channel();
    let thread = std::thread::spawn(move || {
        let system = actix_rt::System::new();
        system.block_on(async {
            Session::create(|context| {
                let mailbox = Mailbox::new(&SESSION, manners.depth_max, usize::MAX / 2);
                let address = context.address();
                let deliver = Port::<Deliver>::new(address.clone(), mailbox.clone());
                let control = Port::<Control>::new(address.clone(), mailbox.clone());
                give_ports.send((deliver, control)).expect("the test waits");
                let (look, random) = (Port::new(address, mailbox), StdRng::seed_from_u64(manners.seed));
                Session { seat: None, seats, look, fates, random, manners }
            });
        });
        system.run().expect("the session's loop");
    });
    let (deliver, control) = ports.recv_timeout(LONG).expect("ports");
    let jid = FullJid::new("juliet@example.net/balcony").expect("an address");
    let seat = Arc::new(Seat::new(jid, 1, deliver, control, manners.spill_bytes_max));
    give_seat.send(seat.clone()).expect("the session waits");
    (seat, thread)
}

/// Several senders send `each` parcels; gives what became of them, in order of what happened.
fn play(manners: Manners, senders: usize, each: usize) -> Vec<Fate> {
    let (fates, happened) = channel();
    let (seat, session) = seated(manners, fates.clone());
    let way_back: &'static WayBack = Box::leak(Box::new(WayBack(Mutex::new(Some(fates)))));
    if !manners.drains {
        // As with an outbox that is full from now on.
        seat.hold();
    }
    let threads: Vec<_> = (0..senders)
        .map(|sender| {
            let seat = seat.clone();
            std::thread::spawn(move || {
                let mut random = StdRng::seed_from_u64(manners.seed + sender as u64);
                for number in 0..each {
                    seat.deliver(&parcel(way_back, format!("{sender}:{number}")));
                    if random.random_ratio(1, 10) {
                        std::thread::yield_now();
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("a sender");
    }
    let mut seen = Vec::new();
    while seen.len() < senders * each {
        let fate = happened.recv_timeout(LONG).unwrap_or_else(|_| {
            panic!("{} of {} parcels are lost: {manners:?}", senders * each - seen.len(), senders * each)
        });
        let ends = fate == Fate::Overflowed;
        seen.push(fate);
        if ends {
            break;
        }
    }
    seat.control(Control::Kick);
    drop(seat);
    session.join().expect("the session");
    // Nothing is on its way any more: the session has let go of all, and so has the seat.
    way_back.0.lock().take();
    seen.extend(happened.iter().filter(|fate| *fate != Fate::Ended));
    seen
}

/// The numbers of each sender's parcels, in the order of what happened to them.
fn by_sender(fates: &[Fate], chosen: fn(&Fate) -> Option<&String>) -> HashMap<String, Vec<usize>> {
    let mut senders: HashMap<String, Vec<usize>> = HashMap::new();
    for id in fates.iter().filter_map(chosen) {
        let (sender, number) = id.split_once(':').expect("an id of this test");
        senders.entry(sender.to_owned()).or_default().push(number.parse().expect("a number"));
    }
    senders
}

fn written(fate: &Fate) -> Option<&String> {
    if let Fate::Written(id) = fate { Some(id) } else { None }
}

fn back(fate: &Fate) -> Option<&String> {
    if let Fate::Back(id) = fate { Some(id) } else { None }
}

fn manners() -> impl Strategy<Value = Manners> {
    (any::<u64>(), 1usize..20, 1usize..500, 0u32..60, 0u32..30).prop_map(
        |(seed, depth_max, drain_bytes, lazy, holds)| Manners {
            seed: seed / 2,
            depth_max,
            spill_bytes_max: usize::MAX / 2,
            drain_bytes,
            lazy,
            holds,
            drains: true,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn each_sender_s_parcels_arrive_in_order_and_exactly_once(
        manners in manners(), senders in 1usize..5, each in 1usize..300
    ) {
        let fates = play(manners, senders, each);
        let arrived = by_sender(&fates, written);
        for sender in 0..senders {
            prop_assert_eq!(&arrived[&sender.to_string()], &(0..each).collect::<Vec<_>>());
        }
        prop_assert_eq!(fates.len(), senders * each);
    }

    #[test]
    fn a_full_spill_ends_the_session_and_what_it_refuses_comes_back(
        manners in manners(), senders in 1usize..5, spill_bytes_max in 0usize..2000
    ) {
        let manners = Manners { spill_bytes_max, drains: false, ..manners };
        let each = 200;
        let fates = play(manners, senders, each);
        prop_assert_eq!(fates.iter().filter(|fate| **fate == Fate::Overflowed).count(), 1);
        let (arrived, back) = (by_sender(&fates, written), by_sender(&fates, back));
        for sender in 0..senders {
            let empty = Vec::new();
            let mut all = arrived.get(&sender.to_string()).unwrap_or(&empty).clone();
            let mut returned = back.get(&sender.to_string()).unwrap_or(&empty).clone();
            prop_assert!(all.is_sorted(), "out of order");
            returned.sort_unstable();
            // What arrived was sent before what came back: nobody overtakes.
            all.extend(returned);
            prop_assert_eq!(all, (0..each).collect::<Vec<_>>());
        }
    }
}

/// A way back on which the first parcel is held up.
struct Narrow {
    reached: Mutex<Sender<()>>,
    go: Mutex<Receiver<()>>,
    back: Mutex<Vec<String>>,
}

impl Undelivered for Narrow {
    fn undelivered(&'static self, stanza: Stanza) {
        let id = stanza.id.unwrap_or_default();
        if id == "0" {
            self.reached.lock().send(()).expect("the test waits");
            self.go.lock().recv_timeout(LONG).expect("the test lets it go");
        }
        self.back.lock().push(id);
    }
}

#[actix_rt::test]
async fn what_one_thread_sends_back_is_not_overtaken_by_what_another_finishes() {
    let (deliver, _inbox) = rjabberd_actors::probe::Probe::start(8);
    let (control, _orders) = rjabberd_actors::probe::Probe::start(8);
    let jid = FullJid::new("juliet@example.net/balcony").expect("an address");
    let seat = Arc::new(Seat::new(jid, 1, deliver, control, usize::MAX));
    let ((reached, is_reached), (let_go, go)) = (channel(), channel());
    let narrow: &'static Narrow = Box::leak(Box::new(Narrow {
        reached: Mutex::new(reached),
        go: Mutex::new(go),
        back: Mutex::default(),
    }));
    let parcels = (0..4).map(|number| {
        let mut stanza = Stanza::new(StanzaKind::Message(MessageType::Chat), &[]);
        stanza.id = Some(number.to_string());
        Parcel::new(stanza, narrow)
    });
    seat.leave(parcels.collect());
    let other = seat.clone();
    let thread = std::thread::spawn(move || other.send_back());
    is_reached.recv_timeout(LONG).expect("the first is on its way");
    seat.finish();
    assert_eq!(*narrow.back.lock(), Vec::<String>::new());
    let_go.send(()).expect("the first waits");
    thread.join().expect("the other thread");
    assert_eq!(*narrow.back.lock(), ["0", "1", "2", "3"]);
}
