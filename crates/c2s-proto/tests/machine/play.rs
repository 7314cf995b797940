//! How a test reads: a machine is led to a place, then each input stands beside the deeds that it must bring.
//!
//! Deeds are written as lines (see [`line`]), with single quotes, our stream header shortened to
//! `[header from=… id=…]`, and `urn:ietf:params:xml:ns:xmpp-` to `…`.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use rjabberd_c2s_proto::{
    Action, Answer, Ask, Deadline, Fresh, HostSettings, Input, LoggedIn, Offers, Order, Resource, Settings,
    State, TlsPolicy,
};
use rjabberd_xml::{Context, Limits, read_element, read_header};
use rjabberd_xmpp::{
    FullJid, Stanza,
    management::ResumptionId,
    sasl::{
        Credentials, FakeSalts, KeyPlan, Mechanism, ScramHash, ScramKeys, SecureChannel, TlsVersion, Verdict,
    },
};

pub(crate) const STREAM: &str = "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'";

/// `\0romeo\0secret`.
pub(crate) const PLAIN_ROMEO: &str =
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHJvbWVvAHNlY3JldA==</auth>";
pub(crate) const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
pub(crate) const BIND_HOME: &str = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
     <resource>home</resource></bind></iq>";
pub(crate) const REGISTER: &str = "<iq type='get' id='r'><query xmlns='jabber:iq:register'/></iq>";

/// One virtual host `a.example`, TLS from the first byte.
pub(crate) fn settings() -> Settings {
    Settings {
        hosts: HashMap::from([("a.example".to_owned(), host())]),
        default_host: "a.example".to_owned(),
        tls: TlsPolicy::Direct,
        limits_before: Limits::UNAUTHENTICATED,
        limits: Limits::AUTHENTICATED,
        sasl_failures_max: 3,
        directed_presence_max: 2,
        idle_s: 300,
        resumption_s_max: 600,
    }
}

pub(crate) fn host() -> HostSettings {
    HostSettings {
        mechanisms: vec![Mechanism::Scram(ScramHash::Sha1), Mechanism::Plain],
        plain_without_tls: false,
        downgrade_protection: true,
        registration: false,
        features: Vec::new(),
        offers: Offers::default(),
        fakes: FakeSalts::new(
            b"secret of the server",
            KeyPlan { hashes: vec![ScramHash::Sha1], iterations: 4096, digest: false },
        ),
        token_rotation_s: None,
    }
}

pub(crate) fn with_tls(tls: TlsPolicy) -> Settings {
    Settings { tls, ..settings() }
}

pub(crate) fn with_host(change: impl FnOnce(&mut HostSettings)) -> Settings {
    let mut settings = settings();
    change(settings.hosts.get_mut("a.example").unwrap());
    settings
}

/// A second virtual host, `b.example`.
pub(crate) fn with_two_hosts(mut settings: Settings) -> Settings {
    settings.hosts.insert("b.example".to_owned(), host());
    settings
}

pub(crate) const REQUIRED: TlsPolicy = TlsPolicy::StartTls { required: true };
pub(crate) const OFFERED: TlsPolicy = TlsPolicy::StartTls { required: false };

/// Keys of an account; what they are derived from is no matter, as the tests answer for the check.
pub(crate) fn keys() -> Credentials {
    Credentials {
        keys: vec![ScramKeys {
            hash: ScramHash::Sha1,
            iterations: 4096,
            salt: b"salt".to_vec(),
            stored_key: vec![1; 20].into(),
            server_key: vec![2; 20].into(),
        }],
        digest: None,
    }
}

pub(crate) fn fresh(id: &str) -> Fresh {
    Fresh { stream_id: id.to_owned(), resumption: ResumptionId([7; 16]) }
}

pub(crate) fn full(text: &str) -> FullJid {
    FullJid::new(text).unwrap()
}

/// A header as it stands on the wire.
pub(crate) fn header_of(text: &str) -> Input {
    Input::HeaderRead(read_header(text.as_bytes()).unwrap(), fresh("s"))
}

/// A usual header with these attributes.
pub(crate) fn header(attributes: &str) -> Input {
    header_of(&format!("<stream:stream {STREAM} version='1.0' {attributes}>"))
}

/// A top-level element.
pub(crate) fn element(text: &str) -> Input {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    Input::ElementRead(read_element(&Context::canonical(), bytes).unwrap())
}

pub(crate) fn stanza(text: &str) -> Stanza {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    let fragment = read_element(&Context::canonical(), bytes).unwrap();
    Stanza::from_fragment(fragment, None).unwrap().unwrap()
}

pub(crate) fn credentials() -> Answer {
    Answer::Credentials { credentials: Some(keys()), nonce: "3rfcNHYJY1ZVvWVs7j".to_owned() }
}

/// The password is right.
pub(crate) fn right() -> Answer {
    Answer::PasswordChecked(Verdict { right: true, stronger: None })
}

/// The password is wrong.
pub(crate) fn wrong() -> Answer {
    Answer::PasswordChecked(Verdict { right: false, stronger: None })
}

/// TLS as the tests have it.
pub(crate) fn channel() -> SecureChannel {
    SecureChannel { version: TlsVersion::V13, exporter: None, end_point: None, accounts: Vec::new() }
}

pub(crate) fn tls_started() -> Input {
    Input::TlsStarted(Box::new(channel()))
}

/// A machine under test, with the number of its last question.
pub(crate) struct Play {
    pub(crate) state: State,
    pub(crate) ask: Ask,
    /// What the last input brought.
    pub(crate) deeds: Vec<Action>,
}

impl Play {
    pub(crate) fn new(settings: Settings) -> Play {
        let mut deeds = Vec::new();
        let is_direct = settings.tls == TlsPolicy::Direct;
        let mut state = State::accepted(Arc::new(settings), fresh("spare"), &mut deeds);
        if is_direct {
            state = state.on(tls_started(), &mut deeds);
        }
        Play { state, ask: Ask(0), deeds }
    }

    pub(crate) fn input(mut self, input: Input) -> Play {
        self.deeds.clear();
        let said = self.deeds.len();
        self.state = self.state.on(input, &mut self.deeds);
        for action in &self.deeds[said..] {
            match action {
                Action::LoadCredentials(ask, _)
                | Action::CheckPassword(ask, _)
                | Action::LoadTokens(ask, ..)
                | Action::ChangeTokens(ask, _)
                | Action::StoreKeys(Some(ask), _)
                | Action::AskRegistration(ask, ..)
                | Action::Claim(ask, ..)
                | Action::Resume(ask, ..) => self.ask = *ask,
                _ => (),
            }
        }
        self
    }

    pub(crate) fn answer(self, answer: Answer) -> Play {
        let ask = self.ask;
        self.input(Input::Answered(ask, answer))
    }

    /// The route of this play's answer comes later.
    pub(crate) fn defer(mut self, ask: Ask) -> Play {
        self.ask = ask;
        self.input(Input::RouteDeferred(ask))
    }

    /// Says what the last input must have brought, and where the machine must be.
    #[track_caller]
    pub(crate) fn brings(self, expected: &[&str]) -> Play {
        let lines: Vec<String> = self.deeds.iter().map(line).collect();
        assert_eq!(lines, expected, "\n{}\n", lines.join("\n"));
        self
    }

    #[track_caller]
    pub(crate) fn is(self, name: &str) -> Play {
        assert_eq!(self.state.name(), name, "{:?}", self.deeds.iter().map(line).collect::<Vec<_>>());
        self
    }

    /// All that was written by the last input.
    pub(crate) fn written(&self) -> String {
        let written = self.deeds.iter().filter_map(|action| match action {
            Action::Write(bytes) | Action::WriteStanza(bytes) => Some(short(bytes)),
            _ => None,
        });
        written.collect()
    }
}

/// Plays inputs on a machine, each with the deeds that it must bring.
#[track_caller]
pub(crate) fn check(play: Play, script: Vec<(Input, &[&str])>) -> Play {
    script.into_iter().fold(play, |play, (input, expected)| play.input(input).brings(expected))
}

/// The features are sent.
pub(crate) fn at_features(settings: Settings) -> Play {
    Play::new(settings).input(header("to='a.example'")).is("awaiting_feature")
}

/// The same by XEP-0388, with these children and no initial response if there is none among them.
pub(crate) fn authenticate(mechanism: &str, children: &str) -> Input {
    element(&format!(
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='{mechanism}'>{children}</authenticate>"
    ))
}

/// `\0romeo\0secret`.
pub(crate) const INITIAL_ROMEO: &str = "<initial-response>AHJvbWVvAHNlY3JldA==</initial-response>";

/// PLAIN by XEP-0388.
pub(crate) const AUTHENTICATE: &str = "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'>\
     <initial-response>AHJvbWVvAHNlY3JldA==</initial-response></authenticate>";

/// Romeo is set a task: his keys have too few iterations.
pub(crate) fn at_task() -> Play {
    let upgrade = "<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-1</upgrade>";
    let children = format!("{INITIAL_ROMEO}{upgrade}");
    let mut weak = keys();
    weak.keys[0].iterations = 1;
    let answer = Answer::Credentials { credentials: Some(weak), nonce: "3rfcNHYJY1ZVvWVs7j".to_owned() };
    let play = at_features(settings()).input(authenticate("PLAIN", &children)).answer(answer);
    play.answer(right()).is("awaiting_task")
}

/// Romeo has logged in by XEP-0388 and asked for a resource.
pub(crate) fn at_finish() -> Play {
    let children = format!("{INITIAL_ROMEO}<bind xmlns='urn:xmpp:bind:0'/>");
    let play = at_features(settings()).input(authenticate("PLAIN", &children)).answer(credentials());
    play.answer(right()).is("finishing")
}

/// `romeo@a.example` has logged in.
pub(crate) fn at_restart(settings: Settings) -> Play {
    let asked = at_features(settings).input(element(PLAIN_ROMEO)).is("looking_up");
    asked.answer(credentials()).is("checking").answer(right()).is("awaiting_restart")
}

/// The second features are sent.
pub(crate) fn at_bind(settings: Settings) -> Play {
    at_restart(settings).input(header("to='a.example' xml:lang='de'")).is("awaiting_bind")
}

/// `romeo@a.example/home` is bound.
pub(crate) fn bound(settings: Settings) -> Play {
    let claimed = at_bind(settings).input(element(BIND_HOME)).is("claiming");
    claimed.answer(Answer::Claimed(Ok(full("romeo@a.example/home")))).is("established")
}

fn short(bytes: &[u8]) -> String {
    shorter(&without_header(std::str::from_utf8(bytes).unwrap()))
}

fn shorter(text: &str) -> String {
    text.replace('"', "'").replace("urn:ietf:params:xml:ns:xmpp-", "…")
}

fn without_header(text: &str) -> String {
    let Some(start) = text.find("<?xml") else { return text.to_owned() };
    let end = start + text[start..].find("xml:lang=").unwrap();
    let end = end + text[end..].find('>').unwrap() + 1;
    let header = read_header(&text.as_bytes()[start..end]).unwrap();
    let attribute = |name: &str| {
        let found = header.attributes.iter().find(|found| found.namespace.is_empty() && found.name == name);
        found.map(|found| format!(" {name}={}", found.value)).unwrap_or_default()
    };
    let shortened = ["from", "to", "id"].map(attribute).concat();
    format!("{}[header{shortened}]{}", &text[..start], &text[end..])
}

/// One deed as a line.
pub(crate) fn line(action: &Action) -> String {
    match action {
        Action::Write(bytes) | Action::WriteStanza(bytes) => format!("write {}", short(bytes)),
        Action::Order(Order::NewStream(limits)) => format!("new stream up to {}", limits.element_bytes_max),
        Action::Order(Order::NewLimits(limits)) => format!("up to {}", limits.element_bytes_max),
        Action::Order(Order::StartTls(limits)) => format!("start tls up to {}", limits.element_bytes_max),
        Action::LoadCredentials(_, account) => format!("load {account}"),
        Action::CheckPassword(..) => "check password".to_owned(),
        Action::AskRegistration(_, host, stanza) => format!("register at {host}: {}", text(stanza)),
        Action::LoadTokens(_, account, client) => format!("tokens of {account} {client:?}"),
        Action::ChangeTokens(_, order) => format!("change {order:?}"),
        Action::StoreKeys(ask, order) => {
            format!("store {} {order:?}", if ask.is_some() { "and wait" } else { "" })
        }
        Action::Claim(_, account, resource, _) => match resource {
            Resource::Named(name) => format!("claim {account} Some({name:?})"),
            Resource::Made { prefix } if prefix.is_empty() => format!("claim {account} None"),
            other => format!("claim {account} {other:?}"),
        },
        Action::Resume(_, account, _) => format!("resume {account}"),
        Action::Manage(version, resumption) => {
            format!("manage {version:?} {:?}", resumption.map(|resumption| resumption.max_s))
        }
        Action::Received => "received".to_owned(),
        Action::AnswerRequest => "answer".to_owned(),
        Action::Acknowledged(h) => format!("acknowledged {h}"),
        Action::Retransmit(h) => format!("retransmit behind {h}"),
        Action::EnableCarbons => "carbons".to_owned(),
        Action::ClientActive(active) => format!("active {active}"),
        Action::Hibernate(reason) => format!("hibernate {reason:?}"),
        Action::ForgetResumption => "forget resumption".to_owned(),
        Action::Release(jid) => format!("release {jid}"),
        Action::Route(stanza) => format!("route {}", text(stanza)),
        Action::SetPresence(priority, stanza) => format!("presence {priority:?}: {}", text(stanza)),
        Action::EndSession(session, reason) => {
            let directed: Vec<&str> = session.directed.iter().map(|jid| jid.as_str()).collect();
            format!("end {} {:?} {directed:?} {reason:?}", session.jid, session.priority)
        }
        Action::SetDeadline(deadline) => format!("set {deadline:?}"),
        Action::ClearDeadline(deadline) => format!("clear {deadline:?}"),
        Action::StateChanged(name) => format!("now {name}"),
        Action::Authenticated(login) => {
            let LoggedIn { account, mechanism, .. } = &**login;
            format!("authenticated {account} {}", mechanism.name())
        }
        Action::AuthenticationFailed(mechanism, failure, _) => {
            format!("failed {:?} {}", mechanism.map(Mechanism::name), failure.name())
        }
        Action::Close(reason) => format!("close {reason:?}"),
        Action::Drop(reason) => format!("drop {reason:?}"),
    }
}

fn text(stanza: &Stanza) -> String {
    let mut bytes = bytes::BytesMut::new();
    stanza.write(&mut bytes);
    shorter(std::str::from_utf8(&bytes).unwrap())
}

/// Every deadline.
pub(crate) const DEADLINES: [Deadline; 6] = [
    Deadline::Header,
    Deadline::Negotiation,
    Deadline::Idle,
    Deadline::PingAnswer,
    Deadline::Acknowledgement,
    Deadline::Resumption,
];
