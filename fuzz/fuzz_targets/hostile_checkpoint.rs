//! libFuzzer's executable of [`headwater_fuzz::hostile_checkpoint`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| headwater_fuzz::hostile_checkpoint(bytes));
