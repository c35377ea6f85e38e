#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| offpeak_anthropic::fuzz::results(bytes));
