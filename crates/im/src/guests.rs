//! Guests (XEP-0175): an account that is made for a session and ends with it. What it asks is answered without the store,
//! which is broken here: it knows nothing of guests.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rjabberd_xmpp::roster::Act;
use rjabberd_xmpp::{BareJid, Condition, FullJid, PresenceType, Stanza, StanzaKind};
use zeroize::Zeroizing;

use crate::stage::{ROMEO, Session, Stage, settle, stanza, told};
use crate::{AccountError, Accounts, Answer, Kept, Sender, Services, Shown, Subscribing};

const GUEST: &str = "59bec12a-9bab-452b-88f8-d1563f09e549@example.net/visit";
const ACCOUNT: &str = "59bec12a-9bab-452b-88f8-d1563f09e549@example.net";
const GUEST_INFO: &str = "<query xmlns=\"http://jabber.org/protocol/disco#info\">\
    <identity category=\"account\" type=\"anonymous\"/>\
    <feature var=\"http://jabber.org/protocol/disco#info\"/>\
    <feature var=\"http://jabber.org/protocol/disco#items\"/></query>";
const ASK_INFO: &str = "<query xmlns='http://jabber.org/protocol/disco#info'/>";

async fn guest() -> (Stage, Session) {
    let stage = Stage::new();
    stage.breaks(true);
    let guest = stage.sit_guest(GUEST).await;
    (stage, guest)
}

fn account() -> BareJid {
    BareJid::new(ACCOUNT).unwrap()
}

fn presence(kind: PresenceType) -> Stanza {
    let mut presence = Stanza::new(StanzaKind::Presence(kind), &[]);
    presence.from = Some(FullJid::new(GUEST).unwrap().into());
    presence
}

/// Accounts of which nobody may ask anything.
struct Untouched;

impl Accounts for Untouched {
    fn create(&self, _: BareJid, _: Zeroizing<String>) -> BoxFuture<'static, Result<(), AccountError>> {
        panic!("an account is created")
    }

    fn change_password(
        &self,
        _: BareJid,
        _: Zeroizing<String>,
        _: FullJid,
    ) -> BoxFuture<'static, Result<(), AccountError>> {
        panic!("a password is changed")
    }

    fn remove(&self, _: BareJid, _: FullJid) -> BoxFuture<'static, Result<(), AccountError>> {
        panic!("an account is removed")
    }
}

#[actix_rt::test]
async fn what_a_guest_reads_of_his_account_is_empty() {
    let (stage, _guest) = guest().await;
    for (payload, expected) in [
        ("<query xmlns='jabber:iq:roster'/>", "<query xmlns='jabber:iq:roster'></query>"),
        ("<query xmlns='jabber:iq:roster' ver=''/>", "<query xmlns='jabber:iq:roster'></query>"),
        ("<blocklist xmlns='urn:xmpp:blocking'/>", "<blocklist xmlns=\"urn:xmpp:blocking\"/>"),
        (ASK_INFO, GUEST_INFO),
    ] {
        assert_eq!(told(&stage.answer(GUEST, "get", None, payload)), expected, "{payload}");
    }
}

#[actix_rt::test]
async fn what_outlives_a_session_is_not_for_guests() {
    let (stage, _guest) = guest().await;
    let services = Services::new(stage.im, Some(Arc::new(Untouched)));
    let from = FullJid::new(GUEST).unwrap();
    for (kind, to, payload) in [
        ("set", "", "<query xmlns='jabber:iq:roster'><item jid='romeo@example.net'/></query>"),
        ("set", ACCOUNT, "<query xmlns='jabber:iq:roster'><item jid='a@b' subscription='remove'/></query>"),
        ("set", "", "<query xmlns='jabber:iq:private'><a xmlns='urn:example:a'/></query>"),
        ("set", "", "<vCard xmlns='vcard-temp'><FN>Guest</FN></vCard>"),
        ("set", "", "<block xmlns='urn:xmpp:blocking'><item jid='romeo@example.net'/></block>"),
        ("set", "", "<unblock xmlns='urn:xmpp:blocking'/>"),
        ("get", "example.net", "<query xmlns='jabber:iq:register'/>"),
        ("set", "", "<query xmlns='jabber:iq:register'><remove/></query>"),
        (
            "set",
            "example.net",
            "<query xmlns='jabber:iq:register'><username>a</username><password>b</password></query>",
        ),
    ] {
        let to = if to.is_empty() { String::new() } else { format!(" to='{to}'") };
        let request = stanza(&format!("<iq id='7' from='{GUEST}' type='{kind}'{to}>{payload}</iq>"));
        let Answer::Now(answer) = services.answer(&request, Sender::Session(&from)) else {
            panic!("{payload}: the store is asked")
        };
        assert_eq!(told(&crate::long::whole(answer)), "cancel not-allowed", "{payload}");
    }
}

#[actix_rt::test]
async fn a_guest_is_seen_by_himself_and_leaves_no_trace() {
    let (stage, guest) = guest().await;
    let shown = stage.im.presence(&guest.seat, presence(PresenceType::Available), Some(0));
    assert!(matches!(shown, Shown::Done));
    settle().await;
    assert_eq!(guest.seat.priority(), Some(0));
    assert_eq!(guest.got(), [""], "his own presence");
    stage.im.presence(&guest.seat, presence(PresenceType::Unavailable), None);
    settle().await;
    assert_eq!(guest.seat.priority(), None);
    assert_eq!(guest.got(), [""]);
    assert_eq!(stage.im.noted_activity(&account()), None);
    stage.im.presence(&guest.seat, presence(PresenceType::Available), Some(0));
    stage.im.presence_lost(&guest.seat);
    assert_eq!(stage.im.noted_activity(&account()), None);
}

#[actix_rt::test]
async fn nobody_subscribes_as_a_guest() {
    let (stage, _guest) = guest().await;
    let request = stanza(&format!("<presence from='{ACCOUNT}' to='romeo@example.net' type='subscribe'/>"));
    let sender = FullJid::new(GUEST).unwrap();
    for act in [Act::Subscribe, Act::Subscribed, Act::Unsubscribe, Act::Unsubscribed] {
        let Subscribing::Refused(error) = stage.im.subscribe(&request, &sender, act) else {
            panic!("{act:?}: the store is asked")
        };
        assert_eq!(error.condition, Condition::NotAllowed);
    }
}

#[actix_rt::test]
async fn nothing_is_kept_for_a_guest() {
    let (stage, _guest) = guest().await;
    let say = |body: &str| {
        stanza(&format!("<message from='{ROMEO}' to='{ACCOUNT}' type='chat'><body>{body}</body></message>"))
    };
    let kept = stage.im.keep(&say("hello"), &account());
    assert!(matches!(kept, Kept::Refused(Condition::ServiceUnavailable)));
    assert!(!stage.im.is_storing(&say("again"), &account()));
}

#[actix_rt::test]
async fn whoever_asks_learns_that_a_guest_is_one_for_as_long_as_he_is_there() {
    let (stage, guest) = guest().await;
    assert_eq!(stage.asks("get", Some(ACCOUNT), ASK_INFO), GUEST_INFO);
    assert_eq!(told(&stage.answer(GUEST, "get", Some(ACCOUNT), ASK_INFO)), GUEST_INFO);
    // What others may not see stays unseen, and needs no store either but for those who are not blocked.
    stage.breaks(false);
    assert_eq!(stage.asks("get", Some(ACCOUNT), "<query xmlns='jabber:iq:last'/>"), "auth forbidden");
    drop(guest);
    let other = "nobody@example.net";
    assert_eq!(stage.asks("get", Some(other), ASK_INFO), "cancel service-unavailable");
}

#[actix_rt::test]
async fn an_account_that_was_removed_is_no_guest() {
    let stage = Stage::new();
    let [romeo] = stage.sit([ROMEO]).await;
    // The store knows no Romeo any more.
    let shown = stage.im.presence(&romeo.seat, presence(PresenceType::Available), Some(0));
    assert!(matches!(shown, Shown::Done));
    settle().await;
    assert_eq!((romeo.seat.priority(), romeo.got().len()), (None, 0));
    let roster = stage.answer(ROMEO, "get", None, "<query xmlns='jabber:iq:roster'/>");
    assert_eq!(told(&roster), "cancel item-not-found");
    assert_eq!(stage.im.noted_activity(&BareJid::new("romeo@example.net").unwrap()), None);
    let kept = stage.im.keep(
        &stanza(&format!("<message from='{GUEST}' to='romeo@example.net'><body>a</body></message>")),
        &BareJid::new("romeo@example.net").unwrap(),
    );
    let Kept::Committing(done) = kept else { panic!("the store is asked") };
    assert!(done.now_or_never().is_some());
}
