//! Personal eventing (XEP-0163) between clients and the real server: what is published, who is told, and what stays.

use rjabberd_testkit::{Client, Node, Play, caps_version};

use super::said::{attends, befriend, presence, watches};

const NODE: &str = "http://jabber.org/protocol/tune";

fn iq(kind: &str, id: &str, to: &str, payload: &str) -> String {
    let to = if to.is_empty() { String::new() } else { format!(" to='{to}'") };
    format!("<iq type='{kind}' id='{id}'{to}>{payload}</iq>")
}

fn pubsub(content: &str) -> String {
    format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{content}</pubsub>")
}

fn publish(node: &str, id: &str) -> String {
    pubsub(&format!(
        "<publish node='{node}'><item id='{id}'><tune xmlns='urn:tune'>{id}</tune></item></publish>"
    ))
}

fn options(access: &str) -> String {
    format!(
        "<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>\
         <value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
         <field var='pubsub#access_model'><value>{access}</value></field></x></publish-options>"
    )
}

fn done(client: &mut Client, payload: &str) {
    client.sends(&iq("set", "done", "", payload)).gets_at_last("<iq type='result' id='done'/>");
}

fn event(node: &str, id: &str) -> String {
    format!(
        "<message type='headline' from='romeo@localhost'><event xmlns='http://jabber.org/protocol/pubsub#event'>\
         <items node='{node}'><item id='{id}'/></items></event></message>"
    )
}

fn features(nodes: &[&str]) -> String {
    let features: String = nodes.iter().map(|node| format!("<feature var='{node}+notify'/>")).collect();
    format!(
        "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='client' type='pc'/>{features}</query>"
    )
}

/// Presence that announces what these nodes come to.
fn announces(client: &mut Client, nodes: &[&str]) -> String {
    let query = features(nodes);
    let ver = caps_version(&Node::parse(&query).expect("an element"));
    client.sends(&format!(
        "<presence><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:play' ver='{ver}'/></presence>"
    ));
    query
}

/// Answers the server's question, which is the next of its kind.
fn answers(client: &mut Client, query: &str) {
    loop {
        let question = client.takes();
        if question.name == "iq" && question.attribute("type") == Some("get") {
            assert_eq!(question.attribute("from"), Some("localhost"), "{question}");
            let id = question.attribute("id").expect("a question has an id").to_owned();
            client.sends(&iq("result", &id, "localhost", query));
            return;
        }
    }
}

#[test]
fn contacts_and_ones_own_clients_are_told_what_is_published_and_who_comes_later_gets_the_last() {
    let mut play = Play::without_tls(&[]);
    for name in ["romeo/orchard", "juliet/balcony", "nurse/x"] {
        attends(&mut play, name);
    }
    befriend(&mut play, "romeo/orchard", "juliet/balcony");
    for name in ["romeo/orchard", "juliet/balcony", "nurse/x"] {
        let client = play.client(name);
        let query = announces(client, &[NODE]);
        // All have the same client: the first answer serves the others.
        if name == "romeo/orchard" {
            answers(client, &query);
        }
        client.settles();
    }
    for name in ["romeo/orchard", "juliet/balcony", "nurse/x"] {
        play.client(name).forgets();
    }
    let romeo = play.client("romeo/orchard");
    romeo.sends(&iq("set", "1", "", &publish(NODE, "one"))).gets_all(&[
        "<iq type='result' id='1'><pubsub><publish><item id='one'/></publish></pubsub></iq>",
        &event(NODE, "one"),
    ]);
    play.client("juliet/balcony").gets(&event(NODE, "one"));
    play.client("nurse/x").gets_nothing();
    // Another client of hers, after the server was stopped and started: nothing is known of hashes.
    play.server.stop();
    play.server.run();
    let chamber = play.returns("juliet/chamber");
    let query = announces(chamber, &[NODE]);
    answers(chamber, &query);
    let with_delay = event(NODE, "one").replace("</message>", "<delay stamp='*'/></message>");
    chamber.gets_at_last(&with_delay);
    assert_eq!(play.server.stats()["pep"]["caps_known"], 1);
    // Whoever is not subscribed any more is told nothing.
    let romeo = play.returns("romeo/orchard");
    romeo.sends(&presence("unsubscribed", "juliet@localhost")).settles();
    play.client("juliet/chamber").forgets();
    let romeo = play.client("romeo/orchard");
    done(romeo, &publish(NODE, "two"));
    romeo.settles();
    play.client("juliet/chamber").gets_nothing();
}

#[test]
fn a_new_contact_gets_the_last_item_when_he_may_have_it() {
    let mut play = Play::without_tls(&[]);
    for name in ["romeo/orchard", "juliet/balcony"] {
        attends(&mut play, name);
    }
    let juliet = play.client("juliet/balcony");
    let query = announces(juliet, &[NODE]);
    answers(juliet, &query);
    juliet.settles();
    let romeo = play.client("romeo/orchard");
    done(romeo, &publish(NODE, "one"));
    play.client("juliet/balcony").sends(&presence("subscribe", "romeo@localhost")).settles();
    play.client("romeo/orchard").sends(&presence("subscribed", "juliet@localhost")).settles();
    play.client("juliet/balcony").gets_at_last(&event(NODE, "one"));
}

#[test]
fn a_node_lets_in_whom_its_access_model_says_and_preconditions_hold() {
    let mut play = Play::without_tls(&[]);
    for name in ["romeo/orchard", "juliet/balcony", "tybalt/x"] {
        attends(&mut play, name);
    }
    watches(&mut play, "juliet/balcony", "romeo/orchard");
    let romeo = play.client("romeo/orchard");
    for access in ["open", "presence", "whitelist"] {
        let node = format!("urn:{access}");
        let payload = publish(&node, access).replace("</pubsub>", &(options(access) + "</pubsub>"));
        done(romeo, &payload);
    }
    let changed = publish("urn:open", "1").replace("</pubsub>", &(options("presence") + "</pubsub>"));
    romeo.sends(&iq("set", "p", "", &changed)).gets(
        "<iq type='error' id='p'><error type='cancel'><conflict/>\
         <precondition-not-met xmlns='http://jabber.org/protocol/pubsub#errors'/></error></iq>",
    );
    let hidden = "<error type='auth'><not-authorized/><presence-subscription-required/></error>";
    let closed = "<error type='cancel'><not-allowed/><closed-node/></error>";
    for (name, node, error) in [
        ("juliet/balcony", "open", ""),
        ("juliet/balcony", "presence", ""),
        ("juliet/balcony", "whitelist", closed),
        ("tybalt/x", "open", ""),
        ("tybalt/x", "presence", hidden),
        ("tybalt/x", "whitelist", hidden),
        ("tybalt/x", "none", hidden),
    ] {
        let asked = iq("get", "i", "romeo@localhost", &pubsub(&format!("<items node='urn:{node}'/>")));
        let answer = match error {
            "" => {
                format!("<iq type='result' id='i'><pubsub><items><item id='{node}'/></items></pubsub></iq>")
            }
            error => format!("<iq type='error' id='i'>{error}</iq>"),
        };
        play.client(name).sends(&asked).gets(&answer);
    }
}

#[test]
fn a_published_avatar_is_in_the_presence_and_in_the_vcard() {
    let mut play = Play::without_tls(&[]);
    for name in ["romeo/orchard", "juliet/balcony"] {
        attends(&mut play, name);
    }
    watches(&mut play, "juliet/balcony", "romeo/orchard");
    let hash = "a9993e364706816aba3e25717850c26c9cd0d89d";
    let data = pubsub(&format!(
        "<publish node='urn:xmpp:avatar:data'><item id='{hash}'><data xmlns='urn:xmpp:avatar:data'>YWJj</data></item>\
         </publish>{}",
        options("open")
    ));
    let metadata = pubsub(&format!(
        "<publish node='urn:xmpp:avatar:metadata'><item id='{hash}'><metadata xmlns='urn:xmpp:avatar:metadata'>\
         <info id='{hash}' type='image/png' bytes='3'/></metadata></item></publish>"
    ));
    let romeo = play.client("romeo/orchard");
    done(romeo, &data);
    done(romeo, &metadata);
    let photo = format!("<presence from='romeo@localhost/orchard'><x><photo>{hash}</photo></x></presence>");
    play.client("juliet/balcony")
        .gets_at_last(&photo)
        .sends(&iq("get", "v", "romeo@localhost", "<vCard xmlns='vcard-temp'/>"))
        .gets_at_last("<iq type='result' id='v'><vCard><PHOTO><BINVAL>YWJj</BINVAL></PHOTO></vCard></iq>");
    // And the other way round.
    let romeo = play.client("romeo/orchard");
    done(
        romeo,
        "<vCard xmlns='vcard-temp'><PHOTO><TYPE>image/png</TYPE><BINVAL>ZGVm</BINVAL></PHOTO></vCard>",
    );
    let items = pubsub("<items node='urn:xmpp:avatar:metadata'/>");
    play.client("juliet/balcony").sends(&iq("get", "m", "romeo@localhost", &items)).gets_at_last(
        "<iq type='result' id='m'><pubsub><items><item><metadata>\
         <info id='589c22335a381f122d129225f5c0ba3056ed5811' type='image/png' bytes='3'/></metadata></item></items></pubsub></iq>",
    );
}

#[test]
fn bookmarks_and_what_was_displayed_are_one_for_all_clients_of_an_account_and_nobody_else_s() {
    let mut play = Play::without_tls(&[]);
    for name in ["romeo/orchard", "juliet/balcony"] {
        attends(&mut play, name);
    }
    befriend(&mut play, "romeo/orchard", "juliet/balcony");
    let romeo = play.client("romeo/orchard");
    let wanted = ["urn:xmpp:bookmarks:1", "urn:xmpp:mds:displayed:0"];
    let query = announces(romeo, &wanted);
    answers(romeo, &query);
    romeo.forgets();
    play.client("juliet/balcony").forgets();
    let romeo = play.client("romeo/orchard");
    let private = "<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'>\
                   <conference jid='play@rooms.localhost' name='The Play' autojoin='1'/></storage></query>";
    romeo
        .sends(&iq("set", "b", "", private))
        .gets_all(&["<iq type='result' id='b'/>", &event(wanted[0], "play@rooms.localhost")]);
    let retract = pubsub(
        "<retract node='urn:xmpp:bookmarks:1' notify='true'><item id='play@rooms.localhost'/></retract>",
    );
    romeo.sends(&iq("set", "r", "", &retract)).gets_all(&[
        "<iq type='result' id='r'/>",
        "<message><event><items><retract id='play@rooms.localhost'/></items></event></message>",
    ]);
    let empty = "<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'/></query>";
    let answer = romeo.sends(&iq("get", "e", "", empty)).takes();
    assert!(answer.find("conference").is_none() && answer.find("storage").is_some(), "{answer}");
    let displayed =
        publish(wanted[1], "juliet@localhost").replace("</pubsub>", &(options("whitelist") + "</pubsub>"));
    romeo
        .sends(&iq("set", "d", "", &displayed))
        .gets_all(&["<iq type='result' id='d'/>", &event(wanted[1], "juliet@localhost")]);
    play.client("juliet/balcony").gets_nothing();
}

/// What has felled others: no node, pages that are no pages, too much, and hashes of others.
#[test]
fn what_is_wrong_is_refused_and_nobody_is_harmed() {
    let mut play =
        Play::without_tls(&["pep.nodes_max = 2", "pep.item_bytes_max = 10000", "pep.bytes_max = 10000"]);
    for name in ["romeo/orchard", "juliet/balcony"] {
        attends(&mut play, name);
    }
    let long = "x".repeat(10_000);
    let romeo = play.client("romeo/orchard");
    done(romeo, &publish("urn:1", "1"));
    done(romeo, &publish("urn:2", "1"));
    let page = |set: &str| {
        pubsub(&format!("<items node='urn:1'/><set xmlns='http://jabber.org/protocol/rsm'>{set}</set>"))
    };
    let too_long = format!("<publish node='urn:1'><item><a xmlns='urn:a'>{long}</a></item></publish>");
    for (kind, payload, error) in [
        (
            "set",
            pubsub("<publish><item id='1'><a xmlns='urn:a'/></item></publish>"),
            "bad-request nodeid-required",
        ),
        ("set", pubsub(&too_long), "not-acceptable payload-too-big"),
        ("set", publish("urn:3", "1"), "not-allowed max-nodes-exceeded"),
        ("get", page("<after>&apos; OR 1=1; --</after>"), "item-not-found"),
        ("get", page("<before>%</before>"), "item-not-found"),
        ("get", page("<max>1e9</max>"), "bad-request"),
    ] {
        let conditions: String = error.split(' ').map(|condition| format!("<{condition}/>")).collect();
        romeo.sends(&iq(kind, "w", "", &payload));
        romeo.gets(&format!("<iq type='error' id='w'><error>{conditions}</error></iq>"));
    }
    // A hash that is that of a client that wants nothing, with an answer that wants something.
    let juliet = play.client("juliet/balcony");
    announces(juliet, &[]);
    answers(juliet, &features(&["urn:1"]));
    juliet.settles();
    let romeo = play.client("romeo/orchard");
    let query = announces(romeo, &[]);
    answers(romeo, &query);
    romeo.settles();
    done(romeo, &publish("urn:1", "2"));
    romeo.gets_nothing();
    let stats = play.server.stats();
    assert_eq!((&stats["pep"]["caps_wrong"], &stats["pep"]["caps_known"]), (&1.into(), &1.into()));
}
