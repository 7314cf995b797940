//! Certificates as files, and the one that a client gets to see.

use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use rjabberd_transport::{TlsInfo, Transport};
use rjabberd_xmpp::sasl::{Mechanism, ScramHash};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, ServerConnection, SignatureScheme,
};
use sha2::Digest;

use super::load::Loaded;
use super::*;
use crate::config::CertificateFiles;

pub(super) fn host(domain: &str, certificate: Option<CertificateFiles>) -> Host {
    Host {
        domain: domain.to_owned(),
        registration: false,
        mechanisms: vec![Mechanism::Scram(ScramHash::Sha256)],
        certificate,
        external_ca: None,
        contact: Default::default(),
    }
}

fn folder() -> (tempfile::TempDir, DataFolder) {
    let folder = tempfile::tempdir().unwrap();
    let data = DataFolder::open(&folder.path().join("data")).unwrap();
    (folder, data)
}

/// Writes a certificate for these names, valid between two days from now.
pub(super) fn write(
    folder: &tempfile::TempDir,
    name: &str,
    names: &[&str],
    years: (i32, i32),
) -> CertificateFiles {
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
    let config = certificates.server_config(false, TlsVersion::V12).unwrap();
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
    let direct = certificates.server_config(true, TlsVersion::V12).unwrap();
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
        let der = certificates.of_hosts.read()[0].loaded.key.cert[0].clone();
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
    let text = folder.path().join("text.pem");
    std::fs::write(&text, b"\xff\x00 no PEM").unwrap();
    let future = write(&folder, "future", &["a.example"], (2089, 2090));
    let old = write(&folder, "old", &["a.example"], (2001, 2002));
    let place = folder.path().display().to_string();
    let check = |certificate: &PathBuf, key: &PathBuf, domain: &str, line: &str| {
        let files = CertificateFiles { certificate: certificate.clone(), key: key.clone() };
        let lines = super::check(&[host(domain, Some(files))], SystemTime::now()).faults;
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
        &future.certificate,
        &future.key,
        "a.example",
        "/future.pem is valid only from 2089-01-01: clients will refuse it",
    );
    check(
        &text,
        &good.key,
        "a.example",
        "/text.pem holds no certificate: it must be PEM with BEGIN CERTIFICATE in it",
    );
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
    let problems =
        |domain: &str| super::check(&[host(domain, Some(files.clone()))], SystemTime::now()).faults.len();
    assert_eq!((problems("a.chat.example"), problems("b.a.chat.example")), (0, 1));
}

#[test]
fn a_reload_takes_the_new_file_and_a_bad_one_changes_nothing() {
    let (folder, data) = folder();
    let files = write(&folder, "a", &["a.example", "old.example"], (2020, 2090));
    let certificates =
        Arc::new(Certificates::load(&[host("a.example", Some(files.clone()))], &data).unwrap());
    let config = certificates.server_config(false, TlsVersion::V12).unwrap();
    write(&folder, "a", &["a.example", "new.example"], (2020, 2090));
    let reloaded = certificates.reload(&data, SystemTime::now());
    assert_eq!(reloaded, Reloaded { changed: true, kept: Vec::new() });
    assert_eq!(seen(config.clone(), "a.example", &[]).unwrap(), ["a.example", "new.example"]);
    std::fs::write(&files.key, "").unwrap();
    let reloaded = certificates.reload(&data, SystemTime::now());
    assert!(!reloaded.changed && reloaded.kept.len() == 1, "{reloaded:?}");
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

/// A client that takes any certificate.
fn client(versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TakesAll))
        .with_no_client_auth();
    Arc::new(config)
}

/// What the server knows of one connection, and the client after it has read a byte (and its tickets).
fn meet(config: &Arc<ServerConfig>, client: &Arc<ClientConfig>, name: &str) -> (TlsInfo, ClientConnection) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut connection = ClientConnection::new(client.clone(), name).unwrap();
    let meeting = std::thread::spawn(move || {
        let mut byte = [0];
        let mut stream = rustls::Stream::new(&mut connection, &mut peer);
        stream.flush().unwrap();
        io::Read::read_exact(&mut stream, &mut byte).unwrap();
        connection
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let info = runtime.block_on(async {
        let transport = Transport::new(accepted).unwrap();
        transport.start_tls(config.clone()).unwrap();
        let info = std::future::poll_fn(|context| transport.poll_handshake(context)).await.unwrap();
        assert_eq!(std::future::poll_fn(|context| transport.poll_write(context, b"!")).await.unwrap(), 1);
        info
    });
    (info, meeting.join().unwrap())
}

#[test]
fn a_connection_is_bound_to_the_certificate_that_it_was_shown() {
    let (folder, data) = folder();
    let files = write(&folder, "b", &["b.example"], (2020, 2090));
    let hosts = [host("a.example", None), host("b.example", Some(files))];
    let certificates = Arc::new(Certificates::load(&hosts, &data).unwrap());
    let config = certificates.server_config(false, TlsVersion::V12).unwrap();
    let mut seen = Vec::new();
    for name in ["a.example", "b.example"] {
        let (info, connection) = meet(&config, &client(&[&TLS13]), name);
        assert_eq!(info.server_name.as_deref(), Some(name));
        // Both are signed with ECDSA and SHA-256.
        let shown = sha2::Sha256::digest(&connection.peer_certificates().unwrap()[0]);
        assert_eq!(info.end_point.as_deref(), Some(shown.as_slice()));
        seen.push(info.end_point);
    }
    assert_ne!(seen[0], seen[1]);
}

#[test]
fn a_session_is_resumed_until_its_certificate_is_another() {
    for version in [&TLS13, &TLS12] {
        let (folder, data) = folder();
        let files = write(&folder, "a", &["a.example"], (2020, 2090));
        let certificates = Arc::new(Certificates::load(&[host("a.example", Some(files))], &data).unwrap());
        let config = certificates.server_config(false, TlsVersion::V12).unwrap();
        let client = client(&[version]);
        let (first, _) = meet(&config, &client, "a.example");
        let (again, connection) = meet(&config, &client, "a.example");
        assert_eq!(connection.handshake_kind(), Some(HandshakeKind::Resumed));
        assert!(again.is_resumed && !first.is_resumed);
        assert_eq!(again.end_point, first.end_point);
        write(&folder, "a", &["a.example"], (2020, 2089));
        assert!(certificates.reload(&data, SystemTime::now()).changed);
        let (anew, connection) = meet(&config, &client, "a.example");
        assert_eq!(connection.handshake_kind(), Some(HandshakeKind::Full));
        assert!(!anew.is_resumed && anew.end_point != first.end_point);
        // A reload of the same changes nothing.
        assert_eq!(certificates.reload(&data, SystemTime::now()), Reloaded::default());
        assert!(meet(&config, &client, "a.example").0.is_resumed);
    }
}

#[test]
fn nothing_older_than_the_least_version_is_spoken() {
    let (_folder, data) = folder();
    let certificates = Arc::new(Certificates::load(&[host("a.example", None)], &data).unwrap());
    let handshake = |version_min, version| {
        let config = certificates.server_config(false, version_min).unwrap();
        let mut client =
            ClientConnection::new(client(&[version]), ServerName::try_from("a.example").unwrap()).unwrap();
        let mut server = ServerConnection::new(config).unwrap();
        pass(&mut |to| client.write_tls(to), &mut |from| server.read_tls(from));
        server.process_new_packets().map(|_| server.protocol_version())
    };
    for (version_min, taken) in [(TlsVersion::V12, true), (TlsVersion::V13, false)] {
        assert_eq!(handshake(version_min, &TLS12).is_ok(), taken);
        assert!(handshake(version_min, &TLS13).is_ok());
    }
}

#[test]
fn there_is_no_early_data_and_no_compression() {
    let (_folder, data) = folder();
    let certificates = Arc::new(Certificates::load(&[host("a.example", None)], &data).unwrap());
    let config = certificates.server_config(true, TlsVersion::V12).unwrap();
    assert_eq!(config.max_early_data_size, 0);
    assert!(!config.send_half_rtt_data);
    assert!(config.cert_compressors.is_empty() && config.cert_decompressors.is_empty());
}

#[test]
fn the_client_s_order_of_groups_decides_and_no_second_hello_is_asked_for() {
    let (_folder, data) = folder();
    let certificates = Arc::new(Certificates::load(&[host("a.example", None)], &data).unwrap());
    let config = certificates.server_config(false, TlsVersion::V12).unwrap();
    let check = |kx_groups: Vec<&'static dyn rustls::crypto::SupportedKxGroup>, group: &str| {
        let provider = CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() };
        let client = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(TakesAll))
            .with_no_client_auth();
        let (info, connection) = meet(&config, &Arc::new(client), "a.example");
        assert_eq!(info.group, group);
        assert_eq!(connection.handshake_kind(), Some(HandshakeKind::Full));
    };
    check(vec![kx_group::X25519MLKEM768, kx_group::X25519], "X25519MLKEM768");
    check(vec![kx_group::X25519], "X25519");
    check(vec![kx_group::SECP256R1], "secp256r1");
    check(vec![kx_group::X25519, kx_group::X25519MLKEM768], "X25519");
}

/// What stays in use for the only host.
fn in_use(certificates: &Certificates) -> Loaded {
    certificates.of_hosts.read()[0].loaded.clone()
}

#[test]
fn a_new_certificate_that_clients_refuse_does_not_take_the_place_of_one_that_they_take() {
    let (folder, data) = folder();
    let files = write(&folder, "a", &["a.example"], (2020, 2090));
    let certificates = Certificates::load(&[host("a.example", Some(files))], &data).unwrap();
    let first = in_use(&certificates);
    let place = folder.path().display().to_string();
    for (names, years, line) in [
        (["a.example"], (2001, 2002), "/a.pem expired on 2002-01-01: clients will refuse it"),
        (["a.example"], (2089, 2090), "/a.pem is valid only from 2089-01-01: clients will refuse it"),
        (
            ["b.example"],
            (2020, 2090),
            "/a.pem is made for b.example, not for the host a.example: clients will refuse it",
        ),
    ] {
        write(&folder, "a", &names, years);
        let reloaded = certificates.reload(&data, SystemTime::now());
        assert_eq!(reloaded.kept, [format!("{place}{line}")]);
        assert!(!reloaded.changed && in_use(&certificates).own == first.own);
    }
    // The one of tomorrow is taken when its day has come.
    write(&folder, "a", &["a.example"], (2089, 2090));
    let day = SystemTime::UNIX_EPOCH + Duration::from_secs(3_760_000_000);
    assert!(certificates.reload(&data, day).changed);
}

#[test]
fn the_certificate_of_one_host_is_renewed_though_that_of_another_is_broken() {
    let (folder, data) = folder();
    let files = ["a", "b"].map(|name| write(&folder, name, &[&format!("{name}.example")], (2020, 2090)));
    let [a, b] = files.clone();
    let hosts = [host("a.example", Some(a)), host("b.example", Some(b))];
    let certificates = Certificates::load(&hosts, &data).unwrap();
    let before = certificates.of_hosts.read().clone();
    write(&folder, "a", &["a.example"], (2020, 2089));
    std::fs::remove_file(&files[1].certificate).unwrap();
    let reloaded = certificates.reload(&data, SystemTime::now());
    assert!(reloaded.changed && reloaded.kept.len() == 1, "{reloaded:?}");
    let after = certificates.of_hosts.read();
    assert_ne!(after[0].loaded.own, before[0].loaded.own);
    assert_eq!(after[1].loaded.own, before[1].loaded.own);
}

#[test]
fn a_certificate_that_expires_within_two_weeks_is_warned_of() {
    let (folder, data) = folder();
    let files = write(&folder, "a", &["a.example"], (2020, 2090));
    let hosts = [host("a.example", Some(files))];
    let certificates = Certificates::load(&hosts, &data).unwrap();
    let end = in_use(&certificates).facts.not_after;
    let before = |days: u64| end - Duration::from_secs(days * 86_400 + 60);
    assert_eq!(certificates.expiring(before(14)), [""; 0]);
    let line = |days| {
        format!("{} expires on 2090-01-01, in {days} days: renew it", folder.path().join("a.pem").display())
    };
    assert_eq!(certificates.expiring(before(13)), [line(13)]);
    assert_eq!(check(&hosts, before(3)), Checked { faults: Vec::new(), warnings: vec![line(3)] });
    // Then it is a problem, not a warning.
    let after = end + Duration::from_secs(60);
    assert_eq!((certificates.expiring(after).len(), certificates.problems(after).len()), (0, 1));
}

#[test]
fn files_that_change_are_loaded_at_the_next_look_and_half_a_change_is_not() {
    let (folder, data) = folder();
    let files = write(&folder, "a", &["a.example"], (2020, 2090));
    let certificates =
        Arc::new(Certificates::load(&[host("a.example", Some(files.clone()))], &data).unwrap());
    let mut watch = Watch::new(certificates.clone(), Arc::new(data));
    watch.look();
    let first = in_use(&certificates);
    let other = write(&folder, "other", &["a.example"], (2020, 2089));
    // First the certificate, and then its key.
    std::fs::rename(&other.certificate, &files.certificate).unwrap();
    watch.look();
    assert_eq!(in_use(&certificates).own, first.own);
    watch.look();
    assert_eq!(in_use(&certificates).own, first.own);
    std::fs::rename(&other.key, &files.key).unwrap();
    watch.look();
    let second = in_use(&certificates);
    assert_ne!(second.own, first.own);
    std::fs::remove_file(&files.key).unwrap();
    watch.look();
    assert_eq!(in_use(&certificates).own, second.own);
}
