//! The way back of a stanza that a session had taken and did not write: another resource, or a bounce.
//!
//! Runs wherever the stanza was dropped: in the session that ended, or in a thread that closed a mailbox.

use rjabberd_session_manager::{Parcel, Undelivered};
use rjabberd_xmpp::Stanza;

use crate::{Inner, Response, Routed, Router};

impl Undelivered for Inner {
    fn undelivered(&'static self, stanza: Stanza) {
        let router = Router { inner: self };
        router.inner.counters.came_back();
        let Some(to) = &stanza.to else { return };
        let routed = if to.is_full() {
            router.parcel_to_full(&Parcel::again(stanza, router.inner))
        } else {
            let account = to.to_bare();
            router.to_bare(&Parcel::again(stanza, router.inner), &account)
        };
        let Routed::Reply(Response::Stanza(bounce)) = routed else { return };
        // A bounce that its addressee cannot take is dropped: errors are never answered.
        if let Some(Ok(sender)) = bounce.to.clone().map(|to| to.try_into_full()) {
            router.give(&sender, bounce);
        }
    }
}
