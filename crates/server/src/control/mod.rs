//! The control socket: how a command talks to the server that runs on the same data folder.
//!
//! A Unix socket in the data folder, which only its owner may open: whoever may read the database may command the
//! server, and nobody else. One JSON object a line each way, a line bounded, one answer per request, in order.
//! `server` is the server's side, `client` the command's; both speak [`Operations`](crate::accounts::Operations).

mod client;
mod protocol;
mod server;

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

pub use client::Client;
pub use server::{ControlError, ControlSocket, Stats};

/// Its name in the data folder.
pub const SOCKET: &str = "control";

/// Longest path that an address of a Unix socket holds on every system.
const PATH_BYTES_MAX: usize = 100;

/// A path to the socket that is short enough, valid as long as the file beside it is open: in a folder whose name is
/// too long, the way goes through a descriptor of the folder.
fn reachable(folder: &Path) -> io::Result<(PathBuf, Option<File>)> {
    let path = folder.join(SOCKET);
    if path.as_os_str().len() <= PATH_BYTES_MAX {
        return Ok((path, None));
    }
    let folder = File::open(folder)?;
    Ok((PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd())), Some(folder)))
}

#[cfg(test)]
mod tests;
