//! An element as a tree: only for what the server itself interprets or makes, never for what it passes on.
//!
//! Holds expanded names only; which prefix a sender used is lost, and none is used when writing but where it must be.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{ns, writer};

/// One attribute; `xmlns` declarations are never attributes. Owns its texts, or borrows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<T = String> {
    /// Namespace, empty for an attribute without prefix.
    pub namespace: T,
    /// Local name.
    pub name: T,
    /// Value, unescaped.
    pub value: T,
}

impl Attribute {
    pub(crate) fn find<'a>(attributes: &'a [Attribute], name: &str, namespace: &str) -> Option<&'a str> {
        attributes
            .iter()
            .find(|attribute| attribute.name == name && attribute.namespace == namespace)
            .map(|attribute| attribute.value.as_str())
    }

    /// The same attribute, its texts borrowed.
    pub fn as_ref(&self) -> Attribute<&str> {
        Attribute { namespace: &self.namespace, name: &self.name, value: &self.value }
    }
}

impl Attribute<&str> {
    /// The same attribute with texts of its own.
    pub fn to_owned(&self) -> Attribute {
        Attribute {
            namespace: self.namespace.to_owned(),
            name: self.name.to_owned(),
            value: self.value.to_owned(),
        }
    }
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
    /// Invariant: no text is empty or follows another.
    children: Vec<Node>,
}

impl Element {
    /// An empty element.
    pub fn new(name: impl Into<String>, namespace: impl Into<String>) -> Element {
        Element {
            name: name.into(),
            namespace: namespace.into(),
            attributes: Vec::new(),
            children: Vec::new(),
        }
    }

    pub(crate) fn from_parts(name: String, namespace: String, attributes: Vec<Attribute>) -> Element {
        Element { name, namespace, attributes, children: Vec::new() }
    }

    /// The same children under another start tag.
    pub(crate) fn renamed(self, name: String, namespace: String, attributes: Vec<Attribute>) -> Element {
        Element { name, namespace, attributes, children: self.children }
    }

    /// With an attribute that has no namespace, in place of one of that name.
    #[must_use]
    pub fn with_attribute(self, name: &str, value: impl Into<String>) -> Element {
        self.with_attribute_of(name, "", value)
    }

    /// With an attribute of this namespace, in place of one of that name.
    #[must_use]
    pub fn with_attribute_of(mut self, name: &str, namespace: &str, value: impl Into<String>) -> Element {
        self.attributes.retain(|attribute| attribute.name != name || attribute.namespace != namespace);
        self.attributes.push(Attribute {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            value: value.into(),
        });
        self
    }

    /// With `xml:lang`.
    #[must_use]
    pub fn with_lang(self, lang: impl Into<String>) -> Element {
        self.with_attribute_of("lang", ns::XML, lang)
    }

    /// With a further child element.
    #[must_use]
    pub fn with_child(mut self, child: Element) -> Element {
        self.push(child);
        self
    }

    /// With further text.
    #[must_use]
    pub fn with_text(mut self, text: impl Into<String>) -> Element {
        self.push_node(Node::Text(text.into()));
        self
    }

    /// Adds a child element.
    pub fn push(&mut self, child: Element) {
        self.children.push(Node::Element(child));
    }

    /// Adds a child; text joins the text before it.
    pub fn push_node(&mut self, node: Node) {
        match (node, self.children.last_mut()) {
            (Node::Text(text), _) if text.is_empty() => {}
            (Node::Text(text), Some(Node::Text(before))) => before.push_str(&text),
            (node, _) => self.children.push(node),
        }
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
    pub fn attribute(&self, name: &str) -> Option<&str> {
        Attribute::find(&self.attributes, name, "")
    }

    /// The value of the element's own `xml:lang`.
    pub fn lang(&self) -> Option<&str> {
        Attribute::find(&self.attributes, "lang", ns::XML)
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
    pub fn child(&self, name: &str, namespace: &str) -> Option<&Element> {
        self.children().find(|child| child.is(name, namespace))
    }

    /// The direct text, joined.
    pub fn text(&self) -> String {
        self.children
            .iter()
            .filter_map(|node| match node {
                Node::Text(text) => Some(text.as_str()),
                Node::Element(_) => None,
            })
            .collect()
    }

    /// Writes the element into a parent whose default namespace is `parent_namespace`. Only default namespaces are
    /// declared, but for attributes with a namespace (a made-up prefix) and for `stream` where `parent_namespace` is
    /// that of a stream whose header declared it.
    pub fn write(&self, parent_namespace: &str, out: &mut BytesMut) {
        let of_stream = self.namespace == ns::STREAM && matches!(parent_namespace, ns::CLIENT | ns::SERVER);
        self.write_as(if of_stream { "stream:" } else { "" }, parent_namespace, out);
    }

    /// The same, without leaning on a declaration of `stream` outside.
    pub(crate) fn write_unprefixed(&self, parent_namespace: &str, out: &mut BytesMut) {
        self.write_as("", parent_namespace, out);
    }

    fn write_as(&self, prefix: &str, parent_namespace: &str, out: &mut BytesMut) {
        out.put_u8(b'<');
        out.put_slice(prefix.as_bytes());
        out.put_slice(self.name.as_bytes());
        // A prefixed tag declares no default namespace: that of the parent stays in effect for its children.
        let default = if prefix.is_empty() { self.namespace.as_str() } else { parent_namespace };
        if default != parent_namespace {
            writer::write_attribute("xmlns", default, out);
        }
        self.write_attributes(out);
        if self.children.is_empty() {
            out.put_slice(b"/>");
            return;
        }
        out.put_u8(b'>');
        for node in &self.children {
            match node {
                Node::Element(element) => element.write_as("", default, out),
                Node::Text(text) => writer::write_text(text, out),
            }
        }
        out.put_slice(b"</");
        out.put_slice(prefix.as_bytes());
        out.put_slice(self.name.as_bytes());
        out.put_u8(b'>');
    }

    fn write_attributes(&self, out: &mut BytesMut) {
        let mut prefixed: Vec<&str> = Vec::new();
        for Attribute { namespace, name, value } in &self.attributes {
            match namespace.as_str() {
                "" => writer::write_attribute(name, value, out),
                ns::XML => writer::write_attribute(&format!("xml:{name}"), value, out),
                other => {
                    let nth = prefixed.iter().position(|known| *known == other).unwrap_or_else(|| {
                        prefixed.push(other);
                        let nth = prefixed.len() - 1;
                        writer::write_attribute(&format!("xmlns:ns{nth}"), other, out);
                        nth
                    });
                    writer::write_attribute(&format!("ns{nth}:{name}"), value, out);
                }
            }
        }
    }

    /// The element's bytes inside a stream whose default namespace is `jabber:client`.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::new();
        self.write(ns::CLIENT, &mut out);
        out.freeze()
    }
}
