//! Which format records are in, when nobody says.
//!
//! A format is taken if more than half of the records that have a value can be read in it. The
//! stricter formats are tried first: an event of Debezium is an object of JSON, and every line is a
//! text.

use std::sync::Arc;

use arrow::array::{Array, BinaryArray};
use arrow::datatypes::Schema;
use headwater_core::format::FormatSpec;
use headwater_core::{Error, Result};

use super::bad_records;
use crate::avro::schema_id;
use crate::csv::{Dialect, split_line};

/// Formats whose decoder can judge a record alone, the strictest first.
const JUDGED: [&str; 3] = ["debezium-json", "json", "influx"];
/// Characters between the fields of a line, the most common first.
const DELIMITERS: [(u8, &str); 4] = [(b',', ","), (b';', ";"), (b'\t', "\\t"), (b'|', "|")];

/// What records look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guess {
    /// This format.
    Format(FormatSpec),
    /// Records with the ids of schemas, which a registry knows.
    Registered {
        /// One of the ids.
        schema_id: u32,
    },
}

/// Says in which format most of the records are; at the least they are bytes.
///
/// # Errors
/// If there is no record with a value.
pub async fn guess_format(owner: &str, payloads: &BinaryArray) -> Result<Guess> {
    let values: BinaryArray = payloads.iter().flatten().map(Some).collect();
    if values.is_empty() {
        return Err(Error::configuration(format!(
            "the format of {owner} cannot be guessed: there is no record with a value"
        ))
        .with_hint("Name the format and declare the columns."));
    }
    let is_most = |records: usize| records * 2 > values.len();
    // No text begins with the byte that is before an id.
    let ids: Vec<u32> = values.iter().flatten().filter_map(schema_id).collect();
    if let Some(schema_id) = ids.first().filter(|_| is_most(ids.len())) {
        return Ok(Guess::Registered {
            schema_id: *schema_id,
        });
    }
    let none = Arc::new(Schema::empty());
    for name in JUDGED {
        let spec = FormatSpec::named(name);
        let bad = bad_records(&spec, owner, &none, &[], &values).await?;
        if is_most(values.len() - bad.len()) {
            return Ok(Guess::Format(spec));
        }
    }
    let texts: Vec<&str> = values
        .iter()
        .flatten()
        .filter_map(|value| std::str::from_utf8(value).ok())
        .collect();
    if !is_most(texts.len()) {
        return Ok(Guess::Format(FormatSpec::named("raw")));
    }
    let is_csv = |(byte, _): &&(u8, &str)| is_most(lines_alike(&texts, *byte));
    let Some((byte, text)) = DELIMITERS.iter().find(is_csv) else {
        return Ok(Guess::Format(FormatSpec::named("text")));
    };
    let mut spec = FormatSpec::named("csv");
    if *byte != b',' {
        spec.options.set("delimiter", *text);
    }
    Ok(Guess::Format(spec))
}

/// How many lines have as many fields as the first one, and more than one.
fn lines_alike(lines: &[&str], delimiter: u8) -> usize {
    let dialect = Dialect {
        delimiter,
        quote: b'"',
        escape: None,
    };
    let fields = |line: &&str| split_line(line, dialect, |_, _| {}).ok();
    let mut counts = lines.iter().map(fields);
    let Some(first) = counts.next().flatten().filter(|fields| *fields > 1) else {
        return 0;
    };
    1 + counts.filter(|fields| *fields == Some(first)).count()
}
