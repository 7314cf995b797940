//! Sessions without connections, and a way back that remembers.

use std::{
    cell::RefCell,
    collections::VecDeque,
    rc::Rc,
    sync::{Arc, Mutex},
    time::Duration,
};

use rjabberd_actors::{Port, probe::Probe, reply};
use rjabberd_session_manager::{
    Bound, Claim, ClaimRefused, ConflictPolicy, Control, Deliver, Estate, Handed, Parcel, Release, Released,
    Resource, Rules, Seat, SessionManager, SessionManagerPorts, SessionTable, Undelivered,
};
use rjabberd_xmpp::{
    BareJid, FullJid, MessageType, PresenceType, Stanza, StanzaKind, management::ResumptionId,
};

/// A way back that remembers what came back, in order.
#[derive(Default)]
pub(crate) struct Back(Mutex<Vec<String>>);

impl Undelivered for Back {
    fn undelivered(&'static self, stanza: Stanza) {
        self.0.lock().unwrap().push(stanza.id.unwrap());
    }
}

impl Back {
    pub(crate) fn new() -> &'static Back {
        Box::leak(Box::default())
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

pub(crate) fn parcel(back: &'static Back, id: &str) -> Arc<Parcel> {
    let mut stanza = Stanza::new(StanzaKind::Message(MessageType::Chat), &[]);
    stanza.id = Some(id.to_owned());
    Parcel::new(stanza, back)
}

pub(crate) fn account() -> BareJid {
    BareJid::new("juliet@example.net").unwrap()
}

pub(crate) fn jid(resource: &str) -> FullJid {
    FullJid::new(&format!("juliet@example.net/{resource}")).unwrap()
}

/// Lets all actors of this thread do what they can do.
pub(crate) async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

/// Lets time pass that nobody waits for in truth.
pub(crate) async fn pass(time: Duration) {
    let until = tokio::time::Instant::now() + time;
    while tokio::time::Instant::now() < until {
        tokio::time::advance(Duration::from_millis(50)).await;
        settle().await;
    }
}

pub(crate) const RULES: Rules = Rules {
    conflict: ConflictPolicy::TakeOver,
    sessions_per_account_max: 8,
    spill_bytes_max: usize::MAX / 2,
    hand_over: Duration::from_secs(1),
    ended_kept: Duration::from_secs(300),
};

/// A session manager with a clock that stands still.
pub(crate) struct Stage {
    pub(crate) table: Arc<SessionTable>,
    pub(crate) ports: SessionManagerPorts,
    pub(crate) back: &'static Back,
}

type Verdict = Result<Bound, ClaimRefused>;

/// What its client has not acknowledged.
struct Unacknowledged(VecDeque<Arc<Parcel>>);

impl Estate for Unacknowledged {
    fn into_queue(self: Box<Self>) -> VecDeque<Arc<Parcel>> {
        self.0
    }
}

/// A session, as far as the session manager knows one.
pub(crate) struct Session {
    pub(crate) inbox: Probe<Deliver>,
    pub(crate) control: Probe<Control>,
    deliver: Port<Deliver>,
    verdict: Rc<RefCell<Option<Verdict>>>,
    asking: actix_rt::task::JoinHandle<()>,
    pub(crate) seat: Option<Arc<Seat>>,
    pub(crate) handed: Option<Handed>,
}

impl Stage {
    pub(crate) fn new(rules: Rules) -> Stage {
        tokio::time::pause();
        let table = SessionTable::new();
        let ports = SessionManager::start(table.clone(), rules);
        Stage { table, ports, back: Back::new() }
    }

    /// Asks for a resource; the mailbox of the session takes `depth_max`.
    pub(crate) fn asks(&self, resource: Option<&str>, depth_max: usize) -> Session {
        self.asks_at(resource, depth_max, self.table.epoch().now())
    }

    /// The same, with credentials of an earlier time.
    pub(crate) fn asks_at(&self, resource: Option<&str>, depth_max: usize, epoch: u64) -> Session {
        let resource = resource
            .map_or(Resource::Made { prefix: String::new() }, |name| Resource::Named(name.to_owned()));
        self.claims(resource, depth_max, epoch, false)
    }

    /// Asks for an earlier session.
    pub(crate) fn resumes(&self, id: ResumptionId, depth_max: usize) -> Session {
        self.claims(Resource::Resumed(id), depth_max, self.table.epoch().now(), false)
    }

    /// Asks for a resource of any kind, as one who has an account, or as a guest.
    pub(crate) fn asks_for(&self, resource: Resource, guest: bool) -> Session {
        self.claims(resource, 64, self.table.epoch().now(), guest)
    }

    fn claims(&self, resource: Resource, depth_max: usize, epoch: u64, guest: bool) -> Session {
        let ((deliver, inbox), (control_port, control)) = (Probe::start(depth_max), Probe::start(64));
        let (reply, answer) = reply();
        let claim = Claim {
            account: account(),
            resource,
            guest,
            epoch,
            deliver: deliver.clone(),
            control: control_port,
            reply,
        };
        self.ports.claim.send(claim).unwrap();
        let verdict = Rc::new(RefCell::new(None));
        let slot = verdict.clone();
        let asking = actix_rt::spawn(async move {
            *slot.borrow_mut() = answer.within(Duration::from_secs(1_000_000)).await.ok();
        });
        Session { inbox, control, deliver, verdict, asking, seat: None, handed: None }
    }

    /// A session that asks and is seated at once.
    pub(crate) async fn sits(&self, resource: &str) -> Session {
        let mut session = self.asks(Some(resource), 64);
        settle().await;
        session.is_seated();
        assert!(session.seat.is_some(), "the resource is not free");
        // Until it knows that it sits there, everything waits in the spill.
        assert!(session.writes().is_empty());
        session
    }

    /// Sends a parcel as a sender does; says whether a session took it.
    pub(crate) fn sends(&self, to: &FullJid, id: &str) -> bool {
        self.table.deliver_to(to, &parcel(self.back, id))
    }

    /// The session ends; true when the session manager answered.
    pub(crate) async fn releases(&self, seat: &Arc<Seat>) {
        seat.leave(std::collections::VecDeque::new());
        seat.send_back();
        let (reply, answer) = reply();
        self.ports.release.send(Release { seat: seat.clone(), reply: Some(reply) }).unwrap();
        assert!(answer.within(Duration::from_secs(10)).await.unwrap());
    }

    /// The session hands its resource over, with everything in its inbox.
    pub(crate) async fn hands_over(&self, session: &mut Session) {
        let seat = session.seat.clone().unwrap();
        seat.hold();
        let presence = Stanza::new(StanzaKind::Presence(PresenceType::Available), &[]);
        seat.set_presence(&mut seat.show(), Some((0, &presence)));
        seat.withdraw();
        settle().await;
        let mut queue: VecDeque<_> = session.inbox.take().into_iter().map(|Deliver(parcel)| parcel).collect();
        let older = queue.drain(..queue.len() / 2).collect();
        let estate: Option<Box<dyn Estate>> = match seat.resumption() {
            Some(_) => Some(Box::new(Unacknowledged(older))),
            None => {
                queue = older.into_iter().chain(queue).collect();
                None
            }
        };
        let handed = Handed { directed: Vec::new(), queue, estate };
        self.ports.released.send(Released { seat, handed }).unwrap();
        settle().await;
    }
}

impl Session {
    /// Whether it has been given a seat; keeps it.
    pub(crate) fn is_seated(&mut self) -> bool {
        if let Some(Ok(bound)) = self.verdict.borrow_mut().take_if(|verdict| verdict.is_ok()) {
            let (seat, handed) = bound.accept();
            (self.seat, self.handed) = (Some(seat), handed);
        }
        self.seat.is_some()
    }

    /// Whether its contacts think that it is available.
    pub(crate) fn is_owed(&self) -> bool {
        self.seat.as_ref().unwrap().show().is_owed()
    }

    /// Why it was refused, if it was.
    pub(crate) fn refusal(&self) -> Option<ClaimRefused> {
        self.verdict.borrow().as_ref().and_then(|verdict| verdict.as_ref().err().copied())
    }

    /// Writes to its client again what a session left that goes on here.
    pub(crate) fn retransmits(&mut self) -> Vec<String> {
        let estate = self.handed.as_mut().and_then(|handed| handed.estate.take());
        let parcels = estate.map(Estate::into_queue).unwrap_or_default();
        parcels.iter().for_each(|parcel| parcel.delivered());
        parcels.iter().map(|parcel| parcel.stanza().id.clone().unwrap()).collect()
    }

    /// Writes to its client all that it can take, as a c2s does: the mailbox, and then what spilled.
    pub(crate) fn writes(&self) -> Vec<String> {
        let mut parcels: Vec<_> = self.inbox.take().into_iter().map(|Deliver(parcel)| parcel).collect();
        if let Some(seat) = &self.seat {
            if self.control.take().contains(&Control::SpillReady) {
                seat.heard();
            }
            while seat.is_spilling() && self.deliver.mailbox().depth() == 0 {
                let (taken, open) = seat.drain(100);
                parcels.extend(taken);
                if open {
                    break;
                }
            }
        }
        parcels.iter().for_each(|parcel| parcel.delivered());
        parcels.iter().map(|parcel| parcel.stanza().id.clone().unwrap()).collect()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Its client is gone: nobody waits for the answer.
        self.asking.abort();
    }
}
