//! The reader: every refusal by its error, headers and fragments as they must come out.

use bytes::Bytes;
use rjabberd_xml::{Context, Fragment, Limit, XmlError, read_element, read_header};

const CLIENT: &str = "jabber:client";
const STREAM: &str = "http://etherx.jabber.org/streams";

fn read(stanza: &str) -> Result<Fragment, XmlError> {
    read_element(&Context::canonical(), Bytes::copy_from_slice(stanza.as_bytes()))
}

fn good(stanza: &str) -> Fragment {
    read(stanza).unwrap_or_else(|error| panic!("{stanza}: {error}"))
}

fn context(declarations: &str) -> Context {
    read_header(format!("<s:stream xmlns:s='{STREAM}' {declarations}>").as_bytes()).expect("a header").context
}

fn ill_formed(reason: &'static str) -> Result<Fragment, XmlError> {
    Err(XmlError::NotWellFormed(reason))
}

#[test]
fn a_header_is_taken_apart() {
    let header = read_header(
        b"<?xml version=\"1.0\" encoding='utf-8' standalone='yes' ?>\n<stream:stream to='a&amp;b' xml:lang='de'
            xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
    )
    .expect("a header");
    assert_eq!((&*header.name, &*header.namespace, &*header.prefix), ("stream", STREAM, "stream"));
    assert!(header.context.is_canonical());
    let attributes: Vec<_> =
        header.attributes.iter().map(|each| (&*each.namespace, &*each.name, &*each.value)).collect();
    assert_eq!(attributes, [("", "to", "a&b"), ("http://www.w3.org/XML/1998/namespace", "lang", "de")]);
}

#[test]
fn a_header_in_other_namespaces_gives_another_context() {
    let header = read_header(b"<stream xmlns='http://etherx.jabber.org/streams' xmlns:c='jabber:client'>");
    let header = header.expect("a header");
    assert_eq!((&*header.prefix, header.context.default_namespace()), ("", STREAM));
    assert!(!header.context.is_canonical());
    let fragment =
        read_element(&header.context, Bytes::from_static(b"<c:message><c:body>x</c:body></c:message>"))
            .expect("read");
    assert_eq!((fragment.name(), fragment.namespace()), ("message", CLIENT));
    assert_eq!(&**fragment.inner(), b"<body>x</body>");
    assert_eq!(read_header(b"<s xmlns=''>").expect("a header").context.default_namespace(), "");
}

#[test]
fn a_declaration_must_say_version_1_0_and_nothing_but_utf_8() {
    let refusal = |declaration: &str| read_header(format!("{declaration}<s xmlns='a'>").as_bytes()).err();
    for good in [
        "",
        "<?xml version='1.0'?>",
        "<?xml version = \"1.0\"\n encoding='Utf-8'?>\n",
        "<?xml version='1.0' standalone='no' ?>",
    ] {
        assert_eq!(refusal(good), None, "{good}");
    }
    for encoding in ["UTF-16", "ISO-8859-1", "us-ascii", "utf8", "u", ""] {
        let declaration = format!("<?xml version='1.0' encoding='{encoding}'?>");
        assert_eq!(refusal(&declaration), Some(XmlError::UnsupportedEncoding), "{encoding}");
    }
    for version in ["1.1", "1.2", "2.0", "1.00", ""] {
        let declaration = format!("<?xml version='{version}'?>");
        assert_eq!(refusal(&declaration), Some(XmlError::NotWellFormed("XML version")), "{version}");
    }
    for malformed in [
        "<?xml?>",
        "<?xml ?>",
        "<?xml encoding='utf-8'?>",
        "<?xml version='1.0'encoding='utf-8'?>",
        "<?xml version='1.0' standalone='yes' encoding='utf-8'?>",
        "<?xml version='1.0' version='1.0'?>",
        "<?xml version='1.0' standalone='maybe'?>",
        "<?xml version='1.0' x='y'?>",
        "<?xml version=1.0?>",
        "<?xml version='1.0'",
        "<?xml version='1.0' ö='y'?>",
        "<?xml version=é1.0é?>",
    ] {
        assert_eq!(refusal(malformed), Some(XmlError::NotWellFormed("XML declaration")), "{malformed}");
    }
}

#[test]
fn a_header_that_is_no_single_start_tag_is_not_well_formed() {
    let refusal = |header: &[u8]| read_header(header).err();
    assert_eq!(refusal(b"<a/>"), Some(XmlError::NotWellFormed("stream header without content")));
    assert_eq!(refusal(b"<a><b>"), Some(XmlError::NotWellFormed("bytes after the stream header")));
    assert_eq!(refusal(b"<a"), Some(XmlError::NotWellFormed("unexpected end")));
    assert_eq!(refusal(b"<p:a>"), Some(XmlError::NotWellFormed("undeclared prefix")));
    assert_eq!(refusal(b"<a b='&c;'>"), Some(XmlError::Restricted("entity reference")));
    assert_eq!(refusal(b"<a b='\xFF'>"), Some(XmlError::NotUtf8("not UTF-8")));
    assert_eq!(
        refusal(b"<a xmlns:xml='http://www.w3.org/XML/1998/namespace'>"),
        Some(XmlError::NotWellFormed("reserved prefix"))
    );
}

#[test]
fn bytes_are_relayed_as_they_came_where_they_stand_alone() {
    for stanza in [
        "<message to='a'><body>x &amp; &#xE9; \r\n<![CDATA[<b>]]></body></message>",
        "<message xmlns='jabber:client'> <body/> text <x xmlns='urn:x'><y/></x>\n</message>",
        "<iq><p:query xmlns:p='urn:p' p:a='b'><p:c/></p:query></iq>",
        "<message xml:lang='de'><body xml:lang='en'>x</body></message>",
        "<message><stream:x stream:y='z'/></message>",
        "<message xmlns:unused='urn:unused'><body/></message>",
        "<p:message xmlns:p='jabber:client'><body/></p:message>",
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGE=</auth>",
        "<presence/>",
    ] {
        let whole = Bytes::copy_from_slice(stanza.as_bytes());
        let fragment = read_element(&Context::canonical(), whole.clone()).expect("read");
        let inner = fragment.inner();
        let start = stanza.find('>').map_or(0, |close| close + 1);
        let end = stanza.rfind("</").map_or(start, |open| open);
        assert_eq!(&**inner, &stanza.as_bytes()[start..end.max(start)], "{stanza}");
        if !inner.is_empty() {
            assert_eq!(inner.as_ptr(), whole[start..].as_ptr(), "not copied: {stanza}");
        }
    }
}

#[test]
fn children_that_lean_on_other_declarations_are_rewritten() {
    let canonical = Context::canonical();
    let with_prefix = context("xmlns='jabber:client' xmlns:p='urn:p'");
    let no_default = context("");
    for (context, stanza, inner) in [
        (&canonical, "<iq xmlns:p='urn:p'><p:q/></iq>", "<q xmlns=\"urn:p\"/>"),
        (
            &canonical,
            "<iq xmlns:p='urn:p'><q p:a='b'/>&amp;</iq>",
            "<q xmlns:ns0=\"urn:p\" ns0:a=\"b\"/>&amp;",
        ),
        (&canonical, "<a xmlns='urn:a'><b/>t<c xmlns=''/></a>", "<b xmlns=\"urn:a\"/>t<c xmlns=\"\"/>"),
        (&canonical, "<a xmlns:stream='urn:a'><stream:b/></a>", "<b xmlns=\"urn:a\"/>"),
        (&canonical, "<a xmlns='urn:a'><b xmlns='urn:b'/></a>", "<b xmlns='urn:b'/>"),
        (&with_prefix, "<message><p:a><p:b/></p:a></message>", "<a xmlns=\"urn:p\"><b/></a>"),
        (&with_prefix, "<message><body/></message>", "<body/>"),
        (&no_default, "<message><body/></message>", "<body xmlns=\"\"/>"),
        (&no_default, "<message><s:a/></message>", &format!("<a xmlns=\"{STREAM}\"/>")),
        (&no_default, "<message xmlns='jabber:client'><body a=''/></message>", "<body a=''/>"),
    ] {
        let fragment = read_element(context, Bytes::copy_from_slice(stanza.as_bytes())).expect("read");
        assert_eq!(std::str::from_utf8(fragment.inner()), Ok(inner), "{stanza}");
        for child in fragment.children() {
            let element = fragment.child_element(child).expect("child");
            assert!(child.is(element.name(), element.namespace()), "{stanza}");
        }
    }
}

#[test]
fn children_are_found_by_name_namespace_and_range() {
    let fragment = good(
        "<message id='1' type='chat'>t<body>a<b/></body> <x xmlns='urn:x'/><p:y xmlns:p='urn:y'/>u</message>",
    );
    let inner = fragment.inner();
    let children: Vec<_> = fragment
        .children()
        .iter()
        .map(|child| {
            (child.name(), child.namespace(), std::str::from_utf8(&inner[child.range()]).expect("UTF-8"))
        })
        .collect();
    assert_eq!(
        children,
        [
            ("body", CLIENT, "<body>a<b/></body>"),
            ("x", "urn:x", "<x xmlns='urn:x'/>"),
            ("y", "urn:y", "<p:y xmlns:p='urn:y'/>")
        ]
    );
    assert_eq!(
        (fragment.attribute("id"), fragment.attribute("type"), fragment.attribute("to")),
        (Some("1"), Some("chat"), None)
    );
    assert_eq!(fragment.text().expect("text"), "t u");
    let tree = fragment.to_element().expect("tree");
    assert!(tree.is("message", CLIENT) && tree.attribute("id") == Some("1"));
    assert_eq!(tree.child("body", CLIENT).map(|body| body.text()).as_deref(), Some("a"));
}

#[test]
fn the_text_of_an_element_is_unescaped() {
    assert_eq!(good("<a>AGE=</a>").text().expect("text"), "AGE=");
    assert_eq!(good("<a>&lt;&#65;<![CDATA[&lt;]]>\r\n</a>").text().expect("text"), "<A&lt;\n");
    assert_eq!(good("<a/>").text().expect("text"), "");
}

#[test]
fn comments_instructions_and_entities_are_restricted_even_without_a_framer() {
    for (stanza, error) in [
        ("<a><!-- b --></a>", "comment"),
        ("<a><?b c?></a>", "processing instruction"),
        ("<a>&b;</a>", "entity reference"),
        ("<a b='&nbsp;'/>", "entity reference"),
        ("<a>&lt;&ltt;</a>", "entity reference"),
    ] {
        assert_eq!(read(stanza), Err(XmlError::Restricted(error)), "{stanza}");
    }
}

#[test]
fn bytes_that_are_no_utf_8_are_bad_format() {
    for bytes in [
        &b"<a>\xFF</a>"[..],
        b"<a>\xC0\x80</a>",
        b"<a>\xED\xA0\x80</a>",
        b"<a b='\xE2\x82'/>",
        b"<a>\xF4\x90\x80\x80</a>",
    ] {
        let read = read_element(&Context::canonical(), Bytes::copy_from_slice(bytes));
        assert_eq!(read, Err(XmlError::NotUtf8("not UTF-8")), "{bytes:?}");
    }
}

#[test]
fn what_is_not_well_formed_is_refused() {
    for (stanza, reason) in [
        ("<a></b>", "end tag does not match"),
        ("<a xmlns:p='u' xmlns:q='u'><p:b></q:b></a>", "end tag does not match"),
        ("<a><b></a></b>", "end tag does not match"),
        ("<a b='1' b='2'/>", "duplicate attribute"),
        ("<a xmlns:p='u' xmlns:q='u' p:b='1' q:b='2'/>", "duplicate attribute"),
        ("<a xmlns='u' xmlns='u'/>", "duplicate namespace declaration"),
        ("<a xmlns:p='u' c='' xmlns:p='v'/>", "duplicate namespace declaration"),
        ("<p:a/>", "undeclared prefix"),
        ("<a p:b=''/>", "undeclared prefix"),
        ("<a><b xmlns:p='u'/><p:c/></a>", "undeclared prefix"),
        ("<a xmlns:p=''/>", "prefix bound to nothing"),
        ("<a xmlns:xml='http://www.w3.org/XML/1998/namespace'/>", "reserved prefix"),
        ("<a xmlns:xml='u'/>", "reserved prefix"),
        ("<a xmlns:xmlns='http://www.w3.org/2000/xmlns/'/>", "reserved prefix"),
        ("<xmlns:a/>", "reserved prefix"),
        ("<xml:a/>", "reserved prefix"),
        ("<a xmlns:p='http://www.w3.org/XML/1998/namespace'/>", "reserved namespace"),
        ("<a xmlns:p='http://www.w3.org/2000/xmlns&#x2F;'/>", "reserved namespace"),
        ("<a xmlns='http://www.w3.org/XML/1998/namespace'/>", "reserved namespace"),
        ("<a xmlns='a b'/>", "namespace name"),
        ("<a xmlns:p='urn:}'/>", "namespace name"),
        ("<a xmlns:p='urn:&#10;'/>", "namespace name"),
        ("<a>\u{FFFE}</a>", "character that XML forbids"),
        ("<a b='\u{FFFF}'/>", "character that XML forbids"),
        ("<a>&#0;</a>", "character that XML forbids"),
        ("<a>&#x1;</a>", "character that XML forbids"),
        ("<a b='&#xFFFE;'/>", "character that XML forbids"),
        ("<a>&#xD800;</a>", "character that XML forbids"),
        ("<a>&#x110000;</a>", "character that XML forbids"),
        ("<a><![CDATA[\u{FFFF}]]></a>", "character that XML forbids"),
        ("<a>&#;</a>", "character reference"),
        ("<a>&#X41;</a>", "character reference"),
        ("<a>&;</a>", "character reference"),
        ("<a>& b</a>", "syntax"),
        ("<a>]]></a>", "syntax"),
        ("<a b='<!--' c='-->'/>", "< in an attribute value"),
        ("<a b='</a>'/>", "< in an attribute value"),
        ("<a><b/>", "unexpected end"),
        ("<a", "unexpected end"),
        ("", "unexpected end"),
        ("<a/><b/>", "bytes after the element"),
        ("<a/> ", "bytes after the element"),
        ("</r>", "end tag"),
        ("x<a/>", "text outside an element"),
        ("<a:1 xmlns:a='u'/>", "name"),
        ("<\u{37F}/>", "name"),
        ("<a \u{10000}=''/>", "name"),
        ("<a xmlns:\u{10000}='u'/>", "name"),
        ("<a xmlns:='u'/>", "syntax"),
        ("<a:/>", "syntax"),
        ("<a:b:c/>", "syntax"),
    ] {
        assert_eq!(read(stanza), ill_formed(reason), "{stanza}");
    }
}

#[test]
fn depth_is_bounded_even_without_a_framer() {
    assert_eq!(read(&"<a>".repeat(100_000)), Err(XmlError::LimitPassed(Limit::Depth)));
    let fits = format!("{}{}", "<a>".repeat(200), "</a>".repeat(200));
    assert_eq!(good(&fits).children().len(), 1);
}

#[test]
fn namespaces_in_effect_are_bounded_all_tags_together() {
    let declarations: String = (0..32).map(|nth| format!(" xmlns:p{nth}='u'")).collect();
    let open = format!("<a{declarations}>").repeat(60);
    let refused = read(&format!("<m>{open}{}{}</m>", "<b/>".repeat(16_000), "</a>".repeat(60)));
    assert_eq!(refused, Err(XmlError::LimitPassed(Limit::Namespaces)));
    assert!(read(&format!("<m>{}</m>", "<b xmlns='u'/>".repeat(16_000))).is_ok());
}
