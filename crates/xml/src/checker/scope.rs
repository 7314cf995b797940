//! The namespaces in effect at one place of a frame (Namespaces in XML 1.0, 6), and what may be relayed with them.

use memchr::memchr;
use smallvec::SmallVec;

use super::name::Place;
use crate::Limits;
use crate::context::Context;
use crate::ns;
use crate::parser::{NAMESPACES_COPIED_MAX, check_declaration};
use crate::piece::Piece;

/// As many as framers let through in one start tag; more are the reader's.
const NAMESPACES_MAX: usize = Limits::AUTHENTICATED.namespaces_max as usize;

/// The declarations of open elements, on top of those of the stream header.
pub(super) struct Scope<'a> {
    context: &'a Context,
    /// Open elements.
    depth: usize,
    /// Declarations in effect, summed over all start tags: the reader has a bound for them.
    copied: usize,
    /// In the order in which they stand in the frame.
    declared: SmallVec<[Declaration<'a>; 8]>,
}

struct Declaration<'a> {
    /// Of the element that declares it, the top-level element being 1.
    depth: usize,
    /// Empty for the default namespace.
    prefix: &'a str,
    namespace: &'a str,
    /// Where the namespace stands in the frame.
    place: Place,
}

/// What a name's prefix means.
pub(super) struct Meaning<'a> {
    namespace: &'a str,
    origin: Origin,
}

enum Origin {
    /// Declared in the frame, by an element of this depth.
    Element { depth: usize, place: Place },
    /// Declared by the stream header, or the lack of a default namespace.
    Header,
    /// The prefix `xml`, which nobody declares.
    Xml,
}

impl<'a> Scope<'a> {
    pub(super) fn new(context: &'a Context) -> Scope<'a> {
        Scope { context, depth: 0, copied: 0, declared: SmallVec::new() }
    }

    /// An element opens; [`Scope::declare`] tells what it declares.
    pub(super) fn open(&mut self) {
        self.depth += 1;
    }

    /// The innermost element's start tag ends.
    pub(super) fn opened(&mut self) -> Option<()> {
        self.copied += self.declared.len();
        (self.copied <= NAMESPACES_COPIED_MAX).then_some(())
    }

    /// The innermost element ends, and what it declared with it.
    pub(super) fn close(&mut self) {
        let outside = self.declared.iter().rposition(|declaration| declaration.depth < self.depth);
        self.declared.truncate(outside.map_or(0, |last| last + 1));
        self.depth -= 1;
    }

    /// A declaration of the innermost element, its namespace as it is written and where.
    pub(super) fn declare(&mut self, prefix: &'a str, namespace: &'a str, place: Place) -> Option<()> {
        check_declaration(prefix, namespace).ok()?;
        // `&amp;` would have to be unescaped. xml-rs takes these two for prefixes that somebody wants to redefine.
        if memchr(b'&', namespace.as_bytes()).is_some()
            || (prefix.is_empty() && matches!(namespace, "xml" | "xmlns"))
        {
            return None;
        }
        let depth = self.depth;
        let of_this = self.declared.iter().rev().take_while(|known| known.depth == depth).count();
        if of_this >= NAMESPACES_MAX {
            return None;
        }
        let is_other = |known: &Declaration<'_>| known.depth != depth || known.prefix != prefix;
        self.declared.iter().all(is_other).then(|| {
            self.declared.push(Declaration { depth, prefix, namespace, place });
        })
    }

    /// The namespace of an element's prefix. xml-rs knows no element in the namespaces of XML itself.
    pub(super) fn of_element(&self, prefix: &str) -> Option<Meaning<'a>> {
        self.meaning(prefix).filter(|meaning| !matches!(meaning.origin, Origin::Xml))
    }

    /// The namespace of an attribute's prefix.
    pub(super) fn meaning(&self, prefix: &str) -> Option<Meaning<'a>> {
        if prefix == "xml" {
            return Some(Meaning { namespace: ns::XML, origin: Origin::Xml });
        }
        if let Some(found) = self.declared.iter().rev().find(|known| known.prefix == prefix) {
            let origin = Origin::Element { depth: found.depth, place: found.place };
            return Some(Meaning { namespace: found.namespace, origin });
        }
        let namespace = match prefix {
            "" => self.context.default_namespace(),
            _ => self.context.namespace(prefix)?,
        };
        Some(Meaning { namespace, origin: Origin::Header })
    }
}

impl<'a> Meaning<'a> {
    pub(super) fn namespace(&self) -> &'a str {
        self.namespace
    }

    /// Whether a name inside the top-level element that is written with this prefix means the same in the canonical
    /// context; the reader's `TakeApart` decides the same.
    pub(super) fn stands_alone(&self, prefix: &str) -> bool {
        match self.origin {
            Origin::Xml | Origin::Element { depth: 2.., .. } => true,
            _ if prefix.is_empty() => self.namespace == ns::CLIENT,
            Origin::Header => prefix == "stream" && self.namespace == ns::STREAM,
            Origin::Element { .. } => false,
        }
    }

    pub(super) fn piece(&self) -> Piece {
        match self.origin {
            Origin::Element { place, .. } => place.piece(),
            Origin::Header | Origin::Xml => Piece::own(self.namespace),
        }
    }
}
