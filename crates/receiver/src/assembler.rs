//! Makes events of a stream's bytes: a stanza that came whole is taken by the checker alone; of anything else the framer
//! finds the frame. The checker takes a stanza apart, which is passed on, and the reader what the server interprets. Pure.

use bytes::Bytes;
use rjabberd_xml::{
    Context, FrameKind, Framer, Limits, Step, XmlError, check_element, read_element, read_header, take_stanza,
};

use crate::{COUNTERS, messages::Event};

/// One stream, from its header to its end.
pub(crate) struct Assembler {
    limits: Limits,
    framer: Framer,
    context: Context,
    /// Name of the root element as the header wrote it, which the end tag must repeat; no header, no end.
    root: Box<str>,
    /// The beginning of a frame that is not whole yet; no buffer while it is empty.
    partial: Vec<u8>,
}

impl Assembler {
    pub(crate) fn new(limits: Limits) -> Assembler {
        Assembler {
            limits,
            framer: Framer::new(),
            context: Context::canonical(),
            root: Box::default(),
            partial: Vec::new(),
        }
    }

    /// Other limits, from the next element on.
    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes bytes from the front of `input` until there is an event, or no byte is left.
    pub(crate) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Event>, XmlError> {
        while !input.is_empty() {
            if self.partial.is_empty()
                && self.framer.is_between_elements()
                && let Some((stanza, bytes)) = take_stanza(&self.context, &self.limits, input)
            {
                *input = &input[bytes..];
                return Ok(Some(Event::ElementRead(stanza)));
            }
            match self.framer.next(&self.limits, input)? {
                // White-space keepalives end here.
                Step::Space { bytes } => {
                    COUNTERS.keepalive();
                    *input = &input[bytes..];
                }
                Step::Partial { bytes } => {
                    self.partial.extend_from_slice(&input[..bytes]);
                    *input = &input[bytes..];
                }
                Step::Frame { kind, bytes } => {
                    let frame = self.frame(&input[..bytes]);
                    *input = &input[bytes..];
                    return self.read(kind, frame).map(Some);
                }
            }
        }
        Ok(None)
    }

    fn frame(&mut self, last: &[u8]) -> Bytes {
        if self.partial.is_empty() {
            return Bytes::copy_from_slice(last);
        }
        let mut frame = std::mem::take(&mut self.partial);
        frame.extend_from_slice(last);
        frame.into()
    }

    /// Whether an end tag (`</name>`, with white space behind the name) is that of the root element.
    fn closes(&self, tag: &[u8]) -> bool {
        let name =
            tag.strip_prefix(b"</").and_then(|rest| rest.strip_suffix(b">")).map(<[u8]>::trim_ascii_end);
        name == Some(self.root.as_bytes())
    }

    fn read(&mut self, kind: FrameKind, frame: Bytes) -> Result<Event, XmlError> {
        match kind {
            FrameKind::StreamOpen => {
                let header = read_header(&frame)?;
                self.context = header.context.clone();
                self.root = match header.prefix.as_str() {
                    "" => header.name.as_str().into(),
                    prefix => format!("{prefix}:{}", header.name).into(),
                };
                Ok(Event::HeaderRead(header))
            }
            // Whatever is interpreted of a stanza is read as a tree later, by xml-rs.
            FrameKind::Element if is_stanza(&frame) => {
                check_element(&self.context, frame).map(Event::ElementRead)
            }
            FrameKind::Element => read_element(&self.context, frame).map(Event::ElementRead),
            FrameKind::StreamClose if self.closes(&frame) => Ok(Event::StreamEnded),
            FrameKind::StreamClose => Err(XmlError::NotWellFormed("the end tag is not that of the stream")),
        }
    }
}

/// Whether an element calls itself a stanza, as nearly every client writes it: without a prefix.
fn is_stanza(frame: &[u8]) -> bool {
    [&b"<message"[..], b"<presence", b"<iq"].iter().any(|tag| {
        frame.strip_prefix(*tag).and_then(<[u8]>::first).is_some_and(|next| b" \t\r\n/>".contains(next))
    })
}

#[cfg(test)]
mod tests;
