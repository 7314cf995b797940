//! Each rule on its own: what is accepted is what the reader gives, what is not is left to the reader.

use super::*;
use crate::reader::read_header;

fn context(declarations: &str) -> Context {
    read_header(format!("<r {declarations}>").as_bytes()).expect("a header").context
}

#[track_caller]
fn accepts_in(context: &Context, frame: impl AsRef<[u8]>) {
    let frame = Bytes::copy_from_slice(frame.as_ref());
    let checked = check(context, &frame);
    let shown = String::from_utf8_lossy(&frame);
    assert!(checked.is_some(), "the checker should be certain of {shown}");
    assert_eq!(checked, read_element(context, frame.clone()).ok(), "{shown}");
}

#[track_caller]
fn accepts(frame: impl AsRef<[u8]>) {
    accepts_in(&Context::canonical(), frame);
}

#[track_caller]
fn leaves_in(context: &Context, frame: impl AsRef<[u8]>) {
    let frame = Bytes::copy_from_slice(frame.as_ref());
    assert_eq!(check(context, &frame), None, "{}", String::from_utf8_lossy(&frame));
    assert_eq!(check_element(context, frame.clone()), read_element(context, frame));
}

#[track_caller]
fn leaves(frame: impl AsRef<[u8]>) {
    leaves_in(&Context::canonical(), frame);
}

#[test]
fn a_stanza_is_taken_apart_without_a_copy() {
    let frame = Bytes::from_static(
        b"<message to='a@b' id='1' xml:lang='de'>t<body>x</body>u<p:y xmlns:p='urn:y' p:z=''/></message>",
    );
    let fragment = check(&Context::canonical(), &frame).expect("certain");
    assert_eq!((fragment.name(), fragment.namespace()), ("message", "jabber:client"));
    assert_eq!((fragment.attribute("to"), fragment.attribute("id")), (Some("a@b"), Some("1")));
    assert_eq!((fragment.attribute("lang"), fragment.lang()), (None, Some("de")));
    let children: Vec<_> =
        fragment.children().iter().map(|child| (child.name(), child.namespace(), child.range())).collect();
    assert_eq!(children, [("body", "jabber:client", 1..15), ("y", "urn:y", 16..45)]);
    assert_eq!(fragment.inner().as_ptr(), frame[frame.len() - 55..].as_ptr());
    accepts(frame);
}

#[test]
fn tags_are_read_by_the_grammar() {
    for frame in [
        "<a/>",
        "<a />",
        "<a></a>",
        "<a\n\t b = \"'\" \r\n c\n=\n'\"' ></a \t>",
        "<a b='>' c='/>' d=']]>'/>",
        "<message><a><b><c/></b><b/></a><d></d></message>",
    ] {
        accepts(frame);
    }
    for frame in [
        "",
        "<",
        "<a",
        "<a/",
        "<a>",
        "<a b",
        "<a b=",
        "<a b='",
        "<a b='1'",
        "<a></",
        "<a></a",
        "a",
        " <a/>",
        "<a/> ",
        "<a/><b/>",
        "</a>",
        "< a/>",
        "<a / >",
        "<a b/>",
        "<a b=1/>",
        "<a b='1'c='2'/>",
        "<a b='<'/>",
        "<a></ a>",
        "<a></b>",
        "<a></aa>",
        "<aa></a>",
        "<a><b></a></b>",
        "<a><b/>",
        "<a></a b=''>",
    ] {
        leaves(frame);
    }
}

#[test]
fn names_are_those_of_every_parser() {
    for frame in ["<größe ü='é'><名前/></größe>", "<a:b xmlns:a='u' a:c=''/>", "<_ a-b.c9=''/>"] {
        accepts(frame);
    }
    for frame in [
        "<9/>",
        "<a 9=''/>",
        "<-a/>",
        "<:a/>",
        "<a:/>",
        "<a:b:c xmlns:a='u'/>",
        "<a:1 xmlns:a='u'/>",
        "<\u{37F}/>",
        "<a \u{10000}=''/>",
        "<a xmlns:='u'/>",
        "<a xmlns:9='u'/>",
        "<a><b\u{D7}/></a>",
    ] {
        leaves(frame);
    }
}

#[test]
fn attributes_differ_by_their_expanded_names() {
    accepts("<a xmlns:p='u' xmlns:q='v' p:b='1' q:b='2' b='3'/>");
    accepts("<message><a xmlns:p='u' xmlns:q='v' p:b='1' q:b='2' b='3'/></message>");
    for frame in [
        "<a b='1' b='2'/>",
        "<a b='1' c='' b='1'/>",
        "<a xmlns:p='u' xmlns:q='u' p:b='1' q:b='2'/>",
        "<a p:b='1' xmlns:p='u' xmlns:q='u' q:b='2'/>",
        "<a xml:lang='' xml:lang=''/>",
        "<message><a b='1' b='2'/></message>",
    ] {
        leaves(frame);
    }
    let many =
        |count: usize| format!("<a{}/>", (0..count).map(|nth| format!(" b{nth}=''")).collect::<String>());
    accepts(many(64));
    leaves(many(65));
}

#[test]
fn prefixes_are_declared_and_not_reserved() {
    for frame in [
        "<a xmlns='jabber:client'><b xmlns='urn:b' xmlns:p='urn:p'><p:c p:d=''/></b></a>",
        "<p:message xmlns:p='jabber:client'><body/></p:message>",
        "<stream:a><stream:b stream:c=''/></stream:a>",
        "<xmlns/>",
        "<message><a xmlns=''><b/></a></message>",
        "<message><a xmlns:ü='urn:ü'><ü:b/></a></message>",
    ] {
        accepts(frame);
    }
    for frame in [
        "<p:a/>",
        "<a p:b=''/>",
        "<a><p:b/></a>",
        "<a><b xmlns:p='u'/><p:c/></a>",
        "<a><b p:c=''/></a>",
        "<a xmlns='u' xmlns='u'/>",
        "<a xmlns:p='u' c='' xmlns:p='v'/>",
        "<a xmlns:p=''/>",
        "<a xmlns:xml='http://www.w3.org/XML/1998/namespace'/>",
        "<a xmlns:xml='u'/>",
        "<a xmlns:xmlns='u'/>",
        "<a xmlns:p='http://www.w3.org/XML/1998/namespace'/>",
        "<a xmlns='http://www.w3.org/2000/xmlns/'/>",
        "<a xmlns='xml'/>",
        "<a xmlns='xmlns'/>",
        "<a xmlns:p='a b'/>",
        "<a xmlns='}'/>",
        "<xml:a/>",
        "<xmlns:a/>",
        "<a><xml:b/></a>",
    ] {
        leaves(frame);
    }
}

#[test]
fn characters_are_those_of_xml() {
    for text in
        ["\t\r\n \u{7F}\u{85}\u{A0}", "é€😀\u{10FFFF}", "\u{D7FF}\u{E000}\u{FFFD}\u{FEFF}，", ">'\"=/;"]
    {
        accepts(format!("<a><b c='{}'>{text}</b><![CDATA[{text}]]></a>", text.replace('\'', "")));
        accepts(format!("<a>{text}{text}{text}</a>"));
    }
    for text in ["\0", "\u{1}", "\u{B}", "\u{1F}", "\u{FFFE}", "\u{FFFF}"] {
        for frame in [
            format!("<a>{text}</a>"),
            format!("<a b='{text}'/>"),
            format!("<a><b c='{text}'/></a>"),
            format!("<a><![CDATA[{text}]]></a>"),
            format!("<a{text}/>"),
        ] {
            leaves(frame);
        }
    }
    for bytes in [&b"<a>\xFF</a>"[..], b"<a>\xC0\x80</a>", b"<a>\xED\xA0\x80</a>", b"<a b='\xE2\x82'/>"] {
        leaves(bytes);
    }
}

#[test]
fn references_are_checked_wherever_they_stand() {
    accepts("<a>&amp;<b c='&lt;&#65;&#x1F600;'>&quot;&apos;&gt;</b></a>");
    for reference in ["&nbsp;", "&", "&;", "& ", "&#0;", "&#xD800;", "&#xFFFF;", "&#x110000;", "&lt", "&#;"] {
        leaves(format!("<a>{reference}</a>"));
        leaves(format!("<a><b c='{reference}'/></a>"));
    }
}

#[test]
fn the_end_of_a_cdata_section_stands_in_no_text() {
    for frame in [
        "<a>]] > ]&gt; ]]&gt; ]></a>",
        "<a><![CDATA[]]></a>",
        "<a><![CDATA[<b>&c;]] >]]]]><![CDATA[]]>x</a>",
        "<a>]]<![CDATA[>]]></a>",
    ] {
        accepts(frame);
    }
    for frame in ["<a>]]></a>", "<a>x]]]>y</a>", "<a><b/>]]></a>", "<a><![CDATA[</a>", "<a><![CDATA[]]</a>"] {
        leaves(frame);
    }
}

#[test]
fn what_xmpp_restricts_is_left_to_the_reader() {
    for frame in [
        "<a><!-- b --></a>",
        "<a><?b c?></a>",
        "<!DOCTYPE a><a/>",
        "<?xml version='1.0'?><a/>",
        "<a><![IGNORE[x]]></a>",
    ] {
        leaves(frame);
    }
}

#[test]
fn what_must_be_rewritten_or_unescaped_is_left_to_the_reader() {
    for frame in [
        "<iq xmlns:p='urn:p'><p:q/></iq>",
        "<iq xmlns:p='urn:p'><q p:a='b'/></iq>",
        "<a xmlns='urn:a'><b/></a>",
        "<a xmlns=''><b/></a>",
        "<a xmlns:stream='urn:a'><stream:b/></a>",
        "<a b='&amp;'/>",
        "<a b='x\ny'/>",
        "<a b='\t'/>",
        "<message><a xmlns='urn:&amp;'/></message>",
    ] {
        leaves(frame);
    }
    accepts("<a xmlns='urn:a'><b xmlns='urn:b'/></a>");
}

#[test]
fn the_context_is_that_of_the_stream() {
    let with_prefix = context("xmlns='jabber:client' xmlns:p='urn:p'");
    accepts_in(&with_prefix, "<p:a p:b=''><body/></p:a>");
    leaves_in(&with_prefix, "<message><p:a/></message>");
    leaves_in(&with_prefix, "<message><a p:b=''/></message>");
    let no_default = context("xmlns:s='urn:s'");
    leaves_in(&no_default, "<message><body/></message>");
    accepts_in(&no_default, "<message xmlns='jabber:client'><body a=''/></message>");
    accepts_in(&no_default, "<s:a/>");
    leaves_in(&no_default, "<message><stream:a/></message>");
    let other_stream = context("xmlns='jabber:client' xmlns:stream='urn:x'");
    leaves_in(&other_stream, "<message><stream:a/></message>");
}

#[test]
fn depth_is_bounded() {
    let deep = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    accepts(deep(DEPTH_MAX));
    leaves(deep(DEPTH_MAX + 1));
    assert_eq!(check(&Context::canonical(), &Bytes::from("<a>".repeat(100_000))), None);
}

#[test]
fn namespaces_in_effect_are_bounded_all_tags_together() {
    let declarations: String = (0..32).map(|nth| format!(" xmlns:p{nth}='u'")).collect();
    let frame = |elements: usize| {
        let (open, close) = (format!("<a{declarations}>").repeat(60), "</a>".repeat(60));
        format!("<message>{open}{}{close}</message>", "<b/>".repeat(elements))
    };
    accepts(frame(50));
    leaves(frame(10_000));
}
