//! See `rjabberd_fuzz_targets::machine`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rjabberd_fuzz_targets::machine(data));
