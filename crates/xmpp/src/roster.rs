//! Rosters and presence subscriptions (RFC 6121, 2, 3 and appendix A): the items, and what each subscription stanza does
//! to the state between two accounts.
//!
//! Pure: who is told of a change, and where it is kept, is decided elsewhere. Invariant: a state is one of the nine of
//! appendix A.1, and pre-approval (3.4) stands only where the contact neither is subscribed nor asks to be.
//!
//! Where the RFC leaves a choice: a request that was approved is granted in every state (3.4.2; A.3.1 only lets the server
//! do so in "None"), and uses the approval up. A request that is taken back is delivered as table 7 says (A.3.2), also
//! where the contact is not in the roster, of which 3.3.3 says that it is only forgotten.

use bytes::BytesMut;
use rjabberd_xml::writer::{write_attribute, write_text};

use crate::{BareJid, PresenceType, ns};

/// One direction of a subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Half {
    /// There is none.
    #[default]
    None,
    /// Asked for, not answered.
    Pending,
    /// Granted.
    Granted,
}

/// The state of a subscription from the user's side (RFC 6121, A.1): each half in three states makes the nine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SubscriptionState {
    /// The user's subscription to the contact's presence; pending is "Pending Out".
    pub to: Half,
    /// The contact's subscription to the user's presence; pending is "Pending In".
    pub from: Half,
    /// The user has approved a request that has not come yet (RFC 6121, 3.4).
    pub approved: bool,
}

/// The `subscription` attribute of a roster item (RFC 6121, 2.1.2.5), but `remove`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the RFC's names, one to one")]
pub enum Subscription {
    None,
    To,
    From,
    Both,
}

impl Subscription {
    /// As the attribute has it.
    pub fn name(self) -> &'static str {
        match self {
            Subscription::None => "none",
            Subscription::To => "to",
            Subscription::From => "from",
            Subscription::Both => "both",
        }
    }
}

/// A presence stanza that concerns a subscription (RFC 6121, 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the RFC's names, one to one")]
pub enum Act {
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
}

impl Act {
    /// `None` for presence that concerns no subscription.
    pub fn of(kind: PresenceType) -> Option<Act> {
        match kind {
            PresenceType::Subscribe => Some(Act::Subscribe),
            PresenceType::Subscribed => Some(Act::Subscribed),
            PresenceType::Unsubscribe => Some(Act::Unsubscribe),
            PresenceType::Unsubscribed => Some(Act::Unsubscribed),
            PresenceType::Available
            | PresenceType::Unavailable
            | PresenceType::Probe
            | PresenceType::Error => None,
        }
    }

    /// The type of the presence stanza.
    pub fn presence_type(self) -> PresenceType {
        match self {
            Act::Subscribe => PresenceType::Subscribe,
            Act::Subscribed => PresenceType::Subscribed,
            Act::Unsubscribe => PresenceType::Unsubscribe,
            Act::Unsubscribed => PresenceType::Unsubscribed,
        }
    }
}

/// What a stanza of the user's own does (RFC 6121, A.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outbound {
    /// The state after it.
    pub state: SubscriptionState,
    /// Whether it goes to the contact.
    pub route: bool,
}

/// What a stanza of the contact's does (RFC 6121, A.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// The state after it.
    pub state: SubscriptionState,
    /// Whether the user's clients get it.
    pub deliver: bool,
    /// What the server answers on the user's behalf.
    pub reply: Option<Act>,
}

impl SubscriptionState {
    /// The `subscription` attribute.
    pub fn subscription(self) -> Subscription {
        match (self.to == Half::Granted, self.from == Half::Granted) {
            (false, false) => Subscription::None,
            (true, false) => Subscription::To,
            (false, true) => Subscription::From,
            (true, true) => Subscription::Both,
        }
    }

    /// The `ask` attribute (RFC 6121, 2.1.2.2).
    pub fn asks(self) -> bool {
        self.to == Half::Pending
    }

    /// Whether nothing is there and nothing is asked for or approved.
    pub fn is_nothing(self) -> bool {
        self == SubscriptionState::default()
    }

    /// The user sends a subscription stanza to the contact (RFC 6121, A.2 and 3.4.2).
    pub fn outbound(self, act: Act) -> Outbound {
        let mut state = self;
        let route = match act {
            Act::Subscribe => {
                if self.to == Half::None {
                    state.to = Half::Pending;
                }
                true
            }
            Act::Unsubscribe => {
                state.to = Half::None;
                true
            }
            Act::Subscribed => match self.from {
                Half::Pending => {
                    (state.from, state.approved) = (Half::Granted, false);
                    true
                }
                Half::None => {
                    state.approved = true;
                    false
                }
                Half::Granted => false,
            },
            Act::Unsubscribed => {
                (state.from, state.approved) = (Half::None, false);
                self.from != Half::None
            }
        };
        Outbound { state, route }
    }

    /// The contact's subscription stanza reaches the user's server (RFC 6121, A.3).
    pub fn inbound(self, act: Act) -> Inbound {
        let mut state = self;
        let (deliver, reply) = match act {
            Act::Subscribe => match self.from {
                Half::Granted => (false, Some(Act::Subscribed)),
                Half::Pending => (false, None),
                // A.3.1 [1]: the approval is used up.
                Half::None if self.approved => {
                    (state.from, state.approved) = (Half::Granted, false);
                    (false, Some(Act::Subscribed))
                }
                Half::None => {
                    state.from = Half::Pending;
                    (true, None)
                }
            },
            Act::Unsubscribe => {
                state.from = Half::None;
                let changes = self.from != Half::None;
                (changes, changes.then_some(Act::Unsubscribed))
            }
            Act::Subscribed => {
                let changes = self.to == Half::Pending;
                if changes {
                    state.to = Half::Granted;
                }
                (changes, None)
            }
            Act::Unsubscribed => {
                state.to = Half::None;
                (self.to != Half::None, None)
            }
        };
        Inbound { state, deliver, reply }
    }
}

/// An item of a roster (RFC 6121, 2.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterItem {
    /// The contact.
    pub jid: BareJid,
    /// The user's name for the contact.
    pub name: Option<String>,
    /// The user's groups, each once.
    pub groups: Vec<String>,
    /// The subscription.
    pub state: SubscriptionState,
    /// Whether the user's roster shows it: not so a mere request of the contact's (RFC 6121, A.1, state 3).
    pub listed: bool,
}

impl RosterItem {
    /// A contact of whom nothing is known yet.
    pub fn new(jid: BareJid) -> RosterItem {
        let (name, groups, state) = (None, Vec::new(), SubscriptionState::default());
        RosterItem { jid, name, groups, state, listed: false }
    }

    /// Writes the `<item/>` into a `<query xmlns='jabber:iq:roster'>`.
    pub fn write(&self, out: &mut BytesMut) {
        out.extend_from_slice(b"<item");
        write_attribute("jid", self.jid.as_str(), out);
        if let Some(name) = &self.name {
            write_attribute("name", name, out);
        }
        write_attribute("subscription", self.state.subscription().name(), out);
        if self.state.asks() {
            out.extend_from_slice(b" ask='subscribe'");
        }
        if self.state.approved {
            out.extend_from_slice(b" approved='true'");
        }
        if self.groups.is_empty() {
            out.extend_from_slice(b"/>");
            return;
        }
        out.extend_from_slice(b">");
        for group in &self.groups {
            out.extend_from_slice(b"<group>");
            write_text(group, out);
            out.extend_from_slice(b"</group>");
        }
        out.extend_from_slice(b"</item>");
    }

    /// The `<item/>` of a roster push.
    pub fn to_element(&self) -> rjabberd_xml::Element {
        self.to_element_with(self.state.subscription().name())
    }

    /// The same, with this in the `subscription` attribute: `remove`, where the item is gone.
    pub fn to_element_with(&self, subscription: &str) -> rjabberd_xml::Element {
        let mut item =
            rjabberd_xml::Element::new("item", ns::ROSTER).with_attribute("jid", self.jid.as_str());
        if let Some(name) = &self.name {
            item = item.with_attribute("name", name.as_str());
        }
        item = item.with_attribute("subscription", subscription);
        if self.state.asks() {
            item = item.with_attribute("ask", "subscribe");
        }
        if self.state.approved {
            item = item.with_attribute("approved", "true");
        }
        let group =
            |group: &String| rjabberd_xml::Element::new("group", ns::ROSTER).with_text(group.as_str());
        self.groups.iter().map(group).fold(item, rjabberd_xml::Element::with_child)
    }
}

/// Who may see whose presence, of one account: what its sessions keep of the roster, sorted by address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contacts(Vec<(BareJid, SubscriptionState)>);

impl Contacts {
    /// Of these items; those without subscription are left out.
    pub fn new<'a>(items: impl IntoIterator<Item = &'a RosterItem>) -> Contacts {
        let items = items.into_iter().filter(|item| is_kept(item.state));
        let mut contacts: Vec<_> = items.map(|item| (item.jid.clone(), item.state)).collect();
        contacts.sort_unstable_by(|one, other| one.0.as_str().cmp(other.0.as_str()));
        Contacts(contacts)
    }

    fn find(&self, contact: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(jid, _)| jid.as_str().cmp(contact))
    }

    /// Whether that account may see this one's presence.
    pub fn sees(&self, contact: &BareJid) -> bool {
        self.find(contact.as_str()).is_ok_and(|at| self.0[at].1.from == Half::Granted)
    }

    /// Who may see this account's presence.
    pub fn watchers(&self) -> impl Iterator<Item = &BareJid> {
        self.0.iter().filter(|(_, state)| state.from == Half::Granted).map(|(jid, _)| jid)
    }

    /// Whose presence this account may see.
    pub fn watched(&self) -> impl Iterator<Item = &BareJid> {
        self.0.iter().filter(|(_, state)| state.to == Half::Granted).map(|(jid, _)| jid)
    }

    /// With this contact in this state.
    #[must_use]
    pub fn with(&self, contact: &BareJid, state: SubscriptionState) -> Contacts {
        let mut contacts = self.0.clone();
        match (self.find(contact.as_str()), is_kept(state)) {
            (Ok(at), true) => contacts[at].1 = state,
            (Ok(at), false) => drop(contacts.remove(at)),
            (Err(at), true) => contacts.insert(at, (contact.clone(), state)),
            (Err(_), false) => {}
        }
        Contacts(contacts)
    }
}

/// What an account's sessions must know of it to show their presence: who may see it, and what is shown with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Circle {
    /// Who may see whose presence.
    pub contacts: Contacts,
    /// SHA-1 of the photo in the vCard (XEP-0153).
    pub avatar: Option<[u8; 20]>,
}

fn is_kept(state: SubscriptionState) -> bool {
    state.to == Half::Granted || state.from == Half::Granted
}

#[cfg(test)]
mod tests;
