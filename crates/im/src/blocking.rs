//! Blocking Command (XEP-0191): a user's own block list. What a block does to stanzas is decided in `lists`, what it
//! does to presence elsewhere; subscriptions stay as they are ("polite blocking", XEP-0191, 4).
//!
//! Invariant: the list in memory, the pushes and the presence follow the commits of the store, in their order.

mod lists;

use std::collections::HashSet;

use rjabberd_session_manager::Wish;
use rjabberd_storage::StoreError;
use rjabberd_xml::Element;
use rjabberd_xmpp::{BareJid, Condition, FullJid, Jid, StanzaError, address, ns};

pub(crate) use lists::covers;
pub use lists::{Blocklists, Verdict};

use crate::Im;
use crate::reports::Report;
use crate::services::{Feature, Question, Reply, Target, store_error};

pub(crate) struct Blocking {
    im: &'static Im,
}

/// What a client asks for, checked.
struct Command {
    block: Vec<Jid>,
    /// `None` for everybody.
    unblock: Option<Vec<Jid>>,
    reports: Vec<Report>,
}

impl Blocking {
    pub(crate) fn new(im: &'static Im) -> Blocking {
        Blocking { im }
    }

    /// XEP-0191, 3.2: who has asked is told of changes from then on. So the wish comes first: a change in between is
    /// told twice rather than never.
    fn list(&self, session: &FullJid) -> Reply {
        if let Some(seat) = self.im.outlet.table().seat(session) {
            seat.wish(Wish::Blocks);
        }
        let blocked = self.im.blocklists.of(&session.to_bare());
        Reply::result(with_items(Element::new("blocklist", ns::BLOCKING), &blocked))
    }

    fn change(&self, account: BareJid, command: Command) -> Reply {
        let (im, owner) = (self.im, account.clone());
        let Command { block, unblock, reports } = command;
        let push = push(&block, unblock.as_deref());
        let follow = move |changed: &Result<Vec<Jid>, StoreError>| {
            if let Ok(list) = changed {
                im.blocks_are(&owner, list.clone(), &push);
                im.reports.take(&owner, &reports);
            }
        };
        let changed =
            im.store.change_blocks(&account, block, unblock, im.limits.blocks_max, Box::new(follow));
        Reply::later(async move { changed.await.map(|_| None).map_err(store_error) })
    }
}

impl Feature for Blocking {
    fn namespace(&self) -> &'static str {
        ns::BLOCKING
    }

    fn serves(&self, target: Target) -> bool {
        target == Target::OwnAccount
    }

    /// XEP-0191, 3.1 and XEP-0377, 3: it is the server that is asked whether it can.
    fn announces(&self, target: Target) -> Vec<&'static str> {
        match target {
            Target::Server | Target::OwnAccount => vec![ns::BLOCKING, ns::REPORTING],
            Target::OtherAccount => Vec::new(),
        }
    }

    fn answer(&self, question: &Question<'_>) -> Reply {
        let session = match question.session() {
            Ok(session) => session,
            Err(error) => return error.into(),
        };
        let account = session.to_bare();
        let command = match (question.set, question.payload.name()) {
            (false, "blocklist") => return self.list(session),
            (true, "block") => block(&account, question.payload),
            (true, "unblock") => unblock(question.payload),
            _ => return Reply::error(Condition::FeatureNotImplemented),
        };
        match command {
            Ok(command) => self.change(account, command),
            Err(error) => error.into(),
        }
    }
}

impl Im {
    /// Loads all block lists; to be done before anybody sends.
    ///
    /// # Errors
    /// The store failed.
    pub async fn load_blocks(&'static self) -> Result<(), StoreError> {
        for (account, list) in self.store.load_blocks().await? {
            self.blocklists.set(&account, list);
        }
        Ok(())
    }

    /// The list of an account is this from now on.
    fn blocks_are(&'static self, account: &BareJid, list: Vec<Jid>, push: &Element) {
        let old = self.blocklists.set(account, list.clone());
        let before: HashSet<&Jid> = old.iter().collect();
        let now: HashSet<&Jid> = list.iter().collect();
        let blocked: Vec<Jid> = now.difference(&before).map(|jid| (*jid).clone()).collect();
        let unblocked: Vec<Jid> = before.difference(&now).map(|jid| (*jid).clone()).collect();
        self.outlet.push(account, push, |seat| seat.wishes(Wish::Blocks));
        self.blocked_changed(account, &blocked, &unblocked);
    }
}

/// XEP-0191, 3.3.
fn block(account: &BareJid, payload: &Element) -> Result<Command, StanzaError> {
    let (mut block, mut reports) = (Vec::new(), Vec::new());
    for item in items(payload) {
        let jid = address_of(item)?;
        if jid.to_bare() == *account {
            // XEP-0191, 5: a user's own resources are never blocked.
            return Err(StanzaError::new(Condition::NotAllowed).with_text("nobody can block himself"));
        }
        reports.extend(Report::of(item, &jid));
        block.push(jid);
    }
    if block.is_empty() {
        return Err(StanzaError::new(Condition::BadRequest).with_text("nobody is named"));
    }
    Ok(Command { block, unblock: Some(Vec::new()), reports })
}

/// XEP-0191, 3.4 and 3.5: an empty element is for everybody, and only that.
fn unblock(payload: &Element) -> Result<Command, StanzaError> {
    let (block, reports) = (Vec::new(), Vec::new());
    if payload.children().next().is_none() {
        return Ok(Command { block, unblock: None, reports });
    }
    let unblock = items(payload).map(address_of).collect::<Result<Vec<_>, _>>()?;
    if unblock.is_empty() {
        return Err(StanzaError::new(Condition::BadRequest).with_text("nobody is named"));
    }
    Ok(Command { block, unblock: Some(unblock), reports })
}

fn items(payload: &Element) -> impl Iterator<Item = &Element> {
    payload.children().filter(|child| child.is("item", ns::BLOCKING))
}

fn address_of(item: &Element) -> Result<Jid, StanzaError> {
    let text = item.attribute("jid").ok_or_else(|| StanzaError::new(Condition::BadRequest))?;
    address::parse(text).map_err(|_| StanzaError::new(Condition::JidMalformed))
}

/// What the sessions that asked for the list are told: the command, without its reports.
fn push(block: &[Jid], unblock: Option<&[Jid]>) -> Element {
    if block.is_empty() {
        with_items(Element::new("unblock", ns::BLOCKING), unblock.unwrap_or_default())
    } else {
        with_items(Element::new("block", ns::BLOCKING), block)
    }
}

fn with_items(parent: Element, jids: &[Jid]) -> Element {
    let item = |jid: &Jid| Element::new("item", ns::BLOCKING).with_attribute("jid", jid.as_str());
    jids.iter().map(item).fold(parent, Element::with_child)
}

#[cfg(test)]
mod tests;
