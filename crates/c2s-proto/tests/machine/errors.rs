//! Every stream error of RFC 6120, 4.9.3, by name: what brings it, or why nothing does.

use rjabberd_c2s_proto::{Answer, ControlInput, Input};
use rjabberd_xml::{Limit, XmlError};
use rjabberd_xmpp::{StreamCondition, management::TooHigh};

use crate::management;
use crate::play::{
    Play, STREAM, at_bind, at_features, at_restart, bound, element, fresh, full, header, header_of, settings,
    tls_started, with_two_hosts,
};

/// What brings a condition, each time from a fresh machine; empty where nothing does. Exhaustive on purpose.
fn brought_by(condition: StreamCondition) -> Vec<Play> {
    let start = || Play::new(settings());
    let refused = |play: Play, error: XmlError| play.input(Input::XmlRefused(error, fresh("s")));
    let control = |control: ControlInput| bound(settings()).input(Input::Control(control));
    match condition {
        StreamCondition::BadFormat => vec![
            start().input(header_of(&format!("<stream:flow {STREAM} version='1.0' to='a.example'>"))),
            management::managed(true).input(element("<a xmlns='urn:xmpp:sm:3' h='-1'/>")),
        ],
        StreamCondition::BadNamespacePrefix => vec![start().input(header_of(
            "<foobar:stream xmlns='jabber:client' xmlns:foobar='http://etherx.jabber.org/streams' \
             version='1.0' to='a.example'>",
        ))],
        StreamCondition::Conflict => vec![control(ControlInput::Replaced)],
        StreamCondition::ConnectionTimeout => {
            use rjabberd_c2s_proto::Deadline;
            vec![
                start().input(Input::DeadlinePassed(Deadline::Header)),
                at_bind(settings()).input(Input::DeadlinePassed(Deadline::Negotiation)),
            ]
        }
        StreamCondition::HostUnknown => vec![
            start().input(header("to='c.example'")),
            at_restart(with_two_hosts(settings())).input(header("to='b.example'")),
        ],
        StreamCondition::ImproperAddressing => vec![
            start().input(header("to='romeo@a.example'")),
            start().input(header("to='a.example/home'")),
            start().input(header("to='@@@'")),
            start().input(header("to=''")),
            Play::new(with_two_hosts(settings())).input(header("")),
        ],
        StreamCondition::InternalServerError => {
            vec![control(ControlInput::Panicked), at_bind(settings()).input(tls_started())]
        }
        StreamCondition::InvalidFrom => vec![
            start().input(header("to='a.example' from='@@@'")),
            at_restart(settings()).input(header("to='a.example' from='juliet@a.example'")),
            bound(settings()).input(element("<message from='juliet@a.example'/>")),
        ],
        StreamCondition::InvalidNamespace => vec![
            start().input(header_of(
                "<stream:stream xmlns='jabber:client' xmlns:stream='http://wrong.example/' version='1.0' \
                 to='a.example'>",
            )),
            start().input(header_of(
                "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
                 version='1.0' to='a.example'>",
            )),
        ],
        StreamCondition::NotAuthorized => vec![
            at_features(settings()).input(element("<message/>")),
            at_bind(settings()).input(element("<presence/>")),
            control(ControlInput::AccountRemoved),
            control(ControlInput::CredentialsChanged),
        ],
        StreamCondition::NotWellFormed => vec![
            refused(start(), XmlError::NotWellFormed("x")),
            refused(bound(settings()), XmlError::NotWellFormed("x")),
        ],
        StreamCondition::PolicyViolation => vec![
            refused(start(), XmlError::LimitPassed(Limit::HeaderBytes)),
            refused(bound(settings()), XmlError::LimitPassed(Limit::ElementBytes)),
            control(ControlInput::Kicked),
            management::managed(true).input(element("<enable xmlns='urn:xmpp:sm:3'/>")),
        ],
        StreamCondition::ResourceConstraint => vec![
            control(ControlInput::Overflowed),
            control(ControlInput::Evicted),
            management::managed(true).input(Input::TooMuchHeld),
        ],
        StreamCondition::RestrictedXml => vec![
            refused(start(), XmlError::Restricted("a comment")),
            refused(at_bind(settings()), XmlError::Restricted("a comment")),
        ],
        StreamCondition::SystemShutdown => vec![control(ControlInput::Shutdown)],
        StreamCondition::UnsupportedEncoding => vec![
            refused(start(), XmlError::UnsupportedEncoding),
            refused(start(), XmlError::NotUtf8("not UTF-8")),
            refused(bound(settings()), XmlError::NotUtf8("not UTF-8")),
        ],
        StreamCondition::UnsupportedStanzaType => vec![
            at_features(settings()).input(element("<pubsub/>")),
            at_features(settings()).input(element("<enable xmlns='urn:xmpp:sm:3'/>")),
            at_bind(settings()).input(element("<pubsub/>")),
            at_bind(settings()).input(element("<enabled xmlns='urn:xmpp:sm:3'/>")),
            bound(settings()).input(element("<pubsub/>")),
            bound(settings()).input(element("<enabled xmlns='urn:xmpp:sm:3'/>")),
        ],
        StreamCondition::UnsupportedVersion => vec![
            start().input(header_of(&format!("<stream:stream {STREAM} to='a.example'>"))),
            start().input(header_of(&format!("<stream:stream {STREAM} to='a.example' version='11.0'>"))),
        ],
        // No host is ever taken out of service while the server runs.
        StreamCondition::HostGone => Vec::new(),
        // Nothing is validated against a schema (RFC 6120, 11.4): what is not understood is answered by stanza errors.
        StreamCondition::InvalidXml => Vec::new(),
        // Nothing that a client needs for authentication is remote.
        StreamCondition::RemoteConnectionFailed => Vec::new(),
        // Features change with the server only.
        StreamCondition::Reset => Vec::new(),
        // There is one node.
        StreamCondition::SeeOtherHost => Vec::new(),
        StreamCondition::UndefinedCondition => {
            vec![management::managed(true).input(Input::HandledTooHigh(TooHigh { h: 10, sent: 8 }))]
        }
        // Said by whoever opens a stream.
        StreamCondition::UnsupportedFeature => Vec::new(),
    }
}

const CONDITIONS: [StreamCondition; 25] = [
    StreamCondition::BadFormat,
    StreamCondition::BadNamespacePrefix,
    StreamCondition::Conflict,
    StreamCondition::ConnectionTimeout,
    StreamCondition::HostGone,
    StreamCondition::HostUnknown,
    StreamCondition::ImproperAddressing,
    StreamCondition::InternalServerError,
    StreamCondition::InvalidFrom,
    StreamCondition::InvalidNamespace,
    StreamCondition::InvalidXml,
    StreamCondition::NotAuthorized,
    StreamCondition::NotWellFormed,
    StreamCondition::PolicyViolation,
    StreamCondition::RemoteConnectionFailed,
    StreamCondition::Reset,
    StreamCondition::ResourceConstraint,
    StreamCondition::RestrictedXml,
    StreamCondition::SeeOtherHost,
    StreamCondition::SystemShutdown,
    StreamCondition::UndefinedCondition,
    StreamCondition::UnsupportedEncoding,
    StreamCondition::UnsupportedFeature,
    StreamCondition::UnsupportedStanzaType,
    StreamCondition::UnsupportedVersion,
];

#[test]
fn each_condition_is_said_by_its_name_behind_exactly_one_header_and_ends_the_stream() {
    let mut brought = 0;
    for condition in CONDITIONS {
        for play in brought_by(condition) {
            brought += 1;
            let (name, written) = (condition.name(), play.written());
            let at = written.find("<stream:error>").unwrap_or_else(|| panic!("{name}: {written}"));
            assert!(
                written[at..].starts_with(&format!("<stream:error><{name} xmlns='…streams'")),
                "{written}"
            );
            assert!(written.ends_with("</stream:error></stream:stream>"), "{written}");
            assert!(at == 0 || written.starts_with("[header from="), "{name}: {written}");
            play.is("closing");
        }
    }
    assert_eq!(brought, 48);
}

#[test]
fn a_stanza_that_is_too_big_is_told_so() {
    let error = XmlError::LimitPassed(Limit::ElementBytes);
    let play = bound(settings()).input(Input::XmlRefused(error, fresh("s")));
    assert!(play.written().contains("<stanza-too-big xmlns='urn:xmpp:errors'/>"), "{}", play.written());
}

#[test]
fn an_error_takes_back_no_claim_that_is_still_asked() {
    let play = at_bind(settings()).input(element(crate::play::BIND_HOME));
    let ask = play.ask;
    let play = play.input(Input::XmlRefused(XmlError::NotWellFormed("x"), fresh("s"))).is("closing");
    let late = Input::Answered(ask, Answer::Claimed(Ok(full("romeo@a.example/home"))));
    play.input(late).brings(&["release romeo@a.example/home"]);
}
