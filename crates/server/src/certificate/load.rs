//! Certificates, keys and authorities from their files, and whether clients will take them.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rjabberd_storage::DataFolder;
use rjabberd_transport::handshake::OwnCertificate;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use super::clients::Authorities;
use super::inspect::{self, Facts};
use super::{CertificateError, EXPIRES_SOON_DAYS, ascii, self_signed};
use crate::config::{CertificateFiles, Host};

/// One certificate with its key, ready for use.
#[derive(Clone, Debug)]
pub(super) struct Loaded {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) own: Arc<OwnCertificate>,
    pub(super) facts: Facts,
    pub(super) file: String,
}

impl Loaded {
    /// Why clients of a host will refuse it, one line each.
    pub(super) fn problems(&self, host: &Host, now: SystemTime) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(text) = self.facts.time_problem(now) {
            problems.push(format!("{} {text}: clients will refuse it", self.file));
        }
        let names_host =
            self.key.end_entity_cert().is_ok_and(|own| inspect::names(own, &ascii(&host.domain)));
        if !names_host {
            problems.push(format!(
                "{} is made for {}, not for the host {}: clients will refuse it",
                self.file,
                self.facts.names.join(", "),
                host.domain
            ));
        }
        problems
    }

    /// That it expires within two weeks, if it does.
    pub(super) fn expires_soon(&self, now: SystemTime) -> Option<String> {
        let days = self.facts.days_left(now).filter(|days| *days < EXPIRES_SOON_DAYS)?;
        Some(format!("{} expires on {}, in {days} days: renew it", self.file, self.facts.last_day()))
    }
}

/// The self-signed certificate, where a host needs it.
pub(super) fn self_signed(
    hosts: &[Host],
    folder: &DataFolder,
    provider: &CryptoProvider,
) -> Result<Option<Loaded>, CertificateError> {
    let without: Vec<String> =
        hosts.iter().filter(|host| host.certificate.is_none()).map(|host| ascii(&host.domain)).collect();
    if without.is_empty() {
        return Ok(None);
    }
    self_signed::load_or_make(folder, &without, provider).map(Some)
}

/// The certificate of a host.
pub(super) fn certificate(
    host: &Host,
    self_signed: Option<&Loaded>,
    provider: &CryptoProvider,
) -> Result<Loaded, CertificateError> {
    match (&host.certificate, self_signed) {
        (Some(named), _) => files(named, provider),
        (None, Some(self_signed)) => Ok(self_signed.clone()),
        (None, None) => Err(CertificateError::SelfSigned("no host needs one".to_owned())),
    }
}

/// The authorities that vouch for the clients of a host, if it has any.
pub(super) fn authorities(
    host: &Host,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Authorities>, CertificateError> {
    host.external_ca.as_deref().map(|file| Authorities::load(file, provider)).transpose()
}

/// `new`, unless clients would refuse it where they take `old`.
pub(super) fn no_worse(host: &Host, old: &Loaded, new: Loaded, now: SystemTime) -> Result<Loaded, String> {
    match new.problems(host, now).into_iter().next() {
        Some(line) if old.problems(host, now).is_empty() => Err(line),
        _ => Ok(new),
    }
}

/// A certificate from the files that a config names.
pub(super) fn files(files: &CertificateFiles, provider: &CryptoProvider) -> Result<Loaded, CertificateError> {
    let chain = read(&files.certificate)?;
    let key = if files.key == files.certificate { chain.clone() } else { read(&files.key)? };
    pem(&chain, &files.certificate, &key, &files.key, provider)
}

/// A whole file; it may hold a key.
pub(super) fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
    std::fs::read(file)
        .map(Zeroizing::new)
        .map_err(|source| CertificateError::Read { file: file.display().to_string(), source })
}

/// A certificate from the text of these files.
pub(super) fn pem(
    chain: &[u8],
    certificate: &Path,
    key: &[u8],
    key_file: &Path,
    provider: &CryptoProvider,
) -> Result<Loaded, CertificateError> {
    let file = certificate.display().to_string();
    let bad = |reason: String| CertificateError::BadCertificate { file: file.clone(), reason };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, pem::Error>>()
        .map_err(|error| bad(error.to_string()))?;
    let Some(end_entity) = chain.first() else { return Err(CertificateError::NoCertificate { file }) };
    let facts = Facts::of(end_entity).map_err(bad)?;
    let own = Arc::new(inspect::own(end_entity));
    let key_name = key_file.display().to_string();
    let key =
        PrivateKeyDer::from_pem_slice(key).map_err(|_| CertificateError::NoKey { file: key_name.clone() })?;
    let pair = CertifiedKey::from_der(chain, key, provider).map_err(|error| CertificateError::Pair {
        certificate: file.clone(),
        key: key_name,
        reason: match error {
            rustls::Error::InconsistentKeys(_) => "the key belongs to another certificate".to_owned(),
            other => other.to_string(),
        },
    })?;
    Ok(Loaded { key: Arc::new(pair), own, facts, file })
}
