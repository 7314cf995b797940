//! The session table: read by every sender in its own thread, written by the session manager alone.
//!
//! Invariant: no parcel is ever dropped while a row's lock is held (its way back reads the table).

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use dashmap::DashMap;
use rjabberd_xmpp::{BareJid, FullJid};

use crate::{Epoch, Parcel, Seat};

/// Parts of the table, each with a lock: so many that two arbiters seldom want the same at the same time.
const SHARDS: usize = 512;

/// Who is bound where.
pub struct SessionTable {
    /// By bare JID, as text: so a sender finds its addressee without making an address of its own.
    accounts: DashMap<Box<str>, Vec<Arc<Seat>>>,
    sessions: AtomicUsize,
    /// Sessions of guests: where there are none, nobody looks for one.
    guests: AtomicUsize,
    epoch: Epoch,
    /// Who sees to a seat that is gone while its contacts think that it is available.
    orphans: OnceLock<Box<OrphanTaker>>,
}

/// Takes a seat that nobody sits on any more.
pub type OrphanTaker = dyn Fn(&Seat) + Send + Sync;

impl std::fmt::Debug for SessionTable {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "SessionTable({} sessions)", self.sessions())
    }
}

/// What became of the removal of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    Done,
    /// The row is another session's, or nobody's.
    NotThere,
    /// Something is still on its way back.
    NotYet,
}

impl SessionTable {
    /// An empty table.
    pub fn new() -> Arc<SessionTable> {
        Arc::new(SessionTable {
            accounts: DashMap::with_shard_amount(SHARDS),
            sessions: AtomicUsize::default(),
            guests: AtomicUsize::default(),
            epoch: Epoch::default(),
            orphans: OnceLock::new(),
        })
    }

    /// Sets who sees to a seat that is gone while its contacts think that it is available; the first who asks is it.
    pub fn give_orphans(&self, taker: Box<OrphanTaker>) {
        let _second = self.orphans.set(taker);
    }

    /// A session has handed over, and nobody takes it.
    pub(crate) fn orphaned(&self, seat: &Seat) {
        let owed = seat.show().is_owed();
        if let Some(taker) = self.orphans.get().filter(|_| owed) {
            taker(seat);
        }
    }

    /// Sessions bound now.
    pub fn sessions(&self) -> usize {
        self.sessions.load(Relaxed)
    }

    /// Counts ended accounts.
    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// All seats of an account.
    pub fn seats(&self, account: &BareJid) -> Vec<Arc<Seat>> {
        self.accounts.get(account.as_str()).map(|seats| seats.clone()).unwrap_or_default()
    }

    /// Sessions that have no connection and wait to be resumed.
    pub fn hibernated(&self) -> usize {
        let hibernated =
            |seats: &Vec<Arc<Seat>>| seats.iter().filter(|seat| seat.hibernates_since().is_some()).count();
        self.accounts.iter().map(|seats| hibernated(&seats)).sum()
    }

    /// Those seats of an account that `chosen` picks; it sees them all.
    pub fn seats_where(
        &self,
        account: &BareJid,
        chosen: impl Fn(&[Arc<Seat>], &Seat) -> bool,
    ) -> Vec<Arc<Seat>> {
        let Some(seats) = self.accounts.get(account.as_str()) else { return Vec::new() };
        seats.iter().filter(|seat| chosen(&seats, seat)).cloned().collect()
    }

    /// All seats of all accounts, a copy.
    pub fn all_seats(&self) -> Vec<Arc<Seat>> {
        self.accounts.iter().flat_map(|seats| seats.clone()).collect()
    }

    /// The seat of the session bound to `jid`.
    pub fn seat(&self, jid: &FullJid) -> Option<Arc<Seat>> {
        self.accounts.get(bare(jid))?.iter().find(|seat| seat.jid() == jid).cloned()
    }

    /// Whether the account has a session bound to this resource.
    pub fn is_bound(&self, jid: &FullJid) -> bool {
        self.accounts.get(bare(jid)).is_some_and(|seats| seats.iter().any(|seat| seat.jid() == jid))
    }

    /// Whether the account is that of a guest who is here (XEP-0175).
    pub fn is_guest(&self, account: &BareJid) -> bool {
        self.guests.load(Relaxed) > 0
            && self
                .accounts
                .get(account.as_str())
                .is_some_and(|seats| seats.iter().any(|seat| seat.is_guest()))
    }

    /// Gives a parcel to the session bound to `jid`; false where there is none, or it takes nothing.
    pub fn deliver_to(&self, jid: &FullJid, parcel: &Arc<Parcel>) -> bool {
        self.deliver_to_one(bare(jid), parcel, |seat| seat.jid() == jid)
    }

    /// Puts a parcel for an account where nobody is any more behind what a session that ends has taken, if there is one:
    /// so both come back in order. Gives the seat of that session.
    pub fn deliver_behind(&self, account: &BareJid, parcel: &Arc<Parcel>) -> Option<Arc<Seat>> {
        let seats = self.accounts.get(account.as_str())?;
        let seat = seats.iter().find(|seat| seat.is_ending())?.clone();
        let taken = seat.deliver(parcel);
        // The way back reads the table.
        drop(seats);
        if seat.is_leaving() {
            seat.send_back();
        }
        taken.then_some(seat)
    }

    fn deliver_to_one(&self, account: &str, parcel: &Arc<Parcel>, chosen: impl Fn(&Seat) -> bool) -> bool {
        let Some(seats) = self.accounts.get(account) else { return false };
        let Some(seat) = seats.iter().find(|seat| chosen(seat)) else { return false };
        let taken = seat.deliver(parcel);
        if seat.is_leaving() {
            let seat = seat.clone();
            // The way back reads the table.
            drop(seats);
            seat.send_back();
        }
        taken
    }

    /// Gives what `make` makes to every session of the account that `chosen` picks, and makes it only if there is one.
    pub fn deliver_made(
        &self,
        account: &str,
        chosen: impl Fn(&Seat) -> bool,
        make: impl FnOnce() -> Arc<Parcel>,
    ) -> usize {
        let Some(seats) = self.accounts.get(account) else { return 0 };
        let mut chosen = seats.iter().filter(|seat| chosen(seat)).peekable();
        if chosen.peek().is_none() {
            return 0;
        }
        let parcel = make();
        chosen.filter(|seat| seat.deliver(&parcel)).count()
    }

    /// Gives a parcel to every session of the account that `chosen` picks; says how many took it.
    pub fn deliver_where(
        &self,
        account: &BareJid,
        parcel: &Arc<Parcel>,
        chosen: impl Fn(&[Arc<Seat>], &Seat) -> bool,
    ) -> usize {
        let Some(seats) = self.accounts.get(account.as_str()) else { return 0 };
        seats.iter().filter(|seat| chosen(&seats, seat) && seat.deliver(parcel)).count()
    }

    pub(crate) fn insert(&self, seat: Arc<Seat>) {
        // Before it is there: whoever finds the seat finds that there is a guest.
        self.guests.fetch_add(usize::from(seat.is_guest()), Relaxed);
        // Most accounts have one session, and a vector grows by four.
        self.accounts.entry(bare(seat.jid()).into()).or_insert_with(|| Vec::with_capacity(1)).push(seat);
        self.sessions.fetch_add(1, Relaxed);
    }

    /// Removes this very seat; one of another generation stays.
    pub(crate) fn remove(&self, seat: &Arc<Seat>) -> Removal {
        self.remove_if(seat, |_| true)
    }

    /// Removes this very seat if everything that came to it is back with its sender.
    pub(crate) fn vacate(&self, seat: &Arc<Seat>) -> Removal {
        self.remove_if(seat, Seat::close_if_empty)
    }

    fn remove_if(&self, seat: &Arc<Seat>, may_go: impl Fn(&Seat) -> bool) -> Removal {
        let account = bare(seat.jid());
        let Some(mut seats) = self.accounts.get_mut(account) else { return Removal::NotThere };
        let Some(index) = seats.iter().position(|other| other.generation() == seat.generation()) else {
            return Removal::NotThere;
        };
        if !may_go(seat) {
            return Removal::NotYet;
        }
        seats.swap_remove(index);
        let empty = seats.is_empty();
        drop(seats);
        self.sessions.fetch_sub(1, Relaxed);
        self.guests.fetch_sub(usize::from(seat.is_guest()), Relaxed);
        if empty {
            // The session manager alone inserts, and this is its thread.
            self.accounts.remove_if(account, |_, seats| seats.is_empty());
        }
        Removal::Done
    }

    /// Puts `new` where `old` is, under the row's lock: whoever sends finds the one or the other. What came to the old
    /// seat's spill until now goes to the new one, behind `queue`; what makes sense on one stream only does so where the
    /// session goes on.
    pub(crate) fn replace(
        &self,
        old: &Arc<Seat>,
        new: &Arc<Seat>,
        mut queue: std::collections::VecDeque<Arc<Parcel>>,
        goes_on: bool,
    ) -> bool {
        let Some(mut seats) = self.accounts.get_mut(bare(old.jid())) else { return false };
        let Some(index) = seats.iter().position(|other| other.generation() == old.generation()) else {
            return false;
        };
        queue.extend(old.close());
        queue.retain(|parcel| goes_on || !parcel.is_passing());
        new.preload(queue);
        seats[index] = new.clone();
        true
    }
}

/// The account of a session, as text.
pub(crate) fn bare(jid: &FullJid) -> &str {
    let text = jid.as_str();
    &text[..text.len() - jid.resource().as_str().len() - 1]
}
