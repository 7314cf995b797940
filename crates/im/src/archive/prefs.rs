//! What an account wants archived (XEP-0441), in memory, so that a message asks no store.
//!
//! Invariant: what is here was committed before, and in that order. Few accounts ever say what they want; all others
//! have what the config says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use dashmap::DashMap;
use futures_util::FutureExt;
use rjabberd_storage::{ArchiveOtherwise, ArchivePrefs, StoreError};
use rjabberd_xml::Element;
use rjabberd_xmpp::{BareJid, Condition, Jid, StanzaError, address, ns};

use crate::Im;
use crate::services::{Reply, store_error};

/// Addresses in one of the lists.
const LISTED_MAX: usize = 1_000;

/// What those accounts want that have said so.
#[derive(Default)]
pub(super) struct Preferences {
    by_account: DashMap<Box<str>, Arc<ArchivePrefs>>,
    /// How many there are: to ask the map would be to lock each of its parts.
    count: AtomicUsize,
}

/// Whether an account wants a message archived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    Yes,
    No,
    /// If the contact is in its roster, which is not at hand.
    IfListed,
}

impl Preferences {
    fn of(&self, account: &BareJid) -> Option<Arc<ArchivePrefs>> {
        if self.count.load(Relaxed) == 0 {
            return None;
        }
        self.by_account.get(account.as_str()).map(|prefs| prefs.clone())
    }

    fn set(&self, account: &BareJid, prefs: ArchivePrefs) {
        if self.by_account.insert(account.as_str().into(), Arc::new(prefs)).is_none() {
            self.count.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn forget(&self, account: &BareJid) {
        if self.by_account.remove(account.as_str()).is_some() {
            self.count.fetch_sub(1, Relaxed);
        }
    }
}

impl Im {
    /// Reads what all accounts want. To be called once, before anybody can send.
    pub async fn load_archive_prefs(&self) -> Result<(), StoreError> {
        if !self.limits.archive.enabled {
            return Ok(());
        }
        for (account, prefs) in self.store.load_archive_prefs().await? {
            self.archives.prefs.set(&account, prefs);
        }
        Ok(())
    }

    /// XEP-0441, 2.3: whether what `account` has with `contact` is to be archived for it.
    pub(super) fn wants(&self, account: &BareJid, contact: &Jid) -> Wants {
        let prefs = self.archives.prefs.of(account);
        let otherwise = match &prefs {
            None => self.limits.archive.otherwise,
            Some(prefs) if has(&prefs.never, contact) => return Wants::No,
            Some(prefs) if has(&prefs.always, contact) => return Wants::Yes,
            Some(prefs) => prefs.otherwise,
        };
        match otherwise {
            ArchiveOtherwise::Always => Wants::Yes,
            ArchiveOtherwise::Never => Wants::No,
            ArchiveOtherwise::Roster => self.lists(account, &contact.to_bare()),
        }
    }

    /// Rosters of those who are here are in memory, mostly.
    fn lists(&self, account: &BareJid, contact: &BareJid) -> Wants {
        match self.store.load_profile(account).now_or_never() {
            Some(Ok(Some(profile))) => {
                let is_listed = profile.items.iter().any(|item| item.listed && item.jid == *contact);
                if is_listed { Wants::Yes } else { Wants::No }
            }
            Some(Ok(None)) => Wants::No,
            Some(Err(_)) | None => Wants::IfListed,
        }
    }

    /// XEP-0441, 2.1: what the account wants, or has unless it says so.
    pub(super) fn archive_prefs(&self, account: &BareJid) -> Reply {
        let prefs = self.archives.prefs.of(account);
        Reply::result(match prefs {
            Some(prefs) => written(&prefs),
            None => written(&ArchivePrefs {
                otherwise: self.limits.archive.otherwise,
                always: Vec::new(),
                never: Vec::new(),
            }),
        })
    }

    pub(super) fn set_archive_prefs(&'static self, account: &BareJid, payload: &Element) -> Reply {
        let prefs = match read(payload) {
            Ok(prefs) => prefs,
            Err(error) => return error.into(),
        };
        let (result, owner, kept) = (written(&prefs), account.clone(), prefs.clone());
        let follow = Box::new(move |saved: &Result<(), StoreError>| {
            if saved.is_ok() {
                self.archives.prefs.set(&owner, kept);
            }
        });
        let saved = self.store.save_archive_prefs(account, prefs, follow);
        Reply::later(async move { saved.await.map(|()| Some(result)).map_err(store_error) })
    }
}

/// XEP-0441, 2.3.1: one with a resource stands for itself, one without for all of its resources.
fn has(list: &[Jid], contact: &Jid) -> bool {
    list.iter().any(|listed| listed == contact || (!listed.is_full() && *listed == contact.to_bare()))
}

const OTHERWISE: [(&str, ArchiveOtherwise); 3] = [
    ("always", ArchiveOtherwise::Always),
    ("never", ArchiveOtherwise::Never),
    ("roster", ArchiveOtherwise::Roster),
];

fn written(prefs: &ArchivePrefs) -> Element {
    let list = |name: &str, jids: &[Jid]| {
        let jid = |jid: &Jid| Element::new("jid", ns::ARCHIVE).with_text(jid.as_str());
        jids.iter().map(jid).fold(Element::new(name, ns::ARCHIVE), Element::with_child)
    };
    let name = OTHERWISE.iter().find(|(_, otherwise)| *otherwise == prefs.otherwise);
    Element::new("prefs", ns::ARCHIVE)
        .with_attribute("default", name.map_or("", |(name, _)| name))
        .with_child(list("always", &prefs.always))
        .with_child(list("never", &prefs.never))
}

fn read(payload: &Element) -> Result<ArchivePrefs, StanzaError> {
    let refuse = |text: &'static str| StanzaError::new(Condition::BadRequest).with_text(text);
    let named =
        |name: &str| OTHERWISE.iter().find(|(known, _)| *known == name).map(|(_, otherwise)| *otherwise);
    let otherwise = payload.attribute("default").and_then(named);
    let otherwise = otherwise.ok_or_else(|| refuse("default is always, never or roster"))?;
    let list = |name: &str| -> Result<Vec<Jid>, StanzaError> {
        let Some(list) = payload.child(name, ns::ARCHIVE) else { return Ok(Vec::new()) };
        let mut jids = Vec::new();
        for jid in list.children().filter(|child| child.is("jid", ns::ARCHIVE)) {
            jids.push(
                address::parse(jid.text().trim()).map_err(|_| StanzaError::new(Condition::JidMalformed))?,
            );
        }
        if jids.len() > LISTED_MAX {
            return Err(
                StanzaError::new(Condition::PolicyViolation).with_text("a list has too many addresses")
            );
        }
        Ok(jids)
    };
    Ok(ArchivePrefs { otherwise, always: list("always")?, never: list("never")? })
}
