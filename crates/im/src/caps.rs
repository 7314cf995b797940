//! Entity Capabilities (XEP-0115): the verification string of a disco#info answer, and the element that carries it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rjabberd_xml::Element;
use rjabberd_xmpp::ns;
use sha1::{Digest, Sha1};

/// Names the software in `<c/>`. No address: there is no host that this name would be right for.
pub const NODE: &str = "urn:rjabberd";

/// The element that announces a verification string.
pub fn element(ver: &str) -> Element {
    Element::new("c", ns::CAPS)
        .with_attribute("hash", "sha-1")
        .with_attribute("node", NODE)
        .with_attribute("ver", ver)
}

/// The value of `ver` for a `<query/>` of disco#info (XEP-0115, 5.1), with SHA-1.
pub fn ver(query: &Element) -> String {
    STANDARD.encode(Sha1::digest(hashed(query)))
}

/// The string S that is hashed. Texts are sorted by their bytes ("i;octet").
fn hashed(query: &Element) -> String {
    let attribute = |element: &Element, name: &str| element.attribute(name).unwrap_or_default().to_owned();
    let named = |name: &'static str| query.children().filter(move |child| child.is(name, ns::DISCO_INFO));

    let mut identities: Vec<_> = named("identity")
        .map(|identity| {
            let lang = identity.lang().unwrap_or_default().to_owned();
            [attribute(identity, "category"), attribute(identity, "type"), lang, attribute(identity, "name")]
        })
        .collect();
    identities.sort();
    let mut features: Vec<_> = named("feature").map(|feature| attribute(feature, "var")).collect();
    features.sort();
    let mut forms: Vec<_> = query.children().filter_map(hashed_form).collect();
    forms.sort();

    let identities = identities.iter().map(|identity| identity.join("/"));
    let mut pieces: Vec<String> = identities.chain(features).collect();
    for (form_type, fields) in forms {
        pieces.push(form_type);
        for (var, values) in fields {
            pieces.push(var);
            pieces.extend(values);
        }
    }
    pieces.into_iter().map(|piece| piece + "<").collect()
}

/// Name and values of a field of a form.
type HashedField = (String, Vec<String>);

/// Type, fields and values of a form, sorted; `None` for what is no form, and for a form without a hidden FORM_TYPE,
/// which is ignored (XEP-0115, 5.4).
fn hashed_form(form: &Element) -> Option<(String, Vec<HashedField>)> {
    if !form.is("x", ns::DATA_FORMS) {
        return None;
    }
    let values_of = |field: &Element| {
        let values = field.children().filter(|child| child.is("value", ns::DATA_FORMS));
        let mut values: Vec<_> = values.map(Element::text).collect();
        values.sort();
        values
    };
    let (mut form_type, mut fields) = (None, Vec::new());
    for field in form.children().filter(|child| child.is("field", ns::DATA_FORMS)) {
        match field.attribute("var").unwrap_or_default() {
            "FORM_TYPE" if field.attribute("type") == Some("hidden") => {
                form_type = values_of(field).into_iter().next()
            }
            "FORM_TYPE" => {}
            var => fields.push((var.to_owned(), values_of(field))),
        }
    }
    fields.sort();
    Some((form_type?, fields))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rjabberd_xml::{Context, read_element};

    use super::*;

    #[track_caller]
    fn check(query: &str, expected: &str) {
        let text = Bytes::copy_from_slice(query.as_bytes());
        let query = read_element(&Context::canonical(), text).unwrap().to_element().unwrap();
        assert_eq!(ver(&query), expected);
    }

    /// XEP-0115, 5.2. The features stand in another order here: sorting is ours.
    #[test]
    fn the_simple_example_of_the_xep_is_reproduced() {
        check(
            "<query xmlns='http://jabber.org/protocol/disco#info' node='urn:x#y'>\
             <feature var='http://jabber.org/protocol/muc'/>\
             <identity category='client' type='pc' name='Exodus 0.9.1'/>\
             <feature var='http://jabber.org/protocol/disco#items'/>\
             <feature var='http://jabber.org/protocol/caps'/>\
             <feature var='http://jabber.org/protocol/disco#info'/></query>",
            "QgayPKawpkPSDYmwT/WM94uAlu0=",
        );
    }

    const COMPLEX: &str = "<query xmlns='http://jabber.org/protocol/disco#info'>\
        <identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>\
        <identity xml:lang='el' category='client' name='Ψ 0.11' type='pc'/>\
        <feature var='http://jabber.org/protocol/caps'/>\
        <feature var='http://jabber.org/protocol/disco#info'/>\
        <feature var='http://jabber.org/protocol/disco#items'/>\
        <feature var='http://jabber.org/protocol/muc'/>\
        <x xmlns='jabber:x:data' type='result'>\
        <field var='software_version'><value>0.11</value></field>\
        <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>\
        <field var='os'><value>Mac</value></field>\
        <field var='ip_version' type='text-multi'><value>ipv6</value><value>ipv4</value></field>\
        <field var='os_version'><value>10.5.1</value></field>\
        <field var='software'><value>Psi</value></field></x>FURTHER</query>";

    /// XEP-0115, 5.3, its form in another order.
    #[test]
    fn the_complex_example_of_the_xep_is_reproduced() {
        check(&COMPLEX.replace("FURTHER", ""), "q07IKJEyjvHSyhy//CH0CxmKi8w=");
    }

    #[test]
    fn a_form_without_a_hidden_type_is_ignored() {
        for form in [
            "<x xmlns='jabber:x:data'><field var='a'><value>1</value></field></x>",
            "<x xmlns='jabber:x:data'><field var='FORM_TYPE'><value>urn:x</value></field></x>",
            "<x xmlns='jabber:x:data'><field var='FORM_TYPE' type='hidden'/></x>",
        ] {
            check(&COMPLEX.replace("FURTHER", form), "q07IKJEyjvHSyhy//CH0CxmKi8w=");
        }
    }

    #[test]
    fn forms_are_sorted_by_their_type() {
        let form = |form_type: &str| {
            let value = Element::new("value", ns::DATA_FORMS).with_text(form_type);
            let field = Element::new("field", ns::DATA_FORMS).with_attribute("var", "FORM_TYPE");
            Element::new("x", ns::DATA_FORMS)
                .with_child(field.with_attribute("type", "hidden").with_child(value))
        };
        let query = Element::new("query", ns::DISCO_INFO).with_child(form("urn:y")).with_child(form("urn:x"));
        assert_eq!(hashed(&query), "urn:x<urn:y<");
    }

    #[test]
    fn identities_are_sorted_by_category_before_type() {
        let query = Element::new("query", ns::DISCO_INFO);
        let identity = |category: &str, identity_type: &str| {
            let identity = Element::new("identity", ns::DISCO_INFO);
            identity.with_attribute("category", category).with_attribute("type", identity_type)
        };
        let query = query
            .with_child(identity("a-b", "x"))
            .with_child(identity("a", "y"))
            .with_child(identity("a", "x"));
        assert_eq!(hashed(&query), "a/x//<a/y//<a-b/x//<");
    }
}
