//! Behind a proxy: the PROXY header of a trusted one names the client, and nobody else may send one.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread::JoinHandle,
};

use rjabberd_testkit::{Client, Hash, PASSWORD, PATIENCE, Play};

const FROM_HERE: &str = "listen.c2s.proxy_from = ['127.0.0.0/8']";
const FROM_HERE_TLS: &str = "listen.c2s_tls.proxy_from = ['127.0.0.0/8']";
const LINE: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 54804 5222\r\n";

/// A header of version 2 with an extension behind its addresses.
fn binary(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let block = [addresses, &[4, 0, 3, 1, 2, 3]].concat();
    let length = (block.len() as u16).to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family], &length, &block].concat()
}

fn proxied(play: &Play, header: &[u8]) -> Client {
    let mut client = play.connects("client");
    client.sends_bytes(header);
    client
}

#[test]
fn a_line_in_front_of_the_stream_names_the_client_in_log_and_limits() {
    let play = Play::without_tls(&[FROM_HERE]);
    play.account("romeo");
    proxied(&play, LINE).opens_stream().logs_in(Hash::Sha1, "romeo", PASSWORD).binds(Some("orchard"));
    play.server.wait_for_log(&["Accepted connection 192.0.2.7:54804 -> 127.0.0.1:", " through 127.0.0.1:"]);
    play.server.wait_for_log(&["logged in by SCRAM-SHA-1 from 192.0.2.7:54804"]);
    play.server.wait_for_log(&["c2s:close", "romeo@localhost/orchard from 192.0.2.7:54804"]);
    assert_eq!(play.server.stats()["proxied"]["connections"], 1);
}

#[test]
fn a_binary_header_with_an_ipv6_client_and_extensions_is_read() {
    let play = Play::without_tls(&[FROM_HERE]);
    let addresses: Vec<u8> = ["2001:db8::7", "2001:db8::1"]
        .iter()
        .flat_map(|text| text.parse::<std::net::Ipv6Addr>().unwrap().octets())
        .chain([0xd6, 0x14, 0x14, 0x66])
        .collect();
    proxied(&play, &binary(0x21, 0x21, &addresses)).opens_stream();
    play.server.wait_for_log(&["Accepted connection [2001:db8::7]:54804 -> 127.0.0.1:"]);
}

#[test]
fn the_proxys_own_connections_keep_its_address_and_are_not_limited_by_it() {
    let play = Play::without_tls(&[
        FROM_HERE,
        "limits.shared_networks = []",
        "limits.connections_per_address_max = 1",
        "limits.connections_per_address_per_s_max = 1",
    ]);
    let local = binary(0x20, 0, &[]);
    let mut held = Vec::new();
    for header in [&local[..], b"PROXY UNKNOWN\r\n", &local] {
        let mut client = proxied(&play, header);
        client.opens_stream();
        held.push(client);
    }
    let mut one = proxied(&play, LINE);
    one.opens_stream();
    proxied(&play, LINE).gets_closed();
    play.server.wait_for_log(&[
        "Refused connection from 192.0.2.7:54804 through 127.0.0.1:",
        "per_address_max is reached",
    ]);
    play.server.wait_for_log(&["Accepted connection 127.0.0.1:"]);
    let stats = play.server.stats();
    assert_eq!(stats["proxied"]["connections"], 5, "{stats}");
    assert_eq!(stats["connections_refused_by"]["address"], 1, "{stats}");
}

#[test]
fn a_header_that_does_not_come_holds_up_nobody_else_and_is_not_waited_for_for_ever() {
    let play = Play::without_tls(&[FROM_HERE]);
    let mut slow = proxied(&play, b"PROXY TCP4 192.0.2.7 ");
    let mut silent = play.connects("silent");
    proxied(&play, LINE).opens_stream();
    slow.gets_closed();
    silent.gets_closed();
    play.server.wait_for_log(&["listener:accept", "Refused PROXY header from 127.0.0.1:", "longer than 5 s"]);
    assert_eq!(play.server.stats()["proxied"]["headers_refused"], 2);
    assert_eq!(play.server.stats()["connections_accepted"], 1);
}

#[test]
fn what_is_no_header_closes_the_connection_and_is_escaped_in_the_log() {
    let play = Play::without_tls(&[FROM_HERE]);
    play.connects("bare").sends_header().gets_closed();
    proxied(&play, b"GET /\n\x1b[31m").gets_closed();
    proxied(&play, b"PROXY TCP4 nowhere 198.51.100.1 54804 5222\r\n").gets_closed();
    proxied(&play, &binary(0x21, 0x12, &[0; 12])).gets_closed();
    play.server.wait_for_log(&[
        "Refused PROXY header from",
        "it is no PROXY header",
        r#"begins with "<?xml version="#,
    ]);
    play.server.wait_for_log(&["Refused PROXY header from", r#""GET /\n\x1b[31m""#]);
    play.server.wait_for_log(&["Refused PROXY header from", "malformed"]);
    play.server.wait_for_log(&["Refused PROXY header from", "not about TCP"]);
    assert_eq!(play.server.stats()["proxied"]["headers_refused"], 4);
    assert_eq!(play.server.stats()["connections_accepted"], 0);
}

#[test]
fn a_header_from_anybody_else_is_only_bad_xml() {
    let play = Play::without_tls(&["listen.c2s.proxy_from = ['192.0.2.0/24']"]);
    for header in [LINE, &binary(0x21, 0x11, &[0; 12])] {
        let mut client = proxied(&play, header);
        client.gets_header();
        client.gets_stream_error("not-well-formed");
    }
    play.connects("usual").opens_stream();
    let log = play.server.log().text();
    assert!(!log.contains("192.0.2.7"), "{log}");
    assert_eq!(play.server.stats()["proxied"]["connections"], 0);
}

#[test]
fn a_header_may_come_byte_by_byte() {
    let play = Play::without_tls(&[FROM_HERE]);
    let ipv4 = binary(0x21, 0x11, &[192, 0, 2, 8, 198, 51, 100, 1, 0, 9, 0, 9]);
    for header in [LINE, &ipv4] {
        let mut client = play.connects("client");
        for byte in header {
            client.sends_bytes(&[*byte]);
        }
        client.opens_stream();
    }
    play.server.wait_for_log(&["Accepted connection 192.0.2.8:9 -> "]);
}

/// A proxy for one connection: the header and the client's first bytes leave in one write.
fn proxy(header: &'static [u8], server: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let clone = |socket: &TcpStream| socket.try_clone().expect("a socket can be cloned");
    let relay = |mut from: TcpStream, mut to: TcpStream| {
        std::thread::spawn(move || {
            // Whichever end breaks ends the relay.
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        })
    };
    let relaying = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client comes");
        client.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
        let mut server = TcpStream::connect(server).expect("the server listens");
        let mut first = vec![0; 16 << 10];
        let count = client.read(&mut first).expect("the client begins");
        server.write_all(&[header, &first[..count]].concat()).expect("the server reads");
        let back = relay(clone(&server), clone(&client));
        relay(client, server).join().expect("a relay does not panic");
        back.join().expect("a relay does not panic");
    });
    (address, relaying)
}

#[test]
fn a_client_hello_right_behind_the_header_is_the_clients() {
    let play = Play::new(&[FROM_HERE_TLS]);
    play.account("romeo");
    let (address, relaying) = proxy(LINE, play.server.address("c2s_tls"));
    let mut client = Client::connect_tls("romeo", address, "localhost");
    client.opens_stream().logs_in(Hash::Sha1, "romeo", PASSWORD).binds(None).leaves().vanishes();
    relaying.join().unwrap();
    play.server.wait_for_log(&["logged in by SCRAM-SHA-1 from 192.0.2.7:54804"]);
}
