//! What became of every message, by its sender's own number. Knows nothing of sockets and nothing of what the server
//! should do but this:
//!
//! - **Nothing acknowledged is lost.** A message that the server acknowledged to its sender is received by its receiver,
//!   or is in his archive at the end, or came back as an error.
//! - **Twice only with a reason.** A message may be received once for each time it was sent: it is sent again only when it
//!   was not acknowledged. It may be received once more for each receipt of which the server could not know: the
//!   receiver's acknowledgement was not certainly read when his session ended without being resumed. More is a fault.
//! - **Order holds for each pair.** The receiver's *history* is what he received, each message where it came first. What
//!   comes while he catches up from the archive is put behind what the archive tells, as every client with a history
//!   does. In it, no message stands behind a later one of the same sender.
//! - **The archive has a message at most once for each time it was sent.**

use std::fmt;

/// A message: who sent it (to his partner), and its number among those, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id {
    pub(crate) from: u16,
    pub(crate) seq: u32,
}

impl Id {
    /// The other of the pair.
    pub(crate) fn to(self) -> u16 {
        partner(self.from)
    }

    /// Reads what [`Id`]'s text says.
    pub(crate) fn parse(text: &str) -> Option<Id> {
        let (from, seq) = text.strip_prefix('m')?.split_once('-')?;
        Some(Id { from: from.parse().ok()?, seq: seq.parse().ok()? })
    }
}

impl fmt::Display for Id {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "m{}-{}", self.from, self.seq)
    }
}

/// Who chats with whom.
pub(crate) fn partner(of: u16) -> u16 {
    of ^ 1
}

/// One message.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// How often it was sent again.
    resent: u16,
    /// How often it was received, not from the archive.
    received: u16,
    /// Receipts of which the server may not know.
    unknown: u16,
    acknowledged: bool,
    came_back: bool,
    in_history: bool,
}

/// What does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// Acknowledged, and nowhere.
    Lost,
    /// Received more often than there are reasons for: how often, and how many reasons.
    Twice(u16, u16),
    /// In the history behind this later one.
    Late(u32),
    /// So often in one archive.
    ArchivedTwice(u16),
    /// Not acknowledged, though there was time.
    NotAcknowledged,
    /// It is not as it was sent, or nobody sent it.
    Forged,
    /// It came back as an error.
    CameBack,
}

impl Wrong {
    /// In one word, to count by.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Wrong::Lost => "lost",
            Wrong::Twice(..) => "twice_without_reason",
            Wrong::Late(_) => "out_of_order",
            Wrong::ArchivedTwice(_) => "archived_twice",
            Wrong::NotAcknowledged => "never_acknowledged",
            Wrong::Forged => "forged",
            Wrong::CameBack => "came_back",
        }
    }
}

/// Figures of all messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) sent: u64,
    pub(crate) acknowledged: u64,
    pub(crate) resent: u64,
    pub(crate) received: u64,
    /// Receipts beyond the first, and those of them for which there is no reason.
    pub(crate) duplicates: u64,
    pub(crate) duplicates_without_reason: u64,
    /// Receipts of which the server could not know.
    pub(crate) unknown: u64,
    /// Messages that only the archive told the receiver of.
    pub(crate) only_archived: u64,
}

/// All messages of a run.
#[derive(Debug)]
pub(crate) struct Ledger {
    sent: Vec<Vec<Entry>>,
    /// The highest of each sender in his partner's history.
    latest: Vec<u32>,
    /// Every how many messages a receiver forgets one.
    forget_each: u32,
}

impl Ledger {
    /// Nothing was sent.
    pub(crate) fn new(clients: u16, forget_each: u32) -> Ledger {
        let count = usize::from(clients);
        Ledger { sent: vec![Vec::new(); count], latest: vec![0; count], forget_each }
    }

    /// A new message.
    pub(crate) fn sends(&mut self, from: u16) -> Id {
        let entries = &mut self.sent[usize::from(from)];
        entries.push(Entry::default());
        Id { from, seq: entries.len() as u32 }
    }

    fn entry(&mut self, id: Id) -> Option<&mut Entry> {
        self.sent.get_mut(usize::from(id.from))?.get_mut((id.seq as usize).checked_sub(1)?)
    }

    fn note(&mut self, id: Id, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.entry(id) {
            change(entry);
        }
    }

    /// It was sent again.
    pub(crate) fn is_resent(&mut self, id: Id) {
        self.note(id, |entry| entry.resent += 1);
    }

    /// The server has acknowledged it.
    pub(crate) fn is_acknowledged(&mut self, id: Id) {
        self.note(id, |entry| entry.acknowledged = true);
    }

    /// The server may not know that it was received.
    pub(crate) fn is_unknown(&mut self, id: Id) {
        self.note(id, |entry| entry.unknown += 1);
    }

    /// It came back to its sender.
    pub(crate) fn comes_back(&mut self, id: Id) -> Option<Wrong> {
        self.note(id, |entry| entry.came_back = true);
        Some(Wrong::CameBack)
    }

    fn forgets(&self, id: Id) -> bool {
        self.forget_each > 0 && id.seq.is_multiple_of(self.forget_each)
    }

    /// It was received, not from the archive.
    pub(crate) fn is_received(&mut self, id: Id) -> Option<Wrong> {
        if self.forgets(id) {
            return None;
        }
        let Some(entry) = self.entry(id) else { return Some(Wrong::Forged) };
        entry.received += 1;
        let reasons = 1 + entry.resent + entry.unknown;
        (entry.received > reasons).then_some(Wrong::Twice(entry.received, reasons))
    }

    /// It stands in the receiver's history now, if it did not before.
    pub(crate) fn is_read(&mut self, id: Id) -> Option<Wrong> {
        if self.forgets(id) {
            return None;
        }
        let Some(entry) = self.entry(id) else { return Some(Wrong::Forged) };
        if std::mem::replace(&mut entry.in_history, true) {
            return None;
        }
        let latest = &mut self.latest[usize::from(id.from)];
        if id.seq < *latest {
            return Some(Wrong::Late(*latest));
        }
        *latest = id.seq;
        None
    }

    /// It is so often in one archive.
    pub(crate) fn is_archived(&mut self, id: Id, copies: u16) -> Option<Wrong> {
        let Some(entry) = self.entry(id) else { return Some(Wrong::Forged) };
        (copies > 1 + entry.resent).then_some(Wrong::ArchivedTwice(copies))
    }

    /// Acknowledged, and not with their receivers yet.
    pub(crate) fn missing(&self) -> Vec<Id> {
        self.all()
            .filter(|(_, entry)| entry.acknowledged && !entry.in_history && !entry.came_back)
            .map(|(id, _)| id)
            .collect()
    }

    /// Not acknowledged.
    pub(crate) fn unacknowledged(&self) -> Vec<Id> {
        self.all().filter(|(_, entry)| !entry.acknowledged).map(|(id, _)| id).collect()
    }

    fn all(&self) -> impl Iterator<Item = (Id, &Entry)> {
        self.sent.iter().enumerate().flat_map(|(from, entries)| {
            entries
                .iter()
                .enumerate()
                .map(move |(index, entry)| (Id { from: from as u16, seq: index as u32 + 1 }, entry))
        })
    }

    /// All figures.
    pub(crate) fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for (_, entry) in self.all() {
            let reasons = 1 + entry.resent + entry.unknown;
            sums.sent += 1;
            sums.acknowledged += u64::from(entry.acknowledged);
            sums.resent += u64::from(entry.resent);
            sums.received += u64::from(entry.received > 0);
            sums.duplicates += u64::from(entry.received.saturating_sub(1));
            sums.duplicates_without_reason += u64::from(entry.received.saturating_sub(reasons));
            sums.unknown += u64::from(entry.unknown);
            sums.only_archived += u64::from(entry.in_history && entry.received == 0);
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` messages of client 0, all acknowledged.
    fn ledger(count: u32) -> (Ledger, Vec<Id>) {
        let mut ledger = Ledger::new(2, 0);
        let ids: Vec<Id> = (0..count).map(|_| ledger.sends(0)).collect();
        ids.iter().for_each(|id| ledger.is_acknowledged(*id));
        (ledger, ids)
    }

    #[test]
    fn what_was_acknowledged_must_be_with_its_receiver_or_have_come_back() {
        let (mut ledger, ids) = ledger(4);
        let unsure = ledger.sends(0);
        assert_eq!(ledger.is_read(ids[0]), None);
        ledger.comes_back(ids[1]);
        assert_eq!(ledger.is_received(ids[2]), None, "held back, and never read");
        assert_eq!(ledger.missing(), ids[2..]);
        assert_eq!(ledger.unacknowledged(), [unsure]);
    }

    #[test]
    fn a_second_receipt_needs_a_reason() {
        let (mut ledger, ids) = ledger(1);
        let receive = |ledger: &mut Ledger| ledger.is_received(ids[0]);
        assert_eq!(receive(&mut ledger), None);
        ledger.is_resent(ids[0]);
        assert_eq!(receive(&mut ledger), None);
        ledger.is_unknown(ids[0]);
        assert_eq!(receive(&mut ledger), None);
        assert_eq!(receive(&mut ledger), Some(Wrong::Twice(4, 3)));
        let sums = ledger.sums();
        assert_eq!((sums.duplicates, sums.duplicates_without_reason, sums.resent), (3, 1, 1));
    }

    #[test]
    fn order_is_that_of_the_first_time_in_the_history() {
        let (mut ledger, ids) = ledger(4);
        assert_eq!(ledger.is_read(ids[0]), None);
        assert_eq!(ledger.is_read(ids[2]), None);
        assert_eq!(ledger.is_read(ids[0]), None, "a copy is no matter of order");
        assert_eq!(ledger.is_read(ids[1]), Some(Wrong::Late(3)));
        assert_eq!(ledger.is_read(ids[3]), None);
    }

    #[test]
    fn the_archive_may_have_what_was_sent_twice_twice() {
        let (mut ledger, ids) = ledger(1);
        assert_eq!(ledger.is_archived(ids[0], 1), None);
        assert_eq!(ledger.is_archived(ids[0], 2), Some(Wrong::ArchivedTwice(2)));
        ledger.is_resent(ids[0]);
        assert_eq!(ledger.is_archived(ids[0], 2), None);
    }

    #[test]
    fn what_nobody_sent_is_forged_and_ids_are_read_as_they_are_written() {
        let (mut ledger, ids) = ledger(1);
        assert_eq!(Id::parse(&ids[0].to_string()), Some(ids[0]));
        for text in ["m0-2", "m0-0", "m9-1"] {
            assert_eq!(ledger.is_received(Id::parse(text).unwrap()), Some(Wrong::Forged), "{text}");
        }
        assert_eq!(Id::parse("x0-1"), None);
        assert_eq!((ids[0].to(), partner(1)), (1, 0));
    }

    #[test]
    fn a_client_that_forgets_has_lost_something() {
        let mut ledger = Ledger::new(2, 2);
        for id in [ledger.sends(0), ledger.sends(0)] {
            ledger.is_acknowledged(id);
            ledger.is_received(id);
            ledger.is_read(id);
        }
        assert_eq!(ledger.missing(), [Id { from: 0, seq: 2 }]);
    }
}
