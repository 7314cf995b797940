//! An element as a tree: only for what the server itself interprets or makes, never for what it passes on.

use bytes::{Bytes, BytesMut};

/// One attribute; `xmlns` declarations are never attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Namespace, empty for an attribute without prefix.
    pub namespace: String,
    /// Local name.
    pub name: String,
    /// Value, unescaped.
    pub value: String,
}

/// A child of an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A child element.
    Element(Element),
    /// Text, unescaped.
    Text(String),
}

/// An element with its namespace, attributes and children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    name: String,
    namespace: String,
    attributes: Vec<Attribute>,
    children: Vec<Node>,
}

impl Element {
    /// An empty element.
    pub fn new(name: impl Into<String>, namespace: impl Into<String>) -> Element {
        Element { name: name.into(), namespace: namespace.into(), attributes: Vec::new(), children: Vec::new() }
    }
    /// With an attribute that has no namespace.
    #[must_use]
    pub fn with_attribute(self, _name: &str, _value: impl Into<String>) -> Element {
        todo!()
    }
    /// With a further child element.
    #[must_use]
    pub fn with_child(self, _child: Element) -> Element {
        todo!()
    }
    /// With further text.
    #[must_use]
    pub fn with_text(self, _text: impl Into<String>) -> Element {
        todo!()
    }
    /// Adds a child element.
    pub fn push(&mut self, _child: Element) {
        todo!()
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
    /// The value of the attribute `name` that has no namespace.
    pub fn attribute(&self, _name: &str) -> Option<&str> {
        todo!()
    }
    /// All attributes.
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }
    /// All children in order.
    pub fn nodes(&self) -> &[Node] {
        &self.children
    }
    /// The child elements in order.
    pub fn children(&self) -> impl Iterator<Item = &Element> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }
    /// The first child element `name` of `namespace`.
    pub fn child(&self, _name: &str, _namespace: &str) -> Option<&Element> {
        todo!()
    }
    /// The direct text, joined.
    pub fn text(&self) -> String {
        todo!()
    }
    /// Writes the element into a parent whose default namespace is `parent_namespace`. Only default namespaces are
    /// declared, but for attributes with a namespace (a made-up prefix) and for `stream` where `parent_namespace` is
    /// that of a stream whose header declared it.
    pub fn write(&self, _parent_namespace: &str, _out: &mut BytesMut) {
        todo!()
    }
    /// The element's bytes inside a stream whose default namespace is `jabber:client`.
    pub fn to_bytes(&self) -> Bytes {
        todo!()
    }
}
