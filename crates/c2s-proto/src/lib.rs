//! A client's stream as a state machine: inputs in, actions out.
//!
//! Pure: no tokio, no actix, no clock, no files, no randomness. Socket, store, time and chance stand outside: answers,
//! deadlines and fresh identifiers come in as [`Input`]s, deeds go out as [`Action`]s, in order.

pub mod action;
pub mod input;
pub mod settings;
pub mod state;

pub use action::{Action, CloseReason, Deadline, Order};
pub use input::{Answer, Ask, ClaimRefused, ControlInput, Fresh, Input, LostReason, Unavailable};
pub use settings::{HostSettings, Settings, TlsPolicy};
pub use state::{Session, State};
