//! What a node is like (XEP-0060, 16.4.4): its fields, their values, and the forms that show and set them (XEP-0004).
//!
//! The store keeps a config as such a form. A field that is not here is not built: a config form that names it is taken
//! without it, publish-options that name it are refused (XEP-0060, 7.1.5).

use rjabberd_storage::PepNode;
use rjabberd_xml::Element;
use rjabberd_xmpp::{Condition, StanzaError, ns};

use super::PepSettings;
use super::refusals::{bad_request, refusal};
use crate::services::{read_stored, written};

/// Bytes of a text of a config, and how many groups it may name.
const TEXT_BYTES_MAX: usize = 1_023;
const GROUPS_MAX: usize = 100;

/// Who may read (XEP-0060, 4.5). `authorize` is not built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccessModel {
    Open,
    Presence,
    Roster,
    Whitelist,
}

/// Who may publish, beside owners and publishers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PublishModel {
    Publishers,
    Subscribers,
    Open,
}

/// To whom the last item is sent unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendLast {
    Never,
    OnSub,
    OnSubAndPresence,
}

const ACCESS_MODELS: [(&str, AccessModel); 4] = [
    ("open", AccessModel::Open),
    ("presence", AccessModel::Presence),
    ("roster", AccessModel::Roster),
    ("whitelist", AccessModel::Whitelist),
];
const PUBLISH_MODELS: [(&str, PublishModel); 3] = [
    ("publishers", PublishModel::Publishers),
    ("subscribers", PublishModel::Subscribers),
    ("open", PublishModel::Open),
];
const SEND_LAST: [(&str, SendLast); 3] = [
    ("never", SendLast::Never),
    ("on_sub", SendLast::OnSub),
    ("on_sub_and_presence", SendLast::OnSubAndPresence),
];

fn name_of<T: Copy + PartialEq>(names: &[(&'static str, T)], value: T) -> &'static str {
    names.iter().find(|(_, known)| *known == value).map_or("", |(name, _)| name)
}

fn named<T: Copy>(names: &[(&str, T)], name: &str) -> Option<T> {
    names.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

/// The config of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeConfig {
    pub(crate) access: AccessModel,
    /// For [`AccessModel::Roster`].
    pub(crate) groups: Vec<String>,
    pub(crate) publish: PublishModel,
    pub(crate) send_last: SendLast,
    pub(crate) persist_items: bool,
    /// `None` is as many as there may be.
    pub(crate) max_items: Option<usize>,
    pub(crate) deliver_notifications: bool,
    pub(crate) deliver_payloads: bool,
    pub(crate) notify_config: bool,
    pub(crate) notify_delete: bool,
    pub(crate) notify_retract: bool,
    pub(crate) title: String,
    pub(crate) description: String,
    /// The namespace of the payloads.
    pub(crate) payload_type: String,
}

impl NodeConfig {
    /// XEP-0163, 4: for whoever may see the presence, the last item only. What must be private (XEP-0223) is, also where
    /// the client did not say so.
    pub(crate) fn default_of(node: &str) -> NodeConfig {
        let default = NodeConfig {
            access: AccessModel::Presence,
            groups: Vec::new(),
            publish: PublishModel::Publishers,
            send_last: SendLast::OnSubAndPresence,
            persist_items: true,
            max_items: Some(1),
            deliver_notifications: true,
            deliver_payloads: true,
            notify_config: false,
            notify_delete: true,
            notify_retract: true,
            title: String::new(),
            description: String::new(),
            payload_type: String::new(),
        };
        match node {
            ns::BOOKMARKS | ns::DISPLAYED => NodeConfig {
                access: AccessModel::Whitelist,
                send_last: SendLast::Never,
                max_items: None,
                ..default
            },
            ns::OLD_BOOKMARKS => NodeConfig { access: AccessModel::Whitelist, ..default },
            _ => default,
        }
    }

    /// Of a node as the store has it.
    pub(crate) fn read(node: &PepNode) -> Result<NodeConfig, StanzaError> {
        let mut config = NodeConfig::default_of("");
        let form = read_stored(node.config.clone())?;
        // Whatever the limits are today.
        let settings = PepSettings { items_max: usize::MAX, ..PepSettings::default() };
        for (var, values) in fields(&form) {
            config.set(&var, &values, &settings)?;
        }
        Ok(config)
    }

    /// As the store keeps it.
    pub(crate) fn stored(&self) -> String {
        written(&self.form("submit", ns::PUBSUB_NODE_CONFIG))
    }

    /// How many items are kept.
    pub(crate) fn items_max(&self, settings: &PepSettings) -> usize {
        if self.persist_items { self.max_items.unwrap_or(usize::MAX).min(settings.items_max) } else { 0 }
    }

    /// Sets what a form says (XEP-0060, 8.2.4); what it does not know is left out.
    pub(crate) fn submit(&mut self, form: &Element, settings: &PepSettings) -> Result<(), StanzaError> {
        for (var, values) in fields(form) {
            self.set(&var, &values, settings)?;
        }
        Ok(())
    }

    /// Sets what publish-options say, for a node that is made by them.
    pub(crate) fn require(
        &mut self,
        options: &[(String, Vec<String>)],
        settings: &PepSettings,
    ) -> Result<(), StanzaError> {
        for (var, values) in options {
            if !self.set(var, values, settings)? {
                return Err(not_acceptable("a precondition is not known"));
            }
        }
        Ok(())
    }

    /// Whether what publish-options say is so (XEP-0060, 7.1.5).
    pub(crate) fn meets(
        &self,
        options: &[(String, Vec<String>)],
        settings: &PepSettings,
    ) -> Result<(), StanzaError> {
        let mut wanted = self.clone();
        wanted.require(options, settings)?;
        let is_met = self.items_max(settings) == wanted.items_max(settings)
            && *self == NodeConfig { max_items: self.max_items, ..wanted };
        if is_met { Ok(()) } else { Err(refusal(Condition::Conflict, "precondition-not-met")) }
    }

    /// Sets one field; false if it is none of ours.
    fn set(&mut self, var: &str, values: &[String], settings: &PepSettings) -> Result<bool, StanzaError> {
        let value = values.first().map_or("", String::as_str);
        match var {
            "pubsub#access_model" => {
                self.access = named(&ACCESS_MODELS, value)
                    .ok_or_else(|| refusal(Condition::NotAcceptable, "unsupported-access-model"))?;
            }
            "pubsub#roster_groups_allowed" => {
                if values.len() > GROUPS_MAX {
                    return Err(not_acceptable("there are too many groups"));
                }
                self.groups = values.iter().map(|group| text(group)).collect::<Result<_, _>>()?;
            }
            "pubsub#publish_model" => self.publish = one_of(&PUBLISH_MODELS, value)?,
            "pubsub#send_last_published_item" => self.send_last = one_of(&SEND_LAST, value)?,
            "pubsub#persist_items" => self.persist_items = boolean(value)?,
            "pubsub#max_items" => self.max_items = max_items(value, settings)?,
            "pubsub#deliver_notifications" => self.deliver_notifications = boolean(value)?,
            "pubsub#deliver_payloads" => self.deliver_payloads = boolean(value)?,
            "pubsub#notify_config" => self.notify_config = boolean(value)?,
            "pubsub#notify_delete" => self.notify_delete = boolean(value)?,
            "pubsub#notify_retract" => self.notify_retract = boolean(value)?,
            "pubsub#title" => self.title = text(value)?,
            "pubsub#description" => self.description = text(value)?,
            "pubsub#type" => self.payload_type = text(value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// All fields, as a form of this type.
    pub(crate) fn form(&self, form_type: &str, name: &str) -> Element {
        let said = |value: bool| if value { "1" } else { "0" };
        let shows_options = form_type == "form";
        let choice = |var: &str, value: &str, options: Vec<&str>| {
            let mut field = field(var, "list-single", [value]);
            if shows_options {
                for option in options {
                    field.push(Element::new("option", ns::DATA_FORMS).with_child(value_of(option)));
                }
            }
            field
        };
        let max_items = self.max_items.map_or_else(|| "max".to_owned(), |max| max.to_string());
        let access = ACCESS_MODELS.iter().map(|(name, _)| *name).collect();
        let publish = PUBLISH_MODELS.iter().map(|(name, _)| *name).collect();
        let send_last = SEND_LAST.iter().map(|(name, _)| *name).collect();
        let fields = [
            field("FORM_TYPE", "hidden", [name]),
            field("pubsub#title", "text-single", [self.title.as_str()]),
            field("pubsub#description", "text-single", [self.description.as_str()]),
            field("pubsub#type", "text-single", [self.payload_type.as_str()]),
            choice("pubsub#access_model", name_of(&ACCESS_MODELS, self.access), access),
            field("pubsub#roster_groups_allowed", "list-multi", self.groups.iter().map(String::as_str)),
            choice("pubsub#publish_model", name_of(&PUBLISH_MODELS, self.publish), publish),
            field("pubsub#persist_items", "boolean", [said(self.persist_items)]),
            field("pubsub#max_items", "text-single", [max_items.as_str()]),
            choice("pubsub#send_last_published_item", name_of(&SEND_LAST, self.send_last), send_last),
            field("pubsub#deliver_notifications", "boolean", [said(self.deliver_notifications)]),
            field("pubsub#deliver_payloads", "boolean", [said(self.deliver_payloads)]),
            field("pubsub#notify_config", "boolean", [said(self.notify_config)]),
            field("pubsub#notify_delete", "boolean", [said(self.notify_delete)]),
            field("pubsub#notify_retract", "boolean", [said(self.notify_retract)]),
        ];
        let form = Element::new("x", ns::DATA_FORMS).with_attribute("type", form_type);
        fields.into_iter().fold(form, Element::with_child)
    }

    /// What the node says of itself to who may read it (XEP-0060, 5.4).
    pub(crate) fn metadata(&self, account: &str, node: &PepNode) -> Element {
        let subscribers = node.subscriptions.len().to_string();
        let max_items = self.max_items.map_or_else(|| "max".to_owned(), |max| max.to_string());
        let fields = [
            field("FORM_TYPE", "hidden", [ns::PUBSUB_META_DATA]),
            field("pubsub#type", "text-single", [self.payload_type.as_str()]),
            field("pubsub#title", "text-single", [self.title.as_str()]),
            field("pubsub#description", "text-single", [self.description.as_str()]),
            field("pubsub#owner", "jid-multi", [account]),
            field("pubsub#num_subscribers", "text-single", [subscribers.as_str()]),
            field("pubsub#access_model", "list-single", [name_of(&ACCESS_MODELS, self.access)]),
            field("pubsub#publish_model", "list-single", [name_of(&PUBLISH_MODELS, self.publish)]),
            field("pubsub#max_items", "text-single", [max_items.as_str()]),
        ];
        let form = Element::new("x", ns::DATA_FORMS).with_attribute("type", "result");
        fields.into_iter().fold(form, Element::with_child)
    }
}

/// The fields of a form, but for its type.
pub(crate) fn fields(form: &Element) -> Vec<(String, Vec<String>)> {
    let fields = form.children().filter(|child| child.is("field", ns::DATA_FORMS));
    let fields = fields.filter_map(|field| {
        let var = field.attribute("var").filter(|var| *var != "FORM_TYPE")?;
        let values = field.children().filter(|child| child.is("value", ns::DATA_FORMS));
        Some((var.to_owned(), values.map(Element::text).collect()))
    });
    fields.collect()
}

/// The form in an element, which must be of this name if it says one (XEP-0068); `None` where it is cancelled.
pub(crate) fn submitted<'a>(parent: &'a Element, name: &str) -> Result<Option<&'a Element>, StanzaError> {
    let form = parent.child("x", ns::DATA_FORMS).ok_or_else(bad_request)?;
    let fields = form.children().filter(|child| child.attribute("var") == Some("FORM_TYPE"));
    let mut types = fields.filter_map(|field| field.child("value", ns::DATA_FORMS));
    if types.any(|value| value.text() != name) {
        return Err(not_acceptable("the form is of another type"));
    }
    match form.attribute("type") {
        Some("submit") | None => Ok(Some(form)),
        Some("cancel") => Ok(None),
        Some(_) => Err(bad_request()),
    }
}

fn value_of(text: &str) -> Element {
    Element::new("value", ns::DATA_FORMS).with_text(text)
}

fn field<'a>(var: &str, field_type: &str, values: impl IntoIterator<Item = &'a str>) -> Element {
    let field =
        Element::new("field", ns::DATA_FORMS).with_attribute("var", var).with_attribute("type", field_type);
    values.into_iter().map(value_of).fold(field, Element::with_child)
}

fn not_acceptable(text: &'static str) -> StanzaError {
    StanzaError::new(Condition::NotAcceptable).with_text(text)
}

fn one_of<T: Copy>(names: &[(&str, T)], value: &str) -> Result<T, StanzaError> {
    named(names, value).ok_or_else(|| not_acceptable("a field has a value that it cannot have"))
}

fn boolean(value: &str) -> Result<bool, StanzaError> {
    match value {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(not_acceptable("a field is neither true nor false")),
    }
}

fn text(value: &str) -> Result<String, StanzaError> {
    if value.len() > TEXT_BYTES_MAX {
        return Err(not_acceptable("a text is too long"));
    }
    Ok(value.to_owned())
}

fn max_items(value: &str, settings: &PepSettings) -> Result<Option<usize>, StanzaError> {
    if value == "max" {
        return Ok(None);
    }
    let wrong = || not_acceptable("max_items is a number that is not too large, or max");
    let max: usize = value.parse().map_err(|_| wrong())?;
    if max == 0 || max > settings.items_max { Err(wrong()) } else { Ok(Some(max)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(config: &NodeConfig) -> PepNode {
        PepNode {
            name: "n".to_owned(),
            config: config.stored(),
            stamp: rjabberd_storage::PepStamp::default(),
            items: 0,
            affiliations: Vec::new(),
            subscriptions: Vec::new(),
        }
    }

    fn option(var: &str, value: &str) -> Vec<(String, Vec<String>)> {
        vec![(format!("pubsub#{var}"), vec![value.to_owned()])]
    }

    #[test]
    fn a_config_is_read_as_it_was_stored() {
        let config = NodeConfig {
            access: AccessModel::Roster,
            groups: vec!["Friends".to_owned(), "<&>".to_owned()],
            publish: PublishModel::Open,
            send_last: SendLast::OnSub,
            persist_items: false,
            max_items: Some(5_000),
            deliver_notifications: false,
            deliver_payloads: false,
            notify_config: true,
            notify_delete: false,
            notify_retract: false,
            title: "A title".to_owned(),
            description: "What it is".to_owned(),
            payload_type: "urn:x".to_owned(),
        };
        assert_eq!(NodeConfig::read(&node(&config)), Ok(config));
        let private = NodeConfig::default_of(ns::BOOKMARKS);
        assert_eq!(NodeConfig::read(&node(&private)), Ok(private));
    }

    #[test]
    fn a_precondition_is_met_by_what_comes_to_the_same() {
        let settings = PepSettings { items_max: 10, ..PepSettings::default() };
        let config = NodeConfig::default_of(ns::BOOKMARKS);
        for (var, value) in [
            ("access_model", "whitelist"),
            ("max_items", "max"),
            ("max_items", "10"),
            ("persist_items", "true"),
            ("persist_items", "1"),
        ] {
            assert_eq!(config.meets(&option(var, value), &settings), Ok(()), "{var} {value}");
        }
        for (var, value) in [("access_model", "open"), ("max_items", "9"), ("persist_items", "0")] {
            let error = config.meets(&option(var, value), &settings).unwrap_err();
            assert_eq!(error, refusal(Condition::Conflict, "precondition-not-met"), "{var} {value}");
        }
        for (var, value) in [("colour", "red"), ("max_items", "11"), ("max_items", "-1")] {
            let error = config.meets(&option(var, value), &settings).unwrap_err();
            assert_eq!(error.condition, Condition::NotAcceptable, "{var} {value}");
        }
    }
}
