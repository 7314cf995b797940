//! What one client knows by what it was told: who is available and how, its roster, what was answered. No socket in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rjabberd_testkit::Node;

use crate::shown::{Address, Shown, parse_account};

/// Whether presences count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hears {
    /// It has not said that it is available, so nobody should be shown to it.
    Nothing,
    /// It has said that it is unavailable; what comes before the answer to this id was under way.
    Little { until: u32, then: bool },
    /// It is available.
    All,
}

/// One entry of a roster: the subscription, and whether an answer is waited for.
pub(crate) type Item = (String, bool);

/// What is counted over all clients.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    /// Presences of contacts, available and unavailable.
    pub(crate) presences: u64,
    /// Of those, unavailable ones.
    pub(crate) unavailable: u64,
    /// Available presences for a client that is not available itself.
    pub(crate) strays: u64,
    /// Unavailable presences that the client leaves out of its record on purpose.
    pub(crate) forgotten: u64,
    /// What nobody should have sent, and how often.
    pub(crate) strange: BTreeMap<String, u64>,
}

/// A client's knowledge.
#[derive(Debug)]
pub(crate) struct View {
    address: Address,
    hears: Hears,
    /// Every how many unavailable presences one is left out of the record; never with 0.
    forgets_each: u64,
    /// All that is available, by full address.
    pub(crate) seen: HashMap<Address, Shown>,
    /// The roster, from its first fetch on: that, and the pushes.
    pub(crate) roster: Option<BTreeMap<u16, Item>>,
    /// The roster by its last fetch.
    pub(crate) fetched: Option<BTreeMap<u16, Item>>,
    /// The answer to the last request with this number has come, and to those before.
    pub(crate) answered: BTreeSet<u32>,
    /// Barriers: which message of whom came last.
    pub(crate) barriers: HashMap<Address, u32>,
    /// Those who asked to see this account.
    pub(crate) asked_by: BTreeSet<u16>,
    /// Those who have let this account see them.
    pub(crate) granted_by: BTreeSet<u16>,
    /// Whether this client answers who asks.
    pub(crate) answers: bool,
    /// Whether it asks back, if its number is the higher one.
    pub(crate) asks_back: bool,
}

impl View {
    /// Of a client that has just bound its resource.
    pub(crate) fn new(address: Address, forgets_each: u64) -> View {
        View {
            address,
            hears: Hears::Nothing,
            forgets_each,
            seen: HashMap::new(),
            roster: None,
            fetched: None,
            answered: BTreeSet::new(),
            barriers: HashMap::new(),
            asked_by: BTreeSet::new(),
            granted_by: BTreeSet::new(),
            answers: address.resource() == 0,
            asks_back: false,
        }
    }

    /// It is about to say that it is available.
    pub(crate) fn opens(&mut self) {
        if self.hears == Hears::Nothing {
            self.hears = Hears::All;
        }
    }

    /// It is about to say that it is unavailable, and to ask something under this number behind it; `then` if it will
    /// have become available again before the answer comes.
    pub(crate) fn closes(&mut self, until: u32, then: bool) {
        self.seen.clear();
        self.hears = Hears::Little { until, then };
    }

    /// Takes an element, and appends what is to be answered.
    pub(crate) fn takes(&mut self, element: &Node, domain: &str, heard: &mut Heard, out: &mut String) {
        match element.name.as_str() {
            "presence" => self.takes_presence(element, domain, heard, out),
            "iq" => self.takes_iq(element, heard, out),
            "message" => {
                let barrier =
                    element.attribute("id").and_then(|id| id.strip_prefix("barrier-")?.parse().ok());
                let from = element.attribute("from").and_then(Address::parse);
                match (from, barrier, element.attribute("type")) {
                    // Whom a barrier was for may have been thrown out meanwhile.
                    (_, _, Some("error")) => {}
                    (Some(from), Some(number), _) => drop(self.barriers.insert(from, number)),
                    _ => strange(heard, element),
                }
            }
            _ => strange(heard, element),
        }
    }

    fn takes_presence(&mut self, presence: &Node, domain: &str, heard: &mut Heard, out: &mut String) {
        let from = presence.attribute("from").unwrap_or_default();
        let kind = presence.attribute("type").unwrap_or_default();
        match (kind, Address::parse(from), parse_account(from)) {
            ("" | "unavailable", Some(from), _) => self.sees(from, presence, kind.is_empty(), heard),
            // A contact of whom nothing is available may be told by its bare address.
            ("unavailable", None, Some(account)) => self.seen.retain(|other, _| other.account() != account),
            ("subscribe", _, Some(account)) => {
                self.asked_by.insert(account);
                if self.answers {
                    out.push_str(&format!("<presence type='subscribed' to='u{account}@{domain}'/>"));
                    if self.asks_back && account < self.address.account() {
                        out.push_str(&format!("<presence type='subscribe' to='u{account}@{domain}'/>"));
                    }
                }
            }
            ("subscribed", _, Some(account)) => drop(self.granted_by.insert(account)),
            ("unsubscribed" | "unsubscribe", _, Some(_)) => {}
            _ => strange(heard, presence),
        }
    }

    fn sees(&mut self, from: Address, presence: &Node, is_available: bool, heard: &mut Heard) {
        match self.hears {
            // One's own presence may come back to the one who said it, whatever it said.
            Hears::Nothing if from == self.address => return,
            // That somebody is gone does no harm, and may be owed to who had directed presence.
            Hears::Nothing => {
                heard.strays += u64::from(is_available);
                return;
            }
            Hears::Little { .. } => return,
            Hears::All => {}
        }
        heard.presences += 1;
        if is_available {
            self.seen.insert(from, Shown::of(presence));
            return;
        }
        heard.unavailable += 1;
        if self.forgets_each > 0 && heard.unavailable.is_multiple_of(self.forgets_each) {
            heard.forgotten += 1;
            return;
        }
        self.seen.remove(&from);
    }

    fn takes_iq(&mut self, iq: &Node, heard: &mut Heard, out: &mut String) {
        let id = iq.attribute("id").unwrap_or_default();
        let items = iq.child("query").map(items);
        match iq.attribute("type") {
            Some("set") => {
                for (account, item) in items.into_iter().flatten() {
                    let Some(roster) = &mut self.roster else { continue };
                    match item.0.as_str() {
                        "remove" => drop(roster.remove(&account)),
                        _ => drop(roster.insert(account, item)),
                    }
                }
                out.push_str(&format!("<iq type='result' id='{id}'/>"));
            }
            Some("get") => out.push_str(&format!(
                "<iq type='error' id='{id}'><error type='cancel'>\
                 <service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
            )),
            Some("result") => match id.parse() {
                Ok(number) => self.is_answered(number, items),
                Err(_) => strange(heard, iq),
            },
            _ => strange(heard, iq),
        }
    }

    fn is_answered(&mut self, number: u32, items: Option<BTreeMap<u16, Item>>) {
        self.answered.insert(number);
        if let Some(items) = items {
            self.roster.get_or_insert_with(|| items.clone());
            self.fetched = Some(items);
        }
        if let Hears::Little { until, then } = self.hears
            && until == number
        {
            self.hears = if then { Hears::All } else { Hears::Nothing };
        }
    }
}

fn items(query: &Node) -> BTreeMap<u16, Item> {
    let items = query.children.iter().filter(|child| child.name == "item");
    items
        .filter_map(|item| {
            let account = parse_account(item.attribute("jid")?)?;
            let subscription = item.attribute("subscription").unwrap_or("none").to_owned();
            Some((account, (subscription, item.attribute("ask").is_some())))
        })
        .collect()
}

fn strange(heard: &mut Heard, element: &Node) {
    const KINDS_MAX: usize = 20;
    let mut what: String = element.to_string().chars().take(200).collect();
    if heard.strange.len() >= KINDS_MAX && !heard.strange.contains_key(&what) {
        what = "other".to_owned();
    }
    *heard.strange.entry(what).or_default() += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(forgets_each: u64, told: &[&str]) -> (View, Heard, String) {
        let (mut view, mut heard, mut out) =
            (View::new(Address::new(1, 0), forgets_each), Heard::default(), String::new());
        for told in told {
            match *told {
                "available" => view.opens(),
                "unavailable" => view.closes(5, false),
                "both" => view.closes(5, true),
                told => view.takes(&Node::parse(told).unwrap(), "localhost", &mut heard, &mut out),
            }
        }
        (view, heard, out)
    }

    const HERE: &str = "<presence from='u2@localhost/r0'><status>1</status></presence>";
    const GONE: &str = "<presence from='u2@localhost/r0' type='unavailable'/>";
    const ANSWER: &str = "<iq type='result' id='5'/>";

    #[test]
    fn the_last_presence_of_an_address_holds() {
        assert_eq!(check(0, &["available", HERE, GONE]).0.seen.len(), 0);
        assert_eq!(check(0, &["available", GONE, HERE]).0.seen.len(), 1);
    }

    #[test]
    fn what_comes_to_a_client_that_is_not_available_is_a_stray_and_what_was_under_way_is_none() {
        let told = ["available", HERE, "unavailable", HERE, ANSWER];
        let (view, heard, _) = check(0, &told);
        assert_eq!((view.seen.len(), heard.strays), (0, 0));
        let (view, heard, _) = check(0, &[&told[..], &[HERE]].concat());
        assert_eq!((view.seen.len(), heard.strays), (0, 1));
        let (view, heard, _) = check(0, &["available", HERE, "both", HERE, ANSWER, HERE]);
        assert_eq!((view.seen.len(), heard.strays), (1, 0));
    }

    #[test]
    fn a_client_that_forgets_keeps_a_ghost() {
        let (view, heard, _) = check(2, &["available", HERE, GONE, HERE, GONE]);
        assert_eq!((view.seen.len(), heard.forgotten), (1, 1));
    }

    #[test]
    fn who_asks_is_let_in_and_asked_back() {
        let asked = "<presence type='subscribe' from='u7@localhost'/>";
        let (view, _, out) = check(0, &[asked]);
        assert!(view.asked_by.contains(&7));
        assert_eq!(out, "<presence type='subscribed' to='u7@localhost'/>");
    }

    #[test]
    fn pushes_change_the_roster_that_was_fetched_and_are_answered() {
        let fetch =
            "<iq type='result' id='1'><query><item jid='u3@localhost' subscription='to'/></query></iq>";
        let push = "<iq type='set' id='x'><query><item jid='u3@localhost' subscription='both'/></query></iq>";
        let (view, _, out) = check(0, &[push, fetch, push]);
        assert_eq!(view.roster.unwrap()[&3], ("both".to_owned(), false));
        assert_eq!(view.fetched.unwrap()[&3].0, "to");
        assert_eq!(out, "<iq type='result' id='x'/>".repeat(2));
    }
}
