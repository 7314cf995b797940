//! Unique and stable stanza ids (XEP-0359), and other marks that only a server may set: what a sender supplies in our
//! name is removed before a stanza goes anywhere.
//!
//! Only children of the stanza itself count: what stands in a forwarded copy is that copy's. Invariant: a stanza that
//! was routed once holds no mark of ours but those that we set.

use bytes::{Bytes, BytesMut};
use rjabberd_storage::ArchiveId;
use rjabberd_xml::writer::write_attribute;
use rjabberd_xml::{Child, Element};
use rjabberd_xmpp::{BareJid, Jid, Stanza, address, ns};

use crate::Im;
use crate::archive::id_text;

impl Im {
    /// Takes from a stanza of a session, whose `from` is stamped, what the session cannot know.
    pub fn take_forged(&self, stanza: &mut Stanza) {
        if stanza.children().iter().any(is_mark) {
            *stanza = stanza.without_children(|child| is_mark(child) && self.is_forged(stanza, child));
        }
    }

    fn is_forged(&self, stanza: &Stanza, child: &Child) -> bool {
        let Ok(mark) = stanza.child_element(child) else { return true };
        if child.name() == "stanza-id" {
            // XEP-0359, 3: it names who assigned it. All addresses of our hosts are ours to speak for, so none of it is
            // left; without a name it is nobody's, and somebody might take it for ours.
            return mark
                .attribute("by")
                .is_none_or(|by| address::parse(by).map_or(true, |by| self.is_ours(&by)));
        }
        // XEP-0203: a client may say that it was late itself.
        let is_sender_s = |by: &Jid| stanza.from.as_ref().is_some_and(|from| from.to_bare() == by.to_bare());
        named(&mark, "from").is_some_and(|from| self.is_ours(&from) && !is_sender_s(&from))
    }

    fn is_ours(&self, address: &Jid) -> bool {
        self.hosts.contains(address.domain().as_str())
    }
}

fn is_mark(child: &Child) -> bool {
    child.is("stanza-id", ns::STANZA_IDS) || child.is("delay", ns::DELAY)
}

fn named(mark: &Element, attribute: &str) -> Option<Jid> {
    address::parse(mark.attribute(attribute)?).ok()
}

/// The message with the id that it has in an account's archive (XEP-0313, 3.5).
pub fn with_id(message: &Stanza, account: &BareJid, id: ArchiveId) -> Stanza {
    message.with_written("stanza-id", ns::STANZA_IDS, written(account, id))
}

fn written(account: &BareJid, id: ArchiveId) -> Bytes {
    let mut out = BytesMut::with_capacity(96 + account.as_str().len());
    out.extend_from_slice(b"<stanza-id");
    write_attribute("xmlns", ns::STANZA_IDS, &mut out);
    write_attribute("by", account.as_str(), &mut out);
    write_attribute("id", &id_text(id), &mut out);
    out.extend_from_slice(b"/>");
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{HOST, JULIET, ROMEO, Stage, inner, stanza};

    fn left(inside: &str) -> String {
        let mut sent = stanza(&format!("<message from='{ROMEO}' to='{JULIET}'>{inside}</message>"));
        Stage::new().im.take_forged(&mut sent);
        inner(&sent)
    }

    #[test]
    fn ids_in_our_name_are_removed_all_of_them_and_those_of_others_stay() {
        let id = |by: &str| format!("<stanza-id xmlns='urn:xmpp:sid:0' id='x'{by}/>");
        for by in [
            " by='romeo@example.net'",
            " by='juliet@example.net'",
            " by='JULIET@Example.NET'",
            " by='juliet@example.net/balcony'",
            " by='example.net'",
            " by='not @n address'",
            "",
        ] {
            assert_eq!(left(&format!("{}<body>a</body>{}", id(by), id(by))), "<body>a</body>", "{by}");
        }
        for by in [" by='room@conference.example.org'", " by='example.org'"] {
            assert_eq!(left(&id(by)), id(by));
        }
        let origin = "<origin-id xmlns='urn:xmpp:sid:0' id='x'/>";
        assert_eq!(left(origin), origin);
    }

    #[test]
    fn a_delay_in_our_name_is_removed_and_a_sender_s_own_stays() {
        let delay =
            |from: &str| format!("<delay xmlns='urn:xmpp:delay' stamp='2002-09-10T23:08:25Z'{from}/>");
        for from in
            [format!(" from='{HOST}'"), format!(" from='{JULIET}'"), " from='juliet@EXAMPLE.net'".into()]
        {
            assert_eq!(left(&(delay(&from) + "<body>a</body>" + &delay(&from))), "<body>a</body>");
        }
        for from in ["", " from='romeo@example.net/orchard'", " from='example.org'"] {
            assert_eq!(left(&delay(from)), delay(from));
        }
    }

    #[test]
    fn what_stands_in_a_forwarded_copy_stays() {
        let copy = "<forwarded xmlns='urn:xmpp:forward:0'><stanza-id xmlns='urn:xmpp:sid:0' by='juliet@example.net' \
                    id='x'/><delay xmlns='urn:xmpp:delay' from='example.net' stamp='2002-09-10T23:08:25Z'/></forwarded>";
        assert_eq!(left(copy), copy);
    }

    #[test]
    fn the_id_that_we_set_is_one_element_more() {
        let sent = stanza(&format!("<message from='{ROMEO}'><body>a</body></message>"));
        let account = BareJid::new("juliet@example.net").unwrap();
        let marked = with_id(&sent, &account, ArchiveId([0; 16]));
        assert_eq!(
            inner(&marked),
            "<body>a</body><stanza-id xmlns=\"urn:xmpp:sid:0\" by=\"juliet@example.net\" \
             id=\"AAAAAAAAAAAAAAAAAAAAAA\"/>"
        );
        assert_eq!(Stanza::from_written(marked.written().into()).unwrap(), marked);
    }
}
