//! The namespaces in effect at one place of a frame (Namespaces in XML 1.0, 6), and what may be relayed with them.

use smallvec::SmallVec;

use super::name::{Name, Place};
use crate::context::Context;
use crate::ns;
use crate::parser::check_declaration;
use crate::piece::Piece;

/// The declarations of open elements, on top of those of the stream header.
pub(super) struct Scope<'a> {
    context: &'a Context,
    frame: &'a [u8],
    /// Open elements.
    depth: usize,
    /// In the order in which they stand in the frame.
    declared: SmallVec<[Declaration; 8]>,
}

struct Declaration {
    /// Of the element that declares it, the top-level element being 1.
    depth: usize,
    /// Empty for the default namespace.
    prefix: Place,
    namespace: Place,
}

/// What a name's prefix means.
pub(super) struct Meaning<'a> {
    namespace: &'a [u8],
    origin: Origin,
}

enum Origin {
    /// Declared in the frame, by an element of this depth.
    Element { depth: usize, namespace: Place },
    /// Declared by the stream header, or the lack of a default namespace.
    Header,
    /// The prefix `xml`, which nobody declares.
    Xml,
}

impl<'a> Scope<'a> {
    pub(super) fn new(context: &'a Context, frame: &'a [u8]) -> Scope<'a> {
        Scope { context, frame, depth: 0, declared: SmallVec::new() }
    }

    /// An element opens.
    pub(super) fn open(&mut self) {
        self.depth += 1;
    }

    /// The innermost element ends, and what it declared with it.
    pub(super) fn close(&mut self) {
        let outside = self.declared.iter().rposition(|declaration| declaration.depth < self.depth);
        self.declared.truncate(outside.map_or(0, |last| last + 1));
        self.depth -= 1;
    }

    /// A declaration of the innermost element, its namespace as it is written.
    pub(super) fn declare(&mut self, prefix: Place, namespace: Place) -> Option<()> {
        let text = |place| std::str::from_utf8(self.bytes(place)).ok();
        let (name, written) = (text(prefix)?, text(namespace)?);
        check_declaration(name, written).ok()?;
        // `&amp;` would have to be unescaped. xml-rs takes these two for prefixes that somebody wants to redefine.
        if written.contains('&') || (name.is_empty() && matches!(written, "xml" | "xmlns")) {
            return None;
        }
        let is_other =
            |known: &Declaration| known.depth != self.depth || self.bytes(known.prefix) != name.as_bytes();
        self.declared.iter().all(is_other).then(|| {
            self.declared.push(Declaration { depth: self.depth, prefix, namespace });
        })
    }

    fn bytes(&self, place: Place) -> &'a [u8] {
        place.of(self.frame)
    }

    /// The namespace of an element's name. xml-rs knows no element in the namespaces of XML itself.
    pub(super) fn of_element(&self, name: Name) -> Option<Meaning<'a>> {
        self.meaning(name.prefix(self.frame)).filter(|meaning| !matches!(meaning.origin, Origin::Xml))
    }

    /// The namespace of an attribute's prefix.
    pub(super) fn meaning(&self, prefix: &[u8]) -> Option<Meaning<'a>> {
        if prefix == b"xml" {
            return Some(Meaning { namespace: ns::XML.as_bytes(), origin: Origin::Xml });
        }
        let is_meant = |declaration: &&Declaration| self.bytes(declaration.prefix) == prefix;
        if let Some(found) = self.declared.iter().rev().find(is_meant) {
            let origin = Origin::Element { depth: found.depth, namespace: found.namespace };
            return Some(Meaning { namespace: self.bytes(found.namespace), origin });
        }
        let namespace = match prefix {
            b"" => self.context.default_namespace(),
            _ => self.context.namespace(std::str::from_utf8(prefix).ok()?)?,
        };
        Some(Meaning { namespace: namespace.as_bytes(), origin: Origin::Header })
    }
}

impl<'a> Meaning<'a> {
    pub(super) fn namespace(&self) -> &'a [u8] {
        self.namespace
    }

    /// Whether a name inside the top-level element that is written with this prefix means the same in the canonical
    /// context; the reader's `TakeApart` decides the same.
    pub(super) fn stands_alone(&self, prefix: &[u8]) -> bool {
        match self.origin {
            Origin::Xml | Origin::Element { depth: 2.., .. } => true,
            _ if prefix.is_empty() => self.namespace == ns::CLIENT.as_bytes(),
            Origin::Header => prefix == b"stream" && self.namespace == ns::STREAM.as_bytes(),
            Origin::Element { .. } => false,
        }
    }

    pub(super) fn piece(&self) -> Piece {
        match self.origin {
            Origin::Element { namespace, .. } => namespace.piece(),
            Origin::Header | Origin::Xml => Piece::own(String::from_utf8_lossy(self.namespace)),
        }
    }
}
