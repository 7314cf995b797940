//! The data folder: it belongs to one server at a time, and nobody else can read what is in it.
//!
//! Held by an advisory lock on the file `lock`, which the system lets go of when the process ends, however it ends.
//! Who this node is, is a value in the file `node`: never the host name, which changes when a container is made anew.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const LOCK_FILE: &str = "lock";
const NODE_FILE: &str = "node";
const NODE_BYTES: usize = 16;
const NODE_CHARS_MAX: usize = 64;

/// Why a data folder cannot be used: one plain line each.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    /// Another process holds it.
    #[error("the data folder {} is held by {}: stop that server first, or choose another folder", path.display(), holder(*.pid))]
    Held {
        /// The folder.
        path: PathBuf,
        /// Who holds it, if it said so.
        pid: Option<u32>,
    },
    /// It, or a file in it, cannot be used.
    #[error("cannot use {}: {reason}", path.display())]
    Unusable {
        /// The folder or the file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file `node` does not hold a node's name.
    #[error(
        "{} holds no node identity: put back its one line (1 to 64 letters, digits, - . _), or delete it to get a new one",
        path.display()
    )]
    BadNode {
        /// The file.
        path: PathBuf,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("pid {pid}"))
}

/// The data folder, held for as long as this value lives.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    node: String,
    /// Held by being open.
    _lock: File,
}

impl DataFolder {
    /// Makes the folder if there is none, takes its lock, and makes the node's identity if there is none.
    pub fn open(path: &Path) -> Result<DataFolder, DataFolderError> {
        let unusable = |path: &Path, error: &io::Error| DataFolderError::Unusable {
            path: path.to_owned(),
            reason: explain(path, error),
        };
        make_private(path).map_err(|error| unusable(path, &error))?;
        let lock_path = path.join(LOCK_FILE);
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(|error| unusable(if lock_path.exists() { &lock_path } else { path }, &error))?;
        take(&lock, path)?;
        let node = node(path)?;
        Ok(DataFolder { path: path.to_owned(), node, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Who this node is: the same for as long as the folder lives.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file that only this user can read (a key, say), whole or not at all, and on the disk when it returns.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), DataFolderError> {
        write_private(&self.path, name, content)
    }
}

fn take(lock: &File, path: &Path) -> Result<(), DataFolderError> {
    let unusable = |error: &io::Error| DataFolderError::Unusable {
        path: path.join(LOCK_FILE),
        reason: explain(&path.join(LOCK_FILE), error),
    };
    match lock.try_lock() {
        Ok(()) => {
            let mut lock = lock;
            lock.set_len(0)
                .and_then(|()| lock.write_all(format!("{}\n", std::process::id()).as_bytes()))
                .map_err(|error| unusable(&error))
        }
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // A holder that has not written its pid yet is still a holder.
            let _ = lock.take(32).read_to_string(&mut text);
            Err(DataFolderError::Held { path: path.to_owned(), pid: text.trim().parse().ok() })
        }
        Err(TryLockError::Error(error)) => Err(unusable(&error)),
    }
}

/// Makes the folder, or closes to others one that is ours to close: a folder that was empty or holds our lock. Someone
/// who points at a folder with other things in it does not get its permissions changed.
fn make_private(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        done => return done,
    }
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_dir() {
        return Err(ErrorKind::NotADirectory.into());
    }
    if metadata.mode() & 0o077 == 0 {
        return Ok(());
    }
    let is_owner = metadata.uid() == rustix::process::geteuid().as_raw();
    if is_owner && is_ours(path)? {
        std::fs::set_permissions(path, Permissions::from_mode(0o700))
    } else {
        // Whoever runs us under any user on a volume of another's has chosen so; our files are closed all the same.
        log::warn!(
            "the data folder {} is open to others (mode {:04o}, owner {}); chmod 700 would close it",
            path.display(),
            metadata.mode() & 0o7777,
            metadata.uid()
        );
        Ok(())
    }
}

fn is_ours(path: &Path) -> io::Result<bool> {
    if path.join(LOCK_FILE).exists() {
        return Ok(true);
    }
    for entry in std::fs::read_dir(path)? {
        // What a fresh volume has in it.
        if entry?.file_name() != "lost+found" {
            return Ok(false);
        }
    }
    Ok(true)
}

fn node(folder: &Path) -> Result<String, DataFolderError> {
    let path = folder.join(NODE_FILE);
    let unusable =
        |error: io::Error| DataFolderError::Unusable { path: path.clone(), reason: explain(&path, &error) };
    match std::fs::read(&path) {
        Ok(content) => parse_node(&content).ok_or_else(|| DataFolderError::BadNode { path: path.clone() }),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let random = crate::random::bytes(NODE_BYTES).map_err(unusable)?;
            let node: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
            write_private(folder, NODE_FILE, format!("{node}\n").as_bytes())?;
            Ok(node)
        }
        Err(error) => Err(unusable(error)),
    }
}

fn parse_node(content: &[u8]) -> Option<String> {
    let node = std::str::from_utf8(content).ok()?.trim();
    let is_name = (1..=NODE_CHARS_MAX).contains(&node.len())
        && node.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    is_name.then(|| node.to_owned())
}

/// Writes beside the name and renames, so that a crash leaves the old content or the new.
fn write_private(folder: &Path, name: &str, content: &[u8]) -> Result<(), DataFolderError> {
    let path = folder.join(name);
    let partial = folder.join(format!("{name}.partial"));
    let written = || -> io::Result<()> {
        // A partial file of a crash may have other permissions; this one is made anew.
        match std::fs::remove_file(&partial) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&partial, &path)?;
        File::open(folder)?.sync_all()
    };
    written()
        .map_err(|error| DataFolderError::Unusable { path: path.clone(), reason: explain(&path, &error) })
}

/// Says why `path` cannot be used, and whose it is where that is the reason.
pub(crate) fn explain(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::PermissionDenied => explain_denial(path),
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only: mount it writable".to_owned(),
        ErrorKind::StorageFull => "there is no space left on the disk".to_owned(),
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            "it, or a part of its path, is not a folder".to_owned()
        }
        ErrorKind::Unsupported => "this file system has no locks: use a local one".to_owned(),
        _ => error.to_string(),
    }
}

fn explain_denial(path: &Path) -> String {
    let uid = rustix::process::geteuid().as_raw();
    let known = path.ancestors().find_map(|known| Some((known, std::fs::metadata(known).ok()?)));
    let Some((known, metadata)) = known else {
        return format!("permission denied to uid {uid}");
    };
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    if known == path {
        format!(
            "this runs as uid {uid}, it is owned by uid {owner} (mode {mode:04o}): chown it to {uid}, or run as {owner}"
        )
    } else {
        // Never advise to change the owner of a folder that is not ours: it may be the root.
        format!(
            "this runs as uid {uid}, {} is owned by uid {owner} (mode {mode:04o}): make it first, owned by {uid}",
            known.display()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_says_who_runs_and_who_owns() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o750)).unwrap();
        let uid = rustix::process::geteuid().as_raw();
        let denied = ErrorKind::PermissionDenied.into();
        let line = explain(folder.path(), &denied);
        assert!(
            line.contains(&format!("runs as uid {uid}, it is owned by uid {uid} (mode 0750): chown")),
            "{line}"
        );
        let line = explain(&folder.path().join("a").join("b"), &denied);
        assert!(line.contains(&format!("{} is owned by", folder.path().display())), "{line}");
        assert!(!line.contains("chown"), "{line}");
    }

    #[test]
    fn a_disk_without_room_and_one_that_cannot_be_written_are_told_apart() {
        let line = |kind: ErrorKind| explain(Path::new("/"), &kind.into());
        assert!(line(ErrorKind::StorageFull).contains("no space"));
        assert!(line(ErrorKind::ReadOnlyFilesystem).contains("read-only"));
    }
}
