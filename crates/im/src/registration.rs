//! In-Band Registration (XEP-0077): creating an account before authentication; changing its password and removing it
//! from a session. Wired only where the config turns it on.
//!
//! It asks for a user name and a password and nothing else, and has no form and no error codes from before RFC 6120.
//! How often somebody may register is decided before it is asked, by stream and by address.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rjabberd_xml::Element;
use rjabberd_xmpp::{BareJid, Condition, FullJid, StanzaError, address, ns};
use zeroize::Zeroizing;

use crate::services::{Feature, Question, Reply, Sender, Target};

/// Why something was not done with an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountError {
    /// It exists already.
    Exists,
    /// It does not exist.
    Unknown,
    /// The password is empty, too long, or holds characters that are not allowed.
    BadPassword,
    /// Not with this account.
    Forbidden,
    /// With no account: the config forbids it.
    NotAllowed,
    /// Too much at a time: to be tried again later.
    Busy,
    /// The store failed.
    Failed,
}

/// What registration needs of the store and of the session registry. A deed is on its way when its method returns,
/// and answered when it is on the disk.
pub trait Accounts: Send + Sync {
    /// Creates an account.
    fn create(
        &self,
        account: BareJid,
        password: Zeroizing<String>,
    ) -> BoxFuture<'static, Result<(), AccountError>>;

    /// Gives an account another password, then ends its sessions but that of `asker`.
    fn change_password(
        &self,
        account: BareJid,
        password: Zeroizing<String>,
        asker: FullJid,
    ) -> BoxFuture<'static, Result<(), AccountError>>;

    /// Removes an account, then ends its sessions; `asker` is the one whose result must be written before it ends.
    fn remove(&self, account: BareJid, asker: FullJid) -> BoxFuture<'static, Result<(), AccountError>>;
}

pub(crate) struct Registration {
    accounts: Arc<dyn Accounts>,
}

impl Registration {
    pub(crate) fn new(accounts: Arc<dyn Accounts>) -> Registration {
        Registration { accounts }
    }

    /// XEP-0077, 3.1, for a stream that is nobody yet.
    fn answer_stranger(&self, question: &Question<'_>) -> Reply {
        if !question.set {
            return Reply::result(fields("Choose a user name and a password.", None));
        }
        if has(question.payload, "remove") {
            return Reply::error(Condition::UnexpectedRequest);
        }
        // XEP-0077, 3.1: an empty field counts as missing.
        let (Some(username), Some(password)) = (username(question.payload), password(question.payload))
        else {
            return not_acceptable("A user name and a password are needed.");
        };
        match address::account(&username, question.host) {
            Ok(account) => later(self.accounts.create(account, password)),
            Err(_) => not_acceptable("The user name holds characters that are not allowed."),
        }
    }

    /// XEP-0077, 3.1 to 3.3, for an account that is logged in.
    fn answer_session(&self, question: &Question<'_>, session: &FullJid) -> Reply {
        // One registers with one's own server only.
        if question.host != session.domain().as_str() {
            return Reply::error(Condition::NotAllowed);
        }
        if !question.set {
            let username = session.node().map(|node| node.as_str()).unwrap_or_default();
            return Reply::result(fields(
                "You are registered. You may change your password.",
                Some(username),
            ));
        }
        if has(question.payload, "remove") {
            return self.remove(question.payload, session);
        }
        let (Some(username), Some(password)) = (username(question.payload), password(question.payload))
        else {
            return Reply::error(Condition::BadRequest);
        };
        match address::account(&username, question.host) {
            Ok(account) if account == session.to_bare() => {
                later(self.accounts.change_password(account, password, session.clone()))
            }
            // XEP-0077, 3.1.1: a second identity.
            _ => not_acceptable("Log out to register another account."),
        }
    }

    fn remove(&self, query: &Element, session: &FullJid) -> Reply {
        // XEP-0077, 3.2: the only child element.
        if query.children().count() != 1 {
            return Reply::error(Condition::BadRequest);
        }
        later(self.accounts.remove(session.to_bare(), session.clone()))
    }
}

impl Feature for Registration {
    fn namespace(&self) -> &'static str {
        ns::REGISTER
    }

    fn serves(&self, target: Target) -> bool {
        target != Target::OtherAccount
    }

    /// They are not registered, and must log out to register.
    fn serves_guests(&self, _set: bool) -> bool {
        false
    }

    fn answer(&self, question: &Question<'_>) -> Reply {
        if question.payload.name() != "query" {
            return Reply::error(Condition::FeatureNotImplemented);
        }
        match question.sender {
            Sender::Stream { .. } => self.answer_stranger(question),
            Sender::Session(session) => self.answer_session(question, session),
        }
    }
}

/// What is asked for; with the name on file if there is one. The password is never given out.
fn fields(instructions: &str, registered: Option<&str>) -> Element {
    let field = |name: &str| Element::new(name, ns::REGISTER);
    let mut query = field("query");
    if registered.is_some() {
        query.push(field("registered"));
    }
    query
        .with_child(field("instructions").with_text(instructions))
        .with_child(field("username").with_text(registered.unwrap_or_default()))
        .with_child(field("password"))
}

fn has(query: &Element, name: &str) -> bool {
    query.child(name, ns::REGISTER).is_some()
}

fn username(query: &Element) -> Option<String> {
    query.child("username", ns::REGISTER).map(Element::text).filter(|text| !text.is_empty())
}

fn password(query: &Element) -> Option<Zeroizing<String>> {
    let text = query.child("password", ns::REGISTER).map(|field| Zeroizing::new(field.text()));
    text.filter(|text| !text.is_empty())
}

fn not_acceptable(text: &'static str) -> Reply {
    Reply::Now(Err(StanzaError::new(Condition::NotAcceptable).with_text(text)))
}

fn later(deed: BoxFuture<'static, Result<(), AccountError>>) -> Reply {
    Reply::Later(deed.map(|done| done.map(|()| None).map_err(stanza_error)).boxed())
}

fn stanza_error(error: AccountError) -> StanzaError {
    match error {
        AccountError::Exists => StanzaError::new(Condition::Conflict),
        AccountError::Unknown => StanzaError::new(Condition::RegistrationRequired),
        AccountError::BadPassword => StanzaError::new(Condition::NotAcceptable)
            .with_text("The password is too long or holds characters that are not allowed."),
        AccountError::Forbidden => StanzaError::new(Condition::Forbidden),
        AccountError::NotAllowed => StanzaError::new(Condition::NotAllowed),
        AccountError::Busy => StanzaError::new(Condition::ResourceConstraint),
        AccountError::Failed => StanzaError::new(Condition::InternalServerError),
    }
}
