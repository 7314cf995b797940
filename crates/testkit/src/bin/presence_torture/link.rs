//! One connection of a client: a task of its own reads all the time, answers what must be answered, and keeps the client's
//! [`View`]; its owner says things, waits for answers, and ends it: politely, without a word, or with a reset.

use std::{cell::RefCell, io, rc::Rc, time::Duration};

use rjabberd_testkit::{Fault, Node, Piece, Pieces, Stream};
use tokio::{
    io::Interest,
    net::TcpStream,
    sync::Notify,
    task::{AbortHandle, spawn_local},
    time::timeout,
};

use crate::{
    shown::{Address, user},
    view::View,
    world::World,
};

/// How long the server may take to answer one thing.
const PATIENCE: Duration = Duration::from_secs(60);
const READ_BYTES: usize = 16 << 10;

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The server closed it.
    Closed,
    /// By a stream error, of this condition.
    Error(String),
    /// The connection broke, or what came was no stream.
    Broken(String),
}

/// A connection whose resource is bound.
pub(crate) struct Link {
    inner: Rc<Inner>,
    reader: AbortHandle,
    asked: u32,
}

struct Inner {
    world: Rc<World>,
    socket: TcpStream,
    state: RefCell<State>,
    /// Something has come, or it has ended.
    news: Notify,
    /// There is more to write than the kernel takes.
    backlog: Notify,
}

struct State {
    view: View,
    out: Vec<u8>,
    end: Option<End>,
}

impl Link {
    /// Connects, logs in, and binds.
    pub(crate) async fn enter(world: &Rc<World>, address: Address) -> Result<Link, Fault> {
        let _place = world.logins.acquire().await?;
        let account = address.account();
        let mut stream = Stream::connect(world.server, &world.domain).await?;
        let mut salted = world.salted(account);
        stream.logs_in(&user(account), &world.password, &mut salted).await?;
        world.keep_salted(account, salted);
        stream.binds(&address.resource_name(), "").await?;
        world.count(|counts| counts.logins += 1);
        let (socket, pieces) = stream.into_parts();
        let view = View::new(address, world.forgets_each);
        let inner = Rc::new(Inner {
            world: world.clone(),
            socket,
            state: RefCell::new(State { view, out: Vec::new(), end: None }),
            news: Notify::new(),
            backlog: Notify::new(),
        });
        let reader = spawn_local(read(inner.clone(), pieces)).abort_handle();
        Ok(Link { inner, reader, asked: 0 })
    }

    /// Says something. What the kernel does not take at once goes out later.
    pub(crate) fn says(&self, text: &str) {
        self.inner.says(text);
    }

    /// What the client knows.
    pub(crate) fn view<T>(&self, look: impl FnOnce(&mut View) -> T) -> T {
        look(&mut self.inner.state.borrow_mut().view)
    }

    /// A new number for a request.
    pub(crate) fn number(&mut self) -> u32 {
        self.asked += 1;
        self.asked
    }

    /// Says a ping behind everything that was said so far; its number.
    pub(crate) fn pings(&mut self) -> u32 {
        let number = self.number();
        self.says(&self.ping(number));
        number
    }

    /// A ping of the server with this number.
    pub(crate) fn ping(&self, number: u32) -> String {
        let domain = &self.inner.world.domain;
        format!("<iq type='get' id='{number}' to='{domain}'><ping xmlns='urn:xmpp:ping'/></iq>")
    }

    /// Asks for the roster; the request's number.
    pub(crate) fn asks_roster(&mut self) -> u32 {
        let number = self.number();
        self.says(&format!("<iq type='get' id='{number}'><query xmlns='jabber:iq:roster'/></iq>"));
        number
    }

    /// Waits for the answer to a request.
    pub(crate) async fn is_answered(&self, number: u32) -> Result<(), Fault> {
        self.until("an answer", |view| view.answered.remove(&number)).await
    }

    /// Waits until the client knows something.
    pub(crate) async fn until(
        &self,
        what: &str,
        mut knows: impl FnMut(&mut View) -> bool,
    ) -> Result<(), Fault> {
        let wait = async {
            loop {
                let news = self.inner.news.notified();
                if self.view(&mut knows) {
                    return Ok(());
                }
                if let Some(end) = self.has_ended() {
                    return Err(format!("waiting for {what}: {end:?}").into());
                }
                news.await;
            }
        };
        timeout(PATIENCE, wait).await.map_err(|_| format!("no {what} after {} s", PATIENCE.as_secs()))?
    }

    /// Waits for the end of the connection.
    pub(crate) async fn ends(&self) -> Result<End, Fault> {
        let wait = async {
            loop {
                let news = self.inner.news.notified();
                if let Some(end) = self.has_ended() {
                    return end;
                }
                news.await;
            }
        };
        timeout(PATIENCE, wait).await.map_err(|_| "the server does not end the stream".into())
    }

    /// How it has ended, if it has.
    pub(crate) fn has_ended(&self) -> Option<End> {
        self.inner.state.borrow().end.clone()
    }

    /// Ends the stream; the server does the same.
    pub(crate) async fn leaves(self) -> Result<(), Fault> {
        self.says("</stream:stream>");
        match self.ends().await? {
            End::Closed => Ok(()),
            end => Err(format!("leaving: {end:?}").into()),
        }
    }

    /// Closes the socket in the middle of the stream.
    pub(crate) async fn vanishes(self) {}

    /// Resets the connection: what the server has not read is lost with it.
    pub(crate) async fn resets(self) {
        // Refused only where there is no connection any more.
        let _ = self.inner.socket.set_zero_linger();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Inner {
    fn says(&self, text: &str) {
        let mut state = self.state.borrow_mut();
        state.out.extend_from_slice(text.as_bytes());
        self.writes(&mut state);
    }

    /// Writes what the kernel takes; a broken connection is seen by who reads.
    fn writes(&self, state: &mut State) {
        while !state.out.is_empty() {
            match self.socket.try_write(&state.out) {
                Ok(count) => drop(state.out.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.backlog.notify_one();
                    return;
                }
                Err(_) => return state.out.clear(),
            }
        }
    }

    fn takes(&self, node: &Node) -> Option<End> {
        if node.name == "stream:error" {
            let condition = node.children.first().map_or("none", |child| child.name.as_str());
            return Some(End::Error(condition.to_owned()));
        }
        let mut state = self.state.borrow_mut();
        let mut answer = String::new();
        self.world.hears(|heard| state.view.takes(node, &self.world.domain, heard, &mut answer));
        if !answer.is_empty() {
            state.out.extend_from_slice(answer.as_bytes());
            self.writes(&mut state);
        }
        None
    }
}

/// Reads until the end.
async fn read(inner: Rc<Inner>, mut pieces: Pieces) {
    let end = loop {
        match hear(&inner, &mut pieces).await {
            Ok(None) => {}
            Ok(Some(end)) => break end,
            Err(fault) => break End::Broken(fault.to_string()),
        }
        inner.news.notify_waiters();
    };
    inner.state.borrow_mut().end = Some(end);
    inner.news.notify_waiters();
}

/// Handles what is there, then waits for more.
async fn hear(inner: &Inner, pieces: &mut Pieces) -> Result<Option<End>, Fault> {
    while let Some(piece) = pieces.next_piece()? {
        let end = match &piece {
            Piece::Element(node) => inner.takes(node),
            Piece::End => Some(End::Closed),
            Piece::Header(_) => return Err("a second stream header".into()),
        };
        if end.is_some() {
            return Ok(end);
        }
    }
    inner.news.notify_waiters();
    let has_backlog = !inner.state.borrow().out.is_empty();
    let interest = if has_backlog { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
    tokio::select! {
        ready = inner.socket.ready(interest) => {
            ready?;
            inner.writes(&mut inner.state.borrow_mut());
            let mut buffer = [0; READ_BYTES];
            match inner.socket.try_read(&mut buffer) {
                Ok(0) => return Ok(Some(End::Closed)),
                Ok(count) => pieces.push(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        () = inner.backlog.notified() => {}
    }
    Ok(None)
}
