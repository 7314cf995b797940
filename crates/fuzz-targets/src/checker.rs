//! The checker against the reader (xml-rs behind our rules): what it accepts is what the reader accepts and gives.

use std::sync::LazyLock;

use bytes::Bytes;
use rjabberd_xml::{
    Context, Element, Fragment, FrameKind, Framer, Limits, Step, check, read_element, read_header,
};

use crate::xml::check_fragment;

/// Stream headers in whose context frames are judged; the first is the canonical one.
pub(crate) const HEADERS: [&str; 4] = [
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='urn:db' \
     xmlns:c='jabber:client'>",
    "<s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns:stream='urn:other' xmlns:c='jabber:client'>",
    "<stream xmlns='http://etherx.jabber.org/streams' xmlns:q='urn:q'>",
];

static CONTEXTS: LazyLock<Vec<Context>> = LazyLock::new(|| {
    HEADERS.iter().map(|header| read_header(header.as_bytes()).expect("a header").context).collect()
});

/// What became of a frame.
pub(crate) enum Verdict {
    /// The checker and the reader accept it.
    Certain(Fragment),
    /// The checker leaves it to the reader, which accepts it.
    Left,
    /// The reader refuses it; the checker left it to the reader.
    Refused,
}

/// Reads any bytes as one frame, in several namespace contexts.
pub fn checker(data: &[u8]) {
    let frame = Bytes::copy_from_slice(data);
    for nth in 0..HEADERS.len() {
        if let Verdict::Certain(fragment) = judge(nth, &frame) {
            check_fragment(&fragment);
        }
    }
}

/// Judges a frame in the context of the nth header; panics where checker and reader differ.
pub(crate) fn judge(nth: usize, frame: &Bytes) -> Verdict {
    let context = &CONTEXTS[nth];
    match (check(context, frame), read_element(context, frame.clone())) {
        (Some(checked), Ok(read)) => {
            assert_eq!(checked, read, "{:?}", String::from_utf8_lossy(frame));
            assert_is_passed_on(frame, &checked);
            Verdict::Certain(checked)
        }
        (Some(_), Err(error)) => {
            panic!("{error}, but the checker accepts {:?}", String::from_utf8_lossy(frame))
        }
        (None, Ok(_)) => Verdict::Left,
        (None, Err(_)) => Verdict::Refused,
    }
}

/// The sender's bytes stand where the checker says, and a framer sees the same frame.
fn assert_is_passed_on(frame: &Bytes, fragment: &Fragment) {
    let inner = fragment.inner();
    let start = inner.as_ptr() as usize - frame.as_ptr() as usize;
    assert_eq!(frame.get(start..start + inner.len()), Some(&inner[..]), "the sender's bytes are not copied");
    let mut framer = Framer::new();
    assert!(framer.next(&Limits::AUTHENTICATED, b"<r>").is_ok());
    let step = framer.next(&Limits::AUTHENTICATED, frame);
    assert_eq!(step, Ok(Step::Frame { kind: FrameKind::Element, bytes: frame.len() }));
}

/// What a frame that was accepted means, as the referee writes it down: once as it came, once as it is relayed.
pub(crate) fn meanings(nth: usize, frame: &Bytes, fragment: &Fragment) -> [(usize, Vec<u8>, String); 2] {
    let tree = fragment.to_element().expect("an accepted fragment is a tree");
    let relayed = [b"<r>", &fragment.inner()[..], b"</r>"].concat();
    let inside = dump_inside(&tree);
    let whole = format!("{}{inside}>\n", dump_tag(&tree));
    [(nth, frame.to_vec(), whole), (0, relayed, format!("<{{jabber:client}}r\n{inside}>\n"))]
}

/// The same text for the same expanded name and attributes; `expat.py` writes the same.
fn dump_tag(element: &Element) -> String {
    let mut attributes: Vec<String> = element
        .attributes()
        .iter()
        .map(|each| format!("@{{{}}}{}={}:{}\n", each.namespace, each.name, each.value.len(), each.value))
        .collect();
    attributes.sort();
    format!("<{{{}}}{}\n{}", element.namespace(), element.name(), attributes.concat())
}

fn dump_inside(element: &Element) -> String {
    let mut out = String::new();
    for node in element.nodes() {
        match node {
            rjabberd_xml::Node::Element(child) => {
                out.push_str(&dump_tag(child));
                out.push_str(&dump_inside(child));
                out.push_str(">\n");
            }
            rjabberd_xml::Node::Text(text) => out.push_str(&format!("={}:{text}\n", text.len())),
        }
    }
    out
}
