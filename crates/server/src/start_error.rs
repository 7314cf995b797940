//! Why the server does not start: one plain line each, that says what to do.

use std::io;
use std::net::SocketAddr;

use rjabberd_storage::{DataFolderError, OpenError, StoreError};

use crate::certificate::CertificateError;
use crate::config::ConfigError;
use crate::control::ControlError;
use crate::logging::LoggingError;

/// Why the server does not start, or a command is not done.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The config is wrong: a line for each fault.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Logging does not start.
    #[error(transparent)]
    Logging(#[from] LoggingError),
    /// The data folder cannot be used.
    #[error(transparent)]
    Folder(#[from] DataFolderError),
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store is open but does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The control socket cannot be opened.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A listener's address cannot be bound.
    #[error("cannot listen on {address} (listen.{listener}): {}", advice(source, *address))]
    Listen {
        /// The listener's name in the config.
        listener: String,
        /// What it should have bound.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The system gives no threads or no timers.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

fn advice(error: &io::Error, address: SocketAddr) -> String {
    let port = address.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("port {port} is taken by another program: stop it, or choose another address")
        }
        io::ErrorKind::PermissionDenied if port < 1024 => {
            format!("this user may not use ports below 1024: choose another than {port}, or give the right")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("this machine has no address {}: choose one that it has", address.ip())
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_cannot_be_had_is_told_with_what_to_do() {
        let check = |kind: io::ErrorKind, address: &str, line: &str| {
            let error = StartError::Listen {
                listener: "c2s".to_owned(),
                address: address.parse().unwrap(),
                source: kind.into(),
            };
            assert_eq!(error.to_string(), line);
        };
        check(
            io::ErrorKind::AddrInUse,
            "[::]:5222",
            "cannot listen on [::]:5222 (listen.c2s): port 5222 is taken by another program: stop it, or choose \
             another address",
        );
        check(
            io::ErrorKind::PermissionDenied,
            "0.0.0.0:443",
            "cannot listen on 0.0.0.0:443 (listen.c2s): this user may not use ports below 1024: choose another than \
             443, or give the right",
        );
        check(
            io::ErrorKind::AddrNotAvailable,
            "192.0.2.1:5222",
            "cannot listen on 192.0.2.1:5222 (listen.c2s): this machine has no address 192.0.2.1: choose one that it \
             has",
        );
    }
}
