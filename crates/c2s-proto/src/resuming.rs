//! An earlier session is to go on (XEP-0198, 5): on a stream that is authenticated and has no resource, or together with
//! a login by XEP-0388 (9.2).
//!
//! Which session that is, and whether it can be had, is for the session table to say; it looks among those of the
//! authenticated account only.

use rjabberd_xml::Element;
use rjabberd_xmpp::{
    Condition,
    management::{ResumptionId, Version, Word},
};

use crate::{
    Action, Answer, Ask, Deadline, ResumeRefused, Resumed, State,
    binding::AwaitingBind,
    closing::{Leaving, Voice},
    established::Established,
    management::Terms,
    speech,
};

/// What a client asks for with `<resume/>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResumeRequest {
    pub(crate) version: Version,
    /// `None` for one that cannot be ours.
    pub(crate) id: Option<ResumptionId>,
    /// What the client has handled.
    pub(crate) h: u32,
}

impl ResumeRequest {
    /// One that stands within another request.
    pub(crate) fn within(parent: &Element) -> Option<ResumeRequest> {
        parent.children().find_map(|child| match (Version::of(child.namespace()), Word::of(child)) {
            (Some(version), Some(Word::Resume { id, h })) => Some(ResumeRequest { version, id, h }),
            _ => None,
        })
    }
}

/// The session table is asked for a session.
pub struct Resuming {
    pub(crate) bind: AwaitingBind,
    pub(crate) ask: Ask,
    request: ResumeRequest,
}

impl Resuming {
    pub(crate) fn begin(mut bind: AwaitingBind, request: ResumeRequest, out: &mut Vec<Action>) -> State {
        let Some(id) = request.id else {
            return bind.cannot_resume(request.version, Condition::ItemNotFound, None, out);
        };
        let ask = bind.next_ask();
        out.push(Action::Resume(ask, bind.account.clone(), id));
        State::Resuming(Box::new(Resuming { bind, ask, request }))
    }

    pub(crate) fn answered(self, answer: Answer, out: &mut Vec<Action>) -> State {
        let version = self.request.version;
        match answer {
            Answer::Resumed(answer) => match *answer {
                Ok(resumed) => self.resumed(resumed, out),
                Err(ResumeRefused::AccountGone) => Leaving::from(self).account_gone(out),
                Err(ResumeRefused::NotFound(h)) => {
                    self.bind.cannot_resume(version, Condition::ItemNotFound, h, out)
                }
            },
            // It may be there, but it does not answer: the client is not to wait for it.
            Answer::Unavailable(_) => self.bind.cannot_resume(version, Condition::ItemNotFound, None, out),
            _ => Leaving::from(self).out_of_turn(out),
        }
    }

    fn resumed(self, resumed: Resumed, out: &mut Vec<Action>) -> State {
        let ResumeRequest { version, h, .. } = self.request;
        let Some(terms) = terms(&resumed) else { return Leaving::from(self).out_of_turn(out) };
        speech::element(&version.resumed(resumed.h, terms.id), out);
        let (settings, account, lang) = self.bind.into_parts();
        go_on(Established::resumed(settings, account, resumed.session, lang, terms), h, out)
    }
}

impl From<Resuming> for Leaving {
    fn from(_: Resuming) -> Leaving {
        Leaving { voice: Voice::Open, session: None }
    }
}

/// The terms of a session that goes on: it is resumed by what it was, again.
pub(crate) fn terms(resumed: &Resumed) -> Option<Terms> {
    let resumption = resumed.session.management.as_ref()?.resumption?;
    Some(Terms { id: resumption.id, max_s: resumption.max_s })
}

/// The session is established on this stream; the client was told so. What it has not handled comes first.
pub(crate) fn go_on(established: Established, h: u32, out: &mut Vec<Action>) -> State {
    out.push(Action::ClearDeadline(Deadline::Negotiation));
    out.push(Action::SetDeadline(Deadline::Idle));
    out.push(Action::Retransmit(h));
    State::Established(Box::new(established))
}
