//! What every client did and heard, as far as it may explain what became of a message.

use std::{
    cell::RefCell,
    fmt::{self, Write as _},
    time::Instant,
};

use crate::ledger::Id;

/// Events of one message that are told before the first and after the last one that is about it.
const AROUND_MS: u32 = 4000;
/// Lines of one story.
const LINES_MAX: usize = 160;

/// One thing that happened to one client.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    Sends(Id),
    Resends(Id),
    /// The server said `h`; the last message that it covers.
    Acknowledged(u32, Option<Id>),
    Receives(Id),
    /// From the archive.
    Reads(Id),
    CameBack(Id),
    /// Has told the server that it handled so many.
    Acknowledges(u32),
    Cut(&'static str),
    /// Resumed: what it told the server, and what the server told it.
    Resumed(u32, u32),
    /// The server does not resume; what it told.
    Failed(Option<u32>),
    LoggedIn,
    CatchesUp,
    CaughtUp,
    Ended,
}

impl What {
    fn message(self) -> Option<Id> {
        match self {
            What::Sends(id)
            | What::Resends(id)
            | What::Receives(id)
            | What::Reads(id)
            | What::CameBack(id) => Some(id),
            _ => None,
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = |id: &Option<Id>| id.map_or_else(String::new, |id| format!(", to {id}"));
        match self {
            What::Sends(id) => write!(out, "sends {id}"),
            What::Resends(id) => write!(out, "sends {id} again"),
            What::Acknowledged(h, id) => write!(out, "is told h={h}{}", last(id)),
            What::Receives(id) => write!(out, "receives {id}"),
            What::Reads(id) => write!(out, "reads {id} in the archive"),
            What::CameBack(id) => write!(out, "gets {id} back as an error"),
            What::Acknowledges(h) => write!(out, "tells h={h}"),
            What::Cut(how) => write!(out, "is cut: {how}"),
            What::Resumed(told, h) => write!(out, "resumes: tells h={told}, is told h={h}"),
            What::Failed(h) => write!(out, "cannot resume, is told h={h:?}"),
            What::LoggedIn => write!(out, "begins a session"),
            What::CatchesUp => write!(out, "begins to catch up"),
            What::CaughtUp => write!(out, "has caught up"),
            What::Ended => write!(out, "has ended its stream"),
        }
    }
}

/// All that happened.
pub(crate) struct Story {
    began: Instant,
    clients: RefCell<Vec<Vec<(u32, What)>>>,
    server: RefCell<Vec<(u32, &'static str)>>,
}

impl Story {
    /// Begins now.
    pub(crate) fn new(clients: u16) -> Story {
        let clients = RefCell::new(vec![Vec::new(); usize::from(clients)]);
        Story { began: Instant::now(), clients, server: RefCell::default() }
    }

    fn now(&self) -> u32 {
        self.began.elapsed().as_millis() as u32
    }

    /// Something happened to a client.
    pub(crate) fn note(&self, client: u16, what: What) {
        self.clients.borrow_mut()[usize::from(client)].push((self.now(), what));
    }

    /// Something was done to the server.
    pub(crate) fn note_server(&self, what: &'static str) {
        self.server.borrow_mut().push((self.now(), what));
    }

    /// The story of one message: all about it and its neighbours, and what happened to the two clients meanwhile.
    pub(crate) fn of(&self, id: Id) -> String {
        let clients = self.clients.borrow();
        let own = |from: u16| clients[usize::from(from)].iter().map(move |(at, what)| (*at, from, *what));
        let about = |what: What| what.message().is_some_and(|other| other == id);
        let times: Vec<u32> =
            own(id.from).chain(own(id.to())).filter(|(_, _, what)| about(*what)).map(|(at, ..)| at).collect();
        let first = times.iter().min().map_or(0, |at| at.saturating_sub(AROUND_MS));
        let last = times.iter().max().map_or(u32::MAX, |at| at + AROUND_MS);
        let near = |what: What| {
            what.message().is_none_or(|other| other.from == id.from && other.seq.abs_diff(id.seq) <= 2)
        };
        let mut lines: Vec<(u32, String)> = own(id.from)
            .chain(own(id.to()))
            .filter(|(at, _, what)| (first..=last).contains(at) && near(*what))
            .map(|(at, client, what)| (at, format!("client {client} {what}")))
            .collect();
        let server = self.server.borrow();
        lines.extend(
            server
                .iter()
                .filter(|(at, _)| (first..=last).contains(at))
                .map(|(at, what)| (*at, format!("the server {what}"))),
        );
        lines.sort_by_key(|(at, _)| *at);
        let mut story = String::new();
        for (at, line) in lines.iter().take(LINES_MAX) {
            // Writing to a string does not fail.
            let _ = writeln!(story, "  {:>9.3} s {line}", f64::from(*at) / 1000.0);
        }
        story
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_tells_what_is_about_a_message_and_nothing_of_others() {
        let story = Story::new(4);
        let id = Id { from: 0, seq: 7 };
        story.note(0, What::Sends(id));
        story.note(1, What::Receives(id));
        story.note(1, What::Cut("reset"));
        story.note(0, What::Sends(Id { from: 0, seq: 70 }));
        story.note(2, What::Cut("stall"));
        story.note_server("is killed");
        let told = story.of(id);
        assert_eq!(told.lines().count(), 4, "{told}");
        assert!(
            told.contains("receives m0-7") && told.contains("killed") && !told.contains("stall"),
            "{told}"
        );
    }
}
