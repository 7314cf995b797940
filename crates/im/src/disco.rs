//! Service Discovery (XEP-0030): what the server is and can, and what an account is and where it is.
//!
//! The features are those that are wired, never a list of its own. Invariant: who may not see an account's presence
//! does not learn whether it exists (XEP-0030, 8).

use rjabberd_xml::Element;
use rjabberd_xmpp::{BareJid, Condition, StanzaError, ns};

use crate::Im;
use crate::caps;
use crate::contact::ContactAddresses;
use crate::offline::OFFLINE_ANNOUNCED;
use crate::services::{Feature, Question, Reply, Target, store_error};

/// disco#info.
pub(crate) struct DiscoInfo {
    im: &'static Im,
    server: Element,
    own_account: Element,
    /// As others see it.
    other_account: Element,
    /// Of a guest (XEP-0175, 4).
    guest: Element,
    caps: Element,
    /// `NODE#ver`, which asks for what the capabilities were made of (XEP-0115, 6.2).
    caps_node: String,
}

impl DiscoInfo {
    /// Names these features and itself.
    pub(crate) fn new(im: &'static Im, others: &[Box<dyn Feature>], contact: &ContactAddresses) -> DiscoInfo {
        let namespaces = |target: Target| {
            let others = others.iter().flat_map(move |feature| feature.announces(target));
            others.chain([ns::DISCO_INFO])
        };
        let server =
            info(&[("server", "im")], namespaces(Target::Server).chain([ns::CAPS, OFFLINE_ANNOUNCED]));
        let server = contact.form().into_iter().fold(server, Element::with_child);
        let ver = caps::ver(&server);
        // The account is a service of publish-subscribe, too (XEP-0163, 6).
        let identities = [("account", "registered"), ("pubsub", "pep")];
        let account = |target| info(&identities, namespaces(target));
        DiscoInfo {
            im,
            server,
            // XEP-0359, 4: whoever may see the account may rely on the ids that it sets.
            own_account: account(Target::OwnAccount),
            other_account: account(Target::OtherAccount),
            guest: info(&[("account", "anonymous")], [ns::DISCO_INFO, ns::DISCO_ITEMS].into_iter()),
            caps: caps::element(&ver),
            caps_node: format!("{}#{ver}", caps::NODE),
        }
    }

    /// The element for the stream features.
    pub(crate) fn caps(&self) -> &Element {
        &self.caps
    }

    fn is_guest(&self, question: &Question<'_>) -> bool {
        question.to.is_some_and(|to| self.im.outlet.table().is_guest(&to.to_bare()))
    }

    /// XEP-0030, 8: another's account exists for those who may see its presence.
    fn of_another(&self, account: &BareJid, asker: &BareJid) -> Reply {
        let (may_see, info) = (self.im.may_see(account, asker), self.other_account.clone());
        Reply::later(async move {
            match may_see.await.map_err(store_error)? {
                false => Err(StanzaError::new(Condition::ServiceUnavailable)),
                true => Ok(Some(info)),
            }
        })
    }
}

/// A `<query/>` with these identities and features, the features in the order of their names.
fn info(identities: &[(&str, &str)], features: impl Iterator<Item = &'static str>) -> Element {
    let identity = |(category, identity_type): &(&str, &str)| {
        let identity = Element::new("identity", ns::DISCO_INFO)
            .with_attribute("category", *category)
            .with_attribute("type", *identity_type);
        if *category == "server" { identity.with_attribute("name", "rjabberd") } else { identity }
    };
    let mut features: Vec<_> = features.collect();
    features.sort_unstable();
    let feature = |var: &str| Element::new("feature", ns::DISCO_INFO).with_attribute("var", var);
    let query = Element::new("query", ns::DISCO_INFO);
    let query = identities.iter().map(identity).fold(query, Element::with_child);
    features.into_iter().map(feature).fold(query, Element::with_child)
}

impl Feature for DiscoInfo {
    fn namespace(&self) -> &'static str {
        ns::DISCO_INFO
    }

    fn serves(&self, _target: Target) -> bool {
        true
    }

    fn answer(&self, question: &Question<'_>) -> Reply {
        if !question.gets("query") {
            return Reply::error(Condition::FeatureNotImplemented);
        }
        let node = question.payload.attribute("node");
        match (question.target, node) {
            (Target::Server, None) => Reply::result(self.server.clone()),
            (Target::Server, Some(node)) if node == self.caps_node => {
                Reply::result(self.server.clone().with_attribute("node", node))
            }
            (Target::OwnAccount, None) if question.from_guest => Reply::result(self.guest.clone()),
            (Target::OwnAccount, None) => Reply::result(self.own_account.clone()),
            // XEP-0175, 4: whoever asks. Nobody can know the address but from him, and he is here only as long as seen.
            (Target::OtherAccount, None) if self.is_guest(question) => Reply::result(self.guest.clone()),
            (Target::OwnAccount | Target::OtherAccount, node) => {
                match (question.account(), question.session()) {
                    (Ok(account), Ok(asker)) => match node {
                        None => self.of_another(&account, &asker.to_bare()),
                        Some(node) => {
                            Reply::later(self.im.node_info(account, asker.to_bare(), node.to_owned()))
                        }
                    },
                    (Err(error), _) | (_, Err(error)) => error.into(),
                }
            }
            (Target::Server, Some(_)) => Reply::error(Condition::ItemNotFound),
        }
    }
}

/// disco#items: the available resources of an account (XEP-0030, 4.1) and its nodes (XEP-0060, 5.2), for those who may
/// see them; the server has none.
pub(crate) struct DiscoItems {
    im: &'static Im,
}

impl DiscoItems {
    pub(crate) fn new(im: &'static Im) -> DiscoItems {
        DiscoItems { im }
    }

    fn of_account(&self, account: BareJid, asker: &BareJid) -> Reply {
        let (im, may_see) = (self.im, self.im.may_see(&account, asker));
        let asker = asker.clone();
        Reply::later(async move {
            let may_see = may_see.await.map_err(store_error)?;
            let mut query = Element::new("query", ns::DISCO_ITEMS);
            // XEP-0030, 8: empty for who may not see them, as for an account that does not exist.
            let seats = if may_see { im.outlet.table().seats(&account) } else { Vec::new() };
            for seat in seats.iter().filter(|seat| seat.priority().is_some()) {
                query.push(Element::new("item", ns::DISCO_ITEMS).with_attribute("jid", seat.jid().as_str()));
            }
            if may_see {
                let nodes = im.nodes_shown(&account, &asker).await?;
                nodes.into_iter().for_each(|node| query.push(node));
            }
            Ok(Some(query))
        })
    }
}

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
            (Target::Server, None) => Reply::result(none),
            (Target::OwnAccount | Target::OtherAccount, None) => {
                match (question.account(), question.session()) {
                    (Ok(account), Ok(asker)) => self.of_account(account, &asker.to_bare()),
                    (Err(error), _) | (_, Err(error)) => error.into(),
                }
            }
            (target @ (Target::OwnAccount | Target::OtherAccount), Some(node)) => {
                let (Ok(account), Ok(asker)) = (question.account(), question.session()) else {
                    return Reply::error(Condition::NotAuthorized);
                };
                let none = none.with_attribute("node", node);
                let items = self.im.node_items(account, asker.to_bare(), node.to_owned());
                Reply::later(async move {
                    match items.await {
                        // XEP-0030, 8: empty whether or not there is such an account or node.
                        Err(_) if target == Target::OtherAccount => Ok(Some(none)),
                        items => items,
                    }
                })
            }
            (Target::Server, Some(_)) => Reply::error(Condition::ItemNotFound),
        }
    }
}

#[cfg(test)]
mod tests;
