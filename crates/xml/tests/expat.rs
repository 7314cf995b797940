//! expat as the referee: nothing that we send or relay may be refused by it, or mean anything else to it.
//!
//! Needs python3 (its `pyexpat`). Deterministic: the same seeds each time.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::{Bytes, BytesMut};
use rjabberd_xml::{Context, FrameKind, Framer, Limits, Step, XmlError, read_element, read_header};
use support::{CLIENT, Random, STREAM, dump};

const HEADER: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

/// A file of this test that is gone when the test is over.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        Scratch(std::env::temp_dir().join(format!("rjabberd-xml-{}-{name}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn referee<'a>(arguments: impl IntoIterator<Item = &'a Path>, mode: &str) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/expat.py");
    let status = Command::new("python3").arg(script).arg(mode).args(arguments).status();
    assert!(status.expect("python3 is needed as the referee").success());
}

/// What expat makes of each document.
fn judge(name: &str, documents: &[Vec<u8>]) -> Vec<String> {
    let (cases, answers) = (Scratch::new(&format!("{name}-cases")), Scratch::new(&format!("{name}-answers")));
    let mut written = Vec::new();
    for document in documents {
        written.extend_from_slice(format!("{}\n", document.len()).as_bytes());
        written.extend_from_slice(document);
    }
    std::fs::write(&cases.0, written).expect("a scratch file");
    referee([&*cases.0, &*answers.0], "streams");
    let told = std::fs::read(&answers.0).expect("answers");
    let mut rest = &told[..];
    let mut judged = Vec::new();
    while let Some(line) = rest.iter().position(|&byte| byte == b'\n') {
        let bytes: usize = std::str::from_utf8(&rest[..line]).expect("a number").parse().expect("a number");
        judged.push(String::from_utf8(rest[line + 1..line + 1 + bytes].to_vec()).expect("UTF-8"));
        rest = &rest[line + 1 + bytes..];
    }
    assert_eq!(judged.len(), documents.len());
    judged
}

/// What we make of a whole stream: its elements' meaning, and each as a receiver of ours would get it.
fn read_stream(stream: &[u8]) -> Result<(String, Vec<u8>), XmlError> {
    let mut framer = Framer::new();
    let mut rest = stream;
    let mut context = Context::canonical();
    let (mut meaning, mut relayed) = (String::new(), HEADER.as_bytes().to_vec());
    let mut closed = false;
    while !rest.is_empty() {
        let bytes = match framer.next(&Limits::AUTHENTICATED, rest)? {
            Step::Space { bytes } => bytes,
            Step::Partial { .. } => return Err(XmlError::NotWellFormed("incomplete")),
            Step::Frame { kind, bytes } => {
                match kind {
                    FrameKind::StreamOpen => context = read_header(&rest[..bytes])?.context,
                    FrameKind::Element => {
                        let fragment = read_element(&context, Bytes::copy_from_slice(&rest[..bytes]))?;
                        dump(&fragment.to_element()?, &mut meaning);
                        // The start tag is written anew, what stands in it goes as it came.
                        let shell = rjabberd_xml::Element::new(fragment.name(), fragment.namespace());
                        let shell = fragment.attributes().fold(shell, |shell, each| {
                            shell.with_attribute_of(each.name, each.namespace, each.value)
                        });
                        relay(&shell, fragment.inner(), &mut relayed);
                    }
                    FrameKind::StreamClose => closed = true,
                }
                bytes
            }
        };
        rest = &rest[bytes..];
    }
    relayed.extend_from_slice(b"</stream:stream>");
    if closed { Ok((meaning, relayed)) } else { Err(XmlError::NotWellFormed("incomplete")) }
}

/// Writes a start tag of our own around relayed bytes. Only a `jabber:client` parent may have them as they are.
fn relay(shell: &rjabberd_xml::Element, inner: &Bytes, out: &mut Vec<u8>) {
    if shell.namespace() != CLIENT {
        let mut whole = Bytes::new();
        let fragment = [&b"<r>"[..], inner, b"</r>"].concat();
        if let Ok(tree) =
            read_element(&Context::canonical(), fragment.into()).and_then(|read| read.to_element())
        {
            let full = tree.nodes().iter().fold(shell.clone(), |mut full, node| {
                full.push_node(node.clone());
                full
            });
            whole = full.to_bytes();
        }
        out.extend_from_slice(&whole);
        return;
    }
    let tag = shell.to_bytes();
    out.extend_from_slice(&tag[..tag.len() - 2]);
    out.push(b'>');
    out.extend_from_slice(inner);
    out.extend_from_slice(format!("</{}>", shell.name()).as_bytes());
}

#[test]
fn expat_reads_what_we_write_and_takes_it_as_meant() {
    let mut random = Random(1);
    let mut documents = Vec::new();
    let mut meant = Vec::new();
    for nth in 0..3_000_u32 {
        let (_, element) = support::element(&mut random, &[("", CLIENT), ("stream", STREAM)]);
        // Any character at all may come from a store or a client of ours.
        let odd = char::from_u32(nth * 7 % 0x300 + (nth % 3) * 0xFD00).unwrap_or('\u{FFFF}');
        let element = element.with_attribute("odd", format!("{odd}")).with_text(format!("{odd}]]>{odd}"));
        let mut stream = BytesMut::from(HEADER);
        element.write(CLIENT, &mut stream);
        stream.extend_from_slice(b"</stream:stream>");
        let (read, _) = read_stream(&stream).expect("what we write we read");
        meant.push(read);
        documents.push(stream.to_vec());
    }
    for ((judged, meant), document) in judge("written", &documents).iter().zip(&meant).zip(&documents) {
        assert_eq!(judged, meant, "{}", String::from_utf8_lossy(document));
    }
}

/// Streams by the generator, and by hand where rules meet.
fn seeds(random: &mut Random) -> Vec<String> {
    let mut seeds: Vec<String> = [
        "<message to='a@b' id='1'><body>x &amp; y</body></message><presence/>",
        "<a x='<!--' y='z-->'/>",
        "<a><![CDATA[b]]></a> <b xmlns:p='u' xmlns:q='v' p:c='' q:c=''/>",
        "<p:a xmlns:p='u'><b xmlns='v'><p:c/></b></p:a>",
        "<a>&#x41;&#65;&lt;</a><a xml:lang='de' xmlns=''/>",
        "<größe ü='é'/>",
    ]
    .map(str::to_owned)
    .to_vec();
    for _ in 0..200 {
        seeds.push(support::element(random, &[("", CLIENT), ("stream", STREAM)]).0);
    }
    seeds
}

const TOKENS: &[&str] = &[
    "<",
    ">",
    "/",
    "=",
    "'",
    "\"",
    "&",
    ";",
    "#",
    "!",
    "?",
    "[",
    "]",
    "-",
    ":",
    " ",
    "\n",
    "\r",
    "\0",
    "\u{1}",
    "a",
    "x",
    "xmlns",
    "xmlns:",
    "xmlns=''",
    " xmlns='urn:y'",
    " xmlns:p='urn:p'",
    "p:",
    "xml:",
    "stream:",
    "</a>",
    "<b/>",
    "<![CDATA[",
    "]]>",
    "<!--",
    "-->",
    "<?",
    "?>",
    "&amp;",
    "&#0;",
    "&#xFFFE;",
    "&#x10FFFF;",
    "&nbsp;",
    "é",
    "€",
    "😀",
    "\u{FFFE}",
    "\u{FFFF}",
    "\u{D7}",
    "\u{300}",
    "\u{10000}",
    "\u{FEFF}",
    "\u{37F}",
    "9",
    "-",
    ".",
    "}",
    "{",
    "|",
];

/// One or two small wounds at random places.
fn mutate(random: &mut Random, seed: &str) -> Vec<u8> {
    let mut bytes = seed.as_bytes().to_vec();
    for _ in 0..=random.below(2) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(4)).min(bytes.len());
        match random.below(5) {
            0 => drop(bytes.drain(at..end)),
            1 => bytes.insert(at, random.number() as u8),
            2 => {
                let from = random.below(bytes.len() + 1);
                let piece = bytes[from..(from + random.below(12)).min(bytes.len())].to_vec();
                drop(bytes.splice(at..at, piece));
            }
            3 => drop(bytes.splice(at..end, random.pick(TOKENS).bytes())),
            _ => drop(bytes.splice(at..at, random.pick(TOKENS).bytes())),
        }
    }
    bytes
}

/// Refused by us on purpose though expat takes it: RFC 6120, 11.1, or what other parsers refuse, or what comes between.
fn is_our_own_rule(error: &XmlError) -> bool {
    match error {
        XmlError::Restricted(_) | XmlError::LimitPassed(_) => true,
        XmlError::NotWellFormed(reason) => {
            matches!(
                *reason,
                "name" | "namespace name" | "text outside an element" | "reserved prefix" | "end tag"
            )
        }
        XmlError::NotUtf8(_) | XmlError::UnsupportedEncoding => false,
    }
}

#[test]
fn whatever_we_accept_expat_accepts_and_takes_alike() {
    let mut random = Random(2);
    let seeds = seeds(&mut random);
    let mut documents = Vec::new();
    let mut expected = Vec::new();
    for nth in 0..20_000 {
        let mut document = HEADER.as_bytes().to_vec();
        document.extend(mutate(&mut random, &seeds[nth % seeds.len()]));
        document.extend_from_slice(b"</stream:stream>");
        let outcome = read_stream(&document);
        if let Ok((meaning, relayed)) = &outcome {
            documents.push(relayed.clone());
            expected.push(Ok(meaning.clone()));
        }
        documents.push(document);
        expected.push(outcome.map(|(meaning, _)| meaning));
    }
    let accepted = expected.iter().filter(|each| each.is_ok()).count();
    assert!(accepted > 5_000, "only {accepted} documents say something");
    let judged = judge("mutated", &documents);
    for ((judged, expected), document) in judged.iter().zip(&expected).zip(&documents) {
        let document = String::from_utf8_lossy(document);
        match expected {
            Ok(meaning) => assert_eq!(judged, meaning, "{document:?}"),
            Err(error) if is_our_own_rule(error) => {}
            Err(error) => assert!(judged.starts_with("refused"), "{error}, but expat takes {document:?}"),
        }
    }
}

#[test]
fn names_are_those_that_expat_and_xml_rs_both_take() {
    let answers = Scratch::new("names");
    referee([&*answers.0], "names");
    let told = std::fs::read(&answers.0).expect("answers");
    assert_eq!(told.len(), 0x1_0000);
    let canonical = Context::canonical();
    let taken = |document: String| read_element(&canonical, document.into()).is_ok();
    for character in
        (0..0x1_0000).filter_map(char::from_u32).filter(|character| !" \t\r\n/:".contains(*character))
    {
        let expat = told[character as usize];
        let starts = expat == b'2' && xml::common::is_name_start_char(character);
        let follows = expat >= b'1' && xml::common::is_name_char(character);
        assert_eq!(taken(format!("<{character}/>")), starts, "{character:?} at the start");
        assert_eq!(taken(format!("<a{character}/>")), follows, "{character:?} in a name");
    }
}
