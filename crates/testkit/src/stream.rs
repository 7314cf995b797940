//! A client's stream for programs that have thousands of them: asynchronous, plain TCP, faults instead of panics. It logs
//! in by SCRAM-SHA-1 and binds; what is said afterwards is its owner's business.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{Hash, Node, Piece, Pieces, SaltedPassword, Scram, node::escape};

/// Why a program under load ends early.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;

/// How long the server may take to answer one thing, busy with thousands of others.
const PATIENCE: Duration = Duration::from_secs(60);
const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";

/// One stream.
#[derive(Debug)]
pub struct Stream {
    socket: TcpStream,
    pieces: Pieces,
    domain: String,
    features: Node,
}

impl Stream {
    /// Connects and opens the stream.
    pub async fn connect(address: SocketAddr, domain: &str) -> Result<Stream, Fault> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let (pieces, features) = (Pieces::default(), Node::default());
        let mut stream = Stream { socket, pieces, domain: domain.to_owned(), features };
        stream.open().await?;
        Ok(stream)
    }

    /// Logs in. `salted` is kept from one login of the account to the next.
    pub async fn logs_in(
        &mut self,
        user: &str,
        password: &str,
        salted: &mut Option<SaltedPassword>,
    ) -> Result<(), Fault> {
        let mut scram = Scram::new(Hash::Sha1, user, &format!("nonce-of-{user}"));
        let first = scram.first();
        let auth = format!("<auth xmlns='{SASL}' mechanism='SCRAM-SHA-1'>{first}</auth>");
        let challenge = self.asks(&auth, "challenge").await?;
        let answer = scram.answer(&challenge.text, password, salted)?;
        let success = self.asks(&format!("<response xmlns='{SASL}'>{answer}</response>"), "success").await?;
        if !scram.verifies(&success.text) {
            return Err("the server's signature is wrong".into());
        }
        self.open().await
    }

    /// Binds this resource; what is to follow at once is said in the same breath.
    pub async fn binds(&mut self, resource: &str, and: &str) -> Result<(), Fault> {
        let resource = escape(resource);
        let bind = format!(
            "<iq type='set' id='bind'><bind xmlns='{BIND}'><resource>{resource}</resource></bind></iq>{and}"
        );
        self.asks(&bind, "iq").await.map(drop)
    }

    async fn open(&mut self) -> Result<(), Fault> {
        let domain = escape(&self.domain);
        self.says(&format!(
            "<stream:stream to='{domain}' version='1.0' xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams'>"
        ))
        .await?;
        match self.piece().await? {
            Some(Piece::Header(_)) => {}
            piece => return Err(format!("no stream header: {piece:?}").into()),
        }
        match self.piece().await? {
            Some(Piece::Element(node)) if node.name == "stream:features" => self.features = node,
            piece => return Err(format!("no stream features: {piece:?}").into()),
        }
        Ok(())
    }

    /// The features of the last stream header.
    pub fn features(&self) -> &Node {
        &self.features
    }

    async fn asks(&mut self, text: &str, wanted: &str) -> Result<Node, Fault> {
        self.says(text).await?;
        match self.piece().await? {
            Some(Piece::Element(node)) if node.name == wanted && node.attribute("type") != Some("error") => {
                Ok(node)
            }
            piece => Err(format!("no {wanted}: {piece:?}").into()),
        }
    }

    /// Sends text as it is.
    pub async fn says(&mut self, text: &str) -> Result<(), Fault> {
        Ok(tokio::time::timeout(PATIENCE, self.socket.write_all(text.as_bytes())).await??)
    }

    /// The next piece; `None` when the server has closed the connection.
    pub async fn piece(&mut self) -> Result<Option<Piece>, Fault> {
        loop {
            if let Some(piece) = self.pieces.next_piece()? {
                return Ok(Some(piece));
            }
            let mut buffer = [0; 4096];
            match tokio::time::timeout(PATIENCE, self.socket.read(&mut buffer)).await?? {
                0 => return Ok(None),
                count => self.pieces.push(&buffer[..count]),
            }
        }
    }

    /// Hands the connection on, and what has been read of it.
    pub fn into_parts(self) -> (TcpStream, Pieces) {
        (self.socket, self.pieces)
    }
}
