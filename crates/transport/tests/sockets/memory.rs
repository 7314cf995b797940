//! In memory, without a socket.

use std::{
    io::ErrorKind,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Wake, Waker},
};

use rjabberd_transport::{
    Read, Transport,
    memory::{self, End},
};

use crate::pair::{at_once, pattern, read, read_all, wait};

/// What is read until the end, by somebody who is woken when there is more.
fn read_to_end(end: End) -> std::thread::JoinHandle<Vec<u8>> {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    std::thread::spawn(move || {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let (mut all, mut buffer) = (Vec::new(), vec![0; 1000]);
        loop {
            match end.try_read(&mut buffer) {
                Ok(0) => return all,
                Ok(count) => all.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if end.poll_read_ready(&mut Context::from_waker(&waker)).is_pending() {
                        std::thread::park();
                    }
                }
                Err(error) => panic!("{error}"),
            }
        }
    })
}

#[actix_rt::test]
async fn what_is_written_arrives_whole_and_then_the_end_though_the_other_end_is_slow() {
    let (server, client) = memory::pair();
    let transport = Transport::new(server).unwrap();
    let reader = read_to_end(client);
    let sent = pattern(1_000_000);
    let mut rest = &sent[..];
    while !rest.is_empty() {
        let written = wait(|context| transport.poll_write(context, rest)).await.unwrap();
        rest = &rest[written..];
    }
    transport.shut_down_writing();
    assert_eq!(reader.join().unwrap(), sent);
    assert_eq!(transport.counts(), (0, sent.len() as u64));
}

#[actix_rt::test]
async fn what_waits_is_bounded_and_a_read_makes_room() {
    let (server, client) = memory::pair();
    let transport = Transport::new(server).unwrap();
    let sent = pattern(100_000);
    let taken = at_once(|context| transport.poll_write(context, &sent)).unwrap().unwrap();
    assert_eq!(taken, 64 * 1024);
    let mut rest = sent[taken..].to_vec();
    assert!(at_once(|context| transport.poll_write(context, &rest)).is_none());
    assert_eq!(client.try_read(&mut [0; 1000]).unwrap(), 1000);
    let more = at_once(|context| transport.poll_write(context, &rest)).unwrap().unwrap();
    assert_eq!(more, 1000);
    rest.drain(..more);
}

#[actix_rt::test]
async fn who_waits_for_bytes_is_woken_from_another_thread() {
    let (server, client) = memory::pair();
    let transport = Transport::new(server).unwrap();
    let sent = pattern(10_000);
    let all = sent.clone();
    let writer = std::thread::spawn(move || {
        for chunk in all.chunks(100) {
            assert_eq!(client.try_write(chunk).unwrap(), chunk.len());
            std::thread::yield_now();
        }
        client
    });
    assert_eq!(read_all(&transport, sent.len()).await, sent);
    drop(writer.join().unwrap());
    assert_eq!(read(&transport, &mut [0; 10]).await.unwrap(), Read::End);
    assert_eq!(transport.counts(), (sent.len() as u64, 0));
}

#[actix_rt::test]
async fn an_end_that_was_dropped_takes_nothing_and_wakes_who_waits_for_room() {
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }
    let (server, client) = memory::pair();
    let transport = Transport::new(server).unwrap();
    let woken = Arc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(woken.clone());
    let filled = pattern(64 * 1024);
    assert!(transport.poll_write(&mut Context::from_waker(&waker), &filled).is_ready());
    assert!(transport.poll_write(&mut Context::from_waker(&waker), b"more").is_pending());
    drop(client);
    assert_eq!(woken.0.load(Relaxed), 1);
    let refused = at_once(|context| transport.poll_write(context, b"more")).unwrap();
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::BrokenPipe);
}
