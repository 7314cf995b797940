//! The requests of publish-subscribe, on one's own account or another's: which element means what, and who answers it.
//!
//! The features that stand here are those that are built; there is no other list of them.

use rjabberd_xml::Element;
use rjabberd_xmpp::{BareJid, Condition, StanzaError, ns};

use super::items::Reading;
use super::owner::{Order, not_here};
use super::publish::{Publication, node_name};
use super::refusals::{bad_request, refusal, unsupported};
use super::subscribe::own_jid;
use crate::Im;
use crate::services::{Feature, Question, Reply, Target};

/// What the service of an account can (XEP-0060, 10). As everywhere, an access model is named where it can be chosen.
const FEATURES: [&str; 35] = [
    ns::PUBSUB,
    "http://jabber.org/protocol/pubsub#access-open",
    "http://jabber.org/protocol/pubsub#access-presence",
    "http://jabber.org/protocol/pubsub#access-roster",
    "http://jabber.org/protocol/pubsub#access-whitelist",
    "http://jabber.org/protocol/pubsub#auto-create",
    "http://jabber.org/protocol/pubsub#auto-subscribe",
    "http://jabber.org/protocol/pubsub#config-node",
    "http://jabber.org/protocol/pubsub#config-node-max",
    "http://jabber.org/protocol/pubsub#create-and-configure",
    "http://jabber.org/protocol/pubsub#create-nodes",
    "http://jabber.org/protocol/pubsub#delete-items",
    "http://jabber.org/protocol/pubsub#delete-nodes",
    "http://jabber.org/protocol/pubsub#filtered-notifications",
    "http://jabber.org/protocol/pubsub#instant-nodes",
    "http://jabber.org/protocol/pubsub#item-ids",
    "http://jabber.org/protocol/pubsub#last-published",
    "http://jabber.org/protocol/pubsub#manage-subscriptions",
    "http://jabber.org/protocol/pubsub#member-affiliation",
    "http://jabber.org/protocol/pubsub#meta-data",
    "http://jabber.org/protocol/pubsub#modify-affiliations",
    "http://jabber.org/protocol/pubsub#multi-items",
    "http://jabber.org/protocol/pubsub#outcast-affiliation",
    "http://jabber.org/protocol/pubsub#persistent-items",
    "http://jabber.org/protocol/pubsub#presence-subscribe",
    "http://jabber.org/protocol/pubsub#publish",
    ns::PUBSUB_PUBLISH_OPTIONS,
    "http://jabber.org/protocol/pubsub#publisher-affiliation",
    "http://jabber.org/protocol/pubsub#purge-nodes",
    "http://jabber.org/protocol/pubsub#retract-items",
    "http://jabber.org/protocol/pubsub#retrieve-affiliations",
    "http://jabber.org/protocol/pubsub#retrieve-default",
    "http://jabber.org/protocol/pubsub#retrieve-items",
    "http://jabber.org/protocol/pubsub#retrieve-subscriptions",
    "http://jabber.org/protocol/pubsub#rsm",
];
const SUBSCRIBE: &str = "http://jabber.org/protocol/pubsub#subscribe";

/// `<pubsub/>` of everybody.
pub(crate) struct PubSub(pub(crate) &'static Im);

/// `<pubsub/>` of owners.
pub(crate) struct PubSubOwner(pub(crate) &'static Im);

impl Feature for PubSub {
    fn namespace(&self) -> &'static str {
        ns::PUBSUB
    }

    fn serves(&self, target: Target) -> bool {
        target != Target::Server
    }

    fn announces(&self, target: Target) -> Vec<&'static str> {
        let mut features = match target {
            Target::Server => return Vec::new(),
            Target::OwnAccount => vec![ns::BOOKMARKS_COMPAT, ns::BOOKMARKS_COMPAT_PEP],
            Target::OtherAccount => Vec::new(),
        };
        features.extend(FEATURES);
        features.extend([SUBSCRIBE, ns::AVATAR_CONVERSION]);
        features
    }

    fn answer(&self, question: &Question<'_>) -> Reply {
        answered(self.0, question).unwrap_or_else(Reply::from)
    }
}

impl Feature for PubSubOwner {
    fn namespace(&self) -> &'static str {
        ns::PUBSUB_OWNER
    }

    fn serves(&self, target: Target) -> bool {
        target != Target::Server
    }

    fn announces(&self, _target: Target) -> Vec<&'static str> {
        // It has no name of its own in service discovery (XEP-0060, 10).
        Vec::new()
    }

    fn answer(&self, question: &Question<'_>) -> Reply {
        let order = |im: &'static Im| {
            let (account, asker) = parties(question)?;
            let order = Order::read(question.payload, question.set)?;
            Ok(Reply::later(im.obey(account, asker, order)))
        };
        order(self.0).unwrap_or_else(|error: StanzaError| error.into())
    }
}

/// The account that is asked, and the one that asks.
fn parties(question: &Question<'_>) -> Result<(BareJid, BareJid), StanzaError> {
    if question.payload.name() != "pubsub" {
        return Err(StanzaError::new(Condition::FeatureNotImplemented));
    }
    Ok((question.account()?, question.session()?.to_bare()))
}

fn answered(im: &'static Im, question: &Question<'_>) -> Result<Reply, StanzaError> {
    let (account, asker) = parties(question)?;
    let pubsub = question.payload;
    let child = |name: &str| pubsub.child(name, ns::PUBSUB);
    // What belongs to another element may stand before it.
    let is_verb = |child: &&Element| {
        child.namespace() == ns::PUBSUB
            && !matches!(child.name(), "publish-options" | "configure" | "options")
    };
    let Some(verb) = pubsub.children().find(is_verb) else {
        // XEP-0060, 6.3: options of a subscription alone.
        return Err(match child("options") {
            Some(_) => unsupported("subscription-options"),
            None => bad_request(),
        });
    };
    match (verb.name(), question.set) {
        ("publish", true) => {
            let bytes_max = im.limits.pep.item_bytes_max;
            let publication = Publication::read(verb, child("publish-options"), bytes_max)?;
            Ok(Reply::later(im.publish(account, asker, publication)))
        }
        ("retract", true) => {
            let (node, ids) = retracted(verb)?;
            let notify = matches!(verb.attribute("notify"), Some("1" | "true"));
            Ok(Reply::later(im.retract(account, asker, node, ids, notify)))
        }
        ("create", true) => {
            if account != asker {
                return Err(not_here());
            }
            let node = verb.attribute("node").map(|_| node_name(verb)).transpose()?;
            Ok(Reply::later(im.create_node(account, node, child("configure").cloned())))
        }
        ("items", false) => {
            let reading = Reading::read(verb, pubsub.child("set", ns::RESULT_SETS))?;
            Ok(Reply::later(im.read_items(account, asker, reading)))
        }
        ("subscribe", true) => {
            if child("options").is_some() {
                return Err(unsupported("subscription-options"));
            }
            let (node, jid) = (node_name(verb)?, own_jid(verb, &asker)?);
            Ok(Reply::later(im.subscribe_node(account, asker, node, jid)))
        }
        ("unsubscribe", true) => {
            let (node, jid) = (node_name(verb)?, own_jid(verb, &asker)?);
            Ok(Reply::later(im.unsubscribe_node(account, asker, node, jid)))
        }
        ("subscriptions", false) => {
            let node = verb.attribute("node").map(|_| node_name(verb)).transpose()?;
            Ok(Reply::later(im.subscriptions_of(account, asker, node)))
        }
        ("affiliations", false) => {
            let node = verb.attribute("node").map(|_| node_name(verb)).transpose()?;
            Ok(Reply::later(im.affiliations_of(account, asker, node)))
        }
        ("default", false) => Err(unsupported("retrieve-default-sub")),
        ("publish" | "retract" | "create" | "items" | "subscribe" | "unsubscribe", _) => Err(bad_request()),
        _ => Err(StanzaError::new(Condition::FeatureNotImplemented)),
    }
}

/// XEP-0060, 7.2.1.
fn retracted(retract: &Element) -> Result<(String, Vec<String>), StanzaError> {
    let node = node_name(retract)?;
    let items = retract.children().filter(|child| child.is("item", ns::PUBSUB));
    let ids: Option<Vec<String>> = items.map(|item| item.attribute("id").map(str::to_owned)).collect();
    let mut ids = ids.filter(|ids| !ids.is_empty()).ok_or_else(|| {
        // XEP-0060, 7.2.3.4.
        refusal(Condition::BadRequest, "item-required")
    })?;
    ids.sort_unstable();
    ids.dedup();
    Ok((node, ids))
}
