//! What becomes of a stanza between two of whom one has blocked the other (XEP-0191, 3.3); who has, `im` knows.

use rjabberd_im::Verdict;
use rjabberd_xmpp::Stanza;

use crate::{Routed, Router};

impl Router {
    /// The end of a stanza that must not go on its way; `None` for all others. `from` is stamped.
    pub(crate) fn blocked(&self, stanza: &Stanza) -> Option<Routed> {
        match self.inner.im.blocklists.verdict(stanza) {
            Verdict::Pass => None,
            Verdict::Drop => {
                self.copy_unheard(stanza);
                self.inner.counters.dropped();
                Some(Routed::Done)
            }
            Verdict::Refuse(error) => {
                self.copy_unheard(stanza);
                Some(self.bounce_with(stanza, &error))
            }
        }
    }
}
