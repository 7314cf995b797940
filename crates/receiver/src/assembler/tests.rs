//! Events of whole and of cut streams.

use proptest::prelude::*;

use super::*;

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
                      xmlns:stream='http://etherx.jabber.org/streams' to='example.net' version='1.0'>";

/// What an event is, in a word.
fn describe(event: &Event) -> String {
    match event {
        Event::HeaderRead(header) => format!("header {}", header.context.default_namespace()),
        Event::ElementRead(fragment) => {
            format!("{} {} {:?}", fragment.name(), fragment.namespace(), fragment.inner())
        }
        Event::StreamEnded => "end".to_owned(),
        other => panic!("{other:?} is not an assembler's"),
    }
}

/// All events of a stream that comes in these pieces.
fn events(pieces: &[&[u8]]) -> Result<Vec<String>, XmlError> {
    let mut assembler = Assembler::new(Limits::AUTHENTICATED);
    let mut events = Vec::new();
    for mut piece in pieces.iter().copied() {
        while let Some(event) = assembler.next(&mut piece)? {
            events.push(describe(&event));
        }
        assert!(piece.is_empty());
    }
    Ok(events)
}

fn document() -> String {
    format!(
        "{HEADER}<message id='1'><body>&lt;a&gt; \u{e9}\u{1f600}</body></message> \n<presence/>\
         <iq type='get' id='2'><query xmlns='urn:x'/></iq>  </stream:stream>"
    )
}

#[test]
fn a_stream_becomes_its_header_its_elements_and_its_end() {
    let document = document();
    let events = events(&[document.as_bytes()]).unwrap();
    let names: Vec<_> = events.iter().map(|event| event.split(' ').next().unwrap()).collect();
    assert_eq!(names, ["header", "message", "presence", "iq", "end"]);
}

#[test]
fn only_what_is_named_like_a_stanza_takes_the_checker() {
    for stanza in ["<message>", "<message to='a'/>", "<presence/>", "<iq\n>", "<iq\ttype='get'/>"] {
        assert!(is_stanza(stanza.as_bytes()), "{stanza}");
    }
    for other in ["<messages/>", "<iq", "<auth/>", "<c:message/>", "<iq:a/>", "<presence.x/>", "<a/>", ""] {
        assert!(!is_stanza(other.as_bytes()), "{other}");
    }
}

#[test]
fn checker_and_reader_give_the_same_events_and_the_same_refusals() {
    let events = |stanza: &str| events(&[HEADER.as_bytes(), stanza.as_bytes()]);
    for (content, error) in [
        ("<body>x</body>", None),
        ("<p:x xmlns:p='urn:p' a='&amp;'/>", None),
        ("<body>&b;</body>", Some(XmlError::Restricted("entity reference"))),
        ("<body>]]></body>", Some(XmlError::NotWellFormed("syntax"))),
        ("<body></b>", Some(XmlError::NotWellFormed("end tag does not match"))),
        ("<p:body/>", Some(XmlError::NotWellFormed("undeclared prefix"))),
    ] {
        let checked = events(&format!("<message>{content}</message>"));
        let read = events(&format!("<stranger>{content}</stranger>"));
        assert_eq!(checked.as_ref().err(), error.as_ref(), "{content}");
        let renamed =
            read.map(|read| read.iter().map(|event| event.replace("stranger", "message")).collect());
        assert_eq!(checked, renamed, "{content}");
    }
}

#[test]
fn what_is_behind_an_event_is_not_touched() {
    let text = format!("{HEADER}<a/><b");
    let mut input = text.as_bytes();
    let mut assembler = Assembler::new(Limits::AUTHENTICATED);
    assert!(matches!(assembler.next(&mut input), Ok(Some(Event::HeaderRead(_)))));
    assert_eq!(input, b"<a/><b");
    assert!(matches!(assembler.next(&mut input), Ok(Some(Event::ElementRead(_)))));
    assert_eq!(input, b"<b");
    assert!(matches!(assembler.next(&mut input), Ok(None)));
    assert_eq!(input, b"", "the beginning of an element is kept");
    let mut rest = &b"/><c/>"[..];
    let Ok(Some(Event::ElementRead(fragment))) = assembler.next(&mut rest) else { panic!("no element") };
    assert_eq!((fragment.name(), rest), ("b", &b"<c/>"[..]));
}

#[test]
fn only_the_end_tag_of_the_stream_ends_it() {
    for end in ["</stream:stream>", "</stream:stream \t>"] {
        let text = format!("{HEADER}{end}");
        assert_eq!(events(&[text.as_bytes()]).unwrap().last().unwrap(), "end");
    }
    for end in ["</stream>", "</stream:streams>", "</x>"] {
        let text = format!("{HEADER}{end}");
        assert!(events(&[text.as_bytes()]).is_err(), "{end}");
    }
    let text = HEADER.replace("stream:stream", "s:stream").replace("xmlns:stream", "xmlns:s") + "</s:stream>";
    assert_eq!(events(&[text.as_bytes()]).unwrap().last().unwrap(), "end");
}

#[test]
fn a_new_stream_knows_nothing_of_the_one_before() {
    let bound = HEADER.replace("version='1.0'>", "version='1.0' xmlns:p='urn:p'>");
    assert!(events(&[format!("{bound}<p:a/>").as_bytes()]).is_ok());
    assert!(events(&[format!("{HEADER}<p:a/>").as_bytes()]).is_err());
}

#[test]
fn white_space_is_no_event_and_a_limit_is_an_error() {
    assert_eq!(events(&[HEADER.as_bytes(), b" \n ", b" "]).unwrap().len(), 1);
    let mut assembler = Assembler::new(Limits::UNAUTHENTICATED);
    let long = format!("{HEADER}<a>{}", "x".repeat(Limits::UNAUTHENTICATED.element_bytes_max as usize));
    let mut input = long.as_bytes();
    assert!(matches!(assembler.next(&mut input), Ok(Some(_))));
    assert!(assembler.next(&mut input).is_err(), "before the element ends");
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_events(mut cuts in prop::collection::vec(0usize..350, 0..20)) {
        let document = document();
        let bytes = document.as_bytes();
        cuts.extend([0, bytes.len()]);
        cuts.iter_mut().for_each(|cut| *cut = (*cut).min(bytes.len()));
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        prop_assert_eq!(events(&pieces).unwrap(), events(&[bytes]).unwrap());
    }
}
