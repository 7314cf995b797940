//! A listener from outside: whom it lets in, whom it refuses, and how it stops.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    time::{Duration, Instant},
};

use rjabberd_actors::Port;
use rjabberd_listener::{Admission, Census, CensusLimits, Listener, bind, messages::StopAccepting};
use socket2::{Domain, Socket, Type};

/// A deadline for what must happen, however slow the machine.
const LONG: Duration = Duration::from_secs(20);

/// A listener on a free port, and what it starts.
struct Stage {
    address: SocketAddr,
    census: Arc<Census>,
    started: Receiver<(TcpStream, Admission)>,
    port: Port<StopAccepting>,
}

impl Stage {
    fn new(connections_max: usize, per_address_max: usize) -> Stage {
        let shared = Box::new(|address: IpAddr| address == IpAddr::from([127, 0, 0, 9]));
        let census = Census::new(CensusLimits { connections_max, per_address_max, shared });
        let socket = bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let address = socket.local_addr().unwrap();
        let (start, started) = channel();
        // Who comes when the test is over is dropped.
        let start = Arc::new(move |socket, admission| drop(start.send((socket, admission))));
        let port = Listener::start("c2s".to_owned(), socket, census.clone(), start).unwrap();
        Stage { address, census, started, port }
    }

    fn connects(&self) -> TcpStream {
        self.connects_from([127, 0, 0, 1])
    }

    fn connects_from(&self, from: [u8; 4]) -> TcpStream {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
        socket.connect(&self.address.into()).unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        socket.into()
    }

    /// Waits for something that the listener does on this thread.
    async fn until<T>(&self, what: &str, mut happens: impl FnMut() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(happened) = happens() {
                return happened;
            }
            assert!(began.elapsed() < LONG, "not {what}: {:?}", self.census.counts());
            tokio::task::yield_now().await;
        }
    }

    /// The next connection that was let in.
    async fn starts(&self) -> (TcpStream, Admission) {
        self.until("started", || self.started.try_recv().ok()).await
    }

    /// So many were refused by now, and the last of them is told so by the end of its connection.
    async fn refuses(&self, count: u64, mut last: TcpStream) {
        self.until("refused", || (self.census.counts().2 == count).then_some(())).await;
        // The end, or a reset.
        assert_eq!(last.read(&mut [0; 1]).unwrap_or(0), 0);
        assert!(self.started.try_recv().is_err());
    }
}

#[actix_rt::test]
async fn who_is_let_in_is_counted_and_can_talk() {
    let stage = Stage::new(10, 10);
    let mut client = stage.connects();
    let (mut socket, admission) = stage.starts().await;
    assert_eq!(stage.census.counts(), (1, 1, 0));
    client.write_all(b"hello").unwrap();
    let mut heard = [0; 5];
    socket.set_nonblocking(false).unwrap();
    socket.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
    drop(admission);
    assert_eq!(stage.census.counts(), (0, 1, 0));
}

#[actix_rt::test]
async fn over_the_limit_for_all_connections_are_refused_until_one_ends() {
    let stage = Stage::new(2, 10);
    let _clients = [stage.connects(), stage.connects()];
    let (first, _second) = (stage.starts().await, stage.starts().await);
    stage.refuses(1, stage.connects()).await;
    drop(first);
    let _client = stage.connects();
    stage.starts().await;
}

#[actix_rt::test]
async fn one_address_is_refused_over_its_own_limit_and_others_are_not() {
    let stage = Stage::new(10, 1);
    let _client = stage.connects();
    let _held = stage.starts().await;
    stage.refuses(1, stage.connects()).await;
    let _other = stage.connects_from([127, 0, 0, 2]);
    let _other_held = stage.starts().await;
    // An address that many share.
    let _clients = [stage.connects_from([127, 0, 0, 9]), stage.connects_from([127, 0, 0, 9])];
    let _many_held = (stage.starts().await, stage.starts().await);
}

#[actix_rt::test]
async fn a_listener_that_stops_gives_its_port_free_and_who_is_in_stays() {
    let stage = Stage::new(10, 10);
    let mut client = stage.connects();
    let (mut socket, _admission) = stage.starts().await;
    stage.port.send(StopAccepting).unwrap();
    stage.until("stopped", || TcpStream::connect(stage.address).is_err().then_some(())).await;
    socket.write_all(b"still here").unwrap();
    let mut heard = [0; 10];
    client.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"still here");
}

#[actix_rt::test]
async fn a_burst_is_let_in_whole() {
    let stage = Stage::new(1_000, 1_000);
    // More than one turn takes.
    let clients: Vec<TcpStream> = (0..200).map(|_| stage.connects()).collect();
    let mut held = Vec::new();
    for _ in &clients {
        held.push(stage.starts().await);
    }
    assert_eq!(stage.census.counts(), (200, 200, 0));
}
