//! Private XML Storage (XEP-0049): elements that a user's clients keep at the server, by name and namespace.
//!
//! What they mean is not known here, and nobody but the user sees them. One is more: the list of bookmarks has two other
//! faces (see `pep::bookmarks`).

use rjabberd_xml::Element;
use rjabberd_xmpp::{BareJid, Condition, ns};

use crate::Im;
use crate::pep::bookmarks;
use crate::services::{Feature, Question, Reply, Target, read_stored, store_error, written};

pub(crate) struct Private {
    im: &'static Im,
}

impl Private {
    pub(crate) fn new(im: &'static Im) -> Private {
        Private { im }
    }

    /// XEP-0049, 2.3: one element at a time. The XEP's "Bad Format" is no condition of RFC 6120; its code 400 is
    /// `bad-request`.
    fn get(&self, account: &BareJid, query: &Element) -> Reply {
        let mut children = query.children();
        let (Some(asked), None) = (children.next(), children.next()) else {
            return Reply::refusal(Condition::BadRequest, "ask for one element");
        };
        if is_reserved(asked.namespace()) {
            return reserved();
        }
        let none = Element::new(asked.name(), asked.namespace());
        let stored = self.im.store.load_private(account, asked.name(), asked.namespace());
        let (im, account) = (self.im, account.clone());
        Reply::later(async move {
            // Nothing there is an empty element, as everywhere: the XEP does not say.
            let mut element = stored.await.map_err(store_error)?.map_or(Ok(none), read_stored)?;
            if bookmarks::is_list(&element) {
                element = im.bookmark_list(&account, element).await?;
            }
            Ok(Some(Element::new("query", ns::PRIVATE).with_child(element)))
        })
    }

    fn set(&self, account: &BareJid, query: &Element) -> Reply {
        let mut elements: Vec<(String, String, String)> = Vec::new();
        for element in query.children() {
            if is_reserved(element.namespace()) {
                return reserved();
            }
            if elements.iter().any(|(name, namespace, _)| element.is(name, namespace)) {
                return Reply::refusal(Condition::NotAcceptable, "an element is there twice");
            }
            let (name, namespace) = (element.name().to_owned(), element.namespace().to_owned());
            elements.push((name, namespace, written(element)));
        }
        if elements.is_empty() {
            // XEP-0049, 2.3: at least one element with a namespace of its own.
            return Reply::error(Condition::NotAcceptable);
        }
        let (im, account) = (self.im, account.clone());
        let list = query.children().find(|element| bookmarks::is_list(element)).cloned();
        Reply::later(async move {
            if let Some(list) = list {
                im.set_bookmarks(&account, &list).await?;
            }
            let saved = im.store.save_private(&account, elements, im.limits.private_bytes_max);
            saved.await.map(|()| None).map_err(store_error)
        })
    }
}

impl Feature for Private {
    fn namespace(&self) -> &'static str {
        ns::PRIVATE
    }

    fn serves(&self, _target: Target) -> bool {
        true
    }

    fn announces(&self, target: Target) -> Vec<&'static str> {
        if target == Target::OwnAccount { vec![ns::PRIVATE] } else { Vec::new() }
    }

    fn answer(&self, question: &Question<'_>) -> Reply {
        if question.payload.name() != "query" {
            return Reply::error(Condition::FeatureNotImplemented);
        }
        // XEP-0049, 3: sent to an address that is not the sender's; whether there is such an account is not told.
        if question.target != Target::OwnAccount {
            return Reply::error(Condition::Forbidden);
        }
        match question.account() {
            Ok(account) if question.set => self.set(&account, question.payload),
            Ok(account) => self.get(&account, question.payload),
            Err(error) => error.into(),
        }
    }
}

/// XEP-0049, 2.3: what may not be stored; and an element without a namespace of its own.
fn is_reserved(namespace: &str) -> bool {
    namespace.is_empty()
        || namespace == ns::VCARD
        || namespace.starts_with("jabber:")
        || namespace.starts_with("http://jabber.org/")
}

fn reserved() -> Reply {
    Reply::refusal(Condition::NotAcceptable, "the namespace is reserved")
}

#[cfg(test)]
mod tests;
