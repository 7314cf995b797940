//! Sessions without connections around a real router.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;

use rjabberd_actors::{probe::Probe, reply};
use rjabberd_im::{Im, Limits, Services};
use rjabberd_router::{Response, Routed, Router};
use rjabberd_session_manager::{
    Claim, ConflictPolicy, Control, Deliver, Rules, Seat, SessionManager, SessionManagerPorts, SessionTable,
};
use rjabberd_storage::{
    Answer, Follow, OfflineLimits, PepStore, Profile, RosterEvent, Store, StoreError, SubscriptionChange,
};
use rjabberd_xml::Element;
use rjabberd_xmpp::{BareJid, FullJid, IqType, Jid, PresenceType, Stanza, StanzaKind, address, ns};

const LONG: Duration = Duration::from_secs(20);

/// A session without a connection.
pub(crate) struct Session {
    pub(crate) seat: Arc<Seat>,
    inbox: Probe<Deliver>,
    _control: Probe<Control>,
}

impl Session {
    /// What has come; it counts as written.
    pub(crate) fn got(&self) -> Vec<Stanza> {
        let parcels = self.inbox.take();
        parcels.iter().for_each(|Deliver(parcel)| parcel.delivered());
        parcels.iter().map(|Deliver(parcel)| parcel.stanza().clone()).collect()
    }

    /// Drops what has come, as a session does whose connection breaks.
    pub(crate) fn loses(&self) {
        drop(self.inbox.take());
    }
}

/// A store with the accounts of Romeo and Juliet, whose rosters are empty; it remembers what it is to keep: messages, and
/// subscription stanzas.
#[derive(Default)]
pub(crate) struct Keeper {
    kept: Mutex<Vec<Stanza>>,
    /// Whether the store is slow: what it was asked to keep is on its way until [`Keeper::commits`].
    is_slow: AtomicBool,
    waiting: Mutex<Vec<Follow<()>>>,
}

impl Keeper {
    pub(crate) fn slows_down(&self) {
        self.is_slow.store(true, SeqCst);
    }

    /// What was on its way is kept.
    pub(crate) fn commits(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap());
        waiting.into_iter().for_each(|follow| follow(&Ok(())));
    }

    /// What was to be kept since the last question.
    pub(crate) fn kept(&self) -> Vec<Stanza> {
        std::mem::take(&mut self.kept.lock().unwrap())
    }
}

fn exists(account: &BareJid) -> bool {
    ["romeo@example.net", "juliet@example.net"].contains(&account.as_str())
}

impl rjabberd_storage::ArchiveStore for Keeper {}
impl PepStore for Keeper {}
impl rjabberd_storage::PushStore for Keeper {}

impl Store for Keeper {
    fn load_profile(&self, account: &BareJid) -> Answer<Option<Arc<Profile>>> {
        let profile = exists(account).then(Arc::default);
        Box::pin(std::future::ready(Ok(profile)))
    }

    fn change_subscription(
        &self,
        change: SubscriptionChange,
        _: usize,
        follow: Follow<Vec<RosterEvent>>,
    ) -> Answer<Vec<RosterEvent>> {
        self.kept.lock().unwrap().push(Stanza::from_written(change.stanza).unwrap());
        follow(&Ok(Vec::new()));
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn append_offline(
        &self,
        account: &BareJid,
        stanza: Bytes,
        _: i64,
        _: OfflineLimits,
        follow: Follow<()>,
    ) -> Answer<()> {
        let result = if exists(account) { Ok(()) } else { Err(StoreError::NotFound) };
        if result.is_ok() {
            self.kept.lock().unwrap().push(Stanza::from_written(stanza).unwrap());
        }
        if self.is_slow.load(SeqCst) {
            self.waiting.lock().unwrap().push(follow);
        } else {
            follow(&result);
        }
        Box::pin(std::future::ready(result))
    }
}

pub(crate) struct Stage {
    pub(crate) im: &'static Im,
    pub(crate) router: Router,
    pub(crate) keeper: Arc<Keeper>,
    ports: SessionManagerPorts,
    pub(crate) romeo: Session,
    pub(crate) sessions: Vec<(String, Session)>,
}

/// A resource, and the priority of its available presence.
pub(crate) type Resource = (&'static str, Option<i8>);

pub(crate) const ROMEO: &str = "romeo@example.net/orchard";

impl Stage {
    /// Romeo, and Juliet's sessions.
    pub(crate) async fn new(resources: &[Resource]) -> Stage {
        let keeper = Arc::new(Keeper::default());
        Stage { keeper: keeper.clone(), ..Stage::with_store(resources, keeper).await }
    }

    pub(crate) async fn with_store(resources: &[Resource], store: Arc<dyn Store>) -> Stage {
        Stage::with_limits(resources, store, Limits::default()).await
    }

    pub(crate) async fn with_limits(resources: &[Resource], store: Arc<dyn Store>, limits: Limits) -> Stage {
        let table = SessionTable::new();
        let rules = Rules {
            conflict: ConflictPolicy::TakeOver,
            sessions_per_account_max: 100,
            spill_bytes_max: 1_000_000,
            hand_over: LONG,
            ended_kept: LONG,
        };
        let ports = SessionManager::start(table.clone(), rules);
        let hosts = ["example.net", "example.org"].map(str::to_owned);
        let clock = Arc::new(std::time::SystemTime::now);
        let im = Im::new(store, table, hosts.clone(), clock, limits);
        let hosts = hosts.map(|host| (host, Services::new(im, None)));
        let router = Router::new(HashMap::from(hosts), im);
        let romeo = sits(&ports, ROMEO).await;
        let mut stage = Stage { im, router, keeper: Arc::default(), ports, romeo, sessions: Vec::new() };
        for (resource, priority) in resources {
            stage.enters(resource, *priority).await;
        }
        stage
    }

    pub(crate) async fn enters(&mut self, resource: &str, priority: Option<i8>) {
        let session = sits(&self.ports, &format!("juliet@example.net/{resource}")).await;
        if let Some(priority) = priority {
            let presence = presence(session.seat.jid());
            session.seat.set_presence(&mut session.seat.show(), Some((priority, &presence)));
        }
        self.sessions.push((resource.to_owned(), session));
    }

    /// One whose account is made for this session, at a priority.
    pub(crate) async fn enters_as_guest(&mut self, jid: &str, priority: i8) {
        let session = sits_as(&self.ports, jid, true).await;
        let presence = presence(session.seat.jid());
        session.seat.set_presence(&mut session.seat.show(), Some((priority, &presence)));
        self.sessions.push(("guest".to_owned(), session));
    }

    pub(crate) fn juliet(&self, resource: &str) -> &Session {
        &self.sessions.iter().find(|(name, _)| name == resource).unwrap().1
    }

    /// Romeo sends; gives what he is told at once or by his mailbox, and who got the stanza, as one text:
    /// `balcony chamber`, `error service-unavailable`, or nothing.
    pub(crate) async fn sends(&self, stanza: Stanza) -> String {
        let sent = stanza.clone();
        let reply = match self.router.route(stanza) {
            Routed::Done => None,
            Routed::Reply(reply) => Some(reply),
            Routed::Later(reply) => reply.await,
            Routed::Committing(done) => {
                done.await;
                None
            }
        };
        let reply = reply.map(|reply| stanza_of(&reply));
        settle().await;
        let mut outcome = Vec::new();
        for kept in self.keeper.kept() {
            let is_presence = matches!(sent.kind, StanzaKind::Presence(_));
            assert!(kept == sent || is_presence, "{kept:?}");
            outcome.push("kept".to_owned());
        }
        for (resource, session) in &self.sessions {
            for got in session.got() {
                // RFC 6121, 8.5.2.1.1: the server must not rewrite `to`.
                assert_eq!(got, sent);
                outcome.push(resource.clone());
            }
        }
        for error in self.romeo.got().into_iter().chain(reply) {
            assert_eq!((&error.to, &error.id), (&sent.from, &sent.id));
            let is_probe = sent.kind == StanzaKind::Presence(PresenceType::Probe) && !error.is_error();
            let to = sent.to.clone().map(|to| if is_probe { to.into_bare().into() } else { to });
            assert_eq!(error.from, to);
            outcome.push(told(&error));
        }
        outcome.join(" ")
    }
}

/// The stanza of an answer that is one.
pub(crate) fn stanza_of(response: &Response) -> Stanza {
    match response {
        Response::Stanza(stanza) => stanza.clone(),
        Response::Long(_) => panic!("nothing here has a long answer"),
    }
}

/// What an answer says.
pub(crate) fn told(answer: &Stanza) -> String {
    if !answer.is_error() {
        return answer.kind.type_name().unwrap_or_default().to_owned();
    }
    let error = answer.children().iter().find(|child| child.name() == "error").unwrap();
    let error = answer.child_element(error).unwrap();
    format!("error {}", error.children().next().unwrap().name())
}

async fn sits(ports: &SessionManagerPorts, jid: &str) -> Session {
    sits_as(ports, jid, false).await
}

async fn sits_as(ports: &SessionManagerPorts, jid: &str, guest: bool) -> Session {
    let jid = FullJid::new(jid).unwrap();
    let ((deliver, inbox), (control, orders)) = (Probe::start(64), Probe::start(64));
    let (reply, answer) = reply();
    let claim = Claim {
        account: jid.to_bare(),
        resource: rjabberd_session_manager::Resource::Named(jid.resource().to_string()),
        guest,
        epoch: 0,
        deliver,
        control,
        reply,
    };
    ports.claim.send(claim).unwrap();
    let (seat, _) = answer.within(LONG).await.unwrap().unwrap().accept();
    let (waiting, open) = seat.drain(usize::MAX);
    assert!(waiting.is_empty() && open);
    Session { seat, inbox, _control: orders }
}

/// Lets all actors of this thread do what they can do.
pub(crate) async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

pub(crate) fn presence(from: &FullJid) -> Stanza {
    let mut stanza = Stanza::new(StanzaKind::Presence(PresenceType::Available), &[]);
    stanza.from = Some(from.clone().into());
    stanza
}

/// A stanza of Romeo's.
pub(crate) fn stanza(kind: StanzaKind, to: Option<&str>) -> Stanza {
    let payload = match kind {
        StanzaKind::Iq(IqType::Get | IqType::Set) => vec![Element::new("query", "urn:example:unknown")],
        StanzaKind::Message(_) => vec![Element::new("body", ns::CLIENT).with_text("But soft")],
        _ => Vec::new(),
    };
    let mut stanza = Stanza::new(kind, &payload);
    stanza.from = Some(Jid::new(ROMEO).unwrap());
    stanza.to = to.map(|to| address::parse(to).unwrap());
    stanza.id = Some("1".to_owned());
    stanza
}
