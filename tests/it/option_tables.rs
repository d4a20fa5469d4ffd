//! The tables of options in `docs/reference`, which the entries beside the code make.
//!
//! That an entry says what is read, and what holds without the option, is tested where the code is:
//! in `option_tables.rs` of `headwater-kafka` and of `headwater-formats`.

use crate::committed::{check_committed_part, committed};

/// Compares, or writes, the tables of a page, and finds those that no code makes.
fn check(path: &str, tables: Vec<(String, String)>) {
    let page = committed(path);
    let parts = page.lines().filter(|line| line.starts_with("<!-- /"));
    assert_eq!(parts.count(), tables.len(), "tables of {path}");
    for (name, table) in tables {
        check_committed_part(path, &name, &table);
    }
}

#[test]
fn the_options_of_kafka_are_those_of_the_code() {
    let tables = headwater_kafka::option_tables().into_iter();
    let tables = tables.map(|(name, table)| (format!("kafka {name}"), table));
    check("docs/reference/connectors/kafka.md", tables.collect());
}

#[test]
fn the_options_of_formats_are_those_of_the_code() {
    let tables = headwater_formats::option_tables().into_iter();
    let tables = tables.map(|(name, table)| (format!("format {name}"), table));
    check("docs/reference/formats.md", tables.collect());
}
