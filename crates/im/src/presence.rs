//! Presence (RFC 6121, 4): who is told what a session shows.
//!
//! A session's presence goes to the contacts that may see it and to the other sessions of its account; a session that
//! becomes available learns what its contacts show. Both run in the thread of the session that changes. What the store
//! knows (the roster, requests, whether messages wait) is asked for when a session becomes available; while the store
//! does not answer, its own account sees it, and its contacts do as soon as the store does.
//!
//! Invariant: a session's presence is told to others, and who may see it is changed, only under its
//! [`rjabberd_session_manager::Show`]; so the last thing that a contact hears of it is true.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rjabberd_session_manager::{Control, Seat, Show};
use rjabberd_storage::Profile;
use rjabberd_xmpp::roster::{Circle, Contacts};
use rjabberd_xmpp::{BareJid, FullJid, Jid, PresenceType, Stanza, StanzaKind, ns};

use crate::Im;
use crate::blocking::covers;
use crate::vcard::{with_avatar, without_avatar};

/// How often a profile is asked for again because something was changed meanwhile.
const ASKED_MAX: usize = 8;

/// What a change of presence comes to.
pub enum Shown {
    /// Everybody who may know has been told.
    Done,
    /// The store was asked; until it has answered, the client's next stanzas wait. False: it did not answer, and is to be
    /// asked again by [`Im::appear`].
    Later(BoxFuture<'static, bool>),
}

impl Im {
    /// The session's presence without addressee, `from` stamped; `None` is unavailable (RFC 6121, 4.2.2, 4.4.2, 4.5.2).
    pub fn presence(&'static self, seat: &Arc<Seat>, stanza: Stanza, priority: Option<i8>) -> Shown {
        let Some(priority) = priority else {
            self.disappear(seat, stanza);
            return Shown::Done;
        };
        let before = seat.priority();
        let said = stanza.clone();
        let shown = self.show_presence(seat, stanza, priority, before);
        self.with_last_items(seat, shown, said, before.is_none())
    }

    fn show_presence(
        &'static self,
        seat: &Arc<Seat>,
        stanza: Stanza,
        priority: i8,
        before: Option<i8>,
    ) -> Shown {
        if before.is_some() && (before >= Some(0) || priority < 0) {
            let mut show = seat.show();
            if show.is_retired() {
                return Shown::Done;
            }
            let stanza = with_avatar_of(stanza, &show);
            seat.set_presence(&mut show, Some((priority, &stanza)));
            self.tell(seat, &show, &stanza);
            return Shown::Done;
        }
        // XEP-0160, 3: messages go to whoever comes with a priority that is not negative, also by a later presence.
        let is_first = before.is_none();
        self.appear_with(seat.clone(), stanza, priority, is_first)
    }

    /// Tries again for a session that is available and whose contacts do not know it, because the store did not answer.
    pub fn appear(&'static self, seat: &Arc<Seat>) -> Shown {
        let (presence, is_known) = {
            let show = seat.show();
            (show.presence(), show.circle().is_some())
        };
        match (presence, seat.priority()) {
            (Some(stanza), Some(priority)) => {
                let shown = self.appear_with(seat.clone(), stanza.clone(), priority, !is_known);
                self.with_last_items(seat, shown, stanza, !is_known)
            }
            _ => Shown::Done,
        }
    }

    /// Once the session is available, it gets the last items of the nodes that it wants (XEP-0163, 4.3.4).
    fn with_last_items(
        &'static self,
        seat: &Arc<Seat>,
        shown: Shown,
        presence: Stanza,
        is_first: bool,
    ) -> Shown {
        match shown {
            Shown::Done => match self.presence_seen(seat, &presence, is_first) {
                Some(items) => Shown::Later(items.map(|()| true).boxed()),
                None => Shown::Done,
            },
            Shown::Later(shown) => {
                let seat = seat.clone();
                let after = async move {
                    let is_known = shown.await;
                    if let Some(items) = self.presence_seen(&seat, &presence, is_first) {
                        items.await;
                    }
                    is_known
                };
                Shown::Later(after.boxed())
            }
        }
    }

    fn appear_with(&'static self, seat: Arc<Seat>, stanza: Stanza, priority: i8, is_first: bool) -> Shown {
        let mut appearing = self.appear_when_known(seat, stanza, priority, is_first).boxed();
        match appearing.as_mut().now_or_never() {
            Some(true) => Shown::Done,
            Some(false) => Shown::Later(std::future::ready(false).boxed()),
            None => Shown::Later(appearing),
        }
    }

    async fn appear_when_known(
        &'static self,
        seat: Arc<Seat>,
        stanza: Stanza,
        priority: i8,
        is_first: bool,
    ) -> bool {
        let account = seat.jid().to_bare();
        let seen = self.offline.commits.load(SeqCst);
        let mut asked = 0;
        loop {
            asked += 1;
            seat.show().ask();
            let loaded = match seat.is_guest() {
                false => self.store.load_profile(&account).await,
                // The store does not know guests: they have nobody, and nothing waits for them.
                true => Ok(Some(Arc::default())),
            };
            let known = match loaded {
                Ok(Some(profile)) => Some(profile),
                // It was removed, and its sessions are about to end.
                Ok(None) => return true,
                Err(error) => {
                    log::warn!(target: "im:presence", "{} waits to be seen by its contacts: {error}", seat.jid());
                    None
                }
            };
            let waits = priority >= 0 && known.as_ref().is_some_and(|profile| profile.has_offline);
            if waits {
                // What comes from now on waits behind the messages that wait already.
                seat.hold_for_older();
            }
            let is_known = {
                let mut show = seat.show();
                if show.is_retired() {
                    return true;
                }
                // In one with becoming available: a change in between would be neither known nor told to it.
                let is_known = known.as_ref().is_some_and(|profile| show.learn(&circle(profile)));
                if known.is_some() && !is_known && asked < ASKED_MAX {
                    continue;
                }
                let stanza = with_avatar_of(stanza.clone(), &show);
                seat.set_presence(&mut show, Some((priority, &stanza)));
                self.tell(&seat, &show, &stanza);
                is_known
            };
            if is_first {
                self.look_around(&seat, &account);
                known.iter().for_each(|profile| self.deliver_requests(&seat, profile));
            }
            if waits || (priority >= 0 && self.offline.commits.load(SeqCst) != seen) {
                seat.hold_for_older();
                seat.control(Control::TakeOffline);
            }
            return is_known;
        }
    }

    /// Tells the contacts and the account's own sessions what the session shows.
    fn tell(&self, seat: &Seat, show: &Show, stanza: &Stanza) {
        let own = seat.jid().to_bare();
        if let Some(circle) = show.circle() {
            for watcher in circle.contacts.watchers().filter(|watcher| **watcher != own) {
                if !self.blocklists.hides(seat.jid(), watcher) {
                    self.give_presence(watcher, |other| other.priority().is_some(), stanza);
                }
            }
        }
        // RFC 6121, 4.2.2, 4.4.2, 4.5.2: all available resources of the account, the one that sent it among them.
        self.give_presence(&own, |other| other.priority().is_some(), stanza);
    }

    fn give_presence(&self, to: &BareJid, chosen: impl Fn(&Seat) -> bool, stanza: &Stanza) {
        self.outlet.give_where(to, chosen, || stanza.addressed(to.clone()));
    }

    /// A session that became available learns what its contacts and its account's other sessions show (RFC 6121,
    /// 4.3.1: no probe is sent, both accounts are here).
    fn look_around(&self, seat: &Seat, account: &BareJid) {
        let circle = seat.show().circle().cloned();
        let table = self.outlet.table();
        for contact in circle.iter().flat_map(|circle| circle.contacts.watched()) {
            for other in table.seats(contact) {
                self.show_to(&other, account, seat.jid().clone().into(), |own| own.jid() == seat.jid());
            }
        }
        for other in table.seats(account).iter().filter(|other| other.jid() != seat.jid()) {
            self.show_to(other, account, seat.jid().clone().into(), |own| own.jid() == seat.jid());
        }
    }

    /// Shows what a session shows to some of the sessions of `account`, if that account may see it.
    fn show_to(&self, shown: &Seat, account: &BareJid, to: Jid, chosen: impl Fn(&Seat) -> bool) {
        if self.blocklists.hides(shown.jid(), account) {
            return;
        }
        let show = shown.show();
        let may_see = shown.jid().to_bare() == *account
            || show.circle().is_none_or(|circle| circle.contacts.sees(account));
        let Some(presence) = show.presence().filter(|_| may_see && !show.is_retired()) else { return };
        self.outlet.give_where(account, chosen, || presence.addressed(to));
    }

    /// RFC 6121, 3.1.3: a request is delivered to each resource that becomes available, until it is answered.
    fn deliver_requests(&self, seat: &Seat, profile: &Profile) {
        let account = seat.jid().to_bare();
        for request in &profile.requests {
            match Stanza::from_written(request.clone()) {
                Some(request) => {
                    let blocked =
                        request.from.as_ref().is_some_and(|from| self.blocklists.blocks(&account, from));
                    if !blocked {
                        self.outlet.give(seat.jid(), request);
                    }
                }
                None => log::error!(target: "im:presence", "a request to {} is not readable", seat.jid()),
            }
        }
    }

    /// RFC 6121, 4.5.2. The session itself gets it too.
    fn disappear(&'static self, seat: &Seat, stanza: Stanza) {
        let mut show = seat.show();
        if !show.is_owed() || show.is_retired() {
            seat.set_presence(&mut show, None);
            return;
        }
        let status = status(&stanza);
        self.leave(seat, &mut show, &stanza, status);
        self.outlet.give(seat.jid(), stanza.addressed(seat.jid().to_bare()));
    }

    /// The session is gone without a word, or nobody sits on a seat that showed something.
    pub fn presence_lost(&'static self, seat: &Seat) {
        let mut show = seat.show();
        if show.is_owed() && !show.is_retired() {
            let stanza = unavailable(seat);
            self.leave(seat, &mut show, &stanza, None);
        }
    }

    fn leave(&'static self, seat: &Seat, show: &mut Show, stanza: &Stanza, status: Option<String>) {
        seat.set_presence(show, None);
        self.tell(seat, show, stanza);
        let account = seat.jid().to_bare();
        if !seat.is_guest()
            && !self.outlet.table().seats(&account).iter().any(|other| other.priority().is_some())
        {
            self.left(&account, status);
        }
    }

    /// A probe (RFC 6121, 4.3.2): who asks learns what the sessions of an account show, or that one of them shows, or that
    /// he may not know.
    pub async fn probe(&'static self, probe: Stanza) {
        let asker = probe.from.clone().and_then(|from| from.try_into_full().ok());
        let (Some(to), Some(asker)) = (&probe.to, asker) else { return };
        let (account, asking) = (to.to_bare(), asker.to_bare());
        if self.blocklists.between(&account, &asking) {
            return;
        }
        let may_see = match self.may_see(&account, &asking).await {
            Ok(may_see) => may_see,
            Err(error) => {
                return log::warn!(target: "im:presence", "a probe of {to} has no answer: {error}");
            }
        };
        let one = to.try_as_full().ok();
        if !may_see {
            let seat = one.and_then(|one| self.outlet.table().seat(one));
            if seat.is_some_and(|seat| self.was_shown_to(&seat, &asker)) {
                // 4.6.6: mere presence, of that resource only.
                let mut answer = Stanza::new(StanzaKind::Presence(PresenceType::Available), &[]);
                (answer.from, answer.to) = (probe.to.clone(), Some(asker.clone().into()));
                self.outlet.give(&asker, answer);
                return;
            }
            return self.answer_probe(PresenceType::Unsubscribed, &probe, &asker);
        }
        let mut shown = 0;
        for seat in self.outlet.table().seats(&account) {
            if one.is_none_or(|one| seat.jid() == one) && seat.priority().is_some() {
                self.show_to(&seat, &asking, asker.clone().into(), |own| *own.jid() == asker);
                shown += 1;
            }
        }
        if shown == 0 {
            self.answer_probe(PresenceType::Unavailable, &probe, &asker);
        }
    }

    /// Whether a session has sent directed presence to that one, or to its account, and not taken it back.
    fn was_shown_to(&self, seat: &Seat, asker: &FullJid) -> bool {
        let show = seat.show();
        let mut directed = show.directed().unwrap_or_default().iter();
        directed.any(|told| *asker == *told || asker.to_bare() == *told)
    }

    /// RFC 6121, 4.3.2.1: with the `id` of the probe; from the bare address, since the full one would tell of a resource.
    fn answer_probe(&self, kind: PresenceType, probe: &Stanza, asker: &FullJid) {
        let mut answer = Stanza::new(StanzaKind::Presence(kind), &[]);
        answer.from = probe.to.as_ref().map(|to| to.to_bare().into());
        (answer.to, answer.id) = (Some(asker.clone().into()), probe.id.clone());
        self.outlet.give(asker, answer);
    }

    /// `to` may see the presence of `of` from now on (RFC 6121, 3.1.5 and 3.1.6).
    pub(crate) fn granted(&self, of: &BareJid, to: &BareJid) {
        for seat in self.outlet.table().seats(of) {
            self.show_to(&seat, to, to.clone().into(), |other| other.priority().is_some());
        }
    }

    /// `to` may not see the presence of `of` any more (RFC 6121, 3.2.2 and 3.3.3).
    pub(crate) fn revoked(&self, of: &BareJid, to: &BareJid) {
        for seat in self.outlet.table().seats(of) {
            let show = seat.show();
            if show.is_owed() && !show.is_retired() {
                self.give_presence(to, |other| other.priority().is_some(), &unavailable(&seat));
            }
        }
    }

    /// Changes what the sessions of an account know of it.
    pub(crate) fn change_circles(&self, account: &BareJid, change: impl Fn(&Circle) -> Circle) {
        // Twice: a session that takes a resource over meanwhile has copied what the one before it knew, and is in the
        // table by then.
        for _ in 0..2 {
            for seat in self.outlet.table().seats(account) {
                seat.show().change(&change);
            }
        }
    }

    /// An account blocks these now, and those no more; the list is in force already. XEP-0191, 3.3 and 3.4: its sessions
    /// become unavailable for the ones, and are shown to the others; and so do theirs for it, though the XEP does not
    /// say so: otherwise it would go on seeing them as they were.
    pub(crate) fn blocked_changed(&self, account: &BareJid, blocked: &[Jid], unblocked: &[Jid]) {
        let seats = self.outlet.table().seats(account);
        let Some(circle) = seats.iter().find_map(|seat| seat.show().circle().cloned()) else { return };
        let is_of = |list: &[Jid], contact: &BareJid| list.iter().any(|jid| covers(jid, contact));
        for watcher in circle.contacts.watchers() {
            if is_of(blocked, watcher) {
                self.revoked(account, watcher);
            } else if is_of(unblocked, watcher) {
                self.granted(account, watcher);
            }
        }
        for contact in circle.contacts.watched() {
            if is_of(blocked, contact) {
                self.revoked(contact, account);
            } else if is_of(unblocked, contact) {
                self.granted(contact, account);
            }
        }
    }

    /// The photo of an account is another now (XEP-0153, 4.2: the hash goes out with the next presence; here at once,
    /// for sessions whose own presence leaves that to the server). Called in the order of the commits.
    pub(crate) fn avatar_changed(&self, account: &BareJid, avatar: Option<[u8; 20]>) {
        let seats = self.outlet.table().seats(account);
        let before = seats.iter().find_map(|seat| Some(seat.show().circle()?.avatar)).flatten();
        self.change_circles(account, |circle| Circle { avatar, ..circle.clone() });
        for seat in self.outlet.table().seats(account) {
            let mut show = seat.show();
            let (Some(presence), Some(priority)) = (show.presence(), seat.priority()) else { continue };
            if show.is_retired() || !shows_photo(&presence, before) {
                continue;
            }
            let presence = presence.without_children(|child| child.is("x", ns::VCARD_UPDATE));
            let presence = with_avatar_of(presence, &show);
            seat.set_presence(&mut show, Some((priority, &presence)));
            // That there is no photo any more is said once.
            let told = if avatar.is_none() { without_avatar(&presence) } else { None };
            self.tell(&seat, &show, told.as_ref().unwrap_or(&presence));
        }
    }
}

fn circle(profile: &Profile) -> Arc<Circle> {
    Arc::new(Circle { contacts: Contacts::new(&profile.items), avatar: profile.avatar })
}

fn with_avatar_of(presence: Stanza, show: &Show) -> Stanza {
    let avatar = show.circle().and_then(|circle| circle.avatar);
    with_avatar(&presence, avatar.as_ref()).unwrap_or(presence)
}

/// Whether a presence names this photo, or none: then it is the server that names it.
fn shows_photo(presence: &Stanza, avatar: Option<[u8; 20]>) -> bool {
    let Some(update) = presence.child("x", ns::VCARD_UPDATE) else { return avatar.is_none() };
    let Ok(update) = presence.child_element(update) else { return false };
    let photo = update.child("photo", ns::VCARD_UPDATE).map(rjabberd_xml::Element::text);
    let hash = |avatar: [u8; 20]| avatar.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    photo.is_some_and(|photo| photo == avatar.map(hash).unwrap_or_default())
}

/// What the account says as it leaves (XEP-0012, 3).
fn status(presence: &Stanza) -> Option<String> {
    let status = presence.child("status", ns::CLIENT)?;
    presence.child_element(status).ok().map(|status| status.text()).filter(|status| !status.is_empty())
}

fn unavailable(seat: &Seat) -> Stanza {
    let mut stanza = Stanza::new(StanzaKind::Presence(PresenceType::Unavailable), &[]);
    stanza.from = Some(seat.jid().clone().into());
    stanza
}
