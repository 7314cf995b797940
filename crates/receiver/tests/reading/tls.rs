//! STARTTLS, as the receiver sees it.

use std::{io::Write as _, sync::Arc, thread};

use rjabberd_receiver::{messages::Order, shaper::Shaper};
use rjabberd_xml::Limits;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, Stream,
    pki_types::{PrivateKeyDer, ServerName},
};

use crate::stage::{HEADER, Stage};

const START: Order = Order::StartTls(Limits::UNAUTHENTICATED);

fn configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let made = rcgen::generate_simple_self_signed(["example.net".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let certificate = made.cert.der().clone();
    let server = ServerConfig::builder().with_no_client_auth();
    let server = server.with_single_cert(vec![certificate.clone()], key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

/// A receiver that has read `<starttls/>`, and this behind it.
async fn asked(behind: &str, tls: Option<Arc<ServerConfig>>) -> Stage {
    let mut stage = Stage::new(Shaper::None, tls);
    stage.says(&format!("{HEADER}<starttls/>{behind}"));
    assert_eq!(stage.reads(1).await, ["header"]);
    assert_eq!(stage.reads(1).await, ["starttls"]);
    stage
}

#[actix_rt::test]
async fn after_the_handshake_a_new_stream_is_read() {
    let (server, config) = configs();
    let stage = asked("", Some(server)).await;
    stage.credits(START, 1);
    let mut peer = stage.peer.try_clone().unwrap();
    let client = thread::spawn(move || {
        let mut connection =
            ClientConnection::new(config, ServerName::try_from("example.net").unwrap()).unwrap();
        let text = format!("{HEADER}<message id='1'/><message id='2'/>");
        Stream::new(&mut connection, &mut peer).write_all(text.as_bytes()).unwrap();
        connection
    });
    assert_eq!(stage.batch().await, ["tls"]);
    assert!(stage.transport.is_tls());
    assert_eq!(stage.reads(1).await, ["header"]);
    assert_eq!(stage.reads(1).await, ["1"]);
    assert_eq!(stage.reads(1).await, ["2"]);
    client.join().unwrap();
}

#[actix_rt::test]
async fn bytes_behind_starttls_belong_to_nobody() {
    let (server, _) = configs();
    for behind in ["<message id='1'/>", "<", " ", "\u{16}\u{3}\u{1}"] {
        let stage = asked(behind, Some(server.clone())).await;
        stage.credits(START, 1);
        assert_eq!(stage.batch().await, ["behind"], "{behind:?}");
        assert!(!stage.transport.is_tls());
    }
}

#[actix_rt::test]
async fn garbage_in_the_place_of_a_handshake_is_the_end() {
    let (server, _) = configs();
    let mut stage = asked("", Some(server)).await;
    stage.credits(START, 1);
    stage.says("<message id='1'/>");
    assert_eq!(stage.batch().await, ["Tls"]);
    stage.ends().await;
}

#[actix_rt::test]
async fn without_a_certificate_there_is_no_tls() {
    let stage = asked("", None).await;
    stage.credits(START, 1);
    assert_eq!(stage.batch().await, ["Tls"]);
}
