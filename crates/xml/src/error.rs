//! Why bytes were refused, in the terms of the stream error that follows (RFC 6120, 4.9.3).

/// A limit of [`crate::Limits`] that was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The stream header is too long.
    HeaderBytes,
    /// A top-level element is too long (`<stanza-too-big/>`).
    ElementBytes,
    /// A top-level element holds too many elements.
    Elements,
    /// Elements are nested too deep.
    Depth,
    /// An element has too many attributes.
    Attributes,
    /// An element declares too many namespaces.
    Namespaces,
}

/// Why a peer's bytes were refused; always final for the stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// A comment, processing instruction, DTD or entity: `restricted-xml` (RFC 6120, 4.9.3.18 and 11.1).
    #[error("restricted xml: {0}")]
    Restricted(&'static str),
    /// Not UTF-8: `unsupported-encoding` (RFC 6120, 4.9.3.22 and 11.6).
    #[error("bad encoding: {0}")]
    NotUtf8(&'static str),
    /// The XML declaration names another encoding: `unsupported-encoding` (RFC 6120, 4.9.3.22).
    #[error("unsupported encoding")]
    UnsupportedEncoding,
    /// Anything else that is not well-formed, or that namespaces forbid: `not-well-formed` (RFC 6120, 4.9.3.13).
    #[error("not well-formed: {0}")]
    NotWellFormed(&'static str),
    /// A limit was passed: `policy-violation` (RFC 6120, 4.9.3.14).
    #[error("limit passed: {0:?}")]
    LimitPassed(Limit),
}
