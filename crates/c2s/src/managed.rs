//! What stream management adds to an outbox (XEP-0198): stanzas that the client has not acknowledged yet, each as it can
//! be written again, and what is known of the other direction.
//!
//! Pure but for the [`Ledger`], which others settle in their threads. A parcel has arrived when the client says so, not
//! when it is written; a message of the account's own store can be forgotten then. Where more waits than is kept, all is
//! forgotten: from then on what is written has arrived, as without stream management, and the session cannot be resumed.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::{Bytes, BytesMut};
use rjabberd_c2s_proto::{Resumption, Session};
use rjabberd_session_manager::{Estate, Ledger, Parcel};
use rjabberd_xmpp::{
    delay::delayed,
    management::{Outbound, TooHigh, Version, Window},
};

use crate::taking::Taking;

/// From that age on, what goes to somebody else has its time with it.
const LATE_S: i64 = 2;

/// A stream whose stanzas are counted.
pub(crate) struct Managed {
    pub(crate) version: Version,
    pub(crate) resumption: Option<Resumption>,
    /// What the client has sent.
    pub(crate) ledger: Arc<Ledger>,
    outbound: Outbound<Sent>,
    window: Window,
    /// Our own stanzas count.
    begun: bool,
    /// Nothing is kept any more.
    forgets: bool,
    /// There is no connection: what is sent waits.
    pub(crate) mute: bool,
    /// The client was asked for an acknowledgement that has not come.
    pub(crate) requested: bool,
}

/// A stanza that was sent.
pub(crate) struct Sent {
    what: What,
    unix_s: i64,
    /// Those who can wake the client were told of it (XEP-0357).
    told: bool,
}

/// A stanza as it can be sent again.
#[derive(Clone)]
pub(crate) enum What {
    /// Of somebody else's.
    Parcel(Arc<Parcel>),
    /// Of our own; with the number of a message of the account's own store, or 0.
    Own(Bytes, i64),
}

/// What came of it that a stanza was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    /// It waits for its acknowledgement.
    Kept,
    /// It has arrived when it is written.
    Passed,
    /// More waits than is kept.
    TooMuch,
}

impl Noted {
    /// What is to be told of both.
    pub(crate) fn worse(self, other: Noted) -> Noted {
        if self == Noted::TooMuch || other == Noted::Passed { self } else { other }
    }
}

impl Managed {
    pub(crate) fn new(
        version: Version,
        resumption: Option<Resumption>,
        ledger: Arc<Ledger>,
        window: Window,
    ) -> Box<Managed> {
        Box::new(Managed {
            version,
            resumption,
            ledger,
            outbound: Outbound::new(window),
            window,
            begun: false,
            forgets: false,
            mute: false,
            requested: false,
        })
    }

    /// Our own stanzas count from here on.
    pub(crate) fn begin(&mut self) {
        self.begun = true;
    }

    /// A stanza is sent, or would be if there were a connection.
    pub(crate) fn note(&mut self, what: What, bytes: usize) -> Noted {
        if !self.begun {
            return Noted::Passed;
        }
        if self.forgets {
            self.outbound.pass();
            return Noted::Passed;
        }
        match self.outbound.send(Sent { what, unix_s: now_unix_s(), told: false }, bytes) {
            true => Noted::Kept,
            false => Noted::TooMuch,
        }
    }

    /// The client has handled all up to `h`: gives what has arrived.
    pub(crate) fn acknowledge(&mut self, h: u32) -> Result<impl Iterator<Item = What>, TooHigh> {
        self.requested = false;
        Ok(self.outbound.acknowledge(h)?.map(|(sent, _)| sent.what))
    }

    /// Nothing is kept from now on: gives what was.
    pub(crate) fn forget(&mut self) -> VecDeque<What> {
        self.forgets = true;
        let late = now_unix_s().saturating_sub(LATE_S);
        self.outbound.forget().into_iter().map(|sent| sent.since(late)).collect()
    }

    /// Whether the client has not acknowledged all that it was sent.
    pub(crate) fn is_outstanding(&self) -> bool {
        self.outbound.is_outstanding()
    }

    /// Whether less than half of what may wait does.
    pub(crate) fn has_room(&self) -> bool {
        let (stanzas, bytes) = self.waiting();
        !self.mute && stanzas < self.window.stanzas_max / 2 && bytes < self.window.bytes_max / 2
    }

    /// (stanzas, bytes) that wait for an acknowledgement.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        (self.outbound.len(), self.outbound.bytes())
    }

    /// What has waited for so many seconds and was not given here before: somebody should be woken for it.
    pub(crate) fn overdue(&mut self, seconds: u64) -> Vec<Arc<Parcel>> {
        let before = now_unix_s().saturating_sub(i64::try_from(seconds).unwrap_or(i64::MAX));
        let overdue = self.outbound.waiting_mut().filter(|sent| !sent.told && sent.unix_s <= before);
        overdue
            .filter_map(|sent| {
                sent.told = true;
                match &sent.what {
                    What::Parcel(parcel) => Some(parcel.clone()),
                    What::Own(..) => None,
                }
            })
            .collect()
    }

    /// The number of the last message of the account's own store that waits; 0 where none does.
    pub(crate) fn last_message(&self) -> i64 {
        let number = |sent: &Sent| match sent.what {
            What::Own(_, number) => number,
            What::Parcel(_) => 0,
        };
        self.outbound.waiting().map(number).max().unwrap_or(0)
    }

    /// What waits, to be written again: messages with the time at which they were sent first (XEP-0198, 4; XEP-0203).
    pub(crate) fn again(&self) -> Vec<Bytes> {
        self.outbound.waiting().map(Sent::again).collect()
    }
}

impl Sent {
    /// What it is; whoever gets it in place of this session is told how late it is, if it is older than that.
    fn since(self, late_unix_s: i64) -> What {
        if let What::Parcel(parcel) = &self.what
            && self.unix_s <= late_unix_s
        {
            parcel.waited_since(self.unix_s);
        }
        self.what
    }

    fn again(&self) -> Bytes {
        let parcel = match &self.what {
            What::Own(bytes, _) => return bytes.clone(),
            What::Parcel(parcel) => parcel,
        };
        let mut bytes = BytesMut::new();
        let stanza = parcel.stanza();
        delayed(stanza, self.unix_s).as_ref().unwrap_or(stanza).write(&mut bytes);
        bytes.freeze()
    }
}

impl What {
    pub(crate) fn into_parcel(self) -> Option<Arc<Parcel>> {
        match self {
            What::Parcel(parcel) => Some(parcel),
            What::Own(..) => None,
        }
    }
}

/// A session on its way from one connection to the next.
pub(crate) struct Suspended {
    pub(crate) session: Session,
    pub(crate) managed: Box<Managed>,
    pub(crate) messages: Messages,
}

/// How far a session has come with the messages of the account's own store.
pub(crate) struct Messages {
    /// They are being taken.
    pub(crate) taking: Option<Taking>,
    /// The number of the last that has arrived, and of the last that was taken.
    pub(crate) arrived: i64,
    pub(crate) taken: i64,
}

/// Nobody goes on with it: what has arrived need not be kept.
impl Drop for Messages {
    fn drop(&mut self) {
        if let Some(pull) = self.taking.as_ref().and_then(|taking| taking.pull.as_ref()) {
            pull.ends_with(self.arrived);
        }
    }
}

impl Estate for Suspended {
    fn into_queue(mut self: Box<Self>) -> VecDeque<Arc<Parcel>> {
        self.managed.forget().into_iter().filter_map(What::into_parcel).collect()
    }
}

fn now_unix_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
