//! Stanzas: routed attributes taken apart, the children as the sender's bytes (RFC 6120, 8; RFC 6121, 4 and 5).
//!
//! Cheap to clone: the payload is shared. The start tag is written anew each time; children are removed or added by range.

use bytes::{Bytes, BytesMut};
use rjabberd_xml::{Child, Element, Fragment, XmlError};

use crate::{Jid, StanzaError};

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

/// A stanza.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stanza {
    /// Which stanza it is, and its type.
    pub kind: StanzaKind,
    /// The addressee; `None` means the sender's account or server (RFC 6120, 10.3).
    pub to: Option<Jid>,
    /// The sender; the server stamps it (RFC 6120, 8.1.2.1).
    pub from: Option<Jid>,
    /// The sender's `id`.
    pub id: Option<String>,
    /// `xml:lang`, filled in from the stream's (RFC 6120, 8.1.5).
    pub lang: Option<String>,
    // further: unknown attributes (dropped or kept), inner bytes, children
}

/// A stanza that cannot be taken: what the sender must be told, unless it was of type error.
#[derive(Clone, Debug)]
pub struct Malformed {
    /// The stanza as far as it was understood (`to` is `None` where it was no address).
    pub stanza: Stanza,
    /// `bad-request`, `jid-malformed`…; never to be sent where [`Stanza::is_error`].
    pub error: StanzaError,
}

impl Stanza {
    /// Takes a top-level element of namespace `jabber:client`; `None` where it is none of the three stanzas.
    /// `lang` is the stream's. Checks per RFC 6120, 8.2.3 and RFC 6121, 4.7.1/5.2.2: iq with id, known type, exactly
    /// one child for get and set, at most one for result; presence of known type; message of unknown type is normal.
    pub fn from_fragment(_fragment: Fragment, _lang: Option<&str>) -> Option<Result<Stanza, Box<Malformed>>> {
        todo!()
    }
    /// A stanza of our own with these children.
    pub fn new(_kind: StanzaKind, _children: &[Element]) -> Stanza {
        todo!()
    }
    /// Whether it is of type error: never answered.
    pub fn is_error(&self) -> bool {
        todo!()
    }
    /// Whether it is an iq of type get or set.
    pub fn is_request(&self) -> bool {
        todo!()
    }
    /// The child elements: name, namespace, range in [`Stanza::inner`].
    pub fn children(&self) -> &[Child] {
        todo!()
    }
    /// What stands between start and end tag.
    pub fn inner(&self) -> &Bytes {
        todo!()
    }
    /// One child as a tree.
    pub fn child_element(&self, _child: &Child) -> Result<Element, XmlError> {
        todo!()
    }
    /// The only child of an iq request, as a tree.
    pub fn payload(&self) -> Option<Element> {
        todo!()
    }
    /// The result that answers this iq: addresses swapped, same id.
    pub fn result(&self, _payload: Option<Element>) -> Stanza {
        todo!()
    }
    /// The error that answers this stanza: addresses swapped, same id. `None` where an error must not be answered:
    /// for type error, and for an iq of type result.
    pub fn error(&self, _error: &StanzaError) -> Option<Stanza> {
        todo!()
    }
    /// Without the children that `remove` names.
    #[must_use]
    pub fn without_children(&self, _remove: impl Fn(&Child) -> bool) -> Stanza {
        todo!()
    }
    /// With one further child at the end.
    #[must_use]
    pub fn with_child(&self, _child: &Element) -> Stanza {
        todo!()
    }
    /// Writes the stanza into a stream of namespace `jabber:client`.
    pub fn write(&self, _out: &mut BytesMut) {
        todo!()
    }
    /// Bytes that [`Stanza::write`] writes, about (for bounds); never less than the payload.
    pub fn size(&self) -> usize {
        todo!()
    }
}
