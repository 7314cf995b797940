//! One checked top-level element: its start tag taken apart, its children as ranges of shared bytes.
//!
//! Invariant: every child's bytes are well-formed inside a parent whose default namespace is `jabber:client` and which
//! declares no prefix but `stream`; whatever the sender declared elsewhere was written into them.

use std::ops::Range;

use bytes::Bytes;

use crate::{Attribute, Element, XmlError};

/// One child element of a [`Fragment`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {}

impl Child {
    /// Local name.
    pub fn name(&self) -> &str {
        todo!()
    }
    /// Namespace.
    pub fn namespace(&self) -> &str {
        todo!()
    }
    /// Where the child's bytes stand in [`Fragment::inner`].
    pub fn range(&self) -> Range<usize> {
        todo!()
    }
}

/// A whole top-level element, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {}

impl Fragment {
    /// Local name.
    pub fn name(&self) -> &str {
        todo!()
    }
    /// Namespace.
    pub fn namespace(&self) -> &str {
        todo!()
    }
    /// Attributes of the start tag, without `xmlns` declarations.
    pub fn attributes(&self) -> &[Attribute] {
        todo!()
    }
    /// The value of the attribute `name` that has no namespace.
    pub fn attribute(&self, _name: &str) -> Option<&str> {
        todo!()
    }
    /// The value of `xml:lang`.
    pub fn lang(&self) -> Option<&str> {
        todo!()
    }
    /// The child elements in order.
    pub fn children(&self) -> &[Child] {
        todo!()
    }
    /// What stands between start and end tag (child elements and text), canonical; empty for an empty element.
    pub fn inner(&self) -> &Bytes {
        todo!()
    }
    /// The element's direct text (not that of its children), unescaped; base64 of SASL stands here.
    pub fn text(&self) -> Result<String, XmlError> {
        todo!()
    }
    /// The element as a tree, for what the server itself interprets.
    pub fn to_element(&self) -> Result<Element, XmlError> {
        todo!()
    }
    /// One child as a tree.
    pub fn child_element(&self, _child: &Child) -> Result<Element, XmlError> {
        todo!()
    }
}
