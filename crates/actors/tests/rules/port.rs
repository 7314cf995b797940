//! Ports and their counters.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use actix::{Actor, Context, Handler};
use rjabberd_actors::{Alive, Kind, Letter, Mail, Mailbox, Port, Refused, Reply, kind, probe::Probe, reply};

/// A message of so many bytes, which counts its own end.
#[derive(Debug)]
struct Parcel(usize, Arc<AtomicUsize>);

impl Letter for Parcel {
    fn bytes(&self) -> usize {
        self.0
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        self.1.fetch_add(1, SeqCst);
    }
}

/// Control, answered when it is handled; the second kind stops the actor.
#[derive(Debug)]
enum Order {
    Mark(Reply<()>),
    Stop,
}

impl Letter for Order {
    const CONTROL: bool = true;
}

struct Keeper {
    _alive: Alive,
}

impl Actor for Keeper {
    type Context = Context<Self>;
}

impl Handler<Mail<Parcel>> for Keeper {
    type Result = ();

    fn handle(&mut self, mail: Mail<Parcel>, _: &mut Context<Self>) {
        let (parcel, _handling) = mail.open();
        drop(parcel);
    }
}

impl Handler<Mail<Order>> for Keeper {
    type Result = ();

    fn handle(&mut self, mail: Mail<Order>, context: &mut Context<Self>) {
        let (order, _handling) = mail.open();
        match order {
            Order::Mark(reply) => reply.send(()).unwrap(),
            Order::Stop => actix::ActorContext::stop(context),
        }
    }
}

struct Kept {
    parcels: Port<Parcel>,
    orders: Port<Order>,
    ended: Arc<AtomicUsize>,
    kind: &'static Kind,
}

impl Kept {
    /// A keeper with a mailbox of those bounds, of a kind of its own.
    fn new(depth_max: usize, bytes_max: usize) -> Kept {
        let kind: &'static Kind = Box::leak(Box::new(Kind::new("keeper")));
        let mailbox = Mailbox::new(kind, depth_max, bytes_max);
        let address = Keeper { _alive: Alive::new(kind) }.start();
        let (parcels, orders) = (Port::new(address.clone(), mailbox.clone()), Port::new(address, mailbox));
        Kept { parcels, orders, ended: Arc::default(), kind }
    }

    fn parcel(&self, bytes: usize) -> Parcel {
        Parcel(bytes, self.ended.clone())
    }

    fn send(&self, bytes: usize) -> Result<(), Refused<Parcel>> {
        self.parcels.send(self.parcel(bytes))
    }

    fn depth(&self) -> usize {
        self.parcels.mailbox().depth()
    }

    /// Waits until all that was sent before is handled.
    async fn settled(&self) {
        let (reply, answer) = reply();
        self.orders.send(Order::Mark(reply)).unwrap();
        answer.within(std::time::Duration::from_secs(10)).await.unwrap();
    }
}

#[actix_rt::test]
async fn a_mailbox_that_is_full_by_count_gives_the_message_back() {
    let kept = Kept::new(2, 1000);
    kept.send(1).unwrap();
    kept.send(1).unwrap();
    let Err(Refused::Full(back)) = kept.send(7) else { panic!("a third message was taken") };
    assert_eq!(back.0, 7);
    assert_eq!((kept.depth(), kept.kind.snapshot().refused), (2, 1));
    kept.settled().await;
    kept.send(1).unwrap();
}

#[actix_rt::test]
async fn a_mailbox_that_is_full_by_bytes_gives_the_message_back() {
    let kept = Kept::new(100, 10);
    kept.send(8).unwrap();
    assert!(matches!(kept.send(3), Err(Refused::Full(_))));
    kept.send(2).unwrap();
    assert_eq!(kept.kind.snapshot().bytes, 10, "what was refused is not counted");
    kept.settled().await;
    kept.send(3).unwrap();
}

#[actix_rt::test]
async fn one_message_larger_than_the_bound_finds_room_in_an_empty_mailbox_only() {
    let kept = Kept::new(100, 10);
    kept.send(50).unwrap();
    assert!(kept.send(1).is_err());
    kept.settled().await;
    kept.send(1).unwrap();
    assert!(kept.send(50).is_err());
}

#[actix_rt::test]
async fn control_is_never_refused_and_takes_no_room() {
    let kept = Kept::new(1, 10);
    kept.send(10).unwrap();
    let answers: Vec<_> = (0..1000)
        .map(|_| {
            let (reply, answer) = reply();
            kept.orders.send(Order::Mark(reply)).unwrap();
            answer
        })
        .collect();
    assert_eq!(kept.depth(), 1);
    for answer in answers {
        answer.within(std::time::Duration::from_secs(10)).await.unwrap();
    }
    kept.send(10).unwrap();
}

#[actix_rt::test]
async fn the_depth_counts_reserved_places() {
    let kept = Kept::new(2, 100);
    let first = kept.parcels.reserve(1).unwrap();
    let second = kept.parcels.reserve(1).unwrap();
    assert_eq!(kept.depth(), 2);
    assert!(kept.send(1).is_err());
    first.withdraw();
    assert_eq!(kept.depth(), 1);
    second.send(kept.parcel(1)).unwrap();
    assert_eq!(kept.depth(), 1, "the place became the message's");
    kept.settled().await;
    assert_eq!((kept.depth(), kept.kind.snapshot().dropped), (0, 0));
}

#[actix_rt::test]
async fn a_message_dropped_with_its_actor_is_counted_and_its_place_given_back() {
    let kept = Kept::new(10, 100);
    kept.orders.send(Order::Stop).unwrap();
    for _ in 0..3 {
        kept.send(5).unwrap();
    }
    while kept.parcels.is_open() {
        tokio::task::yield_now().await;
    }
    assert_eq!(kept.ended.load(SeqCst), 3);
    assert_eq!(kept.depth(), 0);
    let snapshot = kept.kind.snapshot();
    assert_eq!((snapshot.dropped, snapshot.bytes, snapshot.depth), (3, 0, 0));
    let Err(Refused::Closed(back)) = kept.send(9) else { panic!("a message went to an actor that is gone") };
    assert_eq!(back.0, 9);
    assert_eq!((kept.depth(), kept.kind.snapshot().dropped), (0, 3), "what came back was not lost");
}

#[actix_rt::test]
async fn a_kind_counts_its_actors_and_their_messages() {
    let kept = Kept::new(10, 100);
    let other = Alive::new(kept.kind);
    assert_eq!(other.to_string(), "<keeper.2>");
    for _ in 0..4 {
        kept.send(5).unwrap();
    }
    let before = kept.kind.snapshot();
    assert_eq!((before.depth, before.depth_high, before.bytes, before.handled), (4, 4, 20, 0));
    kept.settled().await;
    other.panicked();
    drop(other);
    let after = kept.kind.snapshot();
    assert_eq!((after.depth, after.depth_high, after.bytes, after.handled), (0, 4, 0, 5));
    assert_eq!((after.started, after.alive, after.panicked), (2, 1, 1));
    assert!(kind::snapshot().iter().filter(|snapshot| snapshot.name == "keeper").count() >= 1);
}

#[actix_rt::test]
async fn a_probe_keeps_what_it_was_sent_in_order() {
    let (port, probe) = Probe::<Parcel>::start(10);
    let ended = Arc::new(AtomicUsize::new(0));
    for bytes in 1..=3 {
        port.send(Parcel(bytes, ended.clone())).unwrap();
    }
    assert_eq!(probe.next().await.0, 1);
    assert_eq!(probe.take().iter().map(|parcel| parcel.0).collect::<Vec<_>>(), [2, 3]);
}
