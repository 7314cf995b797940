//! The framer: the same answers in any chunking, every refusal by its error, nothing read beyond a limit.

use proptest::prelude::*;
use rjabberd_xml::{FrameKind, Framer, Limit, Limits, Step, XmlError};

const LIMITS: Limits = Limits::AUTHENTICATED;
const HEADER: &str = "<stream:stream to='a.example' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

/// What became of a stream: its frames, then how it ended.
type Outcome = (Vec<(FrameKind, Vec<u8>)>, Option<XmlError>);

/// Feeds a stream in pieces that end at `cuts`, as a receiver would.
fn frames(limits: &Limits, stream: &[u8], cuts: impl IntoIterator<Item = usize>) -> Outcome {
    let mut framer = Framer::new();
    let mut found = Vec::new();
    let mut frame = Vec::new();
    let mut start = 0;
    for cut in cuts.into_iter().chain([stream.len()]) {
        let mut piece = &stream[start..cut.max(start)];
        start = cut.max(start);
        while !piece.is_empty() {
            let taken = match framer.next(limits, piece) {
                Ok(Step::Space { bytes }) => {
                    assert!(frame.is_empty() && bytes > 0);
                    bytes
                }
                Ok(Step::Partial { bytes }) => {
                    assert_eq!(bytes, piece.len());
                    frame.extend_from_slice(piece);
                    bytes
                }
                Ok(Step::Frame { kind, bytes }) => {
                    frame.extend_from_slice(&piece[..bytes]);
                    found.push((kind, std::mem::take(&mut frame)));
                    bytes
                }
                Err(error) => return (found, Some(error)),
            };
            piece = &piece[taken..];
        }
    }
    (found, None)
}

fn whole(stream: &str) -> Outcome {
    frames(&LIMITS, stream.as_bytes(), [])
}

/// What a stream that goes on with `rest` behind a good header is refused for.
fn refusal(rest: &str) -> Option<XmlError> {
    refusal_within(&LIMITS, rest)
}

fn refusal_within(limits: &Limits, rest: &str) -> Option<XmlError> {
    let stream = format!("{HEADER}{rest}");
    let at_once = frames(limits, stream.as_bytes(), []);
    assert_eq!(at_once, frames(limits, stream.as_bytes(), 0..stream.len()), "byte by byte");
    at_once.1
}

const DOCUMENT: &str = concat!(
    "\n<?xml version='1.0' encoding=\"UTF-8\" ?>\r\n<stream:stream to='a.example' xml:lang='de' ",
    "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' >\n",
    "<message to=\"é>'@ö\" id='&lt;&#x1F600;/>'><body>a &amp; ü € 😀 ]] ></body>",
    "<x xmlns='urn:x'><![CDATA[<a> ]] ]>> ]]]]><y a = 'b'\t/ ></x ></message>",
    " \t<presence/>\r\n<p:iq xmlns:p='jabber:client'><größe></größe></p:iq>\n</stream:stream >\n",
);

#[test]
fn every_cut_and_single_bytes_give_the_same_frames() {
    let document = DOCUMENT.replace("\t/ >", "\t/>");
    let (found, error) = whole(&document);
    assert_eq!(error, None);
    let kinds: Vec<FrameKind> = found.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(
        kinds,
        [
            FrameKind::StreamOpen,
            FrameKind::Element,
            FrameKind::Element,
            FrameKind::Element,
            FrameKind::StreamClose
        ]
    );
    assert!(found[0].1.starts_with(b"<?xml") && found[0].1.ends_with(b"streams' >"));
    assert!(found[1].1.starts_with(b"<message") && found[1].1.ends_with(b"</message>"));
    assert_eq!(found[2].1, b"<presence/>");
    assert_eq!(found[4].1, b"</stream:stream >");
    let outcome = (found, None);
    assert_eq!(frames(&LIMITS, document.as_bytes(), 0..document.len()), outcome);
    for cut in 0..document.len() {
        assert_eq!(frames(&LIMITS, document.as_bytes(), [cut]), outcome, "cut at {cut}");
    }
}

proptest! {
    #[test]
    fn any_split_of_any_bytes_gives_the_same_outcome(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "<", ">", "/>", "</", "a", "b", " ", "=", "'", "\"", "x='1'", " xmlns:p='u'", "<a>", "</a>", "<a/>",
                "<![CDATA[", "]]>", "]", "<!--", "<?xml ", "?>", "&", ";", "\u{1}", "é", "😀", "\n", ":", "xmlns",
            ]),
            0..40,
        ),
        behind_header: bool,
        cuts in prop::collection::vec(0_usize..400, 0..12),
    ) {
        let mut stream = if behind_header { HEADER.to_owned() } else { String::new() };
        stream.extend(pieces);
        let small = Limits { header_bytes_max: 150, element_bytes_max: 40, ..LIMITS };
        let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= stream.len()).collect();
        cuts.sort_unstable();
        for limits in [&LIMITS, &small] {
            let at_once = frames(limits, stream.as_bytes(), []);
            prop_assert_eq!(&frames(limits, stream.as_bytes(), cuts.clone()), &at_once);
            prop_assert_eq!(&frames(limits, stream.as_bytes(), 0..stream.len()), &at_once);
        }
    }
}

#[test]
fn a_framer_is_some_twenty_bytes() {
    assert!(size_of::<Framer>() <= 20, "{}", size_of::<Framer>());
}

#[test]
fn comments_processing_instructions_and_document_types_are_restricted_xml() {
    let comment = Some(XmlError::Restricted("comment"));
    let instruction = Some(XmlError::Restricted("processing instruction"));
    let document_type = Some(XmlError::Restricted("document type declaration"));
    assert_eq!(refusal("<!-"), comment);
    assert_eq!(refusal("<a><!--"), comment);
    assert_eq!(refusal("<a>text<!-- x --></a>"), comment);
    assert_eq!(refusal("<?x"), instruction);
    assert_eq!(refusal("<a><?"), instruction);
    assert_eq!(refusal("<?xml version='1.0'?>"), instruction);
    assert_eq!(refusal("<!D"), document_type);
    assert_eq!(refusal("<a><!DOCTYPE"), document_type);
    for (document, error) in [
        ("<!DOCTYPE a>", &document_type),
        ("<?xml version='1.0'?><!DOCTYPE a", &document_type),
        ("<!-- -->", &comment),
        ("<?xml version='1.0'?> <!-- -->", &comment),
        ("<?xml-stylesheet href='a'?>", &instruction),
        ("<?xm", &None),
        ("<?php", &instruction),
        ("<?xml version='1.0'?><?xml version='1.0'?>", &instruction),
    ] {
        assert_eq!(whole(document).1, *error, "{document}");
        assert_eq!(frames(&LIMITS, document.as_bytes(), 0..document.len()).1, *error, "{document}");
    }
}

#[test]
fn a_lesser_than_in_an_attribute_value_is_not_well_formed() {
    // xml-rs makes one attribute of the first, so that what follows would be smuggled past one of two parsers.
    for stanza in ["<a x='<!--' y='z-->'/>", "<a x='<![CDATA[' y=']]>'/>", "<a x='</a>'/>", "<a x=\"<\"/>"] {
        assert_eq!(refusal(stanza), Some(XmlError::NotWellFormed("< in an attribute value")), "{stanza}");
    }
}

#[test]
fn text_between_stanzas_is_not_well_formed() {
    for rest in ["x", "<a/>x", "<a/> \n&#32;", "<![CDATA[", "\u{FEFF}<a/>", "\0"] {
        assert_eq!(refusal(rest), Some(XmlError::NotWellFormed("text outside an element")), "{rest}");
    }
    assert_eq!(whole("\u{FEFF}<a>").1, Some(XmlError::NotWellFormed("text outside an element")));
    assert_eq!(whole("<?xml version='1.0'?>x").1, Some(XmlError::NotWellFormed("text outside an element")));
}

#[test]
fn control_characters_are_not_well_formed_wherever_they_stand() {
    for control in (0..0x20_u8).filter(|byte| !b"\t\r\n".contains(byte)).map(char::from) {
        for stanza in [
            format!("<a>{control}</a>"),
            format!("<a>long enough for a word{control}and more of it</a>"),
            format!("<a b='{control}'/>"),
            format!("<a><![CDATA[x{control}]]></a>"),
            format!("<a {control}/>"),
            format!("<a></a{control}>"),
        ] {
            assert_eq!(refusal(&stanza), Some(XmlError::NotWellFormed("control character")), "{stanza:?}");
        }
        let declaration = format!("<?xml version='1.0'{control}?>");
        assert_eq!(whole(&declaration).1, Some(XmlError::NotWellFormed("control character")));
    }
    assert_eq!(refusal("<a b='\t\r\n'>\t\r\n<![CDATA[\t\r\n]]>\u{7F}\u{85}</a>"), None);
}

#[test]
fn tags_that_are_no_tags_are_not_well_formed() {
    for stanza in [
        "<>",
        "< a/>",
        "<1/>",
        "<a b/>",
        "<a b=c/>",
        "<a b='c'd='e'/>",
        "<a / >",
        "<a =''/>",
        "<a b==''/>",
        "<a/b>",
        "<:a/>",
        "<a&b/>",
        "<a b='c' <d/>",
    ] {
        assert_eq!(refusal(stanza), Some(XmlError::NotWellFormed("start tag")), "{stanza}");
    }
    for stanza in ["<a></>", "<a></ a>", "<a></a b='c'>", "<a></a/>", "<a></1>"] {
        assert_eq!(refusal(stanza), Some(XmlError::NotWellFormed("end tag")), "{stanza}");
    }
    assert_eq!(refusal("<a><![cdata["), Some(XmlError::NotWellFormed("CDATA section")));
    assert_eq!(whole("</a>").1, Some(XmlError::NotWellFormed("end tag")));
    assert_eq!(whole("<?xml version='1.0'<").1, Some(XmlError::NotWellFormed("XML declaration")));
}

#[test]
fn a_header_without_content_is_not_well_formed() {
    assert_eq!(
        whole("<stream:stream xmlns='jabber:client'/>").1,
        Some(XmlError::NotWellFormed("stream header without content"))
    );
}

#[test]
fn nothing_but_white_space_follows_the_end_of_the_stream() {
    assert_eq!(refusal("</stream:stream> \n"), None);
    for rest in ["x", "<a/>", "</stream:stream>", "<?xml version='1.0'?>"] {
        assert_eq!(
            refusal(&format!("</stream:stream>{rest}")),
            Some(XmlError::NotWellFormed("bytes after the end of the stream"))
        );
    }
}

#[test]
fn each_limit_holds_to_the_unit() {
    let limits = Limits {
        header_bytes_max: 200,
        element_bytes_max: 60,
        elements_max: 4,
        depth_max: 3,
        attributes_max: 2,
        namespaces_max: 2,
    };
    for (fits, passes, limit) in [
        ("<a><b><c/></b></a>", "<a><b><c><d/></c></b></a>", Limit::Depth),
        ("<a><b/><b/><b/></a>", "<a><b/><b/><b/><b/></a>", Limit::Elements),
        ("<a b='' xmlnsx=''/>", "<a b='' c='' xmlns=''\nx=''/>", Limit::Attributes),
        ("<a xmlns='' b='' xmlns:c='d'/>", "<a xmlns='' xmlns:b='c' xmlns:c='d'/>", Limit::Namespaces),
        ("<a><b c='' d=''/><b c='' d=''/></a>", "<a><b c='' d='' e=''/></a>", Limit::Attributes),
        (
            "<a>23456789012345678901234567890123456789012345678901234</a>",
            "<a>234567890123456789012345678901234567890123456789012345</a>",
            Limit::ElementBytes,
        ),
    ] {
        assert_eq!(refusal_within(&limits, &format!("{fits}{fits}")), None, "{fits}");
        assert_eq!(refusal_within(&limits, &format!("{fits}{passes}")), Some(XmlError::LimitPassed(limit)));
    }
    let header = |bytes: usize| format!("<?xml version='1.0'?><a b='{}'>", "c".repeat(bytes - 29));
    assert_eq!(frames(&limits, header(200).as_bytes(), []).1, None);
    assert_eq!(
        frames(&limits, header(201).as_bytes(), []).1,
        Some(XmlError::LimitPassed(Limit::HeaderBytes))
    );
    let attributes = "<a b='' c='' d=''>";
    assert_eq!(frames(&limits, attributes.as_bytes(), []).1, Some(XmlError::LimitPassed(Limit::Attributes)));
}

#[test]
fn a_hundred_thousand_nested_elements_are_refused_while_they_arrive() {
    let bomb = format!("{HEADER}{}", "<a>".repeat(100_000));
    let mut framer = Framer::new();
    let mut refused_at = None;
    for (nth, piece) in bomb.as_bytes()[HEADER.len() - 1..].chunks(64).enumerate() {
        if nth == 0 {
            assert!(framer.next(&LIMITS, &bomb.as_bytes()[..HEADER.len()]).is_ok());
            continue;
        }
        if let Err(error) = framer.next(&LIMITS, piece) {
            assert_eq!(error, XmlError::LimitPassed(Limit::Depth));
            refused_at = Some(nth * 64);
            break;
        }
    }
    assert!(refused_at.is_some_and(|bytes| bytes <= 64 * 3 + 128), "{refused_at:?}");
}

#[test]
fn an_attribute_of_a_mebibyte_is_refused_at_the_limit_and_not_looked_at_beyond() {
    let max = LIMITS.element_bytes_max as usize;
    let mut stanza = b"<a b='".to_vec();
    stanza.resize(1 << 20, b'x');
    // A control character beyond the limit is never seen, whatever the chunking.
    stanza[max] = 0;
    for chunk in [1_460, 65_536, 1 << 20] {
        let mut framer = Framer::new();
        assert!(framer.next(&LIMITS, HEADER.as_bytes()).is_ok());
        let mut kept = 0;
        let error = stanza.chunks(chunk).find_map(|piece| match framer.next(&LIMITS, piece) {
            Ok(_) => {
                kept += piece.len();
                None
            }
            Err(error) => Some(error),
        });
        assert_eq!(error, Some(XmlError::LimitPassed(Limit::ElementBytes)));
        assert!(kept <= max);
    }
}
