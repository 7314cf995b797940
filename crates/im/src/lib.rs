//! What the server answers itself: one file per feature, [`Services`] before them.
//!
//! No actor, no store, no socket: a request comes in, an answer comes out, at once or later. What a feature needs of
//! the accounts is a trait of its own. Whether an address is ours, and where an answer goes, is for the router.
//!
//! Invariant: service discovery names exactly the features that [`Services::new`] wires.

pub mod caps;
pub mod disco;
pub mod ping;
pub mod registration;
pub mod services;
pub mod time;
pub mod version;

pub use registration::{AccountError, Accounts};
pub use services::{Answer, Clock, Sender, Services};
