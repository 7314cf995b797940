//! What one presence shows, and whose it is: in few bytes, for every client keeps those of all its contacts.

use std::fmt;

use rjabberd_testkit::Node;

/// Resources of one account that may be online at a time.
pub(crate) const RESOURCES: u32 = 4;
/// The resource that looks on at the end.
pub(crate) const OBSERVER: u32 = RESOURCES - 1;
const SHOWS: [&str; 5] = ["", "away", "chat", "dnd", "xa"];
/// What cannot be read is shown as this, which no client ever says.
const UNREADABLE: u32 = u32::MAX;

/// A full address of the test, as one number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Address(u32);

impl fmt::Debug for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", user(self.account()), self.resource_name())
    }
}

impl Address {
    /// A resource of an account.
    pub(crate) fn new(account: u16, resource: u32) -> Address {
        Address(u32::from(account) * RESOURCES + resource)
    }

    /// The account.
    pub(crate) fn account(self) -> u16 {
        (self.0 / RESOURCES) as u16
    }

    /// Which of its resources.
    pub(crate) fn resource(self) -> u32 {
        self.0 % RESOURCES
    }

    /// A place in a list of all addresses.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }

    /// Reads a full address.
    pub(crate) fn parse(jid: &str) -> Option<Address> {
        let (account, resource) = jid.split_once('/')?;
        let resource = resource.strip_prefix('r')?.parse().ok().filter(|resource| *resource < RESOURCES)?;
        Some(Address::new(parse_account(account)?, resource))
    }

    /// The resource as it is bound.
    pub(crate) fn resource_name(self) -> String {
        format!("r{}", self.resource())
    }

    /// The whole address.
    pub(crate) fn jid(self, domain: &str) -> String {
        format!("{}/{}", bare_jid(self.account(), domain), self.resource_name())
    }
}

/// The name of an account.
pub(crate) fn user(account: u16) -> String {
    format!("u{account}")
}

/// The bare address of an account.
pub(crate) fn bare_jid(account: u16, domain: &str) -> String {
    format!("{}@{domain}", user(account))
}

/// Reads an account's number from an address, bare or full.
pub(crate) fn parse_account(jid: &str) -> Option<u16> {
    jid.split('@').next()?.strip_prefix('u')?.parse().ok()
}

/// What a presence shows: availability (RFC 6121, 4.7.2.1), a status that is a number, priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Which of `SHOWS`.
    pub(crate) show: u8,
    /// Different in each presence of a run.
    pub(crate) status: u32,
    /// Negative ones are valid.
    pub(crate) priority: i8,
}

impl Shown {
    /// How many shows there are.
    pub(crate) const SHOWS: u8 = SHOWS.len() as u8;

    /// The presence that says this.
    pub(crate) fn presence(self) -> String {
        let Shown { show, status, priority } = self;
        let show = match SHOWS[usize::from(show)] {
            "" => String::new(),
            show => format!("<show>{show}</show>"),
        };
        format!("<presence>{show}<status>{status}</status><priority>{priority}</priority></presence>")
    }

    /// Reads a presence.
    pub(crate) fn of(presence: &Node) -> Shown {
        let text = |name| presence.child(name).map_or("", |child| child.text.as_str());
        let show = SHOWS.iter().position(|show| *show == text("show"));
        Shown {
            show: show.map_or(u8::MAX, |show| show as u8),
            status: text("status").parse().unwrap_or(UNREADABLE),
            priority: match text("priority") {
                "" => 0,
                priority => priority.parse().unwrap_or(i8::MIN),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_written_and_no_other_is() {
        let address = Address::new(417, 2);
        assert_eq!(Address::parse(&address.jid("localhost")), Some(address));
        for other in ["u1@localhost", "u1@localhost/r4", "u1@localhost/x", "x1@localhost/r1", "localhost"] {
            assert_eq!(Address::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_presence_is_read_as_it_is_written_and_a_garbled_one_is_another() {
        let shown = Shown { show: 3, status: 17, priority: -5 };
        assert_eq!(Shown::of(&Node::parse(&shown.presence()).unwrap()), shown);
        let plain = Shown { show: 0, status: 1, priority: 0 };
        assert_eq!(Shown::of(&Node::parse("<presence><status>1</status></presence>").unwrap()), plain);
        assert_ne!(Shown::of(&Node::parse("<presence><show>x</show></presence>").unwrap()), plain);
    }
}
