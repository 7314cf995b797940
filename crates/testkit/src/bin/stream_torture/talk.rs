//! What a client says and hears on a connection, until something ends it.

use std::{ops::ControlFlow, time::Duration};

use rand::Rng;
use rjabberd_testkit::{Fault, Node};
use tokio::time::Instant;

use crate::{
    client::{CUTS, Client, Cut, Pause, RESOURCE, SM},
    ledger::{Id, partner},
    link::{Heard, Link},
    search::{PageEnd, Search, bare},
    session::Session,
    story::What,
    world::{Phase, Standing},
};

/// How often a client looks after what needs no answer at once.
const TICK: Duration = Duration::from_millis(500);
/// A client that has so many stanzas unacknowledged says nothing new.
const UNACKNOWLEDGED_MAX: usize = 200;

impl Client {
    /// Talks until something ends it.
    pub(crate) async fn talks(&mut self, link: &mut Link) -> Result<Pause, Fault> {
        let cut_ms = self.world.cut_ms;
        let cut_at = Instant::now() + self.random_ms(0, cut_ms * 2);
        let mut chats_at = self.next_chat();
        let mut tick_at = Instant::now() + TICK;
        loop {
            let wake = [Some(chats_at), Some(tick_at), Some(cut_at), self.answers_at];
            let wake = wake.into_iter().flatten().min().unwrap_or(tick_at).max(Instant::now());
            match link.next(wake.min(tick_at)).await? {
                Heard::Element(node) => self.hears(link, &node)?,
                Heard::End => return Ok(Pause::Gone),
                Heard::Nothing => {}
            }
            let now = Instant::now();
            if self.answers_at.is_some_and(|at| now >= at) {
                self.acknowledges(link);
            }
            let plays = self.world.phase.get() == Phase::Playing;
            if now >= chats_at {
                chats_at = if plays { self.chats(link) } else { now + TICK };
            }
            if plays && now >= cut_at {
                let cut = self.draws_cut();
                return Ok(Pause::Cut(cut));
            }
            if now >= tick_at {
                tick_at = now + TICK;
                if let ControlFlow::Break(()) = self.ticks(link) {
                    return self.leaves(link).await;
                }
            }
        }
    }

    fn next_chat(&mut self) -> Instant {
        let pause_ms = self.world.pause_ms;
        Instant::now() + self.random_ms(0, pause_ms * 2)
    }

    fn draws_cut(&mut self) -> Cut {
        let mut left = self.random.random_range(0..CUTS.iter().map(|(.., weight)| weight).sum::<u32>());
        let drawn = CUTS.iter().find(|(.., weight)| {
            let is_it = left < *weight;
            left = left.saturating_sub(*weight);
            is_it
        });
        let (cut, name, _) = drawn.unwrap_or(&CUTS[0]);
        self.world.counts(name);
        self.world.tells(self.me, What::Cut(name));
        *cut
    }

    /// Says something to the partner, and sometimes asks for an acknowledgement; when it says the next thing.
    fn chats(&mut self, link: &mut Link) -> Instant {
        let open = self.session.as_ref().map_or(0, Session::unacknowledged);
        if open < UNACKNOWLEDGED_MAX {
            self.says_message(link);
            if self.random.random_bool(0.15) {
                self.says_message(link);
                self.says_message(link);
            }
        }
        if self.random.random_bool(0.4) {
            link.says(&format!("<r xmlns='{SM}'/>"));
        }
        self.next_chat()
    }

    pub(crate) fn says_message(&mut self, link: &mut Link) {
        let id = self.world.ledger(|ledger| ledger.sends(self.me));
        let mut to = self.world.bare_jid(partner(self.me));
        // Half of the pairs speak to the session, half to the account.
        if self.me & 2 != 0 {
            to = format!("{to}/{RESOURCE}");
        }
        self.world.tells(self.me, What::Sends(id));
        self.says_stanza(link, &message(id, &to), Some(id));
    }

    /// Every now and then: asks for what is not acknowledged, lets its own acknowledgement be certain, says how far it is.
    fn ticks(&mut self, link: &mut Link) -> ControlFlow<()> {
        let Some(session) = &self.session else { return ControlFlow::Continue(()) };
        let waits = session.unacknowledged_messages();
        if waits > 0 {
            link.says(&format!("<r xmlns='{SM}'/>"));
        }
        let phase = self.world.phase.get();
        if phase == Phase::Playing && self.random.random_bool(0.25) {
            self.acknowledges(link);
            let handled = self.session.as_ref().map_or(0, Session::handled);
            let ping = format!("<iq type='get' id='read-{handled}'><ping xmlns='urn:xmpp:ping'/></iq>");
            self.says_stanza(link, &ping, None);
        }
        if phase == Phase::Searching && !self.has_searched && self.search.is_none() {
            if self.world.has_archive.get() {
                self.numbers += 1;
                self.search = Some(Search::everything(self.numbers));
                self.asks_for_page(link);
            } else {
                self.has_searched = true;
            }
        }
        let is_calm = waits == 0 && self.backlog.is_empty() && self.search.is_none();
        self.world.stands(self.me, Standing { is_calm, has_searched: self.has_searched });
        if phase == Phase::Leaving { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    pub(crate) fn acknowledges(&mut self, link: &mut Link) {
        self.answers_at = None;
        if let Some(session) = &self.session {
            self.world.tells(self.me, What::Acknowledges(session.handled()));
            link.says(&format!("<a xmlns='{SM}' h='{}'/>", session.handled()));
        }
    }

    pub(crate) fn hears(&mut self, link: &mut Link, node: &Node) -> Result<(), Fault> {
        match node.name.as_str() {
            "r" => {
                if self.random.random_bool(0.9) {
                    self.acknowledges(link);
                } else if self.answers_at.is_none() {
                    self.answers_at = Some(Instant::now() + self.random_ms(100, 2000));
                }
                Ok(())
            }
            "a" => {
                let h = node.attribute("h").and_then(|h| h.parse().ok()).ok_or("an <a/> without h")?;
                self.is_acknowledged(h)
            }
            "message" | "presence" | "iq" => self.takes_stanza(link, node),
            _ => Err(format!("unexpected {node}").into()),
        }
    }

    pub(crate) fn is_acknowledged(&mut self, h: u32) -> Result<(), Fault> {
        let Some(session) = &mut self.session else {
            return Err("an acknowledgement without session".into());
        };
        let messages = session.is_acknowledged(h).map_err(|wrong| format!("a wrong count: {wrong:?}"))?;
        self.world.tells(self.me, What::Acknowledged(h, messages.last().copied()));
        messages.into_iter().for_each(|id| self.world.ledger(|ledger| ledger.is_acknowledged(id)));
        Ok(())
    }

    pub(crate) fn takes_stanza(&mut self, link: &mut Link, node: &Node) -> Result<(), Fault> {
        let mut message = None;
        match (node.name.as_str(), node.attribute("type")) {
            ("message", Some("error")) => self.comes_back_as_error(node),
            ("message", _) => message = self.takes_message(node),
            ("iq", Some("result" | "error")) => self.takes_answer(link, node),
            ("iq", _) => {
                let id = node.attribute("id").unwrap_or_default();
                let from = node.attribute("from").map_or_else(String::new, |from| format!(" to='{from}'"));
                let answer = format!("<iq type='result' id='{id}'{from}/>");
                self.says_stanza(link, &answer, None);
            }
            _ => {}
        }
        if let Some(session) = &mut self.session {
            session.handles(message);
        } else if let Some(id) = message {
            // Nothing was acknowledged yet on this stream.
            self.world.ledger(|ledger| ledger.is_unknown(id));
        }
        Ok(())
    }

    fn comes_back_as_error(&self, node: &Node) {
        match node.attribute("id").and_then(Id::parse) {
            Some(id) => {
                self.world.tells(self.me, What::CameBack(id));
                self.world.notes(id, |ledger| ledger.comes_back(id));
            }
            None => self.world.faults.note(format!("an error: {node}")),
        }
    }

    /// A message, from the partner or from the archive; its id if it is the partner's.
    fn takes_message(&mut self, node: &Node) -> Option<Id> {
        let other = self.world.bare_jid(partner(self.me));
        if let Some(result) = node.child("result") {
            let read = self.search.as_mut().and_then(|search| search.takes(result, &other));
            if let Some(id) = read {
                self.reads(id);
            }
            return None;
        }
        let id = node.attribute("id").and_then(Id::parse);
        let body = node.child("body").map(|body| body.text.as_str());
        let is_whole = |id: &Id| {
            id.to() == self.me
                && body == Some(&text(*id))
                && node.attribute("from").is_some_and(|from| bare(from) == other)
        };
        let Some(id) = id.filter(is_whole) else {
            self.world.faults.note(format!("a strange message: {node}"));
            return None;
        };
        self.world.tells(self.me, What::Receives(id));
        self.world.notes(id, |ledger| ledger.is_received(id));
        if self.search.as_ref().is_some_and(|search| !search.is_of_everything()) || self.session.is_none() {
            self.held.push(id);
        } else {
            self.world.notes(id, |ledger| ledger.is_read(id));
        }
        Some(id)
    }

    fn reads(&self, id: Id) {
        self.world.tells(self.me, What::Reads(id));
        self.world.notes(id, |ledger| ledger.is_read(id));
    }

    pub(crate) fn reads_held(&mut self) {
        for id in std::mem::take(&mut self.held) {
            self.world.notes(id, |ledger| ledger.is_read(id));
        }
    }

    fn takes_answer(&mut self, link: &mut Link, node: &Node) {
        let id = node.attribute("id").unwrap_or_default();
        if let Some(handled) = id.strip_prefix("read-").and_then(|h| h.parse().ok()) {
            if let Some(session) = &mut self.session {
                session.is_certain(handled);
            }
            return;
        }
        let Some(search) = &mut self.search else { return };
        match search.ends_page(node) {
            PageEnd::Other => {}
            PageEnd::More => self.asks_for_page(link),
            PageEnd::Complete => self.ends_search(),
        }
    }

    pub(crate) fn asks_for_page(&mut self, link: &mut Link) {
        if let Some(request) = self.search.as_ref().map(Search::request) {
            self.world.counts("pages");
            self.says_stanza(link, &request, None);
        }
    }

    fn ends_search(&mut self) {
        let Some(search) = self.search.take() else { return };
        if search.is_of_everything() {
            self.has_searched = true;
            for (id, copies) in search.copies() {
                self.world.notes(id, |ledger| ledger.is_archived(id, copies));
            }
        } else {
            self.world.tells(self.me, What::CaughtUp);
            self.read_until = search.last();
            self.reads_held();
        }
    }

    async fn leaves(&mut self, link: &mut Link) -> Result<Pause, Fault> {
        self.ends_stream(link).await?;
        Ok(Pause::Over)
    }
}

fn text(id: Id) -> String {
    format!("{id}: what I wanted to say")
}

fn message(id: Id, to: &str) -> String {
    format!("<message type='chat' id='{id}' to='{to}'><body>{}</body></message>", text(id))
}
