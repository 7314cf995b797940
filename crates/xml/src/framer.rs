//! Finds the frames of a stream (header, top-level elements, end) in any chunking, within limits.
//!
//! It reads tags by the grammar of XML 1.0, 3.1 down to quotes and name bytes, so that no parser behind it can see
//! another boundary; it does not compare end tags with start tags, resolve references or namespaces, or check UTF-8:
//! the reader does. Refuses what RFC 6120, 11.1 forbids as soon as the first byte of it is there.
//! Invariant: what it answers depends on the bytes alone, never on how they were cut.

use crate::scan::{is_name, is_name_start, is_space, name_len, plain_len, space_len};
use crate::{Limit, Limits, XmlError};

/// What a whole frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// The XML declaration, if any, and the start tag of the stream.
    StreamOpen,
    /// One top-level element, whole.
    Element,
    /// The end tag of the stream.
    StreamClose,
}

/// What the next bytes of a chunk are; `bytes` counts from the start of the slice given to [`Framer::next`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// White space between frames (a keepalive): belongs to no frame.
    Space {
        /// Bytes to drop.
        bytes: usize,
    },
    /// The whole slice belongs to a frame that is not complete yet: keep it and give what follows.
    Partial {
        /// Bytes to keep: all of the slice.
        bytes: usize,
    },
    /// A frame ends here.
    Frame {
        /// What it is.
        kind: FrameKind,
        /// Bytes of the slice that are the frame's last.
        bytes: usize,
    },
}

/// The state of framing one stream, some twenty bytes; holds none of the stream's bytes.
#[derive(Debug, Default)]
pub struct Framer {
    /// Bytes of the frame in earlier chunks.
    frame_bytes: u32,
    /// Start tags of the frame so far.
    elements: u32,
    /// Open elements of the frame.
    depth: u16,
    /// Attributes of the start tag so far.
    attributes: u16,
    /// `xmlns` declarations of the start tag so far.
    namespaces: u16,
    state: State,
    phase: Phase,
    /// Whether the XML declaration of this header is over.
    declared: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Header,
    Elements,
    Closed,
}

/// Where in a frame the next byte stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Between,
    /// Between the XML declaration and the stream's start tag.
    Prolog,
    /// Behind `<?` and that many bytes of `xml`.
    DeclarationName(u8),
    Declaration,
    /// Behind a `?` in the declaration.
    DeclarationMark,
    Text,
    /// Behind `<`.
    Markup,
    /// Behind `<!`.
    Bang,
    /// Behind `<![` and that many bytes of `CDATA[`.
    CdataName(u8),
    /// In character data, behind that many (at most two) `]`.
    Cdata(u8),
    TagName,
    /// In a start tag, behind white space.
    Tag,
    /// In an attribute name; the number says how much of `xmlns` it is.
    AttributeName(u8),
    AfterAttributeName,
    BeforeValue,
    /// In a value within this quote.
    Value(u8),
    AfterValue,
    /// Behind the `/` of a start tag.
    Slash,
    /// Behind `</`.
    EndTag,
    EndTagName,
    /// In an end tag, behind white space.
    EndTagSpace,
}

const XMLNS: &[u8] = b"xmlns";
/// An attribute name that is `xmlns`, one that begins with `xmlns:`, and any other.
const DEFAULT_DECLARATION: u8 = 5;
const PREFIX_DECLARATION: u8 = 6;
const PLAIN_ATTRIBUTE: u8 = 7;

const CONTROL: XmlError = XmlError::NotWellFormed("control character");
const BAD_TAG: XmlError = XmlError::NotWellFormed("start tag");
const BAD_END_TAG: XmlError = XmlError::NotWellFormed("end tag");
const STRAY_TEXT: XmlError = XmlError::NotWellFormed("text outside an element");

/// How many bytes were taken, and the frame that they completed.
type Taken = Result<(usize, Option<FrameKind>), XmlError>;

impl Framer {
    /// A framer that expects a stream header.
    pub fn new() -> Framer {
        Framer::default()
    }

    /// Whether the next byte begins an element, ends the stream or is white space.
    pub fn is_between_elements(&self) -> bool {
        self.state == State::Between && self.phase == Phase::Elements
    }

    /// Says what the next bytes are. The caller drops or keeps as many as the step says and calls again with the rest.
    /// A slice must not be empty. After an error the framer must not be used again.
    pub fn next(&mut self, limits: &Limits, bytes: &[u8]) -> Result<Step, XmlError> {
        if self.state == State::Between {
            let spaces = space_len(bytes);
            if spaces > 0 || bytes.is_empty() {
                return Ok(Step::Space { bytes: spaces });
            }
            self.begin_frame(bytes[0])?;
        }
        let (bytes_max, limit) = match self.phase {
            Phase::Header => (limits.header_bytes_max, Limit::HeaderBytes),
            Phase::Elements | Phase::Closed => (limits.element_bytes_max, Limit::ElementBytes),
        };
        // Nothing beyond the limit is ever looked at.
        let room = bytes_max.saturating_sub(self.frame_bytes) as usize;
        let window = &bytes[..bytes.len().min(room)];
        let mut at = 0;
        while at < window.len() {
            let (taken, frame) = self.advance(limits, &window[at..])?;
            at += taken;
            if let Some(kind) = frame {
                self.state = State::Between;
                return Ok(Step::Frame { kind, bytes: at });
            }
        }
        if window.len() < bytes.len() {
            return Err(XmlError::LimitPassed(limit));
        }
        self.frame_bytes += window.len() as u32;
        Ok(Step::Partial { bytes: bytes.len() })
    }

    fn begin_frame(&mut self, first: u8) -> Result<(), XmlError> {
        if self.phase == Phase::Closed {
            return Err(XmlError::NotWellFormed("bytes after the end of the stream"));
        }
        if first != b'<' {
            return Err(STRAY_TEXT);
        }
        self.frame_bytes = 0;
        self.elements = 0;
        self.depth = 0;
        // Any state that takes `<` as the start of markup.
        self.state = State::Prolog;
        Ok(())
    }

    fn advance(&mut self, limits: &Limits, bytes: &[u8]) -> Taken {
        let byte = bytes[0];
        match self.state {
            State::Text => self.text(bytes),
            State::Value(quote) => self.value(quote, bytes),
            State::Cdata(brackets) => self.cdata(brackets, bytes),
            State::TagName
            | State::EndTagName
            | State::AttributeName(PREFIX_DECLARATION | PLAIN_ATTRIBUTE)
                if is_name(byte) =>
            {
                Ok((name_len(bytes), None))
            }
            State::Markup | State::Bang | State::CdataName(_) => self.markup(limits, byte),
            State::EndTag | State::EndTagName | State::EndTagSpace => self.end_tag(byte),
            State::Between
            | State::Prolog
            | State::DeclarationName(_)
            | State::Declaration
            | State::DeclarationMark => self.prolog(byte),
            State::TagName
            | State::Tag
            | State::AttributeName(_)
            | State::AfterAttributeName
            | State::BeforeValue
            | State::AfterValue
            | State::Slash => self.start_tag(limits, byte),
        }
    }

    fn go(&mut self, state: State) -> Taken {
        self.state = state;
        Ok((1, None))
    }

    fn text(&mut self, bytes: &[u8]) -> Taken {
        match plain_len(bytes, b'<', b'<') {
            0 if bytes[0] == b'<' => self.go(State::Markup),
            0 => Err(CONTROL),
            plain => Ok((plain, None)),
        }
    }

    fn value(&mut self, quote: u8, bytes: &[u8]) -> Taken {
        match plain_len(bytes, quote, b'<') {
            0 if bytes[0] == quote => self.go(State::AfterValue),
            // xml-rs takes `<!--` and `</` in a value and then sees other boundaries than everybody else.
            0 if bytes[0] == b'<' => Err(XmlError::NotWellFormed("< in an attribute value")),
            0 => Err(CONTROL),
            plain => Ok((plain, None)),
        }
    }

    fn cdata(&mut self, brackets: u8, bytes: &[u8]) -> Taken {
        match (brackets, bytes[0]) {
            (2, b'>') => self.go(State::Text),
            (2, b']') => Ok((1, None)),
            (_, b']') => self.go(State::Cdata(brackets + 1)),
            _ => {
                self.state = State::Cdata(0);
                match plain_len(bytes, b']', b']') {
                    0 => Err(CONTROL),
                    plain => Ok((plain, None)),
                }
            }
        }
    }

    fn prolog(&mut self, byte: u8) -> Taken {
        match (self.state, byte) {
            (State::Prolog, b'<') => self.go(State::Markup),
            (State::Prolog, _) if is_space(byte) => Ok((1, None)),
            (State::DeclarationName(3), _) if is_space(byte) => self.go(State::Declaration),
            (State::DeclarationName(matched), _) if b"xml".get(usize::from(matched)) == Some(&byte) => {
                self.go(State::DeclarationName(matched + 1))
            }
            (State::DeclarationName(_), _) => Err(XmlError::Restricted("processing instruction")),
            (State::Declaration | State::DeclarationMark, b'?') => self.go(State::DeclarationMark),
            (State::DeclarationMark, b'>') => {
                self.declared = true;
                self.go(State::Prolog)
            }
            (State::Declaration | State::DeclarationMark, b'<') => {
                Err(XmlError::NotWellFormed("XML declaration"))
            }
            (State::Declaration | State::DeclarationMark, _) if byte >= 0x20 || is_space(byte) => {
                self.go(State::Declaration)
            }
            _ if byte < 0x20 => Err(CONTROL),
            _ => Err(STRAY_TEXT),
        }
    }

    fn markup(&mut self, limits: &Limits, byte: u8) -> Taken {
        match (self.state, byte) {
            (State::Bang, b'[') if self.depth > 0 => self.go(State::CdataName(0)),
            (State::Bang, b'[') => Err(STRAY_TEXT),
            (State::Bang, b'-') => Err(XmlError::Restricted("comment")),
            (State::Bang, _) => Err(XmlError::Restricted("document type declaration")),
            (State::CdataName(5), b'[') => self.go(State::Cdata(0)),
            (State::CdataName(matched), _) if b"CDATA".get(usize::from(matched)) == Some(&byte) => {
                self.go(State::CdataName(matched + 1))
            }
            (State::CdataName(_), _) => Err(XmlError::NotWellFormed("CDATA section")),
            (_, b'!') => self.go(State::Bang),
            (_, b'?') if self.phase == Phase::Header && !self.declared => self.go(State::DeclarationName(0)),
            (_, b'?') => Err(XmlError::Restricted("processing instruction")),
            (_, b'/') if self.phase == Phase::Elements => self.go(State::EndTag),
            (_, b'/') => Err(BAD_END_TAG),
            _ if is_name_start(byte) => self.begin_start_tag(limits),
            _ => Err(BAD_TAG),
        }
    }

    fn begin_start_tag(&mut self, limits: &Limits) -> Taken {
        if self.phase == Phase::Elements {
            if self.depth >= limits.depth_max {
                return Err(XmlError::LimitPassed(Limit::Depth));
            }
            if self.elements >= limits.elements_max {
                return Err(XmlError::LimitPassed(Limit::Elements));
            }
            self.elements += 1;
        }
        self.attributes = 0;
        self.namespaces = 0;
        self.go(State::TagName)
    }

    fn start_tag(&mut self, limits: &Limits, byte: u8) -> Taken {
        match (self.state, byte) {
            (State::TagName | State::Tag | State::AfterValue, b'>') => self.end_start_tag(),
            (State::TagName | State::Tag | State::AfterValue, b'/') => self.go(State::Slash),
            (State::TagName | State::Tag | State::AfterValue, _) if is_space(byte) => self.go(State::Tag),
            (State::Tag, _) if is_name_start(byte) => {
                self.go(State::AttributeName(if byte == XMLNS[0] { 1 } else { PLAIN_ATTRIBUTE }))
            }
            (State::AttributeName(matched), _) if is_name(byte) => {
                self.state = State::AttributeName(match matched {
                    0..DEFAULT_DECLARATION if XMLNS[usize::from(matched)] == byte => matched + 1,
                    DEFAULT_DECLARATION if byte == b':' => PREFIX_DECLARATION,
                    _ => PLAIN_ATTRIBUTE,
                });
                Ok((1, None))
            }
            (State::AttributeName(matched), _) if byte == b'=' || is_space(byte) => {
                self.count_attribute(limits, matched)?;
                self.go(if byte == b'=' { State::BeforeValue } else { State::AfterAttributeName })
            }
            (State::AfterAttributeName, b'=') => self.go(State::BeforeValue),
            (State::BeforeValue, b'"' | b'\'') => self.go(State::Value(byte)),
            (State::AfterAttributeName | State::BeforeValue, _) if is_space(byte) => Ok((1, None)),
            (State::Slash, b'>') => self.end_empty_tag(),
            _ if byte < 0x20 && !is_space(byte) => Err(CONTROL),
            _ => Err(BAD_TAG),
        }
    }

    fn count_attribute(&mut self, limits: &Limits, matched: u8) -> Result<(), XmlError> {
        let (count, max, limit) = match matched {
            DEFAULT_DECLARATION | PREFIX_DECLARATION => {
                (&mut self.namespaces, limits.namespaces_max, Limit::Namespaces)
            }
            _ => (&mut self.attributes, limits.attributes_max, Limit::Attributes),
        };
        if *count >= max {
            return Err(XmlError::LimitPassed(limit));
        }
        *count += 1;
        Ok(())
    }

    fn end_start_tag(&mut self) -> Taken {
        if self.phase == Phase::Header {
            self.phase = Phase::Elements;
            return Ok((1, Some(FrameKind::StreamOpen)));
        }
        self.depth += 1;
        self.go(State::Text)
    }

    fn end_empty_tag(&mut self) -> Taken {
        match (self.phase, self.depth) {
            (Phase::Header, _) => Err(XmlError::NotWellFormed("stream header without content")),
            (_, 0) => Ok((1, Some(FrameKind::Element))),
            _ => self.go(State::Text),
        }
    }

    fn end_tag(&mut self, byte: u8) -> Taken {
        match (self.state, byte) {
            (State::EndTag, _) if is_name_start(byte) => self.go(State::EndTagName),
            (State::EndTagName | State::EndTagSpace, b'>') => match self.depth {
                0 => {
                    self.phase = Phase::Closed;
                    Ok((1, Some(FrameKind::StreamClose)))
                }
                1 => Ok((1, Some(FrameKind::Element))),
                _ => {
                    self.depth -= 1;
                    self.go(State::Text)
                }
            },
            (State::EndTagName | State::EndTagSpace, _) if is_space(byte) => self.go(State::EndTagSpace),
            _ if byte < 0x20 => Err(CONTROL),
            _ => Err(BAD_END_TAG),
        }
    }
}
