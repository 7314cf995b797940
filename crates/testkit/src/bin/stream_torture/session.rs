//! The client's half of stream management (XEP-0198): what was sent and is not acknowledged, what was handled, and which
//! of its own acknowledgements the server has certainly read. No socket, no clock.
//!
//! An acknowledgement that was written may be lost with the connection. It is certain once the server has answered
//! something that was said after it: a request, a resumption, or the end of the stream.

use std::collections::VecDeque;

use crate::ledger::Id;

/// A stanza that is not acknowledged; the message in it, if it is one.
#[derive(Debug)]
struct Sent {
    text: String,
    message: Option<Id>,
}

/// One session, over all its connections.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// The server's name for it, by which it is resumed; empty if it cannot be.
    pub(crate) id: String,
    /// Stanzas that were acknowledged to us, modulo 2^32.
    acknowledged: u32,
    queue: VecDeque<Sent>,
    /// Stanzas that we handled, modulo 2^32.
    handled: u32,
    /// Messages that we received and whose acknowledgement is not certain: the number of the stanza, and which.
    uncertain: VecDeque<(u32, Id)>,
}

/// The server acknowledged what it was not sent, or less than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WrongCount {
    /// What it said.
    pub(crate) said: u32,
    /// What it said before.
    pub(crate) before: u32,
    /// What it was sent.
    pub(crate) sent: u32,
}

impl Session {
    /// A session that the server has just begun.
    pub(crate) fn new(id: &str) -> Session {
        Session { id: id.to_owned(), ..Session::default() }
    }

    /// Notes a stanza that is being sent.
    pub(crate) fn sends(&mut self, text: &str, message: Option<Id>) {
        self.queue.push_back(Sent { text: text.to_owned(), message });
    }

    /// The server says that it has handled so many; the messages among those that it had not acknowledged before.
    pub(crate) fn is_acknowledged(&mut self, h: u32) -> Result<Vec<Id>, WrongCount> {
        let new = h.wrapping_sub(self.acknowledged);
        if new as usize > self.queue.len() {
            let sent = self.acknowledged.wrapping_add(self.queue.len() as u32);
            return Err(WrongCount { said: h, before: self.acknowledged, sent });
        }
        self.acknowledged = h;
        Ok(self.queue.drain(..new as usize).filter_map(|sent| sent.message).collect())
    }

    /// How many messages are not acknowledged.
    pub(crate) fn unacknowledged_messages(&self) -> usize {
        self.queue.iter().filter(|sent| sent.message.is_some()).count()
    }

    /// How many stanzas are not acknowledged.
    pub(crate) fn unacknowledged(&self) -> usize {
        self.queue.len()
    }

    /// All of them, in order, to be sent again where the session is resumed.
    pub(crate) fn again(&self) -> impl Iterator<Item = (&str, Option<Id>)> {
        self.queue.iter().map(|sent| (sent.text.as_str(), sent.message))
    }

    /// Ends the session: the messages that were never acknowledged, in order, and those whose receipt the server may not
    /// know of.
    pub(crate) fn ends(self) -> (Vec<(String, Id)>, Vec<Id>) {
        let messages = self.queue.into_iter().filter_map(|sent| Some((sent.text, sent.message?)));
        (messages.collect(), self.uncertain.into_iter().map(|(_, id)| id).collect())
    }

    /// Notes a stanza that was received, and the message if it brought one.
    pub(crate) fn handles(&mut self, message: Option<Id>) {
        self.handled = self.handled.wrapping_add(1);
        self.uncertain.extend(message.map(|id| (self.handled, id)));
    }

    /// What is to be said in `<a h/>` and `<resume h/>`.
    pub(crate) fn handled(&self) -> u32 {
        self.handled
    }

    /// The server has certainly read our acknowledgement of so many.
    pub(crate) fn is_certain(&mut self, h: u32) {
        let known = |number: u32| h.wrapping_sub(number) < u32::MAX / 2;
        while self.uncertain.front().is_some_and(|(number, _)| known(*number)) {
            self.uncertain.pop_front();
        }
    }

    #[cfg(test)]
    fn preset(&mut self, acknowledged: u32, handled: u32) {
        (self.acknowledged, self.handled) = (acknowledged, handled);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(acknowledged: u32, count: u32) -> Session {
        let mut session = Session::default();
        session.preset(acknowledged, acknowledged);
        (0..count).for_each(|seq| session.sends("<m/>", Some(Id { from: 1, seq })));
        session
    }

    fn seqs(ids: &[Id]) -> Vec<u32> {
        ids.iter().map(|id| id.seq).collect()
    }

    #[test]
    fn an_acknowledgement_frees_what_it_covers_also_where_the_count_wraps() {
        for start in [0, u32::MAX - 1] {
            let mut session = sent(start, 4);
            assert_eq!(seqs(&session.is_acknowledged(start.wrapping_add(3)).unwrap()), [0, 1, 2]);
            assert_eq!(seqs(&session.is_acknowledged(start.wrapping_add(3)).unwrap()), [] as [u32; 0]);
            assert_eq!(session.unacknowledged(), 1);
        }
    }

    #[test]
    fn too_much_and_less_than_before_are_wrong() {
        let mut session = sent(0, 3);
        session.is_acknowledged(2).unwrap();
        assert_eq!(session.is_acknowledged(4), Err(WrongCount { said: 4, before: 2, sent: 3 }));
        assert_eq!(session.is_acknowledged(1), Err(WrongCount { said: 1, before: 2, sent: 3 }));
    }

    #[test]
    fn a_session_that_ends_gives_back_what_was_not_acknowledged_in_order_without_what_is_no_message() {
        let mut session = sent(0, 3);
        session.sends("<iq/>", None);
        session.is_acknowledged(1).unwrap();
        assert_eq!(session.again().count(), 3);
        let (messages, _) = session.ends();
        assert_eq!(messages.iter().map(|(_, id)| id.seq).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_receipt_is_uncertain_until_the_server_has_answered_something_later() {
        for start in [0, u32::MAX - 1] {
            let mut session = sent(start, 0);
            session.handles(Some(Id { from: 2, seq: 1 }));
            session.handles(None);
            session.handles(Some(Id { from: 2, seq: 2 }));
            session.is_certain(start.wrapping_add(2));
            assert_eq!(session.handled(), start.wrapping_add(3));
            assert_eq!(seqs(&session.ends().1), [2]);
        }
    }
}
