//! Random elements with what they mean: as many ways to write prefixes, declarations, references and CDATA as can be.
#![allow(dead_code, reason = "each test file uses its part")]

use rjabberd_xml::{Element, Node};

pub(crate) const CLIENT: &str = "jabber:client";
pub(crate) const STREAM: &str = "http://etherx.jabber.org/streams";
pub(crate) const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// A small generator of numbers (SplitMix64), so that every failure can be seen again.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.number() % bound as u64) as usize
    }

    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

/// Prefixes in effect, the innermost last; the empty one is the default namespace.
type Scope = Vec<(String, String)>;

const NAMES: &[&str] = &["message", "body", "x", "a-b.c", "größe", "名前", "_", "A1"];
const PREFIXES: &[&str] = &["", "", "p", "q", "stream", "db", "ö"];
const NAMESPACES: &[&str] =
    &[CLIENT, CLIENT, STREAM, "urn:x", "http://e.example/a?b=c&d=e#f", "urn:ü", "jabber:x:data", "urn:it's"];

/// A random top-level element inside these declarations: as it is written, and what it means.
pub(crate) fn element(random: &mut Random, declared: &[(&str, &str)]) -> (String, Element) {
    let mut scope: Scope = declared.iter().map(|(prefix, ns)| ((*prefix).into(), (*ns).into())).collect();
    let mut text = String::new();
    let element = write_element(random, &mut scope, 0, &mut text);
    (text, element)
}

fn write_element(random: &mut Random, scope: &mut Scope, depth: usize, out: &mut String) -> Element {
    let outside = scope.len();
    let mut declarations: Scope = Vec::new();
    for _ in 0..random.below(3) {
        let (prefix, namespace) = (random.pick(PREFIXES), random.pick(NAMESPACES));
        if !declarations.iter().any(|(declared, _)| declared == prefix) {
            let namespace = if prefix.is_empty() && random.one_in(8) { "" } else { namespace };
            declarations.push((prefix.to_owned(), namespace.to_owned()));
        }
    }
    scope.extend(declarations.iter().cloned());
    let (prefix, namespace) = choose(random, scope);
    let name = random.pick(NAMES);
    let tag = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}:{name}") };
    let mut element = Element::new(name, namespace);
    let mut attributes: Vec<(String, String)> = declarations
        .into_iter()
        .map(|(prefix, namespace)| {
            let name = if prefix.is_empty() { "xmlns".to_owned() } else { format!("xmlns:{prefix}") };
            (name, namespace.replace('&', "&amp;").replace('\'', "&#x27;"))
        })
        .collect();
    for _ in 0..random.below(3) {
        let (prefix, namespace) = match random.below(3) {
            0 => choose(random, scope),
            1 => ("xml".to_owned(), XML.to_owned()),
            _ => (String::new(), String::new()),
        };
        let namespace = if prefix.is_empty() { String::new() } else { namespace };
        let name = random.pick(NAMES);
        if element.attributes().iter().any(|known| known.name == name && known.namespace == namespace) {
            continue;
        }
        let (written, value) = pieces(random, ATTRIBUTE_PIECES);
        attributes.push((if prefix.is_empty() { name.into() } else { format!("{prefix}:{name}") }, written));
        element = element.with_attribute_of(name, &namespace, value);
    }
    // Where a declaration stands among the attributes must not matter.
    if attributes.len() > 1 {
        let turn = random.below(attributes.len());
        attributes.rotate_left(turn);
    }
    out.push_str(&format!("<{tag}"));
    for (name, value) in attributes {
        out.push_str(random.pick(&[" ", "\n", "  \t"]));
        out.push_str(&name);
        out.push_str(random.pick(&["=", " = "]));
        out.push_str(&format!("'{value}'"));
    }
    out.push_str(random.pick(&["", "", " "]));
    write_content(random, scope, depth, &tag, &mut element, out);
    scope.truncate(outside);
    // Attributes may have come in another order than they were written in.
    element
}

fn write_content(
    random: &mut Random,
    scope: &mut Scope,
    depth: usize,
    tag: &str,
    element: &mut Element,
    out: &mut String,
) {
    if random.one_in(4) {
        out.push_str("/>");
        return;
    }
    out.push('>');
    for _ in 0..random.below(if depth < 4 { 4 } else { 1 }) {
        if random.one_in(2) && depth < 4 {
            element.push(write_element(random, scope, depth + 1, out));
        } else {
            let (written, text) = pieces(random, TEXT_PIECES);
            out.push_str(&written);
            element.push_node(Node::Text(text));
        }
    }
    out.push_str(&format!("</{tag}{}>", random.pick(&["", "", " ", "\n"])));
}

/// A prefix in effect and its namespace.
fn choose(random: &mut Random, scope: &Scope) -> (String, String) {
    let nth = random.below(scope.len() + 1);
    let prefix = scope.get(nth).map(|(prefix, _)| prefix.clone()).unwrap_or_default();
    let namespace =
        scope.iter().rev().find(|(declared, _)| *declared == prefix).map(|(_, namespace)| namespace.clone());
    (prefix, namespace.unwrap_or_default())
}

type Pieces = &'static [(&'static str, &'static str)];

const TEXT_PIECES: Pieces = &[
    ("hello", "hello"),
    (" ", " "),
    ("\r\n", "\n"),
    ("\t", "\t"),
    ("&lt;&gt;&amp;&apos;&quot;", "<>&'\""),
    ("&#13;", "\r"),
    ("&#xA0;&#8364;&#x1F600;", "\u{A0}€😀"),
    ("äé", "äé"),
    ("中€", "中€"),
    ("😀\u{10FFFD}", "😀\u{10FFFD}"),
    ("]] a>", "]] a>"),
    ("<![CDATA[<a b='&amp;'>]] ]>]]>", "<a b='&amp;'>]] ]>"),
    ("<![CDATA[]]>", ""),
    ("<![CDATA[ü]]]]>", "ü]]"),
    ("\u{7F}\u{85}\u{2028}\u{FEFF}\u{FFFD}", "\u{7F}\u{85}\u{2028}\u{FEFF}\u{FFFD}"),
    ("/>='\"", "/>='\""),
];

const ATTRIBUTE_PIECES: Pieces = &[
    ("value", "value"),
    ("\n\t ", "   "),
    ("&lt;&gt;&amp;&apos;&quot;", "<>&'\""),
    ("&#10;&#9;&#13;", "\n\t\r"),
    ("\r\n", " "),
    ("é€😀", "é€😀"),
    ("/>]]>\"", "/>]]>\""),
    ("&#x1F600;", "😀"),
];

fn pieces(random: &mut Random, of: Pieces) -> (String, String) {
    (0..random.below(4)).map(|_| of[random.below(of.len())]).unzip()
}

/// A text that is the same for the same expanded names, attributes and texts; `expat.py` writes the same.
pub(crate) fn dump(element: &Element, out: &mut String) {
    out.push_str(&format!("<{{{}}}{}\n", element.namespace(), element.name()));
    let mut attributes: Vec<String> = element
        .attributes()
        .iter()
        .map(|each| format!("@{{{}}}{}={}:{}\n", each.namespace, each.name, each.value.len(), each.value))
        .collect();
    attributes.sort();
    out.extend(attributes);
    for node in element.nodes() {
        match node {
            Node::Element(child) => dump(child, out),
            Node::Text(text) => out.push_str(&format!("={}:{text}\n", text.len())),
        }
    }
    out.push_str(">\n");
}

pub(crate) fn dumped(element: &Element) -> String {
    let mut out = String::new();
    dump(element, &mut out);
    out
}
