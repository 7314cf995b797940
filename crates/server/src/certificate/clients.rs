//! Clients' certificates (RFC 6120, 13.7.1.4 and 13.9.2.4; XEP-0178): who holds one, and whom it speaks for.
//!
//! The handshake asks for a certificate and takes any, as long as its key is the client's; none is as good. Whether the
//! authorities of a host vouch for it, and for which accounts, is asked when the handshake is done. Names come from the
//! subject's alternative names alone, as ASN.1; a common name is nobody's name here. Invariant: an account is named
//! only by the authorities of its own host.

use std::path::Path;
use std::sync::Arc;

use rjabberd_xmpp::{BareJid, address};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError as Bad, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme,
};
use x509_parser::asn1_rs::{Any, Class, Oid, Tag, oid};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::CertificateError;
use super::load::read;

/// Bytes of a client's certificates: the TLS library keeps them as long as the connection lives.
const CHAIN_BYTES_MAX: usize = 16 * 1024;
/// Certificates of a client, its own included.
const CHAIN_MAX: usize = 8;
/// Accounts that one certificate speaks for.
const ACCOUNTS_MAX: usize = 16;

/// Takes any certificate of a client that holds its key, and a client that has none.
#[derive(Debug)]
pub(super) struct AnyHolder(pub(super) Arc<CryptoProvider>);

impl ClientCertVerifier for AnyHolder {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// None: which authorities the other hosts have is not this client's business.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let bytes = own.len() + others.iter().map(|other| other.len()).sum::<usize>();
        if others.len() >= CHAIN_MAX || bytes > CHAIN_BYTES_MAX {
            return Err(Bad::ApplicationVerificationFailure.into());
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The authorities that vouch for the clients of a host.
#[derive(Clone, Debug)]
pub(super) struct Authorities(Arc<dyn ClientCertVerifier>);

impl Authorities {
    /// Reads them from a PEM file.
    pub(super) fn load(file: &Path, provider: &Arc<CryptoProvider>) -> Result<Authorities, CertificateError> {
        let pem = read(file)?;
        let file = file.display().to_string();
        let bad = |reason: String| CertificateError::BadCertificate { file: file.clone(), reason };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error: pem::Error| bad(error.to_string()))?;
            roots.add(certificate).map_err(|error| bad(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(CertificateError::NoCertificate { file });
        }
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .map(Authorities)
            .map_err(|error| bad(error.to_string()))
    }

    /// Whether a chain leads to one of them, is valid now, and its first certificate is made for clients.
    fn vouch_for(&self, own: &CertificateDer<'_>, others: &[CertificateDer<'_>], now: UnixTime) -> bool {
        match self.0.verify_client_cert(own, others, now) {
            Ok(_) => true,
            Err(error) => {
                log::debug!(target: "certificate:clients", "nobody vouches for a client's certificate: {error}");
                false
            }
        }
    }
}

/// The accounts that a client's certificates name and that the authorities of their host vouch for, each once.
pub(super) fn vouch<'a>(
    chain: &[CertificateDer<'_>],
    authorities_of: impl Fn(&str) -> Option<&'a Authorities>,
    now: UnixTime,
) -> Vec<BareJid> {
    let Some((own, others)) = chain.split_first() else { return Vec::new() };
    let mut asked: Vec<(String, bool)> = Vec::new();
    let mut vouched = |domain: &str| {
        if let Some((_, answer)) = asked.iter().find(|(other, _)| other == domain) {
            return *answer;
        }
        let answer =
            authorities_of(domain).is_some_and(|authorities| authorities.vouch_for(own, others, now));
        asked.push((domain.to_owned(), answer));
        answer
    };
    let mut accounts = accounts(own);
    accounts.retain(|account| vouched(account.domain().as_str()));
    accounts
}

/// The accounts that a certificate names (RFC 6120, 13.7.1.4), each once.
fn accounts(certificate: &CertificateDer<'_>) -> Vec<BareJid> {
    const XMPP_ADDRESS: Oid<'static> = oid!(1.3.6.1.5.5.7.8.5);
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(names)) = parsed.subject_alternative_name() else { return Vec::new() };
    let mut accounts: Vec<BareJid> = Vec::new();
    for name in &names.value.general_names {
        if let GeneralName::OtherName(kind, value) = name
            && *kind == XMPP_ADDRESS
            && let Some(account) = utf8_string(value).and_then(account)
            && !accounts.contains(&account)
            && accounts.len() < ACCOUNTS_MAX
        {
            accounts.push(account);
        }
    }
    accounts
}

/// The text of `[0] EXPLICIT UTF8String`, with nothing behind it (RFC 5280, 4.2.1.6).
fn utf8_string(value: &[u8]) -> Option<&str> {
    let whole = |bytes| {
        let (rest, one) = Any::from_der(bytes).ok()?;
        rest.is_empty().then_some(one)
    };
    let outer = whole(value)?;
    if outer.class() != Class::ContextSpecific || outer.tag() != Tag(0) || !outer.header.is_constructed() {
        return None;
    }
    let inner = whole(outer.data)?;
    let is_text =
        inner.class() == Class::Universal && inner.tag() == Tag::Utf8String && inner.header.is_primitive();
    is_text.then(|| std::str::from_utf8(inner.data).ok()).flatten()
}

/// A bare JID of an account; a NUL is nowhere allowed in one, but nothing after it may ever count.
fn account(text: &str) -> Option<BareJid> {
    if text.contains(['\0', '/']) {
        return None;
    }
    let (localpart, domain) = text.split_once('@')?;
    address::account(localpart, &address::normalise_domain(domain).ok()?).ok()
}

#[cfg(test)]
mod tests;
