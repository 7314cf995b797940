//! Reading one's own archive, page by page (XEP-0313 with XEP-0059): to catch up behind what was read before, or all of it.

use std::collections::{BTreeMap, BTreeSet};

use rjabberd_testkit::Node;

use crate::ledger::Id;

const PAGE: u32 = 100;

/// One reading.
#[derive(Debug)]
pub(crate) struct Search {
    number: u32,
    page: u32,
    after: Option<String>,
    /// Of a reading of everything: what was told, by the archive's ids, and how often each message.
    seen: BTreeSet<String>,
    copies: BTreeMap<Id, u16>,
    counts: bool,
}

/// What the end of a page means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PageEnd {
    /// Of another reading, or of a page that was asked for twice.
    Other,
    /// Ask for the next.
    More,
    Complete,
}

impl Search {
    /// Behind an id of the archive.
    pub(crate) fn after(number: u32, after: Option<String>) -> Search {
        Search { number, page: 0, after, seen: BTreeSet::new(), copies: BTreeMap::new(), counts: false }
    }

    /// Everything, to count it.
    pub(crate) fn everything(number: u32) -> Search {
        Search { counts: true, ..Search::after(number, None) }
    }

    /// Whether this is a reading of everything.
    pub(crate) fn is_of_everything(&self) -> bool {
        self.counts
    }

    fn name(&self) -> String {
        format!("page-{}-{}", self.number, self.page)
    }

    /// The request for the page that is next.
    pub(crate) fn request(&self) -> String {
        let after = self.after.as_ref().map_or_else(String::new, |id| format!("<after>{id}</after>"));
        format!(
            "<iq type='set' id='{0}'><query xmlns='urn:xmpp:mam:2' queryid='{0}'>\
             <set xmlns='http://jabber.org/protocol/rsm'><max>{PAGE}</max>{after}</set></query></iq>",
            self.name()
        )
    }

    /// A result (`<result/>` of the archive); the message in it that `partner` sent, if this reading has not told it.
    pub(crate) fn takes(&mut self, result: &Node, partner: &str) -> Option<Id> {
        if result.attribute("queryid") != Some(&self.name()) {
            return None;
        }
        let message = result.find("message")?;
        let id = Id::parse(message.attribute("id")?)?;
        let is_new = self.seen.insert(result.attribute("id")?.to_owned());
        if !is_new {
            return None;
        }
        if self.counts {
            *self.copies.entry(id).or_default() += 1;
        }
        bare(message.attribute("from")?).eq(partner).then_some(id)
    }

    /// The answer to a request for a page.
    pub(crate) fn ends_page(&mut self, answer: &Node) -> PageEnd {
        if answer.attribute("id") != Some(&self.name()) {
            return PageEnd::Other;
        }
        self.page += 1;
        let Some(fin) = answer.child("fin") else {
            // What was read last is no longer there: from the beginning, then.
            return match self.after.take() {
                Some(_) => PageEnd::More,
                None => PageEnd::Complete,
            };
        };
        if let Some(last) = fin.find("last") {
            self.after = Some(last.text.clone());
        }
        if !self.counts {
            self.seen.clear();
        }
        let is_complete = matches!(fin.attribute("complete"), Some("true" | "1"));
        if is_complete || fin.find("last").is_none() { PageEnd::Complete } else { PageEnd::More }
    }

    /// The last id of the archive that was told.
    pub(crate) fn last(&self) -> Option<String> {
        self.after.clone()
    }

    /// How often the archive has each message.
    pub(crate) fn copies(self) -> BTreeMap<Id, u16> {
        self.copies
    }
}

/// An address without its resource.
pub(crate) fn bare(jid: &str) -> &str {
    jid.split('/').next().unwrap_or(jid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(query: &str, archived: &str, id: &str) -> Node {
        let text = format!(
            "<result xmlns='urn:xmpp:mam:2' queryid='{query}' id='{archived}'><forwarded><delay/>\
             <message from='u1@localhost/r' id='{id}'><body>x</body></message></forwarded></result>"
        );
        Node::parse(&text).unwrap()
    }

    fn fin(id: &str, inner: &str) -> Node {
        Node::parse(&format!("<iq id='{id}'>{inner}</iq>")).unwrap()
    }

    #[test]
    fn pages_follow_each_other_until_the_archive_is_complete() {
        let mut search = Search::after(3, Some("a0".to_owned()));
        assert!(search.request().contains("<after>a0</after>"));
        let id = search.takes(&result("page-3-0", "a1", "m1-1"), "u1@localhost");
        assert_eq!(id, Some(Id { from: 1, seq: 1 }));
        assert_eq!(search.takes(&result("page-2-0", "a2", "m1-2"), "u1@localhost"), None);
        assert_eq!(search.takes(&result("page-3-0", "a2", "m1-2"), "u2@localhost"), None);
        assert_eq!(search.ends_page(&fin("page-3-1", "")), PageEnd::Other);
        let more = fin("page-3-0", "<fin><set><first>a1</first><last>a2</last></set></fin>");
        assert_eq!(search.ends_page(&more), PageEnd::More);
        assert_eq!(search.ends_page(&more), PageEnd::Other, "asked for twice, answered twice");
        assert!(search.request().contains("<after>a2</after>"));
        assert_eq!(
            search.ends_page(&fin("page-3-1", "<fin complete='true'><set/></fin>")),
            PageEnd::Complete
        );
        assert_eq!(search.last().as_deref(), Some("a2"));
    }

    #[test]
    fn copies_are_told_apart_by_the_ids_of_the_archive() {
        let mut search = Search::everything(1);
        for archived in ["a1", "a1", "a2"] {
            search.takes(&result("page-1-0", archived, "m1-1"), "u1@localhost");
        }
        assert_eq!(search.copies(), BTreeMap::from([(Id { from: 1, seq: 1 }, 2)]));
    }
}
