//! What the machine says to the client: its header and elements, as [`Action::Write`], and stanzas.
//!
//! It decides nothing, and it ends no stream (`closing` does).

use bytes::BytesMut;
use rjabberd_xml::Element;
use rjabberd_xmpp::{BareJid, Jid, Stanza, StanzaError, header::write_server_header, ns};

use crate::Action;

/// The language of our texts (RFC 6120, 4.7.4): whatever the client prefers, we speak this one.
const LANGUAGE: &str = "en";

/// Writes our header; `to` is the bare address that the client gave itself (RFC 6120, 4.7.2).
pub(crate) fn header(host: &str, to: Option<&BareJid>, id: &str, bytes: &mut BytesMut) {
    let to = to.map(|to| Jid::from(to.clone()));
    write_server_header(host, to.as_ref(), id, LANGUAGE, bytes);
}

/// Says an element.
pub(crate) fn element(element: &Element, out: &mut Vec<Action>) {
    let mut bytes = BytesMut::new();
    element.write(ns::CLIENT, &mut bytes);
    out.push(Action::Write(bytes.freeze()));
}

/// Says a stanza.
pub(crate) fn stanza(stanza: &Stanza, out: &mut Vec<Action>) {
    let mut bytes = BytesMut::new();
    stanza.write(&mut bytes);
    out.push(Action::WriteStanza(bytes.freeze()));
}

/// Answers a stanza with an error, unless it may not be answered (RFC 6120, 8.3.1).
pub(crate) fn stanza_error(refused: &Stanza, error: &StanzaError, out: &mut Vec<Action>) {
    if let Some(answer) = refused.error(error) {
        stanza(&answer, out);
    }
}
