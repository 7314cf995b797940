//! Push notifications (XEP-0357): clients say which push service is to be told when something comes for their account, and
//! it is told.
//!
//! What is worth it is decided here ([`Im::push_hint`]); `sending` tells the services, now and then. A notification says
//! how many messages came, and nothing of what they say unless the config allows it. Registrations outlive transient
//! errors. Invariant: what a client gave along for its push service goes to that service and nowhere else.

mod queue;
mod sending;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::time::Duration;

use parking_lot::Mutex;
use rjabberd_storage::PushRegistration;
use rjabberd_xml::Element;
use rjabberd_xmpp::{BareJid, Condition, Jid, MessageType, Stanza, StanzaError, StanzaKind, address, ns};

use crate::Im;
use crate::services::{Feature, Question, Reply, Target, store_error, written};
use queue::Queue;

/// Accounts for which something has come and nobody was told yet.
const WAITING_MAX: usize = 10_000;
/// Accounts whose registrations are remembered.
const KNOWN_MAX: usize = 10_000;
/// Bytes of the form that a client gives along.
const OPTIONS_BYTES_MAX: usize = 4_096;
/// Bytes of a node's name.
const NODE_BYTES_MAX: usize = 1_023;
/// Bytes of a message's body in a notification.
const BODY_BYTES_MAX: usize = 1_024;

/// What is done for push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushLimits {
    /// Registrations of an account.
    pub registrations_max: usize,
    /// Whether notifications say who wrote last, and what.
    pub contents: bool,
    /// Final errors of a service, one after another, by which a registration ends.
    pub errors_max: usize,
    /// How long a message that was written to a session may be unacknowledged until the account is told of it.
    pub unacknowledged: Duration,
}

impl Default for PushLimits {
    fn default() -> PushLimits {
        PushLimits {
            registrations_max: 20,
            contents: false,
            errors_max: 16,
            unacknowledged: Duration::from_secs(30),
        }
    }
}

/// What has come for an account since it was last told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hint {
    /// Messages.
    messages: u64,
    /// Who wrote the last one, and its body; only if notifications may say so.
    sender: Option<Jid>,
    body: Option<String>,
}

impl Hint {
    /// What came later counts as last.
    fn add(&mut self, later: Hint) {
        *self = Hint { messages: self.messages + later.messages, ..later };
    }
}

/// All that is on its way to push services, and what was counted.
#[derive(Default)]
pub struct Push {
    waiting: Mutex<HashMap<BareJid, Hint>>,
    queue: Mutex<Queue>,
    known: Mutex<HashMap<BareJid, Arc<[PushRegistration]>>>,
    /// Changes of registrations, begun or done.
    changes: AtomicU64,
    counts: Counts,
}

/// What was counted.
#[derive(Default)]
struct Counts {
    hints: AtomicU64,
    coalesced: AtomicU64,
    sent: AtomicU64,
    accepted: AtomicU64,
    dropped: AtomicU64,
    unanswered: AtomicU64,
    removed: AtomicU64,
    errors: Mutex<HashMap<&'static str, u64>>,
}

/// What became of notifications.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushSnapshot {
    /// Messages of which an account was to be told.
    pub hints: u64,
    /// Notifications that one on its way took along.
    pub coalesced: u64,
    /// Notifications that were sent.
    pub sent: u64,
    /// Notifications that their service took.
    pub accepted: u64,
    /// Notifications that were not sent, because too many were on their way.
    pub dropped: u64,
    /// Notifications that were not answered in time.
    pub unanswered: u64,
    /// Registrations that ended by errors of their service.
    pub removed: u64,
    /// Errors, by condition.
    pub errors: Vec<(&'static str, u64)>,
    /// Accounts that are to be told.
    pub waiting: usize,
    /// Notifications that wait for their service.
    pub queued: usize,
}

impl Push {
    /// The counters now.
    pub fn snapshot(&self) -> PushSnapshot {
        let counts = &self.counts;
        let mut errors: Vec<_> = counts.errors.lock().iter().map(|(name, count)| (*name, *count)).collect();
        errors.sort_unstable();
        PushSnapshot {
            hints: counts.hints.load(Relaxed),
            coalesced: counts.coalesced.load(Relaxed),
            sent: counts.sent.load(Relaxed),
            accepted: counts.accepted.load(Relaxed),
            dropped: counts.dropped.load(Relaxed),
            unanswered: counts.unanswered.load(Relaxed),
            removed: counts.removed.load(Relaxed),
            errors,
            waiting: self.waiting.lock().len(),
            queued: self.queue.lock().len(),
        }
    }

    /// Somebody is to be told; dropped where too many are already.
    fn wait(&self, account: &BareJid, hint: Hint) {
        let mut waiting = self.waiting.lock();
        if let Some(there) = waiting.get_mut(account) {
            self.counts.coalesced.fetch_add(1, Relaxed);
            return there.add(hint);
        }
        if waiting.len() < WAITING_MAX {
            waiting.insert(account.clone(), hint);
        } else {
            self.counts.dropped.fetch_add(1, Relaxed);
        }
    }

    /// What is known of an account's registrations holds no more: they are being changed, or have been.
    fn change(&self, account: &BareJid) {
        self.changes.fetch_add(1, SeqCst);
        self.known.lock().remove(account);
    }

    /// Remembers what was read, unless something was changed since.
    fn remember(&self, account: &BareJid, registrations: &Arc<[PushRegistration]>, changes: u64) {
        let mut known = self.known.lock();
        if self.changes.load(SeqCst) != changes {
            return;
        }
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(account.clone(), registrations.clone());
    }

    /// The account is gone.
    pub(crate) fn forget(&self, account: &BareJid) {
        self.change(account);
        self.waiting.lock().remove(account);
        self.queue.lock().forget(account);
    }
}

impl Im {
    /// A message has come for an account whose clients may not know of it: it waits, its session is not connected, or
    /// has not acknowledged it for [`Im::push_after`]. Tells its push services if the message is worth it.
    pub fn push_hint(&self, account: &BareJid, message: &Stanza) {
        if let Some(hint) = self.hint(account, message) {
            self.push_hinted(account, hint);
        }
    }

    /// How long a message may be unacknowledged until [`Im::push_hint`] is to be called.
    pub fn push_after(&self) -> Duration {
        self.limits.push.unacknowledged
    }

    /// What is to be told of a message; nothing of one that nobody wants to be woken for.
    pub(crate) fn hint(&self, account: &BareJid, message: &Stanza) -> Option<Hint> {
        if !is_worth_it(message, account) || self.outlet.table().is_guest(account) {
            return None;
        }
        let mut hint = Hint { messages: 1, ..Hint::default() };
        if self.limits.push.contents {
            hint.sender.clone_from(&message.from);
            let body = message.child("body", ns::CLIENT).and_then(|body| message.child_element(body).ok());
            hint.body = body.map(|body| shortened(body.text()));
        }
        Some(hint)
    }

    pub(crate) fn push_hinted(&self, account: &BareJid, hint: Hint) {
        self.push.counts.hints.fetch_add(1, Relaxed);
        self.push.wait(account, hint);
    }
}

/// What somebody wrote, and calls; not what came from oneself, from other clients by carbons, or as an error.
fn is_worth_it(message: &Stanza, account: &BareJid) -> bool {
    let is_of_this_kind = matches!(
        message.kind,
        StanzaKind::Message(MessageType::Normal | MessageType::Chat | MessageType::Groupchat)
    );
    let is_own = message.from.as_ref().is_some_and(|from| from.to_bare() == *account);
    let says_something = |name: &str, namespace: &str| match name {
        "body" => namespace == ns::CLIENT,
        // XEP-0384 of each age, XEP-0373, XEP-0420.
        "encrypted" => true,
        "openpgp" => namespace == "urn:xmpp:openpgp:0",
        "encryption" => namespace == "urn:xmpp:eme:0",
        "propose" => namespace == ns::JINGLE_MESSAGE,
        _ => false,
    };
    let mut children = message.children().iter();
    is_of_this_kind
        && !is_own
        && !message
            .children()
            .iter()
            .any(|child| child.namespace() == ns::CARBONS && child.name() != "private")
        && children.any(|child| says_something(child.name(), child.namespace()))
}

fn shortened(mut body: String) -> String {
    body.truncate(body.floor_char_boundary(BODY_BYTES_MAX));
    body
}

/// Enabling and disabling (XEP-0357, 5 and 6).
pub(crate) struct Enabling {
    im: &'static Im,
}

impl Enabling {
    pub(crate) fn new(im: &'static Im) -> Enabling {
        Enabling { im }
    }

    fn enable(&self, account: BareJid, enable: &Element) -> Result<Reply, StanzaError> {
        let registration = registration(enable)?;
        let im = self.im;
        im.push.change(&account);
        let max = im.limits.push.registrations_max;
        let enabled = im.store.enable_push(&account, registration.clone(), max);
        Ok(Reply::later(async move {
            let enabled = enabled.await;
            im.push.change(&account);
            if enabled.is_ok() {
                im.push.queue.lock().forgive(&account, &registration.service, &registration.node);
            }
            enabled.map(|()| None).map_err(store_error)
        }))
    }

    fn disable(&self, account: BareJid, disable: &Element) -> Result<Reply, StanzaError> {
        let (service, node) = (service(disable)?, disable.attribute("node").map(str::to_owned));
        let im = self.im;
        im.push.change(&account);
        let disabled = im.store.disable_push(&account, &service, node.as_deref());
        Ok(Reply::later(async move {
            let disabled = disabled.await;
            im.push.change(&account);
            // XEP-0357, 6: what is not enabled is told nothing, also not what waits to be told.
            im.push.queue.lock().cancel(&account, &service, node.as_deref());
            // Whether there was one is not said: it is disabled either way.
            disabled.map(|_| None).map_err(store_error)
        }))
    }
}

impl Feature for Enabling {
    fn namespace(&self) -> &'static str {
        ns::PUSH
    }

    fn serves(&self, target: Target) -> bool {
        target == Target::OwnAccount
    }

    fn answer(&self, question: &Question<'_>) -> Reply {
        let account = match question.account() {
            Ok(account) if question.set => account,
            Ok(_) => return Reply::error(Condition::FeatureNotImplemented),
            Err(error) => return error.into(),
        };
        let done = match question.payload.name() {
            "enable" => self.enable(account, question.payload),
            "disable" => self.disable(account, question.payload),
            _ => return Reply::error(Condition::FeatureNotImplemented),
        };
        done.unwrap_or_else(Reply::from)
    }
}

fn bad(text: &'static str) -> StanzaError {
    StanzaError::new(Condition::BadRequest).with_text(text)
}

fn service(element: &Element) -> Result<Jid, StanzaError> {
    let jid = element.attribute("jid").ok_or_else(|| bad("which push service?"))?;
    address::parse(jid).map_err(|_| StanzaError::new(Condition::JidMalformed))
}

fn registration(enable: &Element) -> Result<PushRegistration, StanzaError> {
    let service = service(enable)?;
    let node = enable.attribute("node").unwrap_or_default().to_owned();
    if node.len() > NODE_BYTES_MAX {
        return Err(bad("the node's name is too long"));
    }
    let options = match enable.child("x", ns::DATA_FORMS) {
        None => String::new(),
        Some(form) if form_type(form).as_deref() == Some(ns::PUBSUB_PUBLISH_OPTIONS) => written(form),
        Some(_) => return Err(bad("the form is not one of publish options")),
    };
    if options.len() > OPTIONS_BYTES_MAX {
        let refused = StanzaError::new(Condition::PolicyViolation);
        return Err(refused.with_text("the publish options are too long"));
    }
    Ok(PushRegistration { service, node, options })
}

fn form_type(form: &Element) -> Option<String> {
    let field = form.children().find(|field| field.attribute("var") == Some("FORM_TYPE"))?;
    Some(field.child("value", ns::DATA_FORMS)?.text())
}

#[cfg(test)]
mod tests;
