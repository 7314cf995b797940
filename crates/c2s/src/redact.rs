//! How what was read and written looks in the debug log: whatever may hold credentials is blanked before it is
//! formatted, message bodies are shown only where the config says so.
//!
//! Of what is no stanza only the name is shown: a client that gets a namespace wrong says its password all the same.

use std::{
    fmt::Write,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use rjabberd_xml::{Child, Fragment};
use rjabberd_xmpp::{Stanza, ns, sasl::Mechanism};

/// `log.bodies`: one switch for the process, as the log is one.
static BODIES: AtomicBool = AtomicBool::new(false);

/// Shows message bodies in the debug log, or no longer.
pub fn show_bodies(show: bool) {
    BODIES.store(show, Relaxed);
}

/// An element as it was read.
pub(crate) fn element(fragment: &Fragment) -> String {
    let mut text = format!("<{} xmlns='{}'", fragment.name(), fragment.namespace());
    let is_stanza = is_stanza(fragment.name(), fragment.namespace());
    for attribute in fragment.attributes() {
        // A confused client writes anything anywhere.
        if !is_stanza && Mechanism::from_name(attribute.value).is_none() {
            continue;
        }
        let prefix = if attribute.namespace == ns::XML { "xml:" } else { "" };
        write_attribute(&mut text, prefix, attribute.name, attribute.value);
    }
    text.push('>');
    if is_stanza {
        inner(&mut text, fragment.name() == "message", fragment.inner(), fragment.children());
    } else {
        blank(&mut text, fragment.inner().len());
    }
    let _infallible = write!(text, "</{}>", fragment.name());
    text
}

/// A stanza as it is written.
pub(crate) fn stanza(stanza: &Stanza) -> String {
    let name = stanza.kind.name();
    let mut text = format!("<{name}");
    let (to, from) =
        (stanza.to.as_ref().map(|to| to.as_str()), stanza.from.as_ref().map(|from| from.as_str()));
    let attributes =
        [("to", to), ("from", from), ("id", stanza.id.as_deref()), ("type", stanza.kind.type_name())];
    for (attribute, value) in attributes {
        if let Some(value) = value {
            write_attribute(&mut text, "", attribute, value);
        }
    }
    text.push('>');
    inner(&mut text, name == "message", stanza.inner(), stanza.children());
    let _infallible = write!(text, "</{name}>");
    text
}

/// Bytes of our own as they are written: what SASL says is blanked.
pub(crate) fn own(bytes: &[u8]) -> String {
    // By the last two a session can be resumed.
    for secret in ["<challenge", "<success", "<continue", "<task-data", "<enabled", "<resumed"] {
        if bytes.starts_with(secret.as_bytes()) {
            return format!("{secret}>[{} bytes]", bytes.len());
        }
    }
    String::from_utf8_lossy(bytes).into_owned()
}

fn inner(text: &mut String, is_message: bool, inner: &[u8], children: &[Child]) {
    let mut shown = 0;
    for child in children {
        let range = child.range();
        let secret = is_login(child.namespace())
            || holds_password(&inner[range.clone()])
            || is_push(&inner[range.clone()])
            || (is_message && !BODIES.load(Relaxed));
        if secret {
            between(text, is_message, &inner[shown..range.start]);
            let _infallible = write!(text, "<{} xmlns='{}'>", child.name(), child.namespace());
            blank(text, range.len());
            let _infallible = write!(text, "</{}>", child.name());
            shown = range.end;
        }
    }
    between(text, is_message, &inner[shown..]);
}

fn is_stanza(name: &str, namespace: &str) -> bool {
    namespace == ns::CLIENT && matches!(name, "message" | "presence" | "iq")
}

/// Registration, the login before SASL (XEP-0078), and SASL where it does not belong, by any profile (XEP-0388).
fn is_login(namespace: &str) -> bool {
    matches!(namespace, ns::REGISTER | "jabber:iq:auth" | ns::SASL) || namespace.starts_with("urn:xmpp:sasl:")
}

/// Whether anything in there calls itself a password: stored bookmarks, a form.
fn holds_password(bytes: &[u8]) -> bool {
    const WORD: &[u8] = b"password";
    bytes.windows(WORD.len()).any(|window| window.eq_ignore_ascii_case(WORD))
}

/// What is given along for a push service, or to it (XEP-0357): it may be a secret of theirs.
fn is_push(bytes: &[u8]) -> bool {
    bytes.windows(ns::PUSH.len()).any(|window| window == ns::PUSH.as_bytes())
}

fn between(text: &mut String, is_message: bool, bytes: &[u8]) {
    if is_message && !BODIES.load(Relaxed) {
        if !bytes.is_empty() {
            blank(text, bytes.len());
        }
    } else {
        text.push_str(&String::from_utf8_lossy(bytes));
    }
}

fn write_attribute(text: &mut String, prefix: &str, name: &str, value: &str) {
    let _infallible = write!(text, " {prefix}{name}='{value}'");
}

fn blank(text: &mut String, bytes: usize) {
    let _infallible = write!(text, "[{bytes} bytes]");
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rjabberd_xml::{Context, read_element};

    use super::*;

    fn shown(xml: &str) -> String {
        element(&read_element(&Context::canonical(), Bytes::copy_from_slice(xml.as_bytes())).unwrap())
    }

    #[test]
    fn nothing_that_is_secret_is_shown() {
        for xml in [
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>c2VjcmV0</auth>",
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='c2VjcmV0' other='c2VjcmV0'/>",
            "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>c2VjcmV0</response>",
            "<auth mechanism='PLAIN'>c2VjcmV0</auth>",
            "<response>c2VjcmV0</response>",
            "<auth xmlns='http://jabber.org/features/iq-auth'>c2VjcmV0</auth>",
            "<iq xmlns='urn:nonsense' id='c2VjcmV0'>c2VjcmV0</iq>",
            "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'>\
             <initial-response>c2VjcmV0</initial-response></authenticate>",
            "<iq type='set' id='1'><query xmlns='jabber:iq:register'><username>c2VjcmV0</username></query></iq>",
            "<iq type='set' id='1'><query xmlns='jabber:iq:auth'><password>c2VjcmV0</password></query></iq>",
            "<iq type='set' id='1'><query xmlns='jabber:iq:auth'><digest>c2VjcmV0</digest></query></iq>",
            "<iq type='set' id='1'><auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>c2VjcmV0</auth></iq>",
            "<iq type='set' id='1'><query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'>\
             <conference><Password>c2VjcmV0</Password></conference></storage></query></iq>",
            "<iq type='set' id='1'><enable xmlns='urn:xmpp:push:0' jid='a'><x xmlns='jabber:x:data'>\
             <field var='secret'><value>c2VjcmV0</value></field></x></enable></iq>",
            "<iq type='set' id='1'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish><item>\
             <notification xmlns='urn:xmpp:push:0'/></item></publish><publish-options>c2VjcmV0\
             </publish-options></pubsub></iq>",
            "<message to='a@b'><body>c2VjcmV0</body>c2VjcmV0</message>",
        ] {
            assert!(!shown(xml).contains("c2VjcmV0"), "{}", shown(xml));
        }
    }

    #[test]
    fn what_is_not_secret_is_shown() {
        let xml = "<iq type='get' id='1' xml:lang='en'><ping xmlns='urn:xmpp:ping'/></iq>";
        assert_eq!(
            shown(xml),
            "<iq xmlns='jabber:client' type='get' id='1' xml:lang='en'><ping xmlns='urn:xmpp:ping'/></iq>"
        );
        assert!(
            shown("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>").contains("'PLAIN'")
        );
    }
}
