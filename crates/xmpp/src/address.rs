//! Addresses: the jid crate's types, and a domain normalised once (no trailing dot, U-labels).

pub use jid::{BareJid, FullJid, Jid};

/// Why a text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address")]
pub struct BadAddress;

/// Parses an address from the network: `to`, `from`, `jid`. The domain comes out normalised.
pub fn parse(_text: &str) -> Result<Jid, BadAddress> {
    todo!()
}

/// Normalises a domain: case, trailing dot, A-labels to U-labels; an IP literal stays. The result parses as a domain.
pub fn normalise_domain(_text: &str) -> Result<String, BadAddress> {
    todo!()
}

/// Makes the account address of a user name as SASL gives it (not escaped, to be prepared) on a normalised domain.
pub fn account(_localpart: &str, _domain: &str) -> Result<BareJid, BadAddress> {
    todo!()
}

/// Prepares a resource.
pub fn full(_account: &BareJid, _resource: &str) -> Result<FullJid, BadAddress> {
    todo!()
}
