//! What all clients of a run share: the server, what became of the messages, the story, the counts.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use rjabberd_testkit::{Faults, SaltedPassword};
use tokio::{sync::Semaphore, task::AbortHandle};

use crate::{
    ledger::{Id, Ledger, Wrong},
    options::Options,
    story::{Story, What},
};

/// Logins under way at one time.
const LOGINS_AT_ONCE: usize = 50;
/// How long after a kill connections may be broken, and refused.
const KILL_S: u64 = 20;
/// Offending messages that are kept.
const WRONGS_MAX: usize = 1000;

/// What the clients do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// They chat, and connections are cut.
    Playing,
    /// They say nothing new, and wait until all is acknowledged.
    Settling,
    /// They read their whole archive.
    Searching,
    /// They log out.
    Leaving,
}

/// How far one client is in the phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// It has a session, nothing to send again, and nothing that is not acknowledged.
    pub(crate) is_calm: bool,
    /// It has read its archive to the end.
    pub(crate) has_searched: bool,
}

/// The shared part.
pub(crate) struct World {
    pub(crate) server: SocketAddr,
    pub(crate) domain: String,
    pub(crate) password: String,
    pub(crate) pause_ms: u64,
    pub(crate) cut_ms: u64,
    pub(crate) logins: Semaphore,
    pub(crate) story: Story,
    /// Whether accounts have an archive.
    pub(crate) has_archive: Cell<bool>,
    pub(crate) phase: Cell<Phase>,
    killed: Cell<Option<Instant>>,
    standing: RefCell<Vec<Standing>>,
    salted: RefCell<Vec<Option<SaltedPassword>>>,
    ledger: RefCell<Ledger>,
    wrongs: RefCell<Vec<(Id, Wrong)>>,
    wrongs_total: RefCell<BTreeMap<&'static str, u64>>,
    counts: RefCell<BTreeMap<&'static str, u64>>,
    /// What did not go as it should.
    pub(crate) faults: Faults,
    /// Connections that nobody uses any more and that are still open.
    pub(crate) forsaken: RefCell<Vec<AbortHandle>>,
}

impl World {
    /// Nobody is online.
    pub(crate) fn new(server: SocketAddr, options: &Options) -> Rc<World> {
        let clients = usize::from(options.clients);
        Rc::new(World {
            server,
            domain: options.domain.clone(),
            password: options.password.clone(),
            pause_ms: options.pause_ms,
            cut_ms: options.cut_ms,
            logins: Semaphore::new(LOGINS_AT_ONCE),
            story: Story::new(options.clients),
            has_archive: Cell::new(false),
            phase: Cell::new(Phase::Playing),
            killed: Cell::new(None),
            standing: RefCell::new(vec![Standing::default(); clients]),
            salted: RefCell::new(vec![None; clients]),
            ledger: RefCell::new(Ledger::new(options.clients, options.forget_each)),
            wrongs: RefCell::default(),
            wrongs_total: RefCell::default(),
            counts: RefCell::default(),
            faults: Faults::default(),
            forsaken: RefCell::default(),
        })
    }

    /// The bare address of a client.
    pub(crate) fn bare_jid(&self, client: u16) -> String {
        format!("{}@{}", user(client), self.domain)
    }

    /// What is known of an account's key.
    pub(crate) fn salted(&self, account: u16) -> Option<SaltedPassword> {
        self.salted.borrow()[usize::from(account)].clone()
    }

    /// Keeps it for the next login.
    pub(crate) fn keep_salted(&self, account: u16, salted: Option<SaltedPassword>) {
        self.salted.borrow_mut()[usize::from(account)] = salted;
    }

    /// The server is being killed, or has just been started again.
    pub(crate) fn kills(&self) {
        self.killed.set(Some(Instant::now()));
    }

    /// Whether the server was killed a short while ago.
    pub(crate) fn was_killed_lately(&self) -> bool {
        self.killed.get().is_some_and(|at| at.elapsed() < Duration::from_secs(KILL_S))
    }

    /// Something happened to a client.
    pub(crate) fn tells(&self, client: u16, what: What) {
        self.story.note(client, what);
    }

    /// Changes the ledger; what it says is wrong is put down.
    pub(crate) fn notes(&self, id: Id, change: impl FnOnce(&mut Ledger) -> Option<Wrong>) {
        let wrong = change(&mut self.ledger.borrow_mut());
        if let Some(wrong) = wrong {
            self.is_wrong(id, wrong);
        }
    }

    /// Looks into the ledger, or changes it.
    pub(crate) fn ledger<T>(&self, look: impl FnOnce(&mut Ledger) -> T) -> T {
        look(&mut self.ledger.borrow_mut())
    }

    /// Puts down that something does not hold for a message.
    pub(crate) fn is_wrong(&self, id: Id, wrong: Wrong) {
        *self.wrongs_total.borrow_mut().entry(wrong.kind()).or_default() += 1;
        let mut wrongs = self.wrongs.borrow_mut();
        if wrongs.len() < WRONGS_MAX {
            wrongs.push((id, wrong));
        }
    }

    /// What does not hold, as it was found.
    pub(crate) fn wrongs(&self) -> Vec<(Id, Wrong)> {
        self.wrongs.borrow().clone()
    }

    /// How often what does not hold.
    pub(crate) fn wrongs_total(&self) -> BTreeMap<&'static str, u64> {
        self.wrongs_total.borrow().clone()
    }

    /// Counts something that was done.
    pub(crate) fn counts(&self, what: &'static str) {
        *self.counts.borrow_mut().entry(what).or_default() += 1;
    }

    /// What was done so far.
    pub(crate) fn counted(&self) -> BTreeMap<&'static str, u64> {
        self.counts.borrow().clone()
    }

    /// A client says how far it is.
    pub(crate) fn stands(&self, client: u16, standing: Standing) {
        self.standing.borrow_mut()[usize::from(client)] = standing;
    }

    /// Whether all clients are so far; those that are not.
    pub(crate) fn behind(&self, is_there: impl Fn(&Standing) -> bool) -> Vec<u16> {
        let standing = self.standing.borrow();
        let behind = standing.iter().enumerate().filter(|(_, standing)| !is_there(standing));
        behind.map(|(client, _)| client as u16).collect()
    }
}

/// The name of an account.
pub(crate) fn user(client: u16) -> String {
    format!("u{client}")
}
