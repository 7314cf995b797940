//! Rosters (RFC 6121, 2): get, set, remove, versions.
//!
//! The items are the store's; pushes and presence that follow a change are `subscription`'s. A result is written item
//! by item as its session has room for it, however long it is. The store keeps no history, so a client with an older
//! version gets the whole roster (2.6.3).

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::future::ready;
use rjabberd_session_manager::Wish;
use rjabberd_storage::{Profile, RosterEdit, RosterVersion, StoreError};
use rjabberd_xml::Element;
use rjabberd_xml::writer::write_attribute;
use rjabberd_xmpp::roster::RosterItem;
use rjabberd_xmpp::{BareJid, Condition, FullJid, StanzaError, address, ns};

use crate::Im;
use crate::services::{Feature, Long, Question, Reply, Sender, Target, store_error};

/// Bytes of the user's name for a contact (RFC 6121, 2.3.3).
const NAME_BYTES_MAX: usize = 1_023;
/// Bytes of a group's name.
const GROUP_BYTES_MAX: usize = 1_023;
/// Groups that a contact may be in.
const GROUPS_MAX: usize = 100;

pub(crate) struct Roster(pub(crate) &'static Im);

impl Feature for Roster {
    fn namespace(&self) -> &'static str {
        ns::ROSTER
    }

    /// Also for another's account, to say that it is forbidden (RFC 6121, 2.3.3).
    fn serves(&self, target: Target) -> bool {
        target != Target::Server
    }

    fn announces(&self, _target: Target) -> Vec<&'static str> {
        // RFC 6121 announces rosters by no feature of service discovery.
        Vec::new()
    }

    fn answer(&self, question: &Question<'_>) -> Reply {
        let (Sender::Session(session), Target::OwnAccount) = (question.sender, question.target) else {
            return Reply::error(Condition::Forbidden);
        };
        if question.payload.name() != "query" {
            return Reply::error(Condition::FeatureNotImplemented);
        }
        match (question.set, question.from_guest) {
            (true, _) => self.set(question.payload, session),
            (false, false) => self.get(question.payload, session),
            // An empty one: the store does not know him.
            (false, true) => Reply::Long(ready(Ok(result(Arc::default(), None))).boxed()),
        }
    }
}

impl Roster {
    fn get(&self, query: &Element, session: &FullJid) -> Reply {
        if query.children().next().is_some() {
            return Reply::error(Condition::BadRequest);
        }
        // Before the question, so that what is changed after the answer was read is pushed.
        if let Some(seat) = self.0.outlet.table().seat(session) {
            seat.wish(Wish::Roster);
        }
        let known = query.attribute("ver").map(str::to_owned);
        let profile = self.0.store.load_profile(&session.to_bare());
        let answer = profile.map(move |profile| match profile {
            Ok(Some(profile)) => Ok(result(profile, known.as_deref())),
            Ok(None) => Err(StanzaError::new(Condition::ItemNotFound)),
            Err(error) => Err(store_error(error)),
        });
        Reply::Long(answer.boxed())
    }

    fn set(&self, query: &Element, session: &FullJid) -> Reply {
        let account = session.to_bare();
        let mut items = query.children();
        let (Some(item), None) = (items.next().filter(|item| item.is("item", ns::ROSTER)), items.next())
        else {
            return Reply::error(Condition::BadRequest);
        };
        let im = self.0;
        let follow = Box::new(move |result: &Result<Vec<_>, StoreError>| {
            result.iter().for_each(|events| im.carry_out(events));
        });
        let answer = if item.attribute("subscription") == Some("remove") {
            match contact(item) {
                Ok(contact) => im.store.remove_roster_item(&account, &contact, follow),
                Err(error) => return Reply::Now(Err(error)),
            }
        } else {
            match edit(item, &account) {
                Ok(edit) => im.store.set_roster_item(&account, edit, im.limits.roster_items_max, follow),
                Err(error) => return Reply::Now(Err(error)),
            }
        };
        Reply::Later(answer.map(|done| done.map(|_| None).map_err(refusal)).boxed())
    }
}

/// The error of a roster set. RFC 6121, 2.5.3: an item that is not there; a full roster is none of the RFC's cases.
fn refusal(error: StoreError) -> StanzaError {
    match error {
        StoreError::Full => StanzaError::new(Condition::PolicyViolation).with_text("The roster is full."),
        error => store_error(error),
    }
}

fn contact(item: &Element) -> Result<BareJid, StanzaError> {
    let jid = item.attribute("jid").ok_or(StanzaError::new(Condition::BadRequest))?;
    let jid = address::parse(jid).map_err(|_| StanzaError::new(Condition::JidMalformed))?;
    if jid.is_full() {
        let error = StanzaError::new(Condition::BadRequest);
        return Err(error.with_text("A contact is an address without a resource."));
    }
    Ok(jid.to_bare())
}

/// RFC 6121, 2.1.5 and 2.3.3.
fn edit(item: &Element, account: &BareJid) -> Result<RosterEdit, StanzaError> {
    let not_acceptable = |text: &'static str| Err(StanzaError::new(Condition::NotAcceptable).with_text(text));
    let jid = contact(item)?;
    if jid == *account {
        return Err(StanzaError::new(Condition::NotAllowed).with_text("That is your own address."));
    }
    let name = item.attribute("name").filter(|name| !name.is_empty()).map(str::to_owned);
    if name.as_ref().is_some_and(|name| name.len() > NAME_BYTES_MAX) {
        return not_acceptable("The name is too long.");
    }
    let mut groups: Vec<String> = Vec::new();
    for group in item.children().filter(|child| child.is("group", ns::ROSTER)) {
        let group = group.text();
        if group.is_empty() {
            return not_acceptable("A group has a name.");
        }
        if group.len() > GROUP_BYTES_MAX || groups.len() >= GROUPS_MAX {
            return not_acceptable("The name of a group is too long, or there are too many.");
        }
        if groups.contains(&group) {
            return Err(StanzaError::new(Condition::BadRequest).with_text("A group stands there twice."));
        }
        groups.push(group);
    }
    Ok(RosterEdit { jid, name, groups })
}

/// The payload of a roster result: nothing where the client has this very version (RFC 6121, 2.6.3).
fn result(profile: Arc<Profile>, known: Option<&str>) -> Long {
    let version = profile.version.to_string();
    if known == Some(version.as_str()) {
        return Long::nothing();
    }
    let mut start = BytesMut::from(&b"<query xmlns='jabber:iq:roster'"[..]);
    if known.is_some() {
        write_attribute("ver", &version, &mut start);
    }
    start.extend_from_slice(b">");
    let mut next = 0;
    Long::new(start.freeze(), Bytes::from_static(b"</query>"), move |out| {
        let item = profile.items.get(next);
        if let Some(item) = item.filter(|item| item.listed) {
            item.write(out);
        }
        next += 1;
        item.is_some()
    })
}

/// The payload of a roster push (RFC 6121, 2.1.6).
pub(crate) fn push_of(item: Element, version: RosterVersion) -> Element {
    Element::new("query", ns::ROSTER).with_attribute("ver", version.to_string()).with_child(item)
}

/// The item of a push that says that it is gone.
pub(crate) fn removed(jid: &BareJid) -> Element {
    RosterItem::new(jid.clone()).to_element_with("remove")
}
