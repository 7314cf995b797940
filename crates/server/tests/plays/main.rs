//! Plays: whole conversations between clients and the real server, on a free port of its own.
//!
//! Each bug leaves one here. The harness is `rjabberd_testkit`; nothing of the server is linked in.

mod account_data;
mod accounts;
mod archive;
mod attacks;
mod attacks_limits;
mod blocking;
mod carbons;
mod conversation;
mod external;
mod hostile;
mod listening;
mod liveness;
mod log_file;
mod logins;
mod mechanisms;
mod offline;
mod pep;
mod presence;
mod proxied;
mod push;
mod registration;
mod rosters;
mod routing;
mod said;
mod sasl2;
mod second_look;
mod serving;
mod sessions;
mod stalled;
mod stopping;
mod stream_management;
mod subscriptions;
mod tls;
mod under_load;
