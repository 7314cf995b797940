//! What the server does for its users: one file per feature, [`Services`] before those that answer requests.
//!
//! No actor and no socket: what comes in is a stanza or a change of a session, what goes out are answers, stanzas for
//! sessions, and operations of the store. [`Im`] holds what the features share. Whether an address is ours, and where
//! an answer goes, is for the router.
//!
//! Invariant: service discovery names exactly the features that [`Services::new`] wires.

pub mod activity;
pub mod archive;
pub mod blocking;
pub mod caps;
pub mod carbons;
pub mod commit;
pub mod contact;
pub mod disco;
mod hints;
pub mod last;
pub mod long;
pub mod offline;
pub mod outlet;
pub mod pep;
pub mod permission;
pub mod ping;
pub mod presence;
pub mod private;
pub mod push;
pub mod questions;
pub mod registration;
pub mod reports;
pub mod roster;
pub mod services;
pub mod stable_ids;
pub mod subscription;
pub mod time;
pub mod vcard;
pub mod version;

#[cfg(test)]
mod guests;
#[cfg(test)]
mod stage;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use rjabberd_session_manager::SessionTable;
use rjabberd_storage::{OfflineLimits, RosterEvent, Store};
use rjabberd_xmpp::BareJid;
use rjabberd_xmpp::roster::Circle;

use activity::Activities;
pub use archive::{ArchiveRules, Archived, Archives, ArchivesSnapshot};
pub use blocking::{Blocklists, Verdict};
pub use carbons::Carbons;
pub use commit::Committed;
pub use contact::ContactAddresses;
pub use offline::{Kept, Offline, OfflineSnapshot, Pull, Pulled};
pub use outlet::Outlet;
pub use pep::{Pep, PepSettings, PepSnapshot};
pub use presence::Shown;
pub use push::{Push, PushLimits, PushSnapshot};
pub use questions::Questions;
pub use registration::{AccountError, Accounts};
pub use reports::Reports;
pub use services::{Answer, Clock, Long, Response, Sender, Services};
pub use subscription::Subscribing;

/// How much an account may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Contacts in a roster, requests of others counted.
    pub roster_items_max: usize,
    /// What waits for an account that is away.
    pub offline: OfflineLimits,
    /// How long it waits.
    pub offline_age: Duration,
    /// Addresses in a block list.
    pub blocks_max: usize,
    /// Bytes of private XML storage.
    pub private_bytes_max: usize,
    /// Bytes of a vCard.
    pub vcard_bytes_max: usize,
    /// What is archived of what it says and hears.
    pub archive: ArchiveRules,
    /// What it may have in its nodes.
    pub pep: PepSettings,
    /// What is done for push.
    pub push: PushLimits,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            roster_items_max: 5_000,
            offline: OfflineLimits { messages_max: 1_000, bytes_max: 4 << 20 },
            offline_age: Duration::from_secs(90 * 24 * 60 * 60),
            blocks_max: 1_000,
            private_bytes_max: 1 << 20,
            vcard_bytes_max: 256 << 10,
            archive: ArchiveRules::default(),
            pep: PepSettings::default(),
            push: PushLimits::default(),
        }
    }
}

/// What the features share. It lives as long as the process: what the store's threads call back names it.
pub struct Im {
    /// What outlives the process.
    pub(crate) store: Arc<dyn Store>,
    /// The way to the sessions.
    pub(crate) outlet: Outlet,
    /// Who has blocked whom.
    pub blocklists: Blocklists,
    /// What waits for accounts that are away.
    pub offline: Offline,
    /// What is archived.
    pub archives: Archives,
    /// Copies for a user's other sessions.
    pub carbons: Carbons,
    /// Who left when, until the store has it.
    pub(crate) activities: Activities,
    /// Personal eventing.
    pub pep: Pep,
    /// What is on its way to push services.
    pub push: Push,
    /// What the server itself asked.
    pub questions: Questions,
    /// What users reported.
    pub reports: Reports,
    /// The time of day.
    pub(crate) clock: Clock,
    /// The virtual hosts.
    pub(crate) hosts: HashSet<String>,
    /// How much an account may have.
    pub(crate) limits: Limits,
}

impl Im {
    /// An account is gone, and the rosters of its contacts have changed with it.
    pub fn account_removed(&self, account: &BareJid, events: &[RosterEvent]) {
        // Its sessions live on for a moment. They show nothing to anybody from now on, and are told of by `events`.
        self.change_circles(account, |_| Circle::default());
        self.carry_out(events);
        for seat in self.outlet.table().seats(account) {
            seat.show().retire();
        }
        // Another may get its address.
        self.blocklists.forget(account);
        self.archives.forget(account);
        self.forget_activity(account);
        self.push.forget(account);
    }

    /// The way to the sessions.
    pub fn outlet(&self) -> &Outlet {
        &self.outlet
    }

    /// For these virtual hosts, to be made once.
    pub fn new(
        store: Arc<dyn Store>,
        table: Arc<SessionTable>,
        hosts: impl IntoIterator<Item = String>,
        clock: Clock,
        limits: Limits,
    ) -> &'static Im {
        let hosts = hosts.into_iter().collect();
        let im: &'static Im = Box::leak(Box::new(Im {
            store,
            outlet: Outlet::new(table),
            blocklists: Blocklists::default(),
            offline: Offline::default(),
            archives: Archives::default(),
            carbons: Carbons::default(),
            activities: Activities::default(),
            pep: Pep::default(),
            push: Push::default(),
            questions: Questions::default(),
            reports: Reports::default(),
            clock,
            hosts,
            limits,
        }));
        im.outlet.table().give_orphans(Box::new(|seat| im.presence_lost(seat)));
        im
    }
}
