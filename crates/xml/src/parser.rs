//! xml-rs over one whole frame, in a namespace context, behind our own extra rules.
//!
//! xml-rs takes its source byte by byte and never looks beyond the `>` that ends an event, so the position in the source
//! after a tag is the tag's end, and a reader that has finished an element stands where it stood before it. That makes
//! two things safe that `tests/reuse.rs` holds: byte ranges of elements, and readers that are kept per thread and
//! namespace context. A kept reader has seen nothing but the context's declarations and whole, faultless elements.
//! This module does not build trees and does not know what a stream is.

use std::cell::RefCell;
use std::io::Read;
use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};
use memchr::{memchr, memrchr};
use xml::attribute::OwnedAttribute;
use xml::name::OwnedName;
use xml::namespace::Namespace;
use xml::reader::{Error, ErrorKind, EventReader, ParserConfig, XmlEvent};

use crate::context::Context;
use crate::scan::{is_name_start, is_uri};
use crate::tag::declared_prefixes;
use crate::{Limit, XmlError, names, ns, writer};

/// What xml-rs found; ranges count from the frame's start.
pub(crate) enum Event {
    /// A start tag, or an empty element's only tag.
    Start(Start),
    /// Text, unescaped; pieces may follow each other.
    Text(String),
    /// An end tag; an empty range behind the start tag of an empty element.
    End(Range<usize>),
}

/// A start tag.
pub(crate) struct Start {
    pub(crate) name: OwnedName,
    pub(crate) attributes: Vec<OwnedAttribute>,
    /// The prefixes that the tag itself declares; empty string for the default namespace.
    pub(crate) declares: Vec<String>,
    /// All namespaces in effect.
    pub(crate) namespaces: Namespace,
    pub(crate) range: Range<usize>,
}

/// The reader's own bound, well above what framers let through: xml-rs costs the square of the depth.
const DEPTH_MAX: usize = 256;
/// xml-rs copies all declarations in effect for every start tag: this many in one frame take some 100 ms, and a frame
/// within all other limits could ask for a hundred times as many. 16,384 elements inside 16 declarations are within it.
pub(crate) const NAMESPACES_COPIED_MAX: usize = 1 << 18;
/// No limit of a framer is higher; xml-rs' own defaults are.
const BYTES_MAX: usize = 1 << 24;
/// A reader that read a longer element is not kept: its buffers have grown, and they never shrink.
const KEPT_FRAME_BYTES_MAX: usize = 16 * 1024;
/// Readers kept per thread.
const KEPT_READERS_MAX: usize = 8;

/// The source of an [`EventReader`], filled with one frame at a time.
struct Feed {
    rest: Bytes,
    taken: usize,
}

impl Read for Feed {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let bytes = into.len().min(self.rest.len());
        self.rest.copy_to_slice(&mut into[..bytes]);
        self.taken += bytes;
        Ok(bytes)
    }
}

type Reader = EventReader<Feed>;

thread_local! {
    /// The readers that wait for their next element, the most recently used last.
    static KEPT: RefCell<Vec<(Context, Reader)>> = const { RefCell::new(Vec::new()) };
}

/// Reads a frame that is one element and hands each event to `visit`. Whatever happens but success is final.
pub(crate) fn walk(
    context: &Context,
    frame: &Bytes,
    mut visit: impl FnMut(Event) -> Result<(), XmlError>,
) -> Result<(), XmlError> {
    let text = std::str::from_utf8(frame).map_err(|_| XmlError::NotUtf8("not UTF-8"))?;
    let mut reader = match take_kept(context) {
        Some(reader) => reader,
        None => reader_for(context)?,
    };
    *reader.source_mut() = Feed { rest: frame.clone(), taken: 0 };
    let (mut done, mut depth) = (0, 0);
    // What each open element declares, what all together do, and the sum of that over all start tags.
    let (mut declared, mut in_effect, mut copied) = (Vec::new(), 0, 0);
    loop {
        let event = pull(&mut reader, text)?;
        let at = reader.source().taken;
        match event {
            XmlEvent::StartElement { name, attributes, namespace } => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return Err(XmlError::LimitPassed(Limit::Depth));
                }
                let start = start(text, done..at, name, attributes, namespace)?;
                declared.push(start.declares.len());
                in_effect += start.declares.len();
                copied += in_effect;
                if copied > NAMESPACES_COPIED_MAX {
                    return Err(XmlError::LimitPassed(Limit::Namespaces));
                }
                visit(Event::Start(start))?;
                done = at;
            }
            XmlEvent::EndElement { .. } if depth > 0 => {
                depth -= 1;
                in_effect -= declared.pop().unwrap_or_default();
                let tag = memchr(b'<', &frame[done..at]).map_or(at, |before| done + before);
                visit(Event::End(tag..at))?;
                done = at;
            }
            XmlEvent::Characters(characters) | XmlEvent::Whitespace(characters) if depth > 0 => {
                visit(Event::Text(characters))?;
            }
            XmlEvent::CData(characters) if depth > 0 => {
                visit(Event::Text(characters))?;
                done = at;
            }
            other => return Err(unexpected(&other)),
        }
        if depth == 0 {
            break;
        }
    }
    if done != frame.len() {
        return Err(XmlError::NotWellFormed("bytes after the element"));
    }
    if frame.len() <= KEPT_FRAME_BYTES_MAX {
        keep(context, reader);
    }
    Ok(())
}

/// Reads a lone start tag that opens a document (a stream header without its XML declaration).
pub(crate) fn read_open_tag(frame: &Bytes) -> Result<Start, XmlError> {
    let text = std::str::from_utf8(frame).map_err(|_| XmlError::NotUtf8("not UTF-8"))?;
    let mut reader = new_reader(frame.clone());
    loop {
        match pull(&mut reader, text)? {
            XmlEvent::StartDocument { .. } => {}
            XmlEvent::StartElement { name, attributes, namespace } => {
                let at = reader.source().taken;
                if at != frame.len() {
                    return Err(XmlError::NotWellFormed("bytes after the stream header"));
                }
                if text.ends_with("/>") {
                    return Err(XmlError::NotWellFormed("stream header without content"));
                }
                return start(text, 0..at, name, attributes, namespace);
            }
            other => return Err(unexpected(&other)),
        }
    }
}

fn new_reader(bytes: Bytes) -> Reader {
    // Comments must come to light, and CDATA on its own, so that positions can be told from the source.
    let config = ParserConfig::new()
        .override_encoding(Some(xml::Encoding::Utf8))
        .ignore_comments(false)
        .allow_multiple_root_elements(false)
        .max_entity_expansion_depth(0)
        .max_entity_expansion_length(0)
        .max_attribute_length(BYTES_MAX)
        .max_data_length(BYTES_MAX)
        .max_name_length(BYTES_MAX);
    config.create_reader(Feed { rest: bytes, taken: 0 })
}

/// A reader that stands inside an element that declares the context's namespaces.
fn reader_for(context: &Context) -> Result<Reader, XmlError> {
    let mut header = BytesMut::from("<r");
    for (prefix, namespace) in context.declarations() {
        let name = if prefix.is_empty() { "xmlns".to_owned() } else { format!("xmlns:{prefix}") };
        writer::write_attribute(&name, namespace, &mut header);
    }
    header.extend_from_slice(b">");
    let mut reader = new_reader(header.freeze());
    loop {
        match reader.next() {
            Ok(XmlEvent::StartDocument { .. }) => {}
            Ok(XmlEvent::StartElement { .. }) => return Ok(reader),
            _ => return Err(XmlError::NotWellFormed("namespace context")),
        }
    }
}

fn take_kept(context: &Context) -> Option<Reader> {
    KEPT.with_borrow_mut(|kept| {
        let at = kept.iter().rposition(|(of, _)| of == context)?;
        Some(kept.remove(at).1)
    })
}

fn keep(context: &Context, mut reader: Reader) {
    *reader.source_mut() = Feed { rest: Bytes::new(), taken: 0 };
    KEPT.with_borrow_mut(|kept| {
        if kept.len() >= KEPT_READERS_MAX {
            kept.remove(0);
        }
        kept.push((context.clone(), reader));
    });
}

fn pull(reader: &mut Reader, text: &str) -> Result<XmlEvent, XmlError> {
    reader.next().map_err(|error| {
        let read = text.as_bytes().get(..reader.source().taken).unwrap_or_default();
        refusal(&error, read)
    })
}

/// Our own rules for a start tag; `gap` is what the source gave since the last tag, the tag being its end.
fn start(
    text: &str,
    gap: Range<usize>,
    name: OwnedName,
    attributes: Vec<OwnedAttribute>,
    namespaces: Namespace,
) -> Result<Start, XmlError> {
    let open = memchr(b'<', &text.as_bytes()[gap.clone()]).map_or(gap.start, |before| gap.start + before);
    let range = open..gap.end;
    let tag = text.get(range.clone()).unwrap_or_default();
    if memrchr(b'<', tag.as_bytes()) != Some(0) {
        return Err(XmlError::NotWellFormed("< in an attribute value"));
    }
    let declares: Vec<String> = declared_prefixes(tag).into_iter().map(str::to_owned).collect();
    for (nth, prefix) in declares.iter().enumerate() {
        if declares[..nth].contains(prefix) {
            return Err(XmlError::NotWellFormed("duplicate namespace declaration"));
        }
        check_declaration(prefix, namespaces.get(prefix).unwrap_or_default())?;
    }
    check_name(&name)?;
    attributes.iter().try_for_each(|attribute| check_name(&attribute.name))?;
    Ok(Start { name, attributes, declares, namespaces, range })
}

/// Namespaces in XML 1.0, 3 and 6: nobody binds `xml` or `xmlns`, nobody else has their namespaces, and a prefix is
/// never bound to nothing.
pub(crate) fn check_declaration(prefix: &str, namespace: &str) -> Result<(), XmlError> {
    if prefix == "xml" || prefix == "xmlns" {
        return Err(XmlError::NotWellFormed("reserved prefix"));
    }
    if namespace == ns::XML || namespace == ns::XMLNS {
        return Err(XmlError::NotWellFormed("reserved namespace"));
    }
    if !prefix.is_empty() && !names::is_name(prefix) {
        return Err(XmlError::NotWellFormed("name"));
    }
    if !prefix.is_empty() && namespace.is_empty() {
        return Err(XmlError::NotWellFormed("prefix bound to nothing"));
    }
    if !namespace.bytes().all(is_uri) {
        return Err(XmlError::NotWellFormed("namespace name"));
    }
    Ok(())
}

fn check_name(name: &OwnedName) -> Result<(), XmlError> {
    if names::is_name(&name.local_name) && name.prefix.as_deref().is_none_or(names::is_name) {
        Ok(())
    } else {
        Err(XmlError::NotWellFormed("name"))
    }
}

fn unexpected(event: &XmlEvent) -> XmlError {
    match event {
        XmlEvent::Comment(_) => XmlError::Restricted("comment"),
        XmlEvent::ProcessingInstruction { .. } => XmlError::Restricted("processing instruction"),
        XmlEvent::Doctype { .. } => XmlError::Restricted("document type declaration"),
        XmlEvent::Characters(_) | XmlEvent::Whitespace(_) | XmlEvent::CData(_) => {
            XmlError::NotWellFormed("text outside an element")
        }
        _ => XmlError::NotWellFormed("end tag"),
    }
}

/// What to tell of an error of xml-rs; `read` is what it had read by then.
fn refusal(error: &Error, read: &[u8]) -> XmlError {
    if ends_in_entity(read) {
        return XmlError::Restricted("entity reference");
    }
    let ErrorKind::Syntax(told) = error.kind() else {
        return XmlError::NotWellFormed("unexpected end");
    };
    XmlError::NotWellFormed(match told.split(' ').take(2).collect::<Vec<_>>()[..] {
        ["Unexpected", "end"] => "unexpected end",
        ["Unexpected", "closing"] => "end tag does not match",
        ["Attribute", _] if told.ends_with("redefined") => "duplicate attribute",
        ["Element" | "Attribute", _] => "undeclared prefix",
        ["Invalid", "character"] => "character that XML forbids",
        ["Invalid", "numeric"] | ["Encountered", "empty"] => "character reference",
        ["Cannot", "undefine"] => "prefix bound to nothing",
        ["Cannot", "redefine"] | ["Default", "XMLNS"] => "reserved prefix",
        ["Namespace", _] => "reserved namespace",
        [_, "cannot"] => "reserved prefix",
        _ => "syntax",
    })
}

/// Whether the last thing read is `&name;` with a name that XML does not predefine (RFC 6120, 11.1).
fn ends_in_entity(read: &[u8]) -> bool {
    let Some((b';', rest)) = read.split_last() else { return false };
    let Some(name) = memrchr(b'&', rest).and_then(|before| rest.get(before + 1..)) else { return false };
    name.first().is_some_and(|&first| is_name_start(first))
        && name.iter().all(|&byte| crate::scan::is_name(byte))
        && !matches!(name, b"lt" | b"gt" | b"amp" | b"apos" | b"quot")
}
