//! Tests from outside: a real server on free ports, and a client that shares no code with it.
//!
//! - [`Server`] starts the `rjabberd` program on a folder of its own, reads its log and its figures, stops, kills and
//!   restarts it.
//! - [`Client`] is a small blocking XMPP client: it sends raw text, reads raw XML and compares it with a template.
//! - [`Stream`] is one for programs with thousands of clients: asynchronous, and without panics.
//! - [`Play`] joins the two, so that a test reads like a conversation.
//!
//! It does not use any crate of the server: what both got wrong would look right. Every wait has a deadline
//! ([`PATIENCE`]) and fails with what was said so far.

use std::time::Duration;

mod caps;
mod client;
mod figures;
mod folder;
mod log;
mod node;
mod pieces;
mod play;
mod scram;
mod server;
mod stream;
mod tls;
mod torture;
mod wire;

pub use caps::caps_version;
pub use client::Client;
pub use figures::Figures;
pub use folder::Folder;
pub use log::Log;
pub use node::Node;
pub use pieces::{Piece, Pieces};
pub use play::{PASSWORD, Play};
pub use scram::{Hash, HashedToken, SaltedPassword, Scram};
pub use server::{Server, alive, localhost_config};
pub use stream::{Fault, Stream};
pub use tls::AnyCertificate;
pub use torture::{Faults, say, torture};

/// How long anything is waited for before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(10);
