//! Binds a listening socket: IPv6 and IPv4 on one, early, so that a taken port is told before anything else starts.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

/// Connections that the kernel keeps for us until they are accepted.
const BACKLOG: i32 = 1024;

/// How long data may stay unacknowledged before the kernel gives a connection up.
const USER_TIMEOUT: Duration = Duration::from_secs(60);
/// Silence before the kernel's first keepalive probe.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(300);
/// Time between the kernel's keepalive probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// Binds and listens. `[::]` takes IPv4 too; where nobody wrote it (`is_default`), `0.0.0.0` stands in for it on a
/// machine without IPv6.
///
/// # Errors
/// The address is taken, not ours, or not allowed.
pub fn bind(address: SocketAddr, is_default: bool) -> io::Result<TcpListener> {
    listen(address).or_else(|error| match stand_in(address, is_default, ipv6_exists) {
        Some(address) => listen(address),
        None => Err(error),
    })
}

/// What to bind in place of an address that cannot be bound.
fn stand_in(address: SocketAddr, is_default: bool, ipv6_exists: impl FnOnce() -> bool) -> Option<SocketAddr> {
    let is_any = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let falls_back = is_default && is_any && !ipv6_exists();
    falls_back.then(|| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port()))
}

fn ipv6_exists() -> bool {
    Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP))
        .and_then(|socket| socket.bind(&SocketAddr::from((Ipv6Addr::LOCALHOST, 0)).into()))
        .is_ok()
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    prepare(&socket)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// What every connection is to have: an accepted socket inherits it, which spares each some calls.
fn prepare(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    socket.set_tcp_keepalive(&keepalive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_default_address_has_a_stand_in_and_only_without_ipv6() {
        let any = "[::]:5222".parse().unwrap();
        assert_eq!(stand_in(any, true, || false), Some("0.0.0.0:5222".parse().unwrap()));
        assert_eq!(stand_in(any, false, || false), None, "somebody wrote it");
        assert_eq!(stand_in(any, true, || true), None, "then something else is wrong");
        assert_eq!(stand_in("[::1]:5222".parse().unwrap(), true, || false), None);
    }

    #[test]
    fn the_unspecified_address_takes_ipv4_connections() {
        let listener = bind("[::]:0".parse().unwrap(), true).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    }

    #[test]
    fn an_accepted_connection_has_the_options_of_its_listener() {
        let listener = bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let accepted = loop {
            match listener.accept() {
                Ok((socket, _)) => break Socket::from(socket),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        };
        assert!(accepted.tcp_nodelay().unwrap() && accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
        assert_eq!(accepted.tcp_keepalive_time().unwrap(), KEEPALIVE_IDLE);
        assert_eq!(accepted.tcp_keepalive_interval().unwrap(), KEEPALIVE_INTERVAL);
    }

    #[test]
    fn a_taken_port_is_an_error() {
        let first = bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let error = bind(first.local_addr().unwrap(), false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
