//! Push registrations (XEP-0357): where the clients of an account want to be told of messages.

use std::fmt;

use rjabberd_xmpp::Jid;
use rjabberd_xmpp::address::BareJid;

use super::{Answer, absent};

/// One place that is told. What names it is the service together with the node.
#[derive(Clone, PartialEq, Eq)]
pub struct PushRegistration {
    /// The push service.
    pub service: Jid,
    /// The node there; empty where none was named.
    pub node: String,
    /// The form that goes along with each notification, as XML; empty where there is none. It may hold a secret.
    pub options: String,
}

/// Without what may be secret.
impl fmt::Debug for PushRegistration {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = if self.options.is_empty() { "none" } else { "some" };
        write!(out, "PushRegistration {{ {} node {:?} options {options} }}", self.service, self.node)
    }
}

/// The operations on push registrations.
pub trait PushStore {
    /// Adds a registration, or replaces its options; [`StoreError::NotFound`](crate::StoreError::NotFound) if there is no
    /// such account, [`StoreError::Full`](crate::StoreError::Full) where it would have more than `registrations_max`.
    fn enable_push(
        &self,
        account: &BareJid,
        registration: PushRegistration,
        registrations_max: usize,
    ) -> Answer<()> {
        let _ = (account, registration, registrations_max);
        absent()
    }

    /// Removes the registration with this node, or all of the service; says how many it were.
    fn disable_push(&self, account: &BareJid, service: &Jid, node: Option<&str>) -> Answer<usize> {
        let _ = (account, service, node);
        absent()
    }

    /// All registrations of an account, in the order of service and node.
    fn load_push(&self, account: &BareJid) -> Answer<Vec<PushRegistration>> {
        let _ = account;
        absent()
    }
}
