//! The session manager from outside: who gets a resource, what goes over with it, and what comes back.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod accounts;
mod claims;
mod interleavings;
mod parcels;
mod stage;
