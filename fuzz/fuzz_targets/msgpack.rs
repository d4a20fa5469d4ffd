//! libFuzzer's executable of [`headwater_fuzz::msgpack`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| headwater_fuzz::msgpack(bytes));
