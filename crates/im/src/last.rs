//! Last Activity (XEP-0012): how long the server runs, and how long ago an account was last available, for those who may
//! see its presence. How long somebody has been idle is his client's to say.

use std::time::Instant;

use rjabberd_storage::LastActivity;
use rjabberd_xml::Element;
use rjabberd_xmpp::{BareJid, Condition, StanzaError, ns};

use crate::Im;
use crate::services::{Feature, Question, Reply, Target, Verdict, store_error};

pub(crate) struct Last {
    im: &'static Im,
    started: Instant,
}

impl Last {
    pub(crate) fn new(im: &'static Im) -> Last {
        Last { im, started: Instant::now() }
    }

    fn of_account(&self, account: BareJid, asker: &BareJid) -> Reply {
        let (im, may_see) = (self.im, self.im.may_see(&account, asker));
        Reply::later(async move {
            // XEP-0012, 3 and 8: nothing about the presence of who may not be seen, nor whether he exists.
            if !may_see.await.map_err(store_error)? {
                return Err(StanzaError::new(Condition::Forbidden));
            }
            im.last_activity(&account).await
        })
    }
}

impl Im {
    async fn last_activity(&'static self, account: &BareJid) -> Verdict {
        // XEP-0012, 3. One who is connected and not available is not there, for others.
        if self.outlet.table().seats(account).iter().any(|seat| seat.priority().is_some()) {
            return Ok(Some(seconds(0)));
        }
        let left = match self.noted_activity(account) {
            Some(left) => Some(left),
            None => self.store.load_activity(account).await.map_err(store_error)?,
        };
        match left {
            Some(LastActivity { left_unix_s, status }) => {
                let ago_s = self.now_unix_s().saturating_sub(left_unix_s).max(0);
                Ok(Some(seconds(ago_s.unsigned_abs()).with_text(status.unwrap_or_default())))
            }
            // It has never been available: the XEP does not say.
            None => Err(StanzaError::new(Condition::ItemNotFound)),
        }
    }
}

impl Feature for Last {
    fn namespace(&self) -> &'static str {
        ns::LAST_ACTIVITY
    }

    fn serves(&self, _target: Target) -> bool {
        true
    }

    fn answer(&self, question: &Question<'_>) -> Reply {
        if !question.gets("query") {
            return Reply::error(Condition::FeatureNotImplemented);
        }
        if question.target == Target::Server {
            // XEP-0012, 5.
            return Reply::result(seconds(self.started.elapsed().as_secs()));
        }
        match (question.account(), question.session()) {
            (Ok(account), Ok(session)) => self.of_account(account, &session.to_bare()),
            (Err(error), _) | (_, Err(error)) => error.into(),
        }
    }
}

fn seconds(seconds: u64) -> Element {
    Element::new("query", ns::LAST_ACTIVITY).with_attribute("seconds", seconds.to_string())
}

#[cfg(test)]
mod tests;
