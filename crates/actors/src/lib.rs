//! House rules over actix: how actors are addressed, counted, paced and timed.
//!
//! [`Port`] is the only way to send: it counts, refuses when a mailbox is full, and gives the message back. [`Kind`]
//! counts what all actors of one kind do, [`pool`] holds the arbiters, [`wheel`] their deadlines, [`offload`] the
//! threads for work that is too heavy for an arbiter, [`quota`] the lines that a peer may make us log.
//! Knows nothing of XMPP. Invariant: no other crate calls actix' own `do_send`.

pub mod beat;
pub mod kind;
pub mod offload;
pub mod pace;
pub mod per_thread;
pub mod pool;
pub mod port;
pub mod probe;
pub mod quota;
pub mod reply;
pub mod wheel;

pub use beat::Beat;
pub use kind::{Alive, Kind, KindSnapshot};
pub use offload::{Offload, PoolFull};
pub use pace::{Budget, Panicked, guarded, yield_now};
pub use per_thread::{BLOCKS, Block, PerThread};
pub use pool::{ArbiterHandle, ArbiterPool};
pub use port::{Door, Letter, Mail, Mailbox, Port, Refused, Reserved};
pub use quota::LineQuota;
pub use reply::{Answer, NoAnswer, Reply, reply};
pub use wheel::{Timer, arm};
