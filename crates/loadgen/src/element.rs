//! Reads what a client must know of a complete, well-formed element: names, attributes, children, text.
//!
//! Names are compared without their prefix: on a client's stream, no two elements differ by that alone.

use std::borrow::Cow;

use memchr::memchr;

/// A start tag (or an empty element's).
#[derive(Clone, Copy, Debug)]
pub struct Tag<'a> {
    /// The name without its prefix.
    pub name: &'a str,
    attributes: &'a str,
    is_empty: bool,
}

impl<'a> Tag<'a> {
    /// The first start tag of an element, or of a stream header with its declaration.
    pub fn first(bytes: &'a [u8]) -> Option<Tag<'a>> {
        Tokens::new(bytes).find_map(|token| match token {
            Token::Start(tag) => Some(tag),
            _ => None,
        })
    }

    /// The value of an attribute, references resolved.
    pub fn attribute(&self, name: &str) -> Option<Cow<'a, str>> {
        let mut rest = self.attributes;
        while let Some(equals) = rest.find('=') {
            let found = rest[..equals].trim();
            let after = rest[equals + 1..].trim_start();
            let quote = after.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
            let end = after[1..].find(quote)? + 1;
            if found == name {
                return Some(resolve(&after[1..end]));
            }
            rest = &after[end + 1..];
        }
        None
    }

    fn of(inside: &'a str) -> Tag<'a> {
        let is_empty = inside.ends_with('/');
        let inside = inside.strip_suffix('/').unwrap_or(inside);
        let (name, attributes) = inside.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((inside, ""));
        Tag { name: name.rsplit(':').next().unwrap_or(name), attributes, is_empty }
    }
}

enum Token<'a> {
    Start(Tag<'a>),
    End,
    Text(Cow<'a, str>),
}

/// The tokens of complete elements. What is not well-formed ends them.
struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    fn new(bytes: &'a [u8]) -> Tokens<'a> {
        Tokens { text: std::str::from_utf8(bytes).unwrap_or_default(), at: 0 }
    }

    /// The inside of what ends with `end`, from `skip` bytes on.
    fn up_to(&mut self, skip: usize, end: &str) -> Option<&'a str> {
        let text: &'a str = self.text;
        let rest = text.get(self.at + skip..)?;
        let length = rest.find(end)?;
        self.at += skip + length + end.len();
        Some(&rest[..length])
    }

    /// A start tag's end is the first `>` outside of quotes.
    fn start_tag(&mut self) -> Option<Tag<'a>> {
        let text: &'a str = self.text;
        let rest = &text[self.at + 1..];
        let mut quote = None;
        let end = rest.bytes().position(|byte| match quote {
            Some(open) => {
                if byte == open {
                    quote = None;
                }
                false
            }
            None if matches!(byte, b'\'' | b'"') => {
                quote = Some(byte);
                false
            }
            None => byte == b'>',
        })?;
        self.at += end + 2;
        Some(Tag::of(&rest[..end]))
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let text: &'a str = self.text;
            let rest = &text[self.at..];
            if rest.is_empty() {
                return None;
            }
            if !rest.starts_with('<') {
                let length = memchr(b'<', rest.as_bytes()).unwrap_or(rest.len());
                self.at += length;
                return Some(Token::Text(resolve(&rest[..length])));
            }
            if rest.starts_with("<?") {
                self.up_to(2, "?>")?;
            } else if rest.starts_with("<![CDATA[") {
                return self.up_to(9, "]]>").map(|inside| Token::Text(Cow::Borrowed(inside)));
            } else if rest.starts_with("</") {
                self.up_to(2, ">")?;
                return Some(Token::End);
            } else {
                return self.start_tag().map(Token::Start);
            }
        }
    }
}

/// The child elements of an element, each as its bytes.
pub fn children(element: &[u8]) -> Vec<&[u8]> {
    let mut tokens = Tokens::new(element);
    let (mut depth, mut start, mut children) = (0_u32, 0, Vec::new());
    loop {
        let before = tokens.at;
        let ended = match tokens.next() {
            None => return children,
            Some(Token::Text(_)) => false,
            Some(Token::Start(tag)) => {
                if depth == 1 {
                    start = before;
                }
                depth += u32::from(!tag.is_empty);
                tag.is_empty && depth == 1
            }
            Some(Token::End) => {
                depth = depth.saturating_sub(1);
                depth == 1
            }
        };
        if ended {
            children.push(&element[start..tokens.at]);
        }
    }
}

/// The first child of this name.
pub fn child<'a>(element: &'a [u8], name: &str) -> Option<&'a [u8]> {
    children(element).into_iter().find(|child| Tag::first(child).is_some_and(|tag| tag.name == name))
}

/// All the text in an element.
pub fn text(element: &[u8]) -> String {
    Tokens::new(element)
        .filter_map(|token| match token {
            Token::Text(text) => Some(text),
            _ => None,
        })
        .collect()
}

/// The condition of an error and its text: `not-authorized: The password is wrong`.
pub fn condition(error: &[u8]) -> String {
    let mut condition = String::new();
    let mut explained = String::new();
    for one in children(error) {
        match Tag::first(one).map(|tag| tag.name) {
            Some("text") => explained = text(one),
            Some(name) if condition.is_empty() => condition = name.to_owned(),
            _ => {}
        }
    }
    match (condition.is_empty(), explained.is_empty()) {
        (true, _) => "no condition".to_owned(),
        (false, true) => condition,
        (false, false) => format!("{condition}: {explained}"),
    }
}

/// Resolves the references of a text; an unknown one stays as it is.
fn resolve(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut parts = text.split('&');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        match part.split_once(';').and_then(|(name, rest)| Some((character(name)?, rest))) {
            Some((character, rest)) => {
                out.push(character);
                out.push_str(rest);
            }
            None => {
                out.push('&');
                out.push_str(part);
            }
        }
    }
    Cow::Owned(out)
}

fn character(name: &str) -> Option<char> {
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

/// Appends a text as an attribute's value or as character data.
pub fn escape(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'\'' => out.extend_from_slice(b"&apos;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            byte => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_in_any_quotes_and_spacing() {
        let tag = Tag::first(b"<?xml version='1.0'?><a:b c = \"1 > 'x'\"\n d='&lt;&#65;&#x42;&amp;' id=''/>")
            .unwrap();
        assert_eq!(tag.name, "b");
        assert_eq!(tag.attribute("c").unwrap(), "1 > 'x'");
        assert_eq!(tag.attribute("d").unwrap(), "<AB&");
        assert_eq!(tag.attribute("id").unwrap(), "");
        assert!(tag.attribute("x").is_none());
    }

    #[test]
    fn children_are_those_of_the_first_level() {
        let features =
            b"<f:features xmlns:f='x'> <s:starttls xmlns:s='y'><required/></s:starttls><bind/>\n<c><bind/></c></f:features>";
        let names: Vec<&str> = children(features).iter().map(|one| Tag::first(one).unwrap().name).collect();
        assert_eq!(names, ["starttls", "bind", "c"]);
        assert!(child(child(features, "starttls").unwrap(), "required").is_some());
        assert!(child(features, "required").is_none());
    }

    #[test]
    fn text_is_read_through_references_and_cdata() {
        assert_eq!(text(b"<a>x<![CDATA[<&amp;>]]>&gt;<b>y</b></a>"), "x<&amp;>>y");
    }

    #[test]
    fn an_error_tells_condition_and_text() {
        let failure = b"<failure xmlns='s'><not-authorized/><text xml:lang='en'>No.</text></failure>";
        assert_eq!(condition(failure), "not-authorized: No.");
        assert_eq!(condition(b"<failure/>"), "no condition");
    }

    #[test]
    fn what_is_escaped_reads_the_same() {
        let mut out = b"<a b='".to_vec();
        escape("<&>'\"\u{e4}", &mut out);
        out.extend_from_slice(b"'/>");
        assert_eq!(Tag::first(&out).unwrap().attribute("b").unwrap(), "<&>'\"\u{e4}");
    }
}
