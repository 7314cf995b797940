//! What owners do, and what others are to a node.

use super::*;

#[test]
fn a_node_is_made_configured_emptied_and_taken_away() {
    let stage = stage();
    let wanted = form("node_config", &[("access_model", "open"), ("max_items", "3"), ("colour", "red")]);
    let create = pubsub(&format!("<create node='urn:x'/><configure>{wanted}</configure>"));
    assert_eq!(set(&stage, ROMEO, None, &create), "");
    assert_eq!(set(&stage, ROMEO, None, &create), "conflict");
    let config = get(&stage, ROMEO, None, &owner("<configure node='urn:x'/>"));
    let is = |config: &str, var: &str, value: &str| {
        config.split_once(&format!("<field var=\"pubsub#{var}\"")).is_some_and(|(_, rest)| {
            rest.split("</field>").next().unwrap().contains(&format!("<value>{value}</value>"))
        })
    };
    assert!(is(&config, "access_model", "open") && is(&config, "max_items", "3"), "{config}");
    for id in ["1", "2", "3", "4"] {
        done(&stage, &publish("urn:x", id));
    }
    assert_eq!(ids(&get(&stage, STRANGER, ROMEOS, &items("urn:x"))), ["2", "3", "4"]);
    done(&stage, &configure("urn:x", &[("max_items", "1"), ("access_model", "presence")]));
    assert_eq!(ids(&get(&stage, JULIET, ROMEOS, &items("urn:x"))), ["4"]);
    assert_eq!(get(&stage, STRANGER, ROMEOS, &items("urn:x")), HIDDEN);
    done(&stage, &owner("<purge node='urn:x'/>"));
    assert!(ids(&get(&stage, ROMEO, None, &items("urn:x"))).is_empty());
    done(&stage, &owner("<delete node='urn:x'/>"));
    assert_eq!(get(&stage, ROMEO, None, &items("urn:x")), "item-not-found");
    assert_eq!(set(&stage, ROMEO, None, &owner("<delete node='urn:x'/>")), "item-not-found");
}

#[test]
fn a_node_without_a_name_gets_one() {
    let stage = stage();
    let answer = set(&stage, ROMEO, None, &pubsub("<create/>"));
    let node = answer.split("node=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(node.len(), 32);
    done(&stage, &publish(node, "1"));
}

#[test]
fn a_config_that_cannot_be_is_refused() {
    let stage = stage();
    done(&stage, &publish("urn:x", "1"));
    for (field, expected) in [
        (("access_model", "authorize"), "not-acceptable unsupported-access-model"),
        (("max_items", "1001"), "not-acceptable"),
        (("max_items", "0"), "not-acceptable"),
        (("persist_items", "maybe"), "not-acceptable"),
        (("publish_model", "nobody"), "not-acceptable"),
        (("send_last_published_item", "always"), "not-acceptable"),
    ] {
        assert_eq!(set(&stage, ROMEO, None, &configure("urn:x", &[field])), expected, "{field:?}");
    }
    for (request, expected) in [
        ("<configure node='urn:x'/>", "bad-request"),
        ("<configure/>", "bad-request nodeid-required"),
        ("<configure node='urn:x'><x xmlns='jabber:x:data' type='result'/></configure>", "bad-request"),
        ("<configure node='urn:x'><x xmlns='jabber:x:data' type='cancel'/></configure>", ""),
        ("<configure node='urn:none'><x xmlns='jabber:x:data' type='submit'/></configure>", "item-not-found"),
        ("<delete/>", "bad-request nodeid-required"),
        ("<default/>", "bad-request"),
        ("<other/>", "feature-not-implemented"),
        ("", "bad-request"),
    ] {
        assert_eq!(set(&stage, ROMEO, None, &owner(request)), expected, "{request}");
    }
    let default = get(&stage, ROMEO, None, &owner("<default/>"));
    assert!(default.contains("<option><value>whitelist</value></option>"), "{default}");
    assert!(!default.contains("authorize"));
}

#[test]
fn owners_publishers_members_and_outcasts_are_what_they_are() {
    let stage = stage();
    done(&stage, &publish_with("urn:x", "1", &[("access_model", "whitelist")]));
    let becomes = |affiliation: &str| {
        owner(&format!(
            "<affiliations node='urn:x'><affiliation jid='juliet@example.net' affiliation='{affiliation}'/></affiliations>"
        ))
    };
    assert_eq!(set(&stage, JULIET, ROMEOS, &becomes("owner")), "forbidden");
    for (affiliation, reads, publishes, owns) in [
        ("member", true, "forbidden", false),
        ("publisher", true, "", false),
        ("owner", true, "", true),
        ("none", false, "not-allowed closed-node", false),
        ("outcast", false, "forbidden", false),
    ] {
        done(&stage, &becomes(affiliation));
        let read = get(&stage, JULIET, ROMEOS, &items("urn:x"));
        assert_eq!(!ids(&read).is_empty(), reads, "{affiliation}: {read}");
        let published = set(&stage, JULIET, ROMEOS, &publish("urn:x", "2"));
        match publishes {
            "" => assert_eq!(ids(&published), ["2"], "{affiliation}"),
            expected => assert_eq!(published, expected, "{affiliation}"),
        }
        let config = get(&stage, JULIET, ROMEOS, &owner("<configure node='urn:x'/>"));
        assert_eq!(config.contains("pubsub#title"), owns, "{affiliation}: {config}");
        let listed = get(&stage, JULIET, ROMEOS, &pubsub("<affiliations/>"));
        assert_eq!(listed.contains(&format!("affiliation=\"{affiliation}\"")), affiliation != "none");
    }
    done(&stage, &configure("urn:x", &[("access_model", "open")]));
    assert_eq!(get(&stage, JULIET, ROMEOS, &items("urn:x")), "forbidden");
    let list = get(&stage, ROMEO, None, &owner("<affiliations node='urn:x'/>"));
    assert!(list.contains("<affiliation jid=\"romeo@example.net\" affiliation=\"owner\"/>"), "{list}");
    assert!(list.contains("<affiliation jid=\"juliet@example.net\" affiliation=\"outcast\"/>"), "{list}");
    assert_eq!(set(&stage, ROMEO, None, &becomes("publish-only")), "feature-not-implemented unsupported");
    assert_eq!(set(&stage, ROMEO, None, &becomes("friend")), "bad-request");
    let himself = becomes("none").replace("juliet", "romeo");
    assert_eq!(set(&stage, ROMEO, None, &himself), "not-acceptable");
}

#[test]
fn one_subscribes_oneself_and_the_owner_sees_it() {
    let stage = stage();
    done(&stage, &publish_with("urn:x", "1", &[("access_model", "open")]));
    let subscribe = |jid: &str| pubsub(&format!("<subscribe node='urn:x' jid='{jid}'/>"));
    let unsubscribe = |jid: &str| pubsub(&format!("<unsubscribe node='urn:x' jid='{jid}'/>"));
    assert_eq!(
        set(&stage, STRANGER, ROMEOS, &subscribe("tybalt@example.net")),
        "<pubsub xmlns=\"http://jabber.org/protocol/pubsub\"><subscription node=\"urn:x\" \
         jid=\"tybalt@example.net\" subscription=\"subscribed\"/></pubsub>"
    );
    for jid in ["juliet@example.net", "@", "example.net"] {
        assert_eq!(set(&stage, STRANGER, ROMEOS, &subscribe(jid)), "bad-request invalid-jid");
    }
    let options = pubsub("<subscribe node='urn:x' jid='tybalt@example.net'/><options/>");
    assert_eq!(set(&stage, STRANGER, ROMEOS, &options), "feature-not-implemented unsupported");
    let his = get(&stage, STRANGER, ROMEOS, &pubsub("<subscriptions/>"));
    assert!(his.contains("node=\"urn:x\" jid=\"tybalt@example.net\""), "{his}");
    let list = get(&stage, ROMEO, None, &owner("<subscriptions node='urn:x'/>"));
    assert!(
        list.contains("<subscription jid=\"tybalt@example.net\" subscription=\"subscribed\"/>"),
        "{list}"
    );
    let not_subscribed = "unexpected-request not-subscribed";
    assert_eq!(set(&stage, STRANGER, ROMEOS, &unsubscribe("tybalt@example.net/sword")), not_subscribed);
    assert_eq!(set(&stage, STRANGER, ROMEOS, &unsubscribe("tybalt@example.net")), "");
    assert_eq!(set(&stage, STRANGER, ROMEOS, &unsubscribe("tybalt@example.net")), not_subscribed);
    let by_owner = |state: &str| {
        owner(&format!(
            "<subscriptions node='urn:x'><subscription jid='tybalt@example.net' subscription='{state}'/></subscriptions>"
        ))
    };
    done(&stage, &by_owner("subscribed"));
    assert!(get(&stage, STRANGER, ROMEOS, &pubsub("<subscriptions/>")).contains("urn:x"));
    done(&stage, &by_owner("none"));
    assert!(!get(&stage, STRANGER, ROMEOS, &pubsub("<subscriptions/>")).contains("urn:x"));
    assert_eq!(set(&stage, ROMEO, None, &by_owner("pending")), "not-acceptable");
}

#[actix_rt::test]
async fn a_guest_has_no_nodes() {
    let stage = stage();
    let _guest = stage.sit_guest("guest@example.net/x").await;
    let guest = "guest@example.net/x";
    assert_eq!(set(&stage, guest, None, &publish("urn:x", "1")), "not-allowed");
    assert_eq!(set(&stage, guest, None, &owner("<delete node='urn:x'/>")), "not-allowed");
    assert_eq!(get(&stage, guest, None, &items("urn:x")), "item-not-found");
}
