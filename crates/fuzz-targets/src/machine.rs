//! Target of `rjabberd_c2s_proto`: a client's stream as bytes say it goes, with all that the outside may answer.
//!
//! The first byte is the config; then each input is a byte for its kind and one for which of that kind ([`Stage::input`]).
//! What must hold: no panic; nothing is written behind the end; a session is given up exactly once; what is written is, by
//! our own framer and reader, one stream after another of whole elements.

mod answers;
mod wire;
mod words;

use std::sync::Arc;

use bytes::Bytes;
use rjabberd_c2s_proto::{Action, Ask, ControlInput, Deadline, Fresh, Input, LostReason, Order, State};
use rjabberd_xml::{Context, Limit, XmlError, read_element, read_header};
use rjabberd_xmpp::management::{ResumptionId, TooHigh};

use answers::Asked;
use wire::Wire;

const DEADLINES: [Deadline; 6] = [
    Deadline::Header,
    Deadline::Negotiation,
    Deadline::Idle,
    Deadline::PingAnswer,
    Deadline::Acknowledgement,
    Deadline::Resumption,
];

const CONTROLS: [ControlInput; 8] = [
    ControlInput::Replaced,
    ControlInput::Kicked,
    ControlInput::Overflowed,
    ControlInput::Evicted,
    ControlInput::AccountRemoved,
    ControlInput::CredentialsChanged,
    ControlInput::Shutdown,
    ControlInput::Panicked,
];

const LOSSES: [LostReason; 4] =
    [LostReason::Eof, LostReason::Broken, LostReason::WriteStalled, LostReason::Tls];

/// Leads a stream as the bytes say.
pub fn machine(data: &[u8]) {
    let mut bytes = data.iter().copied();
    let Some(config) = bytes.next() else { return };
    let mut stage = Stage::new(config);
    while let (Some(kind), Some(which)) = (bytes.next(), bytes.next()) {
        if let Some(input) = stage.input(kind, which, &mut bytes) {
            stage.play(input);
        }
    }
    // Whatever was left open ends here, and so does what is owed.
    stage.play(Input::ConnectionLost(LostReason::Broken));
    // Nobody resumes it.
    stage.play(Input::DeadlinePassed(Deadline::Resumption));
    stage.has_ended();
}

/// A machine, and what was seen of it.
struct Stage {
    state: Option<State>,
    /// Questions without an answer.
    asked: Vec<(Ask, Asked)>,
    wire: Wire,
    sessions: u32,
    given_up: u32,
    over: bool,
}

impl Stage {
    fn new(config: u8) -> Stage {
        let mut deeds = Vec::new();
        let state = State::accepted(Arc::new(words::settings(config)), fresh(), &mut deeds);
        let mut stage = Stage {
            state: None,
            asked: Vec::new(),
            wire: Wire::default(),
            sessions: 0,
            given_up: 0,
            over: false,
        };
        stage.see(false, &state, deeds);
        stage.state = Some(state);
        stage
    }

    /// The input that two bytes and, of a client's own element, some more, stand for.
    fn input(&self, kind: u8, which: u8, more: &mut impl Iterator<Item = u8>) -> Option<Input> {
        let index = usize::from(which);
        Some(match kind % 16 {
            0..=4 => element(words::ELEMENTS[index % words::ELEMENTS.len()].as_bytes())?,
            5 => element(&more.take(index).collect::<Vec<u8>>())?,
            // Mostly, what was asked is answered with what fits.
            6..=8 => {
                let (ask, asked) = self.asked.last()?;
                Input::Answered(*ask, answers::fitting(asked, which))
            }
            9 => {
                let (ask, _) = self.asked.get(index % self.asked.len().max(1))?;
                Input::Answered(*ask, answers::any(which / 8))
            }
            10 => Input::Answered(Ask(u32::from(which % 8)), answers::any(which / 8)),
            11 => header(words::HEADERS[index % words::HEADERS.len()])?,
            12 => Input::TlsStarted(Box::new(words::channel(which))),
            13 => Input::RouteDeferred(Ask(1_000 + u32::from(which))),
            14 => Input::DeadlinePassed(DEADLINES[index % DEADLINES.len()]),
            _ => match index % 20 {
                16 => Input::Control(ControlInput::Evicted),
                17 => Input::HandledTooHigh(TooHigh { h: 10, sent: 8 }),
                18 => Input::WindowPassed,
                19 => Input::TooMuchHeld,
                0..=6 => Input::Control(CONTROLS[index % 7]),
                7 => Input::StreamEnded,
                8 => Input::BytesBehindStartTls,
                9 => Input::XmlRefused(XmlError::NotUtf8("x"), fresh()),
                10 => Input::XmlRefused(XmlError::Restricted("x"), fresh()),
                11 => Input::XmlRefused(XmlError::LimitPassed(Limit::ElementBytes), fresh()),
                other => Input::ConnectionLost(LOSSES[other - 12]),
            },
        })
    }

    fn play(&mut self, input: Input) {
        match &input {
            Input::Answered(ask, _) => self.asked.retain(|(other, _)| other != ask),
            Input::RouteDeferred(ask) => self.asked.push((*ask, Asked::Reply)),
            _ => {}
        }
        let Some(state) = self.state.take() else { return };
        let was_bound = state.session().is_some();
        let name = state.name();
        let mut deeds = Vec::new();
        let next = state.on(input, &mut deeds);
        let told = deeds.iter().filter(|action| matches!(action, Action::StateChanged(_))).count();
        assert_eq!(told, usize::from(next.name() != name), "each change of state is told once");
        self.see(was_bound, &next, deeds);
        self.state = Some(next);
    }

    fn see(&mut self, was_bound: bool, next: &State, deeds: Vec<Action>) {
        let bound = next.session();
        self.sessions += u32::from(!was_bound && bound.is_some());
        let gave_up = self.given_up;
        for deed in deeds {
            assert!(
                !self.over || matches!(deed, Action::Release(_) | Action::StateChanged(_)),
                "behind the end"
            );
            if let Some(asked) = answers::asked(&deed) {
                self.asked.push(asked);
            }
            match deed {
                // What a session without connection has to say waits for the next.
                Action::WriteStanza(_) if next.name() == "hibernated" => {}
                Action::Write(bytes) | Action::WriteStanza(bytes) => self.wire.written(&bytes),
                Action::Order(Order::NewStream(_)) => self.wire.begins_anew(),
                Action::Order(Order::StartTls(_)) => self.wire.begins_tls(),
                Action::EndSession(..) => self.given_up += 1,
                Action::Close(_) | Action::Drop(_) => self.over = true,
                Action::Route(stanza) if self.sessions > gave_up => {
                    assert!(stanza.from.is_some(), "nobody's stanza");
                }
                _ => {}
            }
        }
        assert!(self.given_up <= self.sessions, "given up twice");
        assert_eq!(bound.is_some(), self.sessions > self.given_up, "a session is bound until it is given up");
        assert_eq!(next.wants_delivery(), bound.is_some());
        assert_eq!(self.over, matches!(next.name(), "closing" | "closed"));
        assert!(!(self.over && next.wants_element()));
        assert!(bound.is_none_or(|session| session.directed.len() <= words::DIRECTED_MAX));
    }

    fn has_ended(&self) {
        assert!(self.over, "a lost connection ends it");
        assert_eq!(self.sessions, self.given_up);
    }
}

fn fresh() -> Fresh {
    Fresh { stream_id: "fresh".to_owned(), resumption: ResumptionId([7; 16]) }
}

fn element(bytes: &[u8]) -> Option<Input> {
    read_element(&Context::canonical(), Bytes::copy_from_slice(bytes)).ok().map(Input::ElementRead)
}

fn header(attributes: &str) -> Option<Input> {
    let text = format!(
        "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' {attributes}>"
    );
    read_header(text.as_bytes()).ok().map(|header| Input::HeaderRead(header, fresh()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the target is made of reaches sessions: else it would say little.
    #[test]
    fn a_login_of_each_kind_is_among_the_inputs() {
        let index = |start: &str| {
            let found = words::ELEMENTS.iter().position(|element| element.contains(start));
            u8::try_from(found.expect("it is there")).expect("there are few")
        };
        // Direct TLS, and the header.
        let secure = [words::DIRECT, 12, 0, 11, 0];
        let (right, claimed) = ([6, 0, 6, 0], [6, 0]);
        let plain = [&[0, index("ns:xmpp-sasl' mechanism='PLAIN'")][..], &right, &[11, 0]].concat();
        let classic = [&plain[..], &[0, index("<resource>home</resource>")], &claimed].concat();
        let sasl2 =
            [
                &[
                    0,
                    index("mechanism='PLAIN'><initial-response>AHJvbWVvAHNlY3JldA==</initial-response><bind"),
                ][..],
                &right,
                &claimed,
            ]
            .concat();
        for login in [classic, sasl2] {
            let mut stage = Stage::new(secure[0]);
            let mut bytes = secure[1..].iter().chain(&login).copied();
            while let (Some(kind), Some(which)) = (bytes.next(), bytes.next()) {
                let input = stage.input(kind, which, &mut bytes).expect("an input");
                stage.play(input);
            }
            let state = stage.state.as_ref().expect("a state");
            assert_eq!((state.name(), stage.sessions), ("established", 1), "{login:?}");
        }
    }
}
