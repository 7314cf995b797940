//! Client sessions over real sockets, with the real router and session manager and a store in memory.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod endings;
mod floods;
mod parked;
mod server;
mod slow;
mod store_away;
