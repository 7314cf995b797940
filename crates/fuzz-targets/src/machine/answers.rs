//! What the machine asks, and what may be answered: what fits, by a number, and anything at all.

use bytes::Bytes;
use rjabberd_c2s_proto::{
    Action, Answer, Ask, ClaimRefused, Management, Resource, ResumeRefused, Resumed, Resumption, Session,
    TokenGone, Unavailable,
};
use rjabberd_xml::{Context, read_element};
use rjabberd_xmpp::{
    BareJid, FullJid, Stanza, address,
    management::{ResumptionId, Version},
    sasl::Verdict,
};

use super::words;

/// A question.
pub(super) enum Asked {
    Credentials,
    Password,
    Tokens,
    Change,
    Keys,
    Claim(BareJid, String),
    Session(BareJid),
    Reply,
}

/// The question that a deed is, with its number.
pub(super) fn asked(deed: &Action) -> Option<(Ask, Asked)> {
    Some(match deed {
        Action::LoadCredentials(ask, ..) => (*ask, Asked::Credentials),
        Action::LoadTokens(ask, ..) => (*ask, Asked::Tokens),
        Action::ChangeTokens(ask, ..) => (*ask, Asked::Change),
        Action::StoreKeys(Some(ask), ..) => (*ask, Asked::Keys),
        Action::CheckPassword(ask, ..) => (*ask, Asked::Password),
        Action::AskRegistration(ask, ..) => (*ask, Asked::Reply),
        Action::Claim(ask, account, resource, ..) => {
            let resource = match resource {
                Resource::Made { prefix } => format!("{prefix}made"),
                Resource::Named(name) | Resource::Own(name) => name.clone(),
            };
            (*ask, Asked::Claim(account.clone(), resource))
        }
        Action::Resume(ask, account, _) => (*ask, Asked::Session(account.clone())),
        _ => return None,
    })
}

/// An answer of the kind that was asked for, or none: `which` of them.
pub(super) fn fitting(asked: &Asked, which: u8) -> Answer {
    match (asked, which % 8) {
        (_, 7) => Answer::Unavailable(Unavailable),
        (Asked::Credentials, 6) => credentials(None),
        (Asked::Credentials, 5) => credentials(Some(1)),
        (Asked::Credentials, _) => credentials(Some(4096)),
        (Asked::Password, which) => Answer::PasswordChecked(Verdict { right: which < 5, stronger: None }),
        (Asked::Tokens, 6) => Answer::Tokens { tokens: None, now_unix_s: words::NOW },
        (Asked::Tokens, which) => {
            Answer::Tokens { tokens: Some(words::tokens(which)), now_unix_s: words::NOW }
        }
        (Asked::Change, 6) => Answer::TokensChanged(Err(TokenGone)),
        (Asked::Change, 5) => Answer::TokensChanged(Ok(None)),
        (Asked::Change, _) => Answer::TokensChanged(Ok(Some(words::token()))),
        (Asked::Keys, which) => Answer::KeysStored(which < 5),
        (Asked::Claim(..), 6) => Answer::Claimed(Err(ClaimRefused::Conflict)),
        (Asked::Claim(..), 5) => Answer::Claimed(Err(ClaimRefused::TooManySessions)),
        (Asked::Claim(..), 4) => Answer::Claimed(Err(ClaimRefused::AccountGone)),
        (Asked::Claim(account, resource), _) => Answer::Claimed(full(account, resource)),
        (Asked::Session(_), 6) => resumed(Err(ResumeRefused::NotFound(Some(7)))),
        (Asked::Session(_), 5) => resumed(Err(ResumeRefused::NotFound(None))),
        (Asked::Session(_), 4) => resumed(Err(ResumeRefused::AccountGone)),
        (Asked::Session(account), _) => resumed(session(account)),
        (Asked::Reply, 6) => Answer::Reply(None),
        (Asked::Reply, _) => Answer::Reply(Some(reply())),
    }
}

/// An answer of any kind.
pub(super) fn any(which: u8) -> Answer {
    let account = || BareJid::new("romeo@a.example").expect("an address");
    let asked = match which % 8 {
        7 => Asked::Session(account()),
        0 => Asked::Credentials,
        1 => Asked::Password,
        2 => Asked::Tokens,
        3 => Asked::Change,
        4 => Asked::Keys,
        5 => Asked::Claim(account(), "other".to_owned()),
        _ => Asked::Reply,
    };
    fitting(&asked, which / 8)
}

fn credentials(iterations: Option<u32>) -> Answer {
    Answer::Credentials {
        credentials: iterations.map(words::credentials),
        nonce: "3rfcNHYJY1ZVvWVs7j".to_owned(),
    }
}

fn full(account: &BareJid, resource: &str) -> Result<FullJid, ClaimRefused> {
    address::full(account, resource).map_err(|_| ClaimRefused::Unavailable)
}

fn resumed(answer: Result<Resumed, ResumeRefused>) -> Answer {
    Answer::Resumed(Box::new(answer))
}

fn session(account: &BareJid) -> Result<Resumed, ResumeRefused> {
    let jid = full(account, "earlier").map_err(|_| ResumeRefused::NotFound(None))?;
    let resumption = Some(Resumption { id: ResumptionId([7; 16]), max_s: 60 });
    let management = Some(Box::new(Management { version: Version::Three, resumption }));
    Ok(Resumed { session: Session { jid, priority: Some(0), directed: Vec::new(), management }, h: 3 })
}

fn reply() -> Stanza {
    let bytes = Bytes::from_static(b"<iq type='result' id='1'/>");
    let fragment = read_element(&Context::canonical(), bytes).expect("an element");
    Stanza::from_fragment(fragment, None).expect("a stanza").unwrap_or_else(|_| panic!("a good one"))
}
