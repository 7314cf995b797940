//! SCRAM upgrade tasks (XEP-0480, 3): a client that has just proved that it knows the password brings the keys of it that
//! the store lacks, or has with too few iterations.
//!
//! The password never comes here, only what SCRAM derives of it. A task that nobody needs is passed over.

use rjabberd_xml::{Element, Fragment};
use rjabberd_xmpp::{
    StreamCondition, ns,
    sasl::{self, Credentials, SaslFailure, ScramHash, ScramKeys},
};

use zeroize::Zeroizing;

use crate::{
    Action, KeyOrder, State,
    authenticating::Said,
    closing::{Leaving, Voice},
    features,
    finishing::{Finishing, Login},
    sasl2, speech,
};

/// Bytes of the salts that we make.
const SALT_BYTES: usize = sasl::keys::SALT_BYTES;

/// The hash of the next task of a login, if there is one; it is then off the list.
pub(crate) fn next(login: &mut Login) -> Option<ScramHash> {
    let plan = login.below.negotiation.host(&login.below.opened.host).fakes.plan();
    let (Some(stored), Some(_)) = (&login.stored, &login.witness) else { return None };
    while !login.request.upgrades.is_empty() {
        let hash = login.request.upgrades.remove(0);
        if plan.wants(hash, stored) {
            return Some(hash);
        }
    }
    None
}

/// Says `<continue/>` with one task.
pub(crate) fn ask(mut login: Login, hash: ScramHash, out: &mut Vec<Action>) -> State {
    let mut element = Element::new("continue", ns::SASL2);
    if let Some(data) = login.data.take() {
        element.push(Element::new("additional-data", ns::SASL2).with_text(sasl::encode(&data)));
    }
    let task = Element::new("task", ns::SASL2).with_text(features::upgrade_task(hash));
    speech::element(&element.with_child(Element::new("tasks", ns::SASL2).with_child(task)), out);
    State::AwaitingTask(Box::new(AwaitingTask { login, hash, salt: None }))
}

/// A task is set.
pub struct AwaitingTask {
    login: Login,
    hash: ScramHash,
    /// The salt, once the client has taken the task.
    salt: Option<Vec<u8>>,
}

impl AwaitingTask {
    pub(crate) fn element(mut self: Box<Self>, fragment: &Fragment, out: &mut Vec<Action>) -> State {
        match (fragment.name(), fragment.namespace(), self.salt.take()) {
            ("next", ns::SASL2, None)
                if fragment.attribute("task") == Some(&features::upgrade_task(self.hash)) =>
            {
                self.begin(out)
            }
            ("task-data", ns::SASL2, Some(salt)) => self.end(fragment, salt, out),
            ("next" | "task-data", ns::SASL2, _) => {
                self.login.fail(SaslFailure::MalformedRequest, Vec::new(), out)
            }
            ("abort", ns::SASL2, _) => self.login.fail(SaslFailure::Aborted, Vec::new(), out),
            // XEP-0388, 2.4.
            _ => Leaving::from(*self).refuse(StreamCondition::NotAuthorized, out),
        }
    }

    /// Sends a salt of its own.
    fn begin(mut self: Box<Self>, out: &mut Vec<Action>) -> State {
        let below = &self.login.below;
        let fakes = &below.negotiation.host(&below.opened.host).fakes;
        let labels =
            ["upgrade", &below.opened.id, self.hash.mechanism_name(), self.login.who.account.as_str()];
        let salt = fakes.derive(&labels)[..SALT_BYTES].to_vec();
        let element = Element::new("salt", ns::SCRAM_UPGRADE)
            .with_attribute("iterations", fakes.plan().iterations.to_string())
            .with_text(sasl::encode(&salt));
        speech::element(&Element::new("task-data", ns::SASL2).with_child(element), out);
        self.salt = Some(salt);
        State::AwaitingTask(self)
    }

    /// Takes the salted password.
    fn end(self: Box<Self>, fragment: &Fragment, salt: Vec<u8>, out: &mut Vec<Action>) -> State {
        let AwaitingTask { mut login, hash, .. } = *self;
        let iterations = login.below.negotiation.host(&login.below.opened.host).fakes.plan().iterations;
        let keys = salted_password(fragment)
            .and_then(|salted| ScramKeys::from_salted_password(hash, &salted, &salt, iterations).ok());
        let (Some(keys), Some(witness)) = (keys, login.witness.clone()) else {
            return login.fail(SaslFailure::MalformedRequest, Vec::new(), out);
        };
        if witness.hash == hash {
            login.witness = Some(keys.clone());
            login.witnesses.push(keys.clone());
        }
        let ask = login.below.negotiation.next_ask();
        let credentials = Credentials { keys: vec![keys], digest: None };
        let order = KeyOrder { account: login.who.account.clone(), witness, credentials };
        out.push(Action::StoreKeys(Some(ask), Box::new(order)));
        Finishing::storing_keys(login, ask)
    }
}

fn salted_password(task_data: &Fragment) -> Option<Said> {
    let element = task_data.to_element().ok()?;
    let text = Zeroizing::new(element.child("hash", ns::SCRAM_UPGRADE)?.text());
    sasl2::decode(&text).ok()
}

impl From<AwaitingTask> for Leaving {
    fn from(_: AwaitingTask) -> Leaving {
        Leaving { voice: Voice::Open, session: None }
    }
}
