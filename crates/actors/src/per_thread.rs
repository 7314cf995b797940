//! Counters that threads do not fight over: each thread counts in a block of its own, and whoever reads adds them up.
//!
//! One counter that two arbiters raise for every message moves its cache line between their cores every time, which costs
//! more than all the counting. There are a fixed number of blocks; threads beyond that share them, so every counter is
//! atomic still.

use std::{
    ops::Deref,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// How many blocks there are.
pub const BLOCKS: usize = 16;

/// One thread's block, alone on its cache lines (two, because processors fetch them in pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Block<T>(pub T);

/// A `T` for each thread.
#[derive(Debug)]
pub struct PerThread<T> {
    blocks: [Block<T>; BLOCKS],
}

thread_local! {
    static MINE: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Relaxed) % BLOCKS
    };
}

impl<T> PerThread<T> {
    /// Of these blocks: `[const { Block(…) }; BLOCKS]`.
    pub const fn new(blocks: [Block<T>; BLOCKS]) -> PerThread<T> {
        PerThread { blocks }
    }

    /// The sum of what `counter` says of each block. What is counted meanwhile may be in it or not.
    pub fn sum(&self, counter: impl Fn(&T) -> u64) -> u64 {
        self.blocks.iter().fold(0, |sum, block| sum.wrapping_add(counter(&block.0)))
    }

    /// The highest that `counter` says of a block.
    pub fn highest(&self, counter: impl Fn(&T) -> u64) -> u64 {
        self.blocks.iter().map(|block| counter(&block.0)).max().unwrap_or_default()
    }
}

impl<T: Default> Default for PerThread<T> {
    fn default() -> PerThread<T> {
        PerThread { blocks: std::array::from_fn(|_| Block::default()) }
    }
}

impl<T> Deref for PerThread<T> {
    type Target = T;

    /// This thread's block.
    fn deref(&self) -> &T {
        // At the end of a thread its number may be gone before what it still drops.
        &self.blocks[MINE.try_with(|mine| *mine).unwrap_or_default()].0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn what_many_threads_count_adds_up() {
        let counter = PerThread::<AtomicU64>::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * BLOCKS {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        counter.fetch_add(1, Relaxed);
                    }
                });
            }
        });
        assert_eq!(counter.sum(|block| block.load(Relaxed)), 2000 * BLOCKS as u64);
    }

    #[test]
    fn what_one_thread_raises_and_another_lowers_adds_up_to_nothing() {
        let gauge = PerThread::<AtomicU64>::default();
        gauge.fetch_add(3, Relaxed);
        std::thread::scope(|scope| drop(scope.spawn(|| gauge.fetch_sub(3, Relaxed))));
        assert_eq!(gauge.sum(|block| block.load(Relaxed)), 0);
    }

    #[test]
    fn each_block_has_cache_lines_of_its_own() {
        assert_eq!(size_of::<PerThread<AtomicU64>>(), BLOCKS * 128);
    }
}
