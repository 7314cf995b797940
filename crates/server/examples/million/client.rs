//! One client at its end of a connection, while it says something.

use std::{
    future::poll_fn,
    io::{self, ErrorKind},
    time::Duration,
};

use rjabberd_testkit::{Hash, Node, Piece, Pieces, SaltedPassword, Scram};
use rjabberd_transport::memory::End;

use crate::{Fault, one_key::PASSWORD};

/// How long the server may take to answer one thing.
const PATIENCE: Duration = Duration::from_secs(60);
const HEADER: &str = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
                      xmlns:stream='http://etherx.jabber.org/streams'>";
const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";

/// A client that talks.
pub(crate) struct Client<'a> {
    end: &'a End,
    pieces: Pieces,
}

impl Client<'_> {
    pub(crate) fn new(end: &End) -> Client<'_> {
        Client { end, pieces: Pieces::default() }
    }

    pub(crate) async fn says(&self, text: &str) -> Result<(), Fault> {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            match self.end.try_write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    in_time(poll_fn(|context| self.end.poll_write_ready(context))).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The next element, which must be of this name.
    pub(crate) async fn takes(&mut self, name: &str) -> Result<Node, Fault> {
        loop {
            match self.pieces.next_piece()? {
                Some(Piece::Header(_)) => {}
                Some(Piece::Element(node))
                    if node.name == name && node.attribute("type") != Some("error") =>
                {
                    return Ok(node);
                }
                Some(piece) => return Err(format!("wanted {name}, got {piece:?}").into()),
                None => self.read().await?,
            }
        }
    }

    async fn read(&mut self) -> Result<(), Fault> {
        let mut buffer = [0; 4096];
        match self.end.try_read(&mut buffer) {
            Ok(0) => return Err("the server has ended the stream".into()),
            Ok(count) => self.pieces.push(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                in_time(poll_fn(|context| self.end.poll_read_ready(context))).await?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Logs in, binds a resource and becomes available.
    pub(crate) async fn logs_in(&mut self, number: usize, salted: SaltedPassword) -> Result<(), Fault> {
        let mut scram = Scram::new(Hash::Sha1, &format!("user{number}"), &format!("nonce{number}"));
        self.says(HEADER).await?;
        self.takes("stream:features").await?;
        self.says(&format!("<auth xmlns='{SASL}' mechanism='SCRAM-SHA-1'>{}</auth>", scram.first())).await?;
        let challenge = self.takes("challenge").await?;
        let answer = scram.answer(&challenge.text, PASSWORD, &mut Some(salted))?;
        self.says(&format!("<response xmlns='{SASL}'>{answer}</response>")).await?;
        let success = self.takes("success").await?;
        if !scram.verifies(&success.text) {
            return Err("the server's signature is wrong".into());
        }
        self.says(HEADER).await?;
        self.takes("stream:features").await?;
        let bind =
            format!("<iq type='set' id='bind'><bind xmlns='{BIND}'><resource>balcony</resource></bind></iq>");
        self.says(&(bind + "<presence><show>away</show><status>at the window</status></presence>")).await?;
        self.takes("iq").await?;
        Ok(())
    }
}

async fn in_time(ready: impl Future<Output = io::Result<()>>) -> Result<(), Fault> {
    Ok(tokio::time::timeout(PATIENCE, ready).await??)
}
