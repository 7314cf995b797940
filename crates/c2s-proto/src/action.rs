//! What the machine wants done, in order; each action is complete data.

use bytes::Bytes;
use rjabberd_xml::Limits;
use rjabberd_xmpp::{
    BareJid, FullJid, Stanza, StreamCondition,
    management::{ResumptionId, Version},
    sasl::{
        ClientId, Credentials, Mechanism, PasswordCheck, SaslFailure, ScramKeys, TokenMechanism, UsedToken,
    },
};

use crate::{Ask, LostReason};

/// Deadlines that the machine sets; one of each kind at a time, a new one replaces the old.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deadline {
    /// From accept to the first stream header (30 s).
    Header,
    /// From accept to an established session (120 s), absolute: nothing restarts it.
    Negotiation,
    /// Without input on an established stream (300 s): then a ping goes out. Re-armed by the shell on input.
    Idle,
    /// From a ping to any input (60 s).
    PingAnswer,
    /// From `<r/>` to its answer (60 s).
    Acknowledgement,
    /// From the loss of the connection to the end of its session (as the client was told).
    Resumption,
}

/// An order that goes to the receiver with its next credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// A new stream begins behind what was read: new framer, new context, these limits.
    NewStream(Limits),
    /// The stream goes on, with these limits (XEP-0388 has no restart).
    NewLimits(Limits),
    /// TLS begins: nothing may stand behind what was read; then as `NewStream`. What was written so far goes out first.
    StartTls(Limits),
}

/// Why a stream closed: logged once, counted as a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The client closed its stream.
    ClientClosed,
    /// We sent this stream error.
    StreamError(StreamCondition),
    /// Another session took the resource.
    Replaced,
    /// An operator ended it.
    Kicked,
    /// Its queues were full.
    Overflowed,
    /// It gave way to another session while it waited to be resumed.
    Evicted,
    /// The account is gone.
    AccountRemoved,
    /// The password changed or the account was disabled.
    CredentialsChanged,
    /// The server stopped.
    Shutdown,
    /// A deadline passed.
    TimedOut(Deadline),
    /// The connection was lost.
    Lost(LostReason),
    /// STARTTLS failed or came where it may not (RFC 6120, 5.4.2.2).
    StartTlsFailed,
    /// Our own code panicked.
    Panicked,
}

/// What a login does to the tokens of a client (XEP-0484).
#[derive(Debug)]
pub struct TokenOrder {
    /// The account.
    pub account: BareJid,
    /// Which of its clients.
    pub client: ClientId,
    /// The token that was used.
    pub used: Option<UsedToken>,
    /// Keys of the password that was used: one of them at least must be stored still, or it has changed meanwhile.
    pub witnesses: Vec<ScramKeys>,
    /// It ends with this login.
    pub revoke: bool,
    /// A new token is to be made, for this mechanism.
    pub issue: Option<TokenMechanism>,
}

/// Keys to be stored beside others of the same password.
#[derive(Debug)]
pub struct KeyOrder {
    /// The account.
    pub account: BareJid,
    /// Keys that are stored already: the password must not have changed meanwhile.
    pub witness: ScramKeys,
    /// The keys.
    pub credentials: Credentials,
}

/// The resource that a client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// One that the server makes, behind this text.
    Made {
        /// Its beginning, prepared; it may be empty.
        prefix: String,
    },
    /// This one, prepared.
    Named(String),
    /// This one, which is made for this client and no other (XEP-0386, 3.2): an earlier session of it gives way.
    Own(String),
}

/// Somebody who logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedIn {
    /// The account.
    pub account: BareJid,
    /// By what.
    pub mechanism: Mechanism,
    /// Whether by the profile of XEP-0388.
    pub sasl2: bool,
    /// The account is made for this session (XEP-0175).
    pub guest: bool,
    /// What the client says that it is (XEP-0388, 2.3), for the log.
    pub software: Option<String>,
}

/// One deed.
pub enum Action {
    /// Write these bytes to the client: no stanza.
    Write(Bytes),
    /// Write a stanza to the client.
    WriteStanza(Bytes),
    /// Give the receiver this order with its next credit.
    Order(Order),
    /// Ask the store for the keys of an account.
    LoadCredentials(Ask, BareJid),
    /// Ask the store for the tokens of one client of an account.
    LoadTokens(Ask, BareJid, ClientId),
    /// Change tokens, and make a new one where that is ordered.
    ChangeTokens(Ask, Box<TokenOrder>),
    /// Store keys; without a number nobody waits for the answer.
    StoreKeys(Option<Ask>, Box<KeyOrder>),
    /// Run this check on a thread of its own.
    CheckPassword(Ask, PasswordCheck),
    /// In-band registration from a stream that is not authenticated (XEP-0077), for this virtual host.
    AskRegistration(Ask, String, Stanza),
    /// Claim a resource of an account; true where it is made for this session.
    Claim(Ask, BareJid, Resource, bool),
    /// Ask for an earlier session of an account.
    Resume(Ask, BareJid, ResumptionId),
    /// Stanzas count from here on, in both directions (XEP-0198, 4). What is written before this has left them out.
    Manage(Version, Option<crate::Resumption>),
    /// The client sent a stanza: it counts.
    Received,
    /// The client asks how far what it sent is handled.
    AnswerRequest,
    /// The client has handled all up to this one.
    Acknowledged(u32),
    /// The same on a stream that goes on with a session; what it has not handled is written again.
    Retransmit(u32),
    /// The session gets copies of what the account's others say and hear (XEP-0280).
    EnableCarbons,
    /// Whether the client is used by somebody (XEP-0352).
    ClientActive(bool),
    /// The connection is gone; the session waits to be resumed.
    Hibernate(CloseReason),
    /// The session cannot be resumed any more.
    ForgetResumption,
    /// The claim came too late: give this resource back.
    Release(FullJid),
    /// Route a stanza of this session; `from` is stamped.
    Route(Stanza),
    /// The session's presence without addressee: availability and priority for the session table; `None` is unavailable.
    SetPresence(Option<i8>, Stanza),
    /// The session ends: release the resource, then bounce or hand on what was not delivered. Whoever is in `directed`
    /// has been told by a `Route` before it; after [`CloseReason::Replaced`] nobody has.
    EndSession(Box<crate::Session>, CloseReason),
    /// Set a deadline, from now on (`Header` and `Negotiation`: from the accept).
    SetDeadline(Deadline),
    /// Take a deadline back.
    ClearDeadline(Deadline),
    /// The state changed, for the log: the name of the new state.
    StateChanged(&'static str),
    /// Somebody logged in, for log and metric.
    Authenticated(Box<LoggedIn>),
    /// An attempt to log in failed, for log, metric and brake: with the account that it was for, if it came that far.
    AuthenticationFailed(Option<Mechanism>, SaslFailure, Option<BareJid>),
    /// Write what is queued, say that nothing more comes, discard for a while what still arrives, and close.
    Close(CloseReason),
    /// The connection is gone already: only tidy up.
    Drop(CloseReason),
}
