//! The short form of `scripts/differential`: what the checker accepts, xml-rs and expat accept and take alike.

use rjabberd_fuzz_targets::{differential, seeds};

#[test]
fn whatever_the_checker_accepts_xml_rs_and_expat_take_alike() {
    let summary = differential(&seeds(), 3, 100_000);
    assert!(summary.accepted > 30_000, "{summary}\nToo few say something.");
    assert!(summary.left > 1_000 && summary.refused > 10_000, "{summary}\nToo few meet a rule.");
}
