//! Who is bound where: owns the session table, decides conflicts and hand-overs.
//!
//! Senders read the table themselves ([`SessionTable`]); no stanza passes through the session manager's mailbox. Rows
//! are written by the session manager alone; what changes often (priority, spill) stands in the row's [`Seat`], whose
//! generation makes every act of an earlier session a no-op: its seat is not in the table any more.
//! Knows no c2s: only ports.

pub mod burden;
mod claims;
mod ended;
mod expired;
pub mod messages;
pub mod parcel;
pub mod seat;
mod shards;
pub mod show;
pub mod table;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};
use std::time::Duration;

use actix::{Actor, Context, Handler};
use rjabberd_actors::{Alive, Door, Kind, Mail, Mailbox, Port};

pub use burden::{Burden, Ledger};
use claims::Claims;
use ended::EndedAccounts;
pub use messages::{
    Bound, Claim, ClaimRefused, Control, EndAccount, Ended, Estate, Expired, Handed, Release, Released,
    Resource,
};
pub use parcel::{Deliver, Parcel, Undelivered};
pub use seat::{Seat, Wish};
pub use shards::SessionManagers;
pub use show::{Interests, Show};
use table::Removal;
pub use table::SessionTable;

/// Counters of the session manager.
pub static SESSION_MANAGER: Kind = Kind::new("session_manager");

/// Questions that may wait; one more is refused, and its client told to wait.
const MAILBOX_MAX: usize = 10_000;

/// What becomes of a second session with the same resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConflictPolicy {
    /// The new session takes the resource; the old one ends with `conflict` (RFC 6120, 7.7.2.2).
    TakeOver,
    /// The new session is told `conflict`.
    Refuse,
}

/// What the config decides about sessions.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// A second session with the same resource.
    pub conflict: ConflictPolicy,
    /// Sessions of one account at once.
    pub sessions_per_account_max: usize,
    /// Bytes that may wait in one session's spill.
    pub spill_bytes_max: usize,
    /// How long a session may take to hand over; then its resource is taken anyway.
    pub hand_over: Duration,
    /// How long an ended account is remembered: no less than a negotiation may take.
    pub ended_kept: Duration,
}

/// The ports that lead to a session manager: all that others need to know of it.
#[derive(Clone, Debug)]
pub struct SessionManagerPorts {
    /// To bind a resource.
    pub claim: Port<Claim>,
    /// To give one back.
    pub release: Port<Release>,
    /// To hand one over.
    pub released: Port<Released>,
    /// To end all sessions of an account.
    pub end_account: Port<EndAccount>,
    /// To say how far a session had come that was not resumed.
    pub expired: Port<Expired>,
}

/// Owns the session table, or the rows of a share of the accounts ([`SessionManagers`]).
pub struct SessionManager {
    table: Arc<SessionTable>,
    rules: Rules,
    claims: Claims,
    ended: EndedAccounts,
    alive: Alive,
}

/// Counts removals and password changes, so that a login that began before one is recognised.
#[derive(Debug, Default)]
pub struct Epoch(AtomicU64);

impl Epoch {
    /// The number of the last ended account.
    pub fn now(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn next(&self) -> u64 {
        self.0.fetch_add(1, Relaxed) + 1
    }
}

impl SessionManager {
    /// Starts a session manager on this arbiter.
    pub fn start(table: Arc<SessionTable>, rules: Rules) -> SessionManagerPorts {
        let mailbox = Mailbox::new(&SESSION_MANAGER, MAILBOX_MAX, usize::MAX);
        let mut started = None;
        SessionManager::create(|context| {
            let door = Door::new(actix::AsyncContext::address(context), mailbox);
            let ports = SessionManagerPorts {
                claim: door.port(),
                release: door.port(),
                released: door.port(),
                end_account: door.port(),
                expired: door.port(),
            };
            let claims = Claims::new(door.port(), door.port());
            started = Some(ports);
            let alive = Alive::new(&SESSION_MANAGER);
            SessionManager { table, rules, claims, ended: EndedAccounts::default(), alive }
        });
        started.expect("create runs its closure before it returns")
    }
}

impl Actor for SessionManager {
    type Context = Context<Self>;
}

impl Handler<Mail<Claim>> for SessionManager {
    type Result = ();

    fn handle(&mut self, mail: Mail<Claim>, _: &mut Context<Self>) {
        let (claim, _handling) = mail.open();
        if self.ended.since(&claim.account, claim.epoch) {
            claim.answer(Err(ClaimRefused::AccountGone));
            return;
        }
        self.claims.take(claim, &self.table, &self.rules, &self.alive);
    }
}

impl Handler<Mail<Release>> for SessionManager {
    type Result = ();

    fn handle(&mut self, mail: Mail<Release>, _: &mut Context<Self>) {
        let (release, _handling) = mail.open();
        let removal = match release.reply {
            Some(_) => self.table.vacate(&release.seat),
            None => self.table.remove(&release.seat),
        };
        if removal == Removal::Done {
            log::debug!(target: "session_manager:release", "{} {} is free", self.alive, release.seat.jid());
            self.table.orphaned(&release.seat);
        }
        // A take-over may have waited for this very session; it need not wait for what is on its way back.
        self.claims.freed(&release.seat, None, &self.table, &self.rules, &self.alive);
        if let Some(reply) = release.reply {
            let _unwanted = reply.send(removal != Removal::NotYet);
        }
    }
}

impl Handler<Mail<Released>> for SessionManager {
    type Result = ();

    fn handle(&mut self, mail: Mail<Released>, _: &mut Context<Self>) {
        let (released, _handling) = mail.open();
        self.claims.freed(&released.seat, Some(released.handed), &self.table, &self.rules, &self.alive);
    }
}

impl Handler<Mail<claims::HandOverExpired>> for SessionManager {
    type Result = ();

    fn handle(&mut self, mail: Mail<claims::HandOverExpired>, _: &mut Context<Self>) {
        let (expired, _handling) = mail.open();
        self.claims.expired(&expired, &self.table, &self.rules, &self.alive);
    }
}

impl Handler<Mail<Expired>> for SessionManager {
    type Result = ();

    fn handle(&mut self, mail: Mail<Expired>, _: &mut Context<Self>) {
        let (expired, _handling) = mail.open();
        self.claims.remember(expired);
    }
}

impl Handler<Mail<EndAccount>> for SessionManager {
    type Result = ();

    fn handle(&mut self, mail: Mail<EndAccount>, _: &mut Context<Self>) {
        let (end, _handling) = mail.open();
        self.ended.forget(self.rules.ended_kept);
        self.ended.insert(end.account.clone(), self.table.epoch().next());
        let control = match end.why {
            Ended::Removed => Control::AccountRemoved,
            Ended::CredentialsChanged => Control::CredentialsChanged,
        };
        self.claims.refuse_all(&end.account);
        for seat in self.table.seats(&end.account) {
            if end.except.as_ref() != Some(seat.jid()) {
                seat.control(control);
            }
        }
        if let Some(reply) = end.reply {
            let _unwanted = reply.send(());
        }
        log::info!(target: "session_manager:end_account", "{} sessions of {} end: {:?}", self.alive, end.account, end.why);
    }
}
