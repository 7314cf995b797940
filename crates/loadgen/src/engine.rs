//! All sessions on one thread: waits for sockets, leads logins, tells a [`Work`] what happens.
//!
//! A session costs a few hundred bytes: it owns no read buffer (one is shared), no write buffer while nothing waits (they
//! come from a pool), and no login state once it is logged in. What is sent while an event is handled goes out in one
//! write per session when that event is done.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, net::TcpStream, unix::SourceFd};
use socket2::{Domain, Socket, Type};

use crate::{
    element::{Tag, child, condition, escape},
    fault::Fault,
    login::{Account, Login, Next},
    managed::{Count, Taken, acknowledge},
    scanner::Found,
    scram::KeyCache,
    session::{Session, State},
    tls::Tls,
};

const READ_BYTES: usize = 64 << 10;
const EVENTS: usize = 1024;
const SPARE_BUFFERS_MAX: usize = 256;
const SPARE_BYTES_MAX: usize = 16 << 10;
/// The token of a timer, if there is one.
const TIMER: Token = Token(usize::MAX);

/// Where the sessions connect to, and as whom.
#[derive(Debug)]
pub struct Target {
    /// The server.
    pub address: SocketAddr,
    /// Own addresses to connect from, in turn; the system's choice if there are none.
    pub sources: Vec<IpAddr>,
    /// How logins go.
    pub account: Account,
    /// With none, no TLS.
    pub tls: Option<Tls>,
}

/// What happened to a session.
#[derive(Debug)]
pub enum Event<'a> {
    /// Its login is done.
    LoggedIn {
        /// Entries of its roster.
        contacts: usize,
    },
    /// An element came.
    Stanza(&'a [u8]),
    /// It is closed, as we wished.
    Closed,
    /// It is gone.
    Failed(Fault),
}

/// What the sessions are for.
pub trait Work {
    /// Something happened to a session. `now` is when its bytes were read.
    fn on(&mut self, engine: &mut Engine, index: usize, event: Event<'_>, now: Instant);

    /// Does what is due by the clock; called between any two events, and a few times a second at least.
    fn tend(&mut self, engine: &mut Engine);

    /// Whether there is nothing left to do.
    fn is_over(&self) -> bool;

    /// What was done so far.
    fn operations(&self) -> u64;
}

/// The sessions and what they share.
#[derive(Debug)]
pub struct Engine {
    poll: Poll,
    sessions: Vec<Option<Session>>,
    target: Target,
    keys: KeyCache,
    buffer: Vec<u8>,
    spare: Vec<Vec<u8>>,
    /// Sessions that have something to write.
    dirty: Vec<usize>,
}

impl Engine {
    /// Room for this many sessions, none connected.
    pub fn new(target: Target, sessions: usize) -> io::Result<Engine> {
        Ok(Engine {
            poll: Poll::new()?,
            sessions: (0..sessions).map(|_| None).collect(),
            target,
            keys: KeyCache::default(),
            buffer: vec![0; READ_BYTES],
            spare: Vec::new(),
            dirty: Vec::new(),
        })
    }

    /// What logins of this run have in common.
    pub fn account(&self) -> &Account {
        &self.target.account
    }

    /// Wakes [`Engine::turn`] whenever this timer ends.
    pub fn watch_timer(&self, timer: &impl std::os::fd::AsRawFd) -> io::Result<()> {
        self.poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)
    }

    /// Ends what [`Engine::watch_timer`] began.
    pub fn forget_timer(&self, timer: &impl std::os::fd::AsRawFd) -> io::Result<()> {
        self.poll.registry().deregister(&mut SourceFd(&timer.as_raw_fd()))
    }

    /// Begins a login. The slot must be empty.
    pub fn connect(&mut self, index: usize) -> Result<(), Fault> {
        let mut socket = self.socket(index).map_err(Fault::Connect)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut socket, Token(index), interest).map_err(Fault::Connect)?;
        let mut out = self.spare.pop().unwrap_or_default();
        let login = Login::new(&self.target.account, &mut out);
        let mut session = Session::new(socket, State::LoggingIn(Box::new(login)));
        session.out = out;
        if let Some(tls) = self.target.tls.as_ref().filter(|_| !self.target.account.starttls) {
            session.start_tls(tls)?;
        }
        self.sessions[index] = Some(session);
        self.dirty.push(index);
        Ok(())
    }

    fn socket(&self, index: usize) -> io::Result<TcpStream> {
        let address = self.target.address;
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if !self.target.sources.is_empty() {
            let source = self.target.sources[index % self.target.sources.len()];
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        match socket.connect(&address.into()) {
            Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
                Err(error)
            }
            _ => Ok(TcpStream::from_std(socket.into())),
        }
    }

    /// Whether a login is on its way, and if so what it waits for.
    pub fn login_waits_for(&self, index: usize) -> Option<&'static str> {
        match &self.sessions[index].as_ref()?.state {
            State::LoggingIn(login) => Some(login.waits_for()),
            _ => None,
        }
    }

    /// Whether this session is logged in.
    pub fn is_live(&self, index: usize) -> bool {
        self.sessions[index].as_ref().is_some_and(|session| matches!(session.state, State::Live(_)))
    }

    /// Whether this slot is without a connection.
    pub fn is_vacant(&self, index: usize) -> bool {
        self.sessions[index].is_none()
    }

    /// The full address of a session.
    pub fn jid(&self, index: usize) -> String {
        match self.sessions[index].as_ref().map(|session| &session.state) {
            Some(State::Live(Some(jid))) => jid.to_string(),
            _ => self.target.account.jid(index),
        }
    }

    /// Gives a session something to say; it goes out when the event at hand is done. Nothing happens to one that is gone.
    pub fn send(&mut self, index: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(session) = self.sessions[index].as_mut() else { return };
        if session.is_drained() {
            self.dirty.push(index);
        }
        if session.out.capacity() == 0 {
            session.out = self.spare.pop().unwrap_or_default();
        }
        write(&mut session.out);
    }

    /// Ends a session politely: the server is to close. [`Event::Closed`] follows.
    pub fn close(&mut self, index: usize) {
        self.send(index, |out| out.extend_from_slice(b"</stream:stream>"));
        if let Some(session) = self.sessions[index].as_mut() {
            session.state = State::Closing;
        }
    }

    /// Cuts a connection; no event follows.
    pub fn drop_session(&mut self, index: usize) {
        self.sessions[index] = None;
    }

    /// Writes what was given to sessions since.
    pub fn flush(&mut self, work: &mut impl Work) {
        while let Some(index) = self.dirty.pop() {
            self.flush_one(index, work);
        }
    }

    /// Waits for sockets or the timer, at most for `patience`, and handles what they have.
    pub fn turn(&mut self, events: &mut Events, patience: Duration, work: &mut impl Work) -> io::Result<()> {
        self.flush(work);
        match self.poll.poll(events, Some(patience)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            outcome => outcome?,
        }
        for event in events.iter().filter(|event| event.token() != TIMER) {
            let Token(index) = event.token();
            let has_more_to_say = self.sessions[index]
                .as_ref()
                .is_some_and(|session| !session.is_drained() || session.has_tls());
            if event.is_writable() && has_more_to_say {
                self.flush_one(index, work);
            }
            if event.is_readable() || event.is_error() || event.is_read_closed() {
                let has_ended = event.is_error() || event.is_read_closed();
                self.read(index, has_ended, work);
            }
            self.flush(work);
        }
        Ok(())
    }

    /// A place for the events of [`Engine::turn`].
    pub fn events() -> Events {
        Events::with_capacity(EVENTS)
    }

    fn flush_one(&mut self, index: usize, work: &mut impl Work) {
        let Some(session) = self.sessions[index].as_mut() else { return };
        let outcome = session.flush();
        if session.is_drained() {
            let out = std::mem::take(&mut session.out);
            if (1..=SPARE_BYTES_MAX).contains(&out.capacity()) && self.spare.len() < SPARE_BUFFERS_MAX {
                self.spare.push(out);
            }
        }
        if let Err(fault) = outcome {
            self.fail(index, fault, work);
        }
    }

    /// Reads what there is. A short read has taken it all, and what comes later is an event of its own; but an end that
    /// was told already is not told again.
    fn read(&mut self, index: usize, has_ended: bool, work: &mut impl Work) {
        let mut buffer = std::mem::take(&mut self.buffer);
        while let Some(session) = self.sessions[index].as_mut() {
            match session.read(&mut buffer) {
                Ok(None) => break,
                Ok(Some(0)) => self.ended(index, work),
                Ok(Some(count)) => {
                    let may_have_more = count == buffer.len() || session.has_tls() || has_ended;
                    if let Err(fault) = self.take_in(index, &buffer[..count], work) {
                        self.fail(index, fault, work);
                    }
                    if !may_have_more {
                        break;
                    }
                }
                Err(fault) => self.fail(index, fault, work),
            }
        }
        self.buffer = buffer;
        // What TLS has to say itself, in a handshake above all.
        if self.sessions[index].as_ref().is_some_and(Session::has_tls) {
            self.flush_one(index, work);
        }
    }

    /// The server has closed the connection.
    fn ended(&mut self, index: usize, work: &mut impl Work) {
        match self.sessions[index].take().map(|session| session.state) {
            Some(State::Closing) => work.on(self, index, Event::Closed, Instant::now()),
            Some(_) => work.on(self, index, Event::Failed(Fault::Closed), Instant::now()),
            None => {}
        }
    }

    fn fail(&mut self, index: usize, fault: Fault, work: &mut impl Work) {
        match self.sessions[index].take().map(|session| session.state) {
            Some(State::Closing) => work.on(self, index, Event::Closed, Instant::now()),
            Some(_) => work.on(self, index, Event::Failed(fault), Instant::now()),
            None => {}
        }
    }

    fn take_in(&mut self, index: usize, mut bytes: &[u8], work: &mut impl Work) -> Result<(), Fault> {
        let now = Instant::now();
        while let Some(session) = self.sessions[index].as_mut() {
            let Some((found, piece)) = session.inbound.next(&mut bytes)? else { return Ok(()) };
            if let Some(count) = session.count.as_mut().filter(|_| found == Found::Element) {
                match count.takes(&piece) {
                    Taken::Stanza => {}
                    Taken::Answer(handled) => {
                        self.send(index, |out| acknowledge(handled, out));
                        continue;
                    }
                    Taken::Nothing => continue,
                }
            }
            match (found, &mut session.state) {
                (Found::Header, _) => {}
                (Found::Close, _) => self.ended(index, work),
                (Found::Element, State::LoggingIn(_)) => self.lead(index, &piece, work, now)?,
                (Found::Element, State::Closing) => {}
                (Found::Element, State::Live(_)) => self.live(index, &piece, work, now)?,
            }
        }
        Ok(())
    }

    /// An element for a login.
    fn lead(
        &mut self,
        index: usize,
        element: &[u8],
        work: &mut impl Work,
        now: Instant,
    ) -> Result<(), Fault> {
        let Some(session) = self.sessions[index].as_mut() else { return Ok(()) };
        let State::LoggingIn(login) = &mut session.state else { return Ok(()) };
        if session.out.is_empty() {
            self.dirty.push(index);
        }
        if session.out.capacity() == 0 {
            session.out = self.spare.pop().unwrap_or_default();
        }
        let account = &self.target.account;
        match login.on(element, account, index, &mut self.keys, &mut session.out)? {
            Next::Wait => {}
            Next::StartTls => {
                if let Some(tls) = &self.target.tls {
                    session.start_tls(tls)?;
                }
                Login::open(account, &mut session.out);
            }
            Next::NewStream => session.inbound = Default::default(),
            Next::Managed => session.count = Some(Count::default()),
            Next::Done(jid, contacts) => {
                let other = (jid != account.jid(index)).then(|| jid.into_boxed_str());
                session.state = State::Live(other);
                work.on(self, index, Event::LoggedIn { contacts }, now);
            }
        }
        Ok(())
    }

    /// An element for a session. Queries are answered here, as every client must.
    fn live(
        &mut self,
        index: usize,
        element: &[u8],
        work: &mut impl Work,
        now: Instant,
    ) -> Result<(), Fault> {
        if element.starts_with(b"<iq") {
            if let Some(tag) = Tag::first(element)
                && tag.attribute("type").is_some_and(|kind| kind == "get" || kind == "set")
            {
                self.send(index, |out| answer(&tag, element, out));
                return Ok(());
            }
        } else if !element.starts_with(b"<m")
            && !element.starts_with(b"<p")
            && Tag::first(element).is_some_and(|tag| tag.name == "error")
        {
            return Err(Fault::StreamError(condition(element)));
        }
        work.on(self, index, Event::Stanza(element), now);
        Ok(())
    }
}

/// Answers a ping (XEP-0199) and a roster push (RFC 6121, 2.1.6), and nothing else.
fn answer(tag: &Tag<'_>, iq: &[u8], out: &mut Vec<u8>) {
    let is_known = match tag.attribute("type").as_deref() {
        Some("set") => child(iq, "query").is_some_and(is_roster),
        _ => child(iq, "ping").is_some(),
    };
    out.extend_from_slice(if is_known { b"<iq type='result' id='" } else { b"<iq type='error' id='" });
    escape(&tag.attribute("id").unwrap_or_default(), out);
    if let Some(from) = tag.attribute("from") {
        out.extend_from_slice(b"' to='");
        escape(&from, out);
    }
    out.extend_from_slice(if is_known {
        b"'/>".as_slice()
    } else {
        b"'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
    });
}

fn is_roster(query: &[u8]) -> bool {
    Tag::first(query).and_then(|tag| tag.attribute("xmlns")).is_some_and(|name| name == "jabber:iq:roster")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_and_a_roster_push_are_answered_and_other_queries_are_refused() {
        let said = |iq: &str| {
            let mut out = Vec::new();
            answer(&Tag::first(iq.as_bytes()).unwrap(), iq.as_bytes(), &mut out);
            String::from_utf8(out).unwrap()
        };
        let ping = said("<iq type='get' id='a&amp;b' from='x@y'><ping xmlns='urn:xmpp:ping'/></iq>");
        assert_eq!(ping, "<iq type='result' id='a&amp;b' to='x@y'/>");
        let push = said("<iq type='set' id='1'><query xmlns='jabber:iq:roster'/></iq>");
        assert_eq!(push, "<iq type='result' id='1'/>");
        assert!(said("<iq type='set' id='1'><query xmlns='x'/></iq>").contains("service-unavailable"));
        assert!(said("<iq type='get' id='1'><query/></iq>").contains("service-unavailable"));
    }
}
