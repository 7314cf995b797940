//! Entity Time (XEP-0202): the server's time, in UTC. Its time zone says nothing about anybody, so the offset is zero.

use std::time::{SystemTime, UNIX_EPOCH};

use rjabberd_xml::Element;
use rjabberd_xmpp::{Condition, date::date_time, ns};

use crate::services::{Clock, Feature, Question, Reply, Target};

pub(crate) struct Time {
    clock: Clock,
}

impl Time {
    pub(crate) fn new(clock: Clock) -> Time {
        Time { clock }
    }
}

impl Feature for Time {
    fn namespace(&self) -> &'static str {
        ns::TIME
    }

    fn serves(&self, target: Target) -> bool {
        target == Target::Server
    }

    fn answer(&self, question: &Question<'_>) -> Reply {
        if !question.gets("time") {
            return Reply::error(Condition::FeatureNotImplemented);
        }
        let text = |name: &str, text: &str| Element::new(name, ns::TIME).with_text(text);
        Reply::result(
            Element::new("time", ns::TIME)
                .with_child(text("tzo", "+00:00"))
                .with_child(text("utc", &utc((self.clock)()))),
        )
    }
}

/// A time in the dateTime profile of XEP-0082.
pub fn utc(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    date_time(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
