//! Stream management (XEP-0198): its words, and the two counts of stanzas, modulo 2^32.
//!
//! [`Outbound`] is what was sent and not acknowledged yet, [`Inbound`] is what was received and how far the answer for it
//! has been taken over. Both know numbers and nothing of what a stanza is, who sends, or when.

mod inbound;
mod outbound;
mod words;

pub use inbound::Inbound;
pub use outbound::{Outbound, TooHigh, Window};
pub use words::{ResumptionId, Version, Word};
