//! The elements of stream management, read and written (XEP-0198, 3 to 6).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rjabberd_xml::{Element, Fragment};

use crate::{Condition, ns};

/// Which version of the protocol a client speaks; they differ in the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `urn:xmpp:sm:2`.
    Two,
    /// `urn:xmpp:sm:3`.
    Three,
}

impl Version {
    /// The version of a namespace.
    pub fn of(namespace: &str) -> Option<Version> {
        match namespace {
            ns::SM2 => Some(Version::Two),
            ns::SM3 => Some(Version::Three),
            _ => None,
        }
    }

    /// The namespace.
    pub fn namespace(self) -> &'static str {
        match self {
            Version::Two => ns::SM2,
            Version::Three => ns::SM3,
        }
    }

    /// `<enabled/>`: with the identifier and the seconds for which it holds, where the session may be resumed.
    pub fn enabled(self, resumption: Option<(ResumptionId, u32)>) -> Element {
        let mut enabled = Element::new("enabled", self.namespace());
        if let Some((id, max_s)) = resumption {
            enabled = enabled
                .with_attribute("resume", "true")
                .with_attribute("id", id.to_string())
                .with_attribute("max", max_s.to_string());
        }
        enabled
    }

    /// `<resumed/>`.
    pub fn resumed(self, h: u32, id: ResumptionId) -> Element {
        Element::new("resumed", self.namespace())
            .with_attribute("h", h.to_string())
            .with_attribute("previd", id.to_string())
    }

    /// `<failed/>`, with `h` where it is still known (XEP-0198, 5).
    pub fn failed(self, condition: Condition, h: Option<u32>) -> Element {
        let mut failed = Element::new("failed", self.namespace());
        if let Some(h) = h {
            failed = failed.with_attribute("h", h.to_string());
        }
        failed.with_child(Element::new(condition.name(), ns::STANZA_ERRORS))
    }

    /// `<a/>`.
    pub fn answer(self, h: u32) -> Element {
        Element::new("a", self.namespace()).with_attribute("h", h.to_string())
    }

    /// `<r/>`.
    pub fn request(self) -> Element {
        Element::new("r", self.namespace())
    }

    /// The condition beside `undefined-condition` (XEP-0198, 6).
    pub fn handled_count_too_high(self, h: u32, sent: u32) -> Element {
        Element::new("handled-count-too-high", self.namespace())
            .with_attribute("h", h.to_string())
            .with_attribute("send-count", sent.to_string())
    }
}

/// What a session is resumed by: random, and good for its own account only. It is as good as a password for as long as
/// the session lives, so `Debug` hides it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResumptionId(pub [u8; 16]);

impl ResumptionId {
    /// Reads the text that [`std::fmt::Display`] writes; anything else is nobody's.
    pub fn parse(text: &str) -> Option<ResumptionId> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(ResumptionId(bytes.try_into().ok()?))
    }
}

impl std::fmt::Display for ResumptionId {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl std::fmt::Debug for ResumptionId {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("ResumptionId")
    }
}

/// What a client says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// `<enable/>`.
    Enable {
        /// Whether the session is to be resumable.
        resume: bool,
        /// For how many seconds, as the client would like it.
        max_s: Option<u32>,
    },
    /// `<resume/>`. An identifier that cannot be ours is `None`.
    Resume {
        /// Which session.
        id: Option<ResumptionId>,
        /// What the client has handled.
        h: u32,
    },
    /// `<r/>`.
    Request,
    /// `<a/>`.
    Answer {
        /// What the client has handled.
        h: u32,
    },
}

impl Word {
    /// Reads an element of one of the namespaces; `None` where it breaks the grammar, or is none that a client says.
    pub fn read(fragment: &Fragment) -> Option<Word> {
        Word::from_parts(fragment.name(), |name| fragment.attribute(name))
    }

    /// The same for one that stands within another.
    pub fn of(element: &Element) -> Option<Word> {
        Word::from_parts(element.name(), |name| element.attribute(name))
    }

    fn from_parts<'a>(name: &str, attribute: impl Fn(&str) -> Option<&'a str>) -> Option<Word> {
        let number = |name| attribute(name)?.trim_ascii().parse::<u32>().ok();
        match name {
            "enable" => Some(Word::Enable {
                resume: matches!(attribute("resume"), Some("true" | "1")),
                max_s: number("max"),
            }),
            "resume" => Some(Word::Resume { id: ResumptionId::parse(attribute("previd")?), h: number("h")? }),
            "r" => Some(Word::Request),
            "a" => Some(Word::Answer { h: number("h")? }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rjabberd_xml::{Context, read_element};

    use super::*;

    fn word(text: &str) -> Option<Word> {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        Word::read(&read_element(&Context::canonical(), bytes).unwrap())
    }

    #[test]
    fn resume_is_true_or_one() {
        for (text, expected) in [("true", true), ("1", true), ("false", false), ("yes", false)] {
            let word = word(&format!("<enable xmlns='urn:xmpp:sm:3' resume='{text}' max='60'/>"));
            assert_eq!(word, Some(Word::Enable { resume: expected, max_s: Some(60) }), "{text}");
        }
    }

    #[test]
    fn an_identifier_is_read_as_it_was_written_and_what_is_none_is_nobodys() {
        let id = ResumptionId(*b"0123456789abcdef");
        let text = format!("<resume xmlns='urn:xmpp:sm:3' h='4294967295' previd='{id}'/>");
        assert_eq!(word(&text), Some(Word::Resume { id: Some(id), h: u32::MAX }));
        for other in ["", "x", "g2gDbQAAAAVyb21lbw", &format!("{id}A")] {
            assert_eq!(ResumptionId::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_word_without_its_number_is_none() {
        for text in
            ["<a", "<a h=''", "<a h='-1'", "<a h='4294967296'", "<resume h='1'", "<resume previd='x'", "<x"]
        {
            assert_eq!(word(&format!("{text} xmlns='urn:xmpp:sm:3'/>")), None, "{text}");
        }
    }
}
