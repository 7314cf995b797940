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

impl Limit {
    /// Its name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Limit::HeaderBytes => "header_bytes",
            Limit::ElementBytes => "element_bytes",
            Limit::Elements => "elements",
            Limit::Depth => "depth",
            Limit::Attributes => "attributes",
            Limit::Namespaces => "namespaces",
        }
    }
}

impl XmlError {
    /// Every name that [`XmlError::reason`] gives.
    pub const REASONS: [&'static str; 9] = [
        "restricted",
        "encoding",
        "not_well_formed",
        Limit::HeaderBytes.name(),
        Limit::ElementBytes.name(),
        Limit::Elements.name(),
        Limit::Depth.name(),
        Limit::Attributes.name(),
        Limit::Namespaces.name(),
    ];

    /// The kind of error, for metrics: a closed set of names, nothing of the peer in it.
    pub fn reason(&self) -> &'static str {
        match self {
            XmlError::Restricted(_) => "restricted",
            XmlError::NotUtf8(_) | XmlError::UnsupportedEncoding => "encoding",
            XmlError::NotWellFormed(_) => "not_well_formed",
            XmlError::LimitPassed(limit) => limit.name(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_reason_of_the_list() {
        use Limit::*;
        let limits = [HeaderBytes, ElementBytes, Elements, Depth, Attributes, Namespaces];
        let errors = [
            XmlError::Restricted("x"),
            XmlError::NotUtf8("x"),
            XmlError::UnsupportedEncoding,
            XmlError::NotWellFormed("x"),
        ];
        for error in limits.map(XmlError::LimitPassed).into_iter().chain(errors) {
            assert!(XmlError::REASONS.contains(&error.reason()), "{error}");
        }
    }
}
