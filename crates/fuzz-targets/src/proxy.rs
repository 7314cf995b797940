//! Target of `rjabberd_listener::proxy`: what is read of a header depends on the header alone, and means what it says.

use std::net::{IpAddr, SocketAddr};

use rjabberd_listener::proxy::{BadHeader, Origin, Parsed, parse};

/// Reads bytes as what a proxy sends first.
pub fn proxy(data: &[u8]) {
    match parse(data) {
        Ok(Parsed::Whole { bytes, origin }) => check_whole(data, bytes, origin),
        Ok(Parsed::Partial { more_max }) => {
            assert!(more_max > 0 && data.len() + more_max <= 16 + 2048, "bounded");
            check_prefixes(data, data.len());
        }
        Err(error) => check_refused(data, error),
    }
}

fn check_whole(data: &[u8], bytes: usize, origin: Origin) {
    assert!((15..=16 + 2048).contains(&bytes) && bytes <= data.len());
    check_prefixes(data, bytes);
    assert_eq!(parse(&data[..bytes]), Ok(Parsed::Whole { bytes, origin }), "what follows is not looked at");
    let Origin::Client(client) = origin else { return };
    assert_eq!(client.ip(), client.ip().to_canonical());
    for header in [line(client), binary(client)] {
        let again = Parsed::Whole { bytes: header.len(), origin };
        assert_eq!(parse(&header), Ok(again), "the same addresses, written anew");
    }
}

/// Whatever is shorter goes on, and says so with room for what is missing.
fn check_prefixes(data: &[u8], whole: usize) {
    for seen in 0..whole.min(data.len()) {
        match parse(&data[..seen]) {
            Ok(Parsed::Partial { more_max }) => assert!(more_max > 0),
            other => panic!("{seen} of {whole} bytes: {other:?}"),
        }
    }
}

/// More bytes make no header of it.
fn check_refused(data: &[u8], error: BadHeader) {
    assert!(!data.is_empty());
    let longer = [data, b"\r\n 1 2\r\n"].concat();
    // A longer line may be refused for another reason, but it stays refused.
    assert!(parse(&longer).is_err(), "{error}, then taken");
}

fn line(client: SocketAddr) -> Vec<u8> {
    let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
    let (address, port) = (client.ip(), client.port());
    format!("PROXY {family} {address} {address} {port} 5222\r\n").into_bytes()
}

fn binary(client: SocketAddr) -> Vec<u8> {
    let (family, address) = match client.ip() {
        IpAddr::V4(ip) => (0x11, ip.octets().to_vec()),
        IpAddr::V6(ip) => (0x21, ip.octets().to_vec()),
    };
    let block = [&address[..], &address, &client.port().to_be_bytes(), &[0x14, 0x66]].concat();
    let length = u16::try_from(block.len()).expect("an address block is short").to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[0x21, family], &length, &block].concat()
}
