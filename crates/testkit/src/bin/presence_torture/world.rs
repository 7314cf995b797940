//! What all clients of a run share: the server, the graph, the truth about who is online, and the counts.
//!
//! The truth is the clients' own record of what they did. It knows nothing of what the server said.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    rc::Rc,
};

use rjabberd_testkit::{Faults, SaltedPassword};
use tokio::sync::Semaphore;

use crate::{
    graph::Graph,
    link::Link,
    options::Options,
    shown::{Address, RESOURCES, Shown},
    view::{Heard, View},
};

/// Logins under way at one time.
const LOGINS_AT_ONCE: usize = 50;

/// Deeds that are remembered of each address.
const DEEDS_MAX: usize = 5;

/// What the clients did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) logins: u64,
    pub(crate) takeovers: u64,
    pub(crate) conflicts: u64,
    pub(crate) cuts: u64,
    pub(crate) resets: u64,
    pub(crate) clean_ends: u64,
    pub(crate) changes: u64,
    pub(crate) returns: u64,
    pub(crate) revoked: u64,
    pub(crate) granted: u64,
}

/// The shared part.
pub(crate) struct World {
    pub(crate) server: SocketAddr,
    pub(crate) domain: String,
    pub(crate) password: String,
    pub(crate) accounts: u16,
    pub(crate) graph: Graph,
    /// Every how many unavailable presences a client leaves one out of its record.
    pub(crate) forgets_each: u64,
    /// Whether who sees may end a subscription too, not only who is seen.
    pub(crate) unsubscribes: bool,
    /// Whether who has taken a resource over may say nothing.
    pub(crate) silent_takeovers: bool,
    pub(crate) logins: Semaphore,
    salted: RefCell<Vec<Option<SaltedPassword>>>,
    /// Who is available, and what it said last.
    truth: RefCell<Vec<Option<Shown>>>,
    /// Who does not let whom see it: (who sees, whom), of contacts.
    revoked: RefCell<BTreeSet<(u16, u16)>>,
    counts: Cell<Counts>,
    heard: RefCell<Heard>,
    /// What did not go as it should.
    pub(crate) faults: Faults,
    status: Cell<u32>,
    /// What each address did last, to explain a difference.
    deeds: RefCell<BTreeMap<Address, VecDeque<String>>>,
}

impl World {
    /// Nobody is online.
    pub(crate) fn new(server: SocketAddr, options: &Options, graph: Graph) -> Rc<World> {
        let accounts = options.accounts;
        Rc::new(World {
            server,
            domain: options.domain.clone(),
            password: options.password.clone(),
            accounts,
            graph,
            forgets_each: options.forget_each,
            unsubscribes: options.unsubscribe,
            silent_takeovers: options.silent_takeovers,
            logins: Semaphore::new(LOGINS_AT_ONCE),
            salted: RefCell::new(vec![None; usize::from(accounts)]),
            truth: RefCell::new(vec![None; usize::from(accounts) * RESOURCES as usize]),
            revoked: RefCell::default(),
            counts: Cell::default(),
            heard: RefCell::default(),
            faults: Faults::default(),
            status: Cell::new(0),
            deeds: RefCell::default(),
        })
    }

    /// What is known of an account's key.
    pub(crate) fn salted(&self, account: u16) -> Option<SaltedPassword> {
        self.salted.borrow()[usize::from(account)].clone()
    }

    /// Keeps it for the next login.
    pub(crate) fn keep_salted(&self, account: u16, salted: Option<SaltedPassword>) {
        self.salted.borrow_mut()[usize::from(account)] = salted;
    }

    /// Counts something that was done.
    pub(crate) fn count(&self, add: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.get();
        add(&mut counts);
        self.counts.set(counts);
    }

    /// What was done so far.
    pub(crate) fn counts(&self) -> Counts {
        self.counts.get()
    }

    /// Counts something that was heard.
    pub(crate) fn hears(&self, add: impl FnOnce(&mut Heard)) {
        add(&mut self.heard.borrow_mut());
    }

    /// What was heard so far.
    pub(crate) fn heard(&self) -> Heard {
        self.heard.borrow().clone()
    }

    /// Remembers what an address is about to do; what it says has a status above the one that this notes.
    pub(crate) fn does(&self, address: Address, deed: &str) {
        let mut deeds = self.deeds.borrow_mut();
        let deeds = deeds.entry(address).or_default();
        deeds.push_back(format!("after status {} {deed}", self.status.get()));
        if deeds.len() > DEEDS_MAX {
            deeds.pop_front();
        }
    }

    /// What an address did last.
    pub(crate) fn deeds(&self, of: Address) -> String {
        let deeds = self.deeds.borrow();
        deeds
            .get(&of)
            .map_or_else(String::new, |deeds| Vec::from_iter(deeds.iter().map(String::as_str)).join(", "))
    }

    /// A status that no presence has had.
    pub(crate) fn new_status(&self) -> u32 {
        self.status.set(self.status.get() + 1);
        self.status.get()
    }

    /// Puts down what an address shows from now on; `None` if it is not available.
    pub(crate) fn shows(&self, address: Address, shown: Option<Shown>) {
        self.truth.borrow_mut()[address.index()] = shown;
    }

    /// What an address shows.
    pub(crate) fn shown(&self, address: Address) -> Option<Shown> {
        self.truth.borrow()[address.index()]
    }

    /// How many are available.
    pub(crate) fn available(&self) -> usize {
        self.truth.borrow().iter().flatten().count()
    }

    /// Puts down whether one contact may see another.
    pub(crate) fn may_see(&self, who: u16, whom: u16, may: bool) {
        let mut revoked = self.revoked.borrow_mut();
        if may {
            revoked.remove(&(who, whom))
        } else {
            revoked.insert((who, whom))
        };
    }

    /// Whether an account is to see another, itself included.
    pub(crate) fn sees(&self, who: u16, whom: u16) -> bool {
        who == whom || (self.graph.has(who, whom) && !self.revoked.borrow().contains(&(who, whom)))
    }

    /// The subscription that a roster has for a contact (RFC 6121, 2.1.2.5).
    pub(crate) fn subscription(&self, of: u16, contact: u16) -> &'static str {
        match (self.sees(of, contact), self.sees(contact, of)) {
            (true, true) => "both",
            (true, false) => "to",
            (false, true) => "from",
            (false, false) => "none",
        }
    }

    /// Every address of all accounts that an account is to see if it is available.
    fn to_see(&self, who: u16) -> impl Iterator<Item = Address> + '_ {
        let whom = self.graph.contacts(who).chain([who]).filter(move |whom| self.sees(who, *whom));
        whom.flat_map(|whom| (0..RESOURCES).map(move |resource| Address::new(whom, resource)))
    }

    /// How a view differs from the truth. Whether its own presence came back to it is another question: if it did, it
    /// must be right.
    pub(crate) fn differences(&self, of: Address, view: &View) -> Vec<Difference> {
        let mut found = Vec::new();
        let mut left = view.seen.clone();
        for whom in self.to_see(of.account()) {
            let difference = match (self.shown(whom), left.remove(&whom)) {
                (None, Some(seen)) => Difference::Ghost(of, whom, seen.status),
                (Some(_), None) if whom == of => Difference::NotReflected(of),
                (Some(_), None) => Difference::Missing(of, whom),
                (Some(truth), Some(seen)) if truth != seen => {
                    Difference::Stale(of, whom, seen.status, truth.status)
                }
                _ => continue,
            };
            found.push(difference);
        }
        found.extend(left.into_keys().map(|whom| Difference::Stranger(of, whom)));
        found
    }

    /// How rosters differ from the truth: as fetched, and as pushes have made it.
    pub(crate) fn roster_differences(&self, of: Address, view: &View) -> Vec<Difference> {
        let mut found = Vec::new();
        let empty = BTreeMap::new();
        for roster in [view.fetched.as_ref().unwrap_or(&empty), view.roster.as_ref().unwrap_or(&empty)] {
            for contact in self.graph.contacts(of.account()) {
                let truth = self.subscription(of.account(), contact);
                let has = roster.get(&contact).map_or("no entry", |(subscription, _)| subscription.as_str());
                if has != truth {
                    found.push(Difference::Roster(of, contact, has.to_owned(), truth));
                }
            }
            let others = roster.keys().filter(|other| !self.graph.has(of.account(), **other));
            found.extend(
                others.map(|other| Difference::Roster(of, *other, "an entry".to_owned(), "no entry")),
            );
        }
        found
    }
}

/// Something that a client believes and that is not so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Difference {
    /// It sees somebody who is not there, with this status.
    Ghost(Address, Address, u32),
    /// It does not see somebody who is there.
    Missing(Address, Address),
    /// It sees somebody with an old presence: its status and the true one.
    Stale(Address, Address, u32, u32),
    /// It sees somebody who does not let it, or of whom it never heard.
    Stranger(Address, Address),
    /// Its own presence did not come back to it (RFC 6121, 4.2.2).
    NotReflected(Address),
    /// An entry of the roster.
    Roster(Address, u16, String, &'static str),
}

impl Difference {
    /// Whose presence it is about, or whose contact.
    pub(crate) fn whom(&self) -> Address {
        match self {
            Difference::Ghost(_, whom, _)
            | Difference::Missing(_, whom)
            | Difference::Stale(_, whom, ..)
            | Difference::Stranger(_, whom)
            | Difference::NotReflected(whom) => *whom,
            Difference::Roster(_, contact, ..) => Address::new(*contact, 0),
        }
    }

    /// In one word, to count by.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Difference::Ghost(..) => "ghosts",
            Difference::Missing(..) => "missing",
            Difference::Stale(..) => "stale",
            Difference::Stranger(..) => "strangers",
            Difference::NotReflected(..) => "not_reflected",
            Difference::Roster(..) => "roster",
        }
    }
}

/// A client that is connected at the end, and its address.
pub(crate) type Connected = (Address, Link);

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    /// Three accounts that all have each other, of which 1 is online and 2 has revoked what 0 may see.
    fn world() -> Rc<World> {
        let graph = Graph::regular(3, 2, &mut StdRng::seed_from_u64(1));
        let options =
            Options::read(["--accounts", "3", "--contacts", "2"].map(str::to_owned).into_iter()).unwrap();
        let world = World::new(([127, 0, 0, 1], 1).into(), &options, graph);
        world.shows(Address::new(1, 0), Some(Shown { show: 0, status: 7, priority: 0 }));
        world.shows(Address::new(2, 0), Some(Shown { show: 0, status: 8, priority: 0 }));
        world.may_see(0, 2, false);
        world
    }

    #[track_caller]
    fn check(seen: &[(u16, u32)], kinds: &[&str]) {
        let mut view = View::new(Address::new(0, 0), 0);
        for (account, status) in seen {
            view.seen.insert(Address::new(*account, 0), Shown { show: 0, status: *status, priority: 0 });
        }
        let found = world().differences(Address::new(0, 0), &view);
        assert_eq!(found.iter().map(Difference::kind).collect::<Vec<_>>(), kinds, "{found:?}");
    }

    #[test]
    fn a_view_is_compared_with_the_truth() {
        check(&[(1, 7)], &[]);
        check(&[], &["missing"]);
        check(&[(1, 6)], &["stale"]);
        check(&[(1, 7), (2, 8)], &["strangers"]);
        check(&[(1, 7), (0, 9)], &["ghosts"]);
    }

    #[test]
    fn a_subscription_is_named_by_both_directions() {
        let world = world();
        assert_eq!(
            (world.subscription(0, 1), world.subscription(0, 2), world.subscription(2, 0)),
            ("both", "from", "to")
        );
    }
}
