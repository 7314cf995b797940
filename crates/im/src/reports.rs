//! Blocking Command Reports (XEP-0377): what users say of those whom they block, for whoever runs the server.
//!
//! A report is logged and counted, and goes nowhere else: not to the other server and not to third parties, whatever it
//! allows (XEP-0377, 5). The messages that it is about are named by their ids and never shown. A report that makes no
//! sense does not hinder the block (XEP-0377, 6).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rjabberd_xml::Element;
use rjabberd_xmpp::{BareJid, Jid, ns};

/// XEP-0359.
const STANZA_IDS: &str = "urn:xmpp:sid:0";

/// Reports of one command that are logged; the others are only counted.
const LOGGED_MAX: usize = 10;

/// Ids of one report that are logged.
const IDS_MAX: usize = 10;

/// Bytes of a user's text that are logged.
const TEXT_BYTES_MAX: usize = 500;

/// Bytes of a reason, or of an id, that are logged.
const NAME_BYTES_MAX: usize = 100;

/// What was reported since the server started.
#[derive(Debug, Default)]
pub struct Reports {
    spam: AtomicU64,
    abuse: AtomicU64,
    other: AtomicU64,
}

/// What one user says of one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    about: Jid,
    reason: String,
    text: String,
    stanza_ids: Vec<String>,
}

impl Report {
    /// The report in an `<item/>` of a block command, if there is one with a reason (XEP-0377, 4).
    pub(crate) fn of(item: &Element, about: &Jid) -> Option<Report> {
        let report = item.child("report", ns::REPORTING)?;
        let reason = shortened(report.attribute("reason")?, NAME_BYTES_MAX);
        let text = report.child("text", ns::REPORTING).map(Element::text).unwrap_or_default();
        let ids = report.children().filter(|child| child.is("stanza-id", STANZA_IDS));
        let ids = ids.filter_map(|id| id.attribute("id")).take(IDS_MAX);
        Some(Report {
            about: about.clone(),
            reason,
            text: shortened(text.trim(), TEXT_BYTES_MAX),
            stanza_ids: ids.map(|id| shortened(id, NAME_BYTES_MAX)).collect(),
        })
    }

    /// What a line of the log says; what the user wrote is in quotes and escaped.
    fn line(&self, by: &BareJid) -> String {
        let Report { about, reason, text, stanza_ids } = self;
        format!("{by} reports {about} for {reason:?}: {text:?}, messages {stanza_ids:?}")
    }
}

impl Reports {
    /// Logs and counts what came with one command that was carried out.
    pub(crate) fn take(&self, by: &BareJid, reports: &[Report]) {
        for report in reports {
            let counter = match report.reason.as_str() {
                "urn:xmpp:reporting:spam" => &self.spam,
                "urn:xmpp:reporting:abuse" => &self.abuse,
                _ => &self.other,
            };
            counter.fetch_add(1, Relaxed);
        }
        for report in reports.iter().take(LOGGED_MAX) {
            log::info!(target: "im:report", "{}", report.line(by));
        }
        if reports.len() > LOGGED_MAX {
            let more = reports.len() - LOGGED_MAX;
            log::info!(target: "im:report", "{by} reports {more} more in the same command");
        }
    }

    /// How many reports there were, by reason; those of no reason that the XEP names are `other`.
    pub fn counts(&self) -> [(&'static str, u64); 3] {
        [("spam", &self.spam), ("abuse", &self.abuse), ("other", &self.other)]
            .map(|(reason, counter)| (reason, counter.load(Relaxed)))
    }
}

fn shortened(text: &str, bytes_max: usize) -> String {
    text[..text.floor_char_boundary(bytes_max)].to_owned()
}

#[cfg(test)]
mod tests;
