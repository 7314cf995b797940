//! Message archives (XEP-0313): what is kept of conversations, in the order in which it was committed.
//!
//! A message has an id that was made before it was stored, and a time that the store gives it: that at which it came, or
//! just behind the message before it, so that the order of times is the order of commits.

use bytes::Bytes;
use rjabberd_xmpp::Jid;
use rjabberd_xmpp::address::BareJid;

use super::{Answer, Follow, absent, refused};

/// What names a message in an archive; unique there, and nothing can be read out of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ArchiveId(pub [u8; 16]);

/// A message on its way into one or more archives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveAppend {
    /// When it came, in microseconds since 1970.
    pub came_unix_us: i64,
    /// The stanza.
    pub stanza: Bytes,
    /// Whose archives it goes into.
    pub places: Vec<ArchivePlace>,
}

/// One archive that a message goes into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivePlace {
    /// Whose.
    pub account: BareJid,
    /// What it is called there.
    pub id: ArchiveId,
    /// With whom the account has it: whom it is from or for.
    pub contact: Jid,
    /// Only if the contact is listed in the account's roster.
    pub if_listed: bool,
}

/// A message in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedMessage {
    /// What it is called.
    pub id: ArchiveId,
    /// When it came, in microseconds since 1970; no two of an archive have the same.
    pub stamp_unix_us: i64,
    /// The stanza.
    pub stanza: Bytes,
}

/// Which messages of an archive are asked for. The default asks for none of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchiveQuery {
    /// Only those that the account has with this address, or with any resource of it if it is bare.
    pub with: Option<Jid>,
    /// Only those of that moment or later, in microseconds since 1970.
    pub start_unix_us: Option<i64>,
    /// Only those of that moment or earlier.
    pub end_unix_us: Option<i64>,
    /// Only those behind each of these.
    pub after: Vec<ArchiveId>,
    /// Only those before each of these.
    pub before: Vec<ArchiveId>,
    /// Only these; `None` for all.
    pub ids: Option<Vec<ArchiveId>>,
    /// The last of them, and not the first.
    pub backwards: bool,
    /// So many at most.
    pub messages_max: usize,
    /// So many bytes of stanzas at most, but at least one message.
    pub bytes_max: usize,
    /// Whether they are to be counted, without regard to the two limits.
    pub count: bool,
}

/// A page of an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchivePage {
    /// The messages in their order, whichever end of it was asked for.
    pub messages: Vec<ArchivedMessage>,
    /// Whether these are all that were asked for.
    pub complete: bool,
    /// How many were asked for, where they were to be counted.
    pub count: Option<u64>,
}

/// The ends of an archive, each an id and a time in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveEnds {
    /// The oldest message.
    pub first: (ArchiveId, i64),
    /// The newest.
    pub last: (ArchiveId, i64),
}

/// Whether messages with somebody are archived who is in neither list (XEP-0441, 2.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveOtherwise {
    /// They are.
    Always,
    /// They are not.
    Never,
    /// They are if he is listed in the roster.
    Roster,
}

/// What an account wants archived (XEP-0441).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivePrefs {
    /// For all that are in neither list.
    pub otherwise: ArchiveOtherwise,
    /// With whom everything is archived.
    pub always: Vec<Jid>,
    /// With whom nothing is.
    pub never: Vec<Jid>,
}

/// How far [`ArchiveStore::trim_archives`] came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Messages that were forgotten.
    pub removed: usize,
    /// Where to go on; `None` when all archives were looked at.
    pub next: Option<i64>,
}

/// The operations on archives.
pub trait ArchiveStore {
    /// Appends a message to all its places, in one transaction; a place whose account does not exist gets nothing.
    fn append_archive(&self, message: ArchiveAppend, follow: Follow<()>) -> Answer<()> {
        let _ = message;
        refused(follow)
    }

    /// A page of an archive. [`StoreError::NotFound`](crate::StoreError::NotFound) if one of the ids is not in it; an
    /// account that does not exist has an empty one. What a page costs depends on the page, not on the archive, unless
    /// it is to be counted or `with` is one resource of many.
    fn query_archive(&self, account: &BareJid, query: ArchiveQuery) -> Answer<ArchivePage> {
        let _ = (account, query);
        absent()
    }

    /// The ends of an archive; `None` if it is empty.
    fn archive_ends(&self, account: &BareJid) -> Answer<Option<ArchiveEnds>> {
        let _ = account;
        absent()
    }

    /// What every account wants that ever said so.
    fn load_archive_prefs(&self) -> Answer<Vec<(BareJid, ArchivePrefs)>> {
        absent()
    }

    /// Says what an account wants; [`StoreError::NotFound`](crate::StoreError::NotFound).
    fn save_archive_prefs(&self, account: &BareJid, prefs: ArchivePrefs, follow: Follow<()>) -> Answer<()> {
        let _ = (account, prefs);
        refused(follow)
    }

    /// Goes through the archives behind `after` (0 at first), as far as one transaction should go, and forgets of each
    /// the oldest messages: those from before that moment, those that are more than `messages_max`, and all of an
    /// account that is gone. At most `removed_max` in all.
    fn trim_archives(
        &self,
        after: i64,
        before_unix_us: i64,
        messages_max: u64,
        removed_max: usize,
    ) -> Answer<Trimmed> {
        let _ = (after, before_unix_us, messages_max, removed_max);
        absent()
    }
}
