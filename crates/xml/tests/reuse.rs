//! Readers are kept per thread and namespace context: nothing of one element or stream is ever seen by another.

mod support;

use bytes::Bytes;
use proptest::prelude::*;
use rjabberd_xml::{Context, Fragment, XmlError, read_element, read_header};
use support::{CLIENT, Random, STREAM};

fn context(declarations: &str) -> Context {
    read_header(format!("<r {declarations}>").as_bytes()).expect("a header").context
}

fn read(context: &Context, text: &str) -> Result<Fragment, XmlError> {
    read_element(context, Bytes::copy_from_slice(text.as_bytes()))
}

/// The same on a thread that has never read anything.
fn read_afresh(context: &Context, text: &str) -> Result<Fragment, XmlError> {
    std::thread::scope(|scope| scope.spawn(|| read(context, text)).join().expect("no panic"))
}

const UNDECLARED: XmlError = XmlError::NotWellFormed("undeclared prefix");

#[test]
fn the_contexts_of_two_streams_never_mix() {
    let one = context("xmlns='jabber:client' xmlns:p='urn:one'");
    let other = context("xmlns='jabber:client' xmlns:p='urn:other'");
    let none = context("xmlns='jabber:client'");
    for _ in 0..3 {
        for (context, namespace) in [(&one, "urn:one"), (&other, "urn:other")] {
            let fragment = read(context, "<p:a><p:b/></p:a>").expect("read");
            assert_eq!((fragment.namespace(), fragment.children()[0].namespace()), (namespace, namespace));
        }
        assert_eq!(read(&none, "<p:a/>"), Err(UNDECLARED));
        assert_eq!(read(&Context::canonical(), "<p:a/>"), Err(UNDECLARED));
    }
}

#[test]
fn what_an_element_declares_ends_with_it() {
    let canonical = Context::canonical();
    assert!(read(&canonical, "<a xmlns='urn:a' xmlns:p='urn:p'><p:b/></a>").is_ok());
    assert_eq!(read(&canonical, "<p:a/>"), Err(UNDECLARED));
    assert!(read(&canonical, "<p:a xmlns:p='urn:p'/>").is_ok());
    assert_eq!(read(&canonical, "<a p:b=''/>"), Err(UNDECLARED));
    assert_eq!(read(&canonical, "<a/>").expect("read").namespace(), CLIENT);
}

#[test]
fn nothing_is_left_of_an_element_that_was_refused() {
    let canonical = Context::canonical();
    for bad in [
        "<a xmlns:p='urn:p'><p:b>text",
        "<a b='half a value",
        "<a><![CDATA[x",
        "<a>&am",
        "<a><b></a>",
        "<a>\r",
        "<a",
        "</r><r xmlns='urn:evil'>",
        "<a/><b xmlns:p='urn:p'>",
        "<a>]]",
    ] {
        assert!(read(&canonical, "<a/>").is_ok());
        assert!(read(&canonical, bad).is_err(), "{bad}");
        let after = read(&canonical, "<message>\n<body>x</body></message>").expect("read");
        assert_eq!((after.namespace(), &**after.inner()), (CLIENT, &b"\n<body>x</body>"[..]), "after {bad}");
        assert_eq!(read(&canonical, "<p:a/>"), Err(UNDECLARED), "after {bad}");
    }
}

#[test]
fn a_kept_reader_serves_ten_thousand_elements() {
    let canonical = Context::canonical();
    let texts = [
        "<message to='a'>\r\n<body>x &amp; y<![CDATA[z]]></body>&#10;</message>",
        "<presence/>",
        "<iq xmlns:p='urn:p' ><p:q p:r='s'/> </iq>",
        "<a>&lt;<b/>&lt;<![CDATA[]]><b></b>\r</a>",
    ];
    let meant = texts.map(|text| read_afresh(&canonical, text));
    for _ in 0..2_500 {
        for (text, meant) in texts.iter().zip(&meant) {
            assert_eq!(&read(&canonical, text), meant);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn whatever_was_read_before_the_next_is_read_as_if_it_were_the_first(seed: u64) {
        let mut random = Random(seed);
        // More contexts than readers are kept.
        let contexts: Vec<Context> = (0..12)
            .map(|nth| context(&format!("xmlns='jabber:client' xmlns:stream='{STREAM}' xmlns:p='urn:{nth}'")))
            .chain([Context::canonical(), context("")])
            .collect();
        for _ in 0..40 {
            let context = &contexts[random.below(contexts.len())];
            let (mut text, _) = support::element(&mut random, &[("", CLIENT), ("stream", STREAM)]);
            match random.below(6) {
                0 => text.truncate((0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)),
                1 => text.push_str("<x>"),
                2 => text = text.replacen('<', "<p:", 1),
                3 => text = format!("<a>{}{text}</a>", "long ".repeat(4_000)),
                _ => {}
            }
            prop_assert_eq!(read(context, &text), read_afresh(context, &text), "{}", text);
        }
    }
}
