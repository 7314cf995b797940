//! The few namespaces that XML itself and the canonical stream context need; protocol namespaces live in `xmpp`.

/// The namespace of the prefix `xml`.
pub(crate) const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// The namespace of the prefix `xmlns`.
pub(crate) const XMLNS: &str = "http://www.w3.org/2000/xmlns/";
/// RFC 6120, 4.8.1: the namespace of the stream element.
pub(crate) const STREAM: &str = "http://etherx.jabber.org/streams";
/// RFC 6120, 4.8.2: the content namespace of clients.
pub(crate) const CLIENT: &str = "jabber:client";
/// RFC 6120, 4.8.2: the content namespace of servers.
pub(crate) const SERVER: &str = "jabber:server";
