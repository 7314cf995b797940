//! `differential COUNT [FIRST]`: the long run of the checker against xml-rs and expat; run by `scripts/differential`.

use std::thread;

use rjabberd_fuzz_targets::{Summary, differential, seeds};

/// Threads, each with an expat of its own and mutations of its own.
const JOBS: u64 = 4;

#[expect(clippy::print_stdout, reason = "a tool that reports to its caller")]
fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>().expect("a number"));
    let (count, first) = (arguments.next().unwrap_or(10_000_000), arguments.next().unwrap_or(1));
    let seeds = seeds();
    let summary: Summary = thread::scope(|scope| {
        let seeds = &seeds;
        let start = |job| scope.spawn(move || differential(seeds, first + job, count.div_ceil(JOBS)));
        let jobs: Vec<_> = (0..JOBS).map(start).collect();
        jobs.into_iter().map(|job| job.join().expect("no disagreement")).sum()
    });
    println!("{summary}");
}
