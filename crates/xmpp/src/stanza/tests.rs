//! Tests of stanzas: what is taken, what is malformed and why, and that a written stanza is read as the same.

use proptest::prelude::*;
use rjabberd_xml::{Context, read_element};

use super::*;

fn fragment(text: &str) -> Fragment {
    read_element(&Context::canonical(), Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn stanza(text: &str) -> Stanza {
    Stanza::from_fragment(fragment(text), None).unwrap().unwrap()
}

fn written(stanza: &Stanza) -> String {
    let mut out = BytesMut::new();
    stanza.write(&mut out);
    String::from_utf8(out.to_vec()).unwrap()
}

fn jid(text: &str) -> Jid {
    address::parse(text).unwrap()
}

#[test]
fn a_message_is_taken_apart_and_written_in_a_fixed_order() {
    let text = "<message type='chat' xml:lang='en' id='&lt;1' from='a@b/c' to='D@E' x='dropped'>\
                <body>hi</body>there<x xmlns='urn:x'/></message>";
    let stanza = stanza(text);
    assert_eq!(stanza.kind, StanzaKind::Message(MessageType::Chat));
    assert_eq!((stanza.to.clone(), stanza.from.clone()), (Some(jid("d@e")), Some(jid("a@b/c"))));
    assert_eq!((stanza.id.as_deref(), stanza.lang.as_deref()), (Some("<1"), Some("en")));
    assert_eq!(
        written(&stanza),
        "<message to=\"d@e\" from=\"a@b/c\" id=\"&lt;1\" type=\"chat\" xml:lang=\"en\">\
         <body>hi</body>there<x xmlns='urn:x'/></message>"
    );
    let names: Vec<_> = stanza.children().iter().map(|child| (child.name(), child.namespace())).collect();
    assert_eq!(names, [("body", ns::CLIENT), ("x", "urn:x")]);
    assert_eq!(stanza.child_element(&stanza.children()[0]).unwrap().text(), "hi");
    assert!(stanza.child("x", "urn:x").is_some() && stanza.child("x", ns::CLIENT).is_none());
}

#[test]
fn a_stanza_without_children_is_one_empty_tag() {
    assert_eq!(written(&stanza("<presence></presence>")), "<presence/>");
    assert_eq!(written(&stanza("<message type='normal'/>")), "<message/>");
}

#[test]
fn each_type_is_read_and_written_as_itself() {
    for (name, types) in [
        ("message", &["chat", "groupchat", "headline", "error"][..]),
        (
            "presence",
            &["unavailable", "subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe", "error"],
        ),
    ] {
        for type_name in types {
            assert_eq!(
                written(&stanza(&format!("<{name} type='{type_name}'/>"))),
                format!("<{name} type=\"{type_name}\"/>")
            );
        }
    }
    for type_name in ["get", "set", "result", "error"] {
        let text = format!("<iq id=\"1\" type=\"{type_name}\"><x xmlns='urn:x'/></iq>");
        assert_eq!(written(&stanza(&text)), text);
    }
}

#[test]
fn a_message_without_known_type_is_normal() {
    for text in ["<message/>", "<message type='normal'/>", "<message type='strange'/>", "<message type=''/>"]
    {
        assert_eq!(stanza(text).kind, StanzaKind::Message(MessageType::Normal), "{text}");
    }
}

#[test]
fn what_is_none_of_the_three_is_no_stanza() {
    for text in [
        "<pubsub/>",
        "<message xmlns='urn:x'/>",
        "<iq xmlns='jabber:server' id='1' type='get'/>",
        "<Message/>",
    ] {
        assert!(Stanza::from_fragment(fragment(text), None).is_none(), "{text}");
    }
}

#[test]
fn the_language_of_the_stream_fills_in() {
    let lang_of = |text: &str| Stanza::from_fragment(fragment(text), Some("de")).unwrap().unwrap().lang;
    assert_eq!(lang_of("<message/>").as_deref(), Some("de"));
    assert_eq!(lang_of("<message xml:lang='en'/>").as_deref(), Some("en"));
    assert_eq!(stanza("<message/>").lang, None);
    let (long, longest) = ("x".repeat(36), "x".repeat(35));
    assert_eq!(lang_of(&format!("<message xml:lang='{long}'/>")).as_deref(), Some("de"), "RFC 5646, 4.4.1");
    assert_eq!(lang_of(&format!("<message xml:lang='{longest}'/>")), Some(longest));
}

#[track_caller]
fn check_malformed(text: &str, condition: Condition, answered: bool) {
    let malformed = Stanza::from_fragment(fragment(text), None).unwrap().unwrap_err();
    assert_eq!(malformed.error.condition, condition, "{text}");
    assert!(!malformed.invalid_from);
    assert_eq!(malformed.stanza.error(&malformed.error).is_some(), answered, "{text}");
}

#[test]
fn an_iq_of_another_shape_is_a_bad_request() {
    for text in [
        "<iq type='get'><x xmlns='urn:x'/></iq>",
        "<iq id='1'><x xmlns='urn:x'/></iq>",
        "<iq id='1' type='subscribe'><x xmlns='urn:x'/></iq>",
        "<iq id='1' type=''><x xmlns='urn:x'/></iq>",
        "<iq id='1' type='get'/>",
        "<iq id='1' type='get'>text</iq>",
        "<iq id='1' type='set'><x xmlns='urn:x'/><y xmlns='urn:x'/></iq>",
    ] {
        check_malformed(text, Condition::BadRequest, true);
    }
    for text in [
        "<iq id='1' type='result'><x xmlns='urn:x'/><y xmlns='urn:x'/></iq>",
        "<iq type='result'/>",
        "<iq id='1' type='error'/>",
        "<iq id='1' type='error'><a/><b/><c/></iq>",
    ] {
        check_malformed(text, Condition::BadRequest, false);
    }
    stanza("<iq id='' type='get'><x xmlns='urn:x'/></iq>");
    stanza("<iq id='1' type='result'/>");
    stanza("<iq id='1' type='error'><x xmlns='urn:x'/><error/></iq>");
}

#[test]
fn a_presence_of_unknown_type_is_a_bad_request() {
    for type_name in ["available", "", "invisible"] {
        check_malformed(&format!("<presence type='{type_name}'/>"), Condition::BadRequest, true);
    }
}

#[test]
fn an_addressee_that_is_no_address_is_malformed() {
    for to in ["", "@", "a b", "a@"] {
        check_malformed(&format!("<message to='{to}'/>"), Condition::JidMalformed, true);
        check_malformed(&format!("<iq to='{to}' type='get'/>"), Condition::JidMalformed, true);
        check_malformed(&format!("<message to='{to}' type='error'/>"), Condition::JidMalformed, false);
    }
}

#[test]
fn a_sender_that_is_no_address_is_told_apart() {
    for text in ["<message from=''/>", "<message from='@' to='a@b'/>", "<iq from='a b'/>"] {
        let malformed = Stanza::from_fragment(fragment(text), None).unwrap().unwrap_err();
        assert!(malformed.invalid_from, "{text}");
    }
}

#[test]
fn the_error_of_a_malformed_iq_without_id_has_an_empty_one() {
    let malformed =
        Stanza::from_fragment(fragment("<iq type='get' from='a@b/c'/>"), None).unwrap().unwrap_err();
    let answer = malformed.stanza.error(&StanzaError::new(Condition::BadRequest)).unwrap();
    assert_eq!(
        written(&answer),
        "<iq to=\"a@b/c\" id=\"\" type=\"error\"><error type=\"modify\">\
         <bad-request xmlns=\"urn:ietf:params:xml:ns:xmpp-stanzas\"/></error></iq>"
    );
}

#[test]
fn an_answer_swaps_the_addresses_and_keeps_the_id() {
    let request = stanza("<iq from='a@b/c' to='d@e' id='7' type='get' xml:lang='de'><x xmlns='urn:x'/></iq>");
    assert_eq!(
        written(&request.result(Some(Element::new("x", "urn:x")))),
        "<iq to=\"a@b/c\" from=\"d@e\" id=\"7\" type=\"result\"><x xmlns=\"urn:x\"/></iq>"
    );
    assert_eq!(written(&request.result(None)), "<iq to=\"a@b/c\" from=\"d@e\" id=\"7\" type=\"result\"/>");
    let unavailable = StanzaError::new(Condition::ServiceUnavailable);
    assert_eq!(
        written(&request.error(&unavailable).unwrap()),
        "<iq to=\"a@b/c\" from=\"d@e\" id=\"7\" type=\"error\"><error type=\"cancel\">\
         <service-unavailable xmlns=\"urn:ietf:params:xml:ns:xmpp-stanzas\"/></error></iq>"
    );
    let message = stanza("<message from='a@b/c' to='d@e'><body>hi</body></message>");
    assert_eq!(
        written(&message.error(&unavailable).unwrap()),
        "<message to=\"a@b/c\" from=\"d@e\" type=\"error\"><error type=\"cancel\">\
         <service-unavailable xmlns=\"urn:ietf:params:xml:ns:xmpp-stanzas\"/></error></message>"
    );
}

#[test]
fn an_error_or_a_result_is_never_answered_with_an_error() {
    for text in [
        "<message type='error'/>",
        "<presence type='error'/>",
        "<iq id='1' type='error'><error/></iq>",
        "<iq id='1' type='result'/>",
    ] {
        assert_eq!(stanza(text).error(&StanzaError::new(Condition::Gone)), None, "{text}");
    }
}

#[test]
fn only_a_request_has_a_payload() {
    assert_eq!(
        stanza("<iq id='1' type='set'> <x xmlns='urn:x'/> </iq>").payload(),
        Some(Element::new("x", "urn:x"))
    );
    assert_eq!(stanza("<iq id='1' type='result'><x xmlns='urn:x'/></iq>").payload(), None);
    assert_eq!(stanza("<message><body/></message>").payload(), None);
    assert!(stanza("<iq id='1' type='set'><x xmlns='urn:x'/></iq>").is_request());
    assert!(!stanza("<iq id='1' type='result'/>").is_request());
}

#[test]
fn a_priority_is_one_number_of_a_byte() {
    let priority_of = |inner: &str| {
        stanza(&format!("<presence>{inner}</presence>")).priority().map_err(|error| error.condition)
    };
    for (inner, priority) in [
        ("", 0),
        ("<show>away</show><priority>5</priority>", 5),
        ("<priority> -128\n</priority>", -128),
        ("<priority>+127</priority>", 127),
        ("<priority xmlns='urn:x'>300</priority>", 0),
    ] {
        assert_eq!(priority_of(inner), Ok(priority), "{inner}");
    }
    for inner in [
        "<priority/>",
        "<priority>128</priority>",
        "<priority>-129</priority>",
        "<priority>high</priority>",
        "<priority>1.0</priority>",
        "<priority>1<x xmlns='urn:x'/></priority>",
        "<priority>1</priority><priority>1</priority>",
    ] {
        assert_eq!(priority_of(inner), Err(Condition::BadRequest), "{inner}");
    }
}

#[test]
fn children_are_removed_and_added_by_range() {
    let stanza = stanza(
        "<message>a<x xmlns='urn:x'/>b<body>hi</body><x xmlns='urn:x'>1</x>c<y xmlns='urn:y'/></message>",
    );
    let without = stanza.without_children(|child| child.is("x", "urn:x"));
    assert_eq!(written(&without), "<message>ab<body>hi</body>c<y xmlns='urn:y'/></message>");
    assert_eq!(without.child_element(&without.children()[0]).unwrap().text(), "hi");
    let with = without.with_child(&Element::new("z", "urn:z"));
    assert_eq!(written(&with), "<message>ab<body>hi</body>c<y xmlns='urn:y'/><z xmlns=\"urn:z\"/></message>");
    assert_eq!(with.child_element(&with.children()[2]).unwrap(), Element::new("z", "urn:z"));
    assert_eq!(stanza.without_children(|_| false), stanza);
}

#[test]
fn nothing_shows_what_a_child_holds() {
    let set = stanza(
        "<iq id='1' type='set'><query xmlns='jabber:iq:register'><password>secret</password></query></iq>",
    );
    let shown = format!("{set:?}");
    assert!(shown.contains("jabber:iq:register") && !shown.contains("secret"), "{shown}");
}

#[test]
fn a_copy_shares_the_payload() {
    let stanza = stanza("<message><body>hi</body></message>");
    let copy = stanza.clone();
    assert_eq!(copy.inner().as_ptr(), stanza.inner().as_ptr());
    assert_eq!(copy.children().as_ptr(), stanza.children().as_ptr());
}

/// An element of the stanza as a sender might write it.
fn child() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("<x xmlns='urn:x'/>".to_owned()),
        "[a-zäöü€😀 ]{0,6}".prop_map(|text| format!("<body>{text}</body>")),
        "[a-zä ]{1,4}",
        Just("<y xmlns='urn:y'><x xmlns='urn:x'>&amp;</x></y>".to_owned()),
    ]
}

fn any_stanza() -> impl Strategy<Value = Stanza> {
    let attribute = |name: &'static str, value: &'static str| {
        proptest::option::of(value)
            .prop_map(move |value| value.map_or(String::new(), |value| format!(" {name}='{value}'")))
    };
    let attributes = (
        attribute("to", "[a-z]{1,3}@[a-z]{1,3}(/[a-z ]{1,3})?"),
        attribute("id", "[a-zä€]{0,4}"),
        attribute("xml:lang", "[a-z]{2}"),
    );
    (attributes, proptest::collection::vec(child(), 0..6)).prop_map(|((to, id, lang), children)| {
        stanza(&format!("<message{to}{id}{lang}>{}</message>", children.concat()))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_written_stanza_is_read_as_the_same(original in any_stanza()) {
        let text = written(&original);
        prop_assert_eq!(&stanza(&text), &original);
        prop_assert_eq!(original.size(), text.len());
        prop_assert_eq!(Stanza::from_written(original.written().into()), Some(original));
    }

    #[test]
    fn a_forwarded_stanza_is_the_same_in_an_element_of_another_namespace(original in any_stanza()) {
        let mut forwarded = BytesMut::new();
        original.write_forwarded(&mut forwarded);
        let mut again = BytesMut::new();
        prop_assert!(Stanza::forward_written(&original.written(), &mut again));
        prop_assert_eq!(&forwarded, &again);
        let text = [b"<forwarded xmlns='urn:xmpp:forward:0'>", &forwarded[..], b"</forwarded>"].concat();
        let outer = read_element(&Context::canonical(), text.into()).unwrap();
        prop_assert!(outer.children()[0].is("message", ns::CLIENT));
        let inner = stanza(std::str::from_utf8(&outer.inner()[outer.children()[0].range()]).unwrap());
        prop_assert_eq!(inner, original);
    }

    #[test]
    fn a_child_that_was_written_by_hand_is_as_any_other(original in any_stanza()) {
        let more = original.with_written("x", "urn:more", Bytes::from_static(b"<x xmlns='urn:more'/>"));
        prop_assert_eq!(more.children().len(), original.children().len() + 1);
        prop_assert_eq!(&stanza(&written(&more)), &more);
    }

    #[test]
    fn a_size_is_never_less_than_the_payload(original in any_stanza(), id in "\\PC{0,8}") {
        let named = Stanza { id: Some(id), ..original };
        prop_assert!(named.size() >= named.inner().len());
        prop_assert!(written(&named).len() >= named.size());
    }

    #[test]
    fn children_that_are_left_keep_their_bytes(original in any_stanza(), removed in any::<[bool; 6]>()) {
        let is_removed = |child: &Child| {
            removed[original.children().iter().position(|other| other == child).unwrap_or(0)]
        };
        let left = original.without_children(is_removed);
        let bytes = |stanza: &Stanza, child: &Child| stanza.inner().slice(child.range());
        let expected: Vec<_> =
            original.children().iter().filter(|child| !is_removed(child)).map(|child| bytes(&original, child)).collect();
        prop_assert_eq!(left.children().iter().map(|child| bytes(&left, child)).collect::<Vec<_>>(), expected);
        prop_assert_eq!(&stanza(&written(&left)), &left);
    }
}
