//! XMPP Ping (XEP-0199): the server is there.

use rjabberd_xmpp::{Condition, ns};

use crate::services::{Feature, Question, Reply, Target};

pub(crate) struct Ping;

impl Feature for Ping {
    fn namespace(&self) -> &'static str {
        ns::PING
    }

    fn serves(&self, target: Target) -> bool {
        target != Target::OtherAccount
    }

    fn answer(&self, question: &Question<'_>) -> Reply {
        if question.gets("ping") {
            Reply::Now(Ok(None))
        } else {
            Reply::error(Condition::FeatureNotImplemented)
        }
    }
}
