//! Addresses: what is accepted is the parse of its own text, within the limits of RFC 7622, and written in one way only.

use rjabberd_xmpp::BareJid;
use rjabberd_xmpp::address::{Jid, account, full, normalise_domain, parse};

/// Longest part of an address in bytes (RFC 7622, 3.1).
const PART_BYTES_MAX: usize = 1023;

/// Reads a text as an address, as a domain, as the name of an account and as a resource.
pub fn jid(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(address) = parse(text) {
        check(&address);
        check_ways_of_writing(text, &address);
    }
    if let Ok(domain) = normalise_domain(text) {
        assert_eq!(normalise_domain(&domain).as_deref(), Ok(&*domain));
        let address = parse(&domain).expect("a domain is an address");
        assert!(address.node().is_none() && address.resource().is_none());
        assert_eq!(address.as_str(), domain);
        check(&address);
    }
    if let Ok(account) = account(text, "example.net") {
        check(&Jid::from(account.clone()));
        assert_eq!(account.domain().as_str(), "example.net");
        let again = rjabberd_xmpp::address::account(name(&account), "example.net");
        assert_eq!(again.as_ref(), Ok(&account), "a name is prepared to itself");
    }
    let romeo = account("romeo", "example.net").expect("an account");
    if let Ok(full) = full(&romeo, text) {
        check(&Jid::from(full.clone()));
        assert_eq!(full.to_bare(), romeo, "a resource stays a resource");
    }
}

fn name(account: &BareJid) -> &str {
    account.node().expect("an account has a name").as_str()
}

/// What was accepted is stable, short enough and free of what would end it.
fn check(address: &Jid) {
    let text = address.as_str();
    assert_eq!(parse(text).as_ref(), Ok(address), "{text:?}");
    let node = address.node().map(|node| node.as_str());
    let resource = address.resource().map(|resource| resource.as_str());
    let domain = address.domain().as_str();
    for part in [node, Some(domain), resource].into_iter().flatten() {
        assert!((1..=PART_BYTES_MAX).contains(&part.len()), "{text:?}");
        assert!(!part.contains(char::is_control), "{text:?}");
    }
    assert!(!node.unwrap_or_default().contains(['@', '/', ' ', '"', '&', '\'', ':', '<', '>']), "{text:?}");
    assert!(!domain.contains(['@', '/', ' ', '\'', '"', '<', '&']) && !domain.ends_with('.'), "{text:?}");
    assert_eq!(normalise_domain(domain).as_deref(), Ok(domain), "{text:?}");
    assert_eq!(Jid::from(address.to_bare()).as_str(), text.split('/').next().unwrap_or_default());
}

/// Case and a trailing dot of the domain make no other address.
fn check_ways_of_writing(text: &str, address: &Jid) {
    let end = text.find('/').unwrap_or(text.len());
    let (before, after) = text.split_at(end);
    if let Ok(upper) = parse(&[&before.to_ascii_uppercase(), after].concat()) {
        assert_eq!(upper, *address, "{text:?}");
    }
}
