//! One checked top-level element: its start tag taken apart, its children as ranges of shared bytes.
//!
//! Invariant: every child's bytes are well-formed inside a parent whose default namespace is `jabber:client` and which
//! declares no prefix but `stream`; whatever the sender declared elsewhere was written into them.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use crate::reader::{Context, read_tree};
use crate::{Attribute, Element, Node, XmlError, ns, writer};

/// One child element of a [`Fragment`], or of other canonical bytes: its expanded name and where it stands in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    name: Box<str>,
    namespace: Box<str>,
    start: usize,
    end: usize,
}

impl Child {
    pub(crate) fn new(
        name: impl Into<Box<str>>,
        namespace: impl Into<Box<str>>,
        range: Range<usize>,
    ) -> Child {
        Child { name: name.into(), namespace: namespace.into(), start: range.start, end: range.end }
    }

    /// Local name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Whether this is the element `name` of `namespace`.
    pub fn is(&self, name: &str, namespace: &str) -> bool {
        *self.name == *name && *self.namespace == *namespace
    }

    /// Where the child's bytes stand in [`Fragment::inner`].
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// The same child where the bytes before it became `by` bytes more (or fewer). Must not move it before 0.
    #[must_use]
    pub fn shifted(&self, by: isize) -> Child {
        let moved = |at: usize| at.saturating_add_signed(by);
        Child { start: moved(self.start), end: moved(self.end), ..self.clone() }
    }
}

/// A whole top-level element, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    name: String,
    namespace: String,
    attributes: Vec<Attribute>,
    inner: Bytes,
    children: Vec<Child>,
}

impl Fragment {
    pub(crate) fn new(
        name: String,
        namespace: String,
        attributes: Vec<Attribute>,
        inner: Bytes,
        children: Vec<Child>,
    ) -> Fragment {
        Fragment { name, namespace, attributes, inner, children }
    }

    /// Local name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Whether this is the element `name` of `namespace`.
    pub fn is(&self, name: &str, namespace: &str) -> bool {
        self.name == name && self.namespace == namespace
    }

    /// Attributes of the start tag, without `xmlns` declarations.
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// The value of the attribute `name` that has no namespace.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        Attribute::find(&self.attributes, name, "")
    }

    /// The value of `xml:lang`.
    pub fn lang(&self) -> Option<&str> {
        Attribute::find(&self.attributes, "lang", ns::XML)
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
            let text = std::str::from_utf8(&self.inner).map_err(|_| XmlError::BadFormat("not UTF-8"))?;
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
        Ok(tree.renamed(self.name.clone(), self.namespace.clone(), self.attributes.clone()))
    }

    /// One child as a tree.
    pub fn child_element(&self, child: &Child) -> Result<Element, XmlError> {
        parse_child(&self.inner, child)
    }

    /// Name, namespace, attributes, [`Fragment::inner`] and [`Fragment::children`].
    pub fn into_parts(self) -> (String, String, Vec<Attribute>, Bytes, Vec<Child>) {
        (self.name, self.namespace, self.attributes, self.inner, self.children)
    }
}

/// One child of canonical bytes as a tree. A child that is not of these bytes is an error or another element.
pub fn parse_child(inner: &Bytes, child: &Child) -> Result<Element, XmlError> {
    if child.start > child.end || child.end > inner.len() {
        return Err(XmlError::NotWellFormed("unexpected end"));
    }
    read_tree(&Context::canonical(), &inner.slice(child.range()))
}

/// Writes elements of our own for a `jabber:client` parent: the bytes, and where each element stands in them.
pub fn compose(children: &[Element]) -> (Bytes, Vec<Child>) {
    let mut out = BytesMut::new();
    let ranges = children.iter().map(|child| compose_child(child, &mut out)).collect();
    (out.freeze(), ranges)
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
