//! What clients hear, in few words, so that a play can compare whole sequences; and what many plays begin with.

use rjabberd_testkit::{Client, Node, Play};

const ROSTER: &str = "jabber:iq:roster";

/// An element in few words: `subscribe romeo@localhost`, `push juliet@localhost both`, `message romeo@localhost/a Hello`.
pub(crate) fn said(node: &Node) -> String {
    let attribute = |name| node.attribute(name).unwrap_or_default();
    let kind = attribute("type");
    let condition = node.child("error").and_then(|error| error.children.first());
    match (node.name.as_str(), condition) {
        (name, Some(condition)) => format!("{name} error {}", condition.name),
        ("presence", None) => {
            let kind = if kind.is_empty() { "available" } else { kind };
            let more = node.child("show").map(|show| format!(" {}", show.text)).unwrap_or_default();
            format!("{kind} {}{more}", attribute("from"))
        }
        ("message", None) => {
            let body = node.child("body").map(|body| body.text.as_str()).unwrap_or_default();
            format!("message {} {body}", attribute("from"))
        }
        ("iq", None) if kind == "set" => pushed(node),
        (name, None) => format!("{name} {kind} {}", attribute("id")),
    }
}

fn pushed(iq: &Node) -> String {
    let payload = &iq.children[0];
    let items = payload.children.iter().map(|item| {
        let attribute = |name| item.attribute(name).unwrap_or_default();
        let mut words = vec![attribute("jid").to_owned()];
        words.extend(item.attribute("subscription").map(str::to_owned));
        words.extend(item.attribute("ask").map(|_| "ask".to_owned()));
        words.extend(item.attribute("approved").map(|_| "approved".to_owned()));
        words.join(" ")
    });
    let items: Vec<String> = items.collect();
    let name = if payload.attribute("xmlns") == Some(ROSTER) { "push" } else { payload.name.as_str() };
    format!("{name} {}", items.join(", ")).trim_end().to_owned()
}

/// All that comes for a client of what it has sent; whoever else is to hear of that has it in his mailbox.
#[track_caller]
pub(crate) fn settle(client: &mut Client) -> Vec<String> {
    client.settles().iter().map(said).collect()
}

/// All that has come.
#[track_caller]
pub(crate) fn heard(client: &mut Client) -> Vec<String> {
    client.collects().iter().map(said).collect()
}

/// Sends this and compares all that comes of it for the sender.
#[track_caller]
pub(crate) fn says(play: &mut Play, name: &str, text: &str, comes: &[&str]) {
    let heard = settle(play.client(name).sends(text));
    assert_eq!(heard, comes, "{name} says {text}");
}

/// Compares all that has come for a client.
#[track_caller]
pub(crate) fn hears(play: &mut Play, name: &str, comes: &[&str]) {
    let heard = heard(play.client(name));
    assert_eq!(heard, comes, "{name} hears");
}

/// Asks for the roster, as an interested resource does: its items in few words.
#[track_caller]
pub(crate) fn roster(client: &mut Client) -> Vec<String> {
    let answer = client.sends("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>").settles();
    let answer = answer.iter().find(|node| node.attribute("id") == Some("roster")).expect("an answer");
    assert_eq!(answer.attribute("type"), Some("result"), "{answer}");
    let items = pushed(answer);
    items.strip_prefix("push").unwrap_or_default().split(", ").map(|item| item.trim().to_owned()).collect()
}

/// Enters, asks for the roster and is available: available and interested.
#[track_caller]
pub(crate) fn attends(play: &mut Play, name: &str) {
    let client = play.enters(name);
    roster(client);
    client.sends("<presence/>").settles();
    client.forgets();
}

/// A presence stanza of that type to somebody.
pub(crate) fn presence(kind: &str, to: &str) -> String {
    format!("<presence type='{kind}' to='{to}'/>")
}

/// Has the account of `watcher` see the presence of the account of `shown`; both have entered.
#[track_caller]
pub(crate) fn watches(play: &mut Play, watcher: &str, shown: &str) {
    let (watching, showing) = (bare(play.client(watcher).jid()), bare(play.client(shown).jid()));
    play.client(watcher).sends(&presence("subscribe", &showing)).settles();
    play.client(shown).sends(&presence("subscribed", &watching)).settles();
    play.client(watcher).forgets();
    play.client(shown).forgets();
}

/// Has two accounts see each other's presence; both have entered.
#[track_caller]
pub(crate) fn befriend(play: &mut Play, one: &str, other: &str) {
    watches(play, one, other);
    watches(play, other, one);
}

fn bare(jid: &str) -> String {
    jid.split('/').next().unwrap_or_default().to_owned()
}
