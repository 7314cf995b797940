//! Reads one whole frame with xml-rs, in the namespace context of its stream, under our own extra rules.

use bytes::Bytes;

use crate::{Attribute, Fragment, XmlError};

/// The namespaces that a stream header declares: cheap to clone, compared by value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Context {}

impl Context {
    /// The context that nearly every client declares: default `jabber:client`, prefix `stream`.
    pub fn canonical() -> Context {
        todo!()
    }
    /// The default namespace, empty where none is declared.
    pub fn default_namespace(&self) -> &str {
        todo!()
    }
}

/// A stream header as the peer wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Local name of the root element (`stream`).
    pub name: String,
    /// Namespace of the root element, empty if none.
    pub namespace: String,
    /// Prefix of the root element as written, empty if none.
    pub prefix: String,
    /// Attributes, without `xmlns` declarations.
    pub attributes: Vec<Attribute>,
    /// The declared namespaces.
    pub context: Context,
}

/// Reads a frame of kind [`crate::FrameKind::StreamOpen`].
pub fn read_header(_bytes: &[u8]) -> Result<Header, XmlError> {
    todo!()
}

/// Reads a frame of kind [`crate::FrameKind::Element`]: checks it whole, and gives it in canonical form.
pub fn read_element(_context: &Context, _bytes: Bytes) -> Result<Fragment, XmlError> {
    todo!()
}
