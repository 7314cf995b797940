//! Tokens of FAST (XEP-0484) and the mechanisms that take them: HT-SHA-256-NONE, -ENDP and -EXPR
//! (draft-schmaus-kitten-sasl-ht-09).
//!
//! A client (one installation, by the `id` of its user agent) has two places for tokens: the one that it uses, and the
//! one that it was given last. A token works with the one mechanism that it was asked for.

use std::fmt;

use zeroize::Zeroizing;

use super::BindingType;

/// An installation of a client, by the UUID that it gives itself (XEP-0388, 2.3). Others never see it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u128);

impl ClientId {
    /// Reads a UUID; `None` for what is none.
    pub fn parse(text: &str) -> Option<ClientId> {
        uuid::Uuid::try_parse(text).ok().map(|uuid| ClientId(uuid.as_u128()))
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ClientId")
    }
}

/// A mechanism that takes tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TokenMechanism {
    /// HT-SHA-256-NONE: not bound to a channel.
    None,
    /// HT-SHA-256-ENDP: `tls-server-end-point`.
    EndPoint,
    /// HT-SHA-256-EXPR: `tls-exporter`.
    Exporter,
}

impl TokenMechanism {
    /// All of them, strongest first.
    pub const ALL: [TokenMechanism; 3] =
        [TokenMechanism::Exporter, TokenMechanism::EndPoint, TokenMechanism::None];

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            TokenMechanism::None => "HT-SHA-256-NONE",
            TokenMechanism::EndPoint => "HT-SHA-256-ENDP",
            TokenMechanism::Exporter => "HT-SHA-256-EXPR",
        }
    }

    /// The mechanism of that name.
    pub fn from_name(name: &str) -> Option<TokenMechanism> {
        TokenMechanism::ALL.into_iter().find(|mechanism| mechanism.name() == name)
    }

    /// What it is bound to.
    pub fn binding(self) -> Option<BindingType> {
        match self {
            TokenMechanism::None => None,
            TokenMechanism::EndPoint => Some(BindingType::EndPoint),
            TokenMechanism::Exporter => Some(BindingType::Exporter),
        }
    }
}

/// A token. No `Debug` that shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct FastToken {
    /// What it was asked for.
    pub mechanism: TokenMechanism,
    /// The secret.
    pub secret: Zeroizing<String>,
    /// When it was given out, in seconds since 1970.
    pub issued_unix_s: i64,
    /// When it ends, in seconds since 1970.
    pub expires_unix_s: i64,
    /// The highest `count` that was seen with it.
    pub count: u32,
}

impl fmt::Debug for FastToken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("FastToken").field("mechanism", &self.mechanism).finish_non_exhaustive()
    }
}

/// The tokens of one client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// The one that was used last.
    pub current: Option<FastToken>,
    /// The one that was given out last, and not used yet.
    pub fresh: Option<FastToken>,
}

/// The place of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSlot {
    /// [`Tokens::current`].
    Current,
    /// [`Tokens::fresh`].
    Fresh,
}

/// A token that somebody has logged in by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedToken {
    /// Where it was.
    pub slot: TokenSlot,
    /// The token, with its `count` as it is after this login.
    pub token: FastToken,
}

/// What a login does to a client's tokens, in one transaction.
///
/// A used token becomes the current one, and what was given out before it ends; a revoked one ends, with all others of
/// the client; a new one takes the place of the fresh one. It is refused if the used token is gone meanwhile, or its
/// count was seen meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenChange {
    /// The token of this login.
    pub used: Option<UsedToken>,
    /// It ends with this login.
    pub revoke: bool,
    /// A new token.
    pub issue: Option<FastToken>,
}
