//! A client's stream as a state machine: inputs in, actions out.
//!
//! Pure: no tokio, no actix, no clock, no files, no randomness. Socket, store, time and chance stand outside: answers,
//! deadlines and fresh identifiers come in as [`Input`]s, deeds go out as [`Action`]s, in order.
//!
//! [`State::on`] is the only way in. What holds in every state (the stream closed, the session replaced, a deadline
//! passed) is decided there; the rest is one call to the struct of the state that the stream is in:
//! `negotiating` up to the features, `authenticating`, `upgrading` and `finishing` a login by XEP-0388, `registering`,
//! `binding`, `resuming`, `established`, `hibernated`, and `closing`, which alone ends streams.

pub mod action;
pub mod input;
pub mod settings;
pub mod state;

mod authenticating;
mod binding;
mod closing;
mod established;
mod features;
mod finishing;
mod hibernated;
mod liveness;
mod management;
mod negotiating;
mod offers;
mod presence;
mod registering;
mod resuming;
mod sasl2;
mod speech;
mod upgrading;

pub use action::{Action, CloseReason, Deadline, KeyOrder, LoggedIn, Order, Resource, TokenOrder};
pub use input::{
    Answer, Ask, ClaimRefused, ControlInput, Fresh, Input, LostReason, ResumeRefused, Resumed, TokenGone,
    Unavailable,
};
pub use management::{Management, Resumption};
pub use settings::{HostSettings, Offers, Settings, TlsPolicy};
pub use state::{Session, State};
