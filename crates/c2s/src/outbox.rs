//! What waits to be written to one client: bytes in order, and whose stanzas they are.
//!
//! Pure. A parcel is delivered when its last byte was written; what was not written whole can be taken out again, at a
//! stanza's boundary, to be handed over or to find its way back. Empty, it owns no buffer: the next of this thread that
//! has something to write gets it.

use std::{cell::Cell, collections::VecDeque, sync::Arc};

use bytes::{Buf, Bytes, BytesMut};
use rjabberd_router::Long;
use rjabberd_session_manager::Parcel;

/// Bytes and parcels that wait to be written.
#[derive(Default)]
pub(crate) struct Outbox {
    buffer: BytesMut,
    /// Position in the stream of the buffer's first byte.
    written: u64,
    entries: VecDeque<Entry>,
    /// The number of the last message of the account's own store that was written whole.
    message: i64,
    /// What is made while it is written; everything newer waits behind it.
    making: Option<Box<Making>>,
}

/// An answer that is made while it is written, and what waits behind it, in order.
struct Making {
    long: Long,
    /// Position in the stream of its first byte.
    start: u64,
    behind: VecDeque<Behind>,
    bytes: usize,
}

enum Behind {
    Own(Bytes, i64),
    Parcel(Arc<Parcel>),
    Long(Long),
}

/// Where in the stream some bytes stand that must not be cut: a parcel's, or our own.
struct Entry {
    start: u64,
    end: u64,
    parcel: Option<Arc<Parcel>>,
    /// The number of a message of the account's own store; 0 where it is none.
    message: i64,
}

/// The buffers of an outbox that has become empty.
#[derive(Default)]
struct Buffers {
    bytes: BytesMut,
    entries: VecDeque<Entry>,
}

/// Bytes of a long answer that are made at a time; more when half of them are written.
const MADE_BYTES: usize = 32 * 1024;

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

    /// Bytes that wait, as far as they are made.
    pub(crate) fn len(&self) -> usize {
        self.buffer.len() + self.making.as_ref().map_or(0, |making| making.bytes)
    }

    /// Whether something is made while it is written.
    pub(crate) fn is_making(&self) -> bool {
        self.making.is_some()
    }

    /// The number of the last message of the account's own store that was written whole.
    pub(crate) fn message(&self) -> i64 {
        self.message
    }

    /// What to write next.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.push_message(bytes, 0);
    }

    /// The message of that number of the account's own store.
    pub(crate) fn push_message(&mut self, bytes: &[u8], message: i64) {
        if let Some(making) = &mut self.making {
            making.bytes += bytes.len();
            making.behind.push_back(Behind::Own(Bytes::copy_from_slice(bytes), message));
            return;
        }
        self.begin();
        let start = self.end();
        self.buffer.extend_from_slice(bytes);
        self.entries.push_back(Entry { start, end: self.end(), parcel: None, message });
    }

    /// What is to be made while it is written.
    pub(crate) fn push_long(&mut self, long: Long) {
        if let Some(making) = &mut self.making {
            making.behind.push_back(Behind::Long(long));
            return;
        }
        let start = self.end();
        self.making = Some(Box::new(Making { long, start, behind: VecDeque::new(), bytes: 0 }));
        self.make();
    }

    /// Makes more, where little waits; when all is made, what waited behind it follows.
    fn make(&mut self) {
        if self.making.is_none() || self.buffer.len() >= MADE_BYTES / 2 {
            return;
        }
        self.begin();
        let start = self.end();
        let Some(making) = &mut self.making else { return };
        let more = making.long.write(&mut self.buffer, MADE_BYTES);
        self.entries.push_back(Entry { start, end: self.end(), parcel: None, message: 0 });
        if more {
            return;
        }
        for behind in self.making.take().into_iter().flat_map(|making| making.behind) {
            match behind {
                Behind::Own(bytes, message) => self.push_message(&bytes, message),
                Behind::Parcel(parcel) => drop(self.push_parcel(parcel)),
                Behind::Long(long) => self.push_long(long),
            }
        }
    }

    /// Says how many bytes it took.
    pub(crate) fn push_parcel(&mut self, parcel: Arc<Parcel>) -> usize {
        if let Some(making) = &mut self.making {
            let bytes = parcel.bytes();
            making.bytes += bytes;
            making.behind.push_back(Behind::Parcel(parcel));
            return bytes;
        }
        self.begin();
        let start = self.end();
        parcel.stanza().write(&mut self.buffer);
        let end = self.end();
        self.entries.push_back(Entry { start, end, parcel: Some(parcel), message: 0 });
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
            self.message = self.message.max(entry.message);
        }
        self.make();
        if self.buffer.is_empty() && self.entries.is_empty() {
            self.end_turn();
        }
    }

    /// Takes out every parcel of which nothing was written; the rest of what was begun stays, so that what follows on
    /// this stream is still XML. Other bytes of ours that waited are gone: they belonged to this stream.
    pub(crate) fn take_unwritten(&mut self) -> VecDeque<Arc<Parcel>> {
        let mut behind = VecDeque::new();
        if let Some(making) = &mut self.making {
            behind = std::mem::take(&mut making.behind);
            making.bytes = 0;
            if making.start < self.written {
                // It must be written to its end, and all that waits in front of `behind` is of it.
                return behind.into_iter().filter_map(Behind::into_parcel).collect();
            }
            self.making = None;
        }
        let begun = self.entries.pop_front_if(|entry| entry.start < self.written);
        let kept = begun.as_ref().map_or(0, |entry| (entry.end - self.written) as usize);
        self.buffer.truncate(kept);
        let mut taken: VecDeque<_> = self.entries.drain(..).filter_map(|entry| entry.parcel).collect();
        self.entries.extend(begun);
        taken.extend(behind.into_iter().filter_map(Behind::into_parcel));
        taken
    }

    /// Takes out the messages of the account's own store of which nothing was written.
    pub(crate) fn drop_messages(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        let entries = std::mem::take(&mut self.entries);
        let first = self.written;
        for Entry { start, end, parcel, message } in entries {
            if message != 0 && start >= first {
                continue;
            }
            let bytes = (start.max(first) - first) as usize..(end - first) as usize;
            let kept_from = self.end();
            self.buffer.extend_from_slice(&buffer[bytes]);
            let start = if start < first { start } else { kept_from };
            self.entries.push_back(Entry { start, end: self.end(), parcel, message });
        }
        let gone = (buffer.len() - self.buffer.len()) as u64;
        if let Some(making) = &mut self.making {
            if making.start > first {
                making.start -= gone;
            }
            making.behind.retain(|behind| match behind {
                Behind::Own(bytes, message) if *message != 0 => {
                    making.bytes -= bytes.len();
                    false
                }
                _ => true,
            });
        }
    }

    /// Whether a parcel waits that was not written whole.
    pub(crate) fn holds_parcels(&self) -> bool {
        let behind = self.making.iter().flat_map(|making| &making.behind);
        self.entries.iter().any(|entry| entry.parcel.is_some())
            || behind.into_iter().any(|behind| matches!(behind, Behind::Parcel(_)))
    }

    /// Takes out every parcel that was not written whole, because nothing can be written any more.
    pub(crate) fn take_all(&mut self) -> VecDeque<Arc<Parcel>> {
        self.buffer = BytesMut::new();
        let behind = self.making.take().into_iter().flat_map(|making| making.behind);
        let entries = std::mem::take(&mut self.entries).into_iter().filter_map(|entry| entry.parcel);
        entries.chain(behind.filter_map(Behind::into_parcel)).collect()
    }
}

impl Behind {
    fn into_parcel(self) -> Option<Arc<Parcel>> {
        match self {
            Behind::Parcel(parcel) => Some(parcel),
            Behind::Own(..) | Behind::Long(_) => None,
        }
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
    fn messages_of_the_store_that_were_not_begun_are_taken_out_and_all_else_stays() {
        let back: &'static Back = Box::leak(Box::default());
        let (mut outbox, _) = filled(back, &[]);
        outbox.push_message(b"<begun/>", 1);
        outbox.push(b"<own/>");
        outbox.push_message(b"<dropped/>", 2);
        let mut stanza = Stanza::new(StanzaKind::Message(MessageType::Chat), &[]);
        stanza.id = Some("a".to_owned());
        let size = outbox.push_parcel(Parcel::new(stanza, back));
        outbox.push_message(b"<dropped/>", 3);
        outbox.advance(3);
        outbox.drop_messages();
        assert!(outbox.bytes().starts_with(b"gun/><own/><message"), "{:?}", outbox.bytes());
        assert_eq!(outbox.len(), b"gun/><own/>".len() + size);
        outbox.advance(b"gun/><own/>".len());
        assert_eq!(outbox.message(), 1);
        assert!(outbox.holds_parcels());
        outbox.advance(size);
        assert!(outbox.is_empty() && !outbox.holds_parcels() && back.0.lock().is_empty());
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
