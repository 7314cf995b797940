//! The allocator of the whole process: jemalloc, which keeps least at rest and gives memory back
//! (`docs/decisions/0007-allocator.md`, with the figures). Its settings stand in `.cargo/config.toml`.

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;
