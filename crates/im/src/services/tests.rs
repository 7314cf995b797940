//! Tests of all features through the one door that they have: a request as a client writes it, the answer as it reads.

use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use rjabberd_session_manager::SessionTable;
use rjabberd_xml::{Context, read_element};
use rjabberd_xmpp::{BareJid, address};
use zeroize::Zeroizing;

use super::*;
use crate::stage::Keeper;
use crate::{AccountError, Limits};

/// Accounts that write down what is asked of them and always answer the same.
struct Probe {
    asked: Mutex<Vec<String>>,
    answer: Result<(), AccountError>,
}

impl Probe {
    fn note(&self, deed: String) -> BoxFuture<'static, Result<(), AccountError>> {
        self.asked.lock().unwrap().push(deed);
        std::future::ready(self.answer).boxed()
    }
}

impl Accounts for Probe {
    fn create(
        &self,
        account: BareJid,
        password: Zeroizing<String>,
    ) -> BoxFuture<'static, Result<(), AccountError>> {
        self.note(format!("create {account} {}", *password))
    }

    fn change_password(
        &self,
        account: BareJid,
        password: Zeroizing<String>,
        asker: FullJid,
    ) -> BoxFuture<'static, Result<(), AccountError>> {
        self.note(format!("change {account} {} for {asker}", *password))
    }

    fn remove(&self, account: BareJid, asker: FullJid) -> BoxFuture<'static, Result<(), AccountError>> {
        self.note(format!("remove {account} for {asker}"))
    }
}

const HOST: &str = "example.net";

/// Services, and what they ask of the accounts.
struct Bench {
    services: Services,
    probe: Arc<Probe>,
}

impl Bench {
    fn new(answer: Result<(), AccountError>) -> Bench {
        let probe = Arc::new(Probe { asked: Mutex::default(), answer });
        Bench { services: Services::new(im(), Some(probe.clone())), probe }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.probe.asked.lock().unwrap())
    }
}

fn clock() -> Clock {
    Arc::new(|| UNIX_EPOCH + Duration::from_secs(1_166_551_115))
}

fn im() -> &'static Im {
    Im::new(Arc::new(Keeper::default()), SessionTable::new(), [HOST.to_owned()], clock(), Limits::default())
}

fn closed() -> Services {
    Services::new(im(), None)
}

fn stanza(text: &str) -> Stanza {
    let fragment = read_element(&Context::canonical(), Bytes::copy_from_slice(text.as_bytes())).unwrap();
    Stanza::from_fragment(fragment, None).unwrap().unwrap()
}

/// What the answer says, without the start tag: the payload, or the condition of the error.
#[track_caller]
fn said(services: &Services, request: &Stanza, sender: Sender<'_>) -> String {
    let answer = match services.answer(request, sender) {
        Answer::Now(answer) => answer,
        Answer::Later(answer) => answer.now_or_never().expect("the probe answers at once"),
        Answer::Nothing => return "nothing".to_owned(),
    };
    let answer = crate::long::whole(answer);
    assert_eq!(answer.id, request.id);
    assert_eq!(answer.from, request.to);
    match sender {
        Sender::Session(session) => assert_eq!(answer.to.as_ref(), Some(&Jid::from(session.clone()))),
        Sender::Stream { .. } => assert_eq!(answer.to, None),
    }
    if answer.is_error() {
        let error = answer.child_element(&answer.children()[0]).unwrap();
        return StanzaError::from_element(&error).condition.name().to_owned();
    }
    assert_eq!(answer.kind, StanzaKind::Iq(IqType::Result));
    let mut out = BytesMut::new();
    out.extend_from_slice(answer.inner());
    String::from_utf8(out.to_vec()).unwrap()
}

/// A session of romeo asks.
#[track_caller]
fn session_asks(services: &Services, request_type: &str, to: Option<&str>, payload: &str) -> String {
    let session = address::full(&address::account("romeo", HOST).unwrap(), "orchard").unwrap();
    let to = to.map_or(String::new(), |to| format!(" to='{to}'"));
    let request = format!("<iq id='7' from='{session}' type='{request_type}'{to}>{payload}</iq>");
    said(services, &stanza(&request), Sender::Session(&session))
}

/// A stream that has not authenticated asks.
#[track_caller]
fn stranger_asks(services: &Services, request_type: &str, payload: &str) -> String {
    let request = format!("<iq id='7' to='{HOST}' type='{request_type}'>{payload}</iq>");
    said(services, &stanza(&request), Sender::Stream { host: HOST })
}

const PING: &str = "<ping xmlns='urn:xmpp:ping'/>";
const VERSION: &str = "<query xmlns='jabber:iq:version'/>";
const TIME: &str = "<time xmlns='urn:xmpp:time'/>";
const INFO: &str = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
const ITEMS: &str = "<query xmlns='http://jabber.org/protocol/disco#items'/>";
const REGISTER: &str = "<query xmlns='jabber:iq:register'/>";

const OWN: Option<&str> = Some("romeo@example.net");
const OTHER: Option<&str> = Some("juliet@example.net");
const SERVER: Option<&str> = Some(HOST);

#[test]
fn a_ping_is_answered_with_an_empty_result() {
    for to in [None, OWN, SERVER] {
        assert_eq!(session_asks(&closed(), "get", to, PING), "");
    }
    assert_eq!(session_asks(&closed(), "set", SERVER, PING), "feature-not-implemented");
    assert_eq!(
        session_asks(&closed(), "get", SERVER, "<pong xmlns='urn:xmpp:ping'/>"),
        "feature-not-implemented"
    );
}

#[test]
fn the_version_names_the_server_and_no_operating_system() {
    let expected = format!(
        "<query xmlns=\"jabber:iq:version\"><name>rjabberd</name><version>{}</version></query>",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(session_asks(&closed(), "get", SERVER, VERSION), expected);
    assert_eq!(session_asks(&closed(), "set", SERVER, VERSION), "feature-not-implemented");
    assert_eq!(session_asks(&closed(), "get", OWN, VERSION), "service-unavailable");
}

#[test]
fn the_time_is_told_in_utc() {
    let expected = "<time xmlns=\"urn:xmpp:time\"><tzo>+00:00</tzo><utc>2006-12-19T17:58:35Z</utc></time>";
    assert_eq!(session_asks(&closed(), "get", SERVER, TIME), expected);
    assert_eq!(session_asks(&closed(), "set", SERVER, TIME), "feature-not-implemented");
    assert_eq!(session_asks(&closed(), "get", None, TIME), "service-unavailable");
}

#[test]
fn the_server_names_its_features() {
    assert_eq!(
        session_asks(&closed(), "get", SERVER, INFO),
        "<query xmlns=\"http://jabber.org/protocol/disco#info\">\
         <identity category=\"server\" type=\"im\" name=\"rjabberd\"/>\
         <feature var=\"http://jabber.org/protocol/caps\"/>\
         <feature var=\"http://jabber.org/protocol/disco#info\"/>\
         <feature var=\"http://jabber.org/protocol/disco#items\"/>\
         <feature var=\"jabber:iq:last\"/><feature var=\"jabber:iq:version\"/>\
         <feature var=\"msgoffline\"/><feature var=\"urn:xmpp:blocking\"/>\
         <feature var=\"urn:xmpp:carbons:2\"/><feature var=\"urn:xmpp:ping\"/>\
         <feature var=\"urn:xmpp:reporting:1\"/><feature var=\"urn:xmpp:time\"/>\
         <feature var=\"vcard-temp\"/></query>"
    );
}

#[test]
fn an_account_names_its_features() {
    for to in [None, OWN] {
        let info = session_asks(&Bench::new(Ok(())).services, "get", to, INFO);
        let (before, after) =
            info.split_once("<feature var=\"http://jabber.org/protocol/pubsub\"/>").unwrap();
        assert_eq!(
            before,
            "<query xmlns=\"http://jabber.org/protocol/disco#info\">\
             <identity category=\"account\" type=\"registered\"/><identity category=\"pubsub\" type=\"pep\"/>\
             <feature var=\"http://jabber.org/protocol/disco#info\"/>\
             <feature var=\"http://jabber.org/protocol/disco#items\"/>"
        );
        let (pubsub, after) = after.split_at(after.find("<feature var=\"jabber:").unwrap());
        let pubsub: Vec<&str> = pubsub.split_inclusive("/>").collect();
        assert_eq!(pubsub.len(), 35);
        let is_of_pubsub =
            |feature: &&str| feature.starts_with("<feature var=\"http://jabber.org/protocol/pubsub#");
        assert!(pubsub.iter().all(is_of_pubsub), "{pubsub:?}");
        assert_eq!(
            after,
            "<feature var=\"jabber:iq:last\"/><feature var=\"jabber:iq:private\"/>\
             <feature var=\"jabber:iq:register\"/><feature var=\"urn:xmpp:blocking\"/>\
             <feature var=\"urn:xmpp:bookmarks:1#compat\"/><feature var=\"urn:xmpp:bookmarks:1#compat-pep\"/>\
             <feature var=\"urn:xmpp:carbons:2\"/>\
             <feature var=\"urn:xmpp:pep-vcard-conversion:0\"/>\
             <feature var=\"urn:xmpp:ping\"/><feature var=\"urn:xmpp:push:0\"/>\
             <feature var=\"urn:xmpp:reporting:1\"/>\
             <feature var=\"urn:xmpp:sid:0\"/><feature var=\"vcard-temp\"/></query>"
        );
    }
}

#[test]
fn registration_is_named_only_where_it_is_on() {
    let feature = "<feature var=\"jabber:iq:register\"/>";
    assert!(session_asks(&Bench::new(Ok(())).services, "get", SERVER, INFO).contains(feature));
    assert!(!session_asks(&closed(), "get", SERVER, INFO).contains(feature));
    assert!(!session_asks(&closed(), "get", None, INFO).contains(feature));
}

#[test]
fn each_feature_that_is_named_works() {
    let bench = Bench::new(Ok(()));
    for (to, named) in [(SERVER, 13), (OWN, 51)] {
        let info = session_asks(&bench.services, "get", to, INFO);
        let features: Vec<&str> =
            info.split("var=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert_eq!(features.len(), named, "{features:?}");
        // Capabilities are for the stream features, reports come inside of blocks, messages wait and get ids by
        // themselves, and of carbons and push nothing can be asked without changing it. What belongs to personal
        // eventing has its tests there.
        let unasked = [
            ns::CAPS,
            ns::REPORTING,
            ns::OFFLINE,
            ns::STANZA_IDS,
            ns::CARBONS,
            ns::PUSH,
            ns::AVATAR_CONVERSION,
        ];
        let asked_for = |feature: &&&str| {
            let is_pep = feature.starts_with(ns::PUBSUB) || feature.starts_with(ns::BOOKMARKS);
            !is_pep && !unasked.contains(*feature)
        };
        for feature in features.iter().filter(asked_for) {
            // XEP-0191, 3: the server says that it can, and is asked by the account.
            let to = if *feature == ns::BLOCKING { None } else { to };
            let answers = ["query", "ping", "time", "vCard", "blocklist"].map(|name| {
                session_asks(&bench.services, "get", to, &format!("<{name} xmlns='{feature}'/>"))
            });
            let unknown = ["service-unavailable", "feature-not-implemented"];
            let works = |answer: &String| !unknown.contains(&answer.as_str());
            assert!(answers.iter().any(works), "{feature} {answers:?}");
        }
    }
}

#[test]
fn the_capabilities_in_the_stream_features_are_those_of_the_info() {
    for services in [closed(), Bench::new(Ok(())).services] {
        let caps = services.caps();
        assert!(caps.is("c", ns::CAPS));
        assert_eq!((caps.attribute("hash"), caps.attribute("node")), (Some("sha-1"), Some("urn:rjabberd")));
        let info = session_asks(&services, "get", SERVER, INFO);
        let read =
            read_element(&Context::canonical(), Bytes::from(info.clone())).unwrap().to_element().unwrap();
        assert_eq!(caps.attribute("ver"), Some(crate::caps::ver(&read).as_str()));
        // XEP-0115, 6.2: asked for the node, the server says the same and mirrors it.
        let node = format!("urn:rjabberd#{}", caps.attribute("ver").unwrap());
        let asked = INFO.replace("/>", &format!(" node='{node}'/>"));
        let mirrored = info.replacen("#info\">", &format!("#info\" node=\"{node}\">"), 1);
        assert_eq!(session_asks(&services, "get", SERVER, &asked), mirrored);
    }
}

#[test]
fn an_unknown_node_is_not_found() {
    for query in [INFO, ITEMS] {
        for node in ["", "x", "urn:rjabberd", "urn:rjabberd#x"] {
            let asked = query.replace("/>", &format!(" node='{node}'/>"));
            assert_eq!(session_asks(&closed(), "get", SERVER, &asked), "item-not-found", "{asked}");
            assert_eq!(session_asks(&closed(), "get", OWN, &asked), "item-not-found", "{asked}");
        }
    }
}

#[test]
fn nothing_tells_whether_another_account_exists() {
    for payload in [INFO, PING, VERSION, TIME, REGISTER] {
        assert_eq!(session_asks(&Bench::new(Ok(())).services, "get", OTHER, payload), "service-unavailable");
    }
    let none = "<query xmlns=\"http://jabber.org/protocol/disco#items\"/>";
    assert_eq!(session_asks(&closed(), "get", OTHER, ITEMS), none);
    assert_eq!(
        session_asks(&closed(), "get", OTHER, &ITEMS.replace("/>", " node='x'/>")),
        "<query xmlns=\"http://jabber.org/protocol/disco#items\" node=\"x\"/>"
    );
    for to in [SERVER, OWN, None] {
        assert_eq!(session_asks(&closed(), "get", to, ITEMS), none);
    }
}

#[test]
fn discovery_is_read_only() {
    for payload in [INFO, ITEMS] {
        assert_eq!(session_asks(&closed(), "set", SERVER, payload), "feature-not-implemented");
        let renamed = payload.replace("query", "questions");
        assert_eq!(session_asks(&closed(), "get", SERVER, &renamed), "feature-not-implemented");
    }
}

#[test]
fn an_unknown_namespace_is_unavailable() {
    for to in [None, OWN, OTHER, SERVER] {
        assert_eq!(session_asks(&closed(), "get", to, "<query xmlns='urn:x'/>"), "service-unavailable");
    }
    assert_eq!(session_asks(&closed(), "get", Some("example.net/x"), PING), "service-unavailable");
}

#[test]
fn what_is_no_request_is_not_answered() {
    let session = address::full(&address::account("romeo", HOST).unwrap(), "orchard").unwrap();
    for text in
        ["<iq id='1' type='result'/>", "<iq id='1' type='error'><error/></iq>", "<message/>", "<presence/>"]
    {
        assert_eq!(said(&closed(), &stanza(text), Sender::Session(&session)), "nothing", "{text}");
    }
}

#[test]
fn a_stranger_may_do_nothing_but_register() {
    for payload in [PING, VERSION, TIME, INFO, ITEMS, "<query xmlns='urn:x'/>"] {
        assert_eq!(stranger_asks(&Bench::new(Ok(())).services, "get", payload), "not-authorized");
    }
    let elsewhere = stanza(&format!("<iq id='7' to='example.com' type='get'>{REGISTER}</iq>"));
    let services = Bench::new(Ok(())).services;
    assert_eq!(said(&services, &elsewhere, Sender::Stream { host: HOST }), "service-unavailable");
}

/// A `<query/>` of registration with these fields.
fn form(fields: &str) -> String {
    format!("<query xmlns='jabber:iq:register'>{fields}</query>")
}

#[test]
fn registration_that_is_off_is_unavailable() {
    for request_type in ["get", "set"] {
        assert_eq!(stranger_asks(&closed(), request_type, REGISTER), "service-unavailable");
        assert_eq!(session_asks(&closed(), request_type, SERVER, REGISTER), "service-unavailable");
    }
}

#[test]
fn a_stranger_is_told_which_fields_to_fill_in() {
    let expected = "<query xmlns=\"jabber:iq:register\">\
        <instructions>Choose a user name and a password.</instructions><username/><password/></query>";
    let services = Bench::new(Ok(())).services;
    assert_eq!(stranger_asks(&services, "get", REGISTER), expected);
    let unaddressed = stanza(&format!("<iq id='7' type='get'>{REGISTER}</iq>"));
    assert_eq!(said(&services, &unaddressed, Sender::Stream { host: HOST }), expected);
}

#[test]
fn a_stranger_creates_an_account_at_the_host_of_his_stream() {
    let bench = Bench::new(Ok(()));
    let filled = form("<username>Bill</username><password>Call iope </password><email>ignored</email>");
    assert_eq!(stranger_asks(&bench.services, "set", &filled), "");
    assert_eq!(bench.asked(), ["create bill@example.net Call iope "]);
}

#[test]
fn what_a_stranger_leaves_out_or_misspells_is_not_acceptable() {
    let bench = Bench::new(Ok(()));
    for fields in [
        "",
        "<username>bill</username>",
        "<password>secret</password>",
        "<username/><password>secret</password>",
        "<username>bill</username><password/>",
        "<username>bill@example.net</username><password>secret</password>",
        "<username>b ill</username><password>secret</password>",
        "<x xmlns='jabber:x:data' type='submit'/>",
    ] {
        assert_eq!(stranger_asks(&bench.services, "set", &form(fields)), "not-acceptable", "{fields}");
    }
    assert_eq!(stranger_asks(&bench.services, "set", &form("<remove/>")), "unexpected-request");
    assert_eq!(
        stranger_asks(&bench.services, "get", "<form xmlns='jabber:iq:register'/>"),
        "feature-not-implemented"
    );
    assert_eq!(bench.asked(), [""; 0]);
}

#[test]
fn a_session_is_told_that_it_is_registered() {
    for to in [None, OWN, SERVER] {
        assert_eq!(
            session_asks(&Bench::new(Ok(())).services, "get", to, REGISTER),
            "<query xmlns=\"jabber:iq:register\"><registered/>\
             <instructions>You are registered. You may change your password.</instructions>\
             <username>romeo</username><password/></query>"
        );
    }
}

#[test]
fn a_session_changes_its_own_password() {
    let bench = Bench::new(Ok(()));
    let filled = form("<username>ROMEO</username><password>new</password>");
    for to in [None, OWN, SERVER] {
        assert_eq!(session_asks(&bench.services, "set", to, &filled), "");
        assert_eq!(bench.asked(), ["change romeo@example.net new for romeo@example.net/orchard"]);
    }
}

#[test]
fn an_incomplete_or_foreign_change_of_password_is_refused() {
    let bench = Bench::new(Ok(()));
    for (fields, expected) in [
        ("", "bad-request"),
        ("<password>new</password>", "bad-request"),
        ("<username>romeo</username>", "bad-request"),
        ("<username>romeo</username><password/>", "bad-request"),
        ("<username>romeo</username><password></password>", "bad-request"),
        ("<username>juliet</username><password>new</password>", "not-acceptable"),
        ("<username>romeo@example.net</username><password>new</password>", "not-acceptable"),
    ] {
        assert_eq!(session_asks(&bench.services, "set", SERVER, &form(fields)), expected, "{fields}");
    }
    let filled = form("<username>romeo</username><password>new</password>");
    for request_type in ["get", "set"] {
        assert_eq!(session_asks(&bench.services, request_type, Some("example.com"), &filled), "not-allowed");
    }
    assert_eq!(bench.asked(), [""; 0]);
}

#[test]
fn a_session_removes_its_own_account() {
    let bench = Bench::new(Ok(()));
    for to in [None, OWN, SERVER] {
        assert_eq!(session_asks(&bench.services, "set", to, &form("<remove/>")), "");
        assert_eq!(bench.asked(), ["remove romeo@example.net for romeo@example.net/orchard"]);
    }
    for fields in ["<remove/><username>romeo</username>", "<remove/><remove/>", "<remove/><x xmlns='urn:x'/>"]
    {
        assert_eq!(session_asks(&bench.services, "set", SERVER, &form(fields)), "bad-request", "{fields}");
    }
    assert_eq!(session_asks(&bench.services, "set", Some("example.com"), &form("<remove/>")), "not-allowed");
    assert_eq!(bench.asked(), [""; 0]);
}

#[test]
fn what_the_accounts_refuse_has_its_error() {
    for (refused, expected) in [
        (AccountError::Exists, "conflict"),
        (AccountError::Unknown, "registration-required"),
        (AccountError::BadPassword, "not-acceptable"),
        (AccountError::Forbidden, "forbidden"),
        (AccountError::NotAllowed, "not-allowed"),
        (AccountError::Busy, "resource-constraint"),
        (AccountError::Failed, "internal-server-error"),
    ] {
        let bench = Bench::new(Err(refused));
        let filled = form("<username>romeo</username><password>new</password>");
        assert_eq!(stranger_asks(&bench.services, "set", &filled), expected);
        assert_eq!(session_asks(&bench.services, "set", SERVER, &filled), expected);
        assert_eq!(session_asks(&bench.services, "set", None, &form("<remove/>")), expected);
        assert_eq!(bench.asked().len(), 3);
    }
}
