//! A reader who stops reading.

use crate::{
    floods::stuck,
    server::{Bounds, Server},
};

const JULIET: &str = "juliet@example.net/balcony";
const NURSE: &str = "nurse@example.net/chamber";
const PARIS: &str = "paris@example.net/square";
const ROMEO: &str = "romeo@example.net/orchard";
/// Bytes of the smallest message that is sent here, on the wire.
const MESSAGE_BYTES_MIN: usize = 90;

#[actix_rt::test]
async fn a_slow_reader_costs_nobody_else_anything_and_ends_when_its_spill_is_full() {
    let bounds = Bounds { outbox_bytes_max: 64 * 1024, spill_bytes_max: 256 * 1024, ..Bounds::default() };
    let server = Server::new(bounds);
    let mut juliet = server.logs_in(JULIET, Some(16 * 1024)).await;
    let mut nurse = server.logs_in(NURSE, None).await;

    // Enough to fill the outbox of the one, not her spill.
    let flood = server.floods(ROMEO, JULIET, 22_500, &[2_500]);
    let count = |server: &Server| server.shared.router.counters().snapshot().delivered;
    server.until("sent", || count(&server) == 2_500).await;
    let others = server.floods(PARIS, NURSE, 1_500, &[]);
    nurse.reads_messages(1_500).await;
    assert_eq!(nurse.messages(false), (0..1_500).collect::<Vec<_>>());
    others.ends().await;
    assert_eq!(server.shared.table.sessions(), 2, "nobody has ended");

    flood.goes_on();
    flood.ends().await;
    let refused = server.bounced();
    let taken = 22_500 - refused;
    // Outbox, mailbox, what a spill may hold until its session has ended, and both sockets' buffers (the kernel doubles
    // what it is asked for).
    let room = (64 + 256 + 4 * 256 + 4 * 32) * 1024;
    assert!(taken * MESSAGE_BYTES_MIN <= room, "{taken} messages were taken");
    assert!(refused > 5_000);

    // She reads at last: what was written, and why the stream has ended.
    juliet.reads_to_the_end().await;
    assert!(juliet.text().contains("<resource-constraint "));
    let seen = juliet.messages(false);
    assert_eq!(seen, (0..seen.len()).collect::<Vec<_>>());
    drop((juliet, nurse));
    server.empties().await;
    assert_eq!(server.shared.counters.closed_by_reason().get("overflowed"), Some(&1));
    let bounced = server.bounced();
    assert_eq!(seen.len() + bounced, 22_500, "what she did not get was answered by an error");
}

#[actix_rt::test]
async fn a_reader_who_goes_on_reading_gets_everything_in_order() {
    let server = Server::new(Bounds::default());
    let mut juliet = server.logs_in(JULIET, Some(16 * 1024)).await;
    let flood = server.floods(ROMEO, JULIET, 10_000, &[]);
    assert_eq!(flood.ends().await, Vec::<usize>::new());
    juliet.reads_messages(10_000).await;
    assert_eq!(juliet.messages(false), (0..10_000).collect::<Vec<_>>());
    // And again, now that the spill has been used.
    let flood = server.floods(ROMEO, JULIET, 10_000, &[]);
    juliet.reads_messages(20_000).await;
    assert_eq!(juliet.messages(false)[10_000..], (0..10_000).collect::<Vec<_>>());
    flood.ends().await;
    drop(juliet);
    server.empties().await;
}

#[actix_rt::test]
async fn a_connection_on_which_nothing_can_be_written_is_lost() {
    let mut bounds = Bounds::default();
    bounds.times.write_stall = std::time::Duration::from_millis(300);
    let server = Server::new(bounds);
    let juliet = server.logs_in(JULIET, Some(16 * 1024)).await;
    let flood = server.floods(ROMEO, JULIET, 10_000, &[]);
    flood.ends().await;
    server.empties().await;
    assert_eq!(server.shared.counters.slow_readers().0, 1);
    assert_eq!(server.shared.counters.closed_by_reason().get("lost-write-stalled"), Some(&1));
    drop(juliet);
}

#[actix_rt::test]
async fn an_outbox_takes_no_more_than_its_bound_however_slowly_it_fills() {
    let server = Server::new(Bounds::default());
    let (juliet, seat) = stuck(&server).await;
    let mut sent = 900;
    // Never so many at once that the mailbox is full.
    while !seat.is_spilling() {
        assert!(
            sent * MESSAGE_BYTES_MIN < (64 + 4 * 32 + 16) * 1024,
            "{sent} messages, and still it takes more"
        );
        server.sends(ROMEO, JULIET, sent..sent + 10);
        sent += 10;
        server.until("taken", || seat.depth() == 0).await;
    }
    assert_eq!(server.shared.counters.slow_readers(), (0, 1));
    drop((juliet, seat));
    server.empties().await;
}
