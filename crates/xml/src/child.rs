//! One child element of canonical bytes: its expanded name, and where it stands in them.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use crate::piece::Piece;

/// One child element of a [`crate::Fragment`], or of other canonical bytes.
#[derive(Clone)]
pub struct Child {
    /// The bytes that hold its name and namespace; empty where these have bytes of their own.
    bytes: Bytes,
    name: Piece,
    namespace: Piece,
    start: usize,
    end: usize,
}

impl Child {
    pub(crate) fn new(
        name: impl Into<Box<str>> + AsRef<str>,
        namespace: impl Into<Box<str>> + AsRef<str>,
        range: Range<usize>,
    ) -> Child {
        Child::standing_in(Bytes::new(), Piece::own(name), Piece::own(namespace), range)
    }

    /// A child whose name and namespace may stand in `bytes`.
    pub(crate) fn standing_in(bytes: Bytes, name: Piece, namespace: Piece, range: Range<usize>) -> Child {
        Child { bytes, name, namespace, start: range.start, end: range.end }
    }

    /// Says where the child stands, once it is known.
    pub(crate) fn stand_at(&mut self, range: Range<usize>) {
        (self.start, self.end) = (range.start, range.end);
    }

    /// Local name.
    pub fn name(&self) -> &str {
        self.name.text(&self.bytes)
    }

    /// Namespace.
    pub fn namespace(&self) -> &str {
        self.namespace.text(&self.bytes)
    }

    /// Whether this is the element `name` of `namespace`.
    pub fn is(&self, name: &str, namespace: &str) -> bool {
        self.name.is(name, &self.bytes) && self.namespace.is(namespace, &self.bytes)
    }

    /// Where the child's bytes stand in [`crate::Fragment::inner`].
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// The same child where the bytes before it became `by` bytes more (or fewer). Must not move it before 0. It does
    /// not hold on to the bytes that it was read from.
    #[must_use]
    pub fn shifted(&self, by: isize) -> Child {
        let moved = |at: usize| at.saturating_add_signed(by);
        Child::new(self.name(), self.namespace(), moved(self.start)..moved(self.end))
    }
}

/// Alike are two that mean the same and stand in the same place.
impl PartialEq for Child {
    fn eq(&self, other: &Child) -> bool {
        self.is(other.name(), other.namespace()) && self.range() == other.range()
    }
}

impl Eq for Child {}

impl fmt::Debug for Child {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{{{}}}{} at {:?}", self.namespace(), self.name(), self.range())
    }
}
