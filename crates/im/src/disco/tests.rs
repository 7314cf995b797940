//! What accounts and servers say of themselves to whom.

use rjabberd_xmpp::BareJid;

use crate::ContactAddresses;
use crate::stage::{JULIET, ROMEO, Stage, jid, told};

const INFO: &str = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
const ITEMS: &str = "<query xmlns='http://jabber.org/protocol/disco#items'/>";
const JULIETS: Option<&str> = Some("juliet@example.net");
const NO_ITEMS: &str = "<query xmlns=\"http://jabber.org/protocol/disco#items\"/>";

#[test]
fn who_may_see_an_account_learns_what_it_is() {
    let stage = Stage::new();
    stage.has_contact("juliet@example.net", "romeo@example.net", true);
    let info = stage.asks("get", JULIETS, INFO);
    let begin = "<query xmlns=\"http://jabber.org/protocol/disco#info\">\
                 <identity category=\"account\" type=\"registered\"/><identity category=\"pubsub\" type=\"pep\"/>\
                 <feature var=\"http://jabber.org/protocol/disco#info\"/>\
                 <feature var=\"http://jabber.org/protocol/disco#items\"/>\
                 <feature var=\"http://jabber.org/protocol/pubsub\"/>";
    assert!(info.starts_with(begin), "{info}");
    let vars: Vec<&str> = info.split("var=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let others: Vec<_> = vars.iter().filter(|var| !var.starts_with("http://jabber.org/protocol/")).collect();
    assert_eq!(
        others,
        [&"jabber:iq:last", &"urn:xmpp:pep-vcard-conversion:0", &"urn:xmpp:sid:0", &"vcard-temp"]
    );
    let own = told(&stage.answer(JULIET, "get", None, INFO));
    assert!(own.contains("var=\"urn:xmpp:bookmarks:1#compat\"") && own.contains("#compat-pep"), "{own}");
    let with_node = INFO.replace("/>", " node='x'/>");
    assert_eq!(stage.asks("get", JULIETS, &with_node), "cancel item-not-found");
}

#[test]
fn who_may_not_see_an_account_does_not_learn_whether_it_exists() {
    let stage = Stage::new();
    stage.has_contact("juliet@example.net", "romeo@example.net", false);
    stage.has_contact("mercutio@example.net", "romeo@example.net", true);
    stage.im.blocklists.set(&BareJid::new("mercutio@example.net").unwrap(), vec![jid("romeo@example.net")]);
    for to in ["juliet@example.net", "mercutio@example.net", "nobody@example.net"] {
        for info in [INFO.to_owned(), INFO.replace("/>", " node='x'/>")] {
            assert_eq!(stage.asks("get", Some(to), &info), "cancel service-unavailable", "{to}");
        }
        assert_eq!(stage.asks("get", Some(to), ITEMS), NO_ITEMS, "{to}");
    }
}

#[actix_rt::test]
async fn the_available_resources_are_the_items_of_an_account_for_those_who_may_see_them() {
    let stage = Stage::new();
    stage.has_contact("juliet@example.net", "romeo@example.net", true);
    let [balcony, chamber, _hidden] =
        stage.sit([JULIET, "juliet@example.net/chamber", "juliet@example.net/tomb"]).await;
    balcony.appears();
    chamber.appears();
    let items = "<query xmlns=\"http://jabber.org/protocol/disco#items\">\
                 <item jid=\"juliet@example.net/balcony\"/><item jid=\"juliet@example.net/chamber\"/></query>";
    assert_eq!(stage.asks("get", JULIETS, ITEMS), items);
    assert_eq!(told(&stage.answer(JULIET, "get", None, ITEMS)), items);
    assert_eq!(told(&stage.answer("mercutio@example.net/x", "get", JULIETS, ITEMS)), NO_ITEMS);
    assert_eq!(stage.asks("get", Some("example.net"), ITEMS), NO_ITEMS);
}

#[test]
fn a_store_that_is_away_is_told() {
    let stage = Stage::new();
    stage.breaks(true);
    for asked in [INFO, ITEMS] {
        assert_eq!(stage.asks("get", JULIETS, asked), "wait resource-constraint");
    }
    assert_eq!(told(&stage.answer(ROMEO, "get", None, INFO)).split(' ').next(), Some("<query"));
    assert_eq!(told(&stage.answer(ROMEO, "get", None, ITEMS)), "wait resource-constraint");
}

#[test]
fn the_server_names_its_contact_addresses_and_its_capabilities_follow() {
    let contact = ContactAddresses::new(|role| match role {
        "abuse" => vec!["mailto:abuse@example.net".to_owned(), "xmpp:abuse@example.net".to_owned()],
        "status" => vec!["https://status.example.net".to_owned()],
        _ => Vec::new(),
    });
    let stage = Stage::with(Default::default(), &contact);
    let info = stage.asks("get", Some("example.net"), INFO);
    let form = "<x xmlns=\"jabber:x:data\" type=\"result\">\
                <field var=\"FORM_TYPE\" type=\"hidden\"><value>http://jabber.org/network/serverinfo</value></field>\
                <field var=\"abuse-addresses\"><value>mailto:abuse@example.net</value>\
                <value>xmpp:abuse@example.net</value></field>\
                <field var=\"status-addresses\"><value>https://status.example.net</value></field></x></query>";
    assert!(info.ends_with(form), "{info}");
    assert_ne!(stage.services.caps(), Stage::new().services.caps());
    assert!(!Stage::new().asks("get", Some("example.net"), INFO).contains("jabber:x:data"));
}
