//! The house rules from outside: what a port refuses, when a timer fires, who gives way to whom.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod offload;
mod pace;
mod port;
mod quota;
mod reply;
mod wheel;
