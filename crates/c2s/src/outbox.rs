//! What waits to be written to one client: bytes in order, and whose stanzas they are.
//!
//! Pure. A parcel has arrived when its last byte was written, or, with stream management, when the client says so; what
//! has not can be taken out again, at a stanza's boundary, to be handed over or to find its way back. Empty, it owns no
//! buffer: the next of this thread that has something to write gets it.

use std::{cell::Cell, collections::VecDeque, sync::Arc};

use bytes::{Buf, Bytes, BytesMut};
use rjabberd_router::Long;
use rjabberd_session_manager::Parcel;
use rjabberd_xmpp::management::TooHigh;

use crate::managed::{Managed, Noted, What};

/// Bytes and parcels that wait to be written.
#[derive(Default)]
pub(crate) struct Outbox {
    buffer: BytesMut,
    /// Position in the stream of the buffer's first byte.
    written: u64,
    entries: VecDeque<Entry>,
    /// The number of the last message of the account's own store that has arrived.
    message: i64,
    /// Stream management.
    managed: Option<Box<Managed>>,
    /// What is made while it is written; everything newer waits behind it.
    making: Option<Box<Making>>,
}

/// An answer that is made while it is written, and what waits behind it, in order.
struct Making {
    long: Long,
    /// Position in the stream of its first byte.
    start: u64,
    /// With stream management: what was made so far.
    made: BytesMut,
    /// How many it is: a page of an archive is many.
    stanzas: usize,
    behind: VecDeque<Behind>,
    bytes: usize,
}

enum Behind {
    /// No stanza.
    Word(Bytes),
    Stanza(Bytes, i64),
    Parcel(Arc<Parcel>),
    Long(Long),
    /// Our own stanzas count from here on.
    Begin,
}

/// Where in the stream some bytes stand that must not be cut: a parcel's, or our own.
struct Entry {
    start: u64,
    end: u64,
    parcel: Option<Arc<Parcel>>,
    /// The number of a message of the account's own store; 0 where it is none.
    message: i64,
    /// It waits for its acknowledgement too, which says that it has arrived.
    kept: bool,
}

/// The buffers of an outbox that has become empty.
#[derive(Default)]
struct Buffers {
    bytes: BytesMut,
    entries: VecDeque<Entry>,
}

/// Bytes of a long answer that are made at a time; more when half of them are written.
const MADE_BYTES: usize = 32 * 1024;

/// Bytes of a long answer that are made for a session without connection; one that is longer goes over to no other.
const MADE_BYTES_MAX: usize = 4 * 1024 * 1024;

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

    /// The number of the last message of the account's own store that has arrived.
    pub(crate) fn message(&self) -> i64 {
        self.message
    }

    /// Stream management, once it is on.
    pub(crate) fn managed(&mut self) -> Option<&mut Managed> {
        self.managed.as_deref_mut()
    }

    /// The same, to look at.
    pub(crate) fn is_managed(&self) -> bool {
        self.managed.is_some()
    }

    fn is_mute(&self) -> bool {
        self.managed.as_ref().is_some_and(|managed| managed.mute)
    }

    /// What to write next.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// Bytes of our own that are no stanza.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if let Some(making) = &mut self.making {
            making.bytes += bytes.len();
            making.behind.push_back(Behind::Word(Bytes::copy_from_slice(bytes)));
            return;
        }
        if !self.is_mute() {
            self.append(bytes, None, 0, false);
        }
    }

    /// The same for what may stand before all that waits: between the stanzas of a long answer, if it has some.
    pub(crate) fn push_between(&mut self, bytes: &[u8]) {
        match self.making.as_ref().is_some_and(|making| making.stanzas > 1) && !self.is_mute() {
            true => self.append(bytes, None, 0, false),
            false => self.push(bytes),
        }
    }

    /// A stanza of our own.
    #[must_use]
    pub(crate) fn push_stanza(&mut self, bytes: Bytes) -> Noted {
        self.push_message(bytes, 0)
    }

    /// The message of that number of the account's own store.
    #[must_use]
    pub(crate) fn push_message(&mut self, bytes: Bytes, message: i64) -> Noted {
        if let Some(making) = &mut self.making {
            making.bytes += bytes.len();
            making.behind.push_back(Behind::Stanza(bytes, message));
            return Noted::Kept;
        }
        let noted = self.note(|| What::Own(bytes.clone(), message), bytes.len());
        if !self.is_mute() {
            match noted {
                Noted::Passed => self.append(&bytes, None, message, false),
                Noted::Kept | Noted::TooMuch => self.append(&bytes, None, 0, true),
            }
        }
        noted
    }

    /// Whether more may be sent that has not arrived when it is written.
    pub(crate) fn has_room(&self) -> bool {
        self.managed.as_ref().is_some_and(|managed| managed.has_room())
    }

    /// Stanzas count from here on.
    pub(crate) fn manage(&mut self, managed: Box<Managed>) {
        let managed = self.managed.insert(managed);
        match &mut self.making {
            // What the client sends counts at once.
            Some(making) => making.behind.push_back(Behind::Begin),
            None => managed.begin(),
        }
    }

    fn note(&mut self, what: impl FnOnce() -> What, bytes: usize) -> Noted {
        self.managed.as_mut().map_or(Noted::Passed, |managed| managed.note(what(), bytes))
    }

    fn append(&mut self, bytes: &[u8], parcel: Option<Arc<Parcel>>, message: i64, kept: bool) {
        self.begin();
        let start = self.end();
        self.buffer.extend_from_slice(bytes);
        self.entries.push_back(Entry { start, end: self.end(), parcel, message, kept });
    }

    /// What is to be made while it is written.
    #[must_use]
    pub(crate) fn push_long(&mut self, long: Long) -> Noted {
        if let Some(making) = &mut self.making {
            making.behind.push_back(Behind::Long(long));
            return Noted::Kept;
        }
        let start = self.end();
        let (made, stanzas) = (BytesMut::new(), long.stanzas());
        self.making =
            Some(Box::new(Making { long, start, made, stanzas, behind: VecDeque::new(), bytes: 0 }));
        if self.is_mute() { self.make_all() } else { self.make() }
    }

    /// Makes more, where little waits; when all is made, what waited behind it follows.
    fn make(&mut self) -> Noted {
        if self.making.is_none() || self.buffer.len() >= MADE_BYTES / 2 {
            return Noted::Kept;
        }
        self.begin();
        let until = self.buffer.len() + MADE_BYTES;
        let mut noted = Noted::Kept;
        let mut more = true;
        while more && self.buffer.len() < until {
            let (start, before) = (self.end(), self.buffer.len());
            let Some(making) = &mut self.making else { return noted };
            let step = if making.stanzas > 1 { 1 } else { MADE_BYTES };
            more = making.long.write(&mut self.buffer, step);
            let made = &self.buffer[before..];
            let kept = match making.stanzas > 1 {
                // Each step is a stanza.
                true => {
                    let made = self.managed.as_ref().map(|_| Bytes::copy_from_slice(made));
                    let one = self.note_made(made.unwrap_or_default());
                    noted = noted.worse(one);
                    one != Noted::Passed
                }
                false => {
                    if self.managed.is_some() {
                        making.made.extend_from_slice(made);
                    }
                    false
                }
            };
            self.entries.push_back(Entry { start, end: self.end(), parcel: None, message: 0, kept });
        }
        if more { noted } else { noted.worse(self.made()) }
    }

    fn note_made(&mut self, made: Bytes) -> Noted {
        let bytes = made.len();
        self.note(|| What::Own(made, 0), bytes)
    }

    /// Makes the rest at once, for a session that has no connection to write it to.
    fn make_all(&mut self) -> Noted {
        let mut noted = Noted::Kept;
        let mut more = true;
        let mut bytes = 0;
        while more && bytes < MADE_BYTES_MAX {
            let Some(making) = &mut self.making else { return noted };
            if making.stanzas > 1 {
                let mut made = BytesMut::new();
                more = making.long.write(&mut made, 1);
                bytes += made.len();
                noted = noted.worse(self.note_made(made.freeze()));
            } else {
                more = making.long.write(&mut making.made, MADE_BYTES);
                bytes = making.made.len();
            }
        }
        noted = noted.worse(self.made());
        if more { Noted::TooMuch } else { noted }
    }

    /// All is made: it counts, and what waited behind it follows.
    fn made(&mut self) -> Noted {
        let Some(making) = self.making.take() else { return Noted::Kept };
        let Making { made, behind, stanzas, .. } = *making;
        let mut noted = Noted::Kept;
        if stanzas == 1 {
            noted = self.note_made(made.freeze());
            if noted != Noted::Passed
                && let Some(entry) = self.entries.back_mut()
            {
                // Its last part stands for all of it.
                entry.kept = true;
            }
        }
        for next in behind {
            let next = match next {
                Behind::Word(bytes) => {
                    self.push(&bytes);
                    Noted::Kept
                }
                Behind::Stanza(bytes, message) => self.push_message(bytes, message),
                Behind::Parcel(parcel) => self.push_parcel(parcel),
                Behind::Long(long) => self.push_long(long),
                Behind::Begin => {
                    self.managed.iter_mut().for_each(|managed| managed.begin());
                    Noted::Kept
                }
            };
            noted = noted.worse(next);
        }
        noted
    }

    /// A stanza of somebody else's.
    #[must_use]
    pub(crate) fn push_parcel(&mut self, parcel: Arc<Parcel>) -> Noted {
        if let Some(making) = &mut self.making {
            making.bytes += parcel.bytes();
            making.behind.push_back(Behind::Parcel(parcel));
            return Noted::Kept;
        }
        let bytes = parcel.bytes();
        let noted = self.note(|| What::Parcel(parcel.clone()), bytes);
        if self.is_mute() {
            return noted;
        }
        self.begin();
        let start = self.end();
        parcel.stanza().write(&mut self.buffer);
        let kept = noted != Noted::Passed;
        let parcel = (!kept).then_some(parcel);
        self.entries.push_back(Entry { start, end: self.end(), parcel, message: 0, kept });
        noted
    }

    /// The client has handled all up to `h`.
    pub(crate) fn acknowledge(&mut self, h: u32) -> Result<(), TooHigh> {
        let Some(managed) = &mut self.managed else { return Ok(()) };
        for arrived in managed.acknowledge(h)? {
            match arrived {
                What::Parcel(parcel) => parcel.arrived(),
                What::Own(_, message) => self.message = self.message.max(message),
            }
        }
        Ok(())
    }

    /// A session is resumed here; messages of the account's own store have arrived up to that number.
    pub(crate) fn resume(&mut self, managed: Box<Managed>, message: i64) {
        (self.managed, self.message) = (Some(managed), message);
    }

    /// Writes again what waits for its acknowledgement, on the next connection.
    pub(crate) fn retransmit(&mut self) {
        let again = self.managed.as_ref().map(|managed| managed.again()).unwrap_or_default();
        for bytes in again {
            self.append(&bytes, None, 0, true);
        }
    }

    /// More waits than is kept: what was written has arrived, as far as anybody can tell, and so has the rest when it is
    /// written.
    pub(crate) fn forget(&mut self) {
        let Some(managed) = &mut self.managed else { return };
        let mut forgotten = managed.forget();
        let unwritten: Vec<&mut Entry> = self.entries.iter_mut().filter(|entry| entry.kept).collect();
        let rest = forgotten.split_off(forgotten.len().saturating_sub(unwritten.len()));
        for (entry, what) in unwritten.into_iter().zip(rest) {
            entry.kept = false;
            match what {
                What::Parcel(parcel) => entry.parcel = Some(parcel),
                What::Own(_, message) => entry.message = message,
            }
        }
        for written in forgotten {
            match written {
                What::Parcel(parcel) => parcel.arrived(),
                What::Own(_, message) => self.message = self.message.max(message),
            }
        }
    }

    /// The connection is gone: nothing is written any more, and all that waits, and what comes, waits for the next one.
    pub(crate) fn fall_silent(&mut self) -> Noted {
        self.buffer = BytesMut::new();
        self.entries = VecDeque::new();
        if let Some(managed) = &mut self.managed {
            (managed.mute, managed.requested) = (true, false);
        }
        self.make_all()
    }

    /// What goes over to the connection that resumes the session. What was begun is finished here; `None` where it is
    /// more than can go over.
    pub(crate) fn suspend(&mut self) -> Option<Box<Managed>> {
        self.managed.as_ref()?.resumption?;
        let kept = match self.making.as_ref().is_some_and(|making| making.start < self.written) {
            // All that waits in front of what is made is of it.
            true => self.buffer.clone(),
            false => self.begun(),
        };
        let noted = self.fall_silent();
        self.buffer = kept;
        let end = self.end();
        self.entries.push_back(Entry { start: self.written, end, parcel: None, message: 0, kept: false });
        self.managed.take_if(|_| noted != Noted::TooMuch)
    }

    /// The rest of what was begun to be written.
    fn begun(&self) -> BytesMut {
        let begun = self.entries.front().filter(|entry| entry.start < self.written);
        let rest = begun.map_or(0, |entry| (entry.end - self.written) as usize);
        BytesMut::from(&self.buffer[..rest])
    }

    /// Position in the stream of what is pushed next.
    fn end(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// The first `bytes` were written.
    #[must_use]
    pub(crate) fn advance(&mut self, bytes: usize) -> Noted {
        self.buffer.advance(bytes);
        self.written += bytes as u64;
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.end <= self.written) {
            if let Some(parcel) = entry.parcel {
                parcel.arrived();
            }
            self.message = self.message.max(entry.message);
        }
        let noted = self.make();
        if self.buffer.is_empty() && self.entries.is_empty() {
            self.end_turn();
        }
        noted
    }

    /// Takes out every parcel of which nothing was written, or that the client has not acknowledged; the rest of what was
    /// begun stays, so that what follows on this stream is still XML. Other bytes of ours that waited are gone: they
    /// belonged to this stream.
    pub(crate) fn take_unwritten(&mut self) -> VecDeque<Arc<Parcel>> {
        let mut taken = self.take_kept();
        let mut behind = VecDeque::new();
        if let Some(making) = &mut self.making {
            behind = std::mem::take(&mut making.behind);
            making.bytes = 0;
            if making.start < self.written {
                // It must be written to its end, and all that waits in front of `behind` is of it.
                taken.extend(behind.into_iter().filter_map(Behind::into_parcel));
                return taken;
            }
            self.making = None;
        }
        let begun = self.entries.pop_front_if(|entry| entry.start < self.written);
        let kept = begun.as_ref().map_or(0, |entry| (entry.end - self.written) as usize);
        self.buffer.truncate(kept);
        taken.extend(self.entries.drain(..).filter_map(|entry| entry.parcel));
        self.entries.extend(begun);
        taken.extend(behind.into_iter().filter_map(Behind::into_parcel));
        taken
    }

    /// Takes out what waits for its acknowledgement.
    pub(crate) fn take_kept(&mut self) -> VecDeque<Arc<Parcel>> {
        let kept = self.managed.as_mut().map(|managed| managed.forget()).unwrap_or_default();
        self.entries.iter_mut().for_each(|entry| entry.kept = false);
        kept.into_iter().filter_map(What::into_parcel).collect()
    }

    /// Takes out the messages of the account's own store of which nothing was written.
    pub(crate) fn drop_messages(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        let entries = std::mem::take(&mut self.entries);
        let first = self.written;
        for Entry { start, end, parcel, message, kept } in entries {
            if message != 0 && start >= first {
                continue;
            }
            let bytes = (start.max(first) - first) as usize..(end - first) as usize;
            let kept_from = self.end();
            self.buffer.extend_from_slice(&buffer[bytes]);
            let start = if start < first { start } else { kept_from };
            self.entries.push_back(Entry { start, end: self.end(), parcel, message, kept });
        }
        let gone = (buffer.len() - self.buffer.len()) as u64;
        if let Some(making) = &mut self.making {
            if making.start > first {
                making.start -= gone;
            }
            making.behind.retain(|behind| match behind {
                Behind::Stanza(bytes, message) if *message != 0 => {
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

    /// Takes out every parcel that has not arrived, because nothing can be written any more.
    pub(crate) fn take_all(&mut self) -> VecDeque<Arc<Parcel>> {
        self.buffer = BytesMut::new();
        let kept = self.take_kept().into_iter();
        let behind = self.making.take().into_iter().flat_map(|making| making.behind);
        let entries = std::mem::take(&mut self.entries).into_iter().filter_map(|entry| entry.parcel);
        kept.chain(entries).chain(behind.filter_map(Behind::into_parcel)).collect()
    }
}

impl Behind {
    fn into_parcel(self) -> Option<Arc<Parcel>> {
        match self {
            Behind::Parcel(parcel) => Some(parcel),
            Behind::Word(_) | Behind::Stanza(..) | Behind::Long(_) | Behind::Begin => None,
        }
    }
}

#[cfg(test)]
mod tests;
