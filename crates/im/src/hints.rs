//! Message Processing Hints (XEP-0334): what a sender wants done, or not done, with a message. A hint is an empty child;
//! what it means for the archive, for who is away and for copies is decided there.

use rjabberd_xmpp::{Stanza, ns};

/// The hints of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hints {
    /// Not to be stored anywhere, not even until the addressee comes (4.2).
    pub(crate) no_store: bool,
    /// Not to be stored for good; until the addressee comes, it may be (4.1).
    pub(crate) no_permanent_store: bool,
    /// Not to be copied to other sessions of its addressee or its sender (4.3).
    pub(crate) no_copy: bool,
    /// To be stored, whatever it looks like (4.4).
    pub(crate) store: bool,
}

impl Hints {
    pub(crate) fn of(message: &Stanza) -> Hints {
        let mut hints = Hints::default();
        for child in message.children() {
            if child.namespace() != ns::HINTS {
                continue;
            }
            match child.name() {
                "no-store" => hints.no_store = true,
                "no-permanent-store" => hints.no_permanent_store = true,
                "no-copy" => hints.no_copy = true,
                "store" => hints.store = true,
                _ => {}
            }
        }
        hints
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::stanza;

    #[test]
    fn hints_are_those_of_their_namespace_and_any_number_of_them_counts() {
        let hints = |inside: &str| Hints::of(&stanza(&format!("<message>{inside}</message>")));
        assert_eq!(hints("<no-store/><store xmlns='urn:other'/><body>no-copy</body>"), Hints::default());
        assert_eq!(
            hints("<no-store xmlns='urn:xmpp:hints'/><body/><store xmlns='urn:xmpp:hints'/>"),
            Hints { no_store: true, store: true, ..Hints::default() }
        );
        assert_eq!(
            hints("<no-copy xmlns='urn:xmpp:hints'/><no-permanent-store xmlns='urn:xmpp:hints'/>"),
            Hints { no_copy: true, no_permanent_store: true, ..Hints::default() }
        );
    }
}
