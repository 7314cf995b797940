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
    started: Receiver<(TcpStream, SocketAddr, Admission)>,
    port: Port<StopAccepting>,
}

impl Stage {
    fn new(connections_max: usize, per_address_max: usize) -> Stage {
        Stage::with_proxies(connections_max, per_address_max, |_| false)
    }

    fn with_proxies(connections_max: usize, per_address_max: usize, proxies: fn(IpAddr) -> bool) -> Stage {
        let shared = Box::new(|address: IpAddr| address == IpAddr::from([127, 0, 0, 9]));
        let limits = CensusLimits { connections_max, per_address_max, per_address_per_s_max: 1_000, shared };
        let census = Census::new(limits);
        let socket = bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let address = socket.local_addr().unwrap();
        let (start, started) = channel();
        // Who comes when the test is over is dropped.
        let start = Arc::new(move |socket, peer, admission| drop(start.send((socket, peer, admission))));
        let port =
            Listener::start("c2s".to_owned(), socket, census.clone(), Box::new(proxies), start).unwrap();
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
        let (socket, _, admission) = self.starts_from().await;
        (socket, admission)
    }

    /// The same, with whose it is.
    async fn starts_from(&self) -> (TcpStream, SocketAddr, Admission) {
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

/// Every connection is a proxy's.
fn behind_proxies() -> Stage {
    Stage::with_proxies(3_000, 2, |_| true)
}

#[actix_rt::test]
async fn a_header_names_the_client_and_what_follows_it_stays_in_the_socket() {
    let stage = behind_proxies();
    let mut proxy = stage.connects();
    proxy.write_all(b"PROXY TCP4 192.0.2.7 198.51.100.1 54804 5222\r\nhello").unwrap();
    let (mut socket, client, _admission) = stage.starts_from().await;
    assert_eq!(client, "192.0.2.7:54804".parse().unwrap());
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let mut heard = [0; 5];
    socket.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
}

#[actix_rt::test]
async fn the_limit_of_an_address_is_that_of_the_client_and_not_of_the_proxy() {
    let stage = behind_proxies();
    let mut held = Vec::new();
    let mut comes = |line: &str| {
        let mut proxy = stage.connects();
        proxy.write_all(line.as_bytes()).unwrap();
        held.push(proxy.try_clone().unwrap());
        proxy
    };
    let mut clients = Vec::new();
    for client in ["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        comes(&format!("PROXY TCP4 {client} 198.51.100.1 1 2\r\n"));
        clients.push(stage.starts_from().await);
    }
    for _ in 0..3 {
        comes("PROXY UNKNOWN\r\n");
        clients.push(stage.starts_from().await);
    }
    let last = comes("PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\n");
    stage.refuses(1, last).await;
    assert_eq!(stage.census.refusals(), [("all", 0), ("address", 1), ("rate", 0)]);
}

#[actix_rt::test]
async fn so_many_wait_for_their_header_and_the_newest_over_it_is_refused() {
    let stage = behind_proxies();
    // As many as may wait, all silent.
    let mut silent: Vec<TcpStream> = (0..1024).map(|_| stage.connects()).collect();
    let mut refused = stage.connects();
    refused.set_nonblocking(true).unwrap();
    let ended = || match refused.read(&mut [0; 1]) {
        Ok(0) => Some(()),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Some(()),
        _ => None,
    };
    stage.until("refused", ended).await;
    // Those that wait are served all the same, and make room.
    silent[500].write_all(b"PROXY UNKNOWN\r\n").unwrap();
    stage.starts().await;
    stage.connects().write_all(b"PROXY UNKNOWN\r\n").unwrap();
    stage.starts().await;
    assert_eq!(stage.census.counts().0, 0, "who waits is not let in yet, and both have gone again");
}
