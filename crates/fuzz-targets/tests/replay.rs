//! Replays each corpus through its target, so that what the fuzzer once found stays found.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rjabberd_fuzz_targets::TARGETS;

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

fn names(folder: &Path) -> BTreeSet<String> {
    std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| {
            entry.expect("an entry").path().file_stem().expect("a name").to_string_lossy().into_owned()
        })
        .collect()
}

#[test]
fn every_target_holds_for_its_corpus() {
    for (name, target) in TARGETS {
        let folder = fuzz_folder().join("corpus").join(name);
        let files =
            std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut replayed = 0;
        for file in files {
            let path = file.expect("an entry").path();
            let data = std::fs::read(&path).expect("a corpus file");
            if std::panic::catch_unwind(|| target(&data)).is_err() {
                panic!("{name} does not hold for {}", path.display());
            }
            replayed += 1;
        }
        assert!(replayed > 0, "{name} has no corpus");
    }
}

#[test]
fn targets_corpora_and_binaries_are_the_same() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&fuzz_folder().join("corpus")), targets);
    assert_eq!(names(&fuzz_folder().join("fuzz_targets")), targets);
}
