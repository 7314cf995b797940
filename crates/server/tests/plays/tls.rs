//! TLS as clients meet it: versions, names, groups, certificates that change under live sessions, and what is refused.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rjabberd_testkit::{AnyCertificate, Client, PATIENCE, Play};
use rustls::{
    ClientConfig, ClientConnection, NamedGroup, ProtocolVersion, SignatureScheme, StreamOwned,
    SupportedProtocolVersion,
    client::ResolvesClientCert,
    crypto::{
        CryptoProvider, SupportedKxGroup,
        aws_lc_rs::{self, kx_group},
    },
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

/// The certificate of a client, or none; counts how often it is asked for.
#[derive(Debug, Default)]
pub(crate) struct OwnCertificate {
    asked: AtomicUsize,
    key: Option<Arc<CertifiedKey>>,
}

impl ResolvesClientCert for OwnCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl OwnCertificate {
    pub(crate) fn with(key: CertifiedKey) -> OwnCertificate {
        OwnCertificate { key: Some(Arc::new(key)), ..OwnCertificate::default() }
    }
}

/// What a client is made of.
pub(crate) struct Peer {
    pub(crate) versions: Vec<&'static SupportedProtocolVersion>,
    pub(crate) groups: Vec<&'static dyn SupportedKxGroup>,
    pub(crate) alpn: Vec<&'static [u8]>,
    pub(crate) own: Arc<OwnCertificate>,
}

impl Default for Peer {
    fn default() -> Peer {
        let (versions, groups) = (vec![&TLS13, &TLS12], vec![kx_group::X25519]);
        Peer { versions, groups, alpn: Vec::new(), own: Arc::default() }
    }
}

pub(crate) type Secured = StreamOwned<ClientConnection, TcpStream>;

impl Peer {
    /// A handshake by direct TLS, and the server's answer to a stream header.
    pub(crate) fn meets(&self, address: SocketAddr, name: &str) -> io::Result<Secured> {
        let provider =
            Arc::new(CryptoProvider { kx_groups: self.groups.clone(), ..aws_lc_rs::default_provider() });
        let mut config = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&self.versions)
            .map_err(io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_client_cert_resolver(self.own.clone());
        config.alpn_protocols = self.alpn.iter().map(|name| name.to_vec()).collect();
        let socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let server = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::new(config), server).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, socket);
        let header = format!(
            "<stream:stream to='{name}' version='1.0' xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams'>"
        );
        stream.write_all(header.as_bytes())?;
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        Ok(stream)
    }
}

/// The certificate that a client of the listener with direct TLS sees.
fn seen(play: &Play, name: &str) -> CertificateDer<'static> {
    let stream = Peer::default().meets(play.server.address("c2s_tls"), name).expect("a handshake");
    stream.conn.peer_certificates().expect("a certificate")[0].clone()
}

/// Puts a certificate for this name, valid until that year, in the place of `name.pem` and `name.key`.
fn put(folder: &Path, name: &str, until: i32) -> CertificateDer<'static> {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    let certificate = params.self_signed(&key).expect("a certificate");
    replace(&folder.join(format!("{name}.pem")), &certificate.pem());
    replace(&folder.join(format!("{name}.key")), &key.serialize_pem());
    certificate.der().clone()
}

/// Another file in the place of this one, as certbot and its like do it.
fn replace(file: &Path, text: &str) {
    let beside = file.with_extension("new");
    std::fs::write(&beside, text).expect("the folder can be written to");
    std::fs::rename(&beside, file).expect("a file can be renamed");
}

/// The lines of a config that name the files of [`put`].
fn named(folder: &Path, table: &str, name: &str) -> [String; 2] {
    let file = |extension: &str| -> PathBuf { folder.join(format!("{name}.{extension}")) };
    [
        format!("{table}tls.certificate = '{}'", file("pem").display()),
        format!("{table}tls.key = '{}'", file("key").display()),
    ]
}

fn with_files(lines: &[String], more: &[&str]) -> Play {
    let lines: Vec<&str> = lines.iter().map(String::as_str).chain(more.iter().copied()).collect();
    Play::new(&lines)
}

#[test]
fn direct_tls_is_xmpp_by_name_and_nothing_else() {
    let play = Play::new(&[]);
    let address = play.server.address("c2s_tls");
    let with = |alpn: Vec<&'static [u8]>| Peer { alpn, ..Peer::default() }.meets(address, "localhost");
    for offered in [vec![&b"xmpp-client"[..]], vec![b"h2", b"xmpp-client"]] {
        let stream = with(offered).unwrap();
        assert_eq!(stream.conn.alpn_protocol(), Some(&b"xmpp-client"[..]));
    }
    assert_eq!(with(Vec::new()).unwrap().conn.alpn_protocol(), None);
    let refused = with(vec![b"h2", b"xmpp-server"]).unwrap_err();
    assert!(refused.to_string().contains("NoApplicationProtocol"), "{refused}");
    play.server.wait_for_log(&["lost-tls"]);
}

#[test]
fn each_host_shows_its_own_certificate_to_those_who_ask_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (put(folder.path(), "localhost", 2090), put(folder.path(), "b.example", 2090));
    let lines =
        [named(folder.path(), "", "localhost"), named(folder.path(), "host.'b.example'.", "b.example")];
    let play = with_files(&lines.concat(), &["hosts = ['localhost', 'b.example']"]);
    assert_eq!(seen(&play, "localhost"), a);
    assert_eq!(seen(&play, "b.example"), b);
    assert_eq!(seen(&play, "c.example"), a, "the default host's");
    play.server.wait_for_log(&["c2s:tls", "TLSv1_3", "X25519 for \"b.example\""]);
}

#[test]
fn tls_1_2_is_refused_where_1_3_is_the_least() {
    let both = Play::new(&[]);
    let newer = Play::new(&["tls.version_min = '1.3'"]);
    for (version, number) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let meets = |play: &Play| {
            let peer = Peer { versions: vec![version], ..Peer::default() };
            peer.meets(play.server.address("c2s_tls"), "localhost")
        };
        assert_eq!(meets(&both).unwrap().conn.protocol_version(), Some(number));
        match meets(&newer) {
            Ok(stream) => assert_eq!(stream.conn.protocol_version(), Some(ProtocolVersion::TLSv1_3)),
            Err(error) => {
                assert_eq!(number, ProtocolVersion::TLSv1_2);
                assert!(error.to_string().contains("ProtocolVersion"), "{error}");
            }
        }
    }
}

#[test]
fn a_client_that_can_exchange_keys_against_quantum_computers_does_and_others_lose_no_round_trip() {
    let play = Play::new(&[]);
    let meets = |groups: Vec<&'static dyn SupportedKxGroup>| {
        let stream =
            Peer { groups, ..Peer::default() }.meets(play.server.address("c2s_tls"), "localhost").unwrap();
        assert_eq!(stream.conn.handshake_kind(), Some(rustls::HandshakeKind::Full), "a second hello");
        stream.conn.negotiated_key_exchange_group().map(SupportedKxGroup::name)
    };
    assert_eq!(meets(vec![kx_group::X25519MLKEM768, kx_group::X25519]), Some(NamedGroup::X25519MLKEM768));
    play.server.wait_for_log(&["c2s:tls", "TLSv1_3", "X25519MLKEM768 for \"localhost\""]);
    assert_eq!(meets(vec![kx_group::X25519]), Some(NamedGroup::X25519));
}

#[test]
fn a_certificate_is_swapped_under_live_sessions_and_none_drops() {
    const SESSIONS: usize = 300;
    let folder = tempfile::tempdir().unwrap();
    let old = put(folder.path(), "localhost", 2090);
    let play = with_files(
        &named(folder.path(), "", "localhost"),
        &["limits.sessions_per_account_max = 1000", "log.level = 'info'"],
    );
    play.account("romeo");
    let mut sessions: Vec<Client> =
        (0..SESSIONS).map(|number| play.logged_in(&format!("romeo/{number}"))).collect();
    assert_eq!(seen(&play, "localhost"), old);
    let mark = play.server.log().mark();
    let new = put(folder.path(), "localhost", 2089);
    play.server.wait_for_log_after(mark, &["Certificate of localhost", "valid until 2089-01-01"]);
    assert_eq!(seen(&play, "localhost"), new);
    let talk = |sessions: &mut Vec<Client>| {
        for number in 0..SESSIONS {
            let to = sessions[(number + 1) % SESSIONS].jid().to_owned();
            sessions[number].says(&to, "still here");
        }
        for session in sessions {
            session.hears("still here");
        }
    };
    talk(&mut sessions);

    // Half of a pair, and then a certificate that has expired, change nothing.
    let mark = play.server.log().mark();
    replace(&folder.path().join("localhost.key"), "half a fi");
    play.server
        .wait_for_log_after(mark, &["server:reload", "stays in use", "localhost.key holds no private key"]);
    assert_eq!(seen(&play, "localhost"), new);
    put(folder.path(), "localhost", 2001);
    play.server
        .wait_for_log_after(mark, &["server:reload", "stays in use", "localhost.pem expired on 2001-01-01"]);
    let asked = play.server.log().mark();
    play.server.signal("HUP");
    play.server
        .wait_for_log_after(asked, &["server:reload", "stays in use", "localhost.pem expired on 2001-01-01"]);
    assert_eq!(seen(&play, "localhost"), new);
    talk(&mut sessions);
    let newest = put(folder.path(), "localhost", 2088);
    play.server.wait_for_log_after(mark, &["Certificate of localhost", "valid until 2088-01-01"]);
    assert_eq!(seen(&play, "localhost"), newest);
    talk(&mut sessions);
    assert_eq!(play.server.stats()["sessions"].as_u64(), Some(SESSIONS as u64));
}

/// A client's certificate of its own making.
fn own_certificate(name: &str) -> Arc<OwnCertificate> {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    let certificate = params.self_signed(&key).expect("a certificate").der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = aws_lc_rs::default_provider();
    let key = CertifiedKey::from_der(vec![certificate], key, &provider).expect("they belong together");
    Arc::new(OwnCertificate::with(key))
}

#[test]
fn a_client_is_asked_for_a_certificate_only_where_some_host_takes_it_and_need_not_have_one() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "authority", 2090);
    let authorities = format!("auth.external_ca = '{}'", folder.path().join("authority.pem").display());
    let asks = Play::new(&["auth.mechanisms = ['EXTERNAL', 'SCRAM-SHA-1']", &authorities]);
    let does_not = Play::new(&[]);
    for version in [&TLS12, &TLS13] {
        for (play, count) in [(&asks, 1), (&does_not, 0)] {
            for own in [Arc::default(), own_certificate("romeo@localhost")] {
                let peer = Peer { versions: vec![version], own, ..Peer::default() };
                peer.meets(play.server.address("c2s_tls"), "localhost").unwrap();
                assert_eq!(peer.own.asked.load(Ordering::Relaxed), count);
            }
        }
    }
}

/// `openssl s_client` with this on its standard input, and what it says.
fn openssl(play: &Play, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("openssl")
        .args(["s_client", "-servername", "localhost"])
        .args(arguments)
        .args(["-connect", &play.server.address("c2s_tls").to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is installed");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // It may have ended by itself.
    let _gone = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("it can be waited for");
    [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat()
}

#[test]
fn openssl_speaks_both_versions_by_alpn_and_x25519() {
    let play = Play::new(&[]);
    // For TLS 1.2 the curve of the certificate must be among the client's groups (RFC 8422, 5.1).
    for (version, groups, name) in
        [("-tls1_2", "X25519:P-256", "New, TLSv1.2"), ("-tls1_3", "X25519", "New, TLSv1.3")]
    {
        let said = openssl(&play, &[version, "-alpn", "xmpp-client", "-groups", groups], "");
        for words in [name, "ALPN protocol: xmpp-client", "Server Temp Key: X25519", "Compression: NONE"] {
            assert!(said.contains(words), "{words} is not in {said}");
        }
    }
    let said = openssl(&play, &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], "");
    assert!(said.contains("SSL alert number") && said.contains("New, (NONE)"), "{said}");
}

#[test]
fn attack_06_renegotiation_is_refused() {
    let mut play = Play::new(&[]);
    // A line that begins with R asks for it.
    let said = openssl(&play, &["-tls1_2"], "R\n");
    assert!(said.contains("RENEGOTIATING") && said.contains("no renegotiation"), "{said}");
    play.server.wait_for_stats(|stats| stats["connections"] == 0);
    play.enters("paris/tomb").says("paris@localhost/tomb", "still here").hears("still here");
}

/// A ClientHello of TLS 1.2 with these methods of compression (RFC 5246, 7.4.1.2).
fn hello(compression: &[u8]) -> Vec<u8> {
    let suites = [0xc0, 0x2b, 0xc0, 0x2f];
    let extensions = [
        // X25519; ECDSA and RSA with SHA-256; uncompressed points.
        &[0, 10, 0, 4, 0, 2, 0, 29][..],
        &[0, 13, 0, 6, 0, 4, 4, 3, 8, 4],
        &[0, 11, 0, 2, 1, 0],
    ]
    .concat();
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(0);
    body.extend([&[0, suites.len() as u8], &suites[..]].concat());
    body.extend([&[compression.len() as u8], compression].concat());
    body.extend([&[0, extensions.len() as u8], &extensions[..]].concat());
    let message = [&[1, 0, 0, body.len() as u8], &body[..]].concat();
    [&[22, 3, 1, 0, message.len() as u8], &message[..]].concat()
}

#[test]
fn attack_06_compression_is_never_negotiated() {
    const DEFLATE: u8 = 1;
    let play = Play::new(&[]);
    let answer = |compression: &[u8]| {
        let mut socket = TcpStream::connect(play.server.address("c2s_tls")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(&hello(compression)).unwrap();
        let mut header = [0; 5];
        socket.read_exact(&mut header).unwrap();
        let mut record = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
        socket.read_exact(&mut record).unwrap();
        (header[0], record)
    };
    let (kind, record) = answer(&[DEFLATE, 0]);
    assert_eq!((kind, record[0]), (22, 2), "a ServerHello");
    // Behind its header (4), the version (2), the random (32), the identifier of the session with its length, and the suite (2).
    let session = usize::from(record[38]);
    assert_eq!(record[38 + 1 + session + 2], 0, "no compression");
    let (kind, record) = answer(&[DEFLATE]);
    assert_eq!((kind, &record[..]), (21, &[2, 47][..]), "illegal_parameter (RFC 5246, 7.2.2)");
}
