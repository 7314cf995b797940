//! A client's way from an open connection to a session, as a state machine: pieces in, bytes and a next step out.
//! No socket and no clock in it.
//!
//! Stream, STARTTLS if asked for, SASL, new stream, bind, session if the server insists (RFC 3921), stream management if
//! asked for (XEP-0198), roster, presence.
//! The requests' ids are `bind`, `session` and `roster`, so that a reference server may answer them from a can.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    element::{Tag, child, children, condition, escape, text},
    fault::Fault,
    managed,
    scram::{KeyCache, Scram, ScramHash},
};

const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";

/// How to prove who one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// SCRAM with this hash.
    Scram(ScramHash),
    /// The password as it is.
    Plain,
}

impl Mechanism {
    fn name(self) -> &'static str {
        match self {
            Mechanism::Scram(hash) => hash.mechanism(),
            Mechanism::Plain => "PLAIN",
        }
    }
}

/// What all logins of a run have in common.
#[derive(Clone, Debug)]
pub struct Account {
    /// Accounts are named by this and a number.
    pub prefix: String,
    /// The number of the first.
    pub first: usize,
    /// The server's domain.
    pub domain: String,
    /// The resource that is asked for.
    pub resource: String,
    /// The password of all.
    pub password: String,
    /// How they log in.
    pub mechanism: Mechanism,
    /// Whether a stream must go over to TLS before it logs in.
    pub starttls: bool,
    /// Whether it enables stream management, with resumption.
    pub managed: bool,
}

impl Account {
    /// The name of the account of a session.
    pub fn user(&self, index: usize) -> String {
        format!("{}{}", self.prefix, self.first + index)
    }

    /// The full address of a session, if the server binds what is asked for.
    pub fn jid(&self, index: usize) -> String {
        format!("{}@{}/{}", self.user(index), self.domain, self.resource)
    }
}

/// What is to be done after a piece was taken; what is to be sent stands in the out buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Wait for the next piece.
    Wait,
    /// Begin TLS, then [`Login::open`] anew.
    StartTls,
    /// A new stream begins: the server's header comes next.
    NewStream,
    /// Stream management is enabled: what comes next is counted.
    Managed,
    /// The session stands: its address, and how many entries its roster has.
    Done(String, usize),
}

/// What is waited for.
#[derive(Debug)]
enum Stage {
    Features,
    Proceed,
    Challenge(Scram),
    Success,
    FeaturesAgain,
    Bound { needs_session: bool },
    Session { jid: String },
    Enabled { jid: String },
    Roster { jid: String },
}

/// One login on its way.
#[derive(Debug)]
pub struct Login {
    stage: Stage,
    wants_tls: bool,
}

impl Login {
    /// A login; says the stream header.
    pub fn new(account: &Account, out: &mut Vec<u8>) -> Login {
        let login = Login { stage: Stage::Features, wants_tls: account.starttls };
        Login::open(account, out);
        login
    }

    /// Says a stream header.
    pub fn open(account: &Account, out: &mut Vec<u8>) {
        out.extend_from_slice(b"<?xml version='1.0'?><stream:stream to='");
        escape(&account.domain, out);
        out.extend_from_slice(
            b"' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
        );
    }

    /// What it waits for, in words.
    pub fn waits_for(&self) -> &'static str {
        match self.stage {
            Stage::Features | Stage::FeaturesAgain => "stream features",
            Stage::Proceed => "<proceed/>",
            Stage::Challenge(_) => "<challenge/>",
            Stage::Success => "<success/>",
            Stage::Bound { .. } => "bound resource",
            Stage::Session { .. } => "session",
            Stage::Enabled { .. } => "<enabled/>",
            Stage::Roster { .. } => "roster",
        }
    }

    /// Takes the next element of the session with this index.
    pub fn on(
        &mut self,
        element: &[u8],
        account: &Account,
        index: usize,
        cache: &mut KeyCache,
        out: &mut Vec<u8>,
    ) -> Result<Next, Fault> {
        let Some(tag) = Tag::first(element) else { return Err(self.unexpected(element)) };
        if tag.name == "error" {
            return Err(Fault::StreamError(condition(element)));
        }
        // What is no answer (a presence, a message from the offline store) may come between.
        let is_answer = tag.attribute("id").is_some_and(|id| ["bind", "session", "roster"].contains(&&*id));
        if ["iq", "presence", "message"].contains(&tag.name) && !is_answer {
            return Ok(Next::Wait);
        }
        match (&mut self.stage, tag.name) {
            (Stage::Features, "features") => self.features(element, account, index, out),
            (Stage::Proceed, "proceed") => {
                (self.stage, self.wants_tls) = (Stage::Features, false);
                Ok(Next::StartTls)
            }
            (Stage::Challenge(scram), "challenge") => {
                let challenge = text(element);
                let answer = if scram.is_answered() {
                    // The server's signature in a challenge of its own, answered by nothing.
                    scram.verify(&challenge)?;
                    self.stage = Stage::Success;
                    String::new()
                } else {
                    scram.answer(&challenge, &account.password, cache)?
                };
                out.extend_from_slice(format!("<response xmlns='{SASL}'>{answer}</response>").as_bytes());
                Ok(Next::Wait)
            }
            (Stage::Challenge(scram), "success") => {
                scram.verify(&text(element))?;
                self.new_stream(account, out)
            }
            (Stage::Success, "success") => self.new_stream(account, out),
            (Stage::Challenge(_) | Stage::Success, "failure") => Err(Fault::Refused(condition(element))),
            (Stage::FeaturesAgain, "features") => self.bind(element, account, out),
            (Stage::Enabled { jid }, "enabled") => {
                let jid = std::mem::take(jid);
                self.ask_roster(jid, out);
                Ok(Next::Managed)
            }
            (Stage::Enabled { .. }, "failed") => {
                Err(Fault::RequestRefused("stream management", condition(element)))
            }
            (Stage::Bound { .. } | Stage::Session { .. } | Stage::Roster { .. }, "iq") => {
                self.answered(&tag, element, account, index, out)
            }
            _ => Err(self.unexpected(element)),
        }
    }

    fn unexpected(&self, element: &[u8]) -> Fault {
        let got: String = String::from_utf8_lossy(element).chars().take(120).collect();
        Fault::Unexpected(self.waits_for(), got)
    }

    fn new_stream(&mut self, account: &Account, out: &mut Vec<u8>) -> Result<Next, Fault> {
        self.stage = Stage::FeaturesAgain;
        Login::open(account, out);
        Ok(Next::NewStream)
    }

    fn features(
        &mut self,
        features: &[u8],
        account: &Account,
        index: usize,
        out: &mut Vec<u8>,
    ) -> Result<Next, Fault> {
        if self.wants_tls {
            if child(features, "starttls").is_none() {
                return Err(Fault::NotOffered("STARTTLS".to_owned()));
            }
            out.extend_from_slice(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
            self.stage = Stage::Proceed;
            return Ok(Next::Wait);
        }
        let name = account.mechanism.name();
        let offered: Vec<String> = child(features, "mechanisms")
            .map(|mechanisms| children(mechanisms).into_iter().map(text).collect())
            .unwrap_or_default();
        if !offered.iter().any(|offered| offered == name) {
            return Err(Fault::NotOffered(format!("{name}, but [{}]", offered.join(" "))));
        }
        let user = account.user(index);
        let first = match account.mechanism {
            Mechanism::Scram(hash) => {
                let nonce = format!("{:032x}", rand::random::<u128>());
                let scram = Scram::new(hash, &user, nonce);
                let first = scram.first();
                self.stage = Stage::Challenge(scram);
                first
            }
            Mechanism::Plain => {
                self.stage = Stage::Success;
                STANDARD.encode(format!("\0{user}\0{}", account.password))
            }
        };
        out.extend_from_slice(format!("<auth xmlns='{SASL}' mechanism='{name}'>{first}</auth>").as_bytes());
        Ok(Next::Wait)
    }

    fn bind(&mut self, features: &[u8], account: &Account, out: &mut Vec<u8>) -> Result<Next, Fault> {
        if child(features, "bind").is_none() {
            return Err(Fault::NotOffered("resource binding".to_owned()));
        }
        if account.managed && !managed::is_offered(features) {
            return Err(Fault::NotOffered("stream management".to_owned()));
        }
        let session = child(features, "session");
        let needs_session = session.is_some_and(|session| child(session, "optional").is_none());
        out.extend_from_slice(
            b"<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>",
        );
        escape(&account.resource, out);
        out.extend_from_slice(b"</resource></bind></iq>");
        self.stage = Stage::Bound { needs_session };
        Ok(Next::Wait)
    }

    fn answered(
        &mut self,
        tag: &Tag<'_>,
        iq: &[u8],
        account: &Account,
        index: usize,
        out: &mut Vec<u8>,
    ) -> Result<Next, Fault> {
        let is_error = tag.attribute("type").is_some_and(|kind| kind == "error");
        let refused = |what| {
            let error = child(iq, "error").map_or_else(|| "no condition".to_owned(), condition);
            Err(Fault::RequestRefused(what, error))
        };
        match &mut self.stage {
            Stage::Bound { .. } if is_error => return refused("bind"),
            Stage::Session { .. } if is_error => return refused("session"),
            Stage::Bound { needs_session } => {
                let jid = child(iq, "bind").and_then(|bind| child(bind, "jid")).map(text);
                let jid = jid.unwrap_or_else(|| account.jid(index));
                if *needs_session {
                    out.extend_from_slice(
                        b"<iq type='set' id='session'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>",
                    );
                    self.stage = Stage::Session { jid };
                } else {
                    self.stands(jid, account, out);
                }
            }
            Stage::Session { jid } => {
                let jid = std::mem::take(jid);
                self.stands(jid, account, out);
            }
            // A server without rosters says so, which is an answer too.
            Stage::Roster { jid } => {
                out.extend_from_slice(b"<presence/>");
                let contacts = child(iq, "query").map_or(0, |query| children(query).len());
                return Ok(Next::Done(std::mem::take(jid), contacts));
            }
            _ => return Err(self.unexpected(iq)),
        }
        Ok(Next::Wait)
    }

    /// The session stands: what is enabled before anything else is said.
    fn stands(&mut self, jid: String, account: &Account, out: &mut Vec<u8>) {
        if account.managed {
            managed::enable(out);
            self.stage = Stage::Enabled { jid };
        } else {
            self.ask_roster(jid, out);
        }
    }

    fn ask_roster(&mut self, jid: String, out: &mut Vec<u8>) {
        out.extend_from_slice(b"<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>");
        self.stage = Stage::Roster { jid };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(mechanism: Mechanism, starttls: bool) -> Account {
        Account {
            prefix: "u".to_owned(),
            first: 5,
            domain: "localhost".to_owned(),
            resource: "load".to_owned(),
            password: "secret".to_owned(),
            mechanism,
            starttls,
            managed: false,
        }
    }

    /// Plays a login: each line is what the server says and what must be in the client's answer.
    fn check(account: &Account, lines: &[(&str, &str)]) -> Result<Next, Fault> {
        let (mut out, mut cache) = (Vec::new(), KeyCache::default());
        let mut login = Login::new(account, &mut out);
        let mut last = Next::Wait;
        for (says, answer) in lines {
            out.clear();
            last = login.on(says.as_bytes(), account, 2, &mut cache, &mut out)?;
            let said = String::from_utf8_lossy(&out);
            assert!(said.contains(answer), "to {says}: {said}");
            assert_eq!(said.is_empty(), answer.is_empty(), "to {says}: {said}");
        }
        Ok(last)
    }

    const PLAIN: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
        <mechanism>SCRAM-SHA-1</mechanism><mechanism>PLAIN</mechanism></mechanisms></stream:features>";

    #[test]
    fn a_plain_login_binds_and_takes_an_error_for_a_roster() {
        let jid = "<iq type='result' id='bind'><bind xmlns='b'><jid>u7@localhost/other</jid></bind></iq>";
        let done = check(
            &account(Mechanism::Plain, false),
            &[
                (PLAIN, "mechanism='PLAIN'>AHU3AHNlY3JldA==<"),
                ("<success xmlns='s'/>", "<stream:stream to='localhost'"),
                (
                    "<stream:features><bind/><session><optional/></session></stream:features>",
                    "<resource>load<",
                ),
                ("<presence from='x'/>", ""),
                (jid, "jabber:iq:roster"),
                ("<iq type='error' id='roster'><error/></iq>", "<presence/>"),
            ],
        );
        assert_eq!(done.unwrap(), Next::Done("u7@localhost/other".to_owned(), 0));
    }

    #[test]
    fn a_session_is_asked_for_where_the_server_insists() {
        let done = check(
            &account(Mechanism::Plain, true),
            &[
                ("<features><starttls xmlns='t'><required/></starttls></features>", "<starttls"),
                ("<proceed xmlns='t'/>", ""),
                (PLAIN, "PLAIN"),
                ("<success xmlns='s'/>", "<stream:stream"),
                ("<features><bind/><session/></features>", "id='bind'"),
                ("<iq type='result' id='bind'/>", "id='session'"),
                ("<iq type='result' id='session'/>", "id='roster'"),
                ("<iq type='result' id='roster'><query><item/><item/></query></iq>", "<presence/>"),
            ],
        );
        assert_eq!(done.unwrap(), Next::Done("u7@localhost/load".to_owned(), 2));
    }

    #[test]
    fn stream_management_is_enabled_before_anything_else_is_asked() {
        let managed = Account { managed: true, ..account(Mechanism::Plain, false) };
        let until_bound = [
            (PLAIN, "PLAIN"),
            ("<success/>", "<stream:stream"),
            ("<features><sm xmlns='urn:xmpp:sm:3'/><bind/></features>", "id='bind'"),
            ("<iq type='result' id='bind'/>", "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"),
        ];
        let play = |more: &[(&str, &str)]| check(&managed, &[&until_bound[..], more].concat());
        let enabled = ("<enabled xmlns='urn:xmpp:sm:3' id='x' resume='true'/>", "id='roster'");
        assert_eq!(play(&[enabled]).unwrap(), Next::Managed);
        let done = play(&[enabled, ("<iq type='result' id='roster'><query/></iq>", "<presence/>")]);
        assert_eq!(done.unwrap(), Next::Done("u7@localhost/load".to_owned(), 0));
        let failed = "<failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='s'/></failed>";
        let refused = play(&[(failed, "")]).unwrap_err().to_string();
        assert_eq!(refused, "stream management refused: unexpected-request");
        let older = "<features><sm xmlns='urn:xmpp:sm:2'/><bind/></features>";
        let refused = check(&managed, &[&until_bound[..2], &[(older, "")]].concat()).unwrap_err();
        assert!(refused.to_string().contains("does not offer stream management"), "{refused}");
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let plain = account(Mechanism::Plain, false);
        let said = |lines: &[(&str, &str)], account| check(account, lines).unwrap_err().to_string();
        let failure = "<failure xmlns='s'><not-authorized/><text>No.</text></failure>";
        assert_eq!(said(&[(PLAIN, "PLAIN"), (failure, "")], &plain), "login refused: not-authorized: No.");
        assert_eq!(
            said(&[("<stream:error><host-unknown/></stream:error>", "")], &plain),
            "stream error host-unknown"
        );
        let scram = account(Mechanism::Scram(ScramHash::Sha256), false);
        assert_eq!(
            said(&[(PLAIN, "")], &scram),
            "the server does not offer SCRAM-SHA-256, but [SCRAM-SHA-1 PLAIN]"
        );
        let starttls = account(Mechanism::Plain, true);
        assert_eq!(said(&[(PLAIN, "")], &starttls), "the server does not offer STARTTLS");
        let error = "<iq type='error' id='bind'><error type='cancel'><conflict/></error></iq>";
        let bind = [(PLAIN, "P"), ("<success/>", "<"), ("<features><bind/></features>", "<"), (error, "")];
        assert_eq!(said(&bind, &plain), "bind refused: conflict");
    }

    #[test]
    fn a_success_without_the_servers_signature_is_refused() {
        let scram = account(Mechanism::Scram(ScramHash::Sha1), false);
        let outcome = check(&scram, &[(PLAIN, "SCRAM-SHA-1"), ("<success xmlns='s'/>", "")]);
        assert!(matches!(outcome, Err(Fault::Scram(_))), "{outcome:?}");
    }
}
