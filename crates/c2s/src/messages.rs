//! What a c2s takes of its own: the clock's ticks. The rest it takes is owned by whoever gives it: batches by the
//! receiver, parcels and control by the session manager.

use rjabberd_actors::Letter;
use rjabberd_c2s_proto::Deadline;

/// Something that was armed has come due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// A deadline of the stream.
    Deadline(Deadline),
    /// Time to see whether writing makes progress.
    Stall,
    /// The last bytes could not be written in time.
    CloseFlush,
    /// An answer was written; what the client sent behind its request is next, after any control that came before.
    Resume,
    /// Time to try again to take the messages that wait for the account.
    TakeOffline,
    /// Time to try again to tell the contacts that the session is available.
    Appear,
    /// Time to tell the contacts that whoever took the resource over is not available, if it has not said so.
    Owed,
    /// Time to ask again to have the row removed.
    Release,
    /// Time to ask the client what it has handled (XEP-0198).
    Request,
    /// Time to have the client woken for what it has not acknowledged for long (XEP-0357).
    Wake,
    /// The resource is wanted elsewhere, and the client's request is not answered in time.
    HandOver,
    /// Time to look again whether the mailbox is empty, so that the session can end.
    Ending,
}

impl Letter for Tick {
    const CONTROL: bool = true;
}
