//! Software Version (XEP-0092): name and version of the server. The operating system is nobody's business (XEP-0092, 5).

use rjabberd_xml::Element;
use rjabberd_xmpp::{Condition, ns};

use crate::services::{Feature, Question, Reply, Target};

pub(crate) struct Version;

impl Feature for Version {
    fn namespace(&self) -> &'static str {
        ns::VERSION
    }

    fn serves(&self, target: Target) -> bool {
        target == Target::Server
    }

    fn answer(&self, question: &Question<'_>) -> Reply {
        if !question.gets("query") {
            return Reply::error(Condition::FeatureNotImplemented);
        }
        let text = |name: &str, text: &str| Element::new(name, ns::VERSION).with_text(text);
        Reply::result(
            Element::new("query", ns::VERSION)
                .with_child(text("name", "rjabberd"))
                .with_child(text("version", env!("CARGO_PKG_VERSION"))),
        )
    }
}
