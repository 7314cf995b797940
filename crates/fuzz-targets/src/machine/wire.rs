//! What the machine says, as the client reads it.

use bytes::Bytes;
use rjabberd_xml::{Context, FrameKind, Framer, Limits, Step, read_element, read_header};

/// Larger than anything that is said.
const LIMITS: Limits = Limits {
    header_bytes_max: 1 << 20,
    element_bytes_max: 1 << 24,
    elements_max: 1 << 20,
    ..Limits::AUTHENTICATED
};

/// The client's side of the stream.
pub(super) struct Wire {
    framer: Framer,
    context: Context,
    /// The next bytes begin a stream.
    owes_header: bool,
    /// TLS is beginning: nothing is said in plain.
    is_mute: bool,
    ended: bool,
}

impl Default for Wire {
    fn default() -> Wire {
        Wire {
            framer: Framer::new(),
            context: Context::canonical(),
            owes_header: true,
            is_mute: false,
            ended: false,
        }
    }
}

impl Wire {
    /// A new stream follows what was said.
    pub(super) fn begins_anew(&mut self) {
        assert!(!self.ended, "a new stream behind the end");
        self.owes_header = true;
    }

    /// TLS follows what was said, and then a new stream.
    pub(super) fn begins_tls(&mut self) {
        self.begins_anew();
        self.is_mute = true;
    }

    /// All of it must be whole: a header at the beginning of a stream, then elements, then at most its end.
    pub(super) fn written(&mut self, bytes: &[u8]) {
        assert!(!bytes.is_empty() && !self.ended, "behind the end of the stream");
        let is_header = bytes.starts_with(b"<?xml");
        assert_eq!(is_header, self.owes_header, "{}", String::from_utf8_lossy(bytes));
        if is_header {
            self.framer = Framer::new();
            (self.owes_header, self.is_mute) = (false, false);
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let step = self.framer.next(&LIMITS, rest).unwrap_or_else(|error| bad(bytes, &error));
            let Step::Frame { kind, bytes: length } = step else { bad(bytes, &"not whole") };
            let (frame, behind) = rest.split_at(length);
            self.read(kind, frame);
            rest = behind;
        }
    }

    fn read(&mut self, kind: FrameKind, frame: &[u8]) {
        match kind {
            FrameKind::StreamOpen => {
                self.context = read_header(frame).unwrap_or_else(|error| bad(frame, &error)).context;
            }
            FrameKind::Element => {
                let read = read_element(&self.context, Bytes::copy_from_slice(frame));
                let fragment = read.unwrap_or_else(|error| bad(frame, &error));
                fragment.to_element().unwrap_or_else(|error| bad(frame, &error));
            }
            FrameKind::StreamClose => {
                assert_eq!(frame, b"</stream:stream>");
                self.ended = true;
            }
        }
    }
}

fn bad(bytes: &[u8], why: &impl std::fmt::Display) -> ! {
    panic!("{why}: {}", String::from_utf8_lossy(bytes))
}
