//! One client's conversation: the login from a can, and what becomes of each frame after it.

use crate::scan::{attribute, text};
use crate::scram::{Begun, Scram};

/// What every conversation answers.
pub(crate) struct Can {
    domain: String,
    scram: Scram,
    /// The stream header with what is offered before and after authentication.
    greetings: [String; 2],
}

impl Can {
    pub(crate) fn new(domain: &str, password: &str) -> Can {
        let greeting = |features: &str| {
            format!(
                "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
                 xmlns:stream='http://etherx.jabber.org/streams' id='1' from='{domain}' version='1.0' \
                 xml:lang='en'><stream:features>{features}</stream:features>"
            )
        };
        Can {
            domain: domain.to_owned(),
            scram: Scram::new(password),
            greetings: [
                greeting(
                    "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-1</mechanism></mechanisms>",
                ),
                greeting("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"),
            ],
        }
    }
}

/// What becomes of a frame, beside what was put into the reply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Deed<'a> {
    /// Nothing more.
    Answered,
    /// From now on the client is that user.
    Bound(&'a str),
    /// The frame is a message for that user; [`Dialogue::stamp`] writes it anew.
    Message(&'a [u8]),
    /// The stream is over.
    End,
}

/// The state of one conversation.
pub(crate) enum Dialogue {
    /// Before authentication.
    New,
    /// The client's proof is awaited.
    Begun(Box<Begun>),
    /// Authenticated; the resource is not bound yet.
    Authenticated(Box<str>),
    /// Bound.
    Bound {
        /// ` from='…'`, as it is written into messages.
        from: Box<str>,
    },
}

impl Dialogue {
    /// Says what becomes of a frame; appends what is answered to `reply`.
    pub(crate) fn take<'a>(&'a mut self, can: &Can, frame: &'a [u8], reply: &mut Vec<u8>) -> Deed<'a> {
        if frame.starts_with(b"<message") {
            let to = attribute(frame, b" to=").unwrap_or_default();
            return Deed::Message(&to[..memchr::memchr(b'@', to).unwrap_or(to.len())]);
        }
        if frame.starts_with(b"<?xml") || frame.starts_with(b"<stream:stream") {
            let authenticated = matches!(self, Dialogue::Authenticated(_));
            reply.extend_from_slice(can.greetings[usize::from(authenticated)].as_bytes());
            return Deed::Answered;
        }
        if frame.starts_with(b"<auth") {
            return self.begin(can, frame, reply);
        }
        if frame.starts_with(b"<response") {
            return self.authenticate(can, frame, reply);
        }
        if frame.starts_with(b"<presence") {
            self.echo_presence(frame, reply);
            return Deed::Answered;
        }
        if frame.starts_with(b"<iq") {
            return self.query(can, frame, reply);
        }
        reply.extend_from_slice(b"</stream:stream>");
        Deed::End
    }

    /// Writes a message anew, with its sender.
    pub(crate) fn stamp(&self, message: &[u8], out: &mut Vec<u8>) {
        let (name, rest) = message.split_at(b"<message".len());
        out.extend_from_slice(name);
        if let Dialogue::Bound { from } = self {
            out.extend_from_slice(from.as_bytes());
        }
        out.extend_from_slice(rest);
    }

    fn begin(&mut self, can: &Can, frame: &[u8], reply: &mut Vec<u8>) -> Deed<'static> {
        let Some((begun, challenge)) = text(frame).and_then(|text| can.scram.begin(text)) else {
            return Deed::End;
        };
        *self = Dialogue::Begun(Box::new(begun));
        append(reply, &["<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>", &challenge, "</challenge>"]);
        Deed::Answered
    }

    fn authenticate(&mut self, can: &Can, frame: &[u8], reply: &mut Vec<u8>) -> Deed<'static> {
        let Dialogue::Begun(begun) = self else { return Deed::End };
        let Some(verifier) = text(frame).and_then(|text| can.scram.end(begun, text)) else {
            return Deed::End;
        };
        append(reply, &["<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>", &verifier, "</success>"]);
        *self = Dialogue::Authenticated(std::mem::take(&mut begun.user).into());
        Deed::Answered
    }

    /// A client that has become available gets its own presence back (RFC 6121, 4.2.2).
    fn echo_presence(&self, frame: &[u8], reply: &mut Vec<u8>) {
        if let Dialogue::Bound { from } = self {
            let (name, rest) = frame.split_at(b"<presence".len());
            let to = [" to=", &from[" from=".len()..]];
            reply.extend_from_slice(name);
            append(reply, &[from, to[0], to[1]]);
            reply.extend_from_slice(rest);
        }
    }

    fn query(&mut self, can: &Can, frame: &[u8], reply: &mut Vec<u8>) -> Deed<'_> {
        let kind = attribute(frame, b" type=").unwrap_or_default();
        if kind == b"result" || kind == b"error" {
            return Deed::Answered;
        }
        let id = attribute(frame, b" id=").and_then(|id| str::from_utf8(id).ok()).unwrap_or_default();
        append(reply, &["<iq type='result' id='", id, "'>"]);
        let contains = |word: &[u8]| memchr::memmem::find(frame, word).is_some();
        if let Dialogue::Authenticated(user) = self
            && contains(b"xmpp-bind")
        {
            let named = memchr::memmem::find(frame, b"<resource>").and_then(|at| text(&frame[at..]));
            let resource = named.and_then(|name| str::from_utf8(name).ok()).unwrap_or("r");
            let address = format!("{user}@{}/{resource}", can.domain);
            append(
                reply,
                &["<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>", &address, "</jid></bind></iq>"],
            );
            *self = Dialogue::Bound { from: format!(" from='{address}'").into() };
            return Deed::Bound(self.user());
        }
        append(
            reply,
            &[if contains(b"jabber:iq:roster") { "<query xmlns='jabber:iq:roster'/></iq>" } else { "</iq>" }],
        );
        Deed::Answered
    }

    /// The user's name; empty before the resource is bound.
    pub(crate) fn user(&self) -> &str {
        match self {
            Dialogue::Bound { from } => from[" from='".len()..].split('@').next().unwrap_or_default(),
            _ => "",
        }
    }
}

fn append(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};

    use super::{Can, Deed, Dialogue};

    #[test]
    fn a_client_logs_in_and_its_messages_bear_its_address() {
        let can = Can::new("localhost", "secret");
        let mut dialogue = Dialogue::New;
        let mut say = |frame: &str| {
            let mut reply = Vec::new();
            let deed = format!("{:?}", dialogue.take(&can, frame.as_bytes(), &mut reply));
            (deed, String::from_utf8(reply).unwrap())
        };
        assert!(say("<stream:stream to='localhost'>").1.contains("SCRAM-SHA-1"));
        let first = STANDARD.encode("n,,n=romeo,r=abc");
        assert!(say(&format!("<auth mechanism='SCRAM-SHA-1'>{first}</auth>")).1.starts_with("<challenge"));
        let last = STANDARD.encode("c=biws,r=abc3rfcNHYJY1ZVvWVs7j,p=AAAA");
        assert!(say(&format!("<response>{last}</response>")).1.starts_with("<success"));
        assert!(say("<stream:stream to='localhost'>").1.contains("xmpp-bind"));
        let (deed, reply) =
            say("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
        assert_eq!(deed, "Bound(\"romeo\")");
        assert!(reply.contains("<jid>romeo@localhost/r</jid>"), "{reply}");
        assert_eq!(say("<presence/>").1, "<presence from='romeo@localhost/r' to='romeo@localhost/r'/>");

        let message = b"<message to='juliet@localhost/balcony'><body>soft</body></message>";
        let mut stamped = Vec::new();
        assert_eq!(dialogue.take(&can, message, &mut Vec::new()), Deed::Message(b"juliet"));
        dialogue.stamp(message, &mut stamped);
        let expected =
            "<message from='romeo@localhost/r' to='juliet@localhost/balcony'><body>soft</body></message>";
        assert_eq!(stamped, expected.as_bytes());
    }
}
