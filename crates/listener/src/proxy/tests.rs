//! Headers as proxies send them, whole and in pieces, and what is none.

use super::*;

/// A binary header.
fn binary(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, block].concat()
}

fn ipv4_block() -> Vec<u8> {
    vec![192, 0, 2, 7, 198, 51, 100, 1, 0xd6, 0x14, 0x14, 0x66]
}

fn ipv6_block() -> Vec<u8> {
    let (source, own): (Ipv6Addr, Ipv6Addr) =
        ("2001:db8::7".parse().unwrap(), "2001:db8::1".parse().unwrap());
    [&source.octets()[..], &own.octets(), &[0xd6, 0x14, 0x14, 0x66]].concat()
}

/// The header says this, however it comes, and wants nothing behind it.
#[track_caller]
fn says(header: &[u8], origin: Origin) {
    let whole = Ok(Parsed::Whole { bytes: header.len(), origin });
    assert_eq!(parse(&[header, b"<?xml"].concat()), whole);
    for seen in 0..header.len() {
        let Ok(Parsed::Partial { more_max }) = parse(&header[..seen]) else {
            panic!("{seen} bytes: {:?}", parse(&header[..seen]))
        };
        assert!(more_max > 0 && more_max <= FIXED_BYTES + LENGTH_MAX, "{seen} bytes: {more_max}");
    }
    assert_eq!(parse(header), whole);
}

fn client_at(address: &str) -> Origin {
    Origin::Client(address.parse().unwrap())
}

#[test]
fn a_line_names_the_client() {
    says(b"PROXY TCP4 192.0.2.7 198.51.100.1 54804 5222\r\n", client_at("192.0.2.7:54804"));
    says(b"PROXY TCP6 2001:db8::7 2001:DB8::1 0 65535\r\n", client_at("[2001:db8::7]:0"));
    says(b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", client_at("192.0.2.7:1"));
}

#[test]
fn a_line_that_knows_no_client_is_the_proxys_own() {
    says(b"PROXY UNKNOWN\r\n", Origin::Proxy);
    says(b"PROXY UNKNOWN whatever it is\r\n", Origin::Proxy);
    let full = "f".repeat(4) + &":ffff".repeat(7);
    let longest = format!("PROXY UNKNOWN {full} {full} 65535 65535\r\n");
    assert_eq!(longest.len(), LINE_BYTES_MAX);
    says(longest.as_bytes(), Origin::Proxy);
}

#[test]
fn a_line_of_other_words_is_refused() {
    for words in [
        "TCP4 192.0.2.7 198.51.100.1 54804",
        "TCP4 192.0.2.7 198.51.100.1 54804 5222 1",
        "TCP4  192.0.2.7 198.51.100.1 54804 5222",
        "TCP4 192.0.2.7 198.51.100.1 54804 5222 ",
        "TCP4 192.0.2.07 198.51.100.1 54804 5222",
        "TCP4 192.0.2 198.51.100.1 54804 5222",
        "TCP4 2001:db8::7 2001:db8::1 54804 5222",
        "TCP6 192.0.2.7 198.51.100.1 54804 5222",
        "TCP4 192.0.2.7 198.51.100.1 054804 5222",
        "TCP4 192.0.2.7 198.51.100.1 65536 5222",
        "TCP4 192.0.2.7 198.51.100.1 +1 5222",
        "TCP4 192.0.2.7 198.51.100.1 -1 5222",
        "TCP4 192.0.2.7 198.51.100.1  5222",
        "TCP6 fe80::1%eth0 ::1 1 2",
        "UDP4 192.0.2.7 198.51.100.1 54804 5222",
        "tcp4 192.0.2.7 198.51.100.1 54804 5222",
        "",
    ] {
        let line = format!("PROXY {words}\r\n");
        assert_eq!(parse(line.as_bytes()), Err(BadHeader::Malformed), "{words}");
    }
    assert_eq!(parse(b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n"), Err(BadHeader::Malformed), "no CR");
    assert_eq!(parse(b"PROXY \xff\r\n"), Err(BadHeader::Malformed));
}

#[test]
fn a_line_without_an_end_is_given_up_where_the_longest_ends() {
    let line = [LINE_START, &[b'x'; LINE_BYTES_MAX]].concat();
    assert_eq!(parse(&line[..LINE_BYTES_MAX - 1]), Ok(Parsed::Partial { more_max: 1 }));
    assert_eq!(parse(&line[..LINE_BYTES_MAX]), Err(BadHeader::Line));
    assert_eq!(parse(&[&line[..LINE_BYTES_MAX], b"\r\n"].concat()), Err(BadHeader::Line));
}

#[test]
fn a_binary_header_names_the_client() {
    says(&binary(0x21, 0x11, &ipv4_block()), client_at("192.0.2.7:54804"));
    says(&binary(0x21, 0x21, &ipv6_block()), client_at("[2001:db8::7]:54804"));
    let mut mapped = ipv6_block();
    mapped[..16].copy_from_slice(&"::ffff:192.0.2.7".parse::<Ipv6Addr>().unwrap().octets());
    says(&binary(0x21, 0x21, &mapped), client_at("192.0.2.7:54804"));
}

#[test]
fn extensions_are_skipped_up_to_a_length() {
    let extended = |bytes: usize| {
        let extension = vec![0x04; bytes - 12];
        binary(0x21, 0x11, &[ipv4_block(), extension].concat())
    };
    says(&extended(LENGTH_MAX), client_at("192.0.2.7:54804"));
    assert_eq!(parse(&extended(LENGTH_MAX + 1)), Err(BadHeader::Length));
}

#[test]
fn what_is_local_or_of_no_family_is_the_proxys_own() {
    says(&binary(0x20, 0x00, b""), Origin::Proxy);
    // 2.2: the family of a local connection is ignored, its length is not.
    says(&binary(0x20, 0x11, &ipv4_block()), Origin::Proxy);
    says(&binary(0x20, 0xff, b"xyz"), Origin::Proxy);
    says(&binary(0x21, 0x00, b"xyz"), Origin::Proxy);
}

#[test]
fn a_binary_header_of_anything_else_is_refused() {
    for family in [0x12, 0x22, 0x31, 0x32, 0x10, 0x01, 0x41, 0xff] {
        assert_eq!(parse(&binary(0x21, family, &[0; 216])), Err(BadHeader::Family), "{family:x}");
    }
    for command in [0x22, 0x2f, 0x11, 0x31, 0x01] {
        assert_eq!(parse(&binary(command, 0x11, &ipv4_block())), Err(BadHeader::Command), "{command:x}");
    }
    assert_eq!(parse(&binary(0x21, 0x11, &ipv4_block()[..11])), Err(BadHeader::Length));
    assert_eq!(parse(&binary(0x21, 0x21, &ipv6_block()[..35])), Err(BadHeader::Length));
}

#[test]
fn what_begins_as_no_header_is_refused_at_its_first_byte() {
    for bytes in
        [&b"<"[..], b" PROXY", b"\x16\x03\x01", b"\r\n\r\n\0\r\nQUIx", b"PROXX", b"proxy ", b"GET / HTTP/1.1"]
    {
        assert_eq!(parse(bytes), Err(BadHeader::Start), "{bytes:?}");
    }
    assert_eq!(parse(b""), Ok(Parsed::Partial { more_max: FIXED_BYTES }));
}
