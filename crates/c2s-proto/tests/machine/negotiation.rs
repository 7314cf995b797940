//! Headers, features, STARTTLS, virtual hosts.

use bytes::BytesMut;
use rjabberd_c2s_proto::{Action, Input, LostReason, TlsPolicy};
use rjabberd_xml::{Element, XmlError};
use rjabberd_xmpp::{header::write_server_header, ns};

use crate::play::{
    OFFERED, PLAIN_ROMEO, Play, REQUIRED, STARTTLS, at_features, at_restart, check, element, fresh, header,
    header_of, settings, tls_started, with_host, with_tls, with_two_hosts,
};

#[test]
fn a_stream_begins_with_the_deadlines_of_negotiation() {
    Play::new(settings()).brings(&["set Header", "set Negotiation"]).is("awaiting_header");
}

#[test]
fn our_header_is_that_of_the_rfc_and_stands_before_the_features_in_one_write() {
    let play =
        Play::new(settings()).input(header("to='a.example' from='romeo@a.example/home' xml:lang='de'"));
    let mut expected = BytesMut::new();
    let romeo = rjabberd_xmpp::address::parse("romeo@a.example").unwrap();
    write_server_header("a.example", Some(&romeo), "s", "en", &mut expected);
    let [Action::ClearDeadline(_), Action::Write(bytes), Action::StateChanged(_)] = &play.deeds[..] else {
        panic!("{:?}", play.written());
    };
    assert!(bytes.starts_with(&expected), "{bytes:?}");
    assert!(bytes[expected.len()..].starts_with(b"<stream:features>"), "{bytes:?}");
    assert!(bytes.ends_with(b"</stream:features>"), "{bytes:?}");
}

#[test]
fn a_secure_stream_is_offered_mechanisms_strongest_first() {
    let play = Play::new(settings());
    check(
        play,
        vec![(
            header("to='a.example'"),
            &[
                "clear Header",
                "write [header from=a.example id=s]<stream:features><mechanisms xmlns='…sasl'>\
                 <mechanism>SCRAM-SHA-1</mechanism><mechanism>PLAIN</mechanism></mechanisms>\
                 <authentication xmlns='urn:xmpp:sasl:2'><mechanism>SCRAM-SHA-1</mechanism>\
                 <mechanism>PLAIN</mechanism><inline><sm xmlns='urn:xmpp:sm:3'/><bind xmlns='urn:xmpp:bind:0'><inline><feature var='urn:xmpp:sm:3'/><feature var='urn:xmpp:carbons:2'/><feature var='urn:xmpp:csi:0'/></inline></bind></inline>\
                 <upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-1</upgrade></authentication>\
                 <limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>8192</max-bytes></limits>\
                 <config-version xmlns='urn:xmpp:iap:0' scheme='opaque' value='iToaIkyb1i7yo4pv'/></stream:features>",
                "now awaiting_feature",
            ],
        )],
    );
}

#[test]
fn where_tls_is_required_nothing_else_is_offered() {
    let settings = with_host(|host| {
        host.registration = true;
        host.features = vec![Element::new("c", ns::CAPS)];
    });
    let play = at_features(rjabberd_c2s_proto::Settings { tls: REQUIRED, ..settings });
    assert_eq!(
        play.written(),
        "[header from=a.example id=s]<stream:features><starttls xmlns='…tls'><required/></starttls></stream:features>"
    );
}

#[test]
fn where_tls_is_offered_plain_waits_for_it() {
    let settings = with_host(|host| {
        host.registration = true;
        host.features = vec![Element::new("c", ns::CAPS)];
    });
    let play = at_features(rjabberd_c2s_proto::Settings { tls: OFFERED, ..settings });
    assert_eq!(
        play.written(),
        "[header from=a.example id=s]<stream:features><starttls xmlns='…tls'/>\
         <register xmlns='http://jabber.org/features/iq-register'/>\
         <mechanisms xmlns='…sasl'><mechanism>SCRAM-SHA-1</mechanism></mechanisms>\
         <c xmlns='http://jabber.org/protocol/caps'/>\
         <limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>8192</max-bytes></limits></stream:features>"
    );
}

#[test]
fn plain_without_tls_is_offered_where_the_config_says_so() {
    let settings = with_host(|host| host.plain_without_tls = true);
    let play = at_features(rjabberd_c2s_proto::Settings { tls: TlsPolicy::None, ..settings });
    assert!(play.written().contains("<mechanism>PLAIN</mechanism>"), "{}", play.written());
    assert!(!play.written().contains("starttls"), "{}", play.written());
}

#[test]
fn a_host_without_mechanisms_offers_no_empty_list() {
    let play = at_features(with_host(|host| host.mechanisms.clear()));
    assert!(!play.written().contains("mechanisms"), "{}", play.written());
}

#[test]
fn after_login_binding_is_offered_with_all_that_stays() {
    let settings = with_host(|host| {
        host.registration = true;
        host.features = vec![Element::new("c", ns::CAPS)];
    });
    let play = at_restart(settings).input(header("to='a.example'"));
    assert_eq!(
        play.written(),
        "[header from=a.example id=s]<stream:features><bind xmlns='…bind'/>\
         <session xmlns='…session'><optional/></session>\
         <sm xmlns='urn:xmpp:sm:3'/><sm xmlns='urn:xmpp:sm:2'/><csi xmlns='urn:xmpp:csi:0'/><ver xmlns='urn:xmpp:features:rosterver'/><sub xmlns='urn:xmpp:features:pre-approval'/>\
         <register xmlns='http://jabber.org/features/iq-register'/><c xmlns='http://jabber.org/protocol/caps'/>\
         <limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>262144</max-bytes>\
         <idle-seconds>300</idle-seconds></limits></stream:features>"
    );
}

#[test]
fn starttls_leads_to_a_new_stream_on_tls() {
    let play = check(
        at_features(with_tls(REQUIRED)),
        vec![
            (
                element(STARTTLS),
                &["write <proceed xmlns='…tls'/>", "start tls up to 8192", "now starting_tls"],
            ),
            (tls_started(), &["now awaiting_header"]),
        ],
    );
    let play = play.input(header("to='a.example'")).is("awaiting_feature");
    assert!(play.written().contains("<mechanism>PLAIN</mechanism>"), "{}", play.written());
    assert!(!play.written().contains("starttls"), "{}", play.written());
    assert_eq!(play.deeds.len(), 2, "the deadline of the first header was cleared before");
}

#[test]
fn bytes_behind_starttls_end_the_connection_without_a_word() {
    let play = at_features(with_tls(REQUIRED)).input(element(STARTTLS));
    play.input(Input::BytesBehindStartTls).brings(&["now closing", "close StartTlsFailed"]);
}

#[test]
fn a_failed_handshake_is_a_lost_connection() {
    let play = at_features(with_tls(REQUIRED)).input(element(STARTTLS));
    play.input(Input::ConnectionLost(LostReason::Tls)).brings(&["now closed", "drop Lost(Tls)"]);
}

#[test]
fn starttls_that_is_not_offered_fails_and_closes() {
    let refused: &[&str] =
        &["write <failure xmlns='…tls'/></stream:stream>", "now closing", "close StartTlsFailed"];
    check(at_features(settings()), vec![(element(STARTTLS), refused)]);
    check(at_features(with_tls(TlsPolicy::None)), vec![(element(STARTTLS), refused)]);
    let secured = at_features(with_tls(REQUIRED)).input(element(STARTTLS)).input(tls_started());
    check(secured.input(header("to='a.example'")), vec![(element(STARTTLS), refused)]);
}

#[test]
fn without_to_the_only_host_is_meant() {
    let play = Play::new(settings()).input(header("")).is("awaiting_feature");
    assert!(play.written().starts_with("[header from=a.example id=s]"), "{}", play.written());
}

#[test]
fn without_to_two_hosts_are_one_too_many() {
    let play = Play::new(with_two_hosts(settings())).input(header(""));
    play.brings(&[
        "clear Header",
        "write [header from=a.example id=s]<stream:error><improper-addressing xmlns='…streams'/></stream:error>\
         </stream:stream>",
        "now closing",
        "close StreamError(ImproperAddressing)",
    ]);
}

#[test]
fn the_second_host_answers_in_its_own_name() {
    let play = Play::new(with_two_hosts(settings())).input(header("to='B.example.'"));
    assert!(
        play.written().starts_with("[header from=b.example id=s]<stream:features>"),
        "{}",
        play.written()
    );
}

#[test]
fn a_refused_header_is_answered_by_the_host_that_it_asked_for() {
    let play = Play::new(with_two_hosts(settings()));
    let wrong = "<stream:stream xmlns='jabber:client' xmlns:stream='http://wrong.example/' version='1.0' \
                 to='b.example' from='juliet@b.example/x'>";
    let play = play.input(header_of(wrong));
    assert!(
        play.written().starts_with("[header from=b.example to=juliet@b.example id=s]<stream:error>"),
        "{}",
        play.written()
    );
}

#[test]
fn the_host_is_pinned_across_starttls() {
    let play = at_features(with_two_hosts(with_tls(REQUIRED))).input(element(STARTTLS)).input(tls_started());
    let play = play.input(header("to='b.example'")).is("closing");
    assert!(play.written().contains("<host-unknown "), "{}", play.written());
}

#[test]
fn the_host_is_pinned_across_authentication() {
    let play = at_restart(with_two_hosts(settings())).input(header("to='b.example'"));
    play.brings(&[
        "write [header from=b.example id=s]<stream:error><host-unknown xmlns='…streams'/></stream:error>\
         </stream:stream>",
        "now closing",
        "close StreamError(HostUnknown)",
    ]);
}

#[test]
fn a_restart_without_to_stays_on_the_host() {
    let play = at_restart(with_two_hosts(settings())).input(header("")).is("awaiting_bind");
    assert!(play.written().starts_with("[header from=a.example id=s]"), "{}", play.written());
}

#[test]
fn the_header_after_login_may_not_name_another_account() {
    let play = at_restart(settings()).input(header("to='a.example' from='juliet@a.example'")).is("closing");
    assert!(play.written().contains("<invalid-from "), "{}", play.written());
    let named = at_restart(settings()).input(header("to='a.example' from='romeo@a.example'"));
    named.is("awaiting_bind");
}

#[test]
fn each_header_of_ours_has_the_identifier_made_for_it() {
    let Input::HeaderRead(header, _) = header("to='a.example'") else { unreachable!() };
    let play = Play::new(settings()).input(Input::HeaderRead(header.clone(), fresh("one")));
    assert!(play.written().starts_with("[header from=a.example id=one]"), "{}", play.written());
    let play = at_restart(settings()).input(Input::HeaderRead(header, fresh("two")));
    assert!(play.written().starts_with("[header from=a.example id=two]"), "{}", play.written());
}

#[test]
fn what_is_refused_before_the_first_header_is_answered_behind_a_header() {
    let play = Play::new(settings()).input(Input::XmlRefused(XmlError::NotWellFormed("x"), fresh("mine")));
    let play = play.is("closing");
    assert!(play.written().starts_with("[header from=a.example id=mine]<stream:error><not-well-formed "));
    let play = at_restart(settings()).input(Input::XmlRefused(XmlError::NotWellFormed("x"), fresh("mine")));
    assert!(play.written().starts_with("[header from=a.example id=mine]<stream:error><not-well-formed "));
}

#[test]
fn an_error_of_the_clients_ends_the_stream() {
    let error = "<error xmlns='http://etherx.jabber.org/streams'>\
                 <unsupported-feature xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error>";
    let play = at_features(settings()).input(element(error));
    play.brings(&["write </stream:stream>", "now closing", "close ClientClosed"]);
}

#[test]
fn an_authentication_in_plain_fails_where_tls_is_required() {
    let play = at_features(with_tls(REQUIRED)).input(element(PLAIN_ROMEO));
    play.brings(&[
        "write <failure xmlns='…sasl'><encryption-required/></failure>",
        "failed Some(\"PLAIN\") encryption-required",
    ]);
}
