//! Fuzz targets as plain functions: any bytes, no panic, and what must hold for them asserted.
//!
//! `cargo test` replays `fuzz/corpus/<target>` through them on stable; `scripts/fuzz <target>` hunts with libFuzzer. To add
//! one: a function here, a line in [`TARGETS`], a file in `fuzz/fuzz_targets` and its `[[bin]]`, and a corpus. No product
//! crate depends on this one.

mod checker;
mod differential;
mod expat;
mod machine;
mod mutation;
mod proxy;
mod xml;

pub use checker::checker;
pub use differential::{Summary, differential};
pub use machine::machine;
pub use proxy::proxy;
pub use xml::{framer_and_reader, header};

/// A fuzz target: takes any bytes, panics if something does not hold.
pub type Target = fn(&[u8]);

/// All targets, by the name of their corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("checker", checker),
    ("framer_and_reader", framer_and_reader),
    ("header", header),
    ("machine", machine),
    ("proxy", proxy),
];

/// The frames that [`differential`] begins with: the corpus of [`checker`].
pub fn seeds() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/checker");
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).expect("the corpus").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a corpus file")).collect()
}
