//! libFuzzer's executable of [`headwater_fuzz::protobuf_schema`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| headwater_fuzz::protobuf_schema(bytes));
