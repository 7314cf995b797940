//! Stanzas with wounds: changes that keep a frame well-formed more often than not, so that rules are met from both sides.

/// A small generator of numbers (SplitMix64), so that every failure can be seen again.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.number() % bound.max(1) as u64) as usize
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    fn fair_or_foul<'a>(&mut self, fair: &[&'a str], foul: &[&'a str]) -> &'a str {
        let of = if self.below(4) > 0 { fair } else { foul };
        self.pick(of)
    }
}

/// What may be put among the attributes of a start tag.
#[rustfmt::skip]
const FAIR_ATTRIBUTES: &[&str] = &[
    " a='1'", " a='1'", " id='x'", " to = \"b@c\"", "\n\txml:lang='de'", " xml:space='preserve'",
    " xmlns='urn:y'", " xmlns='jabber:client'", " xmlns=''", " xmlns:p='urn:p'", " xmlns:q='urn:p'",
    " xmlns:stream='urn:s'", " xmlns:stream='http://etherx.jabber.org/streams'", " stream:a=''",
    " b='&lt;&#x41;'", " b='&amp;'", " e='é€😀'", " ü=''", " b='>'", " d='x\ty\r\nz'", " xmlns:ü='urn:ü'",
];

/// The same, but for rules to meet.
#[rustfmt::skip]
const FOUL_ATTRIBUTES: &[&str] = &[
    " p:a='2'", " q:a='3'", " p:b=''", " db:a='4'", " c:to='5'", " xmlns:p=''",
    " xmlns:xml='http://www.w3.org/XML/1998/namespace'", " xmlns='xml'", " xmlns:p='urn:&amp;'",
    " xmlns:p='a b'", " xmlns='http://www.w3.org/2000/xmlns/'", " xmlns:xmlns='u'", " a", " a=1", " b='<'",
    " b='&nbsp;'", " 9='1'", " p:9=''", " \u{10000}=''", " b='\u{FFFF}'", "b='no space'", " :a=''", " a:b:c=''",
];

/// What may be put between tags.
#[rustfmt::skip]
const FAIR_CONTENTS: &[&str] = &[
    "text", " ", "\r\n\t", "é", "€", "😀", "\u{10FFFD}", "中文字", "\u{7F}\u{85}\u{2028}", "\u{FEFF}", "\u{FFFD}",
    "，", "&amp;", "&lt;&gt;&quot;&apos;", "&#65;&#x1F600;", "&#0009;", "<b/>", "<b>x</b>", "<stream:b/>",
    "<x xmlns='urn:x' a='1'/>", "<x xmlns='urn:x'><y/></x>", "<p:x xmlns:p='urn:p'><p:y p:z=''/></p:x>",
    "<![CDATA[]]>", "<![CDATA[<a>&b; ]] ]]>", "]]", "]", ">", "]]&gt;", "'\"", "/=", "<größe/>",
    "<b xmlns:p='urn:p' xmlns:q='urn:p' p:a='' q:b=''/>",
];

/// The same, but for rules to meet.
#[rustfmt::skip]
const FOUL_CONTENTS: &[&str] = &[
    "<p:b/>", "<!-- c -->", "<?pi?>", "<!DOCTYPE a>", "]]>", "&nbsp;", "&", "&#0;", "&#xD800;", "&#xFFFE;",
    "\u{FFFE}", "\u{1}", "<", "</b>", "<b>", "<xml:b/>", "<xmlns:b/>", "<\u{D7}/>", "&#x10FFFF;", "&#x110000;",
];

/// What may be put anywhere.
#[rustfmt::skip]
const TOKENS: &[&str] = &[
    "<", ">", "/", "=", "'", "\"", "&", ";", "#", "!", "?", "[", "]", "-", ":", " ", "\n", "\r", "\0", "\u{1}",
    "a", "x", "xmlns", "xmlns:", "p:", "xml:", "stream:", "</a>", "<b/>", "<![CDATA[", "]]>", "<!--", "-->",
    "&amp;", "&#0;", "é", "€", "😀", "\u{FFFE}", "\u{FFFF}", "\u{D7}", "\u{300}", "\u{10000}", "\u{FEFF}", "9",
    ".", "}", "{",
];

/// One to three changes of a well-formed seed.
pub(crate) fn mutate(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let nth = random.below(seeds.len());
    let mut bytes = seeds[nth].clone();
    for _ in 0..=random.below(3) {
        let spans = spans(&bytes);
        if spans.is_empty() {
            break;
        }
        let span = spans[random.below(spans.len())];
        match random.below(12) {
            0..=3 => insert(
                &mut bytes,
                span.tag_end,
                random.fair_or_foul(FAIR_ATTRIBUTES, FOUL_ATTRIBUTES).as_bytes(),
            ),
            4..=6 => {
                let places = [span.content, span.end, span.close];
                insert(
                    &mut bytes,
                    places[random.below(3)],
                    random.fair_or_foul(FAIR_CONTENTS, FOUL_CONTENTS).as_bytes(),
                );
            }
            7 => restructure(random, &mut bytes, span, &spans),
            8 => rename(random, &mut bytes, span),
            9 => {
                let other = &seeds[random.below(seeds.len())];
                let others = self::spans(other);
                let from = others[random.below(others.len())];
                let piece = other[from.start..from.end].to_vec();
                insert(&mut bytes, span.content, &piece);
            }
            _ => wound(random, &mut bytes),
        }
    }
    bytes
}

/// Where an element stands: its first byte, where its start tag takes another attribute, where its content begins, where
/// its end tag begins, and its end.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    tag_end: usize,
    content: usize,
    close: usize,
    end: usize,
}

/// The elements of something that is well-formed or nearly so.
fn spans(bytes: &[u8]) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut at = 0;
    while let Some(start) = bytes[at..].iter().position(|&byte| byte == b'<').map(|before| at + before) {
        let Some(end) = bytes[start..].iter().position(|&byte| byte == b'>').map(|before| start + before + 1)
        else {
            break;
        };
        at = end;
        match bytes.get(start + 1) {
            Some(b'/') => {
                if let Some(nth) = open.pop() {
                    let span: &mut Span = &mut spans[nth];
                    (span.close, span.end) = (start, end);
                }
            }
            Some(b'!' | b'?') => {}
            _ => {
                let is_empty = bytes[end - 2] == b'/';
                let tag_end = if is_empty { end - 2 } else { end - 1 };
                if !is_empty {
                    open.push(spans.len());
                }
                spans.push(Span { start, tag_end, content: end, close: end, end });
            }
        }
    }
    spans
}

fn insert(bytes: &mut Vec<u8>, at: usize, what: &[u8]) {
    let at = at.min(bytes.len());
    bytes.splice(at..at, what.iter().copied());
}

/// Doubles, removes, wraps or moves an element.
fn restructure(random: &mut Random, bytes: &mut Vec<u8>, span: Span, spans: &[Span]) {
    let element = bytes[span.start..span.end].to_vec();
    match random.below(4) {
        0 => insert(bytes, span.end, &element),
        1 => drop(bytes.drain(span.start..span.end)),
        2 => {
            let (open, close) =
                [("<w>", "</w>"), ("<p:w xmlns:p='urn:p'>", "</p:w>"), ("<w xmlns='urn:w'>", "</w >")]
                    [random.below(3)];
            insert(bytes, span.end, close.as_bytes());
            insert(bytes, span.start, open.as_bytes());
        }
        _ => {
            let other = spans[random.below(spans.len())];
            insert(bytes, other.content, &element);
        }
    }
}

/// Gives an element a prefix in both its tags, sometimes with its declaration.
fn rename(random: &mut Random, bytes: &mut Vec<u8>, span: Span) {
    let prefix = random.pick(&["p:", "stream:", "q:", "db:", "c:", "ü:", "x"]).as_bytes();
    let has_end_tag = bytes.get(span.close..span.close + 2) == Some(b"</");
    if has_end_tag {
        insert(bytes, span.close + 2, prefix);
    }
    if random.below(2) == 0 {
        insert(bytes, span.tag_end, " xmlns:p='urn:p' xmlns:ü='urn:p'".as_bytes());
    }
    insert(bytes, span.start + 1, prefix);
}

/// A small wound at a random place.
fn wound(random: &mut Random, bytes: &mut Vec<u8>) {
    let at = random.below(bytes.len() + 1);
    let end = (at + random.below(4)).min(bytes.len());
    match random.below(5) {
        0 => drop(bytes.drain(at..end)),
        1 => bytes.insert(at, random.number() as u8),
        2 => {
            let from = random.below(bytes.len() + 1);
            let piece = bytes[from..(from + random.below(12)).min(bytes.len())].to_vec();
            insert(bytes, at, &piece);
        }
        3 => drop(bytes.splice(at..end, random.pick(TOKENS).bytes())),
        _ => insert(bytes, at, random.pick(TOKENS).as_bytes()),
    }
}
