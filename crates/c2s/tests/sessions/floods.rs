//! 10,000 messages to a session that ends half-way: each is delivered, bounced or handed on exactly once, in order.

use rjabberd_session_manager::Control;

use crate::server::{Bounds, Client, Server, assert_counts};

const COUNT: usize = 10_000;
const JULIET: &str = "juliet@example.net/balcony";
const ROMEO: &str = "romeo@example.net/orchard";

/// Reads the errors that come to the sender until every message is accounted for; gives them in order.
async fn bounces(sender: &mut Client, at_once: &[usize], delivered: usize) -> Vec<usize> {
    sender.reads_messages(COUNT - at_once.len() - delivered).await;
    assert_eq!(sender.messages(false), Vec::<usize>::new());
    sender.messages(true)
}

/// Every number exactly once, and each of the lists in order.
fn assert_all_once(lists: &[&[usize]]) {
    for list in lists {
        let late = list.windows(2).position(|pair| pair[0] > pair[1]);
        assert_eq!(
            late.map(|at| &list[at.saturating_sub(3)..(at + 8).min(list.len())]),
            None,
            "out of order"
        );
    }
    let mut all: Vec<_> = lists.concat();
    all.sort_unstable();
    assert_counts(&all, 0, COUNT, "all of them, once");
}

#[actix_rt::test]
async fn a_session_that_its_client_closes() {
    let server = Server::new(Bounds::default());
    let mut romeo = server.logs_in(ROMEO, None).await;
    let mut juliet = server.logs_in(JULIET, None).await;
    let flood = server.floods(ROMEO, JULIET, COUNT, &[COUNT / 2]);
    juliet.reads_messages(COUNT / 4).await;
    juliet.sends("</stream:stream>").await;
    flood.goes_on();
    juliet.reads_to_the_end().await;
    let at_once = flood.ends().await;
    let delivered = juliet.messages(false);
    assert!(juliet.text().ends_with("</stream:stream>"));
    let returned = bounces(&mut romeo, &at_once, delivered.len()).await;
    assert_all_once(&[&delivered, &returned, &at_once]);
    assert_counts(&delivered, 0, delivered.len(), "nothing overtook what came back");
    drop((romeo, juliet));
    server.empties().await;
}

#[actix_rt::test]
async fn a_session_whose_client_closes_while_another_resource_is_there() {
    let server = Server::new(Bounds::default());
    let mut juliet = server.logs_in(JULIET, None).await;
    let mut chamber = server.logs_in("juliet@example.net/chamber", None).await;
    chamber.sends("<presence/>").await;
    chamber.gets("<presence ").await;
    let flood = server.floods(ROMEO, JULIET, COUNT, &[COUNT / 2]);
    juliet.reads_messages(COUNT / 4).await;
    juliet.sends("</stream:stream>").await;
    juliet.reads_to_the_end().await;
    let jid = rjabberd_xmpp::FullJid::new(JULIET).unwrap();
    server.until("free", || !server.shared.table.is_bound(&jid)).await;
    flood.goes_on();
    let delivered = juliet.messages(false);
    chamber.reads_messages(COUNT - delivered.len()).await;
    assert_eq!(flood.ends().await, Vec::<usize>::new(), "somebody is there: nothing bounces");
    assert_all_once(&[&delivered, &chamber.messages(false)]);
    drop((juliet, chamber));
    server.empties().await;
}

#[actix_rt::test]
async fn a_session_that_a_new_one_replaces() {
    let server = Server::new(Bounds::default());
    let mut romeo = server.logs_in(ROMEO, None).await;
    let mut old = server.logs_in(JULIET, None).await;
    let flood = server.floods(ROMEO, JULIET, COUNT, &[COUNT / 2]);
    old.reads_messages(COUNT / 4).await;
    let mut new = server.authenticates(JULIET, None).await;
    new.asks_for(JULIET).await;
    flood.goes_on();
    old.reads_to_the_end().await;
    assert!(old.text().contains("<conflict "), "{}", old.text().split("</message>").last().unwrap());
    let before = old.messages(false);
    new.gets("</iq>").await;
    new.reads_messages(COUNT - before.len()).await;
    let after = new.messages(false);
    assert_eq!(flood.ends().await, Vec::<usize>::new());
    assert_counts(&[before, after].concat(), 0, COUNT, "one after the other, none lost");
    // Nobody was told of an end: the resource went over.
    romeo.sends("<iq type='get' id='p' to='example.net'><ping xmlns='urn:xmpp:ping'/></iq>").await;
    romeo.gets("id='p'").await;
    assert_eq!(romeo.messages(true), Vec::<usize>::new());
    drop((romeo, old, new));
    server.empties().await;
}

#[actix_rt::test]
async fn a_session_that_is_replaced_again_and_again() {
    let server = Server::new(Bounds::default());
    let mut sessions = vec![server.logs_in(JULIET, None).await];
    let flood = server.floods(ROMEO, JULIET, COUNT, &[COUNT / 2]);
    sessions[0].reads_messages(COUNT / 8).await;
    for _ in 0..4 {
        let mut next = server.authenticates(JULIET, None).await;
        next.asks_for(JULIET).await;
        sessions.push(next);
    }
    flood.goes_on();
    let mut seen = Vec::new();
    let last = sessions.len() - 1;
    for session in &mut sessions[..last] {
        session.reads_to_the_end().await;
        seen.extend(session.messages(false));
    }
    sessions[last].reads_messages(COUNT - seen.len()).await;
    seen.extend(sessions[last].messages(false));
    assert_eq!(flood.ends().await, Vec::<usize>::new());
    assert_counts(&seen, 0, COUNT, "one after the other, none lost");
    drop(sessions);
    server.empties().await;
}

#[actix_rt::test]
async fn a_session_that_panics() {
    let server = Server::new(Bounds::default());
    let mut romeo = server.logs_in(ROMEO, None).await;
    let mut juliet = server.logs_in(JULIET, None).await;
    let flood = server.floods(ROMEO, JULIET, COUNT, &[COUNT / 2]);
    juliet.reads_messages(COUNT / 4).await;
    juliet.sends("<iq type='set' id='r'><query xmlns='jabber:iq:register'><remove/></query></iq>").await;
    flood.goes_on();
    juliet.reads_to_the_end().await;
    let at_once = flood.ends().await;
    assert!(juliet.text().contains("<internal-server-error "));
    let delivered = juliet.messages(false);
    let returned = bounces(&mut romeo, &at_once, delivered.len()).await;
    assert_all_once(&[&delivered, &returned, &at_once]);
    drop((romeo, juliet));
    server.empties().await;
    assert_eq!(server.shared.counters.closed_by_reason().get("panicked"), Some(&1));
}

#[actix_rt::test]
async fn a_session_whose_connection_breaks_with_all_its_buffers_full() {
    let server = Server::new(Bounds::default());
    let mut romeo = server.logs_in(ROMEO, None).await;
    let juliet = server.logs_in(JULIET, Some(16 * 1024)).await;
    // She never reads: socket, outbox, mailbox and spill fill up in this order.
    let flood = server.floods(ROMEO, JULIET, COUNT, &[]);
    let at_once = flood.ends().await;
    assert_eq!(at_once, Vec::<usize>::new());
    drop(juliet);
    // What the kernel had is gone with it; the rest comes back, and it is the end of the flood, without a hole.
    server.until("gone", || server.shared.connections.count() == 1).await;
    let came_back = server.shared.router.counters().snapshot().came_back as usize;
    romeo.reads_messages(came_back).await;
    assert_counts(&romeo.messages(true), COUNT - came_back, COUNT, "what came back");
    assert!(came_back > COUNT / 2, "{came_back}");
    drop(romeo);
    server.empties().await;
}

#[actix_rt::test]
async fn a_session_that_is_ended_and_whose_connection_breaks_before_its_last_words_are_written() {
    let server = Server::new(Bounds::default());
    let mut romeo = server.logs_in(ROMEO, None).await;
    let mut juliet = server.logs_in(JULIET, Some(16 * 1024)).await;
    juliet.sends("<presence/>").await;
    juliet.gets("<presence ").await;
    let flood = server.floods(ROMEO, JULIET, COUNT, &[COUNT / 2]);
    let half = COUNT as u64 / 2;
    server.until("sent half", || server.shared.router.counters().snapshot().delivered >= half).await;
    let account = rjabberd_xmpp::BareJid::new("juliet@example.net").unwrap();
    let seat = server.shared.table.seats(&account)[0].clone();
    seat.control(Control::CredentialsChanged);
    server.until("closing", || seat.priority().is_none()).await;
    flood.goes_on();
    drop(juliet);
    assert_eq!(flood.ends().await, Vec::<usize>::new());
    server.until("gone", || server.shared.connections.count() == 1).await;
    let bounced = server.bounced();
    romeo.reads_messages(bounced).await;
    let returned = romeo.messages(true);
    assert_counts(&returned, COUNT - returned.len(), COUNT, "what came back");
    assert!(returned.len() > COUNT / 2);
    drop(romeo);
    server.empties().await;
}

/// Juliet has stopped reading: the kernel's buffers are full, her outbox is not, and her mailbox is empty.
pub(crate) async fn stuck(server: &Server) -> (Client, std::sync::Arc<rjabberd_session_manager::Seat>) {
    let mut juliet = server.logs_in(JULIET, Some(16 * 1024)).await;
    juliet.sends("<presence/>").await;
    juliet.gets("<presence ").await;
    let account = rjabberd_xmpp::BareJid::new("juliet@example.net").unwrap();
    let seat = server.shared.table.seats(&account)[0].clone();
    for hundred in 0..9 {
        server.sends(ROMEO, JULIET, hundred * 100..(hundred + 1) * 100);
        server.until("taken", || seat.depth() == 0).await;
    }
    assert!(!seat.is_spilling());
    (juliet, seat)
}

#[actix_rt::test]
async fn what_comes_back_from_the_outbox_comes_before_what_comes_back_from_the_mailbox() {
    let server = Server::new(Bounds::default());
    let mut romeo = server.logs_in(ROMEO, None).await;
    let (juliet, seat) = stuck(&server).await;
    seat.control(Control::CredentialsChanged);
    server.sends(ROMEO, JULIET, 900..950);
    assert_eq!(seat.depth(), 50);
    server.until("closing", || seat.priority().is_none()).await;
    server.sends(ROMEO, JULIET, 950..1000);
    drop(juliet);
    server.until("gone", || server.shared.connections.count() == 1).await;
    let bounced = server.bounced();
    romeo.reads_messages(bounced).await;
    assert!(bounced > 100);
    assert_counts(&romeo.messages(true), 1000 - bounced, 1000, "what came back");
    drop(romeo);
    server.empties().await;
}

#[actix_rt::test]
async fn what_a_replaced_session_did_not_begin_to_write_goes_over_to_the_new_one() {
    let server = Server::new(Bounds::default());
    let (mut old, seat) = stuck(&server).await;
    let mut new = server.authenticates(JULIET, None).await;
    new.asks_for(JULIET).await;
    server.sends(ROMEO, JULIET, 900..950);
    server.until("replaced", || seat.priority().is_none()).await;
    server.sends(ROMEO, JULIET, 950..1000);
    new.gets("</iq>").await;
    // She has not read a byte since, so it is not by her that it got here.
    let last = "id='m999'";
    while !new.text().contains(last) {
        new.reads_messages(new.messages(false).len() + 1).await;
    }
    old.reads_to_the_end().await;
    assert!(old.text().contains("<conflict "));
    let (before, after) = (old.messages(false), new.messages(false));
    assert!(after.len() > 100);
    assert_counts(&[before, after].concat(), 0, 1000, "one after the other, none lost");
    drop((old, new));
    server.empties().await;
}
