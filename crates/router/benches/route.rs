//! What routing a chat message to a session of this node costs in the sender: lookup, parcel, mailbox.

#![expect(missing_docs, reason = "criterion's macro makes a function")]

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use criterion::{Criterion, criterion_group, criterion_main};
use rjabberd_actors::{probe::Probe, reply};
use rjabberd_im::{Im, Limits, Services};
use rjabberd_router::{Routed, Router};
use rjabberd_session_manager::{
    Claim, ConflictPolicy, Control, Deliver, Resource, Rules, SessionManager, SessionManagerPorts,
    SessionTable,
};
use rjabberd_storage::Absent;
use rjabberd_xml::Element;
use rjabberd_xmpp::{FullJid, MessageType, Stanza, StanzaKind, ns};

const LONG: Duration = Duration::from_secs(20);
/// Messages between two drains; a mailbox takes twice as many.
const BURST: u64 = 64;

/// Binds a session without a connection; gives its mailbox and what must live as long as it.
async fn sits(ports: &SessionManagerPorts, jid: &FullJid) -> (Probe<Deliver>, impl Sized + use<>) {
    let (deliver, inbox) = Probe::start(2 * BURST as usize);
    let (control, orders) = Probe::<Control>::start(64);
    let (reply, answer) = reply();
    let resource = Resource::Named(jid.resource().to_string());
    let claim = Claim { account: jid.to_bare(), resource, guest: false, epoch: 0, deliver, control, reply };
    assert!(ports.claim.send(claim).is_ok());
    let answer = answer.within(LONG).await.expect("an answer").expect("a seat");
    let (seat, _) = answer.accept();
    assert!(seat.drain(usize::MAX).0.is_empty());
    (inbox, (seat, orders))
}

/// Routes `count` messages, the time between bursts not counted.
async fn routes(count: u64) -> Duration {
    let table = SessionTable::new();
    let rules = Rules {
        conflict: ConflictPolicy::TakeOver,
        sessions_per_account_max: 100,
        spill_bytes_max: 1_000_000,
        hand_over: LONG,
        ended_kept: LONG,
    };
    let ports = SessionManager::start(table.clone(), rules);
    let host = "example.net".to_owned();
    let im = Im::new(Arc::new(Absent), table, [host.clone()], Arc::new(SystemTime::now), Limits::default());
    let router = Router::new(HashMap::from([(host, Services::new(im, None))]), im);
    let [romeo, juliet] = ["romeo@example.net/orchard", "juliet@example.net/balcony"]
        .map(|jid| FullJid::new(jid).expect("an address"));
    let (inbox, _session) = sits(&ports, &juliet).await;
    let body =
        Element::new("body", ns::CLIENT).with_text("But soft, what light through yonder window breaks?");
    let mut message = Stanza::new(StanzaKind::Message(MessageType::Chat), &[body]);
    (message.from, message.to) = (Some(romeo.clone().into()), Some(juliet.into()));
    let (mut spent, mut left) = (Duration::ZERO, count);
    while left > 0 {
        let burst = left.min(BURST);
        let messages = vec![message.clone(); burst as usize];
        let began = Instant::now();
        for message in messages {
            assert!(matches!(black_box(router.route(message)), Routed::Done));
        }
        spent += began.elapsed();
        left -= burst;
        let mut taken = 0;
        while taken < burst {
            tokio::task::yield_now().await;
            let parcels = inbox.take();
            parcels.iter().for_each(|Deliver(parcel)| parcel.delivered());
            taken += parcels.len() as u64;
        }
    }
    spent
}

fn route(criterion: &mut Criterion) {
    criterion.bench_function("route to a full JID", |bencher| {
        bencher.iter_custom(|count| actix_rt::System::new().block_on(routes(count)));
    });
}

criterion_group!(benches, route);
criterion_main!(benches);
