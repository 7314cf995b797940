//! Avatars and bookmarks, which have more than one face; and what is private.

use super::*;
use crate::vcard::Avatar;

/// SHA-1 of "abc".
const ABC: &str = "a9993e364706816aba3e25717850c26c9cd0d89d";
const GET_VCARD: &str = "<vCard xmlns='vcard-temp'/>";
const NEW: &str = "urn:xmpp:bookmarks:1";
const OLD: &str = "storage:bookmarks";

fn vcard(base64: &str) -> String {
    format!(
        "<vCard xmlns='vcard-temp'><FN>Romeo</FN><PHOTO><TYPE>image/jpeg</TYPE><BINVAL>{base64}</BINVAL></PHOTO></vCard>"
    )
}

fn data(id: &str, access: &str) -> String {
    let options = form("publish-options", &[("access_model", access)]);
    pubsub(&format!(
        "<publish node='urn:xmpp:avatar:data'><item id='{id}'><data xmlns='urn:xmpp:avatar:data'>YWJj</data></item>\
         </publish><publish-options>{options}</publish-options>"
    ))
}

fn metadata(infos: &str) -> String {
    pubsub(&format!(
        "<publish node='urn:xmpp:avatar:metadata'><item id='x'>\
         <metadata xmlns='urn:xmpp:avatar:metadata'>{infos}</metadata></item></publish>"
    ))
}

fn info(id: &str) -> String {
    format!("<info id='{id}' type='image/png' bytes='3'/>")
}

fn kept_avatar(stage: &Stage) -> Option<Avatar> {
    stage.store.kept.lock().vcards.get("romeo@example.net").and_then(|(_, avatar)| *avatar)
}

#[test]
fn a_published_avatar_becomes_the_photo_of_the_vcard_and_goes_with_it() {
    let stage = stage();
    done(&stage, "<vCard xmlns='vcard-temp' version='3.0'><FN>Romeo</FN></vCard>");
    done(&stage, &data(ABC, "open"));
    assert_eq!(kept_avatar(&stage), None, "not before it is said what it is");
    let elsewhere = "<info id='ff' type='image/png' bytes='9' url='http://x'/>";
    done(&stage, &metadata(&format!("{elsewhere}{}", info(ABC))));
    assert_eq!(kept_avatar(&stage).map(|avatar| super::super::avatars::hex(&avatar)).as_deref(), Some(ABC));
    assert_eq!(
        get(&stage, JULIET, ROMEOS, GET_VCARD),
        "<vCard xmlns=\"vcard-temp\" version=\"3.0\"><FN>Romeo</FN><PHOTO><TYPE>image/png</TYPE>\
         <BINVAL>YWJj</BINVAL></PHOTO></vCard>"
    );
    done(&stage, &metadata(""));
    assert_eq!(kept_avatar(&stage), None);
    assert_eq!(
        get(&stage, JULIET, ROMEOS, GET_VCARD),
        "<vCard xmlns=\"vcard-temp\" version=\"3.0\"><FN>Romeo</FN></vCard>"
    );
}

#[test]
fn an_avatar_that_not_everybody_may_see_or_that_is_another_is_no_photo() {
    for (access, id) in
        [("presence", ABC), ("whitelist", ABC), ("open", "ffffffffffffffffffffffffffffffffffffffff")]
    {
        let stage = stage();
        done(&stage, &data(id, access));
        done(&stage, &metadata(&info(id)));
        assert_eq!(kept_avatar(&stage), None, "{access} {id}");
    }
    let stage = stage();
    done(&stage, &metadata(&info(ABC)));
    assert_eq!(kept_avatar(&stage), None, "there is no such image");
    done(&stage, &publish("urn:xmpp:avatar:metadata", "1"));
}

#[test]
fn the_photo_of_a_vcard_is_published_once() {
    let stage = stage();
    for _ in 0..2 {
        done(&stage, &vcard("YWJj"));
    }
    let image = get(&stage, STRANGER, ROMEOS, &items("urn:xmpp:avatar:data"));
    assert!(
        image.contains(&format!("<item id=\"{ABC}\"><data xmlns=\"urn:xmpp:avatar:data\">YWJj</data>")),
        "{image}"
    );
    let said = get(&stage, JULIET, ROMEOS, &items("urn:xmpp:avatar:metadata"));
    let info = format!("<info id=\"{ABC}\" type=\"image/jpeg\" bytes=\"3\"/>");
    assert!(said.contains(&info), "{said}");
    done(&stage, "<vCard xmlns='vcard-temp'/>");
    let said = get(&stage, JULIET, ROMEOS, &items("urn:xmpp:avatar:metadata"));
    assert!(said.contains("<metadata xmlns=\"urn:xmpp:avatar:metadata\"/>"), "{said}");
}

fn private(content: &str) -> String {
    format!("<query xmlns='jabber:iq:private'>{content}</query>")
}

fn list(bookmarks: &str) -> String {
    format!("<storage xmlns='storage:bookmarks'>{bookmarks}</storage>")
}

fn asked(stage: &Stage) -> String {
    let told = get(stage, ROMEO, None, &private("<storage xmlns='storage:bookmarks'/>"));
    let begin = "<query xmlns=\"jabber:iq:private\"><storage xmlns=\"storage:bookmarks\"";
    told.strip_prefix(begin).unwrap_or_else(|| panic!("{told}")).to_owned()
}

fn bookmark(room: &str, name: &str) -> String {
    pubsub(&format!(
        "<publish node='{NEW}'><item id='{room}'><conference xmlns='{NEW}' name='{name}' autojoin='1'><nick>R</nick>\
         <extensions><x xmlns='urn:x'/></extensions></conference></item></publish>"
    ))
}

#[test]
fn bookmarks_are_the_same_whichever_way_they_are_kept() {
    let stage = stage();
    done(&stage, &bookmark("play@rooms.example.net", "The Play"));
    let conference = "<conference jid=\"play@rooms.example.net\" name=\"The Play\" autojoin=\"true\"><nick>R</nick>\
                      <extensions xmlns=\"urn:xmpp:bookmarks:1\"><x xmlns=\"urn:x\"/></extensions></conference>";
    assert_eq!(asked(&stage), format!(">{conference}</storage></query>"));
    let old = get(&stage, ROMEO, None, &items(OLD));
    assert!(
        old.contains(&format!("<item id=\"current\"><storage xmlns=\"{OLD}\">{conference}</storage>")),
        "{old}"
    );
    assert_eq!(get(&stage, JULIET, ROMEOS, &items(OLD)), "not-allowed closed-node");
    assert_eq!(get(&stage, JULIET, ROMEOS, &items(NEW)), "not-allowed closed-node");

    // By private XML: one is renamed, one is new, and an address of a page is kept.
    let renamed = "<url name='Page' url='http://x'/><conference jid='play@rooms.example.net' name='Renamed' autojoin='1'>\
                   <nick>R</nick></conference><conference jid='Ball@rooms.example.net'/>";
    done(&stage, &private(&list(renamed)));
    let new = get(&stage, ROMEO, None, &items(NEW));
    assert_eq!(ids(&new), ["play@rooms.example.net", "ball@rooms.example.net"]);
    assert!(new.contains("name=\"Renamed\"") && new.contains("<x xmlns=\"urn:x\"/>"), "{new}");
    assert!(
        asked(&stage).starts_with("><url name=\"Page\" url=\"http://x\"/><conference jid=\"play@"),
        "{}",
        asked(&stage)
    );

    // Two for one room: the later is what was added.
    let twice = renamed.to_owned() + "<conference jid='play@rooms.example.net' name='Again'/>";
    done(&stage, &private(&list(&twice)));
    let told = asked(&stage);
    assert!(told.contains("name=\"Again\"") && !told.contains("Renamed"), "{told}");

    // By the old node: one goes.
    let one = list("<conference jid='ball@rooms.example.net' autojoin='true'/>");
    done(&stage, &pubsub(&format!("<publish node='{OLD}'><item id='current'>{one}</item></publish>")));
    let new = get(&stage, ROMEO, None, &items(NEW));
    assert_eq!(ids(&new), ["ball@rooms.example.net"]);
    assert!(new.contains("autojoin=\"true\""), "{new}");
    assert!(!asked(&stage).contains("play@") && asked(&stage).contains("<url"), "{}", asked(&stage));

    done(&stage, &pubsub(&format!("<retract node='{NEW}'><item id='ball@rooms.example.net'/></retract>")));
    assert!(!asked(&stage).contains("conference"), "{}", asked(&stage));
    assert!(!get(&stage, ROMEO, None, &items(OLD)).contains("conference"));
}

#[test]
fn bookmarks_from_before_there_were_items_become_items_and_do_not_come_back() {
    let stage = stage();
    let stored = list("<conference jid='play@rooms.example.net' name='The Play'/><conference jid='@'/>");
    let key = ("romeo@example.net".to_owned(), "storage".to_owned(), OLD.to_owned());
    stage.store.kept.lock().private.insert(key, stored);
    assert!(asked(&stage).contains("play@"));
    assert_eq!(ids(&get(&stage, ROMEO, None, &items(NEW))), ["play@rooms.example.net"]);
    done(&stage, &owner(&format!("<delete node='{NEW}'/>")));
    assert!(!asked(&stage).contains("play@"), "{}", asked(&stage));
    assert_eq!(get(&stage, ROMEO, None, &items(NEW)), "item-not-found");
}

#[test]
fn a_bookmark_that_is_published_first_leaves_the_older_ones() {
    let stage = stage();
    let key = ("romeo@example.net".to_owned(), "storage".to_owned(), OLD.to_owned());
    let stored = list("<conference jid='play@rooms.example.net'/>");
    stage.store.kept.lock().private.insert(key, stored);
    done(&stage, &bookmark("ball@rooms.example.net", "The Ball"));
    assert_eq!(
        ids(&get(&stage, ROMEO, None, &items(NEW))),
        ["play@rooms.example.net", "ball@rooms.example.net"]
    );
}

/// XEP-0490, and XEP-0223 where the client forgets to say so.
#[test]
fn what_was_displayed_is_kept_for_each_chat_and_for_oneself() {
    let stage = stage();
    let node = "urn:xmpp:mds:displayed:0";
    let private = [
        ("persist_items", "true"),
        ("max_items", "max"),
        ("send_last_published_item", "never"),
        ("access_model", "whitelist"),
    ];
    done(&stage, &publish(node, "mercutio@example.net"));
    done(&stage, &publish_with(node, "juliet@example.net", &private));
    assert_eq!(ids(&get(&stage, ROMEO, None, &items(node))), ["mercutio@example.net", "juliet@example.net"]);
    assert_eq!(get(&stage, JULIET, ROMEOS, &items(node)), "not-allowed closed-node");
}
