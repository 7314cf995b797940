//! Answers what is asked of archives: of one's own only (XEP-0313, 7.1).
//!
//! The messages of a page are written while the client reads them, in front of the result that ends them.

use std::sync::atomic::Ordering::Relaxed;

use bytes::BytesMut;
use rjabberd_storage::{ArchivePage, ArchivedMessage, StoreError};
use rjabberd_xml::Element;
use rjabberd_xml::writer::write_attribute;
use rjabberd_xmpp::{BareJid, Condition, FullJid, Stanza, StanzaError, date::date_time_us, ns};

use super::id_text;
use super::question::{self, Asked};
use crate::Im;
use crate::services::{Feature, Long, Question, Reply, Target, store_error};

/// Archives, as clients ask for them.
pub(crate) struct Mam {
    im: &'static Im,
}

impl Mam {
    pub(crate) fn new(im: &'static Im) -> Mam {
        Mam { im }
    }

    fn query(&self, session: &FullJid, payload: &Element) -> Reply {
        let im = self.im;
        let asked = match question::read(payload, im.limits.archive.page_max) {
            Ok(asked) => asked,
            Err(error) => return error.into(),
        };
        let session = session.clone();
        Reply::Long(Box::pin(async move {
            im.archived().await.map_err(store_error)?;
            let account = session.to_bare();
            let page = im.store.query_archive(&account, asked.query.clone()).await.map_err(not_found)?;
            im.archives.queries.fetch_add(1, Relaxed);
            im.archives.given.fetch_add(page.messages.len() as u64, Relaxed);
            Ok(long(page, &account, &session, &asked))
        }))
    }

    /// XEP-0313, 5.
    fn metadata(&self, account: BareJid) -> Reply {
        let im = self.im;
        Reply::later(async move {
            im.archived().await.map_err(store_error)?;
            let ends = im.store.archive_ends(&account).await.map_err(store_error)?;
            let end = |name: &str, (id, unix_us)| {
                Element::new(name, ns::ARCHIVE)
                    .with_attribute("id", id_text(id))
                    .with_attribute("timestamp", date_time_us(unix_us))
            };
            let metadata = Element::new("metadata", ns::ARCHIVE);
            Ok(Some(match ends {
                None => metadata,
                Some(ends) => metadata.with_child(end("start", ends.first)).with_child(end("end", ends.last)),
            }))
        })
    }
}

impl Feature for Mam {
    fn namespace(&self) -> &'static str {
        ns::ARCHIVE
    }

    fn serves(&self, target: Target) -> bool {
        target != Target::Server
    }

    fn announces(&self, target: Target) -> Vec<&'static str> {
        match target {
            Target::OwnAccount => vec![ns::ARCHIVE, ns::ARCHIVE_EXTENDED],
            Target::Server | Target::OtherAccount => Vec::new(),
        }
    }

    fn serves_guests(&self, _set: bool) -> bool {
        false
    }

    fn answer(&self, question: &Question<'_>) -> Reply {
        let session = match question.session() {
            Ok(session) => session,
            Err(error) => return error.into(),
        };
        if question.target != Target::OwnAccount {
            return Reply::error(Condition::Forbidden);
        }
        let account = session.to_bare();
        match (question.payload.name(), question.set) {
            ("query", true) => self.query(session, question.payload),
            ("query", false) => {
                Reply::result(Element::new("query", ns::ARCHIVE).with_child(question::form()))
            }
            ("metadata", false) => self.metadata(account),
            ("prefs", true) => self.im.set_archive_prefs(&account, question.payload),
            ("prefs", false) => self.im.archive_prefs(&account),
            _ => Reply::error(Condition::FeatureNotImplemented),
        }
    }
}

/// 4.1.3 and 4.3.2: an id that is not there is told.
fn not_found(error: StoreError) -> StanzaError {
    match error {
        StoreError::NotFound => StanzaError::new(Condition::ItemNotFound),
        error => store_error(error),
    }
}

fn long(page: ArchivePage, account: &BareJid, session: &FullJid, asked: &Asked) -> Long {
    let fin = fin(&page);
    let ArchivePage { mut messages, .. } = page;
    // What comes next stands last.
    if !asked.is_flipped {
        messages.reverse();
    }
    let count = messages.len();
    let envelope = Envelope::new(account, session, asked.query_id.as_deref());
    let parts = move |out: &mut BytesMut| match messages.pop() {
        Some(message) => {
            envelope.write(&message, out);
            true
        }
        None => false,
    };
    Long::behind(count, parts, fin)
}

/// 4.2: what ends a page. The first is the oldest, whichever was sent first.
fn fin(page: &ArchivePage) -> Element {
    let text = |name: &str, text: String| Element::new(name, ns::RESULT_SETS).with_text(text);
    let mut set = Element::new("set", ns::RESULT_SETS);
    if let (Some(first), Some(last)) = (page.messages.first(), page.messages.last()) {
        set.push(text("first", id_text(first.id)));
        set.push(text("last", id_text(last.id)));
    }
    if let Some(count) = page.count {
        set.push(text("count", count.to_string()));
    }
    let fin = Element::new("fin", ns::ARCHIVE);
    let fin = if page.complete { fin.with_attribute("complete", "true") } else { fin };
    fin.with_child(set)
}

/// What stands around the messages of a page, in three pieces: the id of each and its time come in between.
struct Envelope {
    head: BytesMut,
}

impl Envelope {
    fn new(account: &BareJid, session: &FullJid, query_id: Option<&str>) -> Envelope {
        let mut head = BytesMut::new();
        head.extend_from_slice(b"<message");
        write_attribute("to", session.as_str(), &mut head);
        write_attribute("from", account.as_str(), &mut head);
        head.extend_from_slice(b"><result");
        write_attribute("xmlns", ns::ARCHIVE, &mut head);
        if let Some(query_id) = query_id {
            write_attribute("queryid", query_id, &mut head);
        }
        Envelope { head }
    }

    fn write(&self, message: &ArchivedMessage, out: &mut BytesMut) {
        out.extend_from_slice(&self.head);
        write_attribute("id", &id_text(message.id), out);
        out.extend_from_slice(b"><forwarded");
        write_attribute("xmlns", ns::FORWARD, out);
        out.extend_from_slice(b"><delay");
        write_attribute("xmlns", ns::DELAY, out);
        write_attribute("stamp", &date_time_us(message.stamp_unix_us), out);
        out.extend_from_slice(b"/>");
        if !Stanza::forward_written(&message.stanza, out) {
            // 3.2: a message that is gone leaves its place.
            log::error!(target: "im:archive", "message {} of an archive is not readable", id_text(message.id));
        }
        out.extend_from_slice(b"</forwarded></result></message>");
    }
}
