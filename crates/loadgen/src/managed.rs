//! The client's side of stream management (XEP-0198): it enables it, counts what it receives, and says so when it is asked.
//! It keeps nothing to send again and never resumes.

use crate::element::{Tag, children};

const SM: &str = "urn:xmpp:sm:3";

/// Whether a server's features have it.
pub(crate) fn is_offered(features: &[u8]) -> bool {
    children(features)
        .into_iter()
        .filter_map(Tag::first)
        .any(|tag| tag.name == "sm" && tag.attribute("xmlns").is_some_and(|name| name == SM))
}

/// Asks for it, with resumption (XEP-0198, 3 and 5).
pub(crate) fn enable(out: &mut Vec<u8>) {
    out.extend_from_slice(format!("<enable xmlns='{SM}' resume='true'/>").as_bytes());
}

/// Says how many stanzas were received (XEP-0198, 4).
pub(crate) fn acknowledge(handled: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("<a xmlns='{SM}' h='{handled}'/>").as_bytes());
}

/// What an element is for a session that counts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Counted, or a stream error: it is for others.
    Stanza,
    /// The server asks: this is to be said.
    Answer(u32),
    /// The server's own count, of which nothing follows here.
    Nothing,
}

/// How many stanzas were received; goes round at 2^32 (XEP-0198, 4).
#[derive(Debug, Default)]
pub(crate) struct Count(u32);

impl Count {
    /// Takes a complete element from the server.
    pub(crate) fn takes(&mut self, element: &[u8]) -> Taken {
        match Tag::first(&element[..head(element)]).map(|tag| tag.name) {
            Some("message" | "presence" | "iq") => self.0 = self.0.wrapping_add(1),
            Some("r") => return Taken::Answer(self.0),
            Some("a") => return Taken::Nothing,
            _ => {}
        }
        Taken::Stanza
    }
}

/// Where the first tag ends, so that no more than that is looked at.
fn head(element: &[u8]) -> usize {
    let mut quote = None;
    let end = element.iter().position(|byte| match (quote, byte) {
        (Some(open), _) => {
            quote = quote.filter(|_| open != byte);
            false
        }
        (None, b'\'' | b'"') => {
            quote = Some(byte);
            false
        }
        (None, _) => *byte == b'>',
    });
    end.map_or(element.len(), |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_are_counted_and_nothing_else_is() {
        let mut count = Count::default();
        let said = "<r xmlns='urn:xmpp:sm:3'/>";
        assert_eq!(count.takes(said.as_bytes()), Taken::Answer(0));
        for stanza in ["<message id='>'><r/></message>", "<presence/>", "<iq type='get'><a/></iq>", "<c:iq/>"]
        {
            assert_eq!(count.takes(stanza.as_bytes()), Taken::Stanza);
        }
        assert_eq!(count.takes(b"<stream:error><conflict/></stream:error>"), Taken::Stanza);
        assert_eq!(count.takes(b"<a xmlns='urn:xmpp:sm:3' h='7'/>"), Taken::Nothing);
        assert_eq!(count.takes(said.as_bytes()), Taken::Answer(4));
    }

    #[test]
    fn the_count_goes_round() {
        let mut count = Count(u32::MAX);
        count.takes(b"<presence/>");
        assert_eq!(count.takes(b"<r/>"), Taken::Answer(0));
    }

    #[test]
    fn an_answer_has_the_number() {
        let mut out = Vec::new();
        acknowledge(12, &mut out);
        assert_eq!(out, b"<a xmlns='urn:xmpp:sm:3' h='12'/>");
    }
}
