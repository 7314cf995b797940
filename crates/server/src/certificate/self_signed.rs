//! The self-signed certificate of a server that nobody gave one: made once, kept in the data folder, made anew when
//! the hosts change or it is about to expire.
//!
//! Certificate and key are one file, so that a crash never leaves one without the other.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, date_time_ymd};
use rjabberd_storage::DataFolder;
use rustls::crypto::CryptoProvider;

use super::{CertificateError, Loaded, load_pem};
use rjabberd_xmpp::date::civil;

/// Its name in the data folder.
const FILE: &str = "self-signed.pem";
const DAY: Duration = Duration::from_secs(86_400);
const VALID: Duration = Duration::from_secs(86_400 * 3650);
/// One that expires sooner is made anew at the start.
const LEAST_LEFT: Duration = Duration::from_secs(86_400 * 90);

/// The certificate for these names (A-labels or addresses).
pub(super) fn load_or_make(
    folder: &DataFolder,
    names: &[String],
    provider: &CryptoProvider,
) -> Result<Loaded, CertificateError> {
    let path = folder.file(FILE);
    let now = SystemTime::now();
    if let Ok(pem) = std::fs::read(&path)
        && let Ok(loaded) = load_pem(&pem, &path, &pem, &path, provider)
        && fits(&loaded, names, now)
    {
        return Ok(loaded);
    }
    let pem = make(names, now).map_err(|error| CertificateError::SelfSigned(error.to_string()))?;
    folder.write(FILE, pem.as_bytes())?;
    log::info!(target: "server:certificate", "Made a self-signed certificate for {}", names.join(", "));
    load_pem(pem.as_bytes(), &path, pem.as_bytes(), &path, provider)
}

fn fits(loaded: &Loaded, names: &[String], now: SystemTime) -> bool {
    let has_same_names = loaded.facts.names.len() == names.len()
        && names.iter().all(|name| loaded.facts.names.iter().any(|other| is_same(name, other)));
    has_same_names && loaded.facts.not_after > now + LEAST_LEFT
}

/// Addresses have several spellings.
fn is_same(name: &str, other: &str) -> bool {
    let address = |text: &str| text.parse::<std::net::IpAddr>().ok();
    name == other || (address(name).is_some() && address(name) == address(other))
}

fn make(names: &[String], now: SystemTime) -> Result<zeroize::Zeroizing<String>, rcgen::Error> {
    let date = |time: SystemTime| {
        let (year, month, day) =
            civil(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 86_400);
        // Months and days are under 32, and years under 10,000.
        date_time_ymd(year as i32, month as u8, day as u8)
    };
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(first) = names.first() {
        params.distinguished_name.push(DnType::CommonName, first.as_str());
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // A clock that is a little behind still finds it valid.
    params.not_before = date(now - DAY);
    params.not_after = date(now + VALID);
    let certificate = params.self_signed(&key)?;
    Ok(zeroize::Zeroizing::new(format!("{}{}", certificate.pem(), key.serialize_pem())))
}
