//! What was received on a stream, and up to which stanza it may be acknowledged.
//!
//! A stanza that is held (a message on its way to the disk, or to a receiver who has not acknowledged it) stops the count:
//! `h` passes it when it is settled, and never before the ones in front of it.

use std::collections::VecDeque;

/// Counts what a peer has sent.
#[derive(Debug, Default)]
pub struct Inbound {
    received: u32,
    held: VecDeque<Held>,
    /// What the peer was told last, while less than it had sent.
    owed: Option<u32>,
}

#[derive(Debug)]
struct Held {
    number: u32,
    settled: bool,
}

impl Inbound {
    /// As if so many had been received and all were safe.
    pub fn from(received: u32) -> Inbound {
        Inbound { received, ..Inbound::default() }
    }

    /// One more stanza has come; gives its number.
    pub fn receive(&mut self) -> u32 {
        self.received = self.received.wrapping_add(1);
        self.received
    }

    /// The stanza that has come last is not safe until it is settled.
    pub fn hold(&mut self) {
        self.held.push_back(Held { number: self.received, settled: false });
    }

    /// A held stanza is safe, or its sender was told otherwise.
    pub fn settle(&mut self, number: u32) {
        let Some(first) = self.held.front().map(|held| held.number) else { return };
        let place = |number: u32| number.wrapping_sub(first);
        let Ok(index) = self.held.binary_search_by_key(&place(number), |held| place(held.number)) else {
            return;
        };
        self.held[index].settled = true;
        while self.held.pop_front_if(|held| held.settled).is_some() {}
        if self.held.is_empty() {
            self.held = VecDeque::new();
        }
    }

    /// The number of the stanza that has come last.
    pub fn received(&self) -> u32 {
        self.received
    }

    /// Whether the peer is owed another `h` than it was told.
    pub fn is_owed(&self) -> bool {
        self.owed.is_some_and(|told| told != self.safe())
    }

    /// Stanzas that are held.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// The `h` that may be told: every stanza up to it is safe.
    pub fn safe(&self) -> u32 {
        self.held.front().map_or(self.received, |held| held.number.wrapping_sub(1))
    }

    /// The peer asked for `h`: gives it, and remembers whether there will be more to tell.
    pub fn answer(&mut self) -> u32 {
        let safe = self.safe();
        self.owed = (safe != self.received).then_some(safe);
        safe
    }

    /// The `h` that the peer is owed since it last asked, if it is another than it was told.
    pub fn owed(&mut self) -> Option<u32> {
        let told = self.owed?;
        let safe = self.safe();
        (safe != told).then(|| self.answer())
    }

    /// The stream is resumed: the peer sends again whatever is not safe. Gives `h`.
    pub fn rewind(&mut self) -> u32 {
        *self = Inbound::from(self.safe());
        self.received
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h_stops_before_a_stanza_that_is_held_and_passes_it_when_it_is_settled() {
        let mut inbound = Inbound::default();
        inbound.receive();
        let held = inbound.receive();
        inbound.hold();
        inbound.receive();
        assert_eq!(inbound.safe(), 1);
        inbound.settle(held);
        assert_eq!(inbound.safe(), 3);
        assert_eq!(inbound.held(), 0);
    }

    #[test]
    fn h_waits_for_the_first_whatever_is_settled_behind_it() {
        let mut inbound = Inbound::default();
        let numbers = [(); 3].map(|()| {
            let number = inbound.receive();
            inbound.hold();
            number
        });
        inbound.settle(numbers[2]);
        inbound.settle(numbers[1]);
        assert_eq!(inbound.safe(), 0);
        inbound.settle(numbers[0]);
        assert_eq!(inbound.safe(), 3);
    }

    #[test]
    fn the_count_goes_on_behind_two_to_the_32_with_what_is_held_on_both_sides_of_it() {
        let mut inbound = Inbound::from(u32::MAX - 1);
        let numbers = [(); 4].map(|()| {
            let number = inbound.receive();
            inbound.hold();
            number
        });
        assert_eq!(numbers, [u32::MAX, 0, 1, 2]);
        assert_eq!(inbound.safe(), u32::MAX - 1);
        inbound.settle(0);
        assert_eq!(inbound.safe(), u32::MAX - 1);
        inbound.settle(u32::MAX);
        assert_eq!(inbound.safe(), 0);
        inbound.settle(2);
        inbound.settle(1);
        assert_eq!(inbound.safe(), 2);
    }

    #[test]
    fn who_asked_too_early_is_owed_the_rest_once() {
        let mut inbound = Inbound::default();
        let held = inbound.receive();
        inbound.hold();
        assert_eq!(inbound.answer(), 0);
        assert_eq!(inbound.owed(), None, "nothing new");
        inbound.settle(held);
        assert_eq!(inbound.owed(), Some(1));
        assert_eq!(inbound.owed(), None, "it was told");
        inbound.receive();
        assert_eq!(inbound.owed(), None, "it has not asked since");
    }

    #[test]
    fn after_a_resumption_what_was_not_safe_comes_again_and_an_old_settlement_changes_nothing() {
        let mut inbound = Inbound::from(7);
        let held = inbound.receive();
        inbound.hold();
        inbound.receive();
        assert_eq!(inbound.rewind(), 7);
        inbound.settle(held);
        assert_eq!(inbound.safe(), 7);
        assert_eq!(inbound.receive(), 8);
        assert_eq!(inbound.safe(), 8);
    }
}
