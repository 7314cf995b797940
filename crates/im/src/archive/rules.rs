//! Which messages are worth archiving (XEP-0313, 5.1.1): those that a user would miss who was not there.

use rjabberd_xml::Child;
use rjabberd_xmpp::{MessageType, Stanza, StanzaKind, ns};

use crate::hints::Hints;

/// Payloads that say something without a body. A name of `*` is any element of the namespace.
const TELLING: &[(&str, &str)] = &[
    // What is encrypted: XEP-0384 (old and new), XEP-0373, XEP-0027.
    ("encrypted", "eu.siacs.conversations.axolotl"),
    ("encrypted", "urn:xmpp:omemo:1"),
    ("encrypted", "urn:xmpp:omemo:2"),
    ("openpgp", "urn:xmpp:openpgp:0"),
    ("x", "jabber:x:encrypted"),
    // What was received and read: XEP-0184, XEP-0333. Not the request for it, which comes with what it is about.
    ("received", "urn:xmpp:receipts"),
    ("received", "urn:xmpp:chat-markers:0"),
    ("displayed", "urn:xmpp:chat-markers:0"),
    ("acknowledged", "urn:xmpp:chat-markers:0"),
    // What changes another message: XEP-0308, XEP-0424, XEP-0422, XEP-0444, XEP-0367.
    ("replace", "urn:xmpp:message-correct:0"),
    ("*", "urn:xmpp:message-retract:0"),
    ("*", "urn:xmpp:message-retract:1"),
    ("apply-to", "urn:xmpp:fasten:0"),
    ("reactions", "urn:xmpp:reactions:0"),
    ("attach-to", "urn:xmpp:message-attaching:1"),
    // Calls: XEP-0353, XEP-0482.
    ("*", "urn:xmpp:jingle-message:0"),
    ("*", "urn:xmpp:jingle-message:1"),
    ("*", "urn:xmpp:call-invites:0"),
    // Invitations to rooms: XEP-0249.
    ("x", "jabber:x:conference"),
];

/// Whether a message belongs into archives.
pub(super) fn is_worth_it(message: &Stanza) -> bool {
    if !matches!(message.kind, StanzaKind::Message(MessageType::Normal | MessageType::Chat)) {
        return false;
    }
    let hints = Hints::of(message);
    if hints.no_store || hints.no_permanent_store {
        return false;
    }
    hints.store || message.children().iter().any(tells)
}

fn tells(child: &Child) -> bool {
    if child.is("body", ns::CLIENT) {
        return true;
    }
    TELLING
        .iter()
        .any(|(name, namespace)| child.namespace() == *namespace && (*name == "*" || child.name() == *name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::stanza;

    #[track_caller]
    fn check(kind: &str, inside: &str, expected: bool) {
        let message = stanza(&format!("<message type='{kind}'>{inside}</message>"));
        assert_eq!(is_worth_it(&message), expected, "{kind}: {inside}");
    }

    #[test]
    fn what_is_said_is_archived_and_what_is_only_shown_is_not() {
        let state = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
        for (kind, inside, expected) in [
            ("chat", "<body>a</body>", true),
            ("normal", "<body>a</body>", true),
            ("chat", &format!("{state}<body>a</body>"), true),
            ("chat", state, false),
            ("chat", "", false),
            ("normal", "<subject>a</subject>", false),
            ("chat", "<thread>t</thread>", false),
            ("chat", "<body xmlns='urn:other'>a</body>", false),
            ("headline", "<body>a</body>", false),
            ("groupchat", "<body>a</body>", false),
            ("error", "<body>a</body><error type='cancel'/>", false),
        ] {
            check(kind, inside, expected);
        }
    }

    #[test]
    fn what_speaks_without_a_body_is_archived() {
        for payload in [
            "<encrypted xmlns='eu.siacs.conversations.axolotl'/>",
            "<encrypted xmlns='urn:xmpp:omemo:2'/>",
            "<openpgp xmlns='urn:xmpp:openpgp:0'/>",
            "<received xmlns='urn:xmpp:receipts' id='x'/>",
            "<displayed xmlns='urn:xmpp:chat-markers:0' id='x'/>",
            "<reactions xmlns='urn:xmpp:reactions:0' id='x'/>",
            "<retract xmlns='urn:xmpp:message-retract:1' id='x'/>",
            "<replace xmlns='urn:xmpp:message-correct:0' id='x'/>",
            "<propose xmlns='urn:xmpp:jingle-message:0' id='x'/>",
            "<x xmlns='jabber:x:conference' jid='room@example.net'/>",
        ] {
            check("chat", payload, true);
            check("normal", payload, true);
            check("error", payload, false);
        }
        check("chat", "<request xmlns='urn:xmpp:receipts'/>", false);
        check("chat", "<markable xmlns='urn:xmpp:chat-markers:0'/>", false);
    }

    #[test]
    fn hints_decide_where_there_are_some() {
        let hint = |name: &str| format!("<{name} xmlns='urn:xmpp:hints'/>");
        let state = "<active xmlns='http://jabber.org/protocol/chatstates'/>";
        check("chat", &format!("<body>a</body>{}", hint("no-store")), false);
        check("chat", &format!("<body>a</body>{}", hint("no-permanent-store")), false);
        check("chat", &format!("<body>a</body>{}", hint("no-copy")), true);
        check("chat", &format!("{state}{}", hint("store")), true);
        check("chat", &format!("{}{}<body>a</body>", hint("store"), hint("no-store")), false);
        check("headline", &format!("<body>a</body>{}", hint("store")), false);
    }
}
