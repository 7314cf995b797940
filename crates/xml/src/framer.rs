//! Finds the frames of a stream (header, top-level elements, end) in any chunking, within limits.

use crate::{Limits, XmlError};

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
    Space { /// Bytes to drop.
        bytes: usize },
    /// The whole slice belongs to a frame that is not complete yet: keep it and give what follows.
    Partial { /// Bytes to keep: all of the slice.
        bytes: usize },
    /// A frame ends here.
    Frame { /// What it is.
        kind: FrameKind, /// Bytes of the slice that are the frame's last.
        bytes: usize },
}

/// The state of framing one stream, some twenty bytes; holds none of the stream's bytes.
#[derive(Debug, Default)]
pub struct Framer {}

impl Framer {
    /// A framer that expects a stream header.
    pub fn new() -> Framer {
        todo!()
    }

    /// Says what the next bytes are. The caller drops or keeps as many as the step says and calls again with the rest.
    /// A slice must not be empty. After an error the framer must not be used again.
    pub fn next(&mut self, _limits: &Limits, _bytes: &[u8]) -> Result<Step, XmlError> {
        todo!()
    }
}
