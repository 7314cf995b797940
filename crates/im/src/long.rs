//! Answers that may be longer than what should wait for a client at a time: made piece by piece, as its session has room.
//! One may have stanzas of its own in front of it (a page of an archive).

use bytes::{Bytes, BytesMut};
use rjabberd_xml::Element;
use rjabberd_xmpp::Stanza;

/// What is written to who asked.
pub enum Response {
    /// A stanza.
    Stanza(Stanza),
    /// A result that is made while it is written.
    Long(Long),
}

/// Writes the next part; false if there was none.
type Parts = Box<dyn FnMut(&mut BytesMut) -> bool + Send>;

/// Text that is made while it is written.
pub struct Long {
    head: Option<Bytes>,
    foot: Bytes,
    parts: Option<Parts>,
    /// Stanzas of their own that the parts write.
    before: usize,
    /// The payload of the result that stands behind these.
    payload: Option<Element>,
}

impl Long {
    /// `head`, as many parts as `parts` writes until it says that there was none, and `foot`.
    pub fn new(head: Bytes, foot: Bytes, parts: impl FnMut(&mut BytesMut) -> bool + Send + 'static) -> Long {
        Long { head: Some(head), foot, parts: Some(Box::new(parts)), before: 0, payload: None }
    }

    /// No payload at all.
    pub fn nothing() -> Long {
        Long { head: None, foot: Bytes::new(), parts: None, before: 0, payload: None }
    }

    /// A result with this payload, behind `count` whole stanzas, of which `parts` writes one each time.
    pub fn behind(
        count: usize,
        parts: impl FnMut(&mut BytesMut) -> bool + Send + 'static,
        payload: Element,
    ) -> Long {
        let parts: Option<Parts> = Some(Box::new(parts));
        Long { head: None, foot: Bytes::new(), parts, before: count, payload: Some(payload) }
    }

    /// How many stanzas it is, the result among them.
    pub fn stanzas(&self) -> usize {
        self.before + 1
    }

    /// As the payload of this stanza, which has none.
    pub(crate) fn within(self, stanza: &Stanza) -> Response {
        if let Some(payload) = &self.payload {
            let foot = stanza.with_child(payload).written().into();
            return Response::Long(Long { foot, payload: None, ..self });
        }
        let written = stanza.written();
        let (Some(payload), Some(open)) = (self.head, written.strip_suffix(b"/>")) else {
            return Response::Stanza(stanza.clone());
        };
        let head = [open, b">", &payload].concat().into();
        let foot = [&self.foot[..], b"</", stanza.kind.name().as_bytes(), b">"].concat().into();
        Response::Long(Long { head: Some(head), foot, ..self })
    }

    /// Writes until `out` holds at least `bytes` more, or all is written. True while there is more to come.
    pub fn write(&mut self, out: &mut BytesMut, bytes: usize) -> bool {
        let enough = out.len() + bytes;
        if let Some(head) = self.head.take() {
            out.extend_from_slice(&head);
        }
        while out.len() < enough {
            let Some(parts) = &mut self.parts else { return false };
            if !parts(out) {
                out.extend_from_slice(&self.foot);
                self.parts = None;
                return false;
            }
        }
        self.parts.is_some()
    }
}

impl std::fmt::Debug for Long {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Long")
    }
}

#[cfg(test)]
/// The stanza of a response; a long one written to its end.
pub(crate) fn whole(response: Response) -> Stanza {
    match response {
        Response::Stanza(stanza) => stanza,
        Response::Long(mut long) => {
            let mut out = BytesMut::new();
            while long.write(&mut out, 100) {}
            Stanza::from_written(out.freeze()).unwrap()
        }
    }
}

#[cfg(test)]
mod tests {
    use rjabberd_xmpp::{IqType, StanzaKind};

    use super::*;

    #[test]
    fn it_is_the_same_text_however_little_room_there_is() {
        for bytes in [1, 7, 10_000] {
            let mut left = 3;
            let parts = move |out: &mut BytesMut| {
                out.extend_from_slice(if left > 0 { b"<a/>" } else { b"" });
                left -= 1;
                left >= 0
            };
            let long = Long::new(Bytes::from_static(b"<q>"), Bytes::from_static(b"</q>"), parts);
            let result = Stanza::new(StanzaKind::Iq(IqType::Result), &[]);
            let Response::Long(mut long) = long.within(&result) else { panic!("it has parts") };
            let mut out = BytesMut::new();
            while long.write(&mut out, bytes) {}
            assert_eq!(out, "<iq type=\"result\"><q><a/><a/><a/></q></iq>");
        }
    }

    #[test]
    fn stanzas_stand_in_front_of_the_result_however_little_room_there_is() {
        for bytes in [1, 20, 10_000] {
            let mut left = 3;
            let parts = move |out: &mut BytesMut| {
                out.extend_from_slice(if left > 0 { b"<message/>" } else { b"" });
                left -= 1;
                left >= 0
            };
            let result = Stanza::new(StanzaKind::Iq(IqType::Result), &[]);
            let long = Long::behind(3, parts, Element::new("fin", "urn:x")).within(&result);
            let Response::Long(mut long) = long else { panic!("it has parts") };
            assert_eq!(long.stanzas(), 4);
            let mut out = BytesMut::new();
            while long.write(&mut out, bytes) {}
            assert_eq!(out, "<message/><message/><message/><iq type=\"result\"><fin xmlns=\"urn:x\"/></iq>");
        }
    }

    #[test]
    fn without_payload_it_is_a_plain_stanza() {
        let result = Stanza::new(StanzaKind::Iq(IqType::Result), &[]);
        let Response::Stanza(stanza) = Long::nothing().within(&result) else { panic!("a stanza") };
        assert_eq!(stanza, result);
    }
}
