//! What a message is promised that is archived, and what becomes of its id on the way back.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rjabberd_im::{ArchiveRules, Limits};
use rjabberd_router::{Committed, Routed};
use rjabberd_storage::{
    Answer, ArchiveAppend, ArchiveStore, Follow, OfflineLimits, Profile, Store, StoreError,
};
use rjabberd_xmpp::{BareJid, MessageType, Stanza, StanzaKind, ns};
use tokio::sync::oneshot;

use crate::stage::{Resource, Stage, settle, stanza};

const CHAT: StanzaKind = StanzaKind::Message(MessageType::Chat);
const JULIET: &str = "juliet@example.net";

/// A store that answers when it is told to.
#[derive(Default)]
struct Slow {
    archiving: Mutex<Vec<Waiting>>,
    keeping: Mutex<Vec<Waiting>>,
}

struct Waiting(Follow<()>, oneshot::Sender<Result<(), StoreError>>);

fn wait(list: &Mutex<Vec<Waiting>>, follow: Follow<()>) -> Answer<()> {
    let (reply, answer) = oneshot::channel();
    list.lock().unwrap().push(Waiting(follow, reply));
    Box::pin(async move { answer.await.unwrap() })
}

/// Answers what waits; says how much that was.
fn answer(list: &Mutex<Vec<Waiting>>, result: &Result<(), StoreError>) -> usize {
    let waiting = std::mem::take(&mut *list.lock().unwrap());
    let count = waiting.len();
    for Waiting(follow, reply) in waiting {
        follow(result);
        let _given_up = reply.send(result.clone());
    }
    count
}

impl rjabberd_storage::PepStore for Slow {}

impl rjabberd_storage::PushStore for Slow {}

impl Store for Slow {
    fn load_profile(&self, _: &BareJid) -> Answer<Option<Arc<Profile>>> {
        Box::pin(std::future::ready(Ok(Some(Arc::default()))))
    }

    fn append_offline(
        &self,
        _: &BareJid,
        _: bytes::Bytes,
        _: i64,
        _: OfflineLimits,
        follow: Follow<()>,
    ) -> Answer<()> {
        wait(&self.keeping, follow)
    }
}

impl ArchiveStore for Slow {
    fn append_archive(&self, _: ArchiveAppend, follow: Follow<()>) -> Answer<()> {
        wait(&self.archiving, follow)
    }
}

async fn stage(resources: &[Resource]) -> (Arc<Slow>, Stage) {
    let store = Arc::<Slow>::default();
    let archive = ArchiveRules { enabled: true, ..ArchiveRules::default() };
    let limits = Limits { archive, ..Limits::default() };
    (store.clone(), Stage::with_limits(resources, store, limits).await)
}

#[track_caller]
fn committing(stage: &Stage, to: &str) -> BoxFuture<'static, Committed> {
    match stage.router.route(stanza(CHAT, Some(to))) {
        Routed::Committing(committing) => committing,
        _ => panic!("it is on its way into the store"),
    }
}

fn ids(message: &Stanza) -> usize {
    message.children().iter().filter(|child| child.is("stanza-id", ns::STANZA_IDS)).count()
}

#[actix_rt::test]
async fn a_message_is_delivered_at_once_and_promised_when_it_is_archived() {
    let (store, stage) = stage(&[("balcony", Some(0))]).await;
    for (result, expected) in [(Ok(()), Committed::Yes), (Err(StoreError::Deadline), Committed::No)] {
        let mut committing = committing(&stage, JULIET);
        settle().await;
        assert_eq!(stage.juliet("balcony").got().len(), 1);
        assert_eq!((&mut committing).now_or_never(), None);
        assert_eq!(answer(&store.archiving, &result), 1);
        assert_eq!(committing.await, expected);
    }
}

#[actix_rt::test]
async fn a_message_for_who_is_away_is_promised_when_it_is_archived_and_kept() {
    for (archived, kept, expected) in [
        (Ok(()), Ok(()), Committed::Yes),
        (Err(StoreError::Deadline), Ok(()), Committed::No),
        (Ok(()), Err(StoreError::Deadline), Committed::No),
        // Its sender was told, and that is all that will ever become of it.
        (Ok(()), Err(StoreError::Full), Committed::Yes),
    ] {
        let (store, stage) = stage(&[]).await;
        let mut committing = committing(&stage, JULIET);
        assert_eq!((answer(&store.archiving, &archived), (&mut committing).now_or_never()), (1, None));
        assert_eq!(answer(&store.keeping, &kept), 1);
        assert_eq!(committing.await, expected, "{archived:?} {kept:?}");
    }
}

#[actix_rt::test]
async fn what_comes_back_is_not_archived_again_and_keeps_its_id() {
    let (store, stage) = stage(&[("balcony", Some(0)), ("chamber", Some(0))]).await;
    drop(committing(&stage, "juliet@example.net/balcony"));
    settle().await;
    drop(stage.juliet("balcony").seat.close());
    stage.juliet("balcony").loses();
    settle().await;
    let got = stage.juliet("chamber").got();
    assert_eq!(got.iter().map(ids).collect::<Vec<_>>(), [1]);
    assert_eq!(answer(&store.archiving, &Ok(())), 1);
}
