//! Service Discovery (XEP-0030): what the server is and can, and what an account is.
//!
//! The features are those that are wired, never a list of its own. Invariant: of an account that is not the sender's
//! own, the answer does not tell whether it exists (XEP-0030, 8).

use rjabberd_xml::Element;
use rjabberd_xmpp::{Condition, ns};

use crate::caps;
use crate::services::{Feature, Question, Reply, Target};

/// disco#info.
pub(crate) struct DiscoInfo {
    server: Element,
    account: Element,
    caps: Element,
    /// `NODE#ver`, which asks for what the capabilities were made of (XEP-0115, 6.2).
    caps_node: String,
}

impl DiscoInfo {
    /// Names these features and itself.
    pub(crate) fn new(others: &[Box<dyn Feature>]) -> DiscoInfo {
        let namespaces = |target: Target| {
            let others = others.iter().filter(move |feature| feature.serves(target));
            others.flat_map(|feature| feature.announces()).chain([ns::DISCO_INFO])
        };
        let server = info("server", "im", namespaces(Target::Server).chain([ns::CAPS]));
        let account = info("account", "registered", namespaces(Target::OwnAccount));
        let ver = caps::ver(&server);
        let caps_node = format!("{}#{ver}", caps::NODE);
        DiscoInfo { server, account, caps: caps::element(&ver), caps_node }
    }

    /// The element for the stream features.
    pub(crate) fn caps(&self) -> &Element {
        &self.caps
    }
}

/// A `<query/>` with one identity and these features in the order of their names.
fn info(category: &str, identity_type: &str, features: impl Iterator<Item = &'static str>) -> Element {
    let mut identity = Element::new("identity", ns::DISCO_INFO)
        .with_attribute("category", category)
        .with_attribute("type", identity_type);
    if category == "server" {
        identity = identity.with_attribute("name", "rjabberd");
    }
    let mut features: Vec<_> = features.collect();
    features.sort_unstable();
    let feature = |var: &str| Element::new("feature", ns::DISCO_INFO).with_attribute("var", var);
    let query = Element::new("query", ns::DISCO_INFO).with_child(identity);
    features.into_iter().map(feature).fold(query, Element::with_child)
}

impl Feature for DiscoInfo {
    fn namespace(&self) -> &'static str {
        ns::DISCO_INFO
    }

    /// Another's account is for those who may see his presence (XEP-0030, 8); nobody may yet.
    fn serves(&self, target: Target) -> bool {
        target != Target::OtherAccount
    }

    fn answer(&self, question: &Question<'_>) -> Reply {
        if !question.gets("query") {
            return Reply::error(Condition::FeatureNotImplemented);
        }
        match (question.target, question.payload.attribute("node")) {
            (Target::Server, None) => Reply::result(self.server.clone()),
            (Target::Server, Some(node)) if node == self.caps_node => {
                Reply::result(self.server.clone().with_attribute("node", node))
            }
            (_, None) => Reply::result(self.account.clone()),
            (_, Some(_)) => Reply::error(Condition::ItemNotFound),
        }
    }
}

/// disco#items: there are none.
pub(crate) struct DiscoItems;

impl Feature for DiscoItems {
    fn namespace(&self) -> &'static str {
        ns::DISCO_ITEMS
    }

    fn serves(&self, _target: Target) -> bool {
        true
    }

    fn answer(&self, question: &Question<'_>) -> Reply {
        if !question.gets("query") {
            return Reply::error(Condition::FeatureNotImplemented);
        }
        let none = Element::new("query", ns::DISCO_ITEMS);
        match (question.target, question.payload.attribute("node")) {
            (_, None) => Reply::result(none),
            // XEP-0030, 8: empty whether or not there is such an account or node.
            (Target::OtherAccount, Some(node)) => Reply::result(none.with_attribute("node", node)),
            (_, Some(_)) => Reply::error(Condition::ItemNotFound),
        }
    }
}
