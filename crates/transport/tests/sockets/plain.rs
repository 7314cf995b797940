//! Without TLS.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr},
    thread,
};

use rjabberd_transport::{Read, canonical};

use crate::pair::{at_once, pair, pattern, read, read_all, wait, write_all};

#[actix_rt::test]
async fn bytes_go_both_ways_and_are_counted() {
    let (transport, mut peer) = pair(None);
    assert_eq!(transport.peer(), peer.local_addr().unwrap());
    assert_eq!(transport.local(), peer.peer_addr().unwrap());
    let mut buffer = [0; 64];
    assert_eq!(transport.read(&mut buffer).unwrap(), Read::Nothing);
    peer.write_all(b"hello").unwrap();
    assert_eq!(read(&transport, &mut buffer).await.unwrap(), Read::Bytes(5));
    assert_eq!(&buffer[..5], b"hello");
    write_all(&transport, b"good day").await;
    let mut answer = [0; 8];
    peer.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"good day");
    assert_eq!(transport.counts(), (5, 8));
    assert!(!transport.is_tls() && !transport.wants_write());
}

#[actix_rt::test]
async fn large_writes_arrive_whole_both_ways() {
    const BYTES: usize = 8 * 1024 * 1024;
    let (transport, mut peer) = pair(None);
    let mut reader = peer.try_clone().unwrap();
    let writing = thread::spawn(move || peer.write_all(&pattern(BYTES)).unwrap());
    let reading = thread::spawn(move || {
        let mut all = vec![0; BYTES];
        reader.read_exact(&mut all).unwrap();
        all
    });
    let sent = transport.clone();
    let sending = actix_rt::spawn(async move { write_all(&sent, &pattern(BYTES)).await });
    assert!(read_all(&transport, BYTES).await == pattern(BYTES));
    sending.await.unwrap();
    assert!(reading.join().unwrap() == pattern(BYTES));
    writing.join().unwrap();
    assert_eq!(transport.counts(), (BYTES as u64, BYTES as u64));
}

#[actix_rt::test]
async fn the_end_of_either_side_is_seen_by_the_other_and_no_byte_is_lost_before_it() {
    let (transport, mut peer) = pair(None);
    peer.write_all(b"last words").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&transport, 10).await, b"last words");
    assert_eq!(read(&transport, &mut [0; 8]).await.unwrap(), Read::End);
    write_all(&transport, b"ours").await;
    transport.shut_down_writing();
    let mut all = Vec::new();
    peer.read_to_end(&mut all).unwrap();
    assert_eq!(all, b"ours");
}

#[actix_rt::test]
async fn a_peer_that_stops_reading_makes_us_wait() {
    let (transport, peer) = pair(Some(16 * 1024));
    let chunk = pattern(64 * 1024);
    let mut taken = 0;
    while let Some(written) = at_once(|context| transport.poll_write(context, &chunk)) {
        taken += written.unwrap();
        assert!(taken < 4 * 1024 * 1024);
    }
    assert!(at_once(|context| transport.poll_write(context, &chunk)).is_none());
    assert_eq!(transport.counts().1, taken as u64);
    drop(peer);
    // Woken to learn that the connection broke, perhaps after the kernel took a last piece.
    while wait(|context| transport.poll_write(context, &chunk)).await.is_ok() {}
}

#[test]
fn an_address_of_ipv4_in_ipv6_is_an_address_of_ipv4() {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    assert_eq!(canonical(address("[::ffff:192.0.2.1]:5222")), address("192.0.2.1:5222"));
    assert_eq!(canonical(address("[2001:db8::1]:5222")), address("[2001:db8::1]:5222"));
    assert_eq!(canonical(address("192.0.2.1:5222")), address("192.0.2.1:5222"));
}
