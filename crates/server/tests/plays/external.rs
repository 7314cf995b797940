//! EXTERNAL (XEP-0178): who has a certificate logs in by it, on the host whose authorities vouch for it and as the accounts
//! that it names.

use std::{
    io::{Read, Write},
    path::Path,
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, OtherNameValue, SanType};
use rjabberd_testkit::Play;
use rustls::{
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

use crate::tls::{OwnCertificate, Peer, Secured};

const XMPP_ADDRESS: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 8, 5];

/// An authority, whose certificate is put into that file.
fn authority(file: &Path) -> Issuer<'static, KeyPair> {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "An authority");
    let certificate = params.self_signed(&key).expect("a certificate");
    std::fs::write(file, certificate.pem()).expect("the folder can be written to");
    Issuer::new(params, key)
}

/// A client's certificate for these addresses.
fn client(names: &[&str], authority: &Issuer<'_, KeyPair>) -> Arc<OwnCertificate> {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    let name = |name: &&str| {
        SanType::OtherName((XMPP_ADDRESS.to_vec(), OtherNameValue::Utf8String((*name).to_owned())))
    };
    params.subject_alt_names = names.iter().map(name).collect();
    let certificate = params.signed_by(&key, authority).expect("a certificate").der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let pair = CertifiedKey::from_der(vec![certificate], key, &aws_lc_rs::default_provider());
    Arc::new(OwnCertificate::with(pair.expect("they belong together")))
}

/// Reads until this stands in what was said since; gives all of it.
fn until(stream: &mut Secured, end: &str) -> String {
    let mut said = Vec::new();
    let mut byte = [0];
    while !String::from_utf8_lossy(&said).contains(end) {
        let read = stream.read(&mut byte);
        assert!(matches!(read, Ok(1)), "{read:?} after {}", String::from_utf8_lossy(&said));
        said.push(byte[0]);
    }
    String::from_utf8_lossy(&said).into_owned()
}

fn auth(stream: &mut Secured, authzid: &str) -> String {
    let text = if authzid.is_empty() { "=".to_owned() } else { STANDARD.encode(authzid) };
    let auth = format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{text}</auth>");
    stream.write_all(auth.as_bytes()).expect("it is read");
    until(stream, "/>")
}

#[test]
fn a_certificate_logs_in_as_who_it_names_and_as_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let ours = authority(&file);
    let strangers = authority(&folder.path().join("other.pem"));
    let ca = format!("host.\"localhost\".auth.external_ca = '{}'", file.display());
    let play = Play::new(&[
        "hosts = ['localhost', 'other.example']",
        "host.\"localhost\".auth.mechanisms = ['EXTERNAL', 'SCRAM-SHA-1']",
        &ca,
        "auth.delay = false",
    ]);
    play.account("romeo").account("juliet");
    play.server.add_account("romeo@other.example", "whatever");
    let address = play.server.address("c2s_tls");
    for version in [&TLS12, &TLS13] {
        let meets = |own: Arc<OwnCertificate>, host: &str| {
            let peer = Peer { versions: vec![version], own, ..Peer::default() };
            let mut stream = peer.meets(address, host).expect("a handshake");
            let features = until(&mut stream, "</stream:features>");
            (stream, features.contains("<mechanism>EXTERNAL</mechanism>"))
        };
        let (mut romeo, offered) = meets(client(&["romeo@localhost"], &ours), "localhost");
        assert!(offered && auth(&mut romeo, "").contains("<success"), "his own name needs no saying");
        let (mut romeo, _) = meets(client(&["romeo@localhost"], &ours), "localhost");
        assert!(auth(&mut romeo, "juliet@localhost").contains("invalid-authzid"));
        assert!(auth(&mut romeo, "romeo@other.example").contains("invalid-authzid"));
        assert!(auth(&mut romeo, "romeo@localhost").contains("<success"));
        let (mut both, _) = meets(client(&["romeo@localhost", "juliet@localhost"], &ours), "localhost");
        assert!(auth(&mut both, "").contains("invalid-authzid"), "it must be said which");
        assert!(auth(&mut both, "juliet@localhost").contains("<success"));
        let (mut gone, offered) = meets(client(&["nobody@localhost"], &ours), "localhost");
        assert!(offered && auth(&mut gone, "").contains("not-authorized"), "there is no such account");
        for (own, host) in [
            (client(&["romeo@localhost"], &strangers), "localhost"),
            (client(&["romeo@other.example"], &ours), "other.example"),
            (client(&["romeo@localhost"], &ours), "other.example"),
            (Arc::default(), "localhost"),
        ] {
            let (mut mallory, offered) = meets(own, host);
            assert!(!offered, "{host}");
            assert!(auth(&mut mallory, "").contains("invalid-mechanism"), "{host}");
        }
    }
    play.server.succeeds(&["user", "disable", "romeo@localhost"], "");
    let peer = Peer { own: client(&["romeo@localhost"], &ours), ..Peer::default() };
    let mut romeo = peer.meets(address, "localhost").expect("a handshake");
    until(&mut romeo, "</stream:features>");
    assert!(auth(&mut romeo, "").contains("not-authorized"), "he may not log in");
}
