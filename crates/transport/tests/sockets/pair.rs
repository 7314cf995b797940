//! A transport, and the other end of its socket.

use std::{
    future::poll_fn,
    io,
    net::{TcpListener, TcpStream},
    rc::Rc,
    sync::{Arc, OnceLock},
    task::{Context, Poll, Waker},
    time::Duration,
};

use rjabberd_transport::{Read, Transport};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};

/// A deadline for what must happen, however slow the machine.
const LONG: Duration = Duration::from_secs(20);

/// A transport and its peer; the kernel's buffers on both sides hold about `buffer_bytes`, if given.
pub(crate) fn pair(buffer_bytes: Option<usize>) -> (Rc<Transport>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    if let Some(bytes) = buffer_bytes {
        socket2::SockRef::from(&accepted).set_send_buffer_size(bytes).unwrap();
        socket2::SockRef::from(&peer).set_recv_buffer_size(bytes).unwrap();
    }
    peer.set_read_timeout(Some(LONG)).unwrap();
    peer.set_write_timeout(Some(LONG)).unwrap();
    peer.set_nodelay(true).unwrap();
    (Transport::new(accepted).unwrap(), peer)
}

/// Waits for one operation of a transport.
pub(crate) async fn wait<T>(operation: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    tokio::time::timeout(LONG, poll_fn(operation)).await.unwrap()
}

/// Whether an operation could go on at once.
pub(crate) fn at_once<T>(mut operation: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Option<T> {
    match operation(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// Waits for something to read, and reads it.
pub(crate) async fn read(transport: &Transport, buffer: &mut [u8]) -> io::Result<Read> {
    loop {
        wait(|context| transport.poll_read_ready(context)).await?;
        match transport.read(buffer)? {
            Read::Nothing => (),
            read => return Ok(read),
        }
    }
}

/// Reads until so many bytes are there.
pub(crate) async fn read_all(transport: &Transport, bytes: usize) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    while all.len() < bytes {
        match read(transport, &mut buffer).await.unwrap() {
            Read::Bytes(count) => all.extend_from_slice(&buffer[..count]),
            other => panic!("{other:?} after {} bytes", all.len()),
        }
    }
    all
}

/// Writes all, and sends what waits.
pub(crate) async fn write_all(transport: &Transport, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let written = wait(|context| transport.poll_write(context, bytes)).await.unwrap();
        bytes = &bytes[written..];
    }
    wait(|context| transport.poll_flush(context)).await.unwrap();
}

/// Bytes that are not the same everywhere.
pub(crate) fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

/// A server's config with a certificate of its own, and a client's that trusts it.
pub(crate) fn configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    static CONFIGS: OnceLock<(Arc<ServerConfig>, Arc<ClientConfig>)> = OnceLock::new();
    CONFIGS
        .get_or_init(|| {
            let made = rcgen::generate_simple_self_signed(["example.net".to_owned()]).unwrap();
            let certificate: CertificateDer<'static> = made.cert.der().clone();
            let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
            let server = ServerConfig::builder()
                .with_no_client_auth()
                .with_single_cert(vec![certificate.clone()], key)
                .unwrap();
            let mut roots = RootCertStore::empty();
            roots.add(certificate).unwrap();
            let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
            (Arc::new(server), Arc::new(client))
        })
        .clone()
}

pub(crate) fn client() -> ClientConnection {
    ClientConnection::new(configs().1, ServerName::try_from("example.net").unwrap()).unwrap()
}
