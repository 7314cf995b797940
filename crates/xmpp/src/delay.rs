//! Delayed delivery (XEP-0203): the time at which a message came that is passed on later.

use rjabberd_xml::Element;

use crate::{Jid, Stanza, StanzaKind, date::date_time, ns};

/// A message that its addressee's server had since then, with that time; `None` where it tells a time already, or is no
/// message.
pub fn delayed(stanza: &Stanza, since_unix_s: i64) -> Option<Stanza> {
    let is_message = matches!(stanza.kind, StanzaKind::Message(_));
    if !is_message || stanza.child("delay", ns::DELAY).is_some() {
        return None;
    }
    let server = stanza.to.as_ref().map(Jid::domain)?;
    let delay = Element::new("delay", ns::DELAY)
        .with_attribute("from", server.as_str())
        .with_attribute("stamp", date_time(since_unix_s));
    Some(stanza.with_child(&delay))
}

/// Whether a message tells when it came to this server; others are not let say so.
pub fn is_delayed_by(stanza: &Stanza, server: &str) -> bool {
    let delay = stanza.child("delay", ns::DELAY).and_then(|child| stanza.child_element(child).ok());
    delay.is_some_and(|delay| delay.attribute("from") == Some(server))
}
