//! Archives (XEP-0313): what was said is there, once, in order, under the id that went out with it, and page by page.

use rjabberd_testkit::{Client, Node, Play};

use super::said::attends;

const MAM: &str = "urn:xmpp:mam:2";
const RSM: &str = "http://jabber.org/protocol/rsm";
const JULIET: &str = "juliet@localhost";

fn play(more: &[&str]) -> Play {
    let mut play = Play::without_tls(more);
    attends(&mut play, "romeo/orchard");
    attends(&mut play, "juliet/balcony");
    play
}

/// A page of an archive.
#[derive(Debug, Default)]
struct Page {
    /// Each message with its id.
    messages: Vec<(String, Node)>,
    fin: Node,
}

impl Page {
    fn bodies(&self) -> Vec<&str> {
        let bodies = self.messages.iter().filter_map(|(_, message)| message.child("body"));
        bodies.map(|body| body.text.as_str()).collect()
    }

    fn ids(&self) -> Vec<&str> {
        self.messages.iter().map(|(id, _)| id.as_str()).collect()
    }

    fn is_complete(&self) -> bool {
        self.fin.attribute("complete") == Some("true")
    }

    fn set(&self, name: &str) -> Option<&str> {
        self.fin.child("set").and_then(|set| set.child(name)).map(|node| node.text.as_str())
    }
}

/// What a client's archive answers: the messages that come in front of the result, and the result; or the condition.
#[track_caller]
fn asks(client: &mut Client, inside: &str) -> Result<Page, String> {
    client.sends(&format!(
        "<iq type='set' id='mam'><query xmlns='{MAM}' queryid='q&lt;1'>{inside}</query></iq>"
    ));
    let mut page = Page::default();
    loop {
        let got = client.takes();
        if got.name == "iq" && got.attribute("id") == Some("mam") {
            if got.attribute("type") == Some("error") {
                return Err(got.child("error").expect("an error says which").children[0].name.clone());
            }
            page.fin = got.child("fin").expect("a result ends the page").clone();
            return Ok(page);
        }
        let result = got.child("result").expect("only results come in between");
        assert_eq!(got.attribute("from"), client.jid().split('/').next());
        assert_eq!((result.attribute("xmlns"), result.attribute("queryid")), (Some(MAM), Some("q<1")));
        let forwarded = result.child("forwarded").expect("a forwarded message");
        let stamp = forwarded.child("delay").expect("a time").attribute("stamp").expect("a time");
        assert!(stamp.ends_with('Z') && stamp.len() == "2026-01-01T00:00:00.000000Z".len(), "{stamp}");
        let message = forwarded.child("message").expect("a message").clone();
        assert_eq!(message.attribute("xmlns"), Some("jabber:client"));
        page.messages.push((result.attribute("id").expect("an id").to_owned(), message));
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    let field = |(var, value): &(&str, &str)| format!("<field var='{var}'><value>{value}</value></field>");
    let fields: String = fields.iter().map(field).collect();
    format!(
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>{MAM}</value></field>\
         {fields}</x>"
    )
}

fn page(inside: &str) -> String {
    format!("<set xmlns='{RSM}'>{inside}</set>")
}

/// The id that a message carries for this account; none twice.
#[track_caller]
fn marked(message: &Node, account: &str) -> Option<String> {
    let marks = message.children.iter().filter(|child| child.name == "stanza-id");
    let mut ours = marks.filter(|mark| mark.attribute("by") == Some(account));
    let id = ours.next().and_then(|mark| mark.attribute("id")).map(str::to_owned);
    assert!(ours.next().is_none(), "{message:?}");
    id
}

#[test]
fn both_sides_find_what_was_said_under_the_id_that_came_with_it() {
    let mut play = play(&[]);
    play.client("romeo/orchard")
        .says(JULIET, "But soft")
        .says("juliet@localhost/balcony", "what light")
        .settles();
    let heard: Vec<_> = play.client("juliet/balcony").settles();
    let ids: Vec<_> = heard.iter().map(|message| marked(message, JULIET).unwrap()).collect();
    assert!(heard.iter().all(|message| marked(message, "romeo@localhost").is_none()));
    let hers = asks(play.client("juliet/balcony"), "").unwrap();
    assert_eq!(hers.bodies(), ["But soft", "what light"]);
    assert_eq!(hers.ids(), ids);
    assert!(hers.is_complete());
    assert_eq!((hers.set("first"), hers.set("last")), (Some(&ids[0][..]), Some(&ids[1][..])));
    let his = asks(play.client("romeo/orchard"), "").unwrap();
    assert_eq!(his.bodies(), ["But soft", "what light"]);
    assert!(his.ids().iter().all(|id| !ids.iter().any(|other| other == id)), "each archive has its own");
    let (_, message) = &his.messages[1];
    assert_eq!(message.attribute("to"), Some("juliet@localhost/balcony"));
    assert_eq!(message.attribute("from"), Some("romeo@localhost/orchard"));
    assert_eq!(message.attribute("type"), Some("chat"));
}

#[test]
fn a_query_sees_all_that_was_sent_before_it() {
    let mut play = play(&[]);
    for number in 0..300 {
        play.client("romeo/orchard").says(JULIET, &format!("m{number}"));
    }
    // Sent behind them, and not waited for.
    let last = asks(play.client("romeo/orchard"), &page("<max>1</max><before/>")).unwrap();
    assert_eq!(last.bodies(), ["m299"]);
    // What she has heard is in her archive.
    let mut heard = Node::default();
    while heard.child("body").is_none_or(|body| body.text != "m299") {
        heard = play.client("juliet/balcony").takes();
    }
    let last = asks(play.client("juliet/balcony"), &page("<max>1</max><before/>")).unwrap();
    assert_eq!((last.bodies(), last.ids()), (vec!["m299"], vec![&marked(&heard, JULIET).unwrap()[..]]));
}

#[test]
fn pages_put_together_are_all_messages_in_order_whichever_way_they_are_turned() {
    let mut play = play(&["archive.page_max = 20"]);
    for number in 0..45 {
        play.client("romeo/orchard").says(JULIET, &format!("m{number}"));
    }
    let all: Vec<String> = (0..45).map(|number| format!("m{number}")).collect();
    let romeo = play.client("romeo/orchard");
    let (mut found, mut after, mut sizes) = (Vec::new(), String::new(), Vec::new());
    loop {
        let next = asks(romeo, &page(&format!("<max>1000</max><after>{after}</after>"))).unwrap();
        found.extend(next.bodies().iter().map(|body| (*body).to_owned()));
        sizes.push(next.messages.len());
        after = next.set("last").unwrap().to_owned();
        if next.is_complete() {
            break;
        }
    }
    assert_eq!((found, sizes), (all.clone(), vec![20, 20, 5]));
    let (mut found, mut before) = (Vec::new(), String::new());
    loop {
        let next = asks(romeo, &page(&format!("<max>7</max><before>{before}</before>"))).unwrap();
        found.splice(0..0, next.bodies().iter().map(|body| (*body).to_owned()));
        before = next.set("first").unwrap().to_owned();
        if next.is_complete() {
            break;
        }
    }
    assert_eq!(found, all);
    let flipped = asks(romeo, &(page("<max>3</max><before/>") + "<flip-page/>")).unwrap();
    assert_eq!(flipped.bodies(), ["m44", "m43", "m42"]);
    let ids = flipped.ids();
    assert_eq!((flipped.set("first"), flipped.set("last")), (Some(ids[2]), Some(ids[0])));
    let counted = asks(romeo, &page("<max>0</max>")).unwrap();
    assert_eq!((counted.messages.len(), counted.set("count")), (0, Some("45")));
}

#[test]
fn filters_find_what_they_say() {
    let mut play = play(&[]);
    attends(&mut play, "nurse/kitchen");
    play.client("romeo/orchard")
        .says(JULIET, "to her")
        .says("nurse@localhost/kitchen", "to the nurse")
        .settles();
    play.client("nurse/kitchen").forgets().says("romeo@localhost", "from the nurse").settles();
    let romeo = play.client("romeo/orchard");
    romeo.forgets();
    let mut with = |jid: &str| -> Vec<String> {
        let page = asks(romeo, &form(&[("with", jid)])).unwrap();
        page.bodies().iter().map(|body| (*body).to_owned()).collect()
    };
    assert_eq!(with("nurse@localhost"), ["to the nurse", "from the nurse"]);
    assert_eq!(with("NURSE@localhost/kitchen"), ["to the nurse", "from the nurse"]);
    assert_eq!(with("juliet@localhost/balcony"), [""; 0]);
    assert_eq!(with("tybalt@localhost"), [""; 0]);
    assert_eq!(with("romeo@localhost"), [""; 0], "he has not spoken to himself");
    let all = asks(romeo, "").unwrap();
    let [first, second, third] = all.ids()[..] else { panic!("three were said") };
    let bodies = |inside: &str, romeo: &mut Client| {
        let page = asks(romeo, inside).unwrap();
        page.bodies().iter().map(|body| (*body).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(bodies(&form(&[("after-id", first), ("before-id", third)]), romeo), ["to the nurse"]);
    let ids = format!(
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{MAM}</value></field>\
         <field var='ids'><value>{third}</value><value>{first}</value></field></x>"
    );
    assert_eq!(bodies(&ids, romeo), ["to her", "from the nurse"]);
    assert_eq!(bodies(&form(&[("start", "2020-01-01T00:00:00Z")]), romeo).len(), 3);
    assert_eq!(bodies(&form(&[("end", "2020-01-01T00:00:00+01:00")]), romeo), [""; 0]);
    assert_eq!(
        bodies(&form(&[("with", "nurse@localhost"), ("after-id", second)]), romeo),
        ["from the nurse"]
    );
}

#[test]
fn what_makes_no_sense_is_refused_with_the_condition_that_says_why() {
    let mut play = play(&[]);
    play.client("romeo/orchard").says(JULIET, "hello").settles();
    let hers = asks(play.client("juliet/balcony").forgets(), "").unwrap().ids()[0].to_owned();
    let romeo = play.client("romeo/orchard");
    for (inside, condition) in [
        (form(&[("before-id", "nothing-like-it")]), "item-not-found"),
        (form(&[("after-id", &hers)]), "item-not-found"),
        (form(&[("ids", &hers)]), "item-not-found"),
        (page("<after>AAAAAAAAAAAAAAAAAAAAAA</after>"), "item-not-found"),
        (page("<before>x</before>"), "item-not-found"),
        (page("<max>many</max>"), "bad-request"),
        (page("<max>-1</max>"), "bad-request"),
        (page("<index>3</index>"), "feature-not-implemented"),
        (form(&[("start", "yesterday")]), "bad-request"),
        (form(&[("with", "@")]), "jid-malformed"),
        (form(&[("include-groupchat", "true")]), "feature-not-implemented"),
        (form(&[("{urn:x}full-text", "hello")]), "feature-not-implemented"),
        (form(&[("with", JULIET), ("with", JULIET)]), "bad-request"),
        (
            "<x xmlns='jabber:x:data' type='submit'><field var='with'><value>a@b</value></field></x>".into(),
            "bad-request",
        ),
    ] {
        assert_eq!(asks(romeo, &inside).unwrap_err(), condition, "{inside}");
    }
    let long = "q".repeat(300);
    romeo.sends(&format!("<iq type='set' id='1'><query xmlns='{MAM}' queryid='{long}'/></iq>"));
    romeo.gets("<iq type='error' id='1'><error><bad-request/></error></iq>");
}

#[test]
fn an_archive_is_for_its_own_user_and_nobody_else() {
    let mut play = play(&[]);
    for (kind, payload) in [("set", "query"), ("get", "query"), ("get", "metadata"), ("get", "prefs")] {
        for to in [JULIET, "nobody@localhost"] {
            play.client("romeo/orchard")
                .sends(&format!("<iq to='{to}' type='{kind}' id='1'><{payload} xmlns='{MAM}'/></iq>"))
                .gets("<iq type='error' id='1'><error><forbidden/></error></iq>");
        }
    }
    let own = "<iq to='romeo@localhost' type='set' id='1'><query xmlns='urn:xmpp:mam:2'/></iq>";
    play.client("romeo/orchard").sends(own).gets("<iq type='result' id='1'><fin complete='true'/></iq>");
}

#[test]
fn what_is_shown_and_not_said_is_in_no_archive_and_has_no_id() {
    let mut play = play(&[]);
    let state = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
    let hint = |name: &str| format!("<{name} xmlns='urn:xmpp:hints'/>");
    for (kind, inside) in [
        ("chat", state.to_owned()),
        ("headline", "<body>news</body>".to_owned()),
        ("chat", format!("<body>secret</body>{}", hint("no-store"))),
        ("chat", format!("<body>secret</body>{}", hint("no-permanent-store"))),
        ("error", "<body>a</body><error type='cancel'/>".to_owned()),
    ] {
        play.client("romeo/orchard")
            .sends(&format!("<message to='juliet@localhost/balcony' type='{kind}'>{inside}</message>"));
        play.client("romeo/orchard").settles();
        let heard = play.client("juliet/balcony").settles();
        assert_eq!((heard.len(), marked(&heard[0], JULIET)), (1, None), "{inside}");
    }
    play.client("romeo/orchard")
        .sends(&format!("<message to='{JULIET}' type='chat'>{state}{}</message>", hint("store")));
    play.client("romeo/orchard").sends(&format!(
        "<message to='{JULIET}' type='chat'><received xmlns='urn:xmpp:receipts' id='x'/></message>"
    ));
    play.client("romeo/orchard").settles();
    for name in ["romeo/orchard", "juliet/balcony"] {
        let found = asks(play.client(name).forgets(), "").unwrap();
        let named: Vec<_> =
            found.messages.iter().map(|(_, message)| message.children[0].name.clone()).collect();
        assert_eq!(named, ["composing", "received"], "{name}");
    }
}

#[test]
fn marks_in_our_name_that_a_client_supplies_are_gone_all_of_them() {
    let mut play = play(&[]);
    let id = |by: &str| format!("<stanza-id xmlns='urn:xmpp:sid:0' by='{by}' id='forged'/>");
    let delay = "<delay xmlns='urn:xmpp:delay' from='localhost' stamp='2002-09-10T23:08:25Z'/>";
    let forged = [
        id(JULIET),
        id(JULIET),
        id("Juliet@LOCALHOST"),
        id("localhost"),
        id("romeo@localhost"),
        delay.into(),
    ];
    let forged = forged.concat();
    let honest = id("room@conference.example.org") + "<origin-id xmlns='urn:xmpp:sid:0' id='o'/>";
    for kind in ["chat", "headline"] {
        play.client("romeo/orchard").sends(&format!(
            "<message to='{JULIET}' type='{kind}'>{forged}<body>a</body>{honest}{delay}</message>"
        ));
    }
    play.client("romeo/orchard").settles();
    let heard = play.client("juliet/balcony").settles();
    let names = |message: &Node| message.children.iter().map(|child| child.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&heard[0]), ["body", "stanza-id", "origin-id", "stanza-id"]);
    assert_ne!(marked(&heard[0], JULIET).unwrap(), "forged");
    assert_eq!(names(&heard[1]), ["body", "stanza-id", "origin-id"]);
    let found = asks(play.client("juliet/balcony"), "").unwrap();
    assert_eq!(names(&found.messages[0].1), ["body", "stanza-id", "origin-id"]);
    // Also in presence, which is broadcast.
    play.client("romeo/orchard")
        .sends(&format!("<presence to='juliet@localhost/balcony'>{forged}</presence>"));
    play.client("romeo/orchard").settles();
    let seen = play.client("juliet/balcony").settles();
    assert_eq!((seen[0].name.as_str(), seen[0].children.len()), ("presence", 0), "{seen:?}");
}

#[test]
fn what_waits_for_who_is_away_is_archived_too_and_comes_with_its_id() {
    let mut play = play(&[]);
    play.client("juliet/balcony").leaves();
    play.client("romeo/orchard").says(JULIET, "late").settles();
    let juliet = play.returns("juliet/balcony");
    let waited = juliet.sends("<presence/>").settles();
    let [late] = &waited.iter().filter(|node| node.name == "message").collect::<Vec<_>>()[..] else {
        panic!("one message waits: {waited:?}")
    };
    let found = asks(juliet, "").unwrap();
    assert_eq!(found.bodies(), ["late"]);
    assert_eq!(found.ids(), [marked(late, JULIET).unwrap()]);
    assert!(found.messages[0].1.child("delay").is_none());
}

#[test]
fn what_an_addressee_refuses_is_not_in_his_archive() {
    let mut play = play(&[]);
    // RFC 6121, 8.5.3.2.1: a normal message to a resource that is not there.
    play.client("romeo/orchard").sends("<message to='juliet@localhost/nowhere'><body>a</body></message>");
    play.client("romeo/orchard")
        .gets("<message type='error'><error><service-unavailable/></error></message>");
    play.client("romeo/orchard").says("nobody@localhost", "b");
    play.client("romeo/orchard")
        .gets("<message type='error'><error><service-unavailable/></error></message>");
    assert_eq!(asks(play.client("juliet/balcony"), "").unwrap().bodies(), [""; 0]);
    assert_eq!(asks(play.client("romeo/orchard"), "").unwrap().bodies(), ["a", "b"]);
    play.client("juliet/balcony")
        .sends("<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='romeo@localhost'/></block></iq>")
        .gets_at_last("<iq type='result' id='b'/>");
    play.client("romeo/orchard").says(JULIET, "c").settles();
    assert_eq!(asks(play.client("juliet/balcony").forgets(), "").unwrap().bodies(), [""; 0]);
}

#[test]
fn what_one_says_to_oneself_is_archived_once() {
    let mut play = play(&[]);
    let romeo = play.client("romeo/orchard");
    romeo.sends("<message type='chat'><body>a</body></message>").says("romeo@localhost", "b").settles();
    let found = asks(romeo, &form(&[("with", "romeo@localhost")])).unwrap();
    assert_eq!(found.bodies(), ["a", "b"]);
    assert_eq!(found.messages[0].1.attribute("to"), Some("romeo@localhost"));
    assert_eq!(asks(romeo, "").unwrap().messages.len(), 2);
}

#[test]
fn an_account_says_what_it_wants_archived() {
    let mut play = play(&[]);
    let prefs = |default: &str, always: &str, never: &str| {
        let list = |name: &str, jid: &str| match jid {
            "" => format!("<{name}/>"),
            jid => format!("<{name}><jid>{jid}</jid></{name}>"),
        };
        format!(
            "<prefs xmlns='{MAM}' default='{default}'>{}{}</prefs>",
            list("always", always),
            list("never", never)
        )
    };
    let juliet = play.client("juliet/balcony");
    juliet
        .sends(&format!("<iq type='get' id='1'><prefs xmlns='{MAM}'/></iq>"))
        .gets(&format!("<iq type='result' id='1'>{}</iq>", prefs("always", "", "")));
    let wanted = prefs("never", "romeo@localhost/orchard", "");
    juliet
        .sends(&format!("<iq type='set' id='2'>{wanted}</iq>"))
        .gets(&format!("<iq type='result' id='2'>{wanted}</iq>"));
    play.returns("romeo/street").is_available(0);
    play.client("romeo/street").says(JULIET, "from the street").settles();
    play.client("romeo/orchard").says(JULIET, "from the orchard").settles();
    let heard = play.client("juliet/balcony").settles();
    assert_eq!((marked(&heard[0], JULIET), marked(&heard[1], JULIET).is_some()), (None, true));
    assert_eq!(asks(play.client("juliet/balcony"), "").unwrap().bodies(), ["from the orchard"]);
    assert_eq!(asks(play.client("romeo/orchard").forgets(), "").unwrap().bodies().len(), 2, "that is his");
    // What was wanted is wanted after a restart.
    play.server.stop();
    play.server.run();
    play.returns("juliet/balcony").is_available(0);
    play.returns("romeo/orchard").says(JULIET, "once more").settles();
    let juliet = play.client("juliet/balcony");
    juliet
        .sends(&format!("<iq type='get' id='1'><prefs xmlns='{MAM}'/></iq>"))
        .gets_at_last(&format!("<iq type='result' id='1'>{wanted}</iq>"));
    assert_eq!(asks(juliet, "").unwrap().bodies(), ["from the orchard", "once more"]);
    for wrong in [format!("<prefs xmlns='{MAM}'/>"), prefs("sometimes", "", "")] {
        juliet
            .sends(&format!("<iq type='set' id='3'>{wrong}</iq>"))
            .gets("<iq type='error' id='3'><error><bad-request/></error></iq>");
    }
}

#[test]
fn with_roster_only_contacts_are_archived() {
    let mut play = play(&["archive.default = 'roster'"]);
    play.client("juliet/balcony")
        .sends("<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='romeo@localhost'/></query></iq>")
        .gets_at_last("<iq type='result' id='r'/>");
    play.client("romeo/orchard").says(JULIET, "hello").settles();
    assert_eq!(asks(play.client("juliet/balcony").forgets(), "").unwrap().bodies(), ["hello"]);
    assert_eq!(asks(play.client("romeo/orchard"), "").unwrap().bodies(), [""; 0], "she is not in his");
}

#[test]
fn the_archive_says_where_it_begins_and_ends_and_what_can_be_asked() {
    let mut play = play(&[]);
    let metadata = format!("<iq type='get' id='1'><metadata xmlns='{MAM}'/></iq>");
    let empty = play.client("romeo/orchard").sends(&metadata).takes();
    assert!(empty.child("metadata").unwrap().children.is_empty());
    for body in ["a", "b", "c"] {
        play.client("romeo/orchard").says(JULIET, body);
    }
    let told = play.client("romeo/orchard").sends(&metadata).takes();
    let ids = asks(play.client("romeo/orchard"), "").unwrap();
    let end = |name: &str| told.find(name).unwrap().attribute("id").unwrap().to_owned();
    assert_eq!((end("start").as_str(), end("end").as_str()), (ids.ids()[0], ids.ids()[2]));
    assert!(told.find("end").unwrap().attribute("timestamp").is_some());
    let form = play
        .client("romeo/orchard")
        .sends(&format!("<iq type='get' id='2'><query xmlns='{MAM}'/></iq>"))
        .takes();
    let fields = form.find("x").unwrap().children.iter().filter_map(|field| field.attribute("var"));
    let expected = ["FORM_TYPE", "with", "start", "end", "before-id", "after-id", "ids"];
    assert_eq!(fields.collect::<Vec<_>>(), expected);
    let info = play
        .client("romeo/orchard")
        .sends("<iq type='get' id='3' to='romeo@localhost'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>")
        .takes();
    let info = info.child("query").unwrap();
    let features: Vec<_> = info.children.iter().filter_map(|feature| feature.attribute("var")).collect();
    for feature in ["urn:xmpp:mam:2", "urn:xmpp:mam:2#extended", "urn:xmpp:sid:0"] {
        assert!(features.contains(&feature), "{features:?}");
    }
}

#[test]
fn an_archive_that_is_off_is_not_there() {
    let mut play = play(&["archive.enabled = false"]);
    play.client("romeo/orchard").says(JULIET, "a").settles();
    let heard = play.client("juliet/balcony").settles();
    assert!(heard[0].child("stanza-id").is_none());
    assert_eq!(asks(play.client("juliet/balcony"), "").unwrap_err(), "service-unavailable");
    assert_eq!(play.server.stats()["archive"]["stored"], 0);
}

#[test]
fn what_is_answered_for_is_in_the_archive_after_the_power_cut() {
    let mut play = play(&[]);
    for number in 0..100 {
        play.client("romeo/orchard").says(JULIET, &format!("m{number}"));
    }
    play.client("romeo/orchard").settles();
    play.server.kill();
    play.server.run();
    let found = asks(play.returns("juliet/balcony"), &page("<max>250</max>")).unwrap();
    assert_eq!(found.messages.len(), 100);
}

#[test]
fn a_page_of_big_messages_comes_whole_to_who_reads_slowly_and_holds_nobody_up() {
    let mut play = play(&[]);
    let long = "x".repeat(30_000);
    for number in 0..40 {
        play.client("romeo/orchard").says(JULIET, &format!("{number} {long}"));
    }
    play.client("romeo/orchard").settles();
    let juliet = play.client("juliet/balcony");
    juliet.forgets();
    let mut found = 0;
    let mut after = String::new();
    loop {
        let next = asks(juliet, &page(&format!("<max>250</max><after>{after}</after>"))).unwrap();
        // A page is bounded in bytes, and says that it is not all.
        assert!(next.messages.len() < 40);
        found += next.messages.len();
        after = next.set("last").unwrap().to_owned();
        if next.is_complete() {
            break;
        }
    }
    assert_eq!(found, 40);
}

#[test]
fn each_message_of_a_page_counts_in_stream_management() {
    let mut play = play(&[]);
    for number in 0..5 {
        play.client("romeo/orchard").says(JULIET, &format!("m{number}"));
    }
    play.client("romeo/orchard").settles();
    let mut juliet = play.logged_in("juliet/counting");
    juliet.sends("<enable xmlns='urn:xmpp:sm:3'/>").gets("<enabled xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(asks(&mut juliet, "").unwrap().messages.len(), 5);
    // One more than there were would end the stream (XEP-0198, 4).
    juliet.sends("<a xmlns='urn:xmpp:sm:3' h='6'/><iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>");
    juliet.gets_at_last("<iq type='result' id='p'/>");
    juliet.sends("<a xmlns='urn:xmpp:sm:3' h='8'/>");
    juliet.gets_at_last("<stream:error><undefined-condition/></stream:error>");
}
