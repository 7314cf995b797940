//! See `rjabberd_fuzz_targets::proxy`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rjabberd_fuzz_targets::proxy(data));
