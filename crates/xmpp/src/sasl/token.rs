//! Tokens of FAST (XEP-0484) and the mechanisms that take them: HT-SHA-256-NONE, -ENDP and -EXPR
//! (draft-schmaus-kitten-sasl-ht-09).
//!
//! A client (one installation, by the `id` of its user agent) has two places for tokens: the one that it uses, and the
//! one that it was given last. A token works with the one mechanism that it was asked for. Only who holds a token learns
//! that it has expired; a client without tokens is answered as one with a wrong token, after the same work.

use std::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::{
    BindingType, Evidence, LookUp, Outcome, Request, SaslFailure, ScramHash, ScramKeys, Setting, account_of,
};

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
/// count was seen meanwhile, or the password of this login is another meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenChange {
    /// The token of this login.
    pub used: Option<UsedToken>,
    /// Keys of the password of this login, of which one at least is stored still; none where it was by no password.
    pub witnesses: Vec<ScramKeys>,
    /// It ends with this login.
    pub revoke: bool,
    /// A new token.
    pub issue: Option<FastToken>,
}

/// Stands in for a token that is not there.
pub(super) const NO_TOKEN: &str = "no token, but as long as one: 43 characters";

/// What the client said to prove that it holds a token.
pub(super) struct Claim {
    mechanism: TokenMechanism,
    binding: Zeroizing<Vec<u8>>,
    proof: Zeroizing<Vec<u8>>,
    count: Option<u32>,
}

/// Takes the one message, `authcid NUL HMAC` (HT, 3.1).
pub(super) fn begin(
    mechanism: TokenMechanism,
    setting: &Setting<'_>,
    message: &[u8],
) -> Result<LookUp, SaslFailure> {
    const MALFORMED: SaslFailure = SaslFailure::MalformedRequest;
    if setting.client.is_none() {
        return Err(MALFORMED);
    }
    let end = message.iter().position(|byte| *byte == 0).ok_or(MALFORMED)?;
    let (authcid, proof) = (&message[..end], &message[end + 1..]);
    let authcid = std::str::from_utf8(authcid).map_err(|_| MALFORMED)?;
    if authcid.is_empty() || proof.is_empty() {
        return Err(MALFORMED);
    }
    let binding = match mechanism.binding() {
        None => &[][..],
        Some(binding) => {
            setting.channel.and_then(|channel| channel.binding(binding)).ok_or(SaslFailure::NotAuthorized)?
        }
    };
    let claim = Claim {
        mechanism,
        binding: Zeroizing::new(binding.to_vec()),
        proof: Zeroizing::new(proof.to_vec()),
        count: setting.count,
    };
    Ok(LookUp::new(&account_of(authcid, setting.domain)?, Request::Token(claim)))
}

impl Claim {
    /// Looks for the token: the one given out last first (XEP-0484, 6.1).
    pub(super) fn answer(self, username: String, tokens: Option<&Tokens>, now_unix_s: i64) -> Outcome {
        let places = [
            (TokenSlot::Fresh, tokens.and_then(|tokens| tokens.fresh.as_ref())),
            (TokenSlot::Current, tokens.and_then(|tokens| tokens.current.as_ref())),
        ];
        // Both are compared, whatever the first one came to.
        let judged = places.map(|(slot, token)| (slot, token, bool::from(self.is_made_with(token))));
        let found =
            judged.into_iter().find_map(|(slot, token, right)| Some((slot, token.filter(|_| right)?)));
        let Some((slot, token)) = found else { return Outcome::Failure(SaslFailure::NotAuthorized) };
        if token.expires_unix_s <= now_unix_s {
            return Outcome::Failure(SaslFailure::CredentialsExpired);
        }
        // XEP-0484, 4.4: a count that was seen is a replay.
        if self.count.is_some_and(|count| count <= token.count) {
            return Outcome::Failure(SaslFailure::NotAuthorized);
        }
        let data = self.signature(&token.secret, b"Responder").to_vec();
        let token = FastToken { count: self.count.unwrap_or(token.count), ..token.clone() };
        Outcome::Success { username, data: Some(data), evidence: Evidence::Token(UsedToken { slot, token }) }
    }

    fn is_made_with(&self, token: Option<&FastToken>) -> Choice {
        let secret = token.map_or(NO_TOKEN, |token| &token.secret);
        let is_for_it = token.is_some_and(|token| token.mechanism == self.mechanism);
        self.signature(secret, b"Initiator").ct_eq(&self.proof) & Choice::from(u8::from(is_for_it))
    }

    /// `HMAC(token, label || cb-data)`.
    fn signature(&self, secret: &str, label: &[u8]) -> Zeroizing<Vec<u8>> {
        let signed = Zeroizing::new([label, &self.binding].concat());
        ScramHash::Sha256.hmac(secret.as_bytes(), &signed)
    }
}
