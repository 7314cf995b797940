//! Reads one whole frame with xml-rs, in the namespace context of its stream, under our own extra rules.
//!
//! An element is checked and taken apart in one pass that builds no tree (`TakeApart`): its start tag, the ranges of its
//! children, and whether the sender's bytes may be passed on as they are. It knows nothing of stanzas.

use std::cell::RefCell;

use bytes::Bytes;
use xml::attribute::OwnedAttribute;

pub use crate::context::Context;
use crate::fragment::{Tag, compose_nodes};
use crate::parser::{Event, Start, read_open_tag, walk};
use crate::piece::Piece;
use crate::scan::is_space;
use crate::{Attribute, Child, Element, Fragment, Node, XmlError, ns};

/// A stream header as the peer wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Local name of the root element (`stream`).
    pub name: String,
    /// Namespace of the root element, empty if none.
    pub namespace: String,
    /// Prefix of the root element as written, empty if none.
    pub prefix: String,
    /// Attributes, without `xmlns` declarations.
    pub attributes: Vec<Attribute>,
    /// The declared namespaces.
    pub context: Context,
}

/// Headers kept per thread.
const KEPT_HEADERS_MAX: usize = 8;
/// A longer header is not kept.
const KEPT_HEADER_BYTES_MAX: usize = 512;

thread_local! {
    /// The headers that were read last, the most recent last, as they came: nearly every client sends the same two.
    static HEADERS: RefCell<Vec<(Box<[u8]>, Header)>> = const { RefCell::new(Vec::new()) };
}

/// Reads a frame of kind [`crate::FrameKind::StreamOpen`].
pub fn read_header(bytes: &[u8]) -> Result<Header, XmlError> {
    let kept = HEADERS.with_borrow(|kept| {
        kept.iter().rfind(|(text, _)| **text == *bytes).map(|(_, header)| header.clone())
    });
    if let Some(header) = kept {
        return Ok(header);
    }
    let header = parse_header(bytes)?;
    if bytes.len() <= KEPT_HEADER_BYTES_MAX {
        HEADERS.with_borrow_mut(|kept| {
            if kept.len() >= KEPT_HEADERS_MAX {
                kept.remove(0);
            }
            kept.push((bytes.into(), header.clone()));
        });
    }
    Ok(header)
}

fn parse_header(bytes: &[u8]) -> Result<Header, XmlError> {
    let text = std::str::from_utf8(bytes).map_err(|_| XmlError::NotUtf8("not UTF-8"))?;
    let tag = text[check_declaration(text)?..].trim_start_matches([' ', '\t', '\r', '\n']);
    let start = read_open_tag(&Bytes::copy_from_slice(tag.as_bytes()))?;
    let declared =
        start.declares.iter().map(|prefix| (&**prefix, start.namespaces.get(prefix).unwrap_or_default()));
    let context = Context::new(declared.filter(|(_, namespace)| !namespace.is_empty()));
    Ok(Header {
        name: start.name.local_name,
        namespace: start.name.namespace.unwrap_or_default(),
        prefix: start.name.prefix.unwrap_or_default(),
        attributes: start.attributes.into_iter().map(attribute).collect(),
        context,
    })
}

/// Checks an XML declaration at the start of `text`, if there is one, and says where it ends. xml-rs never sees it: it
/// takes version 1.1 and encodings that we do not.
fn check_declaration(text: &str) -> Result<usize, XmlError> {
    const MALFORMED: XmlError = XmlError::NotWellFormed("XML declaration");
    let Some(rest) = text.strip_prefix("<?xml") else { return Ok(0) };
    let (mut body, _) = rest.split_once("?>").ok_or(MALFORMED)?;
    let end = "<?xml?>".len() + body.len();
    let mut expected = ["version", "encoding", "standalone"].as_slice();
    loop {
        let stripped = body.trim_start_matches(|character| u8::try_from(character).is_ok_and(is_space));
        if stripped.is_empty() {
            break;
        }
        if stripped.len() == body.len() {
            return Err(MALFORMED);
        }
        let (name, rest) = stripped.split_once('=').ok_or(MALFORMED)?;
        let (name, rest) = (
            name.trim_end_matches([' ', '\t', '\r', '\n']),
            rest.trim_start_matches([' ', '\t', '\r', '\n']),
        );
        let quote = rest.chars().next().filter(|first| matches!(first, '"' | '\'')).ok_or(MALFORMED)?;
        let (value, rest) = rest[1..].split_once(quote).ok_or(MALFORMED)?;
        let nth = expected.iter().position(|&known| known == name).ok_or(MALFORMED)?;
        // The version is not optional (XML 1.0, 2.8).
        if expected.len() == 3 && nth != 0 {
            return Err(MALFORMED);
        }
        expected = &expected[nth + 1..];
        match name {
            "version" if value != "1.0" => return Err(XmlError::NotWellFormed("XML version")),
            "encoding" if !value.eq_ignore_ascii_case("utf-8") => return Err(XmlError::UnsupportedEncoding),
            "standalone" if !matches!(value, "yes" | "no") => return Err(MALFORMED),
            _ => {}
        }
        body = rest;
    }
    if expected.len() == 3 { Err(MALFORMED) } else { Ok(end) }
}

/// Reads a frame of kind [`crate::FrameKind::Element`]: checks it whole, and gives it in canonical form.
pub fn read_element(context: &Context, bytes: Bytes) -> Result<Fragment, XmlError> {
    let mut parts = TakeApart::default();
    walk(context, &bytes, |event| {
        parts.on(event);
        Ok(())
    })?;
    let inner = bytes.slice(parts.inner_start..parts.inner_end);
    let (inner, children) = if parts.must_rewrite {
        compose_nodes(read_tree(context, &bytes)?.nodes())
    } else {
        let moved = parts.inner_start as isize;
        (inner, parts.children.iter().map(|child| child.shifted(-moved)).collect())
    };
    let own = |attribute: Attribute| Attribute {
        namespace: Piece::own(attribute.namespace),
        name: Piece::own(attribute.name),
        value: Piece::own(attribute.value),
    };
    let tag = Tag {
        name: Piece::own(parts.name),
        namespace: Piece::own(parts.namespace),
        attributes: parts.attributes.into_iter().map(own).collect(),
    };
    Ok(Fragment::new(Bytes::new(), tag, inner, children))
}

/// Reads one element as a tree.
pub(crate) fn read_tree(context: &Context, bytes: &Bytes) -> Result<Element, XmlError> {
    let mut open: Vec<Element> = Vec::new();
    let mut whole = None;
    walk(context, bytes, |event| {
        match event {
            Event::Start(start) => open.push(Element::from_parts(
                start.name.local_name,
                start.name.namespace.unwrap_or_default(),
                start.attributes.into_iter().map(attribute).collect(),
            )),
            Event::Text(text) => {
                if let Some(element) = open.last_mut() {
                    element.push_node(Node::Text(text));
                }
            }
            Event::End(_) => match (open.pop(), open.last_mut()) {
                (Some(element), Some(parent)) => parent.push(element),
                (element, _) => whole = element,
            },
        }
        Ok(())
    })?;
    whole.ok_or(XmlError::NotWellFormed("unexpected end"))
}

fn attribute(read: OwnedAttribute) -> Attribute {
    Attribute {
        namespace: read.name.namespace.unwrap_or_default(),
        name: read.name.local_name,
        value: read.value,
    }
}

/// The top-level element as far as it has been read.
#[derive(Default)]
struct TakeApart {
    name: String,
    namespace: String,
    attributes: Vec<Attribute>,
    inner_start: usize,
    inner_end: usize,
    children: Vec<Child>,
    /// Name, namespace and start of the child that is open.
    child: (String, String, usize),
    depth: usize,
    /// The prefixes declared by open elements, with their depth.
    declared: Vec<(usize, String)>,
    /// Whether a child leans on a declaration that stands neither in it nor in the canonical context.
    must_rewrite: bool,
}

impl TakeApart {
    fn on(&mut self, event: Event) {
        match event {
            Event::Start(start) => self.start(start),
            Event::Text(_) => {}
            Event::End(range) => self.end(range.start, range.end),
        }
    }

    fn start(&mut self, start: Start) {
        self.depth += 1;
        let depth = self.depth;
        let Start { name, attributes, declares, range, .. } = start;
        self.declared.extend(declares.into_iter().map(|prefix| (depth, prefix)));
        if depth > 1 && !self.must_rewrite {
            let used = name.prefix.as_deref().unwrap_or_default();
            let mut stands = self.stands_alone(used, name.namespace.as_deref().unwrap_or_default());
            for attribute in attributes.iter().map(|attribute| &attribute.name) {
                if let (Some(prefix), Some(namespace)) = (&attribute.prefix, &attribute.namespace) {
                    stands &= self.stands_alone(prefix, namespace);
                }
            }
            self.must_rewrite = !stands;
        }
        match depth {
            1 => {
                self.name = name.local_name;
                self.namespace = name.namespace.unwrap_or_default();
                self.attributes = attributes.into_iter().map(attribute).collect();
                self.inner_start = range.end;
            }
            2 => self.child = (name.local_name, name.namespace.unwrap_or_default(), range.start),
            _ => {}
        }
    }

    fn end(&mut self, tag_start: usize, tag_end: usize) {
        match self.depth {
            1 => self.inner_end = tag_start,
            2 => {
                let (name, namespace, start) = std::mem::take(&mut self.child);
                self.children.push(Child::new(name, namespace, start..tag_end));
            }
            _ => {}
        }
        let depth = self.depth;
        self.declared.retain(|(of, _)| *of < depth);
        self.depth -= 1;
    }

    /// Whether a name inside a child means the same in the canonical context.
    fn stands_alone(&self, prefix: &str, namespace: &str) -> bool {
        let declared_in =
            self.declared.iter().rev().find(|(_, declared)| declared == prefix).map(|(depth, _)| *depth);
        match (prefix, declared_in) {
            ("xml", _) | (_, Some(2..)) => true,
            ("", _) => namespace == ns::CLIENT,
            ("stream", None) => namespace == ns::STREAM,
            _ => false,
        }
    }
}
