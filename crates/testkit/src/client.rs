//! A small blocking XMPP client for tests: says what it is told, compares what it hears.

use std::{
    io::{self, Write},
    net::SocketAddr,
    thread::JoinHandle,
    time::Instant,
};

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    Hash, Node, PATIENCE, Piece, Pieces, Scram,
    node::escape,
    wire::{Got, Wire},
};

/// One connection of a client. All waits end after [`PATIENCE`]; all failures show what was said so far.
pub struct Client {
    name: String,
    host: String,
    wire: Option<Wire>,
    pieces: Pieces,
    transcript: String,
    features: Node,
    jid: String,
    asked: u32,
}

impl Client {
    /// Connects; nothing is said yet.
    #[track_caller]
    pub fn connect(name: &str, address: SocketAddr, host: &str) -> Client {
        let wire = Wire::connect(address).unwrap_or_else(|error| panic!("{name} cannot connect: {error}"));
        Client {
            name: name.to_owned(),
            host: host.to_owned(),
            wire: Some(wire),
            pieces: Pieces::default(),
            transcript: String::new(),
            features: Node::default(),
            jid: String::new(),
            asked: 0,
        }
    }

    /// Connects to a listener with TLS from the first byte.
    #[track_caller]
    pub fn connect_tls(name: &str, address: SocketAddr, host: &str) -> Client {
        let mut client = Client::connect(name, address, host);
        client.shake_hands();
        client
    }

    /// The full JID, once bound.
    pub fn jid(&self) -> &str {
        &self.jid
    }

    /// The features of the last stream header.
    pub fn features(&self) -> &Node {
        &self.features
    }

    /// What was said so far.
    pub fn transcript(&self) -> &str {
        &self.transcript
    }

    /// Sends text as it is.
    #[track_caller]
    pub fn sends(&mut self, text: &str) -> &mut Client {
        self.sends_bytes(text.as_bytes())
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn sends_bytes(&mut self, bytes: &[u8]) -> &mut Client {
        self.note("->", &String::from_utf8_lossy(bytes));
        if let Err(error) = self.wire().write(bytes) {
            self.fail(&format!("cannot send: {error}"));
        }
        self
    }

    /// Sends bytes that the server may refuse half-way by closing the connection.
    pub fn tries_to_send(&mut self, bytes: &[u8]) -> &mut Client {
        self.note("->", &String::from_utf8_lossy(bytes));
        let _ = self.wire().write(bytes);
        self
    }

    /// Sends bytes from a thread of its own, so that this client can read meanwhile. Not under TLS.
    #[track_caller]
    pub fn sends_meanwhile(&mut self, bytes: Vec<u8>) -> JoinHandle<io::Result<()>> {
        self.note("->", &String::from_utf8_lossy(&bytes));
        let Wire::Plain(socket) = self.wire() else { panic!("cannot send meanwhile under TLS") };
        let mut socket = socket.try_clone().expect("a socket can be cloned");
        std::thread::spawn(move || socket.write_all(&bytes))
    }

    /// The next element must match this template (see [`Node::matches`]).
    #[track_caller]
    pub fn gets(&mut self, template: &str) -> &mut Client {
        let wanted = Node::parse(template).unwrap_or_else(|error| panic!("bad template {template}: {error}"));
        let got = self.takes();
        if !got.matches(&wanted) {
            self.fail(&format!("wanted {template}"));
        }
        self
    }

    /// One of the next elements must match this template; those before it are skipped.
    #[track_caller]
    pub fn gets_at_last(&mut self, template: &str) -> &mut Client {
        let wanted = Node::parse(template).unwrap_or_else(|error| panic!("bad template {template}: {error}"));
        while !self.takes().matches(&wanted) {}
        self
    }

    /// The next elements must match these templates, in any order.
    #[track_caller]
    pub fn gets_all(&mut self, templates: &[&str]) -> &mut Client {
        let mut wanted: Vec<Node> = templates
            .iter()
            .map(|template| Node::parse(template).expect("the template is an element"))
            .collect();
        while !wanted.is_empty() {
            let got = self.takes();
            match wanted.iter().position(|template| got.matches(template)) {
                Some(index) => drop(wanted.remove(index)),
                None => self.fail(&format!("still wanted {wanted:?}")),
            }
        }
        self
    }

    /// The next element.
    #[track_caller]
    pub fn takes(&mut self) -> Node {
        match self.piece() {
            Some(Piece::Element(node)) => node,
            Some(piece) => self.fail(&format!("wanted an element, got {piece:?}")),
            None => self.fail("wanted an element, the connection is closed"),
        }
    }

    /// All elements that came before a message of this client to itself: whatever the server had taken for it before
    /// this is called, and the answers to what it sent itself. The request before it is answered when what it sent is
    /// where it is kept.
    #[track_caller]
    pub fn collects(&mut self) -> Vec<Node> {
        self.asked += 1;
        let id = format!("end-{}", self.asked);
        let to = escape(&self.jid);
        let mut elements = Vec::new();
        self.sends(&format!("<iq type='get' id='{id}'><ping xmlns='urn:xmpp:ping'/></iq>"));
        self.collects_until("iq", &id, &mut elements);
        self.sends(&format!("<message to='{to}' id='{id}'/>"));
        self.collects_until("message", &id, &mut elements);
        elements
    }

    #[track_caller]
    fn collects_until(&mut self, name: &str, id: &str, elements: &mut Vec<Node>) {
        loop {
            let element = self.takes();
            if element.name == name && element.attribute("id") == Some(id) {
                return;
            }
            elements.push(element);
        }
    }

    /// All elements that came of what this client sent, also where that had to be committed: whoever else is to hear of
    /// it has it in his mailbox.
    #[track_caller]
    pub fn settles(&mut self) -> Vec<Node> {
        self.asked += 1;
        let id = format!("settled-{}", self.asked);
        self.sends(&format!("<iq type='get' id='{id}'><ping xmlns='urn:xmpp:ping'/></iq>"));
        let mut elements = Vec::new();
        loop {
            let element = self.takes();
            if element.name == "iq" && element.attribute("id") == Some(&id) {
                break;
            }
            elements.push(element);
        }
        elements.extend(self.collects());
        elements
    }

    /// Nothing has come for this client (see [`Client::collects`]).
    #[track_caller]
    pub fn gets_nothing(&mut self) -> &mut Client {
        let elements = self.collects();
        if !elements.is_empty() {
            self.fail(&format!("wanted nothing, got {elements:?}"));
        }
        self
    }

    /// Everything that came so far is thrown away.
    #[track_caller]
    pub fn forgets(&mut self) -> &mut Client {
        self.collects();
        self
    }

    /// The next thing is this stream error, then the end of stream and connection.
    #[track_caller]
    pub fn gets_stream_error(&mut self, condition: &str) -> &mut Client {
        let template = format!(
            "<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
        );
        self.gets(&template).gets_end()
    }

    /// Next, the server ends its stream and closes the connection.
    #[track_caller]
    pub fn gets_end(&mut self) -> &mut Client {
        match self.piece() {
            Some(Piece::End) => self.gets_closed(),
            piece => self.fail(&format!("wanted the end of the stream, got {piece:?}")),
        }
    }

    /// Next, the server closes the connection.
    #[track_caller]
    pub fn gets_closed(&mut self) -> &mut Client {
        if let Some(piece) = self.piece() {
            self.fail(&format!("wanted the connection to close, got {piece:?}"));
        }
        if !self.pieces.waiting_text().trim().is_empty() {
            self.fail("the connection closed within an element");
        }
        self
    }

    /// Everything that comes until the server closes the connection.
    #[track_caller]
    pub fn everything(&mut self) -> Vec<Piece> {
        std::iter::from_fn(|| self.piece()).collect()
    }

    /// Sends a stream header.
    #[track_caller]
    pub fn sends_header(&mut self) -> &mut Client {
        let header = format!(
            "<?xml version='1.0'?><stream:stream to='{}' version='1.0' xml:lang='en' xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams'>",
            self.host
        );
        self.sends(&header)
    }

    /// The next thing is the server's stream header.
    #[track_caller]
    pub fn gets_header(&mut self) -> Node {
        match self.piece() {
            Some(Piece::Header(header)) => header,
            piece => self.fail(&format!("wanted a stream header, got {piece:?}")),
        }
    }

    /// Sends a stream header, reads the server's and its features.
    #[track_caller]
    pub fn opens_stream(&mut self) -> &mut Client {
        self.sends_header().gets_header();
        self.gets_features()
    }

    /// The next element must be the stream features.
    #[track_caller]
    pub fn gets_features(&mut self) -> &mut Client {
        let features = self.takes();
        if features.name != "stream:features" {
            self.fail("wanted stream features");
        }
        self.features = features;
        self
    }

    /// Goes over to TLS by STARTTLS; the new stream is not opened yet.
    #[track_caller]
    pub fn starts_tls(&mut self) -> &mut Client {
        self.sends("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
            .gets("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
            .shake_hands();
        self
    }

    #[track_caller]
    fn shake_hands(&mut self) {
        let wire = self.wire.take().expect("the client has a connection");
        match wire.start_tls(&self.host) {
            Ok(wire) => self.wire = Some(wire),
            Err(error) => self.fail(&format!("no TLS: {error}")),
        }
        self.note("--", "TLS");
    }

    /// The data of `tls-exporter` (RFC 9266), which names this TLS connection.
    #[track_caller]
    pub fn exporter(&self) -> [u8; 32] {
        let exporter = self.wire.as_ref().and_then(Wire::exporter);
        exporter.unwrap_or_else(|| self.fail("there is no TLS"))
    }

    /// Logs in by PLAIN and opens the new stream.
    #[track_caller]
    pub fn logs_in_plain(&mut self, user: &str, password: &str) -> &mut Client {
        let response = STANDARD.encode(format!("\0{user}\0{password}"));
        self.sends(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{response}</auth>"
        ))
        .gets("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
        .opens_stream()
    }

    /// Logs in by SCRAM, checks the server's signature and opens the new stream.
    #[track_caller]
    pub fn logs_in(&mut self, hash: Hash, user: &str, password: &str) -> &mut Client {
        let scram = self.answers_challenge(hash, user, password);
        let outcome = self.takes();
        if outcome.name != "success" {
            self.fail("wanted success");
        }
        if !scram.verifies(&outcome.text) {
            self.fail("the server's signature is wrong");
        }
        self.opens_stream()
    }

    /// Goes through SCRAM up to the server's verdict, which is not read.
    #[track_caller]
    pub fn fails_to_log_in(&mut self, hash: Hash, user: &str, password: &str) -> &mut Client {
        self.answers_challenge(hash, user, password);
        self
    }

    #[track_caller]
    fn answers_challenge(&mut self, hash: Hash, user: &str, password: &str) -> Scram {
        let mut scram = Scram::new(hash, user, &format!("{}-nonce", self.name.replace(',', "")));
        let challenge = self
            .sends(&format!(
                "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{}'>{}</auth>",
                hash.mechanism(),
                scram.first()
            ))
            .takes();
        if challenge.name != "challenge" {
            self.fail("wanted a challenge");
        }
        let answer = match scram.answer(&challenge.text, password, &mut None) {
            Ok(answer) => answer,
            Err(error) => self.fail(&error),
        };
        self.sends(&format!("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{answer}</response>"));
        scram
    }

    /// Binds a resource, the given one or one that the server makes.
    #[track_caller]
    pub fn binds(&mut self, resource: Option<&str>) -> &mut Client {
        let inner =
            resource.map_or_else(String::new, |name| format!("<resource>{}</resource>", escape(name)));
        let result = self
            .sends(&format!(
                "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>{inner}</bind></iq>"
            ))
            .takes();
        match result.find("jid") {
            Some(jid) if result.attribute("type") == Some("result") => self.jid = jid.text.clone(),
            _ => self.fail("wanted a bound JID"),
        }
        self
    }

    /// Sends initial presence and throws away what the server says to it.
    #[track_caller]
    pub fn is_available(&mut self, priority: i8) -> &mut Client {
        self.sends(&format!("<presence><priority>{priority}</priority></presence>")).forgets()
    }

    /// Sends a chat message.
    #[track_caller]
    pub fn says(&mut self, to: &str, body: &str) -> &mut Client {
        self.sends(&format!(
            "<message type='chat' to='{}'><body>{}</body></message>",
            escape(to),
            escape(body)
        ))
    }

    /// The next element must be a chat message with this body.
    #[track_caller]
    pub fn hears(&mut self, body: &str) -> &mut Client {
        self.gets(&format!("<message from='*'><body>{}</body></message>", escape(body)))
    }

    /// Ends the stream and waits for the server to do the same.
    #[track_caller]
    pub fn leaves(&mut self) -> &mut Client {
        self.sends("</stream:stream>");
        loop {
            match self.piece() {
                Some(Piece::End) => return self.gets_closed(),
                Some(_) => {}
                None => self.fail("the connection closed without the end of the stream"),
            }
        }
    }

    /// Shuts down the sending half of the connection.
    pub fn shuts_writing(&mut self) -> &mut Client {
        self.wire().shut_writing();
        self
    }

    /// Breaks the connection without a word.
    pub fn vanishes(&mut self) {
        self.wire = None;
    }

    /// Waits until the next element has begun to come; nothing is taken.
    #[track_caller]
    pub fn begins_to_get(&mut self) -> &mut Client {
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = [0; 64];
        while self.pieces.waiting_text().is_empty() {
            match self.wire().read(&mut buffer, deadline) {
                Ok(Got::Bytes(count)) => self.pieces.push(&buffer[..count]),
                Ok(Got::Nothing) if Instant::now() < deadline => {}
                _ => self.fail("nothing comes"),
            }
        }
        self
    }

    /// The next piece; `None` when the server has closed the connection.
    #[track_caller]
    pub fn piece(&mut self) -> Option<Piece> {
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = vec![0; 16 * 1024];
        loop {
            match self.pieces.next_piece() {
                Ok(Some(piece)) => {
                    self.note("<-", &piece.to_string());
                    return Some(piece);
                }
                Ok(None) => {}
                Err(error) => self.fail(&format!("the server sent no stream: {error}")),
            }
            match self.wire().read(&mut buffer, deadline) {
                Ok(Got::Bytes(count)) => self.pieces.push(&buffer[..count]),
                Ok(Got::End) => {
                    self.note("--", "closed");
                    return None;
                }
                Ok(Got::Nothing) if Instant::now() < deadline => {}
                Ok(Got::Nothing) => self.fail("nothing comes"),
                Err(error) => self.fail(&format!("cannot read: {error}")),
            }
        }
    }

    #[track_caller]
    fn wire(&mut self) -> &mut Wire {
        match &mut self.wire {
            Some(wire) => wire,
            None => panic!("{} has no connection any more\n{}", self.name, self.transcript),
        }
    }

    fn note(&mut self, direction: &str, text: &str) {
        const SHOWN: usize = 2000;
        let shown: String = text.chars().take(SHOWN).collect();
        let more = if text.len() > shown.len() { " …" } else { "" };
        self.transcript.push_str(&format!("{direction} {shown}{more}\n"));
    }

    #[track_caller]
    fn fail(&self, reason: &str) -> ! {
        panic!(
            "{}: {reason}\nunread: {:?}\nwhat was said:\n{}",
            self.name,
            self.pieces.waiting_text(),
            self.transcript
        )
    }
}
