//! What outlives the process: accounts with their rosters, what waits for them and what their clients keep, in an embedded
//! database, and the folder that holds it.
//!
//! [`Store`] speaks in operations, not in SQL, so that a login is one question and another database can stand behind
//! it. [`SqliteStore`] is the one that needs nothing installed; [`DataFolder`] is the folder, locked for one server.
//! This crate knows no actor and no socket, looks into no stanza, and holds keys, never a password: derivation happens
//! elsewhere.
//!
//! Invariant: what was answered as done is on the disk.

mod error;
mod folder;
mod metrics;
mod postgres;
mod random;
mod sql;
mod sqlite;
mod store;

pub use error::{Cause, OpenError, StoreError};
pub use folder::{DataFolder, DataFolderError};
pub use metrics::{QueueMetrics, QueueSnapshot, StoreMetrics, StoreSnapshot};
pub use postgres::{PostgresError, PostgresOptions, PostgresUrl};
pub use sql::SqlStore;
pub use sqlite::{DATABASE_FILE, SqliteOptions, SqliteStore};
pub use store::archive::{
    ArchiveAppend, ArchiveEnds, ArchiveId, ArchiveOtherwise, ArchivePage, ArchivePlace, ArchivePrefs,
    ArchiveQuery, ArchiveStore, ArchivedMessage, Trimmed,
};
pub use store::{
    Absent, Account, Answer, Follow, IMPORT_MAX, ImportCounts, LIST_MAX, LastActivity, Login, OfflineLimits,
    OfflineMessage, PepAffiliation, PepChange, PepDeed, PepExpect, PepItem, PepItems, PepLast, PepLimits,
    PepNode, PepPick, PepStamp, PepStore, Profile, PushRegistration, PushStore, RosterEdit, RosterEvent,
    RosterVersion, Store, SubscriptionChange,
};
