//! The machine from outside: scripts of inputs, and what becomes of them.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod authentication;
mod binding;
mod endings;
mod errors;
mod invariants;
mod management;
mod negotiation;
mod play;
mod registration;
mod sasl2;
mod session;
mod table;
