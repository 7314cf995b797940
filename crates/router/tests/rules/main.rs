//! Who gets a stanza, and what its sender is told: RFC 6121, 8.5 and RFC 6120, 10, row by row.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod archive;
mod blocking;
mod broadcast;
mod messages;
mod others;
mod stage;
mod way_back;
