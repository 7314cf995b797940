//! What a certificate says of itself. Reads it, trusts nobody by it.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use rjabberd_xmpp::date::civil;

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The subject, as in `CN=example.net`.
    pub subject: String,
    /// Names and addresses that it is made for.
    pub names: Vec<String>,
    /// From when it is valid.
    pub not_before: SystemTime,
    /// Until when it is valid.
    pub not_after: SystemTime,
    /// Its issuer is its subject.
    pub is_self_signed: bool,
}

impl Facts {
    /// Reads them; the error says what is wrong with the certificate.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Result<Facts, String> {
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
        let names = match parsed.subject_alternative_name() {
            Ok(Some(names)) => names.value.general_names.iter().filter_map(name).collect(),
            Ok(None) => Vec::new(),
            Err(error) => return Err(error.to_string()),
        };
        Ok(Facts {
            subject: parsed.subject().to_string(),
            names,
            not_before: time(parsed.validity().not_before),
            not_after: time(parsed.validity().not_after),
            is_self_signed: parsed.issuer() == parsed.subject(),
        })
    }

    /// Why it is not valid now, if it is not.
    pub(super) fn time_problem(&self, now: SystemTime) -> Option<String> {
        if now > self.not_after {
            Some(format!("expired on {}", date(self.not_after)))
        } else if now < self.not_before {
            Some(format!("is valid only from {}", date(self.not_before)))
        } else {
            None
        }
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_self_signed { "self-signed, " } else { "" };
        let names = self.names.join(", ");
        write!(f, "{}, made for {names}, {kind}valid until {}", self.subject, date(self.not_after))
    }
}

/// Whether a certificate is made for a domain or an address.
pub(super) fn names(certificate: &CertificateDer<'_>, domain: &str) -> bool {
    let Ok(name) = ServerName::try_from(domain) else { return false };
    ParsedCertificate::try_from(certificate)
        .is_ok_and(|parsed| rustls::client::verify_server_name(&parsed, &name).is_ok())
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let v6 = <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
            v4.or(v6).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

fn time(time: ASN1Time) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0))
}

fn date(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (year, month, day) = civil(since.as_secs() / 86_400);
    format!("{year:04}-{month:02}-{day:02}")
}
