//! A store that does not answer: who is there goes on, who needs it is told to wait, and it recovers by itself.

use std::sync::atomic::Ordering::SeqCst;

use crate::server::{Bounds, Server};

const JULIET: &str = "juliet@example.net/balcony";
const ROMEO: &str = "romeo@example.net/orchard";
const ROSTER: &str = "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>";

#[actix_rt::test]
async fn chat_goes_on_and_what_needs_the_store_is_told_to_wait() {
    let server = Server::new(Bounds::default());
    let mut romeo = server.logs_in(ROMEO, None).await;
    romeo.sends("<presence/>").await;
    romeo.gets(&format!("from='{ROMEO}'")).await;
    let mut juliet = server.logs_in(JULIET, None).await;
    server.memory.is_away.store(true, SeqCst);
    juliet.sends("<presence/>").await;
    juliet.gets(&format!("from='{JULIET}'")).await;
    romeo.sends("<message type='chat' id='m1' to='juliet@example.net'><body>still?</body></message>").await;
    juliet.gets("id='m1'").await;
    juliet.sends(ROSTER).await;
    juliet.gets("<error type='wait'><resource-constraint ").await;
    romeo.sends("<message type='chat' id='m2' to='nurse@example.net'><body>there?</body></message>").await;
    romeo.gets("<error type='wait'><resource-constraint ").await;
    romeo.sends("<presence type='subscribe' to='nurse@example.net' id='s1'/>").await;
    romeo.gets("id='s1' type='error'").await;
    assert!(!romeo.text().contains(JULIET), "who may see her is not known");
}

#[actix_rt::test]
async fn contacts_see_each_other_as_soon_as_the_store_is_back() {
    let server = Server::new(Bounds::default());
    let mut romeo = server.logs_in(ROMEO, None).await;
    let mut juliet = server.logs_in(JULIET, None).await;
    server.memory.is_away.store(true, SeqCst);
    romeo.sends("<presence/>").await;
    juliet.sends("<presence/>").await;
    romeo.gets(&format!("from='{ROMEO}'")).await;
    juliet.gets(&format!("from='{JULIET}'")).await;
    server.memory.is_away.store(false, SeqCst);
    romeo.gets(&format!("from='{JULIET}'")).await;
    juliet.gets(&format!("from='{ROMEO}'")).await;
    juliet.sends(ROSTER).await;
    juliet.gets("jid='romeo@example.net'").await;
}
