//! Contact Addresses for XMPP Services (XEP-0157): whom to write to about a host, as a form in its disco#info
//! (XEP-0128). That each address is a URI is checked where it is configured.

use rjabberd_xml::Element;
use rjabberd_xmpp::ns;

/// The type of the form.
const SERVER_INFO: &str = "http://jabber.org/network/serverinfo";

/// What addresses are for, by their names in the form without `-addresses`.
pub const ROLES: [&str; 7] = ["abuse", "admin", "feedback", "sales", "security", "status", "support"];

/// Addresses of those who run a host, as URIs, by role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContactAddresses([Vec<String>; ROLES.len()]);

impl ContactAddresses {
    /// Of what `find` says for each of [`ROLES`].
    pub fn new(find: impl FnMut(&'static str) -> Vec<String>) -> ContactAddresses {
        ContactAddresses(ROLES.map(find))
    }

    /// The form; none where there are no addresses.
    pub(crate) fn form(&self) -> Option<Element> {
        let fields = ROLES.iter().zip(&self.0).filter(|(_, addresses)| !addresses.is_empty());
        let fields: Vec<Element> =
            fields.map(|(role, addresses)| field(&format!("{role}-addresses"), addresses)).collect();
        if fields.is_empty() {
            return None;
        }
        let form_type = field("FORM_TYPE", &[SERVER_INFO.to_owned()]).with_attribute("type", "hidden");
        let form = Element::new("x", ns::DATA_FORMS).with_attribute("type", "result").with_child(form_type);
        Some(fields.into_iter().fold(form, Element::with_child))
    }
}

fn field(var: &str, values: &[String]) -> Element {
    let value = |value: &String| Element::new("value", ns::DATA_FORMS).with_text(value.as_str());
    let field = Element::new("field", ns::DATA_FORMS).with_attribute("var", var);
    values.iter().map(value).fold(field, Element::with_child)
}
