//! What others see of a session: its presence, and who may see it.
//!
//! Invariant: whoever tells somebody else what a session shows, or changes who may see it, does so while it holds the
//! session's [`Show`] ([`crate::Seat::show`]). So two who tell the same contact do it in the order in which things
//! happened, and a contact's last news is the truth. Only mailboxes and spills are filled meanwhile, nothing waits.

use std::sync::Arc;

use rjabberd_xmpp::{Jid, Stanza, roster::Circle};

/// What others see of a session.
#[derive(Default)]
pub struct Show {
    /// As it is on the wire: a fraction of a stanza's size, and seldom read.
    presence: Option<Box<[u8]>>,
    circle: Knowledge,
    /// The contacts were told that it is available, by this session or by the one before it, and not otherwise since.
    owed: bool,
    /// Who got directed presence and is owed unavailable (RFC 6121, 4.6.3); `None` before the session has begun.
    directed: Option<Vec<Jid>>,
    /// Another session has the resource, or the account is gone: what this one does is nobody's business any more.
    retired: bool,
}

/// What a session knows of its account.
#[derive(Default)]
enum Knowledge {
    #[default]
    None,
    /// The store was asked; whether something was changed since.
    Asked {
        stale: bool,
    },
    Known(Arc<Circle>),
}

impl Show {
    /// The available presence that the session sent last.
    pub fn presence(&self) -> Option<Stanza> {
        Stanza::from_written(self.presence.clone()?.into())
    }

    /// Whether there is one.
    pub fn is_available(&self) -> bool {
        self.presence.is_some()
    }

    /// Whether another session has the resource, or the account is gone.
    pub fn is_retired(&self) -> bool {
        self.retired
    }

    /// The account is gone, and all who knew were told.
    pub fn retire(&mut self) {
        self.retired = true;
    }

    /// Whether the contacts think that it is available.
    pub fn is_owed(&self) -> bool {
        self.owed
    }

    pub(crate) fn set(&mut self, presence: Option<&Stanza>) {
        self.presence = presence.map(Stanza::written);
        self.owed = self.presence.is_some();
    }

    /// The session shows nothing any more; whether its contacts are told so is for whoever has the resource then.
    pub(crate) fn withdraw(&mut self) {
        self.presence = None;
    }

    /// Who got directed presence.
    pub fn directed(&self) -> Option<&[Jid]> {
        self.directed.as_deref()
    }

    /// Notes who got directed presence; `None` where nobody is owed anything any more.
    pub fn set_directed(&mut self, directed: Option<Vec<Jid>>) {
        self.directed = directed;
    }

    /// Who may see it, once that is known.
    pub fn circle(&self) -> Option<&Arc<Circle>> {
        match &self.circle {
            Knowledge::Known(circle) => Some(circle),
            Knowledge::None | Knowledge::Asked { .. } => None,
        }
    }

    /// The store is asked who may see it.
    pub fn ask(&mut self) {
        self.circle = Knowledge::Asked { stale: false };
    }

    /// What the store answered; refused where something was changed since it was asked, so that it must be asked again.
    pub fn learn(&mut self, circle: &Arc<Circle>) -> bool {
        if matches!(self.circle, Knowledge::Asked { stale: true }) {
            return false;
        }
        self.circle = Knowledge::Known(circle.clone());
        true
    }

    /// Something was changed.
    pub fn change(&mut self, change: impl FnOnce(&Circle) -> Circle) {
        match &mut self.circle {
            Knowledge::None => {}
            Knowledge::Asked { stale } => *stale = true,
            Knowledge::Known(circle) => *circle = Arc::new(change(circle)),
        }
    }

    /// The session before it has lost the resource to this one: what its contacts were told is owed by this one.
    pub(crate) fn inherit(&mut self, before: &mut Show) {
        before.retired = true;
        self.owed |= std::mem::take(&mut before.owed);
        if let (Knowledge::None, Knowledge::Known(circle)) = (&self.circle, &before.circle) {
            self.circle = Knowledge::Known(circle.clone());
        }
    }
}
