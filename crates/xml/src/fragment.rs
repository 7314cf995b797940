//! One checked top-level element: its start tag taken apart, its children as ranges of shared bytes.
//!
//! Invariant: every child's bytes are well-formed inside a parent whose default namespace is `jabber:client` and which
//! declares no prefix but `stream`; whatever the sender declared elsewhere was written into them.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use crate::child::Child;
use crate::element::Attribute;
use crate::piece::Piece;
use crate::reader::{Context, read_tree};
use crate::{Element, Node, XmlError, ns, writer};

/// A whole top-level element, checked. Cheap: its texts stand in the shared bytes of its frame wherever they can.
#[derive(Clone)]
pub struct Fragment {
    /// The bytes in which name, namespace and attributes may stand.
    frame: Bytes,
    tag: Tag,
    inner: Bytes,
    children: Vec<Child>,
}

/// The start tag of a [`Fragment`].
#[derive(Clone)]
pub(crate) struct Tag {
    pub(crate) name: Piece,
    pub(crate) namespace: Piece,
    pub(crate) attributes: Vec<Attribute<Piece>>,
}

impl Fragment {
    pub(crate) fn new(frame: Bytes, tag: Tag, inner: Bytes, children: Vec<Child>) -> Fragment {
        Fragment { frame, tag, inner, children }
    }

    /// Local name.
    pub fn name(&self) -> &str {
        self.tag.name.text(&self.frame)
    }

    /// Namespace.
    pub fn namespace(&self) -> &str {
        self.tag.namespace.text(&self.frame)
    }

    /// Whether this is the element `name` of `namespace`.
    pub fn is(&self, name: &str, namespace: &str) -> bool {
        self.tag.name.is(name, &self.frame) && self.tag.namespace.is(namespace, &self.frame)
    }

    /// Attributes of the start tag, without `xmlns` declarations.
    pub fn attributes(&self) -> impl ExactSizeIterator<Item = Attribute<&str>> {
        self.tag.attributes.iter().map(|attribute| Attribute {
            namespace: attribute.namespace.text(&self.frame),
            name: attribute.name.text(&self.frame),
            value: attribute.value.text(&self.frame),
        })
    }

    /// The value of the attribute `name` that has no namespace.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attribute_of(name, "")
    }

    /// The value of `xml:lang`.
    pub fn lang(&self) -> Option<&str> {
        self.attribute_of("lang", ns::XML)
    }

    fn attribute_of(&self, name: &str, namespace: &str) -> Option<&str> {
        let is_meant = |attribute: &&Attribute<Piece>| {
            attribute.name.is(name, &self.frame) && attribute.namespace.is(namespace, &self.frame)
        };
        self.tag.attributes.iter().find(is_meant).map(|attribute| attribute.value.text(&self.frame))
    }

    /// The child elements in order.
    pub fn children(&self) -> &[Child] {
        &self.children
    }

    /// What stands between start and end tag (child elements and text), canonical; empty for an empty element.
    pub fn inner(&self) -> &Bytes {
        &self.inner
    }

    /// The element's direct text (not that of its children), unescaped; base64 of SASL stands here.
    pub fn text(&self) -> Result<String, XmlError> {
        if memchr::memchr3(b'<', b'&', b'\r', &self.inner).is_none() {
            let text = std::str::from_utf8(&self.inner).map_err(|_| XmlError::NotUtf8("not UTF-8"))?;
            return Ok(text.to_owned());
        }
        Ok(self.to_element()?.text())
    }

    /// The element as a tree, for what the server itself interprets.
    pub fn to_element(&self) -> Result<Element, XmlError> {
        let mut wrapped = BytesMut::with_capacity(self.inner.len() + "<r></r>".len());
        wrapped.put_slice(b"<r>");
        wrapped.put_slice(&self.inner);
        wrapped.put_slice(b"</r>");
        let tree = read_tree(&Context::canonical(), &wrapped.freeze())?;
        let attributes = self.attributes().map(|attribute| attribute.to_owned()).collect();
        Ok(tree.renamed(self.name().to_owned(), self.namespace().to_owned(), attributes))
    }

    /// One child as a tree.
    pub fn child_element(&self, child: &Child) -> Result<Element, XmlError> {
        parse_child(&self.inner, child)
    }

    /// [`Fragment::inner`] and [`Fragment::children`].
    pub fn into_content(self) -> (Bytes, Vec<Child>) {
        (self.inner, self.children)
    }
}

/// Alike are two that mean the same, however they came to it.
impl PartialEq for Fragment {
    fn eq(&self, other: &Fragment) -> bool {
        self.is(other.name(), other.namespace())
            && self.attributes().eq(other.attributes())
            && self.inner == other.inner
            && self.children == other.children
    }
}

impl Eq for Fragment {}

impl fmt::Debug for Fragment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Fragment")
            .field("name", &self.name())
            .field("namespace", &self.namespace())
            .field("attributes", &self.attributes().collect::<Vec<_>>())
            .field("inner", &self.inner)
            .field("children", &self.children)
            .finish()
    }
}

/// One child of canonical bytes as a tree. A child that is not of these bytes is an error or another element.
pub fn parse_child(inner: &Bytes, child: &Child) -> Result<Element, XmlError> {
    let range = child.range();
    if range.end > inner.len() {
        return Err(XmlError::NotWellFormed("unexpected end"));
    }
    read_tree(&Context::canonical(), &inner.slice(range))
}

/// Writes elements of our own for a `jabber:client` parent: the bytes, and where each element stands in them.
pub fn compose(children: &[Element]) -> (Bytes, Vec<Child>) {
    let mut out = BytesMut::new();
    let ranges = children.iter().map(|child| compose_child(child, &mut out)).collect();
    (out.freeze(), ranges)
}

/// A child that was written into canonical bytes by hand; its name and namespace are known before, and take no memory.
pub fn written_child(name: &'static str, namespace: &'static str, range: std::ops::Range<usize>) -> Child {
    Child::standing_in(Bytes::new(), Piece::Known(name), Piece::Known(namespace), range)
}

/// Writes child nodes for a `jabber:client` parent.
pub(crate) fn compose_nodes(nodes: &[Node]) -> (Bytes, Vec<Child>) {
    let mut out = BytesMut::new();
    let mut children = Vec::new();
    for node in nodes {
        match node {
            Node::Element(element) => children.push(compose_child(element, &mut out)),
            Node::Text(text) => writer::write_text(text, &mut out),
        }
    }
    (out.freeze(), children)
}

fn compose_child(child: &Element, out: &mut BytesMut) -> Child {
    let start = out.len();
    child.write_unprefixed(ns::CLIENT, out);
    Child::new(child.name(), child.namespace(), start..out.len())
}
