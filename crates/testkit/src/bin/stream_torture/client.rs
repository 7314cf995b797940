//! One client: it chats with its partner, its connection is cut, and it comes back: by resuming, or by a new login after
//! which it catches up.

use std::{rc::Rc, time::Duration};

use rand::{Rng, rngs::StdRng};
use rjabberd_testkit::{Fault, Stream};
use tokio::{
    task::spawn_local,
    time::{Instant, sleep, timeout},
};

use crate::{
    ledger::Id,
    link::{Heard, Link},
    search::Search,
    session::Session,
    story::What,
    world::{Phase, World, user},
};

pub(crate) const SM: &str = "urn:xmpp:sm:3";
pub(crate) const RESOURCE: &str = "r";
/// How long the server may take to end a stream that the client has ended.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// With a reset.
    Reset,
    /// The socket is closed within the stream.
    Vanish,
    /// Neither reads nor writes any more; the connection stays open for a while.
    Stall,
    /// Writes and does not read; then as [`Cut::Stall`].
    Deaf,
    /// Half-closed: reads and does not write.
    Mute,
    /// All is well, and yet a new connection resumes.
    TakeOver,
    /// Ends the stream.
    Clean,
}

pub(crate) const CUTS: &[(Cut, &str, u32)] = &[
    (Cut::Reset, "reset", 25),
    (Cut::Vanish, "vanish", 10),
    (Cut::Stall, "stall", 20),
    (Cut::Deaf, "deaf", 10),
    (Cut::Mute, "mute", 10),
    (Cut::TakeOver, "take-over", 15),
    (Cut::Clean, "clean", 10),
];

/// Why a client stops talking on a connection.
pub(crate) enum Pause {
    Cut(Cut),
    /// The server, or the network, ended it.
    Gone,
    /// All is over.
    Over,
}

/// One client.
pub(crate) struct Client {
    pub(crate) world: Rc<World>,
    pub(crate) me: u16,
    pub(crate) random: StdRng,
    pub(crate) session: Option<Session>,
    /// Messages of ended sessions that were never acknowledged.
    pub(crate) backlog: Vec<(String, Id)>,
    pub(crate) search: Option<Search>,
    /// What came while the archive is read.
    pub(crate) held: Vec<Id>,
    /// The last id of the archive that was read.
    pub(crate) read_until: Option<String>,
    pub(crate) has_searched: bool,
    pub(crate) numbers: u32,
    /// When an acknowledgement that is put off is due.
    pub(crate) answers_at: Option<Instant>,
}

impl Client {
    /// A client that is offline.
    pub(crate) fn new(world: Rc<World>, me: u16, random: StdRng) -> Client {
        Client {
            world,
            me,
            random,
            session: None,
            backlog: Vec::new(),
            search: None,
            held: Vec::new(),
            read_until: None,
            has_searched: false,
            numbers: 0,
            answers_at: None,
        }
    }

    /// Lives until the phase is [`Phase::Leaving`], and logs out.
    pub(crate) async fn lives(mut self) {
        let mut resumes = false;
        let mut old: Option<Link> = None;
        loop {
            let mut link = match self.comes_back(resumes).await {
                Ok(link) => link,
                Err(fault) => {
                    self.world.counts("attempts_that_failed");
                    self.note_fault(&fault);
                    if self.world.phase.get() == Phase::Leaving {
                        return self.world.faults.note("a client could not log out".to_owned());
                    }
                    sleep(self.random_ms(100, 600)).await;
                    continue;
                }
            };
            old.take().into_iter().for_each(|link| self.forsakes(link));
            match self.talks(&mut link).await {
                Ok(Pause::Over) => return,
                Ok(Pause::Cut(cut)) => {
                    old = self.cuts(cut, link).await;
                    resumes = cut != Cut::Clean && self.random.random_bool(0.85);
                    if cut != Cut::TakeOver {
                        sleep(self.absence()).await;
                    }
                }
                Ok(Pause::Gone) => resumes = self.random.random_bool(0.85),
                Err(fault) => {
                    self.note_fault(&fault);
                    resumes = true;
                    sleep(self.random_ms(0, 500)).await;
                }
            }
        }
    }

    /// A connection that breaks is the work of whoever kills the server; at other times, and what else goes wrong, is put
    /// down.
    fn note_fault(&self, fault: &Fault) {
        let text = fault.to_string();
        let is_break = fault.is::<std::io::Error>() || text.ends_with(": None");
        if is_break {
            self.world.counts("broken_by_the_server");
        }
        if !is_break || !self.world.was_killed_lately() {
            self.world.faults.note(text);
        }
        self.world.tells(self.me, What::Cut("by the server"));
    }

    pub(crate) fn random_ms(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.random.random_range(from..=to))
    }

    fn absence(&mut self) -> Duration {
        match self.random.random_range(0..100) {
            0..50 => self.random_ms(0, 300),
            50..90 => self.random_ms(300, 4000),
            _ => self.random_ms(0, self.world.cut_ms * 3 / 2),
        }
    }

    /// Logs in, and resumes or begins a session.
    async fn comes_back(&mut self, resumes: bool) -> Result<Link, Fault> {
        let world = self.world.clone();
        let _place = world.logins.acquire().await?;
        let mut stream = timeout(PATIENCE, Stream::connect(world.server, &world.domain)).await??;
        let mut salted = world.salted(self.me);
        stream.logs_in(&user(self.me), &world.password, &mut salted).await?;
        world.keep_salted(self.me, salted);
        world.counts("logins");
        let mut link = Link::new(stream);
        if !resumes || !self.is_resumed(&mut link).await? {
            self.begins(&mut link).await?;
        }
        Ok(link)
    }

    /// Asks to resume; false if there is nothing to resume, and a session can be begun.
    async fn is_resumed(&mut self, link: &mut Link) -> Result<bool, Fault> {
        let Some(session) = self.session.as_ref().filter(|session| !session.id.is_empty()) else {
            return Ok(false);
        };
        let told = session.handled();
        let previd = session.id.replace('&', "&amp;").replace('<', "&lt;").replace('\'', "&apos;");
        link.says(&format!("<resume xmlns='{SM}' h='{told}' previd='{previd}'/>"));
        let answer = link.element().await?;
        match answer.name.as_str() {
            "resumed" => {}
            "failed" => {
                let h = answer.attribute("h").and_then(|h| h.parse().ok());
                self.world.tells(self.me, What::Failed(h));
                self.world.counts("resumptions_failed");
                if let Some(h) = h {
                    self.is_acknowledged(h)?;
                }
                return Ok(false);
            }
            _ => return Err(format!("an answer to resume: {answer}").into()),
        }
        let h = answer.attribute("h").and_then(|h| h.parse().ok()).ok_or("resumed without h")?;
        self.world.tells(self.me, What::Resumed(told, h));
        self.world.counts("resumed");
        self.is_acknowledged(h)?;
        let Some(session) = &mut self.session else { return Ok(false) };
        session.is_certain(told);
        for (text, message) in session.again() {
            link.says(text);
            if let Some(id) = message {
                self.world.ledger(|ledger| ledger.is_resent(id));
                self.world.tells(self.me, What::Resends(id));
            }
        }
        link.says(&format!("<r xmlns='{SM}'/>"));
        Ok(true)
    }

    /// Ends what there was, and begins a session: binds, enables stream management, catches up, becomes available, and
    /// sends again what was never acknowledged.
    async fn begins(&mut self, link: &mut Link) -> Result<(), Fault> {
        self.ends_session();
        link.says(&format!(
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
             <resource>{RESOURCE}</resource></bind></iq><enable xmlns='{SM}' resume='true'/>"
        ));
        loop {
            let answer = link.element().await?;
            match answer.name.as_str() {
                "enabled" => {
                    self.session = Some(Session::new(answer.attribute("id").unwrap_or_default()));
                    break;
                }
                "iq" if answer.attribute("id") == Some("bind") => {
                    if answer.attribute("type") != Some("result") {
                        return Err(format!("no bind: {answer}").into());
                    }
                }
                "message" | "presence" | "iq" => self.takes_stanza(link, &answer)?,
                _ => return Err(format!("an answer to enable: {answer}").into()),
            }
        }
        self.world.tells(self.me, What::LoggedIn);
        self.world.counts("sessions");
        if self.world.has_archive.get() {
            self.world.tells(self.me, What::CatchesUp);
            self.numbers += 1;
            self.search = Some(Search::after(self.numbers, self.read_until.clone()));
            self.asks_for_page(link);
        } else {
            self.reads_held();
        }
        self.says_stanza(link, "<presence/>", None);
        for (text, id) in std::mem::take(&mut self.backlog) {
            self.world.ledger(|ledger| ledger.is_resent(id));
            self.world.tells(self.me, What::Resends(id));
            self.says_stanza(link, &text, Some(id));
        }
        Ok(())
    }

    fn ends_session(&mut self) {
        self.answers_at = None;
        self.search = None;
        if let Some(session) = self.session.take() {
            let (unacknowledged, unknown) = session.ends();
            self.backlog.extend(unacknowledged);
            unknown.into_iter().for_each(|id| self.world.ledger(|ledger| ledger.is_unknown(id)));
        }
    }

    pub(crate) fn says_stanza(&mut self, link: &mut Link, text: &str, message: Option<Id>) {
        link.says(text);
        if let Some(session) = &mut self.session {
            session.sends(text, message);
        }
    }

    /// Cuts the connection; what is left of it, if it stays open until there is a new one.
    async fn cuts(&mut self, cut: Cut, mut link: Link) -> Option<Link> {
        match cut {
            Cut::Reset => link.resets(),
            Cut::Vanish => {}
            Cut::Stall => self.forsakes(link),
            Cut::TakeOver => return Some(link),
            Cut::Deaf => {
                for _ in 0..self.random.random_range(1..6) {
                    self.says_message(&mut link);
                    sleep(self.random_ms(50, 500)).await;
                }
                self.forsakes(link);
            }
            Cut::Mute => {
                link.falls_silent().await;
                let until = Instant::now() + self.random_ms(0, 2000);
                while let Ok(Heard::Element(node)) = link.next(until).await {
                    if self.hears(&mut link, &node).is_err() {
                        break;
                    }
                }
                self.forsakes(link);
            }
            Cut::Clean => {
                if let Err(fault) = self.ends_stream(&mut link).await {
                    self.note_fault(&fault);
                }
            }
        }
        None
    }

    /// Keeps a connection open that nobody uses any more, for a while.
    fn forsakes(&mut self, link: Link) {
        let patience = self.random_ms(500, 20_000);
        let task = spawn_local(async move {
            sleep(patience).await;
            drop(link);
        });
        let mut forsaken = self.world.forsaken.borrow_mut();
        forsaken.retain(|task| !task.is_finished());
        forsaken.push(task.abort_handle());
    }

    /// Ends the stream and hears the server out: what it was told before, it has certainly read.
    pub(crate) async fn ends_stream(&mut self, link: &mut Link) -> Result<(), Fault> {
        self.acknowledges(link);
        let told = self.session.as_ref().map_or(0, Session::handled);
        link.says("</stream:stream>");
        let until = Instant::now() + PATIENCE;
        loop {
            match link.next(until).await? {
                Heard::Element(node) => self.hears(link, &node)?,
                Heard::End => break,
                Heard::Nothing => return Err("the server does not end the stream".into()),
            }
        }
        if let Some(session) = &mut self.session {
            session.is_certain(told);
        }
        self.world.tells(self.me, What::Ended);
        self.ends_session();
        Ok(())
    }
}
