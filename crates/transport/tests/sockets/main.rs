//! Transports over loopback sockets, against a client that blocks in a thread of its own; and in memory.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod handshake;
mod memory;
mod pair;
mod plain;
mod tls;
