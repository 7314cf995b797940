//! Tells push services, in rounds: whoever calls [`Im::send_pushes`] every second lets each account have at most one
//! notification a second for each of its registrations.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use rjabberd_storage::{PushRegistration, StoreError};
use rjabberd_xml::Element;
use rjabberd_xmpp::{BareJid, Condition, ErrorType, IqType, Jid, Stanza, StanzaError, StanzaKind, ns};

use super::Hint;
use super::queue::{Key, Letter, Outcome, Queued};
use crate::Im;
use crate::services::read_stored;

impl Im {
    /// Gives up what was not answered in time, and tells the services of what has come. To be called every second.
    pub async fn send_pushes(&'static self) {
        self.questions.expire((self.clock)());
        let waiting = std::mem::take(&mut *self.push.waiting.lock());
        self.queue_pushes(waiting).await;
        let pulled = self.push.queue.lock().pull((self.clock)());
        for (name, letter) in pulled {
            self.send_push(name, letter);
        }
    }

    async fn queue_pushes(&self, waiting: HashMap<BareJid, Hint>) {
        let mut waiting = waiting.into_iter();
        while let Some((account, hint)) = waiting.next() {
            match self.registrations(&account).await {
                Ok(registrations) if registrations.is_empty() => {}
                Ok(registrations) => self.queue_push(&account, &registrations, &hint).await,
                Err(error) => {
                    log::warn!(target: "im:push", "push services are told later: {error}");
                    // All of them: the next would wait as long.
                    self.push.wait(&account, hint);
                    return waiting.for_each(|(account, hint)| self.push.wait(&account, hint));
                }
            }
        }
    }

    async fn registrations(&self, account: &BareJid) -> Result<Arc<[PushRegistration]>, StoreError> {
        if let Some(known) = self.push.known.lock().get(account) {
            return Ok(known.clone());
        }
        let changes = self.push.changes.load(SeqCst);
        let registrations: Arc<[PushRegistration]> = self.store.load_push(account).await?.into();
        self.push.remember(account, &registrations, changes);
        Ok(registrations)
    }

    async fn queue_push(&self, account: &BareJid, registrations: &[PushRegistration], hint: &Hint) {
        // What cannot be said is left out: it is in memory, mostly.
        let profile = self.store.load_profile(account).await.ok().flatten();
        let requests = profile.map_or(0, |profile| profile.requests.len());
        let mut queue = self.push.queue.lock();
        for registration in registrations {
            let name = self.service_name(&registration.service);
            let letter = Letter::new(account, registration, hint.clone(), requests);
            match queue.push(&name, letter) {
                Queued::Waits => {}
                Queued::Coalesced => drop(self.push.counts.coalesced.fetch_add(1, Relaxed)),
                Queued::Dropped => drop(self.push.counts.dropped.fetch_add(1, Relaxed)),
            }
        }
    }

    /// Outside, whoever answers for a domain answers for all of it; here, each for himself.
    fn service_name(&self, service: &Jid) -> String {
        let domain = service.domain().as_str();
        if self.hosts.contains(domain) { service.to_string() } else { domain.to_owned() }
    }

    fn send_push(&'static self, name: String, letter: Letter) {
        let (key, service) = (letter.key.clone(), letter.key.service.clone());
        let asked = {
            let (name, key) = (name.clone(), key.clone());
            let then = move |answer: Option<&Stanza>| self.push_answered(&name, &key, answer);
            self.questions.ask(&service, (self.clock)(), then)
        };
        let Some(id) = asked else {
            self.push.counts.dropped.fetch_add(1, Relaxed);
            return self.settle_push(&name, &key, Outcome::Transient);
        };
        self.push.counts.sent.fetch_add(1, Relaxed);
        let request = publish(&letter, &id);
        if let Some(condition) = self.hand_over(&service, request.clone()) {
            // As an answer, so that nothing of the question is left.
            let error = StanzaError::new(condition);
            if let Some(error) = request.error(&error) {
                self.questions.answered(&error);
            }
        }
    }

    /// There are no other servers and no components yet: a push service is somebody here who is connected.
    fn hand_over(&self, service: &Jid, request: Stanza) -> Option<Condition> {
        if !self.hosts.contains(service.domain().as_str()) {
            return Some(Condition::RemoteServerNotFound);
        }
        let Ok(session) = service.try_as_full() else { return Some(Condition::ServiceUnavailable) };
        (!self.outlet.give(session, request)).then_some(Condition::RecipientUnavailable)
    }

    fn push_answered(&self, name: &str, key: &Key, answer: Option<&Stanza>) {
        let counts = &self.push.counts;
        let outcome = match answer {
            None => {
                counts.unanswered.fetch_add(1, Relaxed);
                Outcome::Unreached
            }
            Some(answer) if answer.kind == StanzaKind::Iq(IqType::Error) => {
                let error = error(answer);
                *counts.errors.lock().entry(error.condition.name()).or_default() += 1;
                outcome(&error)
            }
            Some(_) => {
                counts.accepted.fetch_add(1, Relaxed);
                Outcome::Accepted
            }
        };
        self.settle_push(name, key, outcome);
    }

    fn settle_push(&self, name: &str, key: &Key, outcome: Outcome) {
        let errors_max = self.limits.push.errors_max;
        let ends = self.push.queue.lock().settle(name, key, outcome, (self.clock)(), errors_max);
        if ends {
            log::info!(
                target: "im:push",
                "{} is told no more by {}: it has refused {errors_max} notifications in a row",
                key.account, key.service
            );
            self.push.counts.removed.fetch_add(1, Relaxed);
            // On its way already. Nobody reads what is known before it is done, except that one too many is sent.
            drop(self.store.disable_push(&key.account, &key.service, Some(&key.node)));
            self.push.change(&key.account);
        }
    }
}

fn error(answer: &Stanza) -> StanzaError {
    let element = answer.child("error", ns::CLIENT).and_then(|error| answer.child_element(error).ok());
    element.map_or_else(
        || StanzaError::new(Condition::UndefinedCondition),
        |element| StanzaError::from_element(&element),
    )
}

/// XEP-0357, 7.1 leaves it to the server which errors are transient. Final is what says that the node, or the right to
/// publish there, is not there; what says that something cannot be reached, or to wait, never ends a registration.
fn outcome(error: &StanzaError) -> Outcome {
    match (error.error_type, error.condition) {
        (_, Condition::RemoteServerNotFound | Condition::RemoteServerTimeout) => Outcome::Unreached,
        (ErrorType::Wait | ErrorType::Continue, _) => Outcome::Transient,
        (
            _,
            Condition::ItemNotFound
            | Condition::Gone
            | Condition::Forbidden
            | Condition::NotAllowed
            | Condition::NotAuthorized
            | Condition::RegistrationRequired
            | Condition::SubscriptionRequired
            | Condition::JidMalformed
            | Condition::FeatureNotImplemented,
        ) => Outcome::Final,
        _ => Outcome::Transient,
    }
}

/// XEP-0357, 7: published by the account's server.
fn publish(letter: &Letter, id: &str) -> Stanza {
    let notification = Element::new("notification", ns::PUSH).with_child(summary(letter));
    let item = Element::new("item", ns::PUBSUB).with_child(notification);
    let mut publish = Element::new("publish", ns::PUBSUB).with_child(item);
    if !letter.key.node.is_empty() {
        publish = publish.with_attribute("node", letter.key.node.as_str());
    }
    let mut pubsub = Element::new("pubsub", ns::PUBSUB).with_child(publish);
    if !letter.options.is_empty()
        && let Ok(form) = read_stored(letter.options.clone())
    {
        pubsub = pubsub.with_child(Element::new("publish-options", ns::PUBSUB).with_child(form));
    }
    let mut request = Stanza::new(StanzaKind::Iq(IqType::Set), &[pubsub]);
    request.id = Some(id.to_owned());
    request.from = Jid::new(letter.key.account.domain().as_str()).ok();
    request.to = Some(letter.key.service.clone());
    request
}

fn summary(letter: &Letter) -> Element {
    let field = |var: &str, value: String| {
        let value = Element::new("value", ns::DATA_FORMS).with_text(value);
        Element::new("field", ns::DATA_FORMS).with_attribute("var", var).with_child(value)
    };
    let hint = &letter.hint;
    let form_type = field("FORM_TYPE", ns::PUSH_SUMMARY.to_owned()).with_attribute("type", "hidden");
    let mut form = Element::new("x", ns::DATA_FORMS)
        .with_attribute("type", "submit")
        .with_child(form_type)
        .with_child(field("message-count", hint.messages.to_string()));
    if letter.requests > 0 {
        form = form.with_child(field("pending-subscription-count", letter.requests.to_string()));
    }
    if let Some(sender) = &hint.sender {
        form = form.with_child(field("last-message-sender", sender.to_string()));
    }
    if let Some(body) = &hint.body {
        form = form.with_child(field("last-message-body", body.clone()));
    }
    form
}
