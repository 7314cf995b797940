//! The data folder: whose it is, who may read it, and what it says when it cannot be used.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rjabberd_storage::{DataFolder, DataFolderError};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn refusal(path: &Path) -> DataFolderError {
    let error = DataFolder::open(path).unwrap_err();
    assert_eq!(error.to_string().lines().count(), 1, "{error}");
    error
}

#[test]
fn a_new_folder_is_closed_to_others_with_all_that_is_in_it() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("a").join("data");
    let folder = DataFolder::open(&path).unwrap();
    folder.write("key.pem", b"secret").unwrap();
    assert_eq!(mode(&path), 0o700);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&path).unwrap().map(Result::unwrap) {
        assert_eq!(mode(&entry.path()), 0o600, "{:?}", entry.path());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["key.pem", "lock", "node"]);
}

#[test]
fn a_second_server_is_refused_with_the_pid_of_the_first() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("data");
    let first = DataFolder::open(&path).unwrap();
    let error = refusal(&path);
    let DataFolderError::Held { pid, .. } = error else { panic!("{error:?}") };
    assert_eq!(pid, Some(std::process::id()));
    assert!(error.to_string().contains(&format!("held by pid {}", std::process::id())), "{error}");
    drop(first);
    DataFolder::open(&path).unwrap();
}

#[test]
fn a_longer_pid_of_an_earlier_holder_leaves_no_digit() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("data");
    drop(DataFolder::open(&path).unwrap());
    std::fs::write(path.join("lock"), "99999999999999999999\n").unwrap();
    let _held = DataFolder::open(&path).unwrap();
    assert!(
        matches!(refusal(&path), DataFolderError::Held { pid: Some(pid), .. } if pid == std::process::id())
    );
}

#[test]
fn the_nodes_identity_is_made_once_and_may_be_chosen() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("data");
    let made = DataFolder::open(&path).unwrap().node().to_owned();
    assert_eq!(made.len(), 32);
    assert_eq!(DataFolder::open(&path).unwrap().node(), made);
    let other = parent.path().join("other");
    assert_ne!(DataFolder::open(&other).unwrap().node(), made);
    std::fs::write(path.join("node"), "chat-1.example\n").unwrap();
    assert_eq!(DataFolder::open(&path).unwrap().node(), "chat-1.example");
}

#[test]
fn a_file_that_holds_no_identity_is_refused_and_not_replaced() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("data");
    drop(DataFolder::open(&path).unwrap());
    for content in ["", "\n", "two words", "a\nb", "ü", &"a".repeat(65)] {
        std::fs::write(path.join("node"), content).unwrap();
        let error = refusal(&path);
        assert!(matches!(error, DataFolderError::BadNode { .. }), "{content:?}: {error:?}");
        assert_eq!(std::fs::read_to_string(path.join("node")).unwrap(), content);
    }
}

#[test]
fn an_empty_folder_that_others_could_read_is_closed_to_them() {
    for lost_and_found in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        set_mode(folder.path(), 0o755);
        if lost_and_found {
            std::fs::create_dir(folder.path().join("lost+found")).unwrap();
        }
        DataFolder::open(folder.path()).unwrap();
        assert_eq!(mode(folder.path()), 0o700);
        set_mode(folder.path(), 0o750);
        DataFolder::open(folder.path()).unwrap();
        assert_eq!(mode(folder.path()), 0o700, "our folder, at the next start");
    }
}

#[test]
fn the_permissions_of_a_folder_with_other_things_in_it_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("theirs"), "").unwrap();
    set_mode(folder.path(), 0o755);
    DataFolder::open(folder.path()).unwrap();
    assert_eq!(mode(folder.path()), 0o755);
    assert_eq!(mode(&folder.path().join("node")), 0o600);
}

#[test]
fn a_file_in_place_of_the_folder_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("data");
    std::fs::write(&path, "").unwrap();
    for path in [path.clone(), path.join("below")] {
        let error = refusal(&path);
        assert!(matches!(error, DataFolderError::Unusable { .. }), "{error:?}");
        assert!(error.to_string().contains("not a folder"), "{error}");
    }
}

#[test]
fn a_written_file_replaces_the_old_one_and_its_permissions() {
    let parent = tempfile::tempdir().unwrap();
    let folder = DataFolder::open(&parent.path().join("data")).unwrap();
    let path = folder.file("key.pem");
    std::fs::write(&path, "old and longer").unwrap();
    set_mode(&path, 0o644);
    std::fs::write(folder.file("key.pem.partial"), "of a crash").unwrap();
    folder.write("key.pem", b"new").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    assert_eq!(mode(&path), 0o600);
    assert!(!folder.file("key.pem.partial").exists());
}
