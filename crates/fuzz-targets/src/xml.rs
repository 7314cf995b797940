//! Targets of `rjabberd_xml`: chunking changes nothing, what was accepted is canonical and survives writing.

use bytes::{Bytes, BytesMut};
use rjabberd_xml::{
    Attribute, Context, Element, Fragment, FrameKind, Framer, Header, Limits, Node, Step, XmlError, compose,
    parse_child, read_element, read_header,
};

/// Small ones, so that short inputs reach them.
const LIMITS: Limits = Limits {
    header_bytes_max: 1_024,
    element_bytes_max: 2_048,
    elements_max: 24,
    depth_max: 12,
    attributes_max: 8,
    namespaces_max: 6,
};

type Frames = (Vec<(FrameKind, Vec<u8>)>, Result<(), XmlError>);

/// Reads a whole stream: the first byte says how it is cut, the rest is what the peer sent.
pub fn framer_and_reader(data: &[u8]) {
    let Some((&cut, stream)) = data.split_first() else { return };
    let (frames, end) = frame(stream, stream.len().max(1));
    for chunk in [1, 2 + usize::from(cut)] {
        assert_eq!(frame(stream, chunk), (frames.clone(), end.clone()), "cut into {chunk}");
    }
    let mut context = Context::canonical();
    for (kind, bytes) in frames {
        match kind {
            FrameKind::StreamOpen => match read_header(&bytes) {
                Ok(header) => context = header.context,
                Err(_) => return,
            },
            FrameKind::Element => match read_element(&context, Bytes::from(bytes)) {
                Ok(fragment) => check_fragment(&fragment),
                // An error is final; the next reading is none of this stream's business.
                Err(_) => return,
            },
            FrameKind::StreamClose => {}
        }
    }
}

/// Reads bytes as a stream header and as an element, without a framer in front.
pub fn header(data: &[u8]) {
    if let Ok(header) = read_header(data) {
        check_header(data, &header);
    }
    if let Ok(fragment) = read_element(&Context::canonical(), Bytes::copy_from_slice(data)) {
        check_fragment(&fragment);
        // The framer sees the same single frame.
        let mut framer = Framer::new();
        let limits = Limits {
            depth_max: 256,
            attributes_max: u16::MAX,
            namespaces_max: u16::MAX,
            ..Limits::AUTHENTICATED
        };
        if data.len() > limits.element_bytes_max as usize {
            return;
        }
        assert!(framer.next(&limits, b"<r>").is_ok());
        assert_eq!(
            framer.next(&limits, data),
            Ok(Step::Frame { kind: FrameKind::Element, bytes: data.len() })
        );
    }
}

fn frame(stream: &[u8], chunk: usize) -> Frames {
    let mut framer = Framer::new();
    let (mut frames, mut partial) = (Vec::new(), Vec::new());
    for mut piece in stream.chunks(chunk) {
        while !piece.is_empty() {
            let taken = match framer.next(&LIMITS, piece) {
                Ok(Step::Space { bytes }) => {
                    assert!(partial.is_empty() && bytes > 0);
                    bytes
                }
                Ok(Step::Partial { bytes }) => {
                    assert_eq!(bytes, piece.len());
                    partial.extend_from_slice(piece);
                    bytes
                }
                Ok(Step::Frame { kind, bytes }) => {
                    partial.extend_from_slice(&piece[..bytes]);
                    frames.push((kind, std::mem::take(&mut partial)));
                    bytes
                }
                Err(error) => return (frames, Err(error)),
            };
            let bytes_max = LIMITS.header_bytes_max.max(LIMITS.element_bytes_max) as usize;
            assert!(taken > 0 && partial.len() <= bytes_max);
            piece = &piece[taken..];
        }
    }
    (frames, Ok(()))
}

fn check_header(data: &[u8], header: &Header) {
    let declared = data.starts_with(b"<?xml");
    assert!(declared || data.first().is_some_and(|&first| first == b'<' || first.is_ascii_whitespace()));
    // A namespace in effect is one that an element may be in.
    let empty = Bytes::from_static(b"<a/>");
    let element = read_element(&header.context, empty).expect("an element of this context");
    assert_eq!(element.namespace(), header.context.default_namespace());
}

pub(crate) fn check_fragment(fragment: &Fragment) {
    let tree = fragment.to_element().expect("an accepted fragment is a tree");
    assert_eq!((tree.name(), tree.namespace()), (fragment.name(), fragment.namespace()));
    assert!(tree.attributes().iter().map(Attribute::as_ref).eq(fragment.attributes()));
    assert_eq!(fragment.text().as_deref(), Ok(&*tree.text()));
    let children: Vec<&Element> = tree.children().collect();
    assert_eq!(children.len(), fragment.children().len());
    let mut end = 0;
    for (child, element) in fragment.children().iter().zip(children) {
        let range = child.range();
        assert!(range.start >= end && range.end <= fragment.inner().len());
        end = range.end;
        assert!(child.is(element.name(), element.namespace()));
        assert_eq!(fragment.child_element(child).as_ref(), Ok(element));
    }
    check_writing(&tree);
}

fn check_writing(tree: &Element) {
    let canonical = Context::canonical();
    let again = read_element(&canonical, tree.to_bytes()).expect("what we write we read");
    assert_eq!(again.to_element().as_ref(), Ok(tree));
    let elements: Vec<Element> = tree.children().cloned().collect();
    let (inner, ranges) = compose(&elements);
    for (child, element) in ranges.iter().zip(&elements) {
        assert_eq!(parse_child(&inner, child).as_ref(), Ok(element));
    }
    // Any text at all can be written.
    let mut out = BytesMut::new();
    let mut odd = Element::new("a", "").with_attribute("b", "\u{FFFE}\0");
    odd.push_node(Node::Text(format!("\u{1}{}", tree.text())));
    odd.write("jabber:client", &mut out);
    assert!(read_element(&canonical, out.freeze()).is_ok());
}
