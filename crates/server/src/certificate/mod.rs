//! Certificates: which one answers for which virtual host, and the TLS settings of listeners.
//!
//! A host has the certificate that the config names, or else shares the self-signed one of the data folder. Knows
//! nothing of sockets and streams. Invariant: a certificate is only ever used with the key that belongs to it; what
//! cannot be loaded again on SIGHUP leaves the old one in use.

mod inspect;
mod self_signed;
mod tickets;

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::RwLock;
use rjabberd_storage::{DataFolder, DataFolderError};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::{CertificateFiles, Host};
pub use inspect::Facts;
use tickets::Tickets;

/// The protocol name of direct TLS (XEP-0368).
const ALPN: &[u8] = b"xmpp-client";

/// Why a certificate cannot be used: one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("cannot read {file}: {source}: check the path and that this user may read it")]
    Read {
        /// The file.
        file: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file holds no certificate.
    #[error("{file} holds no certificate: it must be PEM with BEGIN CERTIFICATE in it")]
    NoCertificate {
        /// The file.
        file: String,
    },
    /// A file holds no key.
    #[error("{file} holds no private key: it must be PEM with BEGIN PRIVATE KEY in it, without a passphrase")]
    NoKey {
        /// The file.
        file: String,
    },
    /// A certificate is none.
    #[error("{file} holds a certificate that cannot be read: {reason}")]
    BadCertificate {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A certificate and a key do not belong together, or the key is of a kind that TLS cannot use.
    #[error("{certificate} and {key} cannot be used together: {reason}")]
    Pair {
        /// The certificate's file.
        certificate: String,
        /// The key's file.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// The self-signed certificate cannot be made.
    #[error("cannot make a self-signed certificate: {0}")]
    SelfSigned(String),
    /// The self-signed certificate cannot be kept.
    #[error("cannot keep the self-signed certificate: {0}")]
    Keep(#[from] DataFolderError),
    /// The TLS library refuses to start.
    #[error("cannot start TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// One certificate with its key, ready for use.
#[derive(Clone, Debug)]
struct Loaded {
    key: Arc<CertifiedKey>,
    facts: Facts,
    file: String,
}

/// The certificate of each host.
#[derive(Debug)]
pub struct Certificates {
    hosts: Vec<Host>,
    provider: Arc<CryptoProvider>,
    /// In the order of `hosts`.
    loaded: RwLock<Vec<Loaded>>,
    tickets: Arc<Tickets>,
}

impl Certificates {
    /// Loads every host's certificate; makes the self-signed one if a host needs it and there is none that fits.
    ///
    /// # Errors
    /// A file is missing, unreadable or does not fit its key.
    pub fn load(hosts: &[Host], folder: &DataFolder) -> Result<Certificates, CertificateError> {
        let provider = provider();
        let tickets = Tickets::begin();
        let loaded = RwLock::new(load_all(hosts, folder, &provider)?);
        Ok(Certificates { hosts: hosts.to_vec(), provider, loaded, tickets })
    }

    /// Loads them all again; on an error, all stay as they are.
    ///
    /// # Errors
    /// As [`Certificates::load`].
    pub fn reload(&self, folder: &DataFolder) -> Result<(), CertificateError> {
        let loaded = load_all(&self.hosts, folder, &self.provider)?;
        *self.loaded.write() = loaded;
        Ok(())
    }

    /// TLS settings that answer with the certificate of the host that the client names, or that of the default host.
    /// `direct` is for TLS from the first byte, where the protocol is negotiated by name.
    ///
    /// # Errors
    /// The TLS library refuses to start.
    pub fn server_config(self: &Arc<Self>, direct: bool) -> Result<Arc<ServerConfig>, CertificateError> {
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        // Tickets are sealed and given to the client, so that an idle session keeps nothing here.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = self.tickets.clone();
        config.send_tls13_tickets = 1;
        if direct {
            config.alpn_protocols = vec![ALPN.to_vec()];
        }
        Ok(Arc::new(config))
    }

    /// Logs what is in use, and what clients will complain about.
    pub fn log(&self) {
        self.describe().iter().for_each(|line| log::info!(target: "server:certificate", "{line}"));
        let problems = self.problems(SystemTime::now());
        problems.iter().for_each(|line| log::error!(target: "server:certificate", "{line}"));
    }

    /// One line on each certificate, for the log.
    pub fn describe(&self) -> Vec<String> {
        let loaded = self.loaded.read();
        let mut lines: Vec<String> = Vec::new();
        for (index, one) in loaded.iter().enumerate() {
            if loaded[..index].iter().any(|other| other.file == one.file) {
                continue;
            }
            let hosts: Vec<&str> = (self.hosts.iter().zip(loaded.iter()))
                .filter(|(_, other)| other.file == one.file)
                .map(|(host, _)| host.domain.as_str())
                .collect();
            lines.push(format!("Certificate of {}: {} ({})", hosts.join(", "), one.facts, one.file));
        }
        lines
    }

    /// What clients will complain about, one line each: expired, not yet valid, made for another name.
    pub fn problems(&self, now: SystemTime) -> Vec<String> {
        let loaded = self.loaded.read();
        self.hosts.iter().zip(loaded.iter()).flat_map(|(host, one)| problems(host, one, now)).collect()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let loaded = self.loaded.read();
        let named = hello.server_name().and_then(|name| {
            self.hosts.iter().position(|host| ascii(&host.domain).eq_ignore_ascii_case(name))
        });
        let asked = hello.server_name().unwrap_or("no name");
        log::debug!(target: "certificate:resolve", "a client asks for {asked:?}");
        loaded.get(named.unwrap_or(0)).map(|one| one.key.clone())
    }
}

/// Checks the certificates that the config names, without a data folder: for `check-config`.
pub fn check(hosts: &[Host], now: SystemTime) -> Vec<String> {
    let provider = provider();
    let mut faults: Vec<String> = Vec::new();
    for host in hosts {
        let Some(files) = &host.certificate else { continue };
        let found = match load_files(files, &provider) {
            Ok(loaded) => problems(host, &loaded, now),
            Err(error) => vec![error.to_string()],
        };
        for fault in found {
            if !faults.contains(&fault) {
                faults.push(fault);
            }
        }
    }
    faults
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn load_all(
    hosts: &[Host],
    folder: &DataFolder,
    provider: &CryptoProvider,
) -> Result<Vec<Loaded>, CertificateError> {
    let without: Vec<String> =
        hosts.iter().filter(|host| host.certificate.is_none()).map(|host| ascii(&host.domain)).collect();
    let self_signed =
        if without.is_empty() { None } else { Some(self_signed::load_or_make(folder, &without, provider)?) };
    hosts
        .iter()
        .map(|host| match (&host.certificate, &self_signed) {
            (Some(files), _) => load_files(files, provider),
            (None, Some(self_signed)) => Ok(self_signed.clone()),
            (None, None) => Err(CertificateError::SelfSigned("no host needs one".to_owned())),
        })
        .collect()
}

fn load_files(files: &CertificateFiles, provider: &CryptoProvider) -> Result<Loaded, CertificateError> {
    let chain = read(&files.certificate)?;
    let key = if files.key == files.certificate { chain.clone() } else { read(&files.key)? };
    load_pem(&chain, &files.certificate, &key, &files.key, provider)
}

fn read(file: &Path) -> Result<Vec<u8>, CertificateError> {
    std::fs::read(file).map_err(|source| CertificateError::Read { file: file.display().to_string(), source })
}

fn load_pem(
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
    let Some(own) = chain.first() else { return Err(CertificateError::NoCertificate { file }) };
    let facts = Facts::of(own).map_err(bad)?;
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
    Ok(Loaded { key: Arc::new(pair), facts, file })
}

fn problems(host: &Host, one: &Loaded, now: SystemTime) -> Vec<String> {
    let mut problems = Vec::new();
    if let Some(text) = one.facts.time_problem(now) {
        problems.push(format!("{} {text}: clients will refuse it", one.file));
    }
    let names_host = one.key.end_entity_cert().is_ok_and(|own| inspect::names(own, &ascii(&host.domain)));
    if !names_host {
        problems.push(format!(
            "{} is made for {}, not for the host {}: clients will refuse it",
            one.file,
            one.facts.names.join(", "),
            host.domain
        ));
    }
    problems
}

/// A domain as certificates and clients' TLS name it: A-labels, and an IPv6 address without its brackets.
fn ascii(domain: &str) -> String {
    let bare = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(domain);
    idna::domain_to_ascii(bare).unwrap_or_else(|_| bare.to_owned())
}

#[cfg(test)]
mod tests;
