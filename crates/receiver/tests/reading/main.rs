//! A receiver on a real socket, with a probe in the place of its c2s.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod credit;
mod endings;
mod stage;
mod tls;
