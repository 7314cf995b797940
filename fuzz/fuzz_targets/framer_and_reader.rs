//! See `rjabberd_fuzz_targets::framer_and_reader`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rjabberd_fuzz_targets::framer_and_reader(data));
