//! A folder that lives as long as its test; kept when the test fails, so that one can look into it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A new, empty folder under the system's folder for temporary files.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the folder.
    pub fn new() -> Folder {
        Folder::under(&std::env::temp_dir())
    }

    /// A process with our number may have left folders behind: theirs are passed over.
    fn under(place: &Path) -> Folder {
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = place.join(format!("rjabberd-test-{}-{number}", process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Folder { path },
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => panic!("no folder can be made in {}: {error}", place.display()),
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Default for Folder {
    fn default() -> Self {
        Folder::new()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_process_of_this_number_left_behind_is_passed_over() {
        let place = Folder::new();
        let next = NEXT.load(Ordering::Relaxed);
        // Other tests of this process may take numbers meanwhile.
        for number in next..next + 100 {
            let left = place.path().join(format!("rjabberd-test-{}-{number}", process::id()));
            fs::create_dir(&left).unwrap();
            fs::write(left.join("rjabberd.toml"), "").unwrap();
        }
        let folder = Folder::under(place.path());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
