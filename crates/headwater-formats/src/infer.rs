//! The columns of a source, found in a sample of its records.
//!
//! ```text
//!   payloads ──► syntax (the format's decoder, no column) ──► good records + bad ones by reason
//!   good records ──► seen (types of every name, merged) ──► columns, names left out, notes
//!   payloads ──► the format's decoder, all columns ──► bad records by reason
//! ```
//!
//! What is bad is said by the decoder that will read the records, before and after: a column is
//! found only if every good record of the sample can be read with it. Where no type holds what was
//! seen (JSON: a number here, a text there), the name is left out and noted, because a column of
//! either type would make records bad.
//!
//! A sample proves nothing of the records that come later: columns are nullable, unless the format
//! itself promises a value, and types are wide (BIGINT, DOUBLE, VARCHAR). A number is never taken for
//! a time, as its unit cannot be known; a note says what it looks like.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, BinaryArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use headwater_core::format::{BadRecord, FormatSpec};
use headwater_core::sample::Sample;
use headwater_core::{Error, Result};

use crate::avro::{infer_avro, infer_events};
use crate::registry::{Format, new_decoder};

mod csv;
mod debezium;
mod guess;
mod influx;
mod json;
mod keys;
mod members;
mod notes;
mod seen;

pub(crate) use debezium::add_special;
pub use guess::{Guess, guess_format};
pub use keys::{SeenKeys, seen_keys};

/// Columns that are found at most, those inside others counted.
const MAX_COLUMNS: usize = 1_000;
/// How deep a value may be nested, a column being at depth 1.
pub(crate) const MAX_DEPTH: usize = 16;

/// What a sample says of its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inferred {
    /// The columns, in the order in which they were first seen.
    pub columns: Vec<InferredColumn>,
    /// Names that are no columns, each with the reason.
    pub left_out: Vec<(String, String)>,
    /// How many records were looked at.
    pub records: usize,
    /// How many of them cannot be read with these columns, by reason.
    pub bad: BTreeMap<String, usize>,
    /// What else is to be known.
    pub notes: Vec<String>,
}

impl Inferred {
    /// How many records cannot be read.
    pub fn bad_records(&self) -> usize {
        self.bad.values().sum()
    }

    /// The columns as a schema.
    pub fn schema(&self) -> SchemaRef {
        let columns = self.columns.iter();
        let field = |c: &InferredColumn| Field::new(&c.name, c.data_type.clone(), c.is_nullable);
        Arc::new(Schema::new(columns.map(field).collect::<Vec<_>>()))
    }
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InferredColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// Whether it may be NULL; a column may not if the format promises a value.
    pub is_nullable: bool,
    /// What is to be known about it, in a line.
    pub note: Option<String>,
}

impl InferredColumn {
    pub(crate) fn new(name: impl Into<String>, data_type: DataType) -> Self {
        InferredColumn {
            name: name.into(),
            data_type,
            is_nullable: true,
            note: None,
        }
    }

    fn not_null(mut self) -> Self {
        self.is_nullable = false;
        self
    }
}

/// What a format has found, before it is tried out.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) columns: Vec<InferredColumn>,
    pub(crate) left_out: Vec<(String, String)>,
    pub(crate) notes: Vec<String>,
}

/// Checks the name and the options of a format, before records are read for it.
///
/// # Errors
/// What is wrong with them.
pub fn check_options(spec: &FormatSpec, owner: &str) -> Result<()> {
    Format::from_spec(spec, owner).map(|_| ())
}

/// Finds the columns of records in a format. `owner` is the source's kind and quoted name, for
/// messages; nothing but a schema registry is asked.
///
/// # Errors
/// If the format is wrong, nothing of the sample can be read, no column was found, or the registry
/// does not answer.
pub async fn infer(spec: &FormatSpec, owner: &str, sample: &Sample) -> Result<Inferred> {
    let payloads = &sample.payloads;
    let format = Format::from_spec(spec, owner)?;
    if payloads.is_empty() && !format.knows_its_columns() {
        return Err(nothing_there(owner));
    }
    let found = match &format {
        Format::Json(timestamps) => {
            let good = readable(spec, owner, Vec::new(), payloads).await?;
            json::infer(&good, timestamps)
        }
        Format::Csv(options) => {
            let columns = csv::text_columns(options, payloads);
            let good = readable(spec, owner, columns, payloads).await?;
            csv::infer(options, owner, &good, sample.header.as_deref())?
        }
        Format::Influx(options) => {
            let columns = influx::special_columns(options);
            let good = readable(spec, owner, columns, payloads).await?;
            influx::infer(options, &good)
        }
        Format::DebeziumAvro(options) => infer_events(options, owner, payloads).await?,
        Format::Debezium(options) => {
            let columns = debezium::special_columns(&options.columns);
            let good = readable(spec, owner, columns, payloads).await?;
            debezium::infer(options, &good)
        }
        Format::Avro(options) => infer_avro(options, owner, payloads).await?,
        Format::Protobuf(_) => {
            return Err(Error::unsupported(format!(
                "the columns of {owner} cannot be found: those of format \"protobuf\" are in its \
                 message"
            ))
            .with_hint("Declare the fields of the message that you need as columns."));
        }
        Format::Msgpack(_) => {
            return Err(Error::unsupported(format!(
                "the columns of {owner} cannot be found: format \"msgpack\" is not looked into"
            ))
            .with_hint("Declare the members of the map that you need as columns."));
        }
        Format::Raw => only("value", DataType::Binary),
        Format::Text => only("value", DataType::Utf8View),
    };
    tried_out(spec, owner, payloads, found).await
}

fn only(name: &str, data_type: DataType) -> Found {
    Found {
        columns: vec![InferredColumn::new(name, data_type)],
        ..Found::default()
    }
}

/// The records whose syntax is right. `columns` are those without which the format is refused.
async fn readable<'a>(
    spec: &FormatSpec,
    owner: &str,
    columns: Vec<InferredColumn>,
    payloads: &'a BinaryArray,
) -> Result<Vec<&'a [u8]>> {
    let found = Found {
        columns,
        ..Found::default()
    };
    let schema = inferred(found).schema();
    let bad = bad_records(spec, owner, &schema, &[], payloads).await?;
    let mut bad_places = bad.iter().map(|bad| bad.record).peekable();
    let good = payloads.iter().enumerate().filter_map(|(place, payload)| {
        let is_bad = bad_places.next_if_eq(&place).is_some();
        payload.filter(|_| !is_bad)
    });
    let good: Vec<_> = good.collect();
    if good.is_empty() && !payloads.is_empty() {
        return Err(nothing_readable(spec, owner, payloads.len(), &bad));
    }
    Ok(good)
}

/// Reads the sample with the columns that were found, and counts what is bad.
async fn tried_out(
    spec: &FormatSpec,
    owner: &str,
    payloads: &BinaryArray,
    found: Found,
) -> Result<Inferred> {
    let mut inferred = inferred(found);
    if inferred.columns.is_empty() {
        return Err(no_columns(owner, &inferred));
    }
    let schema = inferred.schema();
    let all: Vec<usize> = (0..schema.fields().len()).collect();
    let bad = bad_records(spec, owner, &schema, &all, payloads).await?;
    if bad.len() == payloads.len() && !bad.is_empty() {
        return Err(nothing_readable(spec, owner, payloads.len(), &bad));
    }
    inferred.records = payloads.len();
    inferred.bad = by_reason(&bad);
    Ok(inferred)
}

fn inferred(found: Found) -> Inferred {
    let mut columns = found.columns;
    notes::note_same_letters(&mut columns);
    Inferred {
        columns,
        left_out: found.left_out,
        records: 0,
        bad: BTreeMap::new(),
        notes: found.notes,
    }
}

async fn bad_records(
    spec: &FormatSpec,
    owner: &str,
    schema: &SchemaRef,
    projection: &[usize],
    payloads: &BinaryArray,
) -> Result<Vec<BadRecord>> {
    let mut decoder = new_decoder(spec, owner, schema, projection)?;
    decoder.prepare(payloads).await?;
    Ok(decoder.decode(payloads)?.bad)
}

fn by_reason(bad: &[BadRecord]) -> BTreeMap<String, usize> {
    let mut reasons = BTreeMap::new();
    for record in bad {
        *reasons.entry(record.reason.clone()).or_insert(0) += 1;
    }
    reasons
}

fn nothing_there(owner: &str) -> Error {
    Error::configuration(format!(
        "the columns of {owner} cannot be inferred: there is no record to look at"
    ))
    .with_hint("Declare the columns, or write a record first.")
}

fn nothing_readable(spec: &FormatSpec, owner: &str, records: usize, bad: &[BadRecord]) -> Error {
    let reasons = by_reason(bad);
    let reasons = reasons.iter().map(|(reason, n)| format!("{reason}: {n}"));
    let seen = bad.iter().find(|bad| !bad.detail.is_empty());
    let seen = seen.map_or(String::new(), |bad| format!(" One is `{}`.", bad.detail));
    Error::bad_data(format!(
        "the columns of {owner} cannot be inferred: none of {records} records can be read in \
         format \"{}\"",
        spec.name
    ))
    .with_detail(format!(
        "What is wrong, by records: {}.{seen}",
        reasons.collect::<Vec<_>>().join("; ")
    ))
    .with_hint("Name another format, or set its options; `headwater kafka infer` guesses one.")
}

fn no_columns(owner: &str, inferred: &Inferred) -> Error {
    let left_out = inferred.left_out.iter().take(3);
    let left_out: Vec<_> = left_out
        .map(|(n, why)| format!("\"{n}\" ({why})"))
        .collect();
    let error = Error::configuration(format!(
        "the columns of {owner} cannot be inferred: its records have no value that a column can hold"
    ))
    .with_hint("Declare the columns, or read the records in format \"text\" or \"raw\".");
    match left_out.is_empty() {
        true => error,
        false => error.with_detail(format!("Left out are {}.", left_out.join(", "))),
    }
}
