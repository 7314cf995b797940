//! The verification string of entity capabilities (XEP-0115, 5.1), computed from a disco#info answer.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha1::{Digest, Sha1};

use crate::Node;

/// The `ver` that an entity must announce whose disco#info `<query/>` is this. Without data forms (XEP-0128).
pub fn caps_version(query: &Node) -> String {
    let of = |element: &Node, name: &str| element.attribute(name).unwrap_or_default().to_owned();
    let named = |name: &'static str| query.children.iter().filter(move |child| child.name == name);
    let mut identities: Vec<String> = named("identity")
        .map(|identity| {
            let parts = ["category", "type", "xml:lang", "name"].map(|name| of(identity, name));
            format!("{}<", parts.join("/"))
        })
        .collect();
    let mut features: Vec<String> =
        named("feature").map(|feature| format!("{}<", of(feature, "var"))).collect();
    identities.sort();
    features.sort();
    STANDARD.encode(Sha1::digest(identities.concat() + &features.concat()))
}

#[cfg(test)]
mod tests {
    use super::caps_version;
    use crate::Node;

    #[test]
    fn the_simple_example_of_xep_0115_holds() {
        let query = Node::parse(
            "<query><feature var='http://jabber.org/protocol/disco#info'/>\
             <identity category='client' name='Exodus 0.9.1' type='pc'/>\
             <feature var='http://jabber.org/protocol/caps'/>\
             <feature var='http://jabber.org/protocol/disco#items'/>\
             <feature var='http://jabber.org/protocol/muc'/></query>",
        );
        assert_eq!(caps_version(&query.unwrap()), "QgayPKawpkPSDYmwT/WM94uAlu0=");
    }
}
