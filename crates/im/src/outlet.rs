//! What the server itself sends to sessions: pushes, presence, notices. Each goes to the mailbox of its session, behind
//! what is there; what a session does not take, or does not write, is nobody's loss and has no way back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rjabberd_session_manager::{Parcel, Seat, SessionTable};
use rjabberd_xml::Element;
use rjabberd_xmpp::{BareJid, FullJid, IqType, Stanza, StanzaKind};

/// Sends to sessions.
#[derive(Clone)]
pub struct Outlet {
    table: Arc<SessionTable>,
}

impl Outlet {
    /// To the sessions of this table.
    pub fn new(table: Arc<SessionTable>) -> Outlet {
        Outlet { table }
    }

    /// Who is bound where.
    pub fn table(&self) -> &Arc<SessionTable> {
        &self.table
    }

    /// Gives a stanza to one session, if it is there.
    pub fn give(&self, to: &FullJid, stanza: Stanza) -> bool {
        self.table.deliver_to(to, &Parcel::passing(stanza))
    }

    /// Gives one stanza to those sessions of an account that `chosen` picks; makes it only if there are any. Says how
    /// many took it.
    pub fn give_where(
        &self,
        account: &BareJid,
        chosen: impl Fn(&Seat) -> bool,
        make: impl FnOnce() -> Stanza,
    ) -> usize {
        self.table.deliver_made(account.as_str(), chosen, || Parcel::passing(make()))
    }

    /// Pushes a payload, as an iq of its own, to each session of an account that `chosen` picks (RFC 6121, 2.1.6).
    pub fn push(&self, account: &BareJid, payload: &Element, chosen: impl Fn(&Seat) -> bool) {
        for seat in self.table.seats(account).iter().filter(|seat| chosen(seat)) {
            let mut push = Stanza::new(StanzaKind::Iq(IqType::Set), std::slice::from_ref(payload));
            push.id = Some(format!("push-{}", fresh()));
            push.from = Some(account.clone().into());
            push.to = Some(seat.jid().clone().into());
            self.give(seat.jid(), push);
        }
    }
}

/// A number that nothing else that the server sends has.
pub(crate) fn fresh() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Relaxed)
}
