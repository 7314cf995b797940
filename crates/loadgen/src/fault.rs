//! What can go wrong with a session, in the words that the errors of a report are counted by.

use std::io;

use crate::{scanner::NoStream, scram::ScramFault};

/// Why a session ended, or a login failed.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The socket could not be made, bound or connected.
    #[error("connect: {0}")]
    Connect(#[source] io::Error),
    /// The connection broke.
    #[error("connection: {0}")]
    Broken(#[source] io::Error),
    /// The server closed the connection without a word.
    #[error("the server closed the connection")]
    Closed,
    /// The server ended the stream with an error.
    #[error("stream error {0}")]
    StreamError(String),
    /// TLS failed.
    #[error("tls: {0}")]
    Tls(#[from] rustls::Error),
    /// The server does not offer what was asked for.
    #[error("the server does not offer {0}")]
    NotOffered(String),
    /// SASL failed.
    #[error("login refused: {0}")]
    Refused(String),
    /// SCRAM failed on our side.
    #[error(transparent)]
    Scram(#[from] ScramFault),
    /// A resource could not be bound, or the session not be set up.
    #[error("{0} refused: {1}")]
    RequestRefused(&'static str, String),
    /// Something else came than what was waited for.
    #[error("waiting for {0}, got {1}")]
    Unexpected(&'static str, String),
    /// Nothing came in time.
    #[error("no {0} in time")]
    TooLate(&'static str),
    /// No XMPP.
    #[error(transparent)]
    NoStream(#[from] NoStream),
    /// A stanza of endless size.
    #[error("an element of over {0} bytes")]
    TooBig(usize),
}
