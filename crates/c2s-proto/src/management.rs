//! Stream management on an established stream (XEP-0198): what the client says about it, and what it comes to.
//!
//! A machine of its own under an established session. It knows the terms and the words; the counts and what waits for an
//! acknowledgement are kept by whoever writes ([`rjabberd_xmpp::management`]).

use rjabberd_xml::{Element, Fragment};
use rjabberd_xmpp::{
    Condition, StreamCondition, StreamError,
    management::{ResumptionId, TooHigh, Version, Word},
};

use crate::{Action, Deadline, Settings, State, closing::Leaving, established::Established, speech};

/// A stream whose stanzas are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Management {
    /// As the client speaks it.
    pub version: Version,
    /// How the session can be resumed, if it can.
    pub resumption: Option<Resumption>,
}

/// How a session can be resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resumption {
    /// By what.
    pub id: ResumptionId,
    /// For so many seconds after its connection was lost.
    pub max_s: u32,
}

/// What a client asks for with `<enable/>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EnableRequest {
    pub(crate) version: Version,
    pub(crate) resume: bool,
    pub(crate) max_s: Option<u32>,
}

/// What a session may be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// By what it may be resumed.
    pub(crate) id: ResumptionId,
    /// For how long; 0 is not at all.
    pub(crate) max_s: u32,
}

impl Terms {
    /// Those of a new session. Nobody can come back as a guest.
    pub(crate) fn new(settings: &Settings, id: ResumptionId, guest: bool) -> Terms {
        Terms { id, max_s: if guest { 0 } else { settings.resumption_s_max } }
    }
}

impl EnableRequest {
    /// One that stands within another request.
    pub(crate) fn within(parent: &Element) -> Option<EnableRequest> {
        parent.children().find_map(|child| match (Version::of(child.namespace()), Word::of(child)) {
            (Some(version), Some(Word::Enable { resume, max_s })) => {
                Some(EnableRequest { version, resume, max_s })
            }
            _ => None,
        })
    }

    /// The terms, and how the client is told.
    pub(crate) fn grant(self, terms: Terms) -> (Management, Element) {
        let max_s = self.max_s.map_or(terms.max_s, |wanted| wanted.min(terms.max_s));
        let resumption = (self.resume && max_s > 0).then_some(Resumption { id: terms.id, max_s });
        let enabled = self.version.enabled(resumption.map(|Resumption { id, max_s }| (id, max_s)));
        (Management { version: self.version, resumption }, enabled)
    }
}

impl Established {
    pub(crate) fn resumption(&self) -> Option<Resumption> {
        self.session.management.as_ref()?.resumption
    }

    /// Something of stream management's.
    pub(crate) fn manage(
        mut self: Box<Self>,
        version: Version,
        word: &Fragment,
        out: &mut Vec<Action>,
    ) -> State {
        let is_managed = self.session.management.is_some();
        match Word::read(word) {
            // XEP-0198, 3: at most one attempt.
            Some(Word::Enable { .. }) if is_managed => {
                let error = StreamError::new(StreamCondition::PolicyViolation)
                    .with_text("Stream management is enabled already");
                return Leaving::from(*self).stream_error(error, out);
            }
            Some(Word::Enable { resume, max_s }) => {
                let (management, enabled) = EnableRequest { version, resume, max_s }.grant(self.terms);
                speech::element(&enabled, out);
                self.begin_management(management, out);
            }
            // A stream that has a resource has a session.
            Some(Word::Resume { .. }) => refuse(version, Condition::UnexpectedRequest, out),
            Some(Word::Request) if is_managed => out.push(Action::AnswerRequest),
            Some(Word::Answer { h }) if is_managed => {
                out.push(Action::ClearDeadline(Deadline::Acknowledgement));
                out.push(Action::Acknowledged(h));
            }
            // Nothing is counted, so nothing can be said.
            Some(Word::Request | Word::Answer { .. }) => refuse(version, Condition::UnexpectedRequest, out),
            None if matches!(word.name(), "enable" | "resume") => refuse(version, Condition::BadRequest, out),
            None if word.name() == "a" => {
                return Leaving::from(*self).refuse(StreamCondition::BadFormat, out);
            }
            None => return Leaving::from(*self).refuse(StreamCondition::UnsupportedStanzaType, out),
        }
        State::Established(self)
    }

    /// Stanzas count from here on.
    pub(crate) fn begin_management(&mut self, management: Management, out: &mut Vec<Action>) {
        out.push(Action::Manage(management.version, management.resumption));
        self.session.management = Some(Box::new(management));
    }

    /// What waits is more than is kept (XEP-0198 leaves it to us): the session goes on, but it ends with its connection.
    pub(crate) fn forget_resumption(&mut self, out: &mut Vec<Action>) {
        if let Some(management) = &mut self.session.management
            && management.resumption.take().is_some()
        {
            out.push(Action::ForgetResumption);
        }
    }

    /// XEP-0198, 6.
    pub(crate) fn handled_too_high(self, too_high: TooHigh, out: &mut Vec<Action>) -> State {
        let TooHigh { h, sent } = too_high;
        let version =
            self.session.management.as_ref().map_or(Version::Three, |management| management.version);
        let text = format!("You acknowledged {h} stanzas, but {sent} were sent to you");
        let error = StreamError::new(StreamCondition::UndefinedCondition)
            .with_text(text)
            .with_application(version.handled_count_too_high(h, sent));
        Leaving::from(self).stream_error(error, out)
    }
}

/// Says that something was not done; the stream goes on (XEP-0198, 6).
pub(crate) fn refuse(version: Version, condition: Condition, out: &mut Vec<Action>) {
    speech::element(&version.failed(condition, None), out);
}
