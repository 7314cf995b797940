//! The edge of rjabberd: config, wiring, signals, command line, logs, certificate, control socket. No protocol in it.
//!
//! `main.rs` only calls [`command_line::main`]; everything else is in this library, so that tests reach it.

pub mod accounts;
mod allocator;
mod brake;
pub mod certificate;
pub mod command_line;
pub mod commands;
pub mod config;
pub mod control;
mod house;
pub mod logging;
mod login_brake;
pub mod opening;
mod registration;
pub mod run;
pub mod start_error;
pub mod stats;
pub mod wiring;
