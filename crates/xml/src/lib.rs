//! XML at the edge: bytes in any split become stream events within limits; elements become bytes.
//!
//! Pure: no tokio, no actix, no clock, no files. It knows nothing of stanzas, addresses or sessions.
//! The [`Framer`] finds frames and enforces every limit while bytes arrive; the reader (xml-rs behind our own rules)
//! turns one whole frame into a [`Header`] or a [`Fragment`], and the checker does the latter at a small part of the cost
//! where an element is only passed on; the writer makes bytes of an [`Element`].

mod ahead;
mod checker;
mod child;
mod context;
pub mod element;
pub mod error;
pub mod fragment;
pub mod framer;
pub mod limits;
mod names;
mod ns;
mod parser;
mod piece;
pub mod reader;
mod scan;
mod tag;
pub mod writer;

pub use ahead::take_stanza;
pub use checker::{check, check_element};
pub use child::Child;
pub use element::{Attribute, Element, Node};
pub use error::{Limit, XmlError};
pub use fragment::{Fragment, compose, parse_child};
pub use framer::{FrameKind, Framer, Step};
pub use limits::Limits;
pub use reader::{Context, Header, read_element, read_header};
