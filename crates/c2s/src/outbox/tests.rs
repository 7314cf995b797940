//! Order, what has arrived, and what is taken out again; with stream management and without.

use parking_lot::Mutex;
use rjabberd_actors::probe::Probe;
use rjabberd_c2s_proto::Resumption;
use rjabberd_session_manager::{Control, Ledger, Undelivered};
use rjabberd_xmpp::{
    MessageType, Stanza, StanzaKind,
    management::{ResumptionId, Version, Window},
};

use super::*;

#[derive(Default)]
struct Back(Mutex<Vec<String>>);

impl Undelivered for Back {
    fn undelivered(&'static self, stanza: Stanza) {
        self.0.lock().push(stanza.id.unwrap_or_default());
    }
}

/// Says how many bytes it took.
fn pushes(outbox: &mut Outbox, parcel: Arc<Parcel>) -> usize {
    let before = outbox.len();
    let _noted = outbox.push_parcel(parcel);
    outbox.len() - before
}

fn filled(back: &'static Back, ids: &[&str]) -> (Outbox, Vec<usize>) {
    let mut outbox = Outbox::default();
    let sizes = ids
        .iter()
        .map(|id| {
            let mut stanza = Stanza::new(StanzaKind::Message(MessageType::Chat), &[]);
            stanza.id = Some((*id).to_owned());
            pushes(&mut outbox, Parcel::new(stanza, back))
        })
        .collect();
    (outbox, sizes)
}

#[test]
fn a_parcel_whose_last_byte_was_written_does_not_come_back() {
    let back: &'static Back = Box::leak(Box::default());
    let (mut outbox, sizes) = filled(back, &["a", "b"]);
    let _noted = outbox.advance(sizes[0]);
    drop(outbox);
    assert_eq!(*back.0.lock(), ["b"]);
}

#[test]
fn a_parcel_whose_last_byte_is_missing_comes_back() {
    let back: &'static Back = Box::leak(Box::default());
    let (mut outbox, sizes) = filled(back, &["a"]);
    let _noted = outbox.advance(sizes[0] - 1);
    drop(outbox);
    assert_eq!(*back.0.lock(), ["a"]);
}

#[test]
fn a_stanza_that_was_begun_is_finished_and_the_others_are_taken_in_order() {
    let back: &'static Back = Box::leak(Box::default());
    let (mut outbox, sizes) = filled(back, &["a", "b", "c"]);
    let _noted = outbox.advance(5);
    let rest = outbox.bytes()[..sizes[0] - 5].to_vec();
    let taken: Vec<_> =
        outbox.take_unwritten().iter().map(|parcel| parcel.stanza().id.clone().unwrap()).collect();
    assert_eq!(taken, ["b", "c"]);
    assert_eq!(outbox.bytes(), rest);
    assert_eq!(*back.0.lock(), ["b", "c"], "the taken ones were dropped by this test");
    let _noted = outbox.advance(rest.len());
    drop(outbox);
    assert_eq!(*back.0.lock(), ["b", "c"], "the begun one was delivered");
}

#[test]
fn bytes_of_our_own_that_were_begun_are_finished() {
    let back: &'static Back = Box::leak(Box::default());
    let mut outbox = Outbox::default();
    outbox.push(b"<own/>");
    outbox.push(b"<other/>");
    let _noted = outbox.advance(3);
    assert!(outbox.take_unwritten().is_empty());
    assert_eq!(outbox.bytes(), b"n/>");
    drop((outbox, back));
}

#[test]
fn messages_of_the_store_that_were_not_begun_are_taken_out_and_all_else_stays() {
    let back: &'static Back = Box::leak(Box::default());
    let (mut outbox, _) = filled(back, &[]);
    let _noted = outbox.push_message(Bytes::from_static(b"<begun/>"), 1);
    outbox.push(b"<own/>");
    let _noted = outbox.push_message(Bytes::from_static(b"<dropped/>"), 2);
    let mut stanza = Stanza::new(StanzaKind::Message(MessageType::Chat), &[]);
    stanza.id = Some("a".to_owned());
    let size = pushes(&mut outbox, Parcel::new(stanza, back));
    let _noted = outbox.push_message(Bytes::from_static(b"<dropped/>"), 3);
    let _noted = outbox.advance(3);
    outbox.drop_messages();
    assert!(outbox.bytes().starts_with(b"gun/><own/><message"), "{:?}", outbox.bytes());
    assert_eq!(outbox.len(), b"gun/><own/>".len() + size);
    let _noted = outbox.advance(b"gun/><own/>".len());
    assert_eq!(outbox.message(), 1);
    assert!(outbox.holds_parcels());
    let _noted = outbox.advance(size);
    assert!(outbox.is_empty() && !outbox.holds_parcels() && back.0.lock().is_empty());
}

#[test]
fn bytes_of_our_own_count_in_the_positions() {
    let back: &'static Back = Box::leak(Box::default());
    let (mut outbox, _) = filled(back, &[]);
    outbox.push(b"<own/>");
    let mut stanza = Stanza::new(StanzaKind::Message(MessageType::Chat), &[]);
    stanza.id = Some("a".to_owned());
    pushes(&mut outbox, Parcel::new(stanza, back));
    let _noted = outbox.advance(6);
    assert!(back.0.lock().is_empty());
    assert_eq!(outbox.take_unwritten().len(), 1);
    assert!(outbox.is_empty());
}

const WINDOW: Window = Window { stanzas_max: 4, bytes_max: 1_000_000 };

fn manage(outbox: &mut Outbox) {
    let (control, _orders): (_, Probe<Control>) = Probe::start(8);
    let resumption = Some(Resumption { id: ResumptionId([1; 16]), max_s: 60 });
    outbox.manage(Managed::new(Version::Three, resumption, Ledger::new(0, control), WINDOW));
}

fn parcel(back: &'static Back, id: &str) -> Arc<Parcel> {
    let mut stanza = Stanza::new(StanzaKind::Message(MessageType::Chat), &[]);
    stanza.id = Some(id.to_owned());
    stanza.to = Some(rjabberd_xmpp::Jid::new("romeo@example.net").unwrap());
    Parcel::new(stanza, back)
}

fn written(outbox: &mut Outbox) -> String {
    let text = String::from_utf8(outbox.bytes().to_vec()).unwrap();
    let _noted = outbox.advance(text.len());
    text
}

#[actix_rt::test]
async fn with_stream_management_a_parcel_has_arrived_when_the_client_says_so() {
    let back: &'static Back = Box::leak(Box::default());
    let mut outbox = Outbox::default();
    manage(&mut outbox);
    for id in ["a", "b", "c"] {
        pushes(&mut outbox, parcel(back, id));
    }
    written(&mut outbox);
    outbox.acknowledge(2).unwrap();
    assert_eq!(outbox.acknowledge(4), Err(TooHigh { h: 4, sent: 3 }));
    let left = outbox.take_all();
    assert_eq!(left.len(), 1);
    drop(left);
    assert_eq!(*back.0.lock(), ["c"]);
}

#[actix_rt::test]
async fn pitfall_01_what_was_pushed_before_the_count_began_does_not_count() {
    let back: &'static Back = Box::leak(Box::default());
    let mut outbox = Outbox::default();
    pushes(&mut outbox, parcel(back, "before"));
    manage(&mut outbox);
    assert_eq!(outbox.acknowledge(1), Err(TooHigh { h: 1, sent: 0 }));
    written(&mut outbox);
    assert!(back.0.lock().is_empty(), "it was written, as without stream management");
}

#[actix_rt::test]
async fn a_message_of_the_store_is_done_with_when_the_client_says_so() {
    let mut outbox = Outbox::default();
    manage(&mut outbox);
    assert_eq!(outbox.push_message(Bytes::from_static(b"<message/>"), 7), Noted::Kept);
    written(&mut outbox);
    assert_eq!(outbox.message(), 0);
    outbox.acknowledge(1).unwrap();
    assert_eq!(outbox.message(), 7);
}

#[actix_rt::test]
async fn pitfall_14_more_than_is_kept_is_forgotten_and_what_is_written_has_arrived_from_then_on() {
    let back: &'static Back = Box::leak(Box::default());
    let mut outbox = Outbox::default();
    manage(&mut outbox);
    for id in ["a", "b"] {
        pushes(&mut outbox, parcel(back, id));
    }
    written(&mut outbox);
    assert_eq!(outbox.push_parcel(parcel(back, "c")), Noted::Kept);
    assert_eq!(outbox.push_parcel(parcel(back, "d")), Noted::Kept);
    assert_eq!(outbox.push_parcel(parcel(back, "e")), Noted::TooMuch);
    outbox.forget();
    assert_eq!(outbox.push_parcel(parcel(back, "f")), Noted::Passed);
    let first = outbox.bytes().iter().position(|byte| *byte == b'>').unwrap() + 1;
    let _noted = outbox.advance(first);
    // The numbers go on all the same.
    outbox.acknowledge(3).unwrap();
    assert_eq!(outbox.acknowledge(7), Err(TooHigh { h: 7, sent: 6 }));
    drop(outbox.take_all());
    assert_eq!(*back.0.lock(), ["d", "e", "f"], "c was written");
}

#[actix_rt::test]
async fn pitfall_10_what_goes_over_is_written_again_in_order_and_late_messages_say_so() {
    let back: &'static Back = Box::leak(Box::default());
    let mut outbox = Outbox::default();
    manage(&mut outbox);
    let _noted = outbox.push_stanza(Bytes::from_static(b"<iq id='1'/>"));
    for id in ["a", "b"] {
        pushes(&mut outbox, parcel(back, id));
    }
    let _noted = outbox.advance(15);
    let managed = outbox.suspend().unwrap();
    assert!(outbox.bytes().starts_with(b"ssage"), "what was begun is finished");
    assert_eq!(outbox.bytes().iter().filter(|byte| **byte == b'<').count(), 0, "and nothing else");
    let mut next = Outbox::default();
    next.push(b"<resumed/>");
    next.resume(managed, 0);
    next.managed().unwrap().mute = false;
    next.acknowledge(1).unwrap();
    next.retransmit();
    let text = written(&mut next);
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what}: {text}"));
    assert!(at("<resumed/>") < at("id=\"a\"") && at("id=\"a\"") < at("id=\"b\""), "{text}");
    assert!(!text.contains("<iq"), "{text}");
    assert_eq!(
        text.matches("<delay xmlns=\"urn:xmpp:delay\" from=\"example.net\" stamp=\"20").count(),
        2,
        "{text}"
    );
    next.acknowledge(3).unwrap();
    drop(next);
    assert!(back.0.lock().is_empty());
}

#[actix_rt::test]
async fn pitfall_19_without_a_connection_what_comes_waits_and_words_are_lost() {
    let back: &'static Back = Box::leak(Box::default());
    let mut outbox = Outbox::default();
    manage(&mut outbox);
    assert_eq!(outbox.fall_silent(), Noted::Kept);
    outbox.push(b"<a/>");
    pushes(&mut outbox, parcel(back, "a"));
    let mut parts = [Some("<x/>"), Some("<y/>"), None].into_iter();
    let long = Long::new(Bytes::from_static(b"<iq>"), Bytes::from_static(b"</iq>"), move |out| {
        let part = parts.next().flatten();
        out.extend_from_slice(part.unwrap_or_default().as_bytes());
        part.is_some()
    });
    assert_eq!(outbox.push_long(long), Noted::Kept);
    assert!(outbox.is_empty());
    let managed = outbox.suspend().unwrap();
    let mut next = Outbox::default();
    next.resume(managed, 0);
    next.managed().unwrap().mute = false;
    next.retransmit();
    let text = written(&mut next);
    assert!(text.starts_with("<message") && text.ends_with("<iq><x/><y/></iq>"), "{text}");
    assert!(!text.contains("<a/>"));
    next.acknowledge(2).unwrap();
}

#[actix_rt::test]
async fn a_long_answer_counts_once_and_before_what_waited_behind_it() {
    let back: &'static Back = Box::leak(Box::default());
    let mut outbox = Outbox::default();
    manage(&mut outbox);
    let part = "<item/>".repeat(1_000);
    let mut left = 20;
    let long = Long::new(Bytes::from_static(b"<iq>"), Bytes::from_static(b"</iq>"), move |out| {
        left -= 1;
        out.extend_from_slice(if left >= 0 { part.as_bytes() } else { b"" });
        left >= 0
    });
    let _noted = outbox.push_long(long);
    assert!(outbox.is_making());
    outbox.push(b"<a/>");
    pushes(&mut outbox, parcel(back, "behind"));
    let mut text = String::new();
    while !outbox.is_empty() {
        text += &written(&mut outbox);
    }
    assert!(text.starts_with("<iq><item/>") && text.contains("</iq><a/><message"), "{}", text.len());
    assert_eq!(outbox.acknowledge(3), Err(TooHigh { h: 3, sent: 2 }));
    outbox.acknowledge(1).unwrap();
    drop(outbox);
    assert_eq!(*back.0.lock(), ["behind"]);
}
