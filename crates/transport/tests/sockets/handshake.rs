//! What is known of a handshake when it is done.

use std::{net::TcpStream, sync::Arc, thread};

use rjabberd_transport::{
    TlsInfo, Transport,
    handshake::{self, Exporter, OwnCertificate},
};
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, HandshakeKind, NamedGroup, ProtocolVersion, RootCertStore,
    ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs::{self, kx_group},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
    server::{ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

use crate::pair::{pair, wait};

/// Chooses one certificate and notes it, as the server does.
#[derive(Debug)]
struct Notes(Arc<CertifiedKey>, Arc<OwnCertificate>);

impl ResolvesServerCert for Notes {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        handshake::note_server_name(hello.server_name());
        handshake::note_certificate(&self.1);
        Some(self.0.clone())
    }
}

/// Notes for whom tickets are made.
#[derive(Debug)]
struct Tickets(Arc<dyn ProducesTickets>);

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        self.0.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        assert_eq!(handshake::certificate_fingerprint(), Some([7; 32]), "a ticket of no handshake");
        self.0.encrypt(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        assert_eq!(handshake::certificate_fingerprint(), Some([7; 32]), "a ticket is opened too early");
        self.0.decrypt(cipher)
    }
}

fn server() -> (Arc<ServerConfig>, RootCertStore) {
    let made = rcgen::generate_simple_self_signed(["example.net".to_owned()]).unwrap();
    let certificate: CertificateDer<'static> = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(aws_lc_rs::default_provider());
    let key = CertifiedKey::from_der(vec![certificate.clone()], key, &provider).unwrap();
    let own = OwnCertificate { fingerprint: [7; 32], end_point: Some(Arc::new([1, 2, 3])) };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Notes(Arc::new(key), Arc::new(own))));
    config.key_log = Arc::new(Exporter);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = Arc::new(Tickets(aws_lc_rs::Ticketer::new().unwrap()));
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    (Arc::new(config), roots)
}

/// A client that knows but one version and suite.
fn client(
    roots: &RootCertStore,
    version: &'static SupportedProtocolVersion,
    suite: CipherSuite,
) -> ClientConfig {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|one| one.suite() == suite);
    assert_eq!(provider.cipher_suites.len(), 1);
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots.clone())
        .with_no_client_auth()
}

/// One connection: what the server knows of it, and the client after it has read one byte (and its tickets).
async fn meet(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>) -> (TlsInfo, ClientConnection) {
    let (transport, peer) = pair(None);
    let mut connection =
        ClientConnection::new(client.clone(), ServerName::try_from("example.net").unwrap()).unwrap();
    let meeting = thread::spawn(move || {
        let mut peer: TcpStream = peer;
        while connection.is_handshaking() || connection.wants_write() {
            connection.complete_io(&mut peer).unwrap();
        }
        let mut byte = [0];
        std::io::Read::read_exact(&mut rustls::Stream::new(&mut connection, &mut peer), &mut byte).unwrap();
        connection
    });
    let info = start(&transport, server).await;
    crate::pair::write_all(&transport, b"!").await;
    (info, meeting.join().unwrap())
}

async fn start(transport: &Transport, server: &Arc<ServerConfig>) -> TlsInfo {
    transport.start_tls(server.clone()).unwrap();
    wait(|context| transport.poll_handshake(context)).await.unwrap()
}

fn exported(connection: &ClientConnection) -> [u8; 32] {
    connection.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b"")).unwrap()
}

#[actix_rt::test]
async fn both_sides_export_the_same_keying_material_whatever_the_hash_and_when_resumed() {
    let (server, roots) = server();
    let mut seen = Vec::new();
    for suite in [
        CipherSuite::TLS13_AES_128_GCM_SHA256,
        CipherSuite::TLS13_AES_256_GCM_SHA384,
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    ] {
        let client = Arc::new(client(&roots, &TLS13, suite));
        for resumed in [false, true] {
            let (info, connection) = meet(&server, &client).await;
            assert_eq!(info.version, ProtocolVersion::TLSv1_3);
            assert_eq!(info.cipher, format!("{suite:?}"));
            assert_eq!(info.is_resumed, resumed, "{suite:?}");
            assert_eq!(connection.handshake_kind() == Some(HandshakeKind::Resumed), resumed);
            assert_eq!(info.exporter, Some(exported(&connection)), "{suite:?}, resumed: {resumed}");
            seen.push(info.exporter);
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 6, "each connection has its own");
}

#[actix_rt::test]
async fn the_keying_material_is_right_after_a_second_hello_too() {
    let (server, roots) = server();
    // Its first share is of a group that this server does not have.
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![kx_group::MLKEM1024, kx_group::SECP384R1];
    let client = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (info, connection) = meet(&server, &Arc::new(client)).await;
    assert_eq!(connection.handshake_kind(), Some(HandshakeKind::FullWithHelloRetryRequest));
    assert_eq!(info.group, format!("{:?}", NamedGroup::secp384r1));
    assert_eq!(info.exporter, Some(exported(&connection)));
    assert_eq!(info.end_point.as_deref(), Some(&[1, 2, 3][..]));
}

#[actix_rt::test]
async fn the_certificate_and_the_host_are_those_of_this_handshake_also_where_it_resumes_another() {
    let (server, roots) = server();
    for (version, suite) in [
        (&TLS13, CipherSuite::TLS13_AES_128_GCM_SHA256),
        (&TLS12, CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ] {
        let client = Arc::new(client(&roots, version, suite));
        for resumed in [false, true] {
            let (info, _) = meet(&server, &client).await;
            assert_eq!(info.is_resumed, resumed);
            assert_eq!(info.end_point.as_deref(), Some(&[1, 2, 3][..]));
            assert_eq!(info.server_name.as_deref(), Some("example.net"));
            assert!(info.peer_certificates.is_empty());
            // RFC 9266, 4: not without the extended master secret, and rustls does not tell of that.
            assert_eq!(info.exporter.is_some(), version == &TLS13);
        }
    }
}

#[actix_rt::test]
async fn what_is_exported_is_never_printed() {
    let (server, roots) = server();
    let client = Arc::new(client(&roots, &TLS13, CipherSuite::TLS13_AES_128_GCM_SHA256));
    let (info, _) = meet(&server, &client).await;
    assert_eq!(format!("{info:?}"), "TlsInfo(TLSv1_3 TLS13_AES_128_GCM_SHA256)");
}
