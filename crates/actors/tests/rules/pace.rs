//! Fairness and containment.

use std::{cell::RefCell, pin::Pin, rc::Rc, task::Poll, time::Duration};

use actix::{Actor, ActorFuture, AsyncContext, Context, Handler};
use rjabberd_actors::{
    Alive, Budget, Kind, Letter, Mail, Mailbox, Panicked, Port, Reply, guarded, pace, reply, yield_now,
};

static FLOODED: Kind = Kind::new("flooded");
static NEIGHBOUR: Kind = Kind::new("neighbour");

/// What happened, in order.
type Diary = Rc<RefCell<Vec<Entry>>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Handled,
    Wrote,
    Neighbour,
}

struct Drop1;

impl Letter for Drop1 {}

#[derive(Debug)]
struct Call(Reply<()>);

impl Letter for Call {
    const CONTROL: bool = true;
}

struct Flooded {
    budget: Budget,
    alive: Alive,
    diary: Diary,
    left: usize,
    done: Option<Reply<()>>,
}

/// Stands for the writer: polled with the actor.
struct Writer;

impl ActorFuture<Flooded> for Writer {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        flooded: &mut Flooded,
        _: &mut Context<Flooded>,
        _: &mut std::task::Context<'_>,
    ) -> Poll<()> {
        flooded.budget.renew();
        flooded.diary.borrow_mut().push(Entry::Wrote);
        Poll::Pending
    }
}

impl Actor for Flooded {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.spawn(Writer);
    }
}

impl Handler<Mail<Drop1>> for Flooded {
    type Result = ();

    fn handle(&mut self, mail: Mail<Drop1>, context: &mut Context<Self>) {
        let (_, _handling) = mail.open();
        self.diary.borrow_mut().push(Entry::Handled);
        self.left -= 1;
        if self.left == 0 {
            self.done.take().unwrap().send(()).unwrap();
        }
        if self.budget.spend(0) {
            self.budget.renew();
            yield_now::<Flooded>(&self.alive, context);
        }
    }
}

struct Neighbour(Diary);

impl Actor for Neighbour {
    type Context = Context<Self>;
}

impl Handler<Mail<Call>> for Neighbour {
    type Result = ();

    fn handle(&mut self, mail: Mail<Call>, _: &mut Context<Self>) {
        let (Call(reply), _handling) = mail.open();
        self.0.borrow_mut().push(Entry::Neighbour);
        reply.send(()).unwrap();
    }
}

#[actix_rt::test]
async fn a_flooded_actor_lets_its_neighbour_and_its_writer_run_after_64_messages() {
    const FLOOD: usize = 100_000;
    let diary = Diary::default();
    let (done, all_done) = reply();
    let flooded = Flooded {
        budget: Budget::default(),
        alive: Alive::new(&FLOODED),
        diary: diary.clone(),
        left: FLOOD,
        done: Some(done),
    }
    .start();
    let flood = Port::<Drop1>::new(flooded, Mailbox::new(&FLOODED, FLOOD, usize::MAX));
    let neighbour = Port::new(Neighbour(diary.clone()).start(), Mailbox::new(&NEIGHBOUR, 8, usize::MAX));
    for _ in 0..FLOOD {
        assert!(flood.send(Drop1).is_ok());
    }
    let (reply, answer) = reply();
    neighbour.send(Call(reply)).unwrap();
    answer.within(Duration::from_secs(30)).await.unwrap();
    all_done.within(Duration::from_secs(60)).await.unwrap();
    let runs = diary.borrow();
    let before = runs.iter().take_while(|entry| **entry != Entry::Neighbour);
    let before = before.filter(|entry| **entry == Entry::Handled).count();
    assert!((1..=64).contains(&before), "{before} messages before the neighbour's");
    let longest = runs.split(|entry| *entry == Entry::Wrote).map(<[Entry]>::len).max().unwrap();
    // The neighbour's one message may stand in a run.
    assert!(longest <= 65, "{longest} messages without a write");
    assert!(FLOODED.snapshot().yields >= (FLOOD / 64) as u64 - 1);
}

#[test]
fn a_budget_is_spent_by_messages_or_by_bytes() {
    let mut budget = Budget::default();
    for _ in 1..pace::MESSAGES_MAX {
        assert!(!budget.spend(0));
    }
    assert!(budget.spend(0));
    budget.renew();
    assert!(!budget.spend(pace::BYTES_MAX - 1));
    assert!(budget.spend(1));
}

#[test]
fn a_panic_in_a_guarded_step_is_an_error() {
    assert_eq!(guarded(|| 3), Ok(3));
    assert_eq!(guarded(|| -> u32 { panic!("a step of this test") }), Err(Panicked));
}
