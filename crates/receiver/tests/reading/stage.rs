//! A receiver, its peer, and what it gives.

use std::{
    net::{TcpListener, TcpStream},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use rjabberd_actors::probe::Probe;
use rjabberd_receiver::{
    Receiver, Setup,
    credit::CreditPort,
    messages::{Batch, Credit, Event, Order},
    shaper::Shaper,
};
use rjabberd_transport::Transport;
use rjabberd_xml::Limits;
use rustls::ServerConfig;

/// A deadline for what must happen, however slow the machine.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) const HEADER: &str = "<stream:stream xmlns='jabber:client' \
                                 xmlns:stream='http://etherx.jabber.org/streams' to='example.net' version='1.0'>";

pub(crate) struct Stage {
    pub(crate) peer: TcpStream,
    pub(crate) transport: Rc<Transport>,
    pub(crate) receiver: CreditPort,
    c2s: Probe<Batch>,
}

impl Stage {
    pub(crate) fn new(shaper: Shaper, tls: Option<Arc<ServerConfig>>) -> Stage {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        peer.set_read_timeout(Some(LONG)).unwrap();
        let transport = Transport::new(listener.accept().unwrap().0).unwrap();
        let (port, c2s) = Probe::start(8);
        let receiver = Receiver::start(Setup {
            transport: transport.clone(),
            c2s: port,
            limits: Limits::UNAUTHENTICATED,
            shaper,
            tls,
            describe: |_| String::new(),
        });
        Stage { peer, transport, receiver, c2s }
    }

    /// A receiver without shaper and TLS whose peer has sent this.
    pub(crate) fn with(text: &str) -> Stage {
        let mut stage = Stage::new(Shaper::None, None);
        stage.says(text);
        stage
    }

    pub(crate) fn says(&mut self, text: &str) {
        std::io::Write::write_all(&mut self.peer, text.as_bytes()).unwrap();
    }

    /// The peer vanishes without a farewell: its kernel answers with a reset.
    pub(crate) fn breaks(&mut self) {
        socket2::SockRef::from(&self.peer).set_linger(Some(Duration::ZERO)).unwrap();
        let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
        self.peer = TcpStream::connect(elsewhere.local_addr().unwrap()).unwrap();
    }

    pub(crate) fn credits(&self, order: Order, elements_max: usize) {
        self.receiver.give(Credit { order, elements_max }).unwrap();
    }

    /// The next batch, each event in a word.
    pub(crate) async fn batch(&self) -> Vec<String> {
        let next = tokio::time::timeout(LONG * 100, self.c2s.next()).await;
        next.unwrap().0.iter().map(describe).collect()
    }

    /// Gives credit for more of the same, and takes the batch.
    pub(crate) async fn reads(&self, elements_max: usize) -> Vec<String> {
        self.credits(Order::Continue, elements_max);
        self.batch().await
    }

    /// What has come without being waited for.
    pub(crate) async fn nothing_comes(&self) {
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert!(self.c2s.take().is_empty());
    }

    /// Waits until the receiver has ended, for so long by the real clock, also where tokio's stands still.
    pub(crate) async fn ends(&self) {
        let began = std::time::Instant::now();
        while self.receiver.is_open() {
            assert!(began.elapsed() < LONG, "the receiver does not end");
            tokio::task::yield_now().await;
        }
    }
}

fn describe(event: &Event) -> String {
    match event {
        Event::HeaderRead(_) => "header".to_owned(),
        Event::ElementRead(fragment) => fragment.attribute("id").unwrap_or(fragment.name()).to_owned(),
        Event::StreamEnded => "end".to_owned(),
        Event::Refused(_) => "refused".to_owned(),
        Event::BytesBehindStartTls => "behind".to_owned(),
        Event::TlsStarted(_) => "tls".to_owned(),
        Event::Lost(loss) => format!("{loss:?}"),
    }
}
