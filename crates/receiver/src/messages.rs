//! What a receiver takes ([`Credit`]) and gives ([`Batch`]).

use rjabberd_actors::Letter;
use rjabberd_transport::TlsInfo;
use rjabberd_xml::{Fragment, Header, Limits, XmlError};

/// What the bytes are that come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// More of the same stream.
    Continue,
    /// A new stream: new framer, new namespace context, these limits. Bytes that were read already belong to it.
    NewStream(Limits),
    /// More of the same stream, with these limits from the next element on (XEP-0388 has no restart).
    NewLimits(Limits),
    /// A TLS handshake, then a new stream. Bytes that were read already belong to nobody.
    StartTls(Limits),
    /// Nothing that matters: shut down writing, discard what comes, end.
    Close,
}

/// Leave to read one batch more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credit {
    /// What the next bytes are.
    pub order: Order,
    /// Elements that the next batch may hold: one until the session is established.
    pub elements_max: usize,
}

impl Letter for Credit {
    const CONTROL: bool = true;
}

/// Why a connection was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The peer shut its side down.
    Eof,
    /// The connection broke.
    Broken,
    /// TLS failed.
    Tls,
}

/// What was read.
#[derive(Debug)]
pub enum Event {
    /// A stream header.
    HeaderRead(Header),
    /// A top-level element.
    ElementRead(Fragment),
    /// `</stream:stream>`.
    StreamEnded,
    /// Bytes that are not to be taken; nothing more is read of this stream.
    Refused(XmlError),
    /// Bytes stood behind `<starttls/>`.
    BytesBehindStartTls,
    /// The TLS handshake is done.
    TlsStarted(Box<TlsInfo>),
    /// The connection is gone; the receiver ends.
    Lost(Loss),
}

/// What was read on one credit, in order; never empty.
#[derive(Debug)]
pub struct Batch(pub Vec<Event>);

impl Letter for Batch {
    // One per credit, so that the c2s itself bounds them.
    const CONTROL: bool = true;

    fn bytes(&self) -> usize {
        self.0
            .iter()
            .map(|event| match event {
                Event::ElementRead(fragment) => fragment.inner().len() + 64,
                _ => 64,
            })
            .sum()
    }
}
