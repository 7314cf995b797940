//! How what was read and written looks in the debug log: SASL payloads and registration blanked before they are
//! formatted, message bodies shown only where the config says so.

use std::{
    fmt::Write,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use rjabberd_xml::{Child, Fragment};
use rjabberd_xmpp::{Stanza, ns};

/// `log.bodies`: one switch for the process, as the log is one.
static BODIES: AtomicBool = AtomicBool::new(false);

/// Shows message bodies in the debug log, or no longer.
pub fn show_bodies(show: bool) {
    BODIES.store(show, Relaxed);
}

/// An element as it was read.
pub(crate) fn element(fragment: &Fragment) -> String {
    let mut text = format!("<{} xmlns='{}'", fragment.name(), fragment.namespace());
    for attribute in fragment.attributes() {
        let prefix = if attribute.namespace == ns::XML { "xml:" } else { "" };
        write_attribute(&mut text, prefix, &attribute.name, &attribute.value);
    }
    text.push('>');
    if fragment.namespace() == ns::SASL {
        blank(&mut text, fragment.inner().len());
    } else {
        inner(&mut text, fragment.name() == "message", fragment.inner(), fragment.children());
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
    for secret in ["<challenge", "<success"] {
        if bytes.starts_with(secret.as_bytes()) {
            return format!("{secret} xmlns='{}'>[{} bytes]", ns::SASL, bytes.len());
        }
    }
    String::from_utf8_lossy(bytes).into_owned()
}

fn inner(text: &mut String, is_message: bool, inner: &[u8], children: &[Child]) {
    let mut shown = 0;
    for child in children {
        let range = child.range();
        let secret = child.namespace() == ns::REGISTER || (is_message && !BODIES.load(Relaxed));
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
