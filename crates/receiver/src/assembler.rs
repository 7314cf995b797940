//! Makes events of a stream's bytes: the framer finds a frame, the reader takes it apart. Pure.

use bytes::{Bytes, BytesMut};
use rjabberd_xml::{Context, FrameKind, Framer, Limits, Step, XmlError, read_element, read_header};

use crate::{COUNTERS, messages::Event};

/// One stream, from its header to its end.
pub(crate) struct Assembler {
    limits: Limits,
    framer: Framer,
    context: Context,
    /// The beginning of a frame that is not whole yet; no buffer while it is empty.
    partial: BytesMut,
}

impl Assembler {
    pub(crate) fn new(limits: Limits) -> Assembler {
        Assembler { limits, framer: Framer::new(), context: Context::canonical(), partial: BytesMut::new() }
    }

    /// Takes bytes from the front of `input` until there is an event, or no byte is left.
    pub(crate) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Event>, XmlError> {
        while !input.is_empty() {
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
        frame.freeze()
    }

    fn read(&mut self, kind: FrameKind, frame: Bytes) -> Result<Event, XmlError> {
        match kind {
            FrameKind::StreamOpen => {
                let header = read_header(&frame)?;
                self.context = header.context.clone();
                Ok(Event::HeaderRead(header))
            }
            FrameKind::Element => read_element(&self.context, frame).map(Event::ElementRead),
            FrameKind::StreamClose => Ok(Event::StreamEnded),
        }
    }
}
