//! What clients enable, what is told of, and what becomes of registrations. Juliet's session is the push service.

use std::sync::atomic::Ordering::SeqCst;

use futures_util::FutureExt;
use rjabberd_xmpp::{BareJid, Stanza};

use crate::stage::{JULIET, Session, Stage, inner, settle, stanza, told};
use crate::{ContactAddresses, Limits, PushLimits};

const ROMEO: &str = "romeo@example.net";

fn form(form_type: &str) -> String {
    format!(
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{form_type}</value></field>\
         <field var='secret'><value>hidden</value></field></x>"
    )
}

fn enable(attributes: &str, inner: &str) -> String {
    format!("<enable xmlns='urn:xmpp:push:0' {attributes}>{inner}</enable>")
}

fn node(node: &str) -> String {
    enable(&format!("jid='{JULIET}' node='{node}'"), "")
}

fn chat(inner: &str) -> Stanza {
    stanza(&format!("<message from='tybalt@example.net/x' to='{ROMEO}' type='chat'>{inner}</message>"))
}

fn account() -> BareJid {
    BareJid::new(ROMEO).unwrap()
}

/// A stage with the push service on it.
struct Play {
    stage: Stage,
    service: Session,
}

impl Play {
    async fn new(push: PushLimits) -> Play {
        let stage = Stage::with(Limits { push, ..Limits::default() }, &ContactAddresses::default());
        let [service] = stage.sit([JULIET]).await;
        Play { stage, service }
    }

    fn asks(&self, payload: &str) -> String {
        self.stage.asks("set", None, payload)
    }

    fn comes(&self, message: &str) {
        self.stage.im.push_hint(&account(), &chat(message));
    }

    /// Another second, and what the service has got by then.
    async fn second(&self) -> Vec<Stanza> {
        self.stage.now_unix_s.fetch_add(1, SeqCst);
        self.stage.im.send_pushes().now_or_never().expect("the store answers at once");
        settle().await;
        self.service.takes()
    }

    /// A message, and the one notification of it.
    async fn is_told(&self) -> Stanza {
        self.comes("<body>hi</body>");
        let [told] = &self.second().await[..] else { panic!("one notification") };
        told.clone()
    }

    fn answers(&self, request: &Stanza, kind: &str, inner: &str) -> bool {
        self.answers_from(JULIET, request, kind, inner)
    }

    fn answers_from(&self, from: &str, request: &Stanza, kind: &str, inner: &str) -> bool {
        let id = request.id.as_deref().unwrap();
        let answer = format!("<iq from='{from}' to='example.net' id='{id}' type='{kind}'>{inner}</iq>");
        self.stage.im.questions.answered(&stanza(&answer))
    }

    fn refuses(&self, request: &Stanza, error_type: &str, condition: &str) {
        let error = format!(
            "<error type='{error_type}'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
        );
        assert!(self.answers(request, "error", &error));
    }

    fn registrations(&self) -> usize {
        self.stage.store.kept.lock().push.get(ROMEO).map_or(0, Vec::len)
    }
}

fn number(told: &Stanza, field: &str) -> Option<String> {
    let text = inner(told);
    let (_, behind) = text.split_once(&format!("var=\"{field}\"><value>"))?;
    Some(behind.split_once('<')?.0.to_owned())
}

#[test]
fn enabling_is_for_ones_own_account_and_says_what_is_wrong() {
    let stage = Stage::new();
    let info = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    assert!(stage.asks("get", Some(ROMEO), info).contains("urn:xmpp:push:0"));
    assert!(!stage.asks("get", Some("example.net"), info).contains("urn:xmpp:push:0"));
    for to in [None, Some(ROMEO)] {
        assert_eq!(stage.asks("set", to, &enable("jid='push.example' node='n'", "")), "");
    }
    let options = form("http://jabber.org/protocol/pubsub#publish-options");
    let long = options.replace("hidden", &"x".repeat(5_000));
    for (payload, to, expected) in [
        (enable("jid='push.example'", &options), None, ""),
        (enable("node='n'", ""), None, "modify bad-request"),
        (enable("jid='a@b@c'", ""), None, "modify jid-malformed"),
        (enable(&format!("jid='a.example' node='{}'", "n".repeat(1_024)), ""), None, "modify bad-request"),
        (enable("jid='push.example'", &form("other")), None, "modify bad-request"),
        (enable("jid='push.example'", &long), None, "modify policy-violation"),
        (enable("jid='push.example'", ""), Some("juliet@example.net"), "cancel service-unavailable"),
        (enable("jid='push.example'", ""), Some("example.net"), "cancel service-unavailable"),
        ("<disable xmlns='urn:xmpp:push:0'/>".to_owned(), None, "modify bad-request"),
        ("<disable xmlns='urn:xmpp:push:0' jid='none.example'/>".to_owned(), None, ""),
        ("<other xmlns='urn:xmpp:push:0'/>".to_owned(), None, "cancel feature-not-implemented"),
    ] {
        assert_eq!(stage.asks("set", to, &payload), expected, "{payload}");
    }
    assert_eq!(stage.asks("get", None, &enable("jid='push.example'", "")), "cancel feature-not-implemented");
    assert_eq!(stage.store.kept.lock().push[ROMEO].len(), 2);
}

#[actix_rt::test]
async fn an_account_has_only_so_many_registrations() {
    let play = Play::new(PushLimits { registrations_max: 2, ..PushLimits::default() }).await;
    assert_eq!((play.asks(&node("a")).as_str(), play.asks(&node("b")).as_str()), ("", ""));
    assert_eq!(play.asks(&node("c")), "modify policy-violation");
}

#[actix_rt::test]
async fn a_message_is_told_of_without_its_contents_and_with_the_options() {
    let play = Play::new(PushLimits::default()).await;
    let options = form("http://jabber.org/protocol/pubsub#publish-options");
    play.asks(&enable(&format!("jid='{JULIET}' node='n&lt;'"), &options));
    let told = play.is_told().await;
    assert_eq!(told.from.as_ref().unwrap().as_str(), "example.net");
    assert_eq!(told.kind.type_name(), Some("set"));
    assert_eq!(
        inner(&told),
        "<pubsub xmlns=\"http://jabber.org/protocol/pubsub\"><publish node=\"n&lt;\"><item>\
         <notification xmlns=\"urn:xmpp:push:0\"><x xmlns=\"jabber:x:data\" type=\"submit\">\
         <field var=\"FORM_TYPE\" type=\"hidden\"><value>urn:xmpp:push:summary</value></field>\
         <field var=\"message-count\"><value>1</value></field></x></notification></item></publish>\
         <publish-options><x xmlns=\"jabber:x:data\" type=\"submit\"><field var=\"FORM_TYPE\">\
         <value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
         <field var=\"secret\"><value>hidden</value></field></x></publish-options></pubsub>"
    );
    assert_eq!(play.stage.im.push.snapshot().sent, 1);
}

#[actix_rt::test]
async fn contents_are_told_where_the_config_says_so() {
    let play = Play::new(PushLimits { contents: true, ..PushLimits::default() }).await;
    play.asks(&node("n"));
    play.comes(&format!("<body>{}</body>", "ü".repeat(1_000)));
    let [told] = &play.second().await[..] else { panic!("one notification") };
    assert_eq!(number(told, "last-message-sender").as_deref(), Some("tybalt@example.net/x"));
    assert_eq!(number(told, "last-message-body").unwrap(), "ü".repeat(512));
}

#[actix_rt::test]
async fn requests_for_subscription_are_counted() {
    let play = Play::new(PushLimits::default()).await;
    play.asks(&node("n"));
    let profile = rjabberd_storage::Profile { requests: vec!["<presence/>".into()], ..Default::default() };
    play.stage.store.kept.lock().profiles.insert(ROMEO.to_owned(), profile);
    assert_eq!(number(&play.is_told().await, "pending-subscription-count").as_deref(), Some("1"));
}

#[actix_rt::test]
async fn a_message_that_is_kept_for_an_account_that_is_away_is_told_of() {
    let play = Play::new(PushLimits::default()).await;
    play.asks(&node("n"));
    drop(play.stage.im.keep(&chat("<body>hi</body>"), &account()));
    assert_eq!(play.second().await.len(), 1);
    play.stage.breaks(true);
    drop(play.stage.im.keep(&chat("<body>hi</body>"), &account()));
    play.stage.breaks(false);
    assert_eq!(play.second().await.len(), 0, "it was not kept");
}

#[actix_rt::test]
async fn many_messages_are_one_notification_and_the_next_waits_for_the_answer() {
    let play = Play::new(PushLimits::default()).await;
    play.asks(&node("n"));
    (0..5).for_each(|_| play.comes("<body>hi</body>"));
    let [first] = &play.second().await[..] else { panic!("one notification") };
    assert_eq!(number(first, "message-count").as_deref(), Some("5"));
    for _ in 0..3 {
        play.comes("<body>hi</body>");
        assert_eq!(play.second().await.len(), 0, "one is on its way");
    }
    assert!(!play.answers_from("tybalt@example.net/x", first, "result", ""));
    assert!(play.answers(first, "result", ""));
    let [next] = &play.second().await[..] else { panic!("one notification") };
    assert_eq!(number(next, "message-count").as_deref(), Some("3"));
    let counted = play.stage.im.push.snapshot();
    assert_eq!((counted.hints, counted.sent, counted.accepted, counted.queued), (8, 2, 1, 0));
}

#[actix_rt::test]
async fn nobody_is_woken_for_what_says_nothing() {
    let stage = Stage::new();
    let hint = |text: &str| stage.im.hint(&account(), &stanza(text)).is_some();
    let from = "from='tybalt@example.net/x' to='romeo@example.net'";
    for (attributes, children, worth) in [
        (from, "<body>hi</body>", true),
        (from, "<encrypted xmlns='urn:xmpp:omemo:2'/>", true),
        (from, "<encrypted xmlns='eu.siacs.conversations.axolotl'/>", true),
        (from, "<openpgp xmlns='urn:xmpp:openpgp:0'/>", true),
        (from, "<propose xmlns='urn:xmpp:jingle-message:0' id='a'/>", true),
        ("type='groupchat' from='room@example.net/x'", "<body>hi</body>", true),
        ("type='headline' from='tybalt@example.net/x'", "<body>hi</body>", false),
        ("type='error' from='tybalt@example.net/x'", "<body>hi</body>", false),
        ("from='romeo@example.net/y'", "<body>hi</body>", false),
        (from, "<received xmlns='urn:xmpp:carbons:2'/><body>hi</body>", false),
        (from, "<private xmlns='urn:xmpp:carbons:2'/><body>hi</body>", true),
        (from, "<active xmlns='http://jabber.org/protocol/chatstates'/>", false),
        (from, "<received xmlns='urn:xmpp:receipts' id='1'/>", false),
        (from, "<store xmlns='urn:xmpp:hints'/>", false),
        (from, "<body xmlns='urn:x'>hi</body>", false),
        (from, "", false),
    ] {
        assert_eq!(
            hint(&format!("<message {attributes}>{children}</message>")),
            worth,
            "{attributes} {children}"
        );
    }
    let guest = "guest@example.net";
    let _session = stage.sit_guest("guest@example.net/x").await;
    assert_eq!(stage.im.hint(&BareJid::new(guest).unwrap(), &chat("<body>hi</body>")), None);
}

#[actix_rt::test]
async fn what_is_disabled_is_told_nothing_more() {
    let play = Play::new(PushLimits::default()).await;
    play.asks(&node("a"));
    play.asks(&node("b"));
    play.comes("<body>hi</body>");
    let both = play.second().await;
    assert_eq!(both.len(), 2);
    play.comes("<body>hi</body>");
    assert_eq!(play.second().await.len(), 0, "waits for the answers");
    play.asks(&format!("<disable xmlns='urn:xmpp:push:0' jid='{JULIET}' node='a'/>"));
    both.iter().for_each(|told| assert!(play.answers(told, "result", "")));
    let [told] = &play.second().await[..] else { panic!("the other one") };
    assert!(inner(told).contains("node=\"b\""));
    assert!(play.answers(told, "result", ""));
    play.asks(&format!("<disable xmlns='urn:xmpp:push:0' jid='{JULIET}'/>"));
    play.comes("<body>hi</body>");
    assert_eq!(play.second().await.len(), 0);
}

#[actix_rt::test]
async fn a_registration_ends_by_final_errors_in_a_row() {
    let play = Play::new(PushLimits { errors_max: 2, ..PushLimits::default() }).await;
    play.asks(&node("n"));
    play.refuses(&play.is_told().await, "cancel", "item-not-found");
    assert!(play.answers(&play.is_told().await, "result", ""));
    play.refuses(&play.is_told().await, "auth", "forbidden");
    assert_eq!(play.registrations(), 1);
    play.refuses(&play.is_told().await, "cancel", "gone");
    assert_eq!(play.registrations(), 0);
    play.comes("<body>hi</body>");
    assert_eq!(play.second().await.len(), 0);
    let counted = play.stage.im.push.snapshot();
    assert_eq!(counted.errors, [("forbidden", 1), ("gone", 1), ("item-not-found", 1)]);
    assert_eq!(counted.removed, 1);
}

#[actix_rt::test]
async fn a_registration_outlives_transient_errors() {
    let play = Play::new(PushLimits { errors_max: 1, ..PushLimits::default() }).await;
    play.asks(&node("n"));
    for (error_type, condition) in [
        ("wait", "resource-constraint"),
        ("wait", "item-not-found"),
        ("cancel", "service-unavailable"),
        ("cancel", "internal-server-error"),
        ("wait", "recipient-unavailable"),
        ("modify", "policy-violation"),
    ] {
        play.refuses(&play.is_told().await, error_type, condition);
    }
    let told = play.is_told().await;
    play.stage.now_unix_s.fetch_add(31, SeqCst);
    assert_eq!(play.second().await.len(), 0, "it did not answer");
    assert!(!play.answers(&told, "result", ""), "too late");
    assert_eq!(play.registrations(), 1);
    play.stage.now_unix_s.fetch_add(5, SeqCst);
    assert!(play.answers(&play.is_told().await, "result", ""));
    assert_eq!(play.stage.im.push.snapshot().unanswered, 1);
}

#[actix_rt::test]
async fn who_cannot_be_reached_is_counted_and_stays_registered() {
    let play = Play::new(PushLimits { errors_max: 1, ..PushLimits::default() }).await;
    for jid in ["push.example", "nobody@example.net/gone", "juliet@example.net", "example.net"] {
        assert_eq!(play.asks(&enable(&format!("jid='{jid}'"), "")), "");
    }
    play.comes("<body>hi</body>");
    assert_eq!(play.second().await.len(), 0);
    let expected = [("recipient-unavailable", 1), ("remote-server-not-found", 1), ("service-unavailable", 2)];
    assert_eq!(play.stage.im.push.snapshot().errors, expected);
    assert_eq!(play.registrations(), 4);
}

#[actix_rt::test]
async fn a_store_that_is_away_only_delays() {
    let play = Play::new(PushLimits::default()).await;
    play.asks(&node("n"));
    play.stage.breaks(true);
    play.comes("<body>hi</body>");
    assert_eq!(play.second().await.len(), 0);
    play.stage.breaks(false);
    assert_eq!(play.second().await.len(), 1);
}

#[actix_rt::test]
async fn an_account_that_is_gone_leaves_nothing_to_be_told() {
    let play = Play::new(PushLimits::default()).await;
    play.asks(&node("n"));
    let first = play.is_told().await;
    play.comes("<body>hi</body>");
    play.stage.store.kept.lock().push.clear();
    play.stage.im.account_removed(&account(), &[]);
    assert!(play.answers(&first, "result", ""));
    assert_eq!(play.second().await.len(), 0);
    let told = told(&play.stage.answer("romeo@example.net/orchard", "set", None, &node("n")));
    assert_eq!(told, "", "whoever has the address next may enable his own");
}
