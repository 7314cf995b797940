//! Reading the items of a node (XEP-0060, 6.5): all, the newest, some by their ids, or page by page (XEP-0059).
//!
//! A page is named by the ids of items, never by their number: no page costs more than itself.

use rjabberd_storage::{PepItems, PepPick, StoreError};
use rjabberd_xml::Element;
use rjabberd_xmpp::{BareJid, Condition, StanzaError, ns};

use super::access::may_read;
use super::events::item_element;
use super::publish::node_name;
use super::refusals::bad_request;
use super::{ANSWER_BYTES_MAX, Visit};
use crate::Im;
use crate::services::{Verdict, store_error};

/// A request for items, taken apart.
pub(crate) struct Reading {
    pub(crate) node: String,
    pick: PepPick,
    /// It was asked for a page, and is told which it got.
    is_paged: bool,
}

impl Reading {
    /// `<items/>`, and the `<set/>` beside it.
    pub(crate) fn read(items: &Element, set: Option<&Element>) -> Result<Reading, StanzaError> {
        let node = node_name(items)?;
        let ids = items.children().filter(|child| child.is("item", ns::PUBSUB));
        let ids: Vec<String> = ids.filter_map(|item| item.attribute("id")).map(str::to_owned).collect();
        let newest = items.attribute("max_items").map(str::parse).transpose().map_err(|_| bad_request())?;
        let pick = match (set, newest) {
            _ if !ids.is_empty() => PepPick::Ids(ids),
            (Some(set), _) => page(set)?,
            (None, Some(newest)) => PepPick::Before(None, newest),
            (None, None) => PepPick::After(None, usize::MAX),
        };
        Ok(Reading { node, pick, is_paged: set.is_some() })
    }
}

/// XEP-0059, 2. A place in the list cannot be asked for by its number (2.6).
fn page(set: &Element) -> Result<PepPick, StanzaError> {
    let text = |name: &str| set.child(name, ns::RESULT_SETS).map(Element::text);
    if text("index").is_some() {
        return Err(StanzaError::new(Condition::FeatureNotImplemented));
    }
    let max = match text("max") {
        Some(max) => max.trim().parse().map_err(|_| bad_request())?,
        None => usize::MAX,
    };
    let id = |id: String| Some(id).filter(|id| !id.is_empty());
    match (text("after"), text("before")) {
        (Some(_), Some(_)) => Err(bad_request()),
        (None, Some(before)) => Ok(PepPick::Before(id(before), max)),
        (after, None) => Ok(PepPick::After(after.and_then(id), max)),
    }
}

impl Im {
    pub(crate) async fn read_items(
        &'static self,
        account: BareJid,
        asker: BareJid,
        reading: Reading,
    ) -> Verdict {
        let Reading { node, pick, is_paged } = reading;
        if account == asker {
            self.unify_bookmarks(&account, &node).await?;
        }
        let Visit { node, config, relation } = self.visit(&account, &asker, &node).await?;
        may_read(&config, &node, &relation, &asker)?;
        let ids_only = matches!(pick, PepPick::Ids(_));
        let found = self.store.load_pep_items(&account, &node.name, pick, ANSWER_BYTES_MAX).await;
        let found = found.map_err(|error| match error {
            // XEP-0059, 2.3: the item that the page begins at is not there.
            StoreError::NotFound => StanzaError::new(Condition::ItemNotFound),
            error => store_error(error),
        })?;
        let Some(PepItems { node, items, is_whole }) = found else { return Err(relation.missing()) };
        if ids_only && items.is_empty() {
            // XEP-0060, 6.5.9.11.
            return Err(StanzaError::new(Condition::ItemNotFound));
        }
        let mut list = Element::new("items", ns::PUBSUB).with_attribute("node", &node.name);
        for item in &items {
            list.push(item_element(&account, ns::PUBSUB, item, true)?);
        }
        let mut pubsub = Element::new("pubsub", ns::PUBSUB).with_child(list);
        // XEP-0060, 6.5.4: it is also said where there was no room for all.
        if is_paged || !is_whole {
            let ends = items.first().zip(items.last()).map(|(first, last)| (&*first.id, &*last.id));
            pubsub.push(result_set(ends, node.items));
        }
        Ok(Some(pubsub))
    }
}

/// XEP-0059, 2.1.
fn result_set(ends: Option<(&str, &str)>, count: usize) -> Element {
    let text = |name: &str, text: &str| Element::new(name, ns::RESULT_SETS).with_text(text);
    let mut set = Element::new("set", ns::RESULT_SETS);
    if let Some((first, last)) = ends {
        set.push(text("first", first));
        set.push(text("last", last));
    }
    set.with_child(text("count", &count.to_string()))
}
