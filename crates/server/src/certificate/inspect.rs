//! What a certificate says of itself. Reads it, trusts nobody by it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rjabberd_transport::handshake::OwnCertificate;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use x509_parser::asn1_rs::{Oid, oid};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::signature_algorithm::RsaSsaPssParams;
use x509_parser::time::ASN1Time;
use x509_parser::x509::AlgorithmIdentifier;

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

    /// How many whole days it is still valid, if it is.
    pub(super) fn days_left(&self, now: SystemTime) -> Option<u64> {
        Some(self.not_after.duration_since(now).ok()?.as_secs() / 86_400)
    }

    /// Until when it is valid, as a date.
    pub(super) fn last_day(&self) -> String {
        date(self.not_after)
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

/// What connections bind to by it.
pub(super) fn own(certificate: &CertificateDer<'_>) -> OwnCertificate {
    let hash = X509Certificate::from_der(certificate)
        .ok()
        .and_then(|(_, parsed)| signature_hash(&parsed.signature_algorithm));
    OwnCertificate {
        fingerprint: Sha256::digest(certificate).into(),
        end_point: hash.map(|hash| hash.of(certificate)),
    }
}

/// The hash functions that a certificate is bound by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// RFC 5929, 4.1: SHA-256 stands in for MD5 and SHA-1.
    fn named(hash: &Oid<'_>) -> Option<Hash> {
        let md5 = oid!(1.2.840.113549.2.5);
        let sha1 = oid!(1.3.14.3.2.26);
        Some(match hash {
            hash if *hash == md5 || *hash == sha1 => Hash::Sha256,
            hash if *hash == oid!(2.16.840.1.101.3.4.2.4) => Hash::Sha224,
            hash if *hash == oid!(2.16.840.1.101.3.4.2.1) => Hash::Sha256,
            hash if *hash == oid!(2.16.840.1.101.3.4.2.2) => Hash::Sha384,
            hash if *hash == oid!(2.16.840.1.101.3.4.2.3) => Hash::Sha512,
            _ => return None,
        })
    }

    fn of(self, certificate: &[u8]) -> Arc<[u8]> {
        match self {
            Hash::Sha224 => Sha224::digest(certificate).as_slice().into(),
            Hash::Sha256 => Sha256::digest(certificate).as_slice().into(),
            Hash::Sha384 => Sha384::digest(certificate).as_slice().into(),
            Hash::Sha512 => Sha512::digest(certificate).as_slice().into(),
        }
    }
}

/// The one hash function of a signature algorithm (RFC 5929, 4.1); `None` where it has none (Ed25519, Ed448), several,
/// or is one that nobody uses.
fn signature_hash(algorithm: &AlgorithmIdentifier<'_>) -> Option<Hash> {
    let oid = &algorithm.algorithm;
    if *oid == oid!(1.2.840.113549.1.1.10) {
        return pss_hash(algorithm);
    }
    let known = [
        // RFC 8017, A.2.4: RSA with MD5, SHA-1, SHA-256, SHA-384, SHA-512, SHA-224.
        (oid!(1.2.840.113549.1.1.4), Hash::Sha256),
        (oid!(1.2.840.113549.1.1.5), Hash::Sha256),
        (oid!(1.2.840.113549.1.1.11), Hash::Sha256),
        (oid!(1.2.840.113549.1.1.12), Hash::Sha384),
        (oid!(1.2.840.113549.1.1.13), Hash::Sha512),
        (oid!(1.2.840.113549.1.1.14), Hash::Sha224),
        // RFC 5758, 3.2: ECDSA with SHA-1, SHA-224, SHA-256, SHA-384, SHA-512.
        (oid!(1.2.840.10045.4.1), Hash::Sha256),
        (oid!(1.2.840.10045.4.3.1), Hash::Sha224),
        (oid!(1.2.840.10045.4.3.2), Hash::Sha256),
        (oid!(1.2.840.10045.4.3.3), Hash::Sha384),
        (oid!(1.2.840.10045.4.3.4), Hash::Sha512),
        // RFC 3279, 2.2.2, and RFC 5758, 3.1: DSA with SHA-1, SHA-224, SHA-256.
        (oid!(1.2.840.10040.4.3), Hash::Sha256),
        (oid!(2.16.840.1.101.3.4.3.1), Hash::Sha224),
        (oid!(2.16.840.1.101.3.4.3.2), Hash::Sha256),
    ];
    known.iter().find(|(name, _)| name == oid).map(|(_, hash)| *hash)
}

/// RSASSA-PSS (RFC 4055, 3.1) names the hash of the message and that of the mask: one function only if they agree.
fn pss_hash(algorithm: &AlgorithmIdentifier<'_>) -> Option<Hash> {
    let parameters = RsaSsaPssParams::try_from(algorithm.parameters.as_ref()?).ok()?;
    let mask = parameters.mask_gen_algorithm().ok()?;
    let message = parameters.hash_algorithm_oid();
    (*message == mask.hash).then(|| Hash::named(message)).flatten()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The hash of an AlgorithmIdentifier in DER.
    fn hash(der: &[u8]) -> Option<Hash> {
        let (rest, algorithm) = AlgorithmIdentifier::from_der(der).unwrap();
        assert!(rest.is_empty());
        signature_hash(&algorithm)
    }

    fn sequence(tag: u8, content: &[&[u8]]) -> Vec<u8> {
        let content = content.concat();
        [&[tag, u8::try_from(content.len()).unwrap()], &content[..]].concat()
    }

    /// RSASSA-PSS with these hashes; `None` is left out.
    fn pss(message: Option<&[u8]>, mask: Option<&[u8]>) -> Vec<u8> {
        const MGF1: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 8];
        let message = message.map(|hash| sequence(0xa0, &[&sequence(0x30, &[hash, &[5, 0]])]));
        let mask =
            mask.map(|hash| sequence(0xa1, &[&sequence(0x30, &[MGF1, &sequence(0x30, &[hash, &[5, 0]])])]));
        let parameters =
            sequence(0x30, &[&message.unwrap_or_default(), &mask.unwrap_or_default(), &[0xa2, 3, 2, 1, 32]]);
        sequence(0x30, &[&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10], &parameters])
    }

    #[test]
    fn a_certificate_is_bound_by_the_hash_of_its_signature() {
        let rsa = |last: u8| sequence(0x30, &[&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, last, 5, 0]]);
        // MD5 and SHA-1: SHA-256 in their place.
        assert_eq!([4, 5, 11].map(|last| hash(&rsa(last))), [Some(Hash::Sha256); 3]);
        assert_eq!(hash(&rsa(12)), Some(Hash::Sha384));
        assert_eq!(hash(&rsa(13)), Some(Hash::Sha512));
        assert_eq!(hash(&rsa(14)), Some(Hash::Sha224));
        assert_eq!(hash(&rsa(2)), None, "MD2");
        let ecdsa = |last: u8| sequence(0x30, &[&[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, last]]);
        assert_eq!(
            [1, 2, 3, 4].map(|last| hash(&ecdsa(last))),
            [Some(Hash::Sha224), Some(Hash::Sha256), Some(Hash::Sha384), Some(Hash::Sha512)]
        );
        assert_eq!(hash(&sequence(0x30, &[&[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1]])), Some(Hash::Sha256));
        for last in [112, 113] {
            assert_eq!(
                hash(&sequence(0x30, &[&[6, 3, 0x2b, 0x65, last]])),
                None,
                "Ed25519 and Ed448 have none"
            );
        }
    }

    #[test]
    fn rsassa_pss_is_bound_by_the_hash_of_its_parameters_if_there_is_but_one() {
        const SHA256: &[u8] = &[6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
        const SHA384: &[u8] = &[6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2];
        assert_eq!(hash(&pss(Some(SHA256), Some(SHA256))), Some(Hash::Sha256));
        assert_eq!(hash(&pss(Some(SHA384), Some(SHA384))), Some(Hash::Sha384));
        assert_eq!(hash(&pss(Some(SHA384), Some(SHA256))), None);
        // Left out, each is SHA-1.
        assert_eq!(hash(&pss(None, None)), Some(Hash::Sha256));
        assert_eq!(hash(&pss(Some(SHA256), None)), None);
    }

    #[test]
    fn the_data_to_bind_to_is_the_hash_of_the_whole_certificate() {
        for (algorithm, digest) in [
            (&rcgen::PKCS_ECDSA_P256_SHA256, (|der| Sha256::digest(der).to_vec()) as fn(&[u8]) -> Vec<u8>),
            (&rcgen::PKCS_ECDSA_P384_SHA384, |der| Sha384::digest(der).to_vec()),
            (&rcgen::PKCS_ECDSA_P521_SHA512, |der| Sha512::digest(der).to_vec()),
        ] {
            let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
            let made = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
            let own = own(made.der());
            assert_eq!(own.end_point.as_deref(), Some(&digest(made.der())[..]));
            assert_eq!(own.fingerprint[..], Sha256::digest(made.der())[..]);
        }
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let made = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
        assert_eq!(own(made.der()).end_point, None);
    }
}
