//! Nodes in service discovery (XEP-0060, 5.2 to 5.5): which there are, what each is, and what is in it.
//!
//! Invariant: who may not read a node does not find it.

use rjabberd_xml::Element;
use rjabberd_xmpp::{BareJid, Condition, StanzaError, ns};

use super::access::may_read;
use super::config::NodeConfig;
use super::{ANSWER_BYTES_MAX, Visit};
use crate::Im;
use crate::services::{Verdict, store_error};

impl Im {
    /// The names of the nodes that somebody may read. `asker` may see the account's presence.
    pub(crate) async fn nodes_shown(
        &'static self,
        account: &BareJid,
        asker: &BareJid,
    ) -> Result<Vec<Element>, StanzaError> {
        let relation = self.relation(account, asker).await?;
        let mut shown = Vec::new();
        for node in self.store.load_pep_nodes(account).await.map_err(store_error)? {
            let config = NodeConfig::read(&node)?;
            if may_read(&config, &node, &relation, asker).is_ok() {
                let item = Element::new("item", ns::DISCO_ITEMS).with_attribute("jid", account.as_str());
                let item = item.with_attribute("node", &node.name);
                let title = Some(config.title).filter(|title| !title.is_empty());
                shown.push(title.map_or(item.clone(), |title| item.with_attribute("name", title)));
            }
        }
        Ok(shown)
    }

    /// disco#info of a node.
    pub(crate) async fn node_info(&'static self, account: BareJid, asker: BareJid, node: String) -> Verdict {
        let Visit { node, config, .. } = self.readable(&account, &asker, &node).await?;
        let identity = Element::new("identity", ns::DISCO_INFO)
            .with_attribute("category", "pubsub")
            .with_attribute("type", "leaf");
        let feature = Element::new("feature", ns::DISCO_INFO).with_attribute("var", ns::PUBSUB);
        let query = Element::new("query", ns::DISCO_INFO).with_attribute("node", &node.name);
        let metadata = config.metadata(account.as_str(), &node);
        Ok(Some(query.with_child(identity).with_child(feature).with_child(metadata)))
    }

    /// disco#items of a node: its items.
    pub(crate) async fn node_items(&'static self, account: BareJid, asker: BareJid, node: String) -> Verdict {
        let Visit { node, .. } = self.readable(&account, &asker, &node).await?;
        let all = rjabberd_storage::PepPick::After(None, usize::MAX);
        let found = self.store.load_pep_items(&account, &node.name, all, ANSWER_BYTES_MAX).await;
        let items = found.map_err(store_error)?.map(|found| found.items).unwrap_or_default();
        let item = |id: &str| {
            let item = Element::new("item", ns::DISCO_ITEMS).with_attribute("jid", account.as_str());
            item.with_attribute("name", id)
        };
        let query = Element::new("query", ns::DISCO_ITEMS).with_attribute("node", &node.name);
        Ok(Some(items.iter().map(|found| item(&found.id)).fold(query, Element::with_child)))
    }

    /// A node, if it may be read; otherwise it is not there.
    async fn readable(
        &'static self,
        account: &BareJid,
        asker: &BareJid,
        node: &str,
    ) -> Result<Visit, StanzaError> {
        let missing = |knows: bool| {
            let condition = if knows { Condition::ItemNotFound } else { Condition::ServiceUnavailable };
            StanzaError::new(condition)
        };
        let relation = self.relation(account, asker).await?;
        let found = self.store.load_pep_node(account, node).await.map_err(store_error)?;
        let Some(node) = found else { return Err(missing(relation.knows())) };
        let config = NodeConfig::read(&node)?;
        match may_read(&config, &node, &relation, asker) {
            Ok(()) => Ok(Visit { node, config, relation }),
            Err(_) => Err(missing(relation.knows())),
        }
    }
}
