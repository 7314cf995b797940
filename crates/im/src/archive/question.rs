//! What a client asks of its archive: a form of filters (XEP-0313, 4.1) and a page of what they let through (XEP-0059).

use rjabberd_storage::{ArchiveId, ArchiveQuery};
use rjabberd_xml::Element;
use rjabberd_xmpp::{Condition, Jid, StanzaError, address, date::parse_date_time, ns};

use super::read_id;

/// Messages of a page whose size the client leaves to us.
const PAGE: usize = 50;

/// Bytes of the messages of a page: they wait in memory until the client has read them.
const PAGE_BYTES_MAX: usize = 512 * 1024;

/// Ids that can be asked for at once.
const IDS_MAX: usize = 1_000;

/// Bytes of a query's name: it comes back with each message.
const QUERY_ID_BYTES_MAX: usize = 256;

/// A query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// What the client calls it.
    pub(super) query_id: Option<String>,
    pub(super) query: ArchiveQuery,
    /// The page is to be sent with its newest message first (4.3.4).
    pub(super) is_flipped: bool,
}

/// The fields of the form, with their types (4.1.5).
const FIELDS: [(&str, &str); 6] = [
    ("with", "jid-single"),
    ("start", "text-single"),
    ("end", "text-single"),
    ("before-id", "text-single"),
    ("after-id", "text-single"),
    ("ids", "list-multi"),
];

/// The form that clients may fill in.
pub(super) fn form() -> Element {
    let field = |(var, kind): &(&str, &str)| {
        let field =
            Element::new("field", ns::DATA_FORMS).with_attribute("type", *kind).with_attribute("var", *var);
        if *var != "ids" {
            return field;
        }
        // The list is open to any value.
        let validate =
            Element::new("validate", ns::DATA_FORMS_VALIDATE).with_attribute("datatype", "xs:string");
        field.with_child(validate.with_child(Element::new("open", ns::DATA_FORMS_VALIDATE)))
    };
    let value = Element::new("value", ns::DATA_FORMS).with_text(ns::ARCHIVE);
    let form_type = Element::new("field", ns::DATA_FORMS)
        .with_attribute("type", "hidden")
        .with_attribute("var", "FORM_TYPE")
        .with_child(value);
    let form = Element::new("x", ns::DATA_FORMS).with_attribute("type", "form").with_child(form_type);
    FIELDS.iter().map(field).fold(form, Element::with_child)
}

/// Reads a query; of a page at most `page_max` messages are given.
pub(super) fn read(payload: &Element, page_max: usize) -> Result<Asked, StanzaError> {
    if payload.attribute("node").is_some() {
        return Err(StanzaError::new(Condition::FeatureNotImplemented).with_text("an account has no nodes"));
    }
    let query_id = payload.attribute("queryid").map(str::to_owned);
    if query_id.as_ref().is_some_and(|id| id.len() > QUERY_ID_BYTES_MAX) {
        return Err(bad("queryid is too long"));
    }
    let mut query = ArchiveQuery {
        messages_max: PAGE.min(page_max),
        bytes_max: PAGE_BYTES_MAX,
        ..ArchiveQuery::default()
    };
    if let Some(form) = payload.child("x", ns::DATA_FORMS) {
        filter(form, &mut query)?;
    }
    if let Some(set) = payload.child("set", ns::RESULT_SETS) {
        page(set, page_max, &mut query)?;
    }
    let is_flipped = payload.child("flip-page", ns::ARCHIVE).is_some();
    Ok(Asked { query_id, query, is_flipped })
}

fn bad(text: &'static str) -> StanzaError {
    StanzaError::new(Condition::BadRequest).with_text(text)
}

fn filter(form: &Element, query: &mut ArchiveQuery) -> Result<(), StanzaError> {
    let fields = || form.children().filter(|child| child.is("field", ns::DATA_FORMS));
    let is_ours = |field: &Element| {
        field.attribute("var") == Some("FORM_TYPE") && values(field).eq([ns::ARCHIVE.to_owned()])
    };
    if !fields().any(is_ours) {
        return Err(bad("the form is not one of urn:xmpp:mam:2"));
    }
    let mut seen: Vec<&str> = Vec::new();
    for field in fields() {
        let var = field.attribute("var").ok_or_else(|| bad("a field has no name"))?;
        if seen.contains(&var) {
            return Err(bad("a field is there twice"));
        }
        seen.push(var);
        if var == "FORM_TYPE" {
            continue;
        }
        if !FIELDS.iter().any(|(known, _)| *known == var) {
            // 4.1.5: also one that others have.
            return Err(StanzaError::new(Condition::FeatureNotImplemented).with_text("a field is unknown"));
        }
        if var == "ids" {
            query.ids = Some(ids(field)?);
            continue;
        }
        let mut values = values(field).filter(|value| !value.is_empty());
        // A field that was left empty filters nothing.
        let Some(value) = values.next() else { continue };
        if values.next().is_some() {
            return Err(bad("a field has more than one value"));
        }
        set(var, &value, query)?;
    }
    Ok(())
}

fn set(var: &str, value: &str, query: &mut ArchiveQuery) -> Result<(), StanzaError> {
    let time = || parse_date_time(value).map(Some).ok_or_else(|| bad("a time is none (XEP-0082)"));
    match var {
        "with" => query.with = Some(jid(value)?),
        "start" => query.start_unix_us = time()?,
        "end" => query.end_unix_us = time()?,
        "before-id" => query.before.push(id(value)?),
        "after-id" => query.after.push(id(value)?),
        _ => {}
    }
    Ok(())
}

fn jid(value: &str) -> Result<Jid, StanzaError> {
    address::parse(value).map_err(|_| StanzaError::new(Condition::JidMalformed))
}

fn ids(field: &Element) -> Result<Vec<ArchiveId>, StanzaError> {
    let ids: Vec<ArchiveId> = values(field).map(|value| id(&value)).collect::<Result<_, _>>()?;
    if ids.len() > IDS_MAX {
        return Err(StanzaError::new(Condition::PolicyViolation).with_text("too many ids at once"));
    }
    Ok(ids)
}

fn values(field: &Element) -> impl Iterator<Item = String> + '_ {
    field.children().filter(|child| child.is("value", ns::DATA_FORMS)).map(Element::text)
}

/// What cannot be an id of ours is not in the archive.
fn id(text: &str) -> Result<ArchiveId, StanzaError> {
    read_id(text).ok_or_else(|| StanzaError::new(Condition::ItemNotFound))
}

/// XEP-0059, 2.
fn page(set: &Element, page_max: usize, query: &mut ArchiveQuery) -> Result<(), StanzaError> {
    let text = |name: &str| set.child(name, ns::RESULT_SETS).map(|child| child.text().trim().to_owned());
    if set.child("index", ns::RESULT_SETS).is_some() {
        // 2.7: a page by its number would have to be counted.
        return Err(StanzaError::new(Condition::FeatureNotImplemented).with_text("pages have no numbers"));
    }
    if let Some(max) = text("max") {
        let max: u64 = max.parse().map_err(|_| bad("max is no number"))?;
        // 2.6: nothing but the count.
        query.count = max == 0;
        query.messages_max = usize::try_from(max).unwrap_or(usize::MAX).min(page_max);
    }
    if let Some(after) = text("after").filter(|after| !after.is_empty()) {
        query.after.push(id(&after)?);
    }
    if let Some(before) = text("before") {
        query.backwards = true;
        if !before.is_empty() {
            query.before.push(id(&before)?);
        }
    }
    Ok(())
}
