//! What the session manager takes, and what reaches a session by its control port.

use std::{any::Any, collections::VecDeque, sync::Arc};

use rjabberd_actors::{Letter, Port, Reply};
use rjabberd_xmpp::{BareJid, FullJid, Jid, management::ResumptionId};

use crate::{Deliver, Parcel, Seat};

/// Bind a resource of an account.
#[derive(Debug)]
pub struct Claim {
    /// The account.
    pub account: BareJid,
    /// The resource.
    pub resource: Resource,
    /// The account is made for this session and ends with it (XEP-0175).
    pub guest: bool,
    /// [`crate::Epoch::now`] at the time the credentials were loaded.
    pub epoch: u64,
    /// Where the session takes stanzas from others.
    pub deliver: Port<Deliver>,
    /// Where it takes control.
    pub control: Port<Control>,
    /// The answer.
    pub reply: Reply<Result<Bound, ClaimRefused>>,
}

/// The resource that a session wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// One that the session manager makes, behind this text (XEP-0386, 3.2.1).
    Made {
        /// Its beginning, prepared.
        prefix: String,
    },
    /// This one, prepared.
    Named(String),
    /// This one, which no other client has: an earlier session of it always gives way (XEP-0386, 3.2).
    Own(String),
    /// That of an earlier session of the account, which goes on (XEP-0198, 5).
    Resumed(ResumptionId),
}

impl Claim {
    /// Answers. A seat that nobody takes gives itself back.
    pub(crate) fn answer(self, answer: Result<Bound, ClaimRefused>) {
        let _unwanted = self.reply.send(answer);
    }
}

impl Letter for Claim {}

/// A resource that was bound. Dropped without [`Bound::accept`], because the client is gone, it is given back.
#[derive(Debug)]
pub struct Bound {
    seat: Option<Arc<Seat>>,
    handed: Option<Handed>,
    release: Port<Release>,
}

impl Bound {
    pub(crate) fn new(seat: Arc<Seat>, handed: Option<Handed>, release: Port<Release>) -> Bound {
        Bound { seat: Some(seat), handed, release }
    }

    /// The session's place in the table, and what an earlier session handed over. Who takes it has to release it.
    pub fn accept(mut self) -> (Arc<Seat>, Option<Handed>) {
        let seat = self.seat.take().expect("a bound resource holds its seat until it is accepted");
        (seat, self.handed.take())
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let Some(seat) = self.seat.take() else { return };
        let spill = seat.close();
        // The session manager lives as long as the server.
        let _gone = self.release.send(Release { seat, reply: None });
        self.handed.take().unwrap_or_default().give_back(spill);
    }
}

/// Why a resource was not bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimRefused {
    /// In use, and the policy keeps the old session.
    Conflict,
    /// The account has too many sessions.
    TooManySessions,
    /// The account was removed, disabled, or got another password since the login began.
    AccountGone,
    /// There is no such session to be resumed; what it had handled, where that is still known.
    NotResumable(Option<u32>),
}

/// A session as a value, without its connection: what goes over to the session that takes its resource.
#[derive(Debug, Default)]
pub struct Handed {
    /// Who got directed presence and was not told otherwise.
    pub directed: Vec<Jid>,
    /// Stanzas that it had taken but not written, in order.
    pub queue: VecDeque<Arc<Parcel>>,
    /// What goes on if the session is resumed: all of it is older than `queue`.
    pub estate: Option<Box<dyn Estate>>,
}

/// A session that can be resumed, as a value; only its own kind looks into it.
pub trait Estate: Any + Send {
    /// Nobody resumes it: the stanzas that its client has not acknowledged, in order.
    fn into_queue(self: Box<Self>) -> VecDeque<Arc<Parcel>>;
}

impl std::fmt::Debug for dyn Estate {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Estate")
    }
}

impl Handed {
    /// All stanzas, in order, for who does not resume the session.
    pub(crate) fn take_queue(&mut self) -> VecDeque<Arc<Parcel>> {
        let mut queue = self.estate.take().map(Estate::into_queue).unwrap_or_default();
        queue.append(&mut self.queue);
        queue
    }

    /// Nobody takes it: all stanzas go their way back, in order, and then what came to the spill of its seat.
    pub(crate) fn give_back(mut self, spill: VecDeque<Arc<Parcel>>) {
        self.take_queue().into_iter().chain(spill).for_each(drop);
    }
}

/// A session that could have been resumed has ended: what its client had sent is known for a while (XEP-0198, 5).
#[derive(Debug)]
pub struct Expired {
    /// Whose it was.
    pub account: BareJid,
    /// Which.
    pub id: ResumptionId,
    /// What it had handled.
    pub h: u32,
}

impl Letter for Expired {
    const CONTROL: bool = true;
}

/// Give a resource back: the session ends.
#[derive(Debug)]
pub struct Release {
    /// The session's place.
    pub seat: Arc<Seat>,
    /// Without it, the row is removed whatever is in the seat's spill. With it, only if all is on its way back
    /// ([`Seat::leave`]); it says whether the row is gone, so that nothing new arrives at the seat.
    pub reply: Option<Reply<bool>>,
}

impl Letter for Release {
    const CONTROL: bool = true;
}

/// Hand a resource over, as [`Control::HandOver`] asked.
#[derive(Debug)]
pub struct Released {
    /// The session's place.
    pub seat: Arc<Seat>,
    /// The session.
    pub handed: Handed,
}

impl Letter for Released {
    const CONTROL: bool = true;
}

/// End all sessions of an account.
#[derive(Debug)]
pub struct EndAccount {
    /// The account.
    pub account: BareJid,
    /// Why.
    pub why: Ended,
    /// A session that goes on (the one that changed the password).
    pub except: Option<FullJid>,
    /// Told when every session has its control.
    pub reply: Option<Reply<()>>,
}

impl Letter for EndAccount {
    const CONTROL: bool = true;
}

/// Why an account's sessions end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The account was removed.
    Removed,
    /// Its password changed, or it was disabled.
    CredentialsChanged,
}

/// Control of a session: never refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Another session takes the resource: stop writing, send [`Released`].
    HandOver,
    /// A session that waits to be resumed gives way to a new one of its account.
    Evicted,
    /// Something that the client had sent is safe now, and it has asked.
    Settled,
    /// The spill holds stanzas: take them when the mailbox is empty.
    SpillReady,
    /// The spill is full.
    Overflowed,
    /// An operator ends the session.
    Kick,
    /// The account was removed.
    AccountRemoved,
    /// The password changed or the account was disabled.
    CredentialsChanged,
    /// Messages wait in the store: take them.
    TakeOffline,
    /// The server stops.
    Shutdown,
}

impl Letter for Control {
    const CONTROL: bool = true;
}
