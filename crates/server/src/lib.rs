//! The edge of rjabberd: config, wiring, signals, command line, logs, certificate, control socket. No protocol in it.
//!
//! `main.rs` only calls [`command_line::main`]; everything else is in this library, so that tests reach it.

mod calendar;
pub mod certificate;
pub mod config;
pub mod logging;
