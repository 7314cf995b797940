//! What was sent on a stream and is not acknowledged, in order, within bounds.
//!
//! Invariant: the queue holds the last of the stanzas that were sent, without a gap; while nothing was forgotten, all that
//! the peer has not acknowledged.

use std::collections::VecDeque;
use std::collections::vec_deque::Drain;

/// How much may wait for an acknowledgement; one stanza always may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Stanzas.
    pub stanzas_max: usize,
    /// Their bytes.
    pub bytes_max: usize,
}

/// The peer says that it has handled more than it was sent (XEP-0198, 6), or takes back what it had said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooHigh {
    /// What it says.
    pub h: u32,
    /// What it was sent.
    pub sent: u32,
}

/// Stanzas that were sent, each as a `T`.
#[derive(Debug)]
pub struct Outbound<T> {
    sent: u32,
    acknowledged: u32,
    queue: VecDeque<(T, usize)>,
    bytes: usize,
    window: Window,
}

impl<T> Outbound<T> {
    /// Nothing was sent.
    pub fn new(window: Window) -> Outbound<T> {
        Outbound::from(0, window)
    }

    /// As if so many had been sent and acknowledged.
    pub fn from(sent: u32, window: Window) -> Outbound<T> {
        Outbound { sent, acknowledged: sent, queue: VecDeque::new(), bytes: 0, window }
    }

    /// A stanza of so many bytes is sent. False where more waits now than may: what waits should be forgotten.
    pub fn send(&mut self, stanza: T, bytes: usize) -> bool {
        self.sent = self.sent.wrapping_add(1);
        self.queue.push_back((stanza, bytes));
        self.bytes += bytes;
        self.queue.len() <= 1
            || (self.queue.len() <= self.window.stanzas_max && self.bytes <= self.window.bytes_max)
    }

    /// A stanza is sent that nobody needs to know any more.
    pub fn pass(&mut self) {
        self.sent = self.sent.wrapping_add(1);
    }

    /// The peer has handled all up to `h`: takes them out, in order.
    ///
    /// # Errors
    /// It was not sent that many.
    pub fn acknowledge(&mut self, h: u32) -> Result<Drain<'_, (T, usize)>, TooHigh> {
        let outstanding = self.sent.wrapping_sub(self.acknowledged);
        if h.wrapping_sub(self.acknowledged) > outstanding {
            return Err(TooHigh { h, sent: self.sent });
        }
        self.acknowledged = h;
        let left = self.sent.wrapping_sub(h) as usize;
        let gone = self.queue.len().saturating_sub(left);
        self.bytes -= self.queue.iter().take(gone).map(|(_, bytes)| bytes).sum::<usize>();
        let keeps_room = self.queue.len() - gone > 0;
        if !keeps_room && self.queue.capacity() > 64 {
            self.queue.shrink_to(gone.max(64));
        }
        Ok(self.queue.drain(..gone))
    }

    /// What waits, in order.
    pub fn waiting(&self) -> impl Iterator<Item = &T> {
        self.queue.iter().map(|(stanza, _)| stanza)
    }

    /// The same, to note something of each.
    pub fn waiting_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.queue.iter_mut().map(|(stanza, _)| stanza)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Bytes of what waits.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the peer has not acknowledged all that it was sent, forgotten or not.
    pub fn is_outstanding(&self) -> bool {
        self.sent != self.acknowledged
    }

    /// Takes out all that waits: it is not sent again. The numbers go on.
    pub fn forget(&mut self) -> VecDeque<T> {
        self.bytes = 0;
        std::mem::take(&mut self.queue).into_iter().map(|(stanza, _)| stanza).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { stanzas_max: 3, bytes_max: 100 };

    fn sent(from: u32, stanzas: &[&'static str]) -> Outbound<&'static str> {
        let mut outbound = Outbound::from(from, WINDOW);
        for stanza in stanzas {
            assert!(outbound.send(*stanza, 1));
        }
        outbound
    }

    fn acknowledged(outbound: &mut Outbound<&'static str>, h: u32) -> Vec<&'static str> {
        outbound.acknowledge(h).unwrap().map(|(stanza, _)| stanza).collect()
    }

    #[test]
    fn an_acknowledgement_takes_out_all_up_to_it_in_order() {
        let mut outbound = sent(0, &["a", "b", "c"]);
        assert_eq!(acknowledged(&mut outbound, 2), ["a", "b"]);
        assert_eq!(acknowledged(&mut outbound, 2), [""; 0], "again");
        assert_eq!((outbound.len(), outbound.bytes()), (1, 1));
        assert_eq!(acknowledged(&mut outbound, 3), ["c"]);
        assert!(outbound.is_empty() && !outbound.is_outstanding());
    }

    #[test]
    fn more_than_was_sent_is_too_high_and_changes_nothing() {
        let mut outbound = sent(0, &["a"]);
        assert_eq!(outbound.acknowledge(2).unwrap_err(), TooHigh { h: 2, sent: 1 });
        assert_eq!(outbound.acknowledge(u32::MAX).unwrap_err(), TooHigh { h: u32::MAX, sent: 1 });
        assert_eq!(acknowledged(&mut outbound, 1), ["a"]);
        assert_eq!(outbound.acknowledge(0).unwrap_err(), TooHigh { h: 0, sent: 1 }, "taken back");
    }

    #[test]
    fn the_count_goes_on_behind_two_to_the_32() {
        let mut outbound = sent(u32::MAX - 1, &["a", "b", "c"]);
        assert_eq!(outbound.acknowledge(2).unwrap_err(), TooHigh { h: 2, sent: 1 });
        assert_eq!(acknowledged(&mut outbound, u32::MAX), ["a"]);
        assert_eq!(acknowledged(&mut outbound, 0), ["b"]);
        assert_eq!(acknowledged(&mut outbound, 1), ["c"]);
        assert!(!outbound.is_outstanding());
    }

    #[test]
    fn what_is_more_than_the_window_says_so_and_one_stanza_always_may_wait() {
        let mut outbound = Outbound::new(WINDOW);
        assert!(outbound.send("big", 1_000));
        assert!(!outbound.send("small", 1));
        let mut outbound = sent(0, &["a", "b", "c"]);
        assert!(!outbound.send("d", 1));
    }

    #[test]
    fn what_was_forgotten_still_counts() {
        let mut outbound = sent(0, &["a", "b"]);
        assert_eq!(outbound.forget(), ["a", "b"]);
        outbound.pass();
        assert!(outbound.is_outstanding());
        assert_eq!(outbound.acknowledge(4).unwrap_err(), TooHigh { h: 4, sent: 3 });
        assert_eq!(acknowledged(&mut outbound, 3), [""; 0]);
        assert!(!outbound.is_outstanding());
    }
}
