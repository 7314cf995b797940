//! `differential COUNT [SEED]`: the long run of the checker against xml-rs and expat; run by `scripts/differential`.

use rjabberd_fuzz_targets::{differential, seeds};

#[expect(clippy::print_stdout, reason = "a tool that reports to its caller")]
fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>().expect("a number"));
    let (count, seed) = (arguments.next().unwrap_or(10_000_000), arguments.next().unwrap_or(1));
    println!("{}", differential(&seeds(), seed, count));
}
