//! Random elements: what they mean survives reading, relaying, rewriting and writing.

mod support;

use bytes::Bytes;
use proptest::prelude::*;
use rjabberd_xml::{Child, Context, Element, Fragment, compose, parse_child, read_element, read_header};
use support::{CLIENT, Random, STREAM, dumped};

const CONTEXTS: &[&[(&str, &str)]] = &[
    &[("", CLIENT), ("stream", STREAM)],
    &[("", CLIENT), ("stream", STREAM), ("db", "jabber:server:dialback")],
    &[("", STREAM), ("p", CLIENT)],
    &[("stream", STREAM)],
    &[("stream", "urn:other"), ("", CLIENT)],
];

fn context(declared: &[(&str, &str)]) -> Context {
    let mut header = "<r".to_owned();
    for (prefix, namespace) in declared {
        let name = if prefix.is_empty() { "xmlns".to_owned() } else { format!("xmlns:{prefix}") };
        header.push_str(&format!(" {name}='{namespace}'"));
    }
    header.push('>');
    read_header(header.as_bytes()).expect("a header").context
}

fn read(context: &Context, text: &str) -> Fragment {
    read_element(context, Bytes::copy_from_slice(text.as_bytes()))
        .unwrap_or_else(|error| panic!("{error}: {text}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_fragment_means_what_its_sender_wrote_and_stands_alone(seed: u64, which in 0..CONTEXTS.len()) {
        let (text, meant) = support::element(&mut Random(seed), CONTEXTS[which]);
        let fragment = read(&context(CONTEXTS[which]), &text);
        prop_assert_eq!(dumped(&fragment.to_element().expect("tree")), dumped(&meant), "{}", &text);
        prop_assert_eq!(fragment.text().expect("text"), meant.text());
        let children: Vec<&Element> = meant.children().collect();
        prop_assert_eq!(fragment.children().len(), children.len());
        for (child, meant) in fragment.children().iter().zip(children) {
            prop_assert!(child.is(meant.name(), meant.namespace()));
            prop_assert_eq!(dumped(&fragment.child_element(child).expect("child")), dumped(meant));
        }
    }

    #[test]
    fn a_tree_survives_being_written(seed: u64) {
        let (_, meant) = support::element(&mut Random(seed), CONTEXTS[0]);
        let canonical = Context::canonical();
        let written = meant.to_bytes();
        let again = read_element(&canonical, written.clone()).expect("read").to_element().expect("tree");
        prop_assert_eq!(&again, &meant, "{:?}", written);
        let (inner, ranges) = compose(&[meant.clone(), meant.clone()]);
        for child in &ranges {
            prop_assert_eq!(&parse_child(&inner, child).expect("child"), &meant);
        }
        prop_assert_eq!(ranges[1].range().end, inner.len());
    }

    #[test]
    fn the_server_namespace_is_a_parent_like_any_other(seed: u64) {
        let (_, meant) = support::element(&mut Random(seed), CONTEXTS[0]);
        let mut out = bytes::BytesMut::new();
        meant.write("jabber:server", &mut out);
        let server = context(&[("", "jabber:server"), ("stream", STREAM)]);
        let again = read_element(&server, out.freeze()).expect("read").to_element().expect("tree");
        prop_assert_eq!(again, meant);
    }
}

#[test]
fn an_element_of_the_stream_leans_on_the_prefix_of_the_header() {
    let features = Element::new("features", STREAM)
        .with_child(
            Element::new("starttls", "urn:ietf:params:xml:ns:xmpp-tls")
                .with_child(Element::new("required", "urn:ietf:params:xml:ns:xmpp-tls")),
        )
        .with_child(Element::new("x", CLIENT));
    assert_eq!(
        features.to_bytes(),
        "<stream:features><starttls xmlns=\"urn:ietf:params:xml:ns:xmpp-tls\"><required/></starttls><x/></stream:features>"
    );
    let mut alone = bytes::BytesMut::new();
    Element::new("features", STREAM).write("", &mut alone);
    assert_eq!(alone, "<features xmlns=\"http://etherx.jabber.org/streams\"/>");
    let (inner, _) = compose(&[Element::new("x", STREAM)]);
    assert_eq!(inner, "<x xmlns=\"http://etherx.jabber.org/streams\"/>");
}

#[test]
fn attributes_with_namespaces_get_prefixes_of_their_own() {
    let element = Element::new("a", "")
        .with_lang("de")
        .with_attribute_of("b", "urn:b", "1")
        .with_attribute_of("c", "urn:c", "2")
        .with_attribute_of("d", "urn:b", "3")
        .with_attribute("b", "4")
        .with_attribute("b", "5");
    assert_eq!(
        element.to_bytes(),
        "<a xmlns=\"\" xml:lang=\"de\" xmlns:ns0=\"urn:b\" ns0:b=\"1\" xmlns:ns1=\"urn:c\" ns1:c=\"2\" ns0:d=\"3\" b=\"5\"/>"
    );
    assert_eq!(
        (element.lang(), element.attribute("b"), element.attribute("c")),
        (Some("de"), Some("5"), None)
    );
}

#[test]
fn texts_join_and_an_empty_one_is_none() {
    let element = Element::new("a", CLIENT).with_text("b").with_text("").with_text("c");
    assert_eq!(element, Element::new("a", CLIENT).with_text("bc"));
    assert_eq!(Element::new("a", CLIENT).with_text("").to_bytes(), "<a/>");
}

#[test]
fn a_child_that_was_moved_is_found_where_it_went() {
    let first = read(&Context::canonical(), "<message>x<body>1</body><x xmlns='urn:x'/></message>");
    let [body, x] = first.children() else { panic!("two children") };
    // Without the text and the body, as a stanza does that drops a child.
    let rest = first.inner().slice(body.range().end..);
    let moved: Child = x.shifted(-(body.range().end as isize));
    assert_eq!(parse_child(&rest, &moved).expect("child"), Element::new("x", "urn:x"));
    assert_eq!(
        parse_child(&rest, &moved.shifted(1)).err().map(|error| error.to_string()).as_deref(),
        Some("not well-formed: unexpected end")
    );
    assert_eq!(moved.shifted(7).shifted(-7), moved);
}
