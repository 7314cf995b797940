//! Whether the client is still there: pings of ours (XEP-0199) and what answers them.
//!
//! A machine of its own under an established session: it adds actions and never changes the state. When to ask is the
//! shell's clock; any element is an answer.

use rjabberd_xml::Element;
use rjabberd_xmpp::{FullJid, IqType, Jid, Stanza, StanzaKind, ns};

use crate::{Action, Deadline, established::is_server, speech};

/// What was asked, and what has come since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// So many pings were sent, all of them answered.
    Quiet(u32),
    /// The ping of this number was sent, and nothing has come since.
    Asked(u32),
    /// Something has come since, but not yet the answer to the ping of this number.
    AnswerDue(u32),
}

impl Liveness {
    /// No ping yet.
    pub(crate) const NEW: Liveness = Liveness::Quiet(0);

    fn number(self) -> u32 {
        match self {
            Liveness::Quiet(number) | Liveness::Asked(number) | Liveness::AnswerDue(number) => number,
        }
    }

    /// Whether nothing has come since the last ping.
    pub(crate) fn is_silent(self) -> bool {
        matches!(self, Liveness::Asked(_))
    }

    /// Pings the client.
    pub(crate) fn ping(&mut self, server: Jid, client: &FullJid, out: &mut Vec<Action>) {
        let number = self.number().wrapping_add(1);
        let mut ping = Stanza::new(StanzaKind::Iq(IqType::Get), &[Element::new("ping", ns::PING)]);
        ping.id = Some(id(number));
        ping.from = Some(server);
        ping.to = Some(client.clone().into());
        speech::stanza(&ping, out);
        out.push(Action::SetDeadline(Deadline::PingAnswer));
        *self = Liveness::Asked(number);
    }

    /// Something came from the client.
    pub(crate) fn heard(&mut self, out: &mut Vec<Action>) {
        if let Liveness::Asked(number) = *self {
            out.push(Action::ClearDeadline(Deadline::PingAnswer));
            // The next silence counts from here.
            out.push(Action::SetDeadline(Deadline::Idle));
            *self = Liveness::AnswerDue(number);
        }
    }

    /// Whether a stanza is the answer to our ping, which goes no further.
    pub(crate) fn takes(&mut self, stanza: &Stanza, server: &str) -> bool {
        let Liveness::AnswerDue(number) = *self else { return false };
        let answers = matches!(stanza.kind, StanzaKind::Iq(IqType::Result | IqType::Error))
            && stanza.id.as_deref() == Some(&id(number))
            && stanza.to.as_ref().is_none_or(|to| is_server(to, server));
        if answers {
            *self = Liveness::Quiet(number);
        }
        answers
    }
}

fn id(number: u32) -> String {
    format!("ping-{number}")
}
