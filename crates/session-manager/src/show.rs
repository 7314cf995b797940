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
    /// What the session knows of its account.
    circle: Option<Arc<Circle>>,
    /// The store was asked for it (again); whether something was changed since.
    asked: Option<Stale>,
    /// The contacts were told that it is available, by this session or by the one before it, and not otherwise since.
    owed: bool,
    /// Who got directed presence and is owed unavailable (RFC 6121, 4.6.3); `None` before the session has begun.
    directed: Option<Vec<Jid>>,
    /// Whose events it wants, as far as it was asked.
    interests: Option<Box<Interests>>,
    /// Another session has the resource, or the account is gone: what this one does is nobody's business any more.
    retired: bool,
}

/// What a session announces that it wants to be told of (XEP-0163, 4.3), as far as that is known.
pub struct Interests {
    /// What its presence says of its capabilities (XEP-0115): what this is known of, or asked for.
    pub caps: Box<str>,
    /// The id of the question that it has not answered.
    pub asked: Option<Box<str>>,
    /// The names of the nodes whose events it wants; until the answer, those of before.
    pub nodes: Arc<[Box<str>]>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Stale(bool);

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

    /// Whose events it wants.
    pub fn interests(&self) -> Option<&Interests> {
        self.interests.as_deref()
    }

    /// Notes whose events it wants.
    pub fn set_interests(&mut self, interests: Interests) {
        self.interests = Some(Box::new(interests));
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
        self.circle.as_ref()
    }

    /// The store is asked who may see it. What is known already stays until the answer.
    pub fn ask(&mut self) {
        self.asked = Some(Stale(false));
    }

    /// What the store answered; refused where something was changed since it was asked, so that it must be asked again.
    pub fn learn(&mut self, circle: &Arc<Circle>) -> bool {
        let is_stale = self.asked.take() == Some(Stale(true));
        if !is_stale {
            self.circle = Some(circle.clone());
        }
        !is_stale
    }

    /// Something was changed.
    pub fn change(&mut self, change: impl FnOnce(&Circle) -> Circle) {
        if let Some(stale) = &mut self.asked {
            *stale = Stale(true);
        }
        if let Some(circle) = &mut self.circle {
            *circle = Arc::new(change(circle));
        }
    }

    /// The session before it goes on as this one.
    pub(crate) fn resume(&mut self, before: &mut Show) {
        let is_retired = before.retired;
        before.retired = true;
        let gone = std::mem::take(&mut before.owed);
        *self = Show {
            presence: before.presence.clone(),
            circle: before.circle.clone(),
            asked: None,
            owed: gone,
            directed: before.directed.take(),
            interests: before.interests.take(),
            retired: is_retired,
        };
    }

    /// The session before it has lost the resource to this one: what its contacts were told is owed by this one.
    pub(crate) fn inherit(&mut self, before: &mut Show) {
        before.retired = true;
        self.owed |= std::mem::take(&mut before.owed);
        if self.circle.is_none() {
            self.circle.clone_from(&before.circle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circle(avatar: u8) -> Arc<Circle> {
        Arc::new(Circle { avatar: Some([avatar; 20]), ..Circle::default() })
    }

    fn avatar(show: &Show) -> Option<u8> {
        show.circle()?.avatar.map(|avatar| avatar[0])
    }

    #[test]
    fn what_was_known_stays_until_the_store_answers_and_follows_the_changes() {
        let mut show = Show::default();
        assert!(show.learn(&circle(1)));
        show.ask();
        assert_eq!(avatar(&show), Some(1), "the session may end now, and its contacts must be told");
        show.change(|_| Circle::clone(&circle(2)));
        assert_eq!(avatar(&show), Some(2));
        assert!(!show.learn(&circle(1)), "that was read before the change, perhaps");
        assert_eq!(avatar(&show), Some(2));
        show.ask();
        assert!(show.learn(&circle(3)));
        assert_eq!(avatar(&show), Some(3));
    }

    #[test]
    fn who_takes_the_resource_owes_what_the_one_before_has_shown() {
        let (mut before, mut after) = (Show::default(), Show::default());
        before.learn(&circle(1));
        before.set(Some(&Stanza::new(
            rjabberd_xmpp::StanzaKind::Presence(rjabberd_xmpp::PresenceType::Available),
            &[],
        )));
        before.withdraw();
        assert!(before.is_owed() && !before.is_available());
        after.inherit(&mut before);
        assert!(after.is_owed() && !before.is_owed() && before.is_retired());
        assert_eq!(avatar(&after), Some(1));
    }
}
