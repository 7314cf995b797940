//! Sessions that change their presence: each its next one when all its contacts have had the last. Every delivery to a
//! contact is looked for; that a presence comes back to the one who said it is not counted.

use std::time::{Duration, Instant};

use memchr::memmem;

use crate::{
    contacts::{neighbours, sender},
    engine::{Engine, Event, Work},
    message::Label,
    talk::Limit,
    tally::{Errors, Latencies},
};

/// How long nothing may come, though something should, before what is under way is given up.
const STANDSTILL: Duration = Duration::from_secs(10);
const SHOWS: [&str; 4] = ["away", "chat", "dnd", "xa"];

#[derive(Debug)]
struct Sender {
    session: usize,
    /// Counts from 1.
    number: u32,
    /// Contacts that have not had it yet.
    left: usize,
    since: Instant,
    /// The number that each session has had last; `u32::MAX` for those that are no contacts.
    had: Vec<u32>,
}

/// The presences of one part of a phase.
#[derive(Debug)]
pub struct Broadcast {
    part: u8,
    contacts: usize,
    limit: Limit,
    senders: Vec<Sender>,
    began: Instant,
    /// Changes of presence.
    pub sent: u64,
    /// Deliveries to contacts, each counted once.
    pub delivered: u64,
    /// Deliveries that came a second time.
    pub duplicated: u64,
    /// Deliveries that have not come; when it is over, they are lost.
    pub flying: u64,
    /// When the last came.
    pub last: Instant,
    /// From saying it to each delivery.
    pub latencies: Latencies,
    /// Strays, lost sessions.
    pub errors: Errors,
}

impl Broadcast {
    /// So many senders, spread over a ring of sessions; `part` tells their presences from others'.
    pub fn new(part: u8, senders: usize, contacts: usize, sessions: usize, limit: Limit) -> Broadcast {
        let now = Instant::now();
        let senders = (0..senders).map(|number| {
            let session = sender(number, senders, sessions);
            let mut had = vec![u32::MAX; sessions];
            neighbours(session, contacts, sessions).for_each(|other| had[other] = 0);
            Sender { session, number: 0, left: 0, since: now, had }
        });
        Broadcast {
            part,
            contacts,
            limit,
            senders: senders.collect(),
            began: now,
            sent: 0,
            delivered: 0,
            duplicated: 0,
            flying: 0,
            last: now,
            latencies: Latencies::default(),
            errors: Errors::default(),
        }
    }

    /// When it began.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// The first presences.
    pub fn begin(&mut self, engine: &mut Engine) {
        self.began = Instant::now();
        self.last = self.began;
        (0..self.senders.len()).for_each(|index| self.send_next(engine, index));
    }

    fn send_next(&mut self, engine: &mut Engine, index: usize) {
        let sender = &mut self.senders[index];
        let goes_on = match self.limit {
            Limit::Messages(each) => sender.number < each,
            Limit::Time(time) => self.began.elapsed() < time,
        };
        if !goes_on {
            return;
        }
        sender.number += 1;
        (sender.left, sender.since) = (self.contacts, Instant::now());
        self.sent += 1;
        self.flying += self.contacts as u64;
        let (part, number) = (char::from(self.part), sender.number);
        let show = SHOWS[number as usize % SHOWS.len()];
        engine.send(sender.session, |out| {
            let presence =
                format!("<presence><show>{show}</show><status>{part}{index}.{number}</status></presence>");
            out.extend_from_slice(presence.as_bytes());
        });
    }

    fn take(&mut self, engine: &mut Engine, session: usize, presence: &[u8], now: Instant) {
        let Some(label) = label(presence).filter(|label| label.part == self.part) else { return };
        let index = label.talker;
        let Some(sender) = self.senders.get_mut(index) else { return };
        if session == sender.session {
            return;
        }
        let had = &mut sender.had[session];
        if *had == u32::MAX {
            return self.errors.count("a presence of somebody who is no contact".to_owned());
        }
        if label.number <= *had {
            self.duplicated += 1;
            return;
        }
        *had = label.number;
        sender.left -= 1;
        self.flying -= 1;
        self.delivered += 1;
        self.last = now;
        self.latencies.record(now.saturating_duration_since(sender.since));
        if sender.left == 0 {
            self.send_next(engine, index);
        }
    }
}

/// The label in a presence's status.
fn label(presence: &[u8]) -> Option<Label> {
    let start = memmem::find(presence, b"<status>")? + b"<status>".len();
    let length = memmem::find(&presence[start..], b"<")?;
    Label::parse(std::str::from_utf8(&presence[start..start + length]).ok()?)
}

impl Work for Broadcast {
    fn tend(&mut self, _: &mut Engine) {}

    /// Whether everything was said and came, or nothing more comes.
    fn is_over(&self) -> bool {
        let has_said_all = match self.limit {
            Limit::Messages(each) => self.sent >= u64::from(each) * self.senders.len() as u64,
            Limit::Time(time) => self.began.elapsed() >= time,
        };
        match self.flying {
            0 => has_said_all,
            _ => self.last.elapsed() > STANDSTILL,
        }
    }

    fn operations(&self) -> u64 {
        self.delivered
    }

    fn on(&mut self, engine: &mut Engine, index: usize, event: Event<'_>, now: Instant) {
        match event {
            Event::Stanza(element) if element.starts_with(b"<p") => self.take(engine, index, element, now),
            Event::Failed(fault) => self.errors.count(format!("session lost: {fault}")),
            Event::Stanza(_) | Event::LoggedIn { .. } | Event::Closed => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::Target,
        login::{Account, Mechanism},
    };

    /// One sender among five sessions that are not connected, with its two neighbours as contacts.
    fn broadcast() -> (Engine, Broadcast) {
        let account = Account {
            prefix: "u".to_owned(),
            first: 0,
            domain: "localhost".to_owned(),
            resource: "load".to_owned(),
            password: String::new(),
            mechanism: Mechanism::Plain,
            starttls: false,
            managed: false,
        };
        let target = Target { address: ([127, 0, 0, 1], 1).into(), sources: Vec::new(), account, tls: None };
        let mut engine = Engine::new(target, 5).unwrap();
        let mut broadcast = Broadcast::new(b'p', 1, 2, 5, Limit::Messages(2));
        broadcast.begin(&mut engine);
        (engine, broadcast)
    }

    fn comes(engine: &mut Engine, broadcast: &mut Broadcast, session: usize, status: &str) {
        let presence = format!("<presence from='x'><show>away</show><status>{status}</status></presence>");
        broadcast.on(engine, session, Event::Stanza(presence.as_bytes()), Instant::now());
    }

    #[test]
    fn the_next_presence_is_said_when_all_contacts_have_had_the_last() {
        let (mut engine, mut broadcast) = broadcast();
        for number in 1..=2 {
            assert_eq!((broadcast.sent, broadcast.flying), (number, 2));
            for session in [0, 1, 4] {
                assert!(!broadcast.is_over());
                comes(&mut engine, &mut broadcast, session, &format!("p0.{number}"));
            }
        }
        assert!(broadcast.is_over());
        assert_eq!((broadcast.sent, broadcast.delivered, broadcast.errors.total()), (2, 4, 0));
    }

    #[test]
    fn doubles_and_strays_are_counted_and_other_presences_are_not() {
        let (mut engine, mut broadcast) = broadcast();
        for status in ["p0.1", "p0.1", "w0.1", "p7.1", "hello"] {
            comes(&mut engine, &mut broadcast, 1, status);
        }
        comes(&mut engine, &mut broadcast, 2, "p0.1");
        assert_eq!((broadcast.delivered, broadcast.duplicated), (1, 1));
        assert_eq!(broadcast.errors.worst(), Some("a presence of somebody who is no contact"));
    }
}
