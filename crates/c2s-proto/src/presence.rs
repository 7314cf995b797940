//! Presence as far as the session itself must know it (RFC 6121, 4): its priority, and who got directed presence.
//!
//! It broadcasts nothing and knows no roster; who is told of what is the router's business.

use rjabberd_xmpp::{Condition, Jid, PresenceType, Stanza, StanzaError};

use crate::{Action, Session, speech};

/// Takes a presence of the client, `from` already stamped.
pub(crate) fn presence(
    session: &mut Session,
    directed_max: usize,
    kind: PresenceType,
    stanza: Stanza,
    out: &mut Vec<Action>,
) {
    match (stanza.to.clone(), kind) {
        (None, PresenceType::Available) => available(session, stanza, out),
        (None, PresenceType::Unavailable) => unavailable(session, stanza, out),
        // RFC 6120, 8.3.1: an error is never answered, and this one is for nobody.
        (None, PresenceType::Error) => (),
        // RFC 6121, 3: subscriptions and probes are always with somebody.
        (None, _) => speech::stanza_error(&stanza, &StanzaError::new(Condition::BadRequest), out),
        (Some(to), PresenceType::Available) => direct(session, directed_max, to, stanza, out),
        (Some(to), PresenceType::Unavailable) => {
            session.directed.retain(|told| *told != to);
            out.push(Action::Route(stanza));
        }
        (Some(_), _) => out.push(Action::Route(stanza)),
    }
}

fn available(session: &mut Session, stanza: Stanza, out: &mut Vec<Action>) {
    match stanza.priority() {
        Ok(priority) => {
            session.priority = Some(priority);
            out.push(Action::SetPresence(Some(priority), stanza));
        }
        Err(error) => speech::stanza_error(&stanza, &error, out),
    }
}

/// The same presence goes to whoever got directed presence (RFC 6121, 4.6.3).
fn unavailable(session: &mut Session, stanza: Stanza, out: &mut Vec<Action>) {
    for addressee in std::mem::take(&mut session.directed) {
        let mut directed = stanza.clone();
        directed.to = Some(addressee);
        out.push(Action::Route(directed));
    }
    session.priority = None;
    out.push(Action::SetPresence(None, stanza));
}

/// Remembers who is owed unavailable. Nobody is forgotten for a newcomer: the newcomer is refused.
fn direct(session: &mut Session, directed_max: usize, to: Jid, stanza: Stanza, out: &mut Vec<Action>) {
    if session.jid != to && !session.directed.contains(&to) {
        if session.directed.len() >= directed_max {
            speech::stanza_error(&stanza, &StanzaError::new(Condition::ResourceConstraint), out);
            return;
        }
        session.directed.push(to);
    }
    out.push(Action::Route(stanza));
}
