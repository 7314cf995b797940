//! Publishing and taking back.

use super::*;

#[test]
fn a_node_is_made_by_what_is_published_and_keeps_the_last_item() {
    let stage = stage();
    for id in ["1", "2"] {
        assert_eq!(
            set(&stage, ROMEO, None, &publish("urn:x", id)),
            format!(
                "<pubsub xmlns=\"http://jabber.org/protocol/pubsub\"><publish node=\"urn:x\">\
                 <item id=\"{id}\"/></publish></pubsub>"
            )
        );
    }
    assert_eq!(
        get(&stage, ROMEO, ROMEOS, &items("urn:x")),
        "<pubsub xmlns=\"http://jabber.org/protocol/pubsub\"><items node=\"urn:x\"><item id=\"2\">\
         <a xmlns=\"urn:a\">2</a></item></items></pubsub>"
    );
}

#[test]
fn an_item_without_an_id_gets_one() {
    let stage = stage();
    let without = pubsub("<publish node='urn:x'><item><a xmlns='urn:a'/></item></publish>");
    let answer = set(&stage, ROMEO, None, &without);
    let [id] = ids(&answer)[..] else { panic!("{answer}") };
    assert_eq!(id.len(), 32);
    assert_eq!(ids(&get(&stage, ROMEO, None, &items("urn:x"))), [id]);
}

/// XEP-0060, 7.1.3, and what has felled others: publishing to no node (CVE-2011-4320).
#[test]
fn what_cannot_be_published_is_refused_with_the_error_of_the_xep() {
    let stage = stage_with(PepSettings { item_bytes_max: 10_000, ..PepSettings::default() });
    let long = "x".repeat(10_000);
    let payload = format!("<item id='1'><a xmlns='urn:a'>{long}</a></item>");
    let id = format!("<item id='{}'><a xmlns='urn:a'/></item>", "i".repeat(1_024));
    let many: String = (0..2).map(|number| item(&number.to_string())).collect();
    for (attributes, content, expected) in [
        ("", item("1"), "bad-request nodeid-required"),
        ("node=''", item("1"), "bad-request nodeid-required"),
        ("node='urn:x'", String::new(), "bad-request item-required"),
        ("node='urn:x'", "<item id='1'/>".to_owned(), "bad-request payload-required"),
        (
            "node='urn:x'",
            "<item id='1'><a xmlns='urn:a'/><b xmlns='urn:a'/></item>".to_owned(),
            "bad-request invalid-payload",
        ),
        ("node='urn:x'", many, "bad-request invalid-payload"),
        ("node='urn:x'", payload, "not-acceptable payload-too-big"),
        ("node='urn:x'", id, "not-acceptable"),
        ("node='urn:x'", "<a xmlns='urn:a'/>".to_owned(), "bad-request"),
    ] {
        let request = pubsub(&format!("<publish {attributes}>{content}</publish>"));
        assert_eq!(set(&stage, ROMEO, None, &request), expected, "{attributes}");
    }
    let long_name = publish(&"n".repeat(1_024), "1");
    assert_eq!(set(&stage, ROMEO, None, &long_name), "not-acceptable");
    assert_eq!(set(&stage, ROMEO, None, &pubsub("")), "bad-request");
    assert_eq!(get(&stage, ROMEO, None, &publish("urn:x", "1")), "bad-request");
    assert_eq!(get(&stage, ROMEO, None, &items("urn:x")), "item-not-found");
}

#[test]
fn a_payload_of_another_type_than_the_node_s_is_refused() {
    let stage = stage();
    done(&stage, &publish_with("urn:x", "1", &[("type", "urn:a")]));
    done(&stage, &configure("urn:x", &[("type", "urn:b")]));
    assert_eq!(set(&stage, ROMEO, None, &publish("urn:x", "2")), "bad-request invalid-payload");
}

#[test]
fn an_account_has_no_more_nodes_and_bytes_than_it_may() {
    let stage = stage_with(PepSettings { nodes_max: 20, bytes_max: 90_000, ..PepSettings::default() });
    for number in 0..20 {
        done(&stage, &publish(&format!("urn:{number}"), "1"));
    }
    assert_eq!(set(&stage, ROMEO, None, &publish("urn:more", "1")), "not-allowed max-nodes-exceeded");
    let create = pubsub("<create node='urn:more'/>");
    assert_eq!(set(&stage, ROMEO, None, &create), "not-allowed max-nodes-exceeded");
    let long = item("1").replace("</a>", &format!("{}</a>", "x".repeat(100_000)));
    let publish = pubsub(&format!("<publish node='urn:1'>{long}</publish>"));
    assert_eq!(set(&stage, ROMEO, None, &publish), "policy-violation");
}

#[test]
fn a_node_that_is_made_by_publish_options_is_as_they_say_and_later_ones_must_be_met() {
    let stage = stage();
    let private = [("persist_items", "true"), ("access_model", "whitelist"), ("max_items", "max")];
    for id in ["1", "2"] {
        done(&stage, &publish_with("urn:x", id, &private));
    }
    assert_eq!(ids(&get(&stage, ROMEO, None, &items("urn:x"))), ["1", "2"]);
    assert_eq!(get(&stage, JULIET, ROMEOS, &items("urn:x")), "not-allowed closed-node");
    for (var, value, expected) in [
        ("access_model", "open", "conflict precondition-not-met"),
        ("max_items", "1", "conflict precondition-not-met"),
        ("colour", "red", "not-acceptable"),
    ] {
        let publish = publish_with("urn:x", "3", &[(var, value)]);
        assert_eq!(set(&stage, ROMEO, None, &publish), expected, "{var}");
    }
    let unknown = publish_with("urn:new", "1", &[("colour", "red")]);
    assert_eq!(set(&stage, ROMEO, None, &unknown), "not-acceptable");
    let wrong = publish("urn:new", "1").replace(
        "</pubsub>",
        &format!("<publish-options>{}</publish-options></pubsub>", form("node_config", &[])),
    );
    assert_eq!(set(&stage, ROMEO, None, &wrong), "not-acceptable");
    assert_eq!(ids(&get(&stage, ROMEO, None, &items("urn:x"))), ["1", "2"]);
    assert_eq!(get(&stage, ROMEO, None, &items("urn:new")), "item-not-found");
}

#[test]
fn only_who_may_publish_does_and_nobody_learns_more_by_trying() {
    let stage = stage();
    assert_eq!(set(&stage, JULIET, ROMEOS, &publish("urn:x", "1")), "item-not-found");
    done(&stage, &publish("urn:x", "1"));
    assert_eq!(set(&stage, JULIET, ROMEOS, &publish("urn:x", "1")), "forbidden");
    for to in [ROMEOS, Some("nobody@example.net")] {
        assert_eq!(set(&stage, STRANGER, to, &publish("urn:x", "1")), HIDDEN);
    }
    done(&stage, &configure("urn:x", &[("publish_model", "open")]));
    let answer = set(&stage, JULIET, ROMEOS, &publish("urn:x", "hers"));
    assert_eq!(ids(&answer), ["hers"]);
    let read = get(&stage, ROMEO, None, &items("urn:x"));
    assert!(read.contains("<item id=\"hers\" publisher=\"juliet@example.net\">"), "{read}");
}

#[test]
fn items_are_taken_back_by_who_may() {
    let stage = stage();
    done(&stage, &publish_with("urn:x", "1", &[("max_items", "10"), ("publish_model", "open")]));
    done(&stage, &publish("urn:x", "2"));
    assert_eq!(ids(&set(&stage, JULIET, ROMEOS, &publish("urn:x", "hers"))), ["hers"]);
    let retract = |id: &str| pubsub(&format!("<retract node='urn:x'><item id='{id}'/></retract>"));
    assert_eq!(set(&stage, JULIET, ROMEOS, &retract("1")), "forbidden");
    assert_eq!(set(&stage, STRANGER, ROMEOS, &retract("1")), HIDDEN);
    assert_eq!(set(&stage, JULIET, ROMEOS, &retract("hers")), "");
    assert_eq!(set(&stage, ROMEO, None, &retract("1")), "");
    assert_eq!(set(&stage, ROMEO, None, &retract("1")), "item-not-found");
    assert_eq!(ids(&get(&stage, ROMEO, None, &items("urn:x"))), ["2"]);
    for (request, expected) in [
        ("<retract><item id='2'/></retract>", "bad-request nodeid-required"),
        ("<retract node='urn:x'/>", "bad-request item-required"),
        ("<retract node='urn:x'><item/></retract>", "bad-request item-required"),
        ("<retract node='urn:none'><item id='2'/></retract>", "item-not-found"),
    ] {
        assert_eq!(set(&stage, ROMEO, None, &pubsub(request)), expected, "{request}");
    }
}

#[test]
fn a_store_that_is_away_is_told() {
    let stage = stage();
    stage.breaks(true);
    assert_eq!(set(&stage, ROMEO, None, &publish("urn:x", "1")), "resource-constraint");
    assert_eq!(get(&stage, ROMEO, None, &items("urn:x")), "resource-constraint");
}
