//! The protocol's types: stanzas, stream headers, errors, addresses, namespaces, and SASL as step functions on text.
//!
//! Pure: no tokio, no actix, no clock, no files, no randomness (nonces and secrets come in as arguments).

pub mod address;
pub mod date;
pub mod delay;
pub mod error;
pub mod header;
pub mod management;
pub mod ns;
pub mod roster;
pub mod sasl;
pub mod stanza;

pub use address::{BareJid, FullJid, Jid};
pub use error::{Condition, ErrorType, StanzaError, StreamCondition, StreamError};
pub use header::StreamHeader;
pub use stanza::{IqType, Malformed, MessageType, PresenceType, Stanza, StanzaKind};
