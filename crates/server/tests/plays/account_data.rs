//! What an account keeps at the server, and whom it blocks: also after the server was stopped and started.

use rjabberd_testkit::Play;

const PRIVATE: &str = "<query xmlns='jabber:iq:private'><storage xmlns='storage:rosternotes'><note>dear</note></storage></query>";
const VCARD: &str = "<vCard xmlns='vcard-temp'><FN>Juliet &amp; Co</FN></vCard>";
const BLOCK: &str = "<block xmlns='urn:xmpp:blocking'><item jid='romeo@localhost'/></block>";

fn iq(kind: &str, id: &str, payload: &str) -> String {
    format!("<iq type='{kind}' id='{id}'>{payload}</iq>")
}

fn done(id: &str) -> String {
    format!("<iq type='result' id='{id}'/>")
}

#[test]
fn private_xml_and_a_vcard_outlive_the_server() {
    let mut play = Play::without_tls(&[]);
    let juliet = play.enters("juliet/balcony");
    juliet.sends(&iq("set", "1", PRIVATE)).gets(&done("1")).sends(&iq("set", "2", VCARD)).gets(&done("2"));
    play.enters("romeo/orchard");
    play.server.stop();
    play.server.run();
    play.returns("juliet/balcony")
        .sends(&iq("get", "3", &PRIVATE.replace("<note>dear</note>", "")))
        .gets(&format!("<iq type='result' id='3'>{PRIVATE}</iq>"));
    play.returns("romeo/orchard")
        .sends("<iq type='get' id='4' to='juliet@localhost'><vCard xmlns='vcard-temp'/></iq>")
        .gets(&format!("<iq type='result' id='4' from='juliet@localhost'>{VCARD}</iq>"))
        .sends("<iq type='get' id='5' to='nobody@localhost'><vCard xmlns='vcard-temp'/></iq>")
        .gets("<iq type='error' id='5'><error type='cancel'><service-unavailable/></error></iq>");
}

#[test]
fn who_is_blocked_reaches_nobody_until_he_is_unblocked() {
    let mut play = Play::without_tls(&[]);
    play.enters("romeo/orchard");
    play.enters("juliet/balcony").sends(&iq("set", "1", BLOCK)).gets(&done("1"));
    play.server.stop();
    play.server.run();
    play.returns("romeo/orchard").is_available(0);
    play.returns("juliet/balcony").is_available(0).says("romeo@localhost", "no").gets(
        "<message type='error' from='romeo@localhost'><error type='cancel'><not-acceptable/>\
         <blocked xmlns='urn:xmpp:blocking:errors'/></error></message>",
    );
    play.client("romeo/orchard")
        .says("juliet@localhost/balcony", "hear me")
        .gets("<message type='error'><error type='cancel'><service-unavailable/></error></message>")
        .gets_nothing();
    play.client("juliet/balcony")
        .gets_nothing()
        .sends(&iq("get", "2", "<blocklist xmlns='urn:xmpp:blocking'/>"))
        .gets(
            "<iq type='result' id='2'><blocklist xmlns='urn:xmpp:blocking'>\
             <item jid='romeo@localhost'/></blocklist></iq>",
        )
        .sends(&iq("set", "3", "<unblock xmlns='urn:xmpp:blocking'/>"))
        .gets_all(&[&done("3"), "<iq type='set'><unblock xmlns='urn:xmpp:blocking'/></iq>"]);
    play.client("romeo/orchard").says("juliet@localhost/balcony", "hear me");
    play.client("juliet/balcony").hears("hear me");
}

#[test]
fn a_report_is_one_line_of_the_log_and_counted() {
    let mut play = Play::without_tls(&[]);
    let report = "<report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'>\
                  <text>forged&#10;2026-11-23T06:30:00.123Z [error] line</text></report>";
    let block =
        format!("<block xmlns='urn:xmpp:blocking'><item jid='spammer@x.example'>{report}</item></block>");
    play.enters("juliet/balcony").sends(&iq("set", "1", &block)).gets(&done("1"));
    let line = play.server.wait_for_log(&["juliet@localhost reports spammer@x.example"]);
    assert!(line.contains("forged\\n2026"), "{line}");
    assert_eq!(play.server.stats()["reports"]["spam"], 1);
}

#[test]
fn the_addresses_of_the_config_are_told_to_who_asks() {
    let mut play = Play::without_tls(&["contact.abuse = ['mailto:abuse@example.net']"]);
    let info =
        "<iq type='get' id='d' to='localhost'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>";
    let told = format!("{:?}", play.enters("romeo/orchard").sends(info).takes());
    assert!(told.contains("abuse-addresses") && told.contains("mailto:abuse@example.net"), "{told}");
}
