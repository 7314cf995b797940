//! Whose events a session wants (XEP-0163, 4.3; XEP-0060, 9.2): the `+notify` features that its capabilities stand for
//! (XEP-0115).
//!
//! What is known of a hash is kept for all sessions; of an unknown one, the session itself is asked, once. Invariants:
//! an answer counts only from the session that was asked, with the id of the question; it is kept for others only if its
//! hash is that of the answer and nobody could have made two of it; and what is kept is bounded in bytes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use rjabberd_session_manager::{Interests, Seat};
use rjabberd_storage::PepLast;
use rjabberd_xml::Element;
use rjabberd_xmpp::{BareJid, IqType, Stanza, StanzaError, StanzaKind, ns};

use super::access::may_read;
use super::config::{NodeConfig, SendLast};
use super::events::{is_interested, last_message};
use super::random_id;
use crate::Im;
use crate::caps;

/// Nodes that one session may want, and the bytes of their names: clients want some twenty.
const NODES_MAX: usize = 256;
const NODES_BYTES_MAX: usize = 16 << 10;
/// Bytes of what a presence says of its capabilities.
const CAPS_BYTES_MAX: usize = 1_024;
/// Bytes of what is known of hashes; some thousand clients' versions.
const KNOWN_BYTES_MAX: usize = 4 << 20;
/// Bytes of the last items that a session is sent at once: less than what may wait for it.
const LAST_BYTES_MAX: usize = 256 << 10;
/// Accounts whose last items are asked for at a time.
const ACCOUNTS_AT_ONCE: usize = 500;

/// Which nodes a session wants.
type Nodes = Arc<[Box<str>]>;

/// What is known of hashes. Two halves: what is asked for moves to the young one; when that is full, the old one is
/// forgotten.
#[derive(Default)]
pub(crate) struct KnownCaps(Mutex<Known>);

#[derive(Default)]
struct Known {
    young: HashMap<Box<str>, Nodes>,
    young_bytes: usize,
    old: HashMap<Box<str>, Nodes>,
}

impl KnownCaps {
    pub(crate) fn len(&self) -> usize {
        let known = self.0.lock();
        known.young.len() + known.old.len()
    }

    fn get(&self, ver: &str) -> Option<Nodes> {
        let mut known = self.0.lock();
        if let Some(nodes) = known.young.get(ver) {
            return Some(nodes.clone());
        }
        let (ver, nodes) = known.old.remove_entry(ver)?;
        known.put(ver, nodes.clone());
        Some(nodes)
    }

    fn put(&self, ver: &str, nodes: Nodes) {
        self.0.lock().put(ver.into(), nodes);
    }
}

impl Known {
    fn put(&mut self, ver: Box<str>, nodes: Nodes) {
        // With what an entry costs beside the texts.
        let bytes = ver.len() + nodes.iter().map(|node| node.len() + 16).sum::<usize>() + 96;
        if self.young_bytes + bytes > KNOWN_BYTES_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        if self.young.insert(ver, nodes).is_none() {
            self.young_bytes += bytes;
        }
    }
}

/// What a presence says of its capabilities.
struct Caps {
    /// All of it, for comparison.
    text: Box<str>,
    hash: String,
    node: String,
    ver: String,
}

impl Caps {
    fn of(presence: &Stanza) -> Option<Caps> {
        let element = presence.child_element(presence.child("c", ns::CAPS)?).ok()?;
        let of = |name: &str| element.attribute(name).unwrap_or_default().to_owned();
        let (hash, node, ver) = (of("hash"), of("node"), of("ver"));
        let text = format!("{hash} {node}#{ver} {}", of("ext")).into_boxed_str();
        (text.len() <= CAPS_BYTES_MAX).then_some(Caps { text, hash, node, ver })
    }

    /// Whether the answer can be checked against it (XEP-0115, 5.4): SHA-1 alone is in use. Without `hash` it is that
    /// of before the XEP's version 1.4, and means nothing beyond its session.
    fn is_checkable(&self) -> bool {
        self.hash == "sha-1"
    }

    /// What to ask for (XEP-0115, 6.2).
    fn asked_node(&self) -> Option<String> {
        (!self.hash.is_empty()).then(|| format!("{}#{}", self.node, self.ver))
    }
}

impl Im {
    /// A session shows this presence, which may say what it wants to be told of. What is to be done for it then.
    pub(crate) fn presence_seen(
        &'static self,
        seat: &Arc<Seat>,
        presence: &Stanza,
        is_first: bool,
    ) -> Option<BoxFuture<'static, ()>> {
        if seat.is_guest() {
            return None;
        }
        let caps = Caps::of(presence);
        let mut show = seat.show();
        let before = show.interests().map(|known| (known.caps.clone(), known.nodes.clone()));
        let Some(caps) = caps.filter(|caps| before.as_ref().is_none_or(|(text, _)| *text != caps.text))
        else {
            // It says nothing new. One that was away is told what it missed.
            let (_, nodes) = before.filter(|_| is_first)?;
            drop(show);
            return Some(self.send_last_items(seat.clone(), nodes.to_vec()).boxed());
        };
        let nodes = before.map_or_else(|| Arc::from([]), |(_, nodes)| nodes);
        if let Some(known) = self.pep.caps.get(&caps.ver).filter(|_| caps.is_checkable()) {
            let new = if is_first { known.to_vec() } else { beyond(&known, &nodes) };
            show.set_interests(Interests { caps: caps.text, asked: None, nodes: known });
            drop(show);
            return Some(self.send_last_items(seat.clone(), new).boxed());
        }
        let id = random_id().ok()?;
        let question = self.question(seat, &id, caps.asked_node());
        let was = nodes.to_vec();
        show.set_interests(Interests { caps: caps.text, asked: Some(id.into()), nodes });
        drop(show);
        self.pep.asked.fetch_add(1, Relaxed);
        self.outlet.give(seat.jid(), question);
        is_first.then(|| self.send_last_items(seat.clone(), was).boxed())
    }

    fn question(&self, seat: &Seat, id: &str, node: Option<String>) -> Stanza {
        let query = Element::new("query", ns::DISCO_INFO);
        let query = node.map_or(query.clone(), |node| query.with_attribute("node", node));
        let mut question = Stanza::new(StanzaKind::Iq(IqType::Get), &[query]);
        question.id = Some(id.to_owned());
        question.from = BareJid::new(seat.jid().domain().as_str()).ok().map(Into::into);
        question.to = Some(seat.jid().clone().into());
        question
    }

    /// A session answers something that the server asked; `None` where it was not asked that. What is to be done then.
    pub fn answered(&'static self, answer: &Stanza) -> Option<BoxFuture<'static, ()>> {
        let from = answer.from.as_ref()?.try_as_full().ok()?;
        let seat = self.outlet.table().seat(from)?;
        let mut show = seat.show();
        let known = show.interests()?;
        if known.asked.is_none() || known.asked.as_deref() != answer.id.as_deref() {
            return None;
        }
        let (caps, before) = (known.caps.clone(), known.nodes.clone());
        let presence = show.presence();
        let said = presence.as_ref().and_then(Caps::of).filter(|said| said.text == caps);
        let query = answer.child("query", ns::DISCO_INFO).filter(|_| !answer.is_error());
        let query = query.and_then(|query| answer.child_element(query).ok());
        let nodes = query.as_ref().map_or_else(|| Arc::from([]), wanted);
        if let (Some(said), Some(query)) = (&said, &query)
            && said.is_checkable()
        {
            match caps::ver(query) == said.ver && is_unambiguous(query) {
                true => self.pep.caps.put(&said.ver, nodes.clone()),
                false => _ = self.pep.wrong.fetch_add(1, Relaxed),
            }
        }
        let new = beyond(&nodes, &before);
        show.set_interests(Interests { caps, asked: None, nodes });
        drop(show);
        Some(self.send_last_items(seat, new).boxed())
    }

    /// Sends a session the last items of its own account's nodes of these names, and of those of its contacts.
    async fn send_last_items(&'static self, seat: Arc<Seat>, nodes: Vec<Box<str>>) {
        if nodes.is_empty() {
            return;
        }
        let mut accounts = vec![seat.jid().to_bare()];
        let circle = seat.show().circle().cloned();
        accounts.extend(circle.iter().flat_map(|circle| circle.contacts.watched().cloned()));
        self.send_last_items_of(&seat, accounts, &nodes).await;
    }

    /// `account` is shown to `to` from now on: its sessions get the last items that they want (XEP-0060, 9.1.2).
    pub(crate) async fn introduce(&'static self, account: BareJid, to: BareJid) {
        for seat in self.outlet.table().seats(&to) {
            let nodes = seat.show().interests().map(|interests| interests.nodes.clone());
            if let Some(nodes) = nodes.filter(|nodes| !nodes.is_empty() && seat.priority().is_some()) {
                self.send_last_items_of(&seat, vec![account.clone()], &nodes).await;
            }
        }
    }

    async fn send_last_items_of(&'static self, seat: &Seat, accounts: Vec<BareJid>, nodes: &[Box<str>]) {
        let nodes: Vec<String> = nodes.iter().map(|node| node.to_string()).collect();
        let mut room = LAST_BYTES_MAX;
        for some in accounts.chunks(ACCOUNTS_AT_ONCE) {
            let found = match self.store.load_pep_last(some.to_vec(), nodes.clone(), room).await {
                Ok(found) => found,
                // The next publication brings it.
                Err(error) => {
                    log::debug!(target: "im:pep", "{} gets no last items: {error}", seat.jid());
                    return;
                }
            };
            room = room.saturating_sub(found.iter().map(|last| last.item.payload.len()).sum());
            for last in &found {
                if let Err(error) = self.send_last_item(seat, last).await {
                    log::debug!(target: "im:pep", "{} gets no last item: {error:?}", seat.jid());
                }
            }
        }
    }

    async fn send_last_item(&'static self, seat: &Seat, last: &PepLast) -> Result<(), StanzaError> {
        let PepLast { account, node, item } = last;
        let config = NodeConfig::read(node)?;
        let asker = seat.jid().to_bare();
        if config.send_last != SendLast::OnSubAndPresence || !config.deliver_notifications {
            return Ok(());
        }
        let relation = self.relation(account, &asker).await?;
        let is_contact = relation.own || relation.sees;
        if is_contact && may_read(&config, node, &relation, &asker).is_ok() {
            let message = last_message(account, node, &config, item)?;
            if seat.priority().is_some() && is_interested(seat, &node.name) {
                self.give_event(seat, &message);
            }
        }
        Ok(())
    }
}

/// What is in the one and not in the other.
fn beyond(nodes: &[Box<str>], before: &[Box<str>]) -> Vec<Box<str>> {
    nodes.iter().filter(|node| !before.contains(node)).cloned().collect()
}

/// The nodes that an answer says are wanted: so many as one session may want.
fn wanted(query: &Element) -> Nodes {
    let features = query.children().filter(|child| child.is("feature", ns::DISCO_INFO));
    let names = features.filter_map(|feature| feature.attribute("var")?.strip_suffix("+notify"));
    let mut bytes = 0;
    let bounded = names.filter(|name| !name.is_empty()).take_while(|name| {
        bytes += name.len();
        bytes <= NODES_BYTES_MAX
    });
    let names: BTreeSet<&str> = bounded.take(NODES_MAX).collect();
    names.into_iter().map(Box::from).collect()
}

/// Whether nobody can have made another answer of the same hash by moving the marks between its pieces, or by saying
/// something twice (XEP-0115, 5.4 and 7.1).
fn is_unambiguous(query: &Element) -> bool {
    let mut seen = BTreeSet::new();
    let is_plain = |text: &str| !text.contains('<');
    query.children().all(|child| {
        let pieces: Vec<String> = match (child.name(), child.namespace()) {
            ("identity", ns::DISCO_INFO) => ["category", "type", "name"]
                .iter()
                .map(|name| child.attribute(name).unwrap_or_default().to_owned())
                .chain([child.lang().unwrap_or_default().to_owned()])
                .collect(),
            ("feature", ns::DISCO_INFO) => vec![child.attribute("var").unwrap_or_default().to_owned()],
            ("x", ns::DATA_FORMS) => return form_pieces(child, &mut seen),
            _ => return true,
        };
        pieces.iter().all(|piece| is_plain(piece)) && seen.insert((child.name().to_owned(), pieces))
    })
}

/// The same for a form: its type is there once in all the answer.
fn form_pieces(form: &Element, seen: &mut BTreeSet<(String, Vec<String>)>) -> bool {
    let fields = form.children().filter(|child| child.is("field", ns::DATA_FORMS));
    fields.into_iter().all(|field| {
        let values: Vec<String> = field.children().map(Element::text).collect();
        let var = field.attribute("var").unwrap_or_default();
        let is_new = var != "FORM_TYPE" || seen.insert(("FORM_TYPE".to_owned(), values.clone()));
        is_new && !var.contains('<') && values.iter().all(|value| !value.contains('<'))
    })
}
