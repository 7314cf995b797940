//! What a client is spared that nobody uses (XEP-0352): presence is folded to the latest of each sender, chat states are
//! left out, and whatever can wait does, in order, until the client is used again or something comes that cannot.
//!
//! Pure. Bounded: where much waits, all of it goes out.

use std::sync::Arc;

use rjabberd_session_manager::Parcel;
use rjabberd_xmpp::{MessageType, PresenceType, Stanza, StanzaKind, ns};

/// Stanzas that wait, and their bytes.
const STANZAS_MAX: usize = 200;
const BYTES_MAX: usize = 64 * 1024;

/// What waits for the client to be used.
#[derive(Default)]
pub(crate) struct Reticence {
    /// In the order in which they came.
    held: Vec<Arc<Parcel>>,
    bytes: usize,
}

/// What becomes of a stanza.
pub(crate) enum Reticent {
    /// It waits, or it is nothing to somebody who is away.
    Held,
    /// It goes out now, behind what has waited.
    Now(Vec<Arc<Parcel>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    /// It says something about now only.
    Nothing,
    /// Availability: the latest counts.
    Presence,
    /// It can wait.
    Light,
    /// Somebody would like to know at once.
    Urgent,
}

impl Reticence {
    pub(crate) fn take(&mut self, parcel: Arc<Parcel>) -> Reticent {
        match weight(parcel.stanza()) {
            Weight::Nothing => parcel.arrived(),
            Weight::Urgent => return self.now(parcel),
            Weight::Presence => {
                let from = parcel.stanza().from.clone();
                if let Some(index) = self
                    .held
                    .iter()
                    .position(|held| weight(held.stanza()) == Weight::Presence && held.stanza().from == from)
                {
                    let older = self.held.remove(index);
                    self.bytes -= older.bytes();
                    older.arrived();
                }
                self.hold(parcel);
            }
            Weight::Light => self.hold(parcel),
        }
        if self.held.len() > STANZAS_MAX || self.bytes > BYTES_MAX {
            return Reticent::Now(self.empty());
        }
        Reticent::Held
    }

    fn hold(&mut self, parcel: Arc<Parcel>) {
        self.bytes += parcel.bytes();
        self.held.push(parcel);
    }

    fn now(&mut self, parcel: Arc<Parcel>) -> Reticent {
        let mut parcels = self.empty();
        parcels.push(parcel);
        Reticent::Now(parcels)
    }

    fn empty(&mut self) -> Vec<Arc<Parcel>> {
        self.bytes = 0;
        std::mem::take(&mut self.held)
    }

    /// All that waits, in order.
    pub(crate) fn into_parcels(self) -> Vec<Arc<Parcel>> {
        self.held
    }
}

/// Whether it says something about now only.
pub(crate) fn is_momentary(stanza: &Stanza) -> bool {
    weight(stanza) == Weight::Nothing
}

fn weight(stanza: &Stanza) -> Weight {
    match stanza.kind {
        StanzaKind::Presence(PresenceType::Available | PresenceType::Unavailable) => Weight::Presence,
        StanzaKind::Presence(_) | StanzaKind::Iq(_) | StanzaKind::Message(MessageType::Error) => {
            Weight::Urgent
        }
        StanzaKind::Message(_) => message(stanza),
    }
}

fn message(message: &Stanza) -> Weight {
    let children = message.children();
    let is_state = |namespace: &str| namespace == ns::CHAT_STATES;
    let beside = |child: &rjabberd_xml::Child| {
        child.is("thread", ns::CLIENT) || child.namespace() == ns::HINTS || child.namespace() == ns::DELAY
    };
    // Also calls (XEP-0353, XEP-0482).
    let says = children.iter().any(|child| {
        child.is("body", ns::CLIENT)
            || matches!(child.name(), "encrypted" | "openpgp")
            || child.namespace().starts_with("urn:xmpp:jingle-message:")
            || child.namespace().starts_with("urn:xmpp:call-invites:")
    });
    if says || children.iter().any(|child| is_carbon(child.namespace())) {
        return Weight::Urgent;
    }
    let only_states = children.iter().all(|child| is_state(child.namespace()) || beside(child));
    if only_states && children.iter().any(|child| is_state(child.namespace())) {
        return Weight::Nothing;
    }
    Weight::Light
}

/// A copy of a message (XEP-0280), or one from the archive (XEP-0313), which the client has asked for.
fn is_carbon(namespace: &str) -> bool {
    namespace == "urn:xmpp:carbons:2" || namespace == "urn:xmpp:mam:2"
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rjabberd_xml::{Context, read_element};

    use super::*;

    fn parcel(text: &str) -> Arc<Parcel> {
        let fragment = read_element(&Context::canonical(), Bytes::copy_from_slice(text.as_bytes())).unwrap();
        Parcel::passing(Stanza::from_fragment(fragment, None).unwrap().unwrap())
    }

    fn ids(parcels: &[Arc<Parcel>]) -> Vec<&str> {
        parcels.iter().map(|parcel| parcel.stanza().id.as_deref().unwrap_or_default()).collect()
    }

    fn held(texts: &[&str]) -> Reticence {
        let mut reticence = Reticence::default();
        for text in texts {
            assert!(matches!(reticence.take(parcel(text)), Reticent::Held), "{text}");
        }
        reticence
    }

    const CHAT_STATE: &str =
        "<message id='c' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>";
    const EVENT: &str =
        "<message id='e' type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'/></message>";

    #[test]
    fn presence_is_folded_to_the_latest_of_each_sender_and_chat_states_are_left_out() {
        let reticence = held(&[
            "<presence id='1' from='juliet@a/b'/>",
            "<presence id='2' from='nurse@a/b'/>",
            CHAT_STATE,
            EVENT,
            "<presence id='3' from='juliet@a/b' type='unavailable'/>",
        ]);
        assert_eq!(ids(&reticence.into_parcels()), ["2", "e", "3"]);
    }

    #[test]
    fn what_somebody_would_like_to_know_goes_out_behind_what_has_waited() {
        for urgent in [
            "<message id='u' type='chat'><body>O</body></message>",
            "<message id='u'><encrypted xmlns='eu.siacs.conversations.axolotl'/></message>",
            "<message id='u'><received xmlns='urn:xmpp:carbons:2'/></message>",
            "<message id='u'><propose xmlns='urn:xmpp:jingle-message:0' id='c'/></message>",
            "<message id='u' type='error'/>",
            "<iq id='u' type='result'/>",
            "<presence id='u' type='subscribe'/>",
        ] {
            let mut reticence = held(&["<presence id='1' from='juliet@a/b'/>", EVENT]);
            let Reticent::Now(parcels) = reticence.take(parcel(urgent)) else { panic!("{urgent}") };
            assert_eq!(ids(&parcels), ["1", "e", "u"]);
            assert!(reticence.into_parcels().is_empty());
        }
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut reticence = Reticence::default();
        let mut now = 0;
        for number in 0..1_000 {
            let text = format!("<presence from='juliet{number}@a/b'/>");
            if let Reticent::Now(parcels) = reticence.take(parcel(&text)) {
                now += parcels.len();
            }
            assert!(reticence.held.len() <= STANZAS_MAX);
        }
        assert!(now >= 800, "{now}");
        let long = "x".repeat(BYTES_MAX);
        let big = format!("<presence from='a@a/b'><status>{long}</status></presence>");
        assert!(matches!(reticence.take(parcel(&big)), Reticent::Now(_)));
    }
}
