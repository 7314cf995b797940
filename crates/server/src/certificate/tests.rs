//! Certificates as files, and the one that a client gets to see.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rjabberd_xmpp::sasl::{Mechanism, ScramHash};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, ServerConnection, SignatureScheme};

use super::*;

fn host(domain: &str, certificate: Option<CertificateFiles>) -> Host {
    Host {
        domain: domain.to_owned(),
        registration: false,
        mechanisms: vec![Mechanism::Scram(ScramHash::Sha256)],
        certificate,
        contact: Default::default(),
    }
}

fn folder() -> (tempfile::TempDir, DataFolder) {
    let folder = tempfile::tempdir().unwrap();
    let data = DataFolder::open(&folder.path().join("data")).unwrap();
    (folder, data)
}

/// Writes a certificate for these names, valid between two days from now.
fn write(folder: &tempfile::TempDir, name: &str, names: &[&str], years: (i32, i32)) -> CertificateFiles {
    let key = rcgen::KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
    params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
    let files = CertificateFiles {
        certificate: folder.path().join(format!("{name}.pem")),
        key: folder.path().join(format!("{name}.key")),
    };
    std::fs::write(&files.certificate, params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    files
}

/// Takes any certificate and any signature: what is asked here is only which one comes.
#[derive(Debug)]
struct TakesAll;

impl ServerCertVerifier for TakesAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The names of the certificate that a client sees who asks for `name` and offers `alpn`.
fn seen(config: Arc<ServerConfig>, name: &str, alpn: &[&[u8]]) -> Result<Vec<String>, String> {
    let mut client_config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TakesAll))
        .with_no_client_auth();
    client_config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client_config), name).unwrap();
    let mut server = ServerConnection::new(config).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        pass(&mut |to| client.write_tls(to), &mut |from| server.read_tls(from));
        server.process_new_packets().map_err(|error| error.to_string())?;
        pass(&mut |to| server.write_tls(to), &mut |from| client.read_tls(from));
        client.process_new_packets().map_err(|error| error.to_string())?;
    }
    Ok(Facts::of(&client.peer_certificates().unwrap()[0]).unwrap().names)
}

fn pass(
    write: &mut dyn FnMut(&mut dyn io::Write) -> io::Result<usize>,
    read: &mut dyn FnMut(&mut dyn io::Read) -> io::Result<usize>,
) {
    let mut bytes = Vec::new();
    while write(&mut bytes).unwrap() > 0 {}
    let mut from = bytes.as_slice();
    while !from.is_empty() {
        read(&mut from).unwrap();
    }
}

#[test]
fn each_host_answers_with_its_own_certificate() {
    let (folder, data) = folder();
    let files = write(&folder, "b", &["b.example"], (2020, 2090));
    let hosts = [host("a.example", None), host("b.example", Some(files)), host("bücher.example", None)];
    let certificates = Arc::new(Certificates::load(&hosts, &data).unwrap());
    let config = certificates.server_config(false).unwrap();
    let own = ["a.example", "xn--bcher-kva.example"];
    assert_eq!(seen(config.clone(), "a.example", &[]).unwrap(), own);
    assert_eq!(seen(config.clone(), "B.example", &[]).unwrap(), ["b.example"]);
    assert_eq!(seen(config.clone(), "xn--bcher-kva.example", &[]).unwrap(), own);
    // A name that is no host's, and none at all (an address is never sent), get the default host's.
    assert_eq!(seen(config.clone(), "c.example", &[]).unwrap(), own);
    assert_eq!(seen(config, "127.0.0.1", &[]).unwrap(), own);
    assert_eq!(certificates.problems(SystemTime::now()), [""; 0]);
}

#[test]
fn direct_tls_speaks_xmpp_and_nothing_else() {
    let (_folder, data) = folder();
    let certificates = Arc::new(Certificates::load(&[host("localhost", None)], &data).unwrap());
    let direct = certificates.server_config(true).unwrap();
    assert!(seen(direct.clone(), "localhost", &[b"xmpp-client"]).is_ok());
    assert!(seen(direct.clone(), "localhost", &[]).is_ok());
    assert!(seen(direct, "localhost", &[b"h2"]).is_err());
}

#[test]
fn the_self_signed_certificate_is_made_once_and_anew_for_other_hosts() {
    let (_folder, data) = folder();
    let load = |domains: &[&str]| {
        let hosts: Vec<Host> = domains.iter().map(|domain| host(domain, None)).collect();
        let certificates = Certificates::load(&hosts, &data).unwrap();
        let der = certificates.loaded.read()[0].key.cert[0].clone();
        (der, certificates.describe())
    };
    let (first, lines) = load(&["localhost", "[::1]"]);
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with(
            "Certificate of localhost, [::1]: CN=localhost, made for localhost, ::1, self-signed, "
        ),
        "{lines:?}"
    );
    assert_eq!(load(&["[::1]", "localhost"]).0, first);
    let (other, _) = load(&["localhost", "a.example"]);
    assert_ne!(other, first);
    assert_eq!(load(&["localhost", "a.example"]).0, other);
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(data.file("self-signed.pem")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    std::fs::write(data.file("self-signed.pem"), "half a fi").unwrap();
    assert_ne!(load(&["localhost", "a.example"]).0, other);
}

#[test]
fn a_certificate_that_cannot_be_used_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let good = write(&folder, "good", &["a.example"], (2020, 2090));
    let other = write(&folder, "other", &["a.example"], (2020, 2090));
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    let missing = folder.path().join("missing");
    let old = write(&folder, "old", &["a.example"], (2001, 2002));
    let place = folder.path().display().to_string();
    let check = |certificate: &PathBuf, key: &PathBuf, domain: &str, line: &str| {
        let files = CertificateFiles { certificate: certificate.clone(), key: key.clone() };
        let lines = super::check(&[host(domain, Some(files))], SystemTime::now());
        let lines: Vec<String> = lines.iter().map(|line| line.replace(&place, "")).collect();
        if line.is_empty() { assert_eq!(lines, [""; 0]) } else { assert_eq!(lines, [line]) }
    };
    check(&good.certificate, &good.key, "a.example", "");
    check(
        &missing,
        &good.key,
        "a.example",
        "cannot read /missing: No such file or directory (os error 2): check the path and that this user may read it",
    );
    check(
        &empty,
        &good.key,
        "a.example",
        "/empty holds no certificate: it must be PEM with BEGIN CERTIFICATE in it",
    );
    check(
        &good.certificate,
        &empty,
        "a.example",
        "/empty holds no private key: it must be PEM with BEGIN PRIVATE KEY in it, without a passphrase",
    );
    check(
        &good.certificate,
        &other.key,
        "a.example",
        "/good.pem and /other.key cannot be used together: the key belongs to another certificate",
    );
    check(&old.certificate, &old.key, "a.example", "/old.pem expired on 2002-01-01: clients will refuse it");
    check(
        &good.certificate,
        &good.key,
        "b.example",
        "/good.pem is made for a.example, not for the host b.example: clients will refuse it",
    );
}

#[test]
fn a_wildcard_is_made_for_one_label() {
    let folder = tempfile::tempdir().unwrap();
    let files = write(&folder, "wild", &["*.chat.example"], (2020, 2090));
    let problems = |domain: &str| super::check(&[host(domain, Some(files.clone()))], SystemTime::now()).len();
    assert_eq!((problems("a.chat.example"), problems("b.a.chat.example")), (0, 1));
}

#[test]
fn a_reload_takes_the_new_file_and_a_bad_one_changes_nothing() {
    let (folder, data) = folder();
    let files = write(&folder, "a", &["a.example", "old.example"], (2020, 2090));
    let certificates =
        Arc::new(Certificates::load(&[host("a.example", Some(files.clone()))], &data).unwrap());
    let config = certificates.server_config(false).unwrap();
    write(&folder, "a", &["a.example", "new.example"], (2020, 2090));
    certificates.reload(&data).unwrap();
    assert_eq!(seen(config.clone(), "a.example", &[]).unwrap(), ["a.example", "new.example"]);
    std::fs::write(&files.key, "").unwrap();
    assert!(certificates.reload(&data).is_err());
    assert_eq!(seen(config, "a.example", &[]).unwrap(), ["a.example", "new.example"]);
}

#[test]
fn a_certificate_of_tomorrow_is_not_valid_today() {
    let facts = Facts {
        subject: "CN=x".to_owned(),
        names: Vec::new(),
        not_before: SystemTime::UNIX_EPOCH + Duration::from_secs(86_400),
        not_after: SystemTime::UNIX_EPOCH + Duration::from_secs(2 * 86_400),
        is_self_signed: true,
    };
    let problem = |second: u64| facts.time_problem(SystemTime::UNIX_EPOCH + Duration::from_secs(second));
    assert_eq!(problem(0).as_deref(), Some("is valid only from 1970-01-02"));
    assert_eq!(problem(86_400), None);
    assert_eq!(problem(3 * 86_400).as_deref(), Some("expired on 1970-01-03"));
}
