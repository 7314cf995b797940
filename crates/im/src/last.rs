//! stub
use rjabberd_xmpp::{BareJid, Stanza};
pub(crate) fn status(_stanza: &Stanza) -> Option<String> {
    None
}
impl crate::Im {
    pub(crate) fn left(&self, _account: &BareJid, _status: Option<String>) {}
}
