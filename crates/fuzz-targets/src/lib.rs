//! Fuzz targets as plain functions: any bytes, no panic, and what must hold for them asserted.
//!
//! `cargo test` replays `fuzz/corpus/<target>` through them on stable; `scripts/fuzz <target>` hunts with libFuzzer. To add
//! one: a function here, a line in [`TARGETS`], a file in `fuzz/fuzz_targets` and its `[[bin]]`, and a corpus. No product
//! crate depends on this one.

mod xml;

pub use xml::{framer_and_reader, header};

/// A fuzz target: takes any bytes, panics if something does not hold.
pub type Target = fn(&[u8]);

/// All targets, by the name of their corpus.
pub const TARGETS: &[(&str, Target)] = &[("framer_and_reader", framer_and_reader), ("header", header)];
