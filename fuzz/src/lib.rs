//! Fuzz targets: functions that take any bytes and fail by a panic.
//!
//! ```text
//!   corpus/<target>/*  ──► tests/corpus.rs (every run of the tests)     ──┐
//!                      └─► fuzz_targets/<target>.rs (`cargo xtask fuzz`) ─┴─► a function of this crate
//! ```
//!
//! The executables are libFuzzer's, in the layout of cargo-fuzz. They are built on the stable
//! compiler: `instrument.sh` adds coverage to the crates of this workspace and to no other.
//!
//! "Does not panic" is the least of what a target asks. What it asks besides stands at its function.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a target fails by a panic, which is what libFuzzer looks for"
)]

mod checkpoint;
mod decoders;
mod sql;

pub use checkpoint::{damaged_checkpoint, hostile_checkpoint};
pub use decoders::{
    avro, avro_schema, csv, debezium, influx, json, msgpack, protobuf, protobuf_schema, raw,
};
pub use sql::sql;

/// A function that takes any bytes.
pub type Target = fn(&[u8]);

/// Every target by its name, which is that of its file in `fuzz_targets` and of its corpus.
pub const TARGETS: [(&str, Target); 13] = [
    ("avro", avro),
    ("avro_schema", avro_schema),
    ("csv", csv),
    ("damaged_checkpoint", damaged_checkpoint),
    ("debezium", debezium),
    ("hostile_checkpoint", hostile_checkpoint),
    ("influx", influx),
    ("json", json),
    ("msgpack", msgpack),
    ("protobuf", protobuf),
    ("protobuf_schema", protobuf_schema),
    ("raw", raw),
    ("sql", sql),
];
