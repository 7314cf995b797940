//! A client's own request whose answer comes later.

use crate::server::{Bounds, Server};

const JULIET: &str = "juliet@example.net/balcony";
const NURSE: &str = "nurse@example.net/chamber";
const CHANGE: &str = "<iq type='set' id='later'><query xmlns='jabber:iq:register'>\
                      <username>juliet</username><password>secret</password></query></iq>";

#[actix_rt::test]
async fn the_client_s_next_elements_wait_for_the_answer_and_deliveries_go_on() {
    let server = Server::new(Bounds::default());
    let open = server.gate();
    let mut juliet = server.logs_in(JULIET, None).await;
    let mut nurse = server.logs_in(NURSE, None).await;
    let own = format!("<message type='chat' id='m1' to='{NURSE}'/>");
    juliet.sends(&format!("{CHANGE}{own}")).await;

    // Deliveries, from others and in numbers.
    nurse.sends(&format!("<message type='chat' id='m7' to='{JULIET}'/>")).await;
    juliet.gets("id='m7'").await;
    let flood = server.floods(NURSE, JULIET, 2_000, &[]);
    juliet.reads_messages(2_000).await;
    flood.ends().await;
    assert!(!juliet.text().contains("later"));
    // What waits has not been looked at: the nurse gets her own answer, and nothing of Juliet's before it.
    nurse.sends("<iq type='get' id='p' to='example.net'><ping xmlns='urn:xmpp:ping'/></iq>").await;
    nurse.gets("id='p'").await;
    assert!(!nurse.text().contains("m1"));

    open.send(()).unwrap();
    juliet.gets("id='later' type='result'").await;
    nurse.gets("id='m1'").await;
    drop((juliet, nurse));
    server.empties().await;
}

#[actix_rt::test]
async fn a_request_that_is_never_answered_is_answered_by_an_error_and_the_rest_goes_on() {
    let bounds = Bounds::default();
    let server = Server::new(bounds);
    let never = server.gate();
    let mut juliet = server.logs_in(JULIET, None).await;
    let asked = || server.shared.router.counters().snapshot().iqs;
    let before = asked();
    let ping = "<iq type='get' id='p' to='example.net'><ping xmlns='urn:xmpp:ping'/></iq>";
    juliet.sends(&format!("{CHANGE}{ping}")).await;
    server.until("asked", || asked() > before).await;
    // The time that an answer may take passes, and no other.
    tokio::time::pause();
    tokio::time::advance(bounds.times.ask).await;
    tokio::time::resume();
    juliet.gets("id='later' type='error'").await;
    juliet.gets("id='p' type='result'").await;
    drop((juliet, never));
    server.empties().await;
}
