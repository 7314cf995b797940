//! Bookmarks of all three kinds are one (XEP-0402, 6): the items of `urn:xmpp:bookmarks:1`, the list in private XML
//! storage (XEP-0049), and the list in the item of `storage:bookmarks` (XEP-0048).
//!
//! The items are the truth. A list that a client sets becomes changes of the items, and an item that is not changed is
//! told to nobody; the item of the old node is made anew with each change; private XML is put together when it is asked
//! for, and keeps what no item holds: addresses of web pages, and the order.

use std::sync::Arc;

use rjabberd_storage::{PepDeed, PepExpect, PepItem, PepPick, Profile, StoreError};
use rjabberd_xml::{Element, Node};
use rjabberd_xmpp::{BareJid, StanzaError, address, ns};

use super::config::NodeConfig;
use super::events::{Audience, published, retracted};
use super::publish::{Basis, Plan, too_busy};
use super::{TRIED_MAX, Visit};
use crate::Im;
use crate::services::{read_stored, store_error, written};

/// The id of the one item of the old node (XEP-0048, 3).
const CURRENT: &str = "current";

/// Whether a node is one of the two.
pub(crate) fn is_about(node: &str) -> bool {
    matches!(node, ns::BOOKMARKS | ns::OLD_BOOKMARKS)
}

/// Whether an element of private XML is the list.
pub(crate) fn is_list(element: &Element) -> bool {
    element.is("storage", ns::OLD_BOOKMARKS)
}

/// A bookmark: the room's address, and the conference as its item has it.
type Bookmark = (String, Element);

/// What a list changes.
#[derive(Default)]
struct Difference {
    published: Vec<Bookmark>,
    retracted: Vec<String>,
}

/// The node of the bookmarks, and what is in it.
struct Kept {
    basis: Basis,
    bookmarks: Vec<Bookmark>,
}

impl Im {
    async fn kept_bookmarks(&'static self, account: &BareJid) -> Result<Kept, StanzaError> {
        let all = PepPick::After(None, usize::MAX);
        let found = self.store.load_pep_items(account, ns::BOOKMARKS, all, usize::MAX).await;
        let Some(found) = found.map_err(store_error)? else {
            let config = NodeConfig::default_of(ns::BOOKMARKS);
            return Ok(Kept { basis: Basis::new(ns::BOOKMARKS, config), bookmarks: Vec::new() });
        };
        let config = NodeConfig::read(&found.node)?;
        let mut bookmarks = Vec::with_capacity(found.items.len());
        for item in found.items.into_iter().filter(|item| !item.payload.is_empty()) {
            bookmarks.push((item.id, read_stored(item.payload)?));
        }
        Ok(Kept { basis: Basis::there(found.node, config), bookmarks })
    }

    /// What was kept as private XML before there were items becomes items.
    pub(crate) async fn bring_bookmarks(&'static self, account: &BareJid) -> Result<(), StanzaError> {
        if self.store.load_pep_node(account, ns::BOOKMARKS).await.map_err(store_error)?.is_some() {
            return Ok(());
        }
        let stored = self.store.load_private(account, "storage", ns::OLD_BOOKMARKS).await;
        let Some(list) = stored.map_err(store_error)? else { return Ok(()) };
        let list = read_stored(list)?;
        if !list.children().any(is_conference) {
            return Ok(());
        }
        self.set_bookmarks(account, &list).await
    }

    /// A client sets the list of private XML.
    pub(crate) async fn set_bookmarks(
        &'static self,
        account: &BareJid,
        list: &Element,
    ) -> Result<(), StanzaError> {
        for _ in 0..TRIED_MAX {
            let kept = self.kept_bookmarks(account).await?;
            let profile = self.profile(account).await?;
            let difference = differences(&kept.bookmarks, list);
            let after = applied(&kept.bookmarks, &difference);
            let mut plan = Plan::new();
            if !self.plan_difference(&mut plan, account, &profile, kept, difference) {
                return Ok(());
            }
            self.plan_old_node(&mut plan, account, &profile, &after).await?;
            match self.carry_out_plan(account, plan).await {
                Ok(()) => return Ok(()),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(store_error(error)),
            }
        }
        Err(too_busy())
    }

    /// The list, as private XML has it.
    pub(crate) async fn bookmark_list(
        &'static self,
        account: &BareJid,
        stored: Element,
    ) -> Result<Element, StanzaError> {
        let kept = self.kept_bookmarks(account).await?;
        if kept.basis.is_new {
            return Ok(stored);
        }
        Ok(merged(&stored, &kept.bookmarks))
    }

    /// An item is about to be published: what else changes by it.
    pub(crate) async fn plan_bookmarks(
        &'static self,
        plan: &mut Plan,
        account: &BareJid,
        profile: &Arc<Profile>,
        basis: &Basis,
        item: &PepItem,
    ) -> Result<(), StanzaError> {
        match basis.node.name.as_str() {
            ns::BOOKMARKS => {
                let kept = self.kept_bookmarks(account).await?;
                let published = (item.id.clone(), read_stored(item.payload.clone())?);
                let difference = Difference { published: vec![published], retracted: Vec::new() };
                let after = applied(&kept.bookmarks, &difference);
                self.plan_old_node(plan, account, profile, &after).await?;
                plan_unchanged(plan, &kept.basis);
                Ok(())
            }
            ns::OLD_BOOKMARKS => {
                let list = read_stored(item.payload.clone())?;
                if is_list(&list) {
                    let kept = self.kept_bookmarks(account).await?;
                    let difference = differences(&kept.bookmarks, &list);
                    self.plan_difference(plan, account, profile, kept, difference);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Items are about to go: what else changes by it.
    pub(crate) async fn plan_bookmarks_gone(
        &'static self,
        plan: &mut Plan,
        account: &BareJid,
        profile: &Arc<Profile>,
        visit: &Visit,
        ids: &[String],
    ) -> Result<(), StanzaError> {
        if visit.node.name != ns::BOOKMARKS {
            return Ok(());
        }
        let kept = self.kept_bookmarks(account).await?;
        let difference = Difference { published: Vec::new(), retracted: ids.to_vec() };
        let after = applied(&kept.bookmarks, &difference);
        self.plan_old_node(plan, account, profile, &after).await?;
        plan_unchanged(plan, &kept.basis);
        Ok(())
    }

    /// All items are about to go.
    pub(crate) async fn plan_bookmarks_emptied(
        &'static self,
        plan: &mut Plan,
        account: &BareJid,
        profile: &Arc<Profile>,
        visit: &Visit,
    ) -> Result<(), StanzaError> {
        match visit.node.name.as_str() {
            ns::BOOKMARKS => self.plan_old_node(plan, account, profile, &[]).await,
            _ => Ok(()),
        }
    }

    /// The node of the items is gone: private XML must not bring them back.
    pub(crate) async fn bookmarks_deleted(
        &'static self,
        account: &BareJid,
        node: &str,
    ) -> Result<(), StanzaError> {
        if node != ns::BOOKMARKS {
            return Ok(());
        }
        let stored = self.store.load_private(account, "storage", ns::OLD_BOOKMARKS).await;
        let Some(list) = stored.map_err(store_error)? else { return Ok(()) };
        let list = merged(&read_stored(list)?, &[]);
        let element = ("storage".to_owned(), ns::OLD_BOOKMARKS.to_owned(), written(&list));
        let saved = self.store.save_private(account, vec![element], self.limits.private_bytes_max);
        saved.await.map_err(store_error)
    }

    /// Adds what a list changes; false where that is nothing.
    fn plan_difference(
        &'static self,
        plan: &mut Plan,
        account: &BareJid,
        profile: &Arc<Profile>,
        kept: Kept,
        difference: Difference,
    ) -> bool {
        let Difference { published: new, retracted: gone } = difference;
        if new.is_empty() && gone.is_empty() {
            return false;
        }
        let Basis { node, config, is_new } = kept.basis;
        let first = match is_new {
            true => (PepExpect::Absent, PepDeed::Create(config.stored())),
            false => (PepExpect::State(node.stamp), PepDeed::Nothing),
        };
        plan.does(ns::BOOKMARKS, first.0, first.1);
        let items: Vec<PepItem> =
            new.iter().map(|(id, conference)| self.item_of(account, id, conference)).collect();
        let items_max = config.items_max(&self.limits.pep);
        if !gone.is_empty() {
            plan.does(ns::BOOKMARKS, PepExpect::Any, PepDeed::Retract(gone.clone()));
        }
        for item in &items {
            plan.does(ns::BOOKMARKS, PepExpect::Any, PepDeed::Publish(item.clone(), items_max));
        }
        let (account, profile) = (account.clone(), profile.clone());
        let audience = Audience { im: self, account, node, config, profile };
        plan.tells(move |_| {
            if !gone.is_empty() {
                audience.hears(retracted(ns::BOOKMARKS, &gone));
            }
            for item in &items {
                match published(&audience.account, ns::BOOKMARKS, &audience.config, item) {
                    Ok(event) => audience.hears(event),
                    Err(error) => log::error!(target: "im:pep", "A bookmark is told to nobody: {error:?}"),
                }
            }
        });
        true
    }

    /// Adds that the item of the old node says what there is then, if it may be so long.
    async fn plan_old_node(
        &'static self,
        plan: &mut Plan,
        account: &BareJid,
        profile: &Arc<Profile>,
        after: &[Bookmark],
    ) -> Result<(), StanzaError> {
        let found = self.store.load_pep_items(account, ns::OLD_BOOKMARKS, PepPick::Before(None, 1), 0).await;
        let (basis, before) = match found.map_err(store_error)? {
            Some(mut found) => {
                let before = found.items.pop().map(|item| read_stored(item.payload)).transpose()?;
                (Basis::there(found.node.clone(), NodeConfig::read(&found.node)?), before)
            }
            None => {
                let config = NodeConfig::default_of(ns::OLD_BOOKMARKS);
                (Basis::new(ns::OLD_BOOKMARKS, config), None)
            }
        };
        let before = before.filter(is_list).unwrap_or_else(empty_list);
        let item = self.item_of(account, CURRENT, &merged(&before, after));
        if item.payload.len() <= self.limits.pep.item_bytes_max {
            self.plan_publication(plan, account, profile.clone(), basis, item);
        }
        Ok(())
    }
}

/// Adds that the items must be what they were.
fn plan_unchanged(plan: &mut Plan, basis: &Basis) {
    if !basis.is_new {
        plan.does(&basis.node.name, PepExpect::State(basis.node.stamp), PepDeed::Nothing);
    }
}

pub(crate) fn empty_list() -> Element {
    Element::new("storage", ns::OLD_BOOKMARKS)
}

fn is_conference(element: &Element) -> bool {
    element.is("conference", ns::OLD_BOOKMARKS)
}

/// The room of a bookmark in a list.
fn room(conference: &Element) -> Option<String> {
    let jid = address::parse(conference.attribute("jid")?).ok()?;
    Some(jid.to_bare().to_string())
}

/// What both kinds of bookmark say: name, whether to join, nickname, password.
fn said(conference: &Element) -> (Option<&str>, bool, Option<String>, Option<String>) {
    let text = |name: &str| conference.child(name, conference.namespace()).map(Element::text);
    let joins = matches!(conference.attribute("autojoin"), Some("1" | "true"));
    (conference.attribute("name"), joins, text("nick"), text("password"))
}

/// The bookmark in the other namespace; what else is in it stays.
fn cast(conference: &Element, namespace: &str, room: Option<&str>) -> Element {
    let (name, joins, nick, password) = said(conference);
    let mut cast = Element::new("conference", namespace);
    if let Some(room) = room {
        cast = cast.with_attribute("jid", room);
    }
    if let Some(name) = name {
        cast = cast.with_attribute("name", name);
    }
    if joins {
        cast = cast.with_attribute("autojoin", "true");
    }
    for (name, text) in [("nick", nick), ("password", password)] {
        if let Some(text) = text {
            cast.push(Element::new(name, namespace).with_text(text));
        }
    }
    let is_common = |child: &&Element| {
        child.namespace() == conference.namespace() && matches!(child.name(), "nick" | "password")
    };
    for child in conference.children().filter(|child| !is_common(child)) {
        cast.push(child.clone());
    }
    cast
}

/// What a list changes of what there is. An extension that the client did not know stays (XEP-0402, 4.4).
fn differences(kept: &[Bookmark], list: &Element) -> Difference {
    let mut difference = Difference::default();
    let mut rooms: Vec<String> = Vec::new();
    // Of two for one room, the later is what the client has added.
    let conferences: Vec<&Element> = list.children().filter(|child| is_conference(child)).collect();
    for conference in conferences.into_iter().rev() {
        let Some(room) = room(conference).filter(|room| !rooms.contains(room)) else { continue };
        let before = kept.iter().find(|(id, _)| *id == room).map(|(_, before)| before);
        if before.is_none_or(|before| said(before) != said(conference)) {
            let mut item = cast(conference, ns::BOOKMARKS, None);
            let extensions = before.and_then(|before| before.child("extensions", ns::BOOKMARKS));
            if let Some(extensions) = extensions.filter(|_| item.child("extensions", ns::BOOKMARKS).is_none())
            {
                item.push(extensions.clone());
            }
            difference.published.push((room.clone(), item));
        }
        rooms.push(room);
    }
    difference.published.reverse();
    let gone = kept.iter().filter(|(id, _)| !rooms.contains(id));
    difference.retracted = gone.map(|(id, _)| id.clone()).collect();
    difference
}

/// What there is after that.
fn applied(kept: &[Bookmark], difference: &Difference) -> Vec<Bookmark> {
    let is_touched = |id: &String| {
        difference.retracted.contains(id) || difference.published.iter().any(|(new, _)| new == id)
    };
    let stay = kept.iter().filter(|(id, _)| !is_touched(id));
    stay.chain(&difference.published).cloned().collect()
}

/// A list as it was, with the bookmarks that there are: what is the same stays where it is.
fn merged(list: &Element, bookmarks: &[Bookmark]) -> Element {
    let mut merged = empty_list();
    let mut written: Vec<&String> = Vec::new();
    for node in list.nodes() {
        let Node::Element(element) = node else { continue };
        if !is_conference(element) {
            merged.push(element.clone());
            continue;
        }
        let room = room(element);
        let found = bookmarks.iter().find(|(id, _)| Some(id) == room.as_ref());
        if let Some((id, conference)) = found.filter(|(id, _)| !written.contains(&id)) {
            written.push(id);
            let is_same = said(element) == said(conference);
            merged.push(if is_same {
                element.clone()
            } else {
                cast(conference, ns::OLD_BOOKMARKS, Some(id))
            });
        }
    }
    for (id, conference) in bookmarks.iter().filter(|(id, _)| !written.contains(&id)) {
        merged.push(cast(conference, ns::OLD_BOOKMARKS, Some(id)));
    }
    merged
}
