//! ANONYMOUS (RFC 4505; XEP-0175): whoever asks gets an account for one session. Whether it is offered is decided where
//! mechanisms are offered. Invariant: what the client says of itself is read by nobody.

use uuid::Builder;

use super::{Evidence, Outcome, SaslFailure, Setting};

/// Longest trace in characters (RFC 4505, 2).
const TRACE_CHARS_MAX: usize = 255;

/// Takes the one message, which may be absent: clients send an empty `<auth/>` and wait for `<success/>` (XEP-0175, 4).
pub(super) fn begin(setting: &Setting<'_>, trace: &[u8]) -> Outcome {
    match std::str::from_utf8(trace) {
        Ok(trace) if trace.chars().count() <= TRACE_CHARS_MAX && !trace.contains('\0') => {
            Outcome::Success { username: guest(setting), data: None, evidence: Evidence::Nothing }
        }
        _ => Outcome::Failure(SaslFailure::MalformedRequest),
    }
}

/// A UUID (XEP-0175, 3) that is as unique and as hard to foresee as [`Setting::once`].
fn guest(setting: &Setting<'_>) -> String {
    let derived = setting.fakes.derive(&["guest", setting.once, setting.domain]);
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(derived.iter()).for_each(|(byte, derived)| *byte = *derived);
    Builder::from_random_bytes(bytes).into_uuid().to_string()
}
