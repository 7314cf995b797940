//! Stanzas: routed attributes taken apart, the children as the sender's bytes (RFC 6120, 8; RFC 6121, 4 and 5).
//!
//! Cheap to clone: the payload is shared. The start tag is written anew each time; children are removed or added by
//! range. Of the sender's attributes only `to`, `from`, `id`, `type` and `xml:lang` are kept: no others are defined,
//! and an attribute with a prefix would need the sender's declarations.
//!
//! Who may send what to whom is not known here. Invariant: a stanza that [`Stanza::from_fragment`] gives as right has
//! the shape that RFC 6120, 8.2.3 and RFC 6121, 4.7.1 demand, and each child's range lies in [`Stanza::inner`].

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rjabberd_xml::fragment::{compose, parse_child, written_child};
use rjabberd_xml::writer::write_attribute;
use rjabberd_xml::{Child, Context, Element, Fragment, XmlError, read_element};

use crate::address::{self, BadAddress};
use crate::header::LANG_BYTES_MAX;
use crate::{Condition, Jid, StanzaError, ns};

/// `type` of a message (RFC 6121, 5.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the RFC's names, one to one")]
pub enum MessageType {
    Normal,
    Chat,
    Groupchat,
    Headline,
    Error,
}

/// `type` of a presence (RFC 6121, 4.7.1); no type is `Available`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the RFC's names, one to one")]
pub enum PresenceType {
    Available,
    Unavailable,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Probe,
    Error,
}

/// `type` of an iq (RFC 6120, 8.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the RFC's names, one to one")]
pub enum IqType {
    Get,
    Set,
    Result,
    Error,
}

/// Which stanza it is, and its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the RFC's names, one to one")]
pub enum StanzaKind {
    Message(MessageType),
    Presence(PresenceType),
    Iq(IqType),
}

impl StanzaKind {
    /// Name of the element: `message`, `presence`, `iq`.
    pub fn name(self) -> &'static str {
        match self {
            StanzaKind::Message(_) => "message",
            StanzaKind::Presence(_) => "presence",
            StanzaKind::Iq(_) => "iq",
        }
    }

    /// The `type` attribute; `None` for a normal message and for available presence, which say it by its absence.
    pub fn type_name(self) -> Option<&'static str> {
        match self {
            StanzaKind::Message(MessageType::Normal) | StanzaKind::Presence(PresenceType::Available) => None,
            StanzaKind::Message(MessageType::Chat) => Some("chat"),
            StanzaKind::Message(MessageType::Groupchat) => Some("groupchat"),
            StanzaKind::Message(MessageType::Headline) => Some("headline"),
            StanzaKind::Presence(PresenceType::Unavailable) => Some("unavailable"),
            StanzaKind::Presence(PresenceType::Subscribe) => Some("subscribe"),
            StanzaKind::Presence(PresenceType::Subscribed) => Some("subscribed"),
            StanzaKind::Presence(PresenceType::Unsubscribe) => Some("unsubscribe"),
            StanzaKind::Presence(PresenceType::Unsubscribed) => Some("unsubscribed"),
            StanzaKind::Presence(PresenceType::Probe) => Some("probe"),
            StanzaKind::Iq(IqType::Get) => Some("get"),
            StanzaKind::Iq(IqType::Set) => Some("set"),
            StanzaKind::Iq(IqType::Result) => Some("result"),
            StanzaKind::Message(MessageType::Error)
            | StanzaKind::Presence(PresenceType::Error)
            | StanzaKind::Iq(IqType::Error) => Some("error"),
        }
    }

    /// The kind of a top-level element, or, where the type is unknown, one that stands in for it so that the sender
    /// can be answered. `None` for an element that is no stanza.
    fn parse(name: &str, type_name: Option<&str>) -> Option<Result<StanzaKind, StanzaKind>> {
        match name {
            "message" => Some(Ok(StanzaKind::Message(MessageType::parse(type_name)))),
            "presence" => {
                let parsed = PresenceType::parse(type_name).map(StanzaKind::Presence);
                Some(parsed.ok_or(StanzaKind::Presence(PresenceType::Available)))
            }
            "iq" => Some(IqType::parse(type_name).map(StanzaKind::Iq).ok_or(StanzaKind::Iq(IqType::Get))),
            _ => None,
        }
    }

    /// The same stanza as an error.
    fn to_error(self) -> StanzaKind {
        match self {
            StanzaKind::Message(_) => StanzaKind::Message(MessageType::Error),
            StanzaKind::Presence(_) => StanzaKind::Presence(PresenceType::Error),
            StanzaKind::Iq(_) => StanzaKind::Iq(IqType::Error),
        }
    }
}

impl MessageType {
    /// What is absent or unknown is normal (RFC 6121, 5.2.2).
    fn parse(name: Option<&str>) -> MessageType {
        match name {
            Some("chat") => MessageType::Chat,
            Some("groupchat") => MessageType::Groupchat,
            Some("headline") => MessageType::Headline,
            Some("error") => MessageType::Error,
            _ => MessageType::Normal,
        }
    }
}

impl PresenceType {
    fn parse(name: Option<&str>) -> Option<PresenceType> {
        match name {
            None => Some(PresenceType::Available),
            Some("unavailable") => Some(PresenceType::Unavailable),
            Some("subscribe") => Some(PresenceType::Subscribe),
            Some("subscribed") => Some(PresenceType::Subscribed),
            Some("unsubscribe") => Some(PresenceType::Unsubscribe),
            Some("unsubscribed") => Some(PresenceType::Unsubscribed),
            Some("probe") => Some(PresenceType::Probe),
            Some("error") => Some(PresenceType::Error),
            Some(_) => None,
        }
    }
}

impl IqType {
    fn parse(name: Option<&str>) -> Option<IqType> {
        match name? {
            "get" => Some(IqType::Get),
            "set" => Some(IqType::Set),
            "result" => Some(IqType::Result),
            "error" => Some(IqType::Error),
            _ => None,
        }
    }
}

/// A stanza. `Debug` names its children and hides what they hold: bodies, and passwords of in-band registration.
#[derive(Clone, PartialEq, Eq)]
pub struct Stanza {
    /// Which stanza it is, and its type.
    pub kind: StanzaKind,
    /// The addressee; `None` means the sender's account or server (RFC 6120, 10.3).
    pub to: Option<Jid>,
    /// The sender; the server stamps it (RFC 6120, 8.1.2.1).
    pub from: Option<Jid>,
    /// The sender's `id`.
    pub id: Option<String>,
    /// `xml:lang`, filled in from the stream's (RFC 6120, 8.1.5) where there is none, or one of over 35 bytes.
    pub lang: Option<String>,
    inner: Bytes,
    children: Arc<[Child]>,
}

/// A stanza that cannot be taken: what the sender must be told, unless it was of type error.
#[derive(Clone, Debug)]
pub struct Malformed {
    /// The stanza as far as it was understood (`to` is `None` where it was no address; an iq of unknown type stands
    /// here as a get, a presence of unknown type as available).
    pub stanza: Stanza,
    /// `bad-request`, `jid-malformed`…; never to be sent where [`Stanza::is_error`]. [`Stanza::error`] makes the
    /// answer, or none.
    pub error: StanzaError,
    /// Whether `from` was there but no address: then the stream ends with `invalid-from` (RFC 6120, 4.9.3.9), since
    /// what is no address is not the client's own.
    pub invalid_from: bool,
}

impl Stanza {
    /// Takes a top-level element of namespace `jabber:client`; `None` where it is none of the three stanzas.
    /// `lang` is the stream's. Checks per RFC 6120, 8.2.3 and RFC 6121, 4.7.1/5.2.2: iq with id, known type, exactly
    /// one child for get and set, at most one for result; presence of known type; message of unknown type is normal.
    pub fn from_fragment(fragment: Fragment, lang: Option<&str>) -> Option<Result<Stanza, Box<Malformed>>> {
        if fragment.namespace() != ns::CLIENT {
            return None;
        }
        let kind = StanzaKind::parse(fragment.name(), fragment.attribute("type"))?;
        let address = |name| fragment.attribute(name).map(address::parse).transpose();
        let (to, from) = (address("to"), address("from"));
        let problem = problem(kind, &to, fragment.attribute("id"), fragment.children().len());
        let invalid_from = from.is_err();
        let id = fragment.attribute("id").map(str::to_owned);
        let lang = fragment.lang().filter(|lang| lang.len() <= LANG_BYTES_MAX).or(lang).map(str::to_owned);
        let (inner, children) = fragment.into_content();
        let stanza = Stanza {
            kind: kind.unwrap_or_else(|stand_in| stand_in),
            to: to.unwrap_or_default(),
            from: from.unwrap_or_default(),
            id,
            lang,
            inner,
            children: children.into(),
        };
        let problem = problem.or_else(|| invalid_from.then(|| StanzaError::new(Condition::JidMalformed)));
        Some(match problem {
            None => Ok(stanza),
            Some(error) => Err(Box::new(Malformed { stanza, error, invalid_from })),
        })
    }

    /// A stanza of our own with these children.
    pub fn new(kind: StanzaKind, children: &[Element]) -> Stanza {
        let (inner, children) = compose(children);
        Stanza { kind, to: None, from: None, id: None, lang: None, inner, children: children.into() }
    }

    /// The same for another addressee.
    #[must_use]
    pub fn addressed(&self, to: impl Into<Jid>) -> Stanza {
        let Stanza { kind, to: _, from, id, lang, inner, children } = self;
        Stanza {
            kind: *kind,
            to: Some(to.into()),
            from: from.clone(),
            id: id.clone(),
            lang: lang.clone(),
            inner: inner.clone(),
            children: children.clone(),
        }
    }

    /// Its kind, addresses and `id`: all that an error which answers it needs.
    #[must_use]
    pub fn envelope(&self) -> Stanza {
        let (to, from, id) = (self.to.clone(), self.from.clone(), self.id.clone());
        Stanza { to, from, id, ..Stanza::new(self.kind, &[]) }
    }

    /// Whether it is of type error: never answered.
    pub fn is_error(&self) -> bool {
        self.kind == self.kind.to_error()
    }

    /// Whether it is an iq of type get or set.
    pub fn is_request(&self) -> bool {
        matches!(self.kind, StanzaKind::Iq(IqType::Get | IqType::Set))
    }

    /// The child elements: name, namespace, range in [`Stanza::inner`].
    pub fn children(&self) -> &[Child] {
        &self.children
    }

    /// The first child element `name` of `namespace`.
    pub fn child(&self, name: &str, namespace: &str) -> Option<&Child> {
        self.children.iter().find(|child| child.is(name, namespace))
    }

    /// What stands between start and end tag.
    pub fn inner(&self) -> &Bytes {
        &self.inner
    }

    /// One child as a tree.
    pub fn child_element(&self, child: &Child) -> Result<Element, XmlError> {
        parse_child(&self.inner, child)
    }

    /// The only child of an iq request, as a tree.
    pub fn payload(&self) -> Option<Element> {
        match &self.children[..] {
            [child] if self.is_request() => self.child_element(child).ok(),
            _ => None,
        }
    }

    /// The priority of a presence: 0 where there is none (RFC 6121, 4.7.2.3). More than one, or one that is no number
    /// from -128 to 127, is `bad-request`.
    pub fn priority(&self) -> Result<i8, StanzaError> {
        let bad = || {
            StanzaError::new(Condition::BadRequest).with_text("priority is not one number from -128 to 127")
        };
        let mut priorities = self.children.iter().filter(|child| child.is("priority", ns::CLIENT));
        match (priorities.next(), priorities.next()) {
            (None, _) => Ok(0),
            (Some(_), Some(_)) => Err(bad()),
            (Some(child), None) => {
                let priority = self.child_element(child).map_err(|_| bad())?;
                if priority.children().next().is_some() {
                    return Err(bad());
                }
                priority.text().trim().parse().map_err(|_| bad())
            }
        }
    }

    /// The result that answers this iq: addresses swapped, same id.
    pub fn result(&self, payload: Option<Element>) -> Stanza {
        self.answer(StanzaKind::Iq(IqType::Result), payload)
    }

    /// The error that answers this stanza: addresses swapped, same id (empty for an iq without one, RFC 6120, 8.3.1).
    /// `None` where an error must not be answered: for type error, and for an iq of type result. What the stanza held
    /// is not repeated: the sender has it, and a bounce is small.
    pub fn error(&self, error: &StanzaError) -> Option<Stanza> {
        if self.is_error() || self.kind == StanzaKind::Iq(IqType::Result) {
            return None;
        }
        let mut answer = self.answer(self.kind.to_error(), Some(error.to_element()));
        if matches!(self.kind, StanzaKind::Iq(_)) {
            answer.id.get_or_insert_default();
        }
        Some(answer)
    }

    fn answer(&self, kind: StanzaKind, payload: Option<Element>) -> Stanza {
        let answer = Stanza::new(kind, payload.as_slice());
        Stanza { to: self.from.clone(), from: self.to.clone(), id: self.id.clone(), ..answer }
    }

    /// Without the children that `remove` names.
    #[must_use]
    pub fn without_children(&self, remove: impl Fn(&Child) -> bool) -> Stanza {
        if !self.children.iter().any(&remove) {
            return self.clone();
        }
        let mut inner = BytesMut::with_capacity(self.inner.len());
        let mut kept = Vec::with_capacity(self.children.len());
        let mut copied = 0;
        for child in &*self.children {
            let range = child.range();
            if remove(child) {
                inner.extend_from_slice(&self.inner[copied..range.start]);
                copied = range.end;
            } else {
                // What was not copied so far, less what is still to come before this child, was removed.
                let removed = copied - inner.len();
                kept.push(child.shifted(-(removed as isize)));
            }
        }
        inner.extend_from_slice(&self.inner[copied..]);
        Stanza { inner: inner.freeze(), children: kept.into(), ..self.clone() }
    }

    /// With one further child at the end.
    #[must_use]
    pub fn with_child(&self, child: &Element) -> Stanza {
        let (bytes, added) = compose(std::slice::from_ref(child));
        let added = added.iter().map(|child| child.shifted(self.inner.len() as isize));
        // Shifted by nothing, a child lets go of the bytes that are replaced here.
        let children = self.children.iter().map(|child| child.shifted(0)).chain(added).collect();
        let inner = [&self.inner[..], &bytes[..]].concat().into();
        Stanza { inner, children, ..self.clone() }
    }

    /// The same where the child is written already: `written` is one element of that name, for a `jabber:client` parent.
    #[must_use]
    pub fn with_written(&self, name: &'static str, namespace: &'static str, written: Bytes) -> Stanza {
        let start = self.inner.len();
        let added = written_child(name, namespace, start..start + written.len());
        let children = self.children.iter().map(|child| child.shifted(0)).chain([added]).collect();
        let inner = if start == 0 { written } else { [&self.inner[..], &written[..]].concat().into() };
        Stanza { inner, children, ..self.clone() }
    }

    /// Writes the stanza into a stream of namespace `jabber:client`.
    pub fn write(&self, out: &mut BytesMut) {
        self.write_in(None, out);
    }

    /// Writes the stanza into an element of another namespace (XEP-0297): it says its own.
    pub fn write_forwarded(&self, out: &mut BytesMut) {
        self.write_in(Some(ns::CLIENT), out);
    }

    fn write_in(&self, namespace: Option<&str>, out: &mut BytesMut) {
        let name = self.kind.name().as_bytes();
        out.reserve(self.size());
        out.extend_from_slice(b"<");
        out.extend_from_slice(name);
        if let Some(namespace) = namespace {
            write_attribute("xmlns", namespace, out);
        }
        for (attribute, value) in self.attributes() {
            if let Some(value) = value {
                write_attribute(attribute, value, out);
            }
        }
        if self.inner.is_empty() {
            out.extend_from_slice(b"/>");
            return;
        }
        out.extend_from_slice(b">");
        out.extend_from_slice(&self.inner);
        out.extend_from_slice(b"</");
        out.extend_from_slice(name);
        out.extend_from_slice(b">");
    }

    /// What [`Stanza::write_forwarded`] writes of a stanza that [`Stanza::written`] gave as `text`; false, and nothing is
    /// written, for anything that cannot be one.
    pub fn forward_written(text: &[u8], out: &mut BytesMut) -> bool {
        let names = [&b"<message"[..], b"<presence", b"<iq"];
        let Some(name) = names.into_iter().find(|name| text.starts_with(name)) else { return false };
        out.reserve(text.len() + " xmlns=\"jabber:client\"".len());
        out.extend_from_slice(name);
        write_attribute("xmlns", ns::CLIENT, out);
        out.extend_from_slice(&text[name.len()..]);
        true
    }

    /// What [`Stanza::write`] writes, to be kept: a fraction of the stanza's own size.
    pub fn written(&self) -> Box<[u8]> {
        let mut out = BytesMut::new();
        self.write(&mut out);
        out[..].into()
    }

    /// A stanza as [`Stanza::written`] gave it; `None` for anything that is no stanza.
    pub fn from_written(text: Bytes) -> Option<Stanza> {
        let fragment = read_element(&Context::canonical(), text).ok()?;
        Stanza::from_fragment(fragment, None)?.ok()
    }

    /// Bytes that [`Stanza::write`] writes, about (for bounds; exact where nothing must be escaped); never less than
    /// the payload.
    pub fn size(&self) -> usize {
        let attribute =
            |(name, value): (&str, Option<&str>)| value.map_or(0, |value| name.len() + value.len() + 4);
        let tags = if self.inner.is_empty() { "</>".len() } else { "<></>".len() + self.kind.name().len() };
        let attributes: usize = self.attributes().into_iter().map(attribute).sum();
        tags + self.kind.name().len() + attributes + self.inner.len()
    }

    /// The attributes in the order in which they are written.
    fn attributes(&self) -> [(&'static str, Option<&str>); 5] {
        [
            ("to", self.to.as_ref().map(Jid::as_str)),
            ("from", self.from.as_ref().map(Jid::as_str)),
            ("id", self.id.as_deref()),
            ("type", self.kind.type_name()),
            ("xml:lang", self.lang.as_deref()),
        ]
    }
}

impl fmt::Debug for Stanza {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let children: Vec<_> = self.children.iter().map(|child| (child.name(), child.namespace())).collect();
        out.debug_struct("Stanza")
            .field("kind", &self.kind)
            .field("to", &self.to)
            .field("from", &self.from)
            .field("id", &self.id)
            .field("children", &children)
            .finish_non_exhaustive()
    }
}

/// What is wrong with a stanza, the address first.
fn problem(
    kind: Result<StanzaKind, StanzaKind>,
    to: &Result<Option<Jid>, BadAddress>,
    id: Option<&str>,
    children: usize,
) -> Option<StanzaError> {
    if to.is_err() {
        return Some(StanzaError::new(Condition::JidMalformed));
    }
    let text = match kind {
        Err(_) => "unknown or missing type",
        Ok(StanzaKind::Iq(_)) if id.is_none() => "an iq needs an id",
        Ok(StanzaKind::Iq(IqType::Get | IqType::Set)) if children != 1 => {
            "a request has exactly one child element"
        }
        Ok(StanzaKind::Iq(IqType::Result)) if children > 1 => "a result has at most one child element",
        Ok(StanzaKind::Iq(IqType::Error)) if !(1..=2).contains(&children) => {
            "an error has one or two child elements"
        }
        Ok(_) => return None,
    };
    Some(StanzaError::new(Condition::BadRequest).with_text(text))
}

#[cfg(test)]
mod tests;
