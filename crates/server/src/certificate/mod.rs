//! Certificates: which one answers for which virtual host, and the TLS settings of listeners.
//!
//! A host has the certificate that the config names, or else shares the self-signed one of the data folder. Knows
//! nothing of sockets and streams. Invariants: a certificate is only ever used with the key that belongs to it; what
//! cannot be loaded again leaves the old one in use, and so does a new one that clients would refuse where they take the
//! old one.

mod clients;
mod inspect;
mod load;
mod self_signed;
mod tickets;
mod watch;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::RwLock;
use rjabberd_storage::{DataFolder, DataFolderError};
use rjabberd_transport::handshake::{self, Exporter};
use rjabberd_xmpp::BareJid;
use rjabberd_xmpp::sasl::TlsVersion;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};

use crate::config::Host;
use clients::{AnyHolder, Authorities};
pub use inspect::Facts;
use load::Loaded;
use tickets::Tickets;
pub use watch::Watch;

/// The protocol name of direct TLS (XEP-0368).
const ALPN: &[u8] = b"xmpp-client";
/// A certificate that is valid for less than this is warned of.
const EXPIRES_SOON_DAYS: u64 = 14;

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

/// What each host has.
#[derive(Clone, Debug)]
struct OfHost {
    loaded: Loaded,
    authorities: Option<Authorities>,
}

/// The certificate of each host, and the authorities that vouch for its clients.
#[derive(Debug)]
pub struct Certificates {
    hosts: Vec<Host>,
    provider: Arc<CryptoProvider>,
    /// In the order of `hosts`.
    of_hosts: RwLock<Vec<OfHost>>,
    tickets: Arc<Tickets>,
}

/// What loading anew came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Something else is in use now.
    pub changed: bool,
    /// Why something stays as it was, one line each.
    pub kept: Vec<String>,
}

impl Certificates {
    /// Loads every host's certificate; makes the self-signed one if a host needs it and there is none that fits.
    ///
    /// # Errors
    /// A file is missing, unreadable or does not fit its key.
    pub fn load(hosts: &[Host], folder: &DataFolder) -> Result<Certificates, CertificateError> {
        let provider = provider();
        let tickets = Tickets::begin();
        let self_signed = load::self_signed(hosts, folder, &provider)?;
        let of_host = |host: &Host| {
            let loaded = load::certificate(host, self_signed.as_ref(), &provider)?;
            Ok(OfHost { loaded, authorities: load::authorities(host, &provider)? })
        };
        let of_hosts = hosts.iter().map(of_host).collect::<Result<_, CertificateError>>()?;
        Ok(Certificates { hosts: hosts.to_vec(), provider, of_hosts: RwLock::new(of_hosts), tickets })
    }

    /// Loads them all again. Each that cannot be used stays as it is, and so does each that clients would refuse where
    /// they take the one in use. Sessions go on, whatever comes of it.
    pub fn reload(&self, folder: &DataFolder, now: SystemTime) -> Reloaded {
        let mut reloaded = Reloaded::default();
        let self_signed = load::self_signed(&self.hosts, folder, &self.provider);
        let mut of_hosts = self.of_hosts.read().clone();
        for (host, of_host) in self.hosts.iter().zip(&mut of_hosts) {
            let certificate = match &self_signed {
                Ok(self_signed) => load::certificate(host, self_signed.as_ref(), &self.provider)
                    .map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            match certificate.and_then(|new| load::no_worse(host, &of_host.loaded, new, now)) {
                Ok(new) => {
                    reloaded.changed |= new.key.cert != of_host.loaded.key.cert;
                    of_host.loaded = new;
                }
                Err(line) => reloaded.kept.push(line),
            }
            match load::authorities(host, &self.provider) {
                Ok(authorities) => of_host.authorities = authorities,
                Err(error) => reloaded.kept.push(error.to_string()),
            }
        }
        *self.of_hosts.write() = of_hosts;
        reloaded.kept.sort();
        reloaded.kept.dedup();
        reloaded
    }

    /// The files that are loaded.
    fn files(&self) -> BTreeSet<PathBuf> {
        let certificates = self.hosts.iter().filter_map(|host| host.certificate.as_ref());
        let pairs = certificates.flat_map(|files| [files.certificate.clone(), files.key.clone()]);
        pairs.chain(self.hosts.iter().filter_map(|host| host.external_ca.clone())).collect()
    }

    /// TLS settings that answer with the certificate of the host that the client names, or that of the default host.
    /// `direct` is for TLS from the first byte, where the protocol is negotiated by name. A client is asked for a
    /// certificate, and need not have one, where some host has authorities that could vouch for it.
    ///
    /// # Errors
    /// The TLS library refuses to start.
    pub fn server_config(
        self: &Arc<Self>,
        direct: bool,
        version_min: TlsVersion,
    ) -> Result<Arc<ServerConfig>, CertificateError> {
        let versions: &[&'static SupportedProtocolVersion] = match version_min {
            TlsVersion::V12 => &[&TLS13, &TLS12],
            TlsVersion::V13 => &[&TLS13],
        };
        let builder =
            ServerConfig::builder_with_provider(self.provider.clone()).with_protocol_versions(versions)?;
        let builder = if self.hosts.iter().any(|host| host.external_ca.is_some()) {
            builder.with_client_cert_verifier(Arc::new(AnyHolder(self.provider.clone())))
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_cert_resolver(self.clone());
        config.key_log = Arc::new(Exporter);
        // Tickets are sealed and given to the client, so that an idle session keeps nothing here.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = self.tickets.clone();
        config.send_tls13_tickets = 1;
        // No early data: what is said in it can be said again by others (RFC 8446, 8; XEP-0388, 5).
        config.max_early_data_size = 0;
        config.send_half_rtt_data = false;
        config.cert_compressors = Vec::new();
        config.cert_decompressors = Vec::new();
        if direct {
            config.alpn_protocols = vec![ALPN.to_vec()];
        }
        Ok(Arc::new(config))
    }

    /// The accounts that a client's certificates name and that the authorities of their host vouch for, each once.
    pub fn vouch(&self, chain: &[CertificateDer<'_>], now: SystemTime) -> Vec<BareJid> {
        let of_hosts = self.of_hosts.read();
        let authorities_of = |domain: &str| {
            let index = self.hosts.iter().position(|host| host.domain == domain)?;
            of_hosts.get(index)?.authorities.as_ref()
        };
        let now = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO));
        clients::vouch(chain, authorities_of, now)
    }

    /// Logs what is in use, and what clients will complain about.
    pub fn log(&self) {
        self.describe().iter().for_each(|line| log::info!(target: "server:certificate", "{line}"));
        self.log_problems(SystemTime::now());
    }

    /// Logs what clients complain about, and what they soon will.
    fn log_problems(&self, now: SystemTime) {
        self.problems(now).iter().for_each(|line| log::error!(target: "server:certificate", "{line}"));
        self.expiring(now).iter().for_each(|line| log::warn!(target: "server:certificate", "{line}"));
    }

    /// One line on each certificate, for the log.
    pub fn describe(&self) -> Vec<String> {
        let of_hosts = self.of_hosts.read();
        let mut lines: Vec<String> = Vec::new();
        for (index, OfHost { loaded, .. }) in of_hosts.iter().enumerate() {
            if of_hosts[..index].iter().any(|other| other.loaded.file == loaded.file) {
                continue;
            }
            let hosts: Vec<&str> = (self.hosts.iter().zip(of_hosts.iter()))
                .filter(|(_, other)| other.loaded.file == loaded.file)
                .map(|(host, _)| host.domain.as_str())
                .collect();
            lines.push(format!("Certificate of {}: {} ({})", hosts.join(", "), loaded.facts, loaded.file));
        }
        lines
    }

    /// What clients will complain about, one line each: expired, not yet valid, made for another name.
    pub fn problems(&self, now: SystemTime) -> Vec<String> {
        self.lines(|host, loaded| loaded.problems(host, now))
    }

    /// The certificates that expire within two weeks, one line each.
    pub fn expiring(&self, now: SystemTime) -> Vec<String> {
        self.lines(|_, loaded| loaded.expires_soon(now).into_iter().collect())
    }

    /// Lines on each host's certificate, each once.
    fn lines(&self, of: impl Fn(&Host, &Loaded) -> Vec<String>) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for (host, OfHost { loaded, .. }) in self.hosts.iter().zip(self.of_hosts.read().iter()) {
            let new: Vec<String> =
                of(host, loaded).into_iter().filter(|line| !lines.contains(line)).collect();
            lines.extend(new);
        }
        lines
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        handshake::note_server_name(hello.server_name());
        let named = hello.server_name().and_then(|name| {
            self.hosts.iter().position(|host| ascii(&host.domain).eq_ignore_ascii_case(name))
        });
        let of_hosts = self.of_hosts.read();
        let OfHost { loaded, .. } = of_hosts.get(named.unwrap_or(0))?;
        handshake::note_certificate(&loaded.own);
        Some(loaded.key.clone())
    }
}

/// What is wrong with the files that a config names, and what soon will be.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// What the server, or every client, would refuse; one line each.
    pub faults: Vec<String>,
    /// What deserves attention; one line each.
    pub warnings: Vec<String>,
}

/// Checks the files that the config names, without a data folder: for `check-config`.
pub fn check(hosts: &[Host], now: SystemTime) -> Checked {
    let provider = provider();
    let mut checked = Checked::default();
    let add = |lines: &mut Vec<String>, line: String| {
        if !lines.contains(&line) {
            lines.push(line);
        }
    };
    for host in hosts {
        if let Some(files) = &host.certificate {
            match load::files(files, &provider) {
                Ok(loaded) => {
                    loaded.problems(host, now).into_iter().for_each(|line| add(&mut checked.faults, line));
                    loaded.expires_soon(now).into_iter().for_each(|line| add(&mut checked.warnings, line));
                }
                Err(error) => add(&mut checked.faults, error.to_string()),
            }
        }
        if let Err(error) = load::authorities(host, &provider) {
            add(&mut checked.faults, error.to_string());
        }
    }
    checked
}

/// What TLS is made of. Among the groups that both have, the client's order decides: those that can do the hybrid put
/// it first, and a client that sends no share of it is not asked for one unless it put it first itself.
fn provider() -> Arc<CryptoProvider> {
    let kx_groups =
        vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];
    Arc::new(CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() })
}

/// A domain as certificates and clients' TLS name it: A-labels, and an IPv6 address without its brackets.
fn ascii(domain: &str) -> String {
    let bare = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(domain);
    idna::domain_to_ascii(bare).unwrap_or_else(|_| bare.to_owned())
}

#[cfg(test)]
mod tests;
