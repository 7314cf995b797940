//! What is owed when a session ends.

use rjabberd_session_manager::{Control, Deliver, Handed, Released};
use rjabberd_xmpp::{PresenceType, Stanza, StanzaKind};

use crate::server::{Bounds, LONG, Server};

const JULIET: &str = "juliet@example.net/balcony";
const CHAMBER: &str = "juliet@example.net/chamber";

#[actix_rt::test]
async fn an_available_session_that_ends_is_unavailable_for_the_others() {
    let server = Server::new(Bounds::default());
    let mut chamber = server.logs_in(CHAMBER, None).await;
    chamber.sends("<presence/>").await;
    chamber.gets(&format!("from='{CHAMBER}'")).await;
    for end in [
        "</stream:stream>",
        "<iq type='set' id='r'><query xmlns='jabber:iq:register'><remove/></query></iq>",
        "",
    ] {
        let mut juliet = server.logs_in(JULIET, None).await;
        juliet.sends("<presence/>").await;
        chamber.gets(&format!("from='{JULIET}'")).await;
        chamber.read.clear();
        juliet.sends(end).await;
        if end.is_empty() {
            drop(juliet);
        } else {
            juliet.reads_to_the_end().await;
        }
        chamber.gets("type='unavailable'").await;
    }
    drop(chamber);
    server.empties().await;
}

#[actix_rt::test]
async fn a_replaced_session_stays_available_until_its_successor_says_otherwise() {
    let server = Server::new(Bounds::default());
    let mut chamber = server.logs_in(CHAMBER, None).await;
    chamber.sends("<presence/>").await;
    chamber.gets(&format!("from='{CHAMBER}'")).await;
    let mut old = server.logs_in(JULIET, None).await;
    old.sends("<presence/>").await;
    chamber.gets(&format!("from='{JULIET}'")).await;
    let new = server.logs_in(JULIET, None).await;
    old.reads_to_the_end().await;
    chamber.sends("<iq type='get' id='p' to='example.net'><ping xmlns='urn:xmpp:ping'/></iq>").await;
    chamber.gets("id='p'").await;
    assert!(!chamber.text().contains("unavailable"));
    drop(new);
    chamber.gets("type='unavailable'").await;
    drop((old, chamber));
    server.empties().await;
}

#[actix_rt::test]
async fn a_client_that_goes_while_it_takes_a_resource_over_leaves_no_session_and_no_presence() {
    let server = Server::new(Bounds::default());
    let mut chamber = server.logs_in(CHAMBER, None).await;
    chamber.sends("<presence/>").await;
    chamber.gets(&format!("from='{CHAMBER}'")).await;
    for _ in 0..20 {
        let mut old = server.logs_in(JULIET, None).await;
        old.sends("<presence/>").await;
        chamber.gets(&format!("from='{JULIET}'")).await;
        let mut new = server.authenticates(JULIET, None).await;
        new.asks_for(JULIET).await;
        new.sends("</stream:stream>").await;
        drop(new);
        old.reads_to_the_end().await;
        chamber.gets("type='unavailable'").await;
    }
    drop(chamber);
    server.empties().await;
}

#[actix_rt::test]
async fn a_kicked_session_is_told_why_and_the_connection_is_closed() {
    let server = Server::new(Bounds::default());
    let mut juliet = server.logs_in(JULIET, None).await;
    server.shared.connections.control_all(Control::Kick);
    juliet.gets("<policy-violation ").await;
    juliet.gets("</stream:stream>").await;
    juliet.reads_to_the_end().await;
    drop(juliet);
    server.empties().await;
}

#[actix_rt::test]
async fn a_stream_that_ends_while_it_waits_for_a_resource_gives_back_what_it_was_handed() {
    let server = Server::new(Bounds::default());
    let mut romeo = server.logs_in("romeo@example.net/orchard", None).await;
    let (old, chamber) = (server.puppet(JULIET).await, server.puppet(CHAMBER).await);
    let mut presence = Stanza::new(StanzaKind::Presence(PresenceType::Available), &[]);
    presence.from = Some(chamber.seat.jid().clone().into());
    chamber.seat.set_presence(&mut chamber.seat.show(), Some((-1, &presence)));
    let presence = Stanza::new(StanzaKind::Presence(PresenceType::Available), &[]);
    old.seat.set_presence(&mut old.seat.show(), Some((0, &presence)));
    old.seat.withdraw();
    server.sends("romeo@example.net/orchard", JULIET, 0..3);

    let connected = server.shared.connections.count();
    let mut new = server.authenticates(JULIET, None).await;
    new.asks_for(JULIET).await;
    assert_eq!(tokio::time::timeout(LONG, old.orders.next()).await.unwrap(), Control::HandOver);
    // An operator ends it meanwhile; Romeo's too, for whom that is no answer to a claim.
    server.shared.connections.control_all(Control::Kick);
    new.gets("<policy-violation ").await;
    new.reads_to_the_end().await;
    romeo.reads_to_the_end().await;
    assert_eq!(connected, 1);
    server.until("waiting", || server.shared.connections.count() == 1).await;

    let queue = old.inbox.take().into_iter().map(|Deliver(parcel)| parcel).collect();
    let handed = Handed { directed: Vec::new(), queue, estate: None };
    server
        .shared
        .sessions
        .of_session(old.seat.jid())
        .released
        .send(Released { seat: old.seat.clone(), handed })
        .unwrap();
    let Deliver(told) = tokio::time::timeout(LONG, chamber.inbox.next()).await.unwrap();
    told.delivered();
    let told = told.stanza();
    assert_eq!(told.kind, StanzaKind::Presence(PresenceType::Unavailable));
    assert_eq!(told.from.as_ref().unwrap().as_str(), JULIET);
    let free = || server.shared.connections.count() == 0 && !server.shared.table.is_bound(old.seat.jid());
    server.until("free", free).await;
    assert_eq!(server.shared.router.counters().snapshot().came_back, 3);
}
