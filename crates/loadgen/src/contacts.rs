//! Makes sessions each other's contacts, by the protocol: who has the lower number asks, the other lets it see and asks
//! back (RFC 6121, 3.1), a few at a time. Pairs that have each other already are left alone; at the end every roster is
//! fetched once more and looked at.

use std::{
    collections::{BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use crate::{
    element::{Tag, child, children, condition, escape},
    engine::{Engine, Event, Work},
    tally::Errors,
};

/// Subscriptions that one session has asked for and not been granted.
const OPEN_MAX: usize = 4;
/// The same of all sessions: a server may refuse what piles up.
const OPEN_IN_ALL_MAX: usize = 256;
/// How long nothing may come before what is open is given up.
const STANDSTILL: Duration = Duration::from_secs(30);

/// Who has whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// All stand in a ring, and each has this many of its neighbours, half of them on each side.
    Ring(usize),
    /// As in the ring, but only pairs with a sender in them; so many senders are spread over the ring.
    Spokes {
        /// Contacts of each sender.
        contacts: usize,
        /// The senders.
        senders: usize,
    },
    /// Each of the first half has this many of the second half.
    Halves(usize),
}

impl Layout {
    /// Why it cannot be, if it cannot, among so many.
    pub fn fault(self, sessions: usize) -> Option<&'static str> {
        match self {
            Layout::Ring(contacts) | Layout::Spokes { contacts, .. } if contacts >= sessions => {
                Some("there must be more sessions than contacts")
            }
            Layout::Ring(contacts) | Layout::Spokes { contacts, .. } if !contacts.is_multiple_of(2) => {
                Some("--contacts must be even")
            }
            Layout::Halves(contacts) if contacts > sessions / 2 => {
                Some("there must be twice as many sessions as contacts")
            }
            _ => None,
        }
    }

    /// All pairs, the lower number first.
    pub fn pairs(self, sessions: usize) -> BTreeSet<(usize, usize)> {
        let sorted = |one: usize, other: usize| (one.min(other), one.max(other));
        match self {
            Layout::Ring(contacts) => (0..sessions)
                .flat_map(|one| (1..=contacts / 2).map(move |step| sorted(one, (one + step) % sessions)))
                .collect(),
            Layout::Spokes { contacts, senders } => (0..senders)
                .map(|number| sender(number, senders, sessions))
                .flat_map(|one| neighbours(one, contacts, sessions).map(move |other| sorted(one, other)))
                .collect(),
            Layout::Halves(contacts) => {
                let half = sessions / 2;
                (0..half)
                    .flat_map(|one| (0..contacts).map(move |step| (one, half + (one + step) % half)))
                    .collect()
            }
        }
    }
}

/// The session that is sender `number` of so many.
pub fn sender(number: usize, senders: usize, sessions: usize) -> usize {
    number * (sessions / senders)
}

/// Those who have a session in the ring.
pub fn neighbours(one: usize, contacts: usize, sessions: usize) -> impl Iterator<Item = usize> {
    let after = (1..=contacts / 2).map(move |step| (one + step) % sessions);
    let before = (1..=contacts / 2).map(move |step| (one + sessions - step) % sessions);
    after.chain(before)
}

#[derive(Debug, Default)]
struct Asker {
    /// Whom it has yet to ask.
    to_ask: Vec<usize>,
    /// Asked, and not yet both ways.
    open: usize,
    /// All contacts that it is to have.
    wanted: BTreeSet<usize>,
}

/// The work.
#[derive(Debug)]
pub struct Befriend {
    sessions: Vec<Asker>,
    /// Directions that are granted, and that are to be.
    granted: u64,
    to_grant: u64,
    /// Rosters that are waited for.
    rosters: usize,
    open: usize,
    /// Sessions that may have somebody to ask and wait for others.
    waiting: VecDeque<usize>,
    is_checking: bool,
    last: Instant,
    /// Pairs that were made, the others having been there.
    pub made: u64,
    /// What went wrong.
    pub errors: Errors,
}

impl Befriend {
    /// Nothing is asked yet; every session is logged in.
    pub fn new(layout: Layout, sessions: usize) -> Befriend {
        let mut askers: Vec<Asker> = (0..sessions).map(|_| Asker::default()).collect();
        for (one, other) in layout.pairs(sessions) {
            askers[one].to_ask.push(other);
            askers[one].wanted.insert(other);
            askers[other].wanted.insert(one);
        }
        Befriend {
            sessions: askers,
            granted: 0,
            to_grant: 0,
            rosters: 0,
            open: 0,
            waiting: VecDeque::new(),
            is_checking: false,
            last: Instant::now(),
            made: 0,
            errors: Errors::default(),
        }
    }

    /// Asks everybody for the contacts that are there.
    pub fn begin(&mut self, engine: &mut Engine) {
        self.last = Instant::now();
        self.ask_rosters(engine);
    }

    fn ask_rosters(&mut self, engine: &mut Engine) {
        self.rosters = self.sessions.len();
        for index in 0..self.sessions.len() {
            engine.send(index, |out| {
                out.extend_from_slice(b"<iq type='get' id='contacts'><query xmlns='jabber:iq:roster'/></iq>");
            });
        }
    }

    fn takes_roster(&mut self, engine: &mut Engine, index: usize, iq: &[u8]) {
        let items = child(iq, "query").map(children).unwrap_or_default();
        let has: BTreeSet<usize> = items.into_iter().filter_map(|item| contact(engine, item)).collect();
        self.rosters -= 1;
        if self.is_checking {
            if !self.sessions[index].wanted.is_subset(&has) {
                self.errors.count("a roster without a contact that was granted".to_owned());
            }
            return;
        }
        let to_ask = &mut self.sessions[index].to_ask;
        to_ask.retain(|other| !has.contains(other));
        self.made += to_ask.len() as u64;
        self.to_grant += 2 * to_ask.len() as u64;
        if self.rosters == 0 {
            self.waiting = (0..self.sessions.len()).collect();
            self.ask_some(engine);
        }
    }

    /// Each session in turn asks one, as long as there may be more that are open.
    fn ask_some(&mut self, engine: &mut Engine) {
        while self.open < OPEN_IN_ALL_MAX
            && let Some(index) = self.waiting.pop_front()
        {
            let session = &mut self.sessions[index];
            if session.open < OPEN_MAX
                && let Some(other) = session.to_ask.pop()
            {
                session.open += 1;
                self.open += 1;
                self.waiting.push_back(index);
                say(engine, index, "subscribe", other);
            }
        }
    }

    fn takes_presence(&mut self, engine: &mut Engine, index: usize, presence: &[u8]) {
        let Some(tag) = Tag::first(presence) else { return };
        let kind = tag.attribute("type");
        let from = tag.attribute("from").and_then(|from| number(engine, &from));
        match (kind.as_deref(), from) {
            (Some("subscribe"), Some(from)) => {
                say(engine, index, "subscribed", from);
                if from < index {
                    say(engine, index, "subscribe", from);
                } else {
                    self.sessions[index].open = self.sessions[index].open.saturating_sub(1);
                    self.open = self.open.saturating_sub(1);
                    self.waiting.push_back(index);
                    self.ask_some(engine);
                }
            }
            (Some("subscribed"), Some(_)) => self.granted += 1,
            (Some("error"), _) => {
                let error = child(presence, "error").map_or_else(|| "?".to_owned(), condition);
                self.errors.count(format!("subscription refused: {error}"));
            }
            (Some("unsubscribed"), _) => self.errors.count("subscription declined".to_owned()),
            _ => return,
        }
        self.last = Instant::now();
    }
}

/// The session whose account this is.
fn number(engine: &Engine, jid: &str) -> Option<usize> {
    let account = engine.account();
    let number: usize = jid.split('@').next()?.strip_prefix(account.prefix.as_str())?.parse().ok()?;
    number.checked_sub(account.first)
}

/// The session that an entry of a roster is about, if both see each other.
fn contact(engine: &Engine, item: &[u8]) -> Option<usize> {
    let tag = Tag::first(item)?;
    tag.attribute("subscription").filter(|subscription| subscription == "both")?;
    number(engine, &tag.attribute("jid")?)
}

fn say(engine: &mut Engine, index: usize, kind: &str, other: usize) {
    let to = format!("{}@{}", engine.account().user(other), engine.account().domain);
    engine.send(index, |out| {
        out.extend_from_slice(format!("<presence type='{kind}' to='").as_bytes());
        escape(&to, out);
        out.extend_from_slice(b"'/>");
    });
}

impl Work for Befriend {
    fn tend(&mut self, engine: &mut Engine) {
        if !self.is_checking && self.rosters == 0 && self.granted >= self.to_grant {
            self.is_checking = true;
            self.ask_rosters(engine);
        }
    }

    /// Whether all have their contacts, and their rosters say so; or nothing more comes.
    fn is_over(&self) -> bool {
        (self.is_checking && self.rosters == 0) || self.last.elapsed() > STANDSTILL
    }

    fn operations(&self) -> u64 {
        self.granted / 2
    }

    fn on(&mut self, engine: &mut Engine, index: usize, event: Event<'_>, _: Instant) {
        match event {
            Event::Stanza(element) if element.starts_with(b"<p") => {
                self.takes_presence(engine, index, element)
            }
            Event::Stanza(element) if element.starts_with(b"<iq") => {
                if Tag::first(element).and_then(|tag| tag.attribute("id")).is_some_and(|id| id == "contacts")
                {
                    self.last = Instant::now();
                    self.takes_roster(engine, index, element);
                }
            }
            Event::Failed(fault) => self.errors.count(format!("session lost: {fault}")),
            Event::Stanza(_) | Event::LoggedIn { .. } | Event::Closed => {}
        }
    }
}

impl Befriend {
    /// Puts down what is missing at the end.
    pub fn count_missing(&mut self) {
        if !(self.is_checking && self.rosters == 0) {
            let missing = (self.to_grant - self.granted.min(self.to_grant)).div_ceil(2);
            self.errors.count(format!("{missing} pairs of contacts were not made"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_ring_all_have_as_many_contacts() {
        let pairs = Layout::Ring(4).pairs(9);
        assert_eq!(pairs.len(), 9 * 4 / 2);
        for one in 0..9 {
            let of: BTreeSet<_> = neighbours(one, 4, 9).collect();
            assert_eq!(of.len(), 4);
            assert!(of.iter().all(|other| pairs.contains(&(one.min(*other), one.max(*other)))));
        }
    }

    #[test]
    fn spokes_leave_out_what_no_sender_has() {
        let pairs = Layout::Spokes { contacts: 4, senders: 2 }.pairs(20);
        assert_eq!(pairs.len(), 8);
        assert!(pairs.contains(&(8, 10)) && pairs.contains(&(0, 19)));
    }

    #[test]
    fn halves_have_nobody_of_their_own_half() {
        let pairs = Layout::Halves(3).pairs(10);
        assert_eq!(pairs.len(), 15);
        assert!(pairs.iter().all(|(one, other)| *one < 5 && *other >= 5));
    }

    #[test]
    fn what_cannot_be_laid_out_is_told() {
        assert!(Layout::Ring(50).fault(50).is_some() && Layout::Ring(3).fault(50).is_some());
        assert!(Layout::Halves(26).fault(50).is_some());
        assert_eq!(Layout::Ring(50).fault(51), None);
    }
}
