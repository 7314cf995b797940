//! Sessions in pairs that send each other messages: each with so many under way (closed loop), or all together so many a
//! second (open loop). Every message is looked for: lost, doubled and disordered ones are counted.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{
    element::{Tag, child, condition},
    engine::{Engine, Event, Work},
    message::{Composer, Label},
    tally::{Errors, Latencies},
    timer::Timer,
};

/// When talkers send.
#[derive(Clone, Copy, Debug)]
pub enum Pattern {
    /// Each has this many under way, and sends the next when its partner has one.
    Window(u32),
    /// A talker's turn comes by the clock: see [`Schedule`].
    Clock(Schedule),
}

/// When they stop.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// After this many by each.
    Messages(u32),
    /// After this time.
    Time(Duration),
}

/// When each message of an open loop is due: message `k` at `k / rate`, whatever has become of those before.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    per_s: f64,
    begun: u64,
}

impl Schedule {
    /// So many a second.
    pub fn new(per_s: f64) -> Schedule {
        Schedule { per_s, begun: 0 }
    }

    /// When, since the start, the next message is due.
    pub fn due(&self) -> Duration {
        Duration::from_secs_f64(self.begun as f64 / self.per_s)
    }

    /// The due time, since the start, of the next message if it is due by now; each is told once. `end` is when the last
    /// may be due.
    pub fn next_due(&mut self, now: Duration, end: Duration) -> Option<(u64, Duration)> {
        let due = self.due();
        if due > now || due >= end {
            return None;
        }
        self.begun += 1;
        Some((self.begun - 1, due))
    }
}

/// How long nothing may come, though something should, before what is under way is given up.
const STANDSTILL: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Talker {
    to: Box<str>,
    next: u32,
    /// Numbers that were sent and not yet received, and from when their latency counts.
    flying: VecDeque<(u32, Instant)>,
}

/// The talk of one part of a phase.
#[derive(Debug)]
pub struct Talk {
    part: u8,
    pattern: Pattern,
    limit: Limit,
    composer: Composer,
    timer: Option<Timer>,
    talkers: Vec<Talker>,
    began: Instant,
    /// Messages sent.
    pub sent: u64,
    /// Messages that came, each counted once.
    pub received: u64,
    /// Messages that came a second time.
    pub duplicated: u64,
    /// Messages that came after a later one.
    pub disordered: u64,
    /// Messages that were sent and have not come; when the talk is over, they are lost.
    pub flying: u64,
    /// When the last came.
    pub last: Instant,
    /// From sending, or from when it was due.
    pub latencies: Latencies,
    /// Bounces, strays, lost sessions.
    pub errors: Errors,
    /// Bytes of all messages as they were sent.
    pub sent_bytes: u64,
}

impl Talk {
    /// Talk among the first `talkers` sessions, an even number; `part` tells its messages from others'.
    pub fn new(
        engine: &Engine,
        part: u8,
        talkers: usize,
        pattern: Pattern,
        limit: Limit,
        composer: Composer,
    ) -> Talk {
        let talkers = (0..talkers)
            .map(|index| Talker {
                to: engine.jid(index ^ 1).into_boxed_str(),
                next: 0,
                flying: VecDeque::new(),
            })
            .collect();
        let now = Instant::now();
        Talk {
            part,
            pattern,
            limit,
            composer,
            timer: None,
            talkers,
            began: now,
            sent: 0,
            received: 0,
            duplicated: 0,
            disordered: 0,
            flying: 0,
            last: now,
            latencies: Latencies::default(),
            errors: Errors::default(),
            sent_bytes: 0,
        }
    }

    /// What wakes the engine when a message is due by the clock.
    pub fn set_timer(&mut self, timer: Timer) {
        self.timer = Some(timer);
    }

    /// When it began.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// The first messages.
    pub fn begin(&mut self, engine: &mut Engine) {
        self.began = Instant::now();
        self.last = self.began;
        if let Pattern::Window(window) = self.pattern {
            for index in 0..self.talkers.len() {
                (0..window).for_each(|_| self.send_next(engine, index));
            }
        }
    }

    /// Sends what is due by the clock, and sets the timer for the next.
    fn send_due(&mut self, engine: &mut Engine) {
        let (Pattern::Clock(schedule), Limit::Time(time)) = (&self.pattern, self.limit) else { return };
        let mut schedule = *schedule;
        let before = schedule.begun;
        while let Some((number, due)) = schedule.next_due(self.began.elapsed(), time) {
            let index = (number % self.talkers.len() as u64) as usize;
            self.send(engine, index, self.began + due);
        }
        if schedule.begun != before
            && let Some(timer) = &self.timer
        {
            timer.arm(schedule.due().saturating_sub(self.began.elapsed()));
        }
        self.pattern = Pattern::Clock(schedule);
    }

    fn has_sent_all(&self) -> bool {
        match self.limit {
            Limit::Messages(each) => self.sent >= u64::from(each) * self.talkers.len() as u64,
            Limit::Time(time) => self.began.elapsed() >= time,
        }
    }

    /// The next one of a closed loop, unless its limit is reached.
    fn send_next(&mut self, engine: &mut Engine, index: usize) {
        let goes_on = match self.limit {
            Limit::Messages(each) => self.talkers[index].next < each,
            Limit::Time(time) => self.began.elapsed() < time,
        };
        if goes_on {
            self.send(engine, index, Instant::now());
        }
    }

    fn send(&mut self, engine: &mut Engine, index: usize, from: Instant) {
        let talker = &mut self.talkers[index];
        let label = Label { part: self.part, talker: index, number: talker.next };
        talker.next += 1;
        talker.flying.push_back((label.number, from));
        self.sent += 1;
        self.flying += 1;
        let (composer, sent_bytes) = (&mut self.composer, &mut self.sent_bytes);
        engine.send(index, |out| {
            let before = out.len();
            composer.write(label, &talker.to, out);
            *sent_bytes += (out.len() - before) as u64;
        });
    }

    fn take(&mut self, engine: &mut Engine, index: usize, element: &[u8], now: Instant) {
        let Some(tag) = Tag::first(element).filter(|tag| tag.name == "message") else { return };
        let label = tag.attribute("id").and_then(|id| Label::parse(&id));
        let Some(label) = label.filter(|label| label.talker < self.talkers.len()) else { return };
        if label.part != self.part {
            return self.errors.count("a message of another part of the run".to_owned());
        }
        let is_bounce = tag.attribute("type").is_some_and(|kind| kind == "error");
        if index != if is_bounce { label.talker } else { label.talker ^ 1 } {
            return self.errors.count("a message for somebody else".to_owned());
        }
        let talker = &mut self.talkers[label.talker];
        match talker.flying.iter().position(|(number, _)| *number == label.number) {
            None if label.number < talker.next => self.duplicated += 1,
            None => self.errors.count("a message that nobody sent".to_owned()),
            Some(position) => {
                let (_, from) = talker.flying.remove(position).expect("the position was just found");
                self.flying -= 1;
                self.last = now;
                if is_bounce {
                    let error = child(element, "error").map_or_else(|| "?".to_owned(), condition);
                    self.errors.count(format!("bounced: {error}"));
                } else {
                    self.received += 1;
                    self.disordered += u64::from(position > 0);
                    self.latencies.record(now.saturating_duration_since(from));
                }
                if matches!(self.pattern, Pattern::Window(_)) {
                    self.send_next(engine, label.talker);
                }
            }
        }
    }
}

impl Work for Talk {
    fn tend(&mut self, engine: &mut Engine) {
        self.send_due(engine);
    }

    /// Whether everything was sent and came, or nothing more comes.
    fn is_over(&self) -> bool {
        match self.flying {
            0 => self.has_sent_all(),
            _ => self.last.elapsed() > STANDSTILL && self.began.elapsed() > STANDSTILL,
        }
    }

    fn operations(&self) -> u64 {
        self.received
    }

    fn on(&mut self, engine: &mut Engine, index: usize, event: Event<'_>, now: Instant) {
        match event {
            Event::Stanza(element) => self.take(engine, index, element, now),
            Event::Failed(fault) => self.errors.count(format!("session lost: {fault}")),
            Event::LoggedIn { .. } | Event::Closed => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::Target,
        login::{Account, Mechanism},
        message::Size,
    };

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn what_is_due_while_nobody_looked_is_told_with_its_own_time() {
        let mut schedule = Schedule::new(1000.0);
        assert_eq!(schedule.next_due(ms(0), ms(10)), Some((0, ms(0))));
        assert_eq!(schedule.next_due(ms(0), ms(10)), None);
        // A stall until 5 ms: each that fell due meanwhile counts from when it should have gone out.
        let due: Vec<_> = std::iter::from_fn(|| schedule.next_due(ms(5), ms(10))).collect();
        assert_eq!(due, (1..=5).map(|number| (number, ms(number))).collect::<Vec<_>>());
        let rest: Vec<_> = std::iter::from_fn(|| schedule.next_due(ms(99), ms(10))).collect();
        assert_eq!(rest.len(), 4, "none is due at the end or after it");
    }

    #[test]
    fn the_total_of_a_schedule_is_rate_times_time() {
        let mut schedule = Schedule::new(333.0);
        let end = Duration::from_secs(3);
        assert_eq!(std::iter::from_fn(|| schedule.next_due(end, end)).count(), 999);
    }

    /// A talk between two sessions that are not connected: what would be sent goes nowhere.
    fn talk(window: u32) -> (Engine, Talk) {
        let target = Target {
            address: ([127, 0, 0, 1], 1).into(),
            sources: Vec::new(),
            account: Account {
                prefix: "u".to_owned(),
                first: 0,
                domain: "localhost".to_owned(),
                resource: "load".to_owned(),
                password: String::new(),
                mechanism: Mechanism::Plain,
                starttls: false,
                managed: false,
            },
            tls: None,
        };
        let mut engine = Engine::new(target, 2).unwrap();
        let composer = Composer::new(Size::Body(1));
        let mut talk = Talk::new(&engine, b't', 2, Pattern::Window(window), Limit::Messages(3), composer);
        talk.begin(&mut engine);
        (engine, talk)
    }

    fn comes(engine: &mut Engine, talk: &mut Talk, index: usize, stanza: &str) {
        talk.on(engine, index, Event::Stanza(stanza.as_bytes()), Instant::now());
    }

    #[test]
    fn a_closed_loop_sends_the_next_when_one_has_come_and_ends_with_the_last() {
        let (mut engine, mut talk) = talk(2);
        assert_eq!((talk.sent, talk.flying), (4, 4));
        for number in 0..3 {
            comes(&mut engine, &mut talk, 1, &format!("<message id='t0.{number}'/>"));
            assert!(!talk.is_over());
            comes(&mut engine, &mut talk, 0, &format!("<message id='t1.{number}'/>"));
        }
        assert!(talk.is_over());
        assert_eq!((talk.sent, talk.received, talk.flying), (6, 6, 0));
        assert_eq!((talk.disordered, talk.duplicated, talk.errors.total()), (0, 0, 0));
    }

    #[test]
    fn what_is_doubled_disordered_bounced_or_strange_is_counted() {
        let (mut engine, mut talk) = talk(3);
        comes(&mut engine, &mut talk, 1, "<message id='t0.1'/>");
        assert_eq!((talk.disordered, talk.duplicated), (1, 0));
        comes(&mut engine, &mut talk, 1, "<message id='t0.1'/>");
        assert_eq!((talk.disordered, talk.duplicated, talk.received), (1, 1, 1));
        let bounce = "<message id='t0.0' type='error'><error><item-not-found/></error></message>";
        comes(&mut engine, &mut talk, 0, bounce);
        assert_eq!(talk.errors.worst(), Some("bounced: item-not-found"));
        assert_eq!((talk.received, talk.flying), (1, 4));
        for strange in ["<message id='t0.2'/>", "<message id='w1.0'/>", "<message id='t1.9'/>"] {
            comes(&mut engine, &mut talk, 0, strange);
        }
        assert_eq!(talk.errors.total(), 4);
        for other in ["<presence id='t1.0'/>", "<message/>", "<message id='t7.0'/>"] {
            comes(&mut engine, &mut talk, 0, other);
        }
        assert_eq!((talk.errors.total(), talk.received), (4, 1));
        assert!(!talk.is_over());
    }
}
