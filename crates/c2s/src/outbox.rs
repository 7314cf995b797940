//! What waits to be written to one client: bytes in order, and whose stanzas they are.
//!
//! Pure. A parcel is delivered when its last byte was written; what was not written whole can be taken out again, at a
//! stanza's boundary, to be handed over or to find its way back. Empty, it owns no buffer: the next of this thread that
//! has something to write gets it.

use std::{cell::Cell, collections::VecDeque, sync::Arc};

use bytes::{Buf, BytesMut};
use rjabberd_session_manager::Parcel;

/// Bytes and parcels that wait to be written.
#[derive(Default)]
pub(crate) struct Outbox {
    buffer: BytesMut,
    /// Position in the stream of the buffer's first byte.
    written: u64,
    entries: VecDeque<Entry>,
}

/// Where in the stream some bytes stand that must not be cut: a parcel's, or our own.
struct Entry {
    start: u64,
    end: u64,
    parcel: Option<Arc<Parcel>>,
}

/// The buffers of an outbox that has become empty.
#[derive(Default)]
struct Buffers {
    bytes: BytesMut,
    entries: VecDeque<Entry>,
}

/// A buffer over that size is not kept.
const KEPT_BYTES_MAX: usize = 64 * 1024;
/// Room for entries over that number is not kept.
const KEPT_ENTRIES_MAX: usize = 256;

thread_local! {
    /// Nearly always a stanza is written whole in the turn in which it came, so all sessions of an arbiter need one.
    static SPARE: Cell<Buffers> = Cell::default();
}

impl Outbox {
    /// Takes the thread's spare buffers, if it owns none.
    fn begin(&mut self) {
        if self.buffer.capacity() == 0 && self.entries.capacity() == 0 {
            let Buffers { bytes, entries } = SPARE.take();
            self.buffer = bytes;
            self.entries = entries;
        }
    }

    /// Leaves the buffers, which are empty, to whoever writes next.
    fn end_turn(&mut self) {
        let (mut bytes, entries) = (std::mem::take(&mut self.buffer), std::mem::take(&mut self.entries));
        // The room of what was written counts again.
        let _whole = bytes.try_reclaim(bytes.capacity() + 1);
        if bytes.capacity() <= KEPT_BYTES_MAX && entries.capacity() <= KEPT_ENTRIES_MAX {
            SPARE.set(Buffers { bytes, entries });
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Bytes written so far.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// What to write next.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.begin();
        let start = self.end();
        self.buffer.extend_from_slice(bytes);
        self.entries.push_back(Entry { start, end: self.end(), parcel: None });
    }

    /// Says how many bytes it took.
    pub(crate) fn push_parcel(&mut self, parcel: Arc<Parcel>) -> usize {
        self.begin();
        let start = self.end();
        parcel.stanza().write(&mut self.buffer);
        let end = self.end();
        self.entries.push_back(Entry { start, end, parcel: Some(parcel) });
        (end - start) as usize
    }

    /// Position in the stream of what is pushed next.
    fn end(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// The first `bytes` were written.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.buffer.advance(bytes);
        self.written += bytes as u64;
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.end <= self.written) {
            if let Some(parcel) = entry.parcel {
                parcel.delivered();
            }
        }
        if self.buffer.is_empty() && self.entries.is_empty() {
            self.end_turn();
        }
    }

    /// Takes out every parcel of which nothing was written; the rest of what was begun stays, so that what follows on
    /// this stream is still XML. Other bytes of ours that waited are gone: they belonged to this stream.
    pub(crate) fn take_unwritten(&mut self) -> VecDeque<Arc<Parcel>> {
        let begun = self.entries.pop_front_if(|entry| entry.start < self.written);
        let kept = begun.as_ref().map_or(0, |entry| (entry.end - self.written) as usize);
        self.buffer.truncate(kept);
        let taken = self.entries.drain(..).filter_map(|entry| entry.parcel).collect();
        self.entries.extend(begun);
        taken
    }

    /// Whether a parcel waits that was not written whole.
    pub(crate) fn holds_parcels(&self) -> bool {
        self.entries.iter().any(|entry| entry.parcel.is_some())
    }

    /// Takes out every parcel that was not written whole, because nothing can be written any more.
    pub(crate) fn take_all(&mut self) -> VecDeque<Arc<Parcel>> {
        self.buffer = BytesMut::new();
        std::mem::take(&mut self.entries).into_iter().filter_map(|entry| entry.parcel).collect()
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use rjabberd_session_manager::Undelivered;
    use rjabberd_xmpp::{MessageType, Stanza, StanzaKind};

    use super::*;

    #[derive(Default)]
    struct Back(Mutex<Vec<String>>);

    impl Undelivered for Back {
        fn undelivered(&'static self, stanza: Stanza) {
            self.0.lock().push(stanza.id.unwrap_or_default());
        }
    }

    fn filled(back: &'static Back, ids: &[&str]) -> (Outbox, Vec<usize>) {
        let mut outbox = Outbox::default();
        let sizes = ids
            .iter()
            .map(|id| {
                let mut stanza = Stanza::new(StanzaKind::Message(MessageType::Chat), &[]);
                stanza.id = Some((*id).to_owned());
                outbox.push_parcel(Parcel::new(stanza, back))
            })
            .collect();
        (outbox, sizes)
    }

    #[test]
    fn a_parcel_whose_last_byte_was_written_does_not_come_back() {
        let back: &'static Back = Box::leak(Box::default());
        let (mut outbox, sizes) = filled(back, &["a", "b"]);
        outbox.advance(sizes[0]);
        drop(outbox);
        assert_eq!(*back.0.lock(), ["b"]);
    }

    #[test]
    fn a_parcel_whose_last_byte_is_missing_comes_back() {
        let back: &'static Back = Box::leak(Box::default());
        let (mut outbox, sizes) = filled(back, &["a"]);
        outbox.advance(sizes[0] - 1);
        drop(outbox);
        assert_eq!(*back.0.lock(), ["a"]);
    }

    #[test]
    fn a_stanza_that_was_begun_is_finished_and_the_others_are_taken_in_order() {
        let back: &'static Back = Box::leak(Box::default());
        let (mut outbox, sizes) = filled(back, &["a", "b", "c"]);
        outbox.advance(5);
        let rest = outbox.bytes()[..sizes[0] - 5].to_vec();
        let taken: Vec<_> =
            outbox.take_unwritten().iter().map(|parcel| parcel.stanza().id.clone().unwrap()).collect();
        assert_eq!(taken, ["b", "c"]);
        assert_eq!(outbox.bytes(), rest);
        assert_eq!(*back.0.lock(), ["b", "c"], "the taken ones were dropped by this test");
        outbox.advance(rest.len());
        drop(outbox);
        assert_eq!(*back.0.lock(), ["b", "c"], "the begun one was delivered");
    }

    #[test]
    fn bytes_of_our_own_that_were_begun_are_finished() {
        let back: &'static Back = Box::leak(Box::default());
        let mut outbox = Outbox::default();
        outbox.push(b"<own/>");
        outbox.push(b"<other/>");
        outbox.advance(3);
        assert!(outbox.take_unwritten().is_empty());
        assert_eq!(outbox.bytes(), b"n/>");
        drop((outbox, back));
    }

    #[test]
    fn bytes_of_our_own_count_in_the_positions() {
        let back: &'static Back = Box::leak(Box::default());
        let (mut outbox, _) = filled(back, &[]);
        outbox.push(b"<own/>");
        let mut stanza = Stanza::new(StanzaKind::Message(MessageType::Chat), &[]);
        stanza.id = Some("a".to_owned());
        outbox.push_parcel(Parcel::new(stanza, back));
        outbox.advance(6);
        assert!(back.0.lock().is_empty());
        assert_eq!(outbox.take_unwritten().len(), 1);
        assert!(outbox.is_empty());
    }
}
