//! What holds whatever comes, in whatever order.

use proptest::prelude::*;
use rjabberd_c2s_proto::{
    Action, Answer, Ask, ClaimRefused, Deadline, Input, LostReason, Settings, TokenGone, Unavailable,
};
use rjabberd_xml::XmlError;
use rjabberd_xmpp::{management::TooHigh, sasl::Tokens};

use crate::{
    endings::CONTROLS,
    play::{
        AUTHENTICATE, BIND_HOME, DEADLINES, OFFERED, PLAIN_ROMEO, Play, REGISTER, STARTTLS, at_bind,
        at_features, bound, credentials, element, fresh, full, header, keys, settings, stanza, with_host,
    },
};

const ELEMENTS: [&str; 34] = [
    STARTTLS,
    PLAIN_ROMEO,
    BIND_HOME,
    REGISTER,
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'/>",
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>biwsbj11LHI9eA==</auth>",
    "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>biwsbj11LHI9eA==</response>",
    "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
    "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
    "<iq type='set' id='s'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>",
    "<iq type='set' id='s'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
    "<iq type='result' id='ping-1' to='a.example'/>",
    "<iq type='nonsense' id='x'/>",
    "<message to='juliet@a.example'><body>O</body></message>",
    "<message from='juliet@a.example'/>",
    "<presence/>",
    "<presence><priority>200</priority></presence>",
    "<presence type='unavailable'/>",
    "<presence to='x@a.example'/>",
    "<presence to='y@a.example' type='unavailable'/>",
    "<presence to='z@a.example/1'/>",
    "<enable xmlns='urn:xmpp:sm:3'/>",
    "<enable xmlns='urn:xmpp:sm:3' resume='true'/>",
    "<resume xmlns='urn:xmpp:sm:3' h='1' previd='BwcHBwcHBwcHBwcHBwcHBw'/>",
    "<a xmlns='urn:xmpp:sm:3' h='1'/>",
    "<r xmlns='urn:xmpp:sm:3'/>",
    AUTHENTICATE,
    "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-1'/>",
    "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'>\
     <initial-response>AHJvbWVvAHNlY3JldA==</initial-response><bind xmlns='urn:xmpp:bind:0'/>\
     <user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/>\
     <request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>\
     <upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-1</upgrade></authenticate>",
    "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-NONE'>\
     <initial-response>cm9tZW8AQdulLyh3Cb6VTfk4PSjC1xllqb7vo842OQR7dW758Os=</initial-response>\
     <user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/><fast xmlns='urn:xmpp:fast:0' count='9'/></authenticate>",
    "<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-1'/>",
    "<task-data xmlns='urn:xmpp:sasl:2'><hash xmlns='urn:xmpp:scram-upgrade:0'>\
     AAAAAAAAAAAAAAAAAAAAAAAAAAA=</hash></task-data>",
    "<response xmlns='urn:xmpp:sasl:2'/>",
    "<abort xmlns='urn:xmpp:sasl:2'/>",
];

/// An input as small numbers, as inputs themselves cannot be cloned.
#[derive(Clone, Copy, Debug)]
struct Seed {
    kind: u8,
    which: usize,
    ask: u32,
}

fn seed() -> impl Strategy<Value = Seed> {
    // What a client sends and what answers it come most often.
    let kind = prop_oneof![10 => Just(0), 6 => Just(1), 4 => Just(2), 1 => 3..15_u8];
    (kind, any::<usize>(), 1..6_u32).prop_map(|(kind, which, ask)| Seed { kind, which, ask })
}

fn answer(play: &Play, which: usize) -> Answer {
    let fits = match play.state.name() {
        "looking_up" => 0,
        "checking" => 1,
        "claiming" => 3,
        "resuming" => [13, 14][which % 2],
        "finishing" => [3, 8, 9, 10, 11, 12][which % 6],
        "registering" | "deferred" => 6,
        _ => which,
    };
    // Mostly what was asked for.
    match if which.is_multiple_of(5) { which / 5 % 16 } else { fits % 16 } {
        0 => credentials(),
        1 => crate::play::right(),
        2 => crate::play::wrong(),
        3 => Answer::Claimed(Ok(full("romeo@a.example/home"))),
        4 => Answer::Claimed(Err(ClaimRefused::Conflict)),
        5 => Answer::Claimed(Err(ClaimRefused::AccountGone)),
        6 => Answer::Reply(Some(stanza("<iq type='result' id='1'/>"))),
        7 => Answer::Credentials { credentials: Some(keys()), nonce: "n".to_owned() },
        8 => Answer::TokensChanged(Ok(None)),
        9 => Answer::TokensChanged(Err(TokenGone)),
        10 => Answer::KeysStored(true),
        11 => Answer::Claimed(Err(ClaimRefused::TooManySessions)),
        13 => crate::management::resumed("romeo@a.example/earlier", 3),
        14 => crate::management::not_found(Some(7)),
        12 => Answer::Tokens { tokens: Some(Tokens::default()), now_unix_s: 1 },
        _ => Answer::Unavailable(Unavailable),
    }
}

fn input(play: &Play, seed: Seed) -> Input {
    match seed.kind {
        0 => element(ELEMENTS[seed.which % ELEMENTS.len()]),
        1 => Input::Answered(play.ask, answer(play, seed.which)),
        2 => header(
            ["to='a.example'", "to='b.example'", "", "to='a.example' from='romeo@a.example'"][seed.which % 4],
        ),
        3 => Input::StreamEnded,
        4 => Input::XmlRefused(XmlError::NotWellFormed("x"), fresh("r")),
        5 => Input::ConnectionLost(LostReason::Broken),
        6 => Input::BytesBehindStartTls,
        7 => crate::play::tls_started(),
        8 => Input::Answered(Ask(seed.ask), answer(play, seed.which)),
        9 => Input::RouteDeferred(Ask(seed.ask)),
        10 => Input::DeadlinePassed(DEADLINES[seed.which % DEADLINES.len()]),
        12 => Input::HandledTooHigh(TooHigh { h: 3, sent: 2 }),
        13 => Input::WindowPassed,
        14 => Input::TooMuchHeld,
        _ => Input::Control(CONTROLS[seed.which % CONTROLS.len()]),
    }
}

/// What was seen of one stream so far.
#[derive(Default)]
struct Ledger {
    sessions: usize,
    given_up: usize,
    over: bool,
}

impl Ledger {
    fn enter(&mut self, before: Option<String>, play: &Play) {
        let bound = play.state.session().map(|session| session.jid.to_string());
        if before.is_none() && bound.is_some() {
            self.sessions += 1;
        }
        for action in &play.deeds {
            match action {
                Action::Write(bytes) | Action::WriteStanza(bytes) => {
                    assert!(!self.over, "written behind the end");
                    assert!(!bytes.is_empty());
                }
                Action::EndSession(..) => self.given_up += 1,
                Action::Close(_) | Action::Drop(_) => {
                    assert!(!self.over, "ended twice");
                    self.over = true;
                }
                Action::Route(stanza) => {
                    let from = stanza.from.as_ref().map(|from| from.to_bare().to_string());
                    assert_eq!(from.as_deref(), Some("romeo@a.example"), "somebody else's stanza");
                }
                _ => (),
            }
        }
        assert!(self.given_up <= self.sessions);
        assert_eq!(bound.is_some(), self.sessions > self.given_up, "a session is bound until it is given up");
        assert_eq!(play.state.wants_delivery(), bound.is_some());
        assert_eq!(self.over, matches!(play.state.name(), "closing" | "closed"));
        let asks = [
            "looking_up",
            "checking",
            "finishing",
            "registering",
            "claiming",
            "resuming",
            "deferred",
            "hibernated",
        ]
        .contains(&play.state.name());
        assert_eq!(play.state.wants_element(), !asks && !self.over);
        assert!(play.state.session().is_none_or(|session| session.directed.len() <= 2));
    }
}

fn play_out(mut play: Play, mut ledger: Ledger, seeds: Vec<Seed>) -> Ledger {
    for seed in seeds {
        let before = play.state.session().map(|session| session.jid.to_string());
        let name = play.state.name();
        let next = input(&play, seed);
        if let Input::RouteDeferred(ask) = next {
            play.ask = ask;
        }
        play = play.input(next);
        if play.state.name() != name {
            let told = play.deeds.iter().filter(|action| matches!(action, Action::StateChanged(_))).count();
            assert_eq!(told, 1, "each change of state is told once");
        }
        ledger.enter(before, &play);
    }
    ledger
}

fn open() -> Settings {
    Settings { tls: OFFERED, sasl_failures_max: 20, ..with_host(|host| host.registration = true) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_inputs_breaks_a_stream(seeds in prop::collection::vec(seed(), 0..60)) {
        play_out(Play::new(open()), Ledger::default(), seeds);
    }

    #[test]
    fn no_order_of_inputs_breaks_a_secure_stream(seeds in prop::collection::vec(seed(), 0..60)) {
        let settings = with_host(|host| host.token_rotation_s = Some(60));
        let play = at_features(Settings { sasl_failures_max: 20, ..settings });
        play_out(play, Ledger::default(), seeds);
    }

    #[test]
    fn no_order_of_inputs_breaks_a_binding(seeds in prop::collection::vec(seed(), 0..60)) {
        play_out(at_bind(settings()), Ledger::default(), seeds);
    }

    #[test]
    fn a_session_is_given_up_exactly_once(seeds in prop::collection::vec(seed(), 0..60)) {
        let ledger = Ledger { sessions: 1, ..Ledger::default() };
        let mut seeds = seeds;
        seeds.push(Seed { kind: 5, which: 0, ask: 0 });
        // Nobody resumes it.
        seeds.push(Seed { kind: 10, which: 5, ask: 0 });
        let ledger = play_out(bound(settings()), ledger, seeds);
        prop_assert_eq!((ledger.sessions, ledger.given_up, ledger.over), (1, 1, true));
    }
}

#[test]
fn what_the_inputs_are_made_of_reaches_a_session() {
    // Else the properties above would say little.
    let kinds = [2, 0, 1, 1, 2, 0, 1].into_iter().zip([0, 1, 1, 1, 0, 2, 1]);
    let seeds = kinds.map(|(kind, which)| Seed { kind, which, ask: 1 }).collect();
    let settings = Settings { tls: rjabberd_c2s_proto::TlsPolicy::Direct, ..open() };
    let ledger = play_out(Play::new(settings), Ledger::default(), seeds);
    assert_eq!((ledger.sessions, ledger.over), (1, false));
    assert_eq!(DEADLINES[5], Deadline::Resumption, "what ends a session that waits for it");
}
