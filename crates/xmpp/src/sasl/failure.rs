//! Conditions of `<failure/>` (RFC 6120, 6.5).

/// Why an authentication failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the RFC's names, one to one")]
pub enum SaslFailure {
    Aborted, AccountDisabled, CredentialsExpired, EncryptionRequired, IncorrectEncoding, InvalidAuthzid,
    InvalidMechanism, MalformedRequest, MechanismTooWeak, NotAuthorized, TemporaryAuthFailure,
}

impl SaslFailure {
    /// The RFC's name, as element and metric label.
    pub fn name(self) -> &'static str {
        todo!()
    }
}
