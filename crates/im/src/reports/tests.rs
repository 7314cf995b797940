//! Reports inside block commands, and the line that tells of them.

use rjabberd_xml::{Context, read_element};
use rjabberd_xmpp::BareJid;

use super::{IDS_MAX, NAME_BYTES_MAX, Report, TEXT_BYTES_MAX};
use crate::stage::{ROMEO, Stage, jid, settle};

fn report(reason: &str, content: &str) -> String {
    format!("<report xmlns='urn:xmpp:reporting:1' {reason}>{content}</report>")
}

fn block(items: &[String]) -> String {
    let items: String = items
        .iter()
        .enumerate()
        .map(|(number, report)| format!("<item jid='spammer{number}@x.example'>{report}</item>"))
        .collect();
    format!("<block xmlns='urn:xmpp:blocking'>{items}</block>")
}

fn counts(stage: &Stage) -> [u64; 3] {
    stage.im.reports.counts().map(|(_, count)| count)
}

const SPAM: &str = "reason='urn:xmpp:reporting:spam'";
const ABUSE: &str = "reason='urn:xmpp:reporting:abuse'";

#[test]
fn each_report_of_a_block_is_counted_by_its_reason() {
    let stage = Stage::new();
    let items = [SPAM, ABUSE, "reason='urn:x'", SPAM].map(|reason| report(reason, ""));
    assert_eq!(stage.asks("set", None, &block(&items)), "");
    assert_eq!(counts(&stage), [2, 1, 1]);
}

#[test]
fn a_report_that_makes_no_sense_does_not_hinder_the_block() {
    let stage = Stage::new();
    let items = [report("", ""), "<report reason='urn:xmpp:reporting:spam'/>".to_owned()];
    assert_eq!(stage.asks("set", None, &block(&items)), "");
    assert_eq!(counts(&stage), [0; 3]);
    assert_eq!(stage.im.blocklists.of(&BareJid::new("romeo@example.net").unwrap()).len(), 2);
}

#[test]
fn a_report_of_a_block_that_failed_is_none() {
    let stage = Stage::new();
    stage.breaks(true);
    assert_eq!(stage.asks("set", None, &block(&[report(SPAM, "")])), "wait resource-constraint");
    assert_eq!(counts(&stage), [0; 3]);
}

#[actix_rt::test]
async fn the_push_does_not_tell_of_the_report() {
    let stage = Stage::new();
    let [orchard] = stage.sit([ROMEO]).await;
    let _ = stage.asks("get", None, "<blocklist xmlns='urn:xmpp:blocking'/>");
    assert_eq!(stage.asks("set", None, &block(&[report(SPAM, "")])), "");
    settle().await;
    assert_eq!(
        orchard.got(),
        ["<block xmlns=\"urn:xmpp:blocking\"><item jid=\"spammer0@x.example\"/></block>"]
    );
}

fn line(reason: &str, content: &str) -> String {
    let item = format!("<item xmlns='urn:xmpp:blocking'>{}</item>", report(reason, content));
    let item = read_element(&Context::canonical(), item.into()).unwrap().to_element().unwrap();
    Report::of(&item, &jid("tybalt@x.example")).unwrap().line(&BareJid::new("romeo@example.net").unwrap())
}

#[test]
fn the_line_names_who_whom_why_and_which_messages() {
    let content = "<stanza-id xmlns='urn:xmpp:sid:0' by='romeo@example.net' id='28482'/>\
                   <stanza-id xmlns='urn:xmpp:sid:0' by='romeo@example.net' id='38383'/>\
                   <text xml:lang='en'> Never came trouble\nto my \"house\". </text>\
                   <body>a message</body><report-origin/>";
    assert_eq!(
        line(SPAM, content),
        "romeo@example.net reports tybalt@x.example for \"urn:xmpp:reporting:spam\": \
         \"Never came trouble\\nto my \\\"house\\\".\", messages [\"28482\", \"38383\"]"
    );
}

#[test]
fn the_line_has_an_end() {
    let long = "ä".repeat(10_000);
    let id = format!("<stanza-id xmlns='urn:xmpp:sid:0' id='{long}'/>");
    let line = line(&format!("reason='{long}'"), &format!("<text>{long}</text>{}", id.repeat(100)));
    assert!(line.len() < TEXT_BYTES_MAX + (IDS_MAX + 1) * (NAME_BYTES_MAX + 4) + 100, "{}", line.len());
}
