//! A small tree of what a server sent, and templates to compare it with.
//!
//! Written for tests, on purpose apart from the server's own reader: names keep their prefixes as they were written,
//! and anything not well-formed is an error with a text. Numeric and the five named references are resolved.

use std::fmt;

/// An element as it was received.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Node {
    /// The name with its prefix, as written.
    pub name: String,
    /// Attributes in the order they were written, `xmlns` among them.
    pub attributes: Vec<(String, String)>,
    /// Child elements.
    pub children: Vec<Node>,
    /// All text directly inside, joined.
    pub text: String,
}

impl Node {
    /// Reads one element that fills the whole text.
    pub fn parse(text: &str) -> Result<Node, String> {
        let mut parser = Parser { rest: text.trim() };
        let node = parser.element()?;
        if parser.rest.is_empty() { Ok(node) } else { Err(format!("{:?} follows the element", parser.rest)) }
    }

    /// Reads one start tag, as a stream header is.
    pub fn parse_start(text: &str) -> Result<Node, String> {
        let mut parser = Parser { rest: text.trim() };
        let (node, empty) = parser.start()?;
        if empty || !parser.rest.is_empty() { Err(format!("{text:?} is not a start tag")) } else { Ok(node) }
    }

    /// The value of an attribute, by the name as written.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first child of this name.
    pub fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The first descendant of this name, itself included.
    pub fn find(&self, name: &str) -> Option<&Node> {
        if self.name == name { Some(self) } else { self.children.iter().find_map(|child| child.find(name)) }
    }

    /// Whether this element has all that the template has: name, each attribute (`*` stands for any value), text if
    /// the template has some, and for each child of the template a different child that matches it. It may have more.
    /// An attribute with the value `!` must not be there.
    pub fn matches(&self, template: &Node) -> bool {
        self.name == template.name
            && template.attributes.iter().all(|(name, wanted)| {
                match (wanted.as_str(), self.attribute(name)) {
                    ("!", value) => value.is_none(),
                    ("*", value) => value.is_some(),
                    (wanted, value) => value == Some(wanted),
                }
            })
            && (template.text.trim().is_empty()
                || template.text == self.text
                || (template.text == "*" && !self.text.is_empty()))
            && self.has_children(&template.children)
    }

    fn has_children(&self, wanted: &[Node]) -> bool {
        let mut left: Vec<&Node> = self.children.iter().collect();
        wanted.iter().all(|template| match left.iter().position(|child| child.matches(template)) {
            Some(index) => {
                left.remove(index);
                true
            }
            None => false,
        })
    }
}

/// As XML, in one line.
impl fmt::Display for Node {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "<{}", self.name)?;
        for (name, value) in &self.attributes {
            write!(out, " {name}='{}'", escape(value))?;
        }
        write!(out, ">{}", escape(&self.text))?;
        self.children.iter().try_for_each(|child| write!(out, "{child}"))?;
        write!(out, "</{}>", self.name)
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn element(&mut self) -> Result<Node, String> {
        let (mut node, empty) = self.start()?;
        if empty {
            return Ok(node);
        }
        loop {
            if let Some(rest) = self.rest.strip_prefix("</") {
                let (name, rest) = rest.split_once('>').ok_or("an end tag without end")?;
                self.rest = rest;
                let name = name.trim_end();
                return if name == node.name {
                    Ok(node)
                } else {
                    Err(format!("</{name}> ends <{}>", node.name))
                };
            } else if let Some(rest) = self.rest.strip_prefix("<![CDATA[") {
                let (text, rest) = rest.split_once("]]>").ok_or("a CDATA section without end")?;
                node.text.push_str(text);
                self.rest = rest;
            } else if self.rest.starts_with('<') {
                node.children.push(self.element()?);
            } else {
                let end = self.rest.find('<').ok_or_else(|| format!("<{}> has no end", node.name))?;
                node.text.push_str(&resolve(&self.rest[..end])?);
                self.rest = &self.rest[end..];
            }
        }
    }

    /// A start tag; true if it was an empty-element tag.
    fn start(&mut self) -> Result<(Node, bool), String> {
        let rest = self.rest.strip_prefix('<').ok_or_else(|| format!("no start tag: {:?}", self.rest))?;
        let end = rest
            .find(|c: char| c.is_ascii_whitespace() || c == '>' || c == '/')
            .ok_or("a start tag without end")?;
        let mut node = Node { name: rest[..end].to_owned(), ..Node::default() };
        if node.name.is_empty() || node.name.contains(['<', '&', '!', '?', '"', '\'']) {
            return Err(format!("{:?} is no name", node.name));
        }
        let mut rest = rest[end..].trim_ascii_start();
        loop {
            if let Some(behind) = rest.strip_prefix("/>") {
                self.rest = behind;
                return Ok((node, true));
            }
            if let Some(behind) = rest.strip_prefix('>') {
                self.rest = behind;
                return Ok((node, false));
            }
            let (name, behind) = rest.split_once('=').ok_or_else(|| format!("bad attribute at {rest:?}"))?;
            let behind = behind.trim_ascii_start();
            let quote = behind.chars().next().filter(|c| matches!(c, '\'' | '"')).ok_or("no quote")?;
            let (value, behind) = behind[1..].split_once(quote).ok_or("an attribute value without end")?;
            if value.contains('<') {
                return Err(format!("'<' in an attribute value: {value:?}"));
            }
            let name = name.trim_ascii_end();
            if node.attribute(name).is_some() {
                return Err(format!("two attributes {name}"));
            }
            node.attributes.push((name.to_owned(), resolve(value)?));
            rest = behind.trim_ascii_start();
        }
    }
}

fn resolve(text: &str) -> Result<String, String> {
    let mut resolved = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('&') {
        resolved.push_str(before);
        let (name, behind) =
            behind.split_once(';').ok_or_else(|| format!("a reference without end in {text:?}"))?;
        resolved.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => number(name).ok_or_else(|| format!("unknown reference &{name};"))?,
        });
        rest = behind;
    }
    resolved.push_str(rest);
    Ok(resolved)
}

fn number(name: &str) -> Option<char> {
    let digits = name.strip_prefix('#')?;
    let code = match digits.strip_prefix('x') {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    char::from_u32(code.ok()?)
}

/// Text as it may stand between tags and in attributes.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&apos;")
}

#[cfg(test)]
mod tests {
    use super::{Node, escape};

    fn check(received: &str, template: &str) -> bool {
        Node::parse(received).unwrap().matches(&Node::parse(template).unwrap())
    }

    #[test]
    fn an_element_matches_a_template_that_asks_for_less() {
        let received = "<iq type=\"result\" id='1'><q xmlns='a'>t&lt;<b/></q><b/></iq>";
        assert!(check(received, "<iq id='1' type='result'/>"));
        assert!(check(received, "<iq id='*'><b/><q xmlns='a'>t&#x3c;</q></iq>"));
        assert!(check(received, "<iq from='!'/>"));
    }

    #[test]
    fn an_element_does_not_match_a_template_that_asks_for_more() {
        let received = "<iq type='result' id='1'><b/></iq>";
        for template in
            ["<iq id='2'/>", "<iq to='*'/>", "<iq><b/><b/></iq>", "<iq id='!'/>", "<a/>", "<iq><b>x</b></iq>"]
        {
            assert!(!check(received, template), "{template}");
        }
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for text in
            ["<a>", "<a></b>", "<a b='1' b='2'/>", "<a b='<'/>", "<a>&x;</a>", "<a/><b/>", "a", "<a b/>"]
        {
            assert!(Node::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn escaped_text_comes_back() {
        let text = "<&'>\"ü";
        assert_eq!(Node::parse(&format!("<a b='{0}'>{0}</a>", escape(text))).unwrap().text, text);
    }
}
