//! `<authenticate/>` of XEP-0388 and what may stand in it: the client's name for itself, a resource (XEP-0386), tokens
//! (XEP-0484), upgrades (XEP-0480), the version of the config that the client has seen (XEP-0509).
//!
//! It reads; what follows from a request is done once the mechanism has succeeded. What it does not know is passed over.

use rjabberd_xml::{Element, Fragment};
use rjabberd_xmpp::{
    StreamCondition, StreamError, ns,
    sasl::{self, ClientId, SaslFailure, ScramHash, TokenMechanism},
};

use zeroize::Zeroizing;

use crate::{
    Action, State, authenticating::Said, closing::Leaving, features, management::EnableRequest,
    negotiating::AwaitingFeature, offers::Offer, resuming::ResumeRequest, speech,
};

/// Most characters that are kept of what a client says of itself.
const SOFTWARE_CHARS_MAX: usize = 100;

/// Logins by features that were seen elsewhere; a client has them from the stream itself after the first.
const MISMATCHES_MAX: u32 = 10;

/// What a client asks for together with its login.
pub(crate) struct Request {
    /// Which installation it is.
    pub(crate) client: Option<ClientId>,
    /// What it says that it is, for the log.
    pub(crate) software: Option<String>,
    /// An earlier session (XEP-0198, 9.2).
    pub(crate) resume: Option<ResumeRequest>,
    /// A resource.
    pub(crate) bind: Option<BindRequest>,
    /// A token for the next time.
    pub(crate) token: Option<TokenMechanism>,
    /// The number of this attempt with its token.
    pub(crate) count: Option<u32>,
    /// Its token ends with this login.
    pub(crate) revoke: bool,
    /// Hashes that it would bring keys for.
    pub(crate) upgrades: Vec<ScramHash>,
}

/// `<bind/>` (XEP-0386, 3.2).
pub(crate) struct BindRequest {
    /// What the resource is to begin with.
    pub(crate) tag: Option<String>,
    /// Stanzas are to be counted (XEP-0198, 9.1).
    pub(crate) enable: Option<EnableRequest>,
    /// It wants copies of what the account's others say and hear (XEP-0280).
    pub(crate) carbons: bool,
    /// Nobody uses the client (XEP-0352).
    pub(crate) inactive: bool,
}

/// A request that cannot be followed.
pub(crate) enum BadRequest {
    /// It breaks the grammar.
    Malformed,
    /// The client has seen other features than those of now.
    OtherConfig,
}

/// A request, and the initial response with it.
type Read = (Request, Result<Option<Said>, SaslFailure>);

impl Request {
    /// Reads `<authenticate/>`. With a token there must be `<fast/>` (XEP-0484, 3.4).
    pub(crate) fn read(authenticate: &Fragment, offer: &Offer, by_token: bool) -> Result<Read, BadRequest> {
        let element = authenticate.to_element().map_err(|_| BadRequest::Malformed)?;
        let child = |name: &str, namespace: &str| element.child(name, namespace);
        if let Some(version) = child("config-version", ns::CONFIG_VERSION)
            && version.attribute("value") != Some(&offer.config_version)
        {
            return Err(BadRequest::OtherConfig);
        }
        let agent = child("user-agent", ns::SASL2);
        let fast = child("fast", ns::FAST).filter(|_| by_token);
        if by_token && fast.is_none() {
            return Err(BadRequest::Malformed);
        }
        let request = Request {
            client: agent.and_then(|agent| agent.attribute("id")).and_then(ClientId::parse),
            software: agent.and_then(|agent| agent.child("software", ns::SASL2)).map(name_of),
            resume: ResumeRequest::within(&element),
            bind: child("bind", ns::BIND2).map(|bind| BindRequest {
                tag: bind.child("tag", ns::BIND2).map(Element::text).filter(|tag| !tag.is_empty()),
                enable: EnableRequest::within(bind),
                carbons: bind.child("enable", ns::CARBONS).is_some(),
                inactive: bind.child("inactive", ns::CLIENT_STATE).is_some(),
            }),
            token: child("request-token", ns::FAST)
                .and_then(|request| request.attribute("mechanism"))
                .and_then(TokenMechanism::from_name)
                .filter(|token| offer.tokens.contains(token)),
            count: fast.and_then(|fast| fast.attribute("count")).map(count_of).transpose()?,
            revoke: fast.is_some_and(|fast| matches!(fast.attribute("invalidate"), Some("1" | "true"))),
            upgrades: element.children().filter_map(upgrade_of).take(ScramHash::ALL.len()).collect(),
        };
        let initial = child("initial-response", ns::SASL2)
            .map(|initial| decode(&Zeroizing::new(initial.text())))
            .transpose();
        Ok((request, initial))
    }
}

fn name_of(software: &Element) -> String {
    software.text().chars().take(SOFTWARE_CHARS_MAX).collect()
}

/// XEP-0484, 3.4: a positive number.
fn count_of(text: &str) -> Result<u32, BadRequest> {
    text.parse().ok().filter(|count| *count > 0).ok_or(BadRequest::Malformed)
}

fn upgrade_of(element: &Element) -> Option<ScramHash> {
    let task = element.is("upgrade", ns::SASL_UPGRADE).then(|| element.text())?;
    ScramHash::ALL.into_iter().find(|hash| features::upgrade_task(*hash) == task)
}

/// Decodes data of XEP-0388, where nothing is an empty text (2.2).
pub(crate) fn decode(text: &str) -> Result<Said, SaslFailure> {
    match text.trim_ascii() {
        "" => Ok(Said::default()),
        // `=` is an empty response by RFC 6120 only.
        "=" => Err(SaslFailure::IncorrectEncoding),
        text => sasl::decode(text).map(Option::unwrap_or_default),
    }
}

/// The features have changed since the client saw them: it is to try again, and nothing is held against it (XEP-0509,
/// 2.2), unless it goes on like that.
pub(crate) fn other_config(mut below: AwaitingFeature, out: &mut Vec<Action>) -> State {
    let failure = Element::new("failure", ns::SASL2)
        .with_child(Element::new(SaslFailure::Aborted.name(), ns::SASL))
        .with_child(Element::new("config-version-mismatch", ns::CONFIG_VERSION));
    speech::element(&failure, out);
    out.push(Action::AuthenticationFailed(None, SaslFailure::Aborted, None));
    below.negotiation.mismatches += 1;
    if below.negotiation.mismatches >= MISMATCHES_MAX {
        let error =
            StreamError::new(StreamCondition::PolicyViolation).with_text("These features were not seen");
        return Leaving::from(below).stream_error(error, out);
    }
    State::AwaitingFeature(Box::new(below))
}
