//! The PROXY protocol, versions 1 and 2: what a proxy says of the client behind it, before the client's first byte.
//!
//! Pure, on the bytes that were read so far. Sections are those of the protocol's text (proxy-protocol.txt of haproxy).
//! Invariant: what it says of a header depends on the header's own bytes alone, and it never wants more than one holds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How a header of version 2 begins (2.2).
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// How a line of version 1 begins (2.1).
const LINE_START: &[u8] = b"PROXY ";
/// Bytes of the longest line, its end included (2.1).
const LINE_BYTES_MAX: usize = 107;
/// Bytes of a binary header before its addresses: signature, version and command, family, length.
const FIXED_BYTES: usize = 16;
/// Bytes of addresses and extensions that we read; a proxy sends some hundred.
const LENGTH_MAX: usize = 2048;

/// Whose connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Of this client, its address canonical.
    Client(SocketAddr),
    /// Of the proxy itself (`LOCAL`), or of somebody whom it cannot tell (`UNKNOWN`, `UNSPEC`).
    Proxy,
}

/// What the bytes so far come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// All of them are of a header that goes on.
    Partial {
        /// Bytes that it may still have; never 0.
        more_max: usize,
    },
    /// A header.
    Whole {
        /// Its bytes; what stands behind them is the client's.
        bytes: usize,
        /// What it says.
        origin: Origin,
    },
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHeader {
    /// They begin as no header does.
    #[error("it is no PROXY header")]
    Start,
    /// There is no end of line where the longest line ends.
    #[error("its line is too long")]
    Line,
    /// A line of other words.
    #[error("its line is malformed")]
    Malformed,
    /// Neither version 2, nor a command of it.
    #[error("its version or command is unknown")]
    Command,
    /// Neither TCP over IPv4 nor over IPv6.
    #[error("it is not about TCP over IPv4 or IPv6")]
    Family,
    /// Shorter than its addresses, or longer than we read.
    #[error("its length is wrong")]
    Length,
}

/// Looks at the bytes so far.
///
/// # Errors
/// However it goes on, it is no header.
pub fn parse(seen: &[u8]) -> Result<Parsed, BadHeader> {
    if starts_alike(seen, &SIGNATURE) {
        return parse_binary(seen);
    }
    if starts_alike(seen, LINE_START) {
        return parse_line(seen);
    }
    Err(BadHeader::Start)
}

/// Whether one begins with the other.
fn starts_alike(seen: &[u8], start: &[u8]) -> bool {
    let both = seen.len().min(start.len());
    seen[..both] == start[..both]
}

fn parse_binary(seen: &[u8]) -> Result<Parsed, BadHeader> {
    let command = seen.get(12).copied();
    if command.is_some_and(|byte| !matches!(byte, 0x20 | 0x21)) {
        return Err(BadHeader::Command);
    }
    let Some(fixed) = seen.get(12..FIXED_BYTES) else {
        return Ok(Parsed::Partial { more_max: FIXED_BYTES - seen.len() });
    };
    let (command, family) = (fixed[0], fixed[1]);
    let length = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
    if length > LENGTH_MAX {
        return Err(BadHeader::Length);
    }
    let bytes = FIXED_BYTES + length;
    // Told before all of it is there: a header that will be refused is not waited for.
    let addresses = match (command, family) {
        (0x20, _) | (_, 0x00) => 0,
        (_, 0x11) => 12,
        (_, 0x21) => 36,
        _ => return Err(BadHeader::Family),
    };
    if length < addresses {
        return Err(BadHeader::Length);
    }
    let Some(block) = seen.get(FIXED_BYTES..bytes) else {
        return Ok(Parsed::Partial { more_max: bytes - seen.len() });
    };
    let origin = match addresses {
        12 => source::<4>(block, 8),
        36 => source::<16>(block, 32),
        _ => Some(Origin::Proxy),
    };
    Ok(Parsed::Whole { bytes, origin: origin.ok_or(BadHeader::Length)? })
}

/// The source of an address block: its address is the first of two, its port stands behind both.
fn source<const BYTES: usize>(block: &[u8], port_at: usize) -> Option<Origin>
where
    IpAddr: From<[u8; BYTES]>,
{
    let address: [u8; BYTES] = block.first_chunk().copied()?;
    let port: [u8; 2] = block.get(port_at..)?.first_chunk().copied()?;
    Some(client(address.into(), u16::from_be_bytes(port)))
}

fn client(address: IpAddr, port: u16) -> Origin {
    Origin::Client(SocketAddr::new(address.to_canonical(), port))
}

fn parse_line(seen: &[u8]) -> Result<Parsed, BadHeader> {
    let window = &seen[..seen.len().min(LINE_BYTES_MAX)];
    let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
        return match LINE_BYTES_MAX - window.len() {
            0 => Err(BadHeader::Line),
            more_max => Ok(Parsed::Partial { more_max }),
        };
    };
    let line = window[..end].strip_suffix(b"\r").ok_or(BadHeader::Malformed)?;
    let line = std::str::from_utf8(line).map_err(|_| BadHeader::Malformed)?;
    let origin = line_origin(line).ok_or(BadHeader::Malformed)?;
    Ok(Parsed::Whole { bytes: end + 1, origin })
}

/// What a line says, its end taken off (2.1): exactly one space between the words.
fn line_origin(line: &str) -> Option<Origin> {
    let mut words = line.split(' ').skip(1);
    let family = words.next()?;
    if family == "UNKNOWN" {
        // Whatever follows is to be ignored.
        return Some(Origin::Proxy);
    }
    let mut address = |family: &str| -> Option<IpAddr> {
        let word = words.next()?;
        match family {
            "TCP4" => word.parse::<Ipv4Addr>().ok().map(IpAddr::from),
            "TCP6" => word.parse::<Ipv6Addr>().ok().map(IpAddr::from),
            _ => None,
        }
    };
    let (source, _own) = (address(family)?, address(family)?);
    let (port, _own_port) = (port(words.next()?)?, port(words.next()?)?);
    words.next().is_none().then(|| client(source, port))
}

/// A port in digits, without zeros in front (2.1).
fn port(word: &str) -> Option<u16> {
    let is_plain = word == "0" || word.starts_with(|first: char| matches!(first, '1'..='9'));
    word.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests;
