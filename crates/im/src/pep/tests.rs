//! Personal eventing on the stage: who may do what, what is answered, and who is told.

mod faces;
mod notifying;
mod owning;
mod publishing;
mod reading;

use crate::Limits;
use crate::stage::{JULIET, ROMEO, Stage, inner};
use rjabberd_xmpp::{Stanza, StanzaError};

use super::PepSettings;

const ROMEOS: Option<&str> = Some("romeo@example.net");
const STRANGER: &str = "tybalt@example.net/sword";
/// What is told of a node that one may not know of.
const HIDDEN: &str = "not-authorized presence-subscription-required";

fn pubsub(content: &str) -> String {
    format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{content}</pubsub>")
}

fn owner(content: &str) -> String {
    format!("<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>{content}</pubsub>")
}

fn item(id: &str) -> String {
    format!("<item id='{id}'><a xmlns='urn:a'>{id}</a></item>")
}

fn publish(node: &str, id: &str) -> String {
    pubsub(&format!("<publish node='{node}'>{}</publish>", item(id)))
}

/// A form of these fields.
fn form(form_type: &str, fields: &[(&str, &str)]) -> String {
    let fields: String = fields
        .iter()
        .map(|(var, value)| format!("<field var='pubsub#{var}'><value>{value}</value></field>"))
        .collect();
    format!(
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>\
         <value>http://jabber.org/protocol/pubsub#{form_type}</value></field>{fields}</x>"
    )
}

fn publish_with(node: &str, id: &str, options: &[(&str, &str)]) -> String {
    let options = form("publish-options", options);
    pubsub(&format!(
        "<publish node='{node}'>{}</publish><publish-options>{options}</publish-options>",
        item(id)
    ))
}

fn configure(node: &str, fields: &[(&str, &str)]) -> String {
    owner(&format!("<configure node='{node}'>{}</configure>", form("node_config", fields)))
}

fn items(node: &str) -> String {
    pubsub(&format!("<items node='{node}'/>"))
}

/// The payload of a result; of an error its condition, and the XEP's own.
fn said(answer: &Stanza) -> String {
    if !answer.is_error() {
        return inner(answer);
    }
    let error = StanzaError::from_element(&answer.child_element(&answer.children()[0]).unwrap());
    let application = error.application.map(|element| format!(" {}", element.name())).unwrap_or_default();
    format!("{}{application}", error.condition.name())
}

/// What becomes of a set.
fn set(stage: &Stage, from: &str, to: Option<&str>, payload: &str) -> String {
    said(&stage.answer(from, "set", to, payload))
}

fn get(stage: &Stage, from: &str, to: Option<&str>, payload: &str) -> String {
    said(&stage.answer(from, "get", to, payload))
}

/// Romeo's own set, which is done.
#[track_caller]
fn done(stage: &Stage, payload: &str) {
    let answer = stage.answer(ROMEO, "set", None, payload);
    assert!(!answer.is_error(), "{payload}: {}", said(&answer));
}

/// The ids of the items in a text, in order.
fn ids(text: &str) -> Vec<&str> {
    text.split("<item id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// Romeo, whose presence Juliet may see; she is in his group Capulet.
fn stage() -> Stage {
    stage_with(PepSettings::default())
}

fn stage_with(pep: PepSettings) -> Stage {
    let stage = Stage::with(Limits { pep, ..Limits::default() }, &Default::default());
    stage.has_contact("romeo@example.net", "juliet@example.net", true);
    stage.has_contact("juliet@example.net", "romeo@example.net", true);
    let mut kept = stage.store.kept.lock();
    kept.profiles.get_mut("romeo@example.net").unwrap().items[0].groups = vec!["Capulet".to_owned()];
    drop(kept);
    stage
}
