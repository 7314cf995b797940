//! Reading: by whom, which items, and what is discovered.

use super::*;

const INFO: &str = "http://jabber.org/protocol/disco#info";
const ITEMS: &str = "http://jabber.org/protocol/disco#items";

fn query(namespace: &str, node: &str) -> String {
    format!("<query xmlns='{namespace}' node='{node}'/>")
}

#[test]
fn an_access_model_lets_in_whom_it_says() {
    for (model, contact, stranger) in [
        ("open", "", ""),
        ("presence", "", HIDDEN),
        ("whitelist", "not-allowed closed-node", HIDDEN),
        ("roster", "not-authorized not-in-roster-group", HIDDEN),
    ] {
        let stage = stage();
        done(&stage, &publish_with("urn:x", "1", &[("access_model", model)]));
        for (who, expected) in [(ROMEO, ""), (JULIET, contact), (STRANGER, stranger)] {
            let read = get(&stage, who, ROMEOS, &items("urn:x"));
            match expected {
                "" => assert_eq!(ids(&read), ["1"], "{model} {who}"),
                expected => assert_eq!(read, expected, "{model} {who}"),
            }
        }
    }
    let stage = stage();
    let groups = [("access_model", "roster"), ("roster_groups_allowed", "Capulet")];
    done(&stage, &publish_with("urn:x", "1", &groups));
    assert_eq!(ids(&get(&stage, JULIET, ROMEOS, &items("urn:x"))), ["1"]);
    assert_eq!(get(&stage, STRANGER, ROMEOS, &items("urn:x")), HIDDEN);
}

#[test]
fn a_stranger_is_told_the_same_of_a_node_of_none_and_of_no_account() {
    let stage = stage();
    done(&stage, &publish("urn:x", "1"));
    let requests = [
        items("urn:x"),
        owner("<configure node='urn:x'/>"),
        owner("<affiliations node='urn:x'/>"),
        owner("<subscriptions node='urn:x'/>"),
    ];
    for request in requests {
        for to in ["romeo@example.net", "juliet@example.net", "nobody@example.net"] {
            assert_eq!(get(&stage, STRANGER, Some(to), &request), HIDDEN, "{to} {request}");
        }
    }
    for request in [
        pubsub("<subscribe node='urn:x' jid='tybalt@example.net'/>"),
        pubsub("<unsubscribe node='urn:x' jid='tybalt@example.net'/>"),
        pubsub("<retract node='urn:x'><item id='1'/></retract>"),
        owner("<delete node='urn:x'/>"),
        owner("<purge node='urn:x'/>"),
        configure("urn:x", &[]),
        owner(
            "<affiliations node='urn:x'><affiliation jid='tybalt@example.net' affiliation='owner'/></affiliations>",
        ),
    ] {
        for to in ["romeo@example.net", "juliet@example.net", "nobody@example.net"] {
            assert_eq!(set(&stage, STRANGER, Some(to), &request), HIDDEN, "{to} {request}");
        }
    }
    for request in
        [pubsub("<subscriptions/>"), pubsub("<affiliations/>"), pubsub("<subscriptions node='urn:x'/>")]
    {
        let answers = [ROMEOS, Some("nobody@example.net")].map(|to| get(&stage, STRANGER, to, &request));
        assert_eq!(answers[0], answers[1]);
        assert!(!answers[0].contains("urn:x"), "{answers:?}");
    }
    for to in [ROMEOS, Some("nobody@example.net")] {
        assert_eq!(get(&stage, STRANGER, to, &query(INFO, "urn:x")), "service-unavailable");
        assert_eq!(
            get(&stage, STRANGER, to, &query(ITEMS, "urn:x")),
            "<query xmlns=\"http://jabber.org/protocol/disco#items\" node=\"urn:x\"/>"
        );
        assert_eq!(set(&stage, STRANGER, to, &pubsub("<create node='urn:y'/>")), "forbidden");
    }
}

#[test]
fn whom_the_account_has_blocked_is_a_stranger() {
    let stage = stage();
    done(&stage, &publish("urn:x", "1"));
    let romeo = rjabberd_xmpp::BareJid::new("romeo@example.net").unwrap();
    stage.im.blocklists.set(&romeo, vec![crate::stage::jid("juliet@example.net")]);
    assert_eq!(get(&stage, JULIET, ROMEOS, &items("urn:x")), HIDDEN);
}

#[test]
fn items_are_asked_for_by_id_by_number_and_by_page() {
    let stage = stage();
    done(&stage, &publish_with("urn:x", "1", &[("max_items", "10")]));
    for id in ["2", "3", "4", "5"] {
        done(&stage, &publish("urn:x", id));
    }
    let read = |content: &str| get(&stage, JULIET, ROMEOS, &pubsub(content));
    assert_eq!(ids(&read("<items node='urn:x'/>")), ["1", "2", "3", "4", "5"]);
    assert_eq!(ids(&read("<items node='urn:x' max_items='2'/>")), ["4", "5"]);
    assert_eq!(ids(&read("<items node='urn:x'><item id='5'/><item id='2'/></items>")), ["5", "2"]);
    assert_eq!(ids(&read("<items node='urn:x'><item id='5'/><item id='none'/></items>")), ["5"]);
    assert_eq!(read("<items node='urn:x'><item id='none'/></items>"), "item-not-found");
    assert_eq!(read("<items/>"), "bad-request nodeid-required");
    assert_eq!(read("<items node='urn:x' max_items='-1'/>"), "bad-request");
    let page = |set: &str| {
        read(&format!("<items node='urn:x'/><set xmlns='http://jabber.org/protocol/rsm'>{set}</set>"))
    };
    let first = page("<max>2</max>");
    assert_eq!(ids(&first), ["1", "2"]);
    let set =
        "<set xmlns=\"http://jabber.org/protocol/rsm\"><first>1</first><last>2</last><count>5</count></set>";
    assert!(first.contains(set), "{first}");
    assert_eq!(ids(&page("<max>2</max><after>2</after>")), ["3", "4"]);
    assert_eq!(ids(&page("<max>2</max><before/>")), ["4", "5"]);
    assert_eq!(ids(&page("<max>2</max><before>4</before>")), ["2", "3"]);
    let none = page("<max>0</max>");
    assert!(ids(&none).is_empty() && none.contains("<count>5</count>"), "{none}");
    for (set, expected) in [
        ("<after>' OR '1'='1</after>", "item-not-found"),
        ("<before>1; DROP TABLE pep_item; --</before>", "item-not-found"),
        ("<max>1</max><after>&#x1F480;</after>", "item-not-found"),
        ("<max>many</max>", "bad-request"),
        ("<max>-1</max>", "bad-request"),
        ("<after>1</after><before>3</before>", "bad-request"),
        ("<index>1</index>", "feature-not-implemented"),
    ] {
        assert_eq!(page(set), expected, "{set}");
    }
}

#[test]
fn an_answer_that_is_too_long_says_how_much_there_is() {
    let stage = stage();
    let long = "x".repeat(200_000);
    done(&stage, &publish_with("urn:x", "0", &[("max_items", "10")]));
    for id in 1..9 {
        let item = format!("<item id='{id}'><a xmlns='urn:a'>{long}</a></item>");
        done(&stage, &pubsub(&format!("<publish node='urn:x'>{item}</publish>")));
    }
    let read = get(&stage, ROMEO, None, &items("urn:x"));
    assert_eq!(ids(&read), ["0", "1", "2", "3", "4", "5"]);
    assert!(read.ends_with("<first>0</first><last>5</last><count>9</count></set></pubsub>"));
}

#[test]
fn nodes_are_discovered_by_those_who_may_read_them() {
    let stage = stage();
    done(&stage, &publish_with("urn:x", "1", &[("title", "A title"), ("type", "urn:a")]));
    done(&stage, &publish_with("urn:private", "1", &[("access_model", "whitelist")]));
    let all = format!("<query xmlns='{ITEMS}'/>");
    let public = "<item jid=\"romeo@example.net\" node=\"urn:x\" name=\"A title\"/>";
    let private = "<item jid=\"romeo@example.net\" node=\"urn:private\"/>";
    let own = get(&stage, ROMEO, None, &all);
    assert!(own.contains(public) && own.contains(private), "{own}");
    let hers = get(&stage, JULIET, ROMEOS, &all);
    assert!(hers.contains(public) && !hers.contains("private"), "{hers}");
    assert_eq!(get(&stage, STRANGER, ROMEOS, &all), format!("<query xmlns=\"{ITEMS}\"/>"));
    let info = get(&stage, JULIET, ROMEOS, &query(INFO, "urn:x"));
    for part in [
        "<identity category=\"pubsub\" type=\"leaf\"/>",
        "<field var=\"pubsub#title\" type=\"text-single\"><value>A title</value></field>",
        "<field var=\"pubsub#owner\" type=\"jid-multi\"><value>romeo@example.net</value></field>",
        "<field var=\"pubsub#access_model\" type=\"list-single\"><value>presence</value></field>",
    ] {
        assert!(info.contains(part), "{info}");
    }
    assert_eq!(get(&stage, JULIET, ROMEOS, &query(INFO, "urn:private")), "item-not-found");
    assert_eq!(get(&stage, ROMEO, None, &query(INFO, "urn:none")), "item-not-found");
    let item = "<item jid=\"romeo@example.net\" name=\"1\"/>";
    assert!(get(&stage, JULIET, ROMEOS, &query(ITEMS, "urn:x")).contains(item));
    assert!(!get(&stage, JULIET, ROMEOS, &query(ITEMS, "urn:private")).contains(item));
    assert_eq!(get(&stage, ROMEO, None, &query(ITEMS, "urn:none")), "item-not-found");
}
