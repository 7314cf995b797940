//! With TLS.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpStream},
    rc::Rc,
    thread,
};

use rjabberd_transport::{Read, TlsInfo, Transport};
use rustls::{ClientConnection, Stream};

use crate::pair::{at_once, client, configs, pair, pattern, read, read_all, wait, write_all};

/// A transport with TLS on, and its peer after the handshake.
async fn secured(buffer_bytes: Option<usize>) -> (Rc<Transport>, TcpStream, ClientConnection) {
    let (transport, mut peer) = pair(buffer_bytes);
    let handshake = thread::spawn(move || {
        let mut connection = client();
        while connection.is_handshaking() || connection.wants_write() {
            connection.complete_io(&mut peer).unwrap();
        }
        (peer, connection)
    });
    starts(&transport).await.unwrap();
    let (peer, connection) = handshake.join().unwrap();
    (transport, peer, connection)
}

async fn starts(transport: &Transport) -> io::Result<TlsInfo> {
    transport.start_tls(configs().0).unwrap();
    wait(|context| transport.poll_handshake(context)).await
}

#[actix_rt::test]
async fn a_handshake_in_single_bytes_is_a_handshake() {
    let (transport, mut peer) = pair(None);
    let handshake = thread::spawn(move || {
        let mut connection = client();
        while connection.is_handshaking() || connection.wants_write() {
            let mut records = Vec::new();
            while connection.wants_write() {
                connection.write_tls(&mut records).unwrap();
            }
            for byte in records {
                peer.write_all(&[byte]).unwrap();
            }
            if connection.is_handshaking() {
                // One byte of the answer at a time.
                connection.read_tls(&mut (&mut peer).take(1)).unwrap();
                connection.process_new_packets().unwrap();
            }
        }
        Stream::new(&mut connection, &mut peer).write_all(b"hello").unwrap();
        peer
    });
    let info = starts(&transport).await.unwrap();
    assert_eq!(info.version, rustls::ProtocolVersion::TLSv1_3);
    assert!(transport.is_tls());
    assert_eq!(read_all(&transport, 5).await, b"hello");
    handshake.join().unwrap();
}

#[actix_rt::test]
async fn large_writes_arrive_whole_both_ways() {
    const BYTES: usize = 2 * 1024 * 1024;
    let (transport, mut peer, mut connection) = secured(None).await;
    let talking = thread::spawn(move || {
        let mut stream = Stream::new(&mut connection, &mut peer);
        let (mut all, sent) = (Vec::new(), pattern(BYTES));
        let mut buffer = vec![0; 64 * 1024];
        // In turns, as a client does that reads and writes.
        for chunk in sent.chunks(64 * 1024) {
            stream.write_all(chunk).unwrap();
            let read = stream.read(&mut buffer).unwrap();
            all.extend_from_slice(&buffer[..read]);
        }
        while all.len() < BYTES {
            let read = stream.read(&mut buffer).unwrap();
            all.extend_from_slice(&buffer[..read]);
        }
        all
    });
    let sent = transport.clone();
    let sending = actix_rt::spawn(async move { write_all(&sent, &pattern(BYTES)).await });
    assert!(read_all(&transport, BYTES).await == pattern(BYTES));
    sending.await.unwrap();
    assert!(talking.join().unwrap() == pattern(BYTES));
    assert_eq!(transport.counts(), (BYTES as u64, BYTES as u64));
}

#[actix_rt::test]
async fn plaintext_that_is_held_is_read_without_waiting_for_the_socket() {
    const BYTES: usize = 10_000;
    let (transport, mut peer, mut connection) = secured(None).await;
    // One record.
    Stream::new(&mut connection, &mut peer).write_all(&pattern(BYTES)).unwrap();
    let mut buffer = [0; 1000];
    let mut all = Vec::new();
    assert_eq!(read(&transport, &mut buffer).await.unwrap(), Read::Bytes(1000));
    all.extend_from_slice(&buffer);
    while all.len() < BYTES {
        let ready = at_once(|context| transport.poll_read_ready(context));
        assert!(
            ready.is_some_and(|ready| ready.is_ok()),
            "waits for a socket that is empty, after {}",
            all.len()
        );
        let Read::Bytes(bytes) = transport.read(&mut buffer).unwrap() else {
            panic!("nothing after {}", all.len())
        };
        all.extend_from_slice(&buffer[..bytes]);
    }
    assert!(all == pattern(BYTES));
    assert_eq!(transport.read(&mut buffer).unwrap(), Read::Nothing);
    assert!(at_once(|context| transport.poll_read_ready(context)).is_none(), "and now it waits");
}

#[actix_rt::test]
async fn what_came_with_the_last_message_of_the_handshake_is_read_without_waiting_for_the_socket() {
    let (transport, mut peer) = pair(None);
    let handshake = thread::spawn(move || {
        let mut connection = client();
        let mut records = Vec::new();
        connection.write_tls(&mut records).unwrap();
        peer.write_all(&records).unwrap();
        while connection.is_handshaking() {
            connection.read_tls(&mut peer).unwrap();
            connection.process_new_packets().unwrap();
        }
        // The end of the handshake and the first words in one piece.
        connection.writer().write_all(b"first words").unwrap();
        let mut records = Vec::new();
        while connection.wants_write() {
            connection.write_tls(&mut records).unwrap();
        }
        peer.write_all(&records).unwrap();
        (peer, connection)
    });
    starts(&transport).await.unwrap();
    let kept = handshake.join().unwrap();
    let mut buffer = [0; 64];
    loop {
        let ready = at_once(|context| transport.poll_read_ready(context));
        assert!(ready.is_some_and(|ready| ready.is_ok()));
        if let Read::Bytes(bytes) = transport.read(&mut buffer).unwrap() {
            assert_eq!(&buffer[..bytes], b"first words");
            break;
        }
    }
    drop(kept);
}

#[actix_rt::test]
async fn our_end_is_announced_and_what_was_written_before_arrives() {
    let (transport, mut peer, mut connection) = secured(None).await;
    write_all(&transport, b"last words").await;
    transport.shut_down_writing();
    let mut all = Vec::new();
    // Without close_notify this is an error.
    Stream::new(&mut connection, &mut peer).read_to_end(&mut all).unwrap();
    assert_eq!(all, b"last words");
}

#[actix_rt::test]
async fn the_peer_s_end_is_the_end_whether_it_was_announced_or_not() {
    for announced in [true, false] {
        let (transport, mut peer, mut connection) = secured(None).await;
        let mut stream = Stream::new(&mut connection, &mut peer);
        stream.write_all(b"last words").unwrap();
        if announced {
            stream.conn.send_close_notify();
            stream.conn.complete_io(stream.sock).unwrap();
        }
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&transport, 10).await, b"last words");
        let end = read(&transport, &mut [0; 8]).await.map_err(|error| error.kind());
        assert_eq!(end, Ok(Read::End), "announced: {announced}");
    }
}

#[actix_rt::test]
async fn garbage_instead_of_a_handshake_is_an_error_and_answered_by_an_alert() {
    let (transport, mut peer) = pair(None);
    peer.write_all(b"<stream:stream xmlns='jabber:client'>").unwrap();
    let error = starts(&transport).await.unwrap_err();
    assert!(error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()), "{error:?}");
    let mut alert = [0; 1];
    peer.read_exact(&mut alert).unwrap();
    assert_eq!(alert, [21], "a record of type alert (RFC 8446, 5.1)");
}

#[actix_rt::test]
async fn a_peer_that_goes_in_the_middle_of_a_handshake_is_an_error() {
    let (transport, mut peer) = pair(None);
    let mut hello = Vec::new();
    client().write_tls(&mut hello).unwrap();
    peer.write_all(&hello[..hello.len() / 2]).unwrap();
    drop(peer);
    let error = starts(&transport).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[actix_rt::test]
async fn damaged_records_are_an_error() {
    let (transport, mut peer, mut connection) = secured(None).await;
    connection.writer().write_all(b"hello").unwrap();
    let mut records = Vec::new();
    connection.write_tls(&mut records).unwrap();
    *records.last_mut().unwrap() ^= 1;
    peer.write_all(&records).unwrap();
    let error = read(&transport, &mut [0; 8]).await.unwrap_err();
    assert!(error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()), "{error:?}");
}

#[actix_rt::test]
async fn a_peer_that_stops_reading_makes_us_wait_and_holds_no_more_than_a_buffer() {
    let (transport, mut peer, mut connection) = secured(Some(16 * 1024)).await;
    let chunk = pattern(64 * 1024);
    let mut taken = Vec::new();
    while let Some(written) = at_once(|context| transport.poll_write(context, &chunk)) {
        taken.extend_from_slice(&chunk[..written.unwrap()]);
        assert!(taken.len() < 1024 * 1024, "the kernel's buffers are small, and ours has an end");
    }
    assert!(transport.wants_write());
    for _ in 0..1000 {
        assert!(at_once(|context| transport.poll_write(context, &chunk)).is_none());
    }
    assert_eq!(transport.counts().1, taken.len() as u64);
    // Nothing of what was taken is lost when the peer reads again.
    let count = taken.len();
    let reading = thread::spawn(move || {
        let mut all = vec![0; count];
        Stream::new(&mut connection, &mut peer).read_exact(&mut all).unwrap();
        all
    });
    wait(|context| transport.poll_flush(context)).await.unwrap();
    assert!(!transport.wants_write());
    assert!(reading.join().unwrap() == taken);
}

#[actix_rt::test]
async fn what_is_written_between_the_reads_of_a_burst_changes_nothing_of_it() {
    let (transport, mut peer, mut connection) = secured(None).await;
    let sent = pattern(60_000);
    let all = sent.clone();
    let talk = thread::spawn(move || {
        let mut stream = Stream::new(&mut connection, &mut peer);
        // Records of all sizes, more than one read takes.
        for chunk in all.chunks(777) {
            stream.write_all(chunk).unwrap();
        }
        let mut heard = vec![0; 600];
        stream.read_exact(&mut heard).unwrap();
        heard
    });
    let (mut got, mut said, mut buffer) = (Vec::new(), Vec::new(), [0; 100]);
    while got.len() < sent.len() {
        let Read::Bytes(count) = read(&transport, &mut buffer).await.unwrap() else {
            panic!("not yet the end")
        };
        got.extend_from_slice(&buffer[..count]);
        if said.len() < 600 {
            let word = [said.len() as u8];
            write_all(&transport, &word).await;
            said.extend(word);
        }
    }
    assert!(got == sent);
    assert_eq!(talk.join().unwrap(), said);
}

#[actix_rt::test]
async fn new_keys_of_the_peer_are_taken_and_answered() {
    let (transport, mut peer, mut connection) = secured(None).await;
    let talk = thread::spawn(move || {
        for round in 0..3_u8 {
            connection.refresh_traffic_keys().unwrap();
            let mut stream = Stream::new(&mut connection, &mut peer);
            stream.write_all(&[round]).unwrap();
            let mut heard = [0];
            stream.read_exact(&mut heard).unwrap();
            assert_eq!(heard, [round]);
        }
    });
    for round in 0..3 {
        assert_eq!(read_all(&transport, 1).await, [round]);
        write_all(&transport, &[round]).await;
    }
    talk.join().unwrap();
}
