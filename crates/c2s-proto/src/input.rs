//! What reaches the machine: events of the receiver, answers to what it asked, deadlines, control.

use rjabberd_xml::{Fragment, Header, XmlError};
use rjabberd_xmpp::{
    FullJid, Stanza,
    management::{ResumptionId, TooHigh},
    sasl::{Credentials, FastToken, SecureChannel, Tokens, Verdict},
};

use crate::Session;

/// The number of a question; an answer with another number than the one awaited is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ask(pub u32);

/// Chance, made by the shell: one of each per input that may need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fresh {
    /// An identifier for a stream that opens now (RFC 6120, 4.7.3): unpredictable.
    pub stream_id: String,
    /// By what the session of that stream may be resumed (XEP-0198, 5).
    pub resumption: ResumptionId,
}

/// Why a connection ended without `</stream:stream>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LostReason {
    /// The peer shut its side down.
    Eof,
    /// The network or the peer broke the connection (RST, keepalive, user time-out).
    Broken,
    /// Nothing could be written for too long.
    WriteStalled,
    /// The TLS layer failed.
    Tls,
}

/// The outside could not answer: store away, pool full, deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Unavailable;

/// A token that was about to be used is not there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenGone;

/// A session that goes on.
#[derive(Debug)]
pub struct Resumed {
    /// The session.
    pub session: Session,
    /// What it has handled of what its client sent.
    pub h: u32,
}

/// Why a session does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumeRefused {
    /// There is none such; what it had handled, where that is still known.
    NotFound(Option<u32>),
    /// The account is gone or disabled.
    AccountGone,
}

/// Why a resource was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClaimRefused {
    /// The resource is in use and the policy keeps the old session.
    Conflict,
    /// The account has too many sessions (`resource-constraint`).
    TooManySessions,
    /// The account is gone or disabled.
    AccountGone,
    /// No answer.
    Unavailable,
}

/// An answer to a question that an [`crate::Action`] asked.
pub enum Answer {
    /// To `LoadCredentials`: `None` for an account that is unknown or disabled. With a fresh nonce for SCRAM.
    Credentials {
        /// The keys.
        credentials: Option<Credentials>,
        /// Fresh printable text without comma, at least 18 random bytes in base64.
        nonce: String,
    },
    /// To `CheckPassword`.
    PasswordChecked(Verdict),
    /// To `LoadTokens`: `None` for an account that is unknown or disabled.
    Tokens {
        /// Those of the client.
        tokens: Option<Tokens>,
        /// Seconds since 1970.
        now_unix_s: i64,
    },
    /// To `ChangeTokens`: the token that was made, if one was ordered.
    TokensChanged(Result<Option<FastToken>, TokenGone>),
    /// To `StoreKeys`: whether they are stored.
    KeysStored(bool),
    /// To `Claim`: the full JID that is bound now.
    Claimed(Result<FullJid, ClaimRefused>),
    /// To `Resume`.
    Resumed(Box<Result<Resumed, ResumeRefused>>),
    /// To `Route` of a request that could not be answered at once, or to `AskRegistration`: what to write.
    /// `None` where the reply goes another way or there is none.
    Reply(Option<Stanza>),
    /// No answer came.
    Unavailable(Unavailable),
}

/// Control from inside the server: never refused, handled in any state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ControlInput {
    /// Another session took the resource: `conflict`. Its unavailable and bounces are suppressed.
    Replaced,
    /// An operator ended the session: `policy-violation` with a text.
    Kicked,
    /// The session's queues are full: `resource-constraint`, or its connection is given up where it can be resumed.
    Overflowed,
    /// A session that waits to be resumed gives way to a new one.
    Evicted,
    /// The account was removed: `not-authorized`.
    AccountRemoved,
    /// The password changed, or the account was disabled: `not-authorized`.
    CredentialsChanged,
    /// The server stops: `system-shutdown`.
    Shutdown,
    /// The shell's own code panicked: `internal-server-error`.
    Panicked,
}

/// One input.
pub enum Input {
    /// The peer's stream header was read.
    HeaderRead(Header, Fresh),
    /// One top-level element was read.
    ElementRead(Fragment),
    /// The peer sent `</stream:stream>`.
    StreamEnded,
    /// What the peer sent was refused.
    XmlRefused(XmlError, Fresh),
    /// The connection is gone.
    ConnectionLost(LostReason),
    /// The peer sent bytes behind `<starttls/>` in plain.
    BytesBehindStartTls,
    /// TLS is up.
    TlsStarted(Box<SecureChannel>),
    /// An answer arrived.
    Answered(Ask, Answer),
    /// The shell could not answer the last `Route` at once: its `Reply` comes later under this number.
    RouteDeferred(Ask),
    /// The client has acknowledged more than it was sent.
    HandledTooHigh(TooHigh),
    /// So much of what the client sent is not safe yet that no more can be noted.
    TooMuchHeld,
    /// What waits for the client's acknowledgement is more than is kept: the session cannot be resumed any more.
    WindowPassed,
    /// A deadline that was set has passed.
    DeadlinePassed(Deadline),
    /// Control.
    Control(ControlInput),
}

pub use crate::action::Deadline;
